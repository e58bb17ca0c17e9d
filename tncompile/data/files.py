"""Finding the files of a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tncompile.config.data import DataConfig
from tncompile.data.spec import DataFile, Description, Layout
from tncompile.errors import ArtifactError
from tncompile.share import share

ROOT_VARIABLE = "TNCOMPILE_DATA"
"""Environment variable that names the folder of all data sets."""

CACHE_VARIABLE = "TNCOMPILE_CACHE"
"""Environment variable that names the folder of prepared and downloaded files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A layout of which all files are there.

    Attributes:
        name: the layout's.
        layout: its description.
        folder: where it was found.
        paths: its files and folders in the order of the description; None: an optional one that is not there.
    """

    name: str
    layout: Layout
    folder: Path
    paths: tuple[Path | None, ...]

    @property
    def present(self) -> list[tuple[DataFile, Path]]:
        """What is there of the described files and folders."""
        return [(file, path) for file, path in zip(self.layout.files, self.paths, strict=True) if path is not None]


def cache_folder() -> Path:
    """Returns the folder of prepared and downloaded files; it need not be there yet."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "tncompile"


def download_folder() -> Path:
    """Returns the folder of all data sets that downloads go to if no other is named."""
    named = os.environ.get(ROOT_VARIABLE)
    return Path(named).expanduser() if named else cache_folder() / "data"


def find_files(spec: Description, config: DataConfig) -> Found:
    """Returns the first layout of which all files are there, or the one that the experiment asks for.

    Raises:
        ArtifactError: no folder has them all; says what was looked for, where, and how to get it.
    """
    named = os.environ.get(ROOT_VARIABLE)
    if config.root is None and named and not Path(named).expanduser().is_dir():
        raise ArtifactError(f"{ROOT_VARIABLE}={named}: there is no such folder; correct the variable, or unset it")
    layouts = {name: layout for name, layout in spec.layouts.items() if config.layout in (None, name)}
    root = None if config.root is None else Path(config.root).expanduser()
    if root is not None and root.is_file():
        return _single(spec, layouts, root)
    folders = list(dict.fromkeys(_folders(spec, root)))
    for name, layout in layouts.items():
        for folder in folders:
            paths = tuple(locate(folder, file.name, any_case=layout.any_case) for file in layout.files)
            if all(path is not None or file.optional for path, file in zip(paths, layout.files, strict=True)):
                return Found(name=name, layout=layout, folder=folder, paths=paths)
    if partly := _partly(layouts, folders):
        raise ArtifactError(f"{spec.title}: {partly}. {spec.obtain}")
    wanted = "; or ".join(
        ", ".join(file.name for file in layout.files if not file.optional) for layout in layouts.values()
    )
    raise ArtifactError(
        f"{spec.title}: its files are not there. Looked for {wanted} (.gz or not) in "
        f"{', '.join(map(str, folders))}. {spec.obtain}"
    )


def _partly(layouts: dict[str, Layout], folders: Sequence[Path]) -> str | None:
    """Returns what is missing of the layout that is there but for some files; None if no layout has any."""
    most, text = 0, None
    for name, layout in layouts.items():
        needed = [file.name for file in layout.files if not file.optional]
        for folder in folders:
            missing = [file for file in needed if locate(folder, file, any_case=layout.any_case) is None]
            if len(needed) - len(missing) > most:
                most = len(needed) - len(missing)
                text = f"{folder} has {most} of the {len(needed)} files of layout {name}; missing: {', '.join(missing)}"
    return text


def _single(spec: Description, layouts: dict[str, Layout], path: Path) -> Found:
    """Returns the layout of one file of this kind; `data.root` may name the file itself."""
    for name, layout in layouts.items():
        if len(layout.files) == 1 and Path(layout.files[0].name).suffix == path.suffix:
            return Found(name=name, layout=layout, folder=path.parent, paths=(path,))
    raise ArtifactError(f"{path}: is a file, and {spec.title} has no layout of one such file; name its folder")


def _folders(spec: Description, root: Path | None) -> Iterator[Path]:
    """Yields the folders to look in; an explicit root is the only place, so that nothing else is taken by mistake."""
    if root is not None:
        yield root
        yield from _below(root, spec)
        return
    if os.environ.get(ROOT_VARIABLE):
        yield from _below(download_folder(), spec)
    yield from map(Path, spec.places)
    yield share("datasets") / spec.name
    yield from _below(cache_folder() / "data", spec)


def _below(root: Path, spec: Description) -> Iterator[Path]:
    """Yields the folders below one of all data sets: those of the description, and the same in one of its own name."""
    yield from (root / folder for folder in spec.folders)
    yield root / spec.name
    yield from (root / spec.name / folder for folder in spec.folders)


def locate(folder: Path, name: str, *, any_case: bool = False) -> Path | None:
    """Returns a file or folder below a folder, or None.

    Args:
        folder: where it is looked for.
        name: its name, with / between folders. With a / at its end it is a folder, else a file, which may also be
            there with .gz added or taken away.
        any_case: its case does not matter; where several names match, the first in alphabetical order does.
    """
    if name.endswith("/"):
        path = _exact(folder, name.rstrip("/"), any_case)
        return path if path is not None and path.is_dir() else None
    other = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"
    paths = (_exact(folder, each, any_case) for each in (name, other))
    return next((path for path in paths if path is not None and path.is_file()), None)


def _exact(folder: Path, name: str, any_case: bool) -> Path | None:
    """Returns what has this name, if there is anything; its case may be another one only if `any_case`."""
    path = folder / name
    if path.exists():
        return path
    if not any_case:
        return None
    for part in name.split("/"):
        try:
            names = sorted(entry for entry in os.listdir(folder) if entry.casefold() == part.casefold())
        except OSError:
            return None  # no folder, or not ours to read
        if not names:
            return None
        folder = folder / names[0]
    return folder


def files_in(path: Path) -> list[Path]:
    """Returns a file itself, or all files in a folder and those below it, in the order of their names.

    Links count as what they lead to, as they do for whoever opens a file by its name. One that leads back to a folder
    above it is left out: all that lies there is listed anyway.

    Raises:
        ArtifactError: a folder cannot be read.
    """
    return [path] if path.is_file() else sorted(_files_below(path, frozenset()))


def _files_below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Yields the files in a folder and those below it, unless it is one of those above."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be read: {error.strerror}; check the path") from error
    for name in names:
        path = folder / name
        if os.path.isdir(path):
            yield from _files_below(path, above | {real})
        else:
            yield path
