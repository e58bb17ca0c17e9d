"""The picture of a sweep: one objective against each of the others, with the points that nothing beats."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tncompile.explore.pareto import front
from tncompile.explore.points import text
from tncompile.explore.table import Column, Figure, Row, Table
from tncompile.report.curves import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

    from tncompile.report.plots.sheet import Panel

WIDTH, HEIGHT = 5.2, 3.6
"""Of a drawing [inch]."""
LABEL, LABELLED = 18, 16
"""Points are named by their values if no name is longer [character] and there are no more points, else by numbers."""
TOGETHER = 3
"""Points at one place are named up to so many."""
LOG_FROM = 20.0
"""An axis whose values differ by such a factor or more is logarithmic."""

_KEYS, _LEGEND = 2.3, 28  # room for the legend at the right [inch], and its longest entry [character]
_BESIDE, _AROUND = 7.0, ((0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0))
# A label stands so far from its point [pt], or twice or three times, on the first of these sides that is free.


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point in the picture.

    Attributes:
        label: its values of the keys that vary, or its number in the table.
        colour: number of its colour.
        best: whether it is on the front of all objectives.
        figures: one for each objective.
    """

    label: str
    colour: int
    best: bool
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What the picture shows.

    Attributes:
        name: of the experiment.
        labels: what the labels of the points are.
        colours: what each colour stands for; empty: there is one only.
        objectives: the first is drawn against each of the others.
        same: objectives in which all points are alike, with what they are, to be said in words.
        marks: the points.
        left_out: points that have not all figures.
    """

    name: str
    labels: str
    colours: tuple[str, ...]
    objectives: tuple[Column, ...]
    same: tuple[str, ...]
    marks: tuple[Mark, ...]
    left_out: int


def chart_of(table: Table) -> Chart | None:
    """Returns what is to be drawn of a table; None if there are not two objectives, or no point has all of them."""
    judged = table.judged
    rows = [
        (row, best)
        for row, best in zip(table.rows, table.front, strict=True)
        if all(column.name in row.figures for column in judged)
    ]
    if len(judged) < 2 or not rows:
        return None
    differing = tuple(column for column in judged if len({row.value(column.name) for row, _ in rows}) > 1)
    drawn = differing if len(differing) > 1 else judged
    same = [(column, rows[0][0].value(column.name)) for column in judged if column not in drawn]
    varied = tuple(key for key in table.keys if len({_value(row, key) for row in table.rows}) > 1) or table.keys
    values = {key: list(dict.fromkeys(_value(row, key) for row, _ in rows)) for key in varied}
    first = next((key for key in varied if 1 < len(values[key]) <= len(COLOURS)), None)
    labels, names = " · ".join(varied), [" · ".join(_value(row, key) for key in varied) for row, _ in rows]
    if max(map(len, names)) > LABEL or len(names) > LABELLED:
        labels, names = "rows of the table", [str(1 + table.rows.index(row)) for row, _ in rows]
    marks = tuple(
        Mark(
            label=name,
            colour=0 if first is None else values[first].index(_value(row, first)),
            best=best,
            figures=tuple(row.figures[column.name] for column in drawn),
        )
        for name, (row, best) in zip(names, rows, strict=True)
    )
    colours = (
        ()
        if first is None
        else tuple(textwrap.shorten(f"{first} {value}", _LEGEND, placeholder="…") for value in values[first])
    )
    return Chart(
        name=table.name,
        labels=labels,
        colours=colours,
        objectives=drawn,
        same=tuple(f"{column.title} {column.shown(value)}" for column, value in same if value is not None),
        marks=marks,
        left_out=len(table.rows) - len(rows),
    )


def draw(chart: Chart, kind: str) -> bytes:
    """Returns the picture as a file's content, the same for the same chart.

    Args:
        chart: what to draw.
        kind: "png" or "svg".

    Raises:
        ImportError: matplotlib is not installed.
    """
    from tncompile.report.plots.sheet import DPI, rendered

    return rendered(lambda: list(panels(chart, DPI)), DPI, kind)


def panels(chart: Chart, dpi: float) -> Iterator[Panel]:
    """Yields a panel for each objective but the first, which is the height in all.

    Args:
        chart: what to draw.
        dpi: resolution [pixel/inch].
    """
    from tncompile.report.plots.sheet import Panel

    height, *others = chart.objectives
    at = min(2, len(others))  # the legend stands at the right of the first row
    for i, across in enumerate(others, 1):

        def drawn(axes: Axes, beside: Axes, i: int = i) -> None:
            _draw_panel(chart, i, axes)
            if i == at:
                _draw_legend(chart, beside)

        title = f"{height.title[0].upper()}{height.title[1:]} against {across.title}"
        alike = f" The same for all: {', '.join(chart.same)}." if chart.same else ""
        total = chart.left_out + len(chart.marks)
        missing = f" Not shown, without figures: {chart.left_out} of {total} points." if chart.left_out else ""
        yield Panel(
            size=(round(WIDTH * dpi), round(HEIGHT * dpi)),
            beside=round((_KEYS if i == at else 0.3) * dpi),
            least=0,
            over=0,
            title=title + f" of {chart.name}" * (i == 1),
            caption=f"Labels: {chart.labels}.{alike}{missing}" if i == 1 else "",
            draw=drawn,
        )


def staircase(
    places: list[tuple[float, float]], across: Column, height: Column, worst: tuple[float, float]
) -> list[tuple[float, float]]:
    """Returns the corners of the line that parts what is beaten by a front from what is not.

    Args:
        places: x and y of all points.
        across: what x is.
        height: what y is.
        worst: the corner of the picture that is wanted least, to whose sides the line goes on.
    """
    assert across.better is not None and height.better is not None
    on = front(places, (across.better, height.better))
    steps = sorted({place for place, best in zip(places, on, strict=True) if best})
    if across.better == "min":
        around = [(steps[0][0], worst[1]), *steps, (worst[0], steps[-1][1])]
        corners = [(b[0], a[1]) for a, b in pairwise(around)]
    else:
        around = [(worst[0], steps[0][1]), *steps, (steps[-1][0], worst[1])]
        corners = [(a[0], b[1]) for a, b in pairwise(around)]
    return [each for pair in zip(around, corners, strict=False) for each in pair] + [around[-1]]


def _draw_panel(chart: Chart, i: int, axes: Axes) -> None:
    from tncompile.report.plots.paint import INK, PAPER

    height, across = chart.objectives[0], chart.objectives[i]
    places = [(mark.figures[i].value * across.factor, mark.figures[0].value * height.factor) for mark in chart.marks]
    for axis, column, values in (("x", across, [x for x, _ in places]), ("y", height, [y for _, y in places])):
        if min(values) > 0 and max(values) >= LOG_FROM * min(values):
            axes.set(**{f"{axis}scale": "log"})
        axes.set(**{f"{axis}label": column.heading})
    for mark, (x, y) in sorted(zip(chart.marks, places, strict=True), key=lambda each: each[0].best):
        colour = COLOURS[mark.colour]
        wide, high = _error(mark.figures[i], across), _error(mark.figures[0], height)
        style: dict[str, Any] = {"ecolor": colour, "elinewidth": 1, "capsize": 2.5, "alpha": 0.6, "zorder": 2}
        axes.errorbar(x, y, xerr=wide, yerr=high, fmt="none", **style)
        face = colour if mark.best else PAPER
        axes.plot(x, y, "o", markersize=7, mfc=face, mec=colour, mew=1.5, zorder=3)
    axes.margins(x=0.16, y=0.18)
    if height.unit == "%" and max(y for _, y in places) - min(y for _, y in places) < 1:
        centre = (max(y for _, y in places) + min(y for _, y in places)) / 2
        axes.set_ylim(centre - 1, centre + 1)
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    worst = (right if across.better == "min" else left, low if height.better == "max" else high)
    line = staircase(places, across, height, worst)
    axes.plot(*zip(*line, strict=True), "-", color=INK, linewidth=1.1, zorder=1)
    axes.set(xlim=(left, right), ylim=(low, high))
    _write_labels(chart, places, axes)


def _error(figure: Figure, column: Column) -> list[list[float]] | None:
    """Returns how far an interval reaches below and above its value."""
    if figure.low is None or figure.high is None:
        return None
    reach = (figure.value - figure.low, figure.high - figure.value)
    return [[max(0.0, each) * column.factor] for each in reach]


def _write_labels(chart: Chart, places: list[tuple[float, float]], axes: Axes) -> None:
    """Writes at each point what it is, those on the front first, where no other label or point is in the way.

    A label for which there is no room is left out; the table has all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import Bbox

    FigureCanvasAgg(axes.figure)  # type: ignore[arg-type]  # which measures text
    at = axes.transData.transform(places)
    point = axes.figure.dpi / 72
    taken: list[Bbox] = [Bbox.from_bounds(x - 4 * point, y - 4 * point, 8 * point, 8 * point) for x, y in at]
    here: dict[tuple[float, float], list[Mark]] = {}
    for mark, place in zip(chart.marks, places, strict=True):
        here.setdefault(place, []).append(mark)
    for place, marks in sorted(here.items(), key=lambda each: not any(mark.best for mark in each[1])):
        names = [mark.label for mark in marks]
        more = [f"and {len(names) - TOGETHER} more"] if len(names) > TOGETHER else []
        label = "\n".join([*names[:TOGETHER], *more])
        for far in (1, 2, 3):
            if any(_written(axes, label, place, side, far, taken) for side in _AROUND):
                break


