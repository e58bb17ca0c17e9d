"""Who works when: points that share a training, workers that die, and the end of those that are not through."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tncompile.explore import runner
from tncompile.explore.runner import LOG, LocalWorkers, run_process, run_tasks
from tncompile.explore.task import Outcome, Task

OK = Outcome()


def task(number: int, trained: str | None = None) -> Task:
    return Task(experiment={"number": number}, folder=str(number), steps=("train",), trained=trained)


class Fake:
    """Workers that note what they do.

    Args:
        outcomes: by the point's number; what is left out is well.
        there: the trainings that are finished; changed.
    """

    def __init__(self, outcomes: dict[int, Outcome], there: set[str]):
        self.outcomes, self.there = outcomes, there
        self.begun: list[int] = []
        self.at_work: set[int] = set()
        self.most = 0
        self.trainings: list[str] = []
        self.stopped = False
        self._lock = threading.Lock()

    def __call__(self, task: Task) -> Outcome:
        number = task.experiment["number"]
        with self._lock:
            self.begun.append(number)
            self.at_work.add(number)
            self.most = max(self.most, len(self.at_work))
        outcome = self.outcomes.get(number, OK)
        if task.trained is not None and task.trained not in self.there and outcome.step != "train":
            self.trainings.append(task.trained)
            self.there.add(task.trained)
        time.sleep(0.001)
        with self._lock:
            self.at_work.remove(number)
        return outcome

    def stop(self) -> None:
        self.stopped = True


def run(monkeypatch: pytest.MonkeyPatch, tasks: dict[int, Task], workers: Fake, width: int) -> dict[int, Outcome]:
    """Runs tasks and returns how each ended."""
    monkeypatch.setattr(runner, "model_ready", lambda task: task.trained is None or task.trained in workers.there)
    ended: dict[int, Outcome] = {}
    begun: list[int] = []

    def end(number: int, outcome: Outcome) -> None:
        assert number not in ended
        ended[number] = outcome

    run_tasks(tasks, workers, width, begun.append, end)
    assert sorted(begun) == sorted(workers.begun)
    return ended


@settings(max_examples=40)
@given(st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=12), st.integers(1, 5), st.sets(st.just("b")))
def test_every_point_is_done_once_and_every_model_trained_once(
    shared: list[str | None], width: int, there: set[str]
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        workers = Fake({}, set(there))
        tasks = {number: task(number, trained) for number, trained in enumerate(shared)}
        assert run(monkeypatch, tasks, workers, width) == dict.fromkeys(tasks, OK)
    assert sorted(workers.begun) == sorted(tasks)
    assert sorted(workers.trainings) == sorted({name for name in shared if name} - there)
    assert workers.most <= width


def test_a_training_that_fails_is_not_tried_again_for_other_points(monkeypatch: pytest.MonkeyPatch) -> None:
    diverged = Outcome(code=2, step="train", message="training diverged")
    workers = Fake({0: diverged}, set())
    tasks = {0: task(0, "a"), 1: task(1, "a"), 2: task(2, "b"), 3: task(3, "a")}
    assert run(monkeypatch, tasks, workers, 2) == {0: diverged, 1: diverged, 2: OK, 3: diverged}
    assert sorted(workers.begun) == [0, 2]


def test_a_training_that_does_not_fit_one_chip_is_left_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    tight = Outcome(code=3, step="train", message="does not fit")
    workers = Fake({0: tight, 1: tight}, set())
    tasks = {number: task(number, "a") for number in range(4)}
    assert run(monkeypatch, tasks, workers, 4) == {0: tight, 1: tight, 2: OK, 3: OK}
    assert workers.begun[:3] == [0, 1, 2] and workers.trainings == ["a"]


def test_an_interrupt_stops_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(number: int, outcome: Outcome) -> None:
        raise KeyboardInterrupt

    workers = Fake({}, set())
    with pytest.raises(KeyboardInterrupt):
        run_tasks({0: task(0), 1: task(1)}, workers, 1, lambda number: None, interrupt)
    assert workers.stopped and workers.begun == [0]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a shell script in the worker's place."""

    def program(script: str) -> Task:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        return Task(experiment={}, folder=str(tmp_path / "point"), steps=("compile",))

    return program


def test_a_worker_that_is_killed_is_an_outcome(program, tmp_path: Path) -> None:
    outcome = run_process(program("echo out of memory >&2; kill -9 $$"))
    message = f"the point's process was ended by SIGKILL, as when memory runs out; {tmp_path}/point/{LOG} may say why"
    assert outcome == Outcome(code=130, message=message)
    assert (tmp_path / "point" / LOG).read_text() == "out of memory\n"


def test_a_worker_that_says_nothing_is_an_outcome(program) -> None:
    assert run_process(program("exit 7")).message.startswith("the point's process ended with code 7; ")
    assert run_process(program("echo Killed")).code == 70


@pytest.mark.parametrize("name, code", [("TERM", 130), ("HUP", 130), ("INT", 130), ("SEGV", 70), ("ABRT", 70)])
def test_only_what_others_send_is_an_interrupt(name: str, code: int, program) -> None:
    outcome = run_process(program(f"kill -{name} $$"))
    assert (outcome.code, outcome.message.split(";")[0]) == (code, f"the point's process was ended by SIG{name}")


def test_a_folder_that_cannot_be_made_is_an_outcome(program, tmp_path: Path) -> None:
    (tmp_path / "point").write_text("")
    message = f"{tmp_path}/point: cannot be made: File exists; choose another --out"
    assert run_process(program("exit 0")) == Outcome(code=4, message=message)


def test_a_log_that_cannot_be_written_is_an_outcome(program, tmp_path: Path) -> None:
    log = tmp_path / "point" / LOG
    log.mkdir(parents=True)
    message = f"{log}: Is a directory; make room, or choose another place"
    assert run_process(program("exit 0")) == Outcome(code=4, message=message)


def test_a_worker_is_told_its_task_and_its_threads(program, tmp_path: Path) -> None:
    told = tmp_path / "told"
    asked = program(f'read line; echo "$line" > {told}; echo "$NUMBA_NUM_THREADS" >> {told}; echo \'{{"code": 3}}\'')
    assert run_process(asked, 5).status == "infeasible"
    line, threads = told.read_text().splitlines()
    assert (Task.from_json(json.loads(line)), threads) == (asked, "5")


def test_stopping_closes_what_keeps_a_worker_going(program) -> None:
    waiting = program("read task; echo ready >&2; read nothing; echo '{\"code\": 130}'")
    workers, outcomes = LocalWorkers(1), []
    thread = threading.Thread(target=lambda: outcomes.append(workers(waiting)))
    thread.start()
    log = Path(waiting.folder) / LOG
    while not (log.exists() and log.read_text()):
        time.sleep(0.01)
    workers.stop()
    thread.join(timeout=60)
    assert [outcome.code for outcome in outcomes] == [130]
    assert workers(waiting).code == 130  # and nothing begins any more
