"""The trained model that comes with the project compiles, and is what its results say."""

from __future__ import annotations

import json
from pathlib import Path

from support.command_line import invoke

from tncompile.nn.store import read_model
from tncompile.share import share

EXPERIMENTS = share("experiments")
MODEL = EXPERIMENTS / "models" / "cifar10_1chip.safetensors"


def test_it_is_small_and_of_the_committed_results() -> None:
    assert MODEL.stat().st_size < 2_000_000
    results = json.loads((EXPERIMENTS / "results" / "cifar10_1chip.json").read_text(encoding="utf-8"))
    training = read_model(MODEL)[0]["training"]
    assert training["accuracy"] == results["train"]["accuracy"] == results["simulate"]["accuracy"]
    assert training["data"]["files"] == results["train"]["data"]["files"]
    assert results["simulate"]["frames"] == 10_000
    assert results["compile"]["cores"] <= 4_096


def test_it_compiles_to_the_stage_of_the_committed_results(tmp_path: Path) -> None:
    yaml = EXPERIMENTS / "cifar10_1chip.yaml"
    done = invoke("compile", yaml, "--model", MODEL, "--stop-after", "pack", "--out", tmp_path, "--json", "-q")
    assert done.code == 0, done.err
    results = json.loads((EXPERIMENTS / "results" / "cifar10_1chip.json").read_text(encoding="utf-8"))
    for key in ("cores", "utilisation"):
        assert done.json["compile"][key] == results["compile"][key]
