"""The layers of an Eedn net: transduction, trinary convolution, bias-only batch norm and the spike.

Maps are arrays [channel, y, x, image] inside the net: patches, the channel permutation included, are then a gather of
contiguous rows, and a grouped convolution is one batched matrix product, without a transpose.

Spikes and trinary weights are exact in bfloat16, and so are sums of up to 256 of them, so training keeps them there:
half the memory, and twice the speed where a processor multiplies bfloat16. Products are summed in float32. What loses
bits is the gradient on its way from layer to layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int8, Int32

from tncompile.ir import NORM_EPSILON, BatchNorm, Conv
from tncompile.nn.geometry import grid_bits

Map = Float[Array, "channels height width images"]
Filters = Float[Array, "features ky kx inputs"]

EXACT_SUM = 256
"""Integers up to here are exact in bfloat16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a network computes in training.

    Attributes:
        momentum: share of the old value in the running statistics.
        dtype: of maps and of their gradients.
        axis: mesh axis over which the batch is dealt; statistics are those of all its parts. None: not dealt.
        trinary: share of the rounded weight in the weight that is used; the rest is the hidden one.
        dropout: share of spikes that are left out, scaled so that sums keep their mean.
        key: of the dropout's random numbers.
    """

    momentum: Float[Array, ""] | float
    dtype: Any = jnp.bfloat16
    axis: str | None = None
    trinary: Float[Array, ""] | float = 1.0
    dropout: float = 0.0
    key: Array | None = None


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
    return _as_map(_dot(_as_matrix(weights, conv), _patches(x, conv)), conv)


def convolve_through(x: Map, hidden: Filters, weights: Filters, conv: Conv) -> Float[Array, "features y x images"]:
    """Returns the convolution of a map with weights whose gradient goes to the hidden ones, straight through.

    All products and gradients are of the map's type, summed in float32.
    """
    patches = _patches(x, conv)
    return _as_map(_products(_as_matrix(hidden, conv), _as_matrix(weights.astype(x.dtype), conv), patches), conv)


def _as_matrix(weights: Filters, conv: Conv) -> Float[Array, "groups fo fan_in"]:
    return weights.reshape(conv.groups, conv.features_per_group, conv.fan_in)


def _as_map(sums: Float[Array, "groups fo columns"], conv: Conv) -> Float[Array, "features y x images"]:
    width, height, _ = conv.out_shape
    return sums.reshape(conv.features, height, width, -1)


def _patches(x: Map, conv: Conv) -> Float[Array, "groups fan_in columns"]:
    rows = x.reshape(conv.inputs, -1)
    table = patch_rows(conv)
    as_it_is = np.array_equal(table, np.arange(conv.inputs))  # pointwise, and not permuted
    patches = rows if as_it_is else gather_rows(rows, Rows(table, conv.inputs))
    return patches.reshape(conv.groups, conv.fan_in, -1)  # type: ignore[attr-defined]  # custom_vjp hides the type


def _dot(
    a: Float[Array, "groups rows inner"], b: Float[Array, "groups inner columns"]
) -> Float[Array, "groups rows columns"]:
    """Returns the product of each group, summed in float32."""
    return jax.lax.dot_general(
        a,
        b,
        (((2,), (1,)), ((0,), (0,))),
        precision=jax.lax.Precision.HIGHEST,
        preferred_element_type=jnp.float32,
    )


@jax.custom_vjp
def _products(
    hidden: Float[Array, "groups fo fan_in"],
    weights: Float[Array, "groups fo fan_in"],
    patches: Float[Array, "groups fan_in columns"],
) -> Float[Array, "groups fo columns"]:
    """Returns weights times patches; the weights' gradient goes to `hidden`."""
    return _dot(weights, patches)


def _products_backward(
    kept: tuple[Array, Array], gradient: Float[Array, "groups fo columns"]
) -> tuple[Array, None, Array]:
    weights, patches = kept
    gradient = gradient.astype(patches.dtype)
    by_hidden = jax.lax.dot_general(
        gradient,
        patches,
        (((2,), (2,)), ((0,), (0,))),
        precision=jax.lax.Precision.HIGHEST,
        preferred_element_type=jnp.float32,
    )
    return by_hidden, None, _dot(_transposed(weights), gradient).astype(patches.dtype)


_products.defvjp(
    lambda hidden, weights, patches: (_dot(weights, patches), (weights, patches)),
    _products_backward,
)


def _transposed(weights: Float[Array, "groups fo fan_in"]) -> Float[Array, "groups fan_in fo"]:
    """Returns the transpose of each group by a gather.

    XLA folds a plain transpose into the product, and on a CPU computes that form in float32 at half the speed.
    """
    groups, rows, columns = weights.shape
    order = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns).T.reshape(-1)
    return weights.reshape(groups, -1)[:, order].reshape(groups, columns, rows)


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
    lambda rows, _, g: (reduce(jnp.add, (_take(g, uses).astype(jnp.float32) for uses in rows.uses)).astype(g.dtype),),
)


