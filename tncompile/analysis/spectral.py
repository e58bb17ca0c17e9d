"""Coordinates of a graph's nodes, from the eigenvectors of its Laplacian."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy import sparse

_SPARE = 4  # vectors beyond the wanted ones: the filter separates the wanted from what lies behind these
_DEGREE = 12
_ROUNDS = 20


def embedding(matrix: sparse.csr_array, dimensions: int, *, seed: int) -> Float64[np.ndarray, "nodes {dimensions}"]:
    """Returns coordinates that keep strongly connected nodes close: the first non-constant eigenvectors.

    Of the random walk D⁻¹A on the graph, the eigenvectors with the largest eigenvalues below 1; the first of them is
    the relaxed solution of a minimal normalised cut. Found by Chebyshev-filtered subspace iteration. ARPACK would
    do as well, but its sums run in a threaded BLAS, so that the number of threads could change the last
    bits and with them a placement; here every sum is NumPy's or SciPy's own and runs in one fixed order.

    Args:
        matrix: symmetric weights, not negative, no diagonal. Nodes without arcs end up in the middle.
        dimensions: how many coordinates; those beyond the number of nodes − 1 are 0.
        seed: of the start vectors.

    References:
        Shi and Malik 2000, IEEE TPAMI 22:888 (the relaxed cut); Zhou et al. 2006, J. Comput. Phys. 219:172,
        "Self-consistent-field calculations using Chebyshev-filtered subspace iteration" (the filter).
    """
    nodes = len(matrix.indptr) - 1
    degree = matrix.sum(axis=1).astype(np.float64)
    scale = np.maximum(degree, 1) ** -0.5
    scaling = sparse.dia_array((scale, [0]), shape=(nodes, nodes))
    walk = sparse.csr_array(scaling @ matrix.astype(np.float64) @ scaling)
    constant = np.sqrt(degree / max(degree.sum(), 1))[:, None]

    vectors = min(dimensions + _SPARE, nodes - 1)
    basis = _orthonormal(constant, np.random.default_rng(seed).standard_normal((nodes, vectors)))
    bound = 0.0  # eigenvalues in −1 … bound are damped
    for _ in range(_ROUNDS if vectors else 0):
        centre, half = (bound - 1) / 2, (bound + 1) / 2
        before, current = basis, (walk @ basis - centre * basis) / half
        for _ in range(_DEGREE - 1):
            before, current = current, 2 * (walk @ current - centre * current) / half - before
        basis = _orthonormal(constant, current)
        values, rotation = np.linalg.eigh(np.einsum("ni,nj->ij", basis, walk @ basis))
        basis = np.einsum("ni,ij->nj", basis, rotation[:, ::-1])
        bound = min(max(values[0], 0.0), 0.999)  # below 0 the filter would outgrow float64
    result = np.zeros((nodes, dimensions))
    result[:, : min(vectors, dimensions)] = basis[:, :dimensions] * scale[:, None]
    return result


def _orthonormal(
    first: Float64[np.ndarray, "nodes 1"], vectors: Float64[np.ndarray, "nodes vectors"]
) -> Float64[np.ndarray, "nodes vectors"]:
    """Returns the vectors made orthonormal, also to `first`; a dependent one becomes 0 (Gram–Schmidt, twice)."""
    done = first
    for column in (vectors / np.maximum(np.abs(vectors).max(axis=0), 1e-300)).T:
        before = np.sqrt(np.einsum("n,n->", column, column))
        for _ in range(2):
            column = column - np.einsum("nj,j->n", done, np.einsum("nj,n->j", done, column))
        norm = np.sqrt(np.einsum("n,n->", column, column))
        column = column / norm if norm > 1e-12 * before else np.zeros_like(column)
        done = np.concatenate([done, column[:, None]], axis=1)
    return done[:, 1:]
