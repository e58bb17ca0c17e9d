"""Where the data-set descriptions and the experiments lie."""

from __future__ import annotations

from pathlib import Path

import tncompile


def share(name: str) -> Path:
    """Returns the folder `datasets` or `experiments`: in an installed wheel its copy, else beside the package."""
    package = Path(tncompile.__file__).resolve().parent
    installed = package / "_share"
    return (installed if installed.is_dir() else package.parent) / name


def dataset_names() -> list[str]:
    """Returns the names of all data sets that have a description, in alphabetical order."""
    return sorted(path.parent.name for path in share("datasets").glob("*/dataset.yaml"))
