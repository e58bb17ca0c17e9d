"""Where everything that takes time says how far it is."""

from __future__ import annotations

from collections.abc import Mapping
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
