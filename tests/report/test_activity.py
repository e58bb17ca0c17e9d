"""Spikes counted in recordings and in runs of frames."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from support.random_acyclic import acyclic_chip
from support.random_chips import random_chip
from support.random_graphs import SEEDS

from tncompile.chip_run import SpikeRun, run_spikes
from tncompile.errors import ArtifactError, ConfigError, SimulationError, TnCompileError
from tncompile.ir import ChipImage
from tncompile.ir.io import write_stage
from tncompile.report.activity import frame_activity, recorded_activity
from tncompile.sim import make_engine
from tncompile.sim.tables import table_writer

LATENCY = 80  # above the longest path of the chips here [tick]


class Silent:
    """A reporter that says nothing."""

    def say(self, text):
        """Takes a line."""

    def progress(self, phase, done, total, figures):
        """Takes how far a phase is."""


def frames_of(image: ChipImage, count: int, seed: int) -> np.ndarray:
    """Returns random frames."""
    return np.random.default_rng(seed).random((count, image.input_bits)) < 0.4


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_frames_are_counted_once_in_every_layer(seed):
    """In a chip without state, frames that come round make spikes that come round: any later round has the same."""
    image = dataclasses.replace(acyclic_chip(seed, cores=5), latency=LATENCY)
    frames = frames_of(image, 7, seed)
    counted = frame_activity(image, frames, engine="event")
    assert counted.ticks == 7
    oracle = make_engine("oracle", image)
    rounds = frames[(np.arange(LATENCY + 7) - LATENCY) % 7]
    later = np.concatenate([rounds, frames])[None]
    _, ticks = oracle.run(oracle.init(1), later, tuple(range(len(image.core_x))))
    np.testing.assert_array_equal(counted.spikes, ticks.spikes[0, -7:].sum(axis=0))


def test_frames_that_cannot_be_counted():
    image = random_chip(1)
    with pytest.raises(SimulationError, match="latency is not known"):
        frame_activity(image, frames_of(image, 2, 1))
    known = dataclasses.replace(image, latency=2)
    with pytest.raises(SimulationError, match=f"frames: 99 input bits a frame, the image takes {image.input_bits}"):
        frame_activity(known, np.zeros((2, 99), bool))
    with pytest.raises(ConfigError, match="frames: there are none"):
        frame_activity(known, np.zeros((0, image.input_bits), bool))


@pytest.mark.parametrize("potentials", [False, True])
@pytest.mark.parametrize(("ending", "streams"), [(".csv", 1), (".npz", 3), (".parquet", 2)])
def test_a_recording_holds_what_a_run_made(tmp_path, potentials, ending, streams):
    image = acyclic_chip(4, cores=6)
    write_stage(tmp_path / "chip.safetensors", image)
    frames = np.random.default_rng(2).random((streams, 20, image.input_bits)) < 0.5
    np.savez(tmp_path / "in.npz", frames=frames if streams > 1 else frames[0])
    file = tmp_path / f"out{ending}"
    run_spikes(tmp_path, SpikeRun(input=tmp_path / "in.npz", ticks=20, record=file, potentials=potentials), Silent())
    found = recorded_activity(file, image)
    oracle = make_engine("oracle", image)
    _, ticks = oracle.run(oracle.init(streams), frames, tuple(range(len(image.core_x))))
    np.testing.assert_array_equal(found.spikes, ticks.spikes.sum(axis=(0, 1)))
    fired = np.flatnonzero(ticks.spikes.any(axis=(0, 2, 3)))
    length = 20 if potentials else fired[-1] - fired[0] + 1
    assert found.ticks == length * streams


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"tick": [0], "pin": [3]}, ArtifactError, "has the columns tick,pin; it must have tick,core,neuron"),
        ({"tick": [0, 1], "core": [0, 9], "neuron": [1, 1]}, SimulationError, "core is 9, must be 0 … 8"),
        ({"tick": [0, 1], "core": [0, 1], "neuron": [1, 16]}, SimulationError, "neuron is 16, must be 0 … 15"),
        ({"tick": [0], "core": [0], "neuron": [1], "stream": [-1]}, SimulationError, "stream is -1, must be 0"),
        ({"tick": [], "core": [], "neuron": []}, ArtifactError, "holds no spike"),
        ({"tick": [0], "core": [1], "neuron": [1], "spike": [0]}, ArtifactError, "holds no spike"),
    ],
)
def test_recordings_that_are_none(tmp_path: Path, columns: dict, error: type[TnCompileError], message: str):
    file = tmp_path / "spikes.csv"
    with table_writer(file, tuple(columns)) as write:
        write({name: np.array(values, np.int64) for name, values in columns.items()})
    with pytest.raises(error, match=message):
        recorded_activity(file, random_chip(1))
