"""route: the relative address of every neuron's packet, and what it loads on the links.

A packet goes along x first, then along y, so there is one way from core to core. If a faulty router stands on it, the
packet must turn more often, which only a core can do for it: a relay, a neuron that repeats what it hears.

1. `mesh` knows which ways are free of faulty routers.
2. `relays` finds, for every arc whose way is not, cores with axons and neurons to spare from which it goes on.
3. `timing` makes room for the ticks that relays take, and aligns everything else.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32

from passes.route.mesh import Mesh
from passes.route.relays import find_relays
from passes.route.timing import retimed
from tncompile.analysis.graph import arcs, layer_names
from tncompile.analysis.link_load import crossings, link_load
from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.errors import RoutingError
from tncompile.ir import CoreGraph, Detours, PlacedChip, RoutedChip, graph_of, sites_of


class RouteConfig(Config):
    """Route has no options: packets go along x first, then along y."""


def route(stage: PlacedChip, arch: ChipArch, config: RouteConfig, *, seed: int) -> RoutedChip:
    """Returns the packet of every neuron.

    Args:
        stage: the cores on their sites.
        arch: the board, with its faulty routers.
        config: nothing.
        seed: not used; the pass draws no random numbers.

    Raises:
        RoutingError: a target is further away in x or y than a packet can say, or faulty routers cut it off.
    """
    return _routed(stage, arch, _detours(stage, arch))


def _detours(stage: PlacedChip, arch: ChipArch) -> Detours | None:
    """Returns the detours that faulty routers ask for, None if there are none."""
    graph, x, y = stage.source.source, stage.core_x, stage.core_y
    mesh, pairs = Mesh.of(arch), arcs(graph)
    blocked = ~mesh.clear(x[pairs.source], y[pairs.source], x[pairs.target], y[pairs.target])
    if not blocked.any():
        return None
    relays = find_relays(stage, arch, mesh, pairs.source[blocked], pairs.target[blocked])
    return retimed(graph, relays, arch)


def _routed(stage: PlacedChip, arch: ChipArch, detours: Detours | None) -> RoutedChip:
    """Returns the stage with offsets and loads."""
    none = np.zeros((0, 0), np.int16)
    unaddressed = RoutedChip(
        source=stage, dx=none, dy=none, link_load=np.zeros((4, 0, 0), np.int64), crossings=0, detours=detours
    )
    graph, (x, y) = graph_of(unaddressed), sites_of(unaddressed)
    has_target = graph.target_core >= 0
    target = np.where(has_target, graph.target_core, 0)
    dx = np.where(has_target, x[target] - x[:, None], 0).astype(np.int32)
    dy = np.where(has_target, y[target] - y[:, None], 0).astype(np.int32)
    _check_reach(graph, x, y, arch, dx, dy)
    load = link_load(arcs(graph), x, y, arch.size)
    return RoutedChip(
        source=stage,
        dx=dx.astype(np.int16),
        dy=dy.astype(np.int16),
        link_load=load,
        crossings=crossings(load, arch),
        detours=detours,
    )


def _check_reach(
    graph: CoreGraph,
    x: Int32[np.ndarray, " cores"],
    y: Int32[np.ndarray, " cores"],
    arch: ChipArch,
    dx: Int32[np.ndarray, "cores neurons"],
    dy: Int32[np.ndarray, "cores neurons"],
) -> None:
    """Raises RoutingError for the first neuron whose offset does not fit a packet."""
    core, neuron = np.nonzero(np.maximum(np.abs(dx), np.abs(dy)) > arch.offset_max)
    if not len(core):
        return
    c, n = int(core[0]), int(neuron[0])
    axis, offset = ("dx", dx[c, n]) if abs(dx[c, n]) > arch.offset_max else ("dy", dy[c, n])
    target = int(graph.target_core[c, n])
    raise RoutingError(
        f"layer {layer_names(graph)[int(graph.core_layer[c])]}, core {c} at ({x[c]}, {y[c]}), neuron {n}: its target"
        f" core {target} at ({x[target]}, {y[target]}) has {axis} = {offset}, a packet reaches {arch.offset_max}"
        f" ({arch.offset_bits} bit, sign included); {len(core)} neuron(s) are out of reach; place their cores closer"
        " together, or raise arch.offset_bits"
    )
