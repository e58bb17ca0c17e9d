"""What crosses the edges between chips, as soon as it is known which chip each core lies on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from tncompile.analysis.graph import arcs
from tncompile.arch import ChipArch
from tncompile.ir import PartitionedGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipEdge:
    """One way over the edge between two neighbouring chips.

    A frame enters every tick, so packets a frame are packets a tick as well.

    Attributes:
        source, target: (x, y) of the chip that packets leave, and of the one that they enter.
        most: packets of a frame in which every neuron spikes.
        mean: packets of a sample frame, on average; None if nobody counted spikes.
    """

    source: tuple[int, int]
    target: tuple[int, int]
    most: int
    mean: float | None


def chip_edges(graph: PartitionedGraph, arch: ChipArch) -> tuple[ChipEdge, ...]:
    """Returns what crosses the edges of a board, by source and target chip; ways that nothing takes are left out.

    Packets go along x first, then along y, so the chips that one passes are known before cores have sites.

    Differs:
        What the host sends to the chips, and what output pins send away, crosses edges too, but on ways that nobody
        has published. Neither counts.
    """
    pairs = arcs(graph.source)
    width, chips = arch.board[0], arch.chips
    number = graph.core_chip[pairs.source].astype(np.int64) * chips + graph.core_chip[pairs.target]
    most = _sums(number, pairs.weight, chips)
    counted = None if pairs.spikes is None else _sums(number, pairs.spikes, chips)
    ways: dict[tuple[int, int], list[int]] = {}
    for source, target in np.argwhere(most):
        for way in _ways(int(source), int(target), width):
            sums = ways.setdefault(way, [0, 0])
            sums[0] += int(most[source, target])
            sums[1] += 0 if counted is None else int(counted[source, target])
    return tuple(
        ChipEdge(
            source=(source % width, source // width),
            target=(target % width, target // width),
            most=sums[0],
            mean=None if counted is None else sums[1] / pairs.frames,
        )
        for (source, target), sums in sorted(ways.items())
    )


def chip_edge_figures(graph: PartitionedGraph, arch: ChipArch) -> dict[str, Any]:
    """Returns the packets over each edge, and of each chip over its four sides against its limit, as JSON data.

    `limit_%` is the share of `ChipArch.edge_spikes_per_tick` that a chip's packets take, out and in together: of
    the mean if spikes were counted, else if every neuron spikes. `ticks_per_s` is how fast the busiest chip's edge
    would let the board run; None if nothing crosses it.
    """
    edges, counted = chip_edges(graph, arch), graph.source.source.source.spike_counts is not None
    chips = []
    for number in np.unique(graph.core_chip).tolist():
        site = (number % arch.board[0], number // arch.board[0])
        own = [edge for edge in edges if site in (edge.source, edge.target)]
        most = sum(edge.most for edge in own)
        mean = sum((edge.mean or 0.0 for edge in own), 0.0) if counted else None
        share = 100 * (most if mean is None else mean) / arch.edge_spikes_per_tick
        chips.append({"chip": list(site), "most": most, "mean": mean, "limit_%": share})
    return {
        "edges": [
            {"from": list(edge.source), "to": list(edge.target), "most": edge.most, "mean": edge.mean} for edge in edges
        ],
        "chips": chips,
        "limit_packets_per_tick": arch.edge_spikes_per_tick,
        "ticks_per_s": min(
            (arch.ticks_per_s * 100 / chip["limit_%"] for chip in chips if chip["limit_%"]), default=None
        ),
    }


def _sums(
    number: Int64[np.ndarray, " arcs"], packets: Int64[np.ndarray, " arcs"], chips: int
) -> Int64[np.ndarray, "chips chips"]:
    """Returns the packets from each chip to each other one."""
    sums = np.zeros(chips * chips, np.int64)
    np.add.at(sums, number, packets)
    sums = sums.reshape(chips, chips)
    np.fill_diagonal(sums, 0)
    return sums


def _ways(source: int, target: int, width: int) -> list[tuple[int, int]]:
    """Returns the steps from chip to chip of a packet that goes along x first, then along y.

    >>> _ways(0, 4, 3)
    [(0, 1), (1, 4)]
    """
    ways = []
    while source != target:
        if source % width != target % width:
            after = source + (1 if source % width < target % width else -1)
        else:
            after = source + (width if source < target else -width)
        ways.append((source, after))
        source = after
    return ways
