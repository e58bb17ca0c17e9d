"""Prepared data sets: what a slow reader made of the files, kept for the next time."""

from __future__ import annotations

import hashlib
import json
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from tncompile.data.files import Found, cache_folder, files_in
from tncompile.data.parts import Part, Parts, named_parts
from tncompile.data.spec import DatasetSpec
from tncompile.errors import ArtifactError
from tncompile.ir.tensors import read_tensors, write_tensors

FORMAT = 2
"""Version of what readers make of files: raised when one makes something else, so that older copies are not used."""

LIBRARIES = ("pillow", "scipy", "kaldi-native-fbank")
"""Libraries that decode, resample and transform: another version may make other pixels of the same files."""

KIND = "dataset"

CLOCK_STEP = 0.05
"""A file may change twice within so long and keep its time of change [s]."""


def prepared_path(spec: DatasetSpec, found: Found, options: dict[str, Any], *, to_write: bool = False) -> Path:
    """Returns the file in which the parts of a layout are kept, or would be.

    Its name follows from the description, the options, the names, sizes and times of change of all files, and the
    versions of the libraries that decode them.

    Args:
        spec: description of the data set.
        found: the layout, and where it lies.
        options: what the experiment chooses.
        to_write: the files are about to be read for it. If one has only just changed, this waits until another change
            would show.

    Raises:
        ArtifactError: a folder or file cannot be read.
    """
    files, newest = [], 0
    for _, path in found.present:
        for file in files_in(path):
            try:
                stat = file.stat()
            except OSError as error:
                raise ArtifactError(f"{file}: cannot be read: {error.strerror}; check the path") from error
            files.append((str(file.relative_to(found.folder)), stat.st_size, stat.st_mtime_ns))
            newest = max(newest, stat.st_mtime_ns)
    age = time.time() - newest / 1e9
    if to_write and 0 <= age < CLOCK_STEP:
        time.sleep(CLOCK_STEP - age)
    about = {
        "format": FORMAT,
        "spec": spec.model_dump(mode="json"),
        "layout": found.name,
        "options": options,
        "folder": str(found.folder.resolve()),
        "files": files,
        "libraries": {name: _version(name) for name in LIBRARIES},
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "prepared" / f"{spec.name}-{found.name}-{key[:24]}.safetensors"


def _version(library: str) -> str | None:
    """Returns the version of a library; None: it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def write_prepared(path: Path, parts: Parts, provenance: dict[str, Any]) -> None:
    """Writes the parts of a data set, and what they were made of.

    Raises:
        ArtifactError: the file cannot be written.
    """
    tensors: dict[str, np.ndarray] = {}
    meta: dict[str, Any] = {"provenance": provenance, "parts": {}}
    for name, part in named_parts(parts).items():
        tensors |= {f"x_{name}": np.ascontiguousarray(part.x), f"y_{name}": part.y.astype(np.int32)}
        groups = None
        if part.group is not None:
            names, member = np.unique(part.group, return_inverse=True)
            groups = names.tolist()
            tensors[f"group_{name}"] = member.astype(np.int32)
        meta["parts"][name] = {"source": part.source, "groups": groups}
    write_tensors(path, KIND, tensors, meta)


def read_prepared(path: Path) -> tuple[Parts, dict[str, Any]]:
    """Returns the parts of a data set, and what they were made of.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    meta, tensors = read_tensors(path, KIND)
    parts = {}
    for name, about in meta["parts"].items():
        group = None if about["groups"] is None else np.array(about["groups"])[tensors[f"group_{name}"]]
        parts[name] = Part(x=tensors[f"x_{name}"], y=tensors[f"y_{name}"], group=group, source=about["source"])
    return Parts(**parts), meta["provenance"]
