"""The engine for CPUs and images with layers: 64 ticks a word, spikes counted by bit-sliced adders, compiled by Numba.

A node spikes if Σ w·x ≥ θ. A negative weight is a positive one of the complement, w·x = |w|·(1 − x) − |w|, so the test
is Σ |w|·literal ≥ θ' = θ + Σ |negative w| with literals x or 1 − x: a count. A *row* is one signal in 512 ticks of one
stream, or in 64 ticks of 8 streams, one bit a tick: an adder of rows counts in all these ticks at once. A *block* is
what a level has of one core, and is run like this:

1. *Gather.* Each (source, delay) that its nodes read is shifted by the delay (what comes in are the last 64 ticks
   before the row, the state) and written with its complement into a buffer that stays in the fastest cache.
2. *Count.* Trees of carry-save adders turn the list of a node's literals into the bits of their number, the planes,
   all in registers (Harley and Seal; Muła, Kurz and Lemire 2018, The Computer Journal 61:111). A full adder on 512
   bits is two instructions of AVX-512; other CPUs take more and narrower ones.
3. *Compare.* The planes do not begin at 0 but at 128 − θ', so plane 7 is the spike.

A literal of weight 3 is counted three times. If the weights of a node sum to more than 128, its literals are counted
bit of the weight by bit of the weight, at most 128 at a time, and the counts are added up in memory.

Blocks of equal weights share one *program*, their list of literals: the weights of a convolution stay in the caches.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numba
import numpy as np
from jaxtyping import Bool, Int32, Int64, Shaped, UInt8, UInt32, UInt64

from tncompile.errors import InfeasibleError
from tncompile.ir import ChipImage
from tncompile.ir.base import Record
from tncompile.sim.engine import ChipState, Ticks, check_copies, check_frames, check_saved, check_stateless, check_watch
from tncompile.sim.layers import Layers, Level, NotLayered, find_layers
from tncompile.sim.native import Spares, address, aligned, fixed, share
from tncompile.sim.sliced_kernel import GROUP, LANES, SPARE, WORD, Job, list_literals, measure, work

_BLOCK = 256  # nodes of a block at most, so that a few large cores still keep all threads busy
_THREAD_LITERALS = 1 << 20  # literals to be counted, about 0.3 ms, that are worth one more thread


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlicedState(Record):
    """What the chip holds between two ticks.

    Attributes:
        tick: the next tick to be run [tick].
        seeds: of each stream; kept for whoever loads the saved state.
        history: the last 64 ticks of signal s in stream b are word s · batch + b, the last tick in the highest bit;
            behind them one row of nothing, so that whole rows can be read.
    """

    tick: int
    seeds: UInt32[np.ndarray, " batch"]
    history: UInt64[np.ndarray, " words"]


class SlicedEngine:
    """Runs one chip image, level by level over many ticks.

    Work is done in tiles of 512 ticks of one stream, or of 64 ticks of 8 streams: a call of one tick costs as much as
    one of 512.
    """

    def __init__(self, image: ChipImage) -> None:
        """Finds the layers of an image and plans the run.

        Raises:
            InfeasibleError: neurons keep a potential, draw random numbers or lie on a cycle.
            SimulationError: the image disagrees with itself.
        """
        try:
            self._layers = find_layers(image)
        except NotLayered as reason:
            raise InfeasibleError(
                "engine sliced: it takes images whose neurons keep no state and whose wiring has no cycle, and here "
                f"{reason}; choose engine event or packed"
            ) from None
        self.image = image
        self._plan = _plan(self._layers)
        self._literals = int(self._plan.literals()[self._plan.block_program].sum())
        self._pins = _outputs(self._layers.pin, self._layers.pin_signal, image.output_pins)
        self._rows = aligned((self._layers.signals, LANES), np.uint64)
        literals = 1 + 2 * int(np.diff(self._plan.block_input).max(initial=0))
        threads = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        self._scratch = aligned((threads, SPARE + literals * LANES), np.uint64)
        self._spares = Spares()
        self._running = threading.Lock()  # held by whoever uses rows and scratch

    def init(self, batch: int, seeds: UInt32[np.ndarray, " batch"] | None = None) -> SlicedState:
        """Returns the state of `batch` independent streams before their first tick; without seeds, all have seed 0."""
        self._spares = Spares()  # of another number of streams, perhaps
        return SlicedState(
            tick=0,
            seeds=np.zeros(batch, np.uint32) if seeds is None else seeds,
            history=fixed(np.zeros(self._layers.signals * batch + LANES, np.uint64)),
        )

    def prepare(self, batch: int, ticks: int, watch: Sequence[int] = ()) -> None:
        """Compiles the kernel, or reads it from Numba's cache; it is the same for all batches, lengths and images."""
        self.run(self.init(1), np.zeros((1, 1, self.image.input_bits), bool))

    def run(
        self, state: SlicedState, frames: Bool[np.ndarray, "batch ticks input_bits"], watch: Sequence[int] = ()
    ) -> tuple[SlicedState, Ticks]:
        """Returns the state after as many ticks as there are frames, and what came out.

        Args:
            state: the state before.
            frames: the input bits that enter in each tick.
            watch: cores whose spikes are wanted; their potentials are 0 at every tick's end.

        Raises:
            SimulationError: the frames do not fit the image or the state, or a watched core is not there.
        """
        cores, neurons = self.image.neuron_type.shape
        batch, length = frames.shape[:2]
        check_frames(frames, len(state.seeds), self.image.input_bits)
        check_watch(watch, cores)
        signals = self._layers.signal_of[np.asarray(watch, np.int64)].ravel()
        used = np.flatnonzero(signals >= 0)
        shape = (batch, length, len(watch), neurons)
        pins, spikes = np.empty((batch, length, self.image.output_pins), bool), np.empty(shape, bool)
        history = state.history
        if batch and length:
            history = self._run(
                history, np.ascontiguousarray(frames), pins, _outputs(used, signals[used], len(signals)), spikes
            )
        return (
            SlicedState(tick=state.tick + length, seeds=state.seeds, history=history),
            Ticks(pins=fixed(pins), spikes=fixed(spikes), potential=fixed(np.zeros(shape, np.int32))),
        )

    def step(
        self, state: SlicedState, frame: Bool[np.ndarray, "batch input_bits"]
    ) -> tuple[SlicedState, Bool[np.ndarray, "batch pins"]]:
        """Returns the state after one tick, and its output pins; errors as in `run`."""
        state, ticks = self.run(state, frame[:, None])
        return state, ticks.pins[:, 0]

    def save(self, state: SlicedState) -> ChipState:
        """Returns the state in the form that every engine can load."""
        layers, batch = self._layers, len(state.seeds)
        words = state.history[:-LANES].reshape(layers.signals, batch).T
        spikes, inputs = [], []
        for age in range(layers.arch.delay_max):
            bits = (words >> np.uint64(WORD - 1 - age) & np.uint64(1)).astype(bool)
            fired = np.append(bits, np.zeros((batch, 1), bool), axis=1)[:, layers.signal_of]  # −1 never fires
            spikes.append(np.packbits(fired, axis=-1, bitorder="little"))
            inputs.append(np.packbits(bits[:, : layers.input_bits], axis=-1, bitorder="little"))
        return ChipState(
            tick=state.tick,
            seeds=state.seeds,
            potential=np.zeros((batch, *self.image.neuron_type.shape), np.int32),
            spikes=np.stack(spikes, axis=1),
            inputs=np.stack(inputs, axis=1),
        )

    def load(self, saved: ChipState) -> SlicedState:
        """Returns the engine's state from a saved one.

        Raises:
            SimulationError: it is the state of another image.
        """
        layers, batch = self._layers, len(saved.seeds)
        check_saved(saved, self.image, layers.arch.delay_max)
        self._spares = Spares()
        check_stateless(saved, np.ones(len(self.image.core_x), bool))
        used = np.flatnonzero(layers.signal_of.ravel() >= 0)
        signal, first = np.unique(layers.signal_of.ravel()[used], return_index=True)
        history = np.zeros(layers.signals * batch + LANES, np.uint64)
        words = history[:-LANES].reshape(layers.signals, batch)
        for age in range(layers.arch.delay_max):
            shift = np.uint64(WORD - 1 - age)
            fired = np.unpackbits(saved.spikes[:, age], axis=-1, bitorder="little").reshape(
                batch, self.image.neuron_type.size
            )
            words[signal] |= fired.T[used[first]].astype(np.uint64) << shift
            entered = np.unpackbits(saved.inputs[:, age], axis=-1, count=layers.input_bits, bitorder="little")
            words[: layers.input_bits] |= entered.T.astype(np.uint64) << shift
        state = SlicedState(tick=saved.tick, seeds=saved.seeds, history=fixed(history))
        check_copies(saved, self.save(state))
        return state

    def _run(
        self,
        history: UInt64[np.ndarray, " words"],
        frames: Bool[np.ndarray, "batch ticks input_bits"],
        pins: Bool[np.ndarray, "batch ticks pins"],
        watched: _Outputs,
        spikes: Bool[np.ndarray, "batch ticks cores neurons"],
    ) -> UInt64[np.ndarray, " words"]:
        """Fills pins and spikes, and returns the history afterwards."""
        plan, batch, length, bits = self._plan, *frames.shape
        # of the two kinds of tile the one of which fewer are needed
        tall, flat = batch * -(-length // GROUP), -(-batch // LANES) * -(-length // WORD)
        turns = -(-length // (WORD if flat < tall else GROUP))
        states = [self._spares.take(history.shape, np.uint64) for _ in range(min(turns, 2))]
        for words in states:
            words[-LANES:] = 0  # all others are written
        groups = [-(-count // GROUP) for count in (bits, pins.shape[-1], len(watched.begin) - 1)]
        phase_task = _ends(np.concatenate([groups[:1], np.diff(plan.level_block), groups[1:]]))
        progress = np.zeros(2, np.int64)
        job = Job(
            batch=batch,
            length=length,
            input_bits=bits,
            pins=pins.shape[-1],
            watched=len(watched.begin) - 1,
            flat=int(flat < tall),
            tiles=min(flat, tall),
            phases=len(phase_task) - 1,
            progress=address(progress),
            phase_task=address(phase_task),
            rows=address(self._rows),
            state=address(history),
            even=address(states[0]),
            odd=address(states[-1]),
            frames=address(frames),
            pin_spikes=address(pins),
            watched_spikes=address(spikes),
            pin_driver=address(self._pins.begin),
            pin_signal=address(self._pins.signal),
            watched_driver=address(watched.begin),
            watched_signal=address(watched.signal),
            **{name: address(getattr(plan, name)) for name in _Plan._fields if name in Job._fields},
        )
        with self._running:
            scratch = self._scratch[: 1 + self._literals * job.tiles // _THREAD_LITERALS]
            share([partial(work, job, address(own)) for own in scratch], [progress])
        return fixed(states[(turns - 1) % 2])


class _Outputs(NamedTuple):
    """Outputs, each the OR of the signals begin[i] … begin[i + 1] − 1."""

    begin: Int64[np.ndarray, " outputs_and_1"]
    signal: Int32[np.ndarray, " drives"]


def _outputs(output: Shaped[np.ndarray, " drives"], signal: Int32[np.ndarray, " drives"], outputs: int) -> _Outputs:
    """Returns as many outputs; `output` ascends and says which one each signal drives."""
    return _Outputs(np.searchsorted(output, np.arange(outputs + 1)), signal)


class _Plan(NamedTuple):
    """Layers as blocks and programs: the arrays of `Job`, and the first block of each level."""

    level_block: Int64[np.ndarray, " levels_and_1"]
    block_program: Int64[np.ndarray, " blocks"]
    block_input: Int64[np.ndarray, " blocks_and_1"]
    block_node: Int64[np.ndarray, " blocks_and_1"]
    input_source: Int32[np.ndarray, " inputs"]
    input_delay: UInt8[np.ndarray, " inputs"]
    node_signal: Int32[np.ndarray, " block_nodes"]
    program_node: Int64[np.ndarray, " programs_and_1"]
    node_bias: Int64[np.ndarray, " nodes"]
    node_planes: UInt8[np.ndarray, " nodes"]
    node_count: Int64[np.ndarray, " nodes_and_1"]
    count_bit: UInt8[np.ndarray, " counts"]
    count_literal: Int64[np.ndarray, " counts_and_1"]
    literal: UInt32[np.ndarray, " literals"]

    def literals(self) -> Int64[np.ndarray, " programs"]:
        """Returns how many literals each program has."""
        return np.diff(self.count_literal[self.node_count[self.program_node]])


def _plan(layers: Layers) -> _Plan:
    """Returns the layers as blocks and programs."""
    known: dict[tuple[bytes, ...], int] = {}
    programs: list[tuple[np.ndarray, ...]] = []
    block_program: list[int] = []
    levels: list[tuple[np.ndarray, ...]] = []
    place = np.full(layers.signals, -1, np.int32)
    for level in layers.levels:
        blocks = _blocks(level, place)
        levels.append((blocks.nodes, blocks.inputs, blocks.source, blocks.delay, blocks.signal))
        for program in blocks.programs():
            key = tuple(array.tobytes() for array in program)
            if key not in known:
                known[key] = len(programs)
                programs.append(tuple(array.copy() for array in program))  # not a view of all blocks
            block_program.append(known[key])
    level_parts = (np.int64, np.int64, np.int32, np.uint8, np.int32)
    program_parts = (np.int64, np.uint8, np.int64, np.uint8, np.int64, np.uint32)
    nodes, inputs, source, delay, signal = (_column(levels, i, dtype) for i, dtype in enumerate(level_parts))
    bias, planes, counts, bit, literals, literal = (
        _column(programs, i, dtype) for i, dtype in enumerate(program_parts)
    )
    return _Plan(
        level_block=_ends([len(level[0]) for level in levels]),
        block_program=np.array(block_program, np.int64),
        block_input=_ends(inputs),
        block_node=_ends(nodes),
        input_source=source,
        input_delay=delay,
        node_signal=signal,
        program_node=_ends([len(program[0]) for program in programs]),
        node_bias=bias,
        node_planes=planes,
        node_count=_ends(counts),
        count_bit=bit,
        count_literal=_ends(literals),
        literal=literal,
    )


def _column(rows: list[tuple[np.ndarray, ...]], i: int, dtype: type) -> Shaped[np.ndarray, " n"]:
    """Returns the i-th arrays of all rows in one, of which there may be none."""
    return np.concatenate([np.zeros(0, dtype), *(row[i] for row in rows)])


def _ends(lengths: Sequence[int] | Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n_and_1"]:
    """Returns where each part begins, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))])


class _Blocks(NamedTuple):
    """The blocks of one level.

    Attributes:
        nodes, inputs, counts, literals: how many each block has.
        signal: of each node.
        bias, planes, node_counts: of each node, as in `Job`, but how many counts, not the first.
        source, delay: of each input.
        count_bit, count_literals: of each count, likewise.
        literal: as in `Job`.
    """

    nodes: Int64[np.ndarray, " blocks"]
    inputs: Int64[np.ndarray, " blocks"]
    counts: Int64[np.ndarray, " blocks"]
    literals: Int64[np.ndarray, " blocks"]
    signal: Int32[np.ndarray, " nodes"]
    bias: Int64[np.ndarray, " nodes"]
    planes: UInt8[np.ndarray, " nodes"]
    node_counts: Int64[np.ndarray, " nodes"]
    source: Int32[np.ndarray, " inputs"]
    delay: UInt8[np.ndarray, " inputs"]
    count_bit: UInt8[np.ndarray, " counts"]
    count_literals: Int64[np.ndarray, " counts"]
    literal: UInt32[np.ndarray, " literals"]

    def programs(self) -> Iterator[tuple[np.ndarray, ...]]:
        """Yields of each block what equal ones share: bias, planes, node_counts, count_bit, count_literals, literal."""
        node, count, literal = _ends(self.nodes), _ends(self.counts), _ends(self.literals)
        for b in range(len(self.nodes)):
            nodes, counts = slice(node[b], node[b + 1]), slice(count[b], count[b + 1])
            yield (
                *(array[nodes] for array in (self.bias, self.planes, self.node_counts)),
                *(array[counts] for array in (self.count_bit, self.count_literals)),
                self.literal[literal[b] : literal[b + 1]],
            )


def _blocks(level: Level, place: Int32[np.ndarray, " signals"]) -> _Blocks:
    """Returns the blocks of a level.

    The nodes of a core stand in the order of their literals' number: the kernel then branches the same way many times.

    Args:
        level: the level.
        place: scratch, −1 everywhere before and after.
    """
    literals, counts, planes, bias = measure(level.indptr, level.weight, level.threshold)
    order = np.lexsort((literals, level.core))
    core = level.core[order]
    rank = np.arange(len(core)) - np.searchsorted(core, core)  # within the core
    begin = np.append(np.flatnonzero(rank % _BLOCK == 0), len(core))
    source, delay, inputs, count_bit, count_literals, literal = list_literals(
        level.indptr, level.source, level.delay, level.weight,
        order, begin, planes, int(counts.sum()), int(literals.sum()), place,
    )  # fmt: skip

    def of_blocks(values: Int64[np.ndarray, " nodes"]) -> Int64[np.ndarray, " blocks"]:
        return np.diff(_ends(values[order])[begin])

    return _Blocks(
        nodes=np.diff(begin),
        inputs=inputs,
        counts=of_blocks(counts),
        literals=of_blocks(literals),
        signal=(level.first + order).astype(np.int32),
        bias=bias[order],
        planes=planes[order],
        node_counts=counts[order],
        source=source,
        delay=delay,
        count_bit=count_bit,
        count_literals=count_literals,
        literal=literal,
    )
