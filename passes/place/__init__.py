"""Place: the site of each core. One module an algorithm, all behind one prototype (`passes.place.problem`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from passes.place.annealing import STARTS, annealing
from passes.place.fixed import check_fixed, fixing
from passes.place.options import PlaceConfig
from passes.place.problem import Algorithm, PlaceProblem, Sites
from passes.progress import Progress, unheard
from tncompile.analysis.graph import Arcs, layer_names
from tncompile.analysis.wirelength import wirelength
from tncompile.arch import ChipArch, Site
from tncompile.errors import PlacementError
from tncompile.ir import PartitionedGraph, PlacedChip
from tncompile.verify.placed import verify_sites

ALGORITHMS: dict[str, Algorithm] = {**STARTS, "annealing": annealing}
"""All placement algorithms by name."""


def place(
    stage: PartitionedGraph,
    arch: ChipArch,
    config: PlaceConfig,
    *,
    seed: int,
    progress: Progress = unheard,
) -> PlacedChip:
    """Returns the cores on working sites of their chips, Σ |dx| + |dy| over all arcs made small.

    Raises:
        PlacementError: a fixed core cannot be where it is to be, or no placement was found in which every arc is within
            a packet's reach.
    """
    _check_fixed(stage, arch, config.fixed)
    problem = PlaceProblem.of(stage, arch, config.fixed)
    counted = problem.arcs.frames + 1

    def tell(fraction: float, figures: Mapping[str, float]) -> None:
        """Tells of one frame what rates say of all that were counted."""
        progress(fraction, {f"{name} a frame": value / counted for name, value in figures.items()})

    sites = ALGORITHMS[config.algorithm](problem, config, seed=seed, progress=tell)
    names = layer_names(stage.source)
    layers = [f"core {core} (layer {names[int(layer)]})" for core, layer in enumerate(stage.source.core_layer)]
    check_reach(problem.arcs, sites, layers, arch, "raise compile.place.moves")
    x, y = np.ascontiguousarray(sites.T)
    verify_sites(x, y, arch, source=problem.arcs.source, target=problem.arcs.target, fixed=config.fixed)
    return PlacedChip(source=stage, core_x=x, core_y=y, wirelength=wirelength(problem.arcs, x, y))


def check_reach(arcs: Arcs, sites: Sites, names: list[str], arch: ChipArch, try_harder: str) -> None:
    """Raises PlacementError for the longest arc, if a packet cannot go so far.

    Args:
        arcs: who sends to whom.
        sites: of each core.
        names: of each core, for the message.
        arch: the board.
        try_harder: what may help without another chip.
    """
    if not len(arcs.source):
        return
    reach = arch.offset_max
    offset = np.abs(sites[arcs.target] - sites[arcs.source]).max(axis=1)
    longest = int(np.argmax(offset))
    if offset[longest] <= reach:
        return
    where = " to ".join(
        f"{names[core]} at ({sites[core, 0]}, {sites[core, 1]})"
        for core in (arcs.source[longest], arcs.target[longest])
    )
    raise PlacementError(
        f"{where}: the longest arc has an offset of {offset[longest]}, a packet reaches {reach} ({arch.offset_bits}"
        f" bit, sign included); {(offset > reach).sum()} of {len(offset)} arcs are out of reach; {try_harder}, use"
        " fewer or smaller chips, or raise arch.offset_bits"
    )


def _check_fixed(stage: PartitionedGraph, arch: ChipArch, fixed: Mapping[int, Site]) -> None:
    """Raises PlacementError for the first core that cannot be fixed where it is to be."""
    words = {"section": "compile.place.fixed", "noun": "core"}
    for core, site in fixed.items():
        if not 0 <= core < stage.source.cores:
            raise PlacementError(
                f"{fixing(core, site, **words)}: there is no such core, they are 0 to {stage.source.cores - 1}"
            )
    check_fixed(fixed, arch, **words)
    for core, site in fixed.items():
        if (chip := int(stage.core_chip[core])) != arch.chip_of(*site):
            raise PlacementError(
                f"{fixing(core, site, **words)}: the site is on chip {arch.chip_of(*site)}, partition has put the core"
                f" on chip {chip}; take a site of that chip"
            )
