"""Whole pictures: what is written on them, that nothing overlaps, and that they are the same again."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report.views import BOARDS, board, random_view
from support.figures import assert_legible, shown_texts

from tncompile.analysis.traffic import busiest_links
from tncompile.errors import ArtifactError, ConfigError
from tncompile.report.plots import BOARD, CURVES, WHAT, BoardView, asked, parse_what, write_plot
from tncompile.report.plots import panels as drawing
from tncompile.report.plots.paint import site_picture
from tncompile.report.plots.sheet import STYLE, Scale, sheet


def figure_of(view: BoardView, what: tuple[str, ...]) -> Figure:
    """Returns the figure of a picture."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        scale = Scale.of(view)
        figure = sheet([panel for name in what for panel in drawing.PANELS[name](view, scale)], scale.dpi)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        return figure


@pytest.mark.parametrize("name", BOARDS)
def test_no_text_is_cut_off_covered_or_tiny(name):
    figure = figure_of(board(name), BOARD)
    assert_legible(figure)
    assert len(shown_texts(figure)) > 30


@pytest.mark.parametrize("name", ["corner of a chip", "two small chips", "sixteen chips"])
def test_a_map_is_drawn_pixel_by_pixel(name):
    """What a file shows within the outlines is the array, neither smoothed nor shifted."""
    view = board(name)
    grid = Scale.of(view).grid
    picture = site_picture(view, grid)[::-1]
    shown = (255 * matplotlib.image.imread(io.BytesIO(drawing.draw(view, ("placement",), "png")))[..., :3]).round()
    figure = figure_of(view, ("placement",))
    main = next(axes for axes in figure.axes if axes.axison)
    box = main.get_window_extent()
    left, top = round(box.x0), round(shown.shape[0] - box.y1)
    part = shown[top : top + grid.height, left : left + grid.width].astype(np.uint8)
    assert part.shape == picture.shape
    same = (part == picture).all(axis=2)
    for text in main.texts:  # chips' and cores' numbers
        extent = text.get_window_extent()
        x0, x1 = int(extent.x0) - left - 1, int(extent.x1) - left + 2
        y0, y1 = int(shown.shape[0] - extent.y1) - top - 1, int(shown.shape[0] - extent.y0) - top + 2
        same[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    columns, rows = grid.pixels()
    for pixels, axis, chip in ((columns, 1, grid.chip[0]), (rows[::-1], 0, grid.chip[1])):
        first, last = (pixels >= 0) & (pixels % chip == 0), (pixels >= 0) & (pixels % chip == chip - 1)
        edges = first | last | (pixels < 0) | (pixels == pixels[pixels >= 0].min()) | (pixels == pixels.max())
        same[edges if axis == 0 else slice(None), edges if axis == 1 else slice(None)] = True  # outlines
    assert same.all()


def svg_texts(view: BoardView, *what: str) -> list[str]:
    """Returns what is written in a picture."""
    found = re.findall(r"<!-- (.*?) -->", drawing.draw(view, what, "svg").decode(), re.DOTALL)
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in found]


@pytest.mark.parametrize("name", ["full chip", "column of chips", "sixteen chips"])
def test_the_legend_lists_all_layers_with_their_cores(name):
    view = board(name)
    found = svg_texts(view, "placement")
    splitter = view.core_mark == 1
    start = found.index("layer")
    for label in np.unique(view.core_label):
        members = view.core_label == label
        counts = f"{(members & ~splitter).sum():,} + {(members & splitter).sum():,}"
        start = found.index(view.labels[label], start)
        assert found[start + 1] in (counts, counts.removesuffix(" + 0"))
    assert any(text.startswith("splitter: ") for text in found)
    assert any(text.startswith("shared ") for text in found)
    assert ("site that cannot be used" in found) == bool(view.arch.dead_cores)
    for chip in range(view.arch.chips):
        assert (f"chip {chip}" in found) == (view.arch.chips > 1)


