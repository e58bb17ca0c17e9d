"""What maps show, as pixels in colours that all kinds of colour vision tell apart."""

from __future__ import annotations

import matplotlib
import numpy as np
from jaxtyping import Float, Integer, UInt8

from tncompile.report.plots.raster import Grid, corner, cross, dot, painted, shaded
from tncompile.report.plots.view import DEAD, FREE, BoardView, Mark, sites

INK, PAPER, FAINT, GREY, DEAD_PAPER, DEAD_INK = "#1a1a1a", "#ffffff", "#c8c8c8", "#b8b8b8", "#dedede", "#6b6b6b"
BLUE, ORANGE = "#0072b2", "#e69f00"
"""Two colours that differ for everybody (Okabe and Ito 2008, "Color Universal Design")."""
LAYERS, AMOUNT = "viridis_r", "magma_r"
"""Colour maps whose lightness falls evenly, so that no hue must be told apart: of layers, and of amounts.

References:
    Smith and van der Walt 2015, SciPy conference, "A better default colormap for matplotlib".
"""
TRIANGLES_FROM = 4
"""Sites of so many pixels or more show their four links apart [pixel]."""
SKEWED = 4
"""Where the busiest link carries more than so many times what 99 % of the used links do, colours follow the root."""


def layer_colours(count: int) -> UInt8[np.ndarray, "count 3"]:
    """Returns a colour for each layer in the data's way, from light to dark."""
    return _rgb(matplotlib.colormaps[LAYERS](np.linspace(0.02, 1, count)))


def amount_colours(share: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Returns colours of shares of the most, 0 … 1, from light to dark; not down to black, on which nothing is read."""
    return _rgb(matplotlib.colormaps[AMOUNT](0.85 * share))


def legible(colours: UInt8[np.ndarray, "colours 3"]) -> UInt8[np.ndarray, "colours 3"]:
    """Returns what is read on each colour: black on light ones, white on dark ones."""
    light = colours @ np.array([0.299, 0.587, 0.114]) > 110
    return np.where(light[:, None], 0, 255).astype(np.uint8).repeat(3, axis=1)


def site_picture(view: BoardView, grid: Grid) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns the cores by layer: splitters with a dot, shared cores half in their guests' colour.

    Args:
        view: the board.
        grid: where sites are.
    """
    colours = layer_colours(len(view.labels))
    splitter = view.core_mark == Mark.SPLITTER
    inks = np.where(splitter[:, None], legible(colours)[view.core_label], colours[view.core_guest])
    pattern = np.array([_PLAIN, _DOT, _CORNER])[view.core_mark]  # in the order of `Mark`
    return _cores(view, grid, colours[view.core_label], inks, pattern)


def share_picture(
    view: BoardView, grid: Grid, share: Float[np.ndarray, " cores"]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns a share of each core, 0 … 1, from light to dark.

    Args:
        view: the board.
        grid: where sites are.
        share: of each core.
    """
    colours = amount_colours(share)
    return _cores(view, grid, colours, colours, np.full(view.cores, _PLAIN))


def link_picture(view: BoardView, grid: Grid) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns each site's four links in triangles, from light to dark; unused ones white; small sites' busiest alone.

    Args:
        view: a board with loads.
        grid: where sites are.
    """
    assert view.load is not None
    load = view.load if grid.cell >= TRIANGLES_FROM else view.load.max(axis=0, keepdims=True)
    share = load / max(int(view.load.max(initial=0)), 1)
    colours = amount_colours(np.sqrt(share) if skewed(view) else share)
    colours[load == 0] = 255
    return shaded(grid, colours)


def skewed(view: BoardView) -> bool:
    """Returns whether a few links of a board carry so much that the others could not be told apart."""
    assert view.load is not None
    used = view.load[view.load > 0]
    return bool(len(used) and used.max() > SKEWED * np.quantile(used, 0.99))


_PLAIN, _SPECK, _CROSS, _DOT, _CORNER = range(5)


def _cores(
    view: BoardView,
    grid: Grid,
    colours: UInt8[np.ndarray, "cores 3"],
    inks: UInt8[np.ndarray, "cores 3"],
    pattern: Integer[np.ndarray, " cores"],
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns the cores in their colours and patterns, free sites with a speck and dead ones crossed."""
    on = sites(view)
    kind = np.select([on == FREE, on == DEAD], [view.cores, view.cores + 1], on)
    middle = np.zeros((grid.cell, grid.cell), bool)
    first, size = (grid.cell - max(grid.cell // 8, 1)) // 2, max(grid.cell // 8, 1)
    middle[first : first + size, first : first + size] = True
    drawn = (np.zeros_like(middle), middle, cross(grid.cell), dot(grid.cell), corner(grid.cell))
    return painted(
        grid,
        kind,
        np.concatenate([colours, _bytes(PAPER, DEAD_PAPER)]),
        np.concatenate([inks, _bytes(FAINT, DEAD_INK)]),
        np.concatenate([pattern, [_SPECK, _CROSS]]),
        np.stack(drawn),
    )


def _rgb(colours: Float[np.ndarray, "*shape 4"]) -> UInt8[np.ndarray, "*shape 3"]:
    return np.rint(255 * colours[..., :3]).astype(np.uint8)


def _bytes(*colours: str) -> UInt8[np.ndarray, "colours 3"]:
    return np.array([list(bytes.fromhex(colour[1:])) for colour in colours], np.uint8)
