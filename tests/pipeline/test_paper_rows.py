"""The experiments of the paper's rows: their nets fit the data, and in the paper's number of cores."""

from __future__ import annotations

import json

import pytest

from tncompile.config.experiment import Experiment, load_experiment, resolved
from tncompile.data import load_spec
from tncompile.ir import CoreGraph, LogicalNet
from tncompile.nn import export_network
from tncompile.pipeline import DEFAULT_PIPELINE, check_capacity, pass_configs
from tncompile.share import share
from tncompile.workflow import build_model

EXPERIMENTS = share("experiments")
ROWS = json.loads((EXPERIMENTS / "paper.json").read_text(encoding="utf-8"))["rows"]
SMALL = sorted(path.stem for path in EXPERIMENTS.glob("*_small.yaml"))


def exported(experiment: Experiment) -> LogicalNet:
    return export_network(build_model(experiment, load_spec(experiment.data)), experiment.name)


def packed(experiment: Experiment) -> CoreGraph:
    """Returns the cores of the experiment's net with random weights, not placed, which takes longer than all before."""
    stage, configs = exported(experiment), pass_configs(experiment.compile)
    for step in DEFAULT_PIPELINE:
        stage = step.run(stage, experiment.arch, configs[step.name], seed=experiment.seed)
        if isinstance(stage, CoreGraph):
            return stage
    raise AssertionError("no pass gives a core graph")


@pytest.mark.parametrize("row", [row for row in ROWS if row["row"] != "svhn"], ids=lambda row: row["row"])
def test_the_network_for_one_chip_takes_no_more_cores_than_the_papers(row):
    experiment = load_experiment(EXPERIMENTS / f"{row['row']}_1chip.yaml")
    assert 0.85 * row["cores"] <= packed(experiment).cores <= row["cores"]
    assert experiment.arch.chips == 1


def test_svhn_has_the_network_of_cifar10():
    svhn, cifar10 = (load_experiment(EXPERIMENTS / f"{row}_1chip.yaml") for row in ("svhn", "cifar10"))
    assert (svhn.net, svhn.arch, svhn.compile) == (cifar10.net, cifar10.arch, cifar10.compile)
    assert load_spec(svhn.data).in_shape == load_spec(cifar10.data).in_shape


@pytest.mark.parametrize("name", SMALL)
def test_the_small_network_fits_one_chip(name):
    experiment = load_experiment(EXPERIMENTS / f"{name}.yaml")
    assert experiment.arch.chips == 1
    check_capacity(exported(experiment), experiment.arch, pass_configs(experiment.compile), seed=experiment.seed)


def test_each_row_has_a_small_experiment_and_a_page():
    for row in ROWS:
        assert f"{row['row']}_small" in SMALL
        assert (EXPERIMENTS / f"{row['row']}.md").is_file()


@pytest.mark.parametrize("name", [*(f"{row['row']}_1chip" for row in ROWS), *SMALL])
def test_every_class_has_the_same_number_of_features(name):
    experiment = load_experiment(EXPERIMENTS / f"{name}.yaml")
    assert experiment.net.layers[-1].features % load_spec(experiment.data).classes == 0


def committed() -> dict[str, dict]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (EXPERIMENTS / "results").glob("*.json")
    }


def test_no_committed_result_has_a_spike_that_differs():
    for name, results in committed().items():
        assert results["simulate"]["mismatched_spikes"] == 0, name
        assert results["simulate"]["accuracy"] == results["simulate"]["model_accuracy"], name
        assert not results["commit"].endswith("+"), f"{name} is of files that were changed and not committed"


def shared(recorded, now):
    """Returns of what is there now the keys that a record has too."""
    if not (isinstance(recorded, dict) and isinstance(now, dict)):
        return now
    return {key: shared(value, now[key]) for key, value in recorded.items()}


@pytest.mark.parametrize("name", sorted(committed().keys() & {*SMALL, "cifar10_1chip"}))
def test_results_are_of_the_experiment_as_it_stands(name):
    """Keys that came later are not in it; all that are must say the same."""
    results, now = committed()[name], resolved(load_experiment(EXPERIMENTS / f"{name}.yaml"))
    for section in ("net", "train", "data", "arch", "compile"):
        recorded = results["experiment"][section]
        assert recorded == shared(recorded, now[section])
    assert results["train"]["data"]["kind"] in {"real", "jpeg copy", "subset", "stand-in"}
    assert all(file["sha256"] for file in results["train"]["data"]["files"].values())
    assert results["simulate"]["images"] == results["experiment"]["data"]["name"]
