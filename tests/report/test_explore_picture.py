"""The picture of a sweep: what is drawn, where the front runs, and that everything can be read."""

from __future__ import annotations

import random
from itertools import pairwise

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from support.figures import assert_legible, shown_texts

from tncompile.explore.points import grid_points
from tncompile.explore.table import COLUMNS, OBJECTIVES, Row, Table
from tncompile.explore.table import Figure as Number
from tncompile.report.plots.explore import Chart, chart_of, draw, panels, staircase
from tncompile.report.plots.sheet import DPI, STYLE, sheet

BY_NAME = {column.name: column for column in COLUMNS}


def table(*grid: str, accuracy: float | None = None, energy: bool = True) -> Table:
    """A table of a sweep with figures as they may come."""
    seeded, rows = random.Random(0), []
    for number, point in enumerate(grid_points(grid)):
        cores = seeded.choice([28, 48, 56, 64, 112, 120, 224])
        figures = {"accuracy": Number(accuracy or seeded.uniform(0.8, 0.92)), "cores": Number(cores)}
        if energy:
            joule, speed = cores * seeded.uniform(0.08, 0.12), seeded.uniform(80, 2600)
            figures["energy_per_frame_uJ"] = Number(joule, 0.8 * joule, 1.3 * joule)
            figures["frames_per_s"] = Number(speed, 0.9 * speed, 1.1 * speed)
        rows.append(Row(point=point, folder=str(number), status="done", figures=figures))
    return Table(name="digits", rows=tuple(rows))


def figure_of(chart: Chart) -> Figure:
    """Returns the figure of a chart."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = sheet(list(panels(chart, DPI)), DPI)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        return figure


def chart(shown: Table) -> Chart:
    found = chart_of(shown)
    assert found is not None
    return found


CASES = {
    "a chip's sizes": table("arch.axons=128,256,512", "arch.neurons=128,256,512", accuracy=0.9889),
    "nine points": table("arch.axons=128,256,512", "arch.neurons=128,256,512"),
    "long values": table("net.layers=S-16 P4-128(2) N-128 N-250(2),S-16 P4-128(4) N-64 N-250(2)", "seed=0,1,2"),
    "many points": table("arch.axons=128,192,256,384,512", "arch.neurons=64,128,256", "seed=0,1,2,3"),
    "many at one place": table("seed=0,1,2,3,4,5,6,7,8,9", accuracy=0.9, energy=False),
    "one point": table("seed=1"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_point_is_drawn_and_no_text_is_cut_off_or_covered(name: str) -> None:
    shown = chart(CASES[name])
    figure = figure_of(shown)
    drawn = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_xlabel() for axes in drawn] == [column.heading for column in shown.objectives[1:]]
    for number, axes in enumerate(drawn, 1):
        marks = [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "o"]
        factors = shown.objectives[number].factor, shown.objectives[0].factor
        expected = [(m.figures[number].value * factors[0], m.figures[0].value * factors[1]) for m in shown.marks]
        assert sorted(marks) == sorted(expected)
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        assert all(left < x < right and low < y < high for x, y in marks)
    assert_legible(figure)


def test_what_is_the_same_for_all_points_is_said_and_not_drawn() -> None:
    shown = chart(CASES["a chip's sizes"])
    assert [column.name for column in shown.objectives] == ["cores", "energy_per_frame_uJ", "frames_per_s"]
    text = " ".join(text.get_text() for text in shown_texts(figure_of(shown)))
    assert "Labels: arch.axons · arch.neurons. The same for all: chip accuracy 98.89 %." in text
    assert "128 · 256" in text


def test_points_without_figures_are_counted() -> None:
    shown = CASES["nine points"]
    rows = (*shown.rows[:8], Row(point=shown.rows[8].point, folder="8", status="infeasible"))
    texts = shown_texts(figure_of(chart(Table(name="digits", rows=rows))))
    assert "Not shown, without figures: 1 of 9 points." in " ".join(" ".join(each.get_text() for each in texts).split())


def test_one_objective_is_no_picture() -> None:
    rows = CASES["nine points"].rows
    assert chart_of(Table(name="digits", rows=rows, objectives=("cores",))) is None
    assert chart_of(Table(name="digits", rows=(Row(point=rows[0].point, folder="x"),), objectives=OBJECTIVES)) is None


def test_the_same_table_gives_the_same_bytes() -> None:
    for kind in ("png", "svg"):
        assert draw(chart(CASES["nine points"]), kind) == draw(chart(CASES["nine points"]), kind)


PLACES = st.lists(st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(float)), min_size=1)


@given(PLACES, st.sampled_from(["cores", "frames_per_s"]), st.sampled_from(["accuracy", "energy_per_frame_uJ"]))
def test_the_line_parts_what_a_point_beats_from_what_none_does(
    places: list[tuple[float, float]], across: str, height: str
) -> None:
    signs = [1 if BY_NAME[name].better == "max" else -1 for name in (across, height)]
    worst = (-5.0 if signs[0] > 0 else 15.0, -5.0 if signs[1] > 0 else 15.0)
    line = staircase(places, BY_NAME[across], BY_NAME[height], worst)
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(line))  # no step is slanting
    good = [(signs[0] * x, signs[1] * y) for x, y in places]
    for x, y in ((signs[0] * x, signs[1] * y) for x, y in line):
        assert not any(a > x and b > y for a, b in good)  # nothing is beyond it
        assert any(a >= x and b >= y for a, b in good)  # and all of it is beside a point
