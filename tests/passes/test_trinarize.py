"""trinarize: rounding with hysteresis and the exact batch-norm fold."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_nets import nets, random_images, random_net, random_norm

from passes.trinarize import TrinarizeConfig, round_weights, smallest_sum, trinarize
from tncompile.arch import TRUENORTH, ChipArch
from tncompile.errors import CapacityError
from tncompile.ir import NORM_EPSILON, BatchNorm
from tncompile.reference import evaluate


def rounded(hidden: float, previous: int, hysteresis: float) -> int:
    """The rule, for one weight, as the paper's text has it."""
    low, high = np.float32(0.5 - hysteresis), np.float32(0.5 + hysteresis)
    if hidden < -high:
        return -1
    if -low < hidden < low:
        return 0
    if hidden > high:
        return 1
    return previous


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.0625, 0.1, 0.3]))
@settings(max_examples=30, deadline=None)
def test_rounding_follows_the_rule(seed, hysteresis):
    rng = np.random.default_rng(seed)
    hidden = rng.uniform(-1, 1, 200).astype(np.float32)
    hidden[:4] = np.float32([0.5 - hysteresis, 0.5 + hysteresis, -0.5 - hysteresis, -0.5 + hysteresis])
    previous = rng.integers(-1, 2, 200).astype(np.int8)
    expected = [rounded(h, p, hysteresis) for h, p in zip(hidden, previous, strict=True)]
    np.testing.assert_array_equal(round_weights(hidden, previous, hysteresis), expected)
    again = round_weights(hidden, round_weights(hidden, previous, hysteresis), hysteresis)
    np.testing.assert_array_equal(again, expected, err_msg="rounding twice is rounding once")


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 3, 11]))
@settings(max_examples=60, deadline=None)
def test_fold_is_exact_at_every_sum(seed, fraction_bits):
    """Every integer sum within reach spikes by the float32 rule if and only if it spikes by the integer one."""
    rng = np.random.default_rng(seed)
    features, reach = 40, 200
    scale = np.float32(2.0**-fraction_bits)
    norm = random_norm(rng, features, spread=float(30 * scale), step=float(scale))
    lowest = -rng.integers(0, reach, features)
    highest = rng.integers(0, reach, features)
    first = smallest_sum(norm, lowest, highest, fraction_bits)
    for f in range(features):
        sums = np.arange(lowest[f], highest[f] + 1)
        r = (sums.astype(np.float32) * scale - norm.mean[f]) / (norm.std[f] + np.float32(NORM_EPSILON)) + norm.bias[f]
        np.testing.assert_array_equal(sums >= first[f], r >= 0)


@pytest.mark.parametrize(("mean", "std", "bias"), [(3, 1, 0), (-2, 2, 1), (0, 0, 0), (5, 4, -1), (1, 0, 0)])
def test_integer_ties_spike(mean, std, bias):
    """r = 0 is a spike: with σ + ε an integer the tie falls on an integer sum, where the paper's formula holds."""
    epsilon = np.float32(NORM_EPSILON)
    sigma = np.float32(std) - epsilon if std else np.float32(0)
    norm = BatchNorm(mean=np.float32([mean]), std=np.float32([sigma]), bias=np.float32([bias]))
    first = int(smallest_sum(norm, np.array([-50]), np.array([50]), 0)[0])
    bound = Fraction(mean) - Fraction(bias) * Fraction(float(sigma + epsilon))
    assert first == -(-bound.numerator // bound.denominator), "the smallest integer that is not below the bound"


@given(nets(inputs=16), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_spikes_stay_the_same(net, seed):
    images = random_images(net, 4, seed)
    trinary = trinarize(net, TRUENORTH, TrinarizeConfig(), seed=0)
    np.testing.assert_array_equal(evaluate(trinary, TRUENORTH, images), evaluate(net, TRUENORTH, images))


def test_sums_that_would_saturate_are_refused():
    net = random_net(0, inputs=64, layers=2)
    with pytest.raises(CapacityError, match=r"reach -8 to 16, the potential saturates at -8 and 7 \("):
        trinarize(net, ChipArch(potential_bits=4), TrinarizeConfig(), seed=0)


def test_leak_beyond_the_chip_is_refused():
    net = random_net(5, inputs=16, layers=2)
    narrow = ChipArch(leak_bits=2)
    with pytest.raises(
        CapacityError, match=r"layer layer\d, feature \d+: needs a leak of -?\d+, the chip's reach is ±1"
    ):
        trinarize(net, narrow, TrinarizeConfig(), seed=0)
