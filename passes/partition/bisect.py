"""Recursive bisection: the chips are halved again and again, and the graph with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int32, Int64
from scipy import sparse

from passes.partition.refine import refine

Order = Callable[[sparse.csr_array, np.random.Generator], Int64[np.ndarray, " nodes"]]
"""Returns the nodes of a graph in an order in which neighbours stand close."""

_UNIT = 64  # a chip's side: middles of chips are then integers, or nearly


def bisect(
    matrix: sparse.csr_array,
    size: Int64[np.ndarray, " nodes"],
    site: Int64[np.ndarray, "chips 2"],
    capacity: Int64[np.ndarray, " chips"],
    order: Order,
    *,
    passes: int,
    patience: int,
    seed: int,
) -> Int32[np.ndarray, " nodes"]:
    """Returns the chip of each node; chips may be overfull if nodes are larger than 1.

    The chips are halved across their longer side again and again, and the nodes with them: put in an order, cut where
    that is cheapest and both halves fit, then refined. An arc costs its weight times the distance of its ends
    in chips, where a node whose chip is still open counts as being in the middle of the chips that are open to it.

    Args:
        matrix: symmetric weights, no diagonal.
        size: room that each node takes.
        site: x and y of each chip.
        capacity: of each chip.
        order: in which the nodes of each part are cut.
        passes, patience: as in `refine`.
        seed: for the order.

    References:
        Dunlop and Kernighan 1985, IEEE TCAD 4:92 (what lies outside of the halves counts).
    """
    rng = np.random.default_rng(seed)
    dealt = np.zeros(len(size), np.int32)
    position = np.zeros((len(size), 2), np.int64)
    open_regions = [(np.arange(len(size)), np.arange(len(site)))]
    while open_regions:
        members, chips = open_regions.pop(0)  # breadth first: all positions are equally fine at each cut
        position[members] = _middle(site[chips])
        if len(chips) == 1 or not len(members):
            dealt[members] = chips[0]
            continue
        halves = _halve(site, chips)
        middles = np.array([_middle(site[half]) for half in halves])
        inside = sparse.csr_array(matrix[members][:, members])
        outside = np.ones(len(size), bool)
        outside[members] = False
        away = np.abs(position[:, None] - middles).sum(axis=2) * outside[:, None]
        fixed = matrix[members] @ away
        distance = int(np.abs(middles[1] - middles[0]).sum()) * (1 - np.eye(2, dtype=np.int64))
        room = np.array([capacity[half].sum() for half in halves])
        start = _sweep(inside, size[members], int(distance[0, 1]), fixed, room, order(inside, rng))
        half = refine(
            inside, size[members], distance, room, start, passes=passes, patience=patience, fixed=fixed
        )  # fmt: skip
        for number, region in enumerate(halves):
            chosen = members[half == number]
            position[chosen] = middles[number]
            open_regions.append((chosen, region))
    return dealt


def _middle(site: Int64[np.ndarray, "chips 2"]) -> Int64[np.ndarray, "2"]:
    """Returns the mean x and y of some chips [1/64 chip]."""
    return np.rint(site.mean(axis=0) * _UNIT).astype(np.int64)


def _halve(
    site: Int64[np.ndarray, "chips 2"], chips: Int64[np.ndarray, " open"]
) -> tuple[Int64[np.ndarray, " first"], Int64[np.ndarray, " second"]]:
    """Returns two halves of a set of chips, cut across its longer side."""
    x, y = site[chips].T
    order = np.lexsort((y, x) if np.ptp(x) >= np.ptp(y) else (x, y))
    half = len(chips) // 2
    return np.sort(chips[order[:half]]), np.sort(chips[order[half:]])


def _sweep(
    inside: sparse.csr_array,
    size: Int64[np.ndarray, " members"],
    apart: int,
    fixed: Int64[np.ndarray, "members 2"],
    room: Int64[np.ndarray, "2"],
    order: Int64[np.ndarray, " members"],
) -> Int32[np.ndarray, " members"]:
    """Returns the half of each node when the order, or its reverse, is cut where it costs least of where both fit."""
    pull = fixed[:, 1] - fixed[:, 0]
    source = np.repeat(np.arange(len(size)), np.diff(inside.indptr))
    candidates = []
    for along in (order, order[::-1]):
        rank = np.empty(len(size), np.int64)
        rank[along] = np.arange(len(size))
        ends = rank[source], rank[inside.indices]
        steps = np.zeros(len(size) + 1, np.int64)
        np.add.at(steps, np.minimum(*ends) + 1, inside.data)
        np.subtract.at(steps, np.maximum(*ends) + 1, inside.data)
        crossing = steps.cumsum() // 2 * apart  # of a cut before rank i; the matrix has every arc twice
        cost = crossing + pull.sum() - np.concatenate([[0], pull[along].cumsum()])
        first = np.concatenate([[0], size[along].cumsum()])
        excess = np.maximum(first - room[0], 0) + np.maximum(first[-1] - first - room[1], 0)
        at = int(np.lexsort((cost, excess))[0])
        candidates.append((int(excess[at]), int(cost[at]), rank >= at))
    return min(candidates, key=lambda candidate: candidate[:2])[2].astype(np.int32)
