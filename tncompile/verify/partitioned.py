"""Verifies PartitionedGraph: chips exist, hold their cores, and the cut is what it says."""

from __future__ import annotations

import numpy as np

from tncompile.arch import ChipArch
from tncompile.ir import PartitionedGraph
from tncompile.verify.findings import Findings

CODES: dict[str, str] = {
    "partitioned/shape": "every core has a chip number",
    "partitioned/chip": "every core's chip is on the board",
    "partitioned/capacity": "no chip has more cores than working sites",
    "partitioned/cut": "the cut is the number of arcs between chips",
}


def verify(stage: PartitionedGraph, arch: ChipArch) -> None:
    """Checks a partition against the invariants of `PartitionedGraph`.

    Raises:
        VerificationError: with all violations.
    """
    found = Findings("PartitionedGraph", CODES)
    graph, chip = stage.source, stage.core_chip
    found.add_shapes("partitioned/shape", "graph", stage, {"core_chip": ((graph.cores,), np.int32)})
    found.check()

    found.add_each(
        "partitioned/chip",
        (chip < 0) | (chip >= arch.chips),
        lambda c: (f"core {c}", f"chip 0 to {arch.chips - 1}", f"chip {chip[c]}"),
    )
    found.check()

    working = np.ones((arch.size[1], arch.size[0]), bool)
    for x, y in arch.blockages:
        working[y, x] = False
    (width, height), (columns, rows) = arch.grid, arch.board
    sites = working.reshape(rows, height, columns, width).sum(axis=(1, 3)).ravel()
    cores = np.bincount(chip, minlength=arch.chips)
    found.add_each(
        "partitioned/capacity", cores > sites, lambda i: (f"chip {i}", f"at most {sites[i]} cores", f"{cores[i]} cores")
    )

    core, neuron = np.nonzero(graph.target_core >= 0)
    cut = np.count_nonzero(chip[core] != chip[graph.target_core[core, neuron]])
    if cut != stage.cut:
        found.add("partitioned/cut", "graph", f"{cut} arcs", stage.cut)
    found.check()
