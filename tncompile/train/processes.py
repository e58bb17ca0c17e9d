"""Several processes, on one machine or many, that train together."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
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


def join(coordinator: str, processes: int | None, process: int | None, reporter: Reporter) -> bool:
    """Joins the other processes, and returns whether this one is the first; to be called before JAX computes anything.

    Args:
        coordinator: HOST:PORT at which process 0 is found, or `AUTO`.
        processes: how many there are; None only with `AUTO`.
        process: which one this is, from 0; None only with `AUTO`.
        reporter: is told what is waited for.

    Raises:
        ConfigError: an option is missing or wrong, the port is taken, or process 0 does not answer.
    """
    if coordinator == AUTO:
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
    if process == 0:
        _check_free(*address)
        reporter.say(f"Waiting for {processes - 1} other process(es) at {coordinator}, at most {PATIENCE} s")
    else:
        reporter.say(f"Waiting for process 0 at {coordinator}, at most {PATIENCE} s")
        _await(*address)
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


def _check_free(host: str, port: int) -> None:
    """Checks that process 0 can be found there: JAX ends the process without a word to Python where it cannot."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with closing(socket.socket(found[0][0], socket.SOCK_STREAM)) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.bind(found[0][4])
    except OSError as error:
        raise ConfigError(
            f"--coordinator: process 0 cannot listen at {host}:{port}: {error.strerror}; name an address of this "
            "machine and a free port"
        ) from error


def _await(host: str, port: int) -> None:
    """Waits until process 0 listens."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((host, port), timeout=10).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise ConfigError(
                    f"--coordinator: nobody answers at {host}:{port} ({error.strerror or error}); is process 0 "
                    "running, and can this machine reach it?"
                ) from error
        time.sleep(0.2)
