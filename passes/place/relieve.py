"""Takes arcs off links of a placement, for a little more wirelength: off the busiest, and off faulty routers."""

from __future__ import annotations

import math
import time
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Int64, UInt64
from numba import njit

from passes.place.anneal import cost, free_sites
from passes.place.kernel import BLOCKED, NOBODY, below, draw, near
from passes.place.options import PlaceConfig
from passes.place.problem import PlaceProblem, Sites
from tncompile.analysis.link_load import packet_load
from tncompile.ir import Direction
from tncompile.native import kept

_u64 = np.uint64
_LEVEL = 0.97  # of the busiest link: what a level tries to get all links down to
_TRIES = 5  # moves a level at most, per core
_FRESH = 500  # moves between two looks at which cores are on crowded links

_EAST, _WEST, _NORTH, _SOUTH = (int(d) for d in (Direction.EAST, Direction.WEST, Direction.NORTH, Direction.SOUTH))


def relieve(problem: PlaceProblem, start: Sites, config: PlaceConfig, *, seed: int, seconds: float = math.inf) -> Sites:
    """Returns sites for which wirelength + `config.congestion` × load of the busiest link is at most the start's.

    Level by level: links that carry more than a little less than the busiest one are crowded. Cores with arcs
    over crowded links are moved or swapped as long as that pays: a hop of wirelength costs 1, an arc too many on a link
    `config.congestion`. A level that has not made the whole sum smaller is undone; it, or one that leaves crowded
    links, is the last.

    Args:
        problem: what to place.
        start: sites to begin with.
        config: what the busiest link counts for.
        seed: of the moves.
        seconds: after which no level is begun [s].
    """
    random = np.random.SeedSequence([seed, 1]).generate_state(1, np.uint64) | np.uint64(1)
    best, busiest = start, _busiest(problem, start)
    least = cost(problem, start) + config.congestion * busiest
    links = (4, *problem.size[::-1])
    # No link is beyond the busiest one: this compiles, outside of the time, and moves nothing.
    _level(problem, start, config.congestion, np.full(links, busiest, np.int64), random)
    end = time.perf_counter() + seconds
    while busiest and time.perf_counter() < end:
        limit = int(_LEVEL * busiest)
        sites = _level(problem, best, config.congestion, np.full(links, limit, np.int64), random)
        busiest = _busiest(problem, sites)
        if (found := cost(problem, sites) + config.congestion * busiest) >= least:
            break
        best, least = sites, found
        if busiest > limit:
            break
    return best


def avoid(problem: PlaceProblem, start: Sites, *, seed: int) -> Sites:
    """Returns sites for which fewer packets, if any, have a faulty router on their way, or the start.

    Cores with arcs over faulty routers are moved or swapped as long as that pays: such a packet costs what the longest
    way over the board does, for it will have to be relayed.
    """
    width, height = problem.size
    random = np.random.SeedSequence([seed, 2]).generate_state(1, np.uint64) | np.uint64(1)
    limits = np.where(problem.faulty, 0, np.iinfo(np.int64).max).astype(np.int64)
    limits = np.broadcast_to(limits, (4, height, width)).copy()
    return _level(problem, start, float(width + height), limits, random)


def _busiest(problem: PlaceProblem, sites: Sites) -> int:
    """Returns the load of the busiest link."""
    return int(_load(problem, sites).max(initial=0))


def _load(problem: PlaceProblem, sites: Sites) -> Int64[np.ndarray, "4 height width"]:
    """Returns the packets that leave each router in each direction, by the arcs' rates."""
    arcs, (x, y) = problem.arcs, sites.T
    dx, dy = x[arcs.target] - x[arcs.source], y[arcs.target] - y[arcs.source]
    return packet_load(x[arcs.source], y[arcs.source], dx, dy, arcs.rate, problem.size)


def _level(
    problem: PlaceProblem,
    start: Sites,
    price: float,
    limits: Int64[np.ndarray, "4 height width"],
    random: UInt64[np.ndarray, "1"],
) -> Sites:
    """Returns the sites after one level, which tries to get the load of all links down to their limits.

    Args:
        problem: what to place.
        start: sites to begin with.
        price: of an arc too many on a link [hop].
        limits: of each link.
        random: state of the random numbers.
    """
    arcs, sites = problem.arcs, start.copy()
    load = _load(problem, sites)
    ends = np.concatenate([arcs.source, arcs.target])  # every arc is an entry of both its cores
    order = np.argsort(ends, kind="stable")
    starts = np.searchsorted(ends[order], np.arange(arcs.cores + 1))
    others = np.concatenate([arcs.target, arcs.source])[order]
    weights = np.concatenate([arcs.rate, arcs.rate])[order]
    leaves = order < len(arcs.source)
    site_core, boxes = free_sites(problem, start)
    _spread_load(
        starts, others, weights, leaves, sites, site_core, problem.column, problem.row, problem.reach,
        problem.core_region, boxes, load, limits, price, random, _TRIES * arcs.cores,
    )  # fmt: skip
    return sites


_OPTIONS: dict[str, Any] = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_inner = njit(**_OPTIONS)  # called by compiled code only


