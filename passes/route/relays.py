"""Finds cores that relay the packets of arcs with a faulty router on their way."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64

from passes.route.mesh import Mesh
from tncompile.analysis.graph import layer_names
from tncompile.arch import ChipArch, Site
from tncompile.errors import RoutingError
from tncompile.ir import UNUSED, CoreGraph, PlacedChip, Relays

_SHOWN = 5  # arcs that an error names


def find_relays(
    stage: PlacedChip,
    arch: ChipArch,
    mesh: Mesh,
    source: Int32[np.ndarray, " blocked"],
    target: Int32[np.ndarray, " blocked"],
) -> Relays:
    """Returns relays for all neurons of some arcs: as few as there can be on one way, in cores that are used already.

    Only where no such core is in the right place is a free one opened. Among ways that are equal in this, an arc takes
    the shortest; arcs with many neurons choose first.

    Args:
        stage: the cores on their sites.
        arch: the board.
        mesh: its faulty routers.
        source, target: the cores of arcs whose direct way is blocked.

    Raises:
        RoutingError: there is no way, or no room for relays on it; with the cores that are cut off.
    """
    graph, rooms = stage.source.source, _Rooms(stage, arch)
    arcs = list(zip(source.tolist(), target.tolist(), strict=True))
    senders = [np.flatnonzero(graph.target_core[start] == end) for start, end in arcs]
    relays: list[Int32[np.ndarray, "relays 5"]] = []
    cut_off: list[tuple[int, int]] = []
    for number in sorted(range(len(arcs)), key=lambda i: (-len(senders[i]), i)):
        start, end = arcs[number]
        waiting = senders[number]
        while len(waiting):
            way = _way(mesh, rooms, _site(stage, start), _site(stage, end))
            if not way:
                cut_off.append((start, end))
                break
            count = min(len(waiting), *(int(rooms.room[y, x]) for x, y in way))
            core, neurons, waiting = start, waiting[:count], waiting[count:]
            for site in way:
                relay, axon, neuron = rooms.take(site, count)
                one = np.ones(count, np.int32)
                relays.append(np.stack([relay * one, axon, neuron, core * one, neurons], axis=1, dtype=np.int32))
                core, neurons = relay, neuron
    if cut_off:
        raise _cut_off(stage, cut_off)
    core, axon, neuron, source_core, source_neuron = np.concatenate(relays).T
    core_x, core_y = np.array(rooms.opened, np.int32).reshape(-1, 2).T
    return Relays(
        core_x=core_x,
        core_y=core_y,
        core=core,
        axon=axon,
        neuron=neuron,
        source_core=source_core,
        source_neuron=source_neuron,
    )


class _Rooms:
    """Axons and neurons that nobody uses, site by site, while relays take them.

    Attributes:
        room: relays that each site has room for.
        free: whether no core is on a site yet.
        opened: sites of the cores that relays have opened.
    """

    def __init__(self, stage: PlacedChip, arch: ChipArch) -> None:
        graph, (width, height) = stage.source.source, arch.size
        self._arch = arch
        self._core = {_site(stage, core): core for core in range(graph.cores)}
        self._spare = dict(enumerate(_spare(graph, arch)))
        self.opened: list[Site] = []
        self.room: Int64[np.ndarray, "height width"] = np.full((height, width), min(arch.axons, arch.neurons))
        for x, y in arch.blockages:
            self.room[y, x] = 0
        self.room[stage.core_y, stage.core_x] = [min(map(len, self._spare[core])) for core in range(graph.cores)]
        self.free: Bool[np.ndarray, "height width"] = np.ones((height, width), bool)
        self.free[stage.core_y, stage.core_x] = False

    def take(self, site: Site, count: int) -> tuple[int, Int64[np.ndarray, " relays"], Int64[np.ndarray, " relays"]]:
        """Returns the core on a site, opened if need be, and the axons and neurons of so many relays there."""
        x, y = site
        if self.free[y, x]:
            self._core[site] = core = len(self._core)
            self._spare[core] = np.arange(self._arch.axons), np.arange(self._arch.neurons)
            self.opened.append(site)
            self.free[y, x] = False
        core = self._core[site]
        axons, neurons = self._spare[core]
        self._spare[core] = axons[count:], neurons[count:]
        self.room[y, x] -= count
        return core, axons[:count], neurons[:count]


def _way(mesh: Mesh, rooms: _Rooms, first: Site, last: Site) -> list[Site]:
    """Returns sites with room for relays by which packets get from the first to the last site; none if there are none.

    Mostly one is enough. If not, the search goes from the first site on, relay by relay.
    """
    if near := _one_relay(mesh, rooms, first, last):
        return [near]
    goal, unseen = mesh.reaching(*last), rooms.room > 0
    reached = np.zeros_like(unseen)
    reached[first[1], first[0]] = True
    before = np.full((2, *unseen.shape), -1)  # x and y of the site behind which each is reached
    while reached.any():
        sources = mesh.sources(reached)
        found = unseen & (sources[0] >= 0)
        before[:, found] = sources[:, found]
        if (ends := found & goal).any():
            way = [_nearest(rooms, ends, before, last)]
            while (at := _before(before, way[0])) != first:
                way.insert(0, at)
            return way
        reached = found
        unseen &= ~reached
    return []


def _one_relay(mesh: Mesh, rooms: _Rooms, first: Site, last: Site) -> Site | None:
    """Returns the site of a relay that is enough alone and makes the way shortest; a free one only if all are.

    Looked at is the box around both ends, and wider ones until nothing outside can be better.
    """
    (height, width), hops = rooms.room.shape, abs(first[0] - last[0]) + abs(first[1] - last[1])
    left, right, low, high = *sorted((first[0], last[0])), *sorted((first[1], last[1]))
    margin = 0
    while True:
        x0, x1, y0, y1 = (
            max(left - margin, 0), min(right + margin + 1, width), max(low - margin, 0), min(high + margin + 1, height)
        )  # fmt: skip
        columns, rows = np.arange(x0, x1)[None, :], np.arange(y0, y1)[:, None]
        y, x = np.nonzero(mesh.relaying(first, last, columns, rows) & (rooms.room[y0:y1, x0:x1] > 0))
        whole = (x1 - x0, y1 - y0) == (width, height)
        if len(x):
            x, y = x + x0, y + y0
            cost = _cost(rooms, x, y, first, last)
            best = int(np.argmin(cost))
            if whole or cost[best] <= hops + 2 * margin:  # outside, a way is longer by one hop there and one back
                return int(x[best]), int(y[best])
        if whole:
            return None
        margin = 2 * margin + 1


def _nearest(
    rooms: _Rooms,
    ends: Bool[np.ndarray, "height width"],
    before: Int64[np.ndarray, "2 height width"],
    last: Site,
) -> Site:
    """Returns the site that makes the last two legs shortest; a free one only if all are."""
    y, x = np.nonzero(ends)
    before_x, before_y = before[:, y, x]
    best = int(np.argmin(_cost(rooms, x, y, (before_x, before_y), last)))
    return int(x[best]), int(y[best])


def _cost(rooms: _Rooms, x: np.ndarray, y: np.ndarray, *ends: tuple[Any, Any]) -> np.ndarray:
    """Returns the hops from sites to their neighbours on the way; a core to be opened costs more than any way."""
    hops = sum(np.abs(x - end_x) + np.abs(y - end_y) for end_x, end_y in ends)
    return hops + rooms.free[y, x] * 4 * sum(rooms.free.shape)


def _before(before: Int64[np.ndarray, "2 height width"], site: Site) -> Site:
    x, y = before[:, site[1], site[0]].tolist()
    return x, y


def _site(stage: PlacedChip, core: int) -> Site:
    return int(stage.core_x[core]), int(stage.core_y[core])


def _spare(graph: CoreGraph, arch: ChipArch) -> list[tuple[Int64[np.ndarray, " axons"], Int64[np.ndarray, " neurons"]]]:
    """Returns the axons that nobody drives and the neurons that carry nothing, core by core."""
    driven = np.zeros((graph.cores, arch.axons), bool)
    sends = graph.target_core >= 0
    driven[graph.target_core[sends], graph.target_axon[sends]] = True
    driven[graph.input_lines.core, graph.input_lines.axon] = True
    unused = graph.neuron_layer == UNUSED
    return [(np.flatnonzero(~driven[core]), np.flatnonzero(unused[core])) for core in range(graph.cores)]


def _cut_off(stage: PlacedChip, arcs: list[tuple[int, int]]) -> RoutingError:
    """Returns the error that names the cores of arcs for which there is no way."""
    graph = stage.source.source
    names = layer_names(graph)

    def told(core: int) -> str:
        return f"core {core} (layer {names[int(graph.core_layer[core])]}) at {_site(stage, core)}"

    shown = "; ".join(f"{told(start)} from {told(end)}" for start, end in arcs[:_SHOWN])
    more = f"; and {len(arcs) - _SHOWN} more" if len(arcs) > _SHOWN else ""
    return RoutingError(
        f"faulty routers (arch.faulty_routers) cut off {shown}{more}: no core with an axon and a neuron to spare stands"
        " where it could relay their packets; leave more sites free (a larger arch.grid or arch.board), or place by"
        " annealing, which keeps ways off faulty routers"
    )
