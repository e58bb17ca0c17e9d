"""The graphs that placement and partitioning are measured on are those of the experiments."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks are no installed package

from benchmarks import partition
from benchmarks.graphs import core_graph, experiment, widened
from tncompile.verify import verify


def test_an_experiment_gives_its_core_graph():
    of = experiment("digits", ["net.layers=S-4 P-32(2) N-20(2)"])
    graph = core_graph(of)
    verify(graph, of.arch)
    assert [layer.conv.features for layer in graph.source.source.layers] == [32, 20]
    assert graph.source.source.spike_counts is None


def test_nets_grow_in_groups_of_the_same_size():
    of = experiment("cifar10_4chip")
    wide = experiment("cifar10_4chip", [widened(of, 4)])
    for narrow, broad in zip(of.net.layers, wide.net.layers, strict=True):
        assert broad.features == 4 * narrow.features
        assert broad.groups == (4 * narrow.groups if narrow.groups > 1 else 1)


def test_the_nets_are_for_so_many_chips():
    for chips in partition.NETS:
        assert partition.net(chips).arch.chips == int(chips)
