"""The user's own images: folders named by classes, and files of arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.dataset_files import load, refused, write_folder

from tncompile.config.data import DataConfig
from tncompile.data import load_spec
from tncompile.errors import ArtifactError

NAMES = [f"{label}/{i}.png" for label in ("dog", "cat") for i in range(5)]

SIZE = {"size": [8, 8]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of PNG images of 8×8 pixels, two classes."""
    write_folder(tmp_path / "photos", {"train": NAMES, "test": ["cat/a.png", "dog/b.png"]})
    return tmp_path / "photos"


# Folders


def test_folder(tmp_path: Path) -> None:
    written = write_folder(tmp_path, {"train": NAMES, "test": ["cat/a.png", "dog/b.png"]})
    data = load("folder", tmp_path, options=SIZE)
    spec = data.spec
    assert (spec.in_shape, spec.classes, spec.class_names, spec.input_bits) == ((8, 8, 3), 2, ("cat", "dog"), 8)
    assert spec.splits == {"train": 10, "test": 2}
    named = {x.tobytes(): name for name, x in written.items()}
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert [named[image.tobytes()].split("/")[1] for image in x] == [spec.class_names[label] for label in y]
    assert len({x.tobytes() for x in data.x_train}) == 10
    assert data.provenance["kind"] == "own"
    assert data.provenance["files"]["train"]["files"] == 10
    few = load("folder", tmp_path, options=SIZE, train_limit=6)
    np.testing.assert_array_equal(few.x_train, data.x_train[:6])
    assert set(few.y_train.tolist()) == {0, 1}


