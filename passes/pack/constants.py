"""Neurons that spike always or never, whatever the input."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int8, Int64

from tncompile.ir import Conv, TrinaryNet

VARIES = -1
"""What stands for a signal that is not constant; the others are 0 or 1."""


def constants_of(net: TrinaryNet) -> tuple[Int8[np.ndarray, " _"], ...]:
    """Returns what is known of each input bit and of each value of the layers' output maps.

    A neuron is constant if the smallest or the largest sum that its inputs can have already decides. Inputs that are
    constant themselves count as what they are; that other inputs may be correlated is not seen.
    """
    known = [no_constants(net)[0]]
    for layer, weights, leak in zip(net.source.layers, net.weights, net.leak, strict=True):
        known.append(_of_layer(layer.conv, weights.astype(np.int64), leak.astype(np.int64), known[-1]))
    return tuple(known)


def no_constants(net: TrinaryNet) -> tuple[Int8[np.ndarray, " _"], ...]:
    """Returns the same if nothing is known."""
    convs = [layer.conv for layer in net.source.layers]
    return tuple(np.full(size, VARIES, np.int8) for size in (convs[0].inputs, *(conv.outputs for conv in convs)))


def _of_layer(
    conv: Conv,
    weights: Int64[np.ndarray, "features ky kx ci"],
    leak: Int64[np.ndarray, " features"],
    known: Int8[np.ndarray, " inputs"],
) -> Int8[np.ndarray, " outputs"]:
    # Behind the permutation and padded: whether an input is 1 for sure, and whether it can be 1.
    width, height, channels = conv.in_shape
    maps = known.reshape(height, width, channels)[:, :, conv.permutation]
    (px, py), (sx, sy), (kx, ky) = conv.padding, conv.stride, conv.kernel
    surely, perhaps = (np.pad(m, ((py, py), (px, px), (0, 0))) for m in (maps == 1, maps != 0))
    windows = [
        np.lib.stride_tricks.sliding_window_view(m, (ky, kx), axis=(0, 1))[::sy, ::sx] for m in (surely, perhaps)
    ]  # y x channel ky kx
    out_width, out_height, _ = conv.out_shape
    result = np.empty((out_height, out_width, conv.features), np.int8)
    for group in range(conv.groups):
        features = slice(group * conv.features_per_group, (group + 1) * conv.features_per_group)
        inputs = slice(group * conv.inputs_per_group, (group + 1) * conv.inputs_per_group)
        one, may = (
            w[:out_height, :out_width, inputs]
            .transpose(0, 1, 3, 4, 2)
            .reshape(out_height * out_width, -1)
            .astype(float)
            for w in windows
        )
        flat = weights[features].reshape(conv.features_per_group, -1).T.astype(float)  # exact: sums are small
        fixed = one @ flat + leak[features]
        open_ = may - one
        low = fixed + open_ @ np.minimum(flat, 0)
        high = fixed + open_ @ np.maximum(flat, 0)
        part = np.where(low >= 1, 1, np.where(high < 1, 0, VARIES))
        result[:, :, features] = part.reshape(out_height, out_width, -1)
    return result.ravel()
