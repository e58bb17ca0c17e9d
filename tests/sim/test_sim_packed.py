"""What only the packed engine does: groups of cores, packed words, past spikes as bits, and what it compiles."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from support.random_chips import RANC, SMALL, WIDE, layered_chip, random_chip, random_frames, side_by_side

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.errors import CapacityError, SimulationError
from tncompile.ir import ChipImage
from tncompile.reference import random as truth
from tncompile.sim import make_engine, packed_layout
from tncompile.sim.packed import PackedEngine
from tncompile.sim.packed_tick import threefry

TICKS = 10


def assert_equal_runs(image: ChipImage, frames: np.ndarray) -> PackedEngine:
    """Compares pins, all spikes, all potentials and the state behind them with the oracle's."""
    packed, oracle = PackedEngine(image), make_engine("oracle", image)
    seeds = np.arange(len(frames), dtype=np.uint32) + 5
    watch = range(len(image.core_x))
    state, ticks = packed.run(packed.init(len(frames), seeds), frames, watch)
    after, expected = oracle.run(oracle.init(len(frames), seeds), frames, watch)
    for name in ("spikes", "potential", "pins"):
        np.testing.assert_array_equal(getattr(ticks, name), getattr(expected, name), name)
    actual, saved = packed.save(state), oracle.save(after)
    for name in ("tick", "seeds", "potential", "spikes", "inputs"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(saved, name), name)
    return packed


def test_random_words_are_the_reference_s() -> None:
    key = np.random.default_rng(0).integers(0, 2**32, (4, 100), dtype=np.uint32)
    actual = jax.jit(lambda a, b, c, d: threefry((a, b), (c, d)))(*key)
    np.testing.assert_array_equal(actual, truth.threefry((key[0], key[1]), (key[2], key[3])))


def test_cores_of_all_kinds_on_one_board() -> None:
    """Groups share wires: each chip's neurons send to the chips of other kinds too."""
    kinds = (
        random_chip(1, arch=WIDE, stateless=True),
        random_chip(2, arch=WIDE),
        with_random(random_chip(3, arch=WIDE), stochastic_leak=True),
        with_random(random_chip(4, arch=WIDE), stochastic_weights=True),
        random_chip(14, arch=WIDE, stochastic=True),
    )
    image = side_by_side(kinds)
    target = np.random.default_rng(0).permutation(len(image.core_x))  # a core's packets go where another's went
    goal_x, goal_y = image.core_x[:, None] + image.dx, image.core_y[:, None] + image.dy
    site = {(int(x), int(y)): core for core, (x, y) in enumerate(zip(image.core_x, image.core_y, strict=True))}
    goal = np.vectorize(lambda x, y: target[site[x, y]])(goal_x, goal_y)
    sends = image.target_delay > 0
    image = dataclasses.replace(
        image,
        dx=np.where(sends, image.core_x[goal] - image.core_x[:, None], 0).astype(np.int16),
        dy=np.where(sends, image.core_y[goal] - image.core_y[:, None], 0).astype(np.int16),
    )
    engine = assert_equal_runs(image, random_frames(image, 1, batch=2, ticks=TICKS))
    groups = [(group.noise is not None, group.synapses is not None) for group in engine._chip.groups]
    assert sorted(groups) == [(False, False), (False, True), (True, False), (True, True)]


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


@pytest.mark.parametrize("delay_max", [8, 17, 33])
def test_long_delays(delay_max: int) -> None:
    """Past spikes are kept in numbers of 8, 16 and 32 bits, and in two of 32 bits."""
    image = random_chip(delay_max, arch=SMALL.model_copy(update={"delay_max": delay_max}), cores=3)
    delay = np.where(image.target_delay > 1, delay_max, image.target_delay)
    image = dataclasses.replace(image, target_delay=delay.astype(np.uint8))
    assert_equal_runs(image, random_frames(image, 1, batch=1, ticks=delay_max + 4, rate=0.1))


@pytest.mark.parametrize("potential_bits", [31, 32])
def test_wrapping_potentials(potential_bits: int) -> None:
    """Near the ends of the range; 32 bits leave no room for the spike beside V."""
    arch = RANC.model_copy(update={"potential_bits": potential_bits})
    low, high = arch.potential_range
    image = random_chip(3, arch=arch)
    near = np.random.default_rng(0).integers(0, 40, len(image.neurons))
    initial = np.where(near % 2, low + near, high - near).astype(np.int32)
    table = dataclasses.replace(image.neurons, initial=initial, reset_mode=np.ones_like(image.neurons.reset_mode))
    image = dataclasses.replace(image, neurons=table)
    assert_equal_runs(image, random_frames(image, 1, batch=2, ticks=TICKS))


def test_thresholds_that_24_random_bits_widen() -> None:
    arch = SMALL.model_copy(update={"threshold_bits": 24, "potential_bits": 28, "weight_bits": 16})
    image = random_chip(12, arch=arch)
    rows = len(image.neurons)
    table = dataclasses.replace(
        image.neurons,
        mask_bits=np.full(rows, 24, np.uint8),
        negative_saturate=np.arange(rows) % 2 == 0,
        reset_mode=np.full(rows, 1, np.uint8),
        initial=np.random.default_rng(1).integers(-(1 << 25), 1 << 25, rows).astype(np.int32),
    )
    image = dataclasses.replace(image, neurons=table)
    assert_equal_runs(image, random_frames(image, 12, batch=2, ticks=TICKS))


