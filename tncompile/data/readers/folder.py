"""A folder of the user's own images, a sub-folder a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tncompile.data.files import files_in
from tncompile.data.parts import Part, Parts, Source
from tncompile.data.readers.pictures import EVERY, mixed, opened, resized
from tncompile.errors import ArtifactError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")

NOT_OURS = ("thumbs.db", "desktop.ini")
"""Files that systems leave in folders, besides those whose name begins with a dot."""


class Picture(NamedTuple):
    """An image of a class, and the sub-folder of its class that it lies in, "" if in none."""

    path: Path
    label: str
    group: str


def list_pictures(folder: Path) -> list[Picture]:
    """Returns all images of a part, class after class, in the order of their names.

    Raises:
        ArtifactError: something in the folder is no image of a class.
    """
    found = []
    for place in sorted(_entries(folder)):
        if not place.is_dir():
            raise ArtifactError(f"{place}: lies beside the classes' folders; put it into one of them, or elsewhere")
        for path in files_in(place):
            inside = path.relative_to(place)
            if any(map(_hidden, inside.parts)):
                continue
            if path.suffix.lower() not in ENDINGS:
                raise ArtifactError(
                    f"{path}: is no image by its ending; expected {', '.join(ENDINGS)}. Put it elsewhere"
                )
            found.append(Picture(path, place.name, inside.parent.as_posix() if len(inside.parts) > 1 else ""))
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not _hidden(path.name)]
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be read: {error.strerror}; check the path") from error


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in NOT_OURS


def read_folder(source: Source) -> Parts:
    """Returns the images of `train/CLASS/*`, `test/CLASS/*` and, if it is there, `validation/CLASS/*`.

    Each is turned as its camera notes, brought to the size and colours of the description, and each part is in a fixed
    mixed order (`pictures.mixed`). Images in a sub-folder of a class belong together.
    """
    places: dict[str, Path | None] = dict(zip(("train", "test", "validation"), source.paths, strict=True))
    limits = {"train": source.train_limit, "test": source.test_limit}
    chosen: dict[str, list[Picture]] = {}
    for part, folder in places.items():
        if folder is not None:
            listed = list_pictures(folder)
            names = [picture.path.relative_to(folder).as_posix() for picture in listed]
            chosen[part] = [listed[i] for i in mixed(names)][: limits.get(part)]
    total, done, parts = sum(map(len, chosen.values())), 0, {}
    width, height, channels = source.spec.in_shape
    classes = {name: i for i, name in enumerate(source.spec.class_names)}
    for part, pictures in chosen.items():
        x = np.empty((len(pictures), height, width, channels), np.uint8)
        for i, picture in enumerate(pictures):
            with opened(picture.path) as image:
                x[i] = resized(_upright(image, channels, source.options["fit"]), width, height, "lanczos")
            done += 1
            if done % EVERY == 0:
                source.progress(done, total)
        groups = [f"{p.label}/{p.group}" if p.group else f"{part}/{p.label}/{p.path.name}" for p in pictures]
        parts[part] = Part(
            x=x,
            y=np.array([classes[picture.label] for picture in pictures], np.int64),
            group=np.array(groups, str) if any(picture.group for picture in pictures) else None,
            source=str(places[part]),
        )
    return Parts(**parts)


def _upright(image: Any, channels: int, fit: str) -> Any:
    """Returns an image as one sees it, in grey or in colour, as it is or its largest square."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
    if fit == "crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return image
