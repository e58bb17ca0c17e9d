"""SVHN's cropped digits, in MATLAB 5 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from support.dataset_files import images, load, refused, write_svhn

from tncompile.errors import ArtifactError


def test_svhn(tmp_path: Path) -> None:
    (x_train, y_train), (x_test, y_test) = write_svhn(tmp_path), write_svhn(tmp_path, "test", 40)
    data = load("svhn", tmp_path)
    np.testing.assert_array_equal(data.x_train, x_train)
    np.testing.assert_array_equal(data.y_train, y_train)
    np.testing.assert_array_equal(data.x_test, x_test)
    np.testing.assert_array_equal(data.y_test, y_test)
    assert 0 in data.y_test
    assert data.x_train.flags.c_contiguous
    assert list(data.provenance["files"]) == ["train_32x32.mat", "test_32x32.mat"]


def test_extra_digits_stand_behind_the_others(tmp_path: Path) -> None:
    (x_train, _), (x_extra, y_extra) = write_svhn(tmp_path), write_svhn(tmp_path, "extra", 9)
    write_svhn(tmp_path, "test")
    assert len(load("svhn", tmp_path).x_train) == len(x_train)
    data = load("svhn", tmp_path, options={"extra": True})
    np.testing.assert_array_equal(data.x_train, np.concatenate([x_train, x_extra]))
    np.testing.assert_array_equal(data.y_train[-9:], y_extra)
    (tmp_path / "extra_32x32.mat").unlink()
    message = refused("svhn", tmp_path, options={"extra": True})
    assert message.startswith(f"{tmp_path / 'extra_32x32.mat'}: is missing") and "options.extra=true" in message


def test_a_file_of_one_image(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    x, _ = write_svhn(tmp_path, "test", 1)
    np.testing.assert_array_equal(load("svhn", tmp_path).x_test, x)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"X": None}, "has no array X; it is not of SVHN's format 2"),
        ({"y": None}, "has no array y"),
        ({"X": np.zeros((32, 32, 3, 7))}, "X is float64 [32, 32, 3, 7], expected uint8 [32, 32, 3, n]"),
        ({"X": np.zeros((7, 32, 32, 3), np.uint8)}, "X is uint8 [7, 32, 32, 3], expected"),
        ({"y": np.ones((6, 1), np.uint8)}, "7 images, but 6 labels"),
        ({"y": np.array([[1, 2, 3, 4, 5, 6, 11]], np.uint8)}, "labels are in 1 … 11, expected 1 … 10"),
        ({"y": np.zeros((7, 1), np.uint8)}, "labels are in 0 … 0, expected 1 … 10, where 10 is the digit 0"),
        ({"y": np.full((7, 1), 1.5)}, "y is float64, expected digits 1 … 10"),
    ],
)
def test_files_with_other_content(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_svhn(tmp_path)
    write_svhn(tmp_path, "test", **changes) if "X" in changes else write_svhn(tmp_path, "test", 7, **changes)
    found = refused("svhn", tmp_path)
    assert found.startswith(f"{tmp_path / 'test_32x32.mat'}: ") and message in found


@pytest.mark.parametrize("offset", [0, 512])
def test_files_of_matlab_7_3(tmp_path: Path, offset: int) -> None:
    write_svhn(tmp_path)
    start = b"MATLAB 7.3 MAT-file".ljust(offset) if offset else b""
    (tmp_path / "test_32x32.mat").write_bytes(start + b"\x89HDF\r\n\x1a\n" + bytes(600))
    message = refused("svhn", tmp_path)
    assert f"{tmp_path / 'test_32x32.mat'}: is an HDF5 file (MATLAB 7.3), expected MATLAB 5" in message


def test_a_page_in_place_of_a_file(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    write_svhn(tmp_path, "test", 3)
    (tmp_path / "train_32x32.mat").write_bytes(b"<!DOCTYPE html><html>not found</html>".ljust(999))
    assert "is no MATLAB 5 file: begins with b'<!DOCTYPE html><'; get" in refused("svhn", tmp_path)


def test_damaged_files(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    write_svhn(tmp_path, "test", 3)
    path = tmp_path / "test_32x32.mat"
    good = path.read_bytes()
    for length in [*range(0, 200, 9), *range(200, len(good), 997)]:
        path.write_bytes(good[:length])
        assert refused("svhn", tmp_path).startswith(f"{path}: "), length
    for place in [*range(0, 260, 7), *range(260, len(good), 1999)]:
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        try:
            load("svhn", tmp_path)
        except ArtifactError as error:
            assert str(error).startswith(f"{path}: ")


def test_an_uncompressed_file(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    x, y = images(4, 2)
    savemat(tmp_path / "test_32x32.mat", {"X": x.transpose(1, 2, 3, 0), "y": np.where(y == 0, 10, y)[:, None]})
    np.testing.assert_array_equal(load("svhn", tmp_path).y_test, y)
