"""Draws the README's picture of a digit on its way through the chip, from a run folder.

    python docs/pictures.py RUN_FOLDER PICTURE.png

Needs matplotlib: `pip install 'tncompile[plot]'`. The picture of a placement is `tncompile inspect --plot`'s.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from tncompile.config.experiment import load_experiment
from tncompile.data import load_dataset
from tncompile.ir import ChipImage
from tncompile.ir.io import read_stage
from tncompile.sim import classify, simulate_frames, transduce
from tncompile.workflow import RunFolder

INK, CHOSEN = "#222222", "#d55e00"
TILES = mpl.colormaps["gray_r"].with_extremes(bad="#c6dbef")
DIGIT = 3
STYLE = {"font.size": 9, "axes.titlesize": 10, "axes.edgecolor": INK, "text.color": INK, "savefig.dpi": 160}


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


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with plt.rc_context(STYLE):
        draw_digit(RunFolder(Path(sys.argv[1])))
        plt.savefig(sys.argv[2])
