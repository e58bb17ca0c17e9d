"""Which ways over the routers' mesh are free of faulty routers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Integer

from tncompile.arch import ChipArch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mesh:
    """Faulty routers, counted so that a way of any length is looked at in no time.

    Attributes:
        along_x: faulty routers of each row before each x.
        along_y: faulty routers of each column before each y.
        reach: largest |dx| and |dy| of a packet [core].
    """

    along_x: Int32[np.ndarray, "height _"]
    along_y: Int32[np.ndarray, "_ width"]
    reach: int

    @classmethod
    def of(cls, arch: ChipArch) -> Mesh:
        """Returns the mesh of a board."""
        width, height = arch.size
        faulty = np.zeros((height + 1, width + 1), np.int32)
        for x, y in arch.faulty_routers:
            faulty[y + 1, x + 1] = 1
        return cls(
            along_x=faulty[1:].cumsum(axis=1, dtype=np.int32),
            along_y=faulty[:, 1:].cumsum(axis=0, dtype=np.int32),
            reach=arch.offset_max,
        )

    def clear(
        self,
        x0: Integer[np.ndarray, "..."],
        y0: Integer[np.ndarray, "..."],
        x1: Integer[np.ndarray, "..."],
        y1: Integer[np.ndarray, "..."],
    ) -> Bool[np.ndarray, "..."]:
        """Returns whether packets from (x0, y0) to (x1, y1) pass no faulty router; all four are broadcast."""
        left, right = np.minimum(x0, x1), np.maximum(x0, x1)
        low, high = np.minimum(y0, y1), np.maximum(y0, y1)
        faulty = self.along_x[y0, right + 1] - self.along_x[y0, left]
        faulty = faulty + self.along_y[high + 1, x1] - self.along_y[low, x1]
        return faulty == 0

    def reached_from(self, x: int, y: int) -> Bool[np.ndarray, "height width"]:
        """Returns the sites [y, x] to which a packet from (x, y) can go."""
        columns, rows = self._all()
        here_x, here_y = np.array(x), np.array(y)
        near = np.maximum(np.abs(columns - x), np.abs(rows - y)) <= self.reach
        return self.clear(here_x, here_y, columns, rows) & near

    def reaching(self, x: int, y: int) -> Bool[np.ndarray, "height width"]:
        """Returns the sites [y, x] from which a packet can go to (x, y)."""
        columns, rows = self._all()
        here_x, here_y = np.array(x), np.array(y)
        near = np.maximum(np.abs(columns - x), np.abs(rows - y)) <= self.reach
        return self.clear(columns, rows, here_x, here_y) & near

    def _all(self) -> tuple[Integer[np.ndarray, "1 width"], Integer[np.ndarray, "height 1"]]:
        return np.arange(self.along_y.shape[1])[None, :], np.arange(self.along_x.shape[0])[:, None]
