"""The layers of an Eedn net: transduction, trinary convolution, bias-only batch norm and the spike.

Maps are arrays [channel, y, x, image] inside the net: patches, the channel permutation included, are then a gather of
contiguous rows, and a grouped convolution is one batched matrix product, without a transpose.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int8, Int32

from tncompile.ir import NORM_EPSILON, BatchNorm, Conv
from tncompile.nn.geometry import grid_bits

Map = Float[Array, "channels height width images"]
Filters = Float[Array, "features ky kx inputs"]


class Rows:
    """A table of rows to gather, and its transpose.

    Attributes:
        table: for each row of the result the row that it is taken from, or −1 for zeros.
        uses: tables that say, for each row that is taken from, in which rows of the result it is used.
    """

    def __init__(self, table: Int32[np.ndarray, " values"], inputs: int):
        self.table = table
        order = np.argsort(table, kind="stable")[(table < 0).sum() :]
        used = table[order]
        nth = np.arange(len(used)) - np.searchsorted(used, used)
        self.uses = np.full((nth.max(initial=0) + 1, inputs), -1, np.int32)
        self.uses[nth, used] = order


class TrinaryState(nnx.Variable):
    """The trinary weights in use: the memory of the hysteresis."""


class RunningStatistic(nnx.Variable):
    """A running batch-norm statistic."""


@jax.custom_jvp
def spike(r: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns 1 where r ≥ 0, else 0; its surrogate derivative is the triangle max(0, 1 − |r|).

    References:
        Esser et al. 2016, PNAS, doi 10.1073/pnas.1604850113.
    """
    return (r >= 0).astype(r.dtype)


@spike.defjvp
def _spike_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (r,), (tangent,) = primals, tangents
    return spike(r), tangent * jnp.maximum(0, 1 - jnp.abs(r))


