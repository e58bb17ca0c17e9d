"""Which cells and splitter nodes share a core.

Every cell needs so many axons and neurons of one core, every splitter node one axon and its neurons. Filling cores with
them is bin packing in two dimensions. Most cells fill a core's axons or neurons alone; the others are put, the large
ones first, where they leave the least room, and nodes after them into what room is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from tncompile.arch import ChipArch

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Items:
    """Cells and nodes, each a row.

    Attributes:
        way: where in the data's way through the net: 2 · layer for cells, 2 · layer + 1 for the splitters behind it.
        axons, neurons: that it takes.
    """

    way: Int64[Array, " items"]
    axons: Int64[Array, " items"]
    neurons: Int64[Array, " items"]


@dataclass(frozen=True, eq=False)
class Seats:
    """Where each item is.

    Attributes:
        cores: how many there are.
        core: of each item; the cores are numbered by the way of their first item.
        axon, neuron: its first ones.
        first: the item that each core was opened for.
    """

    cores: int
    core: Int64[Array, " items"]
    axon: Int64[Array, " items"]
    neuron: Int64[Array, " items"]
    first: Int64[Array, " cores"]


def seat(items: Items, arch: ChipArch, *, share: bool) -> Seats:
    """Returns a core for every item.

    Args:
        items: what is to be seated; each fits a core.
        arch: the core's size.
        share: whether cells share a core with others and with splitter nodes; if not, only the nodes behind one layer
            share theirs.
    """
    bins = _Bins(items, arch)
    cells = np.flatnonzero(items.way % 2 == 0)
    nodes = np.flatnonzero(items.way % 2)
    if share:
        alone = (items.axons[cells] == arch.axons) | (items.neurons[cells] == arch.neurons)
        for cell in cells[alone].tolist():
            bins.open(cell)
        rest = cells[~alone]
        fill = np.maximum(items.axons[rest] / arch.axons, items.neurons[rest] / arch.neurons)
        for cell in rest[np.argsort(-fill, kind="stable")].tolist():
            bins.seat_cell(cell)
        bins.seat_nodes(nodes)
    else:
        for cell in cells.tolist():
            bins.open(cell)
        for way in np.unique(items.way[nodes]):
            bins.close()
            bins.seat_nodes(nodes[items.way[nodes] == way])
    return bins.seats()


class _Bins:
    """Cores while they are being filled."""

    def __init__(self, items: Items, arch: ChipArch):
        self._items = items
        self._size = arch.axons, arch.neurons
        self._first: list[int] = []
        self._used: list[tuple[int, int]] = []
        self._open: dict[tuple[int, int], list[int]] = {}  # cores by free axons and neurons
        self._core = np.empty(len(items.way), np.int64)
        self._axon, self._neuron = self._core.copy(), self._core.copy()

    def open(self, item: int) -> None:
        """Opens a core for an item."""
        self._first.append(item)
        self._used.append((0, 0))
        self._take(len(self._first) - 1, [item])

    def close(self) -> None:
        """Lets no further item into the cores that there are."""
        self._open.clear()

    def seat_cell(self, cell: int) -> None:
        """Puts a cell where it leaves the least room."""
        axons, neurons = int(self._items.axons[cell]), int(self._items.neurons[cell])
        fits = [(a, n) for a, n in self._open if a >= axons and n >= neurons]
        if not fits:
            self.open(cell)
            return
        best = min(
            fits, key=lambda free: ((free[0] - axons) / self._size[0] + (free[1] - neurons) / self._size[1], free)
        )
        self._take(self._pop(best), [cell])

    def seat_nodes(self, nodes: Int64[Array, " nodes"]) -> None:
        """Puts splitter nodes, the large ones first, where they leave the fewest neurons; else into new cores."""
        order = nodes[np.argsort(-self._items.neurons[nodes], kind="stable")]
        begin = 0
        while begin < len(order):
            size = int(self._items.neurons[order[begin]])
            same = int(np.searchsorted(-self._items.neurons[order], -size, side="right")) - begin
            fits = [(n % size if n // size <= a else n - a * size, -n, a) for a, n in self._open if a and n >= size]
            if fits:
                _, neurons, axons = min(fits)
                count = min(axons, -neurons // size, same)
                self._take(self._pop((axons, -neurons)), order[begin : begin + count].tolist())
                begin += count
            else:
                self.open(int(order[begin]))
                begin += 1

    def seats(self) -> Seats:
        """Returns what has been decided, the cores numbered by the way of their first item."""
        first = np.array(self._first, np.int64)
        order = np.lexsort((first, self._items.way[first]))
        number = np.empty(len(order), np.int64)
        number[order] = np.arange(len(order))
        return Seats(len(order), number[self._core], self._axon, self._neuron, first[order])

    def _pop(self, free: tuple[int, int]) -> int:
        cores = self._open[free]
        core = cores.pop(0)
        if not cores:
            del self._open[free]
        return core

    def _take(self, core: int, items: list[int]) -> None:
        axons, neurons = self._used[core]
        for item in items:
            self._core[item], self._axon[item], self._neuron[item] = core, axons, neurons
            axons += int(self._items.axons[item])
            neurons += int(self._items.neurons[item])
        self._used[core] = axons, neurons
        free = self._size[0] - axons, self._size[1] - neurons
        if all(free):
            self._open.setdefault(free, []).append(core)
