"""What packets load on a board's links: every neuron's once, or those of spikes that were counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int16, Int32, Int64

from tncompile.analysis.link_load import packet_load, side_load
from tncompile.arch import ChipArch
from tncompile.errors import SimulationError
from tncompile.ir import ChipImage, Direction, PlacedChip, RoutedChip, graph_of, sites_of
from tncompile.ir.base import Record

_CORES = 4096  # at a time: bounds the memory of boards with millions of neurons


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Activity(Record):
    """How often each neuron spiked.

    Attributes:
        spikes: of each neuron, over all these ticks.
        ticks: how many [tick].
        source: where they were counted, for people.
    """

    spikes: Int64[np.ndarray, "cores neurons"]
    ticks: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paths(Record):
    """The packet that each neuron sends when it spikes.

    Attributes:
        x, y: site of each core.
        sends: whether a neuron sends to a core; one that drives an output pin or nothing does not.
        dx, dy: offset of its packet, 0 if it sends none [core].
    """

    x: Int32[np.ndarray, " cores"]
    y: Int32[np.ndarray, " cores"]
    sends: Bool[np.ndarray, "cores neurons"]
    dx: Int16[np.ndarray, "cores neurons"]
    dy: Int16[np.ndarray, "cores neurons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link between two routers.

    Attributes:
        x, y: site of the router that it leaves.
        direction: where it goes.
        packets: that take it.
        edge: whether it leads to another chip, so that it shares one link with its whole side.
    """

    x: int
    y: int
    direction: Direction
    packets: int
    edge: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipTraffic:
    """What crosses the edge of a chip, to and from other chips of the board.

    Attributes:
        chip: its number.
        leaving: packets over the shared link of each side, by `Direction`.
        entering: packets from all sides together.
    """

    chip: int
    leaving: tuple[int, int, int, int]
    entering: int

    @property
    def all(self) -> int:
        """Packets over all four sides, both ways."""
        return sum(self.leaving) + self.entering


def paths(chip: PlacedChip | RoutedChip | ChipImage) -> Paths:
    """Returns the packets of a chip's neurons; of a placed one those that a direct way x first, then y asks for."""
    if isinstance(chip, ChipImage):
        return Paths(x=chip.core_x, y=chip.core_y, sends=chip.target_delay > 0, dx=chip.dx, dy=chip.dy)
    if isinstance(chip, RoutedChip):
        x, y = sites_of(chip)
        return Paths(x=x, y=y, sends=graph_of(chip).target_core >= 0, dx=chip.dx, dy=chip.dy)
    x, y, core = chip.core_x, chip.core_y, chip.source.source.target_core
    sends = core >= 0
    target = np.where(sends, core, np.arange(len(x), dtype=core.dtype)[:, None])
    return Paths(
        x=x,
        y=y,
        sends=sends,
        dx=(x[target] - x[:, None]).astype(np.int16),
        dy=(y[target] - y[:, None]).astype(np.int16),
    )


def traffic(
    packets: Paths, size: tuple[int, int], activity: Activity | None = None
) -> Int64[np.ndarray, "4 height width"]:
    """Returns the packets on each link: a spike is one packet to the core that its neuron sends to.

    Args:
        packets: of the neurons.
        size: sites of the board in x and y.
        activity: the spikes; None: one of each neuron.

    Raises:
        SimulationError: the spikes are those of another chip.

    Differs:
        What the host sends to the chip, and what output pins send away, takes links too, but on ways that nobody has
        published. Neither counts.
    """
    count = packet_counts(packets, activity)
    load = np.zeros((4, size[1], size[0]), np.int64)
    for start in range(0, len(packets.x), _CORES):
        part = slice(start, start + _CORES)
        core, neuron = np.nonzero(count[part])
        dx, dy = packets.dx[part][core, neuron], packets.dy[part][core, neuron]
        load += packet_load(
            packets.x[part][core], packets.y[part][core], dx, dy, count[part][core, neuron], size
        )  # fmt: skip
    return load


