"""The network's oracle against its definition, value by value."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_nets import random_images, random_net

from tncompile.errors import SimulationError
from tncompile.ir import BatchNorm, Host
from tncompile.reference.net import convolve, input_bits, logical_spikes, norm_spikes, round_trinary


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_convolve_is_the_sum_over_each_filters_taps(seed: int) -> None:
    net = random_net(seed, size=5, features=6)
    rng = np.random.default_rng(seed)
    for layer in net.layers:
        conv = layer.conv
        width, height, channels = conv.in_shape
        maps = rng.integers(-3, 4, (2, height, width, channels))
        weights = rng.integers(-3, 4, conv.weight_shape)
        expected = np.zeros((2, conv.out_shape[1], conv.out_shape[0], conv.features), np.int64)
        for y, x, feature in np.ndindex(expected.shape[1:]):
            group = feature // conv.features_per_group
            for ky, kx, i in np.ndindex(conv.weight_shape[1:]):
                in_y, in_x = y * conv.stride[1] + ky - conv.padding[1], x * conv.stride[0] + kx - conv.padding[0]
                if 0 <= in_y < height and 0 <= in_x < width:
                    channel = conv.permutation[group * conv.inputs_per_group + i]
                    expected[:, y, x, feature] += maps[:, in_y, in_x, channel] * weights[feature, ky, kx, i]
        assert (convolve(conv, maps, weights) == expected).all()


def test_norm_rounds_each_operation_to_float32() -> None:
    # (16777216 − 1) / 1 + b: the difference is exact, adding 0.25 is not; and a tie at r = 0 spikes
    norm = BatchNorm(
        mean=np.array([1, 2, 2], np.float32),
        std=np.array([1, 0, 0], np.float32),
        bias=np.array([-16777215.25, 0, -1e-8], np.float32),
    )
    assert norm_spikes(norm, np.array([[16777216, 2, 2]], np.float32)).tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("hidden", "previous", "rounded"),
    [
        (0.61, 0, 1), (0.59, 0, 0), (0.59, 1, 1), (0.41, 1, 1), (0.39, 1, 0), (0.0, 1, 0), (0.0, -1, 0),
        (-0.39, -1, 0), (-0.41, -1, -1), (-0.59, 0, 0), (-0.61, 0, -1), (-0.61, 1, -1), (1.0, -1, 1),
        (0.6, 0, 0), (0.6, 1, 1), (0.4, 1, 1), (0.4, 0, 0), (-0.4, -1, -1), (-0.6, 0, 0),
    ],
)  # fmt: skip
def test_weights_round_with_hysteresis(hidden: float, previous: int, rounded: int) -> None:
    layer = random_net(0, layers=1).layers[0]
    layer = dataclasses.replace(
        layer,
        hysteresis=0.1,
        hidden=np.full_like(layer.hidden, hidden),
        trinary=np.full_like(layer.trinary, previous),
    )
    assert (round_trinary(layer) == rounded).all()
    again = dataclasses.replace(layer, trinary=round_trinary(layer))
    assert (round_trinary(again) == rounded).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_host_threshold_decides_like_the_batch_norm(seed: int) -> None:
    """The smallest sum that spikes in float32, found by trying them all, gives the same bits."""
    net = random_net(seed, layers=1, size=4)
    transduction = dataclasses.replace(net.transduction, input_bits=1)
    net = dataclasses.replace(net, transduction=transduction)
    images = random_images(net, 6, seed)
    reach = int(np.abs(transduction.weights).sum(axis=(1, 2, 3)).max())
    sums = np.arange(-reach, reach + 2)
    spikes = norm_spikes(
        transduction.norm,
        (sums.astype(np.float32) * np.float32(2.0**-transduction.fraction_bits))[:, None].repeat(
            transduction.conv.features, axis=1
        ),
    )
    threshold = np.where(spikes.any(axis=0), sums[spikes.argmax(axis=0)], reach + 1)
    host = Host(
        conv=transduction.conv, weights=transduction.weights, threshold=threshold, input_bits=1,
        out_shape=net.layers[-1].conv.out_shape, readout=net.readout,
    )  # fmt: skip
    assert (input_bits(host, images) == input_bits(net, images)).all()


def test_wrong_images_are_refused() -> None:
    net = random_net(1)
    images = random_images(net, 2, 0)
    with pytest.raises(SimulationError, match="images of shape"):
        logical_spikes(net, images[:, :, :, :0])
    with pytest.raises(SimulationError, match="a pixel of"):
        logical_spikes(net, np.full(images.shape, 1 << net.transduction.input_bits, np.uint32))