@_inner
@no_type_check  # the compiler needs the bare function
def _add_path(load, limits, x0, y0, x1, y1, amount):
    """Adds to the loads of all links from (x0, y0) along x, then y, to (x1, y1).

    Returns:
        By how much they now carry more beyond their limits, and whether one of them did before.
    """
    over, crowded = np.int64(0), False
    x, y = x0, y0
    while x != x1 or y != y1:
        if x != x1:
            direction, step_x, step_y = (_EAST, 1, 0) if x < x1 else (_WEST, -1, 0)
        else:
            direction, step_x, step_y = (_NORTH, 0, 1) if y < y1 else (_SOUTH, 0, -1)
        before, limit = load[direction, _u64(y), _u64(x)], limits[direction, _u64(y), _u64(x)]
        load[direction, _u64(y), _u64(x)] = before + amount
        over += max(before + amount - limit, 0) - max(before - limit, 0)
        crowded |= before > limit
        x, y = x + step_x, y + step_y
    return over, crowded


@_inner
@no_type_check
def _add_core(starts, others, weights, leaves, sites, column, row, reach, load, limits, core, skipped, sign):
    """Adds or takes away all arcs of a core but those to and from `skipped`.

    Returns:
        By how much the wirelength and the load beyond limits grow, and whether all arcs are within reach.
    """
    length, over, legal = np.int64(0), np.int64(0), True
    x0, y0 = np.int64(sites[core, 0]), np.int64(sites[core, 1])
    for i in range(starts[core], starts[core + 1]):
        if others[i] != skipped and others[i] != core:
            x1, y1 = np.int64(sites[others[i], 0]), np.int64(sites[others[i], 1])
            amount = sign * weights[i]
            length += amount * (abs(column[x1] - column[x0]) + abs(row[y1] - row[y0]))
            legal &= abs(x1 - x0) <= reach and abs(y1 - y0) <= reach
            from_x, from_y, to_x, to_y = (x0, y0, x1, y1) if leaves[i] else (x1, y1, x0, y0)
            over += _add_path(load, limits, from_x, from_y, to_x, to_y, amount)[0]
    return length, over, legal


@_inner
@no_type_check
def _crowded(starts, others, leaves, sites, load, limits, region):
    """Returns the cores that may move and have an arc over a link beyond its limit."""
    chosen = np.zeros(len(sites), np.bool_)
    for core in range(len(sites)):
        x0, y0 = np.int64(sites[core, 0]), np.int64(sites[core, 1])
        for i in range(starts[core], starts[core + 1]):
            x1, y1 = np.int64(sites[others[i], 0]), np.int64(sites[others[i], 1])
            if leaves[i] and _add_path(load, limits, x0, y0, x1, y1, 0)[1]:
                chosen[core] = chosen[others[i]] = True
    return np.flatnonzero(chosen & (region >= 0))


@_inner
@no_type_check
def _move(starts, others, weights, leaves, sites, site_core, column, row, reach, load, limits, core, other, x1, y1):
    """Moves a core to (x1, y1), and `other`, if any, from there back; returns as `_add_core`."""
    x0, y0 = np.int64(sites[core, 0]), np.int64(sites[core, 1])
    length, over, legal = np.int64(0), np.int64(0), True
    for sign in (-1, 1):
        legal = True  # as it is afterwards
        for which in (core, other):
            if which != NOBODY:
                skipped = core if which == other else NOBODY
                more = _add_core(
                    starts, others, weights, leaves, sites, column, row, reach, load, limits, which, skipped, sign
                )
                length, over, legal = length + more[0], over + more[1], legal and more[2]
        if sign < 0:
            if other != NOBODY:
                sites[other, 0], sites[other, 1] = x0, y0
            sites[core, 0], sites[core, 1] = x1, y1
            site_core[y1, x1], site_core[y0, x0] = core, other
    return length, over, legal


@kept
@no_type_check
def _spread_load(
    starts,
    others,
    weights,
    leaves,
    sites,
    site_core,
    column,
    row,
    reach,
    region,
    boxes,
    load,
    limits,
    price,
    random,
    moves,
):
    """Moves cores off crowded links until none is crowded or the moves are used up; changes `sites` in place."""
    candidates = np.zeros(0, np.int64)
    for number in range(moves):
        if number % _FRESH == 0:
            candidates = _crowded(starts, others, leaves, sites, load, limits, region)
            if not len(candidates):
                return
        which, where = draw(random), draw(random)
        core = candidates[below(which >> _u64(32), len(candidates))]
        box, window = boxes[region[core]], 1 << (number % 4)
        x0, y0 = np.int64(sites[core, 0]), np.int64(sites[core, 1])
        x1 = near(where >> _u64(32), x0, window, box[0], box[2])
        y1 = near(where & _u64(0xFFFFFFFF), y0, window, box[1], box[3])
        other = np.int64(site_core[y1, x1])
        if other == BLOCKED or other == core:  # noqa: SIM109 (no tuple of two types in Numba)
            continue
        for x, y in ((x1, y1), (x0, y0)):  # there, and back if it does not pay
            length, over, legal = _move(
                starts, others, weights, leaves, sites, site_core, column, row, reach, load, limits, core, other, x, y
            )
            if legal and length + price * over <= 0:
                break
