"""IDX files, as MNIST and its successors are distributed."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from tncompile.data.parts import Part, Parts, Source
from tncompile.data.spec import DatasetSpec
from tncompile.errors import ArtifactError

MAX_BYTES = 1 << 31
"""Largest array that is read [B]."""

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """Returns the array in an IDX file of unsigned bytes, plain or compressed by gzip.

    Raises:
        ArtifactError: the file cannot be read, is truncated, has more bytes than it says, or is no such file.

    References:
        Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", section on file formats.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not zipped:
                return _read(raw, path)
            with gzip.GzipFile(fileobj=raw) as file:
                return _read(file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}; get the file again") from error


def _read(file: io.BufferedIOBase, path: Path) -> UInt8[np.ndarray, "..."]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or not 1 <= magic[3] <= 4:
        raise ArtifactError(
            f"{path}: is not an IDX file of unsigned bytes: starts with {magic.hex() or 'nothing'}, expected 000008 "
            "and the number of dimensions; get the file again"
        )
    dimensions = magic[3]
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ArtifactError(f"{path}: is truncated within its first bytes; get the file again")
    shape = struct.unpack(f">{dimensions}I", sizes)
    count = math.prod(shape)
    if count > MAX_BYTES:
        raise ArtifactError(f"{path}: says that it holds {count} bytes, at most {MAX_BYTES} are read")
    data = file.read(count + 1)
    if len(data) != count:
        found = len(data) if len(data) < count else f"more than {count}"
        raise ArtifactError(
            f"{path}: holds {found} values, expected {count} for the shape {list(shape)} that its header says; get the "
            "file again"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_idx_pairs(source: Source) -> Parts:
    """Returns the images of four IDX files: training images and labels, test images and labels."""
    x_train, y_train, x_test, y_test = map(source.path, range(4))
    return Parts(train=_pair(source.spec, x_train, y_train), test=_pair(source.spec, x_test, y_test))


def _pair(spec: DatasetSpec, images: Path, labels: Path) -> Part:
    x, y = read_idx(images), read_idx(labels)
    width, height, _ = spec.in_shape
    if x.ndim != 3 or x.shape[1:] != (height, width):
        raise ArtifactError(f"{images}: has shape {list(x.shape)}, expected [n, {height}, {width}]; get the file again")
    if y.ndim != 1:
        raise ArtifactError(f"{labels}: has shape {list(y.shape)}, expected [n]; get the file again")
    return Part(x=x[..., None], y=y, source=f"{images} and {labels.name}")
