"""The traffic signs: folders of PPM images with their tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.dataset_files import GTSRB_HEADER, load, refused, write_gtsrb, write_ppm, write_table

from tncompile.data import Dataset


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A small GTSRB and its images by path."""
    folder = tmp_path_factory.mktemp("signs") / "GTSRB"
    return folder, write_gtsrb(folder)


@pytest.fixture
def folder(signs: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(signs[0], tmp_path / "GTSRB"))


def small(x: np.ndarray) -> bytes:
    """Returns an image brought to 32×32 pixels."""
    return np.asarray(Image.fromarray(x).resize((32, 32), Image.Resampling.BILINEAR)).tobytes()


@pytest.mark.parametrize("crop", ["roi", "none"])
def test_signs_are_cut_out_and_brought_to_size(signs: tuple[Path, dict[str, np.ndarray]], crop: str) -> None:
    data = load("gtsrb", signs[0], options={"crop": crop})
    # A box includes its corners: 3 … width − 3 are width − 5 pixels.
    cut = {path: x[3:-2, 3:-2] if crop == "roi" else x for path, x in signs[1].items()}
    expected = {small(x): path for path, x in cut.items()}
    assert (len(data.x_train), len(data.x_test)) == (43 * 6, 8)
    paths = [expected[x.tobytes()] for x in data.x_train]
    assert sorted(paths) == sorted(path for path in expected.values() if "Training" in path)
    assert [int(path.split("/")[2]) for path in paths] == data.y_train.tolist()
    assert [expected[x.tobytes()] for x in data.x_test] == [f"Final_Test/Images/{i:05}.ppm" for i in range(8)]
    assert data.y_test.tolist() == [0, 5, 10, 15, 20, 25, 30, 35]


def test_the_first_images_are_of_many_classes(signs: tuple[Path, dict[str, np.ndarray]]) -> None:
    whole, few = load("gtsrb", signs[0]), load("gtsrb", signs[0], train_limit=40, test_limit=3)
    np.testing.assert_array_equal(few.x_train, whole.x_train[:40])
    np.testing.assert_array_equal(few.y_test, whole.y_test[:3])
    assert len(set(few.y_train.tolist())) > 20


def test_validation_holds_out_whole_tracks(signs: tuple[Path, dict[str, np.ndarray]]) -> None:
    data = load("gtsrb", signs[0], validation=0.2)
    expected = {small(x[3:-2, 3:-2]): path for path, x in signs[1].items()}

    def tracks(x: np.ndarray) -> set[str]:
        return {expected[image.tobytes()].rsplit("_", 1)[0] for image in x}

    assert not tracks(data.x_train) & tracks(data.x_validation)
    assert np.bincount(data.y_validation).tolist() == [3] * 43  # of two tracks of each class one
    assert len(data.x_train) + len(data.x_validation) == 43 * 6


@pytest.mark.parametrize("place", ["Final_Test", "Final_Test/Images", ".", ".."])
def test_where_test_classes_are_looked_for(folder: Path, place: str) -> None:
    table = (folder / "GT-final_test.csv").rename(folder.parent / "table.csv")
    table.rename(folder / place / "GT-final_test.csv")
    data = load("gtsrb", folder)
    assert data.y_test.tolist() == [0, 5, 10, 15, 20, 25, 30, 35]
    # The table counts among the files, so that a change of it is seen.
    before = data.provenance["files"]
    path = folder / place / "GT-final_test.csv"
    path.write_bytes(path.read_bytes().replace(b";5\r\n", b";6\r\n"))
    after = load("gtsrb", folder)
    assert after.y_test.tolist() == [0, 6, 10, 15, 20, 25, 30, 35]
    assert after.provenance["files"] != before


def test_missing_test_classes_say_where_they_come_from(folder: Path) -> None:
    (folder / "GT-final_test.csv").unlink()
    message = refused("gtsrb", folder)
    assert "there are no classes for these images" in message and "GTSRB_Final_Test_GT.zip" in message


FIRST = Path("Final_Training/Images/00000")


