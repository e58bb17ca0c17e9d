"""The layered engine against the oracle, on images without state and cycles; others are refused with the reason."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from support.random_acyclic import acyclic_chip
from support.random_chips import WIDE, layered_chip, random_chip, random_frames, side_by_side
from support.random_nets import random_net

import tncompile.sim.layered as module
from tncompile.arch import TRUENORTH, ChipArch
from tncompile.errors import InfeasibleError, SimulationError
from tncompile.ir import ChipImage
from tncompile.pipeline import pass_configs, run_passes
from tncompile.sim import make_engine
from tncompile.sim.layered import LayeredEngine

HEAVY = WIDE.model_copy(update={"name": "heavy", "weight_bits": 16, "leak_bits": 16, "potential_bits": 28})
"""Weights of 15 bits."""
LATE = WIDE.model_copy(update={"name": "late", "delay_max": 63})
"""The longest delays that a chip can have."""


def board(seed: int) -> ChipImage:
    """Returns random chips without state and cycles on one board, which XLA compiles once."""
    return side_by_side([acyclic_chip(1000 * seed + i, cores=1 + i % 9) for i in range(24)])


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


@pytest.mark.parametrize("seed", range(2))
def test_random_acyclic_chips(seed: int) -> None:
    assert_equal_runs(board(seed), batch=2, seed=seed, chunks=(11, 16, 9))


def test_feed_forward_chips() -> None:
    assert_equal_runs(side_by_side([layered_chip(seed) for seed in range(40)]), batch=1, seed=5, chunks=(16,))


@pytest.mark.parametrize("device", [module._CPU, module._ACCELERATOR])
@pytest.mark.parametrize("arch", [TRUENORTH, HEAVY])
def test_weights_of_several_digits(arch: ChipArch, device: module._Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 9 and 16 bits; the number types of other devices are as exact on a CPU."""
    monkeypatch.setattr(module, "_CPU", device)
    image = acyclic_chip(11, arch=arch, cores=5)
    products = [step for step in make_layered(image)._chip.steps if isinstance(step, module._Product)]
    assert max(step.digits for step in products) > 1
    assert {step.weights.dtype for step in products} == {jnp.dtype(device.weight)}
    assert_equal_runs(image, batch=1, seed=11, chunks=(20,))


def test_a_compiled_net() -> None:
    """Against the packed engine: the oracle takes long for cores of 256 axons."""
    net = random_net(3, layers=4, inputs=128, size=14, features=64)
    *_, last = run_passes(net, TRUENORTH, pass_configs({}), seed=0)
    image = last.stage
    assert isinstance(image, ChipImage)
    engine, packed = make_layered(image), make_engine("packed", image)
    frames = random_frames(image, 3, batch=2, ticks=40)
    watch = range(len(image.core_x))
    state, ticks = engine.run(engine.init(2), frames, watch)
    expected, truth = packed.run(packed.init(2), frames, watch)
    for name in ("pins", "spikes", "potential"):
        np.testing.assert_array_equal(getattr(ticks, name), getattr(truth, name))
    np.testing.assert_array_equal(engine.save(state).spikes, packed.save(expected).spikes)
    assert ticks.pins.any() and not ticks.pins.all()


def test_the_longest_delays() -> None:
    image = side_by_side([acyclic_chip(seed, arch=LATE) for seed in range(4)])
    assert_equal_runs(image, batch=1, seed=8, chunks=(80, 100))


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


def test_little_memory_makes_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    image = acyclic_chip(21)
    frames = random_frames(image, 21, batch=1, ticks=30)
    wide = make_layered(image)
    monkeypatch.setattr(module, "_CPU", dataclasses.replace(module._CPU, memory=40 * wide._chip.rows))
    narrow = make_layered(image)
    assert wide._columns == 256 and 1 <= narrow._columns < 40
    _, expected = wide.run(wide.init(1), frames)
    _, ticks = narrow.run(narrow.init(1), frames)
    np.testing.assert_array_equal(ticks.pins, expected.pins)


def test_large_levels_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    image = side_by_side([layered_chip(seed) for seed in range(3)] * 4)
    whole = make_layered(image)
    monkeypatch.setattr(module, "_CPU", dataclasses.replace(module._CPU, rows=48))
    products = [step for step in make_layered(image)._chip.steps if isinstance(step, module._Product)]
    assert len(products) > sum(isinstance(step, module._Product) for step in whole._chip.steps)
    assert all(step.rows <= 48 for step in products) and any(step.matrix is not None for step in products)
    assert_equal_runs(image, batch=1, seed=2, chunks=(12,))


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
    loaded = layered.load(oracle.save(state))
    for name in ("seeds", "potential", "spikes", "inputs"):
        np.testing.assert_array_equal(getattr(layered.save(loaded), name), getattr(oracle.save(state), name))
    middle, second = layered.run(loaded, frames[:, 11:17])
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
        (
            random_chip(3, stateless=True, crosspoints=0.9),
            r"core \d+, neuron \d+ lies on a cycle of \d+ neurons",
        ),
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
