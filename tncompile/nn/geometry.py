"""From a network's configuration to the geometry of its layers, with all that can be said before a weight exists."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tncompile.config.net import LayerConfig, NetConfig
from tncompile.errors import ConfigError, InfeasibleError
from tncompile.ir import Conv

WEIGHT_BITS = 16
"""Widest transduction weight, sign included [bit]."""

EXACT_BITS = 24
"""Integers below 2^24 are exact in float32 [bit]."""

_PERMUTATION = 1
"""Keeps the random stream of the permutations apart from that of the weights."""


def geometry(net: NetConfig, *, in_shape: tuple[int, int, int], classes: int, seed: int) -> tuple[Conv, ...]:
    """Returns the geometry of all layers, the transduction first.

    Every grouped layer gets a random channel permutation, drawn from the seed and the layer's number.

    Args:
        net: the network.
        in_shape: width, height and channels of the images.
        classes: how many there are to tell apart.
        seed: the experiment's seed.

    Raises:
        ConfigError: the layers do not fit one another, the images or the classes.
    """
    convs: list[Conv] = []
    shape = in_shape
    for index, layer in enumerate(net.layers):
        conv = _conv(layer, shape, np.random.default_rng([seed, _PERMUTATION, index]))
        convs.append(conv)
        shape = conv.out_shape
    if shape[2] < classes:
        raise ConfigError(
            f"layer {convs[-1].name}: {shape[2]} features cannot vote for {classes} classes; give the last layer at "
            f"least {classes} features"
        )
    return tuple(convs)


def grid_bits(conv: Conv, input_bits: int) -> int:
    """Returns the finest grid of transduction weights that keeps every sum below 2^24 [bit].

    A weight of 1 is the integer 2^grid_bits. Three colours of 8 bits under a 3×3 kernel leave 11 bits.

    Raises:
        InfeasibleError: even weights of −1, 0 and 1 would pass 2^24.
    """
    room = (2**EXACT_BITS - 1) // (conv.fan_in * (2**input_bits - 1))
    if room == 0:
        raise InfeasibleError(
            f"layer {conv.name}: {conv.fan_in} pixels of {input_bits} bits can sum to more than 2^{EXACT_BITS}, up to "
            "where float32 is exact; use a smaller kernel or fewer bits a pixel"
        )
    return min(room.bit_length() - 1, WEIGHT_BITS - 2)


def _conv(layer: LayerConfig, in_shape: tuple[int, int, int], rng: np.random.Generator) -> Conv:
    width, height, channels = in_shape
    if channels % layer.groups or layer.features % layer.groups:
        raise ConfigError(
            f"layer {layer.name}: {layer.groups} groups must divide its {channels} channels and its "
            f"{layer.features} features; {_listed(_common_divisors(channels, layer.features))} would"
        )
    for axis, size, kernel, padding in zip("xy", (width, height), layer.kernel, layer.padding, strict=True):
        if kernel > size + 2 * padding:
            raise ConfigError(
                f"layer {layer.name}: a kernel of {kernel} does not fit its input map of {size} in {axis} with padding "
                f"{padding}; use a smaller kernel, more padding, or a smaller stride in the layers before"
            )
        if padding >= kernel:
            raise ConfigError(
                f"layer {layer.name}: padding {padding} in {axis} must be smaller than the kernel of {kernel}, "
                "else some filters see nothing but padding"
            )
    permutation = rng.permutation(channels) if layer.groups > 1 else np.arange(channels)
    return Conv(
        name=layer.name,
        in_shape=in_shape,
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        features=layer.features,
        groups=layer.groups,
        permutation=permutation.astype(np.int32),
    )


def _common_divisors(a: int, b: int) -> list[int]:
    both = int(np.gcd(a, b))
    return [d for d in range(1, both + 1) if both % d == 0]


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
