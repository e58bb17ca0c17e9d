"""What cores do for a frame: the counts that energy is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Integer

from tncompile.analysis.graph import Arcs
from tncompile.analysis.rates import neuron_spikes
from tncompile.analysis.utilisation import axons_used, neurons_used
from tncompile.analysis.wirelength import wirelength
from tncompile.ir import CoreGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class PerFrame:
    """How often something happens for one frame.

    Attributes:
        most: if every neuron spikes.
        mean: on the sample frames on which the model's spikes were counted; None if nobody counted.
    """

    most: int
    mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the cores do.

    Attributes:
        spikes: neurons that spike, copies and splitters' included, those that drive output pins too.
        host_packets: packets that the host sends.
        synaptic_events: crosspoints in the rows of the axons at which these arrive.
        neuron_updates_per_tick: neurons of all cores in use: the chip visits each in every tick, used or not.
    """

    spikes: PerFrame
    host_packets: PerFrame
    synaptic_events: PerFrame
    neuron_updates_per_tick: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """How full the cores are, all together.

    Attributes:
        axons: share of the axons that something drives.
        neurons: share of the neurons that carry a signal.
        synapses: share of the crosspoints that are set.
    """

    axons: float
    neurons: float
    synapses: float


def work(graph: CoreGraph) -> Work:
    """Returns what the cores do for a frame, each signal being there once."""
    fan_out = _axon_synapses(graph)
    core, neuron = np.nonzero(graph.target_core >= 0)
    lines = graph.input_lines
    of_neurons = fan_out[graph.target_core[core, neuron], graph.target_axon[core, neuron]]
    of_host = fan_out[lines.core, lines.axon]
    counted, host = neuron_spikes(graph), graph.source.source.spike_counts

    spikes = packets = events = None
    if counted is not None and host is not None:
        sent = host.spikes[0][lines.bit].astype(np.int64)  # the transduction's are the input bits
        spikes, packets = int(counted.spikes.sum()), int(sent.sum())
        events = int(counted.spikes[core, neuron] @ of_neurons) + int(sent @ of_host)
    frames = 0 if counted is None else counted.frames
    return Work(
        spikes=_per_frame(int(neurons_used(graph).sum()), spikes, frames),
        host_packets=_per_frame(len(lines.bit), packets, frames),
        synaptic_events=_per_frame(int(of_neurons.sum()) + int(of_host.sum()), events, frames),
        neuron_updates_per_tick=graph.neuron_type.size,
    )


def hops(arcs: Arcs, x: Integer[np.ndarray, " cores"], y: Integer[np.ndarray, " cores"]) -> PerFrame:
    """Returns the hops of all spikes from core to core.

    Args:
        arcs: who sends to whom.
        x, y: site of each core.
    """
    total = None if arcs.spikes is None else wirelength(replace(arcs, weight=arcs.spikes), x, y)
    return _per_frame(wirelength(arcs, x, y), total, arcs.frames)


def fill(graph: CoreGraph) -> Fill:
    """Returns how full the cores are."""
    cores, axons = graph.axon_type.shape
    neurons = graph.neuron_type.shape[1]
    return Fill(
        axons=float(axons_used(graph).sum() / (cores * axons)),
        neurons=float(neurons_used(graph).sum() / (cores * neurons)),
        synapses=float(_axon_synapses(graph).sum() / (cores * axons * neurons)),
    )


def _axon_synapses(graph: CoreGraph) -> Integer[np.ndarray, "cores axons"]:
    """Returns how many crosspoints are set in each axon's row."""
    return np.bitwise_count(graph.crossbars).sum(axis=2, dtype=np.int64)[graph.core_crossbar]


def _per_frame(most: int, total: int | None, frames: int) -> PerFrame:
    return PerFrame(most=most, mean=None if total is None else total / frames)
