"""Layers against slow references: rounding, surrogate, convolution, batch norm."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tncompile.ir import BatchNorm, Conv
from tncompile.nn.fold import spikes, thresholds
from tncompile.nn.layers import (
    BiasNorm,
    Rows,
    Training,
    convolve,
    convolve_through,
    gather_rows,
    norm_spike,
    straight_through,
    trinarize,
)


def round_one(hidden: float, previous: int, h: float) -> int:
    """The rule of Esser 2016, a weight at a time, in single precision."""
    upper, lower = np.float32(0.5 + h), np.float32(0.5 - h)
    if hidden < -upper:
        return -1
    if hidden > upper:
        return 1
    if -lower < hidden < lower:
        return 0
    return previous


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.25]))
def test_hysteresis_is_the_scalar_rule(seed: int, h: float) -> None:
    rng = np.random.default_rng(seed)
    edges = np.array([s * (0.5 + t * h) for s in (-1, 1) for t in (-1, 0, 1)], np.float32)
    hidden = np.concatenate([edges, np.nextafter(edges, 2), np.nextafter(edges, -2), rng.uniform(-1, 1, 40)])
    hidden = hidden.astype(np.float32)
    previous = rng.integers(-1, 2, hidden.shape).astype(np.int8)
    expected = [round_one(w, p, h) for w, p in zip(hidden, previous, strict=True)]
    np.testing.assert_array_equal(jax.jit(trinarize, static_argnums=2)(hidden, previous, h), expected)


def test_hysteresis_remembers() -> None:
    path = [0.0, 0.55, 0.61, 0.45, 0.39, 0.59, -0.61, -0.41, 0.55, 0.61]
    state, seen = jnp.zeros(1, jnp.int8), []
    for hidden in path:
        state = trinarize(jnp.full(1, hidden), state, 0.1)
        seen.append(int(state[0]))
    assert seen == [0, 0, 1, 1, 0, 0, -1, -1, -1, 1]


@jax.custom_jvp
def spike(r: jax.Array) -> jax.Array:
    """The paper's spike, on its own: 1 where r ≥ 0, with the triangle as its derivative."""
    return (r >= 0).astype(r.dtype)


@spike.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return spike(primals[0]), tangents[0] * jnp.maximum(0, 1 - jnp.abs(primals[0]))


