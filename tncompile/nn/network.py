"""The trainable network, its construction and its exact inference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt16

from tncompile.arch import ChipArch
from tncompile.config.net import NetConfig
from tncompile.errors import InternalError
from tncompile.ir import SCHEMES, Conv, Readout, SpikeCounts, check_fan_in
from tncompile.nn.fold import thresholds
from tncompile.nn.geometry import geometry
from tncompile.nn.layers import Map, Training, TransductionConv, TrinaryConv
from tncompile.nn.readout import assign_features, winner

INIT_RANGE = 1.06
"""Hidden weights start uniform in ±1.06, clipped to ±1: 53 % of the trinary ones are then not 0, as in trained nets."""

INFERENCE_BATCH = 256
"""Images that inference takes at a time."""

_WEIGHTS, _BIASES = 2, 3
"""Keep the random streams of weights and biases apart from that of the permutations."""

Pixels = UInt8[np.ndarray, "images height width channels"] | UInt16[np.ndarray, "images height width channels"]


class Scorer(NamedTuple):
    """How class scores are computed in inference mode, for use within another jitted function.

    Attributes:
        scores: of the arrays and pixels [image, y, x, channel] to scores [image, class].
        arrays: what it computes with.
    """

    scores: Callable[[Any, Pixels | Array], Float[Array, "images classes"]]
    arrays: Any


class Network(nnx.Module):
    """An Eedn net: transduction, trinary layers, class readout.

    Called, it is in inference mode and exact: its spikes are those of the float32 batch-norm rule of NumPy, bit for
    bit, on any device. `training_scores` is the differentiable form.

    Attributes:
        transduction: the first layer.
        layers: the on-chip layers.
        readout: which class each feature of the last layer votes for.
    """

    def __init__(self, transduction: TransductionConv, layers: list[TrinaryConv], readout: Readout):
        self.transduction = transduction
        self.layers = nnx.List(layers)
        self.readout = readout

    @property
    def convs(self) -> tuple[Conv, ...]:
        """Geometry of all layers, the transduction's first."""
        return (self.transduction.conv, *(layer.conv for layer in self.layers))

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Width, height and features of the output map."""
        return self.layers[-1].conv.out_shape

    @property
    def class_sizes(self) -> Int[np.ndarray, " classes"]:
        """Features that vote for each class."""
        return _class_sizes(self.readout)

    def training_scores(
        self, x: Pixels | Array, training: Training
    ) -> tuple[Float[Array, "images classes"], list[Float[Array, "..."]]]:
        """Returns the class scores by batch statistics, and each layer's mean activations, one a feature.

        Updates the running statistics; differentiable by the surrogate.

        Args:
            x: pixels; mixed ones need not be integers.
            training: how.
        """
        y, rate = self.transduction(channel_major(x), training)
        rates = [rate]
        for index, layer in enumerate(self.layers):
            y, rate = layer(dropped(y, training, index), training)
            rates.append(rate)
        return class_means(y.astype(jnp.float32), self.readout), rates

    def __call__(self, x: Pixels) -> Float[np.ndarray, "images classes"]:
        """Returns the class scores in inference mode: the mean of the bits of each class's features."""
        width, height, _ = self.out_shape
        return (self.counts(x) / (self.class_sizes * width * height)).astype(np.float32)

    def counts(self, x: Pixels) -> Int[np.ndarray, "images classes"]:
        """Returns each class's output spikes in inference mode."""
        return self._in_batches(_counts, x)

    def classify(self, x: Pixels) -> Int[np.ndarray, " images"]:
        """Returns the class of each image, the lowest of equals; the decision is exact."""
        return winner(self.counts(x), self.class_sizes)

    def scorer(self) -> Scorer:
        """Returns how class scores are computed in inference mode."""
        graphdef, state = nnx.split(self)
        width, height, _ = self.out_shape
        scale = np.float32(1) / (self.class_sizes * width * height).astype(np.float32)
        return Scorer(lambda arrays, x: _counts(graphdef, *arrays, x) * scale, (state, self.thresholds()))

    def spikes(self, x: Pixels) -> tuple[Bool[np.ndarray, "images inputs"], Bool[np.ndarray, "images outputs"]]:
        """Returns the bits that enter the chip and those that leave it, in the flat order [y, x, feature]."""
        return self._in_batches(_spikes, x)

    def spike_counts(self, x: Pixels) -> SpikeCounts:
        """Returns how often each value of each layer spikes on these images, in inference mode."""
        arguments = (*nnx.split(self), self.thresholds())
        spikes = [np.zeros(conv.outputs, np.int32) for conv in self.convs]
        for batch, images in image_batches(x):
            kept = np.arange(len(batch)) < images
            for total, counted in zip(spikes, _value_counts(*arguments, batch, kept), strict=True):
                total += np.asarray(counted)
        return SpikeCounts(frames=len(x), spikes=tuple(spikes))

    def thresholds(self) -> tuple[Float[np.ndarray, " features"], ...]:
        """Returns the integer sums from which on features spike, one array a layer, exact in float32."""
        first = self.transduction
        limit = (1 << first.grid_bits) * first.conv.fan_in * ((1 << first.input_bits) - 1)
        folded = [thresholds(first.norm.export(), first.fraction_bits, limit)]
        folded += [thresholds(layer.norm.export(), 0, layer.conv.fan_in) for layer in self.layers]
        return tuple(threshold.astype(np.float32) for threshold in folded)

    def _in_batches(self, function: Callable[..., Any], x: Pixels) -> Any:
        """Returns what a jitted function gives for all images, in batches of one shape."""
        arguments = (*nnx.split(self), self.thresholds())
        parts = [jax.tree.map(np.asarray, function(*arguments, batch)) for batch, _ in image_batches(x)]
        return jax.tree.map(lambda *arrays: np.concatenate(arrays)[: len(x)], *parts)

    def tensors(self) -> Iterator[tuple[str, nnx.Variable]]:
        """Yields every tensor with its name, `layer/tensor`, in the order of the layers."""
        for layer in (self.transduction, *self.layers):
            own = (
                {"weights": layer.weights}
                if isinstance(layer, TransductionConv)
                else {"hidden": layer.hidden, "trinary": layer.trinary}
            )
            norm = {"mean": layer.norm.mean, "std": layer.norm.std, "bias": layer.norm.bias}
            for name, tensor in {**own, **norm}.items():
                yield f"{layer.conv.name}/{name}", tensor

    def update(self) -> None:
        """Clips and rounds the weights, after a step of the optimizer."""
        for layer in (self.transduction, *self.layers):
            layer.update()


