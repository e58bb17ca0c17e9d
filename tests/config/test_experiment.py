"""Experiments: what is accepted, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.config.experiment import (
    Experiment,
    SimulateConfig,
    dump_experiment,
    load_experiment,
    parse_config,
    resolved,
)
from tncompile.config.reference import keys, markdown
from tncompile.data import share
from tncompile.errors import ConfigError

MINIMAL = "data: {name: digits}\nnet: {layers: S-16 N-30}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(MINIMAL)
    return path


def refused(path: Path, *overrides: str) -> list[str]:
    """Returns the lines of the message with which a file is refused."""
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, overrides)
    return str(caught.value).splitlines()


def test_defaults(file: Path) -> None:
    experiment = load_experiment(file)
    assert experiment.name == "small"
    assert experiment.arch == TRUENORTH
    assert experiment.seed == 0
    assert experiment.compile == {}
    assert experiment.simulate == SimulateConfig()


def test_arch_takes_what_is_given_and_keeps_the_rest(file: Path) -> None:
    file.write_text(MINIMAL + "arch: {grid: [8, 16], dead_cores: [[1, 2], [3, 4]]}\n")
    assert load_experiment(file).arch == ChipArch(grid=(8, 16), dead_cores=((1, 2), (3, 4)))


def test_seed_and_overrides(file: Path) -> None:
    experiment = load_experiment(
        file,
        ["train.epochs=3", "seed=4", "train.learning_rate=1", "arch.dead_cores=[[0, 1]]", "compile.pack.x=no",
         "data={name: mnist}", "data.root=a=b", "name='1e-3'", "train.epochs=5"],
        seed=9,
    )  # fmt: skip
    assert (experiment.seed, experiment.train.epochs, experiment.train.learning_rate) == (9, 5, 1.0)
    assert isinstance(experiment.train.learning_rate, float)
    assert experiment.arch.dead_cores == ((0, 1),)
    assert experiment.compile == {"pack": {"x": "no"}}
    assert (experiment.data.name, experiment.data.root, experiment.name) == ("mnist", "a=b", "1e-3")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs", "must be KEY=VALUE"),
        ("=3", "must be KEY=VALUE"),
        ("train..epochs=3", "must be KEY=VALUE"),
        ("train.epochs={", "is not valid YAML"),
        ("data.name.x=3", 'data.name is "digits" (a string), not a mapping'),
        ("trian.epochs=3", "trian: unknown key; did you mean train?"),
        ("train.epoch=3", "train.epoch: unknown key; did you mean epochs?"),
        ("train.zzz=3", "train.zzz: unknown key; the keys here are epochs, batch"),
        ("net.layers=[{kernel: 1, feature: 3}]", "net.layers.0.feature: unknown key; did you mean features?"),
        ("arch.axon=3", "arch.axon: unknown key; did you mean axons"),
        ("train.epochs=ten", 'train.epochs: is "ten" (a string), expected a valid integer'),
        ("train.epochs=2.5", "train.epochs: is 2.5 (a number), expected a valid integer"),
        ("train.epochs=true", "train.epochs: is true (a boolean), expected a valid integer"),
        ("train.epochs=", "train.epochs: is empty, expected a valid integer"),
        ("train.epochs=0", "train.epochs: is 0 (an integer), expected greater than or equal to 1"),
        ("train.learning_rate='1'", 'train.learning_rate: is "1" (a string), expected a valid number'),
        ("train=[1]", "train: is [1] (a list), expected a mapping"),
        ("arch.grid=[1, 2, 3]", "arch.grid: is [1, 2, 3] (a list)"),
        ("arch.grid=[0, 1]", "arch: grid: both sizes must be at least 1"),
        ("data.name=imagenet", "data.name: 'imagenet' is no data set; there are cifar10, "),
        ("data.name=mnits", "data.name: 'mnits' is no data set; did you mean mnist"),
        ("data.name=../tests", "data.name: '../tests' is no data set; "),
        ("compile.pack=3", "compile.pack: is 3 (an integer), expected a mapping"),
        ("seed=-1", "seed: is -1"),
        ("name=3", "name: is 3 (an integer), expected a valid string"),
        ("net.layers=S-0 N-3", "net.layers: 'S-0' in 'S-0 N-3' is no layer"),
        ("simulate.frames=0", "simulate.frames: is 0"),
    ],
)
def test_wrong_overrides(file: Path, override: str, message: str) -> None:
    lines = refused(file, override)
    assert any(line.startswith(f"--set {override}") and message in line for line in lines), lines


def test_all_problems_at_once_with_their_lines(file: Path) -> None:
    file.write_text("data:\n  name: digits\n  rot: x\ntrain:\n  epochs: ten\n  batch: 2\nsed: 3\n")
    assert sorted(refused(file, "train.batch=0")) == sorted(
        [
            f"{file}:3: data.rot: unknown key; did you mean root?",
            f'{file}:5: train.epochs: is "ten" (a string), expected a valid integer',
            f"{file}:7: sed: unknown key; did you mean seed?",
            f"{file}:1: net: is missing; this key is required",
            "--set train.batch=0: train.batch: is 0 (an integer), expected greater than or equal to 1",
        ]
    )


@pytest.mark.parametrize(("content", "found"), [("", "empty"), ("[1]", "[1] (a list)"), ("no", '"no" (a string)')])
def test_a_file_that_is_no_mapping(file: Path, content: str, found: str) -> None:
    file.write_text(content)
    assert refused(file) == [f"{file}: must be a mapping of keys to values, is {found}"]


def test_duplicate_key_and_missing_file(file: Path, tmp_path: Path) -> None:
    file.write_text(MINIMAL + "seed: 1\nseed: 2\n")
    assert refused(file) == [f"{file}:4: key 'seed' stands twice; remove one"]
    assert "cannot be read" in refused(tmp_path / "none.yaml")[0]


def test_long_values_are_cut_in_messages(file: Path) -> None:
    (line,) = refused(file, f"train.epochs=[{', '.join('1' * 200)}]")
    assert line.split("train.epochs: is ")[1].startswith("[1, 1,")
    assert "... (a list)" in line


def test_parse_config_names_the_section() -> None:
    with pytest.raises(ConfigError, match=r"^compile.x.frame: unknown key; did you mean frames\?$"):
        parse_config(SimulateConfig, {"frame": 3}, "compile.x")


def test_dump_loads_back_equal(file: Path, tmp_path: Path) -> None:
    file.write_text(MINIMAL + "name: 'no'\narch: {dead_cores: [[1, 2]]}\ncompile: {pack: {rate: 1e-7, name: '1e3'}}\n")
    experiment = load_experiment(file, ["net.hysteresis=1e-05"])
    (tmp_path / "again.yaml").write_text(dump_experiment(experiment))
    assert load_experiment(tmp_path / "again.yaml") == experiment
    assert resolved(load_experiment(tmp_path / "again.yaml")) == resolved(experiment)


def test_experiments_load() -> None:
    files = sorted(share("experiments").glob("*.yaml"))
    assert {"digits.yaml", "fashion_mnist.yaml", "cifar10_1chip.yaml"} <= {f.name for f in files}
    for path in files:
        assert load_experiment(path).name == path.stem


def test_reference_lists_every_key(file: Path) -> None:
    def leaves(value: object, path: str) -> set[str]:
        match value:
            case dict() if value and path != "compile":
                return set().union(*(leaves(v, f"{path}.{k}" if path else k) for k, v in value.items()))
            case [dict() as first, *_]:
                return leaves(first, f"{path}[]")
            case _:
                return {path}

    listed = {key.path for key in keys(Experiment)}
    used = leaves(resolved(load_experiment(file, ["train.teacher.run=teacher"])), "")  # else null
    assert used <= listed
    assert {path for path in listed if not any(p.startswith((f"{path}.", f"{path}[")) for p in listed)} == used


def test_reference_shows_types_bounds_and_defaults() -> None:
    found = {key.path: key for key in keys(SimulateConfig, "simulate.")}
    assert (found["simulate.frames"].type, found["simulate.frames"].default) == ("integer ≥ 1 or null", "null")
    assert found["simulate.engine"].default == '"auto"'
    table = markdown(Experiment)
    assert "| `train.optimizer` | `sgd` or `adam`" in table
    assert "| `net.layers` | list of mapping | `required` |" in table
    assert "| `arch.grid` | [integer, integer] | `[64, 64]` |" in table
    assert all(line.count(" | ") >= 3 for line in table.splitlines()[2:])


def test_every_key_outside_the_chip_has_a_description() -> None:
    assert [key.path for key in keys(Experiment) if not key.description and key.path != "arch.name"] == []


def test_plain_yaml_tools_read_what_is_dumped(file: Path) -> None:
    data = yaml.safe_load(dump_experiment(load_experiment(file)))
    assert data["net"]["layers"][0]["features"] == 16