def _take(x: Float[Array, "inputs images"], table: Int32[np.ndarray, " values"]) -> Float[Array, "values images"]:
    taken = x.at[np.maximum(table, 0)].get(mode="promise_in_bounds")
    return taken if table.min() >= 0 else taken * (table >= 0)[:, None].astype(x.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def norm_spike(
    sums: Float[Array, "features columns"], bias: Float[Array, " features"], dtype: Any, kept: Any, axis: str | None
) -> tuple[
    Float[Array, "features columns"], Float[Array, " features"], Float[Array, " features"], Float[Array, " features"]
]:
    """Returns spikes by the batch's statistics, their rate, and the statistics.

    r = (s − μ) / (σ + ε) + b; the spike is 1 where r ≥ 0, else 0, and its surrogate derivative the triangle
    max(0, 1 − |r|). One function with its own derivative, since XLA would else keep half a dozen arrays of the map's
    size for the way back; this keeps the sums.

    Args:
        sums: s.
        bias: b.
        dtype: of the spikes.
        kept: type in which the sums are kept for the way back.
        axis: mesh axis over which columns are dealt.

    Returns:
        Spikes; their mean, differentiable; μ and σ, which pass no gradient.

    References:
        Esser et al. 2016, PNAS, doi 10.1073/pnas.1604850113.
    """
    return _norm_spike(sums, bias, dtype, kept, axis)[0]


def _norm_spike(sums: Array, bias: Array, dtype: Any, kept: Any, axis: str | None) -> tuple[Any, Any]:
    columns = _over(sums.shape[1], axis)
    mean = _over(sums.sum(1), axis) / columns
    # Not the mean of (s − μ)², which takes another pass over the map; s is a sum of few bits, so little cancels.
    variance = jnp.maximum(_over(jnp.square(sums).sum(1), axis) / columns - jnp.square(mean), 0)
    std = jnp.sqrt(variance)
    spikes = _response(sums, mean, std, bias) >= 0
    rate = _over(spikes.sum(1, dtype=jnp.float32), axis) / columns
    return (spikes.astype(dtype), rate, mean, std), (sums.astype(kept), mean, std, bias)


def _norm_spike_backward(dtype: Any, kept: Any, axis: str | None, saved: tuple, gradient: tuple) -> tuple[Array, Array]:
    sums, mean, std, bias = saved
    by_spikes, by_rate, *_ = gradient
    columns = _over(sums.shape[1], axis)
    sums = sums.astype(jnp.float32)
    triangle = jnp.maximum(0, 1 - jnp.abs(_response(sums, mean, std, bias)))
    by_response = triangle * (by_spikes.astype(jnp.float32) + (_over(by_rate, axis) / columns)[:, None])
    by_bias = by_response.sum(1)
    total = _over(by_bias, axis)
    by_scale = _over((by_response * sums).sum(1), axis) - mean * total
    scale = 1 / (std + NORM_EPSILON)
    # The square root has no derivative at 0, where a filter's sum never changes.
    slope = jnp.where(std == 0, 0, by_scale * jnp.square(scale) / (columns * jnp.where(std == 0, 1, std)))
    offset = slope * mean - total * scale / columns
    return by_response * scale[:, None] - sums * slope[:, None] + offset[:, None], by_bias


norm_spike.defvjp(_norm_spike, _norm_spike_backward)


def _response(sums: Array, mean: Array, std: Array, bias: Array) -> Float[Array, "features columns"]:
    scale = 1 / (std + NORM_EPSILON)
    return sums * scale[:, None] + (bias - mean * scale)[:, None]


def _over(value: Any, axis: str | None) -> Any:
    """Returns the sum over all parts of a batch."""
    return value if axis is None else jax.lax.psum(value, axis)


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
        self, sums: Float[Array, "features y x images"], training: Training, kept: Any
    ) -> tuple[Float[Array, "features y x images"], Float[Array, " features"]]:
        """Returns spikes by the batch's statistics, and their rate; the running statistics follow.

        Args:
            sums: s.
            training: how.
            kept: type in which sums are exact, or kept for the gradient all the same.
        """
        flat = sums.reshape(len(sums), -1)
        normed = norm_spike(flat, self.bias[...], training.dtype, kept, training.axis)
        spikes, rate, mean, std = cast(tuple[Array, Array, Array, Array], normed)  # custom_vjp hides the type
        share = training.momentum
        self.mean[...] = share * self.mean[...] + (1 - share) * jax.lax.stop_gradient(mean)
        self.std[...] = share * self.std[...] + (1 - share) * jax.lax.stop_gradient(std)
        return spikes.reshape(sums.shape), rate

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

    def __call__(self, x: Map, training: Training) -> tuple[Float[Array, "features y x images"], Float[Array, " f"]]:
        """Returns the spikes of a training batch, and their rates."""
        return self.norm(self.sums(x) * 2.0**-self.fraction_bits, training, jnp.float32)

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

    def sums(self, x: Map, trinary: Float[Array, ""] | float = 1.0) -> Float[Array, "features y x images"]:
        """Returns the sums Σ x·w, integers.

        Args:
            x: spikes.
            trinary: share of the trinary weight in w; the rest is the hidden one, and sums are not integers then.
        """
        hidden = self.hidden[...]
        weights = self.trinary[...].astype(jnp.float32)
        if not (isinstance(trinary, float) and trinary == 1.0):
            weights = trinary * weights + (1 - trinary) * hidden
        return convolve_through(x, hidden, jax.lax.stop_gradient(weights), self.conv)

    def __call__(self, x: Map, training: Training) -> tuple[Float[Array, "features y x images"], Float[Array, " f"]]:
        """Returns the spikes of a training batch, and their rates."""
        kept = training.dtype if self.conv.fan_in <= EXACT_SUM else jnp.float32
        return self.norm(self.sums(x, training.trinary), training, kept)

    def update(self) -> None:
        """Clips the hidden weights and rounds them, after a step of the optimizer."""
        self.hidden[...] = jnp.clip(self.hidden[...], -1, 1)
        self.trinary[...] = trinarize(self.hidden[...], self.trinary[...], self.hysteresis)
