"""Maps of a board's sites, and what explains them: axes, outlines, legends, colour bars, labels between chips."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from tncompile.analysis.link_load import side_load
from tncompile.ir import Direction
from tncompile.report.plots.paint import (
    DEAD_INK,
    DEAD_PAPER,
    FAINT,
    GREY,
    INK,
    PAPER,
    amount_colours,
    layer_colours,
    legible,
)
from tncompile.report.plots.raster import Grid
from tncompile.report.plots.sheet import LABELLED
from tncompile.report.plots.view import BoardView, Mark

ROW = 0.235
"""Height of a row of a legend [inch]."""
NAME = 0.34
"""Room that a site's name on an axis takes [inch]."""
NUMBERED = 0.3
"""Sites of so many inches or more show the number of their core [inch]."""
ARROWS = {Direction.EAST: "→", Direction.WEST: "←", Direction.NORTH: "↑", Direction.SOUTH: "↓"}

_SWATCH, _INDENT, _RIGHT = 0.17, 0.25, 2.95  # of a legend [inch]


def draw_map(axes: Axes, view: BoardView, grid: Grid, dpi: float, picture: UInt8[np.ndarray, "rows columns 3"]) -> None:
    """Draws a picture of sites with its axes and the outlines of chips, dashed where a chip is cut off.

    Args:
        axes: of the picture's size.
        view: the board.
        grid: where sites are.
        dpi: resolution [pixel/inch].
        picture: of the sites.
    """
    region, (width, height) = grid.region, view.arch.grid
    axes.imshow(picture, origin="lower", extent=(0, grid.width, 0, grid.height), interpolation="none", aspect="auto")
    axes.set(xlim=(0, grid.width), ylim=(0, grid.height), xlabel="x [core]", ylabel="y [core]")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=3)
    least = math.ceil(NAME * dpi / grid.cell)
    x, y = ticks(region.x0, region.x1, least), ticks(region.y0, region.y1, least)
    axes.set_xticks([grid.left(at) + grid.cell / 2 for at in x], list(map(str, x)))
    axes.set_yticks([grid.low(at) + grid.cell / 2 for at in y], list(map(str, y)))
    for chip in range(view.arch.chips):
        x0, y0 = chip % view.arch.board[0] * width, chip // view.arch.board[0] * height
        left, right = max(x0, region.x0), min(x0 + width, region.x1)
        low, high = max(y0, region.y0), min(y0 + height, region.y1)
        if left >= right or low >= high:
            continue
        whole = (right - left, high - low) == (width, height)
        style: dict[str, Any] = {"linewidth": 1.2} if whole else {"linewidth": 0.8, "linestyle": (0, (4, 3))}
        corner = grid.left(left), grid.low(low)
        size = (right - left) * grid.cell, (high - low) * grid.cell
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=INK, clip_on=False, **style))
        if numbers_chips(view):
            at = (corner[0], corner[1] + size[1])
            axes.annotate(f"chip {chip}", at, (0, 2), textcoords="offset points", size=9, va="bottom")


def numbers_chips(view: BoardView) -> bool:
    """Returns whether maps say which chip is which."""
    return view.arch.chips > 1 and max(view.arch.board) <= LABELLED


def ticks(first: int, end: int, least: int) -> list[int]:
    """Returns the sites first … end − 1 that an axis names: all, or every 2nd, 4th and so on, and the last.

    Args:
        first, end: the sites.
        least: between two names.

    >>> ticks(0, 64, 3)[-3:], ticks(3, 6, 1)
    ([56, 60, 63], [3, 4, 5])
    """
    step = 1 << max(least - 1, 0).bit_length()
    found = [at for at in range(first, end) if at % step == 0] or [first]
    return [*found, end - 1] if end - 1 - found[-1] >= 0.75 * step else found


def number_cores(axes: Axes, view: BoardView, grid: Grid, dpi: float) -> None:
    """Writes each core's number on its site, beside a splitter's dot, if there is room.

    Args:
        axes: of the map.
        view: the board.
        grid: where sites are.
        dpi: resolution [pixel/inch].
    """
    if grid.cell / dpi < NUMBERED:
        return
    inks = legible(layer_colours(len(view.labels))) / 255
    for core in range(view.cores):
        x, y = centre(grid, int(view.core_x[core]), int(view.core_y[core]))
        up = 0 if view.core_mark[core] == Mark.PLAIN else 0.32 * grid.cell
        ink = tuple(inks[view.core_label[core]])
        axes.text(x, y + up, str(core), color=ink, size=8.5, ha="center", va="center")


