"""Where everything that takes time says how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Reporter(Protocol):
    """Where the steps say what they are doing."""

    def say(self, text: str) -> None:
        """Takes a line for people."""
        ...

    def progress(self, phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Takes how far a phase is, and figures to show beside the bar."""
        ...


LINE_EVERY = 10.0
"""In plain lines, a phase says how far it is at most that often [s]."""


class Lines:
    """A `Reporter` of plain lines.

    Args:
        write: takes each.
    """

    def __init__(self, write: Callable[[str], None]):
        self._write = write
        self._last: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Writes a line."""
        self._write(text)

    def progress(self, phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Writes a line now and then, and at a phase's end."""
        if done == total or time.monotonic() - self._last.get(phase, -LINE_EVERY) >= LINE_EVERY:
            self._last[phase] = time.monotonic()
            self._write(f"  {phase} {done}/{total}  {in_words(figures)}".rstrip())


def in_words(figures: Mapping[str, float]) -> str:
    """Returns figures as they stand beside a bar.

    >>> in_words({"loss": 0.51239, "images/s": 12345.0})
    'loss 0.5124  images/s 1.234e+04'
    """
    return "  ".join(f"{name} {value:,.4g}" for name, value in figures.items())
