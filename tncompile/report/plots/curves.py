"""The panels that show how trainings went: loss, accuracy and learning rate over the epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tncompile.report.curves import COLOURS, Point, Run
from tncompile.report.plots.paint import INK
from tncompile.report.plots.sheet import SIDE, Panel

WIDTH, HEIGHT = 6.2, 3.6
"""Of a drawing [inch]."""
DOTS = 24
"""Curves of so many epochs or fewer have a dot at each, without which the only epoch of a training is not seen."""
LABEL = 36
"""Longest name of a curve [character]."""

_KINDS, _MARGIN = 1.5, 0.3  # room at the right of one run's curves: for a legend of their kinds, and without one [inch]


class Kind(NamedTuple):
    """A curve of a training.

    Attributes:
        name: as the legend has it.
        value: its height at an epoch; None where there is none.
        dashes: of its line.
    """

    name: str
    value: Callable[[Point], float | None]
    dashes: str


LOSS = (Kind("loss", lambda point: point.loss, "-"),)
ACCURACY = (
    Kind("test", lambda point: 100 * point.test_accuracy, "-"),
    Kind("validation", lambda point: _percent(point.validation_accuracy), "--"),
    Kind("training", lambda point: 100 * point.train_accuracy, ":"),
)
RATE = (Kind("learning rate", lambda point: point.learning_rate, "-"),)


def curves(runs: Sequence[Run], dpi: float) -> Iterator[Panel]:
    """Yields the panels of trainings: loss, accuracy, learning rate.

    Args:
        runs: at most `len(COLOURS)`.
        dpi: resolution [pixel/inch].
    """
    of = f" of {_short(runs[0].name)}" if len(runs) == 1 else ""
    losses = [_at_end(run, f"{run.points[-1].loss:.4g}", len(runs)) for run in runs]
    yield _panel(runs, LOSS, dpi, f"Training loss{of}", "loss", "Mean over each epoch.\n" + "\n".join(losses))
    accuracies = [_at_end(run, _accuracies(run), len(runs)) for run in runs]
    note = "Training accuracy is the mean over an epoch's steps, on images as augmentation changed them.\n"
    yield _panel(runs, ACCURACY, dpi, f"Accuracy{of}", "right answers [%]", note + "\n".join(accuracies))
    yield _panel(runs, RATE, dpi, f"Learning rate{of}", "learning rate", "At each epoch's end.")


def _panel(runs: Sequence[Run], kinds: Sequence[Kind], dpi: float, title: str, label: str, caption: str) -> Panel:
    lines = [(run, kind) for run in runs for kind in kinds if any(kind.value(p) is not None for p in run.points)]
    dashes = {kind.name: kind.dashes for kind in kinds if kind in {kind for _, kind in lines}}

    def colour(run: Run, kind: Kind) -> str:
        return COLOURS[runs.index(run) if len(runs) > 1 else kinds.index(kind)]

    def draw(axes: Axes, beside: Axes) -> None:
        most = max(len(run.points) for run in runs)
        for run, kind in lines:
            heights = np.array([kind.value(point) for point in run.points], float)  # None becomes NaN, a gap
            style = {"marker": "o", "markersize": 4} if len(run.points) <= DOTS else {}
            epochs = np.arange(1, len(heights) + 1)
            axes.plot(epochs, heights, kind.dashes, color=colour(run, kind), linewidth=1.6, clip_on=False, **style)
        axes.set(xlabel="epoch", ylabel=label, xlim=(0.5, most + 0.5))
        axes.margins(y=0.08)
        if kinds is not ACCURACY:
            axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        entries = []
        if len(runs) > 1:
            entries += [Line2D([], [], color=colour(run, kinds[0]), lw=3, label=_short(run.name)) for run in runs]
            entries += [Line2D([], [], color=INK, ls=ls, label=name) for name, ls in dashes.items() if len(kinds) > 1]
        elif len(kinds) > 1:
            entries += [Line2D([], [], color=colour(run, kind), ls=kind.dashes, label=kind.name) for run, kind in lines]
        if entries:
            beside.legend(handles=entries, loc="upper left", frameon=False, fontsize=9, borderaxespad=0.5)

    room = SIDE if len(runs) > 1 else _KINDS if len(kinds) > 1 else _MARGIN
    return Panel(
        size=(round(WIDTH * dpi), round(HEIGHT * dpi)), beside=round(room * dpi), least=0, over=0, title=title,
        caption=caption, draw=draw,
    )  # fmt: skip


def _at_end(run: Run, figures: str, runs: int) -> str:
    """Returns what is said of a run's last epoch."""
    name = f"{_short(run.name)}, epoch" if runs > 1 else "Epoch"
    return f"{name} {len(run.points)}: {figures}."


def _accuracies(run: Run) -> str:
    """Returns the accuracies behind the last epoch, and the best on the validation images."""
    last = run.points[-1]
    text = f"test {100 * last.test_accuracy:.2f} %"
    rated = [(point.validation_accuracy, -point.epoch) for point in run.points if point.validation_accuracy is not None]
    if not rated:
        return f"{text}, no validation images"
    best, epoch = max(rated)
    if last.validation_accuracy is not None:
        text += f", validation {100 * last.validation_accuracy:.2f} %"
    return f"{text}; best validation {100 * best:.2f} %, in epoch {-epoch}"


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _short(name: str) -> str:
    """Returns a name of at most `LABEL` characters; the end of a path says more than its beginning."""
    return name if len(name) <= LABEL else f"…{name[1 - LABEL :]}"
