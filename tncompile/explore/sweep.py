"""A sweep as a whole: from options to points, tasks, rows, files and a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tncompile import workflow
from tncompile.config.experiment import Experiment, resolved
from tncompile.data import load_spec
from tncompile.errors import ArtifactError, ConfigError, InternalError, SimulationError
from tncompile.explore.lock import alone, process_cores
from tncompile.explore.points import Point, load_points, name_of
from tncompile.explore.runner import JOBS, ClusterWorkers, LocalWorkers, Workers, run_tasks
from tncompile.explore.table import COLUMNS, OBJECTIVES, WAITING, Row, Table, figures_of, write_table
from tncompile.explore.task import INTERRUPTED, STEPS, Outcome, Task, finished, training_settings
from tncompile.ir.io import atomic_write, read_bytes
from tncompile.reporter import Reporter

POINTS, MODELS = "points", "models"
"""Folders in that of a sweep: a run folder for each point, and for each training that points share."""

_JOBS_AT_A_TIME = 256
"""So many jobs of a cluster are waited for, each by a thread."""

PICTURES = ("explore.png", "explore.svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is to be run.

    Attributes:
        name: of the experiment.
        folder: of the sweep.
        points: what varies.
        tasks: one a point.
        objectives: names of columns.
    """

    name: str
    folder: Path
    points: tuple[Point, ...]
    tasks: tuple[Task, ...]
    objectives: tuple[str, ...] = OBJECTIVES

    @property
    def rows(self) -> list[Row]:
        """A row for each point, with what lies finished in its folder."""
        return [
            _row(Row(point=point, folder=f"{POINTS}/{Path(task.folder).name}"), task)
            for point, task in zip(self.points, self.tasks, strict=True)
        ]

    @property
    def checkpoints(self) -> bool:
        """Whether a training has left some to go on from."""
        trainings = {task.trained for task in self.tasks if task.trained is not None}
        return any(any(workflow.RunFolder(Path(each)).train.glob("checkpoints/*")) for each in trainings)


def parse_steps(given: str | None, untrained: bool, model: Path | None) -> tuple[str, ...]:
    """Returns the steps that are done for each point.

    Args:
        given: names with commas between; None: all that there can be.
        untrained: compile random weights.
        model: compile this model.

    Raises:
        ConfigError: there is no such step, one before them is missing, or there are two models to compile.
    """
    if untrained and model is not None:
        raise ConfigError("--model: says which model to compile, and so does --untrained; leave one of them out")
    possible = STEPS if not untrained and model is None else STEPS[1:]
    if given is None:
        return possible
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in STEPS:
            raise ConfigError(f"--steps {given}: there is no step {name!r}; choose from {', '.join(STEPS)}")
    steps = tuple(step for step in STEPS if step in names)
    if STEPS[0] in steps and STEPS[0] not in possible:
        option = "--untrained" if untrained else "--model"
        raise ConfigError(f"--steps {given}: with {option} nothing is trained; leave train out")
    if len(steps) < len(names) or steps != possible[: len(steps)]:
        raise ConfigError(f"--steps {given}: must be the first of {', '.join(possible)}, each once")
    return steps


def plan(
    path: Path,
    points: Sequence[Point],
    out: Path | None,
    *,
    steps: str | None = None,
    untrained: bool = False,
    model: Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    objectives: Sequence[str] = OBJECTIVES,
) -> Sweep:
    """Returns a sweep after checking all that can be checked before the work.

    Args:
        path: the experiment.
        points: what varies.
        out: folder of the sweep; None: `runs/NAME-explore`.
        steps: as `parse_steps`.
        untrained: compile random weights.
        model: compile this model.
        overrides: keys that all points share, `a.b=v` each.
        seed: that all points share.
        objectives: names of columns.

    Raises:
        ConfigError: an option, or a point's experiment, is not valid.
        ArtifactError: the model cannot be read, or the folder is one of a run.
    """
    done = parse_steps(steps, untrained, model)
    weights = "untrained" if untrained else None if model is None else hashlib.sha256(read_bytes(model)).hexdigest()
    experiments = load_points(path, points, overrides, seed)
    for point, experiment in zip(points, experiments, strict=True):
        try:
            _check(experiment)
        except ConfigError as error:
            raise ConfigError(f"{error} (point {point.label})") from error
    name = experiments[0].name
    if out is None and Path("runs", name).name != name:
        raise ConfigError(f"name: {name!r} cannot be part of a folder's name; choose another one, or give --out")
    folder = (out or Path("runs", f"{name}-explore")).absolute()
    if workflow.RunFolder(folder).experiment.exists():
        raise ArtifactError(f"--out {folder}: is a run folder; name another one for the sweep")
    tasks = []
    for point, experiment in zip(points, experiments, strict=True):
        settings = resolved(experiment)
        trained = name_of(Point(values={"model": name}), training_settings(settings))
        tasks.append(
            Task(
                experiment=settings,
                folder=str(folder / POINTS / name_of(point, [settings, weights])),
                steps=done,
                trained=str(folder / MODELS / trained) if STEPS[0] in done else None,
                model=None if model is None else str(model.absolute()),
            )
        )
    return Sweep(name=name, folder=folder, points=tuple(points), tasks=tuple(tasks), objectives=tuple(objectives))


def _check(experiment: Experiment) -> None:
    """Checks what is known of an experiment by names alone."""
    workflow.check_trinary(experiment)
    workflow.check_options(experiment)
    load_spec(experiment.data)


