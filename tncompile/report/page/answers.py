"""Right and wrong answers: which classes are taken for which, and images that fail."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import Int32, Int64, Shaped

from tncompile.recording import Recording
from tncompile.report.page.blocks import Image


def confusion_counts(
    labels: Int32[np.ndarray, " frames"], found: Int32[np.ndarray, " frames"], classes: int
) -> Int64[np.ndarray, "classes classes"]:
    """Returns how many images of each class (rows) the chip takes for each (columns); unknown classes are left out."""
    known = labels >= 0
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels[known], found[known]), 1)
    return counts


def class_names(recording: Recording, names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a name for each class that occurs: those given, or numbers; equal ones get their number."""
    count = int(max(recording.labels.max(initial=0), recording.chip_classes.max(initial=0))) + 1
    given = names if len(names) >= count else tuple(str(number) for number in range(count))
    return tuple(name if given.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(given))


def failing_images(recording: Recording, names: tuple[str, ...], pixel_max: int) -> tuple[Image, ...]:
    """Returns the kept images that were classified wrongly.

    Args:
        recording: the run.
        names: of the classes.
        pixel_max: the largest value of a pixel.
    """
    return tuple(
        Image(
            data=data_uri(pixels, pixel_max),
            label=f"{names[recording.labels[row]]} → {names[recording.chip_classes[row]]}",
            more=f"test image {row}",
        )
        for row, pixels in zip(recording.wrong.tolist(), recording.wrong_pixels, strict=True)
    )


def data_uri(pixels: Shaped[np.ndarray, "y x channels"], pixel_max: int) -> str:
    """Returns an image as a PNG in a data URI: in colour if it has three channels, else each channel in greys.

    Args:
        pixels: from 0 on.
        pixel_max: the largest value.
    """
    from PIL import Image as Picture

    light = np.rint(255 * np.clip(pixels / pixel_max, 0, 1)).astype(np.uint8)
    if light.shape[2] != 3:
        light = np.concatenate(list(np.moveaxis(light, 2, 0)), axis=1)
    file = io.BytesIO()
    Picture.fromarray(light).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
