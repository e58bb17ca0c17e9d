"""CIFAR-10 and CIFAR-100: Python and binary versions, and the JPEG pack."""

from __future__ import annotations

import collections
import io
import os
import pickle
import sys
import tracemalloc
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image
from support.dataset_files import (
    CIFAR10_BATCHES,
    cifar10_batch,
    images,
    load,
    python2_pickle,
    refused,
    write_cifar10,
    write_cifar100,
    write_jpeg_pack,
    write_python3_pickle,
)

from tncompile.errors import ArtifactError


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("below", [".", "cifar-10-batches", "cifar10/cifar-10-batches"])
def test_cifar10(tmp_path: Path, python: bool, below: str) -> None:
    suffix = {".": "", "cifar-10-batches": "-py" if python else "-bin"}.get(below, "-py" if python else "-bin")
    folder = tmp_path / f"{below}{suffix}"
    batches = write_cifar10(folder, python=python)
    data = load("cifar10", tmp_path)
    np.testing.assert_array_equal(data.x_test, batches["test_batch"][0])
    np.testing.assert_array_equal(data.y_test, batches["test_batch"][1])
    np.testing.assert_array_equal(data.x_train, np.concatenate([batches[name][0] for name in CIFAR10_BATCHES[:-1]]))
    np.testing.assert_array_equal(data.y_train, np.concatenate([batches[name][1] for name in CIFAR10_BATCHES[:-1]]))
    assert data.x_train.flags.c_contiguous
    assert data.provenance["layout"] == ("python" if python else "cifar_binary")
    assert data.provenance["kind"] == "subset"
    assert data.provenance["missing"] == (
        "By count not what was published: train has 20 images instead of 50,000, test has 7 images instead of 10,000."
    )
    assert {file["published"] for file in data.provenance["files"].values()} == {False if python else None}


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("name, column", [("cifar100", 1), ("cifar100_coarse", 2)])
def test_cifar100(tmp_path: Path, python: bool, name: str, column: int) -> None:
    parts = write_cifar100(tmp_path / "cifar-100", python=python)
    data = load(name, tmp_path / "cifar-100")
    np.testing.assert_array_equal(data.x_train, parts["train"][0])
    np.testing.assert_array_equal(data.y_train, parts["train"][column])
    np.testing.assert_array_equal(data.x_test, parts["test"][0])
    np.testing.assert_array_equal(data.y_test, parts["test"][column])


def test_both_versions_hold_the_same(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "a", python=True)
    write_cifar10(tmp_path / "b", python=False)
    one, other = load("cifar10", tmp_path / "a"), load("cifar10", tmp_path / "b")
    np.testing.assert_array_equal(one.x_train, other.x_train)
    np.testing.assert_array_equal(one.y_test, other.y_test)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("keys", [bytes, str])
def test_pickles_that_python_3_wrote(tmp_path: Path, protocol: int, keys: type) -> None:
    write_cifar10(tmp_path, python=True)
    x, y = images(4, 9)
    content = {key if keys is bytes else key.decode(): value for key, value in cifar10_batch(x, y).items()}
    write_python3_pickle(tmp_path / "test_batch", content, protocol)
    data = load("cifar10", tmp_path)
    np.testing.assert_array_equal(data.x_test, x)
    np.testing.assert_array_equal(data.y_test, y)


@pytest.mark.parametrize("layout, file", [("cifar_binary", "data_batch_3.bin"), ("cifar_binary", "test_batch.bin")])
@pytest.mark.parametrize(
    "content, message",
    [
        (b"\0" * 3072, "has 3072 bytes, expected a multiple of 3073"),
        (b"", "has 0 bytes"),
        (b"\x0a" + b"\0" * 3072, "labels are in 10 … 10, expected 0 … 9"),
    ],
)
def test_damaged_binary_files(tmp_path: Path, layout: str, file: str, content: bytes, message: str) -> None:
    write_cifar10(tmp_path, python=False)
    (tmp_path / file).write_bytes(content)
    found = refused("cifar10", tmp_path, layout=layout)
    assert found.startswith(f"{tmp_path / file}: ") and message in found