def build_network(
    net: NetConfig,
    *,
    in_shape: tuple[int, int, int],
    input_bits: int,
    classes: int,
    arch: ChipArch,
    scheme: str = "pair",
    seed: int,
) -> Network:
    """Returns a network with freshly drawn weights, checked against the chip.

    Args:
        net: its layers.
        in_shape: width, height and channels of the images.
        input_bits: width of a pixel [bit].
        classes: how many there are to tell apart.
        arch: the chip.
        scheme: synapse scheme, which says how many inputs a core takes.
        seed: of the permutations and the weights.

    Raises:
        ConfigError: the layers do not fit one another, the images or the classes.
        InfeasibleError: a filter has more inputs than a core takes.
    """
    first, *others = geometry(net, in_shape=in_shape, classes=classes, seed=seed)
    layers = [TrinaryConv(conv, net.hysteresis, _draw(conv, seed, i)) for i, conv in enumerate(others, 1)]
    readout = Readout(classes=classes, feature_class=assign_features(others[-1].features, classes))
    network = Network(TransductionConv(first, input_bits, _draw(first, seed, 0)), layers, readout)
    check_constraints(network, arch, scheme)
    return network


def check_constraints(network: Network, arch: ChipArch, scheme: str) -> None:
    """Checks the constraints that ride on the parameters: every `tn_` annotation, and that none is left unread.

    Raises:
        InfeasibleError: a filter has more inputs than a core takes.
        InternalError: an annotation is unknown, or does not agree with the layer's geometry.
    """
    convs = {layer.conv.name: layer.conv for layer in network.layers}
    for path, parameter in nnx.to_flat_state(nnx.state(network, nnx.Param)):
        notes = {key: value for key, value in parameter.get_metadata().items() if key.startswith("tn_")}
        if not notes:
            continue
        conv = convs.get(notes.pop("tn_layer", ""))
        if conv is None or notes != {"tn_fan_in": conv.fan_in} or parameter.shape != conv.weight_shape:
            raise InternalError(f"parameter {'.'.join(map(str, path))}: its annotations {notes} do not fit its layer")
        check_fan_in(conv, arch, SCHEMES[scheme])


def assume_statistics(network: Network, seed: int) -> None:
    """Gives an untrained network plausible batch-norm statistics, so that it can be compiled and simulated.

    They are those of sums over inputs that spike independently a quarter of the time; biases are drawn around half
    a standard deviation below, so that leaks spread and layers neither fall silent nor saturate.
    """
    for index, layer in enumerate((network.transduction, *network.layers)):
        rng = np.random.default_rng([seed, _BIASES, index])
        used = layer.weights if isinstance(layer, TransductionConv) else layer.trinary
        filters = np.asarray(used[...], np.float32).reshape(layer.conv.features, -1)
        layer.norm.mean[...] = jnp.asarray(filters.sum(axis=1) * np.float32(0.25))
        layer.norm.std[...] = jnp.asarray(np.sqrt(np.square(filters).sum(axis=1) * np.float32(3 / 16)))
        layer.norm.bias[...] = jnp.asarray(rng.normal(-0.5, 0.5, layer.conv.features), jnp.float32)


