"""Flax NNX layers that carry hardware constraints."""
