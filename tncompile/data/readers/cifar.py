"""CIFAR-10 and CIFAR-100, as their makers distribute them.

References:
    A. Krizhevsky 2009, "Learning multiple layers of features from tiny images"; the data sets' page,
    https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8

from tncompile.data.parts import Part, Parts, Source
from tncompile.data.readers.pickles import Array, read_pickle, shown
from tncompile.data.spec import DatasetSpec
from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes

NAMED = 8
"""Most keys that a message names."""

Batch = tuple[UInt8[np.ndarray, "n y x channels"], Integer[np.ndarray, " n"]]


def read_cifar_binary(source: Source) -> Parts:
    """Returns the images of the binary version: all files but the last are for training, the last is for testing.

    Options:
        labels: bytes in front of a record's pixels, 1 by default.
        label: which of them is the class, 0 by default.
    """
    labels, label = source.options.get("labels", 1), source.options.get("label", 0)
    return _parts(source, lambda path: _binary(source.spec, path, labels, label))


def read_cifar_python(source: Source) -> Parts:
    """Returns the images of the Python version: all files but the last are for training, the last is for testing.

    Which of them a file is stands in it as well, and must be right if it does: `training batch 2 of 5`, for example, or
    `testing batch 1 of 1`.

    Options:
        label: key of the classes, `labels` by default.
    """
    key = source.options.get("label", "labels")
    training = len(source.paths) - 1
    names = [*(f"training batch {k} of {training}" for k in range(1, training + 1)), "testing batch 1 of 1"]
    named = dict(zip(source.paths, names, strict=True))
    return _parts(source, lambda path: _pickled(source.spec, path, key, named[path]))


def _parts(source: Source, read: Callable[[Path], Batch]) -> Parts:
    batches = []
    for i in range(len(source.paths)):
        batches.append(read(source.path(i)))
        source.progress(i + 1, len(source.paths))
    *training, (x_test, y_test) = batches
    x_train, y_train = (np.concatenate(arrays) for arrays in zip(*training, strict=True))
    train_source = str(source.path(0) if len(training) == 1 else source.folder)
    return Parts(
        train=Part(x=x_train, y=y_train, source=train_source),
        test=Part(x=x_test, y=y_test, source=str(source.path(-1))),
    )


def _binary(spec: DatasetSpec, path: Path, labels: int, label: int) -> Batch:
    width, height, channels = spec.in_shape
    record = labels + width * height * channels
    data = np.frombuffer(read_bytes(path), np.uint8)
    if len(data) == 0 or len(data) % record:
        raise ArtifactError(f"{path}: has {len(data)} bytes, expected a multiple of {record}; get the file again")
    rows = data.reshape(-1, record)
    return _images(spec, rows[:, labels:]), _classes(spec, path, rows[:, label])


def _images(spec: DatasetSpec, rows: UInt8[np.ndarray, "n pixels"]) -> UInt8[np.ndarray, "n y x channels"]:
    """Returns images whose bytes are stored channel after channel, row by row."""
    width, height, channels = spec.in_shape
    return rows.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)


def _classes(spec: DatasetSpec, path: Path, y: Integer[np.ndarray, " n"]) -> Integer[np.ndarray, " n"]:
    """Returns classes after checking them file by file, so that the message names the one that is wrong."""
    if len(y) and not 0 <= y.min() <= y.max() < spec.classes:
        raise ArtifactError(
            f"{path}: labels are in {y.min()} … {y.max()}, expected 0 … {spec.classes - 1}; it is damaged, or of "
            "another data set"
        )
    return y


def _pickled(spec: DatasetSpec, path: Path, key: str, name: str) -> Batch:
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: holds a {type(content).__name__}, expected a dictionary; it is no batch of CIFAR")
    # Python 2 wrote the keys; who stored the file again with Python 3 has made text of them.
    keyed = {k.decode("latin-1") if isinstance(k, bytes) else k: v for k, v in content.items()}
    if missing := [name for name in ("data", key) if name not in keyed]:
        others = ", ".join(map(shown, list(keyed)[:NAMED])) + (", …" if len(keyed) > NAMED else "")
        raise ArtifactError(f"{path}: has no {missing[0]}, only {others or 'nothing'}; it is no batch of {spec.title}")
    says = keyed.get("batch_label", name)
    if not isinstance(says, str | bytes | int):
        raise ArtifactError(f"{path}: batch_label is {shown(says)}, expected {name!r}; get the file again")
    if shown(says) != name:
        raise ArtifactError(
            f"{path}: says that it is '{shown(says)}', expected {name!r}; it is another file under this name, get "
            "the files again"
        )
    pixels, y = keyed["data"], keyed[key]
    row = int(np.prod(spec.in_shape))
    if not isinstance(pixels, Array) or pixels.dtype != "uint8" or len(pixels.shape) != 2 or pixels.shape[1] != row:
        found = (
            f"{pixels.dtype} {shown(str(list(pixels.shape)))}" if isinstance(pixels, Array) else type(pixels).__name__
        )
        raise ArtifactError(f"{path}: data is {found}, expected uint8 [n, {row}]; get the file again")
    if not isinstance(y, list) or not all(type(each) is int for each in y):
        raise ArtifactError(f"{path}: {key} is no list of integers; get the file again")
    try:
        rows = pixels.pixels()
    except ValueError as error:
        raise ArtifactError(f"{path}: data is {error}; get the file again") from error
    if len(y) != len(rows):
        raise ArtifactError(f"{path}: {len(rows)} images, but {len(y)} labels; get the file again")
    if any(abs(each) >= 1 << 31 for each in y):
        raise ArtifactError(f"{path}: {key} holds {shown(max(y, key=abs))}, expected 0 … {spec.classes - 1}")
    return _images(spec, rows), _classes(spec, path, np.array(y, np.int64))
