"""What follows a training by its epochs: event files that TensorBoard reads, and a word about images that come late."""

from __future__ import annotations

import dataclasses
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import EXPERIMENT, invoke, process
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event, SessionLog

from tncompile.errors import ArtifactError
from tncompile.report.curves import read_runs
from tncompile.train import batches
from tncompile.train.loop import Epoch
from tncompile.train.watching import TAGS, InputWatch, Resumed, event_files, waits

CALM = Epoch(
    epoch=1, loss=2.0, train_accuracy=0.25, validation_accuracy=None, test_accuracy=0.5, learning_rate=0.125,
    seconds=100.0, waited=1.5,
)  # fmt: skip


def epochs(count: int, **changes: float) -> list[Epoch]:
    """So many epochs, each with another loss."""
    return [dataclasses.replace(CALM, epoch=i, loss=1 / i, **changes) for i in range(1, count + 1)]


def read_events(folder: Path) -> list[Event]:
    """Returns the events in a folder's files, each record's checksums checked, as TensorBoard shows them.

    A session that starts at a step takes away what was read before of that step and later ones.
    """
    events: list[Event] = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            head, body = data[at : at + 8], data[at + 12 : at + 12 + length]
            assert len(body) == length
            for part, place in ((head, at + 8), (body, at + 12 + length)):
                crc = crc32c(part)
                masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
                assert struct.unpack_from("<I", data, place)[0] == masked
            event = Event.FromString(body)
            assert at > 0 or event.file_version == "brain.Event:2"
            if event.session_log.status == SessionLog.START:
                events = [before for before in events if before.step < event.step]
            events.append(event)
            at += 16 + length
    return events


def scalars(events: list[Event]) -> dict[str, list[tuple[int, float]]]:
    """Returns the steps and values of each tag."""
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events:
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_event_files_have_every_epoch_once_across_a_resume(tmp_path: Path) -> None:
    folder, history = tmp_path / "tensorboard", epochs(4, validation_accuracy=0.75)
    with event_files(folder) as observe:
        for done in range(4):
            observe(history[:done])
            assert len(scalars(read_events(folder)).get("loss", [])) == done, "an epoch is there as soon as it ends"
    (first,) = folder.iterdir()
    first.rename(folder / "events.out.tfevents.0.then")  # a file is named after the second in which it begins
    with event_files(folder) as observe:  # the last checkpoint was that of epoch 2
        observe(history[:2])
        assert len(scalars(read_events(folder))["loss"]) == 2
        observe(history[:3])
        observe(history)
    assert len(list(folder.iterdir())) == 2
    events = read_events(folder)
    found = scalars(events)
    assert found.keys() == TAGS.keys()
    for tag, key in TAGS.items():
        assert [step for step, _ in found[tag]] == [1, 2, 3, 4]
        np.testing.assert_allclose([v for _, v in found[tag]], [getattr(e, key) for e in history], rtol=1e-6)
    times = [event.wall_time for event in events if event.summary.value and event.summary.value[0].tag == "loss"]
    assert times[1] - times[0] == pytest.approx(100)


def test_without_validation_images_there_is_no_such_curve(tmp_path: Path) -> None:
    with event_files(tmp_path) as observe:
        observe(epochs(2))
    assert scalars(read_events(tmp_path)).keys() == TAGS.keys() - {"accuracy/validation"}


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        event_files(tmp_path / "file") as observe,
        pytest.raises(ArtifactError, match="cannot be written: File exists"),
    ):
        observe([])


def test_without_the_library_one_message_says_so_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(EXPERIMENT)
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['tensorboardX'] = None\n")
    path = ":".join([str(tmp_path), *filter(None, sys.path)])
    command = ("train", tmp_path / "tiny.yaml", "--out", tmp_path / "run", "--tensorboard")
    outcome = process(*command, PYTHONPATH=path)
    assert (outcome.code, outcome.out, (tmp_path / "run").exists()) == (2, "", False)
    assert outcome.err.startswith("error: --tensorboard: needs tensorboardX (")
    assert outcome.err.endswith("); pip install 'tncompile[tensorboard]'\n")


@pytest.mark.parametrize(
    ("seconds", "waited", "said"),
    [(100.0, 2.1, True), (100.0, 2.0, False), (0.2, 0.1, False), (5.0, 0.5, True), (5.0, 0.49, False)],
)
def test_waiting_counts_above_a_share_and_a_time(seconds: float, waited: float, said: bool) -> None:
    text = waits(dataclasses.replace(CALM, seconds=seconds, waited=waited))
    assert (text is not None) == said
    assert text is None or text.startswith(f"Epoch 1 waited {waited:.1f} of its {seconds:.1f} s for images: ")


def test_waiting_is_said_once_and_not_of_epochs_before_a_resume() -> None:
    said: list[str] = []
    watch, history = InputWatch(said.append), epochs(5)
    history[0] = history[3] = dataclasses.replace(CALM, epoch=4, waited=40.0)
    history[4] = dataclasses.replace(CALM, epoch=5, waited=40.0)
    for done in range(2, 6):
        watch(history[:done])
    assert len(said) == 1 and said[0].startswith("Epoch 4 waited 40.0 of its 100.0 s")


def test_a_resume_says_where_it_goes_on(tmp_path: Path) -> None:
    for history, said in (
        (epochs(3), "Going on behind epoch 3 ("),
        ([], "No checkpoint: training from the beginning ("),
    ):
        lines: list[str] = []
        observe = Resumed(lines.append, tmp_path)
        observe(history)
        observe(epochs(4))
        assert lines == [f"{said}{tmp_path / 'checkpoints'})"]


def test_the_command_writes_event_files_and_says_that_images_come_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batches.batches

    def late(*arguments: Any, **options: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for batch in real(*arguments, **options):
            time.sleep(0.05)
            yield batch

    monkeypatch.setattr("tncompile.train.watching.LEAST_WAITING", 0)
    monkeypatch.setattr("tncompile.train.watching.WAITING", 0)
    monkeypatch.setattr("tncompile.train.loop.batches", late)
    (tmp_path / "tiny.yaml").write_text(EXPERIMENT)
    command = ("train", tmp_path / "tiny.yaml", "--out", tmp_path / "run", "--tensorboard", "--set",
               "train.calibrate_batches=1", "--json")  # fmt: skip
    trained = invoke(*command)
    assert trained.code == 0
    assert trained.err.count("s for images: they are gathered and copied") == 1
    assert trained.json["train"]["waited"] > 0
    resumed = invoke(*command, "--resume")
    assert resumed.json["train"]["waited"] == trained.json["train"]["waited"]
    assert "for images: they are" not in resumed.err
    assert f"Going on behind epoch 2 ({tmp_path / 'run' / 'train' / 'checkpoints'})" in resumed.err
    found = scalars(read_events(tmp_path / "run" / "train" / "tensorboard"))
    (run,) = read_runs([tmp_path / "run"])
    np.testing.assert_allclose([loss for _, loss in found["loss"]], [point.loss for point in run.points], rtol=1e-6)
    assert {tag: [step for step, _ in points] for tag, points in found.items()} == {
        tag: [1, 2] for tag in TAGS if tag != "accuracy/validation"
    }
