"""Compiled inner loops, as passes and engines have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function, to be compiled once for all processes if there is a place to keep its code in.

    It runs without Python's lock, and divides by zero as NumPy does.
    """
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither beside its file nor in the user's cache folder
        return njit(nogil=True, error_model="numpy")(function)
