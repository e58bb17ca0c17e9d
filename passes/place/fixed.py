"""What is fixed by hand: whether it can be where it is to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tncompile.arch import ChipArch, Site
from tncompile.errors import PlacementError


def check_fixed(fixed: Mapping[Any, Site], arch: ChipArch, *, section: str, noun: str) -> None:
    """Checks that all that is fixed has a working site of its own.

    Args:
        fixed: sites.
        arch: the board.
        section: of the options that the sites come from, for the message.
        noun: what is fixed, for the message.

    Raises:
        PlacementError: for the first that has not.
    """
    taken: dict[Site, Any] = {}
    for key, (x, y) in fixed.items():
        if problem := _problem((x, y), arch):
            raise PlacementError(f"{fixing(key, (x, y), section, noun)}: the site {problem}; take another")
        if (x, y) in taken:
            raise PlacementError(
                f"{fixing(key, (x, y), section, noun)}: {noun} {taken[x, y]!r} is fixed to the same site; take another"
            )
        taken[x, y] = key


def fixing(key: Any, site: Site, section: str, noun: str) -> str:
    """Returns how a message begins that is about something fixed to a site."""
    return f"{section}: {noun} {key!r} to ({site[0]}, {site[1]})"


def _problem(site: Site, arch: ChipArch) -> str | None:
    """Returns why nothing can be on a site, or None."""
    (x, y), (width, height) = site, arch.size
    if not (0 <= x < width and 0 <= y < height):
        return f"is off the board of {width} x {height} cores"
    if (x, y) in arch.dead_cores:
        return "is faulty (arch.dead_cores)"
    if (x, y) in arch.faulty_routers:
        return "has a faulty router (arch.faulty_routers)"
    return "is cut off by faulty routers (arch.faulty_routers)" if (x, y) in arch.cut_off else None
