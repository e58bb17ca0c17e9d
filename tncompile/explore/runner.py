"""Runs the points of a sweep side by side: as processes of this machine, or as jobs of a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tncompile.config.yaml import parse_yaml
from tncompile.errors import ArtifactError, ConfigError, InternalError
from tncompile.explore.lock import process_cores
from tncompile.explore.task import INTERRUPTED, Outcome, Task, model_ready
from tncompile.workflow import RunFolder

LOG = "log.txt"
"""What the worker of a point has to say, in the point's folder."""

JOBS = "jobs"
"""Folder in which a cluster's jobs leave their files."""

_JOB_MINUTES = 24 * 60
"""How long a cluster's job may take, if nobody says otherwise [min]."""

_THREADS = ("PJRT_NPROC", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that bound the threads of XLA, Numba and BLAS."""

_FROM_OUTSIDE = ("SIGINT", "SIGTERM", "SIGKILL", "SIGHUP")
"""Signals that others send to end a process; what ends by another one has a fault."""


@runtime_checkable
class Workers(Protocol):
    """Where points are worked on."""

    def __call__(self, task: Task) -> Outcome:
        """Does a task and waits for its end; called from several threads at once."""
        ...

    def stop(self) -> None:
        """Ends all that were started and are not through."""
        ...


def run_process(
    task: Task,
    threads: int | None = None,
    started: Callable[[subprocess.Popen[str]], None] = lambda process: None,
) -> Outcome:
    """Does a task in a process of its own, whatever happens to that, and waits for its end.

    Args:
        task: what to do.
        threads: how many it may compute with; None: as many as there are.
        started: is given the process, whose stdin ends it when it is closed.
    """
    try:
        RunFolder(Path(task.folder)).create()
        return _run_process(task, threads, started)
    except ArtifactError as error:
        return Outcome(code=error.exit_code, message=str(error))
    except OSError as error:
        return Outcome.of_system(error)


def _run_process(task: Task, threads: int | None, started: Callable[[subprocess.Popen[str]], None]) -> Outcome:
    folder = Path(task.folder)
    environment = dict(os.environ)
    if threads is not None:
        environment |= {name: str(threads) for name in _THREADS}
    # Several processes share a GPU only if none takes all of its memory at once.
    environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    lines: list[str] = []
    command = [sys.executable, "-m", "tncompile.explore.worker"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        suppress(BrokenPipeError),  # of what it did not read, if it ended at once
        (folder / LOG).open("a") as log,
        # In a session of its own: Ctrl-C on the terminal is for the sweep, which then ends its workers.
        subprocess.Popen(command, **pipes, stderr=log, text=True, env=environment, start_new_session=True) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        started(process)
        with suppress(BrokenPipeError, ValueError):  # it has ended already, or was told to
            process.stdin.write(json.dumps(task.to_json()) + "\n")
            process.stdin.flush()
        lines = process.stdout.read().splitlines()
        process.wait()
    try:
        return Outcome(**json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError):
        return _ending(process.returncode, folder / LOG)


def _ending(code: int, log: Path) -> Outcome:
    """Returns the outcome of a process that did not tell any.

    Args:
        code: its exit code, or minus the number of the signal that ended it.
        log: what it wrote.
    """
    name = ""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    how = f"was ended by {name}" if name else f"ended with code {code}"
    why = ", as when memory runs out" * (name == "SIGKILL")
    return Outcome(
        code=INTERRUPTED if name in _FROM_OUTSIDE else InternalError.exit_code,
        message=f"the point's process {how}{why}; {log} may say why",
    )


class LocalWorkers:
    """Processes of this machine, which share its cores.

    Args:
        width: how many there may be at a time.
    """

    def __init__(self, width: int):
        self._threads = max(1, process_cores() // width)
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __call__(self, task: Task) -> Outcome:
        begun: list[subprocess.Popen[str]] = []

        def started(process: subprocess.Popen[str]) -> None:
            with self._lock:
                begun.append(process)
                self._processes.add(process)
                if self._stopped:
                    _ask_to_end(process)

        try:
            return run_process(task, self._threads, started)
        finally:
            with self._lock:
                self._processes.difference_update(begun)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._processes:
                _ask_to_end(process)


def _ask_to_end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()


class ClusterWorkers:
    """Jobs of a cluster, each of which runs a task as `LocalWorkers` would, by submitit.

    Args:
        cluster: as submitit names it: `slurm`, or `local` and `debug`, which need no cluster.
        options: `key=value` each, for submitit's `update_parameters`; values are YAML.
        folder: where the jobs' files go; all machines must have it under the same path.

    Raises:
        ConfigError: submitit is not installed, or knows no such cluster or option.
    """

    def __init__(self, cluster: str, options: Sequence[str], folder: Path):
        parameters: dict[str, Any] = {"timeout_min": _JOB_MINUTES, "name": "tncompile"}
        for option in options:
            key, equals, value = option.partition("=")
            if not equals or not key.strip():
                raise ConfigError(f"--cluster-options {option}: must be KEY=VALUE, for example timeout_min=60")
            parameters[key.strip()] = parse_yaml(value, f"--cluster-options {option}", lines=False).values
        # Its log would go to stdout, which is for results.
        os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")
        try:
            import submitit
        except ImportError as error:
            raise ConfigError(f"--cluster: needs submitit ({error}); pip install 'tncompile[cluster]'") from error
        try:
            self._executor = submitit.AutoExecutor(folder, cluster=cluster)
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"--cluster {cluster}: {error}; submit from a machine of that cluster") from error
        try:
            self._executor.update_parameters(**parameters)
        except (NameError, ValueError, TypeError, AssertionError) as error:
            raise ConfigError(f"--cluster-options: {error}") from error
        self._jobs: list[Any] = []
        self._lock = threading.Lock()
        self._stopped = False

    def __call__(self, task: Task) -> Outcome:
        with self._lock:  # submitit submits from one thread at a time
            if self._stopped:
                return Outcome(code=INTERRUPTED, message="was not begun")
            job = self._executor.submit(run_process, task)
            self._jobs.append(job)
        try:
            return job.result()
        except Exception as error:
            message = str(error).strip().splitlines()[0]
            return Outcome(code=InternalError.exit_code, message=f"job {job.job_id}: {message}; see {job.paths.stderr}")

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for job in self._jobs:
                if not job.done():
                    job.cancel()


def run_tasks(
    tasks: Mapping[int, Task],
    workers: Workers,
    width: int,
    begin: Callable[[int], None],
    end: Callable[[int, Outcome], None],
) -> None:
    """Does tasks, several at a time, in their order as far as it can be.

    Of those that share a training, one goes ahead until the model is there. If the training fails for another reason
    than the chip that it was for, it would for the others as well, and they get the same outcome.

    Args:
        tasks: by number.
        workers: who does them.
        width: how many at a time.
        begin: is told the number of a task that begins.
        end: is told the number of a task that ended, and how.
    """
    waiting, running = dict(tasks), dict[Future[Outcome], int]()
    there: set[str | None] = {None}  # the trainings that are finished
    there |= {
        shared.trained for shared in {task.trained: task for task in tasks.values()}.values() if model_ready(shared)
    }
    broken: dict[str | None, Outcome] = {}
    with _pool(width, workers) as pool:
        while waiting or running:
            ahead = {tasks[number].trained for number in running.values()} - there
            for number, task in list(waiting.items()):
                if task.trained in broken:
                    end(number, broken[task.trained])
                elif len(running) < width and task.trained not in ahead:
                    begin(number)
                    running[pool.submit(workers, task)] = number
                    ahead |= {task.trained} - there
                else:
                    continue
                del waiting[number]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number, outcome = running.pop(future), future.result()
                task = tasks[number]
                if outcome.step == "train" and outcome.status == "failed":
                    broken[task.trained] = outcome
                elif task.trained not in there and model_ready(task):
                    there.add(task.trained)
                end(number, outcome)


@contextmanager
def _pool(width: int, workers: Workers) -> Iterator[ThreadPoolExecutor]:
    """Gives threads that wait for workers; ends the workers if what runs inside ends before them."""
    pool = ThreadPoolExecutor(width)
    try:
        yield pool
    except BaseException:
        workers.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
