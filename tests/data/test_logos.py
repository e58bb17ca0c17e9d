"""Logos on photographs: lists, boxes, and the squares that are cut out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.dataset_files import load, refused, write_flickr_logos27, write_flickr_logos32, write_photo

from tncompile.data import load_description
from tncompile.data.readers.logos import _anywhere
from tncompile.data.spec import DatasetSpec


def brands(name: str) -> list[str]:
    """Returns the classes of a data set but the last, which is that without a logo."""
    spec = load_description(name)
    assert isinstance(spec, DatasetSpec)
    return list(spec.class_names[:-1])


@pytest.fixture(scope="module")
def photos32(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A small FlickrLogos-32 and its photographs."""
    root = tmp_path_factory.mktemp("logos32") / "FlickrLogos-v2"
    return root, write_flickr_logos32(root, brands("flickr_logos32"))


@pytest.fixture(scope="module")
def photos27(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Flickr Logos 27."""
    root = tmp_path_factory.mktemp("logos27") / "flickr_logos_27_dataset"
    write_flickr_logos27(root, brands("flickr_logos27"))
    return root


@pytest.fixture
def folder32(photos32: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(photos32[0], tmp_path / "FlickrLogos-v2"))


@pytest.fixture
def folder27(photos27: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(photos27, tmp_path / "flickr_logos_27_dataset"))


def cut(photo: np.ndarray, left: int, top: int, side: int) -> bytes:
    """Returns a square of a photograph in 32×32 pixels, pixel by pixel and with the edge repeated."""
    height, width, _ = photo.shape
    rows = [
        [photo[min(max(y, 0), height - 1), min(max(x, 0), width - 1)] for x in range(left, left + side)]
        for y in range(top, top + side)
    ]
    square = Image.fromarray(np.array(rows, np.uint8))
    return np.asarray(square.resize((32, 32), Image.Resampling.LANCZOS)).tobytes()


def test_squares_of_flickr_logos32(photos32: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, photos = photos32
    data = load("flickr_logos32", root)
    assert (len(data.x_train), len(data.x_test)) == (2 * 32 + 3, 2 * 32 + 3)
    # The box 11 21 20 16 covers x 10 … 29, y 20 … 35; the square has side 1.16 · 20 = 23 around (20, 28).
    expected = {cut(photo, 8, 16, 23): name for name, photo in photos.items() if not name.startswith("no-logo")}
    names = [expected.get(x.tobytes(), "no-logo/") for x in data.x_train]
    assert [data.spec.class_names[y] for y in data.y_train] == [name.split("/")[0] for name in names]
    assert len(set(names)) == 64 + 1
    # In the test list a second box, 70 50 11 11, leads over the corner: side 13 around (74.5, 54.5).
    corners = {cut(photo, 68, 48, 13): name for name, photo in photos.items()}
    both = [expected.get(x.tobytes()) or corners.get(x.tobytes()) for x in data.x_test]
    assert [both.count(name) for name in set(both) - {None}] == [2] * 32
    assert both.count(None) == 3 == np.count_nonzero(data.y_test == 32)


def test_squares_without_a_logo_follow_from_the_name(photos32: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, _ = photos32
    data = load("flickr_logos32", root)
    again = load("flickr_logos32", root, train_limit=10**6)
    np.testing.assert_array_equal(data.x_train, again.x_train)
    none = data.x_test[data.y_test == 32]
    assert len({x.tobytes() for x in none}) == 3


def test_squares_without_a_logo_lie_within_the_photograph() -> None:
    boxes = [_anywhere(f"no-logo/{i}.jpg", 80, 60) for i in range(300)]
    left, top, right, bottom = np.array(boxes).T
    assert (right - left == bottom - top).all()
    assert (left.min(), top.min()) == (0, 0) and right.max() == 80 and bottom.max() == 60
    assert (right - left).min() == 12 and 40 <= (right - left).max() < 0.7 * 60
    assert len(set(boxes)) > 290
    assert _anywhere("no-logo/0.jpg", 80, 60) == boxes[0]


@pytest.mark.parametrize("validation", [0.0, 0.5])
def test_the_makers_validation_list(photos32: tuple[Path, dict[str, np.ndarray]], validation: float) -> None:
    data = load("flickr_logos32", photos32[0], options={"train": "trainset"}, validation=validation)
    assert np.bincount(data.y_train).tolist() == [1] * 32
    assert np.bincount(data.y_validation, minlength=33).tolist() == ([1] * 32 + [3] if validation else [0] * 33)
    together = load("flickr_logos32", photos32[0], validation=0.5)
    assert np.bincount(together.y_validation, minlength=33)[:32].tolist() == [1] * 32  # of two photographs one


def test_squares_of_flickr_logos27(photos27: Path) -> None:
    data = load("flickr_logos27", photos27)
    # Of five photographs a class the fourth is for testing; a box in several subsets counts once, one without area not.
    assert np.bincount(data.y_train).tolist() == [4] * 27 + [4 * 3]
    assert np.bincount(data.y_test).tolist() == [1] * 27 + [3]
    images = sorted((photos27 / "flickr_logos_27_dataset_images").iterdir())
    pixels = [np.asarray(Image.open(path)) for path in images]
    expected = {cut(x, 8, 16, 23): i for i, x in enumerate(pixels)}  # 10 20 30 36: side 23 around (20, 28)
    shown = [expected[x.tobytes()] for x in data.x_test[data.y_test < 27]]
    assert sorted(shown) == [5 * brand + 3 for brand in range(27)]
    held = load("flickr_logos27", photos27, validation=0.25)
    assert np.bincount(held.y_validation).tolist() == [1] * 27 + [3]


BOXES = "classes/masks/adidas/1000.jpg.bboxes.txt"
PHOTO = "classes/jpg/adidas/1000.jpg"

DAMAGE32: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no comma": (
        lambda root: (root / "valset.txt").write_text("adidas 1.jpg\n"),
        "valset.txt",
        "line 1: is 'adidas 1.jpg', expected class,file.jpg",
    ),
    "class": (
        lambda root: (root / "valset.txt").write_text("adida,1.jpg\n"),
        "valset.txt",
        "line 1: 'adida' is none of the 33 classes",
    ),
    "no photo": (
        lambda root: (root / "testset.txt").write_text("adidas,9.jpg\n"),
        "testset.txt",
        "line 1: there is no ",
    ),
    "named twice": (
        lambda root: (root / "testset.txt").write_text((root / "testset.txt").read_text() + "adidas,1067.jpg\n"),
        "testset.txt",
        "line 36: names adidas,1067.jpg, as line 1 of testset.txt does, expected each photograph once",
    ),
    "in two lists": (
        lambda root: (root / "valset.txt").write_text("adidas,1000.jpg\n"),
        "valset.txt",
        "line 1: names adidas,1000.jpg, as line 1 of trainset.txt does",
    ),
    "path": (
        lambda root: (root / "testset.txt").write_text("adidas,../9.jpg\n"),
        "testset.txt",
        "expected class,file.jpg",
    ),
    "no text": (lambda root: (root / "testset.txt").write_bytes(b"\xff"), "testset.txt", "is not text"),
    "no boxes": (lambda root: (root / BOXES).unlink(), "trainset.txt", "bboxes.txt"),
    "header": (
        lambda root: (root / BOXES).write_text("1 2 3 4\n"),
        BOXES,
        "starts with '1 2 3 4', expected 'x y width height'",
    ),
    "empty": (lambda root: (root / BOXES).write_text(""), BOXES, "starts with 'nothing'"),
    "no box": (lambda root: (root / BOXES).write_text("x y width height\n"), BOXES, "holds no box"),
    "three numbers": (
        lambda root: (root / BOXES).write_text("x y width height\n1 2 3\n"),
        BOXES,
        "line 2: '1 2 3' is not four whole numbers",
    ),
    "no area": (
        lambda root: (root / BOXES).write_text("x y width height\n1 2 0 3\n"),
        BOXES,
        "line 2: a box of 0×3 pixels",
    ),
    "box outside": (
        lambda root: (root / BOXES).write_text("x y width height\n900 2 9 3\n"),
        BOXES,
        "line 2: the logo is at 899 … 908, 1 … 4, outside ",
    ),
    "box at the left": (
        lambda root: (root / BOXES).write_text("x y width height\n1 1 80 60\n-9 2 30 30\n"),
        BOXES,
        f"{PHOTO} of 80×60 pixels; the two are of different versions",
    ),
    "wide box": (
        lambda root: (root / BOXES).write_text("x y width height\n11 21 100000 16\n"),
        BOXES,
        "line 2: the logo is at 10 … 100010, 20 … 36, outside ",
    ),
    "cut photo": (
        lambda root: (root / PHOTO).write_bytes((root / PHOTO).read_bytes()[:400]),
        PHOTO,
        "is not a whole JPEG image",
    ),
    "no JPEG": (lambda root: Image.new("RGB", (80, 60)).save(root / PHOTO, "PNG"), PHOTO, "is not a whole JPEG image"),
}


@pytest.mark.parametrize("damage", DAMAGE32)
def test_damaged_files_of_flickr_logos32(folder32: Path, damage: str) -> None:
    change, file, message = DAMAGE32[damage]
    change(folder32)
    found = refused("flickr_logos32", folder32)
    assert found.startswith(f"{folder32 / file}: "), found
    assert message in found


def test_a_photograph_in_two_lists_is_refused(folder32: Path) -> None:
    line = (folder32 / "trainset.txt").read_text().splitlines()[0]
    with (folder32 / "testset.txt").open("a") as file:
        file.write(f"{line}\n")
    assert "'adidas/1000.jpg' is in train and in test; each group must be in one part only" in refused(
        "flickr_logos32", folder32
    )


TRAINING = "flickr_logos_27_dataset_training_set_annotation.txt"
QUERY = "flickr_logos_27_dataset_query_set_annotation.txt"

PHOTO27 = "flickr_logos_27_dataset_images/2000.jpg"


def _lower(root: Path) -> None:
    path = root / TRAINING
    path.write_text(path.read_text().replace(" 1 10 20 30 36 ", " 1 10 20 30 62 ", 1))


DAMAGE27: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "columns": (
        lambda root: (root / TRAINING).write_text("1.jpg Adidas 1 2 3 4\n"),
        TRAINING,
        "line 1: is '1.jpg Adidas 1 2 3 4', expected file, class",
    ),
    "class": (
        lambda root: (root / TRAINING).write_text("1.jpg Adida 1 2 3 4 5\n"),
        TRAINING,
        "line 1: 'Adida' is none of the classes",
    ),
    "none": (
        lambda root: (root / TRAINING).write_text("1.jpg none 1 2 3 4 5\n"),
        TRAINING,
        "line 1: 'none' is none of the classes",
    ),
    "no tab": (
        lambda root: (root / QUERY).write_text("1.jpg none\n"),
        QUERY,
        "line 1: is '1.jpg none', expected a file, a tab",
    ),
    "no photo": (
        lambda root: (root / QUERY).write_text("1.jpg\tnone\n"),
        "flickr_logos_27_dataset_images/1.jpg",
        "is missing, and a table names it",
    ),
    "cut photo": (lambda root: (root / PHOTO27).write_bytes(b"\xff\xd8\xff"), PHOTO27, "is not a whole JPEG image"),
    "box outside": (lambda root: write_photo(root / PHOTO27, 0, 5, 5), TRAINING, f"{PHOTO27} of 5×5 pixels"),
    "box below": (_lower, TRAINING, "line 1: the logo is at 10 … 30, 20 … 62, outside "),
}


@pytest.mark.parametrize("damage", DAMAGE27)
def test_damaged_files_of_flickr_logos27(folder27: Path, damage: str) -> None:
    change, file, message = DAMAGE27[damage]
    change(folder27)
    found = refused("flickr_logos27", folder27)
    assert found.startswith(f"{folder27 / file}: "), found
    assert message in found
