"""Orders of a graph's nodes in which neighbours stand close."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64
from scipy import sparse

from tncompile.analysis.spectral import embedding


def by_eigenvector(matrix: sparse.csr_array, rng: np.random.Generator) -> Int64[np.ndarray, " nodes"]:
    """Returns the nodes ordered by the first eigenvector of the graph."""
    return np.argsort(embedding(matrix, 1, seed=int(rng.integers(1 << 32)))[:, 0], kind="stable")


def by_growth(matrix: sparse.csr_array, rng: np.random.Generator) -> Int64[np.ndarray, " nodes"]:
    """Returns the nodes in the order in which they join a growing set: next the one that lowers the set's cut most.

    The set begins with a random node. Takes time with the square of the nodes.
    """
    nodes = len(matrix.indptr) - 1
    gain = -matrix.sum(axis=1).astype(np.float64)
    order = np.empty(nodes, np.int64)
    node = int(rng.integers(nodes))
    for rank in range(nodes):
        order[rank] = node
        neighbours = slice(matrix.indptr[node], matrix.indptr[node + 1])
        gain[matrix.indices[neighbours]] += 2 * matrix.data[neighbours]
        gain[order[: rank + 1]] = -np.inf
        node = int(np.argmax(gain))
    return order
