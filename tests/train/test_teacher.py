"""A network learns from a teacher, of either kind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import Mesh
from train.test_train_loop import CONFIG, make_data, make_network

from tncompile.config.experiment import load_experiment
from tncompile.config.net import NetConfig
from tncompile.config.train import TeacherConfig
from tncompile.errors import ConfigError, TnCompileError
from tncompile.nn.float_network import FloatNetwork, build_float_network
from tncompile.train.loop import train
from tncompile.train.step import AXIS, Teacher, make_step, start
from tncompile.workflow import RunFolder, load_teacher

TAUGHT = CONFIG.model_copy(update={"teacher": TeacherConfig(run="teacher", weight=1.0, temperature=2.0)})
FLOAT = CONFIG.model_copy(update={"learning_rate": 0.01, "logit_scale": 3.0})

EXPERIMENT = """
name: student
data: {name: digits, train_limit: 300, test_limit: 50}
net: {layers: [{kernel: 3, features: 4}, {kernel: 2, stride: 2, features: 10}]}
train: {epochs: 1}
"""


def make_float_network() -> FloatNetwork:
    net = NetConfig.model_validate({"layers": "S-6 S-12(2) P-18(2)", "kind": "float"})
    return build_float_network(net, in_shape=(6, 6, 1), input_bits=4, classes=3, seed=0)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Teacher]:
    """Trained ones, by kind."""
    found = {}
    for kind, network, config in (("float", make_float_network(), FLOAT), ("trinary", make_network(), CONFIG)):
        result = train(network, make_data(), config, seed=1, out_dir=tmp_path_factory.mktemp(kind))
        assert result.accuracy > 0.9
        found[kind] = Teacher(network.scorer(), config.logit_scale, kind)
    return found


@pytest.mark.parametrize("kind", ["float", "trinary"])
def test_a_student_learns_what_no_label_says(kind: str, teachers: dict[str, Teacher], tmp_path: Path) -> None:
    data = make_data()
    data.y_train = np.random.default_rng(0).permutation(data.y_train)
    result = train(make_network(), data, TAUGHT, seed=2, out_dir=tmp_path, teacher=teachers[kind])
    assert result.accuracy > 0.85


def test_the_loss_is_the_distance_of_the_softened_probabilities(teachers: dict[str, Teacher]) -> None:
    network, data = make_network(), make_data()
    x, y = data.x_train[:16], data.y_train[:16].astype(np.int32)
    teacher = teachers["float"]
    config = TAUGHT.model_copy(
        update={"sparsity": 0.0, "precision": "float32", "teacher": TeacherConfig(run="t", weight=0.25, temperature=3)}
    )
    from tncompile.nn.layers import Training

    graphdef, state = nnx.split(network)
    own, _ = nnx.merge(graphdef, state, copy=True).training_scores(x, Training(momentum=0.9, dtype=np.dtype("float32")))
    logits = np.asarray(own) * config.logit_scale
    p = np.asarray(jax.nn.softmax(teacher.scorer.scores(teacher.scorer.arrays, x) * teacher.logit_scale / 3))
    q = np.asarray(jax.nn.log_softmax(jnp.asarray(logits / 3)))
    labels = np.asarray(optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), jnp.asarray(y))).mean()
    expected = 0.75 * labels + 0.25 * 9 * (p * (np.log(p) - q)).sum(1).mean()

    optimizer = optax.sgd(0.1)
    mesh = Mesh(np.array(jax.devices()[:1]), (AXIS,))
    step = make_step(network, optimizer, config, steps=1, seed=0, mesh=mesh, teacher=teacher)
    _, result = step(start(network, optimizer, config), jnp.asarray(x), jnp.asarray(y), np.int32(0))
    np.testing.assert_allclose(float(result.loss), expected, rtol=1e-3)


def test_another_teacher_is_another_training(teachers: dict[str, Teacher], tmp_path: Path) -> None:
    one = TAUGHT.model_copy(update={"epochs": 1})
    train(make_network(), make_data(), one, seed=2, out_dir=tmp_path, teacher=teachers["float"])
    with pytest.raises(ConfigError, match="--resume: SHA-256 of the teacher is"):
        train(make_network(), make_data(), one, seed=2, out_dir=tmp_path, teacher=teachers["trinary"], resume=True)


def test_float_networks_resume_exactly(tmp_path: Path) -> None:
    def interrupt(progress) -> None:
        if progress.epoch == 3:
            raise KeyboardInterrupt

    options = {"seed": 1, "out_dir": tmp_path}
    whole, resumed = make_float_network(), make_float_network()
    train(whole, make_data(), FLOAT, seed=1, out_dir=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(make_float_network(), make_data(), FLOAT, **options, observer=interrupt)
    train(resumed, make_data(), FLOAT, **options, resume=True)
    for (name, a), (_, b) in zip(whole.tensors(), resumed.tensors(), strict=True):
        np.testing.assert_array_equal(np.asarray(a[...]), np.asarray(b[...]), err_msg=name)


def cli(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tncompile", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "student.yaml").write_text(EXPERIMENT)
    teacher = cli(tmp_path, "train", "student.yaml", "--out", "teacher", "--set", "net.kind=float", "-q")
    assert teacher.returncode == 0, teacher.stderr
    train_student = ["train", "student.yaml", "--set", "train.teacher.run=teacher", "--json", "-q"]
    student = cli(tmp_path, *train_student)
    assert student.returncode == 0, student.stderr
    assert json.loads(student.stdout)["experiment"]["train"]["teacher"]["run"] == "teacher"
    (tmp_path / "teacher").rename(tmp_path / "moved")
    assert cli(tmp_path, "compile", "student.yaml", "--set", "train.teacher.run=moved").returncode == 0
    (tmp_path / "moved").rename(tmp_path / "teacher")

    for command in (["compile", "student.yaml", "--out", "teacher"], ["run", "student.yaml"]):
        refused = cli(tmp_path, *command, "--set", "net.kind=float")
        assert (refused.returncode, refused.stderr.split(";")[0]) == (
            2,
            "error: net.kind: float nets are teachers, which no chip takes",
        )

    monkeypatch.chdir(tmp_path)
    for changes, message in {
        ("train.teacher.run=nowhere",): r"train.teacher.run: nowhere/model.safetensors: there is no model",
        ("train.teacher.run=teacher", "data.name=mnist"): r"train.teacher.run: teacher learned digits, with other "
        r"in_shape than mnist \(\[8, 8, 1\], not \[28, 28, 1\]\)",
        ("train.teacher.run=teacher", "data.validation=0.2"): r"train.teacher.run: teacher was trained with "
        r"data.validation = 0.0, the experiment says 0.2; make both the same",
        ("train.teacher.weight=0.5",): r"--set train.teacher.weight=0.5: train.teacher.run: is missing",
    }.items():
        with pytest.raises(TnCompileError, match=message):
            load_teacher(load_experiment(Path("student.yaml"), changes), RunFolder(Path("runs/student")))
    with pytest.raises(TnCompileError, match=r"teacher\.run: teacher is the folder that this training writes; name"):
        load_teacher(load_experiment(Path("student.yaml"), ["train.teacher.run=teacher"]), RunFolder(Path("./teacher")))
