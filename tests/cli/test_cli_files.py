"""Files that are damaged, belong to something else or cannot be written: one message, code 4 or 5, nothing half."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Outcome, files, invoke, process

from tncompile.ir import ChipImage
from tncompile.ir.io import read_stage, write_stage
from tncompile.ir.tensors import write_tensors
from tncompile.ir.text import digest
from tncompile.nn.store import read_model


def refused(outcome: Outcome, path: Path, *texts: str, code: int = 4) -> None:
    """Checks that a command ended with one message about a file."""
    assert outcome.code == code, outcome
    assert outcome.out == ""
    error = outcome.err[outcome.err.index("error: ") :]
    assert error.startswith(f"error: {path}: "), error
    assert error.count("\n") == 1
    for text in texts:
        assert text in error


def flip(path: Path) -> None:
    """Changes one bit of a file's last third."""
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Removes the end of a file."""
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    """Leaves a file of no bytes."""
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    """Writes something that is no file of ours."""
    path.write_bytes(b"\xff\x00garbage" * 100)


DAMAGES: tuple[Callable[[Path], None], ...] = (flip, cut, empty, garbage, Path.unlink)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_named_by_every_command_that_reads_it(
    damage: Callable[[Path], None], folder: Path, experiment: Path
) -> None:
    compile, simulate = ("compile", experiment, "--out", folder), ("simulate", folder)
    start = (*compile, "--start-from", "place")
    for name, *commands in (
        ("model.safetensors", compile, simulate),
        ("stages/2-pack.safetensors", start),
        ("chip.safetensors", simulate),
    ):
        path = folder / name
        content = path.read_bytes()
        damage(path)
        before = files(folder)
        for command in commands:
            refused(invoke(*command), path)
        if path.exists():
            refused(invoke("inspect", path), path)
        assert files(folder) == before
        path.write_bytes(content)
    assert invoke(*simulate, "--frames", 1).code == 0


def test_a_file_of_another_version_names_both(folder: Path, experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, (meta, tensors) = read_stage(folder / "chip.safetensors"), read_model(folder / "model.safetensors")
    with monkeypatch.context() as newer:
        newer.setattr("tncompile.ir.io.FORMAT", 9)
        newer.setattr("tncompile.ir.tensors.VERSION", 9)
        write_stage(folder / "chip.safetensors", image)
        write_tensors(folder / "model.safetensors", "model", tensors, meta)
    refused(invoke("simulate", folder), folder / "chip.safetensors", "version 9", "reads version 1")
    refused(invoke("compile", experiment, "--out", folder), folder / "model.safetensors", "version 9", "train again")


def test_weights_that_are_not_finite_are_refused(folder: Path, experiment: Path) -> None:
    path = folder / "model.safetensors"
    meta, tensors = read_model(path)
    tensors["conv1/hidden"] = np.full_like(tensors["conv1/hidden"], np.nan)
    write_tensors(path, "model", tensors, meta)  # with a checksum that is right
    before = files(folder)
    for command in (("compile", experiment, "--out", folder), ("simulate", folder)):
        refused(invoke(*command), path, "layer conv1: hidden has values that are not finite", "train the net again")
    assert files(folder) == before


def test_a_file_of_another_kind_is_refused(folder: Path, experiment: Path) -> None:
    image, model = folder / "chip.safetensors", folder / "model.safetensors"
    for path, other in ((image, model), (model, image), (image, folder / "stages/5-route.safetensors")):
        content = path.read_bytes()
        path.write_bytes(other.read_bytes())
        refused(invoke("simulate", folder), path)
        path.write_bytes(content)
    route = folder / "stages/5-route.safetensors"
    route.write_bytes((folder / "stages/4-place.safetensors").read_bytes())
    refused(invoke("compile", experiment, "--out", folder, "--start-from", "emit"), route)


def test_an_image_of_another_model_is_refused(folder: Path, experiment: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert invoke("compile", experiment, "--out", other, "--untrained").code == 0
    image = folder / "chip.safetensors"
    image.write_bytes((other / "chip.safetensors").read_bytes())
    refused(invoke("simulate", folder), image, "is not the image that", "compile again")
    # The other way round: image and figures as they were compiled, the model of another training.
    image = other / "chip.safetensors"
    meta, tensors = read_model(other / "untrained.safetensors")
    tensors["conv0/bias"] = tensors["conv0/bias"] + 1
    write_tensors(other / "untrained.safetensors", "model", tensors, meta)
    refused(invoke("simulate", other, "--random-images"), image, "was not compiled from the model beside it")


def test_an_image_that_computes_something_else_is_found_out(folder: Path) -> None:
    path = folder / "chip.safetensors"
    image = read_stage(path, expect=ChipImage)
    last = np.unique(image.neuron_type[image.output_pin >= 0])
    leak = image.neurons.leak.copy()
    leak[last] = np.where(leak[last] > 0, leak[last] - 200, leak[last] + 200)
    wrong = dataclasses.replace(image, neurons=dataclasses.replace(image.neurons, leak=leak))
    write_stage(path, wrong)  # with a checksum that is right
    results = json.loads((folder / "results.json").read_text())
    results["compile"]["digest"] = results["compile"]["digests_by_pass"]["emit"] = digest(wrong)
    (folder / "results.json").write_text(json.dumps(results))

    outcome = invoke("simulate", folder, "--json")
    figures = outcome.json["simulate"]
    spikes, frames = figures["mismatched_spikes"], figures["mismatched_frames"]
    assert (spikes > 0, 0 < frames <= 40) == (True, True)
    assert outcome.err.endswith(
        f"error: {spikes} spikes in {frames} of 40 frames differ between chip and model; the chip image must not be "
        "used\n"
    )
    assert outcome.code == 5
    assert json.loads((folder / "results.json").read_text())["simulate"] == figures


RESULTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "is not JSON": lambda results: "{",
    'is no object with "format": 1': lambda results: [],
    'is no object with "format": 1;': lambda results: results | {"format": 2},
    "experiment is no mapping": lambda results: results | {"experiment": 3},
    "experiment.seed: is -1": lambda results: results | {"experiment": results["experiment"] | {"seed": -1}},
    "compile has no untrained, seconds, seconds_by_pass": lambda results: results | {"compile": {"digest": "a"}},
    "train has no accuracy, seconds, epochs": lambda results: results | {"train": []},
}


@pytest.mark.parametrize("message", RESULTS)
def test_damaged_results_are_refused(message: str, folder: Path, experiment: Path) -> None:
    path = folder / "results.json"
    damaged = RESULTS[message](json.loads(path.read_text()))
    path.write_text(damaged if isinstance(damaged, str) else json.dumps(damaged))
    before = files(folder)
    refused(invoke("simulate", folder), path, message, "remove it")
    refused(invoke("compile", experiment, "--out", folder), path, message, "remove it")
    assert files(folder) == before
    path.unlink()
    assert invoke("compile", experiment, "--out", folder).code == 0


def test_a_damaged_resolved_experiment_is_named(folder: Path) -> None:
    path = folder / "experiment.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: none"))
    outcome = invoke("simulate", folder)
    assert outcome == Outcome(2, "", f'error: {path}:2: seed: is "none" (a string), expected a valid integer\n')


@pytest.mark.parametrize(
    "limit, command, path",  # [KiB]
    [
        (3, ("train", "{tiny}", "--out", "{dir}"), "train/checkpoints/epoch-000001.safetensors"),
        (20, ("compile", "{tiny}", "--out", "{dir}"), "stages/2-pack.safetensors"),
        (0, ("compile", "{tiny}", "--out", "{dir}"), "experiment.yaml"),
        (3, ("simulate", "{dir}"), "simulation.safetensors"),
        (3, ("simulate", "{dir}", "--set", "energy.frames=0"), "results.json"),
    ],
)
def test_a_full_disk_is_said_and_nothing_is_half_written(
    limit: int, command: tuple[str, ...], path: str, folder: Path, experiment: Path
) -> None:
    before = files(folder)
    arguments = (part.replace("{dir}", str(folder)).replace("{tiny}", str(experiment)) for part in command)
    # A write beyond the limit fails as on a full disk, for root too.
    outcome = process(*arguments, "--quiet", prefix=["bash", "-c", 'ulimit -f "$0" && exec "$@"', str(limit)])
    message = f"{folder / path}: cannot be written: File too large; make room or choose another folder"
    assert outcome == Outcome(4, "", f"error: {message}\n")
    after = files(folder)
    assert set(after) <= set(before)  # nothing new, no temporary file
    for name in after:
        if name.endswith("safetensors") and "checkpoints" not in name:
            assert after[name] == before[name]
    assert json.loads((folder / "results.json").read_text())["format"] == 1


def test_an_unwritable_file_is_named(folder: Path, experiment: Path) -> None:
    # Root may write anywhere, but not to a file where a folder is.
    path = folder / "untrained.safetensors"
    path.mkdir()
    (path / "full").touch()
    refused(invoke("compile", experiment, "--out", folder, "--untrained"), path, "cannot be written: Is a directory")
