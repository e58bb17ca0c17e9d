"""Images and classes, ready for training and simulation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt

from tncompile.config.data import DataConfig
from tncompile.data.cache import prepared_path, read_prepared, write_prepared
from tncompile.data.contrast import stretched
from tncompile.data.files import Found, files_in, find_files
from tncompile.data.layouts import LAYOUTS
from tncompile.data.parts import Part, Parts, Source, counted, named_parts
from tncompile.data.spec import DataFile, DatasetSpec, Kind, Layout, chosen_options, load_spec
from tncompile.data.split import hold_out
from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir.io import read_bytes
from tncompile.reporter import Reporter
from tncompile.share import share


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set with its images.

    Attributes:
        spec: its description.
        x_train, x_validation, x_test: integer pixels in 0 … `spec.pixel_max`, 16 bits wide only if that needs them.
            No validation images unless the experiment asks for them.
        y_train, y_validation, y_test: class of each image.
        provenance: layout, kind, what is missing, folder, and of each file the SHA-256 and whether it is the published
            one (None if that is not known), as JSON data. Of a folder: how many files it holds, and one SHA-256 over
            the names and contents of all.
    """

    spec: DatasetSpec
    x_train: UInt[np.ndarray, "train y x channels"]
    y_train: Int32[np.ndarray, " train"]
    x_validation: UInt[np.ndarray, "validation y x channels"]
    y_validation: Int32[np.ndarray, " validation"]
    x_test: UInt[np.ndarray, "test y x channels"]
    y_test: Int32[np.ndarray, " test"]
    provenance: dict[str, Any]


def load_dataset(config: DataConfig, reporter: Reporter | None = None) -> Dataset:
    """Returns the images that an experiment asks for.

    Validation images are never trained on: those that the makers of the data set set aside are used if
    `config.validation` is above 0 and left out otherwise; where there are none, that share of the training groups is
    held out (`split.hold_out`). Limits take the first images of what then is the training part, and of the test part.

    Raises:
        ArtifactError: files are missing or damaged; says which, and how to get them.
    """
    spec = load_spec(config)
    whole = config.validation > 0  # which images are held out is known only once all are there
    limits = None if whole else config.train_limit, config.test_limit
    found, options = find_chosen(spec, config)
    parts, provenance = read_parts(spec, found, options, limits, reporter)
    if provenance["kind"] != found.layout.kind:
        _say(reporter, f"{spec.title} in {found.folder}: {provenance['missing']} Results say {provenance['kind']!r}")
    train, validation = parts.train, parts.validation
    if config.validation == 0:
        validation = _chosen(train, np.zeros(len(train.y), bool))
    elif validation is None:
        held = hold_out(train.y, train.group, config.validation)
        train, validation = _chosen(train, ~held), _chosen(train, held)
    return Dataset(
        spec=spec,
        x_train=_seen(train.x[: config.train_limit], spec, config),
        y_train=train.y[: config.train_limit].astype(np.int32),
        x_validation=_seen(validation.x, spec, config),
        y_validation=validation.y.astype(np.int32),
        x_test=_seen(parts.test.x[: config.test_limit], spec, config),
        y_test=parts.test.y[: config.test_limit].astype(np.int32),
        provenance=provenance,
    )


def _seen(
    x: UInt[np.ndarray, "images y x channels"], spec: DatasetSpec, config: DataConfig
) -> UInt[np.ndarray, "images y x channels"]:
    """Returns pixels as the network is to see them, in the order of memory that is read fastest."""
    return np.ascontiguousarray(stretched(x, spec.pixel_max) if config.contrast == "stretch" else x)


def find_chosen(spec: DatasetSpec, config: DataConfig) -> tuple[Found, dict[str, Any]]:
    """Returns the layout that is there and the options that its reader is given.

    Raises:
        ConfigError: the experiment chooses an option in which these files leave no choice.
        ArtifactError: files are missing.
    """
    found = find_files(spec, config)
    if fixed := [name for name in config.options if name in found.layout.fixed]:
        raise ConfigError(
            f"data.options.{fixed[0]}: the files of layout {found.name} in {found.folder} leave no choice in it "
            f"({found.layout.missing.rstrip('.')}); leave the option out"
        )
    return found, chosen_options(spec, config)