def channel_major(x: Pixels | Array) -> Map:
    """Returns pixels as float32 maps [channel, y, x, image]."""
    return jnp.transpose(jnp.asarray(x, jnp.float32), (3, 1, 2, 0))


def dropped(y: Map, training: Training, index: int) -> Map:
    """Returns the map with a share of its spikes left out, and the others scaled so that sums keep their mean."""
    if training.dropout == 0 or training.key is None:
        return y
    key, images = jax.random.fold_in(training.key, index), y.shape[-1]
    parts = 1 if training.axis is None else jax.lax.axis_size(training.axis)
    # Drawn for the whole batch, so that it does not depend on how many devices share that.
    kept = jax.random.bernoulli(key, 1 - training.dropout, (*y.shape[:-1], parts * images))
    if training.axis is not None:
        kept = jax.lax.dynamic_slice_in_dim(kept, jax.lax.axis_index(training.axis) * images, images, axis=-1)
    return jnp.where(kept, y / (1 - training.dropout), 0).astype(y.dtype)


def _draw(conv: Conv, seed: int, index: int) -> Float[np.ndarray, "features ky kx inputs"]:
    rng = np.random.default_rng([seed, _WEIGHTS, index])
    return np.clip(rng.uniform(-INIT_RANGE, INIT_RANGE, conv.weight_shape), -1, 1).astype(np.float32)


def nonfinite(tensors: Iterable[tuple[str, nnx.Variable]]) -> Iterator[str]:
    """Yields the names of the tensors that are not finite."""
    return (name for name, tensor in tensors if not np.isfinite(np.asarray(tensor[...])).all())


def _class_sizes(readout: Readout) -> Int[np.ndarray, " classes"]:
    return np.bincount(readout.feature_class[readout.feature_class >= 0], minlength=readout.classes)


def class_means(y: Map, readout: Readout) -> Float[Array, "images classes"]:
    """Returns the mean of the values of each class's features over all positions."""
    members = np.arange(readout.classes)[:, None] == readout.feature_class
    weights = members.astype(np.float32) / _class_sizes(readout)[:, None].astype(np.float32)
    return (jnp.asarray(weights) @ y.mean((1, 2))).T


def image_batches(x: Pixels) -> Iterator[tuple[Pixels, int]]:
    """Yields images in batches of one shape, so that XLA compiles once, and how many of each are no padding."""
    size = max(1, min(len(x), INFERENCE_BATCH))
    for start in range(0, max(1, len(x)), size):
        batch = x[start : start + size]
        yield np.pad(batch, [(0, size - len(batch)), (0, 0), (0, 0), (0, 0)]), len(batch)


def _infer(network: Network, folded: tuple[Array, ...], x: Array) -> Iterator[Map]:
    """Yields the bits of each layer as maps, those that enter the chip first, by the folded thresholds."""
    first, *others = folded
    y = (network.transduction.sums(channel_major(x)) >= first[:, None, None, None]).astype(jnp.bfloat16)
    yield y
    for layer, threshold in zip(network.layers, others, strict=True):
        y = (layer.sums(y) >= threshold[:, None, None, None]).astype(jnp.bfloat16)
        yield y


@partial(jax.jit, static_argnums=0)
def _counts(graphdef: nnx.GraphDef, state: Any, folded: tuple[Array, ...], x: Array) -> Int[Array, "n classes"]:
    network = nnx.merge(graphdef, state)
    *_, y = _infer(network, folded, x)
    members = np.arange(network.readout.classes)[:, None] == network.readout.feature_class
    # Integers, since a mean over positions need not be exact; a feature's count is at most its positions.
    counts = y.sum((1, 2), dtype=jnp.int32)
    return (jnp.asarray(members, jnp.int32) @ counts).T


@partial(jax.jit, static_argnums=0)
def _spikes(
    graphdef: nnx.GraphDef, state: Any, folded: tuple[Array, ...], x: Array
) -> tuple[Bool[Array, "n inputs"], Bool[Array, "n outputs"]]:
    first, *_, last = _infer(nnx.merge(graphdef, state), folded, x)
    entering, leaving = (jnp.transpose(m, (3, 1, 2, 0)).reshape(m.shape[3], -1).astype(bool) for m in (first, last))
    return entering, leaving


@partial(jax.jit, static_argnums=0)
def _value_counts(
    graphdef: nnx.GraphDef, state: Any, folded: tuple[Array, ...], x: Array, kept: Bool[Array, " n"]
) -> list[Int[Array, " values"]]:
    """Returns each layer's spikes on the images that are kept, one number a value in the flat order [y, x, feature]."""
    maps = _infer(nnx.merge(graphdef, state), folded, x)
    counts = ((m * kept).sum(axis=3, dtype=jnp.int32) for m in maps)
    return [jnp.transpose(count, (1, 2, 0)).ravel() for count in counts]
