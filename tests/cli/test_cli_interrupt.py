"""Ctrl-C in every phase: exit code 130, what is kept and how to go on, nothing half written."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Outcome, checked, command_line, environment, files, invoke


def interrupted(*arguments: Any, when: Callable[[str], bool]) -> Outcome:
    """Runs a command, sends SIGINT once a line on stderr is the one waited for, and returns how it ended."""
    command = command_line(*arguments)
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as run:
        assert run.stderr is not None
        for line in run.stderr:
            lines.append(line)
            if when(line):
                run.send_signal(signal.SIGINT)
                break
        out, rest = run.communicate(timeout=60)
    return checked(Outcome(run.returncode, out, "".join(lines) + rest))


def advised(outcome: Outcome, kept: str) -> list[str]:
    """Checks the message of an interrupt, and returns the arguments that it tells to go on with."""
    assert (outcome.code, outcome.out) == (130, ""), outcome
    message, command = outcome.err.splitlines()[-1].split("; go on with: ")
    assert message == f"interrupted: {kept}"
    program, *arguments = shlex.split(command)
    assert program == "tncompile"
    return arguments


def assert_whole(folder: Path) -> None:
    """Checks that no temporary file is left and that results, if any, are JSON."""
    names = {Path(name).name for name in files(folder)}
    assert not [name for name in names if "tmp" in name or name.startswith(".")]
    if "results.json" in names:
        json.loads((folder / "results.json").read_text())


def test_while_training(write: Callable[..., Path], tmp_path: Path) -> None:
    long, once, folder = write("epochs: 2", "epochs: 30"), tmp_path / "once", tmp_path / "a run"
    outcome = interrupted("train", long, "--out", folder, "--seed", 3, when=lambda line: line.startswith("  train "))
    arguments = advised(outcome, f"the checkpoints in {folder}/train are kept")
    assert arguments == ["train", str(long), "--out", str(folder), "--seed", "3", "--resume"]
    checkpoints = {f"train/checkpoints/epoch-{epoch:06}.safetensors" for epoch in range(30)}
    assert set(files(folder)) <= checkpoints | {"train/metrics.jsonl"}
    # There is no model yet, and every command says so.
    assert invoke("simulate", folder).code == invoke("compile", long, "--out", folder).code == 4

    resumed = invoke(*arguments, "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json["train"]["epochs"] == 30
    assert_whole(folder)
    assert invoke("train", long, "--out", once, "--seed", 3, "--quiet").code == 0
    assert (folder / "model.safetensors").read_bytes() == (once / "model.safetensors").read_bytes()


def test_while_compiling(folder: Path, write: Callable[..., Path]) -> None:
    slow = write("moves: 10", "moves: 500000")
    outcome = interrupted("compile", slow, "--out", folder, when=lambda line: line.startswith("  partition "))
    arguments = advised(outcome, f"the stages in {folder}/stages are kept")
    assert arguments == ["compile", str(slow), "--out", str(folder), "--start-from", "place"]
    assert_whole(folder)
    assert sorted(path.name for path in (folder / "stages").iterdir()) == [
        "0-export.safetensors", "1-trinarize.safetensors", "2-pack.safetensors", "3-partition.safetensors",
    ]  # fmt: skip
    results = json.loads((folder / "results.json").read_text())
    assert tuple(results["compile"]["seconds_by_pass"]) == ("export", "trinarize", "pack", "partition")
    assert "simulate" not in results
    assert invoke("simulate", folder).code == 4  # there is no image
    went_on = invoke(*arguments, "--set", "compile.place.moves=10", "--json")
    assert went_on.code == 0, went_on.err
    assert invoke("simulate", folder, "--json").json["simulate"]["mismatched_spikes"] == 0


def test_while_simulating(folder: Path) -> None:
    before = files(folder)
    command = ("simulate", folder, "--random-images", "--frames", 200000)
    outcome = interrupted(*command, when=lambda line: line.startswith("  simulate "))
    assert advised(outcome, "the chip image is kept") == ["simulate", str(folder)]
    assert files(folder) == before


@pytest.mark.parametrize(
    "phase, kept, command",
    [
        ("train", "nothing is lost", "run {tiny} --out {dir} --seed 2 --set train.epochs=1 --resume"),
        ("compile", "the model is kept", "compile {tiny} --out {dir} --seed 2 --set train.epochs=1"),
        ("simulate", "the chip image is kept", "simulate {dir}"),
    ],
)
def test_run_advises_by_the_phase_that_it_is_in(
    phase: str, kept: str, command: str, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    for step in ("train", "compile", "simulate"):
        monkeypatch.setattr(f"tncompile.workflow.{step}_step", interrupt if step == phase else lambda *_, **__: None)
    outcome = invoke("run", experiment, "--out", tmp_path / "run", "--set", "train.epochs=1", "--seed", 2)
    expected = command.format(tiny=experiment, dir=tmp_path / "run").split()
    assert advised(outcome, kept) == expected
