"""Which ways over the routers' mesh are free of faulty routers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer

from tncompile.arch import ChipArch, Site


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

    def relaying(
        self, first: Site, last: Site, columns: Integer[np.ndarray, "1 _"], rows: Integer[np.ndarray, "_ 1"]
    ) -> Bool[np.ndarray, "..."]:
        """Returns to which sites of these columns and rows packets can go from the first site, and on to the last."""
        (x0, y0), (x1, y1) = (map(np.array, site) for site in (first, last))
        found = self.clear(x0, y0, columns, rows) & self.clear(columns, rows, x1, y1)
        for x, y in (first, last):
            found &= np.maximum(np.abs(columns - x), np.abs(rows - y)) <= self.reach
        return found

    def reaching(self, x: int, y: int) -> Bool[np.ndarray, "height width"]:
        """Returns the sites [y, x] from which a packet can go to (x, y)."""
        columns, rows = np.arange(self.along_y.shape[1])[None, :], np.arange(self.along_x.shape[0])[:, None]
        near = np.maximum(np.abs(columns - x), np.abs(rows - y)) <= self.reach
        return self.clear(columns, rows, np.array(x), np.array(y)) & near

    def sources(self, reached: Bool[np.ndarray, "height width"]) -> Int64[np.ndarray, "2 height width"]:
        """Returns x and y of a site among those reached from which a packet can go to each site; −1 if from none.

        It takes two sweeps: along the rows from what is reached, then along the columns from where that leads.
        """
        faulty = np.diff(self.along_x, axis=1) > 0
        x = _nearest(reached, faulty, self.reach)
        y = _nearest((x >= 0).T, faulty.T, self.reach).T
        x = np.take_along_axis(x, np.maximum(y, 0), axis=0)
        return np.stack([np.where(y < 0, -1, x), y])


def _nearest(
    marked: Bool[np.ndarray, "lines places"], faulty: Bool[np.ndarray, "lines places"], reach: int
) -> Int64[np.ndarray, "lines places"]:
    """Returns the nearest marked place in each place's line, within reach and with nothing faulty between; else −1."""
    places = marked.shape[1]
    place, none = np.arange(places), places + reach
    before, behind = _last(marked, faulty), _last(marked[:, ::-1], faulty[:, ::-1])[:, ::-1]
    behind = np.where(behind < 0, -1, places - 1 - behind)
    to_before, to_behind = (np.where(end < 0, none, np.abs(place - end)) for end in (before, behind))
    return np.where(
        np.minimum(to_before, to_behind) <= reach, np.where(to_before <= to_behind, before, behind), np.int64(-1)
    )


def _last(
    marked: Bool[np.ndarray, "lines places"], faulty: Bool[np.ndarray, "lines places"]
) -> Int64[np.ndarray, "lines places"]:
    """Returns the last marked place up to each place, −1 if there is none or something faulty behind it."""
    place = np.arange(marked.shape[1])
    last, fault = (np.maximum.accumulate(np.where(which, place, -1), axis=1) for which in (marked, faulty))
    return np.where(last > fault, last, -1)
