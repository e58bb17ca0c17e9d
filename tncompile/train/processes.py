"""Several processes, on one machine or many, that train together."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from tncompile.errors import ConfigError, TnCompileError
from tncompile.reporter import Reporter

AUTO = "auto"
"""Coordinator that JAX finds by itself, as under Slurm or Open MPI."""

PATIENCE = 300
"""How long processes wait for one another at the start [s]."""

_HELLO, _GO, _NO = "tncompile-process", "tncompile-go", "tncompile-no"
"""How begins what a process says to process 0, and what it is told when all are there, and when they do not fit."""


def join(coordinator: str, processes: int | None, process: int | None, reporter: Reporter) -> bool:
    """Joins the other processes, and returns whether this one is the first; to be called before JAX computes anything.

    Args:
        coordinator: HOST:PORT at which process 0 is found, or `AUTO`.
        processes: how many there are; None only with `AUTO`.
        process: which one this is, from 0; None only with `AUTO`.
        reporter: is told what is waited for.

    Raises:
        ConfigError: an option is missing or wrong, the port is taken, or the processes do not find one another.
    """
    if coordinator == AUTO:
        for option, value in (("--processes", processes), ("--process", process)):
            if value is not None:
                raise ConfigError(f"{option}: --coordinator auto finds that by itself; leave it out")
        try:
            jax.distributed.initialize(initialization_timeout=PATIENCE)
        except (ValueError, RuntimeError) as error:
            raise ConfigError(
                f"--coordinator auto: JAX finds no cluster ({error}); start under Slurm or Open MPI, or give "
                "--coordinator HOST:PORT, --processes and --process"
            ) from error
        return jax.process_index() == 0
    if processes is None or process is None:
        missing = "--processes" if processes is None else "--process"
        raise ConfigError(f"{missing}: is missing; --coordinator HOST:PORT goes with --processes N and --process I")
    if process >= processes:
        raise ConfigError(f"--process: {process} is not among 0 … {processes - 1}, as --processes {processes} says")
    address = _address(coordinator)
    # All are there before JAX begins: it ends a process without a word to Python if another one does not come.
    if process == 0:
        reporter.say(f"Waiting for {processes - 1} other process(es) at {coordinator}, at most {PATIENCE} s")
        _gather(address, processes)
    else:
        reporter.say(f"Waiting for process 0 at {coordinator}, at most {PATIENCE} s")
        _come(address, process, processes)
    jax.distributed.initialize(coordinator, processes, process, initialization_timeout=PATIENCE)
    return process == 0


def from_first(tree: Any) -> Any:
    """Returns the first process's arrays in all processes."""
    return multihost_utils.broadcast_one_to_all(tree) if jax.process_count() > 1 else tree


def check_same(settings: Any) -> None:
    """Checks that all processes train the same.

    Args:
        settings: what must be the same, as JSON data.

    Raises:
        ConfigError: another process has others than the first one.
    """
    if jax.process_count() == 1:
        return
    own = np.frombuffer(hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).digest(), np.uint8)
    everybody = np.asarray(multihost_utils.process_allgather(own))
    others = np.flatnonzero((everybody != everybody[0]).any(1)).tolist()
    if others:
        raise ConfigError(
            f"--process: {', '.join(map(str, others))} would train with another experiment, --seed, --set, teacher or "
            "images than process 0; start all with the same"
        )


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Keeps stdout for results: the libraries through which processes talk print to it, beneath Python."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def together() -> Iterator[None]:
    """Gives a failure to reach another process a message.

    Raises:
        TnCompileError: another process has ended, or cannot be reached.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        raise TnCompileError(
            f"process {jax.process_index()} lost touch with another one ({str(error).splitlines()[0]}); see what the "
            "others say, and start all of them again with --resume"
        ) from error


def _address(coordinator: str) -> tuple[str, int]:
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise ConfigError(f"--coordinator: {coordinator!r} is not HOST:PORT, such as 10.0.0.1:1234, or {AUTO}")
    return host.strip("[]"), int(port)


def _gather(address: tuple[str, int], processes: int) -> None:
    """Waits, as process 0, until all others have come, and lets them go on.

    Raises:
        ConfigError: the address cannot be listened at, one does not come in time, or two do not fit together.
    """
    end, there = time.monotonic() + PATIENCE, dict[int, socket.socket]()
    with ExitStack() as stack:
        try:
            family, kind, _, _, place = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
            server = stack.enter_context(socket.socket(family, kind))
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # JAX is to listen there next
            server.bind(place)
            server.listen(processes)
        except OSError as error:
            raise ConfigError(
                f"--coordinator: process 0 cannot listen at {_named(address)}: {error.strerror}; name an address of "
                "this machine and a free port"
            ) from error
        while len(there) < processes - 1:
            server.settimeout(max(end - time.monotonic(), 1e-3))
            try:
                peer = stack.enter_context(server.accept()[0])
            except TimeoutError as error:
                lacking = sorted(set(range(1, processes)) - there.keys())
                raise ConfigError(
                    f"--processes: process {', '.join(map(str, lacking))} of {processes} did not come to "
                    f"{_named(address)} within {PATIENCE} s; start all of them"
                ) from error
            if (hello := _heard(peer)) is None:
                continue  # somebody else
            number, count = hello
            problem = None
            if count != processes:
                problem = f"--processes: process 0 was started with {processes}, process {number} with {count}"
            elif number in there:
                problem = f"--process: two processes came as {number} of {processes}"
            if problem is not None:
                for each in (*there.values(), peer):
                    _say(each, f"{_NO} {problem}")
                raise ConfigError(f"{problem}; give each process its own number, and all the same --processes")
            there[number] = peer
        for peer in there.values():
            _say(peer, _GO)


def _come(address: tuple[str, int], process: int, processes: int) -> None:
    """Comes to process 0, and waits until it says that all are there.

    Raises:
        ConfigError: nobody answers in time, or the processes do not fit together.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.create_connection(address, timeout=10) as peer:
                _say(peer, f"{_HELLO} {process} {processes}")
                peer.settimeout(max(end - time.monotonic(), 10))
                kind, _, problem = _line(peer).partition(" ")
            if kind == _GO:
                return
            if kind == _NO:
                raise ConfigError(f"{problem}; give each process its own number, and all the same --processes")
            if kind:
                raise ConfigError(
                    f"--coordinator: what answers at {_named(address)} is no process 0 that waits for others; start "
                    "all of them anew, with an address of process 0's machine and a free port"
                )
            reason = "it ended"
        except OSError as error:
            reason = str(error.strerror or error)
        if time.monotonic() > end:
            raise ConfigError(
                f"--coordinator: nobody answers at {_named(address)} ({reason}); is process 0 running, and can this "
                "machine reach it?"
            )
        time.sleep(0.2)


def _say(peer: socket.socket, text: str) -> None:
    with suppress(OSError):  # it has ended; JAX will miss it
        peer.sendall(f"{text}\n".encode())


def _heard(peer: socket.socket) -> tuple[int, int] | None:
    """Returns the number and count that a process comes with, None from somebody else."""
    peer.settimeout(10)
    try:
        words = _line(peer).split()
    except OSError:
        return None
    if len(words) != 3 or words[0] != _HELLO or not (words[1].isdecimal() and words[2].isdecimal()):
        return None
    return int(words[1]), int(words[2])


def _line(peer: socket.socket) -> str:
    """Returns the line that comes next, of at most 500 bytes, whatever they are; "" if the other side has ended."""
    return peer.makefile("rb").readline(500).decode("utf-8", "replace").strip()


def _named(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
