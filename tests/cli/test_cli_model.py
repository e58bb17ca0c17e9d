"""A trained model is published, and compiled elsewhere to the same chip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import invoke

EXPERIMENT = """\
name: tiny
data: {name: digits, train_limit: 100, test_limit: 20}
net: {layers: S-4 P-10}
train: {epochs: 1, batch: 20, calibrate_batches: 1}
compile: {place: {moves: 0}}
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment, its run folder, compiled, and `published`, the model of it."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "tiny.yaml").write_text(EXPERIMENT)
    assert invoke("train", folder / "tiny.yaml", "--out", folder / "run", "-q").code == 0
    assert invoke("compile", folder / "tiny.yaml", "--out", folder / "run", "-q").code == 0
    done = invoke("export", folder / "run", "--format", "model", "--out", folder / "published", "--json")
    assert done.code == 0
    written = json.loads(done.out)
    sizes = {entry["file"]: entry["bytes"] for entry in written["files"]}
    assert sizes == {path.name: path.stat().st_size for path in (folder / "published").iterdir()}
    assert set(sizes) == {"tiny.safetensors", "tiny.yaml"}
    return folder


def test_the_chip_is_the_same(published: Path, tmp_path: Path) -> None:
    files = published / "published"
    done = invoke(
        "compile", files / "tiny.yaml", "--model", files / "tiny.safetensors", "--out", tmp_path / "here", "--json"
    )
    results = json.loads(done.out)
    assert results["compile"]["digest"] == json.loads((published / "run/results.json").read_text())["compile"]["digest"]
    assert "train" not in results
    assert invoke("simulate", tmp_path / "here", "-q").code == 0


def test_a_model_takes_the_place_of_another_training(published: Path, tmp_path: Path) -> None:
    other = ["--out", tmp_path / "other", "--set", "train.epochs=2", "-q"]
    assert invoke("train", published / "tiny.yaml", *other).code == 0
    model = published / "published" / "tiny.safetensors"
    assert invoke("compile", published / "tiny.yaml", "--model", model, "--out", tmp_path / "other", "-q").code == 0
    assert "train" not in json.loads((tmp_path / "other/results.json").read_text())
    assert not (tmp_path / "other/train/metrics.jsonl").exists()
    assert invoke("compile", published / "tiny.yaml", "--out", tmp_path / "other", "-q").code == 0


def test_what_does_not_go_together(published: Path, tmp_path: Path) -> None:
    yaml, model = published / "tiny.yaml", published / "published" / "tiny.safetensors"
    for options, message in {
        ("--model", model, "--untrained"): "error: --model: says which model to begin with, and so does --untrained",
        ("--model", model, "--start-from", "place"): "error: --model: says which model to begin with, and so does --st",
        ("--model", model, "--seed", "1"): f"error: {model}: was made with seed = 0, the experiment says 1",
        ("--model", tmp_path / "none"): f"error: {tmp_path / 'none'}: there is no model",
        ("--model", yaml): f"error: {yaml}: not a whole safetensors file",
    }.items():
        done = invoke("compile", yaml, *options, "--out", tmp_path / "out", "-q")
        assert done.code != 0
        assert done.err.startswith(message), done.err
        assert not (tmp_path / "out").exists()
    (tmp_path / "empty").mkdir()
    no_run = invoke("export", tmp_path / "empty", "--format", "model", "--out", tmp_path / "out")
    assert (no_run.code, no_run.err.split(":")[2].strip()) == (4, "is no run folder")
    spikes = invoke("export", published / "run", "--format", "model", "--input", model, "--out", tmp_path / "out")
    assert (spikes.code, spikes.err) == (2, "error: --input: a model has no input spikes; leave it out\n")
    assert not (tmp_path / "out").exists()
