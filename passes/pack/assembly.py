"""From layers, copies and splitters to the core graph: who sits where, and who drives whom."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int

from passes.pack.copies import direct_copies, host_remainder
from passes.pack.layout import Axons, Layer, LayerCore, reads_of
from passes.pack.splitters import Splitters, grow_splitters
from tncompile.arch import ChipArch
from tncompile.errors import CapacityError
from tncompile.ir import (
    NO_TARGET,
    OUTPUT_PIN,
    UNUSED,
    Conv,
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


def assemble(
    stage: TrinaryNet, arch: ChipArch, scheme: SynapseScheme, layers: list[Layer], limit: int | None
) -> CoreGraph:
    """Returns the core graph of planned layers.

    Args:
        stage: the net.
        arch: the core's size and the longest delay.
        scheme: how weights become crosspoints.
        layers: the cores of each layer.
        limit: packets that the host may send a bit, None = any number.

    Raises:
        CapacityError: delays cannot bridge the splitters.
    """
    reads = [reads_of(layer, scheme) for layer in layers]
    # Source d drives the axons of layer d: source 0 is the host, the others are the layers before; the last one
    # drives the output pins.
    sources = [_host_source(reads[0], limit, arch)]
    sources += [_layer_source(layer, readers, arch) for layer, readers in zip(layers, [*reads[1:], None], strict=True)]
    for layer, source in zip(layers, sources, strict=False):
        if source.splitters.depth + 1 > arch.delay_max:
            raise CapacityError(
                f"layer {layer.conv.name}: its inputs need {source.splitters.depth} splitter stages, delays of up to "
                f"{arch.delay_max} ticks bridge {arch.delay_max - 1}; raise arch.delay_max or arch.neurons"
            )

    # In the order of the data's way: splitters of the input, layer 0, its splitters, layer 1, …
    own_base, splitter_base, cores = [], [], 0
    for layer, source in zip([None, *layers], sources, strict=True):
        own_base.append(cores)
        cores += len(layer.cores) if layer else 0
        splitter_base.append(cores)
        cores += len(source.splitters.stage)

    draft = _Draft(cores, stage, arch, scheme)
    for depth, source in enumerate(sources):
        number = depth - 1
        if depth:
            draft.add_layer(number, layers[number], source, own_base[depth])
        draft.add_splitters(number, source, splitter_base[depth])
    for depth, readers in enumerate(reads):
        source = sources[depth]
        for drivers, axons in _links(source, own_base[depth], splitter_base[depth], readers, own_base[depth + 1]):
            draft.connect(drivers, axons)
    draft.connect_pins(sources[-1], own_base[-1])
    return draft.finish(latency=sum(source.splitters.depth + 1 for source in sources[:-1]))


# ---------------------------------------------------------------------------------------------------------------------
# Sources.


@dataclass(frozen=True)
class _Source:
    """What drives the readers of one layer: its own neurons (or the host's packets), and splitters.

    Attributes:
        signal, core, neuron: the source's own drivers, one row each, sorted by signal; for the host core and neuron
            are −1.
        feeds: whether a driver feeds a splitter, rather than a reader.
    """

    signal: Int[Array, " drivers"]
    core: Int[Array, " drivers"]
    neuron: Int[Array, " drivers"]
    feeds: Bool[Array, " drivers"]
    splitters: Splitters


def _host_source(reads: Axons, limit: int | None, arch: ChipArch) -> _Source:
    signal, demand = np.unique(reads.signal, return_counts=True)
    remainder = host_remainder(demand, limit)
    split = np.flatnonzero(remainder)
    packets = demand - remainder + (remainder > 0)
    drivers = np.repeat(signal, packets)
    feeds = np.zeros(len(drivers), bool)
    feeds[np.cumsum(packets)[split] - 1] = True
    nowhere = np.full(len(drivers), -1)
    return _Source(drivers, nowhere, nowhere, feeds, grow_splitters(signal[split], remainder[split], arch))


def _layer_source(layer: Layer, reads: Axons | None, arch: ChipArch) -> _Source:
    """Returns the copies of a layer's signals; without readers each signal has one, for its pin."""
    if reads is None:
        demand = np.ones(len(layer.signal), int)
    else:
        demand = np.bincount(reads.signal, minlength=layer.conv.outputs)[layer.signal]
    starts = np.append(np.flatnonzero(np.diff(layer.core, prepend=-1)), len(layer.core))
    direct = np.concatenate([direct_copies(demand[a:b], arch.neurons) for a, b in pairwise(starts)])
    remainder = demand - direct
    neurons = direct + (remainder > 0)
    row = np.repeat(np.arange(len(neurons)), neurons)
    # A neuron's number counts from the first row of its core.
    neuron = np.arange(len(row)) - np.searchsorted(layer.core[row], layer.core[row])
    feeds = np.zeros(len(row), bool)
    split = np.flatnonzero(remainder)
    feeds[np.cumsum(neurons)[split] - 1] = True
    order = np.lexsort((neuron, layer.signal[row]))
    row, neuron, feeds = row[order], neuron[order], feeds[order]
    by_signal = split[np.argsort(layer.signal[split], kind="stable")]
    splitters = grow_splitters(layer.signal[by_signal], remainder[by_signal], arch)
    return _Source(layer.signal[row], layer.core[row], neuron, feeds, splitters)


@dataclass(frozen=True)
class _Drivers:
    """Neurons (or the host, core −1) that drive axons one to one, sorted by signal.

    Attributes:
        delay: of each one's spikes [tick].
    """

    signal: Int[Array, " drivers"]
    core: Int[Array, " drivers"]
    neuron: Int[Array, " drivers"]
    delay: Int[Array, " drivers"]


def _links(
    source: _Source, own_base: int, splitter_base: int, readers: Axons, reader_base: int
) -> list[tuple[_Drivers, Axons]]:
    """Returns who drives what behind a source: first the splitters, stage by stage, then the readers.

    All readers are driven at the same tick, so a driver waits the longer the fewer stages it is behind the source.
    """
    splitters = source.splitters
    own_core = np.where(source.core < 0, -1, own_base + source.core)
    own = np.stack([source.signal, own_core, source.neuron])
    made = np.stack([splitters.signal, splitter_base + splitters.core, splitters.neuron])
    stage = splitters.stage[splitters.core]
    links = []
    for number, nodes in enumerate(splitters.nodes, start=1):
        inner = ~splitters.leaf & (stage == number - 1)
        feeding = own[:, source.feeds] if number == 1 else made[:, inner]
        links.append((_drivers(feeding, np.ones(feeding.shape[1], int)), _shifted(nodes, splitter_base)))
    direct = own[:, ~source.feeds]
    delay = np.concatenate([np.zeros(direct.shape[1], int), stage[splitters.leaf]])
    leaves = np.concatenate([direct, made[:, splitters.leaf]], axis=1)
    links.append((_drivers(leaves, splitters.depth + 1 - delay), _shifted(readers, reader_base)))
    return links


def _drivers(rows: Int[Array, "3 drivers"], delay: Int[Array, " drivers"]) -> _Drivers:
    order = np.argsort(rows[0], kind="stable")
    signal, core, neuron = rows[:, order]
    return _Drivers(signal, core, neuron, delay[order])


def _shifted(axons: Axons, base: int) -> Axons:
    return Axons(axons.signal, axons.core + base, axons.axon)


def _ranks(values: Int[Array, " n"]) -> Int[Array, " n"]:
    """Returns how many equal values stand before each value of a sorted array."""
    return np.arange(len(values)) - np.searchsorted(values, values)


# ---------------------------------------------------------------------------------------------------------------------
# Draft.


class _Draft:
    """A core graph while it is being filled in; the arrays are those of `CoreGraph`."""

    def __init__(self, cores: int, stage: TrinaryNet, arch: ChipArch, scheme: SynapseScheme):
        neurons = (cores, arch.neurons)
        self._stage = stage
        self._scheme = scheme
        self._leaks = np.unique(np.concatenate(stage.leak))
        self._neurons = _neuron_table(self._leaks, scheme, arch)
        self._crossbars = _Crossbars(arch)
        self._lines: list[tuple[Array, Array, Array, Array]] = []
        self.core_kind = np.full(cores, CoreKind.SPLITTER, np.uint8)
        self.core_layer = np.empty(cores, np.int16)
        self.core_group = np.full(cores, -1, np.int32)
        self.core_block = np.zeros((cores, 4), np.int16)
        self.core_crossbar = np.empty(cores, np.int32)
        self.axon_type = np.zeros((cores, arch.axons), np.uint8)
        self.neuron_type = np.zeros(neurons, np.int32)
        self.neuron_layer = np.full(neurons, UNUSED, np.int16)
        self.neuron_index = np.full(neurons, -1, np.int32)
        self.neuron_copy = np.full(neurons, -1, np.int16)
        self.target_core = np.full(neurons, NO_TARGET, np.int32)
        self.target_axon = np.zeros(neurons, np.int32)
        self.target_delay = np.zeros(neurons, np.uint8)

    def add_layer(self, number: int, layer: Layer, source: _Source, base: int) -> None:
        """Puts the cores of a layer from core `base` on."""
        conv = layer.conv
        here = slice(base, base + len(layer.cores))
        self.core_kind[here] = CoreKind.LAYER
        self.core_layer[here] = number
        self.core_group[here] = [core.group for core in layer.cores]
        self.core_block[here] = [(c.xs[0], c.ys[0], c.xs[-1] + 1, c.ys[-1] + 1) for c in layer.cores]
        leak = self._stage.leak[number][source.signal % conv.features]
        kind = _FIRST_LEAK + np.searchsorted(self._leaks, leak)
        self._add_neurons(base + source.core, source.neuron, number, source.signal, _ranks(source.signal), kind)
        for c, core in enumerate(layer.cores, start=base):
            copies = np.bincount(_ranks_of_runs(self.neuron_index[c][self.neuron_layer[c] == number]))
            weights = self._stage.weights[number]
            self.core_crossbar[c] = self._crossbars.of_layer(core, conv, weights, self._scheme, copies)
            types = self._scheme.axon_types(len(core.taps_x) * len(core.taps_y) * conv.inputs_per_group)
            self.axon_type[c, : len(types)] = types

    def add_splitters(self, number: int, source: _Source, base: int) -> None:
        """Puts the splitters behind a source from core `base` on."""
        splitters = source.splitters
        self.core_layer[base : base + len(splitters.stage)] = number
        # Copies are numbered on from those in the layer's own core, in the order of stage, core and neuron; the
        # host's packets are no neurons.
        order = np.argsort(splitters.signal, kind="stable")
        signal = splitters.signal[order]
        first = 0 if number < 0 else np.bincount(source.signal, minlength=signal.max(initial=0) + 1)[signal]
        core, neuron = base + splitters.core[order], splitters.neuron[order]
        self._add_neurons(core, neuron, number, signal, first + _ranks(signal), _SPLITTER)
        starts = np.searchsorted(splitters.core, np.arange(len(splitters.stage) + 1))
        for c, (start, end) in enumerate(pairwise(starts), start=base):
            axon, neuron = splitters.axon[start:end], splitters.neuron[start:end]
            self.core_crossbar[c] = self._crossbars.of_splitter(axon, neuron)

    def _add_neurons(
        self, core: Array, neuron: Array, layer: int, signal: Array, copy: Array, kind: Array | int
    ) -> None:
        self.neuron_layer[core, neuron] = layer
        self.neuron_index[core, neuron] = signal
        self.neuron_copy[core, neuron] = copy
        self.neuron_type[core, neuron] = kind

    def connect(self, drivers: _Drivers, axons: Axons) -> None:
        """Lets the i-th driver drive the i-th axon; both are sorted by signal."""
        assert np.array_equal(drivers.signal, axons.signal), "every axon has one driver, of its own signal"
        host = drivers.core < 0
        self._lines.append((axons.signal[host], axons.core[host], axons.axon[host], drivers.delay[host]))
        core, neuron = drivers.core[~host], drivers.neuron[~host]
        self.target_core[core, neuron] = axons.core[~host]
        self.target_axon[core, neuron] = axons.axon[~host]
        self.target_delay[core, neuron] = drivers.delay[~host]

    def connect_pins(self, source: _Source, base: int) -> None:
        """Lets each neuron of the last layer drive the pin of its signal."""
        core = base + source.core
        self.target_core[core, source.neuron] = OUTPUT_PIN
        self.target_axon[core, source.neuron] = source.signal
        self.target_delay[core, source.neuron] = 1

    def finish(self, latency: int) -> CoreGraph:
        """Returns the core graph."""
        bit, core, axon, delay = (np.concatenate(column) for column in zip(*self._lines, strict=True))
        order = np.lexsort((axon, core, bit))
        return CoreGraph(
            source=self._stage,
            scheme=self._scheme.name,
            latency=latency,
            core_kind=self.core_kind,
            core_layer=self.core_layer,
            core_group=self.core_group,
            core_block=self.core_block,
            core_crossbar=self.core_crossbar,
            crossbars=self._crossbars.table(),
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


def _ranks_of_runs(values: Int[Array, " n"]) -> Int[Array, " n"]:
    """Returns 0 for each value of the first run of equal values, 1 for the second run, …"""
    return np.cumsum(np.diff(values, prepend=-1) != 0) - 1


def _neuron_table(leaks: Int[Array, " leaks"], scheme: SynapseScheme, arch: ChipArch) -> NeuronTable:
    weights = np.zeros((_FIRST_LEAK + len(leaks), arch.axon_types), np.int16)
    weights[_SPLITTER] = 1
    weights[_FIRST_LEAK:, : len(scheme.neuron_weights)] = scheme.neuron_weights
    return stateless_table(weights, np.concatenate([np.zeros(_FIRST_LEAK), leaks]).astype(np.int16), neuron=arch.neuron)


class _Crossbars:
    """Distinct crossbars, numbered in order of first use."""

    def __init__(self, arch: ChipArch):
        self._arch = arch
        self._rows: dict[bytes, int] = {}
        self._known: dict[tuple, int] = {}

    def of_layer(
        self, core: LayerCore, conv: Conv, weights: Array, scheme: SynapseScheme, copies: Int[Array, " signals"]
    ) -> int:
        """Returns the crossbar of a layer core that holds so many copies of each of its signals, side by side."""
        key = (conv.name, core.shape_key(conv), copies.tobytes())
        if key not in self._known:
            crosspoints = scheme.encode(np.repeat(core.weights(conv, weights), copies, axis=0))
            self._known[key] = self._number(crosspoints)
        return self._known[key]

    def of_splitter(self, axon: Array, neuron: Array) -> int:
        """Returns the crossbar on which each neuron listens to one axon."""
        crosspoints = np.zeros((self._arch.axons, self._arch.neurons), bool)
        crosspoints[axon, neuron] = True
        return self._number(crosspoints)

    def table(self) -> Array:
        """Returns all crossbars, packed."""
        data = np.frombuffer(b"".join(self._rows), np.uint8)
        return data.reshape(len(self._rows), self._arch.axons, self._arch.neurons // 8)

    def _number(self, crosspoints: Array) -> int:
        full = np.zeros((self._arch.axons, self._arch.neurons), bool)
        full[: crosspoints.shape[0], : crosspoints.shape[1]] = crosspoints
        packed = np.packbits(full, axis=1, bitorder="little").tobytes()
        return self._rows.setdefault(packed, len(self._rows))
