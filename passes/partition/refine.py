"""Refinement: takes nodes from chip to chip as long as that pays, by Fiduccia and Mattheyses' method."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Int32, Int64
from scipy import sparse

from tncompile.native import kept


def refine(
    matrix: sparse.csr_array,
    size: Int64[np.ndarray, " nodes"],
    distance: Int64[np.ndarray, "chips chips"],
    capacity: Int64[np.ndarray, " chips"],
    dealt: Int32[np.ndarray, " nodes"],
    *,
    passes: int,
    patience: int,
    fixed: Int64[np.ndarray, "nodes chips"] | None = None,
) -> Int32[np.ndarray, " nodes"]:
    """Returns a deal that costs no more; where a chip was overfull, one where none is, if moves of nodes can do it.

    A pass takes the node that gains most, whatever chip it goes to, and never the same one twice; it goes on when
    moves cost, and in the end goes back to where it was cheapest. On the way one chip may be overfull by
    one node, so that full chips can swap; then only nodes of that chip are moved. Sums are integers, so the order
    in which they are made plays no part.

    Args:
        matrix: symmetric weights, no diagonal.
        size: room that each node takes.
        distance: cost of a weight of 1 from chip to chip.
        capacity: of each chip.
        dealt: the chip of each node.
        passes: at most so many.
        patience: moves in a row that do not lead to a lower cost, after which a pass ends.
        fixed: what each node costs on each chip besides; None: nothing.

    References:
        Fiduccia and Mattheyses 1982, DAC, "A linear-time heuristic for improving network partitions"; Sanchis 1989,
        IEEE Trans. Computers 38:62 (many parts at once).
    """
    dealt = dealt.copy()
    indptr, indices, weights = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data
    price = np.zeros((len(size), len(capacity)), np.int64) if fixed is None else fixed.copy()
    _add_prices(indptr, indices, weights, distance, dealt, price)
    slack = int(size.max(initial=1))
    for _ in range(passes):
        if not _pass(indptr, indices, weights, size, distance, capacity, dealt, price, patience, slack):
            break
    return dealt


@kept
@no_type_check
def _add_prices(indptr, indices, weights, distance, dealt, price):
    """Adds what each node's arcs cost if it were on each chip."""
    for i in range(len(dealt)):
        for k in range(indptr[i], indptr[i + 1]):
            for q in range(len(distance)):
                price[i, q] += weights[k] * distance[dealt[indices[k]], q]


@kept
@no_type_check
def _pass(indptr, indices, weights, size, distance, capacity, dealt, price, patience, slack):
    """Moves nodes, each at most once, and keeps the best of all deals on the way; `dealt` and `price` change in place.

    The nodes of each chip stand in a heap by what they gain on the best chip that has room for them. Room changes with
    each move, so a gain is computed anew when its node comes to the top.

    Returns:
        Whether anything became better.
    """
    nodes, chips = len(size), len(capacity)
    load = np.zeros(chips, np.int64)
    for i in range(nodes):
        load[dealt[i]] += size[i]
    over = _overfull(load, capacity)
    legal = over < 0

    heap = np.empty((chips, nodes), np.int32)
    length = np.zeros(chips, np.int32)
    place = np.full(nodes, -1, np.int32)  # in its heap, −1 = in none
    gain = np.zeros(nodes, np.int64)
    free = np.ones(nodes, np.bool_)
    for i in range(nodes):
        if not legal or _at_border(indptr, indices, dealt, i):
            gain[i] = _best(size, capacity, dealt, price, load, slack, i)[1]
            _insert(heap, length, place, gain, dealt[i], i)

    moved, origin = np.empty(nodes, np.int32), np.empty(nodes, np.int32)
    count, lasting, total, best = 0, 0, 0, 0
    while count < nodes and (not legal or count - lasting < patience):
        chosen, target = -1, -1
        for p in range(chips):
            while length[p] and (over < 0 or over == p):
                i = heap[p, 0]
                q, now = _best(size, capacity, dealt, price, load, slack if over < 0 else 0, i)
                if q < 0:
                    _remove(heap, length, place, gain, p, i)
                elif now != gain[i]:
                    gain[i] = now
                    _down(heap, length, place, gain, p, 0)
                else:
                    if chosen < 0 or now > gain[chosen]:
                        chosen, target = i, q
                    break
        if chosen < 0:
            break
        p = dealt[chosen]
        _remove(heap, length, place, gain, p, chosen)
        free[chosen] = False
        moved[count], origin[count] = chosen, p
        count += 1
        total += gain[chosen]
        load[p] -= size[chosen]
        load[target] += size[chosen]
        over = _overfull(load, capacity)
        _move(indptr, indices, weights, distance, dealt, price, chosen, target)
        for k in range(indptr[chosen], indptr[chosen + 1]):
            j = indices[k]
            if free[j]:
                gain[j] = _best(size, capacity, dealt, price, load, slack, j)[1]
                if place[j] < 0:
                    _insert(heap, length, place, gain, dealt[j], j)
                else:
                    _up(heap, place, gain, dealt[j], place[j])
                    _down(heap, length, place, gain, dealt[j], place[j])
        if over < 0 and (not legal or total > best):
            legal, best, lasting = True, total, count
    for c in range(count - 1, lasting - 1, -1):
        _move(indptr, indices, weights, distance, dealt, price, moved[c], origin[c])
    return lasting > 0


