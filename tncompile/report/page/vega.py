"""Vega-Lite: what all specifications share, and the two themes that they are shown in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tncompile.report.curves import COLOURS

Spec = dict[str, Any]
"""A specification in Vega-Lite, or a part of one."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""Names the language; nobody fetches it."""
VERSION = "6.4"
"""Of Vega-Lite."""
ACCENT, QUIET, STRONG = "accent", "quiet", "strong"
"""Names of styles whose colour is the theme's: what matters, what stands beside it, and what is written on both."""

_ACCENTS, _QUIETS = ("#0b62a8", "#5eb1ef"), ("#a3abb5", "#6f7782")  # on light paper, and on dark

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

_BLUES = ("#eef4fa", "#9ac3e6", "#3f8ac9", "#0b4f8a", "#06305a")
_DARK_BLUES = ("#22282f", "#1f4a70", "#2f7bb5", "#5eb1ef", "#c5e4fb")

_DARK_RUNS = ("#4aa3df", "#f07f3c", "#2fc49a", "#dd9cc3", "#f0b429", "#9ad4f5", "#f5f5f5")
"""`COLOURS`, lighter, for dark paper."""


def ink(style: str) -> Spec:
    """Returns the colour of a style as a value for channels, which know no styles."""
    light, dark = {ACCENT: _ACCENTS, QUIET: _QUIETS}[style]
    return {"expr": f"dark ? '{dark}' : '{light}'"}


def white_on_blue(share: str) -> str:
    """Returns the test, in Vega's language, of whether white is read better than black on the theme's blues.

    Args:
        share: of the way through them, in Vega's language.
    """
    light, dark = _grey(_BLUES), _grey(_DARK_BLUES)
    return f"dark ? {share} < {dark:.3f} : {share} > {light:.3f}"


def _grey(blues: Sequence[str]) -> float:
    """Returns the share of the way through colours at which white and black stand out alike."""
    at = np.linspace(0, 1, 1001)
    stops = np.array([list(bytes.fromhex(colour[1:])) for colour in blues])
    rgb = np.stack([np.interp(at, np.linspace(0, 1, len(blues)), channel) for channel in stops.T]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)  # WCAG 2.2, relative luminance
    luminance = np.array([0.2126, 0.7152, 0.0722]) @ linear
    return float(at[np.abs(luminance - ((1.05 * 0.05) ** 0.5 - 0.05)).argmin()])


def theme(dark: bool) -> Spec:
    """Returns Vega-Lite's configuration for light or dark paper; the page's style sheet has the same colours."""
    ink, soft, line = ("#e8eaed", "#aeb4bd", "#3a3f47") if dark else ("#1b1f24", "#565d66", "#dfe3e8")
    accent, quiet = _ACCENTS[dark], _QUIETS[dark]
    axis = {
        "labelColor": soft,
        "titleColor": soft,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 500,
        "titlePadding": 8,
        "domainColor": line,
        "tickColor": line,
        "gridColor": line,
        "labelLimit": 150,
    }
    return {
        "background": "#1a1d22" if dark else "#ffffff",
        "font": _FONT,
        "view": {"stroke": None},
        "axis": axis,
        "legend": {
            "labelColor": ink,
            "titleColor": soft,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": 500,
            "labelLimit": 220,
        },
        "text": {"color": ink, "fontSize": 12},
        "style": {
            ACCENT: {"color": accent},
            QUIET: {"color": quiet},
            STRONG: {"color": ink},
            "cell": {"stroke": None},
        },
        "range": {
            "category": list(_DARK_RUNS if dark else COLOURS),
            # Little is close to the paper, and much stands out.
            "heatmap": list(_DARK_BLUES if dark else _BLUES),
            "ramp": {"scheme": "viridis", "extent": [0.08, 1.0] if dark else [1.0, 0.0]},
        },
    }


def spec(**parts: Any) -> Spec:
    """Returns a specification as wide as its box.

    The parameter `dark` tells expressions which theme they are shown in.
    """
    own = parts.pop("params", [])
    fit = "fit" if parts.get("height") == "container" else "fit-x"
    return {
        "$schema": SCHEMA,
        "width": "container",
        "autosize": {"type": fit, "contains": "padding"},
        "params": [{"name": "dark", "value": False}, *own],
        **parts,
    }


def table(names: Sequence[str], rows: Iterable[Sequence[Any]], text: Sequence[str] = ()) -> Spec:
    """Returns data as comma-separated values, a fifth of the size of objects.

    Args:
        names: of the columns.
        rows: of values; None is an empty one.
        text: columns that are not numbers.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    kinds = {name: "string" if name in text else "number" for name in names}
    return {"values": out.getvalue(), "format": {"type": "csv", "parse": kinds}}


def field(name: str, kind: str, title: str | None = None, **more: Any) -> Spec:
    """Returns a channel that shows a column.

    Args:
        name: of the column.
        kind: `quantitative`, `nominal` or `ordinal`.
        title: of its axis, legend or line in the tooltip; None: there is none.
        more: keys of Vega-Lite.
    """
    return {"field": name, "type": kind, "title": title, **more}


def quantity(name: str, title: str | None = None, **more: Any) -> Spec:
    """Returns a channel that shows a column of numbers."""
    return field(name, "quantitative", title, **more)


def names(name: str, title: str | None = None, **more: Any) -> Spec:
    """Returns a channel that shows a column of names, in the order of the rows."""
    return field(name, "nominal", title, **({"sort": None} | more))


def sized(made: Mapping[str, Any], size: tuple[int, int]) -> Spec:
    """Returns a specification for a file, which has no box to fit: of a size of its own.

    Args:
        made: the specification.
        size: width and height [pixel]; a height that the specification gives goes before.
    """
    height = made.get("height", size[1])
    shown = {**made, "width": size[0], "height": size[1] if height == "container" else height}
    # What readers choose is chosen: a picture has no menus. Nor can one zoom it.
    shown["params"] = [{k: v for k, v in each.items() if k != "bind"} for each in made.get("params", [])]
    return {**shown, "padding": 16, "autosize": {"type": "pad", "contains": "content"}}
