"""Annealing's inner loop, compiled: moves of cores, and what they change in the cost.

A move looks at all arcs of one core or two, some 40 each, wherever their other ends lie. Everything that it reads is
packed so that this becomes a few vector operations on data in the first two caches: 32-bit neighbours and weights, rows
padded to whole vectors by arcs of weight 0, and both coordinates of a core in one word, so that a neighbour is one
gathered element. All sums are of integers, so that the order in which a processor adds them cannot matter.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit

from tncompile.native import kept

LANES = 16
"""Neighbours that are looked at together; rows are padded to multiples."""
NOBODY = -1
"""On a site: free."""
BLOCKED = -2
"""On a site: faulty, of a fixed core or of another region."""
QUANTILES = 1024
"""Entries of the table of thresholds."""

_i32, _u32, _u64 = np.int32, np.uint32, np.uint64
_HALF, _LOW = _u64(32), _u64(0xFFFFFFFF)
_MIX = _u64(0x2545F4914F6CDD1D)


inlined = njit(error_model="numpy", forceinline=True)
"""Compiles a function into its callers; one that has many arrays costs more to call than to run."""


@inlined
@no_type_check  # the compiler needs the bare function
def draw(random):
    """Returns 64 random bits (xorshift64* of Vigna 2016, ACM TOMS 42:30)."""
    state = random[0]
    state ^= state >> _u64(12)
    state ^= state << _u64(25)
    state ^= state >> _u64(27)
    random[0] = state
    return state * _MIX


@inlined
@no_type_check
def below(bits, bound):
    """Returns an integer 0 … bound − 1 from 32 random bits."""
    return np.int64((bits * _u64(bound)) >> _HALF)


@inlined
@no_type_check
def near(bits, at, window, first, last):
    """Returns a coordinate within the window around `at`, from `first` to `last`, from 32 random bits."""
    low, high = max(first, at - window), min(last, at + window)
    return low + below(bits, high - low + 1)


@inlined
@no_type_check
def _packed(column, row, x, y):
    """Returns both distances from the board's corner in one word."""
    return _i32(column[_u64(x)] | (row[_u64(y)] << 16))


