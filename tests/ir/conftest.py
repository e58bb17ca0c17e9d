"""One small stage of each kind, each referring to the one before; consistent in shape, not in meaning."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from tncompile import ir
from tncompile.arch import TRUENORTH


def make_stages(seed: int = 0, cores: int = 3, neurons: int = 8, lines: int = 5) -> dict[str, ir.Stage]:
    """Returns a stage of each kind by its name, with random numbers in all arrays."""
    rng = np.random.default_rng(seed)

    def ints(dtype: type, *shape: int) -> np.ndarray:
        return rng.integers(0, 100, shape).astype(dtype)

    def conv(name: str, channels: int) -> ir.Conv:
        return ir.Conv(
            name=name,
            in_shape=(4, 3, channels),
            kernel=(3, 3),
            stride=(1, 1),
            padding=(1, 1),
            features=4,
            groups=1,
            permutation=rng.permutation(channels).astype(np.int32),
        )

    def norm() -> ir.BatchNorm:
        mean, std, bias = rng.normal(size=(3, 4)).astype(np.float32)
        return ir.BatchNorm(mean=mean, std=abs(std), bias=bias)

    readout = ir.Readout(classes=2, feature_class=np.array([0, 1, 0, -1], np.int32))
    logical = ir.LogicalNet(
        name="sample",
        transduction=ir.Transduction(
            conv=conv("S-4", 1), weights=ints(np.int32, 4, 3, 3, 1), fraction_bits=8, input_bits=4, norm=norm()
        ),
        layers=tuple(
            ir.LogicalLayer(
                conv=conv(f"layer{i}", 4),
                hidden=rng.uniform(-1, 1, (4, 3, 3, 4)).astype(np.float32),
                trinary=rng.integers(-1, 2, (4, 3, 3, 4)).astype(np.int8),
                hysteresis=0.1,
                norm=norm(),
            )
            for i in range(2)
        ),
        readout=readout,
        spike_counts=ir.SpikeCounts(frames=9, spikes=(ints(np.int32, 6), ints(np.int32, 4))),
    )
    trinary = ir.TrinaryNet(
        source=logical,
        threshold=ints(np.int64, 4) - (1 << 40),
        weights=tuple(layer.trinary for layer in logical.layers),
        leak=tuple(ints(np.int16, 4) for _ in logical.layers),
    )
    table = ir.stateless_table(np.array([[0, 0], [-1, 1]], np.int16), np.array([0, 3], np.int16))
    graph = ir.CoreGraph(
        source=trinary,
        scheme="pair",
        latency=3,
        core_kind=ints(np.uint8, cores),
        core_layer=ints(np.int16, cores),
        core_group=ints(np.int32, cores),
        core_block=ints(np.int16, cores, 4),
        core_crossbar=ints(np.int32, cores),
        crossbars=ints(np.uint8, 2, 6, neurons // 8),
        axon_type=ints(np.uint8, cores, 6),
        neurons=table,
        neuron_type=ints(np.int32, cores, neurons),
        neuron_layer=ints(np.int16, cores, neurons),
        neuron_index=ints(np.int32, cores, neurons),
        neuron_copy=ints(np.int16, cores, neurons),
        target_core=ints(np.int32, cores, neurons),
        target_axon=ints(np.int32, cores, neurons),
        target_delay=ints(np.uint8, cores, neurons),
        input_lines=ir.InputLines(
            bit=ints(np.int32, lines),
            core=ints(np.int32, lines),
            axon=ints(np.int16, lines),
            delay=ints(np.uint8, lines),
        ),
    )
    partitioned = ir.PartitionedGraph(source=graph, core_chip=ints(np.int32, cores), cut=7)
    placed = ir.PlacedChip(
        source=partitioned, core_x=ints(np.int32, cores), core_y=ints(np.int32, cores), wirelength=41
    )
    routed = ir.RoutedChip(
        source=placed,
        dx=ints(np.int16, cores, neurons),
        dy=ints(np.int16, cores, neurons),
        link_load=ints(np.int64, 4, 2, 2),
        crossings=0,
        detours=ir.Detours(
            core_x=ints(np.int32, 1),
            core_y=ints(np.int32, 1),
            core=ints(np.int32, 2),
            axon=ints(np.int32, 2),
            neuron=ints(np.int32, 2),
            source_core=ints(np.int32, 2),
            source_neuron=ints(np.int32, 2),
            target_delay=ints(np.uint8, cores + 1, neurons),
            line_delay=ints(np.uint8, lines),
            latency=5,
        )
        if seed % 2 == 0
        else None,
    )
    image = ir.ChipImage(
        arch=json.dumps(TRUENORTH.model_dump(mode="json"), sort_keys=True),
        input_bits=48,
        output_pins=4,
        latency=3,
        core_x=placed.core_x,
        core_y=placed.core_y,
        core_crossbar=graph.core_crossbar,
        crossbars=graph.crossbars,
        axon_type=graph.axon_type,
        neurons=table,
        neuron_type=graph.neuron_type,
        dx=routed.dx,
        dy=routed.dy,
        target_axon=ints(np.int16, cores, neurons),
        target_delay=graph.target_delay,
        output_pin=ints(np.int32, cores, neurons),
        packets=ir.InputPackets(
            bit=ints(np.int32, lines),
            x=ints(np.int32, lines),
            y=ints(np.int32, lines),
            axon=ints(np.int16, lines),
            delay=ints(np.uint8, lines),
        ),
        host=ir.Host(
            conv=logical.transduction.conv,
            weights=logical.transduction.weights,
            threshold=trinary.threshold,
            input_bits=4,
            out_shape=(4, 3, 4),
            readout=readout,
        )
        if seed % 2 == 0
        else None,
    )
    return {type(s).__name__: s for s in (logical, trinary, graph, partitioned, placed, routed, image)}


@pytest.fixture(scope="session")
def stages() -> Callable[..., dict[str, ir.Stage]]:
    """Returns `make_stages`."""
    return make_stages
