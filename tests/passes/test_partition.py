"""Partition: within capacity, on the fewest chips, with few arcs between them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from support.random_graphs import SEEDS, graphs, random_board, random_graph

from passes.partition import PartitionConfig, fewest_chips, partition
from tncompile.arch import ChipArch
from tncompile.errors import CapacityError
from tncompile.ir import CoreGraph


def cut_of(graph: CoreGraph, core_chip) -> int:
    """Returns the arcs between chips, counted one by one."""
    return sum(
        core_chip[core] != core_chip[target]
        for core in range(graph.cores)
        for target in graph.target_core[core]
        if target >= 0
    )


@given(graphs(), SEEDS)
@settings(max_examples=30, deadline=None)
def test_every_core_on_a_chip_with_room(graph, seed):
    arch = random_board(seed, graph.cores)
    result = partition(graph, arch, PartitionConfig(), seed=seed)
    capacity = [arch.capacity(chip) for chip in range(arch.chips)]
    held = np.bincount(result.core_chip, minlength=arch.chips)
    assert len(held) == arch.chips and (held <= capacity).all()
    assert result.cut == cut_of(graph, result.core_chip)
    used = np.count_nonzero(held)
    assert used == 1 or sum(sorted(capacity)[::-1][: used - 1]) < graph.cores


@pytest.mark.parametrize("seed", range(12))
def test_cut_of_two_chips_is_near_the_best(seed):
    """Of 10 cores on two chips of 5, all 252 cuts are tried."""
    graph = random_graph(seed, cores=10, layers=3)
    arch = ChipArch(axons=8, neurons=8, grid=(5, 1), board=(2, 1))
    cuts = [cut_of(graph, [int(core in first) for core in range(10)]) for first in combinations(range(10), 5)]
    assert min(cuts) <= partition(graph, arch, PartitionConfig(), seed=0).cut <= 1.25 * min(cuts) < np.mean(cuts)


def test_a_chain_of_cliques_lies_along_the_board():
    """Four groups of cores that talk among themselves, in a chain: each gets a chip, in that order."""
    graph = random_graph(0, cores=16, layers=1)
    target = np.full((16, 8), -1, np.int32)
    for group, member in product(range(4), range(4)):
        core = 4 * group + member
        target[core, :3] = [4 * group + other for other in range(4) if other != member]
        if group < 3:
            target[core, 3] = core + 4
    shuffled = np.random.default_rng(1).permutation(16).astype(np.int32)
    renamed = np.empty_like(target)
    renamed[shuffled] = np.where(target >= 0, shuffled[target], -1)
    graph = replace(graph, target_core=renamed)
    result = partition(graph, ChipArch(axons=8, neurons=8, grid=(2, 2), board=(4, 1)), PartitionConfig(), seed=0)
    chips = [set(result.core_chip[shuffled[4 * group : 4 * group + 4]].tolist()) for group in range(4)]
    assert chips in ([{0}, {1}, {2}, {3}], [{3}, {2}, {1}, {0}])


def test_refinement_cuts_less():
    arch = ChipArch(axons=8, neurons=8, grid=(30, 1), board=(2, 1))
    cuts = np.array(
        [
            [partition(random_graph(seed, cores=60), arch, PartitionConfig(passes=n), seed=0).cut for n in (0, 8)]
            for seed in range(8)
        ]
    )
    assert (cuts[:, 1] <= cuts[:, 0]).all()
    assert cuts[:, 1].sum() < 0.97 * cuts[:, 0].sum()


@pytest.mark.parametrize(
    ("capacity", "cores", "expected"),
    [
        ([4, 4, 4, 4], 4, [0]),
        ([3, 4, 4, 4], 4, [1]),
        ([4, 4, 4, 4], 8, [0, 1]),
        ([4, 1, 1, 4], 8, [0, 3]),  # the only pair that suffices is not adjacent
        ([4, 4, 4, 4], 0, [0]),
    ],
)
def test_fewest_chips(capacity, cores, expected):
    assert fewest_chips(ChipArch(grid=(2, 2), board=(2, 2)), np.array(capacity), cores).tolist() == expected


def test_too_small_a_board_says_what_takes_most():
    graph = random_graph(5, cores=20, layers=3)
    arch = ChipArch(axons=8, neurons=8, grid=(3, 3), board=(2, 1), dead_cores=((0, 0),))
    with pytest.raises(CapacityError) as error:
        partition(graph, arch, PartitionConfig(), seed=0)
    assert str(error.value) == (
        "the net needs 20 cores, the board has 17 working ones (2 x 1 chips of 3 x 3, 1 faulty); most are taken by"
        " layer0 (8 + 2 splitters), layer1 (5 + 1 splitters), layer2 (4 + 0 splitters); use a larger arch.board or"
        " arch.grid, or fewer features"
    )
