"""Slow NumPy oracles, written to be read beside the equations."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt

from tncompile.arch import ChipArch
from tncompile.errors import InternalError, SimulationError
from tncompile.ir import (
    ChipImage,
    CoreGraph,
    LogicalNet,
    PartitionedGraph,
    PlacedChip,
    RoutedChip,
    Stage,
    TrinaryNet,
    graph_of,
)
from tncompile.reference import chip, core_graph, cores, net, neuron

__all__ = ["chip", "core_graph", "cores", "evaluate", "net", "neuron"]


def evaluate(stage: Stage, arch: ChipArch, images: UInt[np.ndarray, "n y x channels"]) -> Bool[np.ndarray, "n outputs"]:
    """Returns what any stage makes of images: the spikes of the last layer, in flat order.

    From the core graph on, frames are pipelined one a tick, and each one's spikes are read at its latency.

    Args:
        stage: what to run.
        arch: the chip, for the stages from the core graph on.
        images: pixels.

    Raises:
        SimulationError: the images do not fit, a packet misses its core, or an image has no host or no latency.
    """
    match stage:
        case LogicalNet():
            return net.logical_spikes(stage, images)
        case TrinaryNet():
            return net.trinary_spikes(stage, images)
        case ChipImage():
            if stage.host is None:
                raise SimulationError("chip image: it has no host layers to turn images into input bits")
            return cores.pipeline(chip.cores_of(stage), net.input_bits(stage.host, images), stage.latency)
        case CoreGraph():
            graph, built = stage, core_graph.cores_of(stage, arch)
        case PartitionedGraph():
            graph, built = stage.source, core_graph.cores_of(stage.source, arch)
        case PlacedChip():
            graph, built = stage.source.source, core_graph.placed_cores_of(stage, arch)
        case RoutedChip():
            graph, built = graph_of(stage), core_graph.routed_cores_of(stage, arch)
        case _:
            raise InternalError(f"{type(stage).__name__} is no stage that can be evaluated")
    return cores.pipeline(built, net.input_bits(graph.source, images), graph.latency)