@pytest.mark.parametrize("stateless", [False, True])
def test_cores_of_256_axons_and_neurons(stateless: bool) -> None:
    image = random_chip(11, arch=TRUENORTH, cores=5, stateless=stateless, stochastic=not stateless)
    engine = assert_equal_runs(image, random_frames(image, 11, batch=2, ticks=6))
    assert (engine.init(1).potential == (None,)) == stateless


def test_cores_of_odd_sizes() -> None:
    """Axons that fill neither words nor blocks, all eight types, and inputs that take several rows of sources."""
    arch = ChipArch(name="odd", axons=77, neurons=8, axon_types=8, delay_max=3, grid=(4, 4))
    image = random_chip(5, arch=arch, cores=4, stochastic=True)
    more = dataclasses.replace(
        image, input_bits=30, packets=dataclasses.replace(image.packets, bit=29 - image.packets.bit)
    )
    assert_equal_runs(more, random_frames(more, 5, batch=1, ticks=TICKS))


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


def test_a_chip_without_wires_inputs_and_pins() -> None:
    image = random_chip(4, cores=2, stochastic=True)
    image = dataclasses.replace(
        image,
        input_bits=0,
        output_pins=0,
        output_pin=np.full_like(image.output_pin, -1),
        target_delay=np.zeros_like(image.target_delay),
        packets=dataclasses.replace(
            image.packets, **{f: getattr(image.packets, f)[:0] for f in ("bit", "x", "y", "axon", "delay")}
        ),
    )
    assert_equal_runs(image, random_frames(image, 4, batch=1, ticks=4))


def test_watched_cores_in_any_order() -> None:
    image = side_by_side([random_chip(2, arch=WIDE), random_chip(1, arch=WIDE, stateless=True, cores=3)])
    frames = random_frames(image, 7, batch=2, ticks=5)
    engine, oracle = PackedEngine(image), make_engine("oracle", image)
    _, every = oracle.run(oracle.init(2), frames, range(12))
    _, some = engine.run(engine.init(2), frames, [11, 0, 5, 0])
    np.testing.assert_array_equal(some.spikes, every.spikes[:, :, [11, 0, 5, 0]])
    np.testing.assert_array_equal(some.potential, every.potential[:, :, [11, 0, 5, 0]])
    assert every.potential[:, :, :9].any() and not every.potential[:, :, 9:].any()


def test_a_state_beyond_2_to_the_32_ticks() -> None:
    """The tick is a key of the random numbers modulo 2³², and counts on."""
    image = random_chip(6, stochastic=True)
    engine, oracle = PackedEngine(image), make_engine("oracle", image)
    saved = dataclasses.replace(engine.save(engine.init(1)), tick=2**32 - 2)
    frames = random_frames(image, 6, batch=1, ticks=4)
    state, ticks = engine.run(engine.load(saved), frames, [0])
    _, expected = oracle.run(oracle.load(saved), frames, [0])
    np.testing.assert_array_equal(ticks.potential, expected.potential)
    assert engine.save(state).tick == 2**32 + 2


def test_no_ticks() -> None:
    image = random_chip(6)
    engine = PackedEngine(image)
    state = engine.init(3)
    after, ticks = engine.run(state, random_frames(image, 0, batch=3, ticks=0), [1, 2])
    assert after.tick == state.tick and after.past is state.past
    assert ticks.pins.shape == (3, 0, image.output_pins)
    assert ticks.spikes.shape == ticks.potential.shape == (3, 0, 2, SMALL.neurons)


def test_a_second_run_compiles_nothing() -> None:
    image = layered_chip(1)
    engine = PackedEngine(image)
    frames = random_frames(image, 1, batch=2, ticks=3)
    engine.prepare(2, 3, [0])
    compiled = dict(engine._compiled)
    state, _ = engine.run(engine.init(2), frames, [2])
    engine.run(state, frames, [1])
    assert engine._compiled == compiled


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_chip(6)
    runner = PackedEngine(image)
    frames = random_frames(image, 0, batch=2, ticks=3)
    with pytest.raises(SimulationError, match="2 streams, the state has 3"):
        runner.run(runner.init(3), frames)
    with pytest.raises(SimulationError, match=rf"0 input bits a frame, the image takes {image.input_bits}"):
        runner.run(runner.init(2), frames[:, :, :0])
    with pytest.raises(SimulationError, match="core 9, the image has the cores 0 … 8"):
        runner.run(runner.init(2), frames, [9])
    with pytest.raises(SimulationError, match="load a state of this image"):
        runner.load(PackedEngine(random_chip(6, cores=8)).save(PackedEngine(random_chip(6, cores=8)).init(1)))
    monkeypatch.setattr(packed_layout, "_COUNT", 1000)
    with pytest.raises(CapacityError, match="160 neurons and input bits with delays up to 5 ticks make 1280 bits"):
        PackedEngine(image)


def with_random(image: ChipImage, **flags: bool) -> ChipImage:
    """Returns the image with flags of the neuron table set for every neuron."""
    table = image.neurons
    return dataclasses.replace(
        image,
        neurons=dataclasses.replace(
            table, **{name: np.full_like(getattr(table, name), value) for name, value in flags.items()}
        ),
    )
