"""Route: the relative address of every neuron's packet, and what it loads on the links."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32

from tncompile.analysis.graph import arcs, layer_names
from tncompile.analysis.link_load import crossings, link_load
from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.errors import RoutingError
from tncompile.ir import PlacedChip, RoutedChip


class RouteConfig(Config):
    """Route has no options: packets go along x first, then along y."""


def route(stage: PlacedChip, arch: ChipArch, config: RouteConfig, *, seed: int) -> RoutedChip:
    """Returns the packet of every neuron.

    Raises:
        RoutingError: a target is further away in x or y than a packet can say.
    """
    graph = stage.source.source
    has_target = graph.target_core >= 0
    target = np.where(has_target, graph.target_core, 0)
    dx = np.where(has_target, stage.core_x[target] - stage.core_x[:, None], 0).astype(np.int32)
    dy = np.where(has_target, stage.core_y[target] - stage.core_y[:, None], 0).astype(np.int32)
    _check_reach(stage, arch, dx, dy)
    load = link_load(arcs(graph), stage.core_x, stage.core_y, arch.size)
    return RoutedChip(
        source=stage, dx=dx.astype(np.int16), dy=dy.astype(np.int16), link_load=load, crossings=crossings(load, arch)
    )


def _check_reach(
    stage: PlacedChip,
    arch: ChipArch,
    dx: Int32[np.ndarray, "cores neurons"],
    dy: Int32[np.ndarray, "cores neurons"],
) -> None:
    """Raises RoutingError for the first neuron whose offset does not fit a packet."""
    core, neuron = np.nonzero(np.maximum(np.abs(dx), np.abs(dy)) > arch.offset_max)
    if not len(core):
        return
    graph = stage.source.source
    c, n = int(core[0]), int(neuron[0])
    axis, offset = ("dx", dx[c, n]) if abs(dx[c, n]) > arch.offset_max else ("dy", dy[c, n])
    target = int(graph.target_core[c, n])
    x, y = stage.core_x.tolist(), stage.core_y.tolist()
    raise RoutingError(
        f"layer {layer_names(graph)[int(graph.core_layer[c])]}, core {c} at ({x[c]}, {y[c]}), neuron {n}: its target"
        f" core {target} at ({x[target]}, {y[target]}) has {axis} = {offset}, a packet reaches {arch.offset_max}"
        f" ({arch.offset_bits} bit, sign included); {len(core)} neuron(s) are out of reach; place their cores closer"
        " together, or raise arch.offset_bits"
    )
