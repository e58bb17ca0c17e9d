"""Place: one suite for all algorithms, with annealing behind them and without."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from support.random_graphs import SEEDS, graphs, random_board, random_graph

from passes.default_pipeline import DEFAULT_PIPELINE
from passes.partition import PartitionConfig, partition
from passes.place import ALGORITHMS, PlaceConfig, place
from passes.place.anneal import anneal, cost, own_temperature, padded
from passes.place.annealing import STARTS
from passes.place.hilbert import curve
from passes.place.kernel import LANES
from passes.place.problem import PlaceProblem, Sites
from passes.place.relieve import relieve
from passes.place.spectral import Halvings, spread
from passes.progress import unheard
from tncompile.analysis.graph import Arcs, arcs
from tncompile.analysis.link_load import link_load
from tncompile.analysis.wirelength import wirelength
from tncompile.arch import ChipArch
from tncompile.errors import ConfigError, PlacementError
from tncompile.ir import CoreGraph, PartitionedGraph
from tncompile.pipeline import pass_configs, run_passes
from tncompile.verify.placed import verify

CONFIGS = [
    *(PlaceConfig(algorithm=name, moves=20) for name in ALGORITHMS),
    *(PlaceConfig(start=name, moves=20) for name in STARTS if name != "spectral"),
    PlaceConfig(moves=0),
    PlaceConfig(moves=20, congestion=10),
]
every_config = pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda c: f"{c.algorithm}-{c.start}-{c.moves}-{c.congestion:g}"
)


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


def start(problem: PlaceProblem, name: str, seed: int = 0) -> Sites:
    """Returns the sites that an algorithm gives."""
    return STARTS[name](problem, PlaceConfig(), seed=seed, progress=unheard)


def some_fixed(stage: PartitionedGraph, arch: ChipArch, seed: int) -> dict[int, tuple[int, int]]:
    """Returns random working sites of their own chips for about a fifth of the cores."""
    rng = np.random.default_rng(seed)
    fixed = {}
    for chip in range(arch.chips):
        members = rng.permutation(np.flatnonzero(stage.core_chip == chip))
        sites = [
            (x, y)
            for x in range(arch.size[0])
            for y in range(arch.size[1])
            if arch.chip_of(x, y) == chip and (x, y) not in arch.dead_cores
        ]
        chosen = rng.permutation(len(sites))[: len(members) // 5]
        fixed |= {int(core): sites[i] for core, i in zip(members, chosen, strict=False)}
    return fixed


@every_config
@given(graphs(), SEEDS)
@settings(max_examples=5, deadline=None)
def test_placements_are_legal(config, graph, seed):
    """On boards with faulty cores, up to the last free site, with some cores fixed."""
    arch = random_board(seed, graph.cores, chips=(4, 4))
    stage = partition(graph, arch, PartitionConfig(), seed=seed)
    fixed = some_fixed(stage, arch, seed)
    result = place(stage, arch, config.model_copy(update={"fixed": fixed}), seed=seed)
    sites = list(zip(result.core_x.tolist(), result.core_y.tolist(), strict=True))
    assert len(set(sites)) == len(sites)
    assert not set(sites) & set(arch.dead_cores)
    assert [arch.chip_of(*site) for site in sites] == stage.core_chip.tolist()
    assert {core: sites[core] for core in fixed} == fixed
    length = 0
    for core, neuron in np.argwhere(graph.target_core >= 0):
        (x0, y0), (x1, y1) = sites[core], sites[graph.target_core[core, neuron]]
        length += abs(x1 - x0) + abs(y1 - y0)
    assert result.wirelength == length
    verify(result, arch)


@given(SEEDS)
@settings(max_examples=4, deadline=None)
def test_a_tenth_of_the_cores_may_be_faulty(seed):
    rng = np.random.default_rng(seed)
    board = tuple(rng.integers(1, 5, 2).tolist())
    size = 6 * board[0], 6 * board[1]
    dead = rng.permutation(size[0] * size[1])[: size[0] * size[1] // 10]
    arch = ChipArch(
        axons=8,
        neurons=8,
        grid=(6, 6),
        board=board,
        dead_cores=tuple((int(d) % size[0], int(d) // size[0]) for d in dead),
    )
    graph = random_graph(seed, cores=int(rng.integers(1, size[0] * size[1] - len(dead) + 1)), layers=3)
    stage = partition(graph, arch, PartitionConfig(), seed=seed)
    result = place(stage, arch, PlaceConfig(moves=5), seed=seed)
    verify(result, arch)
    assert not set(zip(result.core_x.tolist(), result.core_y.tolist(), strict=True)) & set(arch.dead_cores)


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


@given(graphs(), SEEDS, st.sampled_from(sorted(STARTS)), st.sampled_from([1e-3, 2.0, 1e4]))
@settings(max_examples=12, deadline=None)
def test_annealing_is_never_worse_than_its_start(graph, seed, name, heat):
    arch = random_board(seed, graph.cores)
    problem = PlaceProblem.of(partition(graph, arch, PartitionConfig(), seed=seed), arch)
    sites = start(problem, name, seed)
    after = anneal(problem, sites, PlaceConfig(moves=3, heat=heat), seed=seed, progress=unheard)
    assert wirelength(problem.arcs, *after.T) <= wirelength(problem.arcs, *sites.T)


def shortest(graph: CoreGraph, grid: tuple[int, int], sites: list[int]) -> int:
    """Returns the least wirelength of all placements on some sites of a grid, numbered row by row."""
    places = np.array(list(permutations(sites, graph.cores)), np.int32)
    y, x = np.divmod(places, grid[0])
    length = np.zeros(len(places), np.int64)
    for core, neuron in np.argwhere(graph.target_core >= 0):
        target = graph.target_core[core, neuron]
        length += abs(x[:, core] - x[:, target]) + abs(y[:, core] - y[:, target])
    return int(length.min())


@pytest.mark.parametrize(
    ("grid", "cores"),
    [((1, 1), 1), ((2, 2), 4), ((3, 2), 6), ((1, 6), 5), ((3, 3), 3), ((3, 3), 7), ((3, 3), 8), ((3, 3), 9)],
)
def test_the_default_finds_the_optimum_of_small_grids(grid, cores):
    """All placements are tried."""
    graph = random_graph(sum(grid) + cores, cores=cores, layers=2)
    arch = ChipArch(axons=8, neurons=8, grid=grid)
    least = shortest(graph, grid, list(range(grid[0] * grid[1])))
    assert {place(on_one_chip(graph), arch, PlaceConfig(), seed=seed).wirelength for seed in range(5)} == {least}


def test_the_default_finds_the_optimum_around_a_faulty_core():
    for seed in range(4):
        graph = random_graph(seed, cores=7, layers=3)
        arch = ChipArch(axons=8, neurons=8, grid=(3, 3), dead_cores=((1, 1),))
        least = shortest(graph, (3, 3), [0, 1, 2, 3, 5, 6, 7, 8])
        assert place(on_one_chip(graph), arch, PlaceConfig(), seed=seed).wirelength == least


def test_a_shuffled_mesh_is_put_back_in_order():
    """The arcs of a 12 × 12 mesh can all have length 1: each step of the default comes closer to that."""
    stage, arch, arcs_of_it = mesh(12), ChipArch(axons=8, neurons=16, grid=(12, 12)), 2 * 12 * 11
    length = {
        name: place(stage, arch, PlaceConfig(algorithm=name), seed=0).wirelength / arcs_of_it for name in ALGORITHMS
    }
    assert length["row_major"] > 6
    assert length["spectral"] < 2
    assert length["annealing"] < 1.2


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
    for name in STARTS:
        verify(place(stage, arch, PlaceConfig(start=name), seed=0), arch)
        verify(place(stage, arch, PlaceConfig(start=name, congestion=5), seed=0), arch)
    verify(place(stage, arch, PlaceConfig(algorithm="hilbert"), seed=0), arch)
    with pytest.raises(PlacementError) as error:
        place(stage, arch, PlaceConfig(algorithm="row_major"), seed=0)
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


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({4: (0, 0)}, "core 4 to (0, 0): there is no such core, they are 0 to 3"),
        ({0: (4, 0)}, "core 0 to (4, 0): the site is off the board of 4 x 2 cores; take another"),
        ({0: (0, -1)}, "core 0 to (0, -1): the site is off the board of 4 x 2 cores; take another"),
        ({0: (1, 1)}, "core 0 to (1, 1): the site is faulty (arch.dead_cores); take another"),
        ({1: (0, 1), 0: (0, 1)}, "core 0 to (0, 1): core 1 is fixed to the same site; take another"),
        (
            {0: (2, 0)},
            "core 0 to (2, 0): the site is on chip 1, partition has put the core on chip 0; take a site of that chip",
        ),
    ],
)
def test_what_cannot_be_fixed_is_refused(fixed, message):
    stage = PartitionedGraph(source=wired([[1], [2], [3], []]), core_chip=np.array([0, 0, 1, 1], np.int32), cut=1)
    arch = ChipArch(axons=8, neurons=16, grid=(2, 2), board=(2, 1), dead_cores=((1, 1),))
    with pytest.raises(PlacementError) as error:
        place(stage, arch, PlaceConfig(fixed=fixed), seed=0)
    assert str(error.value) == f"compile.place.fixed: {message}"


def test_fixed_cores_attract_the_others():
    """A chain whose ends are fixed to opposite corners is stretched between them: no arc is longer than it must be."""
    stage = on_one_chip(wired([[core + 1] for core in range(8)] + [[]]))
    arch = ChipArch(axons=8, neurons=16, grid=(5, 5))
    for name in STARTS:
        config = PlaceConfig(start=name, fixed={0: (0, 0), 8: (4, 4)})
        assert place(stage, arch, config, seed=0).wirelength == 8


def test_all_cores_may_be_fixed():
    stage = on_one_chip(wired([[1], [2], []]))
    arch, fixed = ChipArch(axons=8, neurons=16, grid=(3, 3)), {0: (2, 2), 1: (0, 0), 2: (1, 0)}
    for name in ALGORITHMS:
        result = place(stage, arch, PlaceConfig(algorithm=name, fixed=fixed), seed=0)
        assert result.wirelength == 5


def test_options_of_yaml():
    config = pass_configs({"place": {"fixed": {3: [1, 2]}, "seconds": 2, "start": "hilbert"}})["place"]
    assert config == PlaceConfig(fixed={3: (1, 2)}, seconds=2.0, start="hilbert")
    with pytest.raises(ConfigError, match=r"compile\.place\.fixed"):
        pass_configs({"place": {"fixed": {"a": [1, 2]}}})


def mesh(side: int, seed: int = 0) -> PartitionedGraph:
    """Returns the cores of a square mesh, shuffled."""
    name = np.random.default_rng(seed).permutation(side * side)
    targets: list[list[int]] = [[] for _ in name]
    for x in range(side):
        for y in range(side):
            for nx, ny in ((x + 1, y), (x, y + 1)):
                if max(nx, ny) < side:
                    targets[name[side * y + x]].append(int(name[side * ny + nx]))
    return on_one_chip(wired(targets))


def test_it_takes_the_time_that_it_is_given():
    stage, arch = mesh(12), ChipArch(axons=8, neurons=16, grid=(12, 12))
    place(stage, arch, PlaceConfig(moves=1), seed=0)  # compiles
    begin = time.perf_counter()
    placed = place(stage, arch, PlaceConfig(seconds=0.5, start="random"), seed=0)
    assert 0.4 < time.perf_counter() - begin < 2
    assert placed.wirelength < place(stage, arch, PlaceConfig(algorithm="random"), seed=0).wirelength / 2


def test_progress_rises_to_the_end_and_its_hops_are_true():
    stage, arch = mesh(6), ChipArch(axons=8, neurons=16, grid=(6, 6))
    told: list[tuple[float, float]] = []
    placed = place(
        stage,
        arch,
        PlaceConfig(),
        seed=0,
        progress=lambda fraction, figures: told.append((fraction, *figures.values())),
    )
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert min(hops for _, hops in told) <= placed.wirelength <= told[-1][1]


def test_progress_counts_what_the_kernel_changed():
    """The sum of all changes is the difference of the costs, with arcs beyond reach, several chips and swaps."""
    for bits in (9, 3):
        graph = random_graph(3, cores=60)
        arch = ChipArch(axons=8, neurons=8, grid=(6, 6), board=(2, 2), offset_bits=bits)
        problem = PlaceProblem.of(partition(graph, arch, PartitionConfig(), seed=0), arch)
        sites, last = start(problem, "random"), []
        config = PlaceConfig(moves=2, heat=20)
        after = anneal(problem, sites, config, seed=0, progress=lambda fraction, figures: last.append(figures["hops"]))  # noqa: B023
        assert cost(problem, after) == last[-1] < cost(problem, sites)


def test_crowded_links_are_relieved():
    """What the busiest link carries falls, and the whole sum with it."""
    graph = random_graph(5, cores=120, layers=3)
    arch = ChipArch(axons=8, neurons=8, grid=(11, 11))
    stage = on_one_chip(graph)
    sums = {}
    for congestion in (0.0, 20.0):
        placed = place(stage, arch, PlaceConfig(moves=50, congestion=congestion), seed=0)
        busiest = int(link_load(arcs(graph), placed.core_x, placed.core_y, arch.size).max())
        sums[congestion] = placed.wirelength + 20 * busiest, busiest
        verify(placed, arch)
    assert sums[20.0][0] < sums[0.0][0]
    assert sums[20.0][1] < sums[0.0][1]


def test_relief_ends_with_its_time():
    arch = ChipArch(axons=8, neurons=8, grid=(11, 11))
    problem, config = (
        PlaceProblem.of(on_one_chip(random_graph(5, cores=120, layers=3)), arch),
        PlaceConfig(congestion=20),
    )
    sites = start(problem, "spectral")
    np.testing.assert_array_equal(relieve(problem, sites, config, seed=0, seconds=0.0), sites)
    assert (relieve(problem, sites, config, seed=0) != sites).any()


@given(st.integers(1, 200), SEEDS)
@settings(max_examples=30, deadline=None)
def test_cores_are_spread_over_all_sites(cores, seed):
    rng = np.random.default_rng(seed)
    free = np.argwhere(rng.random((15, 14)) < 0.97)[:cores].astype(np.int32)
    sites = spread(rng.standard_normal((len(free), 2)), Halvings.of(free))
    assert sorted(map(tuple, sites.tolist())) == sorted(map(tuple, free.tolist()))


def test_a_grid_s_own_coordinates_are_its_spread():
    free = np.array([(x, y) for x in range(8) for y in range(8)], np.int32)
    shuffled = np.random.default_rng(0).permutation(free)
    np.testing.assert_array_equal(spread(shuffled + 0.5, Halvings.of(free)), shuffled)


def test_own_temperature_is_where_nothing_changes():
    growths = np.random.default_rng(0).normal(100, 100, 5000)
    temperature = own_temperature(growths)
    taken = np.where(growths > 0, growths * np.exp(-np.maximum(growths, 0) / temperature), growths)
    assert abs(taken.mean()) < 1e-6 * np.abs(growths).mean()
    assert own_temperature(-growths) == pytest.approx(np.abs(growths).mean())


def test_padding_keeps_rows():
    matrix = sparse.random_array((20, 20), density=0.9, rng=np.random.default_rng(0), format="csr")
    weights = np.arange(1, matrix.nnz + 1)
    starts, others, padded_weights = padded(matrix.indptr, matrix.indices, weights)
    assert not (starts % LANES).any()
    for row in range(20):
        inside = slice(starts[row], starts[row + 1])
        kept = padded_weights[inside] > 0
        np.testing.assert_array_equal(others[inside][kept], matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]])
        assert padded_weights[inside].sum() == weights[matrix.indptr[row] : matrix.indptr[row + 1]].sum()


def test_measured_rates_decide():
    """A row of a hub and four others: whoever gets most packets on sample frames is next to the hub."""
    star = Arcs(
        cores=5,
        source=np.zeros(4, np.int32),
        target=np.arange(1, 5, dtype=np.int32),
        weight=np.full(4, 10, np.int64),
        spikes=np.array([5, 900, 40, 700], np.int64),
        frames=100,
    )
    problem = PlaceProblem.of_board(star, ChipArch(grid=(5, 1)), {}, 0)
    for name in STARTS:
        x = ALGORITHMS["annealing"](problem, PlaceConfig(start=name), seed=0, progress=unheard)[:, 0]
        assert np.abs(x - x[0]).tolist() == [0, 2, 1, 2, 1]


def test_rates_beyond_32_bit_are_added_up_exactly():
    graph = random_graph(3, cores=30)
    problem = PlaceProblem.of(on_one_chip(graph), ChipArch(axons=8, neurons=8, grid=(6, 6)))
    pairs = replace(problem.arcs, spikes=problem.arcs.weight * 10**8, frames=10**8)
    problem, told = replace(problem, arcs=pairs), []
    sites = start(problem, "random")
    config = PlaceConfig(moves=50)
    after = anneal(problem, sites, config, seed=0, progress=lambda fraction, figures: told.append(figures["hops"]))
    assert cost(problem, after) in told  # the end of the best round
    assert cost(problem, after) > 1 << 31
    assert cost(problem, after) < 0.8 * cost(problem, sites)


def test_the_compiler_s_observer_hears_of_long_placements(monkeypatch):
    stage, arch, told = mesh(6), ChipArch(axons=8, neurons=16, grid=(6, 6)), []
    only_place = tuple(step for step in DEFAULT_PIPELINE if step.name == "place")
    for quiet in (3600.0, 0.0):
        monkeypatch.setattr("tncompile.pipeline.QUIET_SECONDS", quiet)
        steps = run_passes(
            stage,
            arch,
            pass_configs({"place": {"moves": 10}}, only_place),
            seed=0,
            pipeline=only_place,
            observer=lambda name, fraction, figures: told.append((name, fraction)),
        )
        assert len(list(steps)) == 1
        assert bool(told) == (quiet == 0)
    assert told[-1] == ("place", 1.0)
