"""The core graph as a graph: arcs between cores as arrays, and as a networkx graph for scripts."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
from jaxtyping import Int32, Int64
from scipy import sparse

from tncompile.ir import INPUT_LAYER, CoreGraph, CoreKind, Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arcs(Record):
    """Arcs between cores: one row a (source, target) pair, sorted by source, then target.

    Attributes:
        cores: how many cores there are.
        source, target: core numbers.
        weight: neurons of the source that send to the target.
    """

    cores: int
    source: Int32[np.ndarray, " arcs"]
    target: Int32[np.ndarray, " arcs"]
    weight: Int64[np.ndarray, " arcs"]


def arcs(graph: CoreGraph) -> Arcs:
    """Returns who sends to whom, from core to core; output pins and the host's lines are left out."""
    source, _ = np.nonzero(graph.target_core >= 0)
    target = graph.target_core[graph.target_core >= 0]
    weight = sparse.csr_array((np.ones(len(source), np.int64), (source, target)), shape=(graph.cores, graph.cores))
    weight.sum_duplicates()
    pairs = weight.tocoo()
    return Arcs(
        cores=graph.cores,
        source=pairs.row.astype(np.int32),
        target=pairs.col.astype(np.int32),
        weight=pairs.data,
    )


def adjacency(arcs: Arcs) -> sparse.csr_array:
    """Returns the symmetric matrix of weights between different cores, both directions added up."""
    matrix = sparse.csr_array((arcs.weight, (arcs.source, arcs.target)), shape=(arcs.cores, arcs.cores))
    matrix = sparse.csr_array(matrix + matrix.T)
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def core_graph(graph: CoreGraph) -> nx.DiGraph:
    """Returns the core graph for scripts.

    Nodes are core numbers with the attributes `kind` ("layer" or "splitter"), `layer` (its name, or "input"),
    `group` and `block`; arcs have the attribute `rate`: neurons that send along it, which stands for the spike rate
    as long as no activity has been measured.
    """
    names = layer_names(graph)
    result = nx.DiGraph()
    for core in range(graph.cores):
        result.add_node(
            core,
            kind=CoreKind(graph.core_kind[core]).name.lower(),
            layer=names[int(graph.core_layer[core])],
            group=int(graph.core_group[core]),
            block=tuple(graph.core_block[core].tolist()),
        )
    pairs = arcs(graph)
    rows = zip(pairs.source.tolist(), pairs.target.tolist(), pairs.weight.tolist(), strict=True)
    result.add_weighted_edges_from(rows, weight="rate")
    return result


def layer_names(graph: CoreGraph) -> dict[int, str]:
    """Returns the name of each layer that a core can belong to; `INPUT_LAYER` is "input"."""
    return {INPUT_LAYER: "input"} | {number: layer.conv.name for number, layer in enumerate(graph.source.source.layers)}
