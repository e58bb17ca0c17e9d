"""CIFAR-10 as JPEG scans in one NumPy file."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8

from tncompile.data.parts import Part, Parts, Source
from tncompile.data.readers.arrays import check_classes, check_pixels, read_arrays
from tncompile.data.readers.pictures import pillow
from tncompile.data.spec import DatasetSpec
from tncompile.errors import ArtifactError


def read_jpeg_pack(source: Source) -> Parts:
    """Returns the images of one .npz file of JPEG scans that share a header.

    Image k is `jpeg_header_bytes`, then `scan_bytes[offsets[k]:offsets[k + 1]]`, then the end marker ff d9; its class
    is `labels[k]`; the first `n_train[0]` are the training images.
    """
    path = source.path(0)
    arrays = read_arrays(path, ["jpeg_header_bytes", "scan_bytes", "offsets", "labels", "n_train"])
    if (
        arrays["offsets"].dtype.kind not in "iu"
        or arrays["n_train"].dtype.kind not in "iu"
        or not arrays["n_train"].size
    ):
        raise ArtifactError(
            f"{path}: is not a pack of JPEG images: offsets are {arrays['offsets'].dtype}, n_train is "
            f"{arrays['n_train'].dtype} of size {arrays['n_train'].size}, expected integers; get the file again"
        )
    header, scans = arrays["jpeg_header_bytes"].tobytes(), arrays["scan_bytes"].tobytes()
    offsets, y, n_train = arrays["offsets"].astype(np.int64), arrays["labels"], int(arrays["n_train"].ravel()[0])
    if y.ndim != 1 or offsets.shape != (len(y) + 1,) or not 0 < n_train < len(y):
        raise ArtifactError(
            f"{path}: has {offsets.size} offsets, {y.size} labels and {n_train} training images, which do not go "
            "together; get the file again"
        )
    if offsets[0] != 0 or offsets[-1] != len(scans) or (np.diff(offsets) <= 0).any():
        raise ArtifactError(
            f"{path}: offsets go from {offsets[0]} to {offsets[-1]}"
            + (", and not always up" if (np.diff(offsets) <= 0).any() else "")
            + f"; expected 0 to {len(scans)}, the length of scan_bytes, each above the one before; get the file again"
        )
    train = slice(0, min(n_train, source.train_limit or n_train))
    test = slice(n_train, min(len(y), n_train + (source.test_limit or len(y))))
    total = train.stop + test.stop - test.start

    def decode(which: slice, before: int) -> UInt8[np.ndarray, "n y x channels"]:
        bounds = offsets[which.start : which.stop + 1]
        return _decode(source.spec, path, header, scans, bounds, lambda done: source.progress(before + done, total))

    x_train, x_test = decode(train, 0), decode(test, train.stop)
    return Parts(train=Part(x=x_train, y=y[train], source=str(path)), test=Part(x=x_test, y=y[test], source=str(path)))


def read_jpeg_pack_exact_test(source: Source) -> Parts:
    """Returns the training images of a JPEG pack, and for testing those of a second file, `x_test` and `y_test`."""
    path = source.path(1)
    arrays = read_arrays(path, ["x_test", "y_test"])
    test = Part(
        x=check_pixels(path, "x_test", arrays["x_test"]),
        y=check_classes(path, "y_test", arrays["y_test"]),
        source=str(path),
    )
    return replace(read_jpeg_pack(replace(source, test_limit=1)), test=test)


def _decode(
    spec: DatasetSpec,
    path: Path,
    header: bytes,
    scans: bytes,
    offsets: Integer[np.ndarray, " bounds"],
    progress: Callable[[int], None],
) -> UInt8[np.ndarray, "n y x channels"]:
    image_of = pillow(path)
    width, height, channels = spec.in_shape
    out = np.empty((len(offsets) - 1, height, width, channels), np.uint8)
    for i, (start, end) in enumerate(pairwise(offsets)):
        try:
            with image_of.open(io.BytesIO(header + scans[start:end] + b"\xff\xd9"), formats=["JPEG"]) as image:
                pixels = np.asarray(image)
        except Exception as error:  # Pillow has no common class for damaged images
            raise ArtifactError(f"{path}: image {i} is damaged: {error}; get the file again") from error
        if pixels.shape != out[i].shape:
            raise ArtifactError(f"{path}: image {i} has shape {list(pixels.shape)}, expected {list(out[i].shape)}")
        out[i] = pixels
        if i % 1000 == 999:
            progress(i + 1)
    return out
