"""Which blocks the cores of each layer take: the plan with the fewest cores.

What a layer costs depends on the blocks of its reader, since every axon wants a driver of its own: the layers are a
chain, and dynamic programming over (plan of a layer, plan of its reader) finds the best combination. A layer has too
many plans to try them all. Tried are, for each plan of the reader and for several prices of an axon, the cheapest cut
into strips of blocks (each strip cut by itself, by dynamic programming again), along x and along y, and all cuts into
equal blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np
from jaxtyping import Float64, Int, Int64

from passes.pack.copies import direct_copies, host_remainder
from tncompile.analysis.blocks import Box, Positions, Shape, boxes_of
from tncompile.arch import ChipArch
from tncompile.ir import SynapseScheme

_PRICES = (0.0, 0.25, 0.5, 1.0, 2.0)  # of an axon that a block reads [neuron]: somebody must drive it
_KEPT = 6  # plans that are kept a price


@dataclass(frozen=True)
class Block:
    """Output positions that one core computes of one group: a rectangle of those that are needed.

    Attributes:
        xs, ys: the output positions.
        taps_x, taps_y: the input positions that they read, padding left out.
        chunks: into how many cores the group's features are cut; each reads all inputs.
    """

    xs: Positions
    ys: Positions
    taps_x: Positions
    taps_y: Positions
    chunks: int


@dataclass(frozen=True)
class Plan:
    """How a layer is cut: blocks that hold each needed position once, the same for all groups.

    Attributes:
        shape: the layer.
        blocks: by y, then x, of their first position.
    """

    shape: Shape
    blocks: tuple[Block, ...]

    @cached_property
    def readers(self) -> Int[np.ndarray, "y x"]:
        """How many cores of a group read each input position."""
        width, height, _ = self.shape.conv.in_shape
        chunks = np.array([block.chunks for block in self.blocks], np.float64)
        reads_y = _indicator([block.taps_y for block in self.blocks], height)
        reads_x = _indicator([block.taps_x for block in self.blocks], width)
        return np.rint((reads_y * chunks[:, None]).T @ reads_x).astype(np.int64)

    @cached_property
    def key(self) -> bytes:
        """What is equal for two plans that ask the same of the layer before."""
        return self.readers.tobytes()


Cut = tuple[int, ...]
"""Boxes that hold each needed position once, by y, then x; as numbers in `Layer.boxes`."""


class Layer:
    """A layer's boxes, and what plans can be made of them; each plan is made once, however often it is asked for.

    Attributes:
        shape: the layer.
        boxes: all that fit a core.
        inputs: of each.
        grids: the cuts into equal blocks.
    """

    def __init__(self, shape: Shape, arch: ChipArch, scheme: SynapseScheme):
        found = boxes_of(shape, arch, scheme)
        size = len(shape.x.needed), len(shape.y.needed)
        self.shape = shape
        self.boxes = tuple(found)
        self.inputs = tuple(found.values())
        self.grids = tuple(_grids(size, {box: number for number, box in enumerate(found)}))
        self._strips = tuple(_Strips(size, self.boxes, along_x) for along_x in (True, False))
        self._blocks: dict[tuple[int, int], Block] = {}
        self._plans: dict[tuple[Cut, tuple[int, ...]], Plan] = {}

    def strips(self, costs: Float64[np.ndarray, " boxes"]) -> Iterator[Cut]:
        """Yields the cheapest cut into strips that run along x, and along y."""
        for strips in self._strips:
            yield from strips.cheapest(costs)

    def plan(self, cut: Cut, chunks: tuple[int, ...]) -> Plan:
        """Returns the plan of a cut whose blocks' features are cut into so many chunks."""
        key = cut, chunks
        if key not in self._plans:
            self._plans[key] = Plan(self.shape, tuple(map(self._block, cut, chunks)))
        return self._plans[key]

    def _block(self, box: int, chunks: int) -> Block:
        key = box, chunks
        if key not in self._blocks:
            (x0, x1, y0, y1), x, y = self.boxes[box], self.shape.x, self.shape.y
            self._blocks[key] = Block(x.needed[x0:x1], y.needed[y0:y1], x.taps(x0, x1), y.taps(y0, y1), chunks)
        return self._blocks[key]


@dataclass(frozen=True)
class Option:
    """One way to put a block on cores.

    Attributes:
        chunks: cores, each with a part of the features.
        cost: those, and the splitter cores behind them, as a fraction [core].
        axons: axons of all of them.
    """

    chunks: int
    cost: float
    axons: int


