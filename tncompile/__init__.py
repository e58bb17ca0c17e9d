"""tncompile: train, compile and simulate trinary spiking networks for TrueNorth-class chips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tncompile.pipeline import place_graph as place

__version__ = "0.1.0"

__all__ = ["__version__", "place"]


def __getattr__(name: str) -> Any:
    """Returns what is only loaded when it is asked for, so that `import tncompile` stays instant."""
    if name == "place":
        from tncompile.pipeline import place_graph

        return place_graph
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