def test_the_spec_needs_no_image_decoded(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")
    spec = load_spec(DataConfig(name="folder", root=str(folder)))
    assert (spec.in_shape, spec.splits) == ((32, 32, 3), {"train": 10, "test": 2})
    assert "is not a whole image" in refused("folder", folder)


def test_shipped_validation_images_and_those_that_are_held_out(folder: Path) -> None:
    assert len(load("folder", folder, options=SIZE, validation=0.4).x_validation) == 4
    write_folder(folder, {"validation": ["cat/v.png"]})
    data = load("folder", folder, options=SIZE, validation=0.4)
    assert (len(data.x_train), len(data.x_validation), data.y_validation.tolist()) == (10, 1, [0])
    assert load("folder", folder, options=SIZE).x_validation.shape == (0, 8, 8, 3)


def test_sub_folders_of_a_class_are_groups(tmp_path: Path) -> None:
    names = [f"{label}/{person}/{i}.png" for label in "ab" for person in ("x", "y", "z") for i in range(3)]
    written = write_folder(tmp_path, {"train": [*names, "a/alone.png"], "test": ["a/1.png", "b/2.png"]})
    data = load("folder", tmp_path, options=SIZE, validation=0.3)
    named = {x.tobytes(): name.rsplit("/", 1)[0] for name, x in written.items()}
    held, trained = ({named[x.tobytes()] for x in part} for part in (data.x_validation, data.x_train))
    assert not held & trained
    assert len(data.x_validation) >= 4
    write_folder(tmp_path, {"test": ["a/x/9.png"]}, seed=1)
    assert "'a/x' is in train and in test" in refused("folder", tmp_path, options=SIZE)


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes_and_colours(folder: Path, fit: str, channels: int) -> None:
    wide = Image.new("RGB", (40, 20), (204, 0, 0))
    wide.paste((0, 0, 204), (10, 0, 30, 20))  # blue in the middle, red at both ends
    wide.save(folder / "test" / "cat" / "a.png")
    (folder / "test" / "dog" / "b.png").unlink()
    wide.convert("P").save(folder / "test" / "dog" / "b.gif")
    data = load("folder", folder, options={"size": [16, 8], "channels": channels, "fit": fit})
    assert data.x_test.shape == (2, 8, 16, channels)
    assert data.spec.in_shape == (16, 8, channels)
    corner = data.x_test[:, 0, 0].tolist()
    blue, red = ([0, 0, 204], [204, 0, 0]) if channels == 3 else ([23], [61])
    assert corner == [blue if fit == "crop" else red] * 2


def test_a_photograph_is_turned_as_the_camera_notes(folder: Path) -> None:
    image = Image.new("L", (8, 8), 0)
    image.paste(255, (0, 0, 8, 4))  # light above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° to the right
    image.save(folder / "test" / "cat" / "a.png", exif=exif)
    data = load("folder", folder, options={"size": [8, 8], "channels": 1})
    turned = data.x_test[data.y_test == 0][0, ..., 0]
    assert turned[:, 4:].min() == 255 and turned[:, :4].max() == 0  # light at the right


def test_links_are_followed(tmp_path: Path) -> None:
    """Also one that leads back up, whose images are there already."""
    written = write_folder(tmp_path / "photos", {"train": ["a/1.png", "b/1.png"], "test": ["a/2.png", "b/2.png"]})
    other = write_folder(tmp_path / "other", {"kitten": ["3.png", "4.png"]}, seed=1)
    (tmp_path / "photos/train/a/more").symlink_to(tmp_path / "other/kitten")
    (tmp_path / "photos/train/a/more/round").symlink_to(tmp_path / "photos/train/a")  # to where we come from
    data = load("folder", tmp_path / "photos", options={"size": [8, 8]})
    expected = [written["train/a/1.png"], written["train/b/1.png"], *other.values()]
    assert sorted(x.tobytes() for x in data.x_train) == sorted(x.tobytes() for x in expected)
    assert sorted(data.y_train.tolist()) == [0, 0, 0, 1]
    assert data.spec.splits == {"train": 4, "test": 2}
    assert data.provenance["files"]["train"]["files"] == 4


def test_what_systems_leave_in_folders_is_left_alone(folder: Path) -> None:
    for path in (".DS_Store", "train/.hidden", "train/cat/Thumbs.db", "train/cat/.thumbs/1.png", "test/desktop.ini"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(b"x")
    assert load("folder", folder, options=SIZE).spec.splits == {"train": 10, "test": 2}


DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "text": (lambda root: (root / "train/cat/a.txt").write_text("x"), "train/cat/a.txt", "is no image by its ending"),
    "beside": (
        lambda root: (root / "train/a.png").write_bytes(b"x"),
        "train/a.png",
        "lies beside the classes' folders",
    ),
    "cut": (
        lambda root: (root / "test/cat/a.png").write_bytes((root / "test/cat/a.png").read_bytes()[:90]),
        "test/cat/a.png",
        "is not a whole image",
    ),
    "16 bits": (
        lambda root: Image.fromarray(np.zeros((8, 8), np.uint16)).save(root / "test/cat/a.png"),
        "test/cat/a.png",
        "pixels of more than 8 bits",
    ),
    "class": (
        lambda root: (root / "test/dog").rename(root / "test/cow"),
        "test/cow",
        "is a class without training images; the classes are cat, dog",
    ),
    "one class": (
        lambda root: [path.unlink() for path in (root / "train/cat").iterdir()],
        "train",
        "has images of 1 class, expected a folder of images for each of 2 or more",
    ),
    "no test images": (
        lambda root: [path.unlink() for path in (root / "test").rglob("*.png")],
        "test",
        "holds no images",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_folders_that_are_refused(folder: Path, damage: str) -> None:
    change, file, message = DAMAGE[damage]
    change(folder)
    found = refused("folder", folder, options=SIZE)
    assert found.startswith(f"{folder / file}: "), found
    assert message in found


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sise": [8, 8]}, "data.options.sise: folder has no such option; did you mean size?"),
        ({"size": [8]}, "data.options.size: is [8], expected a value like [32, 32]"),
        ({"size": [0, 8]}, "data.options.size: is [0, 8], expected two numbers from 1 to 4096"),
        ({"size": "8x8"}, "data.options.size: is '8x8', expected a value like [32, 32]"),
        ({"channels": 2}, "data.options.channels: is 2, expected 1 or 3"),
        ({"channels": True}, "data.options.channels: is True, expected a value like 3"),
        ({"fit": "pad"}, "data.options.fit: is 'pad', expected 'stretch' or 'crop'"),
    ],
)
def test_options_that_are_refused(folder: Path, options: dict[str, Any], message: str) -> None:
    assert refused("folder", folder, options=options) == message


def test_a_folder_without_parts_says_how_it_should_be(tmp_path: Path) -> None:
    message = refused("folder", tmp_path)
    assert "Looked for train/, test/" in message and "train/CLASS/*" in message


# Arrays


def arrays(**changes: Any) -> dict[str, np.ndarray]:
    """Returns arrays of a small data set; a change to None leaves one out."""
    rng = np.random.default_rng(0)
    made = {
        "x_train": rng.integers(0, 256, (12, 4, 6, 2)).astype(np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": rng.integers(0, 256, (5, 4, 6, 2)).astype(np.uint8),
        "y_test": np.arange(5) % 3,
    } | changes
    return {name: array for name, array in made.items() if array is not None}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_npz(tmp_path: Path, compressed: bool, named: bool) -> None:
    made = arrays()
    path = tmp_path / ("my images.npz" if named else "data.npz")
    (np.savez_compressed if compressed else np.savez)(path, **made)
    data = load("npz", path if named else tmp_path)
    for name in made:
        np.testing.assert_array_equal(getattr(data, name), made[name])
    assert (data.spec.in_shape, data.spec.class_names) == ((6, 4, 2), ("0", "1", "2"))
    assert data.provenance["files"][path.name]["published"] is None


def test_npz_with_everything(tmp_path: Path) -> None:
    made = arrays(
        class_names=np.array(["a", "b", "c"]),
        group_train=np.arange(12) // 3,
        group_test=np.array([7, 7, 8, 8, 8]),
        x_validation=np.zeros((2, 4, 6, 2), np.uint8),
        y_validation=np.array([1, 2], np.int8),
    )
    np.savez(tmp_path / "data.npz", **made)
    data = load("npz", tmp_path, validation=0.1)
    assert data.spec.class_names == ("a", "b", "c")
    assert data.spec.splits == {"train": 12, "test": 5, "validation": 2}
    assert data.y_validation.tolist() == [1, 2]
    np.savez(tmp_path / "data.npz", **(made | {"group_test": np.array([3, 7, 8, 8, 8])}))
    assert "'3' is in train and in test" in refused("npz", tmp_path)


def test_grey_images_of_16_bits(tmp_path: Path) -> None:
    x = np.full((12, 4, 6), 4095, np.uint16)
    np.savez(tmp_path / "data.npz", **arrays(x_train=x, x_test=x[:5]))
    data = load("npz", tmp_path, options={"pixel_max": 4095})
    assert (data.spec.in_shape, data.spec.input_bits, data.x_train.dtype) == ((6, 4, 1), 12, np.uint16)
    assert data.x_train.shape == (12, 4, 6, 1)
    assert "pixels are up to 4095, expected at most 255" in refused("npz", tmp_path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"y_test": None}, "has no array y_test; it has x_train, y_train, x_test"),
        ({"x_train": np.zeros((12, 4, 6, 2), np.float32)}, "x_train is float32, expected uint8 or uint16; convert it"),
        ({"x_train": np.zeros((12, 48), np.uint8)}, "x_train has shape [12, 48], expected [n, y, x, channels]"),
        ({"x_test": np.zeros((5, 4, 6, 3), np.uint8)}, "images have shape [4, 6, 3], expected [4, 6, 2]"),
        ({"y_train": np.zeros(12)}, "y_train is float64 of shape [12], expected integers"),
        ({"y_test": np.eye(5, dtype=int)}, "y_test is int64 of shape [5, 5], expected integers of shape [n]"),
        ({"y_test": np.array([0, 1, 2, 3, 0])}, "labels are in 0 … 3, expected 0 … 2"),
        ({"y_train": np.arange(11) % 3}, "12 images, but 11 labels"),
        ({"group_train": np.arange(11)}, "12 images, but 11 groups"),
        ({"group_train": np.eye(12)}, "group_train has shape [12, 12], expected [n]"),
        ({"y_train": np.zeros(12, int)}, "has 1 class, expected 2 or more"),
        ({"y_train": np.full(12, 1 << 40)}, "y_train holds class 1099511627776"),
        ({"x_validation": np.zeros((2, 4, 6, 2), np.uint8)}, "has x_validation, but no y_validation"),
        ({"y_train": np.array([{}] * 12)}, "y_train holds Python objects"),
        ({"x_train": np.zeros((0, 4, 6, 2), np.uint8)}, "x_train has shape [0, 4, 6, 2], expected"),
    ],
)
def test_arrays_that_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays(**changes))
    found = refused("npz", tmp_path)
    assert found.startswith(str(tmp_path / "data.npz")) and message in found


def test_damaged_npz_files(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays())
    good = path.read_bytes()
    for length in range(0, len(good), 97):
        path.write_bytes(good[:length])
        assert refused("npz", tmp_path).startswith(f"{path}: ")
    for place in range(0, len(good), 53):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x20]) + good[place + 1 :])
        try:
            load("npz", tmp_path)
        except ArtifactError as error:
            assert str(error).startswith(str(path))


def test_an_array_that_says_it_is_huge(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    old = members["x_train.npy"]
    members["x_train.npy"] = old.replace(b"(12, 4, 6, 2), }", b"(99999999999, 4, 6, 2), }")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert "x_train says that it has shape [99999999999, 4, 6, 2]" in refused("npz", tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2")
    message = refused("npz", tmp_path / "a.csv")
    assert message.startswith(f"{tmp_path / 'a.csv'}: is a file, and A file of arrays has no layout of one such file")
