"""CIFAR-10 and CIFAR-100."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from tncompile.data.parts import Part, Parts, Source
from tncompile.data.spec import DatasetSpec
from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes


def read_cifar_binary(source: Source) -> Parts:
    """Returns the images of CIFAR-10's binary version: five training batches and one test batch.

    References:
        A. Krizhevsky 2009, "Learning multiple layers of features from tiny images"; the data set's page.
    """
    *batches, (x_test, y_test) = [_batch(source.spec, source.path(i)) for i in range(len(source.paths))]
    x_train, y_train = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    return Parts(
        train=Part(x=x_train, y=y_train, source=str(source.folder)),
        test=Part(x=x_test, y=y_test, source=str(source.path(-1))),
    )


def _batch(spec: DatasetSpec, path: Path) -> tuple[UInt8[np.ndarray, "n y x channels"], UInt8[np.ndarray, " n"]]:
    width, height, channels = spec.in_shape
    record = 1 + width * height * channels
    data = np.frombuffer(read_bytes(path), np.uint8)
    if len(data) == 0 or len(data) % record:
        raise ArtifactError(f"{path}: has {len(data)} bytes, expected a multiple of {record}; get the file again")
    rows = data.reshape(-1, record)
    return rows[:, 1:].reshape(-1, channels, height, width).transpose(0, 2, 3, 1), rows[:, 0]
