"""Flax NNX layers that carry hardware constraints."""

from tncompile.nn.export import export_network
from tncompile.nn.network import Network, assume_statistics, build_network
from tncompile.nn.store import load_model, save_model

__all__ = ["Network", "assume_statistics", "build_network", "export_network", "load_model", "save_model"]
