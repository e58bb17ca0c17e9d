"""Place: one suite for all algorithms, with annealing behind them and without."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_graphs import SEEDS, graphs, random_board, random_graph

from passes.partition import PartitionConfig, partition
from passes.place import ALGORITHMS, PlaceConfig, place
from passes.place.anneal import anneal
from passes.place.hilbert import curve
from passes.place.problem import PlaceProblem
from tncompile.analysis.wirelength import wirelength
from tncompile.arch import ChipArch
from tncompile.errors import PlacementError
from tncompile.ir import CoreGraph, PartitionedGraph
from tncompile.verify.placed import verify

CONFIGS = [PlaceConfig(algorithm=name, moves=moves) for name in ALGORITHMS for moves in (0, 20)]
every_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.algorithm}-{config.moves}")


def wired(targets: list[list[int]]) -> CoreGraph:
    """Returns a graph in which core i sends one neuron to each of the cores `targets[i]`."""
    graph = random_graph(0, cores=len(targets), layers=1, neurons=16)
    target_core = np.full((len(targets), 16), -1, np.int32)
    for core, row in enumerate(targets):
        target_core[core, : len(row)] = row
    return replace(graph, target_core=target_core)


def on_one_chip(graph: CoreGraph) -> PartitionedGraph:
    """Returns all cores on chip 0."""
    return PartitionedGraph(source=graph, core_chip=np.zeros(graph.cores, np.int32), cut=0)


@every_config
@given(graphs(), SEEDS)
@settings(max_examples=12, deadline=None)
def test_placements_are_legal(config, graph, seed):
    arch = random_board(seed, graph.cores)
    stage = partition(graph, arch, PartitionConfig(), seed=seed)
    result = place(stage, arch, config, seed=seed)
    sites = list(zip(result.core_x.tolist(), result.core_y.tolist(), strict=True))
    assert len(set(sites)) == len(sites)
    assert not set(sites) & set(arch.dead_cores)
    assert [arch.chip_of(*site) for site in sites] == stage.core_chip.tolist()
    length = 0
    for core, neuron in np.argwhere(graph.target_core >= 0):
        (x0, y0), (x1, y1) = sites[core], sites[graph.target_core[core, neuron]]
        length += abs(x1 - x0) + abs(y1 - y0)
    assert result.wirelength == length
    verify(result, arch)


@every_config
def test_same_seed_same_sites(config):
    graph = random_graph(7, cores=40)
    arch = ChipArch(axons=8, neurons=8, grid=(5, 5), board=(2, 1))
    stage = partition(graph, arch, PartitionConfig(), seed=1)
    first, second = (place(stage, arch, config, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first.core_x, second.core_x)
    np.testing.assert_array_equal(first.core_y, second.core_y)


def test_same_sites_in_any_process():
    """Neither the hash seed nor the number of threads matters; another seed does."""
    program = (
        "from support.random_graphs import random_graph; from passes.partition import *; from passes.place import *\n"
        "from tncompile.ir.text import digest\n"
        "arch = ChipArch(axons=8, neurons=8, grid=(8, 8), board=(2, 1))\n"
        "for seed in (1, 2):\n"
        "    stage = partition(random_graph(7, cores=100), arch, PartitionConfig(), seed=seed)\n"
        "    print(digest(place(stage, arch, PlaceConfig(moves=20), seed=seed)))\n"
    )
    path = os.pathsep.join(p for p in sys.path if p)
    runs = []
    for number in ("1", "2"):
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), number)
        environment = os.environ | threads | {"PYTHONHASHSEED": number, "PYTHONPATH": path}
        command = [sys.executable, "-c", program]
        runs.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    first, second = (run.communicate()[0].split() for run in runs)
    assert len(first) == 2
    assert first == second
    assert first[0] != first[1]


@given(graphs(), SEEDS, st.sampled_from(sorted(ALGORITHMS)), st.sampled_from([0.01, 8.0, 1e4]))
@settings(max_examples=30, deadline=None)
def test_annealing_is_never_worse_than_its_start(graph, seed, name, temperature):
    arch = random_board(seed, graph.cores)
    problem = PlaceProblem.of(partition(graph, arch, PartitionConfig(), seed=seed), arch)
    start = ALGORITHMS[name](problem, seed=seed)
    after = anneal(problem, start, moves=3, temperature=temperature, seed=seed)
    assert wirelength(problem.arcs, *after.T) <= wirelength(problem.arcs, *start.T)


@pytest.mark.parametrize(
    ("grid", "cores"), [((2, 2), 4), ((3, 2), 6), ((1, 6), 5), ((3, 3), 9), ((3, 3), 8), ((3, 3), 7)]
)
def test_the_default_finds_the_optimum_of_small_grids(grid, cores):
    """All placements are tried."""
    graph = random_graph(sum(grid) + cores, cores=cores, layers=2)
    arch = ChipArch(axons=8, neurons=8, grid=grid)
    places = np.array(list(permutations(range(grid[0] * grid[1]), cores)), np.int32)
    y, x = np.divmod(places, grid[0])
    length = np.zeros(len(places), np.int64)
    for core, neuron in np.argwhere(graph.target_core >= 0):
        target = graph.target_core[core, neuron]
        length += abs(x[:, core] - x[:, target]) + abs(y[:, core] - y[:, target])
    found = [place(on_one_chip(graph), arch, PlaceConfig(), seed=seed).wirelength for seed in range(5)]
    assert min(found) == length.min()
    assert max(found) <= 1.05 * length.min()


def test_a_shuffled_mesh_is_put_back_in_order():
    """The arcs of a 12 × 12 mesh can all have length 1: each step of the default comes closer to that."""
    side = 12
    name = np.random.default_rng(0).permutation(side * side)
    targets: list[list[int]] = [[] for _ in name]
    for x in range(side):
        for y in range(side):
            for nx, ny in ((x + 1, y), (x, y + 1)):
                if max(nx, ny) < side:
                    targets[name[side * y + x]].append(int(name[side * ny + nx]))
    arcs = sum(map(len, targets))
    arch = ChipArch(axons=8, neurons=16, grid=(side, side))
    stage = on_one_chip(wired(targets))
    length = {
        (config.algorithm, config.moves): place(stage, arch, config, seed=0).wirelength / arcs
        for config in (
            PlaceConfig(algorithm="row_major", moves=0),
            PlaceConfig(algorithm="spectral", moves=0),
            PlaceConfig(),
        )
    }
    assert length["row_major", 0] > 6
    assert length["spectral", 0] < 2.5
    assert length["spectral", 1000] < 1.6


@given(st.integers(1, 24), st.integers(1, 24))
@settings(max_examples=40, deadline=None)
def test_the_curve_fills_any_grid_step_by_step(width, height):
    sites = np.array(list(curve(width, height)))
    assert sorted(map(tuple, sites.tolist())) == [(x, y) for x in range(width) for y in range(height)]
    steps = np.abs(np.diff(sites, axis=0))
    assert steps.max(initial=0) <= 1
    assert (steps.sum(axis=1) == 2).sum() <= 1


def test_a_placement_beyond_reach_is_made_legal():
    """A chain of 16 cores in a 4 × 4 grid whose packets reach 1: along the curve it is legal, row by row it is not."""
    stage = on_one_chip(wired([[core + 1] for core in range(15)] + [[]]))
    arch = ChipArch(axons=8, neurons=16, grid=(4, 4), offset_bits=2)
    for algorithm in ALGORITHMS:
        verify(place(stage, arch, PlaceConfig(algorithm=algorithm), seed=0), arch)
    verify(place(stage, arch, PlaceConfig(algorithm="hilbert", moves=0), seed=0), arch)
    with pytest.raises(PlacementError) as error:
        place(stage, arch, PlaceConfig(algorithm="row_major", moves=0), seed=0)
    assert str(error.value) == (
        "core 3 (layer layer0) at (3, 0) to core 4 (layer layer0) at (0, 1): the longest arc has an offset of 3, a"
        " packet reaches 1 (2 bit, sign included); 3 of 15 arcs are out of reach; raise compile.place.moves, use fewer"
        " or smaller chips, or raise arch.offset_bits"
    )


def test_what_no_placement_can_reach_is_refused():
    """Core 0 sends to nine others, but only eight sites are within reach."""
    stage = on_one_chip(wired([list(range(1, 10))] + [[]] * 9))
    with pytest.raises(PlacementError, match="1 of 9 arcs are out of reach"):
        place(stage, ChipArch(axons=8, neurons=16, grid=(5, 5), offset_bits=2), PlaceConfig(), seed=0)
