"""Run folders to be drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import EXPERIMENT, process

BOARD = """\
name: boards
seed: 3
data:
  name: digits
arch:
  grid: [4, 4]
  board: [2, 2]
  dead_cores: [[0, 0], [4, 5]]
net:
  layers: [S-4, S-16, N-32, P-40(2)]
compile:
  place:
    moves: 0
"""
"""A net of random weights on four small chips, of data that come with tncompile."""


@pytest.fixture(scope="session")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a net on four chips."""
    folder = tmp_path_factory.mktemp("boards")
    (folder / "boards.yaml").write_text(BOARD)
    outcome = process("compile", folder / "boards.yaml", "--untrained", "--out", folder / "run", "--quiet")
    assert outcome.code == 0, outcome.err
    return folder / "run"


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder after `tncompile run` of a tiny net; to be read, not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(EXPERIMENT)
    outcome = process("run", folder / "tiny.yaml", "--out", folder / "run", "--quiet")
    assert outcome.code == 0, outcome.err
    return folder / "run"
