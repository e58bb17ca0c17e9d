"""Splitters: trees that turn one spike into many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Nodes:
    """Splitter nodes behind one source, by stage, then signal: an axon each, and the neurons that copy it.

    Stage 1 is fed by the source, stage s + 1 by stage s.

    Attributes:
        signal: that a node copies.
        stage: 1, 2, ….
        size: its neurons.
        leaf: whether they drive readers (or else nodes of the next stage).
    """

    signal: Int64[Array, " nodes"]
    stage: Int64[Array, " nodes"]
    size: Int64[Array, " nodes"]
    leaf: Bool[Array, " nodes"]

    @property
    def depth(self) -> int:
        """The largest stage; 0 without nodes."""
        return int(self.stage.max(initial=0))


def grow_splitters(signal: Int64[Array, " items"], copies: Int64[Array, " items"], neurons: int) -> Nodes:
    """Returns the nodes that make `copies` copies of each signal from one neuron (or packet) each.

    Args:
        signal: rising.
        copies: of each.
        neurons: of a core, so the most that a node can have.
    """
    levels = [copies]  # copies to make at each level, from the leaves up; a level that one node makes is the root
    while np.any(levels[-1] > neurons):
        levels.append(np.where(levels[-1] > neurons, -(-levels[-1] // neurons), 0))
    height = (np.array(levels) > 0).sum(axis=0)

    columns: list[tuple[Array, ...]] = []
    for stage in range(1, int(height.max(initial=0)) + 1):
        items = np.flatnonzero(height >= stage)
        make = np.array(levels)[height[items] - stage, items]
        count = -(-make // neurons)  # nodes of each item
        item = np.repeat(np.arange(len(items)), count)
        rank = np.arange(len(item)) - np.repeat(np.cumsum(count) - count, count)
        size = make[item] // count[item] + (rank < make[item] % count[item])
        leaf = height[items][item] == stage
        columns.append((signal[items][item], np.full(len(item), stage), size, leaf))
    if not columns:
        empty = np.zeros(0, np.int64)
        return Nodes(empty, empty, empty, np.zeros(0, bool))
    return Nodes(*(np.concatenate(column) for column in zip(*columns, strict=True)))
