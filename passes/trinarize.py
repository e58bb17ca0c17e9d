"""trinarize: real weights to {−1, 0, 1}, batch norm to integer leaks and thresholds. Both are exact."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int8, Int64

from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.errors import CapacityError
from tncompile.ir import NORM_EPSILON, BatchNorm, LogicalLayer, LogicalNet, Transduction, TrinaryNet


class TrinarizeConfig(Config):
    """trinarize has no options: the model fixes the hysteresis, and the fold is exact."""


def trinarize(stage: LogicalNet, arch: ChipArch, config: TrinarizeConfig, *, seed: int) -> TrinaryNet:
    """Returns the net in integers.

    Args:
        stage: the exported model.
        arch: gives the widths of leaks and potentials.
        config: no options.
        seed: not used; the pass draws no random numbers.

    Raises:
        CapacityError: a leak is wider than the chip's, or a sum leaves the range of the potential.

    References:
        Esser et al. 2016 (rounding with hysteresis).
    """
    weights = tuple(round_weights(layer.hidden, layer.trinary, layer.hysteresis) for layer in stage.layers)
    return TrinaryNet(
        source=stage,
        threshold=_transduction_threshold(stage.transduction),
        weights=weights,
        leak=tuple(_leak(layer, w, arch) for layer, w in zip(stage.layers, weights, strict=True)),
    )


def round_weights(
    hidden: Float32[np.ndarray, "*shape"], previous: Int8[np.ndarray, "*shape"], hysteresis: float
) -> Int8[np.ndarray, "*shape"]:
    """Returns the trinary weights: a hidden weight within `hysteresis` of ±0.5 keeps its previous value.

    Differs: the thresholds are float32, as the model's are.

    >>> round_weights(np.float32([-0.7, -0.5, 0.3, 0.5]), np.int8([0, -1, 1, 0]), 0.1)
    array([-1, -1,  0,  0], dtype=int8)
    """
    low, high = np.float32(0.5 - hysteresis), np.float32(0.5 + hysteresis)
    sign = np.sign(hidden).astype(np.int8)
    magnitude = np.abs(hidden)
    return np.where(magnitude > high, sign, np.where(magnitude < low, np.int8(0), previous)).astype(np.int8)


def smallest_sum(
    norm: BatchNorm, lowest: Int64[np.ndarray, " features"], highest: Int64[np.ndarray, " features"], fraction_bits: int
) -> Int64[np.ndarray, " features"]:
    """Returns the smallest integer sum S in [lowest, highest] that spikes, or highest + 1 if none does.

    A feature spikes at S if r = (2^−fraction_bits·S − μ)/(σ + ε) + b ≥ 0, each operation rounded to float32. Rounding
    is monotone, so r is, and bisection finds the exact end, ties and rounding errors included.

    Args:
        norm: μ, σ and b of each feature.
        lowest, highest: what the sum can reach [LSB]; magnitudes below 2^24, where float32 holds integers exactly.
        fraction_bits: scale of the sum [bit].
    """
    scale = np.float32(2.0**-fraction_bits)
    spread = norm.std + np.float32(NORM_EPSILON)
    low, high = lowest.copy(), highest + 1
    with np.errstate(over="ignore"):  # a quotient beyond float32 is an infinity of the right sign
        while np.any(low < high):
            middle = (low + high) // 2
            spikes = (middle.astype(np.float32) * scale - norm.mean) / spread + norm.bias >= 0
            # `high` is known to spike (or is the end), everything below `low` is known not to.
            open_ = low < high
            high = np.where(open_ & spikes, middle, high)
            low = np.where(open_ & ~spikes, middle + 1, low)
    return low


def _leak(layer: LogicalLayer, weights: Int8[np.ndarray, "f ky kx ci"], arch: ChipArch) -> np.ndarray:
    flat = weights.reshape(len(weights), -1).astype(np.int64)
    lowest, highest = np.minimum(flat, 0).sum(1), np.maximum(flat, 0).sum(1)
    # Clamping is part of the search: a neuron that never (always) spikes within its reach gets the leak at the end.
    leak = 1 - smallest_sum(layer.norm, lowest, highest, fraction_bits=0)
    worst = int(np.argmax(np.abs(leak)))
    if abs(leak[worst]) > arch.leak_max:
        raise CapacityError(
            f"layer {layer.conv.name}, feature {worst}: needs a leak of {leak[worst]}, the chip's reach is "
            f"±{arch.leak_max} (leak_bits = {arch.leak_bits}); raise arch.leak_bits or use filters of fewer inputs"
        )
    low, high = arch.potential_range
    lowest, highest = np.minimum(lowest, lowest + leak), np.maximum(highest, highest + leak)
    beyond = np.flatnonzero((lowest < low) | (highest > high))
    if len(beyond):
        raise CapacityError(
            f"layer {layer.conv.name}, feature {beyond[0]}: its sum and leak reach {lowest[beyond[0]]} to "
            f"{highest[beyond[0]]}, the potential saturates at {low} and {high} (potential_bits = "
            f"{arch.potential_bits}); raise arch.potential_bits or use filters of fewer inputs"
        )
    return leak.astype(np.int16)


def _transduction_threshold(transduction: Transduction) -> Int64[np.ndarray, " features"]:
    brightest = (1 << transduction.input_bits) - 1
    flat = transduction.weights.reshape(len(transduction.weights), -1).astype(np.int64)
    lowest, highest = np.minimum(flat, 0).sum(1) * brightest, np.maximum(flat, 0).sum(1) * brightest
    return smallest_sum(transduction.norm, lowest, highest, transduction.fraction_bits)