def read_parts(
    spec: DatasetSpec,
    found: Found,
    options: dict[str, Any],
    limits: tuple[int | None, int | None] = (None, None),
    reporter: Reporter | None = None,
) -> tuple[Parts, dict[str, Any]]:
    """Returns all images of a layout, or those that limits ask for, and what they were made of.

    Taken from where they are prepared, if they are; if not, whole parts of a slow layout are prepared on the way.

    Args:
        spec: description of the data set.
        found: the layout, and where it lies.
        options: what the experiment chooses.
        limits: training and test images that are wanted at most; there may be more.
        reporter: told about progress.

    Raises:
        ArtifactError: files are damaged.
    """
    path = prepared_path(spec, found, options)
    if path.is_file():
        try:
            return read_prepared(path)
        except ArtifactError as error:
            _say(reporter, f"{error}; it is made again")
    if spec.front_end is not None:
        limits = None, None  # sounds are read whole
    kept = found.layout.slow and limits == (None, None)
    if kept:
        path = prepared_path(spec, found, options, to_write=True)
    parts, provenance = read_original(spec, found, options, limits, reporter)
    if kept:
        try:
            write_prepared(path, parts, provenance)
        except ArtifactError as error:
            _say(reporter, f"{error}. The data set is not kept, and will be read again next time")
    return parts, provenance


def read_original(
    spec: DatasetSpec,
    found: Found,
    options: dict[str, Any],
    limits: tuple[int | None, int | None] = (None, None),
    reporter: Reporter | None = None,
) -> tuple[Parts, dict[str, Any]]:
    """Returns the same as `read_parts`, in any case from the files themselves, after checking all of it.

    Raises:
        ArtifactError: files are damaged.
    """
    provenance = _provenance(found)
    train_limit, test_limit = limits
    source = Source(
        spec=spec,
        folder=found.folder,
        paths=found.paths,
        options=found.layout.options | options,
        train_limit=train_limit,
        test_limit=test_limit,
        progress=lambda done, total: None if reporter is None else reporter.progress("read", done, total, {}),
    )
    parts = LAYOUTS[found.layout.reader or found.name](source)
    checked = {name: _checked_part(spec, part) for name, part in named_parts(parts).items()}
    for (one, first), (other, second) in combinations(checked.items(), 2):
        if shared := shared_groups(first, second):
            raise ArtifactError(
                f"{second.source}: {shared[0]!r} is in {one} and in {other}"
                + (f", and so are {len(shared) - 1} more" if len(shared) > 1 else "")
                + "; each group must be in one part only, or the accuracy says nothing"
            )
    parts = Parts(**checked)
    # What is as long as its limit may go on behind it.
    whole = {"train": len(parts.train.y) != train_limit, "validation": True, "test": len(parts.test.y) != test_limit}
    expected = spec.splits_of(found.name, options)
    counts = {name: counted(checked[name], spec.counted) if name in checked else 0 for name in expected if whole[name]}
    return parts, provenance | known_by_count(found.layout, counts, expected, spec.counted)


def known_by_count(layout: Layout, counts: Mapping[str, int], expected: Mapping[str, int], what: str) -> dict[str, str]:
    """Returns of which kind files are, and what they lack, after a look at how much they hold.

    Files in a form of the very data set of which a part holds fewer images than it should are a `subset` of it; where a
    part holds more, they are something else, a `stand-in`.

    Args:
        layout: their description.
        counts: what the parts hold, of which that is known.
        expected: what they hold if the files are what their description says.
        what: is counted.
    """
    other = {part: count for part, count in counts.items() if count != expected[part]}
    if not other:
        return {"kind": layout.kind, "missing": layout.missing}
    kind: Kind = layout.kind
    if kind in ("real", "jpeg copy"):
        kind = "stand-in" if any(count > expected[part] for part, count in other.items()) else "subset"
    figures = ", ".join(f"{part} has {count:,} {what} instead of {expected[part]:,}" for part, count in other.items())
    return {"kind": kind, "missing": f"{layout.missing} By count not what was published: {figures}.".strip()}


