"""Logos on photographs: FlickrLogos-32 and Flickr Logos 27. Each marked logo becomes one small square image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from tncompile.data.files import locate
from tncompile.data.parts import Part, Parts, Source
from tncompile.data.readers.pictures import mixed, opened, resized, square
from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes

MARGIN = 1.16
"""Side of the square that is cut out, over the longer side of the logo's box."""

BEYOND = 1
"""So far may a logo's box reach beyond its photograph [pixel]: whether their makers count from 0 or 1 differs."""

NO_LOGO = "no-logo"

NONE = "none"

NONE_SQUARES = 3
"""Squares that are cut out of a photograph of Flickr Logos 27 without a logo."""

NONE_SIDES = (0.2, 0.7)
"""Sides of squares without a logo, over the shorter side of the photograph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """A square image to be made.

    Attributes:
        photo: the photograph.
        name: of the cut, unlike all others.
        group: name of the photograph.
        label: class.
        box: of the logo: left, top, right, bottom, the last two outside [pixel]; None: a square anywhere, which
            follows from the name.
        where: file and line of the box, for messages.
    """

    photo: Path
    name: str
    group: str
    label: int
    box: tuple[int, int, int, int] | None
    where: str


def read_flickr_logos32(source: Source) -> Parts:
    """Returns the marked logos of FlickrLogos-32, and one square of each photograph without a logo.

    With option `train` as `trainvalset`, training is on its makers' training and validation photographs together; as
    `trainset`, on ten photographs a class, and the rest is the validation part.

    References:
        S. Romberg, L. Garcia Pueyo, R. Lienhart, R. van Zwol 2011, "Scalable logo recognition in real-world images",
        ICMR; the data set's page, http://www.multimedia-computing.de/flickrlogos/, and `README.txt` in its archive.
    """
    named: dict[str, str] = {}  # what is not for testing, by list and line; who is in both is told later, part by part
    cuts = {
        "trainset": _cuts32(source, source.path(0), named),
        "valset": _cuts32(source, source.path(1), named),
        "testset": _cuts32(source, source.path(2), {}),
    }
    together = source.options["train"] == "trainvalset"
    chosen = {
        "train": cuts["trainset"] + cuts["valset"] * together,
        **({} if together else {"validation": cuts["valset"]}),
        "test": cuts["testset"],
    }
    return _parts(source, chosen)


def _cuts32(source: Source, path: Path, named: dict[str, str]) -> list[_Cut]:
    """Returns the logos of the photographs in a list, which must not be named yet, and notes where they are named."""
    classes = {name.casefold(): i for i, name in enumerate(source.spec.class_names)}
    found = []
    for number, line in enumerate(_lines(path), 1):
        where = f"{path}: line {number}"
        name, comma, file = (part.strip() for part in line.partition(","))
        if not comma or Path(file).name != file or not file:
            raise ArtifactError(f"{where}: is {line[:80]!r}, expected class,file.jpg; get the file again")
        if name.casefold() not in classes:
            raise ArtifactError(
                f"{where}: {name!r} is none of the {source.spec.classes} classes of {source.spec.title}; get it again"
            )
        photo = locate(source.folder, f"classes/jpg/{name}/{file}", any_case=True)
        if photo is None:
            raise ArtifactError(
                f"{where}: there is no {source.folder / 'classes' / 'jpg' / name / file}; get the files again"
            )
        group, label = f"{name.casefold()}/{file}", classes[name.casefold()]
        place = f"line {number} of {path.name}"
        if named.setdefault(group, place) != place:
            raise ArtifactError(
                f"{where}: names {name},{file}, as {named[group]} does, expected each photograph once; get the files "
                "again"
            )
        if name.casefold() == NO_LOGO:
            found.append(_Cut(photo=photo, name=group, group=group, label=label, box=None, where=where))
            continue
        boxes = locate(source.folder, f"classes/masks/{name}/{file}.bboxes.txt", any_case=True)
        if boxes is None:
            raise ArtifactError(
                f"{where}: there is no {source.folder / 'classes' / 'masks' / name / f'{file}.bboxes.txt'}; get the "
                "files again"
            )
        found += [
            _Cut(photo=photo, name=f"{group}/{i}", group=group, label=label, box=box, where=f"{boxes}: line {line}")
            for i, (line, box) in enumerate(_boxes32(boxes))
        ]
    return found


def _boxes32(path: Path) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Returns the boxes in a file, each with its line."""
    lines = _lines(path)
    if not lines or lines[0].split() != ["x", "y", "width", "height"]:
        raise ArtifactError(
            f"{path}: starts with {lines[0][:80] if lines else 'nothing'!r}, expected 'x y width height'; get it again"
        )
    boxes = []
    for number, line in enumerate(lines[1:], 2):
        try:
            x, y, width, height = map(int, line.split())
        except ValueError as error:
            raise ArtifactError(f"{path}: line {number}: {line[:80]!r} is not four whole numbers") from error
        if width < 1 or height < 1:
            raise ArtifactError(f"{path}: line {number}: a box of {width}×{height} pixels, expected 1×1 at least")
        boxes.append((number, (x - 1, y - 1, x - 1 + width, y - 1 + height)))  # its first pixel is (1, 1)
    if not boxes:
        raise ArtifactError(f"{path}: holds no box; get the files again")
    return boxes


