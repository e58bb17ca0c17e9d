"""Finding the files of a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tncompile.config.data import DataConfig
from tncompile.data.share import share
from tncompile.data.spec import DatasetSpec
from tncompile.errors import ArtifactError

ROOT_VARIABLE = "TNCOMPILE_DATA"
"""Environment variable that names the folder of all data sets."""


def find_files(spec: DatasetSpec, config: DataConfig) -> tuple[str, list[Path]]:
    """Returns the layout of which all files are there, and these files in the order of the description.

    Raises:
        ArtifactError: no folder has them all; says what was looked for, where, and how to get it.
    """
    named = os.environ.get(ROOT_VARIABLE)
    if config.root is None and named and not Path(named).expanduser().is_dir():
        raise ArtifactError(f"{ROOT_VARIABLE}={named}: there is no such folder; correct the variable, or unset it")
    folders = list(dict.fromkeys(_folders(spec, config)))
    for layout, files in spec.layouts.items():
        for folder in folders:
            paths = [_find(folder, file.name) for file in files]
            if None not in paths:
                return layout, [path for path in paths if path is not None]
    wanted = "; or ".join(", ".join(file.name for file in files) for files in spec.layouts.values())
    raise ArtifactError(
        f"{spec.title}: its files are not there. Looked for {wanted} (.gz or not) in "
        f"{', '.join(map(str, folders))}. {spec.obtain}"
    )


def _folders(spec: DatasetSpec, config: DataConfig) -> Iterator[Path]:
    """Yields the folders to look in; an explicit root is the only place, so that nothing else is taken by mistake."""
    if config.root is not None:
        root = Path(config.root).expanduser()
        yield from (root, *(root / folder for folder in spec.folders))
        return
    if variable := os.environ.get(ROOT_VARIABLE):
        root = Path(variable).expanduser()
        yield from (root / folder for folder in spec.folders)
    yield from map(Path, spec.places)
    yield share("datasets") / spec.name


def _find(folder: Path, name: str) -> Path | None:
    """Returns a file under its name, or with .gz added or taken away."""
    other = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"
    return next((path for path in (folder / name, folder / other) if path.is_file()), None)
