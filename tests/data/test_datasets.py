"""Data sets: the embedded one as it is, the others through small files in their formats."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from support.dataset_files import IDX_NAMES, refused, write_idx, write_mnist

import tncompile
from tncompile.config.data import DataConfig
from tncompile.config.yaml import load_yaml
from tncompile.data import DatasetSpec, Source, files, load_dataset, load_description, load_spec, share
from tncompile.data.dataset import known_by_count
from tncompile.data.layouts import LAYOUTS
from tncompile.data.readers import idx
from tncompile.data.readers.idx import read_idx
from tncompile.data.spec import DataFile, Kind, Layout
from tncompile.errors import ArtifactError
from tncompile.share import dataset_names

NAMES = dataset_names()

# Descriptions


def test_every_data_set_has_a_description_and_a_card() -> None:
    assert sorted(p.name for p in share("datasets").iterdir() if p.is_dir()) == NAMES
    for name in NAMES:
        assert load_description(name).name == name
        card = (share("datasets") / name / "CARD.md").read_text().lower()
        assert all(word in card for word in ("licence", "split", "pixels"))
        for layout_name, layout in load_description(name).layouts.items():
            assert (layout.reader or layout_name) in LAYOUTS


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("class_names", ["a"], "class_names: must be 10, got 1"),
        ("pixel_max", 32, "pixel_max: 32 does not fit 5 bits"),
        ("splits", {"train": 3}, "splits: must be train and test"),
    ],
)
def test_inconsistent_descriptions_are_refused(key: str, value: object, message: str) -> None:
    data = load_yaml(share("datasets") / "digits" / "dataset.yaml").values | {key: value}
    with pytest.raises(ValueError, match=message):
        DatasetSpec.model_validate(data, strict=False)


# Digits


def test_digits_are_all_there() -> None:
    data = load_dataset(DataConfig(name="digits"))
    spec = data.spec
    assert {"train": len(data.x_train), "test": len(data.x_test)} == spec.splits == {"train": 1348, "test": 449}
    assert data.x_train.shape[1:] == (8, 8, 1)
    assert spec.in_shape == (8, 8, 1)
    assert data.x_train.max() == spec.pixel_max == 16
    assert data.x_train.dtype == np.uint8
    assert data.y_train.dtype == np.int32
    assert data.provenance["layout"] == "csv"
    assert data.provenance["folder"] == "datasets/digits"
    assert data.provenance["files"]["digits.csv.gz"]["published"]
    assert (data.provenance["kind"], data.provenance["missing"]) == ("real", "")


def test_digits_split_is_stratified_and_has_no_leak() -> None:
    data = load_dataset(DataConfig(name="digits"))
    train, test = np.bincount(data.y_train), np.bincount(data.y_test)
    assert np.abs(test - (train + test) / 4).max() <= 1
    images = {x.tobytes() for x in data.x_train} | {x.tobytes() for x in data.x_test}
    assert len(images) == 1797


def test_first_digit() -> None:
    data = load_dataset(DataConfig(name="digits"))
    first = "0 0 5 13 9 1 0 0 0 0 13 15 10 15 5 0 0 3 15 2 0 11 8 0 0 4 12 0 0 8 8 0 0 5 8 0 0 9 8 0 0 4 11 0 1 12 7 0"
    assert data.y_train[0] == 0
    assert data.x_train[0].reshape(-1)[:48].tolist() == [int(v) for v in first.split()]


def test_altered_digits_are_refused(tmp_path: Path) -> None:
    source = share("datasets") / "digits" / "digits.csv.gz"
    text = gzip.decompress(source.read_bytes())
    (tmp_path / "digits.csv.gz").write_bytes(gzip.compress(text.replace(b"16", b"15", 1), mtime=0))
    assert "has SHA-256" in refused("digits", tmp_path)


@pytest.mark.parametrize("content", [b"", b"1,2\n", b"a,b\n", b"1,2\n3\n", b"\x1f\x8bxx", b"300,1\n", b"\xff"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_broken_tables(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=name):
        LAYOUTS["csv"](Source(spec=load_spec(DataConfig(name="digits")), folder=tmp_path, paths=(tmp_path / name,)))


def test_limits_take_the_first() -> None:
    full, few = load_dataset(DataConfig(name="digits")), DataConfig(name="digits", train_limit=7, test_limit=3)
    data = load_dataset(few)
    np.testing.assert_array_equal(data.x_train, full.x_train[:7])
    np.testing.assert_array_equal(data.y_test, full.y_test[:3])
    assert data.provenance["kind"] == "real"
    assert len(load_dataset(DataConfig(name="digits", test_limit=10**6)).x_test) == 449


# What files are by their counts


@pytest.mark.parametrize(
    ("kind", "counts", "expected", "missing"),
    [
        ("real", {"train": 60, "test": 10}, "real", "It."),
        (
            "real",
            {"train": 60, "test": 9},
            "subset",
            "It. By count not what was published: test has 9 images instead of 10.",
        ),
        ("real", {"train": 59}, "subset", "It. By count not what was published: train has 59 images instead of 60."),
        ("real", {"test": 10}, "real", "It."),
        (
            "real",
            {"train": 10, "test": 60},
            "stand-in",
            "It. By count not what was published: train has 10 images instead of 60, test has 60 images instead of 10.",
        ),
        (
            "jpeg copy",
            {"train": 1060, "test": 10},
            "stand-in",
            "It. By count not what was published: train has 1,060 images instead of 60.",
        ),
        ("jpeg copy", {"train": 0}, "subset", "It. By count not what was published: train has 0 images instead of 60."),
        ("stand-in", {"test": 1}, "stand-in", "It. By count not what was published: test has 1 images instead of 10."),
        ("subset", {"test": 11}, "subset", "It. By count not what was published: test has 11 images instead of 10."),
    ],
)
def test_kind_by_count(kind: Kind, counts: dict[str, int], expected: str, missing: str) -> None:
    layout = Layout(files=(DataFile(name="a"),), kind=kind, missing="It.")
    found = known_by_count(layout, counts, {"train": 60, "test": 10}, "images")
    assert found == {"kind": expected, "missing": missing}


def test_files_of_both_parts_that_are_swapped(tmp_path: Path) -> None:
    """As MNIST's would be: as many images for testing as there should be for training."""
    write_mnist(tmp_path, train=10, test=60001)
    heard = []

    class Heard:
        def say(self, text: str) -> None:
            heard.append(text)

        def progress(self, phase: str, done: int, total: int, figures: object) -> None:
            pass

    data = load_dataset(DataConfig(name="mnist", root=str(tmp_path)), Heard())
    assert data.provenance["kind"] == "stand-in"
    assert heard == [f"MNIST in {tmp_path}: {data.provenance['missing']} Results say 'stand-in'"]


