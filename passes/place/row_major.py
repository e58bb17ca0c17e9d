"""Row by row: the simplest placement, to measure others against."""

from __future__ import annotations

import numpy as np

from passes.place.problem import PlaceProblem, Sites


def row_major(problem: PlaceProblem, *, seed: int) -> Sites:
    """Returns each chip's cores in the graph's order on its sites, row by row. The seed plays no part."""
    sites = np.empty((problem.arcs.cores, 2), np.int32)
    for chip, free in enumerate(problem.chip_sites):
        members = problem.members(chip)
        sites[members] = free[: len(members)]
    return sites
