"""What is to be done for a point, and how far its folders say that it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tncompile.errors import ArtifactError, SimulationError
from tncompile.explore.points import canonical
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


def training_settings(experiment: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings of a resolved experiment that its trained model depends on."""
    settings = {key: experiment[key] for key in _TRAINING}
    return settings | {"train": {key: v for key, v in settings["train"].items() if key not in _ELSEWHERE}}


def model_ready(task: Task) -> bool:
    """Returns whether the training that a task needs is finished, or it needs none."""
    if task.trained is None:
        return True
    folder = RunFolder(Path(task.trained))
    results = _results(folder)
    return (
        "train" in results
        and folder.model(untrained=False).is_file()
        and canonical(training_settings(results["experiment"])) == canonical(training_settings(task.experiment))
    )


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
    compiled = results.get("compile", {"digests_by_pass": {}, "untrained": None})
    try:
        check_spikes(results)
    except SimulationError:
        results.pop("simulate")
    whole = {
        "train": "train" in results and folder.model(untrained=False).is_file(),
        "compile": step_names()[-1] in compiled["digests_by_pass"]
        and compiled["untrained"] == task.untrained
        and folder.image.is_file(),
        "simulate": "simulate" in results,
    }
    done = []
    for step in task.steps:
        if not whole[step]:
            break
        done.append(step)
    return tuple(done)


def _results(folder: RunFolder) -> dict[str, Any]:
    """Returns what a results.json says; {} if there is none, or it is damaged and must be made anew."""
    try:
        return folder.read_results()
    except ArtifactError:
        return {}
