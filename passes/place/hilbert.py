"""Along a space-filling curve: cores that are close in the graph's order get sites that are close on the chip."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from passes.place.options import PlaceConfig
from passes.place.problem import PlaceProblem, Sites
from passes.progress import Progress


def hilbert(problem: PlaceProblem, config: PlaceConfig, *, seed: int, progress: Progress) -> Sites:
    """Returns each region's cores in the graph's order along a Hilbert curve, which skips sites that are not free.

    The seed plays no part.
    """
    sites = problem.fixed.copy()
    for region, free in enumerate(problem.region_sites):
        members = problem.members(region)
        if not len(members):
            continue
        corner = free.min(axis=0)
        width, height = (free.max(axis=0) - corner + 1).tolist()
        x, y = np.array(list(curve(width, height)), np.int32).T
        along = np.empty((height, width), np.int32)
        along[y, x] = np.arange(width * height)
        order = np.argsort(along[free[:, 1] - corner[1], free[:, 0] - corner[0]])
        sites[members] = free[order[: len(members)]]
    return sites


def curve(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Yields the sites (x, y) of a grid of any size along a Hilbert curve.

    Each site is a neighbour of the one before, but for at most one diagonal step where a side is odd.

    References:
        Červený 2018, "Generalized Hilbert space-filling curve for rectangular domains of arbitrary sizes".

    >>> list(curve(2, 2))
    [(0, 0), (0, 1), (1, 1), (1, 0)]
    """
    if width >= height:
        yield from _fill(0, 0, width, 0, 0, height)
    else:
        yield from _fill(0, 0, 0, height, width, 0)


def _fill(x: int, y: int, ax: int, ay: int, bx: int, by: int) -> Iterator[tuple[int, int]]:
    """Yields the sites of the rectangle at (x, y) with sides a and b, from its corner to the far end of side a."""
    long, short = abs(ax + ay), abs(bx + by)
    step_a, step_b = (_sign(ax), _sign(ay)), (_sign(bx), _sign(by))
    if short == 1 or long == 1:
        step = step_a if short == 1 else step_b
        for i in range(max(long, short)):
            yield x + i * step[0], y + i * step[1]
        return
    half_ax, half_ay, half_bx, half_by = _half(ax), _half(ay), _half(bx), _half(by)
    if 2 * long > 3 * short:  # a long rectangle is only cut in two, at an even place
        if abs(half_ax + half_ay) % 2 and long > 2:
            half_ax, half_ay = half_ax + step_a[0], half_ay + step_a[1]
        yield from _fill(x, y, half_ax, half_ay, bx, by)
        yield from _fill(x + half_ax, y + half_ay, ax - half_ax, ay - half_ay, bx, by)
        return
    if abs(half_bx + half_by) % 2 and short > 2:
        half_bx, half_by = half_bx + step_b[0], half_by + step_b[1]
    yield from _fill(x, y, half_bx, half_by, half_ax, half_ay)
    yield from _fill(x + half_bx, y + half_by, ax, ay, bx - half_bx, by - half_by)
    end_x, end_y = ax - step_a[0] + half_bx - step_b[0], ay - step_a[1] + half_by - step_b[1]
    yield from _fill(x + end_x, y + end_y, -half_bx, -half_by, half_ax - ax, half_ay - ay)


def _half(length: int) -> int:
    """Returns half of a signed length, rounded towards zero."""
    return int(length / 2)


def _sign(length: int) -> int:
    return (length > 0) - (length < 0)
