"""Training: that it learns, that a resume is exact, and what is said when it cannot go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tncompile.arch import TRUENORTH
from tncompile.config.net import NetConfig
from tncompile.config.train import AugmentConfig, TrainConfig
from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir.tensors import read_tensors, write_tensors
from tncompile.nn.float_network import FloatNetwork, build_float_network
from tncompile.nn.layers import Training
from tncompile.nn.network import Network, build_network
from tncompile.train import loop
from tncompile.train.batches import batches
from tncompile.train.loop import Epoch, Progress, TrainResult, train
from tncompile.train.step import learning_rate

CONFIG = TrainConfig(epochs=4, batch=16, learning_rate=0.1, calibrate_batches=10)
TINY = "S-2 N-3"


def stripes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy 6×6 images of horizontal, vertical or no stripes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    on = (np.arange(6) % 2 * 9).astype(int)
    pattern = np.stack([np.tile(on[:, None], (1, 6)), np.tile(on, (6, 1)), np.full((6, 6), 4)])
    x = pattern[y] + rng.integers(0, 7, (n, 6, 6))
    return x.astype(np.uint8)[..., None], y


def make_data() -> SimpleNamespace:
    parts = {"train": stripes(480, 0), "test": stripes(60, 1), "validation": stripes(60, 2)}
    return SimpleNamespace(
        **{f"{axis}_{part}": array for part, both in parts.items() for axis, array in zip("xy", both, strict=True)}
    )


def make_network(layers: str = "S-6 S-12(2) P-18(2)") -> Network:
    net = NetConfig.model_validate({"layers": layers})
    return build_network(net, in_shape=(6, 6, 1), input_bits=4, classes=3, arch=TRUENORTH, seed=0)


def run(
    out: Path, network: Network | FloatNetwork | None = None, config: TrainConfig = CONFIG, **options: object
) -> TrainResult:
    return train(network or make_network(), make_data(), config, seed=1, out_dir=out, **options)  # type: ignore[arg-type]


def bits(network: Network) -> dict[str, bytes]:
    return {name: np.asarray(tensor[...]).tobytes() for name, tensor in network.tensors()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], TrainResult, Path]:
    """An uninterrupted training."""
    out = tmp_path_factory.mktemp("whole")
    network = make_network()
    result = run(out, network)
    return bits(network), result, out


def test_it_learns_and_keeps_the_weights_in_range(whole: tuple[dict[str, bytes], TrainResult, Path]) -> None:
    tensors, result, out = whole
    assert result.accuracy > 0.9
    assert result.epochs == 4
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    checkpoints = sorted(p.name for p in (out / "checkpoints").iterdir())
    assert checkpoints == ["epoch-000003.safetensors", "epoch-000004.safetensors"]
    hidden = np.frombuffer(tensors["conv0/hidden"], np.float32)
    trinary = np.frombuffer(tensors["conv0/trinary"], np.int8)
    assert np.abs(hidden).max() <= 1
    assert set(trinary) == {-1, 0, 1}
    sure = np.abs(np.abs(hidden) - 0.5) > 0.1
    np.testing.assert_array_equal(trinary[sure], np.round(hidden[sure]))


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resume_after_ctrl_c_is_exact(
    tmp_path: Path, whole: tuple[dict[str, bytes], TrainResult, Path], stop: int
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.epoch == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, observer=interrupt)
    network = make_network()
    seen: list[int] = []
    result = run(tmp_path, network, resume=True, observer=lambda progress: seen.append(progress.epoch))
    assert seen[0] == stop
    assert bits(network) == whole[0]
    assert result.accuracy == whole[1].accuracy
    assert [e.loss for e in result.history] == [e.loss for e in whole[1].history]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 4


KILLED = """
import importlib.util, os, signal, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("loop_tests", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
def kill(progress):
    if progress.epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)
