"""RoutedChip: relative addresses, what they load on the links, and detours round faulty routers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from jaxtyping import Bool, Int16, Int32, Int64, UInt8

from tncompile.ir.base import Record, Stage
from tncompile.ir.core_graph import NO_TARGET, UNUSED, CoreGraph, CoreKind
from tncompile.ir.neuron import NeuronTable
from tncompile.ir.placed import PlacedChip


class Direction(IntEnum):
    """The link by which a packet leaves a router."""

    EAST = 0  # x + 1
    WEST = 1  # x − 1
    NORTH = 2  # y + 1
    SOUTH = 3  # y − 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relays(Record):
    """Neurons for packets that cannot go straight to their target, because a router on their way is faulty.

    A relay is a neuron that repeats what one axon of its core receives, one tick later at the earliest. It stands in a
    core that has an axon and a neuron to spare, or in one of its own.

    Invariants:
        - a relay's source is a neuron of the placed cores or an earlier relay; it sends to the relay what it sent to
          its target before, and the relay sends on to that target;
        - relays take axons and neurons that nobody else uses.

    Attributes:
        core_x, core_y: site of each core that holds nothing but relays; they are numbered behind the placed cores.
        core, axon, neuron: where each relay is.
        source_core, source_neuron: whose spikes it repeats.
    """

    core_x: Int32[np.ndarray, " relay_cores"]
    core_y: Int32[np.ndarray, " relay_cores"]
    core: Int32[np.ndarray, " relays"]
    axon: Int32[np.ndarray, " relays"]
    neuron: Int32[np.ndarray, " relays"]
    source_core: Int32[np.ndarray, " relays"]
    source_neuron: Int32[np.ndarray, " relays"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detours(Relays):
    """Relays, and when everything happens with them: since they take time, others may have to wait.

    Attributes:
        target_delay: of all neurons, relays included, as in `CoreGraph` [tick].
        line_delay: of the input lines [tick].
        latency: ticks from a frame's entry to its spikes on the output pins [tick].
    """

    target_delay: UInt8[np.ndarray, "cores neurons"]
    line_delay: UInt8[np.ndarray, " lines"]
    latency: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoutedChip(Stage):
    """A placed chip with the packet of every neuron.

    A packet goes dx cores along x first, then dy cores along y. Neurons without a target core have dx = dy = 0.

    Invariants:
        - from its core's site, a neuron's packet ends on the site of its target core, and passes no faulty router;
        - `link_load[d, y, x]` counts the arcs that leave the router of site (x, y) in `Direction` d.

    Attributes:
        source: the placed chip.
        dx, dy: offset of each neuron's packet, relays included [core].
        link_load: arcs a link.
        crossings: arcs that cross a chip's edge, counted once an edge.
        detours: None if all packets go straight to their targets.
    """

    source: PlacedChip
    dx: Int16[np.ndarray, "cores neurons"]
    dy: Int16[np.ndarray, "cores neurons"]
    link_load: Int64[np.ndarray, "4 height width"]
    crossings: int
    detours: Detours | None = None


def sites_of(routed: RoutedChip) -> tuple[Int32[np.ndarray, " cores"], Int32[np.ndarray, " cores"]]:
    """Returns x and y of all cores, those of relays behind the placed ones."""
    placed, detours = routed.source, routed.detours
    if detours is None:
        return placed.core_x, placed.core_y
    return np.concatenate([placed.core_x, detours.core_x]), np.concatenate([placed.core_y, detours.core_y])


def graph_of(routed: RoutedChip) -> CoreGraph:
    """Returns the core graph with its relays, as neurons that carry one copy more of what they repeat.

    What a relay is put upon is lost, and a reference that does not exist raises an IndexError: whether detours keep to
    their invariants is for the verifier to say.
    """
    graph, detours = routed.source.source.source, routed.detours
    if detours is None:
        return graph
    more = len(detours.core_x)
    target_core, target_axon = (_grown(a, more, v) for a, v in ((graph.target_core, NO_TARGET), (graph.target_axon, 0)))
    layer, index, copy = (
        _grown(a, more, v) for a, v in ((graph.neuron_layer, UNUSED), (graph.neuron_index, -1), (graph.neuron_copy, -1))
    )
    kind = _grown(graph.neuron_type, more, 0)
    neurons, relay = _with_relay(graph.neurons)
    core, axon, neuron = detours.core, detours.axon, detours.neuron
    sources = zip(detours.source_core.tolist(), detours.source_neuron.tolist(), strict=True)
    places = zip(core.tolist(), axon.tolist(), neuron.tolist(), strict=True)
    for source, (at, on, row) in zip(sources, places, strict=True):
        target_core[at, row], target_axon[at, row] = target_core[source], target_axon[source]
        target_core[source], target_axon[source] = at, on
        layer[at, row], index[at, row] = layer[source], index[source]
    kind[core, neuron] = relay
    copy[core, neuron] = _next_copies(graph, layer[core, neuron], index[core, neuron])
    core_crossbar, crossbars = _crossbars(graph, detours)
    opened = layer[graph.cores :]
    return dataclasses.replace(
        graph,
        latency=detours.latency,
        core_kind=_grown(graph.core_kind, more, CoreKind.RELAY),
        core_layer=np.concatenate([graph.core_layer, opened[np.arange(more), (opened != UNUSED).argmax(axis=1)]]),
        core_group=_grown(graph.core_group, more, -1),
        core_block=_grown(graph.core_block, more, 0),
        core_crossbar=core_crossbar,
        crossbars=crossbars,
        axon_type=_grown(graph.axon_type, more, 0),
        neurons=neurons,
        neuron_type=kind,
        neuron_layer=layer,
        neuron_index=index,
        neuron_copy=copy,
        target_core=target_core,
        target_axon=target_axon,
        target_delay=detours.target_delay,
        input_lines=dataclasses.replace(graph.input_lines, delay=detours.line_delay),
    )


def _grown(array: np.ndarray, rows: int, value: int) -> np.ndarray:
    """Returns a copy with so many rows more, all of one value."""
    return np.concatenate([array, np.full((rows, *array.shape[1:]), value, array.dtype)])


def _with_relay(table: NeuronTable) -> tuple[NeuronTable, int]:
    """Returns the table with a row for relays, its own or one more, and that row's number.

    The unused neuron has neither weights nor leak, and with weights of 1 it spikes whenever an axon does.
    """
    fields: dict[str, Any] = {field.name: getattr(table, field.name) for field in dataclasses.fields(table)}
    plain: Bool[np.ndarray, " types"] = (table.weights == 1).all(axis=1)
    for name, values in fields.items():
        if name != "weights":
            plain = plain & (values == values[:1]).reshape(len(table), -1).all(axis=1)
    if plain.any():
        return table, int(plain.argmax())
    more = {name: np.concatenate([values, values[:1]]) for name, values in fields.items()}
    more["weights"][-1] = 1
    return NeuronTable(**more), len(table)


def _next_copies(
    graph: CoreGraph, layer: Int16[np.ndarray, " relays"], index: Int32[np.ndarray, " relays"]
) -> Int16[np.ndarray, " relays"]:
    """Returns the numbers of copies that relays add to those that there are, in the relays' order."""
    copies: dict[tuple[int, int], int] = {}
    for number in np.unique(layer):
        carries = graph.neuron_layer == number
        count = np.bincount(graph.neuron_index[carries])
        copies |= {(int(number), int(i)): int(count[i]) for i in np.unique(index[layer == number])}
    numbers = np.empty(len(layer), np.int16)
    for relay, signal in enumerate(zip(layer.tolist(), index.tolist(), strict=True)):
        numbers[relay] = copies[signal]
        copies[signal] += 1
    return numbers


