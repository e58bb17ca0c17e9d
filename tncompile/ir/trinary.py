"""TrinaryNet: the network in integers, as the chip computes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8, Int16, Int64

from tncompile.ir.base import Stage
from tncompile.ir.logical import LogicalNet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrinaryNet(Stage):
    """Trinary weights, integer leaks.

    A neuron of layer l spikes if Σ x·w + leak ≥ 1, that is, with threshold α = 1. A transduction feature spikes if
    its integer sum Σ x·w reaches its threshold.

    Invariants:
        - weights are −1, 0 or 1, and are the hidden weights rounded with hysteresis;
        - leak and threshold are the exact fold of the batch norm, the leak clamped to what the sum can reach:
          −Σ max(w, 0) ≤ leak ≤ 1 + Σ max(−w, 0);
        - no sum, with or without the leak, leaves the range of the chip's potential, where it would saturate.

    Attributes:
        source: the net that it was made from; geometry stands there.
        threshold: of each transduction feature, on the integer sum [LSB].
        weights: one array [feature, ky, kx, ci] a layer.
        leak: one array [feature] a layer [LSB].
    """

    source: LogicalNet
    threshold: Int64[np.ndarray, " features"]
    weights: tuple[Int8[np.ndarray, "..."], ...]
    leak: tuple[Int16[np.ndarray, "..."], ...]
