"""Simulated annealing: makes any placement shorter, swap by swap."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Int64
from numba import njit

from passes.place.problem import PlaceProblem, Sites
from tncompile.analysis.graph import adjacency

_EMPTY = -1
_BLOCKED = -2
_STEPS = 200
_FEW = 1000  # cores; smaller graphs get the moves of this many, they cost next to nothing
# Chosen on the layers of the one-chip CIFAR-10 net; from 0.003 to 0.03 and from 1 to 1.3 the result varies by 2 %.
_COOLING = 0.01  # last temperature over the first
_NARROWING = 1.3  # the window is down to the nearest sites after 1/1.3 of the steps


def anneal(problem: PlaceProblem, start: Sites, *, moves: int, temperature: float, seed: int) -> Sites:
    """Returns sites that cost at most as much as the start.

    A move takes a random core to a random site of its chip within a window around it, and the core that is there, if
    any, back. It is kept if the cost does not grow, or else by chance exp(−Δ/T). Temperature T and window shrink
    geometrically, step by step; the last step runs at T = 0. An arc that is too long for a packet costs more than all
    others together, so a legal placement stays legal and an illegal one is made legal before it is made short.

    Args:
        problem: what to place.
        start: sites to begin with.
        moves: to be tried, on average, per core, or per thousandth if there are fewer than 1000.
        temperature: the first T [hop × mean arcs of a core].
        seed: of the moves.

    References:
        Kirkpatrick et al. 1983, Science 220:671; Betz and Rose 1997, FPL, "VPR: a new packing, placement and routing
        tool for FPGA research" (the shrinking window).
    """
    cores = len(start)
    if not moves:
        return start
    matrix = adjacency(problem.arcs)
    indptr, neighbours, weights = (a.astype(np.int32) for a in (matrix.indptr, matrix.indices, matrix.data))
    length = arc_cost(problem)
    site_core = np.full(problem.size[::-1], _BLOCKED, np.int32)
    for chip in np.unique(problem.core_chip):
        free = problem.chip_sites[chip]
        site_core[free[:, 1], free[:, 0]] = _EMPTY
    site_core[start[:, 1], start[:, 0]] = np.arange(cores)

    sites = start.copy()
    grid = np.array(problem.grid, np.int32)
    random = np.random.SeedSequence(seed).generate_state(1, np.uint64) | np.uint64(1)  # xorshift must not be 0
    first = temperature * weights.sum() / cores
    fractions = np.linspace(0, 1, _STEPS)
    temperatures = np.append(first * _COOLING ** fractions[:-1], 0.0)
    windows = np.rint(max(problem.grid) ** np.maximum(1 - _NARROWING * fractions, 0)).astype(np.int32)
    for now, window in zip(temperatures, windows, strict=True):
        _step(
            indptr, neighbours, weights, length, sites, site_core, grid, random,
            -(-moves * max(cores, _FEW) // _STEPS), now, window,
        )  # fmt: skip
    return min(start, sites, key=lambda candidate: _cost(problem, length, candidate))


def arc_cost(problem: PlaceProblem) -> Int64[np.ndarray, " offsets"]:
    """Returns what an offset in x or in y costs: its length, and beyond reach more than all legal arcs together."""
    offset = np.arange(max(problem.size), dtype=np.int64)
    legal = int(problem.arcs.weight.sum()) * sum(problem.size)
    return offset + np.maximum(offset - problem.reach, 0) * legal


def _cost(problem: PlaceProblem, length: Int64[np.ndarray, " offsets"], sites: Sites) -> int:
    offsets = np.abs(sites[problem.arcs.target] - sites[problem.arcs.source])
    return int(problem.arcs.weight @ length[offsets].sum(axis=1))


@njit
@no_type_check  # the compiler needs the bare function
def _step(indptr, neighbours, weights, length, sites, site_core, grid, random, moves, temperature, window):
    """Tries `moves` moves at one temperature; changes `sites`, `site_core` and `random` in place."""
    for _ in range(moves):
        core = _below(random, len(sites))
        x0, y0 = sites[core, 0], sites[core, 1]
        left, low = x0 - x0 % grid[0], y0 - y0 % grid[1]  # corner of the chip
        left, right = max(left, x0 - window), min(left + grid[0] - 1, x0 + window)
        low, high = max(low, y0 - window), min(low + grid[1] - 1, y0 + window)
        x1 = left + _below(random, right - left + 1)
        y1 = low + _below(random, high - low + 1)
        other = site_core[y1, x1]
        if other in (_BLOCKED, core):
            continue
        growth = _growth(indptr, neighbours, weights, length, sites, core, other, x1, y1)
        if other != _EMPTY:
            growth += _growth(indptr, neighbours, weights, length, sites, other, core, x0, y0)
        if growth > 0 and growth > -temperature * np.log((_below(random, 1 << 30) + 1) / (1 << 30)):
            continue
        sites[core, 0], sites[core, 1] = x1, y1
        site_core[y1, x1] = core
        site_core[y0, x0] = other
        if other != _EMPTY:
            sites[other, 0], sites[other, 1] = x0, y0


@njit
@no_type_check
def _growth(indptr, neighbours, weights, length, sites, core, other, x1, y1):
    """Returns by how much the cost grows if a core moves to (x1, y1); arcs to `other`, which takes its place, stay."""
    x0, y0 = sites[core, 0], sites[core, 1]
    growth = 0
    for i in range(indptr[core], indptr[core + 1]):
        if neighbours[i] != other:
            x, y = sites[neighbours[i], 0], sites[neighbours[i], 1]
            after, before = length[abs(x1 - x)] + length[abs(y1 - y)], length[abs(x0 - x)] + length[abs(y0 - y)]
            growth += weights[i] * (after - before)
    return growth


@njit
@no_type_check
def _below(random, bound):
    """Returns a random integer 0 … bound − 1 (xorshift64 of Marsaglia 2003, J. Stat. Softw. 8:14)."""
    state = random[0]
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    random[0] = state
    return np.int64(((state >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))
