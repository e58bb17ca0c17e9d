"""The command line: `tncompile run | train | compile | simulate | inspect`."""

from tncompile.cli.app import app

__all__ = ["app"]
