"""How the C library hands out memory."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
"""Numbers of mallopt's parameters, from malloc.h of the GNU C library."""


def keep_freed_memory() -> None:
    """Makes the process keep the memory that it frees, instead of giving it back to the system.

    XLA takes one buffer of hundreds of megabytes for each call on a CPU, and frees it afterwards. The GNU C library
    maps such a buffer anew each time, and the system then clears it page by page, which takes a third of a
    training step. Elsewhere than on the GNU C library this does nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    # One arena, since only the first can grow by more than 64 MiB at a time without mapping.
    for parameter, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**26)):
        mallopt(parameter, value)
