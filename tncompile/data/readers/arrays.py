"""Arrays in NumPy's .npz files, of whoever made them."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Integer, Shaped, UInt

from tncompile.data.parts import Part, Parts, Source
from tncompile.errors import ArtifactError

MAX_BYTES = 1 << 34
"""Largest array that is read [B]: a few bytes of a file can say that they unpack to anything."""

PARTS = ("train", "validation", "test")


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turns whatever NumPy, zipfile, zlib and lzma say of a damaged file into one kind of error."""
    try:
        yield
    except ArtifactError:
        raise
    except Exception as error:  # a dozen kinds
        raise ArtifactError(f"{path}: is not a whole .npz file of arrays: {error}; get the file again") from error


def array_headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Returns shape and type of all arrays in a file, without unpacking them.

    Raises:
        ArtifactError: the file is missing, damaged or no such file.
    """
    found = {}
    with _damage(path), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
                if version[0] not in read:
                    raise ValueError(f"{member} has version {version[0]} of NumPy's format, expected 1 or 2")
                shape, _, dtype = read[version[0]](file)
                found[member.removesuffix(".npy")] = (shape, dtype)
    return found


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Returns arrays of a file by their names.

    Raises:
        ArtifactError: the file is missing, damaged or no such file, or has no such array.
    """
    headers = array_headers(path)
    if missing := [name for name in names if name not in headers]:
        raise ArtifactError(f"{path}: has no array {missing[0]}; it has {', '.join(headers) or 'none'}")
    for name in names:
        shape, dtype = headers[name]
        if dtype.hasobject:
            raise ArtifactError(f"{path}: {name} holds Python objects, expected numbers or text; store a plain array")
        if math.prod(shape) * dtype.itemsize > MAX_BYTES:
            raise ArtifactError(
                f"{path}: {name} says that it has shape {list(shape)}; at most {MAX_BYTES} bytes are read"
            )
    with _damage(path), np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in names}


def read_npz(source: Source) -> Parts:
    """Returns the images of one .npz file: `x_train`, `y_train`, `x_test`, `y_test`, and others if they are there.

    `x` is [n, y, x, channels] or [n, y, x], of 8 or 16 bits without sign, `y` the class of each. `group_train` and so
    on name what each image belongs to, `x_validation` and `y_validation` are a validation part, and `class_names`, if
    there, must be those of the description.

    Options:
        arrays: name in the file of each of these arrays that is called otherwise there.
        within_class: group names count within a class only.
        reduce: average squares of so many pixels each way.
    """
    path = source.path(0)
    called: Mapping[str, str] = source.options.get("arrays", {})
    there = array_headers(path)
    wanted = [f"{kind}_{part}" for part in ("train", "test") for kind in "xy"]
    known = [f"{kind}_{part}" for part in PARTS for kind in ("x", "y", "group")]
    members = {name: called.get(name, name) for name in [*known, "class_names"]}
    members = {name: member for name, member in members.items() if name in wanted or name in called or member in there}
    arrays = read_arrays(path, list(dict.fromkeys(members.values())))
    names = arrays.get(members.get("class_names", ""))
    if names is not None and tuple(map(str, names.ravel())) != source.spec.class_names:
        raise ArtifactError(
            f"{path}: {members['class_names']} are {_first(names.ravel())}, expected "
            f"{_first(np.array(source.spec.class_names))}; its classes are not those of {source.spec.title}"
        )
    parts = {}
    for part in PARTS:
        if f"x_{part}" not in members:
            continue
        if f"y_{part}" not in members:
            raise ArtifactError(f"{path}: has x_{part}, but no y_{part}; add the classes of these images")
        parts[part] = _part(path, part, {name: arrays[member] for name, member in members.items()}, source)
    return Parts(**parts)


def _first(names: Shaped[np.ndarray, " n"]) -> str:
    return ", ".join(map(str, names[:5])) + (", …" if len(names) > 5 else "")


def _part(path: Path, part: str, arrays: Mapping[str, np.ndarray], source: Source) -> Part:
    x = check_pixels(path, f"x_{part}", arrays[f"x_{part}"])
    y = check_classes(path, f"y_{part}", arrays[f"y_{part}"])
    group = arrays.get(f"group_{part}")
    if group is not None and group.ndim != 1:
        raise ArtifactError(f"{path}: group_{part} has shape {list(group.shape)}, expected [n]")
    if group is not None and source.options.get("within_class") and len(group) == len(y):
        group = np.array([f"{c}/{g}" for c, g in zip(y, group, strict=True)])
    by = source.options.get("reduce", 1)
    if by > 1:
        n, height, width, channels = x.shape
        if height % by or width % by:
            raise ArtifactError(f"{path}: x_{part} has images of {width}×{height} pixels, expected multiples of {by}")
        squares = x.reshape(n, height // by, by, width // by, by, channels).astype(np.uint32)
        x = ((squares.sum((2, 4)) + by * by // 2) // (by * by)).astype(x.dtype)
    return Part(x=x, y=y, group=group, source=f"{path}, {part}")


def check_pixels(path: Path, name: str, x: Shaped[np.ndarray, "..."]) -> UInt[np.ndarray, "n y x channels"]:
    """Returns images with a channel dimension.

    Raises:
        ArtifactError: the array holds no images.
    """
    if x.dtype not in (np.uint8, np.uint16):
        raise ArtifactError(f"{path}: {name} is {x.dtype}, expected uint8 or uint16; convert it with astype(np.uint8)")
    if x.ndim not in (3, 4):
        raise ArtifactError(f"{path}: {name} has shape {list(x.shape)}, expected [n, y, x, channels] or [n, y, x]")
    return x[..., None] if x.ndim == 3 else x


def check_classes(path: Path, name: str, y: Shaped[np.ndarray, "..."]) -> Integer[np.ndarray, " n"]:
    """Returns classes.

    Raises:
        ArtifactError: the array holds none.
    """
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise ArtifactError(f"{path}: {name} is {y.dtype} of shape {list(y.shape)}, expected integers of shape [n]")
    return y
