"""Tick simulators."""
