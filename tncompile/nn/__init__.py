"""Flax NNX layers that carry hardware constraints.

The names below are imported when they are first used: `readout`, `geometry` and `fold` must stay free of JAX.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tncompile.nn.export import export_network
    from tncompile.nn.float_network import FloatNetwork, build_float_network
    from tncompile.nn.network import Network, assume_statistics, build_network
    from tncompile.nn.store import load_model, load_spike_counts, publish_model, read_model, save_model

_HOMES = {
    "FloatNetwork": "float_network",
    "Network": "network",
    "assume_statistics": "network",
    "build_float_network": "float_network",
    "build_network": "network",
    "export_network": "export",
    "load_model": "store",
    "load_spike_counts": "store",
    "publish_model": "store",
    "read_model": "store",
    "save_model": "store",
}

__all__ = [
    "FloatNetwork",
    "Network",
    "assume_statistics",
    "build_float_network",
    "build_network",
    "export_network",
    "load_model",
    "load_spike_counts",
    "publish_model",
    "read_model",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
