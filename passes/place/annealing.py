"""Any start, made shorter by annealing: the default."""

from __future__ import annotations

import math
import time

from passes.place.anneal import anneal
from passes.place.hilbert import hilbert
from passes.place.options import PlaceConfig
from passes.place.problem import Algorithm, PlaceProblem, Sites
from passes.place.random import random
from passes.place.relieve import avoid, relieve
from passes.place.row_major import row_major
from passes.place.spectral import spectral
from passes.progress import Progress

STARTS: dict[str, Algorithm] = {"row_major": row_major, "hilbert": hilbert, "random": random, "spectral": spectral}
"""What annealing can begin with, by name."""

_RELIEF = 0.3  # of the time that placing may take: for busy links, if they count


def annealing(problem: PlaceProblem, config: PlaceConfig, *, seed: int, progress: Progress) -> Sites:
    """Returns the start's sites made shorter, then, if links are to be relieved, less crowded, then kept off faults."""
    begin = time.perf_counter()
    sites = STARTS[config.start](problem, config, seed=seed, progress=progress)
    relief = _RELIEF * (config.seconds or 0.0) if config.congestion else 0.0
    spent = time.perf_counter() - begin + relief
    sites = anneal(problem, sites, config, seed=seed, progress=progress, spent=spent)
    if config.congestion:
        sites = relieve(problem, sites, config, seed=seed, seconds=math.inf if config.seconds is None else relief)
    return avoid(problem, sites, seed=seed) if problem.faulty.any() else sites
