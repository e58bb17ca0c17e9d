"""Partition: which chip of the board each core lies on."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numba import njit
from pydantic import Field
from scipy import sparse

from tncompile.analysis.graph import adjacency, arcs
from tncompile.analysis.spectral import embedding
from tncompile.analysis.utilisation import utilisation
from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.errors import CapacityError
from tncompile.ir import INPUT_LAYER, CoreGraph, PartitionedGraph


class PartitionConfig(Config):
    """Options of `partition`."""

    passes: int = Field(8, ge=0, le=100, description="most Fiduccia–Mattheyses passes over one cut")
    patience: int = Field(256, ge=1, description="moves without a gain after which such a pass ends")


def partition(stage: CoreGraph, arch: ChipArch, config: PartitionConfig, *, seed: int) -> PartitionedGraph:
    """Returns the graph on the fewest chips that hold it.

    The chips in use are halved across their longer side again and again, and the cores with them: ordered by the
    first eigenvector of their part of the graph, cut where that is cheapest and both halves fit, then refined by
    Fiduccia–Mattheyses passes. An arc costs its weight times the distance of its ends in chips, where a core whose
    chip is still open counts as being in the middle of the chips that are open to it.

    All of it runs on sparse arrays, the refinement compiled. networkx's Kernighan–Lin knows neither uneven halves nor
    what lies outside of them, and walks Python dictionaries; a second way for small graphs would only be one more thing
    to go wrong.

    Raises:
        CapacityError: the board has too few working cores.

    References:
        Fiduccia and Mattheyses 1982, DAC, "A linear-time heuristic for improving network partitions"; Dunlop and
        Kernighan 1985, IEEE TCAD 4:92 (what lies outside of the halves counts).
    """
    capacity = np.array([arch.capacity(chip) for chip in range(arch.chips)])
    if capacity.sum() < stage.cores:
        raise CapacityError(_too_small(stage, arch, int(capacity.sum())))
    pairs = arcs(stage)
    matrix = adjacency(pairs)
    core_chip = np.zeros(stage.cores, np.int32)
    position = np.zeros((stage.cores, 2))  # in chips; the middle of the chips that are open to a core

    open_regions = [(np.arange(stage.cores), fewest_chips(arch, capacity, stage.cores))]
    while open_regions:
        members, chips = open_regions.pop(0)  # breadth first: all positions are equally fine at each cut
        position[members] = _middle(arch, chips)
        if len(chips) == 1:
            core_chip[members] = chips[0]
            continue
        halves = _halve(arch, chips)
        second = _cut(matrix, members, position, arch, halves, capacity, config, seed)
        for half, chosen in zip(halves, (members[~second], members[second]), strict=True):
            position[chosen] = _middle(arch, half)
            open_regions.append((chosen, half))
    cut = pairs.weight[core_chip[pairs.source] != core_chip[pairs.target]].sum()
    return PartitionedGraph(source=stage, core_chip=core_chip, cut=int(cut))


def fewest_chips(arch: ChipArch, capacity: Int64[np.ndarray, " chips"], cores: int) -> Int64[np.ndarray, " used"]:
    """Returns a smallest set of chips that holds so many cores: close together if possible, else the largest."""
    count = int(np.searchsorted(np.sort(capacity)[::-1].cumsum(), cores)) + 1
    x, y = np.arange(arch.chips) % arch.board[0], np.arange(arch.chips) // arch.board[0]
    distance = np.abs(x[:, None] - x) + np.abs(y[:, None] - y)
    around = np.argsort(distance, axis=1, kind="stable")[:, :count]  # of each chip, the nearest chips
    around = around[capacity[around].sum(axis=1) >= cores]
    if not len(around):
        return np.sort(np.argsort(-capacity, kind="stable")[:count])
    spread = [distance[np.ix_(chips, chips)].sum() for chips in around]
    return np.sort(around[np.argmin(spread)])


def _middle(arch: ChipArch, chips: Int64[np.ndarray, " chips"]) -> Float64[np.ndarray, "2"]:
    """Returns the mean x and y of chips [chip]."""
    return np.array([(chips % arch.board[0]).mean(), (chips // arch.board[0]).mean()])


def _halve(
    arch: ChipArch, chips: Int64[np.ndarray, " chips"]
) -> tuple[Int64[np.ndarray, " first"], Int64[np.ndarray, " second"]]:
    """Returns two halves of a set of chips, cut across its longer side."""
    x, y = chips % arch.board[0], chips // arch.board[0]
    order = np.lexsort((y, x) if np.ptp(x) >= np.ptp(y) else (x, y))
    half = len(chips) // 2
    return np.sort(chips[order[:half]]), np.sort(chips[order[half:]])


def _cut(
    matrix: sparse.csr_array,
    members: Int64[np.ndarray, " members"],
    position: Float64[np.ndarray, "cores 2"],
    arch: ChipArch,
    halves: tuple[Int64[np.ndarray, " first"], Int64[np.ndarray, " second"]],
    capacity: Int64[np.ndarray, " chips"],
    config: PartitionConfig,
    seed: int,
) -> Bool[np.ndarray, " members"]:
    """Returns which cores go to the second half."""
    inside = sparse.csr_array(matrix[members][:, members])
    middles = [_middle(arch, half) for half in halves]
    apart = np.abs(middles[1] - middles[0]).sum()
    pull = _pull(matrix, members, position, middles)
    most = [int(capacity[half].sum()) for half in halves]
    allowed = range(max(len(members) - most[1], 0), min(most[0], len(members)) + 1)

    order = np.argsort(embedding(inside, 1, seed=seed)[:, 0], kind="stable")
    candidates = [_sweep(inside, apart, pull, o, allowed) for o in (order, order[::-1])]
    _, first, order = min(candidates, key=lambda candidate: candidate[0])
    second = np.ones(len(members), bool)
    second[order[:first]] = False

    indptr, indices = inside.indptr.astype(np.int32), inside.indices.astype(np.int32)
    weights = inside.data * apart
    for _ in range(config.passes):
        least, most_first = allowed.start, allowed.stop - 1
        if not _fiduccia_mattheyses(indptr, indices, weights, pull, second, least, most_first, config.patience):
            break
    return second


def _pull(
    matrix: sparse.csr_array,
    members: Int64[np.ndarray, " members"],
    position: Float64[np.ndarray, "cores 2"],
    middles: list[Float64[np.ndarray, "2"]],
) -> Float64[np.ndarray, " members"]:
    """Returns by how much the arcs to cores outside cost more from the second half than from the first."""
    outside = np.ones(len(position), bool)
    outside[members] = False
    further = np.abs(middles[1] - position).sum(axis=1) - np.abs(middles[0] - position).sum(axis=1)
    return matrix[members] @ (further * outside)


def _sweep(
    inside: sparse.csr_array,
    apart: float,
    pull: Float64[np.ndarray, " members"],
    order: Int64[np.ndarray, " members"],
    allowed: range,
) -> tuple[float, int, Int64[np.ndarray, " members"]]:
    """Returns the cheapest place to cut an order: cost, cores before the cut, and the order."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    rows, columns = inside.nonzero()
    low, high = np.minimum(rank[rows], rank[columns]), np.maximum(rank[rows], rank[columns])
    steps = np.bincount(low + 1, inside.data, len(order) + 1) - np.bincount(high + 1, inside.data, len(order) + 1)
    crossing = steps.cumsum() / 2 * apart  # of a cut before rank i; the matrix has every arc twice
    kept_back = pull.sum() - np.concatenate([[0.0], pull[order].cumsum()])
    cost = crossing + kept_back
    best = allowed.start + int(np.argmin(cost[allowed.start : allowed.stop]))
    return float(cost[best]), best, order


