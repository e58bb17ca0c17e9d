"""The layers found in an image compute what the oracle computes; images without layers are refused with a reason."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool
from support.random_acyclic import acyclic_chip
from support.random_chips import RANC, SMALL, WIDE, layered_chip, random_chip, random_frames

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.ir import ChipImage
from tncompile.sim import make_engine
from tncompile.sim.layers import Layers, NotLayered, find_layers

TICKS = 14


def evaluate(layers: Layers, frames: Bool[np.ndarray, "ticks input_bits"]) -> Bool[np.ndarray, "ticks signals"]:
    """Returns all signals of all ticks, node by node."""
    signals = np.zeros((len(frames), layers.signals), bool)
    signals[:, : layers.input_bits] = frames
    for level in layers.levels:
        for node in range(len(level)):
            total = np.zeros(len(frames), np.int64)
            for entry in range(level.indptr[node], level.indptr[node + 1]):
                delay = int(level.delay[entry])
                heard = signals[: len(frames) - delay, level.source[entry]]
                total[delay:] += heard * np.int64(level.weight[entry])
            signals[:, level.first + node] = total >= level.threshold[node]
    return signals


def assert_layers_hold(image: ChipImage, seed: int) -> Layers:
    """Compares every neuron and pin with the oracle, and checks what the records promise."""
    layers = find_layers(image)
    frames = random_frames(image, seed, batch=1, ticks=TICKS)
    oracle = make_engine("oracle", image)
    _, ticks = oracle.run(oracle.init(1), frames, range(len(image.core_x)))
    signals = evaluate(layers, frames[0])

    used = layers.signal_of >= 0
    np.testing.assert_array_equal(used, image.neuron_type != 0)
    np.testing.assert_array_equal(signals[:, layers.signal_of] & used, ticks.spikes[0])
    pins = np.zeros((TICKS, layers.output_pins), bool)
    for signal, pin in zip(layers.pin_signal, layers.pin, strict=True):
        pins[:, pin] |= signals[:, signal]
    np.testing.assert_array_equal(pins, ticks.pins[0])

    first = layers.input_bits
    for level in layers.levels:
        rows = []
        assert level.first == first and len(level)
        assert (level.source < first).all() and (level.source >= 0).all()
        assert (level.delay <= layers.arch.delay_max).all() and level.weight.all()
        for node in range(len(level)):
            entries = slice(level.indptr[node], level.indptr[node + 1])
            row = sorted(zip(level.source[entries], level.delay[entries], level.weight[entries], strict=True))
            assert len({entry[:2] for entry in row}) == len(row)
            rows.append((level.threshold[node], *row))
        assert len(set(rows)) == len(rows), "two nodes compute the same"
        first += len(level)
    assert first == layers.signals
    return layers


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cores=st.integers(1, 9))
def test_random_acyclic_chips(seed: int, cores: int) -> None:
    assert_layers_hold(acyclic_chip(seed, cores=cores), seed)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_feed_forward_chips(seed: int) -> None:
    assert_layers_hold(layered_chip(seed), seed)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), arch=st.sampled_from([SMALL, RANC]))
def test_narrow_potentials_are_refused_or_right(seed: int, arch: ChipArch) -> None:
    try:
        assert_layers_hold(acyclic_chip(seed, arch=arch, cores=4), seed)
    except NotLayered as reason:
        assert "beyond the potential's range" in str(reason)


def test_cores_of_256_axons_and_neurons() -> None:
    layers = assert_layers_hold(acyclic_chip(3, arch=TRUENORTH, cores=4), 3)
    assert sum(len(level) for level in layers.levels) < (layers.signal_of >= 0).sum()  # copies are folded