def test_cifar10_is_not_taken_for_cifar100(tmp_path: Path) -> None:
    x, y = images(3, 0)
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(python2_pickle(cifar10_batch(x, y)))
    assert "train: has no fine_labels, only batch_label, labels, data, filenames" in refused("cifar100", tmp_path)


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"labels": None}, "has no labels, only batch_label, data, filenames; it is no batch of CIFAR-10"),
    ({"data": None}, "has no data"),
    ({"data": np.zeros((3, 3071), np.uint8)}, "data is uint8 [3, 3071], expected uint8 [n, 3072]"),
    ({"data": b"pixels"}, "data is bytes, expected uint8"),
    ({"labels": [1, 2]}, "3 images, but 2 labels"),
    ({"labels": [1, 2, 10]}, "labels are in 1 … 10, expected 0 … 9"),
    ({"labels": [1, -1, 0]}, "labels are in -1 … 1, expected 0 … 9"),
    ({"labels": b"abc"}, "labels is no list of integers"),
    ({"labels": [1, b"2", 3]}, "labels is no list of integers"),
    (
        {"batch_label": b"testing batch 1 of 1"},
        "says that it is 'testing batch 1 of 1', expected 'training batch 2 of 5'",
    ),
    ({"batch_label": b"training batch 3 of 5"}, "it is another file under this name"),
    ({"batch_label": 2}, "says that it is '2', expected"),
]


@pytest.mark.parametrize("changes, message", CHANGES, ids=[message[:30] for _, message in CHANGES])
def test_pickles_with_other_content(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_cifar10(tmp_path, python=True)
    (tmp_path / "data_batch_2").write_bytes(
        python2_pickle(cifar10_batch(*images(3, 0), name="data_batch_2", **changes))
    )
    found = refused("cifar10", tmp_path)
    assert found.startswith(f"{tmp_path / 'data_batch_2'}: ") and message in found


def test_a_batch_need_not_say_which_it_is(tmp_path: Path) -> None:
    write_cifar10(tmp_path, python=True)
    x, y = images(3, 0)
    (tmp_path / "data_batch_2").write_bytes(python2_pickle(cifar10_batch(x, y, batch_label=None)))
    np.testing.assert_array_equal(load("cifar10", tmp_path).x_train[2:5], x)


def test_the_parts_of_cifar100_are_not_mixed_up(tmp_path: Path) -> None:
    write_cifar100(tmp_path, python=True)
    (tmp_path / "train").write_bytes((tmp_path / "test").read_bytes())
    found = refused("cifar100", tmp_path)
    assert found.startswith(f"{tmp_path / 'train'}: says that it is 'testing batch 1 of 1', expected 'training batch 1")


@pytest.mark.parametrize(
    "content, message",
    [
        ([1, 2], "holds a list, expected a dictionary"),
        ({b"data": np.zeros((2, 3072), np.float32), b"labels": [1, 2]}, "data is float32 [2, 3072], expected uint8"),
        ({b"data": np.array([[{}] * 3072]), b"labels": [1]}, "data is object [1, 3072], expected uint8"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1 << 40]}, "labels holds 1099511627776"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": np.array([1])}, "labels is no list of integers"),
        (collections.OrderedDict(data=1), "asks for collections.OrderedDict, which no batch of CIFAR needs"),
        ({"labels": os.getcwd}, "asks for posix.getcwd"),
    ],
)
def test_other_pickles_of_python_3(tmp_path: Path, content: Any, message: str) -> None:
    write_cifar10(tmp_path, python=True)
    write_python3_pickle(tmp_path / "test_batch", content)
    found = refused("cifar10", tmp_path)
    assert found.startswith(f"{tmp_path / 'test_batch'}: ") and message in found


