"""Multilevel partitioning: a small picture of the graph is dealt to the chips, then refined from level to level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import no_type_check

import numpy as np
from jaxtyping import Int32, Int64
from scipy import sparse

from passes.partition.bisect import bisect
from passes.partition.orders import by_eigenvector, by_growth
from passes.partition.problem import Dealt, PartitionProblem
from passes.partition.refine import refine
from passes.progress import Progress, unheard
from tncompile.native import kept

# Chosen on the nets of Esser et al. 2016 for two and four chips, and the latter with four times the features.
_COARSEST = 40  # nodes a chip at which coarsening ends …
_FEWEST = 150  # … or nodes in all
_SHARE = 15  # of a chip, on average, that a coarse node may fill: one part in so many
_STARTS = 8  # deals of the coarsest graph, of which the best is refined
_STALLED = 0.95  # coarsening ends when a level keeps more than this share of its nodes


@dataclass(frozen=True, slots=True)
class Level:
    """A picture of the graph in which nodes stand for groups of cores.

    Attributes:
        matrix: symmetric weights between nodes, no diagonal.
        size: cores of each node.
        label: nodes of different labels are never made one.
        above: node of the next coarser level that each node is part of; None on the coarsest.
    """

    matrix: sparse.csr_array
    size: Int64[np.ndarray, " nodes"]
    label: Int32[np.ndarray, " nodes"]
    above: Int32[np.ndarray, " nodes"] | None


def multilevel(
    problem: PartitionProblem,
    *,
    tries: int,
    recombinations: int,
    passes: int,
    patience: int,
    seed: int,
    progress: Progress = unheard,
) -> Dealt:
    """Returns the best of several multilevel partitions and of their children.

    One try: pairs of nodes with much between them are made one, level by level, until a few dozen nodes a chip are
    left. Those are dealt by recursive bisection, several times; the best deal is refined on every level on the way
    back. A child is made from two partitions in the same way, but no pair is torn apart that both have on one
    chip or both on two: so all that they agree on moves as a whole, and it starts from the better of the two.

    Args:
        problem: what to partition.
        tries: how many partitions to begin with.
        recombinations: how many children; each takes the worst one's place, if it is better and new.
        passes, patience: as in `refine`.
        seed: of everything random.
        progress: told after each partition how much is done (0 … 1), and what the best one costs.

    References:
        Karypis and Kumar 1998, SIAM J. Sci. Comput. 20:359 (multilevel, heavy edges); Holtgrewe, Sanders and Schulz
        2010, IPDPS (a pair's weight over the product of its sizes); Sanders and Schulz 2012, ALENEX, "Distributed
        evolutionary graph partitioning" (recombination).
    """
    options = {"passes": passes, "patience": patience}
    seeds = np.random.SeedSequence(seed).generate_state(tries + recombinations + 1, np.uint32).tolist()
    together = np.zeros(problem.cores, np.int32)
    found: list[tuple[int, Dealt]] = []

    def tell(done: int) -> None:
        progress(done / (tries + recombinations), {"rate × chips": float(min(cost for cost, _ in found))})

    for done, own in enumerate(seeds[:tries], 1):
        levels = coarsened(problem, together, seed=own)
        found.append(_refined(problem, levels, _start(problem, levels[-1], seed=own, **options), **options))
        tell(done)
    rng = np.random.default_rng(seeds[-1])
    for done, own in enumerate(seeds[tries:-1] if tries > 1 else (), tries + 1):
        parents = sorted((found[i] for i in rng.choice(tries, 2, replace=False)), key=lambda parent: parent[0])
        label = parents[0][1] * len(problem.chips) + parents[1][1]
        levels = coarsened(problem, label.astype(np.int32), seed=own)
        start = levels[-1].label // len(problem.chips)
        child = _refined(problem, levels, start.astype(np.int32), **options)
        worst = max(range(tries), key=lambda i: found[i][0])
        if child[0] < found[worst][0] and child[0] not in (cost for cost, _ in found):
            found[worst] = child
        tell(done)
    return min(found, key=lambda one: one[0])[1]


def coarsened(problem: PartitionProblem, label: Int32[np.ndarray, " cores"], *, seed: int) -> list[Level]:
    """Returns the levels from the graph itself to the coarsest.

    Args:
        problem: its graph and chips.
        label: cores of different labels are never made one.
        seed: of the order in which nodes look for partners.
    """
    rng = np.random.default_rng(seed)
    chips = len(problem.chips)
    largest = max(problem.cores // (_SHARE * chips), 1)
    levels = []
    matrix, size = problem.matrix, np.ones(problem.cores, np.int64)
    while len(size) > max(_COARSEST * chips, _FEWEST):
        order = rng.permutation(len(size)).astype(np.int32)
        above, count = _match(matrix.indptr, matrix.indices, matrix.data, size, label, order, largest)
        if count > _STALLED * len(size):
            break
        levels.append(Level(matrix, size, label, above))
        matrix, size, label = _contracted(levels[-1], count)
    return [*levels, Level(matrix, size, label, None)]


def _contracted(
    level: Level, count: int
) -> tuple[sparse.csr_array, Int64[np.ndarray, " coarse"], Int32[np.ndarray, " coarse"]]:
    """Returns matrix, sizes and labels of the next coarser level."""
    above = level.above
    assert above is not None
    old, size = level.matrix, np.bincount(above, level.size, count).astype(np.int64)
    members = np.argsort(above, kind="stable")
    ends = np.bincount(above, minlength=count).cumsum()
    indptr, indices, data = _contract(old.indptr, old.indices, old.data, above, members, ends)
    label = np.zeros(count, np.int32)
    label[above] = level.label
    return sparse.csr_array((data, indices, indptr), shape=(count, count)), size, label


def _start(
    problem: PartitionProblem, level: Level, *, passes: int, patience: int, seed: int
) -> Int32[np.ndarray, " nodes"]:
    """Returns the best deal of the coarsest graph: the one that is overfull by least, then the cheapest."""
    coarse = replace(problem, matrix=level.matrix)
    best: tuple[int, int] | None = None
    chosen = np.zeros(len(level.size), np.int32)
    for number in range(_STARTS):
        order = by_growth if number else by_eigenvector
        dealt = bisect(
            level.matrix, level.size, problem.site, problem.capacity, order,
            passes=passes, patience=patience, seed=seed + number,
        )  # fmt: skip
        dealt = refine(
            level.matrix, level.size, problem.distance, problem.capacity, dealt, passes=passes, patience=patience
        )
        load = np.zeros(len(problem.chips), np.int64)
        np.add.at(load, dealt, level.size)
        worth = int(np.maximum(load - problem.capacity, 0).sum()), coarse.cost(dealt)
        if best is None or worth < best:
            best, chosen = worth, dealt
    return chosen


def _refined(
    problem: PartitionProblem,
    levels: list[Level],
    dealt: Int32[np.ndarray, " nodes"],
    *,
    passes: int,
    patience: int,
) -> tuple[int, Dealt]:
    """Returns a deal of the coarsest level brought down to the cores and refined on each level, and what it costs."""
    for level in reversed(levels):
        if level.above is not None:
            dealt = dealt[level.above]
        dealt = refine(
            level.matrix, level.size, problem.distance, problem.capacity, dealt, passes=passes, patience=patience
        )
    return problem.cost(dealt), dealt


@kept
@no_type_check
def _match(indptr, indices, weights, size, label, order, largest):
    """Returns the number of each node's pair, and how many there are; a node without a partner is one by itself.

    Each node in turn takes the free neighbour with the greatest weight between them over the product of their sizes.
    """
    pair = np.full(len(size), -1, np.int32)
    count = 0
    for i in order:
        if pair[i] >= 0:
            continue
        partner, best = i, 0.0
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            if pair[j] < 0 and label[j] == label[i] and size[i] + size[j] <= largest:
                rating = weights[k] / (size[i] * size[j])
                if rating > best:
                    partner, best = j, rating
        pair[i], pair[partner] = count, count
        count += 1
    return pair, count


@kept
@no_type_check
def _contract(indptr, indices, weights, above, members, ends):
    """Returns indptr, indices and weights of the matrix of groups, without what lies within a group.

    Row c is the sum of the rows of members[ends[c − 1]] … members[ends[c] − 1].
    """
    count = len(ends)
    new_indptr = np.zeros(count + 1, np.int64)
    new_indices, new_weights = np.empty(len(indices), np.int32), np.empty(len(indices), np.int64)
    entry = np.full(count, -1, np.int64)  # of each column; one before the row's first is of an earlier row
    at, begin = 0, 0
    for row in range(count):
        for m in range(begin, ends[row]):
            i = members[m]
            for k in range(indptr[i], indptr[i + 1]):
                column = above[indices[k]]
                if column == row:
                    continue
                if entry[column] < new_indptr[row]:
                    entry[column] = at
                    new_indices[at], new_weights[at] = column, 0
                    at += 1
                new_weights[entry[column]] += weights[k]
        begin = ends[row]
        new_indptr[row + 1] = at
    return new_indptr, new_indices[:at].copy(), new_weights[:at].copy()
