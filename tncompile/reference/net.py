"""The network's spikes without any chip: in the model's float32 rule, and in integers."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int8, Int64, UInt

from tncompile.errors import SimulationError
from tncompile.ir import NORM_EPSILON, BatchNorm, Conv, Host, LogicalLayer, LogicalNet, TrinaryNet


def convolve(
    conv: Conv, maps: Int64[np.ndarray, "n y x channels"], weights: Int64[np.ndarray, "features ky kx inputs"]
) -> Int64[np.ndarray, "n out_y out_x features"]:
    """Returns Σ x·w of a grouped convolution behind its channel permutation, padded with zeros."""
    width, height, _ = conv.out_shape
    pad_x, pad_y = conv.padding
    padded = np.pad(maps, ((0, 0), (pad_y, pad_y), (pad_x, pad_x), (0, 0)))[..., conv.permutation]
    sums = np.zeros((len(maps), height, width, conv.features), np.int64)
    for group in range(conv.groups):
        inputs = slice(group * conv.inputs_per_group, (group + 1) * conv.inputs_per_group)
        features = slice(group * conv.features_per_group, (group + 1) * conv.features_per_group)
        for ky in range(conv.kernel[1]):
            for kx in range(conv.kernel[0]):
                rows = slice(ky, ky + (height - 1) * conv.stride[1] + 1, conv.stride[1])
                columns = slice(kx, kx + (width - 1) * conv.stride[0] + 1, conv.stride[0])
                sums[..., features] += padded[:, rows, columns, inputs] @ weights[features, ky, kx].T
    return sums


def norm_spikes(norm: BatchNorm, sums: Float32[np.ndarray, "*maps features"]) -> Bool[np.ndarray, "*maps features"]:
    """Returns r ≥ 0 with r = (s − μ) / (σ + ε) + b, in float32, each operation rounded on its own."""
    return (sums - norm.mean) / (norm.std + np.float32(NORM_EPSILON)) + norm.bias >= 0


def round_trinary(layer: LogicalLayer) -> Int8[np.ndarray, "features ky kx inputs"]:
    """Returns the hidden weights rounded with hysteresis h.

    −1 below −0.5 − h, 0 between −0.5 + h and 0.5 − h, 1 above 0.5 + h, else the value that the model last used.

    References:
        Esser et al. 2016, training by trinary weights.
    """
    hidden, h = layer.hidden, layer.hysteresis
    rounded = layer.trinary.copy()
    rounded[np.abs(hidden) < np.float32(0.5 - h)] = 0
    rounded[hidden > np.float32(0.5 + h)] = 1
    rounded[hidden < -np.float32(0.5 + h)] = -1
    return rounded


def logical_spikes(net: LogicalNet, images: UInt[np.ndarray, "n y x channels"]) -> Bool[np.ndarray, "n outputs"]:
    """Returns the last layer's spikes as the model computes them, in float32.

    Raises:
        SimulationError: the images do not fit the net.
    """
    maps = _unflatten(net.transduction.conv, input_bits(net, images))
    for layer in net.layers:
        sums = convolve(layer.conv, maps.astype(np.int64), round_trinary(layer).astype(np.int64))
        maps = norm_spikes(layer.norm, sums.astype(np.float32))  # |sum| < 2^24: exact
    return maps.reshape(len(maps), -1)


def trinary_spikes(net: TrinaryNet, images: UInt[np.ndarray, "n y x channels"]) -> Bool[np.ndarray, "n outputs"]:
    """Returns the last layer's spikes in integers: a spike where Σ x·w + leak ≥ 1.

    Raises:
        SimulationError: the images do not fit the net.
    """
    maps = _unflatten(net.source.transduction.conv, input_bits(net, images))
    for layer, weights, leak in zip(net.source.layers, net.weights, net.leak, strict=True):
        sums = convolve(layer.conv, maps.astype(np.int64), weights.astype(np.int64))
        maps = sums + leak.astype(np.int64) >= 1
    return maps.reshape(len(maps), -1)


def input_bits(
    net: LogicalNet | TrinaryNet | Host, images: UInt[np.ndarray, "n y x channels"]
) -> Bool[np.ndarray, "n input_bits"]:
    """Returns the transduction's spikes: by batch norm for the model, by threshold for what is made from it.

    Raises:
        SimulationError: the images do not fit the net.
    """
    if isinstance(net, LogicalNet):
        transduction = net.transduction
        sums = transduction_sums(transduction.conv, transduction.weights, transduction.input_bits, images)
        scaled = sums.astype(np.float32) * np.float32(2.0**-transduction.fraction_bits)  # |sum| < 2^24: exact
        return norm_spikes(transduction.norm, scaled).reshape(len(images), -1)
    if isinstance(net, TrinaryNet):
        transduction = net.source.transduction
        sums = transduction_sums(transduction.conv, transduction.weights, transduction.input_bits, images)
    else:
        sums = transduction_sums(net.conv, net.weights, net.input_bits, images)
    return (sums >= net.threshold).reshape(len(images), -1)


def transduction_sums(
    conv: Conv, weights: np.ndarray, pixel_bits: int, images: UInt[np.ndarray, "n y x channels"]
) -> Int64[np.ndarray, "n out_y out_x features"]:
    """Returns the integer sums Σ x·w of the transduction [LSB].

    Raises:
        SimulationError: the images have another shape, or pixels wider than `pixel_bits`.
    """
    width, height, channels = conv.in_shape
    if images.shape[1:] != (height, width, channels):
        raise SimulationError(
            f"layer {conv.name}: images of shape [y, x, channel] = {list(images.shape[1:])}, "
            f"the net takes {[height, width, channels]}"
        )
    if images.size and int(images.max()) >> pixel_bits:
        raise SimulationError(
            f"layer {conv.name}: a pixel of {int(images.max())}, the net takes {pixel_bits} bits "
            f"(0 … {(1 << pixel_bits) - 1})"
        )
    return convolve(conv, images.astype(np.int64), weights.astype(np.int64))


def _unflatten(conv: Conv, bits: Bool[np.ndarray, "n bits"]) -> Bool[np.ndarray, "n y x features"]:
    width, height, features = conv.out_shape
    return bits.reshape(len(bits), height, width, features)