def centre(grid: Grid, x: int, y: int) -> tuple[float, float]:
    """Returns the middle of a site [pixel]."""
    return grid.left(x) + grid.cell / 2, grid.low(y) + grid.cell / 2


# ---------------------------------------------------------------------------------------------------------------------
# The legend of layers.


def legend_labels(view: BoardView) -> list[int]:
    """Returns the labels that a core has, in the data's way."""
    return np.unique(view.core_label).tolist()


def draw_legend(axes: Axes, view: BoardView) -> None:
    """Draws the labels with their colours and how many cores each has, and what the marks mean.

    Args:
        axes: whose unit is the inch from the upper left.
        view: the board.
    """
    splitter = view.core_mark == Mark.SPLITTER
    colours = layer_colours(len(view.labels)) / 255
    inks = legible(layer_colours(len(view.labels))) / 255
    copies, second = bool(splitter.any()), _INDENT + _SWATCH + 0.07
    text = (second if copies else _INDENT) + _SWATCH + 0.1
    top = 0.12
    axes.text(text, top, "layer", size=9.5, weight="bold", va="center")
    axes.text(_RIGHT, top, "cores + splitters" if copies else "cores", size=9.5, weight="bold", va="center", ha="right")
    for label in legend_labels(view):
        top += ROW
        members = view.core_label == label
        plain, copying = int((members & ~splitter).sum()), int((members & splitter).sum())
        if plain:
            _swatch(axes, _INDENT, top, colours[label])
        if copying:
            _swatch(axes, second, top, colours[label])
            _dot(axes, second, top, inks[label])
        axes.text(text, top, textwrap.shorten(view.labels[label], 24, placeholder="…"), va="center")
        counts = f"{plain:,} + {copying:,}" if copying else f"{plain:,}"
        axes.text(_RIGHT, top, counts, va="center", ha="right")
    top += 0.6 * ROW
    for explain in _marks(view):
        top += ROW
        axes.text(_INDENT + _SWATCH + 0.1, top, explain(axes, _INDENT, top), va="center", size=9.5)


def legend_height(view: BoardView) -> float:
    """Returns the room that the legend takes [inch]."""
    return 0.12 + ROW * (len(legend_labels(view)) + 1.6 + len(_marks(view)))


def _marks(view: BoardView) -> list[Callable[[Axes, float, float], str]]:
    """Returns functions that draw an example of each mark that the board has, and return what it means."""
    working = view.arch.size[0] * view.arch.size[1] - len(view.arch.blockages)
    there = {
        _splitter_mark: bool((view.core_mark == Mark.SPLITTER).any()),
        _shared_mark: bool((view.core_mark == Mark.SHARED).any()),
        _free_mark: view.cores < working,
        _dead_mark: bool(view.arch.blockages),
    }
    return [mark for mark, shown in there.items() if shown]


def _splitter_mark(axes: Axes, left: float, middle: float) -> str:
    _swatch(axes, left, middle, GREY)
    _dot(axes, left, middle, INK)
    return "splitter: only copies a layer's output"


def _shared_mark(axes: Axes, left: float, middle: float) -> str:
    _swatch(axes, left, middle, GREY)
    low, high, right = middle + _SWATCH / 2, middle - _SWATCH / 2, left + _SWATCH
    axes.fill([left, right, right], [low, low, high], color="#555555", linewidth=0)
    return "shared with neurons of another layer"


def _free_mark(axes: Axes, left: float, middle: float) -> str:
    _swatch(axes, left, middle, PAPER)
    axes.plot(left + _SWATCH / 2, middle, "s", markersize=1.8, color=FAINT, markeredgewidth=0)
    return "free site"


def _dead_mark(axes: Axes, left: float, middle: float) -> str:
    _swatch(axes, left, middle, DEAD_PAPER)
    axes.plot(left + _SWATCH / 2, middle, "x", markersize=8, color=DEAD_INK, markeredgewidth=1.2)
    return "site that cannot be used"


def _swatch(axes: Axes, left: float, middle: float, colour: Any) -> None:
    corner = left, middle - _SWATCH / 2
    axes.add_patch(Rectangle(corner, _SWATCH, _SWATCH, facecolor=colour, edgecolor="#888888", linewidth=0.5))


def _dot(axes: Axes, left: float, middle: float, colour: Any) -> None:
    axes.plot(left + _SWATCH / 2, middle, "o", markersize=3.6, color=colour, markeredgewidth=0)


