"""One process at a time in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"
"""The file in a folder that its only process has locked; it stays, since removing it would let two in."""


@contextmanager
def alone(folder: Path, busy: Callable[[], None]) -> Iterator[None]:
    """Waits until no other process is inside for the same folder; where there are no locks, does not.

    The system frees a lock when its process ends, however that ends.

    Args:
        folder: must be there.
        busy: called before waiting; an exception that it raises ends the wait.
    """
    if fcntl is None:
        yield
        return
    with (folder / LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy()
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield


def process_cores() -> int:
    """Returns how many processor cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux tells
        return os.cpu_count() or 1