def packet_counts(packets: Paths, activity: Activity | None = None) -> Int64[np.ndarray, "cores neurons"]:
    """Returns how many packets each neuron sends to another core or to its own.

    Raises:
        SimulationError: the spikes are those of another chip.
    """
    if activity is None:
        return packets.sends.astype(np.int64)
    if activity.spikes.shape != packets.sends.shape:
        cores, neurons = activity.spikes.shape
        raise SimulationError(
            f"{activity.source}: has spikes of {cores} cores with {neurons} neurons each, the chip has "
            f"{packets.sends.shape[0]} with {packets.sends.shape[1]}; take spikes of this chip"
        )
    return np.where(packets.sends, activity.spikes, 0)


def busiest_links(load: Int64[np.ndarray, "4 height width"], arch: ChipArch, count: int) -> tuple[Link, ...]:
    """Returns the links that carry the most, at most `count` and none that carries nothing.

    Equal ones stand in the order of `Direction`, then of y and x.
    """
    order = np.argsort(-load.ravel(), kind="stable")[:count]
    links = []
    for place in order[load.ravel()[order] > 0].tolist():
        direction, y, x = (int(n) for n in np.unravel_index(place, load.shape))
        to_x, to_y = _next(Direction(direction), x, y)
        links.append(
            Link(
                x=x,
                y=y,
                direction=Direction(direction),
                packets=int(load[direction, y, x]),
                edge=arch.chip_of(x, y) != arch.chip_of(to_x, to_y),
            )
        )
    return tuple(links)


def chip_traffic(load: Int64[np.ndarray, "4 height width"], arch: ChipArch) -> tuple[ChipTraffic, ...]:
    """Returns what crosses each chip's edge, by chip; empty for a board of one chip, which sends to no other."""
    if arch.chips == 1:
        return ()
    leaving = side_load(load, arch)
    entering = np.zeros(leaving.shape[1:], np.int64)
    entering[:, 1:] += leaving[Direction.EAST][:, :-1]
    entering[:, :-1] += leaving[Direction.WEST][:, 1:]
    entering[1:] += leaving[Direction.NORTH][:-1]
    entering[:-1] += leaving[Direction.SOUTH][1:]
    return tuple(
        ChipTraffic(
            chip=x + arch.board[0] * y,
            leaving=(
                int(leaving[Direction.EAST, y, x]),
                int(leaving[Direction.WEST, y, x]),
                int(leaving[Direction.NORTH, y, x]),
                int(leaving[Direction.SOUTH, y, x]),
            ),
            entering=int(entering[y, x]),
        )
        for y in range(arch.board[1])
        for x in range(arch.board[0])
    )


def hop_counts(packets: Paths, arch: ChipArch, activity: Activity | None = None) -> Int64[np.ndarray, "2 lengths"]:
    """Returns how many packets go how many hops: row 0 those that stay on their chip, row 1 those that do not.

    Args:
        packets: of the neurons.
        arch: the board.
        activity: the spikes; None: one of each neuron.

    Raises:
        SimulationError: the spikes are those of another chip.
    """
    count = packet_counts(packets, activity)
    counts = np.zeros((2, sum(arch.size)), np.int64)
    for start in range(0, len(packets.x), _CORES):
        part = slice(start, start + _CORES)
        core, neuron = np.nonzero(count[part])
        x, y = packets.x[part][core], packets.y[part][core]
        dx, dy = packets.dx[part][core, neuron].astype(np.int32), packets.dy[part][core, neuron].astype(np.int32)
        (width, height), hops = arch.grid, np.abs(dx) + np.abs(dy)
        away = ((x + dx) // width != x // width) | ((y + dy) // height != y // height)
        np.add.at(counts, (away.astype(np.int64), hops), count[part][core, neuron])
    longest = int(np.flatnonzero(counts.any(axis=0)).max(initial=0))
    return counts[:, : longest + 1]


def _next(direction: Direction, x: int, y: int) -> tuple[int, int]:
    """Returns the site that a link leads to."""
    dx, dy = {
        Direction.EAST: (1, 0),
        Direction.WEST: (-1, 0),
        Direction.NORTH: (0, 1),
        Direction.SOUTH: (0, -1),
    }[direction]
    return x + dx, y + dy
