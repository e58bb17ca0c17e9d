"""Blocks with their weights: which signals they compute, which axons they need, and with which crosspoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int8, Int64, UInt8

from passes.pack.constants import VARIES
from passes.pack.plan import Block, Plan
from tncompile.ir import Conv, SynapseScheme, TrinaryNet

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Synapses:
    """What a block's weights ask of a core; blocks of one shape share it.

    Attributes:
        computed: which of the block's outputs, by position (y, then x) and feature, are computed.
        reads: which of its inputs, by position and channel, each axon carries.
        axon_type: of each axon.
        crosspoints: one column an output that is computed.
        leak: what inputs that always spike add to the leak of each of these.
    """

    computed: Int64[Array, " signals"]
    reads: Int64[Array, " axons"]
    axon_type: UInt8[Array, " axons"]
    crosspoints: Bool[Array, "axons signals"]
    leak: Int64[Array, " signals"]


@dataclass(frozen=True, eq=False)
class Cell:
    """One block of one group and chunk: what a core takes as a whole.

    Attributes:
        group: of the layer.
        block: its positions.
        synapses: its weights.
        signal: flat index of each output that is computed.
        source: flat index of the input that each axon carries.
    """

    group: int
    block: Block
    synapses: Synapses
    signal: Int64[Array, " signals"]
    source: Int64[Array, " axons"]


@dataclass(frozen=True)
class Layout:
    """Cells of one layer in the order of group, block and chunk.

    Attributes:
        conv: the layer.
        cells: those that compute anything.
    """

    conv: Conv
    cells: tuple[Cell, ...]

    @property
    def demand(self) -> Int64[Array, " inputs"]:
        """How many axons read each input."""
        sources = [cell.source for cell in self.cells]
        return np.bincount(np.concatenate(sources or [np.zeros(0, np.int64)]), minlength=self.conv.inputs)


def lay_out(
    net: TrinaryNet,
    plans: tuple[Plan, ...],
    known: tuple[Int8[Array, " _"], ...],
    scheme: SynapseScheme,
    *,
    drop_unread: bool,
    earlier: dict[tuple, Layout] | None = None,
) -> list[Layout]:
    """Returns the cells of all layers, from what the output pins need back to the input.

    Args:
        net: the net in integers.
        plans: the blocks of each layer.
        known: input bits and outputs of the layers that are constant.
        scheme: how weights become crosspoints.
        drop_unread: whether axons that no neuron listens to are left out, and with them the signals that nobody reads.
        earlier: layouts of the same net and scheme, which are used again; those that are made now are added.
    """
    earlier = {} if earlier is None else earlier
    layouts: list[Layout] = []
    needed = np.ones(plans[-1].shape.conv.outputs, bool)
    for number in reversed(range(len(plans))):
        # The last layer's neurons drive pins, so all of them are there, constant or not.
        wanted = needed if not layouts else needed & (known[number + 1] == VARIES)
        key = number, plans[number].blocks, known[number].tobytes(), wanted.tobytes(), drop_unread
        if key not in earlier:
            earlier[key] = _lay_out_layer(
                plans[number], net.weights[number], known[number], wanted, scheme, drop_unread=drop_unread
            )
        layouts.append(earlier[key])
        needed = earlier[key].demand > 0
    return layouts[::-1]


def _lay_out_layer(
    plan: Plan,
    weights: Int8[Array, "features ky kx ci"],
    known: Int8[Array, " inputs"],
    wanted: Bool[Array, " outputs"],
    scheme: SynapseScheme,
    *,
    drop_unread: bool,
) -> Layout:
    conv = plan.shape.conv
    shared: dict[tuple, Synapses] = {}
    cells = []
    for group in range(conv.groups):
        first, ci = conv.features_per_group * group, conv.inputs_per_group
        channels = conv.permutation[group * ci : (group + 1) * ci]
        for block in plan.blocks:
            inputs = _flat(block.taps_x, block.taps_y, channels, conv.in_shape)
            for chunk in np.array_split(np.arange(conv.features_per_group), block.chunks):
                features = first + chunk
                outputs = _flat(block.xs, block.ys, features, conv.out_shape)
                key = (*_shape_key(conv, block), int(features[0]), len(features))
                key += (wanted[outputs].tobytes(), known[inputs].tobytes())
                if key not in shared:
                    matrix = _matrix(conv, block, features, weights)
                    seen = None if drop_unread else _matrix(conv, block, features, np.ones_like(weights)) != 0
                    shared[key] = _synapses(matrix, seen, known[inputs], wanted[outputs], scheme)
                synapses = shared[key]
                if len(synapses.computed):
                    signal, source = outputs[synapses.computed], inputs[synapses.reads]
                    cells.append(Cell(group, block, synapses, signal, source))
    return Layout(conv, tuple(cells))


def _synapses(
    matrix: Int[Array, "outputs inputs"],
    seen: Bool[Array, "outputs inputs"] | None,
    known: Int8[Array, " inputs"],
    wanted: Bool[Array, " outputs"],
    scheme: SynapseScheme,
) -> Synapses:
    """Returns the axons and crosspoints of a weight matrix.

    Args:
        matrix: weights.
        seen: which inputs each output sees, whatever their weight: these get all their axons. None: only axons that
            have a crosspoint are kept.
        known: inputs that are constant.
        wanted: outputs that are computed.
        scheme: how weights become crosspoints.
    """
    computed = np.flatnonzero(wanted)
    if not len(computed):
        none = np.zeros(0, np.int64)
        return Synapses(none, none, none.astype(np.uint8), np.zeros((0, 0), bool), none)
    matrix = matrix[computed]
    crosspoints = scheme.encode(np.where(known == VARIES, matrix, 0).astype(np.int8))
    each = scheme.axons_per_input
    kept = crosspoints.any(axis=1) if seen is None else np.repeat(seen[computed].any(axis=0), each)
    axons = np.flatnonzero(kept & np.repeat(known == VARIES, each))
    return Synapses(
        computed=computed,
        reads=axons // each,
        axon_type=scheme.axon_types(matrix.shape[1])[axons],
        crosspoints=crosspoints[axons],
        leak=matrix.astype(np.int64) @ (known == 1),
    )


def _matrix(
    conv: Conv, block: Block, features: Int64[Array, " chunk"], weights: Int8[Array, "features ky kx ci"]
) -> Int[Array, "outputs inputs"]:
    """Returns the layer's weights as a matrix over a block's outputs and inputs, by position (y, x), then feature."""
    ky, in_y = _window(block.ys, block.taps_y, conv.stride[1], conv.padding[1], conv.kernel[1])
    kx, in_x = _window(block.xs, block.taps_x, conv.stride[0], conv.padding[0], conv.kernel[0])
    dense = weights[features][:, ky[:, :, None, None], kx[None, None]]  # feature y tap_y x tap_x ci
    dense = dense * (in_y[:, :, None, None] & in_x[None, None])[None, ..., None]
    dense = dense.transpose(1, 3, 0, 2, 4, 5)  # y x feature tap_y tap_x ci
    outputs = len(block.ys) * len(block.xs) * len(features)
    return dense.reshape(outputs, len(block.taps_y) * len(block.taps_x) * dense.shape[-1])


def _window(
    positions: tuple[int, ...], taps: tuple[int, ...], stride: int, padding: int, kernel: int
) -> tuple[Array, Array]:
    """Returns the kernel index at which each output position sees each tap, and whether it sees it at all."""
    index = np.asarray(taps, int)[None, :] - (np.asarray(positions, int)[:, None] * stride - padding)
    return np.clip(index, 0, kernel - 1), (index >= 0) & (index < kernel)


def _shape_key(conv: Conv, block: Block) -> tuple:
    """Returns what a block's matrix depends on: not its place, only what padding and trimming left of it."""
    x, y = block.xs[0], block.ys[0]
    outputs = tuple(v - x for v in block.xs), tuple(v - y for v in block.ys)
    left, top = x * conv.stride[0], y * conv.stride[1]
    return outputs, tuple(t - left for t in block.taps_x), tuple(t - top for t in block.taps_y)


def _flat(xs: tuple[int, ...], ys: tuple[int, ...], features: Array, shape: tuple[int, int, int]) -> Array:
    positions = np.asarray(ys, np.int64)[:, None, None] * shape[0] + np.asarray(xs, np.int64)[:, None]
    return (positions * shape[2] + features).ravel()
