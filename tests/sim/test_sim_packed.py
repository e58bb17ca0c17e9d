"""The packed engine against the oracle, tick by tick, on random chips that use everything an image can say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_chips import SMALL, WIDE, layered_chip, random_chip, random_frames

from tncompile.arch import TRUENORTH
from tncompile.errors import InfeasibleError, SimulationError
from tncompile.ir import ChipImage
from tncompile.sim import make_engine
from tncompile.sim.packed import PackedEngine

TICKS = 10


def assert_equal_runs(image: ChipImage, frames: np.ndarray) -> None:
    """Compares output pins, all spikes and all potentials of both engines at every tick."""
    packed, oracle = make_engine("packed", image), make_engine("oracle", image)
    fast, slow = packed.init(len(frames)), oracle.init(len(frames))
    for t in range(frames.shape[1]):
        fast, pins = packed.step(fast, frames[:, t])
        slow, expected = oracle.step(slow, frames[:, t])
        np.testing.assert_array_equal(packed.spikes(fast), oracle.spikes(slow), f"spikes in tick {t}")
        np.testing.assert_array_equal(packed.potential(fast), oracle.potential(slow), f"potentials after tick {t}")
        np.testing.assert_array_equal(pins, expected, f"output pins in tick {t}")


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cores=st.integers(1, 9), batch=st.integers(1, 3))
def test_random_chips(seed: int, cores: int, batch: int) -> None:
    image = random_chip(seed, cores=cores)
    assert_equal_runs(image, random_frames(image, seed, batch=batch, ticks=TICKS))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_stateless_chips(seed: int) -> None:
    image = random_chip(seed, arch=WIDE, stateless=True)
    assert make_packed(image).init(1).potential is None  # the engine found out
    assert_equal_runs(image, random_frames(image, seed, batch=2, ticks=TICKS))


def test_stateless_neurons_that_saturate() -> None:
    """Sums up to 240 saturate at 63, so a leak of −70 always silences them: Σ ≥ α − λ would be wrong."""
    image = random_chip(0, arch=SMALL.model_copy(update={"leak_bits": 9}), stateless=True, crosspoints=0.9)
    used = np.arange(len(image.neurons)) > 0
    table = dataclasses.replace(
        image.neurons,
        weights=np.where(used[:, None], 15, image.neurons.weights).astype(np.int16),
        leak=np.where(used, np.where(np.arange(len(used)) % 2, 1, -70), 0).astype(np.int16),
    )
    image = dataclasses.replace(image, neurons=table)
    assert_equal_runs(image, random_frames(image, 0, batch=1, ticks=TICKS, rate=0.9))


@pytest.mark.parametrize("stateless", [False, True])
def test_cores_of_256_axons_and_neurons(stateless: bool) -> None:
    image = random_chip(11, arch=TRUENORTH, cores=6, stateless=stateless)
    assert_equal_runs(image, random_frames(image, 11, batch=2, ticks=6))


def test_an_axon_of_many_sources() -> None:
    """All neurons of all cores, at all delays, and every line of the host send to axon 0 of core 0."""
    image = random_chip(2, arch=WIDE, stateless=True)
    delay = np.random.default_rng(2).integers(1, WIDE.delay_max + 1, image.target_delay.shape)
    image = dataclasses.replace(
        image,
        dx=np.broadcast_to((image.core_x[0] - image.core_x)[:, None], image.dx.shape).astype(np.int16),
        dy=np.broadcast_to((image.core_y[0] - image.core_y)[:, None], image.dy.shape).astype(np.int16),
        target_axon=np.zeros_like(image.target_axon),
        target_delay=delay.astype(np.uint8),
        packets=dataclasses.replace(
            image.packets,
            x=np.full_like(image.packets.x, image.core_x[0]),
            y=np.full_like(image.packets.y, image.core_y[0]),
            axon=np.zeros_like(image.packets.axon),
        ),
    )
    assert_equal_runs(image, random_frames(image, 2, batch=1, ticks=TICKS, rate=0.05))


def test_a_chip_without_wires() -> None:
    image = random_chip(4, cores=2)
    image = dataclasses.replace(
        image,
        target_delay=np.zeros_like(image.target_delay),
        packets=dataclasses.replace(
            image.packets, **{f: getattr(image.packets, f)[:0] for f in ("bit", "x", "y", "axon", "delay")}
        ),
    )
    assert_equal_runs(image, random_frames(image, 4, batch=1, ticks=4))


def test_chunks_give_what_one_run_gives() -> None:
    image = random_chip(21)
    frames = random_frames(image, 21, batch=3, ticks=12)
    engine = make_packed(image)
    whole, expected = engine.run(engine.init(3), frames)
    state, output = engine.init(3), []
    for begin in (0, 4, 8):
        state, pins = engine.run(state, frames[:, begin : begin + 4])
        output.append(pins)
    state, nothing = engine.run(state, frames[:, :0])
    assert nothing.shape == (3, 0, image.output_pins)
    np.testing.assert_array_equal(np.concatenate(output, axis=1), expected)
    np.testing.assert_array_equal(engine.potential(state), engine.potential(whole))
    np.testing.assert_array_equal(engine.spikes(state), engine.spikes(whole))


def test_streams_do_not_meet() -> None:
    image = random_chip(8)
    frames = random_frames(image, 8, batch=3, ticks=TICKS)
    engine = make_packed(image)
    _, together = engine.run(engine.init(3), frames)
    for stream in range(3):
        _, alone = engine.run(engine.init(1), frames[stream : stream + 1])
        np.testing.assert_array_equal(alone[0], together[stream])


def test_a_second_run_compiles_nothing() -> None:
    image = layered_chip(1)
    engine = make_packed(image)
    frames = random_frames(image, 1, batch=2, ticks=3)
    engine.prepare(2, 3)
    compiled = dict(engine._compiled)
    state, _ = engine.run(engine.init(2), frames)
    engine.run(state, frames)
    assert engine._compiled == compiled


def test_random_numbers_are_refused() -> None:
    image = random_chip(6)
    table = dataclasses.replace(image.neurons, mask_bits=np.full(len(image.neurons), 3, np.uint8))
    for engine in ("packed", "oracle"):
        with pytest.raises(InfeasibleError, match=r"neuron type 0 .*mask_bits \(TM\) set.*not simulated yet"):
            make_engine(engine, dataclasses.replace(image, neurons=table))


@pytest.mark.parametrize("engine", ["packed", "oracle"])
def test_frames_that_do_not_fit_are_refused(engine: str) -> None:
    image = random_chip(6)
    runner = make_engine(engine, image)
    frames = random_frames(image, 0, batch=2, ticks=3)
    with pytest.raises(SimulationError, match="2 streams, the state has 3"):
        runner.run(runner.init(3), frames)
    with pytest.raises(SimulationError, match=rf"0 input bits a frame, the image takes {image.input_bits}"):
        runner.run(runner.init(2), frames[:, :, :0])


def make_packed(image: ChipImage) -> PackedEngine:
    engine = make_engine("packed", image)
    assert isinstance(engine, PackedEngine)
    return engine
