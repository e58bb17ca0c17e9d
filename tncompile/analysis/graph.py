"""The core graph as a graph: arcs between cores as arrays, and as a networkx graph for scripts."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
from jaxtyping import Int32, Int64
from scipy import sparse

from tncompile.analysis.rates import neuron_spikes
from tncompile.ir import INPUT_LAYER, CoreGraph, CoreKind, Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arcs(Record):
    """Arcs between cores: one row a (source, target) pair, sorted by source, then target.

    Attributes:
        cores: how many cores there are.
        source, target: core numbers.
        weight: neurons of the source that send to the target.
        spikes: of these neurons on sample frames; None if nobody counted any.
        frames: how many sample frames there were; 0 if nobody counted.
    """

    cores: int
    source: Int32[np.ndarray, " arcs"]
    target: Int32[np.ndarray, " arcs"]
    weight: Int64[np.ndarray, " arcs"]
    spikes: Int64[np.ndarray, " arcs"] | None = None
    frames: int = 0

    @property
    def rate(self) -> Int64[np.ndarray, " arcs"]:
        """Packets along each arc in `frames` + 1 frames: those counted, and one frame in which every neuron spikes.

        So neurons that were silent on all sample frames still count for a little, and where nobody counted, rates
        are the numbers of neurons.
        """
        return self.weight if self.spikes is None else self.weight + self.spikes


def arcs(graph: CoreGraph) -> Arcs:
    """Returns who sends to whom, from core to core; output pins and the host's lines are left out."""
    core, neuron = np.nonzero(graph.target_core >= 0)
    ends = core, graph.target_core[core, neuron]

    def sums(packets: Int64[np.ndarray, " neurons"]) -> sparse.coo_array:
        matrix = sparse.csr_array((packets, ends), shape=(graph.cores, graph.cores))
        matrix.sum_duplicates()  # which keeps zeros, so that two such matrices have their entries in the same places
        return matrix.tocoo()

    pairs, counted = sums(np.ones(len(core), np.int64)), neuron_spikes(graph)
    return Arcs(
        cores=graph.cores,
        source=pairs.row.astype(np.int32),
        target=pairs.col.astype(np.int32),
        weight=pairs.data,
        spikes=None if counted is None else sums(counted.spikes[core, neuron]).data,
        frames=0 if counted is None else counted.frames,
    )


def adjacency(arcs: Arcs) -> sparse.csr_array:
    """Returns the symmetric matrix of rates (`Arcs.rate`) between different cores, both directions added up."""
    matrix = sparse.csr_array((arcs.rate, (arcs.source, arcs.target)), shape=(arcs.cores, arcs.cores))
    matrix = sparse.csr_array(matrix + matrix.T)
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def core_graph(graph: CoreGraph) -> nx.DiGraph:
    """Returns the core graph for scripts.

    Nodes are core numbers with the attributes `kind` ("layer" or "splitter"), `layer` (its name, or "input"),
    `group` and `block`. Arcs have the attributes `neurons`, those of the source that send to the target, and `rate`,
    their packets a frame: measured on sample frames and one more frame in which every neuron spikes, or, where
    nobody counted, the number of neurons. Output pins and the host's lines are left out.
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
    rate = pairs.rate if pairs.spikes is None else pairs.rate / (pairs.frames + 1)
    rows = zip(pairs.source.tolist(), pairs.target.tolist(), pairs.weight.tolist(), rate.tolist(), strict=True)
    result.add_edges_from((source, target, {"neurons": n, "rate": r}) for source, target, n, r in rows)
    return result


def layer_names(graph: CoreGraph) -> dict[int, str]:
    """Returns the name of each layer that a core can belong to; `INPUT_LAYER` is "input"."""
    return {INPUT_LAYER: "input"} | {number: layer.conv.name for number, layer in enumerate(graph.source.source.layers)}