def read_flickr_logos27(source: Source) -> Parts:
    """Returns the marked logos of Flickr Logos 27, and three squares of each photograph without a logo.

    Each fourth photograph of a class, in the order of their names, is for testing. A box without area, of which there
    is one, is left out, and so are the query photographs with logos, which have no boxes.

    References:
        Y. Kalantidis, L. G. Pueyo, M. Trevisiol, R. van Zwol, Y. Avrithis 2011, "Scalable triangulation-based logo
        recognition", ICMR.
    """
    photos, training, query = source.path(0), source.path(1), source.path(2)
    classes = {name: i for i, name in enumerate(source.spec.class_names)}
    boxes: dict[tuple[str, str], dict[tuple[int, int, int, int], str]] = {}
    for number, line in enumerate(_lines(training), 1):
        where, fields = f"{training}: line {number}", line.split()
        try:
            file, name, _, *box = fields
            left, top, right, bottom = map(int, box)
        except ValueError as error:
            raise ArtifactError(f"{where}: is {line[:80]!r}, expected file, class, subset and x1 y1 x2 y2") from error
        if name not in classes or name == NONE:
            raise ArtifactError(f"{where}: {name!r} is none of the classes of {source.spec.title}; get the file again")
        if right > left and bottom > top:  # lines repeat: the six subsets are nested
            boxes.setdefault((name, file), {}).setdefault((left, top, right, bottom), where)
    for number, line in enumerate(_lines(query), 1):
        file, tab, name = line.partition("\t")
        file, name = file.strip(), name.strip()
        if not tab or name not in classes:
            raise ArtifactError(f"{query}: line {number}: is {line[:80]!r}, expected a file, a tab and a class")
        if name == NONE:
            boxes.setdefault((name, file), {})
    chosen: dict[str, list[_Cut]] = {"train": [], "test": []}
    for name, label in classes.items():
        for i, file in enumerate(sorted(file for each, file in boxes if each == name)):
            photo = locate(photos, file) if Path(file).name == file else None
            if photo is None:
                raise ArtifactError(f"{photos / file}: is missing, and a table names it; get the files again")
            places: Sequence[Any] = list(boxes[name, file].items()) or [(None, str(query))] * NONE_SQUARES
            chosen["test" if i % 4 == 3 else "train"] += [
                _Cut(photo=photo, name=f"{name}/{file}/{k}", group=file, label=label, box=box, where=where)
                for k, (box, where) in enumerate(places)
            ]
    return _parts(source, chosen)


def _lines(path: Path) -> list[str]:
    """Returns the lines of a text that are not empty."""
    try:
        text = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: is not text: {error}; get the file again") from error
    return [line for line in text.splitlines() if line.strip()]


def _parts(source: Source, cuts: dict[str, list[_Cut]]) -> Parts:
    """Returns the parts, each in a fixed mixed order, of which limits leave the first."""
    limits = {"train": source.train_limit, "test": source.test_limit}
    chosen = {
        part: [each[i] for i in mixed([cut.name for cut in each])][: limits.get(part)] for part, each in cuts.items()
    }
    total, done, parts = sum(map(len, chosen.values())), 0, {}
    for part, each in chosen.items():
        x = np.empty((len(each), source.spec.in_shape[1], source.spec.in_shape[0], source.spec.in_shape[2]), np.uint8)
        for i, cut in enumerate(each):
            x[i] = _square(source, cut)
            done += 1
            if done % 50 == 0:
                source.progress(done, total)
        parts[part] = Part(
            x=x,
            y=np.array([cut.label for cut in each], np.int64),
            group=np.array([cut.group for cut in each], str),
            source=f"{source.folder}, {part}",
        )
    return Parts(**parts)


def _square(source: Source, cut: _Cut) -> UInt8[np.ndarray, "y x channels"]:
    width, height, _ = source.spec.in_shape
    with opened(cut.photo, ["JPEG"]) as image:
        if cut.box is None:
            box = _anywhere(cut.name, image.width, image.height)
        else:
            left, top, right, bottom = cut.box
            if min(left, top) < -BEYOND or right > image.width + BEYOND or bottom > image.height + BEYOND:
                raise ArtifactError(
                    f"{cut.where}: the logo is at {left} … {right}, {top} … {bottom}, outside {cut.photo} of "
                    f"{image.width}×{image.height} pixels; the two are of different versions, get the files again"
                )
            box = _around(cut.box)
        return resized(square(image.convert("RGB"), box), width, height, "lanczos")


def _around(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Returns the square around the centre of a logo's box."""
    left, top, right, bottom = box
    side = max(round(MARGIN * max(right - left, bottom - top)), 1)
    x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    return x, y, x + side, y + side


def _anywhere(name: str, width: int, height: int) -> tuple[int, int, int, int]:
    """Returns a square within an image that follows from a name."""
    digest = hashlib.sha256(name.encode()).digest()
    size, x, y = (int.from_bytes(digest[8 * i : 8 * i + 8], "big") / 2**64 for i in range(3))
    low, high = NONE_SIDES
    side = max(int((low + (high - low) * size) * min(width, height)), 1)
    left, top = int(x * (width - side + 1)), int(y * (height - side + 1))
    return left, top, left + side, top + side
