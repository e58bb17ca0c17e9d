"""Boards to be drawn."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from support.random_graphs import random_board, random_graph

from tncompile.analysis.traffic import Activity
from tncompile.arch import ChipArch
from tncompile.ir import PartitionedGraph, PlacedChip, RoutedChip
from tncompile.report.plots.view import BoardView, view_of_stage


def random_stage(seed: int, arch: ChipArch, cores: int, layers: int = 3, *, near: bool = False) -> RoutedChip:
    """Returns cores on random working sites, some of them shared, with the packets that go straight to their targets.

    Args:
        seed: of everything random.
        arch: the board.
        cores: how many.
        layers: how many they are of.
        near: whether sites next to the first come first.
    """
    rng = np.random.default_rng(seed)
    graph = random_graph(seed, cores=cores, axons=arch.axons, neurons=arch.neurons, layers=layers)
    carried = graph.neuron_layer.copy()
    shared = rng.random(cores) < 0.2
    carried[shared, ::2] = np.where(carried[shared, ::2] >= 0, (carried[shared, ::2] + 1) % layers, -2)
    graph = dataclasses.replace(graph, neuron_layer=carried)
    width, height = arch.size
    dead = set(arch.dead_cores)
    working = np.array([(x, y) for y in range(height) for x in range(width) if (x, y) not in dead])
    rank = (working - working[0]).max(axis=1) if near else rng.random(len(working))
    x, y = working[np.argsort(rank, kind="stable")[:cores]].T.astype(np.int32)
    target = np.where(graph.target_core >= 0, graph.target_core, np.arange(cores)[:, None])
    return RoutedChip(
        source=PlacedChip(
            source=PartitionedGraph(source=graph, core_chip=np.zeros(cores, np.int32), cut=0),
            core_x=x,
            core_y=y,
            wirelength=0,
        ),
        dx=(x[target] - x[:, None]).astype(np.int16),
        dy=(y[target] - y[:, None]).astype(np.int16),
        link_load=np.zeros((4, height, width), np.int64),
        crossings=0,
    )


def random_view(seed: int, cores: int = 30) -> BoardView:
    """Returns a view of some cores on a board of odd sizes with faulty cores, with activity every other time."""
    arch = random_board(seed, cores)
    stage = random_stage(seed, arch, cores, layers=1 + seed % 4)
    spikes = np.random.default_rng(seed).integers(0, 9, stage.dx.shape)
    return view_of_stage(stage, arch, Activity(spikes=spikes, ticks=5, source="drawn") if seed % 2 else None)


SMALL = {"axons": 8, "neurons": 8}
BOARDS = {
    "full chip": (ChipArch(**SMALL), 4096, 15),
    "half-empty chip with dead cores": (
        ChipArch(**SMALL, dead_cores=tuple((x, (7 * x) % 64) for x in range(64))),
        2500,
        24,
    ),
    "corner of a chip": (ChipArch(**SMALL, dead_cores=((1, 1),)), 20, 3),
    "one core": (ChipArch(**SMALL), 1, 1),
    "two small chips": (ChipArch(**SMALL, grid=(3, 4), board=(2, 1)), 20, 2),
    "row of four chips": (ChipArch(**SMALL, grid=(16, 16), board=(4, 1)), 900, 9),
    "column of chips": (ChipArch(**SMALL, grid=(32, 8), board=(1, 3)), 700, 40),
    "sixteen chips": (ChipArch(**SMALL, grid=(64, 64), board=(4, 4), dead_cores=((70, 70),)), 60000, 15),
    "many chips": (ChipArch(**SMALL, grid=(8, 8), board=(9, 6)), 3000, 6),
}
"""Boards by name: chip, cores and layers."""


@functools.cache
def board(name: str) -> BoardView:
    """Returns the view of one of `BOARDS`."""
    arch, cores, layers = BOARDS[name]
    return view_of_stage(random_stage(1, arch, cores, layers, near=cores < 100), arch)
