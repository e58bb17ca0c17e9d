"""A tiny experiment and a sweep of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import EXPERIMENT, Outcome, invoke


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny experiment's file."""
    path = tmp_path_factory.mktemp("experiment") / "tiny.yaml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture(scope="session")
def arguments(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """A sweep of four points, the first of which does not fit: cores of 128 neurons take more of them."""
    grid = ("--grid", "arch.neurons=128,256", "--grid", "arch.grid=[4, 4],[64, 64]")
    out = tmp_path_factory.mktemp("sweep") / "tiny-explore"
    return ("explore", experiment, *grid, "--set", "train.epochs=1", "--workers", 2, "--out", out)


@pytest.fixture(scope="session")
def swept(arguments: tuple) -> tuple[Path, Outcome]:
    """The folder of that sweep, and what the command said."""
    outcome = invoke(*arguments, "--json")
    assert outcome.code == 0, outcome.err
    return arguments[-1], outcome
