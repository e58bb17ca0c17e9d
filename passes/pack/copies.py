"""How many copies of a signal its own core makes, and how many are left for splitters."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def direct_copies(demand: Int[np.ndarray, " signals"], neurons: int) -> Int[np.ndarray, " signals"]:
    """Returns how many axons each signal of a core drives itself; splitters copy what is left.

    A signal with d readers either has d neurons and drives all, or c < d neurons of which one feeds a splitter that
    makes the other d − c + 1 copies. The last neuron saves two copies, the others one: serve as many signals in full
    as fit, those with the fewest readers first, and spend what is left on the next.
    """
    order = np.argsort(demand, kind="stable")
    extra = np.cumsum(demand[order] - 1)  # neurons beyond one each, if all up to here are served in full
    spare = neurons - len(demand)
    full = extra <= spare
    direct = np.where(full, demand[order], 0)
    if not full.all():
        first = int(np.argmin(full))
        direct[first] = spare - (extra[first - 1] if first else 0)
    result = np.empty_like(direct)
    result[order] = direct
    return result


def host_remainder(demand: Int[np.ndarray, " signals"], limit: int | None) -> Int[np.ndarray, " signals"]:
    """Returns the copies of each input bit that splitters make, if the host sends at most `limit` packets a bit."""
    if limit is None:
        return np.zeros_like(demand)
    return np.where(demand > limit, demand - (limit - 1), 0)
