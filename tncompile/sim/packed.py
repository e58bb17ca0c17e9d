"""The fast engine: a jit-compiled scan over ticks, with crossbars as packed bits and popcount as the inner loop.

It runs any image: recurrent wiring, all delays, neurons with state in every deterministic mode, any layout of axon
types. How one tick goes:

1. *Gather.* Routing is turned round: every axon reads the byte of its source, a neuron's spike or an input bit, in
   the row of the tick `delay` ago. The few axons of several sources get the OR of the others scattered on top.
2. *Pack.* 32 axons of one type make a word. The axons of each core are sorted by type for that, and all cores have
   the same types at the same words, so a word's type is known when the engine is compiled. Axons without a source
   take no room.
3. *Integrate.* Σ_G s^G · Σ popcount(word & crossbar word), over the words of type G. The sum is exact in 32 bits:
   at most 4096 axons of 15-bit weights.
4. *Fire.* Saturate, leak, saturate, threshold and reset, saturate: the order of `NeuronTable`. Neurons whose potential
   is 0 before every tick need one comparison, Σ ≥ α − λ, and no state.

What the scan carries are spike bytes. With packed words as the carry, XLA fuses the popcounts into the gather that
follows and computes them once more for every axon. Arrays have the batch as their last axis: a gather then reads all
streams of a source at once. The lanes of a word are the last axis of the gather's indices: with lanes first, the 32
reads of a word lie a power of two apart and fall into one set of the cache, several times slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int, Int16, Int32, Int64, Shaped, UInt8, UInt32

from tncompile.errors import CapacityError
from tncompile.ir import ChipImage, NeuronTable, ResetMode
from tncompile.reference.neuron import check_deterministic
from tncompile.sim.engine import check_frames
from tncompile.sim.wiring import Wiring, resolve

_LANES = 32  # axons a word
_NEVER = 1 << 30  # a threshold beyond every potential


@partial(jax.tree_util.register_dataclass, data_fields=["first", "extra", "levels", "owner"], meta_fields=[])
@dataclass(frozen=True, kw_only=True, eq=False)
class _Merge:
    """Reads the sources of each destination and ORs them.

    Attributes:
        first: one source of each destination; a place that is always 0 if it has none.
        extra: all further sources, those of one destination beside each other.
        levels: halve the number of further sources of each destination by a ∨ b, until one is left.
        owner: destination of each OR of further sources, flat and ascending.
    """

    first: Int32[Array, "*destinations"]
    extra: Int32[Array, " extras"]
    levels: tuple[tuple[Int32[Array, " _"], Int32[Array, " _"]], ...]
    owner: Int32[Array, " owners"]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["axons", "pins", "crossbars", "weights", "threshold", "stateful"],
    meta_fields=["cores", "neurons", "input_bits", "rows", "words"],
)
@dataclass(frozen=True, kw_only=True, eq=False)
class _Chip:
    """A chip image in the form that the scan reads.

    Attributes:
        cores, neurons, input_bits: how many.
        rows: the longest delay in use [tick].
        words: how many words the axons of each type take; their order is that of the words.
        axons: sources of the axons, [word, core, lane]; an index into `rows` rows of sources.
        pins: sources of the output pins; an index into one row.
        crossbars: bit `lane` of [word, core, neuron]; no bit is set for an unused neuron.
        weights: s^G of each type, for all neurons or each one [LSB].
        threshold: α − λ of stateless neurons, else α [LSB]; out of reach for unused neurons.
        stateful: the rest of the neuron, or None if all are stateless.
    """

    cores: int
    neurons: int
    input_bits: int
    rows: int
    words: tuple[int, ...]
    axons: _Merge
    pins: _Merge
    crossbars: UInt32[Array, "words cores neurons"]
    weights: tuple[Int16[Array, "..."], ...]
    threshold: Int32[Array, "cores neurons"]
    stateful: _Stateful | None

    @property
    def row(self) -> int:
        """Sources in a row: neurons, input bits, and one that never spikes."""
        return self.cores * self.neurons + self.input_bits + 1


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["leak", "leak_reversal", "negative_threshold", "keep_spike", "add_spike", "keep_below", "add_below"],
    meta_fields=["low", "high"],
)
@dataclass(frozen=True, kw_only=True, eq=False)
class _Stateful:
    """Neurons that keep a potential; each array is for all neurons, or for each one.

    All reset modes are one formula: V becomes V·keep + add, with one (keep, add) behind a spike and one below −β.

    Attributes:
        low, high: the potential's range [LSB].
        leak: λ [LSB].
        leak_reversal: ε, or None if no neuron has it.
        negative_threshold: β [LSB].
        keep_spike, add_spike, keep_below, add_below: as above.
    """

    low: int
    high: int
    leak: Int32[Array, "..."]
    leak_reversal: Bool[Array, "..."] | None
    negative_threshold: Int32[Array, "..."]
    keep_spike: Int32[Array, "..."]
    add_spike: Int32[Array, "..."]
    keep_below: Int32[Array, "..."]
    add_below: Int32[Array, "..."]


@partial(jax.tree_util.register_dataclass, data_fields=["last", "ring", "position", "potential"], meta_fields=[])
@dataclass(frozen=True, kw_only=True, eq=False)
class PackedState:
    """What the chip holds between two ticks.

    Attributes:
        last: the sources in the tick before: spikes of the neurons, input bits, and a 0.
        ring: the same of the ticks before that, row by row; None if every delay is 1.
        position: the row of the ring that `last` will go to.
        potential: V [LSB]; None if all neurons are stateless.
    """

    last: UInt8[Array, "sources batch"]
    ring: UInt8[Array, "rows_times_sources batch"] | None
    position: Int32[Array, ""]
    potential: Int32[Array, "cores neurons batch"] | None


class PackedEngine:
    """Runs one chip image.

    The potential saturates after the sum of all synapses, after the leak and after the reset; partial sums within the
    synapses do not saturate.

    Differs: random numbers (b, c, TM) are not simulated.
    """

    def __init__(self, image: ChipImage) -> None:
        """Lays out an image.

        Raises:
            CapacityError: more sources and delays than 32-bit indices can tell apart.
            InfeasibleError: a neuron needs random numbers.
            SimulationError: the image disagrees with itself.
        """
        check_deterministic(image.neurons)
        self.image = image
        self._chip = _lay_out(image, resolve(image))
        self._compiled: dict[tuple[int, int], Any] = {}

    def init(self, batch: int) -> PackedState:
        """Returns the state of `batch` independent streams before their first tick."""
        chip = self._chip
        potential = None
        if chip.stateful is not None:
            table, kind = self.image.neurons, self.image.neuron_type
            initial = np.where(kind == 0, 0, table.initial[kind]).astype(np.int32)
            potential = jnp.asarray(np.repeat(initial[..., None], batch, axis=-1))
        return PackedState(
            last=jnp.zeros((chip.row, batch), jnp.uint8),
            ring=jnp.zeros((chip.rows * chip.row, batch), jnp.uint8) if chip.rows > 1 else None,
            position=jnp.asarray(0, jnp.int32),
            potential=potential,
        )

    def prepare(self, batch: int, ticks: int) -> None:
        """Compiles the engine for calls of `run` with this batch and this many ticks."""
        if (batch, ticks) not in self._compiled:
            frames = jax.ShapeDtypeStruct((batch, ticks, self._chip.input_bits), jnp.bool_)
            leaves, structure = jax.tree.flatten((self._chip, self.init(batch)))
            self._compiled[batch, ticks] = _run.lower(structure, leaves, frames).compile()

    def run(
        self, state: PackedState, frames: Bool[np.ndarray, "batch ticks input_bits"]
    ) -> tuple[PackedState, Bool[np.ndarray, "batch ticks pins"]]:
        """Returns the state after as many ticks as there are frames, and the output pins in each of them.

        Args:
            state: the state before.
            frames: the input bits that enter in each tick.

        Raises:
            SimulationError: the frames do not fit the image or the state.
        """
        batch = state.last.shape[1]
        check_frames(frames, batch, self._chip.input_bits)
        ticks = frames.shape[1]
        if ticks == 0:
            return state, np.zeros((batch, 0, self.image.output_pins), bool)
        self.prepare(batch, ticks)
        state, output = self._compiled[batch, ticks](jax.tree.leaves((self._chip, state)), frames)
        return state, np.asarray(output)

    def step(
        self, state: PackedState, frame: Bool[np.ndarray, "batch input_bits"]
    ) -> tuple[PackedState, Bool[np.ndarray, "batch pins"]]:
        """Returns the state after one tick, and its output pins; errors as in `run`."""
        state, output = self.run(state, frame[:, None])
        return state, output[:, 0]

    def spikes(self, state: PackedState) -> Bool[np.ndarray, "batch cores neurons"]:
        """Returns the neurons that spiked in the last tick."""
        chip = self._chip
        spikes = np.asarray(state.last[: chip.cores * chip.neurons]).T
        return spikes.reshape(-1, chip.cores, chip.neurons).astype(bool)

    def potential(self, state: PackedState) -> Int[np.ndarray, "batch cores neurons"]:
        """Returns the potential of all neurons after the last tick [LSB]."""
        if state.potential is None:
            return np.zeros((state.last.shape[1], *self.image.neuron_type.shape), np.int32)
        return np.asarray(state.potential).transpose(2, 0, 1)


@partial(jax.jit, static_argnums=0)
def _run(
    structure: Any, leaves: list[Array], frames: Bool[Array, "batch ticks input_bits"]
) -> tuple[PackedState, Bool[Array, "batch ticks pins"]]:
    """Returns the state and the pins; chip and state come in leaves, for JAX would fill them with what is no array."""
    chip, state = jax.tree.unflatten(structure, leaves)

    def step(state: PackedState, frame: UInt8[Array, "input_bits batch"]):
        # The pins of the tick before: reading those of this one would fuse the popcounts into the pins' gather.
        return _tick(chip, state, frame), _merged(chip.pins, state.last, chip.pins.first, chip.pins.extra)

    state, output = lax.scan(step, state, frames.transpose(1, 2, 0).astype(jnp.uint8))
    newest = _merged(chip.pins, state.last, chip.pins.first, chip.pins.extra)
    output = jnp.concatenate([output[1:], newest[None]])
    return state, output.transpose(2, 0, 1).astype(bool)


def _tick(chip: _Chip, state: PackedState, frame: UInt8[Array, "input_bits batch"]) -> PackedState:
    batch = state.last.shape[1]
    axons, ring = _axons(chip, state)

    words = jnp.sum(axons.astype(jnp.uint32) << jnp.arange(_LANES, dtype=jnp.uint32)[:, None], axis=2)
    total = jnp.zeros((chip.cores, chip.neurons, batch), jnp.int32)
    begin = 0
    for count, weight in zip(chip.words, chip.weights, strict=True):
        end = begin + count
        both = words[begin:end, :, None, :] & chip.crossbars[begin:end, :, :, None]
        total += _each(weight).astype(jnp.int32) * jnp.sum(lax.population_count(both).astype(jnp.int32), axis=0)
        begin = end

    potential = None
    if chip.stateful is None:
        spikes = total >= chip.threshold[..., None]
    else:
        assert state.potential is not None
        potential, spikes = _fire(chip.stateful, chip.threshold, state.potential + total)
    last = jnp.concatenate([spikes.astype(jnp.uint8).reshape(-1, batch), frame, jnp.zeros((1, batch), jnp.uint8)])
    return PackedState(last=last, ring=ring, position=(state.position + 1) % chip.rows, potential=potential)


def _axons(
    chip: _Chip, state: PackedState
) -> tuple[UInt8[Array, "words cores lanes batch"], UInt8[Array, "rows_times_sources batch"] | None]:
    """Returns the axons that spike in this tick, and the ring with the row of the tick before."""
    if state.ring is None:
        return _merged(chip.axons, state.last, chip.axons.first, chip.axons.extra), None
    ring = lax.dynamic_update_slice(state.ring, state.last, (state.position * chip.row, jnp.int32(0)))

    def turned(index: Int32[Array, "*n"]) -> Int32[Array, "*n"]:
        index = index + state.position * chip.row
        return jnp.where(index >= len(ring), index - len(ring), index)

    return _merged(chip.axons, ring, turned(chip.axons.first), turned(chip.axons.extra)), ring


def _merged(
    merge: _Merge,
    sources: UInt8[Array, "sources batch"],
    first: Int32[Array, "*destinations"],
    extra: Int32[Array, " extras"],
) -> UInt8[Array, "*destinations batch"]:
    value = _take(sources, first)
    if not merge.owner.size:
        return value
    further = _take(sources, extra)
    for a, b in merge.levels:
        further = _take(further, a) | _take(further, b)
    flat = value.reshape(-1, value.shape[-1])
    into = flat.at[merge.owner]
    flat = into.max(further, mode="promise_in_bounds", unique_indices=True, indices_are_sorted=True)
    return flat.reshape(value.shape)


def _take(array: UInt8[Array, "n batch"], index: Int32[Array, "*m"]) -> UInt8[Array, "*m batch"]:
    return array.at[index].get(mode="promise_in_bounds")


def _fire(
    neuron: _Stateful, threshold: Int32[Array, "cores neurons"], v: Int32[Array, "cores neurons batch"]
) -> tuple[Int32[Array, "cores neurons batch"], Bool[Array, "cores neurons batch"]]:
    """Returns the potential at the tick's end and the spikes, from the potential with the synapses' sum."""
    v = jnp.clip(v, neuron.low, neuron.high)
    leak = _each(neuron.leak)
    if neuron.leak_reversal is None:
        v = v + leak
    else:
        reversal = _each(neuron.leak_reversal)
        leaked = v + jnp.where(reversal, jnp.sign(v), 1) * leak
        crossed = reversal & (jnp.sign(v) * jnp.sign(leaked) < 0)
        v = jnp.where(crossed, 0, leaked)
    v = jnp.clip(v, neuron.low, neuron.high)
    spikes = v >= threshold[..., None]
    below = v < -_each(neuron.negative_threshold)
    after_spike = v * _each(neuron.keep_spike) + _each(neuron.add_spike)
    after_below = v * _each(neuron.keep_below) + _each(neuron.add_below)
    v = jnp.where(spikes, after_spike, jnp.where(below, after_below, v))
    return jnp.clip(v, neuron.low, neuron.high), spikes


def _each(value: Array) -> Array:
    """Returns a number for all neurons, or one for each, ready to meet a batch."""
    return value[..., None] if value.ndim else value


def _lay_out(image: ChipImage, wiring: Wiring) -> _Chip:
    """Returns the image in the form that the scan reads."""
    arch = wiring.arch
    cores, neurons = image.neuron_type.shape
    sources = cores * neurons + image.input_bits + 1
    rows = int(wiring.delay.max(initial=1))
    if rows * sources > np.iinfo(np.int32).max:
        raise CapacityError(
            f"chip image: {sources} neurons and input bits with delays up to {rows} ticks make {rows * sources} "
            f"entries, the engine takes {np.iinfo(np.int32).max}; use shorter delays or fewer cores"
        )

    sourced = np.zeros((cores, arch.axons), bool)
    sourced.ravel()[wiring.target] = True
    slot = np.full((cores, arch.axons), -1, np.int64)  # word · lanes + lane
    types, words = [], []
    for kind in range(arch.axon_types):
        of_kind = sourced & (image.axon_type == kind)
        count = -(-int(of_kind.sum(axis=1).max(initial=0)) // _LANES)
        if count:
            rank = np.cumsum(of_kind, axis=1) - 1
            slot[of_kind] = (sum(words) * _LANES + rank)[of_kind]
            types.append(kind)
            words.append(count)

    core, axon = np.divmod(wiring.target, arch.axons)
    word, lane = np.divmod(slot[core, axon], _LANES)
    shape = (sum(words), cores, _LANES)
    axons = _merge(
        destination=np.ravel_multi_index((word, core, lane), shape) if len(core) else core,
        source=((1 - wiring.delay) % rows) * sources + wiring.source,
        shape=shape,
        none=sources - 1,
    )
    pins = _merge(destination=wiring.pin, source=wiring.pin_source, shape=(image.output_pins,), none=sources - 1)
    kind, table = image.neuron_type, image.neurons
    used = kind != 0
    kinds = np.unique(kind[used])
    reach = _reach(table, kinds, sourced, image.axon_type)
    stateless = bool(_stateless(table)[kinds].all()) and reach <= arch.potential_range[1]
    threshold = table.threshold - (table.leak if stateless else 0)
    return _Chip(
        cores=cores,
        neurons=neurons,
        input_bits=image.input_bits,
        rows=rows,
        words=tuple(words),
        axons=axons,
        pins=pins,
        crossbars=jnp.asarray(_pack_crossbars(image, slot, sum(words))),
        weights=tuple(_compact(table.weights[kind, g], used) for g in types),
        threshold=jnp.asarray(np.where(used, threshold[kind], _NEVER), jnp.int32),
        stateful=None if stateless else _stateful(table, kind, arch.potential_range),
    )


def _compact(
    values: Shaped[np.ndarray, "cores neurons"], used: Bool[np.ndarray, "cores neurons"]
) -> Shaped[Array, "..."]:
    """Returns one number if all used neurons have the same, else one a neuron."""
    some = values[used]
    return jnp.asarray(some[0] if some.size and (some == some[0]).all() else values)


def _merge(
    destination: Int64[np.ndarray, " arcs"], source: Int64[np.ndarray, " arcs"], shape: tuple[int, ...], none: int
) -> _Merge:
    """Returns how to read arcs from sources to destinations, which are flat indices into `shape`.

    Args:
        destination, source: one arc each.
        shape: of the destinations.
        none: a source that is always 0.
    """
    order = np.argsort(destination, kind="stable")
    destination, source = destination[order], source[order]
    repeated = np.zeros(len(destination), bool)
    repeated[1:] = destination[1:] == destination[:-1]
    first = np.full(int(np.prod(shape)), none, np.int32)
    first[destination[~repeated]] = source[~repeated]

    owner, count = np.unique(destination[repeated], return_counts=True)
    levels = []
    while count.max(initial=1) > 1:
        begin, half = np.cumsum(count) - count, (count + 1) // 2
        pair = np.arange(half.sum()) - np.repeat(np.cumsum(half) - half, half)
        a = np.repeat(begin, half) + 2 * pair
        b = np.minimum(a + 1, np.repeat(begin + count - 1, half))
        levels.append((jnp.asarray(a, jnp.int32), jnp.asarray(b, jnp.int32)))
        count = half
    return _Merge(
        first=jnp.asarray(first.reshape(shape)),
        extra=jnp.asarray(source[repeated], jnp.int32),
        levels=tuple(levels),
        owner=jnp.asarray(owner, jnp.int32),
    )


def _pack_crossbars(
    image: ChipImage, slot: Int64[np.ndarray, "cores axons"], words: int
) -> UInt32[np.ndarray, "words cores neurons"]:
    """Returns the crosspoints of each core with its axons in their slots; none for unused neurons."""
    cores, neurons = image.neuron_type.shape
    packed = np.zeros((words, cores, neurons), np.uint32)
    for core in range(cores):  # one at a time: unpacked, a chip of 4096 cores takes 268 MB
        taken = np.flatnonzero(slot[core] >= 0)
        rows = np.zeros((words * _LANES, image.crossbars.shape[2]), np.uint8)
        rows[slot[core, taken]] = image.crossbars[image.core_crossbar[core], taken]
        bits = np.unpackbits(rows, axis=1, bitorder="little")
        column = np.packbits(bits, axis=0, bitorder="little").reshape(words, _LANES // 8, neurons)
        packed[:, core] = np.ascontiguousarray(column.transpose(0, 2, 1)).view("<u4")[..., 0]
    return np.where(image.neuron_type != 0, packed, np.uint32(0))


def _reach(
    table: NeuronTable,
    kinds: Int[np.ndarray, " kinds"],
    sourced: Bool[np.ndarray, "cores axons"],
    axon_type: UInt8[np.ndarray, "cores axons"],
) -> int:
    """Returns a bound on |Σ s| over all subsets of a core's axons, for the neurons of these kinds [LSB]."""
    axons = [int((sourced & (axon_type == g)).sum(axis=1).max(initial=0)) for g in range(table.weights.shape[1])]
    return int((np.abs(table.weights[kinds].astype(np.int64)) @ np.array(axons)).max(initial=0))


