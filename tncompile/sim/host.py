"""What the host computes around the chip, in exact integers: input bits from pixels, classes from output spikes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, Int64, UInt
from numpy.lib.stride_tricks import sliding_window_view

from tncompile.errors import SimulationError
from tncompile.ir import Conv, Host
from tncompile.nn.readout import class_of

_CHUNK_BYTES = 1 << 26  # of patches at a time [byte]


def transduce(host: Host, pixels: UInt[np.ndarray, "n y x channels"]) -> Bool[np.ndarray, "n input_bits"]:
    """Returns the input bits of images: Σ x·w ≥ threshold, in the flat order [y, x, feature].

    The sums are a matrix product in the narrowest float that holds every partial sum exactly, or in 64-bit integers.

    Args:
        host: the off-chip layers.
        pixels: images.

    Raises:
        SimulationError: the images have another shape, or wider pixels than the transduction takes.
    """
    conv = host.conv
    width, height, channels = conv.in_shape
    if pixels.shape[1:] != (height, width, channels):
        raise SimulationError(
            f"transduction {conv.name}: images of shape [y, x, channel] = {list(pixels.shape[1:])}, the net takes "
            f"{[height, width, channels]}; resize the images or train for theirs"
        )
    brightest = int(pixels.max(initial=0))
    if brightest >> host.input_bits:
        raise SimulationError(
            f"transduction {conv.name}: a pixel of {brightest}, the net takes 0 … {(1 << host.input_bits) - 1} "
            f"({host.input_bits} bit); scale the images"
        )
    bits = np.empty((len(pixels), conv.outputs), bool)
    reach = int(np.abs(host.weights.astype(np.int64)).sum(axis=(1, 2, 3)).max()) * ((1 << host.input_bits) - 1)
    dtype = next((t for t, exact in ((np.float32, 1 << 24), (np.float64, 1 << 53)) if reach < exact), np.int64)
    threshold = np.clip(host.threshold, -reach, reach + 1).astype(dtype)  # exact, and decides the same
    weights = _matrix(host, dtype)
    chunk = max(1, _CHUNK_BYTES // (conv.outputs // conv.features * len(weights) * weights.itemsize))
    for begin in range(0, len(pixels), chunk):
        patches = _patches(conv, pixels[begin : begin + chunk].astype(dtype))
        bits[begin : begin + chunk] = (patches @ weights >= threshold).reshape(-1, conv.outputs)
    return bits


def classify(host: Host, output_bits: Bool[np.ndarray, "n pins"]) -> Int[np.ndarray, " n"]:
    """Returns the class with the largest mean of its features' bits; the lowest one of equals.

    Raises:
        SimulationError: the bits are not those of the last layer's map.
    """
    width, height, features = host.out_shape
    if output_bits.shape[1] != width * height * features:
        raise SimulationError(
            f"readout: {output_bits.shape[1]} output bits a frame, a map of {width} x {height} x {features} has "
            f"{width * height * features}"
        )
    return class_of(output_bits, host.out_shape, host.readout.feature_class, host.readout.classes)


def _matrix(host: Host, dtype: type) -> Float[np.ndarray, "taps features"] | Int64[np.ndarray, "taps features"]:
    """Returns the weights of each tap (ky, kx, input channel) to each feature; 0 outside the feature's group."""
    conv = host.conv
    matrix = np.zeros((conv.kernel[1], conv.kernel[0], conv.in_shape[2], conv.features), dtype)
    for feature in range(conv.features):
        begin = feature // conv.features_per_group * conv.inputs_per_group
        channels = conv.permutation[begin : begin + conv.inputs_per_group]
        matrix[:, :, channels, feature] = host.weights[feature]
    return matrix.reshape(-1, conv.features)


def _patches(conv: Conv, maps: np.ndarray) -> np.ndarray:
    """Returns what each output position sees: rows [n, y, x] of taps [ky, kx, channel]."""
    pad_x, pad_y = conv.padding
    padded = np.pad(maps, ((0, 0), (pad_y, pad_y), (pad_x, pad_x), (0, 0)))
    windows = sliding_window_view(padded, (conv.kernel[1], conv.kernel[0]), axis=(1, 2))  # n y x channel ky kx
    windows = windows[:, :: conv.stride[1], :: conv.stride[0]].transpose(0, 1, 2, 4, 5, 3)
    return windows.reshape(-1, conv.kernel[0] * conv.kernel[1] * maps.shape[-1])
