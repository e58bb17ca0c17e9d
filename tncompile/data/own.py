"""What data sets of the user's own files are: found out from names and headers, before any image is decoded."""

from __future__ import annotations

from typing import Any

from tncompile.config.data import DataConfig
from tncompile.data.files import find_files
from tncompile.data.readers.arrays import PARTS, array_headers, check_classes, read_arrays
from tncompile.data.readers.folder import list_pictures
from tncompile.data.spec import Description
from tncompile.errors import ArtifactError, ConfigError

MAX_SIDE = 4096
"""Longest side of an image [pixel]."""


def derive_folder(described: Description, config: DataConfig, options: dict[str, Any]) -> dict[str, Any]:
    """Returns shape, classes and splits of a folder of images.

    Raises:
        ConfigError: an option has no sense.
        ArtifactError: the folder is missing or is not laid out as it should be.
    """
    size, channels = options["size"], options["channels"]
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise ConfigError(f"data.options.size: is {size}, expected two numbers from 1 to {MAX_SIDE}")
    found = find_files(described, config)
    pictures = {
        part: list_pictures(path)
        for part, path in zip(("train", "test", "validation"), found.paths, strict=True)
        if path is not None
    }
    names = sorted({picture.label for picture in pictures["train"]})
    if len(names) < 2:
        count = f"{len(names)} class" + ("" if len(names) == 1 else "es")
        raise ArtifactError(
            f"{found.paths[0]}: has images of {count}, expected a folder of images for each of 2 or more"
        )
    for part, listed in pictures.items():
        if unknown := sorted({picture.label for picture in listed} - set(names)):
            raise ArtifactError(
                f"{found.folder / part / unknown[0]}: is a class without training images; the classes are "
                f"{', '.join(names[:20])}"
            )
    return {
        "in_shape": [*size, channels],
        "input_bits": 8,
        "pixel_max": 255,
        "classes": len(names),
        "class_names": names,
        "splits": {part: len(listed) for part, listed in pictures.items()},
    }


def derive_npz(described: Description, config: DataConfig, options: dict[str, Any]) -> dict[str, Any]:
    """Returns shape, classes and splits of a file of arrays.

    Raises:
        ConfigError: an option has no sense.
        ArtifactError: the file is missing, damaged, or lacks an array.
    """
    pixel_max = options["pixel_max"]
    if not 1 <= pixel_max < 1 << 16:
        raise ConfigError(f"data.options.pixel_max: is {pixel_max}, expected 1 … 65535")
    path = find_files(described, config).paths[0]
    assert path is not None
    headers = array_headers(path)
    if missing := [name for name in ("x_train", "y_train", "x_test", "y_test") if name not in headers]:
        raise ArtifactError(f"{path}: has no array {missing[0]}; it has {', '.join(headers) or 'none'}")
    shape = headers["x_train"][0]
    if len(shape) not in (3, 4) or 0 in shape:
        raise ArtifactError(f"{path}: x_train has shape {list(shape)}, expected [n, y, x, channels] or [n, y, x]")
    if "class_names" in headers:
        names = [str(name) for name in read_arrays(path, ["class_names"])["class_names"].ravel()]
    else:
        y = check_classes(path, "y_train", read_arrays(path, ["y_train"])["y_train"])
        highest = int(y.max(initial=0))
        if highest >= 1 << 16:
            raise ArtifactError(f"{path}: y_train holds class {highest}, expected classes 0, 1, 2, …")
        names = [str(number) for number in range(highest + 1)]
    if len(names) < 2:
        raise ArtifactError(f"{path}: has {len(names)} class, expected 2 or more")
    return {
        "in_shape": [shape[2], shape[1], shape[3] if len(shape) == 4 else 1],
        "input_bits": pixel_max.bit_length(),
        "pixel_max": pixel_max,
        "classes": len(names),
        "class_names": names,
        "splits": {part: headers[f"x_{part}"][0][0] for part in PARTS if headers.get(f"x_{part}", ((),))[0]},
    }
