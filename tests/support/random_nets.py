"""Small random nets, images and chips that tests of all stages share. Imports no pass.

Everything is a function of its seed. The nets are legal, but as awkward as the rules allow: hidden weights on and
around the thresholds of the hysteresis, batch norms that tie on an integer, never or always fire, or have no spread;
kernels that are not square, strides that skip values, permuted groups.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float32, Int8, UInt8, UInt16

from tncompile.arch import ChipArch
from tncompile.ir import NORM_EPSILON, BatchNorm, Conv, LogicalLayer, LogicalNet, Readout, Transduction


def random_net(
    seed: int, *, inputs: int = 8, layers: int | None = None, size: int = 8, features: int = 8
) -> LogicalNet:
    """Returns a net of a transduction and 1 to 4 layers.

    Args:
        seed: of everything random.
        inputs: the most inputs that a filter of an on-chip layer has: half the axons of a core.
        layers: how many on-chip layers, or None for 1 to 4.
        size: the largest width and height of a map.
        features: the most features of a layer.
    """
    rng = np.random.default_rng(seed)
    image = (int(rng.integers(1, size + 1)), int(rng.integers(1, size + 1)), int(rng.integers(1, 4)))
    transduction = _transduction(rng, image, size, features)
    shape = transduction.conv.out_shape
    stack = []
    for index in range(int(rng.integers(1, 5)) if layers is None else layers):
        conv = _conv(rng, f"layer{index}", shape, inputs, size, features)
        stack.append(_layer(rng, conv))
        shape = conv.out_shape
    return LogicalNet(
        name=f"random{seed}", transduction=transduction, layers=tuple(stack), readout=_readout(rng, shape[2])
    )


def random_images(
    net: LogicalNet, n: int, seed: int
) -> UInt8[np.ndarray, "n y x channels"] | UInt16[np.ndarray, "n y x channels"]:
    """Returns n images of random pixels, 0 and the largest value more often than others."""
    rng = np.random.default_rng(seed)
    width, height, channels = net.transduction.conv.in_shape
    top = (1 << net.transduction.input_bits) - 1
    pixels = rng.integers(-top // 4, top + top // 4, (n, height, width, channels), endpoint=True)
    return np.clip(pixels, 0, top).astype(np.uint8 if top < 256 else np.uint16)


def random_arch(seed: int) -> ChipArch:
    """Returns a small chip: 8 to 64 axons and neurons a core, grids of 10 to 16, up to 2×2 chips, some dead cores."""
    rng = np.random.default_rng(seed)
    grid = (int(rng.integers(10, 17)), int(rng.integers(10, 17)))
    board = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    width, height = grid[0] * board[0], grid[1] * board[1]
    dead = rng.choice(width * height, int(rng.integers(0, 6)), replace=False)
    return ChipArch(
        name=f"random{seed}",
        axons=2 * int(rng.integers(4, 33)),
        neurons=8 * int(rng.integers(1, 9)),
        axon_types=int(rng.integers(2, 5)),
        grid=grid,
        board=board,
        dead_cores=tuple((int(d % width), int(d // width)) for d in dead),
    )


def nets(*, inputs: int = 8, size: int = 8, features: int = 8) -> st.SearchStrategy[LogicalNet]:
    """Returns a strategy of `random_net`s that shrinks to few layers and small maps."""
    return st.builds(
        partial(random_net, inputs=inputs, features=features),
        _SEEDS,
        layers=st.integers(1, 4),
        size=st.integers(1, size),
    )


def archs() -> st.SearchStrategy[ChipArch]:
    """Returns a strategy of `random_arch`s."""
    return st.builds(random_arch, _SEEDS)


def random_norm(rng: np.random.Generator, features: int, spread: float, step: float = 1.0) -> BatchNorm:
    """Returns batch norms of every kind, for sums that are multiples of `step` and vary by about `spread`.

    A third of the features is ordinary. The others tie exactly on a possible sum, lie one float beside a tie, have no
    spread, or have such a bias that they never or always fire.
    """
    mean = (0.3 * spread * rng.standard_normal(features)).astype(np.float32)
    std = (spread * rng.uniform(0.3, 2.0, features)).astype(np.float32)
    bias = (0.5 * rng.standard_normal(features)).astype(np.float32)
    for f in range(features):
        kind = rng.integers(0, 9)
        if kind >= 3:
            mean[f] = step * np.rint(mean[f] / step)  # the sum that makes s − μ zero exists
        if kind in (3, 4):
            bias[f] = 0
        if kind in (5, 6):  # s − μ = −k and σ + ε = k are exact, so r is exactly 0 at s = μ − k
            std[f] = _std_that_makes(max(1.0, round(float(std[f]) / step)) * step)
            bias[f] = 1
        if kind in (4, 6):  # the tie broken by the smallest possible step
            mean[f] = np.nextafter(mean[f], np.float32(rng.choice([-np.inf, np.inf])), dtype=np.float32)
        if kind == 7:
            std[f] = 0
        if kind == 8:
            bias[f] = rng.choice([-1e6, -300, 300, 1e6])
    return BatchNorm(mean=mean, std=std, bias=bias)


_SEEDS = st.integers(0, 2**32 - 1)
_STRIDES = (0.6, 0.25, 0.15)  # of 1, 2 and 3: larger ones shrink the maps too soon


def _std_that_makes(total: float) -> np.float32:
    """Returns σ with σ + ε = total in float32, if there is one, else its neighbour."""
    target, epsilon = np.float32(total), np.float32(NORM_EPSILON)
    std = target - epsilon
    for candidate in (std, np.nextafter(std, np.float32(np.inf)), np.nextafter(std, np.float32(0))):
        if candidate + epsilon == target:
            return candidate
    return std


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _conv(
    rng: np.random.Generator, name: str, shape: tuple[int, int, int], inputs: int, size: int, features: int
) -> Conv:
    """Returns a geometry that reads `shape`, with at most `inputs` inputs a filter and an output map up to `size`."""
    while True:
        kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
        stride = (int(rng.choice(3, p=_STRIDES)) + 1, int(rng.choice(3, p=_STRIDES)) + 1)
        padding = (int(rng.integers(0, kernel[0])), int(rng.integers(0, kernel[1])))
        groups = int(rng.choice(_divisors(shape[2])))
        conv = Conv(
            name=name,
            in_shape=shape,
            kernel=kernel,
            stride=stride,
            padding=padding,
            features=groups * int(rng.integers(1, max(1, features // groups) + 1)),
            groups=groups,
            permutation=rng.permutation(shape[2]).astype(np.int32),
        )
        width, height, _ = conv.out_shape
        fits = all(shape[a] + 2 * padding[a] >= kernel[a] for a in (0, 1)) and max(width, height) <= size
        if fits and conv.fan_in <= inputs:
            return conv


def _transduction(rng: np.random.Generator, image: tuple[int, int, int], size: int, features: int) -> Transduction:
    conv = _conv(rng, "transduction", image, 48, size, features)
    input_bits = int(rng.choice([1, 4, 8, 12, 16]))
    fraction_bits = int(rng.integers(0, 11))
    limit = min(127, (2**24 - 1) // (((1 << input_bits) - 1) * conv.fan_in))  # float32 holds every partial sum
    step = 2.0**-fraction_bits
    spread = step * 2.0 ** (input_bits - 1) * limit * conv.fan_in**0.5 / 2
    return Transduction(
        conv=conv,
        weights=rng.integers(-limit, limit, conv.weight_shape, endpoint=True).astype(np.int32),
        fraction_bits=fraction_bits,
        input_bits=input_bits,
        norm=random_norm(rng, conv.features, spread, step),
    )


def _layer(rng: np.random.Generator, conv: Conv) -> LogicalLayer:
    hysteresis = float(rng.choice([0.0, 0.0625, 0.1]))
    hidden = _hidden(rng, conv.weight_shape, hysteresis)
    return LogicalLayer(
        conv=conv,
        hidden=hidden,
        trinary=_previous(rng, hidden, hysteresis),
        hysteresis=hysteresis,
        norm=random_norm(rng, conv.features, conv.fan_in**0.5),
    )


def _hidden(
    rng: np.random.Generator, shape: tuple[int, ...], hysteresis: float
) -> Float32[np.ndarray, "features ky kx inputs"]:
    """Returns weights in [−1, 1], a third of them exactly on a threshold or one float beside it."""
    hidden = rng.uniform(-1, 1, shape).astype(np.float32)
    edges = np.array([0.5 - hysteresis, 0.5 + hysteresis], np.float32)
    near = np.concatenate([edges, np.nextafter(edges, np.float32(2)), np.nextafter(edges, np.float32(0))])
    special = np.concatenate([near, -near, np.array([-1, 0, 1], np.float32)])
    return np.where(rng.random(shape) < 1 / 3, rng.choice(special, shape), hidden)


def _previous(
    rng: np.random.Generator, hidden: Float32[np.ndarray, "features ky kx inputs"], hysteresis: float
) -> Int8[np.ndarray, "features ky kx inputs"]:
    """Returns a state that training could have left: either neighbour between two thresholds, else mostly the nearest.

    One weight in eight lags behind by a step, as after an update that no forward pass has seen yet.
    """
    size, sign = np.abs(hidden), np.sign(hidden)
    low, high = np.float32(0.5 - hysteresis), np.float32(0.5 + hysteresis)
    between = (size >= low) & (size <= high)
    one = np.where(between, rng.random(hidden.shape) < 0.5, size > high)
    one ^= ~between & (sign != 0) & (rng.random(hidden.shape) < 1 / 8)
    return (one * sign).astype(np.int8)


def _readout(rng: np.random.Generator, features: int) -> Readout:
    classes = int(rng.integers(1, features + 1))
    feature_class = rng.integers(-1, classes, features).astype(np.int32)
    feature_class[rng.permutation(features)[:classes]] = np.arange(classes)  # every class has a feature
    return Readout(classes=classes, feature_class=feature_class)
