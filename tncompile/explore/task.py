"""What is to be done for a point, and how far its folders say that it is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tncompile.errors import ArtifactError, SimulationError
from tncompile.explore.points import canonical
from tncompile.ir import ChipImage
from tncompile.ir.io import read_header
from tncompile.pipeline import step_names
from tncompile.workflow import SECTIONS, RunFolder, check_spikes

STEPS = tuple(SECTIONS)
"""What may be done for a point, in this order; each leaves a section in results.json."""

INTERRUPTED = 130
"""Exit code of what was ended from outside."""

_TRAINING = ("seed", "data", "net", "train")
"""The parts of an experiment that a training depends on: points that differ in others only share a model."""

_ELSEWHERE = ("devices", "checkpoint_every")
"""The keys of `train` that say how and where the work is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A point's work, as JSON data.

    Attributes:
        experiment: resolved.
        folder: the point's run folder.
        steps: of `STEPS`; without `train`, weights are random or those of `model`.
        trained: with `train` among the steps, the run folder of the training, which other points may share.
        model: a model file to compile; None: the trained one, or random weights.
    """

    experiment: dict[str, Any]
    folder: str
    steps: tuple[str, ...]
    trained: str | None = None
    model: str | None = None

    @property
    def untrained(self) -> bool:
        """Whether the weights are random."""
        return self.trained is None and self.model is None

    def to_json(self) -> dict[str, Any]:
        """Returns the task as JSON data, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Task:
        """Returns the task that `to_json` gave."""
        arguments: dict[str, Any] = values | {"steps": tuple(values["steps"])}
        return cls(**arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a point's work ended.

    Attributes:
        code: 0, or the exit code that the command of the step would have ended with.
        step: the last step that was begun; empty: none.
        message: what went wrong.
    """

    code: int = 0
    step: str = ""
    message: str = ""

    @property
    def status(self) -> Literal["done", "infeasible", "failed"]:
        """The outcome in a word."""
        return {0: "done", 3: "infeasible"}.get(self.code, "failed")  # type: ignore[return-value]

    @classmethod
    def of_system(cls, error: OSError, step: str = "") -> Outcome:
        """Returns what an error of a file or of the system comes to, as the command of the step would say it."""
        what = error.filename or step or "the point"
        message = f"{what}: {error.strerror or error}; make room, or choose another place"
        return cls(code=ArtifactError.exit_code, step=step, message=message)


def training_settings(experiment: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings of a resolved experiment that its trained model depends on."""
    settings = {key: experiment.get(key) for key in _TRAINING}
    return settings | {"train": {key: v for key, v in experiment.get("train", {}).items() if key not in _ELSEWHERE}}


def model_ready(task: Task) -> bool:
    """Returns whether the training that a task needs is finished and its model whole, or it needs none."""
    if task.trained is None:
        return True
    folder = RunFolder(Path(task.trained))
    results = _results(folder)
    return (
        "train" in results
        and folder.metrics.is_file()
        and canonical(training_settings(results["experiment"])) == canonical(training_settings(task.experiment))
        and model_damage(folder) is None
    )


def model_damage(folder: RunFolder) -> str | None:
    """Returns why the trained model of a run folder cannot be taken, None if it can."""
    from tncompile.nn import read_model

    try:
        read_model(folder.model(untrained=False))
    except ArtifactError as error:
        return str(error)
    return None


def finished(task: Task) -> dict[str, Any] | None:
    """Returns results.json's content if all steps of a task are done, else None."""
    done = done_steps(task)
    return _results(RunFolder(Path(task.folder))) if all(step in done for step in task.steps) else None


def done_steps(task: Task) -> tuple[str, ...]:
    """Returns the steps of a task whose results lie whole in its folder, made by this very experiment."""
    folder = RunFolder(Path(task.folder))
    results = _results(folder)
    if canonical(results.get("experiment")) != canonical(task.experiment):
        return ()
    return tuple(itertools.takewhile(lambda step: _WHOLE[step](task, folder, results), task.steps))


def _trained(task: Task, folder: RunFolder, results: dict[str, Any]) -> bool:
    return "train" in results and model_damage(folder) is None


def _compiled(task: Task, folder: RunFolder, results: dict[str, Any]) -> bool:
    """Returns whether all passes were run, and the image that they came to is there, whole."""
    figures = results.get("compile", {})
    passes = figures.get("digests_by_pass")
    if not isinstance(passes, dict) or step_names()[-1] not in passes or figures["untrained"] != task.untrained:
        return False
    try:
        header = read_header(folder.image)
    except ArtifactError:
        return False
    return (header.kind, header.digest) == (ChipImage.__name__, figures["digest"])


def _simulated(task: Task, folder: RunFolder, results: dict[str, Any]) -> bool:
    try:
        check_spikes(results)
    except SimulationError:
        return False
    return "simulate" in results


_WHOLE: dict[str, Callable[[Task, RunFolder, dict[str, Any]], bool]] = {
    "train": _trained,
    "compile": _compiled,
    "simulate": _simulated,
}


def _results(folder: RunFolder) -> dict[str, Any]:
    """Returns what a results.json says; {} if there is none, or it is damaged and must be made anew."""
    try:
        return folder.read_results()
    except ArtifactError:
        return {}
