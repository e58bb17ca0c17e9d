"""The bit-sliced engine against the oracle, on acyclic chips that use every kind of node, tile and output."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_acyclic import acyclic_chip
from support.random_chips import SMALL, WIDE, layered_chip, random_chip, random_frames, side_by_side

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.errors import InfeasibleError, SimulationError
from tncompile.ir import ChipImage, InputPackets
from tncompile.sim import make_engine, sliced
from tncompile.sim.native import aligned
from tncompile.sim.sliced import SlicedEngine

HEAVY = WIDE.model_copy(update={"name": "heavy", "weight_bits": 16, "leak_bits": 16, "potential_bits": 28})
"""Weights of 15 bits: every node is counted bit of the weight by bit of the weight."""
LATE = WIDE.model_copy(update={"name": "late", "delay_max": 63})
"""The longest delays that a chip can have."""
BROAD = WIDE.model_copy(update={"name": "broad", "axons": 300, "neurons": 320, "weight_bits": 2})
"""Room for more than 128 weights of 1, and more than 256 neurons a core."""


def broad_chip(seed: int) -> ChipImage:
    """Returns one core that hears 300 input bits; its neurons add up about 180 of them."""
    image = random_chip(seed, arch=BROAD, cores=1, stateless=True, crosspoints=0.6)
    rng = np.random.default_rng(seed)
    lines, nothing = np.arange(BROAD.axons), np.zeros_like(image.neuron_type)
    signs = np.where(rng.random(image.neurons.weights.shape) < 0.5, -1, 1)
    return dataclasses.replace(
        image,
        input_bits=BROAD.axons,
        output_pins=BROAD.neurons,
        neurons=dataclasses.replace(image.neurons, weights=signs.astype(np.int16)),
        neuron_type=np.maximum(image.neuron_type, 1),
        dx=nothing.astype(np.int16),
        dy=nothing.astype(np.int16),
        target_axon=nothing.astype(np.int16),
        target_delay=nothing.astype(np.uint8),
        output_pin=np.arange(BROAD.neurons, dtype=np.int32)[None],
        packets=InputPackets(
            bit=rng.permutation(lines).astype(np.int32),
            x=np.full(len(lines), image.core_x[0]),
            y=np.full(len(lines), image.core_y[0]),
            axon=lines.astype(np.int16),
            delay=rng.integers(1, 3, len(lines)).astype(np.uint8),
        ),
    )


CHIPS = {
    "wide": acyclic_chip(5, cores=3),
    "heavy": acyclic_chip(5, arch=HEAVY, cores=3),
    "late": acyclic_chip(5, arch=LATE, cores=3),
    "broad": broad_chip(3),
}
"""Every kind of node is on one of them."""


def assert_equal_runs(image: ChipImage, *, batch: int, chunks: tuple[int, ...], seed: int = 0) -> None:
    """Runs the engine and the oracle in chunks of ticks, and compares everything that can be seen."""
    frames = random_frames(image, seed, batch=batch, ticks=sum(chunks))
    watch = range(len(image.core_x))
    fast, slow = make_engine("sliced", image), make_engine("oracle", image)
    state, expected = fast.init(batch), slow.init(batch)
    for part in np.split(frames, np.cumsum(chunks)[:-1], axis=1):
        state, ticks = fast.run(state, part, watch)
        expected, truth = slow.run(expected, part, watch)
        for name in ("spikes", "pins", "potential"):
            np.testing.assert_array_equal(getattr(ticks, name), getattr(truth, name), name)
        saved, right = fast.save(state), slow.save(expected)
        for name in ("tick", "seeds", "potential", "spikes", "inputs"):
            np.testing.assert_array_equal(getattr(saved, name), getattr(right, name), name)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    arch=st.sampled_from([WIDE, HEAVY, LATE]),
    cores=st.integers(1, 9),
    batch=st.integers(1, 3),
    chunks=st.lists(st.integers(0, 20), min_size=1, max_size=4),
)
def test_random_acyclic_chips(seed: int, arch: ChipArch, cores: int, batch: int, chunks: list[int]) -> None:
    assert_equal_runs(acyclic_chip(seed, arch=arch, cores=cores), batch=batch, chunks=tuple(chunks), seed=seed)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("chunks", [(1, 63, 64, 65), (200, 7)])
def test_chunks_around_a_word(chip: str, chunks: tuple[int, ...]) -> None:
    assert_equal_runs(CHIPS[chip], batch=1, chunks=chunks if chip != "broad" else chunks[:2])


@pytest.mark.parametrize(("batch", "chunks"), [(1, (513, 100)), (9, (66, 1)), (8, (63,)), (3, (65,))])
def test_both_kinds_of_tiles(batch: int, chunks: tuple[int, ...]) -> None:
    """Tiles of one stream, and of eight at a time, with full and partial ones among them."""
    assert_equal_runs(acyclic_chip(8, arch=LATE, cores=2), batch=batch, chunks=chunks)


def test_cores_of_256_axons_and_neurons() -> None:
    assert_equal_runs(acyclic_chip(3, arch=TRUENORTH, cores=3), batch=2, chunks=(20,))


def test_every_kind_of_node_is_there() -> None:
    seen = set()
    for image in CHIPS.values():
        plan = SlicedEngine(image)._plan
        for begin, end in itertools.pairwise(plan.node_count):
            bits = plan.count_bit[begin:end].tolist()
            seen |= {"one count"} if len(bits) == 1 else {"several counts"}
            seen |= {"several bits"} if len(set(bits)) > 1 else set()
            seen |= {"several counts of a bit"} if len(set(bits)) < len(bits) else set()
        seen |= {"a constant"} if (np.diff(plan.count_literal) == 0).any() else set()
        seen |= {"a core in two blocks"} if np.diff(plan.block_node).max() == sliced._BLOCK else set()
    assert seen == {
        "one count", "several counts", "several bits", "several counts of a bit", "a constant", "a core in two blocks",
    }  # fmt: skip


def test_many_input_bits_pins_and_sources_of_an_axon() -> None:
    """Numbers that fill groups of 512 and do not end with one; 150 input bits OR on axon 0 of each first core."""
    image = layered_chip(12)
    rng = np.random.default_rng(0)
    packets, input_bits, pins = image.packets, 1100, 1061
    x, y, delay = packets.x[0], packets.y[0], packets.delay[0]
    bit = np.concatenate([rng.permutation(input_bits)[:150], rng.integers(0, input_bits, 400)]).astype(np.int32)
    image = dataclasses.replace(
        image,
        input_bits=input_bits,
        output_pins=pins,
        output_pin=np.where(image.output_pin < 0, -1, rng.integers(0, pins, image.output_pin.shape)).astype(np.int32),
        packets=dataclasses.replace(
            packets,
            bit=bit,
            x=np.full(len(bit), x),
            y=np.full(len(bit), y),
            axon=np.where(np.arange(len(bit)) < 150, 0, rng.integers(1, 16, len(bit))).astype(np.int16),
            delay=np.full(len(bit), delay),
        ),
    )
    frames = random_frames(image, 0, batch=2, ticks=70, rate=0.006)
    (_, fast), (_, slow) = (
        engine.run(engine.init(2), frames) for engine in (make_engine(n, image) for n in ("sliced", "oracle"))
    )
    assert 0 < slow.pins.mean() < 1
    np.testing.assert_array_equal(fast.pins, slow.pins)


def test_equal_blocks_share_a_program() -> None:
    image = side_by_side([broad_chip(1)] * 3)
    program = SlicedEngine(image)._plan.block_program
    first, second, third = program.reshape(3, -1)
    np.testing.assert_array_equal(second, third)
    assert (first != second).any()  # constants stand with the first core that has them
    assert_equal_runs(image, batch=1, chunks=(30,))


@pytest.mark.parametrize("batch", [1, 9])
def test_threads_share_the_work(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """More threads than the chip is worth and the machine may have."""
    image = acyclic_chip(8, cores=9)
    engine = SlicedEngine(image)
    frames = random_frames(image, 0, batch=batch, ticks=765)
    _, expected = engine.run(engine.init(batch), frames, range(9))
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: (started.append(thread), start(thread)))
    monkeypatch.setattr(sliced, "_THREAD_LITERALS", 1)
    engine._scratch = aligned((4, engine._scratch.shape[1]), np.uint64)
    _, ticks = engine.run(engine.init(batch), frames, range(9))
    assert len(started) == 3
    np.testing.assert_array_equal(ticks.pins, expected.pins)
    np.testing.assert_array_equal(ticks.spikes, expected.spikes)


def test_an_interrupt_ends_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliced, "_THREAD_LITERALS", 1)
    image = acyclic_chip(8, cores=9)
    engine = SlicedEngine(image)
    engine._scratch = aligned((3, engine._scratch.shape[1]), np.uint64)
    frames = random_frames(image, 0, batch=1, ticks=2000)
    _, expected = engine.run(engine.init(1), frames)
    threads, work = threading.active_count(), sliced.work

    def interrupted(*args):  # an interrupt reaches the main thread
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return work(*args)

    monkeypatch.setattr(sliced, "work", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.run(engine.init(1), frames)
    assert threading.active_count() == threads
    monkeypatch.setattr(sliced, "work", work)
    np.testing.assert_array_equal(engine.run(engine.init(1), frames)[1].pins, expected.pins)


def test_an_old_state_can_be_run_again() -> None:
    image = acyclic_chip(6, cores=5)
    engine = make_engine("sliced", image)
    frames = random_frames(image, 6, batch=2, ticks=600)
    state, _ = engine.run(engine.init(2), frames)
    before = engine.save(state)
    (_, first), (_, second) = engine.run(state, frames), engine.run(state, frames)
    np.testing.assert_array_equal(first.pins, second.pins)
    np.testing.assert_array_equal(engine.save(state).spikes, before.spikes)


@pytest.mark.parametrize("arch", [WIDE, LATE])
def test_a_run_goes_on_in_another_engine(arch: ChipArch) -> None:
    image = acyclic_chip(11, arch=arch, cores=6)
    frames = random_frames(image, 1, batch=2, ticks=150)
    seeds = np.array([4, 5], np.uint32)
    oracle, fast = make_engine("oracle", image), make_engine("sliced", image)
    state = oracle.init(2, seeds)
    _, whole = oracle.run(state, frames)
    state, first = oracle.run(state, frames[:, :31])
    middle, second = fast.run(fast.load(oracle.save(state)), frames[:, 31:101])
    saved = fast.save(middle)
    np.testing.assert_array_equal(saved.seeds, seeds)
    _, third = oracle.run(oracle.load(saved), frames[:, 101:])
    np.testing.assert_array_equal(np.concatenate([first.pins, second.pins, third.pins], axis=1), whole.pins)


def test_step_is_a_run_of_one_tick() -> None:
    image = layered_chip(2)
    engine = make_engine("sliced", image)
    frames = random_frames(image, 2, batch=2, ticks=20)
    _, expected = engine.run(engine.init(2), frames)
    state = engine.init(2)
    for t in range(20):
        state, pins = engine.step(state, frames[:, t])
        np.testing.assert_array_equal(pins, expected.pins[:, t])


def test_frames_of_any_layout() -> None:
    """Frames that lie in memory otherwise than they are read."""
    image = layered_chip(2)
    engine = make_engine("sliced", image)
    frames = random_frames(image, 2, batch=2, ticks=80)
    _, expected = engine.run(engine.init(2), frames)
    _, ticks = engine.run(engine.init(2), np.asfortranarray(frames))
    np.testing.assert_array_equal(ticks.pins, expected.pins)
    _, ticks = engine.run(engine.init(2), np.repeat(frames, 2, axis=1)[:, ::2])
    np.testing.assert_array_equal(ticks.pins, expected.pins)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (random_chip(1, arch=SMALL), r"core \d+, neuron \d+ \(type \d+\) keeps a potential from tick to tick"),
        (random_chip(1, arch=WIDE, stateless=True), r"core \d+, neuron \d+ lies on a cycle of \d+ neurons"),
    ],
)
def test_images_without_layers_are_refused(image: ChipImage, reason: str) -> None:
    with pytest.raises(InfeasibleError, match=rf"engine sliced: .*{reason}; choose engine event or packed"):
        make_engine("sliced", image)


def test_states_that_do_not_fit_are_refused() -> None:
    image = layered_chip(3)
    engine = make_engine("sliced", image)
    state, _ = engine.run(engine.init(1), random_frames(image, 0, batch=1, ticks=40))
    saved = engine.save(state)
    with pytest.raises(SimulationError, match=r"load (a|the) state of this image"):
        engine.load(dataclasses.replace(saved, spikes=~saved.spikes))
    with pytest.raises(SimulationError, match=r"load (a|the) state of this image"):
        engine.load(dataclasses.replace(saved, potential=saved.potential + 1))
    with pytest.raises(SimulationError, match=r"load (a|the) state of this image"):
        engine.load(dataclasses.replace(saved, inputs=np.repeat(saved.inputs, 2, axis=2)))
    with pytest.raises(SimulationError, match="1 streams, the state has 2"):
        engine.run(engine.init(2), random_frames(image, 0, batch=1, ticks=1))
    with pytest.raises(SimulationError, match="core 99"):
        engine.run(engine.init(1), random_frames(image, 0, batch=1, ticks=1), [99])


PORTABLE = """
import numpy as np
from numba import njit
from tncompile.sim.sliced_kernel import _full_add, _load, _store

@njit
def add(memory):
    total, carry = _full_add(_load(memory, 0), _load(memory, 8), _load(memory, 16))
    _store(memory, 24, total)
    _store(memory, 32, carry)

memory = np.zeros(48, np.uint64)
memory = memory[-(memory.ctypes.data // 8) % 8 :][:40]
memory[:24] = np.random.default_rng(0).integers(0, 2**64, 24, np.uint64)
add(memory.ctypes.data)
a, b, c, total, carry = memory.reshape(5, 8)
assert (total == a ^ b ^ c).all() and (carry == a & b | a & c | b & c).all()
assert all("zmm" not in text for text in add.inspect_asm().values())
"""


def test_a_full_adder_without_wide_vectors() -> None:
    """On a CPU that has only what its architecture's first one had."""
    environment = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", PORTABLE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
