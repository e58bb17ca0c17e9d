"""Experiments as data: YAML files checked against frozen models."""

from tncompile.config.base import Config

__all__ = ["Config"]
