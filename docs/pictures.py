"""Draws the README's pictures from run folders.

    python docs/pictures.py placement RUN_FOLDER PICTURE.png
    python docs/pictures.py digit RUN_FOLDER PICTURE.png

Needs matplotlib: `pip install 'tncompile[plot]'`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap

from tncompile.config.experiment import load_experiment
from tncompile.config.net import KINDS
from tncompile.data import load_dataset
from tncompile.ir import ChipImage, Conv, CoreKind, PlacedChip, RoutedChip
from tncompile.ir.io import read_stage
from tncompile.sim import classify, simulate_frames, transduce
from tncompile.workflow import RunFolder, read_stages

INK, FREE, SPLITTER, CHOSEN = "#222222", "#ffffff", "#000000", "#d55e00"
TILES = mpl.colormaps["gray_r"].with_extremes(bad="#c6dbef")
DIGIT = 3
STYLE = {"font.size": 9, "axes.titlesize": 10, "axes.edgecolor": INK, "text.color": INK, "savefig.dpi": 160}


def notation(conv: Conv) -> str:
    """Returns a layer in the paper's notation."""
    kind = next((k for k, v in KINDS.items() if v == (conv.kernel[0], conv.stride[0], conv.padding[0])), "conv")
    return f"{kind}-{conv.features}" + (f"({conv.groups})" if conv.groups > 1 else "")


def draw_placement(folder: RunFolder) -> None:
    """Draws the sites by layer, and beside them how much the links out of each router carry."""
    routed = read_stages(folder, "route")
    assert isinstance(routed, RoutedChip)
    busiest = routed.link_load.max(axis=0)
    height, width = busiest.shape
    _, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    _sites(left, routed.source, (width, height))
    drawn = right.imshow(busiest, origin="lower", cmap="cividis", vmin=0)
    right.set_title("Busiest link out of each router")
    plt.colorbar(drawn, ax=right, label="neurons that send over it", fraction=0.046, pad=0.02)
    for axes in (left, right):
        axes.set(xlabel="x [core]", ylabel="y [core]")
        axes.set(xticks=[*range(0, width, 16), width - 1], yticks=[*range(0, height, 16), height - 1])


def _sites(axes: Axes, placed: PlacedChip, size: tuple[int, int]) -> None:
    """Draws the layer of the core on each site; lightness falls along the data's way, so no hue must be told apart."""
    graph = placed.source.source
    layers = graph.source.source.layers
    colours = [FREE, SPLITTER, *mpl.colormaps["viridis_r"](np.linspace(0, 1, len(layers)))]
    sites = np.zeros(size[::-1], int)
    sites[placed.core_y, placed.core_x] = np.where(
        graph.core_kind == CoreKind.SPLITTER, 1, graph.core_layer.astype(int) + 2
    )
    edges = np.arange(len(colours) + 1) - 0.5
    drawn = axes.imshow(sites, origin="lower", cmap=ListedColormap(colours), norm=BoundaryNorm(edges, len(colours)))
    bar = plt.colorbar(drawn, ax=axes, ticks=range(len(colours)), fraction=0.046, pad=0.02)
    bar.ax.set_yticklabels(["free", "splitter", *(notation(layer.conv) for layer in layers)])
    bar.ax.tick_params(which="both", length=0)
    bar.ax.invert_yaxis()
    axes.set_title(f"{graph.cores:,} cores of {graph.source.source.name}, by layer")


def draw_digit(folder: RunFolder) -> None:
    """Draws a held-out image, its bits behind the transduction, and the chip's output spikes by class."""
    image = read_stage(folder.image, expect=ChipImage)
    experiment = load_experiment(folder.experiment)
    data = load_dataset(experiment.data)
    assert image.host is not None
    host, number = image.host, int(np.argmax(data.y_test == DIGIT))
    pixels = data.x_test[number : number + 1]
    bits = transduce(host, pixels)
    output = simulate_frames(image, experiment.arch, bits).output_bits

    _, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained", width_ratios=(1, 1, 1.9))
    left.imshow(pixels[0, ..., 0], cmap="gray_r")
    left.set_title(f"Pixels: a held-out {DIGIT}")
    width, height, features = host.conv.out_shape
    middle.imshow(_tiled(bits.reshape(height, width, features)), cmap=TILES, vmin=0, vmax=1)
    middle.set_title(f"Into the chip: {features} maps of bits")
    for axes in (left, middle):
        axes.set(xticks=[], yticks=[])
    _votes(right, image, output)


def _tiled(maps: np.ndarray) -> np.ma.MaskedArray:
    """Returns the maps [y, x, feature] beside each other, with masked lines between."""
    height, width, features = maps.shape
    columns = int(np.ceil(np.sqrt(features)))
    rows = -(-features // columns)
    tiled = np.ma.masked_all((rows * (height + 1) - 1, columns * (width + 1) - 1))
    for feature in range(features):
        y, x = feature // columns * (height + 1), feature % columns * (width + 1)
        tiled[y : y + height, x : x + width] = maps[..., feature]
    return tiled


def _votes(axes: Axes, image: ChipImage, output: np.ndarray) -> None:
    """Draws the output spikes, a row a class, and counts them."""
    assert image.host is not None
    host = image.host
    width, height, features = host.out_shape
    spikes = output.reshape(height * width, features)
    chosen = int(classify(host, output)[0])
    most = 0
    for name in range(host.readout.classes):
        votes = spikes[:, host.readout.feature_class == name].T.ravel()
        most = max(most, len(votes))
        colour = CHOSEN if name == chosen else INK
        axes.vlines(np.flatnonzero(votes), name - 0.36, name + 0.36, color=colour, linewidth=220 / len(votes))
        weight = "bold" if name == chosen else "normal"
        axes.text(1.015 * len(votes), name, f"{votes.sum()}", va="center", color=colour, weight=weight)
    axes.set(yticks=range(host.readout.classes), ylabel="class", xlabel="output pin of the class; right: spikes")
    axes.set(xlim=(-0.015 * most, most))
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(f"Out of the chip, {image.latency} ticks later: class {chosen}")


DRAWINGS = {"placement": draw_placement, "digit": draw_digit}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in DRAWINGS:
        sys.exit(__doc__)
    with plt.rc_context(STYLE):
        DRAWINGS[sys.argv[1]](RunFolder(Path(sys.argv[2])))
        plt.savefig(sys.argv[3])
