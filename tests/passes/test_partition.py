"""Partition: within capacity, on the fewest chips, with little that goes far between them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations, permutations, product
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from support.random_graphs import SEEDS, graphs, random_board, random_graph

from passes.pack import PackConfig, pack
from passes.partition import (
    ALGORITHMS,
    PartitionConfig,
    PartitionProblem,
    algorithm_of,
    fewest_chips,
    partition,
    partition_by,
)
from passes.partition.multilevel import coarsened
from passes.partition.refine import refine
from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.analysis.chip_edges import chip_edge_figures
from tncompile.analysis.graph import adjacency, arcs
from tncompile.arch import ChipArch
from tncompile.config.experiment import parse_config
from tncompile.config.net import NetConfig
from tncompile.errors import CapacityError, ConfigError
from tncompile.ir import CoreGraph, SpikeCounts
from tncompile.nn import assume_statistics, build_network, export_network
from tncompile.verify import verify


def cut_of(graph: CoreGraph, core_chip) -> int:
    """Returns the arcs between chips, counted one by one."""
    return sum(
        core_chip[core] != core_chip[target]
        for core in range(graph.cores)
        for target in graph.target_core[core]
        if target >= 0
    )


def cost_of(graph: CoreGraph, core_chip, columns: int) -> int:
    """Returns Σ |dx| + |dy| in chips over all arcs, one by one."""
    total = 0
    for core, neuron in zip(*np.nonzero(graph.target_core >= 0), strict=True):
        here = divmod(int(core_chip[core]), columns)
        there = divmod(int(core_chip[graph.target_core[core, neuron]]), columns)
        total += abs(here[0] - there[0]) + abs(here[1] - there[1])
    return total


def lattice(width: int, height: int, board: tuple[int, int], seed: int = 0) -> PartitionProblem:
    """Returns a lattice of equal arcs in a random order, on chips of which a few sites are spare."""
    grid = nx.grid_2d_graph(width, height)
    order = np.random.default_rng(seed).permutation(width * height)
    matrix = sparse.csr_array(nx.to_scipy_sparse_array(grid, dtype=np.int64)[order][:, order])
    matrix.sort_indices()
    side = int(np.ceil(np.sqrt(1.05 * width * height / (board[0] * board[1]))))
    return PartitionProblem.of(matrix, ChipArch(grid=(side, side), board=board))


# ---------------------------------------------------------------------------------------------------------------------
# All algorithms.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(graphs(), SEEDS)
@settings(max_examples=10, deadline=None)
def test_every_core_on_a_chip_with_room(algorithm, graph, seed):
    arch = random_board(seed, graph.cores, chips=(4, 4))
    config = PartitionConfig(algorithm=algorithm, tries=2, recombinations=1)
    result = partition(graph, arch, config, seed=seed)
    capacity = [arch.capacity(chip) for chip in range(arch.chips)]
    held = np.bincount(result.core_chip, minlength=arch.chips)
    assert len(held) == arch.chips and (held <= capacity).all()
    assert result.cut == cut_of(graph, result.core_chip)
    used = np.count_nonzero(held)
    assert used == 1 or sum(sorted(capacity)[::-1][: used - 1]) < graph.cores
    verify(result, arch)
    np.testing.assert_array_equal(result.core_chip, partition(graph, arch, config, seed=seed).core_chip)


@pytest.mark.parametrize("algorithm", ["multilevel", "spectral"])
@pytest.mark.parametrize("seed", range(12))
def test_cut_of_two_chips_is_near_the_best(algorithm, seed):
    """Of 10 cores on two chips of 5, all 252 cuts are tried; multilevel finds the best of them."""
    graph = random_graph(seed, cores=10, layers=3)
    arch = ChipArch(axons=8, neurons=8, grid=(5, 1), board=(2, 1))
    cuts = [cut_of(graph, [int(core in first) for core in range(10)]) for first in combinations(range(10), 5)]
    found = partition(graph, arch, PartitionConfig(algorithm=algorithm), seed=0).cut
    assert min(cuts) <= found <= (1 if algorithm == "multilevel" else 1.25) * min(cuts) < np.mean(cuts)


@pytest.mark.parametrize("seed", range(8))
def test_distance_on_a_board_is_the_least_there_is(seed):
    """Of 7 cores on four chips of 2, one with a faulty core, all ways to deal them are tried."""
    graph = random_graph(seed, cores=7, layers=3)
    arch = ChipArch(axons=8, neurons=8, grid=(2, 1), board=(2, 2), dead_cores=((3, 1),))
    places = np.repeat(np.arange(4), [2, 2, 2, 1])
    distance = PartitionProblem.of(adjacency(arcs(graph)), arch).distance
    dense = adjacency(arcs(graph)).toarray()
    deals = np.array(sorted(set(permutations(places.tolist()))))
    costs = np.einsum("ij,dij->d", dense, distance[deals[:, :, None], deals[:, None, :]]) // 2
    found = partition(graph, arch, PartitionConfig(), seed=0)
    assert cost_of(graph, found.core_chip, 2) == costs.min() < np.median(costs)


@pytest.mark.parametrize("algorithm", ["multilevel", "spectral"])
def test_a_chain_of_cliques_lies_along_the_board(algorithm):
    """Four groups of cores that talk among themselves, in a chain: each gets a chip, in that order."""
    graph = random_graph(0, cores=16, layers=1)
    target = np.full((16, 8), -1, np.int32)
    for group, member in product(range(4), range(4)):
        core = 4 * group + member
        target[core, :3] = [4 * group + other for other in range(4) if other != member]
        if group < 3:
            target[core, 3] = core + 4
    shuffled = np.random.default_rng(1).permutation(16).astype(np.int32)
    renamed = np.empty_like(target)
    renamed[shuffled] = np.where(target >= 0, shuffled[target], -1)
    graph = replace(graph, target_core=renamed)
    arch = ChipArch(axons=8, neurons=8, grid=(2, 2), board=(4, 1))
    result = partition(graph, arch, PartitionConfig(algorithm=algorithm), seed=0)
    chips = [set(result.core_chip[shuffled[4 * group : 4 * group + 4]].tolist()) for group in range(4)]
    assert chips in ([{0}, {1}, {2}, {3}], [{3}, {2}, {1}, {0}])


def test_refinement_cuts_less():
    problem = [lattice(20, 20, (2, 2), seed) for seed in range(4)]
    costs = np.array(
        [
            [
                one.cost(algorithm_of(PartitionConfig(algorithm="spectral", passes=n, patience=p), 0)(one))
                for n, p in ((1, 1), (8, 200))
            ]
            for one in problem
        ]
    )
    assert (costs[:, 1] <= costs[:, 0]).all()
    assert costs[:, 1].sum() < 0.97 * costs[:, 0].sum()


def test_arcs_weigh_what_their_neurons_spike():
    """Of a ring of four cores on two chips, the two arcs are cut whose neurons spike least."""
    graph = random_graph(3, cores=4, layers=1)
    target = np.full((4, 8), -1, np.int32)
    target[:, 0] = [1, 2, 3, 0]
    layer, index = np.full((4, 8), -2, np.int16), np.full((4, 8), -1, np.int32)
    layer[:, 0], index[:, 0] = 0, [0, 1, 2, 3]
    graph = replace(graph, target_core=target, neuron_layer=layer, neuron_index=index)
    arch = ChipArch(axons=8, neurons=8, grid=(2, 1), board=(2, 1))
    for loud, together in (((0, 2), {0, 1}), ((1, 3), {1, 2})):
        spikes = np.zeros(4, np.int32)
        spikes[list(loud)] = 9
        logical = replace(
            graph.source.source, spike_counts=SpikeCounts(frames=9, spikes=(np.zeros(1, np.int32), spikes))
        )
        measured = replace(graph, source=replace(graph.source, source=logical))
        chip = partition(measured, arch, PartitionConfig(), seed=0).core_chip
        assert set(np.flatnonzero(chip == chip[min(together)]).tolist()) == together


# ---------------------------------------------------------------------------------------------------------------------
# Multilevel and its parts.


@pytest.mark.parametrize(("width", "height", "board", "least"), [(24, 24, (2, 2), 48), (40, 10, (4, 1), 30)])
def test_lattices_are_cut_along_lines(width, height, board, least):
    problem = lattice(width, height, board)
    config = PartitionConfig()
    assert least <= problem.cost(algorithm_of(config, 0)(problem)) <= 1.05 * least


def test_children_are_better():
    """The best of the parents stays, so no child makes it worse, and some make it better."""
    costs = []
    for seed in range(2):
        problem = lattice(23, 29, (3, 2), seed)
        algorithms = [algorithm_of(PartitionConfig(tries=3, recombinations=n), 0) for n in (0, 6)]
        costs.append([problem.cost(algorithm(problem)) for algorithm in algorithms])
    with_none, with_six = np.array(costs).T
    assert (with_six <= with_none).all() and with_six.sum() < with_none.sum()


def test_progress_goes_up_and_costs_go_down():
    told = []
    problem = lattice(9, 9, (2, 1))
    config = PartitionConfig(tries=3, recombinations=2)
    dealt = algorithm_of(config, 0, lambda done, figures: told.append((done, figures["rate × chips"])))(problem)
    done, costs = zip(*told, strict=True)
    assert done == (0.2, 0.4, 0.6, 0.8, 1.0)
    assert list(costs) == sorted(costs, reverse=True) and costs[-1] == problem.cost(dealt)


@given(SEEDS, st.integers(150, 400), st.integers(1, 6))
@settings(max_examples=15, deadline=None)
def test_coarser_levels_are_the_same_graph(seed, cores, labels):
    """A deal of a coarse level costs what it costs when it is brought down to the cores."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 9, (cores, cores)) * (rng.random((cores, cores)) < 4 / cores)
    matrix = sparse.csr_array(np.triu(dense, 1) + np.triu(dense, 1).T)
    problem = PartitionProblem.of(matrix, ChipArch(grid=(cores, 1), board=(1, 1)))
    problem = replace(problem, site=np.array([[0, 0], [1, 0]]), chips=np.arange(2), capacity=np.full(2, cores))
    label = rng.integers(0, labels, cores).astype(np.int32)
    levels = coarsened(problem, label, seed=seed)
    dealt = rng.integers(0, 2, len(levels[-1].size)).astype(np.int32)
    cost = replace(problem, matrix=levels[-1].matrix).cost(dealt)
    named = levels[-1].label
    for level in reversed(levels[:-1]):
        dealt, named = dealt[level.above], named[level.above]
    assert (
        problem.cost(dealt)
        == cost
        == sum(dense[i, j] for i, j in np.argwhere(np.triu(dense, 1)) if dealt[i] != dealt[j])
    )
    np.testing.assert_array_equal(named, label)
    assert levels[-1].size.sum() == cores and levels[-1].size.max() <= max(cores // 30, 1)


@given(SEEDS, st.integers(1, 40), st.integers(2, 5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_refinement_makes_legal_and_never_dearer(seed, nodes, chips, legal):
    rng = np.random.default_rng(seed)
    dense = np.triu(rng.integers(0, 9, (nodes, nodes)) * (rng.random((nodes, nodes)) < 0.3), 1)
    matrix = sparse.csr_array(dense + dense.T)
    site = np.stack([np.arange(chips), np.zeros(chips, int)], axis=1)
    full = np.bincount(rng.integers(0, chips, nodes), minlength=chips)
    problem = PartitionProblem(matrix=matrix, chips=np.arange(chips), site=site, capacity=full)
    start = rng.permutation(np.repeat(np.arange(chips), full)) if legal else np.zeros(nodes)
    start = start.astype(np.int32)
    size = np.ones(nodes, np.int64)
    done = refine(matrix, size, problem.distance, problem.capacity, start, passes=8, patience=50)
    np.testing.assert_array_equal(np.bincount(done, minlength=chips), full)
    if legal:
        assert problem.cost(done) <= problem.cost(start)


@pytest.mark.parametrize(
    ("capacity", "cores", "expected"),
    [
        ([4, 4, 4, 4], 4, [0]),
        ([3, 4, 4, 4], 4, [1]),
        ([4, 4, 4, 4], 8, [0, 1]),
        ([4, 1, 1, 4], 8, [0, 3]),  # the only pair that suffices is not adjacent
        ([4, 4, 4, 4], 0, [0]),
    ],
)
def test_fewest_chips(capacity, cores, expected):
    assert fewest_chips(ChipArch(grid=(2, 2), board=(2, 2)), np.array(capacity), cores).tolist() == expected


def test_too_small_a_board_says_what_takes_most():
    graph = random_graph(5, cores=20, layers=3)
    arch = ChipArch(axons=8, neurons=8, grid=(3, 3), board=(2, 1), dead_cores=((0, 0),))
    with pytest.raises(CapacityError) as error:
        partition(graph, arch, PartitionConfig(), seed=0)
    assert str(error.value) == (
        "the net needs 20 cores, the board has 17 working ones (2 x 1 chips of 3 x 3, 1 faulty); most are taken by"
        " layer0 (8 + 2 splitters), layer1 (5 + 1 splitters), layer2 (4 + 0 splitters); use a larger arch.board or"
        " arch.grid, or fewer features"
    )


def test_a_net_of_four_chips():
    """The net of Esser et al. 2016 for four chips on a sixteenth of its positions, and chips to match."""
    layers = (
        "S-64 S-256(8) N-256(2) P-256(8) S-512(32) N-512(4) P-512(16) S-1024(64) N-1024(8) P-1024(32) S-2048(128) "
        "N-2048(16) x3 N-4096(16)"
    )
    arch = ChipArch(grid=(15, 15), board=(2, 2), dead_cores=((0, 0), (29, 3)))
    net = NetConfig.model_validate({"layers": layers})
    model = build_network(net, in_shape=(8, 8, 3), input_bits=8, classes=10, arch=arch, seed=0)
    assume_statistics(model, 0)
    trinary = trinarize(export_network(model, "four"), arch, TrinarizeConfig(), seed=0)
    graph = pack(trinary, arch, PackConfig(), seed=0)
    dealt = partition(graph, arch, PartitionConfig(), seed=0)
    verify(dealt, arch)
    assert graph.cores > 2 * arch.capacity(0)
    figures = chip_edge_figures(dealt, arch)
    assert len(figures["chips"]) == fewest_chips(arch, np.array([224, 224, 225, 225]), graph.cores).size
    problem = PartitionProblem.of(adjacency(arcs(graph)), arch)
    row = np.searchsorted(problem.chips, dealt.core_chip).astype(np.int32)
    crossed = sum(edge["most"] for edge in figures["edges"])
    others = [algorithm_of(PartitionConfig(algorithm=name), 0)(problem) for name in ("spectral", "in_order")]
    assert crossed == problem.cost(row) <= problem.cost(others[0]) < problem.cost(others[1])


# ---------------------------------------------------------------------------------------------------------------------
# Functions of the user's own.

BOARD = ChipArch(axons=8, neurons=8, grid=(3, 2), board=(2, 1), dead_cores=((4, 1),))


def alternate(graph: nx.DiGraph, arch: ChipArch) -> dict[int, int]:
    """Returns the cores dealt to the chips in turn."""
    return {core: core % arch.chips for core in graph}


def test_a_function_gets_graph_and_chip():
    graph = random_graph(7, cores=9)
    seen = []

    def spy(given: nx.DiGraph, arch: ChipArch) -> dict[int, np.int64]:
        seen.append((given, arch))
        return {core: np.int64(chip) for core, chip in alternate(given, arch).items()}

    result = partition_by(spy, graph, BOARD)
    np.testing.assert_array_equal(result.core_chip, np.arange(9) % 2)
    assert result.cut == cut_of(graph, result.core_chip)
    verify(result, BOARD)
    ((given, arch),) = seen
    assert arch is BOARD and isinstance(given, nx.DiGraph) and sorted(given) == list(range(9))
    weights = {(s, t): n for s, t, n in given.edges(data="neurons")}
    assert weights == {(s, t): r for s, t, r in given.edges(data="rate")}
    assert sum(weights.values()) == np.count_nonzero(graph.target_core >= 0)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_function_is_named_in_yaml_and_found_in_the_current_folder(modules):
    (modules / "my_partitioner.py").write_text(
        "class Mine:\n    @staticmethod\n    def halves(graph, arch):\n"
        "        return {core: int(core >= len(graph) // 2) for core in graph}\n"
    )
    config = parse_config(PartitionConfig, {"algorithm": "my_partitioner:Mine.halves"}, "compile.partition")
    result = partition(random_graph(7, cores=9), BOARD, config, seed=0)
    assert result.core_chip.tolist() == [0] * 4 + [1] * 5


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (
            "",
            "nowhere_at_all:f",
            "importing nowhere_at_all raised ModuleNotFoundError: No module named",
        ),
        ("1 / 0", "bad_one:f", "importing bad_one raised ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(5)", "bad_four:f", "importing bad_four raised SystemExit: 5"),
        ("def g(): pass", "bad_two:f", "bad_two.py has no f"),
        ("f = 3", "bad_three:f", "is 3 (int), not a function"),
    ],
)
def test_what_cannot_be_loaded(modules, text, name, message):
    (modules / f"{name.split(':')[0]}.py").write_text(text) if text else None
    with pytest.raises(ConfigError) as error:
        partition(random_graph(7, cores=9), BOARD, PartitionConfig(algorithm=name), seed=0)
    assert str(error.value).startswith(f"compile.partition.algorithm: {name}: ") and message in str(error.value)


def test_a_missing_module_is_to_be_written_only_if_it_is_the_one_that_was_named(modules):
    (modules / "needs_another.py").write_text("import another_that_is_missing")
    for name, advised in (("needs_another:f", False), ("nowhere_to_be_found:f", True)):
        with pytest.raises(ConfigError, match="ModuleNotFoundError") as error:
            partition(random_graph(7, cores=9), BOARD, PartitionConfig(algorithm=name), seed=0)
        assert ("; write nowhere_to_be_found.py in " in str(error.value)) is advised


def failing(graph: nx.DiGraph, arch: ChipArch) -> dict[int, int]:
    raise KeyError("weight")


class Lazy(Mapping):
    """A mapping that fails only when it is read."""

    def __getitem__(self, core):
        raise KeyError("not there")

    def __iter__(self):
        return iter(range(9))

    def __len__(self):
        return 9


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (failing, "failing: raised KeyError: 'weight'"),
        (lambda graph, arch: list(graph), "returned [0, 1, 2, 3, 4, 5, 6, 7, 8] (list); it must return"),
        (lambda graph, arch: {c: 0 for c in graph if c != 4}, "leaves out 1 of 9 cores, first core 4; it must return"),
        (lambda graph, arch: {**alternate(graph, arch), 9: 0}, "names core 9, which the graph does not have"),
        (lambda graph, arch: {**alternate(graph, arch), 3: 2}, "puts core 3 on chip 2; the 2 x 1 chips of"),
        (lambda graph, arch: {**alternate(graph, arch), 3: -1}, "puts core 3 on chip -1"),
        (lambda graph, arch: {**alternate(graph, arch), 3: 1.0}, "puts core 3 on chip 1.0"),
        (lambda graph, arch: {**alternate(graph, arch), 3: True}, "puts core 3 on chip True"),
        (lambda graph, arch: dict.fromkeys(graph, 1), "puts 9 cores on chip 1, which has 5 working ones"),
        (lambda graph: {}, "raised TypeError: "),
        (lambda graph, arch: sys.exit(3), "raised SystemExit: 3"),
        (lambda graph, arch: Lazy(), "raised KeyError: 'not there'"),
    ],
)  # fmt: skip
def test_what_is_no_partition(function, message):
    with pytest.raises(ConfigError) as error:
        partition_by(function, random_graph(7, cores=9), BOARD)
    assert message in str(error.value) and str(error.value).startswith("compile.partition.algorithm: ")


@pytest.mark.parametrize("name", ["metis", "", "a b:c", "module:", ":f", "module.f"])
def test_algorithms_that_there_are_not(name):
    with pytest.raises(ConfigError) as error:
        parse_config(PartitionConfig, {"algorithm": name}, "compile.partition")
    assert str(error.value) == (
        "compile.partition.algorithm: must be multilevel, spectral, in_order, or module:function of your own, is "
        f"{name!r}"
    )