def make_workers(sweep: Sweep, width: int | None, cluster: str | None, options: Sequence[str]) -> tuple[Workers, int]:
    """Returns who does the work, and how many tasks at a time.

    Args:
        sweep: what is to be done.
        width: tasks at a time; None: half as many as there are cores, and with a cluster `_JOBS_AT_A_TIME`.
        cluster: as `ClusterWorkers`; None: this machine.
        options: of the cluster.

    Raises:
        ConfigError: as `ClusterWorkers`, or there are options and no cluster.
    """
    if cluster is None:
        if options:
            raise ConfigError(f"--cluster-options {options[0]}: there is no --cluster NAME; give one, or leave it out")
        width = min(width or max(1, process_cores() // 2), len(sweep.tasks))
        return LocalWorkers(width), width
    return ClusterWorkers(cluster, options, sweep.folder / JOBS), width or min(len(sweep.tasks), _JOBS_AT_A_TIME)


def run_sweep(sweep: Sweep, workers: Workers, width: int, reporter: Reporter) -> Table:
    """Does what is left of a sweep, writes the table after each point, and draws it at the end.

    Args:
        sweep: what is to be done.
        workers: who does it.
        width: tasks at a time.
        reporter: takes progress.

    Raises:
        ArtifactError: the folder cannot be made, another process writes to it, or a file cannot be written.
    """

    def busy() -> None:
        raise ArtifactError(
            f"{sweep.folder}: another 'tncompile explore' is at work there; wait, or choose another --out"
        )

    workflow.RunFolder(sweep.folder).create()
    with alone(sweep.folder, busy):
        rows = sweep.rows
        left = {number: sweep.tasks[number] for number, row in enumerate(rows) if row.status != "done"}
        total, found = len(rows), len(rows) - len(left)
        trainings = len({task.trained for task in left.values()} - {None})
        kept = f", {found} of them done already" if found else ""
        learned = f"; {trainings} training{'s' * (trainings != 1)}" if trainings else ""
        beside = f"; {min(width, len(left))} at a time" if left else ""
        reporter.say(f"Exploring {sweep.name}: {total} point{'s' * (total != 1)}{kept}{learned}{beside}")

        def table() -> Table:
            return Table(name=sweep.name, rows=tuple(rows), objectives=sweep.objectives)

        def begin(number: int) -> None:
            reporter.say(f"  {number + 1}/{total} {sweep.points[number].label}: begins")

        def end(number: int, outcome: Outcome) -> None:
            row = replace(rows[number], status=outcome.status, code=outcome.code, message=outcome.message)
            rows[number] = _row(row, sweep.tasks[number])
            write_table(table(), sweep.folder)
            through = sum(row.status != WAITING for row in rows)
            reporter.say(f"  {number + 1}/{total} {sweep.points[number].label}: {_told(rows[number])}")
            failed = sum(row.status == "failed" for row in rows)
            reporter.progress("explore", through, total, {"failed": float(failed)} if failed else {})

        write_table(table(), sweep.folder)
        run_tasks(left, workers, width, begin, end)
        made = table()
        _draw(made, sweep.folder, reporter)
    return made


def check_failures(table: Table) -> None:
    """Checks that no point failed; what does not fit the chip is no failure, but an answer.

    Raises:
        TnCompileError: some did; of the class that the first one's error is of.
        KeyboardInterrupt: the first one's process was ended from outside.
    """
    failed = [row for row in table.rows if row.status == "failed"]
    if failed:
        kinds = {kind.exit_code: kind for kind in (ConfigError, ArtifactError, SimulationError)}
        first = failed[0]
        told = f"{len(failed)} of {len(table.rows)} points failed; {first.point.label}: {first.message}"
        if first.code == INTERRUPTED:
            raise KeyboardInterrupt(f"{told}; the same command goes on with the rest")
        raise kinds.get(first.code, InternalError)(told)


def _row(row: Row, task: Task) -> Row:
    """Returns a row with the figures of its task, if that is finished."""
    results = finished(task)
    if results is None:
        return row
    digest = results.get("compile", {}).get("digest", "")
    return replace(row, status="done", code=0, message="", digest=digest, figures=figures_of(results))


def _told(row: Row) -> str:
    """Returns in a few words how a point came out."""
    if row.status != "done":
        return f"{row.status}, {row.message.splitlines()[0]}"
    shown = (column for column in COLUMNS if column.name in OBJECTIVES and column.name in row.figures)
    return ", ".join(["done", *(f"{column.title} {column.shown(row.figures[column.name].value)}" for column in shown)])


def _draw(table: Table, folder: Path, reporter: Reporter) -> None:
    """Draws the table, or says why not; pictures of an earlier table do not stay."""
    from tncompile.report.plots.explore import chart_of, draw

    try:
        for name in PICTURES:
            (folder / name).unlink(missing_ok=True)
        chart = chart_of(table)
        if chart is None:
            reporter.say("No picture: it takes two objectives and a point that has both")
            return
        for name in PICTURES:
            atomic_write(folder / name, draw(chart, name.rpartition(".")[2]))
    except ImportError as error:
        reporter.say(f"No picture: that needs matplotlib ({error}); pip install 'tncompile[plot]'")
    except OSError as error:
        reporter.say(f"No picture: {error.filename}: cannot be removed: {error.strerror}; remove it")
    except ArtifactError as error:
        reporter.say(f"No picture: {error}")
