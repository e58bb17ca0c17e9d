"""Core graphs, and what partitioning, placing and routing make of them, run tick by tick."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Int64

from tncompile.arch import ChipArch
from tncompile.errors import SimulationError
from tncompile.ir import OUTPUT_PIN, CoreGraph, PlacedChip, RoutedChip, graph_of, sites_of
from tncompile.reference.cores import Cores


def cores_of(graph: CoreGraph, arch: ChipArch) -> Cores:
    """Returns the cores of a graph."""
    to_pin = graph.target_core == OUTPUT_PIN
    to_core = graph.target_core >= 0
    lines = graph.input_lines
    net = graph.source.source
    return Cores(
        arch=arch,
        input_bits=net.transduction.conv.outputs,
        output_pins=net.layers[-1].conv.outputs,
        core_crossbar=graph.core_crossbar,
        crossbars=graph.crossbars,
        axon_type=graph.axon_type,
        neurons=graph.neurons,
        neuron_type=graph.neuron_type,
        target_core=np.where(to_core, graph.target_core, -1).astype(np.int64),
        target_axon=np.where(to_core, graph.target_axon, 0).astype(np.int64),
        target_delay=np.where(to_core, graph.target_delay, 0).astype(np.int64),
        output_pin=np.where(to_pin, graph.target_axon, -1).astype(np.int64),
        input_bit=lines.bit.astype(np.int64),
        input_core=lines.core.astype(np.int64),
        input_axon=lines.axon.astype(np.int64),
        input_delay=lines.delay.astype(np.int64),
    )


def placed_cores_of(placed: PlacedChip, arch: ChipArch) -> Cores:
    """Returns the cores of a placed chip: a spike goes to whatever core lies on the site of its target."""
    graph = placed.source.source
    core_at = _core_at(placed.core_x, placed.core_y, arch)
    to_core = graph.target_core >= 0
    target = np.where(to_core, graph.target_core, 0)
    found = core_at[placed.core_y[target], placed.core_x[target]]
    return _redirected(cores_of(graph, arch), np.where(to_core, found, -1))


def routed_cores_of(routed: RoutedChip, arch: ChipArch) -> Cores:
    """Returns the cores of a routed chip: each packet walks to its target, hop by hop, x first, then y.

    Raises:
        SimulationError: a packet leaves the board or ends on a site without a core.
    """
    graph = graph_of(routed)
    return _redirected(cores_of(graph, arch), np.where(graph.target_core >= 0, walk(routed, arch), -1))


def _redirected(cores: Cores, target_core: Int64[np.ndarray, "cores neurons"]) -> Cores:
    fields = {name: getattr(cores, name) for name in Cores.__slots__}
    return Cores(**{**fields, "target_core": target_core})


def _core_at(
    x: Int32[np.ndarray, " cores"], y: Int32[np.ndarray, " cores"], arch: ChipArch
) -> Int64[np.ndarray, "height width"]:
    """Returns the core on each site, −1 on free ones."""
    width, height = arch.size
    core_at = np.full((height, width), -1, np.int64)
    core_at[y, x] = np.arange(len(x))
    return core_at


def walk(routed: RoutedChip, arch: ChipArch) -> Int64[np.ndarray, "cores neurons"]:
    """Returns the core at which each neuron's packet ends; its own core for a neuron that sends nowhere.

    Raises:
        SimulationError: a packet leaves the board or ends on a site without a core.
    """
    core_x, core_y = sites_of(routed)
    width, height = arch.size
    core_at = _core_at(core_x, core_y, arch)

    x = np.broadcast_to(core_x[:, None], routed.dx.shape).astype(np.int64)
    y = np.broadcast_to(core_y[:, None], routed.dy.shape).astype(np.int64)
    for at, size, offset in ((x, width, routed.dx.astype(np.int64)), (y, height, routed.dy.astype(np.int64))):
        while offset.any():
            hop = np.sign(offset)
            at += hop
            offset -= hop
            off_board = (at < 0) | (at >= size)
            if off_board.any():
                core, neuron = np.argwhere(off_board)[0]
                raise SimulationError(
                    f"core {core}, neuron {neuron}: its packet leaves the board of {width} x {height} cores"
                )
    end = core_at[y, x]
    if (end < 0).any():
        core, neuron = np.argwhere(end < 0)[0]
        raise SimulationError(
            f"core {core}, neuron {neuron}: its packet ends on site ({x[core, neuron]}, {y[core, neuron]}), "
            "where no core is placed"
        )
    return end
