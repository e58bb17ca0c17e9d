"""What follows a training epoch by epoch: TensorBoard's event files, and a word if the images come too slowly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tncompile.errors import ArtifactError, ConfigError
from tncompile.train.loop import Epoch, EpochObserver

WAITING = 0.02
"""Share of an epoch's time that may go by waiting for images before it is worth a word."""

LEAST_WAITING = 0.5
"""Nor is it worth one below so much an epoch [s]: the first batch of a short epoch is always waited for."""

TAGS = {
    "loss": "loss",
    "accuracy/train": "train_accuracy",
    "accuracy/validation": "validation_accuracy",
    "accuracy/test": "test_accuracy",
    "learning_rate": "learning_rate",
    "seconds": "seconds",
    "waited": "waited",
}
"""TensorBoard's name of each measurement; a step is an epoch."""


def waits(epoch: Epoch) -> str | None:
    """Returns what to say of an epoch in which the training waited for its images; None if there is nothing to say.

    >>> calm = Epoch(epoch=3, loss=1.0, train_accuracy=0.5, validation_accuracy=None, test_accuracy=0.5,
    ...              learning_rate=0.1, seconds=60.0, waited=0.6)
    >>> waits(calm) is None
    True
    """
    if epoch.waited < LEAST_WAITING or epoch.waited <= WAITING * epoch.seconds:
        return None
    return (
        f"Epoch {epoch.epoch} waited {epoch.waited:.1f} of its {epoch.seconds:.1f} s for images: they are gathered and "
        "copied to the device more slowly than it takes them. Leave a processor core and enough memory for it, or "
        "use a larger train.batch"
    )


class InputWatch:
    """An observer that says so once, at the first epoch that waits for its images; those before a resume do not count.

    Args:
        say: takes a line for people.
    """

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._known: int | None = None
        self._said = False

    def __call__(self, history: Sequence[Epoch]) -> None:
        """Takes all epochs so far."""
        fresh = () if self._known is None else history[self._known :]
        self._known = len(history)
        text = next(filter(None, map(waits, fresh)), None)
        if text is not None and not self._said:
            self._said = True
            self._say(text)


class Resumed:
    """An observer that says where a resumed training goes on.

    Args:
        say: takes a line for people.
        folder: in which its checkpoints are looked for.
    """

    def __init__(self, say: Callable[[str], None], folder: Path):
        self._say = say
        self._folder = folder
        self._said = False

    def __call__(self, history: Sequence[Epoch]) -> None:
        """Takes all epochs so far."""
        if not self._said:
            self._said = True
            begin = f"Going on behind epoch {len(history)}" if history else "No checkpoint: training from the beginning"
            self._say(f"{begin} ({self._folder / 'checkpoints'})")


def check_tensorboard() -> None:
    """Checks that event files can be written.

    Raises:
        ConfigError: the library for it is not installed.
    """
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--tensorboard: needs tensorboardX ({error}); pip install 'tncompile[tensorboard]'"
        ) from error


@contextmanager
def event_files(folder: Path) -> Iterator[EpochObserver]:
    """Gives an observer that writes TensorBoard's event files, for the length of a training.

    Each training begins a file of its own with all epochs so far, and tells TensorBoard to forget what it has read
    before: so no epoch is there twice, whatever was written before an interrupt, nor is one missing that was trained
    without this. Epochs before a resume get the time at which they would have ended without the break. Older files
    stay: a TensorBoard that shows a file that is gone does not go on to the next.

    Written synchronously, unlike by `tensorboardX.SummaryWriter`, which hangs once its thread met a full disk.

    Args:
        folder: where they go.

    Raises:
        ConfigError: the library for it is not installed.
        ArtifactError: a file cannot be written.

    References:
        `purge_step` of `tensorboardX.SummaryWriter`; `EventAccumulator` of TensorBoard.
    """
    check_tensorboard()
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboardX.summary import scalar

    writer: EventsWriter | None = None
    written = 0

    def observe(history: Sequence[Epoch]) -> None:
        nonlocal writer, written
        with _writable(folder):
            if writer is None:
                folder.mkdir(parents=True, exist_ok=True)
                writer = EventsWriter(str(folder / "events"))
                forget = SessionLog(status=SessionLog.START)
                writer.write_event(Event(wall_time=time.time(), step=0, session_log=forget))
            now = time.time()
            for entry in history[written:]:
                ended = now - sum(later.seconds for later in history[entry.epoch :])
                for tag, key in TAGS.items():
                    value = getattr(entry, key)
                    if value is not None:
                        writer.write_event(Event(wall_time=ended, step=entry.epoch, summary=scalar(tag, value)))
            written = len(history)
            writer.flush()

    try:
        yield observe
    finally:
        if writer is not None:
            with _writable(folder):
                writer.close()


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"{error.filename or folder}: cannot be written: {error.strerror or error}; make room, choose another "
            "--out, or train without --tensorboard"
        ) from error
