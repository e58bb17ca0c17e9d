"""What `simulate` says of the chip itself, as users meet it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.command_line import Outcome, invoke

from tncompile.chip_run import open_chip
from tncompile.ir.text import digest
from tncompile.recording import read_recording
from tncompile.report.activity import folder_activity
from tncompile.report.inspect import inspect_activity
from tncompile.reporter import Reporter
from tncompile.workflow import RunFolder


class Silent(Reporter):
    """A reporter that says nothing."""

    def say(self, text):
        """Takes a line."""

    def progress(self, phase, done, total, figures):
        """Takes how far a phase is."""


def simulated(folder: Path, *arguments: object) -> dict:
    """Returns the figures of a simulation."""
    outcome = invoke("simulate", folder, *arguments, "--quiet", "--json")
    assert outcome.code == 0, outcome.err
    return outcome.json["simulate"]


def test_simulate_estimates_the_chip_and_keeps_what_it_did(folder: Path):
    figures = simulated(folder)
    estimated = figures["chip"]
    image = open_chip(folder).image
    kept = read_recording(RunFolder(folder).simulation, image, digest(image))
    assert estimated["counted_frames"] == 40 == kept.events.ticks
    np.testing.assert_array_equal(kept.counted, np.arange(40))
    assert (kept.labels == kept.chip_classes).mean() == figures["accuracy"]
    np.testing.assert_array_equal(kept.wrong, np.flatnonzero(kept.labels != kept.chip_classes)[: len(kept.wrong)])
    assert kept.wrong_pixels.shape == (len(kept.wrong), 8, 8, 1)
    np.testing.assert_array_equal(kept.events.spikes, folder_activity(RunFolder(folder), 40, Silent()).spikes)
    assert inspect_activity(folder, folder_activity(RunFolder(folder), 40, Silent()))
    assert [row["layer"] for row in estimated["layers"]][-2:] == ["conv0", "conv1"]
    assert kept.raster.layers[-2:] == ("conv0", "conv1")
    assert sum(row["cores"] for row in estimated["layers"]) == len(image.core_x)


def test_the_summary_says_it_with_intervals(folder: Path):
    outcome = invoke("simulate", folder, "--frames", 5)
    assert outcome.code == 0
    for row in ("chip speed", "chip power", "chip efficiency"):
        assert row in outcome.out
    assert "90 % confidence" in " ".join(outcome.out.replace("│", " ").split())


def test_less_voltage_takes_less_power_and_is_slower(folder: Path):
    low, high = (simulated(folder, "--set", f"energy.voltage={volts}")["chip"] for volts in (0.75, 1.0))
    assert low["power_at_nominal_mW"]["value"] < high["power_at_nominal_mW"]["value"]
    assert low["frames_per_s"]["value"] < high["frames_per_s"]["value"]
    assert low["per_frame"] == high["per_frame"]


def test_frames_are_taken_evenly_from_all(folder: Path):
    estimated = simulated(folder, "--set", "energy.frames=3")["chip"]
    assert estimated["counted_frames"] == 3
    image = open_chip(folder).image
    assert read_recording(RunFolder(folder).simulation, image, digest(image)).counted.tolist() == [0, 19, 39]


def test_without_frames_there_is_no_estimate_and_no_old_recording(folder: Path):
    simulated(folder)
    assert RunFolder(folder).simulation.exists()
    assert simulated(folder, "--set", "energy.frames=0")["chip"] is None
    assert not RunFolder(folder).simulation.exists()


def test_random_images_have_no_classes(folder: Path):
    assert simulated(folder, "--random-images", "--frames", 4)["chip"]["counted_frames"] == 4
    image = open_chip(folder).image
    kept = read_recording(RunFolder(folder).simulation, image, digest(image))
    assert kept.labels.tolist() == [-1] * 4 and not len(kept.wrong)


def test_own_constants(folder: Path):
    estimated = simulated(folder, "--set", "energy.constants={leak_uW: 100, event_ns: 1e4}")["chip"]
    image = open_chip(folder).image
    assert estimated["breakdown_mW"]["leakage"]["value"] == pytest.approx(0.1 * len(image.core_x))
    assert estimated["tick_us"]["value"] == pytest.approx(10 * estimated["busiest"]["core_events"]["mean"])


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("energy.voltage=0.5", "energy.voltage: is 0.5 (a number), expected greater than or equal to 0.7"),
        ("energy.voltage=1.2", "energy.voltage: is 1.2 (a number), expected less than or equal to 1.05"),
        ("energy.voltage=high", 'energy.voltage: is "high" (a string)'),
        ("energy.frames=-1", "energy.frames: is -1 (an integer), expected greater than or equal to 0"),
        ("energy.constants={leak: 1}", "energy.constants.leak: unknown key; did you mean leak_uW?"),
        (
            "energy.constants={event_pJ: 0}",
            "energy.constants.event_pJ: is 0 (an integer), expected greater than or equal",
        ),
        ("energy.constants={leak_uW: 1e308}", "energy.constants.leak_uW: is 1e+308 (a number), expected less than or"),
        ("energy.volts=1", "energy.volts: unknown key; did you mean voltage?"),
    ],
)
def test_bad_settings(folder: Path, key: str, message: str):
    before = RunFolder(folder).results.read_bytes()
    outcome = invoke("simulate", folder, "--set", key)
    assert outcome.code == 2
    assert message in outcome.err
    assert RunFolder(folder).results.read_bytes() == before


def test_a_folder_without_stages_is_simulated_all_the_same(folder: Path):
    shutil.rmtree(folder / "stages")
    assert [row["layer"] for row in simulated(folder, "--frames", 5)["chip"]["layers"]] == ["cores"]


def test_compiling_again_forgets_what_the_old_chip_did(folder: Path):
    simulated(folder)
    outcome = invoke("compile", folder / "experiment.yaml", "--out", folder, "--start-from", "place", "--quiet")
    assert outcome.code == 0, outcome.err
    assert not RunFolder(folder).simulation.exists()


def run_of_spikes(folder: Path, *arguments: object) -> Outcome:
    """Runs some frames as spikes."""
    file = folder / "in.npz"
    bits = open_chip(folder).image.input_bits
    np.savez(file, frames=np.random.default_rng(1).random((20, bits)) < 0.5)
    return invoke("simulate", folder, "--input", file, *arguments)


def test_a_run_of_spikes_is_estimated_too(folder: Path):
    outcome = run_of_spikes(folder, "--volts", 0.75, "--json")
    assert outcome.code == 0, outcome.err
    estimated = outcome.json["estimate"]
    assert estimated["voltage_V"] == 0.75 and estimated["counted_frames"] == outcome.json["ticks"]
    assert estimated["per_frame"]["synaptic_events"] > 0
    assert "chip power" in outcome.err and "at the nominal one" in outcome.err
    assert "estimate" not in run_of_spikes(folder, "--json").json


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--volts", 2), "--volts: must be 0.70 … 1.05, got 2"),
        (
            ("--volts", 1, "--watch", "0", "--record", "out.csv"),
            "--watch: with --volts, all cores are counted from tick 0",
        ),
    ],
)
def test_bad_runs_of_spikes(folder: Path, arguments: tuple, message: str):
    outcome = run_of_spikes(folder, *arguments)
    assert outcome.code == 2 and message in outcome.err


def test_volts_are_for_runs_of_spikes_and_images_have_a_key(folder: Path):
    outcome = invoke("simulate", folder, "--volts", 0.8, "--frames", 3)
    assert outcome.code == 2 and "--frames: is for test images in a run folder" in outcome.err
