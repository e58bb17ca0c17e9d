"""By chance: what no placement should be worse than."""

from __future__ import annotations

import numpy as np

from passes.place.options import PlaceConfig
from passes.place.problem import PlaceProblem, Sites
from passes.progress import Progress


def random(problem: PlaceProblem, config: PlaceConfig, *, seed: int, progress: Progress) -> Sites:
    """Returns each region's cores on random sites of it, all equally likely."""
    rng = np.random.default_rng(seed)
    sites = problem.fixed.copy()
    for region, free in enumerate(problem.region_sites):
        members = problem.members(region)
        sites[members] = free[rng.permutation(len(free))[: len(members)]]
    return sites
