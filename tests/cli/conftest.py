"""A tiny experiment and the run folder that it gives."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import EXPERIMENT, Outcome, process


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny experiment's file."""
    path = tmp_path_factory.mktemp("experiment") / "tiny.yaml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture(scope="session")
def finished(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A run folder after `tncompile run --json`, and what the command printed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    outcome = process("run", experiment, "--out", folder, "--json")
    assert outcome.code == 0, outcome.err
    return folder, outcome


@pytest.fixture
def folder(finished: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of the finished run folder, to be changed."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a changed copy of the tiny experiment."""

    def write(old: str = "", new: str = "", *, name: str = "changed.yaml") -> Path:
        assert old in EXPERIMENT
        path = tmp_path / name
        path.write_text(EXPERIMENT.replace(old, new, 1) if old else new)
        return path

    return write
