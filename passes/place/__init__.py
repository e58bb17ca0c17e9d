"""Placement algorithms behind one prototype."""