@kept
@no_type_check
def _move(indptr, indices, weights, distance, dealt, price, i, target):
    """Takes a node to a chip."""
    for k in range(indptr[i], indptr[i + 1]):
        for q in range(len(distance)):
            price[indices[k], q] += weights[k] * (distance[target, q] - distance[dealt[i], q])
    dealt[i] = target


@kept
@no_type_check
def _at_border(indptr, indices, dealt, i):
    """Returns whether a node has an arc to another chip."""
    for k in range(indptr[i], indptr[i + 1]):  # noqa: SIM110, which the compiler does not know
        if dealt[indices[k]] != dealt[i]:
            return True
    return False


@kept
@no_type_check
def _best(size, capacity, dealt, price, load, slack, i):
    """Returns the chip on which a node gains most, −1 if none has room, and the gain."""
    target, gain = -1, np.int64(-(1 << 62))
    for q in range(len(capacity)):
        now = price[i, dealt[i]] - price[i, q]
        if q != dealt[i] and now > gain and load[q] + size[i] <= capacity[q] + slack:
            target, gain = q, now
    return target, gain


@kept
@no_type_check
def _overfull(load, capacity):
    """Returns the chip that is overfull by most, −1 if none is."""
    worst, most = -1, 0
    for q in range(len(load)):
        if load[q] - capacity[q] > most:
            worst, most = q, load[q] - capacity[q]
    return worst


@kept
@no_type_check
def _insert(heap, length, place, gain, p, i):
    heap[p, length[p]] = i
    place[i] = length[p]
    length[p] += 1
    _up(heap, place, gain, p, place[i])


@kept
@no_type_check
def _remove(heap, length, place, gain, p, i):
    at, place[i] = place[i], -1
    length[p] -= 1
    if at < length[p]:
        last = heap[p, length[p]]
        heap[p, at], place[last] = last, at
        _up(heap, place, gain, p, at)
        _down(heap, length, place, gain, p, place[last])


@kept
@no_type_check
def _up(heap, place, gain, p, at):
    """Moves what stands at a place towards the top, over all that gain less."""
    i = heap[p, at]
    while at and gain[heap[p, (at - 1) // 2]] < gain[i]:
        above = heap[p, (at - 1) // 2]
        heap[p, at], place[above] = above, at
        at = (at - 1) // 2
    heap[p, at], place[i] = i, at


@kept
@no_type_check
def _down(heap, length, place, gain, p, at):
    """Moves what stands at a place away from the top, under all that gain more."""
    i = heap[p, at]
    while 2 * at + 1 < length[p]:
        child = 2 * at + 1
        if child + 1 < length[p] and gain[heap[p, child + 1]] > gain[heap[p, child]]:
            child += 1
        below = heap[p, child]
        if gain[below] <= gain[i]:
            break
        heap[p, at], place[below] = below, at
        at = child
    heap[p, at], place[i] = i, at
