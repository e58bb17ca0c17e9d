"""From cells, copies and splitters to the core graph: who sits where, and who drives whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int, Int64

from passes.pack.copies import direct_copies, host_remainder
from passes.pack.layout import Cell, Layout
from passes.pack.share import Items, Seats
from passes.pack.splitters import Nodes, grow_splitters
from tncompile.arch import ChipArch
from tncompile.errors import CapacityError
from tncompile.ir import (
    NO_TARGET,
    OUTPUT_PIN,
    UNUSED,
    CoreGraph,
    CoreKind,
    InputLines,
    NeuronTable,
    SynapseScheme,
    TrinaryNet,
    stateless_table,
)

Array = np.ndarray

_SPLITTER, _FIRST_LEAK = 1, 2
"""Rows of the neuron table; row 0 is the unused neuron, and each distinct leak has a row from _FIRST_LEAK on."""


# ---------------------------------------------------------------------------------------------------------------------
# Sources.


@dataclass(frozen=True, eq=False)
class Source:
    """What drives the axons of one layer: the cells of the layer before (or the host), and splitter nodes.

    Attributes:
        signal: of each driver, rising: a neuron, or one of the host's packets.
        cell: of each driver; −1 for packets.
        neuron: of each driver, counted from the cell's first; −1 for packets.
        feeds: whether a driver feeds a splitter node, rather than a reader.
        nodes: the splitters.
    """

    signal: Int64[Array, " drivers"]
    cell: Int64[Array, " drivers"]
    neuron: Int64[Array, " drivers"]
    feeds: Bool[Array, " drivers"]
    nodes: Nodes

    def neurons(self, cells: int) -> Int64[Array, " cells"]:
        """Returns how many neurons each cell has."""
        return np.bincount(self.cell, minlength=cells) if cells else np.zeros(0, np.int64)


def sources_of(layouts: list[Layout], limit: int | None, arch: ChipArch) -> list[Source]:
    """Returns what drives each layer, and behind the last layer what drives the pins.

    Raises:
        CapacityError: delays cannot bridge the splitters of a layer.
    """
    sources = [_host_source(layouts[0].demand, limit, arch)]
    for layout, reader in zip(layouts, [*layouts[1:], None], strict=True):
        demand = np.ones(layout.conv.outputs, np.int64) if reader is None else reader.demand
        sources.append(_layer_source(layout, demand, arch))
    for layout, source in zip(layouts, sources, strict=False):
        if source.nodes.depth + 1 > arch.delay_max:
            raise CapacityError(
                f"layer {layout.conv.name}: its inputs need {source.nodes.depth} splitter stages, delays of up to "
                f"{arch.delay_max} ticks bridge {arch.delay_max - 1}; raise arch.delay_max or arch.neurons"
            )
    return sources


def _host_source(demand: Int64[Array, " bits"], limit: int | None, arch: ChipArch) -> Source:
    signal = np.flatnonzero(demand)
    remainder = host_remainder(demand[signal], limit)
    split = np.flatnonzero(remainder)
    packets = demand[signal] - remainder + (remainder > 0)
    drivers = np.repeat(signal, packets)
    feeds = np.zeros(len(drivers), bool)
    feeds[np.cumsum(packets)[split] - 1] = True
    nowhere = np.full(len(drivers), -1)
    return Source(drivers, nowhere, nowhere, feeds, grow_splitters(signal[split], remainder[split], arch.neurons))


def _layer_source(layout: Layout, demand: Int64[Array, " outputs"], arch: ChipArch) -> Source:
    """Returns the copies of a layer's signals."""
    sizes = [len(cell.signal) for cell in layout.cells]
    signal = _joined(cell.signal for cell in layout.cells)
    starts = np.cumsum([0, *sizes])
    demand = demand[signal]
    direct = _joined(direct_copies(demand[a:b], arch.neurons) for a, b in pairwise(starts))
    remainder = demand - direct
    neurons = direct + (remainder > 0)
    row = np.repeat(np.arange(len(neurons)), neurons)
    cell = np.repeat(np.arange(len(sizes)), sizes)[row]
    neuron = np.arange(len(row)) - np.searchsorted(cell, cell)
    feeds = np.zeros(len(row), bool)
    split = np.flatnonzero(remainder)
    feeds[np.cumsum(neurons)[split] - 1] = True
    order = np.lexsort((neuron, cell, signal[row]))
    row, cell, neuron, feeds = row[order], cell[order], neuron[order], feeds[order]
    by_signal = split[np.argsort(signal[split], kind="stable")]
    nodes = grow_splitters(signal[by_signal], remainder[by_signal], arch.neurons)
    return Source(signal[row], cell, neuron, feeds, nodes)


