"""The raster of spikes as a Vega-Lite specification: one layer at a time, or all of them below each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tncompile.errors import ConfigError
from tncompile.recording import Raster
from tncompile.report.page.vega import ACCENT, QUIET, Spec, ink, names, quantity, spec, table

ALL = -1
"""Choice of all layers."""


def parse_layers(text: str) -> tuple[str, ...]:
    """Returns the layers that a text names, with commas between.

    Raises:
        ConfigError: a name is empty or stands there twice.

    >>> parse_layers("conv0, conv3")
    ('conv0', 'conv3')
    """
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise ConfigError(f"--layers {text}: has an empty name; give names of layers with commas between")
    if len(set(found)) < len(found):
        raise ConfigError(f"--layers {text}: names a layer twice; name each once")
    return found


def chosen_layers(raster: Raster, asked: Sequence[str], where: str) -> list[int]:
    """Returns the rows of `Raster.layers` that are asked for, all that have neurons if none are.

    Args:
        raster: the spikes.
        asked: names of layers.
        where: the run, for messages.

    Raises:
        ConfigError: there is no such layer.
    """
    there = {raster.layers[number]: number for number in np.unique(raster.layer).tolist()}
    for name in asked:
        if name not in there:
            raise ConfigError(f"--layers {name}: {where} has spikes of {', '.join(there)}; choose from these")
    return [number for name, number in there.items() if not asked or name in asked]


def spike_raster(raster: Raster, layers: Sequence[int], first: int) -> Spec:
    """Returns the spikes of some layers.

    Args:
        raster: the spikes.
        layers: rows of `Raster.layers` to choose from.
        first: the one that is shown first, or `ALL`.
    """
    rows = []
    within = np.arange(len(raster.layer)) - np.searchsorted(raster.layer, raster.layer)
    shown = np.flatnonzero(np.isin(raster.layer, layers))
    line = np.full(len(raster.layer), -1)
    line[shown] = np.arange(len(shown))
    for at in shown.tolist():
        place = int(raster.layer[at]), int(line[at]), int(within[at]), int(raster.core[at]), int(raster.neuron[at])
        rows += [(*place, tick) for tick in np.flatnonzero(raster.spikes[at]).tolist()]
    ticks = raster.spikes.shape[1]
    most = {number: int((raster.layer == number).sum()) for number in layers}
    titles = [raster.layers[number] for number in layers]
    options, labels = list(layers), list(titles)
    if len(layers) > 1:
        options, labels = [ALL, *options], ["all of them", *labels]
    bind = {"input": "select", "options": options, "labels": labels, "name": "layer "}
    tooltip = [
        names("layer_name", "layer"),
        quantity("core", "core"),
        quantity("neuron", "neuron"),
        quantity("tick", "tick"),
    ]
    lines = f"(layer == {ALL} ? {len(shown)} : {max(most.values(), default=1)})"
    return spec(
        height=340,
        params=[{"name": "layer", "value": first, "bind": bind}],
        data=table(["layer", "line", "within", "core", "neuron", "tick"], rows),
        transform=[
            {"filter": f"layer == {ALL} || datum.layer == layer"},
            {"calculate": f"layer == {ALL} ? datum.line : datum.within", "as": "row"},
            {"calculate": "datum.row + 0.88", "as": "row2"},
            {"calculate": "datum.tick + 0.88", "as": "tick2"},
            {
                "lookup": "layer",
                "from": {"data": _names(layers, titles), "key": "number", "fields": ["layer_name", "odd"]},
            },
        ],
        mark={"type": "rect", "clip": True},
        encoding={
            "x": quantity("tick", "tick", scale={"domain": [0, ticks], "nice": False}, axis={"grid": False}),
            "x2": {"field": "tick2"},
            "y": quantity(
                "row",
                "neuron",
                scale={"domain": [{"expr": lines}, 0], "nice": False},
                axis={"grid": False, "format": "d", "tickMinStep": 1, "tickCount": 5},
            ),
            "y2": {"field": "row2"},
            "color": {"condition": {"test": f"layer == {ALL} && datum.odd", "value": ink(QUIET)}, "value": ink(ACCENT)},
            "tooltip": tooltip,
        },
    )


def _names(layers: Sequence[int], titles: Sequence[str]) -> Spec:
    """Returns the name of each layer, and whether it is an odd one: neighbours differ where all are shown."""
    rows = [(number, title, at % 2) for at, (number, title) in enumerate(zip(layers, titles, strict=True))]
    return table(["number", "layer_name", "odd"], rows, text=("layer_name",))
