"""Curves of trainings: what is read, what is drawn, and what is said of files that somebody edited."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report.views import board
from support.command_line import invoke
from support.figures import assert_legible, shown_texts

from tncompile.errors import ArtifactError, ConfigError
from tncompile.report.curves import COLOURS, Run, read_runs
from tncompile.report.plots.curves import curves
from tncompile.report.plots.panels import draw
from tncompile.report.plots.sheet import DPI, STYLE, sheet


def line(epoch: int, of: int, validation: bool = True) -> dict[str, Any]:
    """An epoch of a training that learns."""
    gain = 1 - math.exp(-3 * epoch / of)
    return {
        "epoch": epoch,
        "loss": 2.3 - 2 * gain,
        "train_accuracy": 0.1 + 0.85 * gain,
        "validation_accuracy": 0.1 + 0.75 * gain if validation else None,
        "test_accuracy": 0.1 + 0.7 * gain,
        "learning_rate": 0.1 * (1 - epoch / (of + 1)),
        "seconds": 1.5,
        "waited": 0.0,
    }


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Path]:
    """Writes what a training leaves of its measurements."""

    def trained(name: str, epochs: int, validation: bool = True) -> Path:
        (tmp_path / name / "train").mkdir(parents=True)
        lines = [json.dumps(line(epoch, epochs, validation)) for epoch in range(1, epochs + 1)]
        (tmp_path / name / "train" / "metrics.jsonl").write_text("".join(f"{text}\n" for text in lines))
        return tmp_path / name

    return trained


def figure_of(*runs: Run) -> Figure:
    """Returns the figure of trainings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = sheet(list(curves(runs, DPI)), DPI)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        return figure


@pytest.mark.parametrize(
    "shapes",
    [
        [("one", 1, True)],
        [("many", 300, True)],
        [("without", 40, False)],
        [(f"run_{i}_with_a_name_that_does_not_fit_any_legend", 1 + 20 * i, i % 2 == 0) for i in range(7)],
    ],
    ids=["one epoch", "many epochs", "no validation", "seven runs"],
)
def test_every_number_is_drawn_and_no_text_is_cut_off_or_covered(shapes: list, trained: Callable[..., Path]) -> None:
    runs = read_runs([trained(*shape) for shape in shapes])
    figure = figure_of(*runs)
    drawn = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_ylabel() for axes in drawn] == ["loss", "right answers [%]", "learning rate"]
    expected: list[list[list[float]]] = [[], [], []]
    for run in runs:
        expected[0].append([point.loss for point in run.points])
        expected[1].append([100 * point.test_accuracy for point in run.points])
        if run.points[0].validation_accuracy is not None:
            expected[1].append([100 * (point.validation_accuracy or 0) for point in run.points])
        expected[1].append([100 * point.train_accuracy for point in run.points])
        expected[2].append([point.learning_rate for point in run.points])
    for axes, heights in zip(drawn, expected, strict=True):
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        assert len(axes.lines) == len(heights)
        for curve, values in zip(axes.lines, heights, strict=True):
            np.testing.assert_allclose(curve.get_ydata(), values)
            np.testing.assert_array_equal(curve.get_xdata(), np.arange(1, len(values) + 1))
            assert left < 1 and len(values) < right and low <= min(values) and max(values) <= high
            assert len(values) > 1 or curve.get_marker() == "o", "a single point has no line"
    assert_legible(figure)


def test_runs_have_colours_and_kinds_have_dashes(trained: Callable[..., Path]) -> None:
    runs = read_runs([trained("a", 30), trained("b", 30, False)])
    loss, accuracy, _ = (axes for axes in figure_of(*runs).axes if axes.axison)
    assert [curve.get_color() for curve in loss.lines] == list(COLOURS[:2])
    assert [(curve.get_color(), curve.get_linestyle()) for curve in accuracy.lines] == [
        (COLOURS[0], "-"), (COLOURS[0], "--"), (COLOURS[0], ":"), (COLOURS[1], "-"), (COLOURS[1], ":"),
    ]  # fmt: skip
    texts = " ".join(text.get_text() for text in shown_texts(figure_of(*runs)))
    best = f"{100 * line(30, 30)['validation_accuracy']:.2f} %, in epoch 30"
    assert f"a, epoch 30: test {100 * line(30, 30)['test_accuracy']:.2f} %" in texts and best in texts
    assert f"b, epoch 30: test {100 * line(30, 30)['test_accuracy']:.2f} %, no validation images." in texts
    assert "a b test validation training" in texts


