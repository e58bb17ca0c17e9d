"""The placer for graphs alone, `tncompile.place`, and the verifier that it shares with the compiler."""

from __future__ import annotations

import math
import subprocess
import sys

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tncompile
from passes.place import ALGORITHMS
from tncompile.arch import ChipArch
from tncompile.errors import CapacityError, ConfigError, PlacementError, TnCompileError, VerificationError
from tncompile.verify.placed import SITE_CODES, verify_sites

SEEDS = st.integers(0, 2**32 - 1)
SMALL = ChipArch(grid=(3, 3))


def random_digraph(seed: int, nodes: int) -> nx.DiGraph:
    """Returns a graph with cycles, loops, isolated nodes and rates that are no integers; nodes are strings."""
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    graph.add_nodes_from(f"n{i}" for i in range(nodes))
    for source, target in rng.integers(0, nodes, (int(rng.integers(0, 3 * nodes + 1)), 2)):
        graph.add_edge(f"n{source}", f"n{target}", rate=float(rng.exponential()))
    return graph


def length(graph: nx.DiGraph, sites: dict, arch: ChipArch = SMALL, crossing: int = 0) -> float:
    """Returns Σ rate × length, arc by arc."""
    total = 0.0
    for start, end, rate in graph.edges(data="rate", default=1):
        (x0, y0), (x1, y1) = sites[start], sites[end]
        edges = abs(x1 // arch.grid[0] - x0 // arch.grid[0]) + abs(y1 // arch.grid[1] - y0 // arch.grid[1])
        total += rate * (abs(x1 - x0) + abs(y1 - y0) + crossing * edges)
    return total


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(SEEDS)
@settings(max_examples=6, deadline=None)
def test_every_node_has_a_site_of_its_own(algorithm, seed):
    rng = np.random.default_rng(seed)
    board = tuple(rng.integers(1, 5, 2).tolist())
    size = 4 * board[0], 4 * board[1]
    faulty = rng.permutation(size[0] * size[1])[: size[0] * size[1] // 10].tolist()
    arch = ChipArch(grid=(4, 4), board=board, dead_cores=tuple((f % size[0], f // size[0]) for f in faulty))
    graph = random_digraph(seed, int(rng.integers(1, size[0] * size[1] - len(faulty) + 1)))
    free = next((x, y) for x in range(size[0]) for y in range(size[1]) if (x, y) not in arch.dead_cores)
    sites = tncompile.place(
        graph, arch, algorithm=algorithm, seed=seed, moves=5, fixed={"n0": free}, crossing=int(rng.integers(0, 4))
    )
    assert list(sites) == list(graph)
    assert len(set(sites.values())) == len(sites)
    assert not set(sites.values()) & set(arch.dead_cores)
    assert all(0 <= x < size[0] and 0 <= y < size[1] for x, y in sites.values())
    assert sites["n0"] == free


def test_the_same_seed_gives_the_same_sites():
    graph = random_digraph(0, 50)
    arch = ChipArch(grid=(8, 8))
    first, again, other = (tncompile.place(graph, arch, seed=seed, moves=20) for seed in (1, 1, 2))
    assert first == again != other


def test_rates_decide():
    """A hub has four neighbouring sites: the four arcs with the highest rates get them."""
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([("hub", f"n{i}", 0.1 + 0.2 * i) for i in range(8)], weight="rate")
    sites = tncompile.place(graph, SMALL, seed=3)
    hops = {node: abs(x - sites["hub"][0]) + abs(y - sites["hub"][1]) for node, (x, y) in sites.items()}
    assert [hops[f"n{i}"] for i in range(8)] == [2] * 4 + [1] * 4


def test_arcs_of_rate_0_and_loops_do_not_count():
    ring = nx.cycle_graph(4, create_using=nx.DiGraph)
    ring.add_edge(0, 2, rate=0)
    ring.add_edge(1, 1, rate=1000)
    assert length(ring, tncompile.place(ring, ChipArch(grid=(2, 2)))) == 4


def test_rates_may_be_tiny_or_huge():
    for scale in (1e-12, 1e12):
        ring = nx.DiGraph()
        ring.add_weighted_edges_from([(i, (i + 1) % 9, scale) for i in range(9)], weight="rate")
        sites = tncompile.place(ring, SMALL)
        assert length(ring, sites) == pytest.approx(10 * scale)  # an odd ring cannot have hops of 1 alone


def test_a_graph_without_arcs_or_nodes():
    assert tncompile.place(nx.DiGraph(), SMALL) == {}
    lonely = nx.empty_graph(9, create_using=nx.DiGraph)
    assert len(set(tncompile.place(lonely, SMALL).values())) == 9


def test_undirected_and_multigraphs():
    assert length(nx.DiGraph(), {}) == 0
    path = nx.path_graph(4)
    assert length(path, tncompile.place(path, ChipArch(grid=(4, 1)))) == 3
    double = nx.MultiDiGraph([(0, 1), (0, 1), (0, 2)])
    sites = tncompile.place(double, ChipArch(grid=(3, 1)))
    assert sites[0] == (1, 0)


def test_crossings_keep_clusters_on_chips():
    """Two cliques joined by one arc: with crossings counted, each has a chip, whatever one hop less would say."""
    graph = nx.DiGraph()
    for cluster in ("a", "b"):
        graph.add_edges_from((f"{cluster}{i}", f"{cluster}{j}") for i in range(6) for j in range(i))
    graph.add_edge("a0", "b0")
    arch = ChipArch(grid=(3, 3), board=(2, 1))
    sites = tncompile.place(graph, arch, crossing=50, seed=1)
    for cluster in ("a", "b"):
        assert len({arch.chip_of(*site) for node, site in sites.items() if node[0] == cluster}) == 1
    near, far = (tncompile.place(graph, arch, crossing=crossing, seed=1) for crossing in (0, 50))
    assert length(graph, far, arch, 50) <= length(graph, near, arch, 50)


def test_many_nodes_find_their_neighbours():
    """A ring of 2000 on four chips: annealing is much shorter than its start."""
    ring = nx.cycle_graph(2000, create_using=nx.DiGraph)
    arch = ChipArch(grid=(24, 24), board=(2, 2))
    spectral, annealed = (
        length(ring, tncompile.place(ring, arch, algorithm=name, moves=50)) for name in ("spectral", "annealing")
    )
    assert 2000 <= annealed < 1.5 * 2000 < spectral


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            {"algorithm": "magic"},
            ConfigError,
            "place: algorithm: is 'magic', expected 'row_major', 'hilbert', 'random', 'spectral' or 'annealing'",
        ),
        (
            {"moons": 1},
            ConfigError,
            "place: moons: there is no such option; the options are algorithm, start, moves, seconds, heat, congestion",
        ),
        ({"seconds": 0.0}, ConfigError, "place: seconds: is 0.0, expected greater than 0"),
        ({"seconds": math.inf}, ConfigError, "place: seconds: is inf, expected a finite number"),
        ({"crossing": -1}, ConfigError, "place: crossing: is -1, expected an integer of at least 0"),
        ({"fixed": {"x": (0, 0)}}, PlacementError, "place: fixed: node 'x' to (0, 0): the graph has no such node"),
        (
            {"fixed": {0: (3, 0)}},
            PlacementError,
            "place: fixed: node 0 to (3, 0): the site is off the board of 3 x 3 cores; take another",
        ),
        (
            {"fixed": {0: (2, 2)}},
            PlacementError,
            "place: fixed: node 0 to (2, 2): the site is faulty (arch.dead_cores); take another",
        ),
        (
            {"fixed": {0: (1, 1), 1: (1, 1)}},
            PlacementError,
            "place: fixed: node 1 to (1, 1): node 0 is fixed to the same site; take another",
        ),
    ],
)
def test_errors(arguments, kind, message):
    arch = ChipArch(grid=(3, 3), dead_cores=((2, 2),))
    with pytest.raises(TnCompileError) as error:
        tncompile.place(nx.path_graph(4, create_using=nx.DiGraph), arch, **arguments)
    assert type(error.value) is kind
    assert str(error.value) == message


def test_too_many_nodes():
    with pytest.raises(CapacityError) as error:
        tncompile.place(nx.path_graph(9, create_using=nx.DiGraph), ChipArch(grid=(3, 3), dead_cores=((0, 0),)))
    assert str(error.value) == (
        "place: the graph has 9 nodes, the board 8 working cores (1 x 1 chips of 3 x 3, 1 faulty); take a larger board"
    )


@pytest.mark.parametrize("rate", [-1, float("nan"), float("inf"), "3", None])
def test_rates_that_are_none(rate):
    graph = nx.DiGraph()
    graph.add_edge("a", "b", rate=rate)
    with pytest.raises(ConfigError) as error:
        tncompile.place(graph, SMALL)
    assert str(error.value) == f"place: arc 'a' to 'b': rate is {rate!r}, expected a number of 0 to 1e+100"


def test_what_is_out_of_reach_is_named():
    star = nx.DiGraph([("hub", i) for i in range(9)])
    with pytest.raises(PlacementError, match=r"node 'hub' at .* to node \d at .*; raise seconds or moves, use fewer"):
        tncompile.place(star, ChipArch(grid=(5, 5), offset_bits=2))


@pytest.mark.parametrize("code", SITE_CODES)
def test_the_verifier_sees_each_violation(code):
    x, y = np.array([0, 1, 2], np.int32), np.array([0, 0, 0], np.int32)
    source, target = np.array([0, 1], np.int32), np.array([1, 2], np.int32)
    arch = ChipArch(grid=(4, 4), offset_bits=2)
    good = {"source": source, "target": target, "fixed": {0: (0, 0)}}
    verify_sites(x, y, arch, **good)
    far = {"source": np.array([0], np.int32), "target": np.array([2], np.int32), "fixed": {}}
    bad = {
        "sites/board": lambda: verify_sites(x, np.array([0, 0, 4], np.int32), arch, **good),
        "sites/dead": lambda: verify_sites(x, y, arch.model_copy(update={"dead_cores": ((1, 0),)}), **good),
        "sites/shared": lambda: verify_sites(np.array([0, 1, 1], np.int32), y, arch, **good),
        "sites/reach": lambda: verify_sites(x, y, arch, **far),
        "sites/fixed": lambda: verify_sites(x, y, arch, **(good | {"fixed": {1: (0, 1)}})),
    }
    with pytest.raises(VerificationError) as error:
        bad[code]()
    assert error.value.codes == {code}


def test_importing_the_package_loads_nothing():
    code = "import sys, tncompile; sys.exit(any(name in sys.modules for name in ('numpy', 'numba', 'passes')))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
    assert not hasattr(tncompile, "nothing_of_that_name")


WRONG = {
    "seed=-1": "seed: is -1, expected an integer of at least 0",
    "seed=1.5": "seed: is 1.5, expected an integer of at least 0",
    "fixed=[1, 2]": "fixed: is of type list, expected a mapping {node: (x, y)}",
    "fixed={'a': (2.5, 1)}": "fixed: node 'a': is (2.5, 1), expected two integers (x, y)",
    "fixed={'a': 'xy'}": "fixed: node 'a': is 'xy', expected two integers (x, y)",
    "arch=None": "arch: is of type NoneType, expected a ChipArch",
    "graph={}": "graph: is of type dict, expected a Graph",
}


def test_arguments_of_other_types_are_refused_by_name():
    """In a process of its own, where nobody checks types before."""
    script = f"""
import networkx as nx, tncompile
from tncompile.arch import ChipArch
for wrong in {list(WRONG)}:
    given = {{"graph": nx.DiGraph([("a", "b")]), "arch": ChipArch(grid=(2, 2))}} | eval(f"dict({{wrong}})")
    try:
        tncompile.place(given.pop("graph"), given.pop("arch"), **given)
    except tncompile.errors.ConfigError as error:
        print(error)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert run.stdout.splitlines() == [f"place: {message}" for message in WRONG.values()], run.stderr
