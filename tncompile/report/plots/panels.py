"""The panels that show a board: its cores, its links, how full it is, and how far its packets go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tncompile.analysis.traffic import busiest_links, chip_traffic
from tncompile.ir import Direction
from tncompile.report.curves import Run
from tncompile.report.plots import CURVES
from tncompile.report.plots.curves import curves
from tncompile.report.plots.maps import (
    ARROWS,
    centre,
    draw_colour_bar,
    draw_legend,
    draw_map,
    legend_height,
    legend_labels,
    listed,
    number_cores,
    numbers_chips,
    short,
    write_sides,
)
from tncompile.report.plots.paint import (
    BLUE,
    INK,
    ORANGE,
    PAPER,
    TRIANGLES_FROM,
    link_picture,
    share_picture,
    site_picture,
    skewed,
)
from tncompile.report.plots.raster import Grid, Region
from tncompile.report.plots.sheet import DPI, MAP, SIDE, Panel, Scale, rendered
from tncompile.report.plots.view import BoardView, Mark

NAMED = 5
"""Busiest links that are named."""
BARS = 90
"""Most bars of a histogram."""

_CHIP_LABEL = 0.19  # room for chips' numbers above a map [inch]
_RING, _RIM = 13.0, 4.0  # least width of the ring around a link, and of its white rim [point]
_BAR_NOTE = 3.6  # room for a colour bar and a note of five lines below it [inch]


def draw(view: BoardView | None, what: Sequence[str], kind: str, runs: Sequence[Run] = ()) -> bytes:
    """Returns pictures on one sheet as a file's content, the same for the same data.

    Args:
        view: the board; None: no picture is of a board.
        what: of `WHAT`; links need a view with loads.
        kind: "png" or "svg".
        runs: the trainings; none: no picture is of trainings.
    """
    scale = None if view is None else Scale.of(view)
    dpi = DPI if scale is None else scale.dpi

    def panels(name: str) -> Iterator[Panel]:
        if name == CURVES:
            return curves(runs, dpi)
        assert view is not None and scale is not None
        return PANELS[name](view, scale)

    return rendered(lambda: [panel for name in what for panel in panels(name)], dpi, kind)


def placement(view: BoardView, scale: Scale) -> Iterator[Panel]:
    """Yields the panel of the cores by layer."""
    (width, height), (board_width, _) = view.arch.grid, view.arch.board
    chips = len(np.unique(view.core_x // width + board_width * (view.core_y // height)))
    blocked = len(view.arch.blockages)
    copying = "splitters and relays" if view.arch.faulty_routers else "splitters"
    splitters, shared = (int((view.core_mark == mark).sum()) for mark in (Mark.SPLITTER, Mark.SHARED))
    notes = [
        f"{view.cores:,} of {view.arch.size[0] * view.arch.size[1] - blocked:,} working sites of the board are used"
    ]
    notes += [f"{copying}, which only copy: {splitters:,}"] if splitters else []
    notes += [f"cores with neurons of several layers: {shared:,}"] if shared else []
    notes += [f"sites that cannot be used: {view.arch.defects}"] if blocked else []

    def draw(axes: Axes, beside: Axes) -> None:
        draw_map(axes, view, scale.grid, scale.dpi, site_picture(view, scale.grid))
        number_cores(axes, view, scale.grid, scale.dpi)
        draw_legend(beside, view)

    title = f"{_count(view.cores, 'core')} of {view.name} on {_count(chips, 'chip')}, by layer"
    yield _map_panel(
        view,
        scale,
        scale.grid,
        title,
        ". ".join(note[0].upper() + note[1:] for note in notes) + ".",
        draw,
        legend_height(view),
    )


def links(view: BoardView, scale: Scale) -> Iterator[Panel]:
    """Yields the panel of the links' load."""
    assert view.load is not None
    busiest = busiest_links(view.load, view.arch, NAMED)
    apart = scale.wide.cell >= TRIANGLES_FROM
    note = "A site's four triangles are its\nlinks to east, north, west, south."
    note = note if apart else "A site shows the busiest\nof the links that leave it."
    note += "\nWhite: not used."
    note += "\nThe ring: the busiest link." if busiest else ""
    note += "\nBetween chips: their shared links." if numbers_chips(view) else ""

    def draw(axes: Axes, beside: Axes) -> None:
        draw_map(axes, view, scale.wide, scale.dpi, link_picture(view, scale.wide))
        write_sides(axes, view, scale.wide)
        if busiest:
            at = centre(scale.wide, busiest[0].x, busiest[0].y)
            site = 72 * scale.wide.cell / scale.dpi  # [point]
            around = max(_RING, 2**0.5 * site + _RIM)  # a large site's triangles stay in sight
            for colour, wide in ((PAPER, _RIM), (INK, 0.4 * _RIM)):
                axes.plot(*at, "o", markersize=around, mfc="none", mec=colour, mew=wide, clip_on=False)
        label = f"{_unit(view)} on a link" + (" (root scale)" if skewed(view) else "")
        draw_colour_bar(beside, _most(view), label, root=skewed(view), note=note)

    names = [
        f"({at.x}, {at.y}) {ARROWS[at.direction]} {at.direction.name.lower()} {short(at.packets / view.per)}"
        for at in busiest
    ]
    caption = f"Busiest links, in {_unit(view)}: {listed(names)}." if names else "No link carries anything."
    edges = _edge_caption(view)
    yield _map_panel(
        view, scale, scale.wide, f"Load of the links, in {_unit(view)}", caption + ("\n" + edges) * bool(edges), draw,
        _BAR_NOTE,
    )  # fmt: skip


