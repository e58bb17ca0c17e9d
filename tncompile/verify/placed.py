"""Verifies PlacedChip: one working site a core, on its chip, within a packet's reach of whom it sends to.

And the sites of any graph's nodes, for what no stage says: which of them were to be fixed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int32, Int64

from tncompile.arch import ChipArch, Site
from tncompile.ir import PlacedChip
from tncompile.verify.findings import Findings

CODES: dict[str, str] = {
    "placed/shape": "every core has a site",
    "placed/board": "sites are on the board",
    "placed/dead": "sites are neither faulty nor cut off",
    "placed/shared": "no two cores share a site",
    "placed/chip": "a core's site is on its chip",
    "placed/reach": "no arc is longer in x or y than a packet's offset",
    "placed/wirelength": "the wirelength is Σ |dx| + |dy| over all arcs between cores",
}

SITE_CODES: dict[str, str] = {
    "sites/board": "sites are on the board",
    "sites/dead": "sites are neither faulty nor cut off",
    "sites/shared": "no two nodes share a site",
    "sites/reach": "no arc is longer in x or y than a packet's offset",
    "sites/fixed": "fixed nodes are where they were to be",
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
    _add_sites(found, "placed", "core", x, y, arch)
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


def verify_sites(
    x: Int32[np.ndarray, " nodes"],
    y: Int32[np.ndarray, " nodes"],
    arch: ChipArch,
    *,
    source: Int32[np.ndarray, " arcs"],
    target: Int32[np.ndarray, " arcs"],
    fixed: Mapping[int, Site],
) -> None:
    """Checks the sites of the nodes of any graph.

    Args:
        x, y: site of each node.
        arch: the board.
        source, target: nodes of each arc.
        fixed: site of each node that was not to be moved.

    Raises:
        VerificationError: with all violations.
    """
    found = Findings("placement", SITE_CODES)
    _add_sites(found, "sites", "node", x.astype(np.int64), y.astype(np.int64), arch)
    far = np.maximum(np.abs(x[target] - x[source]), np.abs(y[target] - y[source]))
    found.add_each(
        "sites/reach",
        far > arch.offset_max,
        lambda i: (f"node {source[i]} to node {target[i]}", f"at most {arch.offset_max} in x and y", far[i]),
    )
    for node, site in fixed.items():
        if (at := (int(x[node]), int(y[node]))) != site:
            found.add("sites/fixed", f"node {node}", f"site {site}", f"site {at}")
    found.check()


def _add_sites(
    found: Findings,
    stage: str,
    node: str,
    x: Int64[np.ndarray, " nodes"],
    y: Int64[np.ndarray, " nodes"],
    arch: ChipArch,
) -> None:
    """Notes sites off the board, faulty ones and shared ones; raises if any is off the board.

    Args:
        found: where violations are noted.
        stage: of the codes.
        node: what is on a site.
        x, y: site of each.
        arch: the board.
    """
    width, height = arch.size
    found.add_each(
        f"{stage}/board",
        (x < 0) | (x >= width) | (y < 0) | (y >= height),
        lambda i: (f"{node} {i}", f"within {width} x {height}", f"site ({x[i]}, {y[i]})"),
    )
    found.check()
    dead = np.zeros((height, width), bool)
    for i, j in arch.blockages:
        dead[j, i] = True
    found.add_each(
        f"{stage}/dead", dead[y, x], lambda i: (f"{node} {i}", "on a working site", f"faulty site ({x[i]}, {y[i]})")
    )
    count = np.zeros((height, width), np.int64)
    np.add.at(count, (y, x), 1)
    found.add_each(
        f"{stage}/shared", count > 1, lambda j, i: (f"site ({i}, {j})", f"at most 1 {node}", f"{count[j, i]} {node}s")
    )
