"""Stage files: what is written comes back, and nothing else does."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
import struct
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tncompile.errors import ArtifactError, InternalError
from tncompile.ir import io
from tncompile.ir.io import StageHeader, atomic_write, read_bytes, read_header, read_stage, write_stage
from tncompile.ir.text import digest, dump

KINDS = list(io.KINDS)


@pytest.fixture
def image_file(stages, tmp_path: Path) -> Path:
    write_stage(tmp_path / "image.stage", stages()["ChipImage"])
    return tmp_path / "image.stage"


def unseal(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Returns tensors and metadata of a stage file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["tncompile"])
    del metadata["checksum"]
    return safetensors.numpy.load(data), metadata


def refused(path: Path, **kwargs) -> str:
    """Returns the message with which a file is refused; it names the file and is one line."""
    with pytest.raises(ArtifactError) as caught:
        read_stage(path, **kwargs)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(stages, tmp_path: Path, kind: str, seed: int) -> None:
    stage = stages(seed)[kind]
    source = getattr(stage, "source", None)
    write_stage(tmp_path / "a", stage)
    back = read_stage(tmp_path / "a", source=source, expect=type(stage))
    assert type(back) is type(stage)
    assert digest(back) == digest(stage)
    assert dump(back) == dump(stage)
    assert getattr(back, "source", None) is source
    assert read_header(tmp_path / "a") == StageHeader(
        kind=kind, version="0.1.0", digest=digest(stage), source=None if source is None else digest(source)
    )


def test_arrays_come_back_with_their_types_and_read_only(stages, image_file: Path) -> None:
    before, after = stages()["ChipImage"], read_stage(image_file)
    for field in dataclasses.fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if isinstance(old, np.ndarray):
            assert (old.dtype, old.shape) == (new.dtype, new.shape)
            assert not new.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                new[...] = 0


def test_empty_arrays(stages, tmp_path: Path) -> None:
    stage = stages(cores=0, lines=0)["ChipImage"]
    write_stage(tmp_path / "a", stage)
    assert digest(read_stage(tmp_path / "a")) == digest(stage)
    assert dump(stage)


def test_the_same_stage_gives_the_same_bytes(stages, tmp_path: Path, image_file: Path) -> None:
    write_stage(tmp_path / "again", stages()["ChipImage"])
    assert (tmp_path / "again").read_bytes() == image_file.read_bytes()


def test_file_has_one_metadata_key(image_file: Path) -> None:
    with safetensors.safe_open(image_file, framework="np") as file:
        assert list(file.metadata()) == ["tncompile"]


def test_every_flipped_byte_is_found(image_file: Path) -> None:
    good = image_file.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    rng = np.random.default_rng(0)
    for place in [*range(0, header, 7), *range(8), *range(header, len(good), 29), len(good) - 1]:
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(8))
        image_file.write_bytes(bad)
        refused(image_file)


def test_every_truncation_is_found(image_file: Path) -> None:
    good = image_file.read_bytes()
    for length in [*range(0, len(good), 53), *range(10), len(good) - 1]:
        image_file.write_bytes(good[:length])
        refused(image_file)
    image_file.write_bytes(good + b"\0")
    refused(image_file)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8, b"\xff" * 200, b'\x02\0\0\0\0\0\0\0{}', b"not a stage file at all", safetensors.numpy.save({})],
)  # fmt: skip
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert "not a stage file" in refused(tmp_path / "a")


def test_random_bytes_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        (tmp_path / "a").write_bytes(rng.bytes(int(rng.integers(300))))
        refused(tmp_path / "a")


def test_missing_file_and_folder_in_its_place(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none")
    assert "directory" in refused(tmp_path)
    with pytest.raises(ArtifactError, match="check the path"):
        read_bytes(tmp_path / "none")


def test_wrong_kind(stages, image_file: Path) -> None:
    assert "holds a ChipImage, expected a CoreGraph" in refused(image_file, expect=type(stages()["CoreGraph"]))


def test_source_is_needed_and_compared(stages, tmp_path: Path) -> None:
    placed = stages()["PlacedChip"]
    write_stage(tmp_path / "a", placed)
    assert f"refers to the PartitionedGraph with digest {digest(placed.source)}" in refused(tmp_path / "a")
    assert "give that stage" in refused(tmp_path / "a", source=stages()["CoreGraph"])
    other = stages(2)["PartitionedGraph"]
    message = refused(tmp_path / "a", source=other)
    assert digest(other) in message
    assert "different runs" in message


def damaged(image_file: Path, change) -> str:
    """Returns the message for a file that was changed and sealed again, so that only its content is wrong."""
    tensors, metadata = unseal(image_file)
    change(tensors, metadata)
    image_file.write_bytes(io._seal(tensors, metadata))
    return refused(image_file)


def test_other_format_version(image_file: Path) -> None:
    message = damaged(image_file, lambda tensors, metadata: metadata.update(format=2, tncompile="9.9"))
    assert "format version 2 (tncompile 9.9)" in message
    assert "reads version 1" in message


def test_unknown_kind(image_file: Path) -> None:
    assert "expected one of LogicalNet" in damaged(image_file, lambda t, m: m.update(kind="Nonsense"))


@pytest.mark.parametrize(
    "change",
    [
        lambda t, m: m.update(kind=["ChipImage"]),
        lambda t, m: m.pop("format"),
        lambda t, m: m.pop("stage"),
        lambda t, m: m.update(stage=None),
        lambda t, m: m.update(stage=[]),
        lambda t, m: m["stage"].pop("latency"),
        lambda t, m: m["stage"].update(more=1),
        lambda t, m: m["stage"].update(latency="3"),
        lambda t, m: m["stage"].update(latency=3.0),
        lambda t, m: m["stage"].update(latency=True),
        lambda t, m: m["stage"].update(latency=None),
        lambda t, m: m["stage"].update(latency=4),
        lambda t, m: m["stage"].update(host=3),
        lambda t, m: m["stage"].update(host=None),
        lambda t, m: m["stage"]["host"].update(out_shape=[4, 3]),
        lambda t, m: m["stage"]["host"].update(out_shape=[4, 3, "4"]),
        lambda t, m: m["stage"]["host"].update(out_shape=4),
        lambda t, m: m["stage"].update(dx=[1, 2]),
        lambda t, m: m["stage"].update(dx="int16[4, 8]"),
        lambda t, m: t.pop("dx"),
        lambda t, m: t.update(extra=np.zeros(3)),
        lambda t, m: t.update(dx=t["dx"] + np.int16(1)),
        lambda t, m: (t.update(dx=t["dx"].astype(np.int32)), m["stage"].update(dx="int32[3, 8]")),
        lambda t, m: (t.update(dx=t["dx"][:, :1]), m["stage"].update(dx="int16[3, 1]")),
        lambda t, m: (t.update(dx=t["dx"][0]), m["stage"].update(dx="int16[8]")),
        lambda t, m: m.update(digest="0" * 64),
    ],
)
def test_wrong_content_under_a_right_checksum(image_file: Path, change) -> None:
    assert "make it again" in damaged(image_file, change)


def test_arrays_of_one_record_fit_one_another(image_file: Path) -> None:
    def shorten(tensors: dict, metadata: dict) -> None:
        tensors["dx"] = tensors["dx"][:, :1]
        metadata["stage"]["dx"] = "int16[3, 1]"

    assert "dx: int16[3, 1] does not fit the arrays beside it" in damaged(image_file, shorten)


def test_deep_nesting_is_refused(image_file: Path) -> None:
    bomb = '{"__metadata__":{"tncompile":"\\"checksum\\":\\"' + "0" * 64 + '\\""},"a":' + "[" * 99999
    data = struct.pack("<Q", len(bomb)) + bomb.encode()
    start = data.index(b"0" * 64)
    seal = io.hashlib.sha256(data).hexdigest().encode()
    image_file.write_bytes(data[:start] + seal + data[start + 64 :])
    refused(image_file)


def test_a_number_that_is_not_finite_is_our_fault(stages, tmp_path: Path) -> None:
    net = stages()["LogicalNet"]
    layer = dataclasses.replace(net.layers[0], hysteresis=float("nan"))
    with pytest.raises(InternalError, match="not finite"):
        write_stage(tmp_path / "a", dataclasses.replace(net, layers=(layer,)))
    assert list(tmp_path.iterdir()) == []


def test_atomic_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.json"
    atomic_write(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    atomic_write(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert list(path.parent.iterdir()) == [path]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_two_that_write_the_same_file_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes have the same number, 1, in two containers."""
    monkeypatch.setattr(io.os, "getpid", lambda: 1)
    path = tmp_path / "a"
    with ExitStack() as one, ExitStack() as other:
        one.enter_context(io.atomic_file(path)).write(b"A" * 1000)
        late = other.enter_context(io.atomic_file(path))
        late.write(b"B" * 500)
        late.flush()
        one.close()
        assert path.read_bytes() == b"A" * 1000
        late.write(b"B")
        late.flush()
        assert path.read_bytes() == b"A" * 1000
        other.close()
        assert path.read_bytes() == b"B" * 501
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(io.os, step, fail)
    with pytest.raises(ArtifactError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        write_stage(path, stages()["PlacedChip"])
    if isinstance(error, OSError):
        assert str(caught.value).startswith(f"{path}: cannot be written: No space left on device")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "a", Path("/proc/none/a"), tmp_path / ("n" * 300)):
        with pytest.raises(ArtifactError, match="cannot be written"):
            atomic_write(path, b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArtifactError, match="cannot be written"):
        atomic_write(tmp_path / "folder", b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