def test_runs_are_named_so_that_they_can_be_told_apart(trained: Callable[..., Path], tmp_path: Path) -> None:
    paths = [trained("x/run", 2), trained("y/run", 2), trained("z", 2)]
    assert [run.name for run in read_runs(paths)] == [str(paths[0]), str(paths[1]), "z"]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_measurements_are_equal_files_alone_and_beside_a_board(kind: str, trained: Callable[..., Path]) -> None:
    runs = read_runs([trained("a", 5)])
    assert draw(None, ("curves",), kind, runs) == draw(None, ("curves",), kind, runs)
    both = draw(board("corner of a chip"), ("placement", "curves"), kind, runs)
    assert len(both) > len(draw(board("corner of a chip"), ("placement",), kind))


def test_curves_from_the_command_line(trained: Callable[..., Path], tmp_path: Path) -> None:
    a, b, picture = trained("a", 3), trained("b", 2, False), tmp_path / "curves.svg"
    outcome = invoke("inspect", a, "--plot", picture, "--what", "curves", "--beside", b, "--json")
    assert (outcome.code, outcome.json) == (0, {"plot": str(picture), "shows": "curves"})
    text = picture.read_text()
    assert "a, epoch 3: " in text.replace("\n", " ") and "b, epoch 2: " in text.replace("\n", " ")
    refused = invoke("inspect", a, "--plot", tmp_path / "x.png", "--what", "curves", "--beside", tmp_path / "none")
    assert (
        refused.err == f"error: {tmp_path}/none: there is no such folder; curves are drawn of run folders, name one\n"
    )
    assert (refused.code, (tmp_path / "x.png").exists()) == (4, False)


GOOD = line(1, 1)
DAMAGED = {
    "empty": ("", "metrics.jsonl: has no epoch yet; wait for the end of the first one"),
    "no keys": ("{}", "line 1: epoch: is missing; this key is required; 'tncompile train --resume' writes"),
    "list": ("[1]", "line 1: is no JSON object"),
    "cut": (json.dumps(GOOD)[:30], r"line 1: is not JSON \(.*\); 'tncompile train --resume' writes the file anew"),
    "twice": (f"{json.dumps(GOOD)}\n{json.dumps(GOOD)}\n", "line 2: is of epoch 1, expected epoch 2"),
    "null": (json.dumps(GOOD | {"loss": None}), "line 1: loss: is empty, expected a valid number"),
    "NaN": (json.dumps(GOOD | {"loss": math.nan}), r"line 1: loss: is NaN .*, expected a finite number"),
    "range": (json.dumps(GOOD | {"test_accuracy": 1.5}), r"line 1: test_accuracy: is 1\.5 .*, expected less than or"),
    "bytes": ("\udcff", r"metrics\.jsonl: is no text"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_edited_measurements_are_refused_with_their_line(case: str, trained: Callable[..., Path]) -> None:
    folder, (content, message) = trained("a", 1), DAMAGED[case]
    (folder / "train" / "metrics.jsonl").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ArtifactError, match=message):
        read_runs([folder])


def test_folders_without_curves_and_too_many_of_them(trained: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"metrics\.jsonl: is missing, so there are no curves; train with"):
        read_runs([tmp_path])
    with pytest.raises(ArtifactError, match="is a file; curves are drawn of run folders"):
        read_runs([trained("a", 1) / "train" / "metrics.jsonl"])
    with pytest.raises(ConfigError, match="8 runs in one picture, at most 7 can be told apart"):
        read_runs([trained(f"r{i}", 1) for i in range(8)])
