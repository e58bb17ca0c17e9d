"""Spike counts on sample frames: from the model to the arcs of its core graph, against the integer reference."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from support.random_graphs import SEEDS, graphs, random_board, random_graph

from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.analysis.chip_edges import chip_edge_figures, chip_edges
from tncompile.analysis.graph import adjacency, arcs, core_graph
from tncompile.analysis.link_load import crossings, link_load
from tncompile.analysis.rates import neuron_spikes
from tncompile.arch import TRUENORTH, ChipArch
from tncompile.config.net import NetConfig
from tncompile.ir import CoreGraph, PartitionedGraph, SpikeCounts
from tncompile.nn import assume_statistics, build_network, export_network
from tncompile.reference.net import convolve, input_bits

FRAMES = 7


def measured(graph: CoreGraph, seed: int) -> CoreGraph:
    """Returns the graph with random spikes counted for every signal that it may carry."""
    rng = np.random.default_rng(seed)
    layers = len(graph.source.source.layers) + 1
    spikes = tuple(rng.integers(0, FRAMES, 50, endpoint=True).astype(np.int32) for _ in range(layers))
    logical = replace(graph.source.source, spike_counts=SpikeCounts(frames=FRAMES, spikes=spikes))
    return replace(graph, source=replace(graph.source, source=logical))


def senders(graph: CoreGraph):
    """Yields core, target core and spikes of each neuron that sends to a core."""
    counts = graph.source.source.spike_counts
    assert counts is not None
    for core in range(graph.cores):
        for neuron, target in enumerate(graph.target_core[core].tolist()):
            if target >= 0:
                layer, index = int(graph.neuron_layer[core, neuron]), int(graph.neuron_index[core, neuron])
                yield core, target, int(counts.spikes[layer + 1][index])


@given(graphs(), SEEDS)
@settings(max_examples=15, deadline=None)
def test_arcs_carry_what_their_neurons_spike(graph, seed):
    assert neuron_spikes(graph) is None
    graph = measured(graph, seed)
    spikes, neurons = Counter(), Counter()
    for core, target, fired in senders(graph):
        spikes[core, target] += fired
        neurons[core, target] += 1
    result = arcs(graph)
    assert result.frames == FRAMES and result.spikes is not None
    for row, pair in enumerate(zip(result.source.tolist(), result.target.tolist(), strict=True)):
        assert (result.weight[row], result.spikes[row]) == (neurons[pair], spikes[pair])
        assert result.rate[row] == neurons[pair] + spikes[pair]
    assert len(result.source) == len(neurons)
    given_out = core_graph(graph)
    for source, target, data in given_out.edges(data=True):
        assert data["neurons"] == neurons[source, target]
        assert data["rate"] == pytest.approx((neurons[source, target] + spikes[source, target]) / (FRAMES + 1))
    assert adjacency(result).sum() == 2 * result.rate[result.source != result.target].sum()


@given(graphs(), SEEDS)
@settings(max_examples=20, deadline=None)
def test_edges_carry_what_walks_from_chip_to_chip_carry(graph, seed):
    graph = measured(graph, seed)
    arch = random_board(seed, graph.cores)
    site = np.random.default_rng(seed).choice(arch.size[0] * arch.size[1], graph.cores, replace=False).astype(np.int32)
    x, y = site % arch.size[0], site // arch.size[0]
    chip = (x // arch.grid[0] + arch.board[0] * (y // arch.grid[1])).astype(np.int32)
    walked: dict[tuple, list[int]] = {}
    for core, target, fired in senders(graph):
        here = [int(x[core]) // arch.grid[0], int(y[core]) // arch.grid[1]]
        end = [int(x[target]) // arch.grid[0], int(y[target]) // arch.grid[1]]
        while here != end:
            axis = 0 if here[0] != end[0] else 1
            there = here.copy()
            there[axis] += 1 if end[axis] > here[axis] else -1
            counted = walked.setdefault((tuple(here), tuple(there)), [0, 0])
            counted[0] += 1
            counted[1] += fired
            here = there
    stage = PartitionedGraph(source=graph, core_chip=chip, cut=0)
    edges = chip_edges(stage, arch)
    assert {(e.source, e.target): (e.most, e.mean) for e in edges} == {
        way: (most, fired / FRAMES) for way, (most, fired) in walked.items()
    }
    assert sum(edge.most for edge in edges) == crossings(link_load(arcs(graph), x, y, arch.size), arch)

    figures = chip_edge_figures(stage, arch)
    limit = arch.edge_spikes_per_s / arch.ticks_per_s
    for row in figures["chips"]:
        own = [counted for way, counted in walked.items() if tuple(row["chip"]) in way]
        assert row["most"] == sum(most for most, _ in own)
        assert row["mean"] == pytest.approx(sum(fired for _, fired in own) / FRAMES)
        assert row["limit_%"] == pytest.approx(100 * row["mean"] / limit)
    assert len(figures["chips"]) == len(set(chip.tolist()))


def test_figures_without_counted_spikes():
    """Two cores on two chips, three neurons from one to the other: at a limit of 6 a tick, half of it on both."""
    graph = two_cores(3)
    arch = ChipArch(axons=8, neurons=8, grid=(1, 1), board=(2, 1), edge_spikes_per_s=6000)
    stage = PartitionedGraph(source=graph, core_chip=np.array([0, 1], np.int32), cut=3)
    assert chip_edge_figures(stage, arch) == {
        "edges": [{"from": [0, 0], "to": [1, 0], "most": 3, "mean": None}],
        "chips": [
            {"chip": [0, 0], "most": 3, "mean": None, "limit_%": 50.0},
            {"chip": [1, 0], "most": 3, "mean": None, "limit_%": 50.0},
        ],
        "limit_packets_per_tick": 6.0,
        "ticks_per_s": 2000.0,
    }
    together = replace(stage, core_chip=np.zeros(2, np.int32))
    assert chip_edge_figures(together, arch)["ticks_per_s"] is None


def two_cores(neurons: int) -> CoreGraph:
    """Returns two cores, the first of which sends to the second by so many neurons."""
    graph = random_graph(0, cores=2, layers=1)
    target = np.full((2, 8), -1, np.int32)
    target[0, :neurons] = 1
    return replace(graph, target_core=target)


@pytest.mark.parametrize("images", [1, 5, 300])
def test_the_model_counts_the_reference_s_spikes(images):
    """300 images take two batches, the second of which is padded."""
    net = NetConfig.model_validate({"layers": "S-4 P-12(2) N-6"})
    model = build_network(net, in_shape=(6, 6, 1), input_bits=4, classes=3, arch=TRUENORTH, seed=1)
    assume_statistics(model, 1)
    pixels = np.random.default_rng(0).integers(0, 16, (images, 6, 6, 1)).astype(np.uint8)
    counts = model.spike_counts(pixels)
    logical = export_network(model, "net", counts)
    assert logical.spike_counts is counts and counts.frames == images
    trinary = trinarize(logical, TRUENORTH, TrinarizeConfig(), seed=0)
    maps = input_bits(trinary, pixels).reshape(images, 6, 6, 4)
    expected = [maps]
    for layer, weights, leak in zip(logical.layers, trinary.weights, trinary.leak, strict=True):
        maps = convolve(layer.conv, maps.astype(np.int64), weights.astype(np.int64)) + leak.astype(np.int64) >= 1
        expected.append(maps)
    for spikes, values in zip(counts.spikes, expected, strict=True):
        assert spikes.dtype == np.int32 and spikes.max() <= images
        np.testing.assert_array_equal(spikes, values.reshape(images, -1).sum(axis=0))
    assert any(spikes.any() for spikes in counts.spikes)