def utilisation(view: BoardView, scale: Scale) -> Iterator[Panel]:
    """Yields the panels of the axons and neurons in use: two maps, and their means by layer."""
    yield _share_panel(view, scale, "axons", view.axons, view.arch.axons)
    yield _share_panel(view, scale, "neurons", view.neurons, view.arch.neurons)
    yield _layer_panel(view, scale)


def wirelength(view: BoardView, scale: Scale) -> Iterator[Panel]:
    """Yields the panel of how far packets go."""
    lengths = np.arange(view.hops.shape[1])
    packets, total = int(view.hops.sum()), int(view.hops.sum(axis=0) @ lengths)
    mean = total / max(packets, 1)
    wide = -(-len(lengths) // BARS)  # hops a bar
    begins = lengths[::wide]
    near, far = (np.add.reduceat(row, begins) / view.per for row in view.hops)

    def draw(axes: Axes, beside: Axes) -> None:
        middle = begins + (wide - 1) / 2
        axes.bar(middle, near, wide * 0.9, color=BLUE, label="stay on their chip")
        if view.arch.chips > 1:
            style = {"hatch": "////", "edgecolor": INK, "linewidth": 0.4}
            axes.bar(middle, far, wide * 0.9, bottom=near, color=ORANGE, label="go to another chip", **style)
            axes.legend(frameon=False, loc="upper right", fontsize=10)
        axes.axvline(mean, color=INK, linewidth=1.4, linestyle="--")
        axes.annotate(
            f"mean {mean:.2f}", (mean, 0.98), (5, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
            va="top", bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
        axes.set(xlabel="hops, |dx| + |dy|" + (f" ({wide} a bar)" if wide > 1 else ""), ylabel=_unit(view))
        axes.set_xlim(-0.7 * wide, begins[-1] + 1.7 * wide)
        axes.set_ylim(0, 1.1 * max((near + far).max(), 1 / view.per))
        axes.yaxis.set_major_formatter(lambda value, _: short(value))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)

    caption = (
        f"{short(packets / view.per)} {_unit(view)} to cores, {mean:.2f} hops each, {short(total / view.per)} hops "
        f"{'together' if view.unit == 'arcs' else 'a tick'}; the longest way has {_count(len(lengths) - 1, 'hop')}."
    )
    title = "How far arcs reach" if view.unit == "arcs" else "How far spikes go"
    yield Panel(
        size=(scale.px(MAP), scale.px(4.6)), beside=scale.px(SIDE), least=0, over=0, title=title, caption=caption,
        draw=draw,
    )  # fmt: skip


PANELS: dict[str, Callable[[BoardView, Scale], Iterator[Panel]]] = {
    "placement": placement,
    "links": links,
    "utilisation": utilisation,
    "wirelength": wirelength,
}
"""What can be drawn of a board, by name."""


def _map_panel(
    view: BoardView,
    scale: Scale,
    grid: Grid,
    title: str,
    caption: str,
    draw: Callable[[Axes, Axes], None],
    beside: float,
) -> Panel:
    """Returns the panel of a map; `beside` is the height of what stands beside it [inch]."""
    region, (width, height) = grid.region, view.arch.size
    if region != Region(x0=0, y0=0, x1=width, y1=height):
        caption += (
            f" Shown are the columns {region.x0} … {region.x1 - 1} and the rows {region.y0} … {region.y1 - 1} of "
            f"{width} × {height} sites; no core lies elsewhere."
        )
    over = scale.px(_CHIP_LABEL) if numbers_chips(view) else 0
    return Panel(
        size=(grid.width, grid.height), beside=scale.px(SIDE), least=scale.px(beside), over=over, title=title,
        caption=caption, draw=draw,
    )  # fmt: skip


def _share_panel(view: BoardView, scale: Scale, name: str, used: Int64[np.ndarray, " cores"], size: int) -> Panel:
    share = used / size

    def draw(axes: Axes, beside: Axes) -> None:
        draw_map(axes, view, scale.grid, scale.dpi, share_picture(view, scale.grid, share))
        draw_colour_bar(beside, 100.0, f"{name} in use [%]")

    full, half = int((share >= 1).sum()), int((share < 0.5).sum())
    caption = (
        f"{100 * used.sum() / max(size * view.cores, 1):.1f} % of the {name} of all cores are in use. "
        f"Cores that use all {size}: {full:,} of {view.cores:,}; less than half: {half:,}."
    )
    return _map_panel(view, scale, scale.grid, f"{name.capitalize()} in use, of {size} a core", caption, draw, 2.0)


def _layer_panel(view: BoardView, scale: Scale) -> Panel:
    shown = legend_labels(view)
    means = {
        name: [100 * float(used[view.core_label == label].mean()) / size for label in shown]
        for name, used, size in (("axons", view.axons, view.arch.axons), ("neurons", view.neurons, view.arch.neurons))
    }
    indent = 1.0  # names are wider than the room for a y axis [inch]

    def draw(axes: Axes, beside: Axes) -> None:
        place = axes.get_position()
        shift = place.width * indent / (MAP + indent)
        axes.set_position((place.x0 + shift, place.y0, place.width - shift, place.height))
        for offset, name, colour in ((-0.2, "axons", BLUE), (0.2, "neurons", ORANGE)):
            rows = np.arange(len(shown)) + offset
            axes.barh(rows, means[name], 0.38, color=colour, label=name)
            for row, value in zip(rows, means[name], strict=True):
                axes.text(value + 1, row, f"{value:.0f}", va="center", size=8.5)
        axes.set(xlim=(0, 108), xlabel="in use, mean of a layer's cores and splitters [%]")
        axes.set_yticks(range(len(shown)), [view.labels[label] for label in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)

    height = max(1.0, 0.3 * len(shown) + 0.3)
    return Panel(
        size=(scale.px(MAP + indent), scale.px(height)), beside=scale.px(SIDE - indent), least=0, over=0,
        title="Axons and neurons in use, by layer", caption="", draw=draw,
    )  # fmt: skip


def _edge_caption(view: BoardView) -> str:
    """Returns what is said of chips' edges; nothing for a single chip."""
    assert view.load is not None
    chips = chip_traffic(view.load, view.arch)
    if not chips:
        return ""
    side = max(chips, key=lambda at: max(at.leaving))
    direction = Direction(side.leaving.index(max(side.leaving)))
    most = max(chips, key=lambda at: at.all)
    limit = view.arch.edge_spikes_per_tick
    when = "if every neuron spikes in every tick" if view.unit == "arcs" else "at this activity"
    return (
        f"At a chip's edge the links of a side share one. The busiest leaves chip {side.chip} to the "
        f"{direction.name.lower()} with {short(max(side.leaving) / view.per)} {_unit(view)}. Over its four sides, in "
        f"and out, chip {most.chip} has the most: {short(most.all / view.per)} {_unit(view)}, which is "
        f"{short(100 * most.all / view.per / limit)} % of the {limit:,.0f} spikes a tick that they carry, {when}."
    )


def _most(view: BoardView) -> float:
    """Returns what the busiest link carries, above 0."""
    assert view.load is not None
    return max(int(view.load.max(initial=0)), 1) / view.per


def _unit(view: BoardView) -> str:
    return "arcs" if view.unit == "arcs" else f"{view.unit} a tick"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