def _stateless(table: NeuronTable) -> Bool[np.ndarray, " types"]:
    """Returns the neurons whose potential is 0 before every tick, whatever comes in.

    With β = 0 and α ≤ 1, every V but 0 is above or below a threshold; with γ = 0 and R = 0 both lead to 0.
    """
    return (
        (table.initial == 0)
        & (table.threshold <= 1)
        & (table.negative_threshold == 0)
        & (table.reset_mode == ResetMode.RESET)
        & (table.reset == 0)
        & ~table.leak_reversal
    )


def _stateful(
    table: NeuronTable, kind: Int32[np.ndarray, "cores neurons"], potential_range: tuple[int, int]
) -> _Stateful:
    """Returns the neurons' parameters besides weights and threshold.

    Unused neurons get no leak, so their V stays 0 and the other parameters do not matter to them.
    """
    used = kind != 0
    everywhere = np.ones_like(used)
    keep = table.reset_mode != ResetMode.RESET
    subtract = table.reset_mode == ResetMode.SUBTRACT
    alpha, beta, saturate = table.threshold, table.negative_threshold, table.negative_saturate

    def each(values: np.ndarray) -> Array:
        return _compact(values[kind].astype(np.int32), used)

    return _Stateful(
        low=potential_range[0],
        high=potential_range[1],
        leak=_compact(np.where(used, table.leak[kind], 0).astype(np.int32), everywhere),
        leak_reversal=_compact(table.leak_reversal[kind], used) if table.leak_reversal[kind[used]].any() else None,
        negative_threshold=each(beta),
        keep_spike=each(keep),
        add_spike=each(np.where(keep, -alpha * subtract, table.reset)),
        keep_below=each(keep & ~saturate),
        add_below=each(np.where(saturate, -beta, np.where(keep, beta * subtract, -table.reset))),
    )
