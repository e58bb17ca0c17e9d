"""How many arcs each link of the routers' mesh carries."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Int64

from tncompile.analysis.graph import Arcs
from tncompile.arch import ChipArch
from tncompile.ir import Direction


def link_load(
    arcs: Arcs, x: Int32[np.ndarray, " cores"], y: Int32[np.ndarray, " cores"], size: tuple[int, int]
) -> Int64[np.ndarray, "4 height width"]:
    """Returns the arcs that leave each router in each `Direction`, when packets go along x first, then along y.

    Each leg of a path is an interval of a row or a column, so it is two entries of a difference array, and the
    loads are the running sums of that.

    Args:
        arcs: who sends to whom.
        x, y: site of each core.
        size: sites of the board in x and y.
    """
    width, height = size
    x0, y0, x1, y1 = x[arcs.source], y[arcs.source], x[arcs.target], y[arcs.target]
    load = np.empty((4, height, width), np.int64)
    load[Direction.EAST] = _running(y0, x0, x1, arcs.weight, height, width)
    load[Direction.WEST] = _running(y0, x1 + 1, x0 + 1, arcs.weight, height, width)
    load[Direction.NORTH] = _running(x1, y0, y1, arcs.weight, width, height).T
    load[Direction.SOUTH] = _running(x1, y1 + 1, y0 + 1, arcs.weight, width, height).T
    return load


def crossings(load: Int64[np.ndarray, "4 height width"], arch: ChipArch) -> int:
    """Returns the arcs that cross an edge between two chips, counted once an edge."""
    width, height = arch.grid
    east = load[Direction.EAST][:, width - 1 :: width].sum()
    west = load[Direction.WEST][:, ::width].sum()
    north = load[Direction.NORTH][height - 1 :: height].sum()
    south = load[Direction.SOUTH][::height].sum()
    return int(east + west + north + south)


def _running(
    line: Int32[np.ndarray, " arcs"],
    start: Int32[np.ndarray, " arcs"],
    stop: Int32[np.ndarray, " arcs"],
    weight: Int64[np.ndarray, " arcs"],
    lines: int,
    length: int,
) -> Int64[np.ndarray, "lines length"]:
    """Returns how much weight lies on each place of each line if arc i lies on start[i] … stop[i] − 1."""
    kept = start < stop
    steps = np.zeros((lines, length + 1), np.int64)
    np.add.at(steps, (line[kept], start[kept]), weight[kept])
    np.subtract.at(steps, (line[kept], stop[kept]), weight[kept])
    return steps.cumsum(axis=1)[:, :-1]