@dataclass(frozen=True)
class Planner:
    """What plans are made for.

    Attributes:
        arch: the core's size and the longest delay.
        scheme: how weights become crosspoints.
        limit: packets that the host may send a bit, None = any number.
        free: whether the blocks of a layer may differ in size.
        guests: what a free neuron beside a free axon is worth to a splitter, in splitter neurons.
        alone: what the room that a block leaves in its core costs; 0 = nothing, as if others always used it.
    """

    arch: ChipArch
    scheme: SynapseScheme
    limit: int | None
    free: bool
    guests: float = 0.0
    alone: float = 1.0
    _costs: dict[tuple[bytes, int, int], tuple[Option, ...]] = field(default_factory=dict, init=False)

    def plan(self, layers: tuple[Layer, ...]) -> tuple[Plan, ...]:
        """Returns the cheapest plan of each layer; one whose splitters delays cannot bridge, if there is no other."""
        best: list[tuple[float, tuple[Plan, ...]]] = [(0.0, ())]
        for layer in reversed(layers):
            found: dict[bytes, tuple[float, tuple[Plan, ...]]] = {}
            for tail_cost, tail in best:
                demand = _demand(layer.shape, tail, self.scheme)
                for cost, plan in self._candidates(layer, demand):
                    total, key = tail_cost + cost, plan.key
                    if key not in found or total < found[key][0]:
                        found[key] = (total, (plan, *tail))
            best = _promising(list(found.values()), self.arch.neurons)
        return min(((cost + self._host(plans[0]), plans) for cost, plans in best), key=lambda c: c[0])[1]

    def _host(self, plan: Plan) -> float:
        """Returns the splitter cores behind the host."""
        if self.limit is None:
            return 0.0
        demand = plan.readers.ravel() * self.scheme.axons_per_input
        return splitter_cost(host_remainder(demand, self.limit), self.arch) * plan.shape.conv.in_shape[2]

    def _candidates(self, layer: Layer, demand: Int[np.ndarray, "y x"]) -> Iterator[tuple[float, Plan]]:
        """Yields plans of a layer whose signals are read so often, with their cost [core]."""
        shape = layer.shape
        options = [
            self._options(shape, demand[box[2] : box[3], box[0] : box[1]], inputs)
            for box, inputs in zip(layer.boxes, layer.inputs, strict=True)
        ]
        most = max(map(len, options))
        ways = [o + o[-1:] * (most - len(o)) for o in options]  # the last one again changes no choice
        cost, axons, chunks = (
            np.array([[getattr(way, name) for way in row] for row in ways]) for name in ("cost", "axons", "chunks")
        )
        for price in _PRICES:
            priced = cost + price / self.arch.neurons * axons
            choice = (np.arange(len(ways)), np.argmin(priced, axis=1))  # of equal ones that of fewer chunks
            cuts = chain(layer.grids, layer.strips(priced[choice]) if self.free else ())
            costs, chosen = cost[choice].tolist(), chunks[choice].tolist()
            for cut in cuts:
                yield shape.conv.groups * sum(costs[i] for i in cut), layer.plan(cut, tuple(chosen[i] for i in cut))

    def _options(self, shape: Shape, demand: Int[np.ndarray, "y x"], inputs: int) -> tuple[Option, ...]:
        """Returns the ways to put a block on cores: the fewest chunks that hold one copy, and that hold all copies."""
        readers = np.sort(demand.ravel())
        features = shape.conv.features_per_group
        key = (readers.tobytes(), inputs, features)
        if key not in self._costs:
            self._costs[key] = tuple(self._ways(readers, inputs, features))
        return self._costs[key]

    def _ways(self, readers: Int[np.ndarray, " positions"], inputs: int, features: int) -> Iterator[Option]:
        neurons, axons = self.arch.neurons, inputs * self.scheme.axons_per_input
        fits = {-(-features // (neurons // need)) for need in (len(readers), int(readers.sum())) if need <= neurons}
        for chunks in sorted(fits):
            cost = 0.0
            for count, times in Counter(len(c) for c in np.array_split(range(features), chunks)).items():
                demand = np.repeat(readers, count)
                fill = max(axons / self.arch.axons, min(demand.sum() / neurons, 1.0))
                cost += times * (self.alone + (1 - self.alone) * fill)
                if demand.sum() > neurons:
                    cost += times * splitter_cost(demand - direct_copies(demand, neurons), self.arch)
                elif axons < self.arch.axons:
                    cost -= self.guests * times * (neurons - demand.sum()) / neurons
            yield Option(chunks, cost, axons * chunks)


def splitter_cost(remainder: Int[np.ndarray, " signals"], arch: ChipArch) -> float:
    """Returns the splitter cores, as a fraction, that make `remainder` copies of each signal.

    Infinite if delays cannot bridge them.
    """
    cost = 0.0
    for copies, count in zip(*np.unique(remainder[remainder > 0], return_counts=True), strict=True):
        stages = 1
        while copies > arch.neurons:  # a tree: full cores, and one neuron a core above them
            cores = -(-copies // arch.neurons)
            cost += count * cores
            copies = cores
            stages += 1
        if stages >= arch.delay_max:
            return float("inf")
        cost += count * max(copies / arch.neurons, 1 / arch.axons)
    return cost


def _promising(found: list[tuple[float, tuple[Plan, ...]]], neurons: int) -> list[tuple[float, tuple[Plan, ...]]]:
    """Returns the plans that are cheapest at some price of the axons that their first layer reads."""
    kept: dict[int, tuple[float, tuple[Plan, ...]]] = {}
    for price in _PRICES:

        def judged(i: int, price: float = price) -> tuple[float, int]:
            cost, (plan, *_) = found[i]
            axons = 2 * int(plan.readers.sum()) * plan.shape.conv.in_shape[2]
            return cost + price * axons / neurons, i

        for i in sorted(range(len(found)), key=judged)[:_KEPT]:
            kept[i] = found[i]
    return [kept[i] for i in sorted(kept)]


def _demand(shape: Shape, tail: tuple[Plan, ...], scheme: SynapseScheme) -> Int[np.ndarray, "y x"]:
    """Returns how many axons read a layer's signals at each needed position; without a reader each signal has a pin."""
    if not tail:
        return np.ones((len(shape.y.needed), len(shape.x.needed)), np.int64)
    return tail[0].readers[np.ix_(shape.y.needed, shape.x.needed)] * scheme.axons_per_input


def _grids(size: tuple[int, int], boxes: dict[Box, int]) -> Iterator[Cut]:
    """Yields the cuts into equal blocks, but for those at the far ends: the smallest for each number of blocks."""
    lengths_x, lengths_y = (sorted({-(-n // count) for count in range(1, n + 1)}) for n in size)
    for length_x in lengths_x:
        for length_y in lengths_y:
            cut = [
                boxes.get((x, min(x + length_x, size[0]), y, min(y + length_y, size[1])))
                for y in range(0, size[1], length_y)
                for x in range(0, size[0], length_x)
            ]
            if None not in cut:
                yield tuple(i for i in cut if i is not None)


class _Strips:
    """The cuts into strips that run along one axis, each cut into blocks by itself."""

    def __init__(self, size: tuple[int, int], boxes: tuple[Box, ...], along_x: bool):
        x0, x1, y0, y1 = np.array(boxes, np.int64).reshape(-1, 4).T
        self._rank = np.empty(len(boxes), np.int64)
        self._rank[np.lexsort((x0, y0))] = np.arange(len(boxes))
        (begin, end), across = ((x0, x1), (y0, y1)) if along_x else ((y0, y1), (x0, x1))
        self._sizes = size if along_x else size[::-1]
        strips, strip = np.unique(np.stack(across), axis=1, return_inverse=True)
        self._inner = _Runs(self._sizes[0], len(strips[0]), strip.ravel(), begin, end)
        self._outer = _Runs(self._sizes[1], 1, np.zeros(len(strips[0]), np.int64), *strips)

    def cheapest(self, costs: Float64[np.ndarray, " boxes"]) -> Iterator[Cut]:
        """Yields the cheapest cut, its blocks by y, then x; nothing if there is none."""
        inner, runs = self._inner.cheapest(costs)
        (total,), outer = self._outer.cheapest(inner)
        if total < np.inf:
            cut = [box for strip in outer(0) for box in runs(strip)]
            yield tuple(sorted(cut, key=self._rank.__getitem__))


class _Runs:
    """Rows of equal length, each to be cut into runs that it may take, of which each has its cost."""

    def __init__(
        self,
        length: int,
        rows: int,
        row: Int64[np.ndarray, " runs"],
        begin: Int64[np.ndarray, " runs"],
        end: Int64[np.ndarray, " runs"],
    ):
        self._length, self._rows = length, rows
        self._longest = int((end - begin).max(initial=0))
        self._place = row, end, begin - end + self._longest  # by begin, the farthest first
        self._run = np.full((rows, length + 1, self._longest), -1)
        self._run[self._place] = np.arange(len(row))

    def cheapest(
        self, costs: Float64[np.ndarray, " runs"]
    ) -> tuple[Float64[np.ndarray, " rows"], Callable[[int], list[int]]]:
        """Returns each row's smallest cost, infinite if it cannot be cut, and what gives the runs of one that can."""
        cost = np.full(self._run.shape, np.inf)
        cost[self._place] = costs
        best = np.full((self._rows, self._longest + self._length + 1), np.inf)  # of 0 … end, behind what is no place
        best[:, self._longest] = 0
        came = np.zeros((self._rows, self._length + 1), np.int64)
        for end in range(1, self._length + 1):
            sums = best[:, end : end + self._longest] + cost[:, end]
            came[:, end] = np.argmin(sums, axis=1)
            best[:, end + self._longest] = sums.min(axis=1)

        def runs(row: int) -> list[int]:
            found, end = [], self._length
            while end:
                step = came[row, end]
                found.append(int(self._run[row, end, step]))
                end += int(step) - self._longest
            return found[::-1]

        return best[:, -1], runs


def _indicator(positions: list[Positions], size: int) -> Float64[np.ndarray, "rows size"]:
    """Returns 1 where a row has a position, else 0; floats, so that products of it are fast, and exact all the same."""
    found = np.zeros((len(positions), size))
    found[np.repeat(np.arange(len(positions)), [len(p) for p in positions]), list(chain.from_iterable(positions))] = 1
    return found
