"""RoutedChip: relative addresses, and what they load on the links."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Int16, Int64

from tncompile.ir.base import Stage
from tncompile.ir.placed import PlacedChip


class Direction(IntEnum):
    """The link by which a packet leaves a router."""

    EAST = 0  # x + 1
    WEST = 1  # x − 1
    NORTH = 2  # y + 1
    SOUTH = 3  # y − 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoutedChip(Stage):
    """A placed chip with the packet of every neuron.

    A packet goes dx cores along x first, then dy cores along y. Neurons without a target core have dx = dy = 0.

    Invariants:
        - from its core's site, a neuron's packet ends on the site of its target core;
        - `link_load[d, y, x]` counts the arcs that leave the router of site (x, y) in `Direction` d.

    Attributes:
        source: the placed chip.
        dx, dy: offset of each neuron's packet [core].
        link_load: arcs a link.
        crossings: arcs that cross a chip's edge, counted once an edge.
    """

    source: PlacedChip
    dx: Int16[np.ndarray, "cores neurons"]
    dy: Int16[np.ndarray, "cores neurons"]
    link_load: Int64[np.ndarray, "4 height width"]
    crossings: int