class _Touch:
    """Pickled, this makes a file when it is read."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_runs_something_is_not_run(tmp_path: Path, protocol: int) -> None:
    write_cifar10(tmp_path, python=True)
    content = {b"data": _Touch(tmp_path / "made"), b"labels": []}
    write_python3_pickle(tmp_path / "data_batch_1", content, protocol)
    assert "it could run any program and was not read" in refused("cifar10", tmp_path)
    assert not (tmp_path / "made").exists()
    with (tmp_path / "data_batch_1").open("rb") as file:  # it would have
        pickle.load(file)
    assert (tmp_path / "made").exists()


class _Type:
    """Pickled, this is a type whose 8 bytes an array takes for a pointer when the type's flags say there is none."""

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {"a": (np.dtype(object), 0)}
        return np.dtype, ("V8", False, True), (3, "|", None, ("a",), fields, 8, 1, 0)


class _Plain:
    """Pickled, this is a plain type of bytes with a state that makes it a record of pointers."""

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {"a": (np.dtype(object), 0)}
        return np.dtype, ("u1", False, True), (3, "|", None, ("a",), fields, 8, 1, 0)


class _Array:
    """Pickled, this is an array of a type, shape and content of one's choice."""

    def __init__(self, dtype: Any, shape: Any = (1,), content: Any = b"AAAAAAAA"):
        self.state = (1, shape, dtype, False, content)

    def __reduce__(self) -> tuple[Any, ...]:
        return np.empty(0).__reduce__()[0], (np.ndarray, (0,), b"b"), self.state


BYTES = np.dtype(np.uint8)


