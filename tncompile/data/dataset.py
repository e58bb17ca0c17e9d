"""Images and classes, ready for training and simulation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8

from tncompile.config.data import DataConfig
from tncompile.data.files import find_files
from tncompile.data.layouts import LAYOUTS, Split
from tncompile.data.share import share
from tncompile.data.spec import DatasetSpec, load_spec
from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set with its images.

    Attributes:
        spec: its description.
        x_train, x_test: integer pixels in 0 … `spec.pixel_max`.
        y_train, y_test: class of each image.
        provenance: layout, folder, and of each file the SHA-256 and whether it is the published one (None if that is
            not known), as JSON data.
    """

    spec: DatasetSpec
    x_train: UInt8[np.ndarray, "train y x channels"]
    y_train: Int32[np.ndarray, " train"]
    x_test: UInt8[np.ndarray, "test y x channels"]
    y_test: Int32[np.ndarray, " test"]
    provenance: dict[str, Any]


def load_dataset(config: DataConfig) -> Dataset:
    """Returns the images that an experiment asks for.

    Raises:
        ArtifactError: files are missing or damaged; says which, and how to get them.
    """
    spec = load_spec(config)
    layout, paths = find_files(spec, config)
    provenance = {
        "layout": layout,
        "folder": _place(paths[0].parent),
        "files": {path.name: _checked(spec, layout, i, path) for i, path in enumerate(paths)},
    }
    train, test = LAYOUTS[layout](spec, paths, config.train_limit, config.test_limit)
    x_train, y_train = _limited(spec, train, config.train_limit)
    x_test, y_test = _limited(spec, test, config.test_limit)
    return Dataset(spec=spec, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, provenance=provenance)


def _place(folder: Path) -> str:
    """Returns where a folder is: below the data sets that come with tncompile, the same on every machine."""
    own = share("datasets")
    return str(Path("datasets", folder.relative_to(own)) if folder.is_relative_to(own) else folder)


def _checked(spec: DatasetSpec, layout: str, index: int, path: Path) -> dict[str, Any]:
    """Returns a file's SHA-256 and whether it is the published one."""
    file = spec.layouts[layout][index]
    found = hashlib.sha256(read_bytes(path)).hexdigest()
    comparable = file.sha256 is not None and path.name == file.name
    if file.required and found != file.sha256:
        raise ArtifactError(f"{path}: has SHA-256 {found}, expected {file.sha256}; it was altered, get the file again")
    return {"sha256": found, "published": found == file.sha256 if comparable else None}


def _limited(
    spec: DatasetSpec, split: Split, limit: int | None
) -> tuple[UInt8[np.ndarray, "n y x channels"], Int32[np.ndarray, " n"]]:
    """Returns the first images of a split, after checking all of them."""
    x, y, files = split
    if len(x) != len(y):
        raise ArtifactError(f"{files}: {len(x)} images, but {len(y)} labels; get the files again")
    if len(x) == 0:
        raise ArtifactError(f"{files}: holds no images; get the files again")
    if y.min() < 0 or y.max() >= spec.classes:
        raise ArtifactError(f"{files}: labels are in {y.min()} … {y.max()}, expected 0 … {spec.classes - 1}")
    if x.max() > spec.pixel_max:
        raise ArtifactError(f"{files}: pixels are up to {x.max()}, expected at most {spec.pixel_max}")
    return np.ascontiguousarray(x[:limit]), y[:limit].astype(np.int32)
