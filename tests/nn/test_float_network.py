"""The float network: inference as NumPy computes it, gradients where inputs are silent, statistics over devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tncompile.config.net import NetConfig
from tncompile.nn.float_network import FloatConv, FloatNetwork, build_float_network
from tncompile.nn.layers import Training

FLOAT32 = Training(momentum=0.0, dtype=np.dtype("float32"))


def make(layers: str = "S-6 S-12(2) P-18(2)") -> FloatNetwork:
    net = NetConfig.model_validate({"layers": layers, "kind": "float"})
    return build_float_network(net, in_shape=(6, 6, 1), input_bits=4, classes=3, seed=0)


def images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 16, (n, 6, 6, 1)).astype(np.uint8)


def slow_layer(x: np.ndarray, layer: FloatConv) -> np.ndarray:
    """Returns the responses [image, y, x, feature], one position and feature at a time."""
    conv, weights = layer.conv, np.asarray(layer.weights[...], np.float64)
    x = np.pad(x[..., conv.permutation], [(0, 0), (conv.padding[1],) * 2, (conv.padding[0],) * 2, (0, 0)])
    (width, height, features), per_group = conv.out_shape, conv.inputs_per_group
    sums = np.zeros((len(x), height, width, features))
    for f in range(features):
        first = f // conv.features_per_group * per_group
        for row in range(height):
            for column in range(width):
                y0, x0 = row * conv.stride[1], column * conv.stride[0]
                patch = x[:, y0 : y0 + conv.kernel[1], x0 : x0 + conv.kernel[0], first : first + per_group]
                sums[:, row, column, f] = (patch * weights[f]).sum((1, 2, 3))
    mean, std, bias = (np.asarray(tensor[...], np.float64) for tensor in (layer.mean, layer.std, layer.bias))
    return (sums - mean) / std + bias


def slow_scores(network: FloatNetwork, x: np.ndarray) -> np.ndarray:
    y = x / 2.0**network.input_bits
    for index, layer in enumerate(network.layers):
        y = slow_layer(np.maximum(y, 0) if index else y, layer)
    feature_class = network.readout.feature_class
    return np.stack([y[..., feature_class == c].mean((1, 2, 3)) for c in range(network.readout.classes)], 1)


def test_inference_is_that_of_numpy() -> None:
    network, x = make(), images(40)
    network.training_scores(x, FLOAT32)  # takes over the statistics of these images
    for layer in network.layers:
        layer.bias[...] = jnp.asarray(np.random.default_rng(1).normal(0, 0.2, layer.conv.features), jnp.float32)
    scores, arrays = network.scorer()
    found, expected = np.asarray(scores(arrays, x)), slow_scores(network, x)
    np.testing.assert_allclose(found, expected, atol=0.03)  # bfloat16 has 8 bits
    np.testing.assert_array_equal(network.classify(x), found.argmax(1))
    assert len(set(found.argmax(1))) > 1


def test_statistics_are_those_of_the_batch() -> None:
    network, x = make(), images(40)
    by_batch, _ = network.training_scores(x, FLOAT32)
    np.testing.assert_allclose(by_batch, slow_scores(network, x), atol=1e-4)


def test_silent_inputs_have_finite_gradients() -> None:
    graphdef, params, others = nnx.split(make(), nnx.Param, ...)

    def loss(params):
        scores, _ = nnx.merge(graphdef, params, others, copy=True).training_scores(
            np.zeros((4, 6, 6, 1), "u1"), FLOAT32
        )
        return scores.sum()

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(loss)(params)))


def test_convs_name_all_layers() -> None:
    assert [conv.name for conv in make().convs] == ["transduction", "conv0", "conv1"]