def items_of(layouts: list[Layout], sources: list[Source]) -> Items:
    """Returns all cells and splitter nodes in the order of the data's way: source 0's nodes, layer 0's cells, …"""
    way, axons, neurons = [], [], []
    for depth, source in enumerate(sources):
        if depth:
            cells = layouts[depth - 1].cells
            way.append(np.full(len(cells), 2 * depth))
            axons.append(np.array([len(cell.source) for cell in cells], np.int64))
            neurons.append(source.neurons(len(cells)))
        way.append(np.full(len(source.nodes.size), 2 * depth + 1))
        axons.append(np.ones(len(source.nodes.size), np.int64))
        neurons.append(source.nodes.size)
    return Items(np.concatenate(way), np.concatenate(axons), np.concatenate(neurons))


# ---------------------------------------------------------------------------------------------------------------------
# Ends.


@dataclass(frozen=True, eq=False)
class _Drivers:
    """Neurons (or the host, core −1) that drive axons one to one, sorted by signal.

    Attributes:
        delay: of each one's spikes [tick].
    """

    signal: Int64[Array, " drivers"]
    core: Int64[Array, " drivers"]
    neuron: Int64[Array, " drivers"]
    delay: Int64[Array, " drivers"]


@dataclass(frozen=True, eq=False)
class _Axons:
    """Axons that want a driver, sorted by signal, core and axon."""

    signal: Int64[Array, " axons"]
    core: Int64[Array, " axons"]
    axon: Int64[Array, " axons"]


def _drivers(
    signal: Int64[Array, " n"], core: Int64[Array, " n"], neuron: Int64[Array, " n"], delay: Int64[Array, " n"]
) -> _Drivers:
    order = np.argsort(signal, kind="stable")
    return _Drivers(signal[order], core[order], neuron[order], delay[order])


def _axons(signal: Int64[Array, " n"], core: Int64[Array, " n"], axon: Int64[Array, " n"]) -> _Axons:
    order = np.lexsort((axon, core, signal))
    return _Axons(signal[order], core[order], axon[order])


def _joined(parts: Iterable[Int64[Array, " _"]]) -> Int64[Array, " all"]:
    """Returns parts, of which there may be none, in one."""
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _ranks(values: Int[Array, " n"]) -> Int64[Array, " n"]:
    """Returns how many equal values stand before each value of a sorted array."""
    return np.arange(len(values)) - np.searchsorted(values, values)


def _spread(begin: Int64[Array, " rows"], size: Int64[Array, " rows"]) -> Int64[Array, " all"]:
    """Returns begin, begin + 1, … of as many as each row has."""
    return np.repeat(begin - np.cumsum(size) + size, size) + np.arange(size.sum())


# ---------------------------------------------------------------------------------------------------------------------
# Assembly.


