"""Splitter cores: trees that turn one spike into many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from passes.pack.layout import Axons, sorted_axons
from tncompile.arch import ChipArch

Array = np.ndarray


@dataclass(frozen=True)
class Splitters:
    """The splitter cores behind one layer.

    Stage 1 is fed by the source, stage s + 1 by stage s; a core holds nodes of one stage only, so that all its axons
    are read at the same tick. A node is an axon and the neurons that copy it.

    Attributes:
        stage: of each core.
        depth: the largest stage; 0 without splitters.
        nodes: one list of axons a stage.
        signal, core, axon, neuron: the neurons, one row each, by stage, core and neuron.
        leaf: whether a neuron drives a reader (or else a node of the next stage).
    """

    stage: Int[Array, " cores"]
    nodes: tuple[Axons, ...]
    signal: Int[Array, " neurons"]
    core: Int[Array, " neurons"]
    axon: Int[Array, " neurons"]
    neuron: Int[Array, " neurons"]
    leaf: Bool[Array, " neurons"]

    @property
    def depth(self) -> int:
        return len(self.nodes)


def grow_splitters(signal: Int[Array, " items"], copies: Int[Array, " items"], arch: ChipArch) -> Splitters:
    """Returns the splitter cores that make `copies` copies of each signal from one neuron (or packet) each."""
    levels = [copies]  # copies to make at each level, from the leaves up; a level with one core's worth is the root
    while np.any(levels[-1] > arch.neurons):
        levels.append(np.where(levels[-1] > arch.neurons, -(-levels[-1] // arch.neurons), 0))
    height = (np.array(levels) > 0).sum(axis=0)

    stage_of_core: list[int] = []
    nodes: list[Axons] = []
    rows: list[tuple[Array, ...]] = []
    for stage in range(1, int(height.max(initial=0)) + 1):
        items = np.flatnonzero(height >= stage)
        make = np.array(levels)[height[items] - stage, items]
        count = -(-make // arch.neurons)  # nodes of each item
        item = np.repeat(np.arange(len(items)), count)
        rank = np.arange(len(item)) - np.repeat(np.cumsum(count) - count, count)
        size = make[item] // count[item] + (rank < make[item] % count[item])
        core, axon, first = _fill(size, arch)
        core += len(stage_of_core)
        stage_of_core += [stage] * (int(core[-1]) + 1 - len(stage_of_core))
        node_signal = signal[items][item]
        nodes.append(sorted_axons(node_signal, core, axon))
        offset = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        leaf = height[items][item] == stage
        rows.append((*(np.repeat(v, size) for v in (node_signal, core, axon, first, leaf)), offset))
    if not rows:
        empty = np.zeros(0, int)
        return Splitters(empty, (), empty, empty, empty, empty, np.zeros(0, bool))
    node_signal, core, axon, first, leaf, offset = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Splitters(np.array(stage_of_core), tuple(nodes), node_signal, core, axon, first + offset, leaf)


def _fill(size: Int[Array, " nodes"], arch: ChipArch) -> tuple[Array, Array, Array]:
    """Returns core, axon and first neuron of each node, filling one core after the other in order."""
    core = np.empty(len(size), int)
    axon = np.empty(len(size), int)
    first = np.empty(len(size), int)
    cores = axons = neurons = 0
    for i, n in enumerate(size.tolist()):
        if neurons + n > arch.neurons or axons == arch.axons:
            cores, axons, neurons = cores + 1, 0, 0
        core[i], axon[i], first[i] = cores, axons, neurons
        axons, neurons = axons + 1, neurons + n
    return core, axon, first
