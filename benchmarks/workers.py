"""Processes that each hold one simulator: nothing of one contestant's memory, threads or caches is in another's way."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import traceback
import zlib
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32


class Failed(Exception):
    """A worker could not do what it was asked for; the text says why."""


class Worker:
    """An object in a process of its own, called by name.

    Workers wait without taking processor time while others are asked.
    """

    def __init__(self, factory: Callable[..., Any], *arguments: Any) -> None:
        """Starts the process and builds the object there.

        Raises:
            Failed: the object could not be built.
        """
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, factory, arguments), daemon=True)
        self._process.start()
        other.close()
        try:
            self._receive()
        except Failed:
            self.stop()
            raise

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Returns what a method of the object returns.

        Raises:
            Failed: it raised something, or the process died.
        """
        try:
            self._pipe.send((method, arguments))
        except OSError as error:
            raise Failed(f"died: {error}") from error
        return self._receive()

    def memory(self) -> int:
        """Returns the most memory that the process ever held [byte].

        Raises:
            Failed: the process died.
        """
        return self("memory")

    def _receive(self) -> Any:
        try:
            fine, value = self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join()
            raise Failed(f"its process ended with code {self._process.exitcode}; out of memory?") from error
        if not fine:
            raise Failed(value)
        return value

    def stop(self) -> None:
        """Ends the process."""
        self._pipe.close()  # it ends when nothing more can come
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection, factory: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Builds the object, says so, and answers calls until nobody is there to make them."""
    held: Any = None
    call: Callable[..., Any] = factory
    while True:
        try:
            result = call(*arguments)
            if held is None:
                held, result = result, None
            answer = True, result
        except KeyboardInterrupt:
            return
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            answer = False, f"{type(error).__name__}: {error}"
        try:
            pipe.send(answer)
            method, arguments = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        call = peak_memory if method == "memory" else getattr(held, method)


def peak_memory() -> int:
    """Returns the most memory that this process ever held [byte].

    On Linux from its status: what `getrusage` says there begins with the memory of the process that started it.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def checksum(
    spikes: Bool[np.ndarray, "cores neurons"], potential: Int32[np.ndarray, "cores neurons"]
) -> tuple[int, int]:
    """Returns a number each for the spikes and for the potentials of one stream, equal if all of them are."""
    bits = np.packbits(spikes, axis=-1, bitorder="little")
    return zlib.crc32(bits.tobytes()), zlib.crc32(np.ascontiguousarray(potential, "<i4").tobytes())
