"""How a pass that takes long says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Progress = Callable[[float, Mapping[str, float]], None]
"""Takes how much of the work is done (0 … 1), and figures by name to show beside that."""


def unheard(fraction: float, figures: Mapping[str, float]) -> None:
    """Takes progress that nobody asked for."""