def assemble(
    net: TrinaryNet,
    arch: ChipArch,
    scheme: SynapseScheme,
    layouts: list[Layout],
    sources: list[Source],
    seats: Seats,
    way: Int64[Array, " items"],
) -> CoreGraph:
    """Returns the core graph of cells and splitters that have their seats.

    Args:
        net: the net in integers.
        arch: the core's size.
        scheme: how weights become crosspoints.
        layouts: cells of each layer.
        sources: what drives each layer, and the pins.
        seats: of all items, in the order of `items_of`.
        way: of all items.
    """
    draft = _Draft(seats, net, arch, scheme, layouts)
    of_cells = [np.flatnonzero(way == 2 * depth) for depth in range(len(sources))]
    of_nodes = [np.flatnonzero(way == 2 * depth + 1) for depth in range(len(sources))]
    for depth, source in enumerate(sources):
        if depth:
            draft.add_layer(depth - 1, layouts[depth - 1].cells, source, of_cells[depth])
        draft.add_splitters(depth - 1, source, of_nodes[depth])
    for depth, layout in enumerate(layouts):
        draft.connect(sources[depth], of_cells[depth], of_nodes[depth], layout.cells, of_cells[depth + 1])
    draft.connect_pins(sources[-1], of_cells[-1])
    return draft.finish(latency=sum(source.nodes.depth + 1 for source in sources[:-1]))


