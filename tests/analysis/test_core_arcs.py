"""Figures about core graphs and placements against walks that take one neuron and one hop at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from support.random_graphs import SEEDS, graphs, random_board

from tncompile.analysis.graph import adjacency, arcs, core_graph, layer_names
from tncompile.analysis.link_load import crossings, link_load
from tncompile.analysis.spectral import embedding
from tncompile.analysis.utilisation import utilisation
from tncompile.analysis.wirelength import hops_per_arc, wirelength
from tncompile.arch import ChipArch
from tncompile.ir import CoreGraph, Direction

STEPS = {Direction.EAST: (1, 0), Direction.WEST: (-1, 0), Direction.NORTH: (0, 1), Direction.SOUTH: (0, -1)}


def count_arcs(graph: CoreGraph) -> Counter[tuple[int, int]]:
    """Returns how many neurons of each core send to each core."""
    return Counter(
        (core, int(target)) for core in range(graph.cores) for target in graph.target_core[core] if target >= 0
    )


def random_sites(seed: int, graph: CoreGraph, arch: ChipArch) -> tuple[np.ndarray, np.ndarray]:
    """Returns distinct sites of the board."""
    width, height = arch.size
    site = np.random.default_rng(seed).choice(width * height, graph.cores, replace=False).astype(np.int32)
    return site % width, site // width


@given(graphs())
@settings(max_examples=25, deadline=None)
def test_arcs_count_neurons(graph):
    result = arcs(graph)
    rows = list(zip(result.source.tolist(), result.target.tolist(), strict=True))
    assert rows == sorted(rows)
    assert dict(zip(rows, result.weight.tolist(), strict=True)) == count_arcs(graph)


@given(graphs())
@settings(max_examples=10, deadline=None)
def test_adjacency_adds_both_directions(graph):
    expected = np.zeros((graph.cores, graph.cores), np.int64)
    for (source, target), weight in count_arcs(graph).items():
        if source != target:
            expected[source, target] += weight
            expected[target, source] += weight
    matrix = adjacency(arcs(graph))
    np.testing.assert_array_equal(matrix.toarray(), expected)
    assert matrix.nnz == np.count_nonzero(expected)


@given(graphs())
@settings(max_examples=10, deadline=None)
def test_networkx_graph_has_every_core_and_arc(graph):
    result = core_graph(graph)
    assert list(result) == list(range(graph.cores))
    assert {(s, t): rate for s, t, rate in result.edges(data="rate")} == count_arcs(graph)
    for core, attributes in result.nodes(data=True):
        assert attributes["kind"] == ("splitter" if graph.core_kind[core] else "layer")
        assert attributes["layer"] == f"layer{graph.core_layer[core]}"


@given(graphs(), SEEDS)
@settings(max_examples=25, deadline=None)
def test_loads_are_those_of_a_walk(graph, seed):
    arch = random_board(seed, graph.cores)
    x, y = random_sites(seed, graph, arch)
    load = np.zeros((4, arch.size[1], arch.size[0]), np.int64)
    crossed = length = 0
    for (source, target), weight in count_arcs(graph).items():
        here, end = [int(x[source]), int(y[source])], [int(x[target]), int(y[target])]
        while here != end:
            axis = 0 if here[0] != end[0] else 1
            forward = end[axis] > here[axis]
            direction = [[Direction.WEST, Direction.EAST], [Direction.SOUTH, Direction.NORTH]][axis][forward]
            load[direction, here[1], here[0]] += weight
            there = [here[0] + STEPS[direction][0], here[1] + STEPS[direction][1]]
            crossed += weight * (arch.chip_of(*here) != arch.chip_of(*there))
            length += weight
            here = there
    result = link_load(arcs(graph), x, y, arch.size)
    np.testing.assert_array_equal(result, load)
    assert crossings(result, arch) == crossed
    assert wirelength(arcs(graph), x, y) == length
    assert hops_per_arc(arcs(graph), x, y) == length / max(sum(count_arcs(graph).values()), 1)


@given(graphs())
@settings(max_examples=15, deadline=None)
def test_utilisation_counts_one_by_one(graph):
    rows = {row.layer: row for row in utilisation(graph)}
    assert list(rows) == [name for number, name in layer_names(graph).items() if number in graph.core_layer]
    for number, name in layer_names(graph).items():
        if name not in rows:
            continue
        cores = [core for core in range(graph.cores) if graph.core_layer[core] == number]
        driven = sum(int((graph.target_core == core).sum()) for core in cores)
        driven += sum(int(core) in cores for core in graph.input_lines.core)
        carried = graph.neuron_index[graph.neuron_layer == number].tolist()
        row = rows[name]
        assert row.splitters == sum(int(graph.core_kind[core]) for core in cores)
        assert row.cores + row.splitters == len(cores)
        assert row.axons == pytest.approx(driven / len(cores) / 8)
        assert row.neurons == pytest.approx(len(carried) / len(cores) / 8)
        assert row.copies == pytest.approx(len(carried) / max(len(set(carried)), 1))


@given(st.integers(1, 40), st.integers(1, 3), SEEDS)
@settings(max_examples=25, deadline=None)
def test_embedding_has_the_smallest_energy(nodes, dimensions, seed):
    """Against the dense solver: the eigenvalues are the largest but that of the constant vector."""
    rng = np.random.default_rng(seed)
    dense = np.triu(rng.integers(0, 9, (nodes, nodes)) * (rng.random((nodes, nodes)) < 0.3), 1)
    dense = dense + dense.T
    degree = dense.sum(axis=1)
    scale = np.maximum(degree, 1) ** -0.5
    walk = scale[:, None] * dense * scale
    constant = np.sqrt(degree / max(degree.sum(), 1))
    values = np.linalg.eigvalsh(walk - 2 * np.outer(constant, constant))[::-1]

    result = embedding(sparse.csr_array(dense), dimensions, seed=seed)
    kept = min(dimensions, nodes - 1)
    assert (result[:, kept:] == 0).all()
    vectors = result[:, :kept] / scale[:, None]
    quotients = np.einsum("nk,nm,mk->k", vectors, walk, vectors)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(kept), atol=1e-6)
    np.testing.assert_allclose(vectors.T @ constant, 0, atol=1e-6)
    np.testing.assert_allclose(quotients, values[:kept], atol=0.02)
