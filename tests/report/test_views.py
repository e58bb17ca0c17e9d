"""What pictures show, as arrays and as pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from report.views import random_stage, random_view
from support.random_chips import SMALL, random_chip
from support.random_graphs import SEEDS, random_board

from tncompile.analysis.graph import arcs
from tncompile.analysis.link_load import link_load
from tncompile.analysis.wirelength import wirelength
from tncompile.arch import ChipArch
from tncompile.ir import UNUSED, CoreKind, Direction
from tncompile.report.plots import paint, raster, view

every_seed = pytest.mark.parametrize("seed", range(12))


def grid_for(board: view.BoardView, cell: int) -> raster.Grid:
    """Returns a grid of the board's region with uneven gaps."""
    region = raster.region_of(board.core_x, board.core_y, board.arch.size)
    return raster.Grid(region=region, chip=board.arch.grid, cell=cell, gap=(3, 13))


def site_pixels(picture: np.ndarray, grid: raster.Grid, v: int, u: int) -> dict[tuple[int, int], tuple[int, ...]]:
    """Returns the colour of one pixel of each site, counted from its lower left."""
    region = grid.region
    return {
        (x, y): tuple(picture[grid.low(y) + v, grid.left(x) + u].tolist())
        for x in range(region.x0, region.x1)
        for y in range(region.y0, region.y1)
    }


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_the_view_of_a_stage_is_the_stage(seed):
    arch = random_board(seed, 25)
    stage = random_stage(seed, arch, 25)
    graph = stage.source.source.source
    found = view.view_of_stage(stage, arch)
    pairs = arcs(graph)
    assert found.load is not None
    np.testing.assert_array_equal(found.load, link_load(pairs, found.core_x, found.core_y, arch.size))
    length = (found.hops.sum(axis=0) * np.arange(found.hops.shape[1])).sum()
    assert length == wirelength(pairs, found.core_x, found.core_y)
    assert found.hops.sum() == pairs.weight.sum()
    for core in range(25):
        layer = int(graph.core_layer[core])
        assert found.labels[found.core_label[core]].split()[0] == f"layer{layer}"
        held = graph.neuron_layer[core][graph.neuron_layer[core] != UNUSED]
        others = held[held != layer].tolist()
        mark = view.Mark(found.core_mark[core])
        if graph.core_kind[core] == CoreKind.SPLITTER:
            assert mark is view.Mark.SPLITTER
        else:
            assert mark is (view.Mark.SHARED if others else view.Mark.PLAIN)
        guest = max(sorted(set(others)), key=others.count) if others else layer
        assert found.core_guest[core] == guest + 1  # the input is the first label
    assert view.view_of_stage(stage.source, arch).load is None


def test_the_view_of_an_image_knows_no_layers():
    image = random_chip(3)
    found = view.view_of_image(image, SMALL)
    assert found.labels == ("cores",)
    assert found.neurons.tolist() == [sum(types > 0) for types in image.neuron_type]
    for core in range(found.cores):
        bits = np.unpackbits(image.crossbars[image.core_crossbar[core]], axis=1)
        assert found.axons[core] == sum(bits.any(axis=1))
    assert found.hops.sum() == (image.target_delay > 0).sum()


@every_seed
def test_every_core_is_on_its_site_once(seed):
    board = random_view(seed)
    found = view.sites(board)
    cores = found[found >= 0]
    assert sorted(cores.tolist()) == list(range(board.cores))
    for core in range(board.cores):
        assert found[board.core_y[core], board.core_x[core]] == core
    assert {(int(x), int(y)) for y, x in np.argwhere(found == view.DEAD)} == set(board.arch.dead_cores)
    assert (found == view.FREE).sum() == found.size - board.cores - len(board.arch.dead_cores)