class _Draft:
    """A core graph while it is being filled in; the arrays are those of `CoreGraph`."""

    def __init__(self, seats: Seats, net: TrinaryNet, arch: ChipArch, scheme: SynapseScheme, layouts: list[Layout]):
        cores = seats.cores
        neurons = (cores, arch.neurons)
        self._seats = seats
        self._net = net
        self._arch = arch
        self._scheme = scheme
        self._leaks = np.unique(
            np.concatenate([_leaks(net, n, layout.cells, arch) for n, layout in enumerate(layouts)])
        )
        self._neurons = _neuron_table(self._leaks, scheme, arch)
        self._lines: list[tuple[Array, Array, Array, Array]] = []
        self._parts: list[list[tuple]] = [[] for _ in range(cores)]  # of each core: what makes its crossbar
        self.core_kind = np.full(cores, CoreKind.SPLITTER, np.uint8)
        self.core_layer = np.empty(cores, np.int16)
        self.core_group = np.full(cores, -1, np.int32)
        self.core_block = np.zeros((cores, 4), np.int16)
        self.axon_type = np.zeros((cores, arch.axons), np.uint8)
        self.neuron_type = np.zeros(neurons, np.int32)
        self.neuron_layer = np.full(neurons, UNUSED, np.int16)
        self.neuron_index = np.full(neurons, -1, np.int32)
        self.neuron_copy = np.full(neurons, -1, np.int16)
        self.target_core = np.full(neurons, NO_TARGET, np.int32)
        self.target_axon = np.zeros(neurons, np.int32)
        self.target_delay = np.zeros(neurons, np.uint8)

    def add_layer(self, number: int, cells: tuple[Cell, ...], source: Source, items: Int64[Array, " cells"]) -> None:
        """Puts the cells of a layer on their seats."""
        seats = self._seats
        leak = _leaks(self._net, number, cells, self._arch)
        # A cell's signals and their leaks, by signal: `source` has a row for each copy.
        own = _joined(cell.signal for cell in cells)
        leak_of = np.empty(self._net.source.layers[number].conv.outputs, np.int64)
        leak_of[own] = leak
        item = items[source.cell]
        core, neuron = seats.core[item], seats.neuron[item] + source.neuron
        kind = _FIRST_LEAK + np.searchsorted(self._leaks, leak_of[source.signal])
        self._add_neurons(core, neuron, number, source.signal, _ranks(source.signal), kind)

        # How often each signal of each cell stands side by side, in the cells' order.
        copies = np.bincount(source.signal, minlength=len(leak_of))
        for cell, at in zip(cells, items, strict=True):
            c, axon, neuron = int(seats.core[at]), int(seats.axon[at]), int(seats.neuron[at])
            if seats.first[c] == at:
                block = cell.block
                self.core_kind[c], self.core_layer[c], self.core_group[c] = CoreKind.LAYER, number, cell.group
                self.core_block[c] = block.xs[0], block.ys[0], block.xs[-1] + 1, block.ys[-1] + 1
            self.axon_type[c, axon : axon + len(cell.source)] = cell.synapses.axon_type
            self._parts[c].append((cell.synapses, copies[cell.signal].tobytes(), axon, neuron))

    def add_splitters(self, number: int, source: Source, items: Int64[Array, " nodes"]) -> None:
        """Puts the splitter nodes behind a source on their seats."""
        seats, nodes = self._seats, source.nodes
        # Copies are numbered on from those in the layer's own core, in the order of stage and node; the host's packets
        # are no neurons.
        order = np.argsort(nodes.signal, kind="stable")
        at, size = items[order], nodes.size[order]
        signal = np.repeat(nodes.signal[order], size)
        first = 0 if number < 0 else np.bincount(source.signal, minlength=signal.max(initial=0) + 1)[signal]
        core, neuron = np.repeat(seats.core[at], size), _spread(seats.neuron[at], size)
        self._add_neurons(core, neuron, number, signal, first + _ranks(signal), _SPLITTER)
        for item, neurons in zip(items, nodes.size, strict=True):
            c = int(seats.core[item])
            if seats.first[c] == item:
                self.core_layer[c] = number
            self._parts[c].append((None, int(neurons), int(seats.axon[item]), int(seats.neuron[item])))

    def _add_neurons(
        self, core: Array, neuron: Array, layer: int, signal: Array, copy: Array, kind: Array | int
    ) -> None:
        self.neuron_layer[core, neuron] = layer
        self.neuron_index[core, neuron] = signal
        self.neuron_copy[core, neuron] = copy
        self.neuron_type[core, neuron] = kind

    def connect(
        self,
        source: Source,
        source_items: Int64[Array, " cells"],
        node_items: Int64[Array, " nodes"],
        readers: tuple[Cell, ...],
        reader_items: Int64[Array, " readers"],
    ) -> None:
        """Lets a source drive its splitter nodes, stage by stage, and then the cells that read it.

        All readers are driven at the same tick, so a driver waits the longer the fewer stages it is behind the source.
        """
        seats, nodes = self._seats, source.nodes
        host = source.cell < 0
        item = source_items[np.where(host, 0, source.cell)] if len(source_items) else np.zeros(len(host), np.int64)
        core = np.where(host, -1, seats.core[item])
        neuron = np.where(host, -1, seats.neuron[item] + source.neuron)
        one = np.ones(len(core), np.int64)

        # Each node's neurons, by node.
        made = np.repeat(nodes.signal, nodes.size)
        made_core = np.repeat(seats.core[node_items], nodes.size)
        made_neuron = _spread(seats.neuron[node_items], nodes.size)
        stage, leaf = np.repeat(nodes.stage, nodes.size), np.repeat(nodes.leaf, nodes.size)
        for number in range(1, nodes.depth + 1):
            inner = ~leaf & (stage == number - 1)
            if number == 1:
                feeding = _drivers(*(v[source.feeds] for v in (source.signal, core, neuron, one)))
            else:
                feeding = _drivers(made[inner], made_core[inner], made_neuron[inner], np.ones(inner.sum(), np.int64))
            here = nodes.stage == number
            self._connect(
                feeding, _axons(nodes.signal[here], seats.core[node_items][here], seats.axon[node_items][here])
            )

        direct = ~source.feeds
        last = _drivers(
            np.concatenate([source.signal[direct], made[leaf]]),
            np.concatenate([core[direct], made_core[leaf]]),
            np.concatenate([neuron[direct], made_neuron[leaf]]),
            nodes.depth + 1 - np.concatenate([np.zeros(direct.sum(), np.int64), stage[leaf]]),
        )
        sizes = np.array([len(cell.source) for cell in readers], np.int64)
        signals = _joined(cell.source for cell in readers)
        axon = _spread(seats.axon[reader_items], sizes)
        self._connect(last, _axons(signals, np.repeat(seats.core[reader_items], sizes), axon))

    def _connect(self, drivers: _Drivers, axons: _Axons) -> None:
        """Lets the i-th driver drive the i-th axon; both are sorted by signal."""
        assert np.array_equal(drivers.signal, axons.signal), "every axon has one driver, of its own signal"
        host = drivers.core < 0
        self._lines.append((axons.signal[host], axons.core[host], axons.axon[host], drivers.delay[host]))
        core, neuron = drivers.core[~host], drivers.neuron[~host]
        self.target_core[core, neuron] = axons.core[~host]
        self.target_axon[core, neuron] = axons.axon[~host]
        self.target_delay[core, neuron] = drivers.delay[~host]

    def connect_pins(self, source: Source, items: Int64[Array, " cells"]) -> None:
        """Lets each neuron of the last layer drive the pin of its signal."""
        item = items[source.cell]
        core, neuron = self._seats.core[item], self._seats.neuron[item] + source.neuron
        self.target_core[core, neuron] = OUTPUT_PIN
        self.target_axon[core, neuron] = source.signal
        self.target_delay[core, neuron] = 1

    def finish(self, latency: int) -> CoreGraph:
        """Returns the core graph."""
        bit, core, axon, delay = (np.concatenate(column) for column in zip(*self._lines, strict=True))
        order = np.lexsort((axon, core, bit))
        core_crossbar, crossbars = _crossbars(self._parts, self._arch)
        return CoreGraph(
            source=self._net,
            scheme=self._scheme.name,
            latency=latency,
            core_kind=self.core_kind,
            core_layer=self.core_layer,
            core_group=self.core_group,
            core_block=self.core_block,
            core_crossbar=core_crossbar,
            crossbars=crossbars,
            axon_type=self.axon_type,
            neurons=self._neurons,
            neuron_type=self.neuron_type,
            neuron_layer=self.neuron_layer,
            neuron_index=self.neuron_index,
            neuron_copy=self.neuron_copy,
            target_core=self.target_core,
            target_axon=self.target_axon,
            target_delay=self.target_delay,
            input_lines=InputLines(
                bit=bit[order].astype(np.int32),
                core=core[order].astype(np.int32),
                axon=axon[order].astype(np.int16),
                delay=delay[order].astype(np.uint8),
            ),
        )