@njit
@no_type_check
def _fiduccia_mattheyses(indptr, indices, weights, pull, second, least, most, patience):
    """Moves nodes between two halves, each at most once, and keeps the best prefix of the moves.

    `least` and `most` bound the size of the first half. On the way it may be beyond its bound by one node, so that full
    halves can swap.

    Returns:
        Whether the cost fell.
    """
    nodes = len(second)
    gain = np.empty(nodes)
    first = 0
    for i in range(nodes):
        first += not second[i]
        gain[i] = pull[i] if second[i] else -pull[i]
        for k in range(indptr[i], indptr[i + 1]):
            gain[i] += weights[k] if second[indices[k]] != second[i] else -weights[k]
    free = np.ones(nodes, np.bool_)
    moved = np.empty(nodes, np.int64)
    count, kept, total, best = 0, 0, 0.0, 0.0
    while count < nodes and count - kept < patience:
        chosen = -1
        for i in range(nodes):
            fits = first < most + 1 if second[i] else first > least - 1
            if free[i] and fits and (chosen < 0 or gain[i] > gain[chosen]):
                chosen = i
        if chosen < 0:
            break
        free[chosen] = False
        total += gain[chosen]
        first += 1 if second[chosen] else -1
        second[chosen] = not second[chosen]
        moved[count] = chosen
        count += 1
        for k in range(indptr[chosen], indptr[chosen + 1]):
            j = indices[k]
            gain[j] += -2 * weights[k] if second[j] == second[chosen] else 2 * weights[k]
        if total > best + 1e-6 and least <= first <= most:
            best, kept = total, count
    for i in range(kept, count):
        second[moved[i]] = not second[moved[i]]
    return kept > 0


def _too_small(graph: CoreGraph, arch: ChipArch, capacity: int) -> str:
    rows = sorted(utilisation(graph), key=lambda row: -(row.cores + row.splitters))[:3]
    largest = ", ".join(f"{row.layer} ({row.cores} + {row.splitters} splitters)" for row in rows)
    input_split = bool((graph.neuron_layer == INPUT_LAYER).any())
    advice = ", or raise compile.pack.packets_per_bit to save splitters" if input_split else ""
    return (
        f"the net needs {graph.cores} cores, the board has {capacity} working ones ({arch.board[0]} x {arch.board[1]}"
        f" chips of {arch.grid[0]} x {arch.grid[1]}, {len(arch.dead_cores)} faulty); most are taken by {largest}; use a"
        f" larger arch.board or arch.grid, or fewer features{advice}"
    )
