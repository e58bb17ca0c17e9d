"""Finds the layers of a chip image: neurons that keep nothing from tick to tick, in wiring without a cycle.

Such an image is a pile of threshold functions of spikes a few ticks back, and can be run layer by layer over many
ticks at once. Whatever the image says twice is said once:

- an axon with one source reads that source directly; one with several reads a merge node, their OR;
- axons of one core that carry the same signal at the same delay (the pair of a trinary input) become one signed weight;
- neurons that compute the same function of the same signals (the copies that reach several cores) become one node.

How: neurons are taken in rounds, each when all its sources have their signals (Kahn's algorithm, on packed bits). In
a round, cores that look alike — equal crossbar, types, and axons that pair up alike — are folded together, so the
work grows with the number of different cores. Rows are matched across cores by a hash and then compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8, UInt64

from tncompile.arch import ChipArch
from tncompile.ir import ChipImage, NeuronTable
from tncompile.ir.base import Record
from tncompile.sim.neurons import stateless_rows, stochastic_rows
from tncompile.sim.wiring import Wiring, resolve

_DELAY_BITS = 6  # a delay is at most 63 ticks
_DEAD = -1  # key of an axon that never spikes
_BLOCK = 1 << 25  # bytes of crossbar rows that are looked at together


class NotLayered(Exception):
    """The image has no layers; the text says why, and which neuron is the first in the way."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block(Record):
    """Nodes of a level once more, as one matrix that many cores share: they differ only in what they read.

    Attributes:
        source, delay: signal that each input of each core reads, and how long ago [tick].
        indptr, input, weight: the matrix, one row a node, entries as in `Level` [LSB].
        threshold: α − λ of each row [LSB].
        signal: of each node; nodes that compute the same share one.
    """

    source: Int32[np.ndarray, "cores inputs"]
    delay: UInt8[np.ndarray, "cores inputs"]
    indptr: Int64[np.ndarray, " ends"]
    input: Int32[np.ndarray, " entries"]
    weight: Int32[np.ndarray, " entries"]
    threshold: Int32[np.ndarray, " nodes"]
    signal: Int32[np.ndarray, "cores nodes"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level(Record):
    """Nodes that depend on earlier levels only; a folded sparse matrix, one row a node.

    A node spikes in tick t if Σ weight · signal[source](t − delay) ≥ threshold; before tick 0 all signals are 0.

    Invariants:
        - no two entries of a row have the same source and delay, and no weight is 0;
        - a node that never spikes has no entries and threshold 1; one that always spikes has none and threshold 0.

    Attributes:
        first: signal of the first node.
        core: of the node's first copy; −1 for the OR of several sources of one axon.
        indptr: entries of node i are indptr[i] … indptr[i + 1] − 1.
        source, delay, weight: signal, how long ago [tick], and folded weight [LSB].
        threshold: α − λ [LSB].
        blocks: the same nodes by the cores that share a matrix.
    """

    first: int
    core: Int32[np.ndarray, " nodes"]
    indptr: Int64[np.ndarray, " ends"]
    source: Int32[np.ndarray, " entries"]
    delay: UInt8[np.ndarray, " entries"]
    weight: Int32[np.ndarray, " entries"]
    threshold: Int32[np.ndarray, " nodes"]
    blocks: tuple[Block, ...]

    def __len__(self) -> int:
        return len(self.core)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers(Record):
    """A chip image as threshold functions of signals, in topological order.

    Attributes:
        arch: the chip.
        input_bits, output_pins: how many.
        signals: how many: the input bits, then the nodes of each level.
        levels: in topological order.
        signal_of: signal that each neuron carries, −1 = unused neuron.
        pin_signal, pin: which signals drive which output pin, by ascending pin; a pin may have none or several.
    """

    arch: ChipArch
    input_bits: int
    output_pins: int
    signals: int
    levels: tuple[Level, ...]
    signal_of: Int32[np.ndarray, "cores neurons"]
    pin_signal: Int32[np.ndarray, " drives"]
    pin: Int32[np.ndarray, " drives"]


def find_layers(image: ChipImage) -> Layers:
    """Returns the layers of an image.

    Raises:
        NotLayered: a neuron keeps a potential, draws random numbers, lies on a cycle, or its sum leaves the
            potential's range in a way that could be seen.
        SimulationError: the image disagrees with itself.
    """
    wiring = resolve(image)
    chip = _arrange(image, wiring)
    _check_neurons(chip)
    found = _Found.start(chip)

    levels = list(found.merge(np.unique(chip.arc_target[chip.arc_source >= chip.used.size])))
    cores = np.arange(len(chip.kind))
    while (ready := found.ready(cores)).any():
        some = ready.any(axis=1)
        cores, ready = cores[some], ready[some]
        levels.append(found.fold(cores, ready))
        axons = found.deliver((cores[:, None] * ready.shape[1] + np.arange(ready.shape[1]))[ready])
        levels.extend(found.merge(axons))
        cores = np.unique(axons // chip.arch.axons)
    if not found.done.all():
        raise NotLayered(_cycle(chip, found.done, found.waiting))

    driver = found.signal_of.ravel()[wiring.pin_source]
    pin, pin_signal = np.divmod(np.unique((wiring.pin * found.signals + driver)[driver >= 0]), found.signals)
    return Layers(
        arch=wiring.arch,
        input_bits=image.input_bits,
        output_pins=image.output_pins,
        signals=found.signals,
        levels=tuple(levels),
        signal_of=found.signal_of,
        pin_signal=pin_signal.astype(np.int32),
        pin=pin.astype(np.int32),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chip(Record):
    """An image with its wiring in the form that the search reads.

    Attributes:
        image, arch: the image and its chip.
        kind: number of the core among those of equal crossbar, axon types and neuron types.
        connected: packed crosspoints of weight ≠ 0, of each kind.
        arc_source, arc_target, arc_delay: arcs from sources that may spike to axons that some
            neuron hears, by ascending target.
        arc_of: arc of each neuron, −1 = none.
        axon_arcs: arcs of axon i (core · axons + axon) are axon_arcs[i] … axon_arcs[i + 1] − 1.
        used: neurons that are used.
        idle: used neurons that hear no axon with an arc.
    """

    image: ChipImage
    arch: ChipArch
    kind: Int64[np.ndarray, " cores"]
    connected: UInt8[np.ndarray, "kinds axons bytes"]
    arc_source: Int64[np.ndarray, " arcs"]
    arc_target: Int64[np.ndarray, " arcs"]
    arc_delay: Int64[np.ndarray, " arcs"]
    arc_of: Int64[np.ndarray, " all_neurons"]
    axon_arcs: Int64[np.ndarray, " axon_ends"]
    used: Bool[np.ndarray, "cores neurons"]
    idle: Bool[np.ndarray, "cores neurons"]


def _arrange(image: ChipImage, wiring: Wiring) -> _Chip:
    cores, neurons = image.neuron_type.shape
    axons = wiring.arch.axons
    used = image.neuron_type != 0
    table = image.neurons
    crossbar, _ = _alike(image.crossbars)  # files of others may say the same twice
    row, _ = _alike(np.arange(len(table)) == 0, table.weights, table.threshold, table.leak, stateless_rows(table))
    kind, example = _alike(crossbar[image.core_crossbar], image.axon_type, row[image.neuron_type])

    heard = table.weights != 0
    heard[0] = False  # whatever stands in the unused neuron's row
    types = np.moveaxis(heard[image.neuron_type[example]], 2, 0)  # axon types, kinds, neurons
    hears = np.packbits(types, axis=-1, bitorder="little")
    connected = image.crossbars[image.core_crossbar[example]]
    connected = connected & hears[image.axon_type[example], np.arange(len(example))[:, None]]

    live = np.concatenate([used.ravel(), np.ones(image.input_bits, bool)])[wiring.source]
    listening = (np.bitwise_or.reduce(connected, axis=2) != 0)[kind].ravel()
    take = live & listening[wiring.target]
    order = np.argsort(wiring.target[take], kind="stable")
    target, source, delay = (column[take][order] for column in (wiring.target, wiring.source, wiring.delay))
    arc_of = np.full(cores * neurons, -1, np.int64)
    from_neuron = np.flatnonzero(source < cores * neurons)
    arc_of[source[from_neuron]] = from_neuron
    axon_arcs = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=cores * axons))])
    wired = (np.diff(axon_arcs) > 0).reshape(cores, axons)
    return _Chip(
        image=image,
        arch=wiring.arch,
        kind=kind,
        connected=connected,
        arc_source=source,
        arc_target=target,
        arc_delay=delay,
        arc_of=arc_of,
        axon_arcs=axon_arcs,
        used=used,
        idle=used & ~_hearing(connected, kind, wired, neurons),
    )