@inlined
@no_type_check
def _growth(starts, neighbours, weights, position, core, other, here, there):
    """Returns by how much the arcs of a core grow if it moves from `here` to `there`, and the weight to `other`.

    Packed positions; all of it in 32 bit, which `anneal` has made sure suffice.
    """
    x0, y0, x1, y1 = _i32(here & 0xFFFF), _i32(here >> 16), _i32(there & 0xFFFF), _i32(there >> 16)
    first, last = _u64(starts[_u64(core)]), _u64(starts[_u64(core) + _u64(1)])
    row, weight = neighbours[first:last], weights[first:last]
    growth = joint = _i32(0)
    for i in range((last - first) // _u64(LANES) * _u64(LANES)):  # the compiler sees that no remainder is left
        at = position[_u32(row[i] & _i32(0x7FFFFFFF))]  # surely not negative: a 32-bit gather will do
        x, y = _i32(at & _i32(0xFFFF)), _i32(at >> _i32(16))
        after = _i32(_i32(abs(_i32(x1 - x))) + _i32(abs(_i32(y1 - y))))
        before = _i32(_i32(abs(_i32(x0 - x))) + _i32(abs(_i32(y0 - y))))
        growth = _i32(growth + _i32(weight[i] * _i32(after - before)))
        if row[i] == other:
            joint = _i32(joint + weight[i])
    return np.int64(growth), np.int64(joint)


@inlined
@no_type_check
def _growth_far(starts, neighbours, weights, sites, column, row, reach, penalty, core, other, x1, y1):
    """Returns by how much the arcs of a core grow if it moves to (x1, y1); arcs to `other`, which goes back, stay.

    Each hop beyond reach costs `penalty` more. For boards on which a packet cannot go from corner to corner.
    """
    x0, y0 = sites[core, 0], sites[core, 1]
    growth = np.int64(0)
    for i in range(starts[core], starts[core + 1]):
        neighbour = neighbours[i]
        if neighbour == other:
            continue
        x, y = sites[neighbour, 0], sites[neighbour, 1]
        after = abs(column[x1] - column[x]) + abs(row[y1] - row[y])
        before = abs(column[x0] - column[x]) + abs(row[y0] - row[y])
        over = max(abs(x1 - x) - reach, 0) + max(abs(y1 - y) - reach, 0)
        over -= max(abs(x0 - x) - reach, 0) + max(abs(y0 - y) - reach, 0)
        growth += np.int64(weights[i]) * (after - before + penalty * over)
    return growth


@inlined
@no_type_check
def _change(
    starts, neighbours, weights, position, sites, column, row, reach, penalty, far, core, other, x0, y0, x1, y1
):
    """Returns by how much the cost grows if a core moves to (x1, y1) and `other`, if any, from there to (x0, y0)."""
    if far:
        growth = _growth_far(starts, neighbours, weights, sites, column, row, reach, penalty, core, other, x1, y1)
        if other != NOBODY:
            growth += _growth_far(starts, neighbours, weights, sites, column, row, reach, penalty, other, core, x0, y0)
        return growth
    here, there = position[_u64(core)], _packed(column, row, x1, y1)
    growth, joint = _growth(starts, neighbours, weights, position, core, other, here, there)
    if other != NOBODY:
        growth += _growth(starts, neighbours, weights, position, other, core, there, here)[0]
        if joint:  # each of the two has counted the arcs between them as if the other stayed
            growth += 2 * joint * (abs(column[x1] - column[x0]) + abs(row[y1] - row[y0]))
    return growth


@kept
@no_type_check
def try_moves(
    starts, neighbours, weights, position, sites, site_core, column, row, reach, penalty, far,
    members, box, random, moves, window, thresholds,
):  # fmt: skip
    """Tries moves of the members of a region; changes `position`, `sites`, `site_core` and `random` in place.

    A move takes a random member to a random site within the window around it, and the core that is there, if any, back.
    It is kept if the cost does not grow by more than a random one of the thresholds.

    Args:
        starts: row i's neighbours are those from starts[i] to starts[i + 1] − 1.
        neighbours, weights: of all cores; rows padded to whole vectors by weights of 0.
        position: of each core, packed: column | row << 16.
        sites: x and y of each core.
        site_core: core on each site [y, x], or NOBODY, or BLOCKED.
        column, row, reach: as in `PlaceProblem`.
        penalty: what a hop beyond reach costs more.
        far: whether arcs may be beyond reach, or 32 bit do not suffice.
        members: cores that may move.
        box: x0, y0, x1, y1 of the region, ends included.
        random: state of the random numbers; not 0.
        moves: to be tried.
        window: largest change of x and of y.
        thresholds: QUANTILES of them.

    Returns:
        How many moves were kept, and by how much they made the cost grow.
    """
    taken, total = 0, np.int64(0)
    for _ in range(moves):
        which, where = draw(random), draw(random)
        core = members[_u64(below(which >> _HALF, len(members)))]
        x0, y0 = np.int64(sites[_u64(core), 0]), np.int64(sites[_u64(core), 1])
        x1 = near(where >> _HALF, x0, window, box[0], box[2])
        y1 = near(where & _LOW, y0, window, box[1], box[3])
        other = site_core[_u64(y1), _u64(x1)]
        if other == BLOCKED or other == core:  # noqa: SIM109 (no tuple of two types in Numba)
            continue
        growth = _change(
            starts, neighbours, weights, position, sites, column, row, reach, penalty, far, core, other, x0, y0, x1, y1
        )
        if growth > 0 and growth > thresholds[(which >> _u64(20)) & _u64(QUANTILES - 1)]:
            continue
        taken += 1
        total += growth
        sites[core, 0], sites[core, 1] = x1, y1
        position[core] = _packed(column, row, x1, y1)
        site_core[_u64(y1), _u64(x1)] = core
        site_core[_u64(y0), _u64(x0)] = other
        if other != NOBODY:
            sites[other, 0], sites[other, 1] = x0, y0
            position[other] = _packed(column, row, x0, y0)
    return taken, total


@kept
@no_type_check
def sample_moves(
    starts, neighbours, weights, position, sites, site_core, column, row, reach, far, members, box, random, window,
    growths,
):  # fmt: skip
    """Fills `growths` with what random moves would change in the cost, without beyond-reach penalties; makes none."""
    for i in range(len(growths)):
        which, where = draw(random), draw(random)
        core = members[below(which >> _HALF, len(members))]
        x0, y0 = np.int64(sites[core, 0]), np.int64(sites[core, 1])
        x1 = near(where >> _HALF, x0, window, box[0], box[2])
        y1 = near(where & _LOW, y0, window, box[1], box[3])
        other = site_core[_u64(y1), _u64(x1)]
        if other != BLOCKED and other != core:
            growths[i] = _change(
                starts, neighbours, weights, position, sites, column, row, reach, np.int64(0), far, core, other, x0, y0,
                x1, y1,
            )  # fmt: skip
