"""The two ways in which tests run the command line: in this process, and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tncompile.cli import app

EXPERIMENT = """\
name: tiny
data:
  name: digits
  train_limit: 192
  test_limit: 40
net:
  layers: [S-4, S-16(2), P-20]
train:
  epochs: 2
compile:
  place:
    moves: 10
"""
"""A net that trains and compiles in a moment, of data that come with tncompile."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """Returns the environment of a command, without what would change its output."""
    return {k: v for k, v in os.environ.items() if not k.startswith("TNCOMPILE")} | {"COLUMNS": "120"} | more


def command_line(*arguments: Any, prefix: Sequence[str] = ()) -> list[str]:
    """Returns `python -m tncompile …`, behind a program that runs it."""
    return [*prefix, sys.executable, "-m", "tncompile", *map(str, arguments)]


def process(*arguments: Any, prefix: Sequence[str] = (), **more: str) -> Outcome:
    """Runs a command as users do.

    Args:
        arguments: of the command.
        prefix: a program that runs it.
        more: environment variables.
    """
    ended = subprocess.run(
        command_line(*arguments, prefix=prefix), capture_output=True, text=True, timeout=300, env=environment(**more)
    )
    return checked(Outcome(ended.returncode, ended.stdout, ended.stderr))


def invoke(*arguments: Any) -> Outcome:
    """Runs a command in this process: the same, without the seconds that importing JAX takes."""
    result = CliRunner().invoke(app, [*map(str, arguments)], prog_name="tncompile", env={"COLUMNS": "120"})
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return checked(Outcome(result.exit_code, result.stdout, result.stderr))


def checked(outcome: Outcome) -> Outcome:
    """Returns the outcome of a command, which must never show a traceback."""
    for text in (outcome.out, outcome.err):
        assert "Traceback" not in text, text
    return outcome


def files(folder: Path) -> dict[str, bytes]:
    """Returns the content of all files in a folder by path; of checkpoints, only that they are there."""
    return {
        str(path.relative_to(folder)): b"" if "checkpoints" in path.parts else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
