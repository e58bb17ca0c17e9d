"""Verifies RoutedChip: every packet is walked hop by hop, x first, then y."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from tncompile.arch import ChipArch
from tncompile.ir import Direction, RoutedChip
from tncompile.verify.findings import Findings

CODES: dict[str, str] = {
    "routed/shape": "every neuron has an offset, every link a load",
    "routed/no-target": "a neuron without a target core has dx = dy = 0",
    "routed/reach": "offsets fit a packet",
    "routed/arrival": "a packet stays on the board and ends at its target core",
    "routed/link-load": "a link's load is the number of arcs that take it",
    "routed/crossings": "crossings are the hops over a chip's edge",
}


def verify(stage: RoutedChip, arch: ChipArch) -> None:
    """Checks routes against the invariants of `RoutedChip`.

    Loads are compared only if all packets arrive: what stray ones would load says nothing.

    Raises:
        VerificationError: with all violations.
    """
    found = Findings("RoutedChip", CODES)
    placed = stage.source
    target = placed.source.source.target_core
    width, height = arch.size
    found.add_shapes(
        "routed/shape",
        "chip",
        stage,
        {
            "dx": (target.shape, np.int16),
            "dy": (target.shape, np.int16),
            "link_load": ((len(Direction), height, width), np.int64),
        },
    )
    found.check()

    dx, dy = stage.dx.astype(np.int64), stage.dy.astype(np.int64)
    found.add_each(
        "routed/no-target",
        (target < 0) & ((dx != 0) | (dy != 0)),
        lambda c, n: (f"core {c}, neuron {n}", "dx = dy = 0", f"dx = {dx[c, n]}, dy = {dy[c, n]}"),
    )
    far = np.maximum(np.abs(dx), np.abs(dy)) * (target >= 0)
    found.add_each(
        "routed/reach",
        far > arch.offset_max,
        lambda c, n: (f"core {c}, neuron {n}", f"−{arch.offset_max} to {arch.offset_max}", far[c, n]),
    )

    core, neuron = np.nonzero(target >= 0)
    goal = target[core, neuron]
    walk = _Walk(placed.core_x[core], placed.core_y[core], arch)
    walk.go(dx[core, neuron], 1, 0)
    walk.go(dy[core, neuron], 0, 1)
    found.add_each(
        "routed/arrival",
        (walk.x != placed.core_x[goal]) | (walk.y != placed.core_y[goal]),
        lambda i: (
            f"core {core[i]}, neuron {neuron[i]}",
            f"at core {goal[i]}, ({placed.core_x[goal[i]]}, {placed.core_y[goal[i]]})",
            f"at ({walk.x[i]}, {walk.y[i]})" if walk.on_board[i] else "off the board",
        ),
    )
    found.check()

    found.add_each(
        "routed/link-load",
        walk.load != stage.link_load,
        lambda d, y, x: (
            f"link {Direction(d).name} of ({x}, {y})",
            f"{walk.load[d, y, x]} arcs",
            stage.link_load[d, y, x],
        ),
    )
    if walk.crossings != stage.crossings:
        found.add("routed/crossings", "chip", walk.crossings, stage.crossings)
    found.check()


class _Walk:
    """Packets on their way, all one hop at a time.

    Attributes:
        x, y: where each packet is.
        on_board: whether it is still there; one that leaves the board stops.
        load: packets that took each link so far.
        crossings: hops over a chip's edge so far.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, arch: ChipArch) -> None:
        self.x, self.y = x.astype(np.int64), y.astype(np.int64)
        self.on_board: Bool[np.ndarray, " packets"] = np.ones(len(x), bool)
        self.load: Int64[np.ndarray, "4 height width"] = np.zeros(
            (len(Direction), arch.size[1], arch.size[0]), np.int64
        )
        self.crossings = 0
        self._arch = arch

    def go(self, hops: Int64[np.ndarray, " packets"], along_x: int, along_y: int) -> None:
        """Moves each packet so many hops along one axis, backwards if negative."""
        forward, back = (Direction.EAST, Direction.WEST) if along_x else (Direction.NORTH, Direction.SOUTH)
        width, height = self._arch.size
        moving = np.flatnonzero((hops != 0) & self.on_board)
        left, sign = np.abs(hops), np.sign(hops)
        while len(moving):
            x, y, step = self.x[moving], self.y[moving], sign[moving]
            link = (np.where(step > 0, forward, back) * height + y) * width + x
            self.load += np.bincount(link, minlength=self.load.size).reshape(self.load.shape)
            to_x, to_y = x + step * along_x, y + step * along_y
            grid_x, grid_y = self._arch.grid
            self.crossings += np.count_nonzero((x // grid_x != to_x // grid_x) | (y // grid_y != to_y // grid_y))
            self.x[moving], self.y[moving] = to_x, to_y
            self.on_board[moving] = (to_x >= 0) & (to_x < width) & (to_y >= 0) & (to_y < height)
            left[moving] -= 1
            moving = moving[(left[moving] > 0) & self.on_board[moving]]
