"""Prepared copies: made once, made again when anything changed, and never in the way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from support.dataset_files import load, refused, write_folder, write_jpeg_pack, write_mnist

from tncompile.config.data import DataConfig
from tncompile.data import Dataset, cache, files, load_dataset
from tncompile.data.layouts import LAYOUTS

SIZE = {"size": [8, 8]}


class Heard:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Keeps a line."""
        self.lines.append(text)

    def progress(self, phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Keeps nothing."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of the user's own images, with groups."""
    names = [f"{label}/{who}/{i}.png" for label in "ab" for who in ("x", "y") for i in range(2)]
    write_folder(tmp_path / "photos", {"train": names, "validation": ["a/5.png"], "test": ["a/1.png", "b/2.png"]})
    return tmp_path / "photos"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What readers were called for."""
    calls = []
    for name, reader in list(LAYOUTS.items()):
        monkeypatch.setitem(LAYOUTS, name, lambda source, r=reader, n=name: [calls.append(n), r(source)][1])
    return calls


def prepared(folder: Path) -> list[Path]:
    """Returns the prepared copies in a cache."""
    return sorted((folder / "prepared").glob("*"))


def same(one: Dataset, other: Dataset) -> bool:
    """Returns whether two data sets hold the same."""
    names = [f"{kind}_{part}" for kind in "xy" for part in ("train", "validation", "test")]
    return one.provenance == other.provenance and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in names
    )


@pytest.fixture
def store(no_folders_of_the_user: Path) -> Path:
    """The cache."""
    return no_folders_of_the_user


def test_a_slow_layout_is_read_once(photos: Path, reads: list[str], store: Path) -> None:
    first = load("folder", photos, options=SIZE, validation=0.4)
    assert (reads, len(prepared(store))) == (["folder"], 1)
    assert same(load("folder", photos, options=SIZE, validation=0.4), first)
    few = load("folder", photos, options=SIZE, train_limit=3, test_limit=1)
    assert reads == ["folder"]
    np.testing.assert_array_equal(few.x_train, first.x_train[:3])
    load("folder", photos, options={"size": [9, 9]})
    assert (reads, len(prepared(store))) == (["folder"] * 2, 2)


def test_groups_survive(photos: Path, reads: list[str]) -> None:
    shutil.rmtree(photos / "validation")
    first = load("folder", photos, options=SIZE, validation=0.5)
    assert same(load("folder", photos, options=SIZE, validation=0.5), first)
    assert reads == ["folder"] and len(first.x_validation) == 4


def test_parts_of_a_data_set_are_not_kept(photos: Path, reads: list[str], store: Path) -> None:
    load("folder", photos, options=SIZE, train_limit=3)
    assert (reads, prepared(store)) == (["folder"], [])


def test_quick_layouts_are_not_kept(tmp_path: Path, reads: list[str], store: Path) -> None:
    write_mnist(tmp_path)
    load("mnist", tmp_path)
    load("mnist", tmp_path)
    assert (reads, prepared(store)) == (["idx", "idx"], [])


def test_a_change_of_any_file_is_seen(photos: Path, reads: list[str]) -> None:
    before = load("folder", photos, options=SIZE)
    path = photos / "train" / "a" / "x" / "0.png"
    other = (photos / "train" / "b" / "x" / "0.png").read_bytes()
    path.write_bytes(other)
    after = load("folder", photos, options=SIZE)
    assert reads == ["folder"] * 2
    assert not same(before, after)
    (photos / "train" / "a" / "x" / "1.png").unlink()
    assert len(load("folder", photos, options=SIZE).x_train) == len(before.x_train) - 1


def test_a_change_behind_a_link_is_seen(photos: Path, reads: list[str], tmp_path: Path) -> None:
    """What a link leads to is read, and so it counts for the prepared copy and for what results say."""
    own = tmp_path / "elsewhere"
    (photos / "train" / "a").rename(own)
    (photos / "train" / "a").symlink_to(own)
    before = load("folder", photos, options=SIZE)
    (own / "x" / "0.png").write_bytes((photos / "train" / "b" / "x" / "0.png").read_bytes())
    after = load("folder", photos, options=SIZE)
    assert reads == ["folder"] * 2
    assert not same(before, after)
    assert before.provenance["files"]["train"]["files"] == after.provenance["files"]["train"]["files"] == 8
    assert before.provenance["files"]["train"] != after.provenance["files"]["train"]


def test_another_version_of_a_library_is_seen(
    photos: Path, reads: list[str], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("folder", photos, options=SIZE)
    installed = cache.version
    for k, library in enumerate(("pillow", "scipy", "kaldi-native-fbank")):
        with monkeypatch.context() as patch:
            patch.setattr(cache, "version", lambda name, new=library: "0.0" if name == new else installed(name))
            load("folder", photos, options=SIZE)
            assert len(reads) == len(prepared(store)) == k + 2
    load("folder", photos, options=SIZE)
    assert len(reads) == 4


def test_a_library_need_not_be_installed(photos: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise cache.PackageNotFoundError(name)

    monkeypatch.setattr(cache, "version", absent)
    load("folder", photos, options=SIZE)
    load("folder", photos, options=SIZE)
    assert reads == ["folder"]


def test_a_change_at_once_is_seen(tmp_path: Path) -> None:
    """A file that keeps its size and changes right behind the reading must not give the old pixels."""
    for round in range(5):
        x, _ = write_jpeg_pack(tmp_path / "cifar10.npz", labels=np.full(5, round, np.uint8))
        data = load("cifar10", tmp_path)
        assert data.y_train.tolist() == [round] * 3
        np.testing.assert_array_equal(data.x_test, x[3:])


def test_the_clock_is_waited_for(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    monkeypatch.setattr(cache.time, "sleep", waited.append)
    now = max(path.stat().st_mtime for path in photos.rglob("*"))
    monkeypatch.setattr(cache.time, "time", lambda: now + 0.01)
    load("folder", photos, options=SIZE)
    assert len(waited) == 1 and 0.03 < waited[0] < 0.05
    monkeypatch.setattr(cache.time, "time", lambda: now + 1)
    load("folder", photos, options={"size": [9, 9]})
    assert len(waited) == 1


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "kind"])
def test_a_damaged_copy_is_made_again(photos: Path, reads: list[str], store: Path, damage: str) -> None:
    first = load("folder", photos, options=SIZE)
    (path,) = prepared(store)
    good = path.read_bytes()
    bad = {
        "cut": good[:-1],
        "flipped": good[:-9] + bytes([good[-9] ^ 1]) + good[-8:],
        "empty": b"",
        "kind": good.replace(b"tncompile-dataset", b"tncompile-dutuset"),
    }[damage]
    path.write_bytes(bad)
    heard = Heard()
    again = load_dataset(DataConfig(name="folder", root=str(photos), options=SIZE), heard)
    assert same(first, again)
    assert reads == ["folder"] * 2
    assert len(heard.lines) == 1 and str(path) in heard.lines[0] and heard.lines[0].endswith("it is made again")
    assert path.read_bytes() == good


def test_a_cache_that_cannot_be_written_is_no_error(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(files.CACHE_VARIABLE, "/dev/null/cache")
    heard = Heard()
    data = load_dataset(DataConfig(name="folder", root=str(photos), options=SIZE), heard)
    assert len(data.x_train) == 8
    assert len(heard.lines) == 1 and "cannot be written" in heard.lines[0] and "is not kept" in heard.lines[0]


def test_a_full_disk_is_no_error(photos: Path, monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert len(load("folder", photos, options=SIZE).x_train) == 8
    assert prepared(store) == []


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(files.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert files.cache_folder() == Path("/somewhere/tncompile")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/anna")
    assert files.cache_folder() == Path("/home/anna/.cache/tncompile")
    assert files.download_folder() == Path("/home/anna/.cache/tncompile/data")
    monkeypatch.setenv(files.ROOT_VARIABLE, "~/sets")
    assert files.download_folder() == Path("/home/anna/sets")


def test_errors_are_not_hidden_by_a_copy(photos: Path) -> None:
    load("folder", photos, options=SIZE)
    (photos / "train" / "a" / "x" / "0.png").write_bytes(b"x")
    assert "is not a whole image" in refused("folder", photos, options=SIZE)
