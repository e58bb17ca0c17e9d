"""PartitionedGraph: which chip each core lies on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from tncompile.ir.base import Stage
from tncompile.ir.core_graph import CoreGraph


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartitionedGraph(Stage):
    """A core graph cut into chips.

    Invariants:
        - every core has a chip of the board;
        - no chip has more cores than working sites;
        - `cut` counts the neuron-to-axon arcs whose ends lie on different chips.

    Attributes:
        source: the core graph.
        core_chip: chip number (see `ChipArch.chips`).
        cut: arcs between chips.
    """

    source: CoreGraph
    core_chip: Int32[np.ndarray, " cores"]
    cut: int
