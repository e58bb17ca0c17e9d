"""Several processes train as one, and say what keeps them from it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tncompile.errors import ConfigError
from tncompile.train import processes

EXPERIMENT = """
name: tiny
data: {name: digits, train_limit: 200, test_limit: 50, validation: 0.2}
net: {layers: [{kernel: 3, features: 4}, {kernel: 2, stride: 2, features: 10}]}
train: {epochs: 6, batch: 16, devices: 2, keep: best}
"""

KILLED = """
import os, signal, sys
import tncompile.train.loop as loop
from tncompile.cli.app import app
add = loop._Report.add
def fatal(self, number, result):
    if self._epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return add(self, number, result)
loop._Report.add = fatal
app(sys.argv[1:])
"""


class Said:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, phase: str, done: int, total: int, figures: object) -> None:
        raise AssertionError


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def together(
    folder: Path, *options: str, start: list[str], second: Sequence[str] = ()
) -> list[subprocess.CompletedProcess[str]]:
    """Returns what came of two processes that train in a folder; the second one is given more options."""
    where = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", "2", "--json"]
    env = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    begun = [
        subprocess.Popen(
            [
                *start,
                "train",
                str(folder / "tiny.yaml"),
                "--out",
                str(folder / "run"),
                *where,
                "--process",
                f"{i}",
                *options,
                *(second if i else ()),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | env,
        )
        for i in (0, 1)
    ]
    outputs = [process.communicate(timeout=300) for process in begun]
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *output)
        for process, output in zip(begun, outputs, strict=True)
    ]


def test_two_processes_killed_and_resumed_train_as_one_with_two_devices(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "tiny.yaml").write_text(EXPERIMENT)
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-m", "tncompile", "train", str(one / "tiny.yaml"), "--out", str(one / "run"), "--json"]
    expected = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | flags)

    killed = together(two, start=[sys.executable, "-c", KILLED])
    assert [process.returncode for process in killed] == [-signal.SIGKILL] * 2
    first, second = together(two, "--resume", start=[sys.executable, "-m", "tncompile"])
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr

    train, theirs = (json.loads(done.stdout)["train"] for done in (expected, first))
    assert {key: train[key] for key in ("accuracy", "kept_epoch")} == {k: theirs[k] for k in ("accuracy", "kept_epoch")}
    assert second.stdout == ""
    assert (one / "run" / "model.safetensors").read_bytes() == (two / "run" / "model.safetensors").read_bytes()


def test_processes_with_other_settings_do_not_train_together(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(EXPERIMENT)
    both = together(tmp_path, start=[sys.executable, "-m", "tncompile"], second=["--set", "train.sparsity=3"])
    for process in both:
        assert process.returncode == 2, process.stderr
        assert (
            "error: --process: 1 would train with another experiment, --seed, --set, teacher or images"
            in process.stderr
        )
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("coordinator", "count", "process", "message"),
    [
        ("localhost", 2, 0, "'localhost' is not HOST:PORT, such as"),
        ("localhost:70000", 2, 0, "'localhost:70000' is not HOST:PORT"),
        (":1234", 2, 0, "':1234' is not HOST:PORT"),
        ("localhost:1234", None, 0, "--processes: is missing"),
        ("localhost:1234", 2, None, "--process: is missing"),
        ("localhost:1234", 2, 2, "--process: 2 is not among 0 … 1"),
        ("nowhere.invalid:1234", 2, 0, "process 0 cannot listen at nowhere.invalid:1234"),
        ("auto", None, None, "JAX finds no cluster"),
        ("auto", 2, None, "--processes: --coordinator auto finds that by itself"),
        ("auto", None, 1, "--process: --coordinator auto finds that by itself"),
    ],
)
def test_a_wrong_option_is_named(coordinator: str, count: int | None, process: int | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        processes.join(coordinator, count, process, Said())


def test_a_taken_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1:{port}: Address already in use; name an"):
            processes.join(f"127.0.0.1:{port}", 2, 0, Said())


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0)
    port, said = free_port(), Said()
    with pytest.raises(ConfigError, match=rf"nobody answers at 127\.0\.0\.1:{port} \(Connection refused\); is process"):
        processes.join(f"127.0.0.1:{port}", 2, 1, said)
    assert said.lines == [f"Waiting for process 0 at 127.0.0.1:{port}, at most 0 s"]


def meet(monkeypatch: pytest.MonkeyPatch, *others: tuple[int, int], patience: float = 60) -> list[bool | str]:
    """Returns what process 0 of 3 and the others, each with its number and count, come to."""
    monkeypatch.setattr(processes, "PATIENCE", patience)
    monkeypatch.setattr("jax.distributed.initialize", lambda *_, **__: None)
    where = f"127.0.0.1:{free_port()}"

    def outcome(number: int, count: int) -> bool | str:
        try:
            return processes.join(where, count, number, Said())
        except ConfigError as error:
            return str(error)

    with ThreadPoolExecutor(len(others) + 1) as pool:
        begun = [pool.submit(outcome, *each) for each in ((0, 3), *others)]
        return [each.result() for each in begun]


def test_processes_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    assert meet(monkeypatch, (2, 3), (1, 3)) == [True, False, False]


def test_a_process_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = meet(monkeypatch, (2, 3), patience=3)
    assert isinstance(first, str) and "--processes: process 1 of 3 did not come to 127.0.0.1:" in first
    assert isinstance(second, str) and "nobody answers at 127.0.0.1:" in second


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (((1, 3), (1, 3)), "--process: two processes came as 1 of 3; give each process its own number"),
        (((1, 2),), "--processes: process 0 was started with 3, process 1 with 2; give each"),
    ],
)
def test_processes_that_do_not_fit_all_say_so(
    monkeypatch: pytest.MonkeyPatch, others: tuple[tuple[int, int], ...], message: str
) -> None:
    for said in meet(monkeypatch, *others):
        assert isinstance(said, str) and said.startswith(message)


def test_somebody_else_at_the_port_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jax.distributed.initialize", lambda *_, **__: None)
    port = free_port()
    monkeypatch.setattr(processes, "PATIENCE", 60)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(processes.join, f"127.0.0.1:{port}", 2, 0, Said())
        while True:
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                break
        assert processes.join(f"127.0.0.1:{port}", 2, 1, Said()) is False
        assert first.result() is True


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x18\x04\xff\xfe", b"-" * 2000])
def test_somebody_else_in_place_of_process_0_is_told_apart(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(500)
                peer.sendall(answer)

        served, port = pool.submit(serve), server.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"--coordinator: what answers at 127\.0\.0\.1:{port} is no process 0"):
            processes.join(f"127.0.0.1:{port}", 2, 1, Said())
        served.result()


def test_number_of_a_process_without_a_coordinator(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(EXPERIMENT)
    command = [sys.executable, "-m", "tncompile", "train", str(tmp_path / "tiny.yaml"), "--process", "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --coordinator: is missing; --processes and --process go with")
    assert not (tmp_path / "runs").exists()
