"""Verifies PlacedChip: one working site a core, on its chip, within a packet's reach of whom it sends to."""

from __future__ import annotations

import numpy as np

from tncompile.arch import ChipArch
from tncompile.ir import PlacedChip
from tncompile.verify.findings import Findings

CODES: dict[str, str] = {
    "placed/shape": "every core has a site",
    "placed/board": "sites are on the board",
    "placed/dead": "sites are not faulty",
    "placed/shared": "no two cores share a site",
    "placed/chip": "a core's site is on its chip",
    "placed/reach": "no arc is longer in x or y than a packet's offset",
    "placed/wirelength": "the wirelength is Σ |dx| + |dy| over all arcs between cores",
}


def verify(stage: PlacedChip, arch: ChipArch) -> None:
    """Checks a placement against the invariants of `PlacedChip`.

    Raises:
        VerificationError: with all violations.
    """
    found = Findings("PlacedChip", CODES)
    graph = stage.source.source
    sites = {"core_x": ((graph.cores,), np.int32), "core_y": ((graph.cores,), np.int32)}
    found.add_shapes("placed/shape", "graph", stage, sites)
    found.check()

    x, y = stage.core_x.astype(np.int64), stage.core_y.astype(np.int64)
    width, height = arch.size
    found.add_each(
        "placed/board",
        (x < 0) | (x >= width) | (y < 0) | (y >= height),
        lambda c: (f"core {c}", f"within {width} x {height}", f"site ({x[c]}, {y[c]})"),
    )
    found.check()

    dead = np.zeros((height, width), bool)
    for i, j in arch.dead_cores:
        dead[j, i] = True
    found.add_each(
        "placed/dead", dead[y, x], lambda c: (f"core {c}", "on a working site", f"faulty site ({x[c]}, {y[c]})")
    )
    cores = np.zeros((height, width), np.int64)
    np.add.at(cores, (y, x), 1)
    found.add_each(
        "placed/shared", cores > 1, lambda j, i: (f"site ({i}, {j})", "at most 1 core", f"{cores[j, i]} cores")
    )
    chip = x // arch.grid[0] + arch.board[0] * (y // arch.grid[1])
    declared = stage.source.core_chip
    found.add_each(
        "placed/chip",
        chip != declared,
        lambda c: (f"core {c} at ({x[c]}, {y[c]})", f"on chip {declared[c]}", f"on chip {chip[c]}"),
    )

    core, neuron = np.nonzero(graph.target_core >= 0)
    target = graph.target_core[core, neuron]
    dx, dy = np.abs(x[target] - x[core]), np.abs(y[target] - y[core])
    far = np.maximum(dx, dy)
    found.add_each(
        "placed/reach",
        far > arch.offset_max,
        lambda i: (
            f"core {core[i]}, neuron {neuron[i]} to core {target[i]}",
            f"at most {arch.offset_max} in x and y",
            far[i],
        ),
    )
    wirelength = int((dx + dy).sum())
    if wirelength != stage.wirelength:
        found.add("placed/wirelength", "chip", f"{wirelength} hops", stage.wirelength)
    found.check()
