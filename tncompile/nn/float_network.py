"""The network with real weights and ReLU in place of trinary weights and spikes: a teacher, which no chip takes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from tncompile.config.net import NetConfig
from tncompile.ir import Conv, Readout
from tncompile.nn.geometry import geometry
from tncompile.nn.layers import Map, RunningStatistic, Training, convolve_through
from tncompile.nn.network import Pixels, Scorer, channel_major, class_means, dropped, image_batches
from tncompile.nn.readout import assign_features

EPSILON = 1e-5
"""Added to the variance, so that a filter whose inputs are all 0 has a gradient."""

_WEIGHTS = 5
"""Keeps the random stream of the weights apart from those of the other networks."""


class FloatConv(nnx.Module):
    """A grouped convolution with real weights, and batch norm without gain.

    Attributes:
        conv: geometry.
    """

    def __init__(self, conv: Conv, weights: np.ndarray):
        self.conv = conv
        self.weights = nnx.Param(jnp.asarray(weights, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(conv.features))
        self.mean = RunningStatistic(jnp.zeros(conv.features))
        self.std = RunningStatistic(jnp.ones(conv.features))

    def __call__(self, x: Map, training: Training | None) -> Float[Array, "features y x images"]:
        """Returns the responses: by the statistics of the batch, which the running ones follow, or by these.

        Args:
            x: inputs, whose type the products are of.
            training: how; None: in inference mode.
        """
        weights = self.weights[...]
        sums = convolve_through(x, weights, jax.lax.stop_gradient(weights), self.conv)
        if training is None:
            mean, std = self.mean[...], self.std[...]
        else:
            mean = _mean(sums, training.axis)
            std = jnp.sqrt(_mean(jnp.square(sums - _wide(mean)), training.axis) + EPSILON)
            share = training.momentum
            self.mean[...] = share * self.mean[...] + (1 - share) * jax.lax.stop_gradient(mean)
            self.std[...] = share * self.std[...] + (1 - share) * jax.lax.stop_gradient(std)
        return (sums - _wide(mean)) / _wide(std) + _wide(self.bias[...])


class FloatNetwork(nnx.Module):
    """A teacher: the layers of an Eedn net with real weights and ReLU; the last layer has neither spike nor ReLU.

    The score of a class is the mean response of its features.

    Attributes:
        layers: all layers, the first one on pixels as fractions.
        input_bits: width of a pixel [bit].
        readout: which class each feature of the last layer votes for.
    """

    def __init__(self, layers: list[FloatConv], input_bits: int, readout: Readout):
        self.layers = nnx.List(layers)
        self.input_bits = input_bits
        self.readout = readout

    @property
    def convs(self) -> tuple[Conv, ...]:
        """Geometry of all layers."""
        return tuple(layer.conv for layer in self.layers)

    def training_scores(
        self, x: Pixels | Array, training: Training
    ) -> tuple[Float[Array, "images classes"], list[Float[Array, "..."]]]:
        """Returns the class scores by batch statistics; and no mean activations, which nothing presses on here.

        Args:
            x: pixels.
            training: how; the share of trinary weights is of no meaning here.
        """
        return self._scores(x, training.dtype, training), []

    def classify(self, x: Pixels) -> Int[np.ndarray, " images"]:
        """Returns the class of each image in inference mode."""
        scores, arrays = self.scorer()
        parts = [np.asarray(scores(arrays, batch).argmax(1))[:images] for batch, images in image_batches(x)]
        return np.concatenate(parts)

    def scorer(self) -> Scorer:
        """Returns how class scores are computed in inference mode, in bfloat16."""
        graphdef, state = nnx.split(self)
        return Scorer(partial(_inference_scores, graphdef), state)

    def tensors(self) -> Iterator[tuple[str, nnx.Variable]]:
        """Yields every tensor with its name, `layer/tensor`, in the order of the layers."""
        for layer in self.layers:
            tensors = {"weights": layer.weights, "mean": layer.mean, "std": layer.std, "bias": layer.bias}
            for name, tensor in tensors.items():
                yield f"{layer.conv.name}/{name}", tensor

    def update(self) -> None:
        """Leaves the weights as the optimizer left them: nothing is clipped or rounded."""

    def _scores(self, x: Pixels | Array, dtype: Any, training: Training | None) -> Float[Array, "images classes"]:
        y = channel_major(x) * 2.0**-self.input_bits
        for index, layer in enumerate(self.layers):
            if index:
                y = jnp.maximum(y, 0)
                y = y if training is None else dropped(y, training, index)
            y = layer(y.astype(dtype), training)
        return class_means(y, self.readout)


def build_float_network(
    net: NetConfig, *, in_shape: tuple[int, int, int], input_bits: int, classes: int, seed: int
) -> FloatNetwork:
    """Returns a network with freshly drawn weights.

    Args:
        net: its layers.
        in_shape: width, height and channels of the images.
        input_bits: width of a pixel [bit].
        classes: how many there are to tell apart.
        seed: of the permutations and the weights.

    Raises:
        ConfigError: the layers do not fit one another, the images or the classes.
    """
    convs = geometry(net, in_shape=in_shape, classes=classes, seed=seed)
    readout = Readout(classes=classes, feature_class=assign_features(convs[-1].features, classes))
    rngs = (np.random.default_rng([seed, _WEIGHTS, index]) for index in range(len(convs)))
    layers = [
        FloatConv(conv, rng.normal(0, np.sqrt(2 / conv.fan_in), conv.weight_shape))
        for conv, rng in zip(convs, rngs, strict=True)
    ]
    return FloatNetwork(layers, input_bits, readout)


@partial(jax.jit, static_argnums=0)
def _inference_scores(graphdef: nnx.GraphDef, state: Any, x: Array) -> Float[Array, "images classes"]:
    return nnx.merge(graphdef, state)._scores(x, jnp.bfloat16, None)


def _mean(sums: Map, axis: str | None) -> Float[Array, " features"]:
    mean = sums.mean((1, 2, 3))
    return mean if axis is None else jax.lax.pmean(mean, axis)


def _wide(features: Float[Array, " features"]) -> Float[Array, "features 1 1 1"]:
    return features[:, None, None, None]