@pytest.mark.parametrize("seed", range(6))
def test_the_busiest_links_and_the_shared_links_are_named(seed):
    view = random_view(seed)
    assert view.load is not None
    written = svg_texts(view, "links")
    caption = " ".join(written)
    for at in busiest_links(view.load, view.arch, drawing.NAMED):
        value = drawing.short(at.packets / view.per)
        assert f"({at.x}, {at.y}) {drawing.ARROWS[at.direction]} {at.direction.name.lower()} {value}" in caption
    assert ("if every neuron spikes in every tick" in caption) == (view.per == 1 and view.arch.chips > 1)
    assert ("at this activity" in caption) == (view.per > 1 and view.arch.chips > 1)
    if view.arch.board == (1, 1):
        assert not any(re.fullmatch(r"[→←↑↓] .*", text) for text in written)


@pytest.mark.parametrize("name", ["corner of a chip", "two small chips", "full chip"])
def test_the_ring_leaves_a_site_s_triangles_in_sight(name):
    view = board(name)
    scale = Scale.of(view)
    main = next(axes for axes in figure_of(view, ("links",)).axes if axes.axison)
    rings = [line for line in main.lines if line.get_marker() == "o"]
    assert len(rings) == 2
    for ring in rings:
        inner = (ring.get_markersize() - ring.get_markeredgewidth()) / 72 * scale.dpi
        assert inner > 0.999 * 2**0.5 * scale.wide.cell


def test_shared_links_are_written_between_their_chips():
    view = board("two small chips")
    assert view.load is not None
    east, west = (view.load[0][:, 2].sum(), view.load[1][:, 3].sum())
    assert {f"→ {east}", f"← {west}"} <= set(svg_texts(view, "links"))


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_views_are_equal_files_whatever_the_users_style(kind):
    view, what = board("two small chips"), ("placement", "wirelength")
    first = drawing.draw(view, what, kind)
    with matplotlib.rc_context({"font.size": 30, "image.origin": "upper", "axes.grid": True, "svg.hashsalt": None}):
        size = matplotlib.rcParams["font.size"]
        assert drawing.draw(view, what, kind) == first
        assert matplotlib.rcParams["font.size"] == size
    other = dataclasses.replace(view, core_x=view.core_x[::-1].copy(), core_y=view.core_y[::-1].copy())
    assert drawing.draw(other, what, kind) != first
    assert b"<dc:date>" not in first
    assert matplotlib.__version__.encode() not in first


def test_one_chip_in_sixteen_colours_fits_a_screen():
    """The whole chip takes at least 7 inches and 10 pixels a core; 65,536 cores still have 5 each."""
    chip, many = Scale.of(board("full chip")), Scale.of(board("sixteen chips"))
    assert chip.grid.cell >= 10 and chip.grid.width / chip.dpi == pytest.approx(7)
    assert many.grid.cell >= 5 and many.grid.width / many.dpi < 8


def test_what_can_be_asked_for(tmp_path: Path):
    assert parse_what("all") == BOARD
    assert parse_what(" links,placement ") == ("links", "placement")
    for text, message in (
        (
            "cores",
            "--what cores: there is no picture 'cores'; choose from placement, links, utilisation, wirelength, curves",
        ),
        ("links,", "there is no picture ''"),
        ("links,links", "names a picture twice"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_what(text)
    assert asked(None, None) == ()
    assert asked(tmp_path / "new" / "x.SVG", None) == BOARD


def test_a_view_without_loads_has_no_picture_of_its_links(tmp_path: Path):
    view = dataclasses.replace(random_view(1), load=None)
    with pytest.raises(ArtifactError, match="is placed, but not routed"):
        write_plot(tmp_path / "x.png", view, ("placement", "links"))
    write_plot(tmp_path / "x.png", view, ("placement", "wirelength"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_names_of_pictures_are_those_that_are_drawn():
    assert (*drawing.PANELS, CURVES) == WHAT