@jax.custom_jvp
def straight_through(hidden: Float[Array, "..."], value: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns `value`, and passes its gradient to `hidden`."""
    return value


@straight_through.defjvp
def _straight_through_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return primals[1], tangents[0]


def trinarize(
    hidden: Float[Array, "*shape"], previous: Int8[Array, "*shape"], hysteresis: float
) -> Int8[Array, "*shape"]:
    """Returns hidden weights rounded to −1, 0 or 1 with hysteresis.

    −1 below −0.5 − h, 0 between −0.5 + h and 0.5 − h, 1 above 0.5 + h, else the previous value.

    References:
        Esser et al. 2016, PNAS, doi 10.1073/pnas.1604850113.
    """
    magnitude = jnp.abs(hidden)
    # In single precision like the weights, so that the thresholds are the same numbers in NumPy and in XLA.
    upper, lower = np.float32(0.5 + hysteresis), np.float32(0.5 - hysteresis)
    sign = jnp.sign(hidden).astype(jnp.int8)
    return jnp.where(magnitude > upper, sign, jnp.where(magnitude < lower, jnp.int8(0), previous))


def convolve(x: Map, weights: Filters, conv: Conv) -> Float[Array, "features y x images"]:
    """Returns the grouped convolution of a map as one batched matrix product.

    The filters [group, fo, k·k·ci] are multiplied by the patches [group, k·k·ci, positions·images], at the highest
    precision: products of pixels and weights would not be exact in TF32. XLA's own grouped convolution is 25 times
    slower on a CPU, above all backward.
    """
    width, height, _ = conv.out_shape
    rows = x.reshape(conv.inputs, -1)
    pointwise = conv.groups == 1 and conv.kernel == conv.stride == (1, 1) and conv.padding == (0, 0)
    patches = rows if pointwise else gather_rows(rows, Rows(patch_rows(conv), conv.inputs))
    sums = jax.lax.dot_general(
        weights.reshape(conv.groups, conv.features_per_group, conv.fan_in),
        patches.reshape(conv.groups, conv.fan_in, -1),  # type: ignore[attr-defined]  # custom_vjp hides the type
        (((2,), (1,)), ((0,), (0,))),
        precision=jax.lax.Precision.HIGHEST,
    )
    return sums.reshape(conv.features, height, width, -1)


def patch_rows(conv: Conv) -> Int32[np.ndarray, " values"]:
    """Returns which input value stands at [group, ky, kx, ci, y, x] of the patches, flat; −1 is padding.

    Input values are numbered [channel, y, x]; the channel permutation is part of the table.
    """
    (width, height, _), (out_x, out_y, _) = conv.in_shape, conv.out_shape
    channel = conv.permutation.reshape(conv.groups, 1, 1, conv.inputs_per_group, 1, 1)
    y = np.arange(conv.kernel[1])[:, None, None, None, None] + conv.stride[1] * np.arange(out_y)[:, None]
    x = np.arange(conv.kernel[0])[:, None, None, None] + conv.stride[0] * np.arange(out_x)
    y, x = y - conv.padding[1], x - conv.padding[0]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return np.where(inside, (channel * height + y) * width + x, -1).astype(np.int32).reshape(-1)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def gather_rows(x: Float[Array, "inputs images"], rows: Rows) -> Float[Array, "values images"]:
    """Returns the rows of x, zeros for row −1.

    Rows are contiguous, so this runs at the speed of memory, where shifted slices are 2 to 4 times slower. Backward
    each input row gathers the rows that it went to, since XLA's scatter is slow on a CPU.
    """
    return _take(x, rows.table)


gather_rows.defvjp(
    lambda x, rows: (_take(x, rows.table), None),
    lambda rows, _, g: (sum(_take(g, uses) for uses in rows.uses),),
)


def _take(x: Float[Array, "inputs images"], table: Int32[np.ndarray, " values"]) -> Float[Array, "values images"]:
    taken = x.at[np.maximum(table, 0)].get(mode="promise_in_bounds")
    return taken if table.min() >= 0 else taken * (table >= 0)[:, None].astype(np.float32)


class BiasNorm(nnx.Module):
    """Batch norm without gain: r = (s − μ) / (σ + ε) + b.

    In training μ and σ are those of the batch, and the running ones follow it. In inference nothing is divided at
    all: `tncompile.nn.fold` turns the running statistics into integer thresholds, since XLA multiplies by the
    reciprocal and so errs at ties.
    """

    def __init__(self, features: int):
        self.bias = nnx.Param(jnp.zeros(features))
        self.mean = RunningStatistic(jnp.zeros(features))
        self.std = RunningStatistic(jnp.ones(features))

    def __call__(
        self, sums: Float[Array, "features y x images"], momentum: Float[Array, ""] | float
    ) -> Float[Array, "features y x images"]:
        """Returns r by the batch's statistics.

        Args:
            sums: s.
            momentum: share of the old value in the running statistics.
        """
        mean = sums.mean((1, 2, 3))
        variance = jnp.square(sums - mean[:, None, None, None]).mean((1, 2, 3))
        # The square root has no derivative at 0, where a filter's sum never changes.
        constant = variance == 0
        std = jnp.where(constant, 0, jnp.sqrt(jnp.where(constant, 1, variance)))
        self.mean[...] = momentum * self.mean[...] + (1 - momentum) * jax.lax.stop_gradient(mean)
        self.std[...] = momentum * self.std[...] + (1 - momentum) * jax.lax.stop_gradient(std)
        return (sums - mean[:, None, None, None]) / (std + NORM_EPSILON)[:, None, None, None] + self.bias[...][
            :, None, None, None
        ]

    def export(self) -> BatchNorm:
        """Returns the running statistics and the bias."""
        return BatchNorm(
            mean=np.asarray(self.mean[...]), std=np.asarray(self.std[...]), bias=np.asarray(self.bias[...])
        )


class TransductionConv(nnx.Module):
    """The first layer: real weights in [−1, 1] on a fixed-point grid, integer pixels in, spikes out; off the chip.

    s = 2^−fraction_bits · Σ x·w with integer weights w. The grid is as fine as keeps every Σ |x·w| below 2^24 and w
    within 16 bits, so that float32 computes the sum exactly, in any order and on any device.

    Attributes:
        conv: geometry.
        input_bits: width of a pixel [bit].
        grid_bits: a weight of 1 is the integer 2^grid_bits [bit].
    """

    def __init__(self, conv: Conv, input_bits: int, weights: np.ndarray):
        self.conv = conv
        self.input_bits = input_bits
        self.grid_bits = grid_bits(conv, input_bits)
        self.weights = nnx.Param(jnp.asarray(weights, jnp.float32))
        self.norm = BiasNorm(conv.features)

    @property
    def fraction_bits(self) -> int:
        """Scale of the sum: pixels and weights are read as fractions [bit]."""
        return self.grid_bits + self.input_bits

    def integer_weights(self) -> Filters:
        """Returns the weights on the grid, as integers."""
        real = self.weights[...] * 2.0**self.grid_bits
        return straight_through(real, jnp.round(real))

    def sums(self, x: Map) -> Float[Array, "features y x images"]:
        """Returns the integer sums Σ x·w."""
        return convolve(x, self.integer_weights(), self.conv)

    def __call__(self, x: Map, momentum: Float[Array, ""] | float) -> Float[Array, "features y x images"]:
        """Returns the spikes of a training batch."""
        return spike(self.norm(self.sums(x) * 2.0**-self.fraction_bits, momentum))

    def update(self) -> None:
        """Clips the weights, after a step of the optimizer."""
        self.weights[...] = jnp.clip(self.weights[...], -1, 1)


class TrinaryConv(nnx.Module):
    """An on-chip layer: trinary weights on spikes, spikes out.

    Forward and backward use the trinary weights; the update goes to hidden real weights in [−1, 1], which are
    rounded with hysteresis after each step. The parameter carries its constraint as metadata: `tn_layer` and
    `tn_fan_in`, the inputs of one filter, which must fit a core.

    Attributes:
        conv: geometry.
        hysteresis: h.

    References:
        Esser et al. 2016, PNAS, doi 10.1073/pnas.1604850113.
    """

    def __init__(self, conv: Conv, hysteresis: float, hidden: np.ndarray):
        self.conv = conv
        self.hysteresis = hysteresis
        self.hidden = nnx.Param(jnp.asarray(hidden, jnp.float32), tn_layer=conv.name, tn_fan_in=conv.fan_in)
        rounded = (np.sign(hidden) * (np.abs(hidden) > 0.5)).astype(np.int8)
        self.trinary = TrinaryState(jnp.asarray(rounded))
        self.norm = BiasNorm(conv.features)

    def sums(self, x: Map) -> Float[Array, "features y x images"]:
        """Returns the integer sums Σ x·w."""
        trinary = straight_through(self.hidden[...], self.trinary[...].astype(jnp.float32))
        return convolve(x, trinary, self.conv)

    def __call__(self, x: Map, momentum: Float[Array, ""] | float) -> Float[Array, "features y x images"]:
        """Returns the spikes of a training batch."""
        return spike(self.norm(self.sums(x), momentum))

    def update(self) -> None:
        """Clips the hidden weights and rounds them, after a step of the optimizer."""
        self.hidden[...] = jnp.clip(self.hidden[...], -1, 1)
        self.trinary[...] = trinarize(self.hidden[...], self.trinary[...], self.hysteresis)
