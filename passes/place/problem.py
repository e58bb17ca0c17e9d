"""What every placement algorithm is given, and the prototype that all of them have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Int32

from tncompile.analysis.graph import Arcs, arcs
from tncompile.arch import ChipArch
from tncompile.ir import PartitionedGraph

Sites = Int32[np.ndarray, "cores 2"]
"""x and y of each core on the board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceProblem:
    """Cores to be put on sites of their chips so that arcs are short.

    Attributes:
        arcs: who sends to whom.
        core_chip: chip of each core.
        chip_sites: x and y of each chip's working sites, row by row; at least as many as the chip has cores.
        grid: sites of a chip in x and y.
        size: sites of the board in x and y.
        reach: largest |dx| and |dy| of an arc [core].
    """

    arcs: Arcs
    core_chip: Int32[np.ndarray, " cores"]
    chip_sites: tuple[Int32[np.ndarray, "_ 2"], ...]
    grid: tuple[int, int]
    size: tuple[int, int]
    reach: int

    @classmethod
    def of(cls, stage: PartitionedGraph, arch: ChipArch) -> PlaceProblem:
        """Returns the problem that a partitioned graph poses on a board."""
        width, height = arch.size
        alive = np.ones((height, width), bool)
        for x, y in arch.dead_cores:
            alive[y, x] = False
        y, x = np.nonzero(alive)
        chip = x // arch.grid[0] + arch.board[0] * (y // arch.grid[1])
        sites = np.stack([x, y], axis=1).astype(np.int32)
        return cls(
            arcs=arcs(stage.source),
            core_chip=stage.core_chip,
            chip_sites=tuple(sites[chip == number] for number in range(arch.chips)),
            grid=arch.grid,
            size=arch.size,
            reach=arch.offset_max,
        )

    def members(self, chip: int) -> Int32[np.ndarray, " members"]:
        """Returns the cores of a chip, in the graph's order."""
        return np.flatnonzero(self.core_chip == chip).astype(np.int32)


class Algorithm(Protocol):
    """A placement algorithm: the same sites for the same problem and seed, in any process."""

    def __call__(self, problem: PlaceProblem, *, seed: int) -> Sites:
        """Returns working sites, each core on its chip and no two on one site."""
        ...
