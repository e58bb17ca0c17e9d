"""Which blocks the cores of each layer take: the plan with the fewest cores.

What a layer costs depends on the blocks of its reader, since every axon wants a driver of its own: the layers are a
chain, and dynamic programming over (plan of a layer, plan of its reader) finds the best combination. A layer has too
many plans to try them all. Tried are, for each plan of the reader and for several prices of an axon, the cheapest cut
into strips of blocks (each strip cut by itself, by dynamic programming again), along x and along y, and all cuts into
equal blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Int

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
        count = np.zeros((height, width), np.int64)
        for block in self.blocks:
            count[np.ix_(block.taps_y, block.taps_x)] += block.chunks
        return count


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

    def plan(self, shapes: tuple[Shape, ...]) -> tuple[Plan, ...]:
        """Returns the cheapest plan of each layer; one whose splitters delays cannot bridge, if there is no other."""
        best: list[tuple[float, tuple[Plan, ...]]] = [(0.0, ())]
        for shape in reversed(shapes):
            found: dict[bytes, tuple[float, tuple[Plan, ...]]] = {}
            boxes = boxes_of(shape, self.arch, self.scheme)
            for tail_cost, tail in best:
                demand = _demand(shape, tail, self.scheme)
                for cost, plan in self._candidates(shape, boxes, demand):
                    total, key = tail_cost + cost, plan.readers.tobytes()
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

    def _candidates(
        self, shape: Shape, boxes: dict[Box, int], demand: Int[np.ndarray, "y x"]
    ) -> Iterator[tuple[float, Plan]]:
        """Yields plans of a layer whose signals are read so often, with their cost [core]."""
        options = {box: self._options(shape, demand[box[2] : box[3], box[0] : box[1]], n) for box, n in boxes.items()}
        size = len(shape.x.needed), len(shape.y.needed)
        for price in _PRICES:
            chosen = {
                box: min(ways, key=lambda way: (way.cost + price / self.arch.neurons * way.axons, way.chunks))
                for box, ways in options.items()
                if ways
            }
            objective = {box: way.cost + price / self.arch.neurons * way.axons for box, way in chosen.items()}
            cuts = list(_grids(size, chosen))
            if self.free:
                cuts += [cut for along_x in (True, False) for cut in _strips(size, objective, along_x)]
            for cut in cuts:
                cost = shape.conv.groups * sum(chosen[box].cost for box in cut)
                yield cost, Plan(shape, tuple(_block(shape, box, chosen[box].chunks) for box in cut))

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


def _grids(size: tuple[int, int], boxes: dict[Box, Option]) -> Iterator[list[Box]]:
    """Yields the cuts into equal blocks, but for those at the far ends: the smallest for each number of blocks."""
    lengths_x, lengths_y = (sorted({-(-n // count) for count in range(1, n + 1)}) for n in size)
    for length_x in lengths_x:
        for length_y in lengths_y:
            cut = [
                (x, min(x + length_x, size[0]), y, min(y + length_y, size[1]))
                for y in range(0, size[1], length_y)
                for x in range(0, size[0], length_x)
            ]
            if all(box in boxes for box in cut):
                yield cut


def _strips(size: tuple[int, int], objective: dict[Box, float], along_x: bool) -> Iterator[list[Box]]:
    """Yields the cheapest cut into strips that run along one axis, each cut into blocks by itself."""
    long, short = size if along_x else size[::-1]
    spans: dict[tuple[int, int], dict[tuple[int, int], float]] = {}
    for (x0, x1, y0, y1), cost in objective.items():
        strip, run = ((y0, y1), (x0, x1)) if along_x else ((x0, x1), (y0, y1))
        spans.setdefault(strip, {})[run] = cost
    inner = {strip: _cheapest(long, runs) for strip, runs in spans.items()}
    outer = _cheapest(short, {strip: found[0] for strip, found in inner.items() if found is not None})
    if outer is not None:
        boxes: list[Box] = []
        for strip in outer[1]:
            for run in inner[strip][1]:  # type: ignore[index]
                (x0, x1), (y0, y1) = (run, strip) if along_x else (strip, run)
                boxes.append((x0, x1, y0, y1))
        yield sorted(boxes, key=lambda box: (box[2], box[0]))


def _cheapest(length: int, runs: dict[tuple[int, int], float]) -> tuple[float, list[tuple[int, int]]] | None:
    """Returns the cheapest way to cut 0 … length into runs, or None if there is no way."""
    best: list[tuple[float, int]] = [(0.0, 0)] + [(float("inf"), 0)] * length
    for (begin, end), cost in sorted(runs.items()):
        best[end] = min(best[end], (best[begin][0] + cost, begin))
    if best[length][0] == float("inf"):
        return None
    cut, end = [], length
    while end:
        cut.append((best[end][1], end))
        end = best[end][1]
    return best[length][0], cut[::-1]


def _block(shape: Shape, box: Box, chunks: int) -> Block:
    x0, x1, y0, y1 = box
    return Block(shape.x.needed[x0:x1], shape.y.needed[y0:y1], shape.x.taps(x0, x1), shape.y.taps(y0, y1), chunks)
