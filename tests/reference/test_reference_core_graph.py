"""Core graphs, routed chips and chip images of the same cores do the same."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_graphs import random_graph

from tncompile.arch import ChipArch
from tncompile.errors import SimulationError
from tncompile.ir import ChipImage, CoreGraph, InputPackets, PartitionedGraph, PlacedChip, RoutedChip
from tncompile.reference import chip, core_graph, cores, evaluate

ARCH = ChipArch(name="tiny", axons=8, neurons=8, axon_types=2, grid=(4, 3), board=(1, 2))


def make_routed(seed: int, graph: CoreGraph) -> RoutedChip:
    """Returns the graph on random sites, each neuron with the offset to its target."""
    rng = np.random.default_rng(seed)
    width, height = ARCH.size
    sites = rng.choice(width * height, graph.cores, replace=False)
    x, y = (sites % width).astype(np.int32), (sites // width).astype(np.int32)
    sends = graph.target_core >= 0
    target = np.where(sends, graph.target_core, np.arange(graph.cores)[:, None])
    partitioned = PartitionedGraph(source=graph, core_chip=np.zeros(graph.cores, np.int32), cut=0)
    return RoutedChip(
        source=PlacedChip(source=partitioned, core_x=x, core_y=y, wirelength=0),
        dx=(x[target] - x[:, None]).astype(np.int16),
        dy=(y[target] - y[:, None]).astype(np.int16),
        link_load=np.zeros((4, height, width), np.int64),
        crossings=0,
    )


def make_image(routed: RoutedChip) -> ChipImage:
    """Returns the image of a routed chip, without host layers."""
    placed = routed.source
    graph = placed.source.source
    built = core_graph.cores_of(graph, ARCH)
    lines = graph.input_lines
    return ChipImage(
        arch=json.dumps(ARCH.model_dump(mode="json")),
        input_bits=built.input_bits,
        output_pins=built.output_pins,
        latency=graph.latency,
        core_x=placed.core_x,
        core_y=placed.core_y,
        core_crossbar=graph.core_crossbar,
        crossbars=graph.crossbars,
        axon_type=graph.axon_type,
        neurons=graph.neurons,
        neuron_type=graph.neuron_type,
        dx=routed.dx,
        dy=routed.dy,
        target_axon=built.target_axon.astype(np.int16),
        target_delay=built.target_delay.astype(np.uint8),
        output_pin=built.output_pin.astype(np.int32),
        packets=InputPackets(
            bit=lines.bit,
            x=placed.core_x[lines.core],
            y=placed.core_y[lines.core],
            axon=lines.axon,
            delay=lines.delay,
        ),
        host=None,
    )


def make_graph(seed: int) -> CoreGraph:
    """Returns a random graph whose pins and input lines fit its net."""
    graph = random_graph(seed, cores=6)
    bits = graph.source.source.transduction.conv.outputs
    pins = graph.source.source.layers[-1].conv.outputs
    lines = graph.input_lines
    return dataclasses.replace(
        graph,
        target_axon=np.where(graph.target_core == -2, graph.target_axon % pins, graph.target_axon),
        input_lines=dataclasses.replace(lines, bit=lines.bit % bits),
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_graph_route_and_image_agree(seed: int) -> None:
    graph = make_graph(seed)
    routed = make_routed(seed, graph)
    built = core_graph.cores_of(graph, ARCH)
    frames = np.random.default_rng(seed).random((10, built.input_bits)) < 0.5
    expected = cores.trace(built, frames, 20)
    for other in (core_graph.routed_cores_of(routed, ARCH), chip.cores_of(make_image(routed))):
        trace = cores.trace(other, frames, 20)
        for field in cores.Trace.__slots__:
            np.testing.assert_array_equal(getattr(trace, field), getattr(expected, field), field)


def find_sender(graph: CoreGraph) -> tuple[int, int]:
    core, neuron = np.argwhere(graph.target_core >= 0)[0]
    return int(core), int(neuron)


@pytest.mark.parametrize(("axis", "offset"), [("dx", 4), ("dx", -4), ("dy", 6), ("dy", -6)])
def test_a_packet_that_leaves_the_board_is_an_error(axis: str, offset: int) -> None:
    graph = make_graph(1)
    routed = make_routed(1, graph)
    core, neuron = find_sender(graph)
    offsets = getattr(routed, axis).copy()
    offsets[core, neuron] = offset
    with pytest.raises(SimulationError, match=rf"core {core}, neuron {neuron}: its packet leaves the board of 4 x 6"):
        core_graph.walk(dataclasses.replace(routed, **{axis: offsets}), ARCH)


def test_a_packet_to_an_empty_site_is_an_error() -> None:
    graph = make_graph(1)
    routed = make_routed(1, graph)
    core, neuron = find_sender(graph)
    placed = routed.source
    taken = set(zip(placed.core_x.tolist(), placed.core_y.tolist(), strict=True))
    x, y = next((x, y) for y in range(6) for x in range(4) if (x, y) not in taken)
    dx, dy = routed.dx.copy(), routed.dy.copy()
    dx[core, neuron], dy[core, neuron] = x - placed.core_x[core], y - placed.core_y[core]
    with pytest.raises(SimulationError, match=rf"ends on site \({x}, {y}\), where no core is placed"):
        core_graph.walk(dataclasses.replace(routed, dx=dx, dy=dy), ARCH)


def test_evaluate_takes_every_stage_of_a_compilation() -> None:
    """All stages from the core graph on give the pins at each frame's latency, in any of their forms."""
    graph = make_graph(5)
    routed = make_routed(5, graph)
    net = graph.source
    width, height, channels = net.source.transduction.conv.in_shape
    top = 1 << net.source.transduction.input_bits
    images = np.random.default_rng(5).integers(0, top, (4, height, width, channels)).astype(np.uint16)
    expected = evaluate(graph, ARCH, images)
    assert expected.shape == (4, net.source.layers[-1].conv.outputs)
    for stage in (routed.source.source, routed.source, routed):
        np.testing.assert_array_equal(evaluate(stage, ARCH, images), expected)
    for stage in (net, net.source):
        assert evaluate(stage, ARCH, images).shape == expected.shape
    with pytest.raises(SimulationError, match="no host layers"):
        evaluate(make_image(routed), ARCH, images)
    with pytest.raises(SimulationError, match="latency -1"):
        evaluate(dataclasses.replace(graph, latency=-1), ARCH, images)
