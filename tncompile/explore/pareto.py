"""Which points nothing beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Better = Literal["max", "min"]
"""Which end of an objective is wanted."""

Number = int | float
"""A figure."""


def front(rows: Sequence[Sequence[Number | None]], better: Sequence[Better]) -> list[bool]:
    """Returns which rows are on the Pareto front: no other row is at least as good in all and better in one.

    Rows that are equal in all are on it together, or not at all. A row without some value is not on it, and beats none.

    Args:
        rows: values of the objectives, a row each.
        better: which end of each objective is wanted.

    >>> front([(0.9, 56), (0.8, 28), (0.8, 60), (None, 1)], ("max", "min"))
    [True, True, False, False]
    """
    signs = np.array([1.0 if which == "max" else -1.0 for which in better])
    whole = [i for i, row in enumerate(rows) if None not in row]
    values = np.array([rows[i] for i in whole], float).reshape(len(whole), len(signs)) * signs
    on = [False] * len(rows)
    for i, row in zip(whole, values, strict=True):
        on[i] = not ((values >= row).all(axis=1) & (values > row).any(axis=1)).any()
    return on
