"""PlacedChip: the site of each core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from tncompile.ir.base import Stage
from tncompile.ir.partitioned import PartitionedGraph


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedChip(Stage):
    """Cores on sites of the board.

    Invariants:
        - every core is on the board, on its chip, off blockages, and no two share a site;
        - no arc is longer in x or y than a packet's offset can say;
        - `wirelength` is Σ |dx| + |dy| over all arcs between cores [hop].

    Attributes:
        source: the partitioned graph.
        core_x, core_y: site on the whole board.
        wirelength: as above; the arcs of unused neurons, output pins and the host do not count.
    """

    source: PartitionedGraph
    core_x: Int32[np.ndarray, " cores"]
    core_y: Int32[np.ndarray, " cores"]
    wirelength: int
