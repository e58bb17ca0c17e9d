"""Which output positions and features a core takes: the plan with the fewest cores."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from passes.pack.copies import direct_copies, host_remainder
from tncompile.arch import ChipArch
from tncompile.ir import Conv, SynapseScheme

Positions = tuple[int, ...]
"""Positions, or a number for each position, along one axis."""


@dataclass(frozen=True, order=True)
class Tile:
    """What a core takes: a block of x · y output positions of one group, whose features are cut into `chunks`."""

    x: int
    y: int
    chunks: int


@dataclass(frozen=True)
class Axis:
    """A layer along one axis, cut into blocks.

    Attributes:
        blocks: output positions of each block that anybody needs; blocks without any are left out.
        taps: input positions that each block reads, padding left out.
        readers: how many blocks read each input position.
    """

    blocks: tuple[Positions, ...]
    taps: tuple[Positions, ...]
    readers: Positions


@lru_cache(maxsize=4096)
def _axis(size: int, kernel: int, stride: int, padding: int, needed: Positions, length: int) -> Axis:
    blocks: dict[int, list[int]] = {}
    for position in needed:
        blocks.setdefault(position // length, []).append(position)
    taps = []
    readers = np.zeros(size, np.int64)
    for block in blocks.values():
        windows = {p * stride - padding + k for p in block for k in range(kernel)}
        taps.append(tuple(sorted(t for t in windows if 0 <= t < size)))
        readers[list(taps[-1])] += 1
    return Axis(tuple(tuple(b) for b in blocks.values()), tuple(taps), tuple(readers.tolist()))


@dataclass(frozen=True)
class Shape:
    """A layer's geometry and the output positions that anybody needs, along x and y."""

    conv: Conv
    needed: tuple[Positions, Positions]

    def axes(self, tile: Tile) -> tuple[Axis, Axis]:
        c, lengths = self.conv, (tile.x, tile.y)
        x, y = (
            _axis(c.in_shape[a], c.kernel[a], c.stride[a], c.padding[a], self.needed[a], lengths[a]) for a in (0, 1)
        )
        return x, y


def shapes_of(convs: tuple[Conv, ...]) -> tuple[Shape, ...]:
    """Returns each layer with the output positions that the last layer's outputs depend on."""
    needed = tuple(tuple(range(n)) for n in convs[-1].out_shape[:2])
    shapes: list[Shape] = []
    for conv in reversed(convs):
        shapes.append(Shape(conv, needed))  # type: ignore[arg-type]
        whole = shapes[-1].axes(Tile(1, 1, 1))
        needed = tuple(tuple(int(p) for p in np.flatnonzero(axis.readers)) for axis in whole)
    return tuple(reversed(shapes))


def plan_tiles(shapes: tuple[Shape, ...], arch: ChipArch, scheme: SynapseScheme, limit: int | None) -> tuple[Tile, ...]:
    """Returns the tiles that need the fewest cores: dynamic programming from the last layer to the input."""
    best: dict[Tile, tuple[float, tuple[Tile, ...]]] = {}
    for depth in reversed(range(len(shapes))):
        shape = shapes[depth]
        following = shapes[depth + 1] if depth + 1 < len(shapes) else None
        states: dict[Tile, tuple[float, tuple[Tile, ...]]] = {}
        for x, y in _blocks(shape, arch, scheme):
            for tail_tile, (tail_cost, tail) in (best or {None: (0.0, ())}).items():
                fan_out = _fan_out(shape, following, tail_tile, scheme)
                for tile in _chunked(shape, x, y, fan_out, arch):
                    cost = _layer_cores(shape, tile) + _splitters(shape, tile, fan_out, arch) + tail_cost
                    found = (cost, (tile, *tail))
                    if tile not in states or found < states[tile]:
                        states[tile] = found
        best = states

    def total(tile: Tile) -> tuple[float, tuple[Tile, ...]]:
        cost, plan = best[tile]
        return cost + _host_splitters(shapes[0], tile, scheme, limit, arch), plan

    return min(total(tile) for tile in best)[1]


