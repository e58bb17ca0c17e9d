"""The host's fast arithmetic against the reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_nets import random_images, random_net

from tncompile.errors import SimulationError
from tncompile.ir import Host
from tncompile.reference.net import input_bits, transduction_sums
from tncompile.sim import classify, host, transduce


def make_host(seed: int, scale: int = 1) -> tuple[Host, np.ndarray]:
    """Returns a host and images, its weights times `scale`, its thresholds on and around sums that occur."""
    net = random_net(seed, layers=1)
    rng = np.random.default_rng(seed)
    transduction = net.transduction
    images = random_images(net, 7, seed)
    weights = transduction.weights * np.int32(scale)
    sums = transduction_sums(transduction.conv, weights, transduction.input_bits, images)
    sample = sums.reshape(-1, transduction.conv.features)[rng.integers(0, sums[..., 0].size)]
    threshold = sample + rng.integers(-1, 2, len(sample))
    threshold[:1] = rng.choice([-(2**40), 2**40])  # always, or never
    return (
        Host(
            conv=transduction.conv,
            weights=weights,
            threshold=threshold,
            input_bits=transduction.input_bits,
            out_shape=net.layers[-1].conv.out_shape,
            readout=net.readout,
        ),
        images,
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1, 1 << 12, 1 << 23]))
def test_transduction_is_exact(seed: int, scale: int) -> None:
    """Sums within float32, and beyond it."""
    off_chip, images = make_host(seed, scale)
    np.testing.assert_array_equal(transduce(off_chip, images), input_bits(off_chip, images))


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    off_chip, images = make_host(9)
    expected = transduce(off_chip, images)
    monkeypatch.setattr(host, "_CHUNK_BYTES", 1)  # one image at a time
    np.testing.assert_array_equal(transduce(off_chip, images), expected)
    assert transduce(off_chip, images[:0]).shape == (0, expected.shape[1])


def test_images_that_do_not_fit_are_refused() -> None:
    off_chip, images = make_host(9)
    with pytest.raises(SimulationError, match="resize the images"):
        transduce(off_chip, images[:, 1:])
    with pytest.raises(SimulationError, match=rf"the net takes 0 … {(1 << off_chip.input_bits) - 1}"):
        transduce(off_chip, np.full(images.shape, 1 << off_chip.input_bits, np.uint32))


def test_classes_are_compared_as_exact_means() -> None:
    off_chip, _ = make_host(9)
    readout = dataclasses.replace(off_chip.readout, classes=3, feature_class=np.array([1, 0, 1, 2, 0, 1, -1], np.int32))
    off_chip = dataclasses.replace(off_chip, out_shape=(1, 1, 7), readout=readout)
    bits = np.array(
        [
            [1, 0, 1, 0, 1, 0, 1],  # 1/2, 2/3, 0
            [1, 1, 0, 0, 0, 0, 1],  # 1/2, 1/3, 0
            [1, 1, 1, 1, 1, 1, 0],  # all equal: the lowest
            [0, 0, 0, 0, 0, 0, 1],
            [1, 0, 0, 1, 1, 0, 0],  # 1/2, 1/3, 1
        ],
        bool,
    )
    assert classify(off_chip, bits).tolist() == [1, 0, 0, 0, 2]
    with pytest.raises(SimulationError, match="a map of 1 x 1 x 7 has 7"):
        classify(off_chip, bits[:, :6])
