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

    blocks: tuple[tuple[int, ...], ...]
    taps: tuple[tuple[int, ...], ...]
    readers: tuple[int, ...]


@lru_cache(maxsize=4096)
def _axis(size: int, kernel: int, stride: int, padding: int, needed: tuple[int, ...], length: int) -> Axis:
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
    needed: tuple[tuple[int, ...], tuple[int, ...]]

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
                fan_out = _fan_out(following, tail_tile, scheme)
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


FanOut = tuple[tuple[int, ...], tuple[int, ...], int]
"""Axons that read a signal at (x, y): first[x] · second[y] · third."""


def _fan_out(following: Shape | None, tile: Tile | None, scheme: SynapseScheme) -> FanOut | None:
    if following is None or tile is None:
        return None
    x, y = following.axes(tile)
    return x.readers, y.readers, scheme.axons_per_input * tile.chunks


def _patterns(shape: Shape, tile: Tile, fan_out: FanOut | None) -> list[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Returns the distinct blocks as (readers along x, readers along y, how many such blocks)."""
    axes = shape.axes(tile)
    counts = [
        Counter(tuple(1 if fan_out is None else fan_out[a][p] for p in block) for block in axes[a].blocks)
        for a in (0, 1)
    ]
    return [(x, y, nx * ny) for x, nx in counts[0].items() for y, ny in counts[1].items()]


def _chunked(shape: Shape, x: int, y: int, fan_out: FanOut | None, arch: ChipArch) -> list[Tile]:
    """Returns the tiles of a block size: the fewest chunks that hold one copy, and that hold all copies."""
    features = shape.conv.features_per_group
    copies = 1 if fan_out is None else fan_out[2]
    patterns = _patterns(shape, Tile(x, y, 1), fan_out)
    positions = max(len(px) * len(py) for px, py, _ in patterns)
    natural = max(sum(px) * sum(py) for px, py, _ in patterns) * copies
    fits = {-(-features // (arch.neurons // need)) for need in (positions, natural) if need <= arch.neurons}
    return [Tile(x, y, chunks) for chunks in sorted(fits)]


def _layer_cores(shape: Shape, tile: Tile) -> int:
    x, y = shape.axes(tile)
    return len(x.blocks) * len(y.blocks) * shape.conv.groups * tile.chunks


def _splitters(shape: Shape, tile: Tile, fan_out: FanOut | None, arch: ChipArch) -> float:
    """Returns how many splitter cores the readers of a layer need."""
    if fan_out is None:
        return 0.0
    conv = shape.conv
    cost = 0.0
    for x, y, blocks in _patterns(shape, tile, fan_out):
        demand = (np.outer(y, x) * fan_out[2]).ravel()
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
    """Returns the splitter cores, as a fraction, that make `remainder` copies of each signal."""
    cost = 0.0
    for copies, count in zip(*np.unique(remainder[remainder > 0], return_counts=True), strict=True):
        while copies > arch.neurons:  # a tree: full cores, and one neuron a core above them
            cores = -(-copies // arch.neurons)
            cost += count * cores
            copies = cores
        cost += count / min(arch.neurons // copies, arch.axons)
    return cost


def _chunk_sizes(features: int, chunks: int) -> Counter[int]:
    return Counter(len(c) for c in np.array_split(np.arange(features), chunks))
