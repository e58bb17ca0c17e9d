"""One reader for each layout that a data set's files may have."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8

from tncompile.data.idx import read_idx
from tncompile.data.spec import DatasetSpec
from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes


class Split(NamedTuple):
    """Images and their classes, before they are checked.

    Attributes:
        x: pixels.
        y: class of each image.
        files: where they are from, for messages.
    """

    x: UInt8[np.ndarray, "n y x channels"]
    y: Integer[np.ndarray, " n"]
    files: str


Reader = Callable[[DatasetSpec, list[Path], int | None, int | None], tuple[Split, Split]]
"""Description, files, and how many training and test images are wanted at most, to the training and test images."""


def read_csv(
    spec: DatasetSpec, files: list[Path], train_limit: int | None, test_limit: int | None
) -> tuple[Split, Split]:
    """Returns the images of a CSV file, a line an image: the pixels row by row, then the class.

    Sorted by class, each class in the order of the file, every fourth image is a test image; within the two
    splits, images stand in the order of the file. So the test images are a quarter of each class.
    """
    (path,) = files
    data = read_bytes(path)
    try:
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("ascii")
        if not text:
            raise ValueError("it is empty")
        rows = np.loadtxt(io.StringIO(text), np.uint8, delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ArtifactError(f"{path}: is not a table of numbers: {error}; get the file again") from error
    width, height, channels = spec.in_shape
    if rows.shape[1] != width * height * channels + 1:
        raise ArtifactError(f"{path}: has {rows.shape[1]} columns, expected {width * height * channels + 1}")
    x, y = rows[:, :-1].reshape(-1, height, width, channels), rows[:, -1]
    test = np.zeros(len(y), bool)
    test[np.argsort(y, kind="stable")[3::4]] = True
    return Split(x[~test], y[~test], str(path)), Split(x[test], y[test], str(path))


def read_idx_pairs(
    spec: DatasetSpec, files: list[Path], train_limit: int | None, test_limit: int | None
) -> tuple[Split, Split]:
    """Returns the images of four IDX files: training images and labels, test images and labels."""
    x_train, y_train, x_test, y_test = files
    return _idx_pair(spec, x_train, y_train), _idx_pair(spec, x_test, y_test)


def _idx_pair(spec: DatasetSpec, images: Path, labels: Path) -> Split:
    x, y = read_idx(images), read_idx(labels)
    width, height, _ = spec.in_shape
    if x.ndim != 3 or x.shape[1:] != (height, width):
        raise ArtifactError(f"{images}: has shape {list(x.shape)}, expected [n, {height}, {width}]; get the file again")
    if y.ndim != 1:
        raise ArtifactError(f"{labels}: has shape {list(y.shape)}, expected [n]; get the file again")
    return Split(x[..., None], y, f"{images} and {labels.name}")


def read_cifar_binary(
    spec: DatasetSpec, files: list[Path], train_limit: int | None, test_limit: int | None
) -> tuple[Split, Split]:
    """Returns the images of CIFAR-10's binary version: five training batches and one test batch.

    References:
        A. Krizhevsky 2009, "Learning multiple layers of features from tiny images"; the data set's page.
    """
    batches = [_cifar_batch(spec, path) for path in files]
    train = [np.concatenate(parts) for parts in zip(*batches[:-1], strict=True)]
    folder = files[0].parent
    return Split(train[0], train[1], str(folder)), Split(*batches[-1], str(files[-1]))


def _cifar_batch(spec: DatasetSpec, path: Path) -> tuple[UInt8[np.ndarray, "n y x channels"], UInt8[np.ndarray, " n"]]:
    width, height, channels = spec.in_shape
    record = 1 + width * height * channels
    data = np.frombuffer(read_bytes(path), np.uint8)
    if len(data) == 0 or len(data) % record:
        raise ArtifactError(f"{path}: has {len(data)} bytes, expected a multiple of {record}; get the file again")
    rows = data.reshape(-1, record)
    return rows[:, 1:].reshape(-1, channels, height, width).transpose(0, 2, 3, 1), rows[:, 0]


def read_jpeg_pack(
    spec: DatasetSpec, files: list[Path], train_limit: int | None, test_limit: int | None
) -> tuple[Split, Split]:
    """Returns the images of one .npz file of JPEG scans that share a header.

    Image k is `jpeg_header_bytes`, then `scan_bytes[offsets[k]:offsets[k + 1]]`, then the end marker ff d9; its class
    is `labels[k]`; the first `n_train[0]` are the training images.
    """
    (path,) = files
    try:
        with np.load(path, allow_pickle=False) as pack:
            header, scans = pack["jpeg_header_bytes"].tobytes(), pack["scan_bytes"].tobytes()
            offsets, y, n_train = pack["offsets"].astype(np.int64), pack["labels"], int(pack["n_train"][0])
    except Exception as error:  # NumPy, zipfile and lzma raise a dozen kinds on damaged files
        raise ArtifactError(f"{path}: is not a pack of JPEG images: {error}; get the file again") from error
    if y.ndim != 1 or offsets.shape != (len(y) + 1,) or not 0 < n_train < len(y):
        raise ArtifactError(
            f"{path}: has {offsets.size} offsets, {y.size} labels and {n_train} training images, which do not go "
            "together; get the file again"
        )
    train = slice(0, min(n_train, train_limit or n_train))
    test = slice(n_train, min(len(y), n_train + (test_limit or len(y))))
    x_train, x_test = (_decode(spec, path, header, scans, offsets[s.start : s.stop + 1]) for s in (train, test))
    return Split(x_train, y[train], str(path)), Split(x_test, y[test], str(path))


def _decode(
    spec: DatasetSpec, path: Path, header: bytes, scans: bytes, offsets: Integer[np.ndarray, " bounds"]
) -> UInt8[np.ndarray, "n y x channels"]:
    try:
        from PIL import Image
    except ImportError as error:
        raise ArtifactError(f"{path}: reading it needs Pillow: pip install 'tncompile[data]'") from error
    width, height, channels = spec.in_shape
    out = np.empty((len(offsets) - 1, height, width, channels), np.uint8)
    for i, (start, end) in enumerate(pairwise(offsets)):
        try:
            with Image.open(io.BytesIO(header + scans[start:end] + b"\xff\xd9"), formats=["JPEG"]) as image:
                pixels = np.asarray(image)
        except Exception as error:  # Pillow has no common class for damaged images
            raise ArtifactError(f"{path}: image {i} is damaged: {error}; get the file again") from error
        if pixels.shape != out[i].shape:
            raise ArtifactError(f"{path}: image {i} has shape {list(pixels.shape)}, expected {list(out[i].shape)}")
        out[i] = pixels
    return out


LAYOUTS: dict[str, Reader] = {
    "csv": read_csv,
    "idx": read_idx_pairs,
    "cifar_binary": read_cifar_binary,
    "jpeg_pack": read_jpeg_pack,
}
"""All layouts by the name that a description calls them."""