tests.run(Path(sys.argv[2]), observer=kill)
"""


def test_a_resume_after_a_kill_is_exact(tmp_path: Path, whole: tuple[dict[str, bytes], TrainResult, Path]) -> None:
    command = [sys.executable, "-c", KILLED, __file__, str(tmp_path)]
    assert subprocess.run(command, check=False, env=dict(os.environ)).returncode == -signal.SIGKILL
    # What a kill in the middle of a write leaves behind.
    (tmp_path / "checkpoints" / ".epoch-000003.safetensors.7.tmp").write_bytes(b"half")
    network = make_network()
    run(tmp_path, network, resume=True)
    assert bits(network) == whole[0]


def test_a_finished_training_resumes_to_the_same(whole: tuple[dict[str, bytes], TrainResult, Path]) -> None:
    network = make_network()
    result = run(whole[2], network, resume=True)
    assert bits(network) == whole[0]
    assert result.seconds == whole[1].seconds


@pytest.mark.parametrize(
    ("change", "key"), [({"learning_rate": 0.2}, "train.learning_rate is 0.2"), ({"epochs": 9}, "train.epochs is 9")]
)
def test_a_resume_with_another_configuration_names_the_key(
    whole: tuple[dict[str, bytes], TrainResult, Path], change: dict[str, float], key: str
) -> None:
    with pytest.raises(ConfigError, match=f"--resume: {key}, the checkpoint in .* was made with"):
        run(whole[2], config=CONFIG.model_copy(update=change), resume=True)
    with pytest.raises(ConfigError, match=r"net\.conv1"):
        run(whole[2], make_network("S-6 S-12(2) P-21(3)"), resume=True)


def test_old_checkpoints_go_without_resume_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    one = CONFIG.model_copy(update={"epochs": 1})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "epoch-000007.safetensors").write_bytes(b"old")
    run(tmp_path, make_network(TINY), one)
    (file,) = (tmp_path / "checkpoints").iterdir()
    assert file.name == "epoch-000001.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match="it was truncated or altered; remove it to go on from the checkpoint"):
        run(tmp_path, make_network(TINY), one, resume=True)


def test_a_training_that_diverges_names_the_tensor(tmp_path: Path) -> None:
    network = make_network(TINY)
    network.layers[0].norm.bias[...] = network.layers[0].norm.bias[...].at[1].set(np.nan)
    message = r"epoch 1, step 10 of 30: the last tensor that is not finite, .*, is conv0/bias; lower train\."
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, network)


def test_a_float_training_that_diverges_names_no_layer(tmp_path: Path) -> None:
    config = NetConfig.model_validate({"layers": "S-6 P-12", "kind": "float"})
    network = build_float_network(config, in_shape=(6, 6, 1), input_bits=4, classes=3, seed=0)
    network.layers[0].weights[...] = network.layers[0].weights[...].at[0, 0, 0, 0].set(np.nan)
    with pytest.raises(ConfigError, match=r"step 10 of 30: \d+ tensors are not finite, as it spreads through a float"):
        run(tmp_path, network)


def test_two_cuts_in_one_step_count_twice() -> None:
    rate = learning_rate(TrainConfig(schedule="step", learning_rate=1.0, cuts=(0.5, 0.52)), 20)
    np.testing.assert_allclose([rate(i) for i in (9, 11)], [1, 0.01], rtol=1e-6)


def test_a_best_epoch_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    one = BEST.model_copy(update={"epochs": 1})
    run(tmp_path, make_network(TINY), one)
    best = tmp_path / "checkpoints" / "best.safetensors"
    notes, arrays = read_tensors(best, "checkpoint")
    write_tensors(best, "checkpoint", arrays, {key: value for key, value in notes.items() if key != "rating"})
    with pytest.raises(ArtifactError, match=r"best\.safetensors: an earlier version wrote it; train again without"):
        run(tmp_path, make_network(TINY), one, resume=True)


def test_too_few_images(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.batch: 481 is more than the 480 training images"):
        run(tmp_path, config=CONFIG.model_copy(update={"batch": 481}))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"crop": 6}, "crop: 6 pixels .* of images of 6 × 6; at most 5"), ({"cutout": 7}, "cutout: 7")],
)
def test_augmentation_that_leaves_nothing(tmp_path: Path, change: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, config=CONFIG.model_copy(update={"augment": AugmentConfig(**change)}))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="cannot be written"):
        run(tmp_path / "file")


def test_schedules() -> None:
    step = learning_rate(TrainConfig(schedule="step", learning_rate=1.0, cuts=(0.5, 0.8), warmup=0.1), 100)
    np.testing.assert_allclose([step(i) for i in (0, 5, 10, 49, 51, 79, 81)], [0, 0.5, 1, 1, 0.1, 0.1, 0.01], rtol=1e-6)
    cosine = learning_rate(TrainConfig(learning_rate=1.0, warmup=0.1), 100)
    np.testing.assert_allclose([cosine(i) for i in (0, 5, 10, 55, 100)], [0, 0.5, 1, 0.5, 0], atol=1e-6)


def test_a_resume_names_the_key_within_a_mapping_and_takes_checkpoints_from_before_it(
    whole: tuple[dict[str, bytes], TrainResult, Path], tmp_path: Path
) -> None:
    shutil.copytree(whole[2], tmp_path / "run")
    file = max((tmp_path / "run" / "checkpoints").iterdir())
    notes, arrays = read_tensors(file, "checkpoint")
    notes["fingerprint"]["train.augment"] = {"crop": 0}  # as before there was anything else
    for key in [key for key in notes["fingerprint"] if key.startswith("train.augment.")]:
        del notes["fingerprint"][key]
    write_tensors(file, "checkpoint", arrays, notes)
    run(tmp_path / "run", resume=True)
    flipped = CONFIG.model_copy(update={"augment": AugmentConfig(flip=True)})
    with pytest.raises(ConfigError, match=r"--resume: train\.augment\.flip is True, the checkpoint in .* with False"):
        run(tmp_path / "run", config=flipped, resume=True)


BEST = CONFIG.model_copy(update={"keep": "best"})


def rated(monkeypatch: pytest.MonkeyPatch, ratings: list[float]) -> None:
    """Makes the validation accuracy of the epochs, and of the end, what is given; that of test images is 0."""
    given = iter(ratings)
    validation = make_data().x_validation
    monkeypatch.setattr(loop, "accuracy", lambda network, x, y: next(given) if np.array_equal(x, validation) else 0.0)


class Keeper:
    """Keeps a copy of each epoch's checkpoint."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, history: Sequence[Epoch]) -> None:
        if history:
            name = f"epoch-{len(history):06}.safetensors"
            shutil.copy(self.folder / "checkpoints" / name, self.folder / name)


