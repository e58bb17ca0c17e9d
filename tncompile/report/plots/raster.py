"""Boards as pixels: each site a square of whole pixels, with a gap between chips; colours are given, not chosen.

Row 0 of every picture is its lowest, as y counts on the board.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int64, Integer, UInt8

from tncompile.ir import Direction

BORDER_FROM = 10
"""Sites of so many pixels or more have a border of one pixel [pixel]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A part of a board: the sites x0 … x1 − 1 and y0 … y1 − 1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def longest(self) -> int:
        """Sites along its longer side."""
        return max(self.x1 - self.x0, self.y1 - self.y0)


def region_of(x: Integer[np.ndarray, " cores"], y: Integer[np.ndarray, " cores"], size: tuple[int, int]) -> Region:
    """Returns the part of a board to be shown: all of it, or what is in use if that is less than half of it.

    Args:
        x, y: sites of the cores.
        size: sites of the board in x and y.

    >>> region_of(np.array([5, 7]), np.array([9, 9]), (64, 64))
    Region(x0=4, y0=8, x1=9, y1=11)
    """
    whole = Region(x0=0, y0=0, x1=size[0], y1=size[1])
    if not len(x):
        return whole
    part = Region(
        x0=max(int(x.min()) - 1, 0),
        y0=max(int(y.min()) - 1, 0),
        x1=min(int(x.max()) + 2, size[0]),
        y1=min(int(y.max()) + 2, size[1]),
    )
    return part if 2 * (part.x1 - part.x0) * (part.y1 - part.y0) < size[0] * size[1] else whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where the sites of a region are in a picture.

    Attributes:
        region: the sites.
        chip: sites of a chip in x and y.
        cell: side of a site [pixel].
        gap: between two chips, in x and y [pixel].
    """

    region: Region
    chip: tuple[int, int]
    cell: int
    gap: tuple[int, int]

    def left(self, x: int) -> int:
        """Returns the first pixel of a column of sites; that of the first beyond the region is the picture's width."""
        return self._place(x, self.region.x0, self.region.x1, 0)

    def low(self, y: int) -> int:
        """Returns the first pixel of a row of sites, as `left`."""
        return self._place(y, self.region.y0, self.region.y1, 1)

    @property
    def width(self) -> int:
        """Width of the picture [pixel]."""
        return self.left(self.region.x1)

    @property
    def height(self) -> int:
        """Height of the picture [pixel]."""
        return self.low(self.region.y1)

    def pixels(self) -> tuple[Int64[np.ndarray, " width"], Int64[np.ndarray, " height"]]:
        """Returns the site's x of each column of pixels and its y of each row; −1 in a gap."""
        columns, rows = np.full(self.width, -1), np.full(self.height, -1)
        for x in range(self.region.x0, self.region.x1):
            columns[self.left(x) : self.left(x) + self.cell] = x
        for y in range(self.region.y0, self.region.y1):
            rows[self.low(y) : self.low(y) + self.cell] = y
        return columns, rows

    def _place(self, at: int, first: int, end: int, axis: int) -> int:
        last = min(at, end - 1)  # no gap behind the last site
        return (at - first) * self.cell + (last // self.chip[axis] - first // self.chip[axis]) * self.gap[axis]


def painted(
    grid: Grid,
    site: Integer[np.ndarray, "height width"],
    colours: UInt8[np.ndarray, "kinds 3"],
    inks: UInt8[np.ndarray, "kinds 3"],
    pattern: Integer[np.ndarray, " kinds"],
    patterns: Bool[np.ndarray, "patterns cell cell"],
) -> UInt8[np.ndarray, "pixel_rows pixel_columns 3"]:
    """Returns a picture of squares, each of one colour with a pattern in another.

    Args:
        grid: where they are.
        site: the kind of each site of the board.
        colours: of each kind.
        inks: its second colour.
        pattern: row of `patterns` of each kind.
        patterns: which pixels of a square have the second colour.
    """
    columns, rows = grid.pixels()
    kind = site[np.ix_(rows, columns)]
    v, u = np.ix_(_within(rows, grid.cell), _within(columns, grid.cell))
    picture = np.where(patterns[pattern[kind], v, u][..., None], inks[kind], colours[kind])
    return _bordered(picture, grid, columns, rows)


def shaded(
    grid: Grid, colours: UInt8[np.ndarray, "directions height width 3"]
) -> UInt8[np.ndarray, "pixel_rows pixel_columns 3"]:
    """Returns a picture of squares of one colour, or of four: each site's triangles towards east, west, north, south.

    Args:
        grid: where they are.
        colours: of each site, or of its four `Direction`s.
    """
    columns, rows = grid.pixels()
    y, x = np.ix_(rows, columns)
    v, u = np.ix_(_within(rows, grid.cell), _within(columns, grid.cell))
    towards = triangles(grid.cell) if len(colours) == len(Direction) else np.zeros((grid.cell, grid.cell), np.int64)
    return _bordered(colours[towards[v, u], y, x], grid, columns, rows)


def triangles(cell: int) -> Int[np.ndarray, "cell cell"]:
    """Returns the `Direction` that each pixel of a square belongs to; a diagonal goes round, so that all get as much.

    >>> triangles(4)[::-1]
    array([[1, 2, 2, 2],
           [1, 1, 2, 0],
           [1, 3, 0, 0],
           [3, 3, 3, 0]])
    """
    v, u = np.mgrid[:cell, :cell] * 2 - (cell - 1)
    found = np.select(
        [(u > v) & (u >= -v), (v >= u) & (v > -u), (u < v) & (u <= -v)],
        [Direction.EAST, Direction.NORTH, Direction.WEST],
        Direction.SOUTH,
    )
    return found


def dot(cell: int) -> Bool[np.ndarray, "cell cell"]:
    """Returns a square with a dot in the middle, of about a third of its side."""
    radius = max(cell / 5, 0.8)
    v, u = np.mgrid[:cell, :cell] - (cell - 1) / 2
    return u * u + v * v <= radius * radius


def corner(cell: int) -> Bool[np.ndarray, "cell cell"]:
    """Returns a square whose lower right half is set."""
    v, u = np.mgrid[:cell, :cell]
    return u > v


def cross(cell: int) -> Bool[np.ndarray, "cell cell"]:
    """Returns a square with both diagonals set."""
    v, u = np.mgrid[:cell, :cell]
    thick = max(cell // 12, 0)
    return (np.abs(u - v) <= thick) | (np.abs(u + v - (cell - 1)) <= thick)


def _within(sites: Int64[np.ndarray, " pixels"], cell: int) -> Int64[np.ndarray, " pixels"]:
    """Returns the number of each pixel within its site; any in a gap."""
    begins = np.flatnonzero(np.diff(sites, prepend=-2))
    return (np.arange(len(sites)) - np.repeat(begins, np.diff(begins, append=len(sites)))) % cell


def _bordered(
    picture: UInt8[np.ndarray, "rows columns 3"],
    grid: Grid,
    columns: Int64[np.ndarray, " columns"],
    rows: Int64[np.ndarray, " rows"],
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns a picture that is white in the gaps, and between sites if they are large enough."""
    white_column, white_row = columns < 0, rows < 0
    if grid.cell >= BORDER_FROM:
        white_column |= _within(columns, grid.cell) == grid.cell - 1
        white_row |= _within(rows, grid.cell) == grid.cell - 1
    picture[:, white_column] = 255
    picture[white_row] = 255
    return picture
