"""The work for one point, in a process of its own: `python -m tncompile.explore.worker`.

The process reads a `Task` as a line of JSON from stdin, and prints its `Outcome` as the last line of stdout. The end of
stdin, which comes when whoever started it ends in any way, is the request to end too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path

from tncompile import workflow
from tncompile.config.experiment import Experiment, dump_experiment, parse_config
from tncompile.errors import ArtifactError, InternalError, TnCompileError
from tncompile.explore.lock import alone
from tncompile.explore.task import INTERRUPTED, Outcome, Task, done_steps, model_damage, model_ready
from tncompile.ir.io import atomic_write, read_bytes
from tncompile.reporter import Lines, Reporter

_GRACE = 10.0
"""After a request to end, the process may clean up for so long [s]."""


def work(task: Task, reporter: Reporter) -> Outcome:
    """Does what is left of a point's steps, each once no other process is at it; errors become the outcome."""
    step = ""
    folder = Path(task.folder)
    try:
        experiment = parse_config(Experiment, task.experiment, "experiment")
        with ExitStack() as stack:
            _enter(stack, folder, reporter)
            _drop_damaged(workflow.RunFolder(folder), reporter)
            for step in task.steps[len(done_steps(task)) :]:
                _STEPS[step](task, experiment, reporter)
        return Outcome()
    except TnCompileError as error:
        return Outcome(code=error.exit_code, step=step, message=str(error))
    except KeyboardInterrupt:
        return Outcome(code=INTERRUPTED, step=step, message="was interrupted")
    except OSError as error:
        return Outcome.of_system(error, step)
    except Exception as error:
        traceback.print_exc()
        message = f"internal error: {type(error).__name__}: {error}"
        return Outcome(code=InternalError.exit_code, step=step, message=message)


def _train(task: Task, experiment: Experiment, reporter: Reporter) -> None:
    """Trains, or goes on with a training, or waits for that of another point; then takes the model over."""
    assert task.trained is not None
    shared, own = workflow.RunFolder(Path(task.trained)), workflow.RunFolder(Path(task.folder))
    with ExitStack() as stack:
        _enter(stack, shared.root, reporter)
        if not model_ready(task):
            if shared.model(untrained=False).exists() and (damage := model_damage(shared)):
                reporter.say(f"{damage}; training it again")
            workflow.train_step(experiment, shared, reporter, resume=True)
    own.forget(workflow.step_names())
    atomic_write(own.model(untrained=False), read_bytes(shared.model(untrained=False)))
    atomic_write(own.metrics, read_bytes(shared.metrics))
    atomic_write(own.experiment, dump_experiment(experiment))
    own.record(experiment, "train", shared.read_results()["train"])


def _compile(task: Task, experiment: Experiment, reporter: Reporter) -> None:
    model = None if task.model is None else Path(task.model)
    folder = workflow.RunFolder(Path(task.folder))
    workflow.compile_step(experiment, folder, reporter, untrained=task.untrained, model=model)


def _simulate(task: Task, experiment: Experiment, reporter: Reporter) -> None:
    """Simulates the test images, or random ones for random weights, which say nothing about real ones."""
    folder = workflow.RunFolder(Path(task.folder))
    random = experiment.seed if task.untrained else None
    workflow.check_spikes(workflow.simulate_step(experiment, folder, reporter, random=random))


_STEPS: dict[str, Callable[[Task, Experiment, Reporter], None]] = {
    "train": _train,
    "compile": _compile,
    "simulate": _simulate,
}


def _drop_damaged(folder: workflow.RunFolder, reporter: Reporter) -> None:
    """Removes a results.json that cannot be read, which no step would write over."""
    try:
        folder.read_results()
    except ArtifactError as error:
        reporter.say(f"{error}; doing all of it again")
        folder.results.unlink()


def _enter(stack: ExitStack, folder: Path, reporter: Reporter) -> None:
    workflow.RunFolder(folder).create()
    stack.enter_context(alone(folder, lambda: reporter.say(f"Another process is at work in {folder}; waiting for it")))


def _end_with(pipe: int) -> None:
    """Ends this process, cleanly if it can be, once a pipe is closed at its other end."""
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(INTERRUPTED)


def main() -> None:
    """Does the work for the task on stdin."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    task = Task.from_json(json.loads(sys.stdin.readline()))
    # Not by `sys.stdin`: the interpreter could not end while a thread is in its lock.
    threading.Thread(target=_end_with, args=(sys.stdin.fileno(),), daemon=True).start()
    log = Lines(lambda line: print(line, file=sys.stderr, flush=True))
    outcome = work(task, log)
    with suppress(OSError):  # a full disk, say, of which the outcome tells already
        log.say(outcome.message or "done")
    with suppress(BrokenPipeError):  # whoever started it may be gone
        os.write(sys.stdout.fileno(), f"\n{json.dumps(asdict(outcome))}\n".encode())


if __name__ == "__main__":
    main()
