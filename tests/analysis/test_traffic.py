"""Loads of links, chips' edges and lengths of ways, against packets that walk one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_chips import SMALL, random_chip
from support.random_graphs import SEEDS, graphs, random_board, random_graph

from tncompile.analysis.graph import arcs
from tncompile.analysis.link_load import crossings, link_load, side_load
from tncompile.analysis.traffic import (
    Activity,
    ChipTraffic,
    Link,
    Paths,
    busiest_links,
    chip_traffic,
    hop_counts,
    paths,
    traffic,
)
from tncompile.analysis.wirelength import wirelength
from tncompile.arch import ChipArch
from tncompile.errors import SimulationError
from tncompile.ir import CoreGraph, Direction, PartitionedGraph, PlacedChip, RoutedChip

STEP = {Direction.EAST: (1, 0), Direction.WEST: (-1, 0), Direction.NORTH: (0, 1), Direction.SOUTH: (0, -1)}


def placed(graph: CoreGraph, arch: ChipArch, seed: int) -> PlacedChip:
    """Returns the cores on random sites."""
    width, height = arch.size
    site = np.random.default_rng(seed).choice(width * height, graph.cores, replace=False).astype(np.int32)
    x, y = site % width, site // width
    chips = PartitionedGraph(source=graph, core_chip=np.zeros(graph.cores, np.int32), cut=0)
    return PlacedChip(source=chips, core_x=x, core_y=y, wirelength=0)


def routed(stage: PlacedChip, arch: ChipArch) -> RoutedChip:
    """Returns the packets that go straight to their targets, found neuron by neuron."""
    graph = stage.source.source
    dx, dy = np.zeros((2, *graph.target_core.shape), np.int16)
    for core, neuron in np.argwhere(graph.target_core >= 0):
        target = graph.target_core[core, neuron]
        dx[core, neuron] = stage.core_x[target] - stage.core_x[core]
        dy[core, neuron] = stage.core_y[target] - stage.core_y[core]
    load = np.zeros((4, *arch.size[::-1]), np.int64)
    return RoutedChip(source=stage, dx=dx, dy=dy, link_load=load, crossings=0)


def random_activity(shape: tuple[int, int], seed: int) -> Activity:
    """Returns spikes of about half of the neurons, of those without a target too."""
    spikes = np.maximum(np.random.default_rng(seed).integers(-5, 6, shape), 0)
    return Activity(spikes=spikes, ticks=7, source="drawn")


def hops(x: int, y: int, dx: int, dy: int) -> Iterator[tuple[int, int, Direction]]:
    """Yields the links of one packet, with the sites that it leaves."""
    for towards, count in (
        (Direction.EAST if dx > 0 else Direction.WEST, abs(dx)),
        (Direction.NORTH if dy > 0 else Direction.SOUTH, abs(dy)),
    ):
        for _ in range(count):
            yield x, y, towards
            x, y = x + STEP[towards][0], y + STEP[towards][1]


def walked(
    packets: Paths, arch: ChipArch, activity: Activity | None
) -> tuple[
    Counter[tuple[int, int, Direction]], Counter[tuple[int, Direction]], Counter[int], Counter[tuple[bool, int]]
]:
    """Returns packets a link, leaving each chip by each side, entering each chip, and of each length, away or not."""
    links, leaving, entering, lengths = Counter(), Counter(), Counter(), Counter()
    for core, neuron in np.argwhere(packets.sends):
        count = 1 if activity is None else int(activity.spikes[core, neuron])
        if not count:
            continue
        way = list(
            hops(
                int(packets.x[core]), int(packets.y[core]), int(packets.dx[core, neuron]), int(packets.dy[core, neuron])
            )
        )
        for x, y, towards in way:
            links[x, y, towards] += count
            here, there = arch.chip_of(x, y), arch.chip_of(x + STEP[towards][0], y + STEP[towards][1])
            if here != there:
                leaving[here, towards] += count
                entering[there] += count
        end = int(packets.x[core] + packets.dx[core, neuron]), int(packets.y[core] + packets.dy[core, neuron])
        away = arch.chip_of(int(packets.x[core]), int(packets.y[core])) != arch.chip_of(*end)
        lengths[away, len(way)] += count
    return links, leaving, entering, lengths


def check(packets: Paths, arch: ChipArch, activity: Activity | None) -> None:
    """Compares all figures with the walk."""
    links, leaving, entering, lengths = walked(packets, arch, activity)
    load = traffic(packets, arch.size, activity)
    assert {(x, y, Direction(d)): int(load[d, y, x]) for d, y, x in np.argwhere(load).tolist()} == dict(links)
    sides = side_load(load, arch)
    for chip in range(arch.chips):
        for towards in Direction:
            assert sides[towards, chip // arch.board[0], chip % arch.board[0]] == leaving[chip, towards]
    assert crossings(load, arch) == leaving.total()
    expected = tuple(
        ChipTraffic(
            chip=chip,
            leaving=(
                leaving[chip, Direction.EAST],
                leaving[chip, Direction.WEST],
                leaving[chip, Direction.NORTH],
                leaving[chip, Direction.SOUTH],
            ),
            entering=entering[chip],
        )
        for chip in range(arch.chips)
    )
    assert chip_traffic(load, arch) == (expected if arch.chips > 1 else ())
    assert sum(at.all for at in expected) == 2 * leaving.total()
    counts = hop_counts(packets, arch, activity)
    assert {(bool(away), length): int(counts[away, length]) for away, length in np.argwhere(counts).tolist()} == lengths
    assert counts.shape[1] == 1 + max((length for _, length in lengths), default=0)
    assert (counts.sum(axis=0) * np.arange(counts.shape[1])).sum() == load.sum()
    found = busiest_links(load, arch, 5)
    ranked = sorted(links.items(), key=lambda item: (-item[1], item[0][2], item[0][1], item[0][0]))[:5]
    assert [((at.x, at.y, at.direction), at.packets) for at in found] == ranked
    for at in found:
        there = at.x + STEP[at.direction][0], at.y + STEP[at.direction][1]
        assert at.edge == (arch.chip_of(at.x, at.y) != arch.chip_of(*there))


@given(graphs(), SEEDS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_routed_chip_loads_what_its_packets_walk(graph, seed, measured):
    arch = random_board(seed, graph.cores)
    stage = placed(graph, arch, seed)
    activity = random_activity(graph.target_core.shape, seed) if measured else None
    check(paths(routed(stage, arch)), arch, activity)
    packets = arcs(graph)
    load = link_load(packets, stage.core_x, stage.core_y, arch.size)
    np.testing.assert_array_equal(load, traffic(paths(stage), arch.size))
    assert load.sum() == wirelength(packets, stage.core_x, stage.core_y)


@given(SEEDS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_chip_image_loads_what_its_packets_walk(seed, measured):
    image = random_chip(seed)
    check(paths(image), SMALL, random_activity(image.neuron_type.shape, seed) if measured else None)


def test_a_placed_chip_has_the_packets_of_the_routed_one():
    graph, arch = random_graph(5, cores=30), ChipArch(axons=8, neurons=8, grid=(5, 4), board=(2, 1))
    stage = placed(graph, arch, 5)
    before, after = paths(stage), paths(routed(stage, arch))
    for name in ("x", "y", "sends", "dx", "dy"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name), err_msg=name)


def test_rows_merge_at_a_chips_edge():
    """Three packets from three rows leave by one shared link, and split again on the other chip."""
    arch = ChipArch(grid=(2, 3), board=(2, 1))
    packets = Paths(
        x=np.zeros(3, np.int32),
        y=np.arange(3, dtype=np.int32),
        sends=np.ones((3, 1), bool),
        dx=np.full((3, 1), 3, np.int16),
        dy=np.zeros((3, 1), np.int16),
    )
    load = traffic(packets, arch.size, Activity(spikes=np.array([[10], [0], [2]]), ticks=2, source=""))
    assert load[Direction.EAST].tolist() == [[10, 10, 10, 0], [0, 0, 0, 0], [2, 2, 2, 0]]
    assert not load[[Direction.WEST, Direction.NORTH, Direction.SOUTH]].any()
    first, second = chip_traffic(load, arch)
    assert (first.leaving, first.entering, first.all) == ((12, 0, 0, 0), 0, 12)
    assert (second.leaving, second.entering, second.all) == ((0, 0, 0, 0), 12, 12)
    assert busiest_links(load, arch, 2) == (
        Link(x=0, y=0, direction=Direction.EAST, packets=10, edge=False),
        Link(x=1, y=0, direction=Direction.EAST, packets=10, edge=True),
    )


def test_the_published_edge_of_a_chip():
    """160 million spikes a second over four sides are 160,000 a tick of a millisecond."""
    assert ChipArch().edge_spikes_per_tick == 160_000
    assert ChipArch(ticks_per_s=500, edge_spikes_per_s=1000).edge_spikes_per_tick == 2


def test_spikes_of_another_chip_are_refused():
    image = random_chip(1)
    with pytest.raises(SimulationError, match="spikes of 2 cores with 3 neurons each, the chip has 9 with 16"):
        traffic(paths(image), SMALL.size, random_activity((2, 3), 1))
