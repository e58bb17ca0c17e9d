"""A chip image in the form that the engine `packed` computes on, and how it is laid out so.

Cores that ask for the same work make a *group*: those whose neurons draw random numbers for their synapses, for leak
and threshold, for both, or none. Nobody pays for what another group does.
Where the cores are cut into shards, one a device, each group is filled up with unused cores to a multiple of them.

Sources are numbered shard by shard: the neurons of the shard's cores, group by group. The last rows of the last group
are unused cores: the input bits are there, and at least one source that never spikes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from functools import partial
from itertools import pairwise

import jax
import numpy as np
from jaxtyping import Bool, Int32, Int64, Shaped, UInt8, UInt32

from tncompile.arch import ChipArch
from tncompile.errors import CapacityError
from tncompile.ir import ChipImage, NeuronTable, ResetMode
from tncompile.ir.base import Record
from tncompile.sim.neurons import is_stateless
from tncompile.sim.wiring import Wiring

LANES = 32
"""Axons a word."""
SYNAPSE_LANES = 8
"""Axons that share one draw of random numbers."""

_CORES_AT_ONCE = 64  # unpacked, a chip of 4096 cores takes 268 MB
_COUNT = np.iinfo(np.int32).max

_pytree = jax.tree_util.register_dataclass

AnyArray = jax.Array | np.ndarray
"""Laid out by NumPy, computed on by JAX."""


@partial(_pytree, data_fields=["first", "extra", "lane", "levels", "owner"], meta_fields=[])
@dataclass(frozen=True, kw_only=True, eq=False)
class Reader:
    """Reads past spikes into the lanes of words; where a lane has several sources, it gets their OR.

    A source and an age are one number, (plane · sources + source) · bits + bit: `Chip` says what a plane is. All
    fields but the first have the shards as their first axis, each filled up to the length of the longest.

    Attributes:
        first: one source of each lane; the one that never spikes if it has none.
        extra: all further sources, those of one word beside each other.
        lane: where each of them goes.
        levels: halve the number of further sources of each word by a | b, until one is left.
        owner: the word that each OR of further sources belongs to, flat within the shard and ascending; behind the
            last word if it is filling.
    """

    first: Int32[AnyArray, "*words lanes"]
    extra: Int32[AnyArray, "shards extras"]
    lane: UInt8[AnyArray, "shards extras"]
    levels: tuple[tuple[Int32[AnyArray, "shards _"], Int32[AnyArray, "shards _"]], ...]
    owner: Int32[AnyArray, "shards owners"]


@partial(
    _pytree,
    data_fields=["leak", "leak_reversal", "floor", "keep_spike", "add_spike", "keep_below", "add_below"],
    meta_fields=["low", "high", "wraps", "bit"],
)
@dataclass(frozen=True, kw_only=True, eq=False)
class Stateful:
    """Neurons that keep a potential; each array is for all neurons of the group, or for each one.

    All reset modes are one formula: V becomes V·keep + add, with one (keep, add) behind a spike and one below the
    floor.

    Attributes:
        low, high: the potential's range [LSB].
        wraps: whether a potential outside wraps; else it saturates.
        bit: 1 if the potential is held as 2 V + spike, 0 if it has all 32 bits of the number for itself.
        leak: λ [LSB].
        leak_reversal: ε, or None if no neuron has it.
        floor: V below it is below the negative threshold: −β, or −β + 1 where V = −β counts as below [LSB].
        keep_spike, add_spike, keep_below, add_below: as above.
    """

    low: int
    high: int
    wraps: bool
    bit: int
    leak: Shaped[AnyArray, "..."]
    leak_reversal: Bool[AnyArray, "..."] | None
    floor: Shaped[AnyArray, "..."]
    keep_spike: Bool[AnyArray, "..."]
    add_spike: Shaped[AnyArray, "..."]
    keep_below: Bool[AnyArray, "..."]
    add_below: Shaped[AnyArray, "..."]


@partial(_pytree, data_fields=["mask", "mask_below", "take_spike", "take_below", "stochastic_leak"], meta_fields=[])
@dataclass(frozen=True, kw_only=True, eq=False)
class Noise:
    """What the neurons' own random numbers, η and ρ of the leak, do; each array is for all neurons, or for each one.

    Attributes:
        mask: 2^TM − 1.
        mask_below: the same where η widens the negative threshold too, else 0.
        take_spike, take_below: whether η is subtracted behind a spike, or added below the floor.
        stochastic_leak: c, or None if no neuron has it.
    """

    mask: UInt32[AnyArray, "..."]
    mask_below: UInt32[AnyArray, "..."]
    take_spike: Bool[AnyArray, "..."]
    take_below: Bool[AnyArray, "..."]
    stochastic_leak: Bool[AnyArray, "..."] | None


@partial(_pytree, data_fields=["axons", "kind", "crossbars", "weights"], meta_fields=["types", "blocks"])
@dataclass(frozen=True, kw_only=True, eq=False)
class RandomSynapses:
    """Synapses that draw random numbers; their axons in their own order, in blocks of 8 that share a draw.

    Attributes:
        types: the axon types that any of them has.
        blocks: the number over 8 of their axons.
        axons: sources of the axons.
        kind: axon type.
        crossbars: crosspoints with b = 1, one bit an axon.
        weights: s^G of each of the types, for all neurons or each one [LSB].
    """

    types: tuple[int, ...]
    blocks: tuple[int, ...]
    axons: Reader
    kind: UInt8[AnyArray, "cores blocks lanes"]
    crossbars: UInt8[AnyArray, "cores blocks neurons"]
    weights: tuple[Shaped[AnyArray, "..."], ...]


@partial(
    _pytree,
    data_fields=["core", "axons", "crossbars", "weights", "threshold", "stateful", "noise", "synapses"],
    meta_fields=["words"],
)
@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Cores that ask for the same work.

    Attributes:
        words: how many words the axons of each type take; their order is that of the words.
        core: the core's number in the image; 0 if it is filling.
        axons: sources of the axons.
        crossbars: crosspoints with b = 0, bit `lane` of each word; none is set for an unused neuron.
        weights: s^G of each type, for all neurons or each one [LSB].
        threshold: α − λ of stateless neurons, else α [LSB]; out of reach for unused neurons.
        stateful: the rest of the neuron, or None if all are stateless.
        noise: its own random numbers, or None if it draws none.
        synapses: its synapses with random numbers, or None if it has none.
    """

    words: tuple[int, ...]
    core: UInt32[AnyArray, " cores"]
    axons: Reader
    crossbars: UInt32[AnyArray, "cores words neurons"]
    weights: tuple[Shaped[AnyArray, "..."], ...]
    threshold: Shaped[AnyArray, "..."]
    stateful: Stateful | None
    noise: Noise | None
    synapses: RandomSynapses | None