def _crossbars(
    graph: CoreGraph, detours: Detours
) -> tuple[Int32[np.ndarray, " cores"], UInt8[np.ndarray, "crossbars axons bytes"]]:
    """Returns the crossbar of each core, and the crossbars, with those of cores that have relays behind the others."""
    _, axons, row = graph.crossbars.shape
    of_core = np.concatenate([graph.core_crossbar, np.zeros(len(detours.core_x), np.int32)])
    known: dict[bytes, int] = {}
    order = np.argsort(detours.core, kind="stable")
    cores, starts = np.unique(detours.core[order], return_index=True)
    for core, here in zip(cores.tolist(), np.split(order, starts[1:]), strict=True):
        own = core < graph.cores
        crossbar = graph.crossbars[graph.core_crossbar[core]].copy() if own else np.zeros((axons, row), np.uint8)
        bit = np.uint8(1) << (detours.neuron[here] % 8).astype(np.uint8)
        np.bitwise_or.at(crossbar, (detours.axon[here], detours.neuron[here] // 8), bit)
        of_core[core] = known.setdefault(crossbar.tobytes(), len(graph.crossbars) + len(known))
    added = np.frombuffer(b"".join(known), np.uint8).reshape(len(known), axons, row)
    return of_core, np.concatenate([graph.crossbars, added])
