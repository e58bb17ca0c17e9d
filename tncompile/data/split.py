"""Which training images are held out for validation."""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Bool, Integer, Shaped


def hold_out(
    y: Integer[np.ndarray, " n"], group: Shaped[np.ndarray, " n"] | None, share: float
) -> Bool[np.ndarray, " n"]:
    """Returns which training images are for validation.

    Groups are taken whole, and by their names alone: no seed, no order of files. Those whose images are all of one
    class stand with the others of that class, those with several classes together. Of k groups that stand together,
    in the order of the SHA-256 of their names, the first round(share · k) are held out; of two or more at least
    one and never all, of a single one none.

    Args:
        y: class of each image.
        group: name of each image's group; None: each image is a group of its own, and its number is its name.
        share: of the groups to be held out.
    """
    if share == 0:
        return np.zeros(len(y), bool)
    names, member = np.unique(np.arange(len(y)) if group is None else group, return_inverse=True)
    lowest, highest = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), -1)
    np.minimum.at(lowest, member, y)
    np.maximum.at(highest, member, y)
    beside = np.where(lowest == highest, lowest, -1)
    order = np.array([hashlib.sha256(str(name).encode()).hexdigest() for name in names])
    held = np.zeros(len(names), bool)
    for stratum in np.unique(beside):
        (together,) = np.nonzero(beside == stratum)
        count = len(together)
        wanted = min(max(round(share * count), 1), count - 1)
        held[together[np.argsort(order[together])[:wanted]]] = True
    return held[member]
