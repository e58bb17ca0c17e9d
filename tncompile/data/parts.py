"""What stands between a data set's files and its images: what a reader is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Integer, Shaped, UInt

from tncompile.data.spec import DatasetSpec


def _unseen(done: int, total: int) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a reader is given.

    Attributes:
        spec: description of the data set.
        folder: where the layout was found.
        paths: its files and folders in the order of the description; None: an optional one that is not there.
        options: the layout's, and over them what the experiment chooses.
        train_limit: how many training images are wanted at most, None for all; a reader may give more.
        test_limit: the same for test images.
        progress: to be told now and then how many of how many items are read.
    """

    spec: DatasetSpec
    folder: Path
    paths: tuple[Path | None, ...]
    options: dict[str, Any] = field(default_factory=dict)
    train_limit: int | None = None
    test_limit: int | None = None
    progress: Callable[[int, int], None] = _unseen

    def path(self, index: int) -> Path:
        """Returns a file or folder that is not optional."""
        path = self.paths[index]
        assert path is not None, "a layout is found only if all that is not optional is there"
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Images for training, validation or testing, as a reader gives them: not checked yet.

    Attributes:
        x: pixels.
        y: class of each image.
        group: name of what each image belongs to and must not be torn from, such as a speaker, a photograph, or the
            track of a traffic sign; None: each image stands for itself.
        source: where they are from, for messages.
    """

    x: UInt[np.ndarray, "images y x channels"]
    y: Integer[np.ndarray, " labels"]
    group: Shaped[np.ndarray, " groups"] | None = None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All images of a data set.

    Attributes:
        train: for training.
        test: for testing.
        validation: what the makers of the data set set aside for validation, if they did.
    """

    train: Part
    test: Part
    validation: Part | None = None


def named_parts(parts: Parts) -> dict[str, Part]:
    """Returns the parts that there are, by name."""
    shipped = {} if parts.validation is None else {"validation": parts.validation}
    return {"train": parts.train, **shipped, "test": parts.test}


def counted(part: Part, what: Literal["images", "groups"]) -> int:
    """Returns how many images a part has, or how many groups; an image without one is a group."""
    return len(part.y) if what == "images" or part.group is None else len(np.unique(part.group))


Reader = Callable[[Source], Parts]
"""Reads one layout. Raises ArtifactError on files that are damaged or no such files, with file and expectation."""
