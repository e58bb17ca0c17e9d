"""The batch norm of inference as an integer threshold. Imports no JAX."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64

from tncompile.ir import NORM_EPSILON, BatchNorm


def spikes(norm: BatchNorm, sums: Float32[np.ndarray, " features"]) -> Bool[np.ndarray, " features"]:
    """Returns whether each feature spikes at its sum: r ≥ 0, each float32 operation rounded on its own."""
    return (sums - norm.mean) / (norm.std + np.float32(NORM_EPSILON)) + norm.bias >= 0


def thresholds(norm: BatchNorm, fraction_bits: int, limit: int) -> Int64[np.ndarray, " features"]:
    """Returns the smallest integer sum at which each feature spikes, limit + 1 if there is none.

    r never falls as the sum rises, rounding included, so the threshold is found by bisection over the float32 rule
    itself, and exactly.

    Args:
        norm: the batch norm, of sums scaled by 2^−fraction_bits.
        fraction_bits: scale of the sum [bit].
        limit: largest magnitude of the integer sum, below 2^24.
    """
    low = np.full(norm.mean.shape, -limit, np.int64)
    high = np.full(norm.mean.shape, limit + 1, np.int64)
    scale = np.float32(2.0**-fraction_bits)
    while (low < high).any():
        middle = (low + high) // 2
        fires = spikes(norm, middle.astype(np.float32) * scale) | (middle > limit)
        low, high = np.where(fires, low, middle + 1), np.where(fires, middle, high)
    return low
