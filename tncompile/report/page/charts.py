"""Charts of a few marks: curves, bars and the confusion matrix, as Vega-Lite specifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from tncompile.report.curves import Run
from tncompile.report.page.vega import ACCENT, QUIET, STRONG, Spec, field, names, quantity, spec, table, white_on_blue

ROW = 26
"""Height of a bar with its gap [pixel]."""
NUMBERED = 16
"""Classes up to which a confusion matrix has room for its numbers."""
USUAL = (0.01, 0.6)
"""Firing rates of layers between which nothing is to be said."""

_KINDS = (("test", "test_accuracy"), ("validation", "validation_accuracy"), ("training", "train_accuracy"))
_DASHES = {"test": [1, 0], "validation": [6, 3], "training": [2, 2]}


def accuracy_curves(runs: Sequence[Run], beside: Sequence[str] = ()) -> Spec:
    """Returns the share of right answers of trainings, epoch by epoch.

    Args:
        runs: the trainings.
        beside: names of all runs that are compared, each of which has its colour in all charts; none: there is one run.
    """
    rows = []
    for number, run in enumerate(runs):
        for kind, key in _KINDS:
            values = [(point.epoch, getattr(point, key)) for point in run.points]
            rows += [
                (f"s{number}{kind}", run.name, kind, epoch, 100 * value) for epoch, value in values if value is not None
            ]
    return _curves(rows, "right answers [%]", beside, by_kind=True)


def loss_curves(runs: Sequence[Run], beside: Sequence[str] = ()) -> Spec:
    """Returns the loss of trainings, epoch by epoch; arguments as `accuracy_curves`."""
    rows = [(f"s{i}", run.name, "loss", point.epoch, point.loss) for i, run in enumerate(runs) for point in run.points]
    return _curves(rows, "loss", beside)


def rate_curve(run: Run) -> Spec:
    """Returns the learning rate of a training, epoch by epoch."""
    rows = [("s0", run.name, "learning rate", point.epoch, point.learning_rate) for point in run.points]
    return _curves(rows, "learning rate", (), form="~g")


def _curves(rows: list[tuple], title: str, beside: Sequence[str], *, by_kind: bool = False, form: str = ".4~g") -> Spec:
    """Returns curves with a rule at the epoch under the pointer, which says all their values there."""
    many = bool(beside)
    series = list(dict.fromkeys((key, run, kind) for key, run, kind, *_ in rows))
    epochs = max((row[3] for row in rows), default=1)
    x = quantity("epoch", "epoch", scale={"domain": [min(1, epochs - 1), epochs], "nice": False}, axis=_whole(epochs))
    encoding: Spec = {"x": x, "y": quantity("value", title, scale={"zero": False}, axis={"tickCount": 5})}
    legend = {"orient": "top", "direction": "horizontal", "symbolType": "stroke", "columns": 1 if many else 3}
    if many:
        encoding["color"] = names("run", None, scale={"domain": list(beside)}, legend=legend)
    if by_kind:
        kinds = [kind for kind in _DASHES if any(row[2] == kind for row in rows)]
        dashes = {"domain": kinds, "range": [_DASHES[kind] for kind in kinds]}
        encoding["strokeDash"] = names("kind", None, scale=dashes, legend=legend | {"columns": 3})
        if not many:
            encoding["color"] = names("kind", None, scale={"domain": kinds}, legend=legend)
    elif not many:
        encoding["color"] = {"datum": "", "type": "nominal", "legend": None}
    shown = [
        quantity(key, " ".join(part for part in (run if many else "", kind) if part), format=form)
        for key, run, kind in series
    ]
    hover = {"name": "at", "select": {"type": "point", "fields": ["epoch"], "nearest": True, "on": "pointerover"}}
    rule = {
        "transform": [{"pivot": "series", "value": "value", "groupby": ["epoch"]}],
        "mark": {"type": "rule", "style": [QUIET], "strokeWidth": 1},
        "encoding": {
            "x": x,
            "opacity": {"condition": {"param": "at", "empty": False, "value": 1}, "value": 0},
            "tooltip": [quantity("epoch", "epoch"), *shown],
        },
        "params": [hover],
    }
    line = {"type": "line", "strokeWidth": 2, "clip": True, "point": {"size": 26} if epochs <= 24 else False}
    return spec(
        height=250,
        data=table(["series", "run", "kind", "epoch", "value"], rows, text=("series", "run", "kind")),
        layer=[{"mark": line, "encoding": encoding}, rule],
    )


def _whole(most: int) -> Spec:
    """Returns an axis of whole numbers."""
    return {"grid": False, "format": "d", "tickMinStep": 1, "tickCount": min(most, 8)}


def firing_rates(rows: Sequence[tuple[str, str, float]], beside: Sequence[str] = ()) -> Spec:
    """Returns the firing rate of each layer: bars, or dots where there are several runs.

    Args:
        rows: layer, run and rate.
        beside: as `accuracy_curves`.
    """
    shown = [(layer, run, 100 * rate) for layer, run, rate in rows]
    many, title = bool(beside), "spikes of a value a frame [%]"
    y = names("layer", None, axis={"grid": many, "ticks": False, "domain": False})
    encoding: Spec = {
        "y": y,
        "x": quantity("rate", title, axis={"tickCount": 5}, scale={"domainMin": 0}),
        "tooltip": [
            names("layer", "layer"),
            names("run", "run"),
            quantity("rate", "spikes a frame [%]", format=".3~g"),
        ],
    }
    if many:
        encoding["color"] = _by_run(beside)
    usual = {
        "data": {"values": [{"at": 100 * share} for share in USUAL]},
        "mark": {"type": "rule", "strokeDash": [4, 4], "style": [STRONG], "opacity": 0.55},
        "encoding": {"x": quantity("at", title)},
    }
    mark = {"type": "point", "filled": True, "size": 70, "opacity": 0.9} if many else _bar(ACCENT)
    return spec(
        height=(ROW - 4) * len({layer for layer, *_ in rows}),
        data=table(["layer", "run", "rate"], shown, text=("layer", "run")),
        layer=[{"mark": mark, "encoding": encoding}, usual],
    )


def breakdown(rows: Sequence[tuple[str, str, Mapping[str, Any]]], unit: str, beside: Sequence[str]) -> Spec:
    """Returns amounts of several runs by what they are spent on, with their intervals.

    Args:
        rows: what, run, and a mapping of `value`, `low` and `high`.
        unit: of the amounts.
        beside: as `accuracy_curves`.
    """
    data = [(what, run, found["value"], found.get("low"), found.get("high")) for what, run, found in rows]
    y: Spec = {
        "y": names("what", None, axis={"ticks": False, "domain": False}),
        "yOffset": names("run", None, scale={"domain": list(beside)}),
    }
    tooltip = [names("what", "on"), names("run", "run"), *_range(unit)]
    x = quantity("value", unit, axis={"tickCount": 5}, scale={"domainMin": 0})
    bar = {"mark": _bar(None), "encoding": {**y, "x": x, "color": _by_run(beside), "tooltip": tooltip}}
    return spec(
        height=len({what for what, *_ in rows}) * (15 * len(beside) + 8),
        data=table(["what", "run", "value", "low", "high"], data, text=("what", "run")),
        layer=[bar, _spans(y, unit, tooltip)],
    )


def _range(unit: str) -> list[Spec]:
    """Returns the lines of a tooltip that say an amount and its interval."""
    titles = {"value": "likeliest", "low": "at least", "high": "at most"}
    return [quantity(key, f"{title} [{unit}]", format=".3~g") for key, title in titles.items()]


def _spans(place: Spec, title: str, tooltip: list[Spec]) -> Spec:
    """Returns the intervals of bars."""
    return {
        "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
        "mark": {"type": "rule", "strokeWidth": 1.5, "style": [STRONG]},
        "encoding": {**place, "x": quantity("low", title), "x2": {"field": "high"}, "tooltip": tooltip},
    }


def bars(
    rows: Sequence[tuple[str, Mapping[str, Any]]], unit: str, title: str | None = None, strong: str | None = None
) -> Spec:
    """Returns a bar for each amount, with its interval if it has one.

    Args:
        rows: what, and a mapping of `value`, and `low` and `high` if there is an interval.
        unit: of the amounts.
        title: of the axis; None: the unit.
        strong: the only one that is to stand out; None: all do.
    """
    title = title or unit
    y = names("what", None, axis={"ticks": False, "domain": False})
    x = quantity("value", title, axis={"tickCount": 5}, scale={"domainMin": 0})
    ranged = any("low" in found for _, found in rows)
    tooltip = [names("what", "what"), *(_range(unit) if ranged else [quantity("value", f"[{unit}]", format=".3~g")])]
    data = [(what, found["value"], found.get("low"), found.get("high"), int(what == strong)) for what, found in rows]
    marks = [(ACCENT, True), (QUIET, False)] if strong is not None else [(ACCENT, None)]
    return spec(
        height=(ROW - 2) * len(rows),
        data=table(["what", "value", "low", "high", "strong"], data, text=("what",)),
        layer=[
            *(
                {
                    "transform": [] if chosen is None else [{"filter": f"datum.strong == {int(chosen)}"}],
                    "mark": _bar(style),
                    "encoding": {"y": y, "x": x, "tooltip": tooltip},
                }
                for style, chosen in marks
            ),
            *([_spans({"y": y}, title, tooltip)] if ranged else []),
        ],
    )


def _by_run(beside: Sequence[str]) -> Spec:
    """Returns the channel that gives each run its colour."""
    return names("run", None, scale={"domain": list(beside)}, legend={"orient": "top", "columns": 1})


def _bar(style: str | None) -> Spec:
    mark: Spec = {"type": "bar", "cornerRadiusEnd": 2, "height": {"band": 0.72}}
    return mark | ({} if style is None else {"style": [style]})


def confusion(counts: Int64[np.ndarray, "classes classes"], classes: Sequence[str]) -> Spec:
    """Returns which classes are taken for which.

    Args:
        counts: images by their class and by what the chip made of them.
        classes: their names.
    """
    of = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, of, out=np.zeros(counts.shape), where=of > 0)
    pairs = [(i, j) for i in range(len(classes)) for j in range(len(classes)) if counts[i, j]]
    rows = [(classes[i], classes[j], int(counts[i, j]), float(share[i, j])) for i, j in pairs]
    axis = {"grid": False, "ticks": False, "domain": False, "labelOverlap": len(classes) > NUMBERED, "labelLimit": 90}
    place: Spec = {
        "y": names("class", "class", axis=axis, scale={"domain": list(classes)}),
        "x": names("found", "what the chip says", axis=axis | {"labelAngle": -45}, scale={"domain": list(classes)}),
    }
    colour = quantity("share", None, scale={"type": "sqrt", "domain": [0, 1], "interpolate": "rgb"}, legend=None)
    tooltip = [
        names("class", "class"),
        names("found", "the chip says"),
        quantity("count", "images", format=","),
        quantity("share", "of the class", format=".1%"),
    ]
    layers: list[Spec] = [{"mark": "rect", "encoding": {**place, "color": colour, "tooltip": tooltip}}]
    if len(classes) <= NUMBERED:
        white = {"test": white_on_blue("sqrt(datum.share)"), "value": "#ffffff"}
        text = {**place, "text": field("count", "quantitative", format=","), "tooltip": tooltip}
        layers.append({"mark": "text", "encoding": {**text, "color": {"condition": [white], "value": "#000000"}}})
    return spec(
        height="container",
        data=table(["class", "found", "count", "share"], rows, text=("class", "found")),
        layer=layers,
    )
