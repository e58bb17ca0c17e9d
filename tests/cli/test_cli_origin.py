"""A model is used, and a training resumed, only with the images that it was made with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.command_line import files, invoke

from tncompile.data.files import CACHE_VARIABLE
from tncompile.ir.tensors import read_tensors, write_tensors
from tncompile.nn.store import MODEL

EXPERIMENT = """\
name: photos
data: {name: folder, root: ROOT, options: {size: [8, 8], channels: 1}}
net: {layers: S-4 P-8}
train: {epochs: 1, batch: 8, calibrate_batches: 1}
compile: {place: {moves: 0}}
"""


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of prepared data that is not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment on a folder of oblong photographs, and its run folder `run`, trained and compiled."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 4)):
        for name in ("cat", "dog"):
            place = folder / "images" / part / name
            place.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(rng.integers(0, 256, (10, 14), np.uint8)).save(place / f"{index}.png")
    (folder / "photos.yaml").write_text(EXPERIMENT.replace("ROOT", str(folder / "images")))
    assert invoke("train", folder / "photos.yaml", "--out", folder / "run", "-q").code == 0
    assert invoke("compile", folder / "photos.yaml", "--out", folder / "run", "-q").code == 0
    return folder


OTHER = {
    "data.options.fit=crop": 'data.options.fit = "stretch", the experiment says "crop"',
    "data.validation=0.25": "data.validation = 0.0, the experiment says 0.25",
    "data.layout=folder": 'data.layout = null, the experiment says "folder"',
    "data.train_limit=16": "train_limit = null, the experiment says 16",
}


@pytest.mark.parametrize("change", OTHER)
def test_a_model_of_other_images_is_refused(change: str, photos: Path) -> None:
    before, experiment, folder = files(photos / "run"), photos / "photos.yaml", photos / "run"
    refused = invoke("compile", experiment, "--out", folder, "--set", change)
    assert (refused.code, refused.err) == (
        2, f"error: {folder}/model.safetensors: was made with {OTHER[change]}; set that back, train again, or name the "
        "folder of that experiment with --out\n")  # fmt: skip
    refused = invoke("compile", experiment, "--out", folder, "--start-from", "place", "--set", change)
    difference = OTHER[change] if "limit" not in change else f"data.{OTHER[change]}"
    hint = "set that back, or compile without --start-from first"
    assert (refused.code, refused.err) == (2, f"error: {folder}: was compiled with {difference}; {hint}\n")
    assert f"was made with {OTHER[change]}; " in invoke("simulate", folder, "--set", change).err
    assert files(folder) == before


@pytest.mark.parametrize("change", ["data.options.fit=crop", "data.validation=0.25", "data.layout=folder"])
def test_a_training_is_not_resumed_with_other_images(change: str, photos: Path) -> None:
    key, _, value = change.partition("=")
    refused = invoke("train", photos / "photos.yaml", "--out", photos / "run", "--resume", "--set", change, "-q")
    assert refused.code == 2
    assert refused.err.startswith(f"error: --resume: {key} is ") and value in refused.err
    assert refused.err.endswith("; set it back, or train without --resume\n")


def test_what_does_not_change_the_images_of_a_training_may_change(photos: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(photos / "run", tmp_path / "run")
    spelled_out = ("--set", "data.options.fit=stretch", "--set", "data.test_limit=5", "-q")
    assert invoke("compile", photos / "photos.yaml", "--out", folder, "--start-from", "place", *spelled_out).code == 0
    assert invoke("compile", photos / "photos.yaml", "--out", folder, *spelled_out).code == 0
    assert invoke("simulate", folder, *spelled_out, "--json").json["simulate"]["frames"] == 5
    untrained = ("compile", photos / "photos.yaml", "--out", tmp_path / "other", "-q")
    assert invoke(*untrained, "--untrained").code == 0
    assert invoke(*untrained, "--start-from", "place", "--set", "data.options.fit=crop").code == 0


def without(path: Path, kind: str, *keys: str) -> None:
    """Takes keys out of what goes with a file's tensors, as if an earlier version had written it."""
    meta, tensors = read_tensors(path, kind)
    for key in keys:
        *way, last = key.split("/")
        inside: Any = meta
        for step in way:
            inside = inside[step]
        del inside[last]
    write_tensors(path, kind, tensors, meta)


def test_files_of_an_earlier_version(photos: Path, tmp_path: Path) -> None:
    folder, experiment = Path(shutil.copytree(photos / "run", tmp_path / "run")), photos / "photos.yaml"
    model = folder / "model.safetensors"
    compiling = ("compile", experiment, "--out", folder, "-q")
    without(model, MODEL, "data/layout", "data/validation", "train/ema", "train/augment/mixup")
    assert invoke(*compiling).code == 0  # all have their defaults
    assert invoke(*compiling, "--set", "train.ema=0.5").err.startswith(
        f"error: {model}: was made with train.ema = unknown (an earlier version of tncompile, which did not note it, "
        "wrote the file), the experiment says 0.5; set that back, train again, "
    )
    without(model, MODEL, "data/options")
    refused = invoke(*compiling)
    assert refused.code == 2 and f"{model}: was made with data.options = unknown (an earlier" in refused.err
    assert (
        '(an earlier version of tncompile, which did not note it, wrote the file), the experiment says {"'
        in refused.err
    )

    # Resuming from the checkpoint, which has the images' SHA-256, writes the model anew.
    (checkpoint,) = (folder / "train" / "checkpoints").iterdir()
    noted = ("data.layout", "data.options", "data.validation", "SHA-256 of the validation images", "train.ema")
    meta, _ = read_tensors(checkpoint, "checkpoint")
    without(checkpoint, "checkpoint", *(f"fingerprint/{key}" for key in meta["fingerprint"] if key.startswith(noted)))
    resumed = invoke("train", experiment, "--out", folder, "--resume", "-q", "--set", "data.options.fit=crop")
    assert "error: --resume: SHA-256 of the training images is " in resumed.err
    assert invoke("train", experiment, "--out", folder, "--resume", "-q").code == 0
    assert model.read_bytes() == (photos / "run" / "model.safetensors").read_bytes()
    assert invoke(*compiling).code == 0


def test_a_model_moves_to_a_machine_with_other_devices(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "run", tmp_path / "run")
    there = ["--out", tmp_path / "run", "--set", "train.checkpoint_every=3", "-q"]
    assert invoke("compile", photos / "photos.yaml", *there).code == 0
    assert invoke("compile", photos / "photos.yaml", *there, "--start-from", "place").code == 0
    assert invoke("train", photos / "photos.yaml", *there, "--resume").code == 0
