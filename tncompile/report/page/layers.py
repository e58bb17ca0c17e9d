"""What a report says of each layer: its shape, its cores, and how often its values spike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from tncompile.analysis.events import Events
from tncompile.analysis.utilisation import utilisation
from tncompile.ir import INPUT_LAYER, Conv, CoreGraph, LogicalNet
from tncompile.report.plots.view import notation


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer of the net, None where something is not known.

    Attributes:
        name: "input" for the bits that the host sends.
        notation: as the paper writes it.
        shape: width, height and features of its output map.
        groups: of its convolution.
        cores, splitters: that compute it, and that copy its output.
        axons, neurons: share of its cores' that are used.
        rate: spikes of a value a frame, on average.
        silent: share of its values that never spiked in the counted frames.
        dead: features none of whose values spiked in them.
        events: synaptic events a frame in its cores.
    """

    name: str
    notation: str
    shape: tuple[int, int, int]
    groups: int
    cores: int | None = None
    splitters: int | None = None
    axons: float | None = None
    neurons: float | None = None
    rate: float | None = None
    silent: float | None = None
    dead: int | None = None
    events: float | None = None


def layers_of(
    net: LogicalNet | None, graph: CoreGraph | None, events: Events | None
) -> tuple[tuple[Layer, ...], str | None]:
    """Returns the layers of a net, and in what their spikes were counted; None: nobody counted.

    Args:
        net: as it was exported.
        graph: its cores.
        events: counted on the chip. Without, those of the model on images of the training are taken, if there are any.
    """
    if net is None:
        return (), None
    counts, rates = net.spike_counts, None
    if graph is None or events is None or not events.ticks:
        events = None
    if events is not None:
        rates = f"the simulated chip, {events.ticks:,} frames"
    elif counts is not None:
        rates = f"the model, {counts.frames:,} images of the training"
    use = {} if graph is None else {row.layer: row for row in utilisation(graph)}
    layers = []
    for number, (name, conv) in enumerate(
        [("input", net.transduction.conv), *((layer.conv.name, layer.conv) for layer in net.layers)], INPUT_LAYER
    ):
        spikes, frames, done = None, 1, None
        if graph is not None and events is not None:
            frames = events.ticks
            spikes = None if number == INPUT_LAYER else _values(graph, events, number, conv)
            done = float(events.core_events[graph.core_layer == number].sum() / frames)
        elif counts is not None:
            spikes, frames = counts.spikes[number - INPUT_LAYER].astype(np.int64), counts.frames
        rate, silent, dead = _firing(spikes, frames, conv.features)
        row = use.get(name)
        layers.append(
            Layer(
                name=name,
                notation=notation(conv),
                shape=conv.out_shape,
                groups=conv.groups,
                cores=None if graph is None else 0 if row is None else row.cores,
                splitters=None if graph is None else 0 if row is None else row.splitters,
                axons=None if row is None else row.axons,
                neurons=None if row is None else row.neurons,
                rate=rate,
                silent=silent,
                dead=dead,
                events=done,
            )
        )
    return tuple(layers), rates


def _values(graph: CoreGraph, events: Events, number: int, conv: Conv) -> Int64[np.ndarray, " values"]:
    """Returns how often each value of a layer spiked; −1 for those that no neuron carries, as nobody needs them."""
    carries = graph.neuron_layer == number
    spikes = np.full(int(np.prod(conv.out_shape)), -1, np.int64)
    spikes[graph.neuron_index[carries]] = events.spikes[carries]  # all copies of a value spike alike
    return spikes


def _firing(
    spikes: Int64[np.ndarray, " values"] | None, frames: int, features: int
) -> tuple[float | None, float | None, int | None]:
    """Returns rate, silent values and dead features of a layer."""
    if spikes is None or not (spikes >= 0).any():
        return None, None, None
    there = spikes[spikes >= 0]
    each = spikes.reshape(-1, features)
    dead = (each >= 0).any(axis=0) & (each <= 0).all(axis=0)
    return float(there.mean() / frames), float((there == 0).mean()), int(dead.sum())
