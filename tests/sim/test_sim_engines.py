"""Every engine against the oracle on random chips: spikes, potentials and what is under way, at every tick."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.random_acyclic import acyclic_chip
from support.random_chips import (
    RANC,
    RANC_INCLUSIVE,
    RANC_UNBOUNDED,
    SMALL,
    WIDE,
    layered_chip,
    random_chip,
    random_frames,
    side_by_side,
)

from tncompile.arch import ChipArch
from tncompile.errors import SimulationError
from tncompile.ir import ChipImage
from tncompile.sim import ENGINES, event, make_engine
from tncompile.sim.engine import ChipState
from tncompile.sim.layers import find_layers

ANY_CHIP = ("packed", "event")
ACYCLIC = ("packed", "event", "layered", "sliced")
TICKS = 24
CHIPS = 64  # a board: XLA compiles each board once

BOARDS: dict[str, tuple[ChipArch, dict[str, bool]]] = {
    "deterministic": (SMALL, {}),
    "stochastic": (SMALL, {"stochastic": True}),
    "wide": (WIDE, {}),
    "wide-stochastic": (WIDE, {"stochastic": True}),
    "stateless": (WIDE, {"stateless": True}),
    "ranc": (RANC, {}),
    "ranc-inclusive": (RANC_INCLUSIVE, {}),
    "ranc-unbounded": (RANC_UNBOUNDED, {}),
}
"""What the chips of a board have in common."""


def board(name: str, seed: int) -> ChipImage:
    """Returns 64 random chips of up to 9 cores on one board."""
    arch, options = BOARDS[name]
    return side_by_side([random_chip(1000 * seed + i, arch=arch, cores=1 + i % 9, **options) for i in range(CHIPS)])


def assert_equal_states(actual: ChipState, expected: ChipState, where: str) -> None:
    """Compares potentials and all spikes of the last ticks: with them, the schedulers."""
    assert actual.tick == expected.tick
    for name in ("seeds", "potential", "spikes", "inputs"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), f"{name} {where}")


def assert_equal_runs(engine: str, image: ChipImage, *, batch: int, seed: int, chunks: tuple[int, ...]) -> None:
    """Runs an engine and the oracle in chunks of ticks, and compares everything that can be seen."""
    frames = random_frames(image, seed, batch=batch, ticks=sum(chunks))
    seeds = np.arange(batch, dtype=np.uint32) * 77 + seed % 1000
    watch = list(range(len(image.core_x)))
    fast, slow = make_engine(engine, image), make_engine("oracle", image)
    state, expected = fast.init(batch, seeds), slow.init(batch, seeds)
    begin = 0
    for chunk in chunks:
        state, ticks = fast.run(state, frames[:, begin : begin + chunk], watch)
        expected, truth = slow.run(expected, frames[:, begin : begin + chunk], watch)
        begin += chunk
        for name in ("spikes", "potential", "pins"):
            np.testing.assert_array_equal(getattr(ticks, name), getattr(truth, name), f"{name} before tick {begin}")
        assert_equal_states(fast.save(state), slow.save(expected), f"after tick {begin}")


@pytest.mark.parametrize("engine", ANY_CHIP)
@pytest.mark.parametrize("name", BOARDS)
def test_random_chips(engine: str, name: str) -> None:
    assert_equal_runs(engine, board(name, 1), batch=2, seed=3, chunks=(TICKS,))


@pytest.mark.parametrize("engine", ANY_CHIP)
@pytest.mark.parametrize("name", BOARDS)
def test_single_chips_in_chunks(engine: str, name: str) -> None:
    """Chips alone, so that an engine may choose what suits only them."""
    arch, options = BOARDS[name]
    for seed in range(40 if engine == "event" else 3):
        image = random_chip(seed, arch=arch, cores=1 + seed % 5, **options)
        assert_equal_runs(engine, image, batch=1 + seed % 2, seed=seed, chunks=(1, 5, 5))


@pytest.mark.parametrize("engine", ["layered", "sliced"])
@pytest.mark.parametrize("arch", [WIDE, RANC_UNBOUNDED], ids=["wide", "ranc"])
def test_acyclic_boards(engine: str, arch: ChipArch) -> None:
    for seed in range(4):
        image = side_by_side([acyclic_chip(100 * seed + i, arch=arch, cores=1 + i % 9) for i in range(CHIPS)])
        assert_equal_runs(engine, image, batch=1, seed=seed, chunks=(TICKS,))


@pytest.mark.parametrize("engine", ENGINES)
def test_no_streams(engine: str) -> None:
    image = layered_chip(2)
    runner = make_engine(engine, image)
    state, ticks = runner.run(runner.init(0), random_frames(image, 0, batch=0, ticks=5), [0])
    assert ticks.pins.shape == (0, 5, image.output_pins) and ticks.spikes.shape == (0, 5, 1, WIDE.neurons)
    state, _ = runner.run(runner.load(runner.save(state)), random_frames(image, 0, batch=0, ticks=3))
    assert runner.save(state).tick == 8


@pytest.mark.parametrize("engine", ENGINES)
def test_a_chip_that_nothing_enters_and_nothing_leaves(engine: str) -> None:
    image = layered_chip(1)
    fields = dataclasses.fields(image.packets)
    image = dataclasses.replace(
        image,
        neuron_type=np.zeros_like(image.neuron_type),
        **{name: np.zeros_like(getattr(image, name)) for name in ("dx", "dy", "target_axon", "target_delay")},
        output_pin=np.full_like(image.output_pin, -1),
        packets=dataclasses.replace(image.packets, **{f.name: getattr(image.packets, f.name)[:0] for f in fields}),
        input_bits=0,
    )
    assert_equal_runs(engine, image, batch=1, seed=0, chunks=(5,))


@pytest.mark.parametrize("engine", ACYCLIC)
def test_potentials_of_neurons_that_keep_none_are_refused(engine: str) -> None:
    image = layered_chip(2)
    runner = make_engine(engine, image)
    saved = runner.save(runner.init(1))
    wrong = saved.potential.copy()
    wrong[0, 0, 3] = 5
    with pytest.raises(SimulationError, match="state: core 0 has potentials, its neurons in the image keep none"):
        runner.load(dataclasses.replace(saved, potential=wrong))


@pytest.mark.parametrize("engine", ["layered", "sliced"])
def test_copies_that_did_not_spike_together_are_refused(engine: str) -> None:
    image = acyclic_chip(2)
    runner = make_engine(engine, image)
    saved = runner.save(runner.init(1))
    layers = find_layers(image)
    signal, count = np.unique(layers.signal_of[layers.signal_of >= 0], return_counts=True)
    core, neuron = np.argwhere(layers.signal_of == signal[count > 1][0])[1]
    spikes = np.zeros_like(saved.spikes)
    spikes[0, 0, core, neuron // 8] = 1 << neuron % 8
    with pytest.raises(SimulationError, match=f"state: core {core} has spikes that no run of the image leads to"):
        runner.load(dataclasses.replace(saved, spikes=spikes))


@pytest.mark.parametrize("streams", [1, 3, 20])
def test_event_on_many_threads(monkeypatch: pytest.MonkeyPatch, streams: int) -> None:
    """More threads than the chip is worth and the machine may have: in one team, in two, and each alone."""
    image = board("stochastic", 9)
    monkeypatch.setattr(event, "_THREAD_CORES", 1)
    monkeypatch.setattr(event, "_TEAM", 3)
    monkeypatch.setattr(event.numba.config, "NUMBA_NUM_THREADS", 4)
    frames = random_frames(image, 2, batch=streams, ticks=12)
    seeds = np.arange(streams, dtype=np.uint32)
    watch = range(len(image.core_x))
    engine, oracle = make_engine("event", image), make_engine("oracle", image)
    state, ticks = engine.run(engine.init(streams, seeds), frames, watch)
    expected, truth = oracle.run(oracle.init(streams, seeds), frames, watch)
    np.testing.assert_array_equal(ticks.spikes, truth.spikes)
    np.testing.assert_array_equal(ticks.potential, truth.potential)
    assert_equal_states(engine.save(state), oracle.save(expected), "at the end")


@pytest.mark.parametrize("engine", ACYCLIC)
def test_acyclic_chips(engine: str) -> None:
    for seed in range(8 if engine in ("packed", "layered") else 40):
        assert_equal_runs(engine, layered_chip(seed), batch=2, seed=seed, chunks=(20, 3, 20))


@pytest.mark.parametrize("engine", ACYCLIC)
def test_a_run_goes_on_in_another_engine(engine: str) -> None:
    """Half of a run on the oracle, half on the engine, and back."""
    images = [layered_chip(3)]
    if engine in ANY_CHIP:
        images += [random_chip(4, stochastic=True), random_chip(5, arch=RANC)]
    for image in images:
        frames = random_frames(image, 1, batch=2, ticks=30)
        seeds = np.array([4, 5], np.uint32)
        oracle, fast = make_engine("oracle", image), make_engine(engine, image)
        state = oracle.init(2, seeds)
        _, whole = oracle.run(state, frames)
        state, first = oracle.run(state, frames[:, :11])
        middle, second = fast.run(fast.load(oracle.save(state)), frames[:, 11:20])
        _, third = oracle.run(oracle.load(fast.save(middle)), frames[:, 20:])
        np.testing.assert_array_equal(np.concatenate([first.pins, second.pins, third.pins], axis=1), whole.pins)


@pytest.mark.parametrize("engine", ANY_CHIP)
def test_an_old_state_can_be_run_again(engine: str) -> None:
    image = random_chip(6, stochastic=True)
    frames = random_frames(image, 6, batch=1, ticks=12)
    runner = make_engine(engine, image)
    state, _ = runner.run(runner.init(1), frames)
    before = runner.save(state)
    _, first = runner.run(state, frames)
    _, second = runner.run(state, frames)
    np.testing.assert_array_equal(first.pins, second.pins)
    assert_equal_states(runner.save(state), before, "after two runs from it")


@pytest.mark.parametrize("engine", ACYCLIC)
def test_states_that_are_held_stay_as_they_are(engine: str) -> None:
    """While later ones come and go, whose memory an engine may use again."""
    image = layered_chip(6)
    runner = make_engine(engine, image)
    state, held = runner.init(2), []
    for seed in range(6):
        state, _ = runner.run(state, random_frames(image, seed, batch=2, ticks=1 + seed % 3 * 8))
        if seed % 2:
            held.append((state, runner.save(state)))
    for number, (old, saved) in enumerate(held):
        assert_equal_states(runner.save(old), saved, f"of state {number}")


def test_a_part_of_a_state_that_is_held_stays_as_it_is() -> None:
    image = random_chip(6)
    runner = make_engine("event", image)
    state = runner.init(2)
    for seed in range(3):
        state, _ = runner.run(state, random_frames(image, seed, batch=2, ticks=20))
    parts = [state.history[0], state.small[1:].T, state.potential.view(np.uint8), state.large[0]]
    before = [part.copy() for part in parts]
    for seed in range(6):
        state, _ = runner.run(state, random_frames(image, seed, batch=2, ticks=20))
    for part, copy in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, copy)


@pytest.mark.parametrize("engine", ANY_CHIP)
def test_streams_draw_by_their_seed_alone(engine: str) -> None:
    image = random_chip(8, stochastic=True, arch=WIDE)
    frames = np.repeat(random_frames(image, 8, batch=1, ticks=20), 3, axis=0)
    runner = make_engine(engine, image)
    watch = range(len(image.core_x))
    _, ticks = runner.run(runner.init(3, np.array([9, 2, 9], np.uint32)), frames, watch)
    _, alone = runner.run(runner.init(1, np.array([2], np.uint32)), frames[:1], watch)
    np.testing.assert_array_equal(ticks.spikes[0], ticks.spikes[2])
    np.testing.assert_array_equal(ticks.spikes[1], alone.spikes[0])
    assert (ticks.spikes[0] != ticks.spikes[1]).any()