@pytest.mark.parametrize("key", [b"batch_label", b"data", b"labels", b"other"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (_Array(_Type()), "asks for arrays of type V8, which no batch of CIFAR needs; it could run any program"),
        (_Array(_Plain()), "asks for arrays of records"),
        ([[_Array(_Type())]], "asks for arrays of type V8"),
        (_Array("u1"), "an array without type or shape"),
        (_Array(BYTES, (-1, 3072)), "an array whose shape is no sizes"),
        (_Array(BYTES, ([], 3072)), "an array whose shape is no sizes"),
        (np.zeros(2, [("a", "O")]), "asks for arrays of type V8"),
        (np.zeros(2, "M8[s]"), "asks for arrays of type M8"),
        (np.zeros(2, "U3"), "asks for arrays of type U3"),
        (np.ma.zeros(2), "which no batch of CIFAR needs"),
        (np.float64(1), "asks for numpy._core.multiarray.scalar"),
    ],
)
def test_pickles_with_forged_arrays(tmp_path: Path, key: bytes, value: Any, message: str) -> None:
    write_cifar10(tmp_path, python=True)
    content = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2], key: value}
    write_python3_pickle(tmp_path / "data_batch_1", content)
    found = refused("cifar10", tmp_path)
    assert found.startswith(f"{tmp_path / 'data_batch_1'}: ") and message in found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({b"batch_label": np.array([1, 2])}, "batch_label is Array, expected 'training batch 1 of 5'"),
        ({b"batch_label": [b"training batch 1 of 5"]}, "batch_label is list, expected 'training batch 1 of 5'"),
        ({b"batch_label": None}, "batch_label is NoneType, expected"),
        ({b"batch_label": "x" * 1000}, f"says that it is '{'x' * 80}', expected"),
        ({b"batch_label": b"\x1b[2J\n"}, "says that it is '\\x1b[2J\\n', expected"),
        ({b"data": _Array(BYTES, (2, 3072), bytes(6143))}, "an array of shape [2, 3072] with 6143 bytes; get"),
        ({b"data": _Array(BYTES, (1 << 60, 3072), bytes(6144))}, "3072] with 6144 bytes; get the file again"),
        ({b"data": _Array(BYTES, (2, 3072), "text")}, "data is an array of uint8, not of bytes"),
        ({b"data": np.zeros((1,) * 64, np.uint8)}, "data is uint8 [1, 1, 1"),
        ({b"labels": [1, 1 << 2000]}, f"labels holds {str(1 << 2000)[:80]}, expected 0 … 9"),
    ],
)
def test_pickles_whose_parts_do_not_fit(tmp_path: Path, changes: dict[bytes, Any], message: str) -> None:
    write_cifar10(tmp_path, python=True)
    content = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2]} | changes
    write_python3_pickle(tmp_path / "data_batch_1", content)
    found = refused("cifar10", tmp_path)
    assert found.startswith(f"{tmp_path / 'data_batch_1'}: ") and message in found
    assert len(found) < len(str(tmp_path)) + 400


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (b"(cposix\nmkdir\nU\x04madeo", "asks for posix.mkdir"),
        (b"(U\x04madeiposix\nmkdir\n", "asks for the operation INST"),
        (b"cposix\nmkdir\n(U\x04madetR", "asks for posix.mkdir"),
        (b"X\x05\0\0\0posixX\x05\0\0\0mkdir\x93(U\x04madetR", "asks for posix.mkdir"),
        (b"cnumpy\nndarray\n(K\x08tR", "asks for a call of ndarray"),
        (b"cnumpy\nndarray\n(K\x08t\x81", "asks for the operation NEWOBJ"),
        (b"(cnumpy\nndarray\nK\x08o", "asks for the operation OBJ"),
        (b"cnumpy\nndarray\n)b", "asks for a state of _Name"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\nK\x08U\x01btR", "asks for arrays of another class"),
        (b"c_codecs\nencode\n(X\x01\0\0\0aX\x03\0\0\0hextR", "asks for the encoding hex"),
        (b"U\x04made(tR", "asks for a call of made"),
        (b"cos\n\x1b[2J\n", "asks for os.\\x1b[2J, which"),
        (b"P1\n", "asks for the operation PERSID"),
        (b"K\x01Q", "asks for the operation BINPERSID"),
        (b"\x82\x01", "asks for the operation EXT1"),
        (b"}(K\x01K\x02u", "asks for keys other than text"),
        (b")" + b"\x85" * 300_000 + b"q\x01}(h\x01Nu", "asks for keys other than text"),
        (b"\x8b\x10\0\0\0" + b"\x7f" * 16, "asks for the operation LONG4"),
        (b"h\x07", "is not a whole pickle: KeyError"),
        (b"]0000", "asks for the operation POP"),
        (b"K\x01(K\x02e", "is not a whole pickle: ValueError: items of int"),
    ],
)
def test_pickles_of_hostile_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operations: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_cifar10(tmp_path, python=True)
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02}(U\x04data" + operations + b"U\x06labels]u.")
    found = refused("cifar10", tmp_path)
    assert found.startswith(f"{tmp_path / 'data_batch_1'}: ") and message in found
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("put", [b"r\0\0\0\x06", b"p100663296\n"])
def test_a_pickle_takes_no_more_memory_than_its_length_lets_expect(tmp_path: Path, put: bytes) -> None:
    write_cifar10(tmp_path, python=True)
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02K\x01" + put + b".")
    tracemalloc.start()
    try:
        assert "holds a int, expected a dictionary" in refused("cifar10", tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_in_either_order(tmp_path: Path, protocol: int, order: Literal["C", "F"]) -> None:
    write_cifar10(tmp_path, python=True)
    x, y = images(4, 9)
    content = cifar10_batch(x, y)
    write_python3_pickle(
        tmp_path / "test_batch", content | {b"data": np.array(content[b"data"], order=order)}, protocol
    )
    np.testing.assert_array_equal(load("cifar10", tmp_path).x_test, x)


def test_damaged_pickles(tmp_path: Path) -> None:
    write_cifar10(tmp_path, python=True)
    path = tmp_path / "data_batch_1"
    good = path.read_bytes()
    for length in [*range(0, 120, 4), *range(120, len(good), 1501)]:
        path.write_bytes(good[:length])
        assert refused("cifar10", tmp_path).startswith(f"{path}: ")
    for place in [*range(0, 150, 2), len(good) - 1]:
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x20]) + good[place + 1 :])
        try:
            load("cifar10", tmp_path)
        except ArtifactError as error:
            assert str(error).startswith(f"{path}: ")


# The JPEG pack


def test_jpeg_pack(tmp_path: Path) -> None:
    x, y = write_jpeg_pack(tmp_path / "cifar10.npz")
    data = load("cifar10", tmp_path)
    np.testing.assert_array_equal(data.x_train, x[:3])
    np.testing.assert_array_equal(data.x_test, x[3:])
    np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test]), y)
    few = load("cifar10", tmp_path, train_limit=2, test_limit=1)
    np.testing.assert_array_equal(few.x_train, x[:2])
    np.testing.assert_array_equal(few.x_test, x[3:4])


