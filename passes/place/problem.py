"""What every placement algorithm is given, and the prototype that all of them have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Int32, Int64

from passes.place.options import PlaceConfig
from passes.progress import Progress
from tncompile.analysis.graph import Arcs, arcs
from tncompile.arch import ChipArch, Site
from tncompile.ir import PartitionedGraph

Sites = Int32[np.ndarray, "cores 2"]
"""x and y of each core on the board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceProblem:
    """Cores to be put on sites of their regions so that arcs are short.

    A region is a chip, or the whole board where nobody has dealt the cores to chips. Fixed cores are on their sites
    already: they belong to no region, and their sites are in none.

    Attributes:
        arcs: who sends to whom.
        core_region: region of each core, −1 if it is fixed.
        region_sites: x and y of each region's free sites, row by row; at least as many as the region has cores.
        fixed: the sites of fixed cores; zeros for the others.
        column, row: how far each x and y is from the first one [hop]; more than the number of steps if chip edges
            count extra.
        reach: largest |dx| and |dy| of an arc [core].
        faulty: routers that no packet can pass.
    """

    arcs: Arcs
    core_region: Int32[np.ndarray, " cores"]
    region_sites: tuple[Int32[np.ndarray, "_ 2"], ...]
    fixed: Sites
    column: Int64[np.ndarray, " width"]
    row: Int64[np.ndarray, " height"]
    reach: int
    faulty: Bool[np.ndarray, "height width"]

    @classmethod
    def of(cls, stage: PartitionedGraph, arch: ChipArch, fixed: Mapping[int, Site] | None = None) -> PlaceProblem:
        """Returns the problem that a partitioned graph poses on a board: each core stays on its chip.

        How often an arc crosses a chip edge depends on its chips alone, so edges need not count extra here.
        """
        y, x = np.nonzero(_free(arch, fixed or {}))
        chip = x // arch.grid[0] + arch.board[0] * (y // arch.grid[1])
        sites = np.stack([x, y], axis=1).astype(np.int32)
        regions = tuple(sites[chip == number] for number in range(arch.chips))
        return cls._with(arcs(stage.source), stage.core_chip, regions, arch, fixed or {}, crossing=0)

    @classmethod
    def of_board(cls, pairs: Arcs, arch: ChipArch, fixed: Mapping[int, Site], crossing: int) -> PlaceProblem:
        """Returns the problem of arcs alone on a board: each core may be anywhere.

        Args:
            pairs: who sends to whom.
            arch: the board.
            fixed: cores that must not move.
            crossing: what the edge of a chip counts for beyond its one hop [hop].
        """
        y, x = np.nonzero(_free(arch, fixed))
        sites = np.stack([x, y], axis=1).astype(np.int32)
        return cls._with(pairs, np.zeros(pairs.cores, np.int32), (sites,), arch, fixed, crossing)

    @classmethod
    def _with(
        cls,
        pairs: Arcs,
        region: Int32[np.ndarray, " cores"],
        sites: tuple[Int32[np.ndarray, "_ 2"], ...],
        arch: ChipArch,
        fixed: Mapping[int, Site],
        crossing: int,
    ) -> PlaceProblem:
        region, at = region.copy(), np.zeros((pairs.cores, 2), np.int32)
        for core, site in fixed.items():
            region[core], at[core] = -1, site
        column, row = (
            np.arange(size, dtype=np.int64) + crossing * (np.arange(size) // grid)
            for size, grid in zip(arch.size, arch.grid, strict=True)
        )
        faulty = np.zeros(arch.size[::-1], bool)
        for x, y in arch.faulty_routers:
            faulty[y, x] = True
        return cls(
            arcs=pairs,
            core_region=region,
            region_sites=sites,
            fixed=at,
            column=column,
            row=row,
            reach=arch.offset_max,
            faulty=faulty,
        )

    @property
    def size(self) -> tuple[int, int]:
        """Sites of the board in x and y."""
        return len(self.column), len(self.row)

    def members(self, region: int) -> Int32[np.ndarray, " members"]:
        """Returns the cores of a region, in the graph's order."""
        return np.flatnonzero(self.core_region == region).astype(np.int32)


class Algorithm(Protocol):
    """A placement algorithm: the same sites for the same arguments, in any process, unless `config.seconds` is set."""

    def __call__(self, problem: PlaceProblem, config: PlaceConfig, *, seed: int, progress: Progress) -> Sites:
        """Returns free sites, each core in its region and no two on one site; fixed cores on theirs."""
        ...


def _free(arch: ChipArch, fixed: Mapping[int, Site]) -> Bool[np.ndarray, "height width"]:
    """Returns which sites neither are blocked nor have a fixed core."""
    width, height = arch.size
    free = np.ones((height, width), bool)
    for x, y in (*arch.blockages, *fixed.values()):
        free[y, x] = False
    return free
