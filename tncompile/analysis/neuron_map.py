"""From a neuron of a core back to the value of the network that it carries, and from a value to its neurons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tncompile.analysis.graph import layer_names
from tncompile.analysis.utilisation import splitter_neurons
from tncompile.errors import ConfigError
from tncompile.ir import INPUT_LAYER, UNUSED, Conv, CoreGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a neuron carries: one copy of one value.

    Attributes:
        core, neuron: where it is.
        kind: "layer" if the core computes the value, "splitter" if it only copies it.
        layer: name of the layer, "input" for the bits that the host sends.
        group: group of the layer that computes the value, 0 for the input.
        x, y, feature: of the layer's output map.
        copy: number among the neurons that carry the value.
    """

    core: int
    neuron: int
    kind: str
    layer: str
    group: int
    x: int
    y: int
    feature: int
    copy: int


def carried_by(graph: CoreGraph, core: int, neuron: int) -> Carried | None:
    """Returns what a neuron carries, None if it is unused.

    Raises:
        ConfigError: there is no such core or neuron.
    """
    cores, neurons = graph.neuron_layer.shape
    if not (0 <= core < cores and 0 <= neuron < neurons):
        raise ConfigError(
            f"neuron {core},{neuron}: there are the cores 0 … {cores - 1} with the neurons 0 … {neurons - 1} each"
        )
    layer = int(graph.neuron_layer[core, neuron])
    if layer == UNUSED:
        return None
    conv = _conv(graph, layer)
    width, _, features = conv.out_shape
    position, feature = divmod(int(graph.neuron_index[core, neuron]), features)
    y, x = divmod(position, width)
    return Carried(
        core=core,
        neuron=neuron,
        kind="splitter" if splitter_neurons(graph)[core, neuron] else "layer",
        layer=layer_names(graph)[layer],
        group=feature // conv.features_per_group,
        x=x,
        y=y,
        feature=feature,
        copy=int(graph.neuron_copy[core, neuron]),
    )


def neurons_of(graph: CoreGraph, layer: str, x: int, y: int, feature: int) -> tuple[Carried, ...]:
    """Returns the neurons that carry a value of a layer's output map, by copy; none if nothing needs the value.

    Input bits are the values of layer "input"; only splitters carry them.

    Raises:
        ConfigError: there is no such layer, position or feature.
    """
    numbers = {name: number for number, name in layer_names(graph).items()}
    if layer not in numbers:
        raise ConfigError(f"layer {layer}: there is none of that name; the layers are {', '.join(numbers)}")
    number = numbers[layer]
    width, height, features = _conv(graph, number).out_shape
    if not (0 <= x < width and 0 <= y < height and 0 <= feature < features):
        raise ConfigError(
            f"layer {layer}: has no position ({x}, {y}) with feature {feature}; its map has {width} x {height} "
            f"positions of {features} features"
        )
    index = (y * width + x) * features + feature
    core, neuron = np.nonzero((graph.neuron_layer == number) & (graph.neuron_index == index))
    found = [carried_by(graph, int(c), int(n)) for c, n in zip(core, neuron, strict=True)]
    return tuple(sorted((c for c in found if c is not None), key=lambda c: c.copy))


def _conv(graph: CoreGraph, layer: int) -> Conv:
    net = graph.source.source
    return net.transduction.conv if layer == INPUT_LAYER else net.layers[layer].conv