def _blocks(shape: Shape, arch: ChipArch, scheme: SynapseScheme) -> list[tuple[int, int]]:
    """Returns the block sizes worth trying: the smallest for each number of blocks an axis, if its inputs fit."""
    conv = shape.conv
    sizes = [sorted({-(-n // count) for count in range(1, n + 1)}) for n in conv.out_shape[:2]]
    fits = []
    for x in sizes[0]:
        for y in sizes[1]:
            taps_x, taps_y = (max(map(len, axis.taps), default=0) for axis in shape.axes(Tile(x, y, 1)))
            if taps_x * taps_y * conv.inputs_per_group <= scheme.inputs_per_core(arch) and x * y <= arch.neurons:
                fits.append((x, y))
    return fits


@dataclass(frozen=True)
class _FanOut:
    """How many axons read a layer's signal at position (x, y): readers[0][x] · readers[1][y] · axons."""

    readers: tuple[Positions, Positions]
    axons: int


def _fan_out(shape: Shape, following: Shape | None, tile: Tile | None, scheme: SynapseScheme) -> _FanOut:
    """Returns how the next layer reads this one if it has such tiles; without a next layer each signal has a pin."""
    if following is None or tile is None:
        width, height, _ = shape.conv.out_shape
        return _FanOut(((1,) * width, (1,) * height), 1)
    x, y = following.axes(tile)
    return _FanOut((x.readers, y.readers), scheme.axons_per_input * tile.chunks)


def _patterns(shape: Shape, tile: Tile, fan_out: _FanOut) -> list[tuple[Positions, Positions, int]]:
    """Returns the distinct blocks as (readers along x, readers along y, how many such blocks)."""
    x, y = (
        Counter(tuple(readers[p] for p in block) for block in axis.blocks)
        for axis, readers in zip(shape.axes(tile), fan_out.readers, strict=True)
    )
    return [(px, py, nx * ny) for px, nx in x.items() for py, ny in y.items()]


def _chunked(shape: Shape, x: int, y: int, fan_out: _FanOut, arch: ChipArch) -> list[Tile]:
    """Returns the tiles of a block size: the fewest chunks that hold one copy, and that hold all copies."""
    features = shape.conv.features_per_group
    patterns = _patterns(shape, Tile(x, y, 1), fan_out)
    positions = max(len(px) * len(py) for px, py, _ in patterns)
    natural = max(sum(px) * sum(py) for px, py, _ in patterns) * fan_out.axons
    fits = {-(-features // (arch.neurons // need)) for need in (positions, natural) if need <= arch.neurons}
    return [Tile(x, y, chunks) for chunks in sorted(fits)]


def _layer_cores(shape: Shape, tile: Tile) -> int:
    x, y = shape.axes(tile)
    return len(x.blocks) * len(y.blocks) * shape.conv.groups * tile.chunks


def _splitters(shape: Shape, tile: Tile, fan_out: _FanOut, arch: ChipArch) -> float:
    """Returns how many splitter cores the readers of a layer need."""
    conv = shape.conv
    cost = 0.0
    for x, y, blocks in _patterns(shape, tile, fan_out):
        demand = (np.outer(y, x) * fan_out.axons).ravel()
        for features, chunks in _chunk_sizes(conv.features_per_group, tile.chunks).items():
            if demand.sum() * features > arch.neurons:
                direct = direct_copies(np.repeat(demand, features), arch.neurons)
                cost += _items_cost(np.repeat(demand, features) - direct, arch) * blocks * chunks * conv.groups
    return cost


def _host_splitters(shape: Shape, tile: Tile, scheme: SynapseScheme, limit: int | None, arch: ChipArch) -> float:
    if limit is None:
        return 0.0
    x, y = shape.axes(tile)
    demand = np.outer(y.readers, x.readers).ravel() * scheme.axons_per_input * tile.chunks
    return _items_cost(host_remainder(demand, limit), arch) * shape.conv.in_shape[2]


def _items_cost(remainder: Int[np.ndarray, " signals"], arch: ChipArch) -> float:
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
        cost += count / min(arch.neurons // copies, arch.axons)
    return cost


def _chunk_sizes(features: int, chunks: int) -> Counter[int]:
    return Counter(len(c) for c in np.array_split(np.arange(features), chunks))
