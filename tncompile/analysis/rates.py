"""How often the neurons of a core graph spike, from what was counted on sample frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from tncompile.ir import CoreGraph, Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeuronSpikes(Record):
    """How often each neuron spikes on the sample frames, each frame entering once.

    Attributes:
        spikes: of each neuron, 0 for one that carries nothing.
        frames: how many there are.
    """

    spikes: Int64[np.ndarray, "cores neurons"]
    frames: int


def neuron_spikes(graph: CoreGraph) -> NeuronSpikes | None:
    """Returns the spikes of each neuron, None if the model that the graph comes from has none counted.

    A neuron carries a value of a layer, and so spikes as often as that value did when the model ran on the frames
    (`LogicalNet.spike_counts`): model and chip agree spike by spike.
    """
    counts = graph.source.source.spike_counts
    if counts is None:
        return None
    spikes = np.zeros(graph.neuron_layer.shape, np.int64)
    for layer, values in enumerate(counts.spikes, -1):  # the transduction's are those of INPUT_LAYER
        carries = graph.neuron_layer == layer
        spikes[carries] = values[graph.neuron_index[carries]]
    return NeuronSpikes(spikes=spikes, frames=counts.frames)
