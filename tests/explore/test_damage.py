"""What lies damaged in a sweep's folder: it counts as not done, is made anew, and stops no other point."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Outcome as Ended
from support.command_line import invoke

from tncompile.explore import sweep as sweeps
from tncompile.explore.points import grid_points
from tncompile.explore.runner import LocalWorkers
from tncompile.explore.sweep import Sweep, plan, run_sweep
from tncompile.explore.task import Outcome, done_steps, model_ready
from tncompile.explore.worker import work
from tncompile.reporter import Lines


@pytest.fixture
def sweep(swept: tuple[Path, Ended], arguments: tuple, tmp_path: Path) -> Sweep:
    """The last point of the sweep, which is done, in a copy of its folder."""
    out = tmp_path / "out"
    shutil.copytree(swept[0], out)
    whole = plan(arguments[1], grid_points(arguments[3:6:2]), out, overrides=["train.epochs=1"])
    return replace(whole, points=whole.points[-1:], tasks=whole.tasks[-1:])


def cut(path: Path) -> None:
    """Cuts off the end of a file."""
    path.write_bytes(path.read_bytes()[:-2])


def changed(section: str, **figures: Any) -> Callable[[Path], None]:
    """Returns what puts other figures into a section of a results.json."""

    def change(path: Path) -> None:
        results = json.loads(path.read_text())
        results[section] |= figures
        path.write_text(json.dumps(results))

    return change


DAMAGES: dict[str, tuple[str, Callable[[Path], Any], tuple[str, ...]]] = {
    # what happened: the file, how, and the steps that still count
    "nothing": ("results.json", lambda path: None, ("train", "compile", "simulate")),
    "digests are a number": ("results.json", changed("compile", digests_by_pass=7), ("train",)),
    "digest of another image": ("results.json", changed("compile", digest="0"), ("train",)),
    "digest is a list": ("results.json", changed("compile", digest=[]), ("train",)),
    "spikes that differ": ("results.json", changed("simulate", mismatched_spikes=1), ("train", "compile")),
    "results are no JSON": ("results.json", cut, ()),
    "results are empty": ("results.json", lambda path: path.write_text(""), ()),
    "image is cut": ("chip.safetensors", cut, ("train",)),
    "image is empty": ("chip.safetensors", lambda path: path.write_text(""), ("train",)),
    "model is cut": ("model.safetensors", cut, ()),
    "model is empty": ("model.safetensors", lambda path: path.write_text(""), ()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_only_what_is_whole_counts_as_done(damage: str, sweep: Sweep) -> None:
    name, happen, left = DAMAGES[damage]
    (task,) = sweep.tasks
    happen(Path(task.folder, name))
    assert done_steps(task) == left
    assert [row.status for row in sweep.rows] == ["done" if left == task.steps else "waiting"]


def test_an_image_that_nobody_asked_for_is_not_looked_at(sweep: Sweep) -> None:
    task = replace(sweep.tasks[0], steps=("train",))
    cut(Path(task.folder, "chip.safetensors"))
    assert done_steps(task) == task.steps


def test_a_damaged_model_that_points_share_is_trained_again(sweep: Sweep) -> None:
    task = replace(sweep.tasks[0], steps=("train",))
    assert task.trained is not None
    shared, own = (Path(folder, "model.safetensors") for folder in (task.trained, task.folder))
    before = shared.read_bytes()
    cut(shared)
    cut(own)
    assert not model_ready(task)
    said: list[str] = []
    assert work(task, Lines(said.append)) == Outcome()
    assert said[0].startswith(f"{shared}: not a whole safetensors file (")
    assert said[0].endswith("; it was truncated or altered; training it again")
    assert model_ready(task) and shared.read_bytes() == own.read_bytes() == before


@pytest.mark.parametrize("more", [{}, {"train": {"epochs": 1}}])
def test_a_training_whose_results_do_not_say_all_settings_is_not_taken(more: dict, sweep: Sweep) -> None:
    (task,) = sweep.tasks
    results = Path(str(task.trained), "results.json")
    told = json.loads(results.read_text())
    told["experiment"] = {key: told["experiment"][key] for key in ("name", "data", "net")} | more
    results.write_text(json.dumps(told))
    assert not model_ready(task)


def test_results_that_cannot_be_read_are_made_anew_without_a_training_too(sweep: Sweep) -> None:
    (trained,) = sweep.tasks
    folder = sweep.folder / "points" / "compiled"
    model = str(Path(trained.folder, "model.safetensors"))
    task = replace(trained, folder=str(folder), trained=None, model=model, steps=("compile",))
    folder.mkdir()
    (folder / "results.json").write_text("{")
    said: list[str] = []
    assert work(task, Lines(said.append)) == Outcome()
    assert said[0].startswith(f"{folder}/results.json: is not JSON") and said[0].endswith("; doing all of it again")
    assert done_steps(task) == task.steps


def test_an_error_of_the_system_is_an_outcome(sweep: Sweep) -> None:
    (task,) = sweep.tasks
    results = Path(task.folder, "results.json")
    results.unlink()
    results.mkdir()
    message = f"{results}: Is a directory; make room, or choose another place"
    assert work(task, Lines(print)) == Outcome(code=4, message=message)


@pytest.mark.parametrize("name", sweeps.PICTURES)
def test_a_picture_that_cannot_be_written_is_said(name: str, sweep: Sweep) -> None:
    picture = sweep.folder / name
    picture.unlink()
    picture.mkdir()
    said: list[str] = []
    table = run_sweep(sweep, LocalWorkers(1), 1, Lines(said.append))
    assert [row.status for row in table.rows] == ["done"]
    assert said[-1] == f"No picture: {picture}: cannot be removed: Is a directory; remove it"


def test_an_interrupt_tells_of_checkpoints_only_if_there_are_any(
    sweep: Sweep, arguments: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "run_tasks", interrupt)
    kept = "points are done and kept{}; the same command goes on with the rest\n"
    for out, count, more in (
        (sweep.folder, 3, ", and so are checkpoints of trainings"),
        (tmp_path / "new", 0, ""),
    ):
        outcome = invoke(*arguments[:-1], out)
        assert outcome.code == 130
        assert outcome.err.endswith(f"interrupted: {count} of 4 {kept.format(more)}")
