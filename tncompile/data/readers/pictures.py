"""Single images in files: opened, cut out and brought to one size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from tncompile.errors import ArtifactError

EVERY = 500
"""Images between two reports of progress."""


def pillow(path: Path) -> ModuleType:
    """Returns Pillow's module for images.

    Raises:
        ArtifactError: it is not installed; names the file that needs it.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ArtifactError(f"{path}: reading it needs Pillow: pip install 'tncompile[data]'") from error
    return Image


@contextmanager
def opened(path: Path, formats: Sequence[str] | None = None) -> Iterator[Any]:
    """Gives a file's image, of 8 bits a channel.

    Args:
        path: the file.
        formats: Pillow's names of those that it may have; None: any.

    Raises:
        ArtifactError: the file is missing, damaged or no such image; also what the caller's own use of it brings up.
    """
    module = pillow(path)
    try:
        with module.open(path, formats=formats) as image:
            if image.mode.startswith(("I", "F")):
                raise ArtifactError(f"{path}: has {image.mode} pixels of more than 8 bits, expected 8 bits a channel")
            image.load()
            yield image
    except ArtifactError:
        raise
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: is missing; get the files again") from error
    except Exception as error:  # Pillow has no common class for damaged images
        kind = f"a whole {' or '.join(formats)} image" if formats else "a whole image"
        raise ArtifactError(f"{path}: is not {kind}: {error}; get the file again") from error


def square(image: Any, box: tuple[int, int, int, int]) -> Any:
    """Returns a box of an image, whose edge pixels are repeated where the box reaches beyond it.

    Args:
        image: of Pillow.
        box: left, top, right, bottom [pixel]; the last two are the first outside.
    """
    left, top, right, bottom = box
    if left >= 0 and top >= 0 and right <= image.width and bottom <= image.height:
        return image.crop(box)
    from PIL import Image

    pixels = np.asarray(image)
    rows = np.clip(np.arange(top, bottom), 0, image.height - 1)
    columns = np.clip(np.arange(left, right), 0, image.width - 1)
    return Image.fromarray(pixels[rows[:, None], columns])


def resized(image: Any, width: int, height: int, resample: str) -> UInt8[np.ndarray, "y x channels"]:
    """Returns an image's pixels in another size.

    Args:
        image: of Pillow.
        width, height: to have [pixel].
        resample: `bilinear` or `lanczos`; both average where the image is made smaller.
    """
    from PIL import Image

    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling[resample.upper()])
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def mixed(names: Sequence[str]) -> list[int]:
    """Returns the numbers of all names in the order of the names' SHA-256.

    Where files lie class by class, the first so many of them would be of a few classes only; in this order, which
    nobody chose, any first part has some of all.
    """
    keys = [hashlib.sha256(name.encode()).digest() for name in names]
    return sorted(range(len(names)), key=keys.__getitem__)