@every_seed
@pytest.mark.parametrize("cell", [5, 18])
def test_sites_are_drawn_in_their_colours(seed, cell):
    board = random_view(seed)
    grid = grid_for(board, cell)
    picture = paint.site_picture(board, grid)
    assert picture.shape == (grid.height, grid.width, 3)
    colours = [tuple(colour) for colour in paint.layer_colours(len(board.labels)).tolist()]
    core_at = {(int(x), int(y)): i for i, (x, y) in enumerate(zip(board.core_x, board.core_y, strict=True))}
    edge, low_right, middle = (
        site_pixels(picture, grid, *at) for at in ((cell // 2, 0), (0, cell - 2), (cell // 2, cell // 2))
    )
    assert core_at.keys() <= edge.keys()
    white, dead = (255, 255, 255), tuple(bytes.fromhex(paint.DEAD_PAPER[1:]))
    for site, colour in edge.items():
        core = core_at.get(site)
        if core is None:
            assert colour == (dead if site in board.arch.dead_cores else white)
            continue
        own, guest = colours[board.core_label[core]], colours[board.core_guest[core]]
        mark = board.core_mark[core]
        assert colour == own
        assert low_right[site] == (guest if mark == view.Mark.SHARED else own)
        if mark != view.Mark.SHARED:
            ink = tuple(paint.legible(np.array([own], np.uint8))[0].tolist())
            assert middle[site] == (ink if mark == view.Mark.SPLITTER else own)


@every_seed
@pytest.mark.parametrize("cell", [3, 5, 18])
def test_links_are_drawn_as_loaded(seed, cell):
    board = random_view(seed)
    assert board.load is not None
    grid, most = grid_for(board, cell), board.load.max()
    picture = paint.link_picture(board, grid)
    share = np.sqrt(board.load / most) if paint.skewed(board) else board.load / most
    middle = cell // 2 - (cell % 2 == 0)
    near = {
        Direction.EAST: (middle, cell - 2), Direction.WEST: (middle, 0),
        Direction.NORTH: (cell - 2, middle), Direction.SOUTH: (0, middle),
    }  # fmt: skip
    for direction, pixel in near.items():
        for (x, y), colour in site_pixels(picture, grid, *pixel).items():
            shown = share[direction, y, x] if cell >= paint.TRIANGLES_FROM else share[:, y, x].max()
            expected = paint.amount_colours(np.array([shown]))[0].tolist() if shown else [255] * 3
            assert list(colour) == expected


@every_seed
def test_shares_are_drawn_as_used(seed):
    board = random_view(seed)
    grid = grid_for(board, 6)
    share = board.axons / board.arch.axons
    colours = site_pixels(paint.share_picture(board, grid, share), grid, 0, 1)
    for core, at in enumerate(zip(board.core_x.tolist(), board.core_y.tolist(), strict=True)):
        assert list(colours[at]) == paint.amount_colours(share[core : core + 1])[0].tolist()


@every_seed
def test_gaps_between_chips_are_white(seed):
    board = random_view(seed)
    grid = grid_for(board, 5)
    columns, rows = grid.pixels()
    assert [(columns == x).sum() for x in range(grid.region.x0, grid.region.x1)] == [5] * len(set(columns) - {-1})
    gaps = (grid.region.x1 - 1) // grid.chip[0] - grid.region.x0 // grid.chip[0]
    assert (columns == -1).sum() == 3 * gaps
    picture = paint.site_picture(board, grid)
    assert (picture[:, columns == -1] == 255).all()
    assert (picture[rows == -1] == 255).all()


@pytest.mark.parametrize("cell", [4, 5, 7, 18])
def test_triangles_are_of_one_size_and_on_their_sides(cell):
    """A quarter turn makes each the next one; the middle pixel of an odd square is no triangle's own."""
    towards = raster.triangles(cell)
    middle = (cell % 2 == 1) * 1
    counts = [(towards == direction).sum() for direction in Direction]
    assert max(counts) - min(counts) <= middle
    assert (towards[1:-1, -1] == Direction.EAST).all() and (towards[1:-1, 0] == Direction.WEST).all()
    assert (towards[-1, 1:-1] == Direction.NORTH).all() and (towards[0, 1:-1] == Direction.SOUTH).all()


def test_the_region_is_the_board_or_what_is_used_of_it():
    whole = raster.Region(x0=0, y0=0, x1=8, y1=8)
    assert raster.region_of(np.array([0, 7]), np.array([0, 7]), (8, 8)) == whole
    assert raster.region_of(np.array([], int), np.array([], int), (8, 8)) == whole
    assert raster.region_of(np.array([0]), np.array([7]), (8, 8)) == raster.Region(x0=0, y0=6, x1=2, y1=8)
    assert raster.region_of(np.array([0, 4]), np.array([0, 5]), (8, 8)) == whole  # 6 × 7 of 64 sites


# ---------------------------------------------------------------------------------------------------------------------
# Colour vision.

VISION = {
    "normal": np.eye(3),
    # Machado, Oliveira and Fernandes 2009, IEEE TVCG 15:1291, severity 1; on linear RGB.
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
every_vision = pytest.mark.parametrize("vision", VISION)


def linear(colours: np.ndarray) -> np.ndarray:
    """Returns sRGB bytes as linear light."""
    share = colours / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(colours: np.ndarray, vision: str) -> np.ndarray:
    """Returns CIELAB coordinates of sRGB colours as an eye of a kind sees them."""
    seen = np.clip(linear(colours) @ VISION[vision].T, 0, 1)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    ratio = seen @ to_xyz.T / to_xyz.sum(axis=1)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns how different colours look; 2.3 is just noticed."""
    return np.linalg.norm(one - other, axis=-1)


@every_vision
@pytest.mark.parametrize("layers", [2, 8, 16])
def test_layers_grow_darker_for_every_eye(vision, layers):
    seen = lab(paint.layer_colours(layers), vision)
    assert (np.diff(seen[:, 0]) < 0).all()
    assert difference(seen[1:], seen[:-1]).min() > 4
    far = np.abs(np.arange(layers)[:, None] - np.arange(layers)) >= 2
    assert difference(seen[:, None], seen[None])[far].min(initial=100) > 8


@every_vision
def test_amounts_grow_darker_for_every_eye(vision):
    lightness = lab(paint.amount_colours(np.linspace(0, 1, 64)), vision)[:, 0]
    assert (np.diff(lightness) < 0).all()
    assert lightness[0] - lightness[-1] > 70


@every_vision
def test_marks_are_told_apart_by_every_eye(vision):
    pairs = [(paint.BLUE, paint.ORANGE), (paint.DEAD_PAPER, paint.DEAD_INK), (paint.PAPER, paint.DEAD_INK)]
    colours = [[list(bytes.fromhex(name[1:])) for name in pair] for pair in pairs]
    one, other = (lab(np.array(row, float), vision) for row in zip(*colours, strict=True))
    assert difference(one, other).min() > 35


@pytest.mark.parametrize("layers", [1, 3, 15, 30])
def test_a_splitters_dot_stands_out(layers):
    """The contrast ratio of WCAG 2.2 between graphical objects is 3 at least."""
    colours = paint.layer_colours(layers)
    weights = np.array([0.2126, 0.7152, 0.0722])
    ground, ink = (linear(c.astype(float)) @ weights + 0.05 for c in (colours, paint.legible(colours)))
    assert (np.maximum(ground, ink) / np.minimum(ground, ink)).min() > 3


def test_a_few_busy_links_change_the_scale():
    board = random_view(2)
    assert not paint.skewed(board)
    load = np.zeros((4, 64, 64), np.int64)
    load[:, :, :] = 3
    load[0, 5, 5] = 13
    lonely = view.view_of_image(random_chip(1), SMALL)
    arch = ChipArch()
    assert paint.skewed(dataclasses.replace(lonely, arch=arch, load=load))
    load[0, 5, 5] = 12
    assert not paint.skewed(dataclasses.replace(lonely, arch=arch, load=load))
