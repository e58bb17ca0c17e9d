"""By the graph's own geometry: eigenvectors of its Laplacian as coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64

from passes.place.options import PlaceConfig
from passes.place.problem import PlaceProblem, Sites
from passes.progress import Progress
from tncompile.analysis.graph import adjacency
from tncompile.analysis.spectral import embedding

_ANGLES = 8  # of half a turn


def spectral(problem: PlaceProblem, config: PlaceConfig, *, seed: int, progress: Progress) -> Sites:
    """Returns each region's cores spread over its sites by two eigenvectors of its part of the graph.

    A region that is not full is filled around the middle of the regions in use. Eigenvectors have no orientation, and
    where two eigenvalues are nearly the same, as in a mesh, any two directions in their plane are as good: regions are
    filled one after the other, each turned so that its arcs, and those to fixed cores and to the regions before
    it, are shortest.
    """
    arcs, matrix = problem.arcs, adjacency(problem.arcs)
    sites, known = problem.fixed.copy(), problem.core_region < 0
    used = [region for region in range(len(problem.region_sites)) if (problem.core_region == region).any()]
    if not used:
        return sites
    middle = np.concatenate([problem.region_sites[region] for region in used]).mean(axis=0)
    for region in used:
        members = problem.members(region)
        free = problem.region_sites[region]
        distance = np.abs(free - middle).max(axis=1)
        free = free[np.sort(np.argsort(distance, kind="stable")[: len(members)])]
        coordinates = embedding(matrix[members][:, members], 2, seed=seed)
        known[members] = True
        counted = known[arcs.source] & known[arcs.target]
        source, target, rate = arcs.source[counted], arcs.target[counted], arcs.rate[counted]
        least, halvings = None, Halvings.of(free)
        for turned in _orientations(coordinates, alone=int(known.sum()) == len(members)):
            candidate = sites.copy()
            candidate[members] = spread(turned, halvings)
            length = int(rate @ np.abs(candidate[source] - candidate[target]).sum(axis=1))
            if least is None or length < least:
                least, sites = length, candidate
    return sites


@dataclass(frozen=True, slots=True)
class Halvings:
    """How sites are halved again and again, across the longer side of the box around them, down to single ones.

    Attributes:
        sites: x and y, in the order in which they end up.
        parts: for each depth, the part that each place in that order belongs to.
        axes: for each depth and place, whether the part is cut across x (0) or y (1).
    """

    sites: Int32[np.ndarray, "sites 2"]
    parts: Int64[np.ndarray, "depths sites"]
    axes: Int64[np.ndarray, "depths sites"]

    @classmethod
    def of(cls, free: Int32[np.ndarray, "sites 2"]) -> Halvings:
        """Returns the halvings of some sites; all parts of one depth are halved at once."""
        order, parts, axes = np.arange(len(free)), [], []
        starts = np.zeros(1, np.int64)  # of the parts
        while len(starts) < len(free):
            sizes = np.diff(np.append(starts, len(free)))
            parts.append(np.repeat(np.arange(len(starts)), sizes))
            box = np.maximum.reduceat(free[order], starts) - np.minimum.reduceat(free[order], starts)
            axes.append((box[:, 0] < box[:, 1]).astype(np.int64)[parts[-1]])
            order = order[np.lexsort((free[order, 1 - axes[-1]], free[order, axes[-1]], parts[-1]))]
            starts = np.unique(np.concatenate([starts, starts + sizes // 2]))
        shape = len(parts), len(free)
        return cls(free[order], np.array(parts, np.int64).reshape(shape), np.array(axes, np.int64).reshape(shape))


def spread(coordinates: Float64[np.ndarray, "cores 2"], halvings: Halvings) -> Int32[np.ndarray, "cores 2"]:
    """Returns a site for each core that keeps the order of the coordinates.

    The cores are halved as the sites are, by their coordinate along the side that is cut. So both coordinates count at
    every scale, whatever their distribution.
    """
    cores = np.arange(len(coordinates))
    rank = np.argsort(np.argsort(coordinates, axis=0, kind="stable"), axis=0)
    for part, axis in zip(halvings.parts, halvings.axes, strict=True):
        cores = cores[np.argsort(part * len(cores) + rank[cores, axis])]
    result = np.empty_like(halvings.sites)
    result[cores] = halvings.sites
    return result


def _orientations(coordinates: Float64[np.ndarray, "cores 2"], alone: bool) -> list[Float64[np.ndarray, "cores 2"]]:
    """Returns the coordinates, scaled to the same spread, in several orientations.

    Args:
        coordinates: of the cores.
        alone: whether nothing outside matters, so that the opposite and mirrored ones are as good.
    """
    scaled = coordinates / np.maximum(coordinates.std(axis=0), 1e-300)
    turned = []
    for angle in np.arange(_ANGLES if alone else 2 * _ANGLES) * np.pi / _ANGLES:
        for x, y in (scaled.T,) if alone else (scaled.T, scaled.T[::-1]):
            along, across = np.cos(angle), np.sin(angle)
            turned.append(np.stack([along * x + across * y, along * y - across * x], axis=1))
    return turned