def test_exact_test_images_beside_a_jpeg_pack(tmp_path: Path) -> None:
    x, _ = write_jpeg_pack(tmp_path / "cifar10.npz")
    exact = images(4, 3)
    np.savez(tmp_path / "cifar10_lossless_test1017.npz", x_test=exact[0], y_test=exact[1])
    assert load("cifar10", tmp_path).provenance["layout"] == "jpeg_pack"
    data = load("cifar10", tmp_path, layout="exact_test_pack")
    np.testing.assert_array_equal(data.x_train, x[:3])
    np.testing.assert_array_equal(data.x_test, exact[0])
    np.testing.assert_array_equal(data.y_test, exact[1])
    assert data.provenance["kind"] == "subset"
    assert data.provenance["missing"].endswith(
        "are there, exact. By count not what was published: train has 3 images instead of 50,000, test has 4 images "
        "instead of 1,017."
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_train": np.array([5])}, "do not go together"),
        ({"n_train": np.array([], int)}, "is not a pack"),
        ({"labels": np.zeros((5, 1), np.uint8)}, "do not go together"),
        ({"offsets": np.arange(3)}, "do not go together"),
        ({"offsets": np.zeros(6, int)}, "offsets go from 0 to 0, and not always up; expected 0 to "),
        ({"offsets": -np.arange(6)}, "offsets go from 0 to -5, and not always up; expected 0 to "),
        ({"scan_bytes": np.zeros(50, np.uint8), "offsets": np.arange(6) * 10}, "image 0 is damaged"),
        ({"offsets": np.array(["a"])}, "is not a pack"),
        ({"labels": np.array([{}], object)}, "labels holds Python objects"),
        ({"jpeg_header_bytes": np.zeros(10, np.uint8)}, "image 0 is damaged"),
        ({"labels": np.full(5, 11, np.uint8)}, "labels are in"),
    ],
)
def test_broken_packs(tmp_path: Path, changes: dict[str, np.ndarray], message: str) -> None:
    write_jpeg_pack(tmp_path / "cifar10.npz", **changes)
    assert message in refused("cifar10", tmp_path)


@pytest.mark.parametrize("shift", [-40, 40])
def test_shifted_scans_are_refused(tmp_path: Path, shift: int) -> None:
    """Pillow would decode many of them without a word."""
    path = tmp_path / "cifar10.npz"
    write_jpeg_pack(path)
    offsets = np.load(path)["offsets"].astype(int)
    end = offsets[-1]
    offsets[1:] += shift
    write_jpeg_pack(path, offsets=offsets)
    found = refused("cifar10", tmp_path)
    assert found.startswith(
        f"{path}: offsets go from 0 to {end + shift}; expected 0 to {end}, the length of scan_bytes"
    )


def test_damaged_pack_files(tmp_path: Path) -> None:
    path = tmp_path / "cifar10.npz"
    write_jpeg_pack(path)
    good = path.read_bytes()
    for length in range(0, len(good), 411):
        path.write_bytes(good[:length])
        refused("cifar10", tmp_path)
    for place in range(0, len(good), 91):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x20]) + good[place + 1 :])
        try:
            load("cifar10", tmp_path)
        except ArtifactError as error:
            assert str(path) in str(error)


def test_a_jpeg_of_another_size_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (1, 1)).save(stream, "JPEG")
    data = stream.getvalue()
    start = data.index(b"\xff\xda")
    scan = np.frombuffer(data[start:-2], np.uint8)
    write_jpeg_pack(
        tmp_path / "cifar10.npz",
        jpeg_header_bytes=np.frombuffer(data[:start], np.uint8),
        scan_bytes=np.tile(scan, 5),
        offsets=np.arange(6) * len(scan),
    )
    assert "image 0 has shape [1, 1, 3], expected [32, 32, 3]" in refused("cifar10", tmp_path)


def test_pillow_is_named_when_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jpeg_pack(tmp_path / "cifar10.npz")
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install 'tncompile[data]'" in refused("cifar10", tmp_path)
