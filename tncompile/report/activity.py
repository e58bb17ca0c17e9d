"""Spikes of a chip's neurons, counted in a recording or in a run of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from tncompile.analysis.traffic import Activity
from tncompile.chip_run import open_chip
from tncompile.config.experiment import load_experiment
from tncompile.counting import count_frames
from tncompile.errors import ArtifactError
from tncompile.ir import ChipImage
from tncompile.reporter import Reporter
from tncompile.sim import transduce
from tncompile.sim.sources import MAX_STREAMS, check_ranges
from tncompile.sim.tables import open_table
from tncompile.workflow import RunFolder, images_to_simulate


def recorded_activity(path: Path, image: ChipImage) -> Activity:
    """Returns the spikes in a file that `simulate --record` wrote, with potentials or without.

    Its ticks are those from its first to its last row, of all its streams. Cores that were not watched count as silent.

    Raises:
        ArtifactError: the file cannot be read, has other columns, or no spike.
        ConfigError: no table has such an ending, or what reads it is not installed.
        SimulationError: a spike is of a core or neuron that the image does not have.
    """
    table = open_table(path)
    needed = ("tick", "core", "neuron")
    if not set(needed) <= set(table.names):
        raise ArtifactError(
            f"{path}: has the columns {','.join(table.names)[:80]}; it must have {','.join(needed)}, as 'tncompile "
            "simulate --record' writes them"
        )
    cores, neurons = image.neuron_type.shape
    limits = {"core": (0, cores - 1), "neuron": (0, neurons - 1), "stream": (0, MAX_STREAMS - 1)}
    spikes = np.zeros(cores * neurons, np.int64)
    row, streams = 0, 1
    first, last = np.iinfo(np.int64).max, -1
    for columns in table.chunks():
        known = {name: columns[name] for name in limits if name in columns}
        check_ranges(known, {name: limits[name] for name in known}, lambda bad, row=row: table.place(row + bad))
        tick = columns["tick"]
        row += len(tick)
        first, last = int(tick.min(initial=first)), int(tick.max(initial=last))
        if "stream" in columns:
            streams = int(columns["stream"].max(initial=streams - 1)) + 1
        fired = columns["spike"] != 0 if "spike" in columns else slice(None)
        place = (columns["core"] * neurons + columns["neuron"])[fired]
        spikes += np.bincount(place, minlength=len(spikes))
    if not spikes.any():
        raise ArtifactError(f"{path}: holds no spike; record a run in which neurons fire")
    return Activity(
        spikes=spikes.reshape(cores, neurons), ticks=streams * (last - first + 1), source=f"recorded in {path.name}"
    )


def folder_activity(folder: RunFolder, frames: int, reporter: Reporter, *, random: bool = False) -> Activity:
    """Returns the spikes while the chip of a run folder classifies test images.

    Args:
        folder: the run folder.
        frames: the first that many test images.
        reporter: takes progress.
        random: whether to draw random images, with the experiment's seed, instead of loading the data set.

    Raises:
        ArtifactError: there is no chip image, or the data set cannot be read.
        ConfigError: the data set has not so many images.
        InfeasibleError, SimulationError: as `frame_activity`.
    """
    folder.check()
    experiment = load_experiment(folder.experiment, [f"simulate.frames={frames}"])
    image = open_chip(folder.root).image
    if image.host is None:
        raise ArtifactError(f"{folder.image}: has no off-chip layers, so it takes no images; compile again")
    pixels, *_ = images_to_simulate(experiment, experiment.seed if random else None)
    what = f"random images, seed {experiment.seed}" if random else f"test images of {experiment.data.name}"
    reporter.say(f"Counting spikes over {len(pixels):,} {what}")
    return frame_activity(
        image,
        transduce(image.host, pixels),
        engine=experiment.simulate.engine,
        progress=lambda done, total: reporter.progress("simulate", done, total, {}),
        source=f"{len(pixels):,} {what}",
    )


def frame_activity(
    image: ChipImage,
    frames: Bool[np.ndarray, "n bits"],
    *,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    source: str = "frames",
) -> Activity:
    """Returns the spikes while frames enter one a tick and every layer is at work.

    Args:
        image: a feed-forward chip.
        frames: the transduction's bits.
        engine: that runs it.
        progress: called with the finished and all ticks, now and then.
        source: what the frames are, for people.

    Raises:
        ConfigError, InfeasibleError, SimulationError: as `count_frames`.
    """
    events, _ = count_frames(image, frames, engine=engine, progress=progress)
    return Activity(spikes=events.spikes, ticks=events.ticks, source=source)
