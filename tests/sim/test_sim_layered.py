"""The layered engine against the oracle, on images without state and cycles; others are refused with the reason."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_acyclic import acyclic_chip
from support.random_chips import layered_chip, random_chip, random_frames, side_by_side

import tncompile.sim.layered as module
from tncompile.arch import TRUENORTH
from tncompile.errors import InfeasibleError, SimulationError
from tncompile.ir import ChipImage
from tncompile.sim import make_engine
from tncompile.sim.layered import LayeredEngine

CHIPS = 24  # a board: XLA compiles each board once


def board(seed: int) -> ChipImage:
    """Returns random chips without state and cycles on one board."""
    return side_by_side([acyclic_chip(1000 * seed + i, cores=1 + i % 9) for i in range(CHIPS)])


def make_layered(image: ChipImage) -> LayeredEngine:
    engine = make_engine("layered", image)
    assert isinstance(engine, LayeredEngine)
    return engine


def assert_equal_runs(image: ChipImage, *, batch: int, seed: int, chunks: tuple[int, ...]) -> None:
    """Compares pins, all spikes, all potentials and the saved state with the oracle's after each chunk of ticks."""
    frames = random_frames(image, seed, batch=batch, ticks=sum(chunks))
    watch = range(len(image.core_x))
    fast, slow = make_engine("layered", image), make_engine("oracle", image)
    state, expected = fast.init(batch), slow.init(batch)
    begin = 0
    for chunk in chunks:
        state, ticks = fast.run(state, frames[:, begin : begin + chunk], watch)
        expected, truth = slow.run(expected, frames[:, begin : begin + chunk], watch)
        begin += chunk
        for name in ("spikes", "potential", "pins"):
            np.testing.assert_array_equal(getattr(ticks, name), getattr(truth, name), f"{name} before tick {begin}")
        saved, right = fast.save(state), slow.save(expected)
        assert saved.tick == right.tick == begin
        for name in ("seeds", "potential", "spikes", "inputs"):
            np.testing.assert_array_equal(getattr(saved, name), getattr(right, name), f"{name} after tick {begin}")


@pytest.mark.parametrize("seed", range(3))
def test_random_acyclic_chips(seed: int) -> None:
    assert_equal_runs(board(seed), batch=2, seed=seed, chunks=(11, 1, 12))


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_feed_forward_chips(seed: int) -> None:
    assert_equal_runs(layered_chip(seed), batch=1, seed=seed, chunks=(16,))


@pytest.mark.parametrize("device", [module._CPU, module._ACCELERATOR])
def test_cores_of_256_axons_and_9_bit_weights(device: module._Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of two digits on a CPU; the number types of other devices are exact on this one too."""
    monkeypatch.setattr(module, "_CPU", device)
    image = acyclic_chip(11, arch=TRUENORTH, cores=5)
    steps = make_layered(image)._chip.steps
    assert max(step.digits for step in steps if isinstance(step, module._Product)) == 2
    assert_equal_runs(image, batch=1, seed=11, chunks=(20,))


def test_chunks_and_groups_of_streams_give_what_one_run_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    image = acyclic_chip(21)
    frames = random_frames(image, 21, batch=5, ticks=37)
    engine = make_layered(image)
    assert engine._cut(5, 37) == (3, 64)
    state, whole = engine.run(engine.init(5), frames, (0, 3))
    monkeypatch.setattr(module, "_RUN", 4)
    monkeypatch.setattr(engine, "_columns", 8)
    assert engine._cut(5, 37) == (2, 4)  # three groups, the last of one stream; the last chunk has one tick
    cut, pieces = engine.run(engine.init(5), frames, (0, 3))
    for name in ("pins", "spikes", "potential"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))
    np.testing.assert_array_equal(cut.history, state.history)


def test_a_step_is_a_run_of_one_tick() -> None:
    image = acyclic_chip(22)
    frames = random_frames(image, 22, batch=3, ticks=9)
    engine = make_layered(image)
    _, whole = engine.run(engine.init(3), frames)
    state = engine.init(3)
    for t in range(9):
        state, pins = engine.step(state, frames[:, t])
        np.testing.assert_array_equal(pins, whole.pins[:, t])
    state, nothing = engine.run(state, frames[:, :0], (1,))
    assert nothing.pins.shape == (3, 0, image.output_pins) and nothing.spikes.shape == (3, 0, 1, 16)
    assert state.tick == 9
    state, nothing = engine.run(engine.init(0), frames[:0])
    assert nothing.pins.shape == (0, 9, image.output_pins)


def test_a_run_goes_on_in_another_engine() -> None:
    image = board(7)
    frames = random_frames(image, 7, batch=2, ticks=30)
    oracle, layered = make_engine("oracle", image), make_layered(image)
    state = oracle.init(2, np.array([4, 5], np.uint32))
    _, whole = oracle.run(state, frames)
    state, first = oracle.run(state, frames[:, :11])
    middle, second = layered.run(layered.load(oracle.save(state)), frames[:, 11:17])
    assert middle.tick == 17 and middle.seeds.tolist() == [4, 5]
    _, third = oracle.run(oracle.load(layered.save(middle)), frames[:, 17:])
    np.testing.assert_array_equal(np.concatenate([first.pins, second.pins, third.pins], axis=1), whole.pins)


def test_an_old_state_can_be_run_again() -> None:
    image = acyclic_chip(6)
    frames = random_frames(image, 6, batch=1, ticks=12)
    engine = make_layered(image)
    state, _ = engine.run(engine.init(1), frames)
    _, first = engine.run(state, frames)
    _, second = engine.run(state, frames)
    np.testing.assert_array_equal(first.pins, second.pins)


def test_a_second_run_compiles_nothing() -> None:
    image = acyclic_chip(1)
    engine = make_layered(image)
    engine.prepare(2, 7, (1,))
    compiled = dict(engine._compiled)
    state, _ = engine.run(engine.init(2), random_frames(image, 1, batch=2, ticks=7), (3,))
    engine.run(state, random_frames(image, 1, batch=2, ticks=5), (0,))
    assert engine._compiled == compiled


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (random_chip(1), r"core 0, neuron \d+ \(type \d+\) keeps a potential from tick to tick"),
        (
            random_chip(1, stochastic=True),
            r"core \d+, neuron \d+ \(type \d+\) (draws random numbers|keeps a potential.*)",
        ),
        (random_chip(3, stateless=True, crosspoints=0.9), r"core \d+, neuron \d+ lies on a cycle of \d+ neurons"),
    ],
)
def test_images_without_layers_are_refused(image: ChipImage, reason: str) -> None:
    with pytest.raises(InfeasibleError, match=rf"engine layered: .*{reason}; choose engine packed or event"):
        make_engine("layered", image)


def test_too_many_layers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_STEPS", 2)
    with pytest.raises(InfeasibleError, match=r"layers make \d+ matrix products, it compiles up to 2; choose engine"):
        make_engine("layered", acyclic_chip(2))


def test_frames_that_do_not_fit_are_refused() -> None:
    image = acyclic_chip(6)
    engine = make_layered(image)
    frames = random_frames(image, 0, batch=2, ticks=3)
    with pytest.raises(SimulationError, match="2 streams, the state has 3"):
        engine.run(engine.init(3), frames)
    with pytest.raises(SimulationError, match="core 9, the image has the cores 0 … 8"):
        engine.run(engine.init(2), frames, (9,))
    with pytest.raises(SimulationError, match="load a state of this image"):
        engine.load(
            make_engine("oracle", acyclic_chip(6, cores=3)).save(
                make_engine("oracle", acyclic_chip(6, cores=3)).init(1)
            )
        )