def test_what_a_limit_cuts_off_is_not_counted(tmp_path: Path) -> None:
    write_mnist(tmp_path, train=8, test=4)
    kinds = [
        load_dataset(DataConfig(name="mnist", root=str(tmp_path), train_limit=k, test_limit=4)).provenance["kind"]
        for k in (7, 8, 9)
    ]
    assert kinds == ["subset", "real", "subset"]  # MNIST is read whole; of just as many as were wanted, more may follow


def test_options_that_change_the_counts() -> None:
    spec = load_spec(DataConfig(name="svhn"))
    assert spec.splits_of("svhn", {"extra": True}) == {"train": 73257 + 531131, "test": 26032}
    assert spec.splits_of("svhn", {"extra": False}) == spec.splits == {"train": 73257, "test": 26032}
    assert spec.splits_of("pack", {"extra": True}) == {"train": 867, "test": 216}
    with pytest.raises(ValueError, match="pack: has splits of its own, so fixed must name extra"):
        layouts = spec.layouts | {"pack": spec.layouts["pack"].model_copy(update={"fixed": ()})}
        DatasetSpec.model_validate(spec.model_dump() | {"layouts": {k: v.model_dump() for k, v in layouts.items()}})
    timit = load_spec(DataConfig(name="timit_frames"))
    assert timit.splits_of("timit", {"test_set": "full"}) == {"train": 462, "test": 168}


# IDX


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx(tmp_path: Path, name: str, zipped: bool) -> None:
    arrays = write_mnist(tmp_path, zipped)
    data = load_dataset(DataConfig(name=name, root=str(tmp_path)))
    np.testing.assert_array_equal(data.x_train[..., 0], arrays[IDX_NAMES[0]])
    np.testing.assert_array_equal(data.y_train, arrays[IDX_NAMES[1]])
    np.testing.assert_array_equal(data.x_test[..., 0], arrays[IDX_NAMES[2]])
    np.testing.assert_array_equal(data.y_test, arrays[IDX_NAMES[3]])
    assert data.provenance["folder"] == str(tmp_path)
    assert {f["published"] for f in data.provenance["files"].values()} == {False if zipped else None}