def _change(path: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = (folder / path).read_bytes()
        assert old in content
        (folder / path).write_bytes(content.replace(old, new, 1))

    return change


def _double(path: str) -> Callable[[Path], None]:
    """Returns what writes a table's first line once more at its end."""

    def change(folder: Path) -> None:
        lines = (folder / path).read_bytes().splitlines(keepends=True)
        (folder / path).write_bytes(b"".join([*lines, lines[1]]))

    return change


def _without_classes(folder: Path) -> None:
    shutil.copy(folder / "Final_Test/Images/GT-final_test.test.csv", folder / "GT-final_test.csv")


TABLE = "Final_Training/Images/00000/GT-00000.csv"
IMAGE = "Final_Training/Images/00000/00001_00002.ppm"

DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "header": (
        _change(TABLE, b"Filename;", b"Name;"),
        TABLE,
        f"starts with Name{GTSRB_HEADER.removeprefix('Filename')}, expected {GTSRB_HEADER}",
    ),
    "commas": (_change(TABLE, b"Filename;Width", b"Filename,Width"), TABLE, "starts with Filename,Width;Height"),
    "empty": (lambda folder: (folder / TABLE).write_bytes(b""), TABLE, "starts with nothing"),
    "no text": (lambda folder: (folder / TABLE).write_bytes(b"\xff\xfe"), TABLE, "is not a table as text"),
    "no table": (lambda folder: (folder / TABLE).unlink(), TABLE, "cannot be read: No such file"),
    "columns": (_change(TABLE, b";3;3;", b";3;"), TABLE, "line 2: has 7 columns, expected 8"),
    "no number": (_change(TABLE, b";3;3;", b";3;x;"), TABLE, "line 2: invalid literal"),
    "box": (_change(TABLE, b";3;3;", b";300;3;"), TABLE, "line 2: the sign is at 300 … "),
    "class": (
        _change(TABLE, b";0\r\n", b";7\r\n"),
        TABLE,
        "says that 00000_00000.ppm is of class 7, its folder is that of class 0",
    ),
    "path": (_change(TABLE, b"00000_00000.ppm", b"../00000_00000.ppm"), TABLE, "is no file's name"),
    "named twice": (_double(TABLE), TABLE, "line 8: names 00000_00000.ppm, as line 2 does, expected each image once"),
    "named twice for testing": (
        _double("GT-final_test.csv"),
        "GT-final_test.csv",
        "line 10: names 00000.ppm, as line 2 does",
    ),
    "track": (
        lambda folder: write_table(folder / TABLE, ["a.ppm;30;30;3;3;27;27;0"]),
        str(FIRST / "a.ppm"),
        "has no name like 00000_00029.ppm",
    ),
    "no image": (lambda folder: (folder / IMAGE).unlink(), IMAGE, "is missing"),
    "cut image": (
        lambda folder: (folder / IMAGE).write_bytes((folder / IMAGE).read_bytes()[:-5]),
        IMAGE,
        "is not a whole PPM image",
    ),
    "no PPM": (
        lambda folder: Image.new("RGB", (30, 30)).save(folder / IMAGE, "PNG"),
        IMAGE,
        "is not a whole PPM image",
    ),
    "other size": (
        lambda folder: write_ppm(folder / IMAGE, np.zeros((99, 98, 3), np.uint8)),
        IMAGE,
        "has 98×99 pixels (RGB), its table says ",
    ),
    "grey": (_change(IMAGE, b"P6", b"P5"), IMAGE, "(L), its table says "),
    "other range": (_change(IMAGE, b"\n255\n", b"\n254\n"), IMAGE, "has pixels up to 254, expected a binary PPM"),
    "more behind it": (
        lambda folder: (folder / IMAGE).write_bytes((folder / IMAGE).read_bytes() + b"\0"),
        IMAGE,
        " pixels; get the file again",
    ),
    "one more": (
        lambda folder: shutil.copy(folder / IMAGE, folder / FIRST / "00009_00000.ppm"),
        str(FIRST),
        "00009_00000.ppm and 0 more images are not in its table of 6",
    ),
    "test class": (
        _change("GT-final_test.csv", b";35\r\n", b";43\r\n"),
        "GT-final_test.csv",
        "says that 00007.ppm is of class 43, expected 0 … 42",
    ),
    "test table": (
        _without_classes,
        "GT-final_test.csv",
        "it is the copy without classes, take the one in GTSRB_Final_Test_GT.zip",
    ),
    "no test image": (
        lambda folder: (folder / "Final_Test/Images/00003.ppm").unlink(),
        "Final_Test/Images/00003.ppm",
        "is missing",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files(folder: Path, damage: str) -> None:
    change, file, message = DAMAGE[damage]
    change(folder)
    found = refused("gtsrb", folder)
    assert found.startswith(f"{folder / file}: "), found
    assert message in found


def test_tree_and_pack_hold_out_the_same_tracks(signs: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    tree = load("gtsrb", signs[0], validation=0.3)
    y = np.repeat(np.arange(43), 6).astype(np.uint8)
    track = np.tile(np.repeat([0, 1], 3), 43).astype(np.uint16)
    x = np.zeros((len(y), 32, 32, 3), np.uint8)
    x[:, 0, 0, 0], x[:, 0, 0, 1] = y, track
    np.savez(tmp_path / "gtsrb.npz", x_train=x, y_train=y, track_train=track, x_test=x[:2], y_test=y[:2])
    pack = load("gtsrb", tmp_path, validation=0.3)
    expected = {small(image[3:-2, 3:-2]): path.split("/")[2:] for path, image in signs[1].items()}
    held = [expected[image.tobytes()] for image in tree.x_validation]
    assert {(int(label), int(name[:5])) for label, name in held} == {
        (int(label), int(number)) for label, number in pack.x_validation[:, 0, 0, :2]
    }


def test_the_pack_leaves_no_choice_of_the_cut(tmp_path: Path) -> None:
    x = np.zeros((86, 32, 32, 3), np.uint8)
    arrays = {"x_train": x, "y_train": np.arange(86) % 43, "x_test": x, "y_test": np.arange(86) % 43}
    np.savez(tmp_path / "gtsrb.npz", track_train=np.arange(86) // 43, **arrays)
    data: Dataset = load("gtsrb", tmp_path)
    assert data.provenance["kind"] == "subset"
    assert "leave no choice in it" in refused("gtsrb", tmp_path, options={"crop": "none"})
