"""Emit: everything in hardware terms, for a chip that knows no layers."""

from __future__ import annotations

import numpy as np

from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.ir import OUTPUT_PIN, ChipImage, Host, InputPackets, RoutedChip, TrinaryNet, graph_of, sites_of


class EmitConfig(Config):
    """Emit has no options."""


def emit(stage: RoutedChip, arch: ChipArch, config: EmitConfig, *, seed: int) -> ChipImage:
    """Returns the chip image; cores stay in the graph's order, those of relays come last."""
    graph, (x, y) = graph_of(stage), sites_of(stage)
    lines = graph.input_lines
    host = _host(graph.source)
    width, height, features = host.out_shape
    to_core = graph.target_core >= 0
    return ChipImage(
        arch=arch.model_dump_json(),
        input_bits=host.conv.outputs,
        output_pins=width * height * features,
        latency=graph.latency,
        core_x=x,
        core_y=y,
        core_crossbar=graph.core_crossbar,
        crossbars=graph.crossbars,
        axon_type=graph.axon_type,
        neurons=graph.neurons,
        neuron_type=graph.neuron_type,
        dx=stage.dx,
        dy=stage.dy,
        target_axon=np.where(to_core, graph.target_axon, 0).astype(np.int16),
        target_delay=np.where(to_core, graph.target_delay, 0).astype(np.uint8),
        output_pin=np.where(graph.target_core == OUTPUT_PIN, graph.target_axon, -1).astype(np.int32),
        packets=InputPackets(bit=lines.bit, x=x[lines.core], y=y[lines.core], axon=lines.axon, delay=lines.delay),
        host=host,
    )


def _host(net: TrinaryNet) -> Host:
    """Returns the layers that stay off the chip."""
    logical = net.source
    return Host(
        conv=logical.transduction.conv,
        weights=logical.transduction.weights,
        threshold=net.threshold,
        input_bits=logical.transduction.input_bits,
        out_shape=logical.layers[-1].conv.out_shape,
        readout=logical.readout,
    )
