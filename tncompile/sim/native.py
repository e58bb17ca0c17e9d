"""What the engines compiled by Numba share: memory that they read, and threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64, Shaped

Part: TypeAlias = Callable[[int], int]
"""One thread's part in a job: takes its own last answer, IDLE at first, and works until it has to wait, or to DONE."""

# What a part answers besides the task that it waits for.
DONE = -1
IDLE = -2

_LINE = 64  # of the cache [byte]
_END = 1 << 60  # a task behind all tasks
_SPARE_ARRAYS = 4  # of one shape that are kept: two states have as many


def share(parts: Sequence[Part], progress: Sequence[Int64[np.ndarray, " _"]]) -> None:
    """Runs jobs, each part on a thread of its own; this thread has the first one.

    Threads are made anew each time, which takes microseconds: a pool would not survive a fork. Whatever one of them
    raises ends all and is raised here.

    Args:
        parts: of all jobs.
        progress: of each job: the tasks that are taken and finished.
    """
    failures: list[BaseException] = []

    def work(part: Part) -> None:
        try:
            task = IDLE
            while (task := part(task)) != DONE:
                time.sleep(0)  # another thread is behind: perhaps it has no core
        except BaseException as failure:
            failures.append(failure)
            stop()

    def stop() -> None:
        for counts in progress:
            counts[:] = _END  # nothing is left to be done or waited for

    others = [threading.Thread(target=work, args=(part,), daemon=True) for part in parts[1:]]
    try:
        for other in others:
            other.start()
        work(parts[0])
        for other in others:
            other.join()
    except BaseException as failure:  # a thread that cannot be started, or Ctrl-C at any time
        failures.insert(0, failure)
        stop()
    while any(other.is_alive() for other in others):  # or they would go on writing to what is somebody else's then
        try:
            for other in others:
                if other.is_alive():
                    other.join()
        except KeyboardInterrupt as interrupt:
            failures.append(interrupt)
    if failures:
        raise failures[0]


def address(array: Shaped[np.ndarray, "..."]) -> int:
    """Returns where an array begins; whoever asks keeps the array."""
    assert array.flags.c_contiguous
    return array.ctypes.data


def fixed(array: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    """Returns the array, now read-only; records take such an array without a copy."""
    array.flags.writeable = False
    return array


def aligned(shape: tuple[int, ...], dtype: type) -> Shaped[np.ndarray, "..."]:
    """Returns zeros that begin with a line of the cache, so that no row lies across more lines than it must."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + _LINE, np.uint8)
    begin = -memory.ctypes.data % _LINE
    return memory[begin : begin + size].view(dtype).reshape(shape)


def lined_up(array: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    """Returns the array if it begins with a line of the cache, else a copy that does, read-only."""
    if array.ctypes.data % _LINE == 0 and array.flags.c_contiguous:
        return array
    copy = aligned(array.shape, array.dtype.type)
    copy[...] = array
    return fixed(copy)


class _Lent:
    """Whoever has an array made of this, or a view of one, has this: NumPy follows bases no further."""

    def __init__(self, memory: np.ndarray, free: list[np.ndarray]) -> None:
        self.__array_interface__ = memory.__array_interface__
        self._memory = memory
        self._free = free

    def __del__(self) -> None:
        if len(self._free) < _SPARE_ARRAYS:
            self._free.append(self._memory)


class Spares:
    """Memory of earlier states, for new ones: the system takes longer to give some than to copy what it is for."""

    def __init__(self) -> None:
        self._free: dict[tuple[tuple[int, ...], type], list[np.ndarray]] = {}

    def take(self, shape: tuple[int, ...], dtype: type) -> Shaped[np.ndarray, "..."]:
        """Returns an array of anything; once nobody has it any more, its memory is there for the next one."""
        free = self._free.setdefault((shape, dtype), [])
        try:
            memory = free.pop()
        except IndexError:
            memory = aligned(shape, dtype)
        return np.asarray(_Lent(memory, free))
