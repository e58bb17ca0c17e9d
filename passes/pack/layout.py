"""The cores of one layer: what they compute, what they read, and with which weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from passes.pack.tiles import Shape, Tile
from tncompile.ir import Conv, SynapseScheme

Array = np.ndarray


@dataclass(frozen=True)
class LayerCore:
    """A layer core before copies are known: a group, output positions, features, and the input positions they see."""

    group: int
    xs: tuple[int, ...]
    ys: tuple[int, ...]
    features: range
    taps_x: tuple[int, ...]
    taps_y: tuple[int, ...]

    def signals(self, conv: Conv) -> Int[Array, " signals"]:
        """Returns the flat indices of the outputs, by position (y, then x) and feature."""
        features = conv.features_per_group * self.group + np.asarray(self.features)
        return _flat(self.xs, self.ys, features, conv.out_shape)

    def inputs(self, conv: Conv) -> Int[Array, " inputs"]:
        """Returns the flat indices of the inputs, by position (y, then x) and channel, in axon order."""
        ci = conv.inputs_per_group
        return _flat(self.taps_x, self.taps_y, conv.permutation[self.group * ci : (self.group + 1) * ci], conv.in_shape)

    def weights(self, conv: Conv, weights: Array) -> Int[Array, "signals inputs"]:
        """Returns the layer's weights as a matrix over `signals` and `inputs`."""
        features = conv.features_per_group * self.group + np.asarray(self.features)
        ky, in_y = _window(self.ys, self.taps_y, conv.stride[1], conv.padding[1], conv.kernel[1])
        kx, in_x = _window(self.xs, self.taps_x, conv.stride[0], conv.padding[0], conv.kernel[0])
        dense = weights[features][:, ky[:, :, None, None], kx[None, None]]  # feature y tap_y x tap_x ci
        dense = dense * (in_y[:, :, None, None] & in_x[None, None])[None, ..., None]
        dense = dense.transpose(1, 3, 0, 2, 4, 5)  # y x feature tap_y tap_x ci
        return dense.reshape(
            len(self.ys) * len(self.xs) * len(features), len(self.taps_y) * len(self.taps_x) * dense.shape[-1]
        )

    def shape_key(self, conv: Conv) -> tuple:
        """Returns what `weights` depends on: not the core's place, only what padding and trimming left of it."""
        x, y = self.xs[0], self.ys[0]
        left, top = x * conv.stride[0], y * conv.stride[1]
        outputs = (tuple(v - x for v in self.xs), tuple(v - y for v in self.ys))
        taps = (tuple(t - left for t in self.taps_x), tuple(t - top for t in self.taps_y))
        return self.group, self.features, outputs, taps


def _flat(xs: tuple[int, ...], ys: tuple[int, ...], features: Array, shape: tuple[int, int, int]) -> Array:
    positions = np.asarray(ys, np.int64)[:, None, None] * shape[0] + np.asarray(xs, np.int64)[:, None]
    return (positions * shape[2] + features).ravel()


def _window(
    positions: tuple[int, ...], taps: tuple[int, ...], stride: int, padding: int, kernel: int
) -> tuple[Array, Array]:
    """Returns the kernel index at which each output position sees each tap, and whether it sees it at all."""
    index = np.asarray(taps, int)[None, :] - (np.asarray(positions, int)[:, None] * stride - padding)
    return np.clip(index, 0, kernel - 1), (index >= 0) & (index < kernel)


@dataclass(frozen=True)
class Layer:
    """The cores of a layer, and the signals that they compute, one row each."""

    conv: Conv
    cores: tuple[LayerCore, ...]
    signal: Int[Array, " signals"]
    core: Int[Array, " signals"]


@dataclass(frozen=True)
class Axons:
    """Axons that want a driver for a signal, sorted by signal, core and axon."""

    signal: Int[Array, " axons"]
    core: Int[Array, " axons"]
    axon: Int[Array, " axons"]


def lay_out(shape: Shape, tile: Tile) -> Layer:
    conv = shape.conv
    x_axis, y_axis = shape.axes(tile)
    chunks = np.array_split(np.arange(conv.features_per_group), tile.chunks)
    cores = tuple(
        LayerCore(group, xs, ys, range(int(chunk[0]), int(chunk[-1]) + 1), taps_x, taps_y)
        for group in range(conv.groups)
        for ys, taps_y in zip(y_axis.blocks, y_axis.taps, strict=True)
        for xs, taps_x in zip(x_axis.blocks, x_axis.taps, strict=True)
        for chunk in chunks
    )
    signals = [core.signals(conv) for core in cores]
    return Layer(conv, cores, np.concatenate(signals), np.repeat(np.arange(len(cores)), [len(s) for s in signals]))


def reads_of(layer: Layer, scheme: SynapseScheme) -> Axons:
    """Returns all axons of a layer."""
    inputs = [np.repeat(core.inputs(layer.conv), scheme.axons_per_input) for core in layer.cores]
    sizes = [len(i) for i in inputs]
    axon = np.concatenate([np.arange(size) for size in sizes])
    return sorted_axons(np.concatenate(inputs), np.repeat(np.arange(len(inputs)), sizes), axon)


def sorted_axons(signal: Array, core: Array, axon: Array) -> Axons:
    order = np.lexsort((axon, core, signal))
    return Axons(signal[order], core[order], axon[order])