def _alike(*columns: np.ndarray) -> tuple[Int64[np.ndarray, " rows"], Int64[np.ndarray, " kinds"]]:
    """Returns a number for each row, equal where all columns are equal, and the first row of each number.

    Numbers ascend with the first row that has them.
    """
    rows = len(columns[0])
    flat = [np.ascontiguousarray(column.reshape(rows, math.prod(column.shape[1:]))) for column in columns]
    joined = np.concatenate([column.view(np.uint8) for column in flat], axis=1)
    text = joined.view(np.dtype((np.void, joined.shape[1]))).ravel()
    _, example, number = np.unique(text, return_index=True, return_inverse=True)
    order = np.argsort(example, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[number.ravel()], example[order]


def _hearing(
    connected: UInt8[np.ndarray, "kinds axons bytes"],
    kind: Int64[np.ndarray, " cores"],
    active: Bool[np.ndarray, "cores axons"],
    neurons: int,
) -> Bool[np.ndarray, "cores neurons"]:
    """Returns the neurons that hear one of the active axons."""
    axons, width = connected.shape[1:]
    step = max(1, _BLOCK // (axons * width))
    heard = np.zeros((len(kind), width), np.uint8)
    for begin in range(0, len(kind), step):
        part = slice(begin, begin + step)
        rows = connected[kind[part]] & -active[part].astype(np.uint8)[..., None]
        heard[part] = np.bitwise_or.reduce(rows, axis=1)
    return np.unpackbits(heard, axis=1, count=neurons, bitorder="little").astype(bool)


def _check_neurons(chip: _Chip) -> None:
    """Refuses neurons with a state.

    Raises:
        NotLayered: a neuron keeps a potential or draws random numbers.
    """
    table, kind = chip.image.neurons, chip.image.neuron_type
    wrong = chip.used & ~stateless_rows(table)[kind] & ~(chip.idle & _silent(table, chip.arch)[kind])
    if wrong.any():
        core, neuron = np.argwhere(wrong)[0]
        row = kind[core, neuron]
        what = "draws random numbers" if stochastic_rows(table)[row] else "keeps a potential from tick to tick"
        raise NotLayered(f"core {core}, neuron {neuron} (type {row}) {what}")


def _silent(table: NeuronTable, arch: ChipArch) -> Bool[np.ndarray, " types"]:
    """Returns the rows that stay at 0 and never spike as long as nothing comes in, in whatever mode."""
    rests = (table.leak == 0) | table.leak_reversal  # sgn(0) = 0
    between = (table.threshold > 0) & (table.negative_threshold >= arch.negative_inclusive)
    return rests & between & (table.initial == 0)


_Entries = tuple[Int64[np.ndarray, " taken"], Int64[np.ndarray, " entries"], Int32[np.ndarray, " entries"]]
"""Length of each row, and keys and weights of all entries."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows(Record):
    """Alike cores of one round, folded: node (i, u) is the u-th different neuron of the i-th core.

    Attributes:
        core: the cores.
        neuron: the neurons that are folded.
        column: the u of each of them.
        key: source and delay of each input, of each core.
        indptr, input, weight: entries of each u, the same in every core.
        threshold: of each u [LSB].
        code: hash of each node, equal for nodes of equal entries and thresholds.
    """

    core: Int64[np.ndarray, " alike"]
    neuron: Int64[np.ndarray, " neurons"]
    column: Int64[np.ndarray, " neurons"]
    key: Int64[np.ndarray, "alike inputs"]
    indptr: Int64[np.ndarray, " ends"]
    input: Int64[np.ndarray, " entries"]
    weight: Int32[np.ndarray, " entries"]
    threshold: Int32[np.ndarray, " nodes"]
    code: UInt64[np.ndarray, "alike nodes"]

    def entries(self, take: Bool[np.ndarray, "alike nodes"]) -> _Entries:
        """Returns the lengths, keys and weights of the nodes that are taken."""
        length = np.diff(self.indptr)
        of_entry = np.repeat(take, length, axis=1)
        key = self.key[:, self.input][of_entry]
        weight = np.broadcast_to(self.weight, of_entry.shape)[of_entry]
        return np.broadcast_to(length, take.shape)[take], key, weight


@dataclass(slots=True, kw_only=True, eq=False)
class _Found:
    """What is known so far; the methods are the steps of a round.

    Attributes:
        chip: what is searched.
        signals: how many there are so far.
        signal_of: of each neuron, −1 = none yet.
        never: signals that never spike.
        done: neurons that have a signal or are not used.
        waiting: arcs of each axon whose source has no signal yet.
        key: source and delay that each axon reads, once no arc waits.
    """

    chip: _Chip
    signals: int
    signal_of: Int32[np.ndarray, "cores neurons"]
    never: Bool[np.ndarray, " most"]
    done: Bool[np.ndarray, "cores neurons"]
    waiting: Int64[np.ndarray, "cores axons"]
    key: Int64[np.ndarray, "cores axons"]

    @staticmethod
    def start(chip: _Chip) -> _Found:
        """Returns what is known before the first round: the input bits."""
        cores = len(chip.kind)
        shape = cores, chip.arch.axons
        waiting = np.bincount(chip.arc_target[chip.arc_source < chip.used.size], minlength=cores * chip.arch.axons)
        merges = int((np.diff(chip.axon_arcs) > 1).sum())
        return _Found(
            chip=chip,
            signals=chip.image.input_bits,
            signal_of=np.full(chip.used.shape, -1, np.int32),
            never=np.zeros(chip.image.input_bits + int(chip.used.sum()) + merges, bool),
            done=~chip.used,
            waiting=waiting.reshape(shape),
            key=np.full(shape, _DEAD, np.int64),
        )

    def deliver(self, fired: Int64[np.ndarray, " neurons"]) -> Int64[np.ndarray, " axons"]:
        """Returns the axons of which the last source is now known."""
        arc = self.chip.arc_of[fired]
        axon, count = np.unique(self.chip.arc_target[arc[arc >= 0]], return_counts=True)
        waiting = self.waiting.ravel()
        waiting[axon] -= count
        return axon[waiting[axon] == 0]

    def merge(self, axon: Int64[np.ndarray, " axons"]) -> Iterator[Level]:
        """Gives axons with known sources their keys; yields a level if there are axons with several."""
        chip = self.chip
        axon = axon[self.waiting.ravel()[axon] == 0]
        count = chip.axon_arcs[axon + 1] - chip.axon_arcs[axon]
        arc = np.repeat(chip.axon_arcs[axon] - (np.cumsum(count) - count), count) + np.arange(count.sum())
        source = chip.arc_source[arc]
        inside = source < chip.used.size
        signal = np.where(inside, self.signal_of.ravel()[np.where(inside, source, 0)], source - chip.used.size).astype(
            np.int64
        )
        row = np.repeat(np.arange(len(axon)), count)[~self.never[signal]]
        key = ((signal << _DELAY_BITS) + chip.arc_delay[arc])[~self.never[signal]]
        order = np.lexsort((key, row))
        row, key = row[order], key[order]
        first = np.ones(len(row), bool)  # sources of the axon may be copies, and packets may repeat
        first[1:] = (row[1:] != row[:-1]) | (key[1:] != key[:-1])
        row, key = row[first], key[first]
        length = np.bincount(row, minlength=len(axon))

        of_axon = np.full(len(axon), _DEAD, np.int64)
        alone = length[row] == 1
        of_axon[row[alone]] = key[alone]
        several = np.flatnonzero(length > 1)
        if len(several):
            length, key = length[several], key[~alone]
            ones = np.ones(len(several), np.int32)
            code = np.add.reduceat(_scramble(key), np.cumsum(length) - length)

            def entries(take: Bool[np.ndarray, " rows"]) -> _Entries:
                taken = key[np.repeat(take, length)]
                return length[take], taken, np.ones(len(taken), np.int32)

            node, kept = _equal_rows(code, ones, entries)
            of_axon[several] = (self.signals + node) << _DELAY_BITS
            blocks = []
            for inputs in np.unique(length):
                rows = np.flatnonzero(length == inputs)
                entry = (np.cumsum(length) - length)[rows][:, None] + np.arange(inputs)
                blocks.append(
                    _block(
                        key[entry],
                        indptr=np.array([0, inputs]),
                        input=np.arange(inputs),
                        weight=np.ones(inputs, np.int32),
                        threshold=ones[:1],
                        signal=self.signals + node[rows, None],
                    )
                )
            yield self._level(-ones[kept], *entries(kept), ones[kept], tuple(blocks))
        self.key.ravel()[axon] = of_axon

    def ready(self, cores: Int64[np.ndarray, " some"]) -> Bool[np.ndarray, "some neurons"]:
        """Returns the neurons without a signal that wait for none."""
        waits = _hearing(self.chip.connected, self.chip.kind[cores], self.waiting[cores] > 0, self.done.shape[1])
        return ~waits & ~self.done[cores]

    def fold(self, cores: Int64[np.ndarray, " some"], ready: Bool[np.ndarray, "some neurons"]) -> Level:
        """Gives the neurons that are ready their signals and returns their level.

        Raises:
            NotLayered: the sum of one of them leaves the potential's range.
        """
        groups = [self._rows(core, neuron) for core, neuron in self._groups(cores, ready)]
        shapes = [rows.code.shape for rows in groups]
        cuts = np.cumsum([a * b for a, b in shapes])[:-1]
        threshold = np.concatenate([np.broadcast_to(rows.threshold, rows.code.shape).ravel() for rows in groups])

        def split(values: np.ndarray) -> list[np.ndarray]:
            return [part.reshape(shape) for part, shape in zip(np.split(values, cuts), shapes, strict=True)]

        def entries(take: Bool[np.ndarray, " rows"]) -> _Entries:
            length, key, weight = zip(*map(_Rows.entries, groups, split(take)), strict=True)
            return np.concatenate(length), np.concatenate(key), np.concatenate(weight)

        node, kept = _equal_rows(np.concatenate([rows.code.ravel() for rows in groups]), threshold, entries)
        blocks = []
        for rows, signal in zip(groups, split(self.signals + node), strict=True):
            self.signal_of[rows.core[:, None], rows.neuron] = signal[:, rows.column]
            blocks.append(_block(rows.key, rows.indptr, rows.input, rows.weight, rows.threshold, signal))
        self.done[cores] |= ready
        core = np.concatenate([np.repeat(rows.core, rows.code.shape[1]) for rows in groups]).astype(np.int32)
        return self._level(core[kept], *entries(kept), threshold[kept], tuple(blocks))

    def _level(
        self,
        core: Int32[np.ndarray, " nodes"],
        length: Int64[np.ndarray, " nodes"],
        key: Int64[np.ndarray, " entries"],
        weight: Int32[np.ndarray, " entries"],
        threshold: Int32[np.ndarray, " nodes"],
        blocks: tuple[Block, ...],
    ) -> Level:
        first, self.signals = self.signals, self.signals + len(core)
        self.never[first : self.signals] = (length == 0) & (threshold > 0)
        return Level(
            first=first,
            core=core,
            indptr=np.concatenate([[0], np.cumsum(length)]),
            **_read(key),
            weight=weight,
            threshold=threshold,
            blocks=blocks,
        )

    def _groups(
        self, cores: Int64[np.ndarray, " some"], ready: Bool[np.ndarray, "some neurons"]
    ) -> Iterator[tuple[Int64[np.ndarray, " alike"], Int64[np.ndarray, " neurons"]]]:
        """Yields cores of equal synapses whose axons pair up alike, and the neurons that are ready in all of them."""
        key = self.key[cores]
        order = np.argsort(key, axis=1, kind="stable")
        ordered = np.take_along_axis(key, order, axis=1)
        begins = np.ones(key.shape, bool)
        begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        place = np.maximum.accumulate(np.where(begins, np.arange(key.shape[1]), 0), axis=1)
        leader = np.empty(key.shape, np.int16)  # the first axon with the same key
        np.put_along_axis(leader, order, np.take_along_axis(order, place, axis=1).astype(np.int16), axis=1)
        leader[key == _DEAD] = -1
        group, example = _alike(self.chip.kind[cores], leader, np.packbits(ready, axis=1))
        members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
        for member, first in zip(members, example, strict=True):
            yield cores[member], np.flatnonzero(ready[first])

    def _rows(self, cores: Int64[np.ndarray, " alike"], neurons: Int64[np.ndarray, " neurons"]) -> _Rows:
        image = self.chip.image
        core = cores[0]
        axons = np.flatnonzero(self.key[core] != _DEAD)
        axons = axons[np.argsort(self.key[core, axons], kind="stable")]
        begins = np.ones(len(axons), bool)
        begins[1:] = self.key[core, axons[1:]] != self.key[core, axons[:-1]]
        begins = np.flatnonzero(begins)

        row = image.neuron_type[core, neurons]
        crosspoints = np.unpackbits(
            image.crossbars[image.core_crossbar[core], axons], axis=1, bitorder="little", count=self.done.shape[1]
        )[:, neurons]
        column, example = _alike(np.packbits(crosspoints, axis=0).T, row)  # copies, to have less to do
        row = row[example]
        weights = image.neurons.weights[row].T[image.axon_type[core, axons]].astype(np.int32) * crosspoints[:, example]
        weights = np.add.reduceat(weights, begins, axis=0, dtype=np.int32) if len(begins) else weights
        alpha, leak = image.neurons.threshold[row], image.neurons.leak[row].astype(np.int32)
        threshold = np.where(stateless_rows(image.neurons)[row], alpha - leak, 1)  # the others are silent

        most, least = weights.clip(min=0).sum(axis=0), weights.clip(max=0).sum(axis=0)
        wrong = _leaves(most, least, alpha, leak, self.chip.arch)
        if wrong.any():
            i = int(wrong.argmax())
            raise NotLayered(
                f"core {core}, neuron {neurons[example[i]]} can sum to {least[i]} … {most[i]}, beyond the potential's "
                f"range {self.chip.arch.potential_range[0]} … {self.chip.arch.potential_range[1]}"
            )
        never, always = most < threshold, least >= threshold
        weights[:, never | always] = 0
        threshold = np.where(never, 1, np.where(always, 0, threshold)).astype(np.int32)
        again, example = _alike(weights.T, threshold)  # copies that hear a signal by another axon
        column, weights, threshold = again[column], weights[:, example], threshold[example]

        key = self.key[cores[:, None], axons[begins]]
        node, entry = np.nonzero(weights.T)
        code = _scramble(key) @ weights.astype(np.uint64) + _scramble(threshold)  # modulo 2⁶⁴
        return _Rows(
            core=cores,
            neuron=neurons,
            column=column,
            key=key,
            indptr=np.concatenate([[0], np.cumsum(np.bincount(node, minlength=len(threshold)))]),
            input=entry,
            weight=weights.T[node, entry],
            threshold=threshold,
            code=code,
        )


def _block(
    key: Int64[np.ndarray, "cores inputs"],
    indptr: Int64[np.ndarray, " ends"],
    input: Int64[np.ndarray, " entries"],
    weight: Int32[np.ndarray, " entries"],
    threshold: Int32[np.ndarray, " nodes"],
    signal: Int64[np.ndarray, "cores nodes"],
) -> Block:
    return Block(
        **_read(key),
        indptr=indptr,
        input=input.astype(np.int32),
        weight=weight,
        threshold=threshold,
        signal=signal.astype(np.int32),
    )


def _read(key: Int64[np.ndarray, "*n"]) -> dict[str, np.ndarray]:
    """Returns source and delay of keys."""
    return {
        "source": (key >> _DELAY_BITS).astype(np.int32),
        "delay": (key & ((1 << _DELAY_BITS) - 1)).astype(np.uint8),
    }


def _leaves(
    most: Int64[np.ndarray, " neurons"],
    least: Int64[np.ndarray, " neurons"],
    threshold: Int32[np.ndarray, " neurons"],
    leak: Int32[np.ndarray, " neurons"],
    arch: ChipArch,
) -> Bool[np.ndarray, " neurons"]:
    """Returns where the sum can leave the potential's range and come back on the wrong side of the threshold.

    A sum that saturates stays on its side as long as the range's end, with the leak, lies on that side too. The leak
    itself saturates on its side always. A sum that wraps is always wrong.
    """
    low, high = arch.potential_range
    if arch.neuron == "ranc":
        return (most + np.maximum(leak, 0) > high) | (least + np.minimum(leak, 0) < low)
    return ((most > high) & (high + leak < threshold)) | ((least < low) & (low + leak >= threshold))


def _scramble(key: Int32[np.ndarray, "*n"] | Int64[np.ndarray, "*n"]) -> UInt64[np.ndarray, "*n"]:
    """Returns 64 random bits, a function of the key (splitmix64's finalizer; Steele et al. 2014)."""
    z = key.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _equal_rows(
    code: UInt64[np.ndarray, " rows"],
    threshold: Int32[np.ndarray, " rows"],
    entries: Callable[[Bool[np.ndarray, " rows"]], _Entries],
) -> tuple[Int64[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]:
    """Returns a number for each row, equal for equal rows and ascending, and which row is the first of its number.

    Args:
        code: hash of each row.
        threshold: of each row.
        entries: lengths, keys and weights of the rows that are taken; only those that share a hash are looked at.
    """
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    same = first[inverse]
    shared = np.bincount(inverse)[inverse] > 1
    if shared.any():
        length, key, weight = entries(shared)
        row = np.repeat(np.arange(len(length)), length)
        order = np.lexsort((key, row))
        key, weight = key[order], weight[order]
        begin = np.cumsum(length) - length
        other = (np.cumsum(shared) - 1)[same[shared]]
        equal = (length == length[other]) & (threshold[shared] == threshold[same[shared]])
        entry = np.flatnonzero(equal[row])
        against = begin[other][row[entry]] + entry - begin[row[entry]]
        differs = (key[entry] != key[against]) | (weight[entry] != weight[against])
        equal[row[entry[differs]]] = False
        same[shared] = np.where(equal, same[shared], np.flatnonzero(shared))
    kept = same == np.arange(len(same))
    return (np.cumsum(kept) - 1)[same], kept


def _cycle(chip: _Chip, done: Bool[np.ndarray, "cores neurons"], waiting: Int64[np.ndarray, "cores axons"]) -> str:
    """Returns a sentence on a neuron that lies on a cycle, found by walking back from one that waits for ever."""
    neurons = done.shape[1]
    seen: dict[tuple[int, int], int] = {}
    core, neuron = (int(i) for i in np.argwhere(~done)[0])
    while (core, neuron) not in seen:
        seen[core, neuron] = len(seen)
        hears = chip.connected[chip.kind[core], :, neuron // 8] >> (neuron % 8) & 1
        axon = core * chip.arch.axons + int(np.flatnonzero((hears > 0) & (waiting[core] > 0))[0])
        source = chip.arc_source[chip.axon_arcs[axon] : chip.axon_arcs[axon + 1]]
        source = source[source < done.size]
        core, neuron = divmod(int(source[~done.ravel()[source]][0]), neurons)
    cycle = [place for place, when in seen.items() if when >= seen[core, neuron]]
    core, neuron = min(cycle)
    return f"core {core}, neuron {neuron} lies on a cycle of {len(cycle)} neuron{'s' * (len(cycle) > 1)}"