def _written(
    axes: Axes, label: str, place: tuple[float, float], side: tuple[int, int], far: int, taken: list[Bbox]
) -> bool:
    """Writes a label beside a point if that is free, and returns whether it was."""
    from matplotlib.patheffects import withStroke

    from tncompile.report.plots.paint import PAPER

    dx, dy = side
    written = axes.annotate(
        label,
        place,
        xytext=(dx * _BESIDE * far, dy * _BESIDE * far),
        textcoords="offset points",
        ha={1: "left", 0: "center", -1: "right"}[dx],
        va={1: "bottom", 0: "center", -1: "top"}[dy],
        size=8.5,
        linespacing=1.1,
        path_effects=[withStroke(linewidth=2.5, foreground=PAPER)],
        arrowprops={"arrowstyle": "-", "color": "#b8b8b8", "linewidth": 0.7} if far > 1 else None,
        zorder=4,
    )
    box, inside = written.get_window_extent().padded(1.5), axes.get_window_extent()
    fits = inside.x0 <= box.x0 and inside.y0 <= box.y0 and box.x1 <= inside.x1 and box.y1 <= inside.y1
    if not fits or any(box.overlaps(other) for other in taken):
        written.remove()
        return False
    taken.append(box)
    return True


def _draw_legend(chart: Chart, beside: Axes) -> None:
    from matplotlib.lines import Line2D

    from tncompile.report.plots.paint import INK, PAPER

    style: dict[str, Any] = {"marker": "o", "markersize": 7, "markeredgewidth": 1.5}
    entries = [
        Line2D([], [], color=colour, mfc=colour, linestyle="", label=name, **style)
        for name, colour in zip(chart.colours, COLOURS, strict=False)
    ]
    entries += [
        Line2D([], [], color=INK, mfc=INK, linestyle="", label="on the front\nof all objectives", **style),
        Line2D([], [], color=INK, mfc=PAPER, linestyle="", label="beaten by another", **style),
        Line2D([], [], color=INK, linewidth=1.1, label="front of this picture"),
    ]
    beside.legend(handles=entries, loc="upper left", frameon=False, fontsize=9, borderaxespad=0.5, labelspacing=0.7)


def _value(row: Row, key: str) -> str:
    return text(row.point.values[key]) if key in row.point.values else "–"
