"""Layers as geometry: which output positions anybody needs, and which blocks of them fit a core."""

from __future__ import annotations

from dataclasses import dataclass

from tncompile.arch import ChipArch
from tncompile.ir import Conv, SynapseScheme

Positions = tuple[int, ...]
"""Positions along one axis, rising."""


@dataclass(frozen=True)
class Axis:
    """A layer along one axis.

    Attributes:
        size: input positions.
        kernel, stride, padding: as in `Conv`.
        needed: output positions that anybody needs.
        trim: whether padding takes no axons; if not, a block must have room for the padding that it sees, too.
    """

    size: int
    kernel: int
    stride: int
    padding: int
    needed: Positions
    trim: bool

    def taps(self, begin: int, end: int) -> Positions:
        """Returns the input positions that needed[begin:end] read."""
        return tuple(t for t in self._windows(begin, end) if 0 <= t < self.size)

    def width(self, begin: int, end: int) -> int:
        """Returns for how many input positions needed[begin:end] must have room."""
        return len(self.taps(begin, end)) if self.trim else len(self._windows(begin, end))

    def _windows(self, begin: int, end: int) -> list[int]:
        positions = self.needed[begin:end]
        return sorted({p * self.stride - self.padding + k for p in positions for k in range(self.kernel)})


@dataclass(frozen=True)
class Shape:
    """A layer's geometry and the output positions that anybody needs.

    Attributes:
        conv: the layer.
        x, y: its axes.
    """

    conv: Conv
    x: Axis
    y: Axis


Box = tuple[int, int, int, int]
"""A block: begin and end along x, then along y, as indices of the needed positions."""


def shapes_of(convs: tuple[Conv, ...], *, trim: bool) -> tuple[Shape, ...]:
    """Returns each layer with the output positions that the last layer's outputs depend on."""
    needed = tuple(tuple(range(n)) for n in convs[-1].out_shape[:2])
    shapes: list[Shape] = []
    for conv in reversed(convs):
        x, y = (
            Axis(conv.in_shape[a], conv.kernel[a], conv.stride[a], conv.padding[a], needed[a], trim) for a in (0, 1)
        )
        shapes.append(Shape(conv, x, y))
        needed = tuple(axis.taps(0, len(axis.needed)) for axis in (x, y))
    return tuple(reversed(shapes))


def boxes_of(shape: Shape, arch: ChipArch, scheme: SynapseScheme) -> dict[Box, int]:
    """Returns all blocks whose inputs and at least one feature fit a core, and how many inputs they have."""
    per_position, most = shape.conv.inputs_per_group, scheme.inputs_per_core(arch)
    found: dict[Box, int] = {}
    spans_y = _spans(shape.y)
    lowest = min((height for _, height, _ in spans_y), default=0)
    for (x0, x1), width, taps_x in _spans(shape.x):
        if width * lowest * per_position > most:
            continue
        for (y0, y1), height, taps_y in spans_y:
            if width * height * per_position <= most and (x1 - x0) * (y1 - y0) <= arch.neurons:
                found[x0, x1, y0, y1] = taps_x * taps_y * per_position
    return found


def _spans(axis: Axis) -> list[tuple[tuple[int, int], int, int]]:
    """Returns all runs of needed positions: begin and end, room that their inputs need, and inputs."""
    n = len(axis.needed)
    return [
        ((begin, end), axis.width(begin, end), len(axis.taps(begin, end)))
        for begin in range(n)
        for end in range(begin + 1, n + 1)
    ]
