"""Slow NumPy oracles, written to be read beside the equations."""