def trained_in(file: Path) -> np.ndarray:
    """Returns the hidden weights of conv0 in a checkpoint: the only array of its shape among the parameters."""
    _, arrays = read_tensors(file, "checkpoint")
    return next(array for _, array in sorted(arrays.items()) if array.shape == make_network().layers[0].hidden.shape)


def test_the_model_is_that_of_the_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rated(monkeypatch, [0.5, 0.8, 0.8, 0.7, 0.75])
    network = make_network()
    result = run(tmp_path, network, BEST, epochs=[Keeper(tmp_path)])
    assert (result.kept, result.validation_accuracy) == (2, 0.75)
    own = np.asarray(network.layers[0].hidden[...])
    np.testing.assert_array_equal(own, trained_in(tmp_path / "epoch-000002.safetensors"))
    assert np.abs(own - trained_in(tmp_path / "epoch-000004.safetensors")).max() > 0


def test_a_best_epoch_behind_the_last_checkpoint_stays_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a kill comes between the two, and the epoch comes out a little worse on the machine that goes on."""

    def interrupt(progress: Progress) -> None:
        if progress.epoch == 4:
            raise KeyboardInterrupt

    sparse = BEST.model_copy(update={"checkpoint_every": 2})
    rated(monkeypatch, [0.5, 0.6, 0.9])
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, config=sparse, observer=interrupt)
    best = trained_in(tmp_path / "checkpoints" / "best.safetensors")
    rated(monkeypatch, [0.55, 0.5, 0.9])
    network = make_network()
    assert run(tmp_path, network, sparse, resume=True).kept == 3
    np.testing.assert_array_equal(np.asarray(network.layers[0].hidden[...]), best)


def test_statistics_are_plain_means_over_batches_of_the_final_weights(tmp_path: Path) -> None:
    network, data = make_network(), make_data()
    run(tmp_path, network)
    found = np.asarray(network.layers[-1].norm.std[...])
    stds = []
    for x, _ in islice(batches(data.x_train, data.y_train, CONFIG.batch, seed=1, epoch=CONFIG.epochs), 10):
        network.training_scores(x, Training(momentum=0.0, dtype=np.dtype("bfloat16")))
        stds.append(np.asarray(network.layers[-1].norm.std[...]))
    np.testing.assert_allclose(found, np.mean(stds, axis=0), rtol=1e-3)
