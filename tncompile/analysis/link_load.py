"""How much each link of the routers' mesh carries."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, Integer

from tncompile.analysis.graph import Arcs
from tncompile.arch import ChipArch
from tncompile.ir import Direction


def link_load(
    arcs: Arcs, x: Integer[np.ndarray, " cores"], y: Integer[np.ndarray, " cores"], size: tuple[int, int]
) -> Int64[np.ndarray, "4 height width"]:
    """Returns the arcs that leave each router in each `Direction`, when packets go along x first, then along y.

    Args:
        arcs: who sends to whom.
        x, y: site of each core.
        size: sites of the board in x and y.
    """
    source, target = arcs.source, arcs.target
    return packet_load(x[source], y[source], x[target] - x[source], y[target] - y[source], arcs.weight, size)


def packet_load(
    x: Integer[np.ndarray, " paths"],
    y: Integer[np.ndarray, " paths"],
    dx: Integer[np.ndarray, " paths"],
    dy: Integer[np.ndarray, " paths"],
    packets: Int64[np.ndarray, " paths"],
    size: tuple[int, int],
) -> Int64[np.ndarray, "4 height width"]:
    """Returns the packets that leave each router in each `Direction`, when they go along x first, then along y.

    Each leg of a path is an interval of a row or a column, so it is two entries of a difference array, and the
    loads are the running sums of that.

    Args:
        x, y: site that each path begins at.
        dx, dy: its offset [core].
        packets: how many go along it.
        size: sites of the board in x and y.

    >>> load = packet_load(*(np.array([n]) for n in (0, 0, 2, 1)), np.array([5]), (3, 2))
    >>> load[Direction.EAST].tolist(), load[Direction.NORTH].tolist()
    ([[5, 5, 0], [0, 0, 0]], [[0, 0, 5], [0, 0, 0]])
    """
    width, height = size
    to_x, to_y = x + dx, y + dy
    load = np.empty((4, height, width), np.int64)
    load[Direction.EAST] = _running(y, x, to_x, packets, height, width)
    load[Direction.WEST] = _running(y, to_x + 1, x + 1, packets, height, width)
    load[Direction.NORTH] = _running(to_x, y, to_y, packets, width, height).T
    load[Direction.SOUTH] = _running(to_x, to_y + 1, y + 1, packets, width, height).T
    return load


def side_load(
    load: Int64[np.ndarray, "4 height width"], arch: ChipArch
) -> Int64[np.ndarray, "4 board_height board_width"]:
    """Returns the packets that leave each chip by each side, over the one link that the side's routers share.

    Args:
        load: of each link.
        arch: the board.
    """
    (width, height), (columns, rows) = arch.grid, arch.board
    sides = np.empty((4, rows, columns), np.int64)
    for direction, along, place in (
        (Direction.EAST, "x", width - 1),
        (Direction.WEST, "x", 0),
        (Direction.NORTH, "y", height - 1),
        (Direction.SOUTH, "y", 0),
    ):
        chips = load[direction].reshape(rows, height, columns, width)
        sides[direction] = (
            chips[:, :, :, place].sum(axis=1) if along == "x" else chips[:, place, :, :].sum(axis=2)
        )  # fmt: skip
    return sides


def crossings(load: Int64[np.ndarray, "4 height width"], arch: ChipArch) -> int:
    """Returns the arcs that cross an edge between two chips, counted once an edge."""
    return int(side_load(load, arch).sum())


def _running(
    line: Integer[np.ndarray, " paths"],
    start: Integer[np.ndarray, " paths"],
    stop: Integer[np.ndarray, " paths"],
    weight: Int64[np.ndarray, " paths"],
    lines: int,
    length: int,
) -> Int64[np.ndarray, "lines length"]:
    """Returns how much weight lies on each place of each line if path i lies on start[i] … stop[i] − 1."""
    kept = start < stop
    steps = np.zeros(lines * (length + 1), np.int64)
    first = line[kept].astype(np.int64) * (length + 1)
    np.add.at(steps, first + start[kept], weight[kept])
    np.subtract.at(steps, first + stop[kept], weight[kept])
    return steps.reshape(lines, length + 1).cumsum(axis=1)[:, :-1]