def plain_norm_spike(sums: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Spikes and rates by the formulas, differentiated by JAX."""
    mean = sums.mean(1)
    std = jnp.sqrt(jnp.square(sums - mean[:, None]).mean(1))
    spikes = spike((sums - mean[:, None]) / (std[:, None] + 1e-4) + bias[:, None])
    return spikes, spikes.mean(1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_norm_and_spike_have_the_derivative_of_their_formulas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums = jnp.asarray(rng.integers(-20, 30, (5, 64)), jnp.float32)
    bias = jnp.asarray(rng.normal(0, 0.5, 5), jnp.float32)
    g = jnp.asarray(rng.normal(size=(5, 64)), jnp.float32), jnp.asarray(rng.normal(size=5), jnp.float32)
    ours, back = jax.vjp(lambda s, b: norm_spike(s, b, jnp.float32, jnp.bfloat16, None)[:2], sums, bias)
    theirs, plain_back = jax.vjp(plain_norm_spike, sums, bias)
    near = jnp.abs((sums - sums.mean(1)[:, None]) / sums.std(1)[:, None] + bias[:, None]) < 1e-4  # rounding decides
    assert bool(jnp.all((ours[0] == theirs[0]) | near))
    np.testing.assert_allclose(ours[1], theirs[1], atol=float(near.mean()) + 1e-6)
    for mine, expected in zip(back(g), plain_back(g), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=2e-3, atol=2e-3)


def test_the_spike_is_at_the_threshold_and_its_triangle_is_one_wide() -> None:
    # Mean 0 and deviation 1 (less ε), so r is the sum itself.
    sums = jnp.array([[-1.0, 1.0, -1.0, 1.0]]) * (1 + 1e-4)
    for bias, expected, slope in ((0.0, [0, 1, 0, 1], 0.0), (1.0, [1, 1, 1, 1], 1.0), (-1.5, [0, 0, 0, 0], 0.5)):
        spikes, rate, mean, std = norm_spike(sums, jnp.array([bias]), jnp.bfloat16, jnp.float32, None)
        assert spikes.dtype == jnp.bfloat16
        np.testing.assert_array_equal(spikes[0], expected)
        assert rate[0] == np.mean(expected)
        np.testing.assert_allclose([mean[0], std[0]], [0, 1 + 1e-4], atol=1e-6)
        by_bias = jax.grad(lambda b: norm_spike(sums, b, jnp.float32, jnp.float32, None)[0][0, :2].sum())(
            jnp.array([bias])
        )
        np.testing.assert_allclose(by_bias[0], slope, atol=3e-4)


def test_straight_through_takes_the_value_and_passes_the_gradient() -> None:
    hidden, value = jnp.array([0.1, -0.7]), jnp.array([0.0, -1.0])
    np.testing.assert_array_equal(straight_through(hidden, value), value)
    by_hidden, by_value = jax.grad(lambda h, v: (straight_through(h, v) ** 2).sum(), (0, 1))(hidden, value)
    np.testing.assert_array_equal(by_hidden, 2 * value)
    np.testing.assert_array_equal(by_value, 0)


@st.composite
def convs(draw: st.DrawFn) -> Conv:
    groups = draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = tuple(draw(st.integers(0, k - 1)) for k in kernel)
    width, height = (draw(st.integers(max(1, k - 2 * p), 7)) for k, p in zip(kernel, padding, strict=True))
    channels = groups * draw(st.integers(1, 3))
    return Conv(
        name="conv",
        in_shape=(width, height, channels),
        kernel=kernel,
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=(padding[0], padding[1]),
        features=groups * draw(st.integers(1, 3)),
        groups=groups,
        permutation=np.array(draw(st.permutations(range(channels))), np.int32),
    )


def defined(x: jax.Array, weights: jax.Array, conv: Conv) -> jax.Array:
    """The grouped convolution as it is defined, a kernel's tap after the other.

    XLA's own is no oracle: its compiler ends the process on some gradients, as of strides beyond the map.
    """
    (py, px), (sy, sx) = conv.padding[::-1], conv.stride[::-1]
    width, height, _ = conv.out_shape
    padded = jnp.pad(x[conv.permutation], ((0, 0), (py, py), (px, px), (0, 0)))
    groups = padded.reshape(conv.groups, -1, *padded.shape[1:])
    filters = weights.reshape(conv.groups, -1, *weights.shape[1:])
    y = jnp.zeros((conv.groups, filters.shape[1], height, width, x.shape[-1]))
    for ky, kx in np.ndindex(weights.shape[1:3]):
        taps = groups[:, :, ky : ky + sy * height : sy, kx : kx + sx * width : sx][:, :, :height, :width]
        y += jnp.einsum("gcyxn,gfc->gfyxn", taps, filters[:, :, ky, kx])
    return y.reshape(conv.features, height, width, x.shape[-1])


POINTWISE = Conv(
    name="conv",
    in_shape=(2, 3, 3),
    kernel=(1, 1),
    stride=(1, 1),
    padding=(0, 0),
    features=2,
    groups=1,
    permutation=np.array([2, 0, 1], np.int32),
)
"""Its patches are the map but for the permutation."""


@settings(max_examples=15, deadline=None)
@example(POINTWISE, 0)
@given(convs(), st.integers(0, 2**32 - 1))
def test_convolution_and_its_gradients_are_those_of_the_definition(conv: Conv, seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, height, channels = conv.in_shape
    x = jnp.asarray(rng.integers(-3, 4, (channels, height, width, 2)), jnp.float32)
    weights = jnp.asarray(rng.integers(-1, 2, conv.weight_shape), jnp.float32)
    out_x, out_y, features = conv.out_shape
    g = jnp.asarray(rng.integers(-3, 4, (features, out_y, out_x, 2)), jnp.float32)

    @jax.jit
    def results(x: jax.Array, w: jax.Array, g: jax.Array) -> list[tuple[jax.Array, ...]]:
        both = []
        for function in (convolve, defined):
            y, back = jax.vjp(lambda x, w, function=function: function(x, w, conv), x, w)
            both.append((y, *back(g)))
        return both

    for ours, theirs in zip(*results(x, weights, g), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=15, deadline=None)
@given(convs(), st.integers(0, 2**32 - 1), st.sampled_from([jnp.float32, jnp.bfloat16]))
def test_gradients_go_through_to_the_hidden_weights(conv: Conv, seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    width, height, channels = conv.in_shape
    x = jnp.asarray(rng.integers(0, 2, (channels, height, width, 2)), dtype)
    trinary = jnp.asarray(rng.integers(-1, 2, conv.weight_shape), jnp.float32)
    hidden = jnp.asarray(rng.uniform(-1, 1, conv.weight_shape), jnp.float32)
    out_x, out_y, features = conv.out_shape
    g = jnp.asarray(rng.integers(-3, 4, (features, out_y, out_x, 2)), jnp.float32)
    y, back = jax.vjp(lambda x, h: convolve_through(x, h, trinary, conv), x, hidden)
    expected, plain_back = jax.vjp(lambda x, w: convolve(x, w, conv), x.astype(jnp.float32), trinary)
    np.testing.assert_array_equal(y, expected)  # small integers: exact in either type
    for ours, theirs in zip(back(g), plain_back(g), strict=True):
        np.testing.assert_array_equal(ours.astype(jnp.float32), theirs)


def test_rows_know_every_use() -> None:
    rows = Rows(np.array([2, -1, 0, 2, 2], np.int32), 4)
    np.testing.assert_array_equal(rows.uses, [[2, -1, 0, -1], [-1, -1, 3, -1], [-1, -1, 4, -1]])
    x = jnp.arange(8.0).reshape(4, 2) + 1
    np.testing.assert_array_equal(gather_rows(x, rows), np.array([[5, 6], [0, 0], [1, 2], [5, 6], [5, 6]]))


def test_batch_norm_follows_its_batches() -> None:
    norm = BiasNorm(2)
    sums = jnp.asarray(np.random.default_rng(0).normal(3, 2, (2, 4, 4, 8)), jnp.float32)
    spikes, rate = norm(sums, Training(momentum=0.75, dtype=jnp.float32), jnp.float32)
    mean, std = np.asarray(sums).mean((1, 2, 3)), np.asarray(sums).std((1, 2, 3))
    np.testing.assert_array_equal(spikes, np.asarray(sums) >= mean[:, None, None, None])
    np.testing.assert_allclose(rate, np.asarray(spikes).mean((1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(norm.mean[...], 0.25 * mean, rtol=1e-5)
    np.testing.assert_allclose(norm.std[...], 0.75 + 0.25 * std, rtol=1e-5)


def test_a_constant_sum_has_a_finite_gradient() -> None:
    sums = jnp.stack([jnp.full(12, 4.0), jnp.arange(12.0)])
    gradient = jax.grad(lambda s: norm_spike(s, jnp.zeros(2), jnp.float32, jnp.float32, None)[0][:, 3:].sum())(sums)
    assert np.isfinite(gradient).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_threshold_is_the_least_sum_that_spikes_also_at_ties(seed: int, fraction_bits: int) -> None:
    rng = np.random.default_rng(seed)
    limit, features = 300, 64
    mean = rng.normal(0, 20, features).astype(np.float32)
    std = rng.choice([0, 1e-6, 0.1, 1, 7, 50], features).astype(np.float32)
    scale = np.float32(2.0**-fraction_bits)
    # Biases that make r exactly 0, or one unit in the last place off, at an integer sum.
    tie = rng.integers(-limit, limit + 1, features).astype(np.float32) * scale
    bias = -((tie - mean) / (std + np.float32(1e-4)))
    bias = np.where(rng.random(features) < 0.5, bias, np.nextafter(bias, rng.choice([-np.inf, np.inf], features)))
    norm = BatchNorm(mean=mean, std=std, bias=bias.astype(np.float32))
    sums = np.arange(-limit, limit + 1)
    fires = np.array([spikes(norm, np.full(features, s, np.float32) * scale) for s in sums])
    expected = np.where(fires.any(axis=0), sums[fires.argmax(axis=0)], limit + 1)
    assert (np.diff(fires.astype(int), axis=0) >= 0).all()
    np.testing.assert_array_equal(thresholds(norm, fraction_bits, limit), expected)


@pytest.mark.parametrize(("bias", "expected"), [(1e30, -5), (-1e30, 6)])
def test_threshold_of_a_feature_that_always_or_never_spikes(bias: float, expected: int) -> None:
    one = np.ones(1, np.float32)
    assert thresholds(BatchNorm(mean=one, std=one, bias=np.float32(bias) * one), 0, 5) == expected
