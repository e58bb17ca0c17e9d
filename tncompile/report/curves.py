"""The measurements of trainings, epoch by epoch, as `train/metrics.jsonl` of their run folders has them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from tncompile.config.base import Config
from tncompile.config.experiment import parse_config
from tncompile.config.train import Fraction
from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir.io import read_bytes
from tncompile.workflow import RunFolder


class Point(Config, extra="ignore"):
    """What curves show of an epoch; a line may say more."""

    epoch: int = Field(ge=1, description="from 1")
    loss: float = Field(description="mean over the epoch")
    train_accuracy: Fraction = Field(description="mean over the epoch, on images as they were after augmentation")
    validation_accuracy: Fraction | None = Field(default=None, description="at the epoch's end; null: no such images")
    test_accuracy: Fraction = Field(description="at the epoch's end")
    learning_rate: float = Field(ge=0, description="at the epoch's end")


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""One a run. They differ for everybody (Okabe and Ito 2008, "Color Universal Design"); their yellow is too pale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A training, or as much of it as is done.

    Attributes:
        name: short, and different from those of runs beside it.
        points: one an epoch, at least one.
    """

    name: str
    points: tuple[Point, ...]


def read_runs(paths: Sequence[Path]) -> tuple[Run, ...]:
    """Returns the trainings in run folders, also while they go on.

    A run is named after its folder; if two folders have the same name, after the path to it.

    Raises:
        ArtifactError: a folder has no measurements, or they are damaged.
        ConfigError: there are more of them than colours.
    """
    if len(paths) > len(COLOURS):
        raise ConfigError(
            f"--beside: {len(paths)} runs in one picture, at most {len(COLOURS)} can be told apart; draw several"
        )
    names = Counter(path.resolve().name for path in paths)
    return tuple(
        Run(name=str(path) if names[path.resolve().name] > 1 else path.resolve().name, points=_read_points(path))
        for path in paths
    )


def _read_points(folder: Path) -> tuple[Point, ...]:
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "there is no such folder"
        raise ArtifactError(f"{folder}: {found}; curves are drawn of run folders, name one")
    path = RunFolder(folder).metrics
    if not path.is_file():
        raise ArtifactError(f"{path}: is missing, so there are no curves; train with 'tncompile train' first")
    hint = "'tncompile train --resume' writes the file anew"
    try:
        lines = read_bytes(path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: is no text ({error}); {hint}") from error
    if not lines:
        raise ArtifactError(f"{path}: has no epoch yet; wait for the end of the first one")
    points = []
    for number, line in enumerate(lines, 1):
        where = f"{path}: line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{where}: is not JSON ({error}); {hint}") from error
        if not isinstance(values, dict):
            raise ArtifactError(f"{where}: is no JSON object; {hint}")
        try:
            points.append(parse_config(Point, values, ""))
        except ConfigError as error:
            raise ArtifactError(f"{where}: {str(error).splitlines()[0]}; {hint}") from error
        if points[-1].epoch != number:
            raise ArtifactError(f"{where}: is of epoch {points[-1].epoch}, expected epoch {number}; {hint}")
    return tuple(points)