def test_where_idx_files_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    write_mnist(tmp_path / "MNIST" / "raw")
    assert len(load_dataset(DataConfig(name="mnist", root=str(tmp_path))).x_test) == 4
    monkeypatch.setenv(files.ROOT_VARIABLE, str(tmp_path))
    assert len(load_dataset(DataConfig(name="mnist")).x_test) == 4
    assert "none" in refused("mnist", tmp_path / "none")


def test_the_variable_does_not_mix_data_sets_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path)
    monkeypatch.setenv(files.ROOT_VARIABLE, str(tmp_path))
    assert str(tmp_path / "mnist") in refused("mnist", None)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "digits"])
def test_missing_files_say_what_where_and_how(tmp_path: Path, name: str) -> None:
    message = refused(name, tmp_path)
    spec = load_description(name)
    assert all(f.name in message for layout in spec.layouts.values() for f in layout.files if not f.optional)
    assert str(tmp_path) in message
    assert spec.obtain in message
    assert "data.root" in message


def test_debian_package_is_named() -> None:
    spec = load_spec(DataConfig(name="fashion_mnist"))
    assert "apt install dataset-fashion-mnist" in spec.obtain
    assert spec.places == ("/usr/share/datasets/fashion-mnist",)


def test_one_missing_file(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / IDX_NAMES[3]).unlink()
    message = refused("mnist", tmp_path)
    assert f"{tmp_path} has 3 of the 4 files of layout idx; missing: {IDX_NAMES[3]}" in message
    assert "its files are not there. Looked for" in refused("mnist", tmp_path / "nowhere")


@pytest.mark.parametrize("zipped", [False, True])
def test_damaged_idx_files(tmp_path: Path, zipped: bool) -> None:
    array = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
    path = tmp_path / "a"
    write_idx(path, array, zipped)
    np.testing.assert_array_equal(read_idx(path), array)
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(ArtifactError, match=str(path)):
            read_idx(path)
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        try:
            read_idx(path)
        except ArtifactError as error:
            assert str(error).startswith(f"{path}: ")
    path.write_bytes(good + b"\0")
    if not zipped:
        with pytest.raises(ArtifactError, match="more than 60"):
            read_idx(path)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"", "starts with nothing"),
        (b"\0\0\x0d\x03", "starts with 00000d03"),
        (b"\0\0\x08\x00", "starts with 00000800"),
        (b"PK\3\4", "starts with 504b0304"),
        (b"\0\0\x08\x03\0\0", "truncated"),
        (b"\0\0\x08\x02" + b"\xff" * 8, f"at most {idx.MAX_BYTES} are read"),
    ],
)
def test_wrong_idx_headers(tmp_path: Path, start: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(start)
    with pytest.raises(ArtifactError, match=message):
        read_idx(tmp_path / "a")


@pytest.mark.parametrize(
    ("file", "array", "message"),
    [
        (0, np.zeros((6, 28, 27), np.uint8), r"has shape \[6, 28, 27\], expected \[n, 28, 28\]"),
        (0, np.zeros((6, 784), np.uint8), r"expected \[n, 28, 28\]"),
        (1, np.zeros((6, 1), np.uint8), r"has shape \[6, 1\], expected \[n\]"),
        (1, np.zeros(5, np.uint8), "6 images, but 5 labels"),
        (3, np.array([0, 9, 10, 1], np.uint8), "labels are in 0 … 10, expected 0 … 9"),
    ],
)
def test_idx_files_that_do_not_go_together(tmp_path: Path, file: int, array: np.ndarray, message: str) -> None:
    write_mnist(tmp_path)
    write_idx(tmp_path / IDX_NAMES[file], array)
    with pytest.raises(ArtifactError, match=message):
        load_dataset(DataConfig(name="mnist", root=str(tmp_path)))


def test_empty_data_set(tmp_path: Path) -> None:
    write_mnist(tmp_path, train=0)
    assert "holds no images" in refused("mnist", tmp_path)


# Installed


def test_an_installed_copy_is_used_before_folders_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "tncompile"
    (package / "_share" / "datasets").mkdir(parents=True)
    monkeypatch.setattr(tncompile, "__file__", str(package / "__init__.py"))
    assert share("datasets") == package / "_share" / "datasets"
    (package / "_share" / "datasets").rmdir()
    (package / "_share").rmdir()
    assert share("datasets") == tmp_path / "datasets"
