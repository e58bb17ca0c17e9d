"""Which signals of a net are constant, for the verifier of core graphs: position by position, from the definition."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int8

from tncompile.ir import TrinaryNet


def constant_signals(net: TrinaryNet) -> tuple[Int8[np.ndarray, " _"], ...]:
    """Returns for the input bits and each layer's output map which values are always 0 or 1; −1 for all others.

    A value is always 1 if the sum that its weights and leak can at least have reaches 1, always 0 if the largest one
    does not, where inputs that are constant themselves count as what they are.
    """
    known = [np.full(net.source.layers[0].conv.inputs, -1, np.int8)]
    for layer, weights, leaks in zip(net.source.layers, net.weights, net.leak, strict=True):
        conv = layer.conv
        (in_width, in_height, channels), (width, height, features) = conv.in_shape, conv.out_shape
        inputs = known[-1].reshape(in_height, in_width, channels)[:, :, conv.permutation]
        outputs = np.full((height, width, features), -1, np.int8)
        for y in range(height):
            for x in range(width):
                left, top = x * conv.stride[0] - conv.padding[0], y * conv.stride[1] - conv.padding[1]
                rows = range(max(top, 0), min(top + conv.kernel[1], in_height))
                columns = range(max(left, 0), min(left + conv.kernel[0], in_width))
                seen = inputs[rows.start : rows.stop, columns.start : columns.stop]
                taps = weights[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
                for group in range(conv.groups):
                    part = slice(group * conv.features_per_group, (group + 1) * conv.features_per_group)
                    seen_here = seen[:, :, group * conv.inputs_per_group : (group + 1) * conv.inputs_per_group]
                    w = taps[part].astype(np.int64)
                    surely = (w * (seen_here == 1)).sum(axis=(1, 2, 3)) + leaks[part]
                    unknown = w * (seen_here == -1)
                    lowest = surely + np.minimum(unknown, 0).sum(axis=(1, 2, 3))
                    highest = surely + np.maximum(unknown, 0).sum(axis=(1, 2, 3))
                    outputs[y, x, part] = np.where(lowest >= 1, 1, np.where(highest < 1, 0, -1))
        known.append(outputs.ravel())
    return tuple(known)
