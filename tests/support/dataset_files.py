"""Small data sets in the formats of the large ones: what their makers' files look like, written by ourselves."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from tncompile.config.data import DataConfig
from tncompile.data import Dataset, load_dataset
from tncompile.errors import TnCompileError

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

CIFAR10_BATCHES = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")

GTSRB_HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"


def load(name: str, root: Path | None, **options: Any) -> Dataset:
    """Returns a data set from a folder; further options are keys of the experiment's data."""
    return load_dataset(DataConfig(name=name, root=None if root is None else str(root), **options))


def refused(name: str, root: Path | None, **options: Any) -> str:
    """Returns the message with which a data set is refused."""
    with pytest.raises(TnCompileError) as caught:
        load(name, root, **options)
    return str(caught.value)


def images(count: int, seed: int, classes: int = 10, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Returns random images in colour and random classes."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (count, size, size, 3)).astype(np.uint8)
    return x, rng.integers(0, classes, count).astype(np.uint8)


def write_idx(path: Path, array: np.ndarray, zipped: bool = False) -> None:
    """Writes an array of bytes in the format of MNIST."""
    data = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if zipped else data)


def write_mnist(folder: Path, zipped: bool = False, train: int = 6, test: int = 4) -> dict[str, np.ndarray]:
    """Writes a small random data set in MNIST's format."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, count in zip(IDX_NAMES, (train, train, test, test), strict=True):
        shown = "images" in name
        arrays[name] = rng.integers(0, 256 if shown else 10, (count, 28, 28) if shown else count).astype(np.uint8)
        write_idx(folder / (name + ".gz" * zipped), arrays[name], zipped)
    return arrays


# ---------------------------------------------------------------------------------------------------------------------
# CIFAR.


def cifar_rows(x: np.ndarray) -> np.ndarray:
    """Returns images as CIFAR stores them: channel after channel, row by row."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def python2_pickle(content: Mapping[bytes, Any]) -> bytes:
    """Returns a dictionary as Python 2 with NumPy 1 pickled it, with protocol 2: all text is bytes.

    Python 3 cannot write that, so these are pickle's operations one by one.
    """

    def text(value: bytes) -> bytes:
        short = len(value) < 256
        return (b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    def item(value: Any) -> bytes:
        if isinstance(value, bytes):
            return text(value)
        if isinstance(value, int):
            return number(value)
        if isinstance(value, list):
            return b"](" + b"".join(map(item, value)) + b"e"
        assert isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 2
        empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b") + b"\x87R"
        dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
        state = b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
        shape = number(value.shape[0]) + number(value.shape[1]) + b"\x86"
        return empty + b"(" + number(1) + shape + dtype + state + b"\x89" + text(value.tobytes()) + b"tb"

    pairs = b"".join(item(key) + item(value) for key, value in content.items())
    return b"\x80\x02}(" + pairs + b"u."


def cifar10_batch(x: np.ndarray, y: np.ndarray, name: str = "test_batch", **changes: Any) -> dict[bytes, Any]:
    """Returns the content of one file of CIFAR-10's Python version; a change to None leaves a key out."""
    number = name.removeprefix("data_batch_")
    content = {
        b"batch_label": b"testing batch 1 of 1"
        if name == "test_batch"
        else b"training batch %s of 5" % number.encode(),
        b"labels": [int(label) for label in y],
        b"data": cifar_rows(x),
        b"filenames": [b"image_%05d.png" % i for i in range(len(x))],
    } | {key.encode(): value for key, value in changes.items()}
    return {key: value for key, value in content.items() if value is not None}


def write_cifar10(folder: Path, *, python: bool, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Writes CIFAR-10 with a few images a batch, in its Python or its binary version; returns the batches."""
    folder.mkdir(parents=True, exist_ok=True)
    batches = {name: images(2 + k, seed + k) for k, name in enumerate(CIFAR10_BATCHES)}
    for name, (x, y) in batches.items():
        if python:
            (folder / name).write_bytes(python2_pickle(cifar10_batch(x, y, name)))
        else:
            (folder / f"{name}.bin").write_bytes(np.concatenate([y[:, None], cifar_rows(x)], 1).tobytes())
    return batches


def cifar100_file(x: np.ndarray, fine: np.ndarray, coarse: np.ndarray, name: str) -> dict[bytes, Any]:
    """Returns the content of a file of CIFAR-100's Python version."""
    return {
        b"filenames": [b"image_%05d.png" % i for i in range(len(x))],
        b"batch_label": b"%sing batch 1 of 1" % name.encode(),
        b"fine_labels": [int(label) for label in fine],
        b"coarse_labels": [int(label) for label in coarse],
        b"data": cifar_rows(x),
    }


def write_cifar100(folder: Path, *, python: bool) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Writes CIFAR-100 with a few images, in its Python or its binary version; returns pixels and both classes."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {}
    for seed, (name, count) in enumerate({"train": 9, "test": 5}.items()):
        x, fine = images(count, seed, 100)
        parts[name] = x, fine, coarse = x, fine, images(count, seed + 5, 20)[1]
        if python:
            (folder / name).write_bytes(python2_pickle(cifar100_file(x, fine, coarse, name)))
        else:
            rows = np.concatenate([coarse[:, None], fine[:, None], cifar_rows(x)], 1)
            (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return parts


def write_jpeg_pack(path: Path, **changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Writes five images as a pack of JPEG scans; returns what its JPEGs decode to, and the labels."""
    x, y = images(5, 0)
    header, scans, decoded = b"", [], []
    for image in x // 4 + 90:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=75)
        data = stream.getvalue()
        start = data.index(b"\xff\xda")
        header, scan = data[:start], data[start:-2]
        scans.append(scan)
        decoded.append(np.asarray(Image.open(stream)))
    arrays = {
        "jpeg_header_bytes": np.frombuffer(header, np.uint8),
        "scan_bytes": np.frombuffer(b"".join(scans), np.uint8),
        "offsets": np.cumsum([0, *map(len, scans)]).astype(np.uint32),
        "labels": y,
        "n_train": np.array([3]),
    }
    np.savez(path, **(arrays | changes))
    return np.stack(decoded), y


# ---------------------------------------------------------------------------------------------------------------------
# SVHN.


def write_svhn(folder: Path, name: str = "train", count: int = 7, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Writes one of SVHN's files of format 2; returns images and digits."""
    folder.mkdir(parents=True, exist_ok=True)
    x, digits = images(count, len(name))
    labels = np.where(digits == 0, 10, digits).astype(np.uint8)[:, None]
    content = {"X": x.transpose(1, 2, 3, 0), "y": labels} | changes
    path = folder / f"{name}_32x32.mat"
    savemat(path, {k: v for k, v in content.items() if v is not None}, do_compression=True)
    return x, digits


# ---------------------------------------------------------------------------------------------------------------------
# GTSRB.


def write_ppm(path: Path, x: np.ndarray, comment: bool = False) -> None:
    """Writes an image as a binary PPM, as GTSRB has them."""
    note = b"# made by hand\n" if comment else b""
    path.write_bytes(b"P6\n" + note + b"%d %d\n255\n" % (x.shape[1], x.shape[0]) + x.tobytes())


def write_gtsrb(folder: Path, tracks: int = 2, frames: int = 3, test: int = 8) -> dict[str, np.ndarray]:
    """Writes GTSRB with few images; returns them whole, by their path in the folder.

    A sign's box is three pixels from the left and top, two from the right and bottom.
    """
    rng = np.random.default_rng(1)
    written = {}

    def write(place: Path, name: str, label: int, comment: bool) -> str:
        height, width = (int(side) for side in rng.integers(15, 60, 2))
        x = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        write_ppm(place / name, x, comment)
        written[(place / name).relative_to(folder).as_posix()] = x
        return f"{name};{width};{height};3;3;{width - 3};{height - 3};{label}"

    for label in range(43):
        place = folder / "Final_Training" / "Images" / f"{label:05}"
        place.mkdir(parents=True)
        names = [f"{track:05}_{frame:05}.ppm" for track in range(tracks) for frame in range(frames)]
        rows = [write(place, name, label, comment=bool(label % 2)) for name in names]
        write_table(place / f"GT-{label:05}.csv", rows)
    place = folder / "Final_Test" / "Images"
    place.mkdir(parents=True)
    rows = [write(place, f"{i:05}.ppm", i * 5, comment=False) for i in range(test)]
    without = [row.rsplit(";", 1)[0] for row in (GTSRB_HEADER, *rows)]
    write_table(place / "GT-final_test.test.csv", without[1:], without[0])
    write_table(folder / "GT-final_test.csv", rows)
    return written


def write_table(path: Path, rows: Iterable[str], header: str = GTSRB_HEADER) -> None:
    """Writes a table with the line ends that GTSRB's tables have."""
    path.write_bytes("".join(f"{row}\r\n" for row in (header, *rows)).encode())


# ---------------------------------------------------------------------------------------------------------------------
# Logos.


def write_photo(path: Path, seed: int, width: int = 80, height: int = 60) -> np.ndarray:
    """Writes a smooth photograph as JPEG; returns what it decodes to."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 5, 3)).astype(np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize((width, height), Image.Resampling.BICUBIC).save(path, "JPEG", quality=95)
    return np.asarray(Image.open(path))


def write_flickr_logos32(root: Path, brands: Sequence[str]) -> dict[str, np.ndarray]:
    """Writes FlickrLogos-32 with one photograph a brand in each list, and three without logo in two of them.

    A photograph has one box, 11 21 20 16 (x, y, width, height from 1), in the test list a second one at the corner.
    Returns the photographs by class/file.
    """
    photos, seed = {}, 0
    for part in ("trainset", "valset", "testset"):
        lines = []
        for name in [*brands, *(["no-logo"] * 3 if part != "trainset" else [])]:
            file, seed = f"{1000 + seed}.jpg", seed + 1
            photos[f"{name}/{file}"] = write_photo(root / "classes" / "jpg" / name / file, seed)
            lines.append(f"{name},{file}")
            if name != "no-logo":
                # As in the original, masks of one class are in a folder of lower case.
                place = root / "classes" / "masks" / name.lower() / f"{file}.bboxes.txt"
                place.parent.mkdir(parents=True, exist_ok=True)
                second = "70 50 11 11\n" if part == "testset" else ""
                place.write_text(f"x y width height\n11 21 20 16\n{second}")
        (root / f"{part}.txt").write_text("\n".join(lines) + "\n")
    return photos


def write_flickr_logos27(root: Path, brands: Sequence[str], photos: int = 5, none: int = 5) -> None:
    """Writes Flickr Logos 27 with some photographs a brand, one box each, named in two of the nested subsets."""
    place = root / "flickr_logos_27_dataset_images"
    training, query, seed = [], [], 0
    for name in [*brands, "none"]:
        for _ in range(none if name == "none" else photos):
            file, seed = f"{2000 + seed}.jpg", seed + 1
            write_photo(place / file, seed)
            if name == "none":
                query.append(f"{file}\t{name}")
            else:
                training += [f"{file} {name} {subset} 10 20 30 36 " for subset in (1, 2)]
    training.append(f"2000.jpg {brands[0]} 3 5 5 5 9 ")  # a box without area
    (root / "flickr_logos_27_dataset_training_set_annotation.txt").write_text("\n".join(training) + "\n")
    (root / "flickr_logos_27_dataset_query_set_annotation.txt").write_text("\n".join(query) + "\n")


# ---------------------------------------------------------------------------------------------------------------------
# The user's own.


def write_folder(root: Path, parts: Mapping[str, Sequence[str]], seed: int = 0) -> dict[str, np.ndarray]:
    """Writes PNG images by part and path below it, such as `cat/1.png`; returns them by part/path."""
    rng, written = np.random.default_rng(seed), {}
    for part, names in parts.items():
        for name in names:
            path = root / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            written[f"{part}/{name}"] = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(written[f"{part}/{name}"]).save(path)
    return written


def write_python3_pickle(path: Path, content: Any, protocol: int = 2) -> None:
    """Writes what Python 3 and today's NumPy make of a content."""
    path.write_bytes(pickle.dumps(content, protocol))