# ---------------------------------------------------------------------------------------------------------------------
# Amounts.


def draw_colour_bar(axes: Axes, most: float, label: str, *, root: bool = False, note: str = "") -> None:
    """Draws what the colours of an amount mean, from 0 at the bottom to the most.

    Args:
        axes: whose unit is the inch from the upper left.
        most: above 0.
        label: what it is.
        root: whether colours follow the square root of the amount.
        note: below it.
    """
    limits = axes.get_xlim(), axes.get_ylim()
    left, right, top, bottom = _INDENT + 0.05, _INDENT + 0.25, 0.1, max(min(limits[1][0] - 1.4, 5.0), 1.4)
    ramp = amount_colours(np.linspace(1, 0, 256))[:, None]
    axes.imshow(ramp, extent=(left, right, bottom, top), aspect="auto", interpolation="none")
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=INK, linewidth=0.7))
    for share, value in bar_ticks(most, root=root):
        at = bottom - (bottom - top) * share
        axes.plot([right, right + 0.05], [at, at], color=INK, linewidth=0.8)
        axes.text(right + 0.12, at, short(value), va="center")
    axes.text(left + 1.05, (top + bottom) / 2, label, rotation=90, va="center", ha="center")
    axes.text(left, bottom + 0.3, note, va="top", size=9.5, linespacing=1.25)


def bar_ticks(most: float, *, root: bool) -> list[tuple[float, float]]:
    """Returns where a colour bar has marks, as a share of its length, and the amounts there.

    >>> bar_ticks(100.0, root=True)
    [(0.0, 0.0), (0.25, 6.25), (0.5, 25.0), (0.75, 56.25), (1.0, 100.0)]
    """
    if root:
        return [(share, most * share**2) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    values = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]).tick_values(0, most)
    return [(float(value / most), float(value)) for value in values if 0 <= value <= most * 1.0001]


def write_sides(axes: Axes, view: BoardView, grid: Grid) -> None:
    """Writes the load of the shared links into the gaps between chips, the most in bold; nothing if chips are many.

    Args:
        axes: of the map.
        view: a board with loads.
        grid: with room for labels.
    """
    if not numbers_chips(view):
        return
    assert view.load is not None
    shared = side_load(view.load, view.arch)
    region, (width, height), (columns, rows) = grid.region, view.arch.grid, view.arch.board
    most = shared.max(initial=0)

    def write(at: tuple[float, float], off: tuple[float, float], direction: Direction, packets: int) -> None:
        text, weight = f"{ARROWS[direction]} {short(packets / view.per)}", "bold" if packets == most else "normal"
        axes.annotate(text, at, off, textcoords="offset points", size=8, ha="center", va="center", weight=weight)

    for row in range(rows):
        for column in range(columns):
            x, y = column * width, row * height
            if not (region.x0 <= x and x + width <= region.x1 and region.y0 <= y and y + height <= region.y1):
                continue
            right, top = grid.left(x + width - 1) + grid.cell, grid.low(y + height - 1) + grid.cell
            if x + width < min(region.x1, columns * width):
                at = right + grid.gap[0] / 2, (grid.low(y) + top) / 2
                write(at, (0.0, 7.0), Direction.EAST, int(shared[Direction.EAST, row, column]))
                write(at, (0.0, -7.0), Direction.WEST, int(shared[Direction.WEST, row, column + 1]))
            if y + height < min(region.y1, rows * height):
                at = (grid.left(x) + right) / 2, top + grid.gap[1] / 2
                write(at, (-6.0, 0.0), Direction.NORTH, int(shared[Direction.NORTH, row, column]))
                write(at, (40.0, 0.0), Direction.SOUTH, int(shared[Direction.SOUTH, row + 1, column]))


def short(value: float) -> str:
    """Returns a number of few characters.

    >>> [short(value) for value in (0.0, 12.5, 1234.0, 98765.0, 2.5e6)]
    ['0', '12.5', '1,234', '98.8k', '2.5M']
    """
    if abs(value) >= 1e6:
        return f"{value / 1e6:.4g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def listed(names: Sequence[str]) -> str:
    """Returns names that a caption breaks only between.

    >>> listed(["(0, 1) east", "(2, 3) west"]).replace("\\xa0", "_")
    '(0,_1)_east; (2,_3)_west'
    """
    return "; ".join(name.replace(" ", "\u00a0") for name in names)
