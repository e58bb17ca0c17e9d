"""Batches, made ahead of the step that takes them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tncompile.train.step import AXIS

T = TypeVar("T")

DEPTH = 2
"""Batches that are ready ahead."""

POLL = 0.005
"""How often it is asked whether a wait costs anything [s]."""

_SHUFFLE = 4
"""Keeps the random stream of the shuffles apart from those of the network."""


def batches(
    x: np.ndarray, y: np.ndarray, size: int, *, seed: int, epoch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the batches of an epoch; the shuffle depends on the seed and the epoch alone.

    Args:
        x: pixels of all images.
        y: their classes.
        size: of a batch; what is left over is dropped.
        seed: of the shuffle.
        epoch: from 0.
    """
    order = np.random.default_rng([seed, _SHUFFLE, epoch]).permutation(len(x))
    for first in range(0, len(order) - size + 1, size):
        chosen = order[first : first + size]
        yield x[chosen], y[chosen].astype(np.int32)


def dealt(batch: tuple[np.ndarray, np.ndarray], mesh: Mesh) -> tuple[Any, Any]:
    """Returns a batch on the devices that share it; each process gives its own devices' part."""
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    x, y = (jax.make_array_from_callback(part.shape, sharding, part.__getitem__) for part in batch)
    return x, y


class Ahead(Generic[T]):
    """Items that a thread makes ahead of their use.

    Args:
        source: of the items.
        idle: whether those who use them have nothing else to do.

    Attributes:
        waited: time in which the next item was not ready, and its user idle [s].
    """

    def __init__(self, source: Iterator[T], idle: Callable[[], bool]):
        self.waited = 0.0
        self._idle = idle
        self._source = source
        self._ready: queue.Queue[tuple[bool, Any]] = queue.Queue(DEPTH)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._make, name="batches", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            whole, item = self._next()
            if whole:
                yield item
            elif item is None:
                return
            else:
                raise item

    def close(self) -> None:
        """Ends the thread; what it made ahead is lost."""
        self._stopped.set()
        while not self._ready.empty():
            self._ready.get_nowait()
        self._thread.join()

    def _next(self) -> tuple[bool, Any]:
        while True:
            begin, idle = time.perf_counter(), self._idle()
            try:
                return self._ready.get(timeout=POLL)
            except queue.Empty:
                pass
            finally:
                self.waited += (time.perf_counter() - begin) * idle

    def _make(self) -> None:
        try:
            for item in self._source:
                if not self._put((True, item)):
                    return
        except Exception as error:  # belongs to the thread that takes the items
            self._put((False, error))
            return
        self._put((False, None))

    def _put(self, entry: tuple[bool, Any]) -> bool:
        """Returns whether the entry was taken over before the end."""
        while not self._stopped.is_set():
            try:
                self._ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False


@contextmanager
def ahead(source: Iterator[T], idle: Callable[[], bool]) -> Iterator[Ahead[T]]:
    """Gives items of a source, made ahead by a thread, for the length of a block.

    Args:
        source: of the items.
        idle: whether those who use them have nothing else to do, asked while they wait.
    """
    items = Ahead(source, idle)
    try:
        yield items
    finally:
        items.close()
