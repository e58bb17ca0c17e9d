"""German Traffic Sign Recognition Benchmark."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from tncompile.data.files import locate
from tncompile.data.parts import Part, Parts, Source
from tncompile.data.readers.pictures import EVERY, mixed, opened, resized
from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes

HEADER = ("Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId")

TEST_LABELS = "GT-final_test.csv"


_BETWEEN = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PPM = re.compile(rb"P6" + _BETWEEN + rb"\d+" + _BETWEEN + rb"\d+" + _BETWEEN + rb"(\d+)\s")
"""Header of a binary PPM: width, height, and the largest value, with remarks between them."""


class _Row(NamedTuple):
    """A line of a table: an image, its size, where the sign is in it, ends included, and its class."""

    path: Path
    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int
    label: int


def read_gtsrb(source: Source) -> Parts:
    """Returns the images of `Final_Training/Images` and `Final_Test/Images`.

    Training images are in a fixed mixed order (`pictures.mixed`), grouped by track: up to 30 photographs of one sign on
    one drive, which are near-copies of each other. The test images' classes are in `GT-final_test.csv`, which comes by
    itself: it is looked for in `Final_Test`, in `Final_Test/Images`, in the folder above both, and beside that.

    References:
        J. Stallkamp, M. Schlipsing, J. Salmen, C. Igel 2012, "Man vs. computer: benchmarking machine learning
        algorithms for traffic sign recognition", Neural Networks 32:323; `Readme-Images.txt` in the archives.
    """
    training, testing = source.path(0), source.path(1)
    rows, tracks = [], []
    for label in range(source.spec.classes):
        folder = training / f"{label:05}"
        found = _table(folder / f"GT-{label:05}.csv", folder)
        for row in found:
            if row.label != label:
                raise ArtifactError(
                    f"{folder / f'GT-{label:05}.csv'}: says that {row.path.name} is of class {row.label}, its folder "
                    f"is that of class {label}"
                )
            track, underscore, _ = row.path.stem.partition("_")
            if not underscore or not track.isdecimal():
                raise ArtifactError(f"{row.path}: has no name like 00000_00029.ppm, track and frame")
            tracks.append(f"{label}/{int(track)}")  # as the pack names them, so that both hold out the same tracks
        _none_beside(folder, found)
        rows += found
    order = mixed([f"{row.label:05}/{row.path.name}" for row in rows])
    rows, tracks = [rows[i] for i in order], np.array([tracks[i] for i in order])
    test_labels = _test_labels(source.folder, testing)
    test_rows = _table(test_labels, testing)
    for row in test_rows:
        if not 0 <= row.label < source.spec.classes:
            raise ArtifactError(
                f"{test_labels}: says that {row.path.name} is of class {row.label}, expected 0 … "
                f"{source.spec.classes - 1}; get the file again"
            )
    _none_beside(testing, test_rows)
    rows, test_rows = rows[: source.train_limit], test_rows[: source.test_limit]
    total = len(rows) + len(test_rows)
    return Parts(
        train=Part(
            x=_images(source, rows, 0, total),
            y=np.array([row.label for row in rows], np.int64),
            group=tracks[: len(rows)],
            source=str(training),
        ),
        test=Part(
            x=_images(source, test_rows, len(rows), total),
            y=np.array([row.label for row in test_rows], np.int64),
            source=str(testing),
        ),
    )


def _test_labels(folder: Path, testing: Path) -> Path:
    places = [testing.parent, testing, folder, folder.parent]
    found = next(filter(None, (locate(place, TEST_LABELS) for place in places)), None)
    if found is None:
        raise ArtifactError(
            f"{testing}: there are no classes for these images: no {TEST_LABELS} in "
            f"{', '.join(map(str, places))}; it comes in an archive of its own, GTSRB_Final_Test_GT.zip"
        )
    return found


def _table(path: Path, folder: Path) -> list[_Row]:
    """Returns the lines of a table of images that lie in a folder."""
    try:
        lines = list(csv.reader(io.StringIO(read_bytes(path).decode("ascii")), delimiter=";"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{path}: is not a table as text: {error}; get the file again") from error
    lines = [line for line in lines if line]
    if not lines or tuple(lines[0]) != HEADER:
        starts = ";".join(lines[0]) if lines else "nothing"
        hint = (
            "; it is the copy without classes, take the one in GTSRB_Final_Test_GT.zip"
            if starts == ";".join(HEADER[:-1])
            else "; get the file again"
        )
        raise ArtifactError(f"{path}: starts with {starts[:200]}, expected {';'.join(HEADER)}{hint}")
    rows, first = [], {}
    for number, line in enumerate(lines[1:], 2):
        row = _row(path, number, line, folder)
        if first.setdefault(row.path.name, number) != number:
            raise ArtifactError(
                f"{path}: line {number}: names {row.path.name}, as line {first[row.path.name]} does, expected each "
                "image once; get the file again"
            )
        rows.append(row)
    return rows


def _row(path: Path, number: int, line: Sequence[str], folder: Path) -> _Row:
    where = f"{path}: line {number}"
    if len(line) != len(HEADER):
        raise ArtifactError(f"{where}: has {len(line)} columns, expected {len(HEADER)}; get the file again")
    name, *figures = line
    try:
        width, height, left, top, right, bottom, label = map(int, figures)
    except ValueError as error:
        raise ArtifactError(f"{where}: {error}; get the file again") from error
    if Path(name).name != name or not name:
        raise ArtifactError(f"{where}: {name!r} is no file's name; get the file again")
    if not (0 <= left <= right < width and 0 <= top <= bottom < height):
        raise ArtifactError(
            f"{where}: the sign is at {left} … {right}, {top} … {bottom}, outside an image of {width}×{height} pixels"
        )
    return _Row(folder / name, width, height, left, top, right, bottom, label)


def _none_beside(folder: Path, rows: Sequence[_Row]) -> None:
    """Refuses images that the table of a folder does not name: table and images are then of different versions."""
    named = {row.path.name for row in rows}
    beside = sorted(path.name for path in folder.glob("*.ppm") if path.name not in named)
    if beside:
        raise ArtifactError(
            f"{folder}: {beside[0]} and {len(beside) - 1} more images are not in its table of {len(rows)}; get the "
            "files again"
        )


def _check_ppm(row: _Row) -> None:
    """Refuses a PPM image that Pillow reads, but not as it was taken: of another range, or with more behind it.

    Raises:
        ArtifactError: it is such an image.
    """
    content = read_bytes(row.path)
    header = _PPM.match(content)
    if header is None or int(header[1]) != 255:
        found = "another header" if header is None else f"pixels up to {int(header[1])}"
        raise ArtifactError(f"{row.path}: has {found}, expected a binary PPM with pixels up to 255; get the file again")
    expected = header.end() + 3 * row.width * row.height
    if len(content) != expected:
        raise ArtifactError(
            f"{row.path}: has {len(content)} bytes, expected {expected} for {row.width}×{row.height} pixels; get the "
            "file again"
        )


def _images(source: Source, rows: Sequence[_Row], before: int, total: int) -> UInt8[np.ndarray, "n y x channels"]:
    width, height, channels = source.spec.in_shape
    out = np.empty((len(rows), height, width, channels), np.uint8)
    for i, row in enumerate(rows):
        with opened(row.path, ["PPM"]) as image:
            if image.size != (row.width, row.height) or image.mode != "RGB":
                raise ArtifactError(
                    f"{row.path}: has {image.width}×{image.height} pixels ({image.mode}), its table says "
                    f"{row.width}×{row.height} in colour; get the files again"
                )
            _check_ppm(row)
            if source.options["crop"] == "roi":
                image = image.crop((row.left, row.top, row.right + 1, row.bottom + 1))
            out[i] = resized(image, width, height, "bilinear")
        if (before + i + 1) % EVERY == 0:
            source.progress(before + i + 1, total)
    return out
