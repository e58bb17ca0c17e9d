"""Maps of a board as Vega-Lite specifications: its cores, and what its links carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Integer

from tncompile.analysis.events import Events
from tncompile.ir import CoreGraph, CoreKind, Direction
from tncompile.report.page.vega import STRONG, Spec, names, quantity, spec, table
from tncompile.report.plots.view import BoardView, Mark

MARKS = 16_384
"""Most squares of a map: boards of more sites are shown in tiles of several."""

SMALL = 0.6
"""Share of a board's width and height up to which a net is shown alone."""

KINDS = {Mark.PLAIN: "core", Mark.SPLITTER: "splitter", Mark.SHARED: "shared core"}
"""What a core is called that has a mark."""

# Eleven colours of viridis, evenly spread (Smith and van der Walt 2015; matplotlib, which has all, is another extra).
_VIRIDIS = bytes.fromhex("440154 482475 414487 355f8d 2a788e 21918c 22a884 44bf70 7ad151 bddf26 fde725")
_LAYER = "layer"
_X, _Y = "x [core]", "y [core]"  # all parts of a map must name its axes alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """An amount that cores can be coloured by.

    Attributes:
        title: with its unit.
        values: of each core.
        form: how it is written, after d3-format.
    """

    title: str
    values: Float64[np.ndarray, " cores"]
    form: str


def shades(view: BoardView, graph: CoreGraph | None, events: Events | None) -> tuple[Shade, ...]:
    """Returns what cores can be coloured by: activity as far as it was counted, and how full they are.

    Args:
        view: the board.
        graph: its cores; None: they are those of a chip that was not compiled here.
        events: counted in a simulation.
    """
    found = []
    if events is not None and events.ticks:
        spikes = events.spikes.sum(axis=1) / events.ticks
        found += [
            Shade(
                title="firing rate [% of neurons a tick]",
                values=100 * spikes / np.maximum(view.neurons, 1),
                form=".3~g",
            ),
            Shade(title="synaptic events a frame", values=events.core_events / events.ticks, form=",.4~g"),
            Shade(title="synaptic events, busiest tick", values=events.core_most.astype(np.float64), form=",.4~g"),
            Shade(title="spikes a frame", values=spikes.astype(np.float64), form=",.4~g"),
        ]
    found += [
        Shade(title="axons used", values=view.axons.astype(np.float64), form="d"),
        Shade(title="neurons used", values=view.neurons.astype(np.float64), form="d"),
    ]
    return tuple(found)


def layer_colours(count: int) -> tuple[str, ...]:
    """Returns a colour for each layer in the data's way, from dark to light, without the ends that paper swallows.

    >>> layer_colours(2)
    ('#482072', '#bddf26')
    """
    anchors = np.frombuffer(_VIRIDIS, np.uint8).reshape(-1, 3)
    at = np.linspace(0.09, 0.9, count) if count > 1 else np.array([0.45])
    rows = np.stack([np.interp(at, np.linspace(0, 1, len(anchors)), channel) for channel in anchors.T], axis=1)
    return tuple(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.rint(rows).astype(int).tolist())


def tile(view: BoardView) -> int:
    """Returns how many sites in x and y a square of a map stands for: 1, 2, 4, …"""
    side = 1
    width, height = view.arch.size
    while -(-width // side) * -(-height // side) > MARKS:
        side *= 2
    return side


def region(view: BoardView) -> tuple[int, int, int, int]:
    """Returns the sites that a map shows, x0, y0, x1, y1 (end exclusive): all, or those around a net that is small."""
    width, height = view.arch.size
    x0, x1 = int(view.core_x.min()) - 1, int(view.core_x.max()) + 2
    y0, y1 = int(view.core_y.min()) - 1, int(view.core_y.max()) + 2
    if max((x1 - x0) / width, (y1 - y0) / height) > SMALL:
        return 0, 0, width, height
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def placement(view: BoardView, graph: CoreGraph | None, shown: Sequence[Shade], chosen: str = _LAYER) -> Spec:
    """Returns the map of cores, coloured by layer or by an amount that readers choose.

    Args:
        view: the board.
        graph: its cores, if they were compiled here.
        shown: what they can be coloured by.
        chosen: the title of the one that is shown first, or "layer".
    """
    side = tile(view)
    columns, rows = _tiles(view, graph, shown, side) if side > 1 else _cores(view, graph, shown)
    keys = [f"v{number}" for number in range(len(shown))]
    most = [float(max(np.max(shade.values, initial=0), 1e-9)) for shade in shown]
    options = [_LAYER, *(shade.title for shade in shown)]
    labels = [label for i, label in enumerate(view.labels) if (view.core_label == i).any()]
    palette = layer_colours(len(view.labels))
    colours = [palette[view.labels.index(label)] for label in labels]
    # Titles are ours, so that they can stand in expressions.
    share = "0" + "".join(
        f" + (colour == '{shade.title}' ? datum.{key} / {top!r} : 0)"
        for shade, key, top in zip(shown, keys, most, strict=True)
    )
    written = "''" + "".join(
        f" + (colour == '{shade.title}' ? format(datum.value * {top!r}, '.3~s') : '')"
        for shade, top in zip(shown, most, strict=True)
    )
    by_layer = f"colour == '{_LAYER}'"
    names_of = {
        "x": "x",
        "y": "y",
        "layer": "layer",
        "group": "group",
        "kind": "kind",
        "core": "core",
        "cores": "cores",
    }
    tooltip = [
        (names if name in ("layer", "kind", "core", "group") else quantity)(name, names_of[name])
        for name in columns
        if name in names_of
    ] + [quantity(key, shade.title, format=shade.form) for key, shade in zip(keys, shown, strict=True)]
    box = _box(view)
    gradient = {
        "orient": "bottom",
        "direction": "horizontal",
        "gradientLength": {"expr": "min(260, width - 20)"},
        "gradientThickness": 10,
        "gradientOpacity": {"expr": f"{by_layer} ? 0 : 1"},
        "labelExpr": written,
        "values": [0, 0.25, 0.5, 0.75, 1],
        "title": None,
    }
    layers: list[Spec] = [
        {
            "params": [_zoom()],
            "mark": {"type": "rect", "clip": True},
            "encoding": {
                **box,
                "color": names("layer", None, scale={"domain": labels, "range": colours}, legend=None),
                "tooltip": tooltip,
            },
        },
        {
            "transform": [{"calculate": share, "as": "share"}],
            "mark": {"type": "rect", "clip": True, "opacity": {"expr": f"{by_layer} ? 0 : 1"}},
            "encoding": {
                **box,
                "color": quantity("share", None, scale={"domain": [0, 1], "range": "ramp"}, legend=gradient),
                "tooltip": tooltip,
            },
        },
        *_marks(view, side),
    ]
    return spec(
        height="container",
        params=[
            {"name": "colour", "value": chosen, "bind": {"input": "select", "options": options, "name": "colour by "}}
        ],
        data=table(columns, rows, text=("layer", "kind", "core", "group")),
        transform=[
            {"calculate": f"datum.x + {side}", "as": "x2"},
            {"calculate": f"datum.y + {side}", "as": "y2"},
        ],
        layer=layers,
        resolve={"scale": {"color": "independent"}},
    )


def _cores(view: BoardView, graph: CoreGraph | None, shown: Sequence[Shade]) -> tuple[list[str], list[tuple]]:
    """Returns a row a core."""
    columns = ["x", "y", "core", "layer", "kind", *(["group"] if graph is not None else [])]
    rows = []
    for core in range(view.cores):
        kind = KINDS[Mark(int(view.core_mark[core]))]
        relay = graph is not None and graph.core_kind[core] == CoreKind.RELAY
        group = () if graph is None else (str(graph.core_group[core]) if graph.core_group[core] >= 0 else "–",)
        rows.append(
            (
                int(view.core_x[core]),
                int(view.core_y[core]),
                core,
                view.labels[view.core_label[core]],
                "relay" if relay else kind,
                *group,
                *(f"{shade.values[core]:.5g}" for shade in shown),
            )
        )
    return columns + [f"v{number}" for number in range(len(shown))], rows


def _tiles(
    view: BoardView, graph: CoreGraph | None, shown: Sequence[Shade], side: int
) -> tuple[list[str], list[tuple]]:
    """Returns a row a tile that has cores: the layer of most of them, and means of their amounts."""
    width = -(-view.arch.size[0] // side)
    place = view.core_y // side * width + view.core_x // side
    members = np.bincount(place)
    counts = np.zeros((len(members), len(view.labels)), np.int64)
    np.add.at(counts, (place, view.core_label), 1)
    means = [np.bincount(place, weights=shade.values) / np.maximum(members, 1) for shade in shown]
    rows = [
        (
            int(at % width) * side,
            int(at // width) * side,
            int(members[at]),
            view.labels[int(counts[at].argmax())],
            *(f"{mean[at]:.5g}" for mean in means),
        )
        for at in np.flatnonzero(members).tolist()
    ]
    return ["x", "y", "cores", "layer", *(f"v{number}" for number in range(len(shown)))], rows


def _box(view: BoardView) -> Spec:
    """Returns the channels that place a square of a map."""
    x0, y0, x1, y1 = region(view)
    axis = {"grid": False, "tickMinStep": 1, "format": "d", "tickCount": 6}
    return {
        "x": quantity("x", _X, scale={"domain": [x0, x1], "nice": False}, axis=axis),
        "y": quantity("y", _Y, scale={"domain": [y0, y1], "nice": False}, axis=axis),
        "x2": {"field": "x2"},
        "y2": {"field": "y2"},
    }


def _zoom() -> Spec:
    """Returns a selection that moves the map by dragging, and zooms it by the wheel and a key: pages scroll without."""
    select = {"type": "interval", "zoom": "wheel![event.ctrlKey || event.metaKey || event.shiftKey]"}
    return {"name": "zoom", "select": select, "bind": "scales"}


def _marks(view: BoardView, side: int) -> list[Spec]:
    """Returns dots in splitters, crosses on sites that cannot be used, and the edges of chips."""
    layers: list[Spec] = []
    by_layer = f"colour == '{_LAYER}'"
    if side == 1 and (view.core_mark == Mark.SPLITTER).any():
        dot = {"x": quantity("dx", _X), "y": quantity("dy", _Y), "x2": {"field": "dx2"}, "y2": {"field": "dy2"}}
        layers.append(
            {
                "transform": [
                    {"filter": f"datum.kind == '{KINDS[Mark.SPLITTER]}'"},
                    *({"calculate": f"datum.{axis} + 0.33", "as": f"d{axis}"} for axis in "xy"),
                    *({"calculate": f"datum.{axis} + 0.67", "as": f"d{axis}2"} for axis in "xy"),
                ],
                "mark": {
                    "type": "rect",
                    "clip": True,
                    "fill": "#ffffff",
                    "tooltip": None,
                    "opacity": {"expr": f"{by_layer} ? 0.85 : 0"},
                },
                "encoding": dot,
            }
        )
    if view.arch.blockages:
        sites = [(x + 0.5, y + 0.5, f"({x}, {y})") for x, y in sorted(view.arch.blockages)]
        layers.append(
            {
                "data": table(["x", "y", "site"], sites, text=("site",)),
                "mark": {"type": "point", "shape": "cross", "angle": 45, "clip": True, "size": 24, "style": [STRONG]},
                "encoding": {
                    "x": quantity("x", _X),
                    "y": quantity("y", _Y),
                    "tooltip": names("site", "cannot be used"),
                },
            }
        )
    return layers + _edges(view)


def _edges(view: BoardView) -> list[Spec]:
    """Returns the lines between chips."""
    (columns, rows), (width, height) = view.arch.board, view.arch.grid
    lines = {"x": [width * i for i in range(1, columns)], "y": [height * i for i in range(1, rows)]}
    return [
        {
            "data": {"values": [{"at": at} for at in places]},
            "mark": {"type": "rule", "strokeWidth": 1.5, "style": [STRONG], "clip": True},
            "encoding": {axis: quantity("at", _X if axis == "x" else _Y)},
        }
        for axis, places in lines.items()
        if places
    ]


def links(load: Integer[np.ndarray, "4 height width"], per: int, view: BoardView, unit: str) -> Spec:
    """Returns the map of links: a bar for each way between two routers, two lanes side by side.

    Args:
        load: packets that leave each router in each direction.
        per: ticks that they were counted in [tick].
        view: the board.
        unit: what is counted.
    """
    side = tile(view)
    height, width = load.shape[1:]
    tall, wide = -(-height // side), -(-width // side)
    padded = np.zeros((4, tall * side, wide * side), load.dtype)
    padded[:, :height, :width] = load
    most = padded.reshape(4, tall, side, wide, side).max(axis=(2, 4)) / per
    rows = [
        (x * side, y * side, *(f"{value:.5g}" for value in most[:, y, x]))
        for y, x in np.argwhere(most.any(axis=0)).tolist()
    ]
    ways = [direction.name.lower() for direction in sorted(Direction)]
    box = _box(view)
    legend = {
        "orient": "bottom",
        "direction": "horizontal",
        "gradientLength": {"expr": "min(260, width - 20)"},
        "gradientThickness": 10,
        "title": unit,
    }
    places = _lanes(side)
    return spec(
        height="container",
        data=table(["x", "y", *ways], rows),
        transform=[
            {"fold": ways, "as": ["to", "packets"]},
            {"filter": "datum.packets > 0"},
            *(
                {
                    "calculate": f"datum.{end[0]} + {side} * {lane}[datum.to]",
                    "as": f"l{end}",
                }
                for end, lane in places.items()
            ),
        ],
        layer=[
            {
                "params": [_zoom()],
                "mark": {"type": "rect", "clip": True},
                "encoding": {
                    "x": box["x"] | {"field": "lx"},
                    "y": box["y"] | {"field": "ly"},
                    "x2": {"field": "lx2"},
                    "y2": {"field": "ly2"},
                    "color": quantity("packets", None, scale={"type": "sqrt", "range": "ramp"}, legend=legend),
                    "tooltip": [
                        quantity("x", "router x"),
                        quantity("y", "router y"),
                        names("to", "to the"),
                        quantity("packets", unit, format=",.4~g"),
                    ],
                },
            },
            *_edges(view),
        ],
    )


def _lanes(side: int) -> Mapping[str, str]:
    """Returns where the bar of each direction lies on a square, as objects in Vega's language.

    A site's two halves of each way to a neighbour have a lane each: packets to the east run above those to the west,
    those to the north at the left of those to the south.
    """
    near, far, lane = 0.62, 1.38, 0.36  # from one router's middle, at a half, to the next one's
    boxes = {
        "east": (near, 0.5, far, 0.5 + lane),
        "west": (1 - far, 0.5 - lane, 1 - near, 0.5),
        "north": (0.5 - lane, near, 0.5, far),
        "south": (0.5, 1 - far, 0.5 + lane, 1 - near),
    }
    ends = ("x", "y", "x2", "y2")
    return {
        end: "{" + ", ".join(f"{way}: {box[number]:.2f}" for way, box in boxes.items()) + "}"
        for number, end in enumerate(ends)
    }
