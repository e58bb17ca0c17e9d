"""Sweeps over the keys of an experiment: many points, one table, and the points that nothing beats."""
