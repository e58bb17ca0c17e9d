"""Row by row: the simplest placement, to measure others against."""

from __future__ import annotations

from passes.place.options import PlaceConfig
from passes.place.problem import PlaceProblem, Sites
from passes.progress import Progress


def row_major(problem: PlaceProblem, config: PlaceConfig, *, seed: int, progress: Progress) -> Sites:
    """Returns each region's cores in the graph's order on its sites, row by row. The seed plays no part."""
    sites = problem.fixed.copy()
    for region, free in enumerate(problem.region_sites):
        members = problem.members(region)
        sites[members] = free[: len(members)]
    return sites
