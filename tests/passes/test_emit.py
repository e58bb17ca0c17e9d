"""Emit: the image says in hardware terms what the stages before say in the graph's."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from support.random_graphs import SEEDS, graphs, random_board

from passes.emit import EmitConfig, emit
from passes.partition import PartitionConfig, partition
from passes.place import PlaceConfig, place
from passes.route import RouteConfig, route
from tncompile.arch import ChipArch


@given(graphs(), SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_image_decodes_to_the_graph(graph, seed):
    arch = random_board(seed, graph.cores)
    placed = place(partition(graph, arch, PartitionConfig(), seed=0), arch, PlaceConfig(moves=10), seed=0)
    image = emit(route(placed, arch, RouteConfig(), seed=0), arch, EmitConfig(), seed=0)

    assert ChipArch.model_validate_json(image.arch) == arch
    at = {(int(x), int(y)): core for core, (x, y) in enumerate(zip(image.core_x, image.core_y, strict=True))}
    assert len(at) == graph.cores
    for core, neuron in np.ndindex(graph.target_core.shape):
        to = int(image.core_x[core] + image.dx[core, neuron]), int(image.core_y[core] + image.dy[core, neuron])
        packet = at[to], int(image.target_axon[core, neuron]), int(image.target_delay[core, neuron])
        target = int(graph.target_core[core, neuron])
        wanted = target, int(graph.target_axon[core, neuron]), int(graph.target_delay[core, neuron])
        assert packet == (wanted if target >= 0 else (core, 0, 0))
        assert image.output_pin[core, neuron] == (wanted[1] if target == -2 else -1)
    lines, packets = graph.input_lines, image.packets
    for i in range(len(lines.bit)):
        assert at[int(packets.x[i]), int(packets.y[i])] == lines.core[i]
        assert (packets.bit[i], packets.axon[i], packets.delay[i]) == (lines.bit[i], lines.axon[i], lines.delay[i])

    logical = graph.source.source
    assert (image.input_bits, image.output_pins) == (logical.transduction.conv.outputs, logical.layers[-1].conv.outputs)
    assert image.latency == graph.latency
    for name in ("core_crossbar", "crossbars", "axon_type", "neuron_type"):
        np.testing.assert_array_equal(getattr(image, name), getattr(graph, name))
    assert image.host is not None
    np.testing.assert_array_equal(image.host.threshold, graph.source.threshold)
    np.testing.assert_array_equal(image.host.weights, logical.transduction.weights)
    assert image.host.out_shape == logical.layers[-1].conv.out_shape
    assert image.host.input_bits == logical.transduction.input_bits
