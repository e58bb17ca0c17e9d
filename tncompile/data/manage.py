"""What `tncompile data` does with data sets that are there: list, describe, prepare and verify them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt

from tncompile.config.data import DataConfig
from tncompile.config.experiment import parse_config, set_key
from tncompile.config.yaml import KeyPath
from tncompile.data.cache import prepared_path, read_prepared, write_prepared
from tncompile.data.dataset import find_chosen, read_original, shared_groups
from tncompile.data.files import Found, find_files
from tncompile.data.parts import Part, Parts, counted, named_parts
from tncompile.data.spec import DatasetSpec, Description, load_description, load_spec, yaml_text
from tncompile.data.split import hold_out
from tncompile.errors import ArtifactError
from tncompile.reporter import Reporter
from tncompile.share import dataset_names

Verdict = Literal["OK", "wrong", "note"]

TRIAL_SHARE = 0.1
"""Share of the groups that `verify` holds out, to see that none is torn apart."""


def data_config(name: str, root: Path | None, overrides: Sequence[str] = ()) -> DataConfig:
    """Returns what an experiment would say of a data set.

    Args:
        name: the data set.
        root: folder with its files, or None.
        overrides: `KEY=VALUE` each, keys of the experiment's `data`.

    Raises:
        ConfigError: an unknown data set or key, or a wrong value.
    """
    values: dict[str, Any] = {"name": name}
    places: dict[KeyPath, str] = {}
    if root is not None:
        values["root"] = str(root)
    for override in overrides:
        set_key(values, places, override)
    return parse_config(DataConfig, values, "data", places)


def list_datasets(root: Path | None) -> list[dict[str, Any]]:
    """Returns a row for each data set: whether it is there, where, and what it is.

    Args:
        root: folder to look in; None: all places.
    """
    rows = []
    for name in dataset_names():
        described = load_description(name)
        found = _found(described, data_config(name, root))
        rows.append(
            {
                "name": name,
                "found": "" if found is None else found.name,
                "kind": "" if found is None else found.layout.kind,
                "get": _how(described),
                "title": described.title,
                "folder": "" if found is None else str(found.folder),
            }
        )
    return rows


def _found(described: Description, config: DataConfig) -> Found | None:
    try:
        return find_files(described, config)
    except ArtifactError:
        return None


def _how(described: Description) -> str:
    """Returns in a word how a user gets a data set."""
    if described.downloads:
        return "fetch"
    kinds = {layout.kind for layout in described.layouts.values()}
    return "your own" if kinds == {"own"} else "comes along" if described.name == "digits" else "by hand"


def describe(config: DataConfig) -> dict[str, Any]:
    """Returns what is known of a data set, with a list of its layouts, options and downloads.

    Raises:
        ConfigError: an unknown data set.
    """
    described = load_description(config.name)
    found = _found(described, config)
    try:
        spec = load_spec(config)
    except ArtifactError:  # the user's own, and not there
        spec = None
    figures: dict[str, Any] = {"name": described.name, "title": described.title}
    if spec is not None:
        figures |= {
            "image": "×".join(map(str, spec.in_shape[:2])) + f", {spec.in_shape[2]} channels, {spec.input_bits} bits",
            "classes": spec.classes,
            "class_names": ", ".join(spec.class_names),
            "splits": ", ".join(f"{part} {count:,}" for part, count in spec.splits.items())
            + (" groups" if spec.counted == "groups" else ""),
        }
    figures |= {
        "split_rule": described.split_rule,
        "preprocessing": described.preprocessing,
        "licence": described.licence,
        "source": described.source,
        "obtain": described.obtain,
        "found": "no" if found is None else f"layout {found.name} in {found.folder}",
    }
    if found is not None and spec is not None:
        path = prepared_path(spec, *find_chosen(spec, config))
        figures["prepared"] = str(path) if path.is_file() else "no"
    figures["layouts"] = [
        {
            "layout": name,
            "kind": layout.kind,
            "files": ", ".join(file.name + (" (optional)" if file.optional else "") for file in layout.files),
            "missing": layout.missing,
        }
        for name, layout in described.layouts.items()
    ]
    figures["options"] = [
        {
            "option": name,
            "default": yaml_text(option.default),
            "choices": ", ".join(map(yaml_text, option.choices)),
            "meaning": option.description,
        }
        for name, option in described.options.items()
    ]
    figures["downloads"] = [
        {
            "url": file.url,
            "bytes": file.bytes,
            "checksum": f"SHA-256 {file.sha256}" if file.sha256 else f"MD5 {file.md5}",
        }
        for file in described.downloads
    ]
    return figures


def prepare(config: DataConfig, reporter: Reporter) -> dict[str, Any]:
    """Reads a data set from its files and writes the prepared copy; returns what it is.

    Raises:
        ConfigError, ArtifactError: the data set is unknown, missing or damaged, or the copy cannot be written.
    """
    begin = time.perf_counter()
    spec = load_spec(config)
    found, options = find_chosen(spec, config)
    path = prepared_path(spec, found, options, to_write=True)
    reporter.say(f"Reading {spec.name}, layout {found.name}, in {found.folder}")
    parts, provenance = read_original(spec, found, options, reporter=reporter)
    write_prepared(path, parts, provenance)
    return {
        "name": spec.name,
        "layout": found.name,
        "kind": provenance["kind"],
        "missing": provenance["missing"],
        "folder": str(found.folder),
        **{f"{part}_images": len(each.y) for part, each in named_parts(parts).items()},
        "prepared": str(path),
        "bytes": path.stat().st_size,
        "seconds": time.perf_counter() - begin,
    }


def verify_dataset(config: DataConfig, reporter: Reporter) -> list[dict[str, str]]:
    """Returns a row for each thing that was checked: what, whether it is right, and the figures.

    The files are read anew; a prepared copy is compared with what they give.

    Raises:
        ConfigError: the data set or an option is unknown.
        ArtifactError: the data set is missing.
    """
    spec = load_spec(config)
    found, options = find_chosen(spec, config)
    reporter.say(f"Reading {spec.name}, layout {found.name}, in {found.folder}")
    rows: list[dict[str, str]] = []

    def add(check: str, verdict: Verdict, detail: str) -> None:
        rows.append({"check": check, "verdict": verdict, "detail": detail})

    try:
        parts, provenance = read_original(spec, found, options, reporter=reporter)
    except ArtifactError as error:
        add("read", "wrong", str(error))
        return rows
    for name, file in provenance["files"].items():
        add(f"file {name}", *_file_verdict(file))
    add("read", "OK", ", ".join(f"{part} {len(each.y):,} images" for part, each in named_parts(parts).items()))
    for check, verdict, detail in _checks(spec, found, options, parts):
        add(check, verdict, detail)
    path = prepared_path(spec, found, options)
    if path.is_file():
        add("prepared copy", *_copy_verdict(path, parts))
    return rows


def _file_verdict(file: dict[str, Any]) -> tuple[Verdict, str]:
    if "files" in file:
        return (
            "note",
            f"{file['files']:,} files, SHA-256 {file['sha256']} of {file['of']}; none to compare it with is known",
        )
    if file["published"] is None:
        return "note", f"SHA-256 {file['sha256']}; none to compare it with is known of the file in this form"
    if file["published"]:
        return "OK", "has the published checksum"
    return "wrong", f"has SHA-256 {file['sha256']}, which is not that of the published file; get it again"


def _checks(
    spec: DatasetSpec, found: Found, options: dict[str, Any], parts: Parts
) -> Iterator[tuple[str, Verdict, str]]:
    """Yields what else is checked of parts that could be read."""
    named = named_parts(parts)
    expected = spec.splits_of(found.name, options)
    for part, each in named.items():
        count = counted(each, spec.counted)
        says = f"{count:,} {spec.counted}"
        if part not in expected:
            yield f"count of {part}", "note", f"{says}; the description has none to compare with"
        else:
            right = count == expected[part]
            yield (
                f"count of {part}",
                "OK" if right else "wrong",
                says if right else f"{says}, expected {expected[part]:,}",
            )
    for part, each in named.items():
        counts = np.bincount(each.y, minlength=spec.classes)
        absent = [spec.class_names[c] for c in np.flatnonzero(counts == 0)]
        detail = f"{counts.min():,} to {counts.max():,} images a class"
        if absent:
            detail += f"; none of {', '.join(absent[:10])}{', …' if len(absent) > 10 else ''}"
        yield f"classes of {part}", "note" if absent else "OK", detail
    for (one, first), (other, second) in combinations(named.items(), 2):
        if first.group is not None and second.group is not None:
            shared = shared_groups(first, second)
            yield f"groups of {one} and {other}", "wrong" if shared else "OK", f"{len(shared)} in both"
        count = _duplicates(first.x, second.x)
        yield (
            f"images of {one} and {other}",
            "note" if count else "OK",
            f"{count:,} of {other} are pixel by pixel also in {one}",
        )
    if parts.validation is None:
        held = hold_out(parts.train.y, parts.train.group, TRIAL_SHARE)
        groups = _groups(parts.train)
        torn = set(groups[held]) & set(groups[~held])
        ours, all_groups = len(set(groups[held])), len(set(groups))
        yield (
            f"validation of {TRIAL_SHARE}",
            "wrong" if torn else "OK",
            f"{held.sum():,} images, {ours:,} of {all_groups:,} groups; {len(torn)} torn apart",
        )


def _groups(part: Part) -> np.ndarray:
    return np.arange(len(part.y)) if part.group is None else part.group


def _duplicates(one: UInt[np.ndarray, "n y x channels"], other: UInt[np.ndarray, "m y x channels"]) -> int:
    """Returns how many images of the other part are also in the one."""
    known = {image.tobytes() for image in one}
    return sum(image.tobytes() in known for image in other)


def _copy_verdict(path: Path, parts: Parts) -> tuple[Verdict, str]:
    """Returns whether a prepared copy holds just these parts."""
    try:
        copy = named_parts(read_prepared(path)[0])
    except ArtifactError as error:
        return "wrong", f"{error}; it will be made again"
    named = named_parts(parts)
    same = copy.keys() == named.keys() and all(
        np.array_equal(copy[part].x, each.x)
        and np.array_equal(copy[part].y, each.y)
        and np.array_equal(_groups(copy[part]), _groups(each))
        for part, each in named.items()
    )
    return ("OK", f"{path} holds the same") if same else ("wrong", f"{path}: holds something else; remove it")


def check_verdicts(name: str, rows: Sequence[dict[str, str]]) -> None:
    """Raises an error if a check found something wrong.

    Raises:
        ArtifactError: it did; says how often.
    """
    wrong = [row["check"] for row in rows if row["verdict"] == "wrong"]
    if wrong:
        raise ArtifactError(f"{name}: {len(wrong)} of {len(rows)} checks found something wrong: {', '.join(wrong)}")