def shared_groups(one: Part, other: Part) -> list[str]:
    """Returns the groups that have images in both parts, in alphabetical order."""
    if one.group is None or other.group is None:
        return []
    return sorted(set(map(str, np.unique(one.group))) & set(map(str, np.unique(other.group))))


def _say(reporter: Reporter | None, text: str) -> None:
    if reporter is not None:
        reporter.say(text)


def _chosen(part: Part, which: np.ndarray) -> Part:
    """Returns some images of a part."""
    return replace(part, x=part.x[which], y=part.y[which], group=None if part.group is None else part.group[which])


def _provenance(found: Found) -> dict[str, Any]:
    """Returns what a layout is made of, as JSON data."""
    return {
        "layout": found.name,
        "kind": found.layout.kind,
        "missing": found.layout.missing,
        "folder": _place(found.folder),
        "files": {path.relative_to(found.folder).as_posix(): _digest(file, path) for file, path in found.present},
    }


def _place(folder: Path) -> str:
    """Returns where a folder is: below the data sets that come with tncompile, the same on every machine."""
    own = share("datasets")
    return str(Path("datasets", folder.relative_to(own)) if folder.is_relative_to(own) else folder)


def _digest(file: DataFile, path: Path) -> Mapping[str, Any]:
    """Returns a file's SHA-256 and whether it is the published one, or those of a folder's files together."""
    if file.is_folder:
        inside = files_in(path)
        digest = hashlib.sha256()
        for each in inside:
            digest.update(
                f"{hashlib.sha256(read_bytes(each)).hexdigest()}  {each.relative_to(path).as_posix()}\n".encode()
            )
        return {"files": len(inside), "sha256": digest.hexdigest(), "of": "names and contents"}
    content = read_bytes(path)
    found = hashlib.sha256(content).hexdigest()
    if file.required and found != file.sha256:
        raise ArtifactError(f"{path}: has SHA-256 {found}, expected {file.sha256}; it was altered, get the file again")
    same = found == file.sha256 if file.sha256 else hashlib.md5(content, usedforsecurity=False).hexdigest() == file.md5
    comparable = (file.sha256 or file.md5) is not None and path.name == Path(file.name).name
    return {"sha256": found, "published": same if comparable else None}


def _checked_part(spec: DatasetSpec, part: Part) -> Part:
    """Returns a part of pixels as wide as they need to be.

    Raises:
        ArtifactError: images, classes and groups do not go together, or do not fit the description.
    """
    x, y, group, source = part.x, part.y, part.group, part.source
    if len(x) != len(y):
        raise ArtifactError(f"{source}: {len(x)} images, but {len(y)} labels; get the files again")
    if len(x) == 0:
        raise ArtifactError(f"{source}: holds no images; get the files again")
    if group is not None and len(group) != len(y):
        raise ArtifactError(f"{source}: {len(x)} images, but {len(group)} groups; get the files again")
    width, height, channels = spec.in_shape
    if x.shape[1:] != (height, width, channels):
        raise ArtifactError(
            f"{source}: images have shape {list(x.shape[1:])}, expected {[height, width, channels]} (y, x, channels)"
        )
    if y.min() < 0 or y.max() >= spec.classes:
        raise ArtifactError(f"{source}: labels are in {y.min()} … {y.max()}, expected 0 … {spec.classes - 1}")
    if x.max() > spec.pixel_max:
        raise ArtifactError(f"{source}: pixels are up to {x.max()}, expected at most {spec.pixel_max}")
    return replace(part, x=x.astype(np.uint8 if spec.input_bits <= 8 else np.uint16, copy=False))
