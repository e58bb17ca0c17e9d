"""Tables of numbers."""

from __future__ import annotations

import gzip
import io
import zlib

import numpy as np

from tncompile.data.parts import Part, Parts, Source
from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes


def read_csv(source: Source) -> Parts:
    """Returns the images of a CSV file, a line an image: the pixels row by row, then the class.

    Sorted by class, each class in the order of the file, every fourth image is a test image; within the two
    splits, images stand in the order of the file. So the test images are a quarter of each class.
    """
    path = source.path(0)
    data = read_bytes(path)
    try:
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("ascii")
        if not text:
            raise ValueError("it is empty")
        rows = np.loadtxt(io.StringIO(text), np.uint8, delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ArtifactError(f"{path}: is not a table of numbers: {error}; get the file again") from error
    width, height, channels = source.spec.in_shape
    if rows.shape[1] != width * height * channels + 1:
        raise ArtifactError(f"{path}: has {rows.shape[1]} columns, expected {width * height * channels + 1}")
    x, y = rows[:, :-1].reshape(-1, height, width, channels), rows[:, -1]
    test = np.zeros(len(y), bool)
    test[np.argsort(y, kind="stable")[3::4]] = True
    return Parts(
        train=Part(x=x[~test], y=y[~test], source=str(path)), test=Part(x=x[test], y=y[test], source=str(path))
    )
