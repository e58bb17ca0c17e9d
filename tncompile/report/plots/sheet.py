"""Sheets of panels, on whole pixels: what is drawn, a title above it, what explains it beside it and below."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tncompile.report.plots.paint import INK, PAPER
from tncompile.report.plots.raster import Grid, region_of
from tncompile.report.plots.view import BoardView

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.hashsalt": "tncompile",  # ids in an SVG file do not depend on when it is written
    "svg.fonttype": "path",
}
"""What differs from matplotlib's own style."""

MAP, CELL = 7.0, 0.55
"""Longest side of a map without gaps, and of a site [inch]."""
DPI = 160.0
"""Resolution, for maps the least [pixel/inch]."""
LEFT, TITLE, AXIS, SIDE, CAPTION = 0.8, 0.5, 0.55, 3.05, 0.185
"""Room for the y axis, for the title, for the x axis, for what stands beside, and for a line below [inch]."""
GAP, LABEL = (0.12, 0.24), (0.58, 0.3)
"""Between chips in x and y, and where the load of the link between them is written [inch]."""
LABELLED = 4
"""Boards of so many chips a side or less have their chips numbered, and written what goes between them."""
CHARACTER = 0.0785
"""Mean width of a character of a caption [inch]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large things are: a site is a whole number of pixels.

    Attributes:
        dpi: pixels an inch.
        grid: where sites are in a map.
        wide: the same with room for labels between chips.
    """

    dpi: float
    grid: Grid
    wide: Grid

    @classmethod
    def of(cls, view: BoardView) -> Scale:
        """Returns the scale of a board."""
        region = region_of(view.core_x, view.core_y, view.arch.size)
        side = min(MAP, CELL * region.longest)
        cell = math.ceil(DPI * side / region.longest)
        dpi = cell * region.longest / side
        few = max(view.arch.board) <= LABELLED
        grid, wide = (
            Grid(region=region, chip=view.arch.grid, cell=cell, gap=(round(x * dpi), round(y * dpi)))
            for x, y in (GAP if few else (GAP[0] / 2, GAP[0] / 2), LABEL if few else (GAP[0] / 2, GAP[0] / 2))
        )
        return cls(dpi=dpi, grid=grid, wide=wide)

    def px(self, inches: float) -> int:
        """Returns a length in pixels."""
        return round(inches * self.dpi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture of a sheet.

    Attributes:
        size: of its drawing, in pixels.
        beside: room at its right [pixel].
        least: height that what stands beside needs [pixel].
        over: room between the drawing and the title [pixel].
        title: above it.
        caption: below it.
        draw: draws it into axes, and what stands beside into others, whose unit is the inch from the upper left.
    """

    size: tuple[int, int]
    beside: int
    least: int
    over: int
    title: str
    caption: str
    draw: Callable[[Axes, Axes], None]


def rendered(panels: Callable[[], Sequence[Panel]], dpi: float, kind: str) -> bytes:
    """Returns a sheet as a file's content, the same for the same panels.

    Args:
        panels: makes them; called in the style that they are drawn in.
        dpi: resolution [pixel/inch].
        kind: "png" or "svg".
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = sheet(panels(), dpi)
        file = io.BytesIO()
        # Neither date nor version: equal pictures are equal files.
        metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        figure.savefig(file, format=kind, dpi=dpi, metadata=metadata)
    return file.getvalue()


def sheet(panels: Sequence[Panel], dpi: float) -> Figure:
    """Returns a figure with panels in one or two columns, every one on whole pixels.

    Args:
        panels: in the order of reading.
        dpi: resolution [pixel/inch].
    """

    def px(inches: float) -> int:
        return round(inches * dpi)

    columns = min(len(panels), 2)
    widths = [px(LEFT) + max(panel.size[0] + panel.beside for panel in panels[i::columns]) for i in range(columns)]
    captions = [_lines(panel.caption, widths[i % columns] / dpi) for i, panel in enumerate(panels)]
    starts = range(0, len(panels), columns)
    heads = [px(TITLE) + max(panel.over for panel in panels[i : i + columns]) for i in starts]
    reach = [max(panel.size[1] + px(AXIS), panel.least) for panel in panels]
    bodies = [max(reach[i : i + columns]) for i in starts]
    feet = [px(CAPTION) * (1 + max(map(len, captions[i : i + columns]))) for i in starts]
    width, height = sum(widths), sum(heads) + sum(bodies) + sum(feet)
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi)

    def axes(left: int, top: int, size: tuple[int, int]) -> Axes:
        box = (left / width, (height - top - size[1]) / height, size[0] / width, size[1] / height)
        return figure.add_axes(box)

    def write(left: int, top: int, text: str, **style) -> None:
        figure.text(left / width, 1 - top / height, text, **style)

    top = 0
    for row, start in enumerate(starts):
        top += heads[row]
        for column, panel in enumerate(panels[start : start + columns]):
            left = sum(widths[:column]) + px(LEFT)
            room = panel.beside, max(panel.size[1], panel.least)
            beside = axes(left + panel.size[0], top, room)
            beside.set(xlim=(0, room[0] / dpi), ylim=(room[1] / dpi, 0))
            beside.axis("off")
            panel.draw(axes(left, top, panel.size), beside)
            write(left, top - panel.over - px(0.13), panel.title, size=12, weight="bold", va="bottom")
            text = "\n".join(captions[start + column])
            foot = top + reach[start + column]
            write(left - px(LEFT - 0.15), foot, text, size=9.5, va="top", linespacing=1.25)
        top += bodies[row] + feet[row]
    return figure


def _lines(caption: str, width: float) -> list[str]:
    """Returns a caption in lines that fit a width [inch]."""
    return [line for part in caption.split("\n") for line in textwrap.wrap(part, int((width - 0.3) / CHARACTER))]
