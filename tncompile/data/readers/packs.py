"""Data sets that somebody packed into one NumPy file."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8

from tncompile.data.parts import Part, Parts, Source
from tncompile.data.spec import DatasetSpec
from tncompile.errors import ArtifactError


def read_jpeg_pack(source: Source) -> Parts:
    """Returns the images of one .npz file of JPEG scans that share a header.

    Image k is `jpeg_header_bytes`, then `scan_bytes[offsets[k]:offsets[k + 1]]`, then the end marker ff d9; its class
    is `labels[k]`; the first `n_train[0]` are the training images.
    """
    path = source.path(0)
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
    train = slice(0, min(n_train, source.train_limit or n_train))
    test = slice(n_train, min(len(y), n_train + (source.test_limit or len(y))))
    x_train, x_test = (_decode(source.spec, path, header, scans, offsets[s.start : s.stop + 1]) for s in (train, test))
    return Parts(train=Part(x=x_train, y=y[train], source=str(path)), test=Part(x=x_test, y=y[test], source=str(path)))


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
