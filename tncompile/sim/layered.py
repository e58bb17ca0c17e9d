"""The engine for GPUs and images with layers: all ticks of a chunk at once, layer by layer, as integer GEMMs in XLA.

It runs images whose neurons keep no state and whose wiring has no cycle (`sim.layers`), on any device. The signals
of a chunk are the rows of one array of bytes, a tick and stream a column, with the ticks before the chunk in front.
Each level is computed like this:

1. *Gather.* Every input of a core is a piece of a row, `delay` ticks behind: copies of contiguous bytes.
2. *Multiply.* Cores of a level with about as many inputs and nodes are one batched `dot_general`, of (nodes, inputs)
   weights and (inputs, columns) spikes each. Cores that look alike share one matrix of weights.
3. *Fire.* Σ ≥ α − λ, written into the array's next rows. Nodes that only pass a spike on, as in splitters, are rows
   copied.

The products are exact: 0 and 1 times numbers that the operands' type holds, summed in a type that holds the sum. That
is int8 summed in int32 on CPUs, and elsewhere bfloat16 summed in float32, exact to 2²⁴ and what tensor cores do.
Weights beyond the operands' range are split into digits of 8 bits, each with a product of its own.

What was measured on CPUs, with XLA's YNNPACK: products in int8 and bfloat16 are equally fast, in float32 half as fast.
The gather must keep its last axis: cores of equal weights as further columns of one product, instead of further
products, made it ten times slower, for XLA then copies byte by byte. Spikes as bits save memory, but unpacking them
costs more. Sums that leave the cache halve a product's speed, so large levels are cut into several.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int8, Int32, Int64, Num, Shaped, UInt8, UInt32

from tncompile.errors import InfeasibleError
from tncompile.ir import ChipImage
from tncompile.ir.base import Record
from tncompile.sim.engine import ChipState, Ticks, check_copies, check_frames, check_saved, check_stateless, check_watch
from tncompile.sim.layers import Block, Layers, NotLayered, find_layers

_MOST_STEPS = 512  # products and copies: XLA compiles some ten of them a second
_PADDING = 1 << 16  # weights of 0 that are cheaper than one more product
_RUN = 64  # ticks of a stream that are taken at once before streams are added: the ticks before them cost memory


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    """How to compute on a kind of device.

    Attributes:
        weight, total: number types of a product's operands and its sums.
        largest: magnitude up to which the operands' type holds every integer; at least 127.
        columns: ticks × streams that are taken at once, where memory allows.
        rows: nodes of one product, or a hundredth of all; a CPU's cache holds their sums.
        memory: what the arrays of a chunk may take [B].
    """

    weight: Any
    total: Any
    largest: int
    columns: int
    rows: int
    memory: int


_CPU = _Device(weight=jnp.int8, total=jnp.int32, largest=127, columns=256, rows=1 << 13, memory=1 << 30)
_ACCELERATOR = _Device(weight=jnp.bfloat16, total=jnp.float32, largest=256, columns=1024, rows=1 << 17, memory=1 << 32)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["start", "matrix", "weights", "threshold"],
    meta_fields=["digits"],
)
@dataclass(frozen=True, kw_only=True, eq=False)
class _Product:
    """Cores of one level that are computed together.

    Attributes:
        digits: how many a weight has, each of 8 bits; the first is the lowest.
        start: row of each input, and where in it the chunk begins as that input sees it.
        matrix: which matrix each core takes; None if core i takes matrix i.
        weights: the matrices' digits [LSB].
        threshold: α − λ of each node [LSB].
    """

    digits: int
    start: Int32[Array, "cores inputs 2"]
    matrix: Int32[Array, " cores"] | None
    weights: Num[Array, "matrices digits_times_nodes inputs"]
    threshold: Num[Array, "matrices nodes"]

    @property
    def rows(self) -> int:
        """How many rows it computes: the nodes of all cores."""
        return self.start.shape[0] * self.threshold.shape[1]


@partial(jax.tree_util.register_dataclass, data_fields=["start"], meta_fields=[])
@dataclass(frozen=True, kw_only=True, eq=False)
class _Copy:
    """Nodes of one level that pass a spike on.

    Attributes:
        start: as in `_Product`, one input a node.
    """

    start: Int32[Array, "nodes 2"]

    @property
    def rows(self) -> int:
        """How many rows it computes."""
        return self.start.shape[0]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["steps", "pins"],
    meta_fields=["input_bits", "rows", "history"],
)
@dataclass(frozen=True, kw_only=True, eq=False)
class _Chip:
    """An image as rows of signals.

    Attributes:
        input_bits: how many; they are the first rows, and the next one never spikes.
        rows: how many.
        history: how many ticks before a chunk are kept: the longest delay, rounded up to whole bytes of bits [tick].
        steps: compute all further rows, in this order.
        pins: row of each output pin.
    """

    input_bits: int
    rows: int
    history: int
    steps: tuple[_Product | _Copy, ...]
    pins: Int32[Array, " pins"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayeredState(Record):
    """What the chip holds between two ticks.

    Attributes:
        tick: the next tick to be run [tick].
        seeds: of each stream's random numbers, which no neuron draws.
        history: all signals in the last ticks, bit i of byte b that of tick 8 b + i; the last bit is the last tick.
    """

    tick: int
    seeds: UInt32[np.ndarray, " batch"]
    history: UInt8[Array, "rows bytes batch"]


class LayeredEngine:
    """Runs one chip image, layer by layer over many ticks."""

    def __init__(self, image: ChipImage) -> None:
        """Finds the layers of an image and lays them out.

        Raises:
            InfeasibleError: a neuron keeps a potential, draws random numbers or lies on a cycle, or there are more
                layers than XLA could compile in reasonable time.
            SimulationError: the image disagrees with itself.
        """
        try:
            layers = find_layers(image)
        except NotLayered as reason:
            raise InfeasibleError(
                "engine layered: it takes images whose neurons keep no state and whose wiring has no cycle, and here "
                f"{reason}; choose engine packed or event"
            ) from None
        self.image = image
        device = _CPU if jax.default_backend() == "cpu" else _ACCELERATOR
        self._delay_max = layers.arch.delay_max
        self._chip, self._row_of = _lay_out(layers, device)
        self._leaves = jax.tree.leaves(self._chip)
        self._columns = _columns(self._chip, device)
        self._compiled: dict[tuple[int, int, int], Any] = {}

    def init(self, batch: int, seeds: UInt32[np.ndarray, " batch"] | None = None) -> LayeredState:
        """Returns the state of `batch` independent streams before their first tick; without seeds, all have seed 0."""
        return LayeredState(
            tick=0,
            seeds=np.zeros(batch, np.uint32) if seeds is None else seeds,
            history=jnp.zeros((self._chip.rows, self._chip.history // 8, batch), jnp.uint8),
        )

    def prepare(self, batch: int, ticks: int, watch: Sequence[int] = ()) -> None:
        """Compiles the engine for calls of `run` with this batch, about this many ticks, and as many watched cores."""
        if batch and ticks:
            self._program(*self._cut(batch, ticks), len(watch))

    def run(
        self, state: LayeredState, frames: Bool[np.ndarray, "batch ticks input_bits"], watch: Sequence[int] = ()
    ) -> tuple[LayeredState, Ticks]:
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
        watched = jnp.asarray(self._row_of[np.asarray(watch, np.int64)].ravel())
        pins = np.empty((batch, length, self.image.output_pins), bool)
        spikes = np.empty((batch, length, len(watch), neurons), bool)

        def keep(streams: slice, ticks: slice, out: tuple[Array, Array]) -> None:
            shape = pins[streams, ticks].shape[:2]
            for whole, part in zip((pins, spikes), out, strict=True):
                part = np.asarray(part)[: shape[0], : shape[1]]
                whole[streams, ticks] = part.reshape(*shape, *whole.shape[2:])

        history, waiting = [], None
        streams, ticks = self._cut(batch, length) if batch and length else (1, 1)
        for stream in range(0, batch, streams):
            some = slice(stream, min(stream + streams, batch))
            past = state.history[..., some]
            for tick in range(0, length, ticks):
                part = slice(tick, min(tick + ticks, length))
                past, out = self._chunk(past, frames[some, part], (streams, ticks), watched)
                if waiting is not None:  # fetched while the device is busy with the next one
                    keep(*waiting)
                waiting = some, part, out
            history.append(past)
        if waiting is not None:
            keep(*waiting)
        pins.flags.writeable = spikes.flags.writeable = False  # nobody else has them: no copy is made
        after = LayeredState(
            tick=state.tick + length,
            seeds=state.seeds,
            history=history[0] if len(history) == 1 else jnp.concatenate([state.history[..., :0], *history], axis=2),
        )
        return after, Ticks(pins=pins, spikes=spikes, potential=np.zeros(spikes.shape, np.int32))

    def step(
        self, state: LayeredState, frame: Bool[np.ndarray, "batch input_bits"]
    ) -> tuple[LayeredState, Bool[np.ndarray, "batch pins"]]:
        """Returns the state after one tick, and its output pins; errors as in `run`."""
        state, ticks = self.run(state, frame[:, None])
        return state, ticks.pins[:, 0]

    def save(self, state: LayeredState) -> ChipState:
        """Returns the state in the form that every engine can load."""
        history = np.asarray(state.history)
        batch = len(state.seeds)
        spikes, inputs = [], []
        for age in range(1, self._delay_max + 1):
            byte, bit = divmod(self._chip.history - age, 8)
            rows = history[:, byte] >> bit & 1
            spikes.append(np.packbits(rows[self._row_of], axis=1, bitorder="little").transpose(2, 0, 1))
            inputs.append(np.packbits(rows[: self.image.input_bits].T, axis=1, bitorder="little"))
        return ChipState(
            tick=state.tick,
            seeds=state.seeds,
            potential=np.zeros((batch, *self.image.neuron_type.shape), np.int32),
            spikes=np.stack(spikes, axis=1),
            inputs=np.stack(inputs, axis=1),
        )

    def load(self, saved: ChipState) -> LayeredState:
        """Returns the engine's state from a saved one.

        Raises:
            SimulationError: it is the state of another image.
        """
        check_saved(saved, self.image, self._delay_max)
        check_stateless(saved, np.ones(len(self.image.core_x), bool))
        neurons = self.image.neuron_type.shape[1]
        row, neuron = np.unique(self._row_of, return_index=True)
        history = np.zeros((self._chip.rows, self._chip.history // 8, len(saved.seeds)), np.uint8)
        for age in range(1, self._delay_max + 1):
            byte, bit = divmod(self._chip.history - age, 8)
            spikes = np.unpackbits(saved.spikes[:, age - 1], axis=2, count=neurons, bitorder="little")
            inputs = np.unpackbits(saved.inputs[:, age - 1], axis=1, count=self.image.input_bits, bitorder="little")
            history[row, byte] |= spikes.reshape(len(spikes), self._row_of.size)[:, neuron].T << bit
            history[: self.image.input_bits, byte] |= inputs.T << bit
        state = LayeredState(tick=saved.tick, seeds=saved.seeds, history=jnp.asarray(history))
        check_copies(saved, self.save(state))
        return state

    def _cut(self, batch: int, ticks: int) -> tuple[int, int]:
        """Returns how many streams and ticks to take at once; ticks are a power of two, so that few are compiled."""
        run = min(_RUN, self._columns) if batch * _RUN >= self._columns else self._columns // batch
        run = min(1 << (run.bit_length() - 1), 1 << (ticks - 1).bit_length())
        groups = -(-batch // max(1, self._columns // run))
        return -(-batch // groups), run

    def _chunk(
        self,
        history: UInt8[Array, "rows bytes some"],
        frames: Bool[np.ndarray, "some ticks input_bits"],
        shape: tuple[int, int],
        watched: Int32[Array, " watched"],
    ) -> tuple[UInt8[Array, "rows bytes some"], tuple[Array, Array]]:
        """Returns the history after some ticks of some streams, and pins and watched spikes; both may be padded."""
        streams, ticks = frames.shape[:2]
        if (streams, ticks) != shape:
            padded = np.zeros((*shape, frames.shape[2]), bool)
            padded[:streams, :ticks] = frames
            frames, history = padded, jnp.pad(history, ((0, 0), (0, 0), (0, shape[0] - streams)))
        program = self._program(*shape, len(watched) // self.image.neuron_type.shape[1])
        history, *out = program(self._leaves, history, frames, np.int32(ticks), watched)
        return history[..., :streams], tuple(out)

    def _program(self, streams: int, ticks: int, watch: int) -> Any:
        if (streams, ticks, watch) not in self._compiled:
            chip = self._chip
            self._compiled[streams, ticks, watch] = _run.lower(
                jax.tree.structure(chip),
                self._leaves,
                jax.ShapeDtypeStruct((chip.rows, chip.history // 8, streams), jnp.uint8),
                jax.ShapeDtypeStruct((streams, ticks, chip.input_bits), jnp.bool_),
                jax.ShapeDtypeStruct((), jnp.int32),
                jax.ShapeDtypeStruct((watch * self.image.neuron_type.shape[1],), jnp.int32),
            ).compile()
        return self._compiled[streams, ticks, watch]


@partial(jax.jit, static_argnums=0)
def _run(
    structure: Any,
    leaves: list[Array],
    history: UInt8[Array, "rows bytes batch"],
    frames: Bool[Array, "batch ticks input_bits"],
    length: Int32[Array, ""],
    watched: Int32[Array, " watched"],
) -> tuple[UInt8[Array, "rows bytes batch"], Bool[Array, "batch ticks pins"], Bool[Array, "batch ticks watched"]]:
    """Returns the history after the first `length` of the ticks, and the spikes of pins and watched rows in all.

    The chip comes in leaves, for JAX would fill it with what is no array.
    """
    chip = jax.tree.unflatten(structure, leaves)
    batch, ticks, _ = frames.shape
    bit = jnp.asarray(1 << np.arange(8), jnp.uint8)[:, None]
    past = (history[:, :, None] & bit != 0).astype(jnp.int8).reshape(chip.rows, chip.history, batch)
    signals = jnp.pad(past, ((0, 0), (0, ticks), (0, 0)))
    signals = lax.dynamic_update_slice(signals, frames.transpose(2, 1, 0).astype(jnp.int8), (0, chip.history, 0))
    row = chip.input_bits + 1
    for step in chip.steps:
        spikes = _product(step, signals, ticks) if isinstance(step, _Product) else _pieces(signals, step.start, ticks)
        signals = lax.dynamic_update_slice(signals, spikes, (row, chip.history, 0))  # in place
        row += step.rows

    def out(rows: Int32[Array, " rows"]) -> Bool[Array, "batch ticks rows"]:
        start = jnp.stack([rows, jnp.full_like(rows, chip.history)], axis=-1)
        return _pieces(signals, start, ticks).transpose(2, 1, 0).astype(bool)

    past = lax.dynamic_slice(signals, (0, length, 0), (chip.rows, chip.history, batch)).astype(jnp.uint8)
    past = jnp.sum(past.reshape(chip.rows, -1, 8, batch) * bit, axis=2, dtype=jnp.uint8)
    return past, out(chip.pins), out(watched)


def _pieces(
    signals: Int8[Array, "rows width batch"], start: Int32[Array, "*n 2"], ticks: int
) -> Int8[Array, "*n ticks batch"]:
    """Returns as many ticks of some rows, each from its place on."""
    axes = start.ndim - 1
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(axes, axes + 1), collapsed_slice_dims=(0,), start_index_map=(0, 1)
    )
    return lax.gather(signals, start, numbers, (1, ticks, signals.shape[2]), mode="promise_in_bounds")


def _product(
    step: _Product, signals: Int8[Array, "rows width batch"], ticks: int
) -> Int8[Array, "computed ticks batch"]:
    """Returns the spikes of the nodes, core by core."""
    cores, inputs, _ = step.start.shape
    spikes = _pieces(signals, step.start, ticks).astype(step.weights.dtype).reshape(cores, inputs, -1)
    weights, threshold = (
        values if step.matrix is None else values.at[step.matrix].get(mode="promise_in_bounds")
        for values in (step.weights, step.threshold)
    )
    exact = jnp.int32 if step.weights.dtype == jnp.int8 else jnp.float32
    total = lax.dot_general(weights, spikes, (((2,), (1,)), ((0,), (0,))), preferred_element_type=exact)
    if step.digits > 1:
        place = 8 * jnp.arange(step.digits, dtype=jnp.int32)[:, None, None]
        total = total.astype(jnp.int32).reshape(cores, step.digits, -1, total.shape[2])
        total = jnp.sum(total << place, axis=1)
    return (total >= threshold[..., None]).astype(jnp.int8).reshape(step.rows, ticks, -1)


def _lay_out(layers: Layers, device: _Device) -> tuple[_Chip, Int32[np.ndarray, "cores neurons"]]:
    """Returns the layers as rows, and the row of each neuron; an unused one gets the row that never spikes.

    Raises:
        InfeasibleError: XLA could not compile so many layers in reasonable time.
    """
    place = _Place(
        history=8 * -(-layers.arch.delay_max // 8),
        silent=layers.input_bits,
        row_of=np.append(np.arange(layers.input_bits), np.full(layers.signals - layers.input_bits, -1)),
        rows=layers.input_bits + 1,
    )
    steps = [step for level in layers.levels for step in place.level(level.blocks, device)]

    pin_row = np.full(layers.output_pins, place.silent)
    pin_row[layers.pin] = place.row_of[layers.pin_signal]
    drivers = np.bincount(layers.pin, minlength=layers.output_pins)
    several = tuple(_either(layers, drivers))
    pin_signal = layers.signals + np.arange((drivers > 1).sum())
    place.row_of = np.append(place.row_of, np.full(len(pin_signal), -1))
    steps += place.level(several, device)
    pin_row[drivers > 1] = place.row_of[pin_signal]

    if len(steps) > _MOST_STEPS:
        raise InfeasibleError(
            f"engine layered: the {len(layers.levels)} layers make {len(steps)} matrix products, it compiles up to "
            f"{_MOST_STEPS}; choose engine packed, event or sliced"
        )
    chip = _Chip(
        input_bits=layers.input_bits,
        rows=place.rows,
        history=place.history,
        steps=tuple(steps),
        pins=jnp.asarray(pin_row, jnp.int32),
    )
    return chip, np.append(place.row_of, place.silent)[layers.signal_of].astype(np.int32)  # −1: an unused neuron


def _either(layers: Layers, drivers: Shaped[np.ndarray, " pins"]) -> Iterator[Block]:
    """Yields the pins of several drivers as nodes that spike if one of these does.

    Args:
        layers: whose pins; theirs are the signals behind the last one.
        drivers: how many drive each pin.
    """
    pins = np.flatnonzero(drivers > 1)
    first = np.cumsum(drivers) - drivers
    for count in np.unique(drivers[pins]):
        same = np.flatnonzero(drivers[pins] == count)
        source = layers.pin_signal[first[pins[same]][:, None] + np.arange(count)]
        yield Block(
            source=source,
            delay=np.zeros(source.shape, np.uint8),
            indptr=np.array([0, count], np.int64),
            input=np.arange(count, dtype=np.int32),
            weight=np.ones(count, np.int32),
            threshold=np.ones(1, np.int32),
            signal=(layers.signals + same[:, None]).astype(np.int32),
        )


@dataclass(slots=True, kw_only=True, eq=False)
class _Place:
    """Gives signals their rows.

    Attributes:
        history: how many ticks stand in front of the chunk [tick].
        silent: the row that never spikes.
        row_of: row of each signal, −1 = none yet.
        rows: how many are taken.
    """

    history: int
    silent: int
    row_of: Int64[np.ndarray, " signals"]
    rows: int

    def level(self, blocks: Sequence[Block], device: _Device) -> Iterator[_Product | _Copy]:
        """Yields what computes the nodes of some blocks, which do not read each other, in the order of their rows."""
        passing = [block for block in blocks if _passes_on(block)]
        if passing:
            start = np.concatenate([self._start(block)[:, block.input].reshape(-1, 2) for block in passing])
            self._take(np.concatenate([block.signal.ravel() for block in passing]))
            yield _Copy(start=jnp.asarray(start, jnp.int32))
        for group in _similar([block for block in blocks if not _passes_on(block)]):
            for portion in _portions(group, max(device.rows, len(self.row_of) // 100)):
                yield self._product(portion, device)

    def _product(self, blocks: Sequence[Block], device: _Device) -> _Product:
        inputs = max(1, *(block.source.shape[1] for block in blocks))  # neurons that always spike may have none
        nodes = max(len(block.threshold) for block in blocks)
        cores = [len(block.source) for block in blocks]
        start = np.empty((sum(cores), inputs, 2), np.int64)
        start[:] = self.silent, self.history
        signal = np.full((sum(cores), nodes), -1)
        weights = np.zeros((len(blocks), nodes, inputs), np.int32)
        threshold = np.ones((len(blocks), nodes), np.int32)
        matrix = np.repeat(np.arange(len(blocks)), cores)
        for i, block in enumerate(blocks):
            start[matrix == i, : block.source.shape[1]] = self._start(block)
            signal[matrix == i, : len(block.threshold)] = block.signal
            weights[i, np.repeat(np.arange(len(block.threshold)), np.diff(block.indptr)), block.input] = block.weight
            threshold[i, : len(block.threshold)] = block.threshold
        self._take(signal.ravel())
        digits = _digits(weights, device.largest)
        return _Product(
            digits=len(digits),
            start=jnp.asarray(start, jnp.int32),
            matrix=None if len(blocks) == sum(cores) else jnp.asarray(matrix, jnp.int32),
            weights=jnp.asarray(np.concatenate(digits, axis=1), device.weight),
            threshold=jnp.asarray(threshold, device.total if len(digits) == 1 else jnp.int32),
        )

    def _start(self, block: Block) -> Int64[np.ndarray, "cores inputs 2"]:
        return np.stack([self.row_of[block.source], self.history - block.delay.astype(np.int64)], axis=-1)

    def _take(self, signal: Int32[np.ndarray, " nodes"] | Int64[np.ndarray, " nodes"]) -> None:
        """Gives the next rows to some nodes; −1 = a row that nobody reads."""
        named = signal >= 0
        self.row_of[signal[named]] = self.rows + np.flatnonzero(named)
        self.rows += len(signal)


def _passes_on(block: Block) -> bool:
    """Returns whether each node spikes if its only input does; one whose input is too weak has none at all."""
    return bool((np.diff(block.indptr) == 1).all() and (block.threshold > 0).all())


def _similar(blocks: Sequence[Block]) -> list[list[Block]]:
    """Returns the blocks in groups that are worth padding to one shape, the larger ones first."""
    groups: list[list[Block]] = []
    sizes: list[tuple[int, int, int, int]] = []  # cores, inputs, nodes; cores × inputs × nodes without padding
    for block in sorted(blocks, key=lambda block: block.source.shape[1] * len(block.threshold), reverse=True):
        (cores, inputs), nodes = block.source.shape, len(block.threshold)
        for i, (others, most_inputs, most_nodes, real) in enumerate(sizes):
            joint = cores + others, max(inputs, most_inputs), max(nodes, most_nodes), real + cores * inputs * nodes
            padding = math.prod(joint[:3]) - joint[3]
            if padding <= max(_PADDING, joint[3] // 8):
                groups[i].append(block)
                sizes[i] = joint
                break
        else:
            groups.append([block])
            sizes.append((cores, inputs, nodes, cores * inputs * nodes))
    return groups


def _portions(blocks: Sequence[Block], rows: int) -> Iterator[list[Block]]:
    """Yields the blocks, cut between cores where needed, in portions of at most so many rows, or one core."""
    most = max(1, rows // max(len(block.threshold) for block in blocks))
    portion: list[Block] = []
    for block in blocks:
        begin = 0
        while begin < len(block.source):
            cores = slice(begin, begin + most - sum(len(part.source) for part in portion))
            some = {name: getattr(block, name)[cores] for name in ("source", "delay", "signal")}
            portion.append(dataclasses.replace(block, **some))
            begin = cores.stop
            if sum(len(part.source) for part in portion) == most:
                yield portion
                portion = []
    if portion:
        yield portion


def _digits(weights: Int32[np.ndarray, "*n"], largest: int) -> list[Int32[np.ndarray, "*n"]]:
    """Returns weights as Σ_i 256^i · digit i, each digit at most `largest` in magnitude, or −128.

    Example:
        >>> [digit.tolist() for digit in _digits(np.array([5, -3, 300], np.int32), 127)]
        [[5, -3, 44], [0, 0, 1]]
        >>> [digit.tolist() for digit in _digits(np.array([5, -3, 127], np.int32), 127)]
        [[5, -3, 127]]
    """
    if np.abs(weights).max(initial=0) <= largest:
        return [weights]
    low = (weights + 128) % 256 - 128
    return [low, *_digits((weights - low) // 256, largest)]


def _columns(chip: _Chip, device: _Device) -> int:
    """Returns how many ticks × streams to take at once."""
    products = [step for step in chip.steps if isinstance(step, _Product)]
    size = chip.rows + max(  # of all arrays of a column [B]
        (
            step.start.shape[0] * step.start.shape[1] * step.weights.dtype.itemsize
            + step.rows * step.digits * step.threshold.dtype.itemsize
            for step in products
        ),
        default=0,
    )
    return max(1, min(device.columns, device.memory // size))
