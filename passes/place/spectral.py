"""By the graph's own geometry: eigenvectors of its Laplacian as coordinates."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int32

from passes.place.problem import PlaceProblem, Sites
from tncompile.analysis.graph import adjacency
from tncompile.analysis.spectral import embedding


def spectral(problem: PlaceProblem, *, seed: int) -> Sites:
    """Returns each chip's cores spread over its sites by two eigenvectors of its part of the graph.

    A chip that is not full is filled around the middle of the chips in use. Eigenvectors have no orientation: chips are
    filled one after the other, each turned and mirrored so that the arcs to the chips before it are shortest.
    """
    matrix = adjacency(problem.arcs)
    used = np.unique(problem.core_chip)
    middle = np.concatenate([problem.chip_sites[chip] for chip in used]).mean(axis=0)
    sites = np.zeros((problem.arcs.cores, 2), np.int32)
    placed = np.zeros(0, np.int32)
    for chip in used.tolist():
        members = problem.members(chip)
        free = problem.chip_sites[chip]
        distance = np.abs(free - middle).max(axis=1)
        free = free[np.sort(np.argsort(distance, kind="stable")[: len(members)])]
        coordinates = embedding(matrix[members][:, members], 2, seed=seed)
        outside = matrix[members][:, placed].tocoo()
        candidates = [spread(turned, free) for turned in _orientations(coordinates)]
        costs = [outside.data @ np.abs(c[outside.row] - sites[placed][outside.col]).sum(axis=1) for c in candidates]
        sites[members] = candidates[int(np.argmin(costs))]
        placed = np.concatenate([placed, members])
    return sites


def spread(
    coordinates: Float64[np.ndarray, "cores 2"], free: Int32[np.ndarray, "cores 2"]
) -> Int32[np.ndarray, "cores 2"]:
    """Returns a site for each core that keeps the order of the coordinates.

    The cores with the lowest first coordinate get the first column, and so on; in a column they are in the order
    of the second coordinate.
    """
    columns = free[np.lexsort((free[:, 1], free[:, 0]))]
    column = np.empty(len(free), np.int32)
    column[np.argsort(coordinates[:, 0], kind="stable")] = columns[:, 0]
    sites = np.empty_like(free)
    sites[np.lexsort((coordinates[:, 1], column))] = columns
    return sites


def _orientations(coordinates: Float64[np.ndarray, "cores 2"]) -> list[Float64[np.ndarray, "cores 2"]]:
    """Returns the coordinates in the eight orientations of a square."""
    mirrored = [coordinates * np.array(signs) for signs in ((1, 1), (-1, 1), (1, -1), (-1, -1))]
    return mirrored + [m[:, ::-1] for m in mirrored]
