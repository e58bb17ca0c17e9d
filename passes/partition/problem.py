"""What every partitioning algorithm is given, and the prototype that all of them have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64
from scipy import sparse

from tncompile.arch import ChipArch

Dealt = Int32[np.ndarray, " cores"]
"""The chip of each core, as a row of `PartitionProblem.chips`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionProblem:
    """Cores to be dealt to chips, so that little goes from chip to chip, and not far.

    Attributes:
        matrix: symmetric rates between different cores, both directions added up.
        chips: numbers of the chips that may be used.
        site: x and y of each of these [chip].
        capacity: cores that each of these takes; together at least as many as there are.
    """

    matrix: sparse.csr_array
    chips: Int64[np.ndarray, " chips"]
    site: Int64[np.ndarray, "chips 2"]
    capacity: Int64[np.ndarray, " chips"]

    @classmethod
    def of(cls, matrix: sparse.csr_array, arch: ChipArch) -> PartitionProblem:
        """Returns the problem of dealing a graph to the fewest chips of a board that hold it."""
        working = np.array([arch.capacity(chip) for chip in range(arch.chips)])
        chips = fewest_chips(arch, working, len(matrix.indptr) - 1)
        site = np.stack([chips % arch.board[0], chips // arch.board[0]], axis=1)
        return cls(matrix=matrix, chips=chips, site=site, capacity=working[chips])

    @property
    def cores(self) -> int:
        """How many cores there are."""
        return len(self.matrix.indptr) - 1

    @property
    def distance(self) -> Int64[np.ndarray, "chips chips"]:
        """Edges that a packet crosses from chip to chip: |dx| + |dy|."""
        return np.abs(self.site[:, None] - self.site).sum(axis=2)

    def cost(self, dealt: Dealt) -> int:
        """Returns Σ rate · distance over all arcs."""
        source = np.repeat(dealt, np.diff(self.matrix.indptr))
        return int(self.matrix.data @ self.distance[source, dealt[self.matrix.indices]]) // 2  # every arc stands twice


Algorithm = Callable[[PartitionProblem], Dealt]
"""A partitioning algorithm: the chip of each core, none over its capacity; the same in any process."""


def fewest_chips(arch: ChipArch, capacity: Int64[np.ndarray, " chips"], cores: int) -> Int64[np.ndarray, " used"]:
    """Returns a smallest set of chips that holds so many cores: close together if possible, else the largest."""
    count = int(np.searchsorted(np.sort(capacity)[::-1].cumsum(), cores)) + 1
    x, y = np.arange(arch.chips) % arch.board[0], np.arange(arch.chips) // arch.board[0]
    distance = np.abs(x[:, None] - x) + np.abs(y[:, None] - y)
    around = np.argsort(distance, axis=1, kind="stable")[:, :count]  # of each chip, the nearest chips
    around = around[capacity[around].sum(axis=1) >= cores]
    if not len(around):
        return np.sort(np.argsort(-capacity, kind="stable")[:count])
    spread = [distance[np.ix_(chips, chips)].sum() for chips in around]
    return np.sort(around[np.argmin(spread)])