@partial(_pytree, data_fields=["groups", "pins"], meta_fields=["neurons", "input_bits", "inputs", "bits", "planes"])
@dataclass(frozen=True, kw_only=True, eq=False)
class Chip:
    """A chip image in the form that the engine computes on.

    Past spikes are kept as bits of one number a source: the last tick's in the lowest bit. Delays too long for one
    number go on in a second plane of all sources.

    Attributes:
        neurons, input_bits: how many, a core and in all.
        inputs: rows of the last group that are no cores, but the input bits.
        bits: of the number that keeps a source's past spikes, 8, 16 or 32.
        planes: how many such numbers.
        groups: the cores.
        pins: sources of the output pins; words of one lane.
    """

    neurons: int
    input_bits: int
    inputs: int
    bits: int
    planes: int
    groups: tuple[Group, ...]
    pins: Reader


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seats(Record):
    """Where the image's cores are.

    Attributes:
        group: of each core.
        row: of each core in its group's arrays.
        position: of each core, so that its neurons are the sources position · neurons + neuron.
    """

    group: Int64[np.ndarray, " cores"]
    row: Int64[np.ndarray, " cores"]
    position: Int64[np.ndarray, " cores"]


def lay_out(image: ChipImage, wiring: Wiring, shards: int) -> tuple[Chip, Seats]:
    """Returns an image in the form that the engine computes on, and where its cores are.

    Args:
        image: the chip.
        wiring: who sends to whom in it.
        shards: into how many equal parts the cores are cut.

    Raises:
        CapacityError: more sources and delays than 32-bit indices can tell apart.
    """
    arch = wiring.arch
    cores, neurons = image.neuron_type.shape
    inputs = image.input_bits // neurons + 1  # rows, with at least one source that never spikes
    works, members, seats = _seat(_works(image, wiring), shards, inputs)
    bits = 8 if arch.delay_max <= 8 else 16 if arch.delay_max <= 16 else 32
    planes = -(-arch.delay_max // bits)
    rows = sum(map(len, members))
    sources = rows * neurons
    if planes * sources * bits > _COUNT:
        raise CapacityError(
            f"chip image: {sources} neurons and input bits with delays up to {arch.delay_max} ticks make "
            f"{planes * sources * bits} bits, the engine takes {_COUNT}; use a chip of shorter delays or fewer cores"
        )

    core, neuron = np.divmod(wiring.source, neurons)
    is_neuron = core < cores
    source = np.where(
        is_neuron,
        seats.position[np.where(is_neuron, core, 0)] * neurons + neuron,
        (rows - inputs) * neurons + wiring.source - cores * neurons,
    )
    plane, bit = np.divmod(wiring.delay - 1, bits)
    code = (plane * sources + source) * bits + bit
    none = (sources - 1) * bits
    core, axon = np.divmod(wiring.target, arch.axons)
    group = seats.group[core]
    groups = []
    for index, (work, those) in enumerate(zip(works, members, strict=True)):
        to = group == index
        arcs = _Arcs(row=seats.row[core[to]], axon=axon[to], code=code[to])
        groups.append(_group(image, arch, work, those, arcs, none, shards))

    core, neuron = np.divmod(wiring.pin_source, neurons)
    pins = _reader(
        word=wiring.pin,
        lane=np.zeros(len(wiring.pin), np.int64),
        code=(seats.position[core] * neurons + neuron) * bits,
        shape=(image.output_pins, 1),
        none=none,
        shards=1,
    )
    chip = Chip(
        neurons=neurons,
        input_bits=image.input_bits,
        inputs=inputs,
        bits=bits,
        planes=planes,
        groups=tuple(groups),
        pins=pins,
    )
    return chip, seats


class _Work(IntFlag):
    """What a core asks for besides popcounts and a comparison."""

    STATE = 1
    NOISE = 2  # random numbers for leak or threshold
    RANDOM_SYNAPSES = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Arcs(Record):
    """Who sends to the axons of a group.

    Attributes:
        row: of the core in the group.
        axon: of the core.
        code: source and age, as in `Reader`.
    """

    row: Int64[np.ndarray, " arcs"]
    axon: Int64[np.ndarray, " arcs"]
    code: Int64[np.ndarray, " arcs"]


def _works(image: ChipImage, wiring: Wiring) -> Int64[np.ndarray, " cores"]:
    """Returns the `_Work` that each core asks for; state is asked for by all cores or by none."""
    table = image.neurons
    row = np.where(table.stochastic_leak | (table.mask_bits > 0), _Work.NOISE, 0)
    row |= np.where(table.stochastic_weights.any(axis=1), _Work.RANDOM_SYNAPSES, 0)
    row[0] = 0
    works = np.bitwise_or.reduce(row[image.neuron_type], axis=1).astype(np.int64)
    return works if is_stateless(image, wiring) else works | _Work.STATE


def _seat(
    works: Int64[np.ndarray, " cores"], shards: int, inputs: int
) -> tuple[tuple[_Work, ...], tuple[Int64[np.ndarray, " rows"], ...], Seats]:
    """Returns each group's work and its cores, −1 = filling, and where each core is.

    Each shard has as many rows of each group, beside each other. The group of the least work comes last, because
    the rows of the input bits are its last ones, all in the last shard.

    Args:
        works: equal for cores of one group.
        shards: how many.
        inputs: how many rows the input bits take.
    """
    kinds = np.unique(works)[::-1]
    groups = [np.flatnonzero(works == kind) for kind in kinds]
    rows = [-(-len(group) // shards) for group in groups]  # of one shard
    rows[-1] = max(-(-(len(groups[-1]) + inputs) // shards), inputs)
    begin = np.cumsum([0, *rows])
    group_of, row_of, position = (np.zeros(len(works), np.int64) for _ in range(3))
    members = []
    for index, group in enumerate(groups):
        row = np.arange(len(group))
        shard, offset = np.divmod(row, rows[index])
        group_of[group] = index
        row_of[group] = row
        position[group] = shard * begin[-1] + begin[index] + offset
        members.append(np.concatenate([group, np.full(shards * rows[index] - len(group), -1)]))
    seats = Seats(group=group_of, row=row_of, position=position)
    return tuple(_Work(int(kind)) for kind in kinds), tuple(members), seats


def _group(
    image: ChipImage,
    arch: ChipArch,
    work: _Work,
    members: Int64[np.ndarray, " rows"],
    arcs: _Arcs,
    none: int,
    shards: int,
) -> Group:
    """Returns one group.

    Args:
        image, arch: the chip.
        work: what the cores ask for.
        members: the cores, −1 = filling.
        arcs: who sends to them.
        none: code of the source that never spikes.
        shards: into how many equal parts the cores are cut.
    """
    table = image.neurons
    kind = np.where(members[:, None] >= 0, image.neuron_type[members], 0)
    used = kind != 0
    axon_type = image.axon_type[members]
    sourced = np.zeros(axon_type.shape, bool)
    sourced[arcs.row, arcs.axon] = True

    slot = np.full(axon_type.shape, -1, np.int64)  # word · lanes + lane
    types, words = [], []
    for g in range(arch.axon_types):
        of_type = sourced & (axon_type == g)
        count = -(-int(of_type.sum(axis=1).max(initial=0)) // LANES)
        if count:
            rank = np.cumsum(of_type, axis=1) - 1
            slot[of_type] = (sum(words) * LANES + rank)[of_type]
            types.append(g)
            words.append(count)
    word, lane = np.divmod(slot[arcs.row, arcs.axon], LANES)
    axons = _reader(
        word=arcs.row * sum(words) + word,
        lane=lane,
        code=arcs.code,
        shape=(len(members), sum(words), LANES),
        none=none,
        shards=shards,
    )
    crossbars = _pack_crossbars(image, members, slot, sum(words))
    crossbars *= used[:, None]
    synapses = None
    if work & _Work.RANDOM_SYNAPSES:
        for word, g in enumerate(np.repeat(types, words)):
            crossbars[:, word][table.stochastic_weights[kind, g]] = 0
        synapses = _random_synapses(image, members, arcs, none, shards)
    threshold = np.where(used, table.threshold[kind] - (0 if work & _Work.STATE else table.leak[kind]), 1)
    return Group(
        words=tuple(words),
        core=np.maximum(members, 0).astype(np.uint32),
        axons=axons,
        crossbars=crossbars,
        weights=tuple(_compact(table.weights[kind, g], used) for g in types),
        threshold=_compact(threshold),
        stateful=_stateful(table, arch, kind) if work & _Work.STATE else None,
        noise=_noise(table, kind) if work & _Work.NOISE else None,
        synapses=synapses,
    )


def _compact(
    values: Shaped[np.ndarray, "cores neurons"], used: Bool[np.ndarray, "cores neurons"] | None = None
) -> Shaped[AnyArray, "..."]:
    """Returns one number if all neurons have the same, else one a neuron; integers in as few bytes as they need.

    Args:
        values: one a neuron.
        used: the neurons whose value matters; None: all.
    """
    some = values.ravel() if used is None else values[used]
    if not some.size:
        some = np.zeros(1, values.dtype)
    if (some == some[0]).all():
        values = np.asarray(some[0])
    if values.dtype.kind == "i":
        low, high = int(some.min()), int(some.max())
        fits = (t for t in (np.int8, np.int16, np.int32) if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
        values = values.astype(next(fits))  # values that do not matter may be cut
    return values


def _reader(
    word: Int64[np.ndarray, " arcs"],
    lane: Int64[np.ndarray, " arcs"],
    code: Int64[np.ndarray, " arcs"],
    shape: tuple[int, ...],
    none: int,
    shards: int,
) -> Reader:
    """Returns how to read arcs from sources to the lanes of words.

    Args:
        word, lane: where each arc leads; the word as a flat index.
        code: source and age.
        shape: words, by any number of axes, and lanes.
        none: code of the source that never spikes.
        shards: into how many equal parts the words are cut.
    """
    first = np.full(int(np.prod(shape)), -1, np.int32)
    first[word * shape[-1] + lane] = np.arange(len(word))  # the last one of several
    further = np.flatnonzero(first[word * shape[-1] + lane] != np.arange(len(word)))
    first = np.where(first < 0, none, np.append(code, none)[first]).astype(np.int32)

    further = further[np.argsort(word[further], kind="stable")]
    of_shard = int(np.prod(shape[:-1])) // shards  # words of a shard
    shard = np.searchsorted(word[further], of_shard * np.arange(shards + 1))
    spans = [further[begin:end] for begin, end in pairwise(shard)]
    owners, counts = zip(*(np.unique(word[span], return_counts=True) for span in spans), strict=True)
    depth = int(max(count.max(initial=1) for count in counts) - 1).bit_length()
    levels = [_halvings(count, depth) for count in counts]
    most = max(map(len, owners))
    beyond = of_shard + np.arange(most)
    return Reader(
        first=first.reshape(shape),
        extra=_filled([code[span] for span in spans], none),
        lane=_filled([lane[span] for span in spans], 0).astype(np.uint8),
        levels=tuple(
            (_filled([level[i][0] for level in levels], 0), _filled([level[i][1] for level in levels], 0))
            for i in range(depth)
        ),
        owner=np.array(
            [np.append(owner - i * of_shard, beyond[len(owner) :]) for i, owner in enumerate(owners)], np.int32
        ),
    )


def _halvings(
    count: Int64[np.ndarray, " owners"], depth: int
) -> list[tuple[Int64[np.ndarray, " _"], Int64[np.ndarray, " _"]]]:
    """Returns, `depth` times, which two neighbours to join to halve runs of these lengths; a run of one stays."""
    levels = []
    for _ in range(depth):
        begin, half = np.cumsum(count) - count, (count + 1) // 2
        pair = np.arange(half.sum()) - np.repeat(np.cumsum(half) - half, half)
        a = np.repeat(begin, half) + 2 * pair
        levels.append((a, np.minimum(a + 1, np.repeat(begin + count - 1, half))))
        count = half
    return levels


def _filled(rows: list[Int64[np.ndarray, " _"]], value: int) -> Int32[np.ndarray, "rows longest"]:
    """Returns rows as one array, the shorter ones filled with a value."""
    longest = max(map(len, rows))
    return np.array([np.append(row, np.full(longest - len(row), value)) for row in rows], np.int32)


def _pack_crossbars(
    image: ChipImage, members: Int64[np.ndarray, " rows"], slot: Int64[np.ndarray, "rows axons"], words: int
) -> UInt32[np.ndarray, "rows words neurons"]:
    """Returns the crosspoints of each core with its axons in their slots."""
    neurons = image.neuron_type.shape[1]
    packed = np.empty((len(members), words, neurons), np.uint32)
    for begin in range(0, len(members), _CORES_AT_ONCE):
        row = slice(begin, begin + _CORES_AT_ONCE)
        core, axon = np.nonzero(slot[row] >= 0)
        rows = np.zeros((len(slot[row]), words * LANES, image.crossbars.shape[2]), np.uint8)
        rows[core, slot[row][core, axon]] = image.crossbars[image.core_crossbar[members[row][core]], axon]
        columns = _columns(rows).reshape(len(rows), words, LANES // 8, neurons)
        packed[row] = np.ascontiguousarray(columns.transpose(0, 1, 3, 2)).view("<u4")[..., 0]
    return packed


def _columns(rows: UInt8[np.ndarray, "cores axons neuron_bytes"]) -> UInt8[np.ndarray, "cores axon_bytes neurons"]:
    """Returns crosspoints packed along the axons that come packed along the neurons."""
    return np.packbits(np.unpackbits(rows, axis=2, bitorder="little"), axis=1, bitorder="little")


def _random_synapses(
    image: ChipImage, members: Int64[np.ndarray, " rows"], arcs: _Arcs, none: int, shards: int
) -> RandomSynapses | None:
    """Returns the synapses with b = 1 of a group, None if no axon reaches one; arguments as of `_group`."""
    table = image.neurons
    kind = np.where(members[:, None] >= 0, image.neuron_type[members], 0)
    used = kind != 0
    cores, neurons = kind.shape
    axons = image.axon_type.shape[1]
    blocks = -(-axons // SYNAPSE_LANES)
    axon_type = np.zeros((cores, blocks * SYNAPSE_LANES), np.uint8)
    axon_type[:, :axons] = image.axon_type[members]
    axon_type = axon_type.reshape(cores, blocks, SYNAPSE_LANES)
    crossbars = np.empty((cores, blocks, neurons), np.uint8)
    for begin in range(0, cores, _CORES_AT_ONCE):
        row = slice(begin, begin + _CORES_AT_ONCE)
        crossbars[row] = _columns(image.crossbars[image.core_crossbar[members[row]]])
        for g in range(table.weights.shape[1]):
            random = table.stochastic_weights[kind[row], g] & used[row]
            of_type = np.packbits(axon_type[row] == g, axis=2, bitorder="little")  # cores blocks 1
            crossbars[row] &= ~np.where(random[:, None], 0, of_type)

    sourced = np.zeros((cores, blocks), bool)
    sourced[arcs.row, arcs.axon // SYNAPSE_LANES] = True
    block = np.flatnonzero((crossbars.any(axis=2) & sourced).any(axis=0))
    if not len(block):
        return None
    rank = np.full(blocks, -1)
    rank[block] = np.arange(len(block))
    arc = np.flatnonzero(rank[arcs.axon // SYNAPSE_LANES] >= 0)
    axon_block, lane = np.divmod(arcs.axon[arc], SYNAPSE_LANES)
    types = [g for g in range(table.weights.shape[1]) if (table.stochastic_weights[kind, g] & used).any()]
    return RandomSynapses(
        types=tuple(types),
        blocks=tuple(block.tolist()),
        axons=_reader(
            word=arcs.row[arc] * len(block) + rank[axon_block],
            lane=lane,
            code=arcs.code[arc],
            shape=(cores, len(block), SYNAPSE_LANES),
            none=none,
            shards=shards,
        ),
        kind=axon_type[:, block],
        crossbars=crossbars[:, block],
        weights=tuple(_compact(table.weights[kind, g], used) for g in types),
    )


def _stateful(table: NeuronTable, arch: ChipArch, kind: Int32[np.ndarray, "rows neurons"]) -> Stateful:
    """Returns the neurons' parameters besides weights and threshold.

    Unused neurons get no leak and a floor of 0, so their V stays 0 and the other parameters do not matter to them.
    """
    used = kind != 0
    keep = table.reset_mode != ResetMode.RESET
    subtract = table.reset_mode == ResetMode.SUBTRACT
    alpha, beta, saturate = table.threshold, table.negative_threshold, table.negative_saturate
    low, high = arch.potential_range
    return Stateful(
        low=low,
        high=high,
        wraps=arch.neuron == "ranc",
        bit=1 if arch.potential_bits < 32 else 0,
        leak=_compact(np.where(used, table.leak[kind], 0)),
        leak_reversal=_compact(table.leak_reversal[kind], used) if table.leak_reversal[kind[used]].any() else None,
        floor=_compact(np.where(used, int(arch.negative_inclusive) - beta[kind], 0)),
        keep_spike=_compact(keep[kind], used),
        add_spike=_compact(np.where(keep, -alpha * subtract, table.reset)[kind], used),
        keep_below=_compact((keep & ~saturate)[kind], used),
        add_below=_compact(np.where(saturate, -beta, np.where(keep, beta * subtract, -table.reset))[kind], used),
    )


def _noise(table: NeuronTable, kind: Int32[np.ndarray, "rows neurons"]) -> Noise:
    """Returns what the neurons' own random numbers do; unused neurons draw none."""
    used = kind != 0
    mask = ((np.uint32(1) << table.mask_bits.astype(np.uint32)) - np.uint32(1)).astype(np.uint32)
    subtract = table.reset_mode == ResetMode.SUBTRACT
    return Noise(
        mask=_compact(np.where(used, mask[kind], np.uint32(0))),
        mask_below=_compact(np.where(used & ~table.negative_saturate[kind], mask[kind], np.uint32(0))),
        take_spike=_compact(subtract[kind], used),
        take_below=_compact((subtract & ~table.negative_saturate)[kind], used),
        stochastic_leak=_compact(table.stochastic_leak[kind], used)
        if table.stochastic_leak[kind[used]].any()
        else None,
    )
