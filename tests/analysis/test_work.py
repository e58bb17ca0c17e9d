"""What cores do for a frame and how full they are, against loops over all neurons and lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_graphs import SEEDS
from support.random_nets import nets

from passes.pack import PackConfig, pack
from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.analysis.graph import arcs
from tncompile.analysis.work import PerFrame, fill, hops, work
from tncompile.arch import ChipArch
from tncompile.ir import UNUSED, SpikeCounts

ARCH = ChipArch(axons=16, neurons=24)
FRAMES = 7


@given(nets(inputs=8, size=4, features=6), st.sampled_from(["all", 1]), SEEDS)
@settings(max_examples=20, deadline=None)
def test_work_is_what_frames_make_the_cores_do(net, packets, seed):
    config = PackConfig(packets_per_bit=packets)
    graph = pack(trinarize(net, ARCH, TrinarizeConfig(), seed=0), ARCH, config, seed=0)
    rng = np.random.default_rng(seed)
    values = net.transduction.conv.outputs, *(layer.conv.outputs for layer in net.layers)
    counts = tuple(rng.integers(0, FRAMES, n, endpoint=True).astype(np.int32) for n in values)
    x, y = rng.integers(0, 9, (2, graph.cores)).astype(np.int32)

    spikes = sent = events = ways = 0
    most_events = most_ways = 0
    rows = np.unpackbits(graph.crossbars, axis=2).sum(axis=2)[graph.core_crossbar]
    for core, neuron in np.argwhere(graph.neuron_layer != UNUSED).tolist():
        fired = int(counts[graph.neuron_layer[core, neuron] + 1][graph.neuron_index[core, neuron]])
        spikes += fired
        if (target := int(graph.target_core[core, neuron])) >= 0:
            meets = int(rows[target, graph.target_axon[core, neuron]])
            way = abs(int(x[target]) - int(x[core])) + abs(int(y[target]) - int(y[core]))
            events, most_events = events + fired * meets, most_events + meets
            ways, most_ways = ways + fired * way, most_ways + way
    lines = graph.input_lines
    for bit, core, axon in zip(lines.bit.tolist(), lines.core.tolist(), lines.axon.tolist(), strict=True):
        fired = int(counts[0][bit])
        sent += fired
        events, most_events = events + fired * int(rows[core, axon]), most_events + int(rows[core, axon])

    used = int((graph.neuron_layer != UNUSED).sum())
    unknown = work(graph)
    assert unknown.spikes == PerFrame(most=used, mean=None)
    assert unknown.host_packets == PerFrame(most=len(lines.bit), mean=None)
    assert unknown.synaptic_events == PerFrame(most=most_events, mean=None)
    assert unknown.neuron_updates_per_tick == graph.cores * ARCH.neurons
    assert hops(arcs(graph), x, y) == PerFrame(most=most_ways, mean=None)

    measured = replace(net, spike_counts=SpikeCounts(frames=FRAMES, spikes=counts))
    known = replace(graph, source=replace(graph.source, source=measured))
    done = work(known)
    assert done.spikes == PerFrame(most=used, mean=spikes / FRAMES)
    assert done.host_packets == PerFrame(most=len(lines.bit), mean=sent / FRAMES)
    assert done.synaptic_events == PerFrame(most=most_events, mean=events / FRAMES)
    assert hops(arcs(known), x, y) == PerFrame(most=most_ways, mean=ways / FRAMES)

    # Every crosspoint lies in the row of an axon that one spike reaches.
    full = fill(graph)
    assert full.synapses == pytest.approx(most_events / (graph.cores * ARCH.axons * ARCH.neurons))
    assert full.neurons == pytest.approx(used / (graph.cores * ARCH.neurons))
    driven = int((graph.target_core >= 0).sum()) + len(lines.bit)
    assert full.axons == pytest.approx(driven / (graph.cores * ARCH.axons))
