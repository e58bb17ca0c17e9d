"""Place: the site of each core. One module an algorithm, all behind one prototype (`passes.place.problem`)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from passes.place.anneal import anneal
from passes.place.hilbert import hilbert
from passes.place.problem import Algorithm, PlaceProblem, Sites
from passes.place.row_major import row_major
from passes.place.spectral import spectral
from tncompile.analysis.graph import layer_names
from tncompile.analysis.wirelength import wirelength
from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.errors import PlacementError
from tncompile.ir import PartitionedGraph, PlacedChip

ALGORITHMS: dict[str, Algorithm] = {"row_major": row_major, "hilbert": hilbert, "spectral": spectral}
"""All placement algorithms by name."""


class PlaceConfig(Config):
    """Options of `place`."""

    algorithm: Literal["row_major", "hilbert", "spectral"] = Field(
        "spectral", description="gives each core its first site"
    )
    moves: int = Field(
        1000,
        ge=0,
        description="moves a core that annealing tries afterwards, for 1000 cores at least; 0 = no annealing",
    )
    temperature: float = Field(8.0, gt=0, description="annealing's first temperature [hop × a core's mean arcs]")


def place(stage: PartitionedGraph, arch: ChipArch, config: PlaceConfig, *, seed: int) -> PlacedChip:
    """Returns the cores on working sites of their chips, Σ |dx| + |dy| over all arcs made small.

    Raises:
        PlacementError: no placement was found in which every arc is within a packet's reach.
    """
    problem = PlaceProblem.of(stage, arch)
    sites = ALGORITHMS[config.algorithm](problem, seed=seed)
    sites = anneal(problem, sites, moves=config.moves, temperature=config.temperature, seed=seed)
    _check_reach(stage, problem, sites, arch)
    x, y = np.ascontiguousarray(sites.T)
    return PlacedChip(source=stage, core_x=x, core_y=y, wirelength=wirelength(problem.arcs, x, y))


def _check_reach(stage: PartitionedGraph, problem: PlaceProblem, sites: Sites, arch: ChipArch) -> None:
    """Raises PlacementError for the longest arc, if a packet cannot go so far."""
    if not len(problem.arcs.source):
        return
    offset = np.abs(sites[problem.arcs.target] - sites[problem.arcs.source]).max(axis=1)
    longest = int(np.argmax(offset))
    if offset[longest] <= problem.reach:
        return
    graph, names = stage.source, layer_names(stage.source)
    where = " to ".join(
        f"core {core} (layer {names[int(graph.core_layer[core])]}) at ({sites[core, 0]}, {sites[core, 1]})"
        for core in (problem.arcs.source[longest], problem.arcs.target[longest])
    )
    raise PlacementError(
        f"{where}: the longest arc has an offset of {offset[longest]}, a packet reaches {problem.reach}"
        f" ({arch.offset_bits} bit, sign included); {(offset > problem.reach).sum()} of {len(offset)} arcs are out of"
        " reach; raise compile.place.moves, use fewer or smaller chips, or raise arch.offset_bits"
    )
