"""Verifies TrinaryNet: the integers compute exactly what the float32 model computes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int8

from tncompile.arch import ChipArch
from tncompile.ir import NORM_EPSILON, BatchNorm, LogicalLayer, TrinaryNet
from tncompile.verify.findings import Findings

CODES: dict[str, str] = {
    "trinary/shape": "weights, leaks and thresholds have the shapes of the source's layers",
    "trinary/weight": "weights are −1, 0 or 1",
    "trinary/rounding": "weights are the hidden weights rounded with hysteresis",
    "trinary/threshold": "a transduction feature spikes at exactly the sums at which the float32 rule does",
    "trinary/leak-width": "leaks fit the chip's field",
    "trinary/potential-range": "no sum, with or without the leak, saturates the potential",
    "trinary/leak-clamp": "leaks are clamped to what the sum can reach",
    "trinary/fold": "a neuron spikes at exactly the reachable sums at which the float32 rule does",
}


def verify(stage: TrinaryNet, arch: ChipArch) -> None:
    """Checks a net against the invariants of `TrinaryNet`.

    Equality with the float32 rule is not sampled: the rule and the neuron are both evaluated at every sum that a
    feature's weights can reach; the transduction's at the threshold and one below, for there the rule, which is
    monotone, changes.

    Raises:
        VerificationError: with all violations.
    """
    found = Findings("TrinaryNet", CODES)
    _shapes(found, stage)
    found.check()
    _transduction(found, stage)
    for layer, weights, leak in zip(stage.source.layers, stage.weights, stage.leak, strict=True):
        where = f"layer {layer.conv.name}"
        trinary = np.abs(weights.astype(np.int16)) <= 1
        found.add_each(
            "trinary/weight",
            ~trinary,
            lambda *i, where=where, weights=weights: (f"{where}, weight{list(i)}", "−1, 0 or 1", weights[i]),
        )
        rounded = _rounded(layer)
        found.add_each(
            "trinary/rounding",
            trinary & (weights != rounded),
            lambda *i, where=where, weights=weights, rounded=rounded: (
                f"{where}, weight{list(i)}",
                rounded[i],
                weights[i],
            ),
        )
        if trinary.all():
            _leak(found, layer, weights, leak.astype(np.int64), arch)
    found.check()


def _shapes(found: Findings, stage: TrinaryNet) -> None:
    convs = [layer.conv for layer in stage.source.layers]
    features = stage.source.transduction.conv.features
    found.add_shapes("trinary/shape", "transduction", stage, {"threshold": ((features,), np.int64)})
    for key, arrays, dtype in (("weights", stage.weights, np.int8), ("leak", stage.leak, np.int16)):
        if len(arrays) != len(convs):
            found.add("trinary/shape", key, f"{len(convs)} layers", f"{len(arrays)} layers")
            continue
        for conv, array in zip(convs, arrays, strict=True):
            shape = conv.weight_shape if key == "weights" else (conv.features,)
            if array.shape != shape or array.dtype != dtype:
                limit, actual = f"{np.dtype(dtype)}{list(shape)}", f"{array.dtype}{list(array.shape)}"
                found.add("trinary/shape", f"layer {conv.name}, {key}", limit, actual)


def _rounded(layer: LogicalLayer) -> Int8[np.ndarray, "features ky kx inputs"]:
    """Returns −1, 0 and 1 where the hidden weight is clear of the thresholds, else the previous value."""
    inner, outer = np.float32(0.5 - layer.hysteresis), np.float32(0.5 + layer.hysteresis)
    rounded = layer.trinary.copy()
    rounded[np.abs(layer.hidden) < inner] = 0
    rounded[layer.hidden > outer] = 1
    rounded[layer.hidden < -outer] = -1
    return rounded


def _fires(norm: BatchNorm, sums: Float32[np.ndarray, "sums #features"]) -> Bool[np.ndarray, "sums features"]:
    """Returns the float32 rule's spikes, (s − μ) / (σ + ε) + b ≥ 0, each operation rounded on its own."""
    with np.errstate(over="ignore"):  # an infinite r has the right sign
        response = (sums - norm.mean) / (norm.std + np.float32(NORM_EPSILON)) + norm.bias
    return response >= 0


def _transduction(found: Findings, stage: TrinaryNet) -> None:
    layer = stage.source.transduction
    weights = layer.weights.astype(np.int64)
    top = (1 << layer.input_bits) - 1
    low = np.minimum(weights, 0).sum(axis=(1, 2, 3)) * top
    high = np.maximum(weights, 0).sum(axis=(1, 2, 3)) * top

    def fires(sums: np.ndarray) -> np.ndarray:
        scaled = sums.astype(np.float32) * np.float32(2.0**-layer.fraction_bits)
        return _fires(layer.norm, scaled[None])[0]

    # Within reach, the first sum that fires is the threshold; beyond, it must never fire, or always.
    first, last_silent = np.clip(stage.threshold, low, high), np.clip(stage.threshold - 1, low, high)
    wrong_above = (stage.threshold <= high) & ~fires(first)
    wrong_below = (stage.threshold > low) & fires(last_silent)
    name = layer.conv.name
    for bad, sums, rule in ((wrong_above, first, "does not fire"), (wrong_below, last_silent, "fires")):
        found.add_each(
            "trinary/threshold",
            bad,
            lambda f, sums=sums, rule=rule: (
                f"layer {name}, feature {f}",
                f"where the float32 rule begins to fire; at the sum {sums[f]} it {rule}",
                stage.threshold[f],
            ),
        )


def _leak(found: Findings, layer: LogicalLayer, weights: np.ndarray, leak: np.ndarray, arch: ChipArch) -> None:
    """Checks leaks [feature] of trinary weights [feature, ky, kx, ci]."""
    where = f"layer {layer.conv.name}, feature"
    low = np.minimum(weights, 0).sum(axis=(1, 2, 3), dtype=np.int64)
    high = np.maximum(weights, 0).sum(axis=(1, 2, 3), dtype=np.int64)
    found.add_each(
        "trinary/leak-width",
        np.abs(leak) > arch.leak_max,
        lambda f: (f"{where} {f}", f"−{arch.leak_max} to {arch.leak_max}", leak[f]),
    )
    bottom, top = arch.potential_range
    saturates = (np.minimum(low, low + leak) < bottom) | (np.maximum(high, high + leak) > top)
    found.add_each(
        "trinary/potential-range",
        saturates,
        lambda f: (f"{where} {f}", f"within {bottom} to {top}", f"sums {low[f]} to {high[f]}, leak {leak[f]}"),
    )
    clamped = (leak >= -high) & (leak <= 1 - low)
    found.add_each("trinary/leak-clamp", ~clamped, lambda f: (f"{where} {f}", f"{-high[f]} to {1 - low[f]}", leak[f]))
    sums = np.arange(low.min(), high.max() + 1)[:, None]
    differs = (
        (sums >= low) & (sums <= high) & clamped & ((sums + leak >= 1) != _fires(layer.norm, sums.astype(np.float32)))
    )
    found.add_each(
        "trinary/fold",
        differs.any(axis=0),
        lambda f: (
            f"{where} {f}",
            "equal to the float32 rule",
            f"leak {leak[f]} differs at {_spans(sums[differs[:, f], 0])}",
        ),
    )


def _spans(sums: np.ndarray) -> str:
    return f"sum {sums[0]}" if len(sums) == 1 else f"sums {sums[0]} to {sums[-1]}"
