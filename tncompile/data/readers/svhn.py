"""Street View House Numbers, cropped digits (format 2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8

from tncompile.data.parts import Part, Parts, Source
from tncompile.errors import ArtifactError

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_svhn(source: Source) -> Parts:
    """Returns the digits of `train_32x32.mat` and `test_32x32.mat`; with option `extra`, `extra_32x32.mat` as well.

    The extra images stand behind those of the training part.

    References:
        Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng 2011, "Reading digits in natural images with
        unsupervised feature learning", NIPS workshop; the data set's page, "Format 2".
    """
    train, test, extra = source.path(0), source.path(1), source.paths[2]
    chosen = [train]
    if source.options["extra"]:
        if extra is None:
            raise ArtifactError(
                f"{source.folder / 'extra_32x32.mat'}: is missing, and data.options.extra asks for it; get it with "
                "'tncompile data fetch svhn --set options.extra=true', or leave the option out"
            )
        chosen.append(extra)
    read = []
    for path in [*chosen, test]:
        read.append(_read(source, path))
        source.progress(len(read), len(chosen) + 1)
    *training, (x_test, y_test) = read
    x_train, y_train = training[0] if len(training) == 1 else map(np.concatenate, zip(*training, strict=True))
    return Parts(
        train=Part(x=x_train, y=y_train, source=" and ".join(map(str, chosen))),
        test=Part(x=x_test, y=y_test, source=str(test)),
    )


def _read(source: Source, path: Path) -> tuple[UInt8[np.ndarray, "n y x channels"], Integer[np.ndarray, " n"]]:
    from scipy.io import loadmat

    try:
        with path.open("rb") as file:
            start = file.read(520)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    if _HDF5 in (start[:8], start[512:520]):
        raise ArtifactError(
            f"{path}: is an HDF5 file (MATLAB 7.3), expected MATLAB 5; it is of format 1, whole numbers, take the "
            "cropped digits of format 2"
        )
    if start[126:128] not in (b"IM", b"MI"):
        raise ArtifactError(f"{path}: is no MATLAB 5 file: begins with {start[:16]!r}; get the file again")
    try:
        content = loadmat(path, variable_names=("X", "y"))
    except Exception as error:  # SciPy raises a dozen kinds on damaged files
        raise ArtifactError(f"{path}: is not a whole MATLAB 5 file: {error}; get the file again") from error
    if missing := [name for name in ("X", "y") if not isinstance(content.get(name), np.ndarray)]:
        raise ArtifactError(f"{path}: has no array {missing[0]}; it is not of SVHN's format 2")
    x, y = content["X"], content["y"]
    width, height, channels = source.spec.in_shape
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or x.shape[:3] != (height, width, channels):
        raise ArtifactError(
            f"{path}: X is {x.dtype} {list(x.shape)}, expected uint8 [{height}, {width}, {channels}, n]; get it again"
        )
    x = x.reshape(*x.shape[:3], -1)  # MATLAB drops a last dimension of one image
    if y.dtype.kind not in "iu" and not (y.dtype.kind == "f" and np.array_equal(y, np.round(y))):
        raise ArtifactError(f"{path}: y is {y.dtype}, expected digits 1 … 10")
    if y.size != x.shape[3]:
        raise ArtifactError(f"{path}: {x.shape[3]} images, but {y.size} labels; get the file again")
    y = y.ravel().astype(np.int64)
    if y.size and not 1 <= y.min() <= y.max() <= 10:
        raise ArtifactError(f"{path}: labels are in {y.min()} … {y.max()}, expected 1 … 10, where 10 is the digit 0")
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2)), y % 10
