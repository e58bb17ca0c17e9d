"""Route: every packet ends on its target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from support.random_graphs import SEEDS, graphs, random_board, random_graph

from passes.route import RouteConfig, route
from tncompile.arch import ChipArch
from tncompile.errors import RoutingError
from tncompile.ir import CoreGraph, PartitionedGraph, PlacedChip
from tncompile.verify.routed import verify


def scattered(graph: CoreGraph, arch: ChipArch, seed: int) -> PlacedChip:
    """Returns the cores on random sites of the board."""
    width, height = arch.size
    site = np.random.default_rng(seed).choice(width * height, graph.cores, replace=False).astype(np.int32)
    x, y = site % width, site // width
    chip = np.array([arch.chip_of(*at) for at in zip(x.tolist(), y.tolist(), strict=True)], np.int32)
    return PlacedChip(source=PartitionedGraph(source=graph, core_chip=chip, cut=0), core_x=x, core_y=y, wirelength=0)


@given(graphs(), SEEDS)
@settings(max_examples=25, deadline=None)
def test_packets_end_on_their_targets(graph, seed):
    arch = random_board(seed, graph.cores)
    placed = scattered(graph, arch, seed)
    routed = route(placed, arch, RouteConfig(), seed=0)
    at = {(int(x), int(y)): core for core, (x, y) in enumerate(zip(placed.core_x, placed.core_y, strict=True))}
    for core, neuron in np.ndindex(graph.target_core.shape):
        offset = int(routed.dx[core, neuron]), int(routed.dy[core, neuron])
        target = graph.target_core[core, neuron]
        if target < 0:
            assert offset == (0, 0)
        else:
            assert at[placed.core_x[core] + offset[0], placed.core_y[core] + offset[1]] == target
    verify(routed, arch)


@pytest.mark.parametrize(("axis", "reach"), [("x", 3), ("y", 3)])
def test_reach_is_kept_to_the_core(axis, reach):
    """Two cores as far apart as a packet goes are routed; one further they are refused, by name."""
    graph = random_graph(1, cores=2, layers=1)
    target = np.full((2, 8), -1, np.int32)
    target[0, 5] = 1
    graph = replace(graph, target_core=target)
    arch = ChipArch(axons=8, neurons=8, grid=(9, 9), offset_bits=3)
    far = {"core_x": np.zeros(2, np.int32), "core_y": np.zeros(2, np.int32)}
    stage = PlacedChip(
        source=PartitionedGraph(source=graph, core_chip=np.zeros(2, np.int32), cut=0), wirelength=0, **far
    )
    legal = replace(stage, **{f"core_{axis}": np.array([reach, 0], np.int32)})
    assert getattr(route(legal, arch, RouteConfig(), seed=0), f"d{axis}")[0, 5] == -reach
    illegal = replace(stage, **{f"core_{axis}": np.array([0, reach + 1], np.int32)})
    with pytest.raises(RoutingError) as error:
        route(illegal, arch, RouteConfig(), seed=0)
    end = "(4, 0)" if axis == "x" else "(0, 4)"
    assert str(error.value) == (
        f"layer layer0, core 0 at (0, 0), neuron 5: its target core 1 at {end} has d{axis} = 4, a packet reaches 3"
        " (3 bit, sign included); 1 neuron(s) are out of reach; place their cores closer together, or raise"
        " arch.offset_bits"
    )