def _leaks(net: TrinaryNet, number: int, cells: tuple[Cell, ...], arch: ChipArch) -> Int64[Array, " signals"]:
    """Returns the leak of each signal of a layer's cells, in their order, with what constant inputs add to it."""
    leak = net.leak[number].astype(np.int64)
    features = net.source.layers[number].conv.features
    folded = _joined(leak[cell.signal % features] + cell.synapses.leak for cell in cells)
    # Beyond that the filters' inputs cannot change the sign of the sum any more.
    return np.clip(folded, -arch.leak_max, arch.leak_max)


def _neuron_table(leaks: Int[Array, " leaks"], scheme: SynapseScheme, arch: ChipArch) -> NeuronTable:
    weights = np.zeros((_FIRST_LEAK + len(leaks), arch.axon_types), np.int16)
    weights[_SPLITTER] = 1
    weights[_FIRST_LEAK:, : len(scheme.neuron_weights)] = scheme.neuron_weights
    return stateless_table(weights, np.concatenate([np.zeros(_FIRST_LEAK), leaks]).astype(np.int16), neuron=arch.neuron)


def _crossbars(parts: list[list[tuple]], arch: ChipArch) -> tuple[Array, Array]:
    """Returns the crossbar of each core and the distinct crossbars, packed, numbered in order of first use."""
    of_core = np.empty(len(parts), np.int32)
    rows: dict[bytes, int] = {}
    known: dict[tuple, int] = {}
    for core, pieces in enumerate(parts):
        key = tuple((id(synapses), *rest) for synapses, *rest in pieces)
        if key not in known:
            full = np.zeros((arch.axons, arch.neurons), bool)
            for synapses, copies, axon, neuron in pieces:
                if synapses is None:  # a splitter node
                    full[axon, neuron : neuron + copies] = True
                else:
                    points = np.repeat(synapses.crosspoints, np.frombuffer(copies, np.int64), axis=1)
                    full[axon : axon + points.shape[0], neuron : neuron + points.shape[1]] = points
            known[key] = rows.setdefault(np.packbits(full, axis=1, bitorder="little").tobytes(), len(rows))
        of_core[core] = known[key]
    data = np.frombuffer(b"".join(rows), np.uint8)
    return of_core, data.reshape(len(rows), arch.axons, arch.neurons // 8)
