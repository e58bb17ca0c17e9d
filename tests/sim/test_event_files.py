"""Spikes in files: what is written reads back, and what is wrong is said with its place."""

from __future__ import annotations

import dataclasses
import io
import itertools
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_chips import random_chip

from tncompile.errors import ArtifactError, ConfigError, SimulationError, TnCompileError
from tncompile.ir import ChipImage
from tncompile.sim import tables
from tncompile.sim.event_files import InputFile, OutputFile, input_columns
from tncompile.sim.sources import SpikeList, collected, no_spikes
from tncompile.sim.spikes import InputSpikes
from tncompile.sim.tables import open_table, table_writer

IMAGE = random_chip(3)
"""9 cores of 16 axons, delays up to 5."""
ENDINGS = (".csv", ".npz", ".parquet")


def write(path: Path, columns: dict[str, Any]) -> Path:
    """Writes a table in one piece."""
    with table_writer(path, tuple(columns)) as append:
        append({name: np.array(values, np.int64) for name, values in columns.items()})
    return path


def read(path: Path) -> dict[str, list[int]]:
    """Returns all rows of a table."""
    table = open_table(path)
    chunks = list(table.chunks())
    return {name: [int(v) for chunk in chunks for v in chunk[name]] for name in table.names}


def entered(spikes: InputSpikes) -> set[tuple[int, ...]]:
    """Returns stream, tick, core, axon and delay of each spike."""
    return set(zip(*(getattr(spikes, n).tolist() for n in ("stream", "tick", "core", "axon", "delay")), strict=True))


def npz(path: Path, **arrays: Any) -> Path:
    """Writes arrays as NumPy does."""
    np.savez(path, **arrays)
    return path


# ---------------------------------------------------------------------------------------------------------------------
# Tables.


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_tables_read_back(ending: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = data.draw(st.integers(0, 40))
    low, high = -(1 << 31), (1 << 31) - 1
    columns = {
        name: data.draw(st.lists(st.integers(*bounds), min_size=rows, max_size=rows))
        for name, bounds in (("tick", (-(10**17), 10**17)), ("core", (low, high)), ("axon", (0, 9)))
    }
    path = tmp_path_factory.mktemp("table") / f"table{ending}"
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=3)))
    with table_writer(path, tuple(columns)) as append:
        for start, stop in itertools.pairwise([0, *cuts, rows]):
            append({name: np.array(values[start:stop], np.int64) for name, values in columns.items()})
    assert read(path) == columns
    content = path.read_bytes()
    assert write(path, columns).read_bytes() == content or ending == ".parquet"  # pieces do not show


def test_tables_are_what_other_programs_read_and_write(tmp_path: Path) -> None:
    import pyarrow.parquet

    columns = {"tick": [0, 3, 3], "pin": [1, 0, 2]}
    assert write(tmp_path / "a.csv", columns).read_text() == "tick,pin\n0,1\n3,0\n3,2\n"
    with np.load(write(tmp_path / "a.npz", columns)) as arrays:
        assert {name: arrays[name].tolist() for name in arrays} == columns
        assert (arrays["tick"].dtype, arrays["pin"].dtype) == (np.int64, np.int32)
    table = pyarrow.parquet.read_table(write(tmp_path / "a.parquet", columns))
    assert table.to_pydict() == columns
    assert list(map(str, table.schema.types)) == ["int64", "int32"]
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "b.npz", tick=np.array([0, 3, 3], np.uint8), pin=np.array([1, 0, 2], ">i4"))
        assert read(tmp_path / "b.npz") == columns
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "b.parquet", row_group_size=2)
    assert read(tmp_path / "b.parquet") == columns


@pytest.mark.parametrize(
    "text",
    [
        "tick,pin\r\n0,1\r\n12,-5\r\n",
        "\ufefftick,pin\n0,1\n12,-5",
        '"tick" , "pin"\n 0,\t1\n12 , -5  \n\n\n',
        "tick,pin\n0,1\n12,-5\n  ",
        "tick,pin\n000,1\n0012,-05\n",
    ],
)
@pytest.mark.parametrize("block", [8, 9, 1 << 20])
def test_csv_of_other_programs(text: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8", newline="")
    table = open_table(path)
    monkeypatch.setattr(tables, "_BLOCK", block)
    assert table.names == ("tick", "pin")
    assert [row for chunk in table.chunks() for row in zip(*(c.tolist() for c in chunk.values()), strict=True)] == [
        (0, 1),
        (12, -5),
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        ("tick,pin\n0,1\n2\n", "{path}:3: has 1 column, the first line names 2"),
        (
            "tick,pin\n0,1,7\n2,3\n",
            "{path}:2: has 3 columns, the first line names 2",
        ),
        (
            "tick,pin\n0,1\n\n2,3\n",
            "{path}:3: has 1 column, the first line names 2",
        ),
        ("tick,pin\n0,1\n2,3", None),
        ("tick,pin\n0,1\n2,", "{path}:3: pin is '', must be a whole number"),
        ("tick,pin\n0,x1\n", "{path}:2: pin is 'x1', must be a whole number"),
        ("tick,pin\n1.5,1\n", "{path}:2: tick is '1.5', must be a whole number"),
        ("tick,pin\n1 5,1\n", "{path}:2: tick is '1 5', must be a whole number"),
        ("tick,pin\n--1,1\n", "{path}:2: tick is '--1', must be a whole number"),
        ("tick,pin\n-,1\n", "{path}:2: tick is '-', must be a whole number"),
        (
            f"tick,pin\n{10**18},1\n",
            f"{{path}}:2: tick is '{10**18}', must be a whole number",
        ),
        ("", "{path}: is empty; its first line must name the columns"),
    ],
)
def test_csv_that_is_wrong(text: str, message: str | None, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    if message is None:
        assert read(path) == {"tick": [0, 2], "pin": [1, 3]}
        return
    with pytest.raises(ArtifactError) as error:
        read(path)
    advice = "; correct the file, or write it again" if text else ""
    assert str(error.value) == message.replace("{path}", str(path)) + advice


def test_a_file_without_line_ends_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"tick\n" + b"1" * 1000)
    monkeypatch.setattr(tables, "_BLOCK", 100)
    with pytest.raises(ArtifactError, match=r"table\.csv:2: is longer than 100 bytes"):
        read(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_row_of_a_mistake_is_counted_over_chunks(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 7)
    monkeypatch.setattr(tables, "_BLOCK", 64)
    ticks = [*range(100), 98]
    path = write(tmp_path / f"in{ending}", {"tick": ticks, "core": [0] * 101, "axon": [1] * 101})
    where = f"{path}:102" if ending == ".csv" else f"{path}: row 100"
    with pytest.raises(ArtifactError) as error:
        collected(InputFile(path, IMAGE))
    assert str(error.value) == f"{where}: tick 98 comes behind tick 99; sort the spikes by tick"
    write(path, {"tick": [*range(100), 100], "core": [0] * 100 + [9], "axon": [1] * 101})
    with pytest.raises(SimulationError) as error:
        collected(InputFile(path, IMAGE))
    assert str(error.value) == f"{where}: core is 9, must be 0 … 8"


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_a_damaged_file_is_always_an_error_of_ours(ending: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / f"in{ending}", {"tick": range(300), "core": rng.integers(0, 9, 300), "axon": [1] * 300})
    content = path.read_bytes()
    for size in (0, 1, 10, len(content) // 2, len(content) - 5, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ArtifactError, match=f"in{ending}: "):
            collected(InputFile(path, IMAGE))
    for place in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        try:
            collected(InputFile(path, IMAGE))
        except TnCompileError as error:
            assert str(error).startswith(str(path))


def test_npz_arrays_that_are_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "in.npz"
    for arrays, message in (
        ({"tick": [0, 1], "core": [1], "axon": [1, 2]}, "its arrays have different lengths"),
        ({"tick": [0.5], "core": [1], "axon": [1]}, r"tick is float64 \[1\], must be a list of whole numbers"),
        ({"tick": [[0]], "core": [1], "axon": [1]}, r"tick is int64 \[1, 1\], must be a list of whole numbers"),
        ({"tick": np.array([None])}, "tick is objects"),
        ({"frames": np.zeros((4, 3), bool, order="F")}, "frames is in Fortran order"),
    ):
        with pytest.raises(ArtifactError, match=message):
            InputFile(npz(path, **arrays), IMAGE)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tick.npy", b"no array")
    with pytest.raises(ArtifactError, match="is no whole NPZ file"):
        InputFile(path, IMAGE)


def test_parquet_columns_that_are_no_numbers(tmp_path: Path) -> None:
    import pyarrow.parquet

    path = tmp_path / "in.parquet"
    for column, message in (
        ([1.5, 2.0], "tick is double, must be a column of whole numbers"),
        (["a", "b"], "tick is string, must be a column of whole numbers"),
        ([1, None], "row 1: tick is missing; write the file again"),
        (np.array([1, 2**63], np.uint64), "cannot be read as Parquet"),
    ):
        pyarrow.parquet.write_table(pyarrow.table({"tick": column, "bit": [0, 1]}), path)
        with pytest.raises(ArtifactError, match=message):
            collected(InputFile(path, IMAGE))


def test_without_pyarrow_the_rest_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"tick": [0], "pin": [1]}
    path = write(tmp_path / "out.parquet", columns)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for use in (lambda: read(path), lambda: write(tmp_path / "new.parquet", columns)):
        with pytest.raises(ConfigError, match=r"Parquet needs pyarrow; pip install 'tncompile\[parquet\]'"):
            use()
    assert [p.name for p in tmp_path.iterdir()] == ["out.parquet"]
    assert read(write(tmp_path / "out.csv", columns)) == columns


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_appears_whole_or_not_at_all(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"out{ending}", {"tick": [5], "pin": [6]})
    before = path.read_bytes()
    for stopped in (KeyboardInterrupt, SimulationError):
        with pytest.raises(stopped), table_writer(path, ("tick", "pin")) as append:
            append({"tick": np.arange(9), "pin": np.arange(9)})
            raise stopped
        assert (path.read_bytes(), [p.name for p in tmp_path.iterdir()]) == (before, [path.name])


def test_kinds_and_places_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"x\.dat: ends in '\.dat', so its kind is not known; use one of \.csv, \.npz"
    ):
        open_table(tmp_path / "x.dat")
    with pytest.raises(ConfigError, match="x: has no ending"):
        write(tmp_path / "x", {"tick": [1]})
    with pytest.raises(ArtifactError, match=r"none\.csv: cannot be read: No such file or directory; check the path"):
        open_table(tmp_path / "none.csv")
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"a\.csv: cannot be written: .*file is no folder"):
        write(tmp_path / "file/a.csv", {"tick": [1]})


# ---------------------------------------------------------------------------------------------------------------------
# Spikes.

FORMS: dict[str, tuple[dict[str, Any], set[tuple[int, ...]]]] = {
    # name: (columns, spikes as stream, tick, core, axon, delay)
    "to axons": ({"tick": [0, 2], "core": [8, 0], "axon": [15, 3]}, {(0, 0, 8, 15, 1), (0, 2, 0, 3, 1)}),
    "with delays": (
        {"tick": [0, 2], "core": [8, 0], "axon": [15, 3], "delay": [5, 1]},
        {(0, 0, 8, 15, 5), (0, 2, 0, 3, 1)},
    ),
    "to input bits": ({"bit": [1, 0], "tick": [4, 4]}, {(0, 4, -1, 1, 0), (0, 4, -1, 0, 0)}),
    "of two streams": (
        {"stream": [1, 0], "tick": [3, 3], "core": [1, 1], "axon": [2, 2]},
        {(1, 3, 1, 2, 1), (0, 3, 1, 2, 1)},
    ),
    "bits of two streams": ({"tick": [4, 4], "bit": [1, 0], "stream": [0, 2]}, {(0, 4, -1, 1, 0), (2, 4, -1, 0, 0)}),
    "none": ({"tick": [], "core": [], "axon": []}, set()),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_input(form: str, ending: str, tmp_path: Path) -> None:
    columns, expected = FORMS[form]
    source = InputFile(write(tmp_path / f"in{ending}", columns), IMAGE)
    assert entered(collected(source)) == entered(collected(source)) == expected
    assert source.every_stream == ("stream" not in columns)


@pytest.mark.parametrize("shape", [(50,), (1, 50), (3, 50), (0, 50)])
def test_arrays_of_frames(shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tncompile.sim.event_files._ARRAY_BYTES", 7 * IMAGE.input_bits)
    frames = np.random.default_rng(0).random((*shape, IMAGE.input_bits)) < 0.3
    source = InputFile(npz(tmp_path / "in.npz", frames=frames), IMAGE)
    spikes = collected(source)
    back = np.zeros((*shape[:-1], 50, IMAGE.input_bits), bool)
    back[(spikes.stream, spikes.tick, spikes.axon) if len(shape) == 2 else (spikes.tick, spikes.axon)] = True
    np.testing.assert_array_equal(back, frames)
    assert (np.diff(spikes.tick) >= 0).all()
    assert source.every_stream == (len(shape) == 1)
    output = np.random.default_rng(1).random((*shape, IMAGE.output_pins)) < 0.3
    rows = sum(len(chunk.pin) for chunk in OutputFile(npz(tmp_path / "out.npz", pins=output), IMAGE).chunks())
    assert rows == output.sum()


def test_frames_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "in.npz"
    wide = np.zeros((2, IMAGE.input_bits + 1), bool)
    with pytest.raises(
        SimulationError, match=f"frames has {IMAGE.input_bits + 1} bits, the image has {IMAGE.input_bits}"
    ):
        InputFile(npz(path, frames=wide), IMAGE)
    for frames in (np.zeros((2, 3), np.uint8), np.zeros(3, bool)):
        with pytest.raises(
            ArtifactError, match=r"frames is .*, must be bool \[ticks, bits\] or \[streams, ticks, bits\]"
        ):
            InputFile(npz(path, frames=frames), IMAGE)
    with pytest.raises(ArtifactError, match=r"pins is bool \[2, \d+\], must be a list of whole numbers"):
        InputFile(npz(path, pins=wide), IMAGE)


WRONG: dict[str, tuple[str, str, type[TnCompileError]]] = {
    # name: (CSV, message behind the file's name, error)
    "core": ("tick,core,axon\n0,1,2\n1,9,2\n", ":3: core is 9, must be 0 … 8", SimulationError),
    "negative core": ("tick,core,axon\n0,-1,0\n", ":2: core is -1, must be 0 … 8", SimulationError),
    "axon": ("tick,core,axon\n0,1,16\n", ":2: axon is 16, must be 0 … 15", SimulationError),
    "delay": ("tick,core,axon,delay\n0,1,1,6\n", ":2: delay is 6, must be 1 … 5", SimulationError),
    "no delay": ("tick,core,axon,delay\n0,1,1,0\n", ":2: delay is 0, must be 1 … 5", SimulationError),
    "bit": ("tick,bit\n0,4000\n", f":2: bit is 4000, must be 0 … {IMAGE.input_bits - 1}", SimulationError),
    "stream": ("tick,bit,stream\n0,0,-1\n", ":2: stream is -1, must be 0 … 65535", SimulationError),
    "a core beyond 32 bits": (f"tick,core,axon\n0,{1 << 32},2\n", f":2: core is {1 << 32}, must be 0 … 8",
                              SimulationError),
    "order": ("tick,bit\n5,0\n3,0\n", ":3: tick 3 comes behind tick 5; sort the spikes by tick", ArtifactError),
    "negative tick": ("tick,bit\n-1,0\n", ":2: tick -1 is negative; the first tick is 0", ArtifactError),
    "output": ("tick,pin\n0,1\n", ": has the columns tick,pin; it must have tick,core,axon or tick,bit, and may have "
               "delay and stream", ArtifactError),
    "twice": ("tick,bit,bit\n0,1,1\n", ": has the columns tick,bit,bit; it must have tick,core,axon or tick,bit, and "
              "may have delay and stream", ArtifactError),
    "both": ("tick,core,axon,bit\n0,1,1,1\n", ": has the columns tick,core,axon,bit; it must have tick,core,axon or "
             "tick,bit, and may have delay and stream", ArtifactError),
    "bits have no delay": ("tick,bit,delay\n0,1,1\n", ": has the columns tick,bit,delay; it must have tick,core,axon "
                           "or tick,bit, and may have delay and stream", ArtifactError),
    "no names": ("0,1,1\n2,1,1\n", ": has the columns 0,1,1; it must have tick,core,axon or tick,bit, and may have "
                 "delay and stream", ArtifactError),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input(name: str, tmp_path: Path) -> None:
    text, message, kind = WRONG[name]
    path = tmp_path / "in.csv"
    path.write_text(text)
    with pytest.raises(kind) as error:
        collected(InputFile(path, IMAGE))
    assert str(error.value) == f"{path}{message}"


def test_an_image_without_input_bits_takes_none(tmp_path: Path) -> None:

    none = np.zeros(0, np.int32)
    packets = dataclasses.replace(
        IMAGE.packets, bit=none, x=none, y=none, axon=none.astype(np.int16), delay=none.astype(np.uint8)
    )
    image = dataclasses.replace(IMAGE, input_bits=0, packets=packets)
    with pytest.raises(SimulationError, match="bit is 0, the image has no bits"):
        collected(InputFile(write(tmp_path / "in.csv", {"tick": [0], "bit": [0]}), image))


def test_wrong_output(tmp_path: Path) -> None:
    path = write(tmp_path / "out.csv", {"tick": [0, 0], "pin": [0, IMAGE.output_pins]})
    with pytest.raises(SimulationError, match=rf"out\.csv:3: pin is {IMAGE.output_pins}, must be 0"):
        list(OutputFile(path, IMAGE).chunks())
    with pytest.raises(ArtifactError, match="it must have tick,pin, and may have stream"):
        OutputFile(write(path, {"tick": [0], "bit": [0]}), IMAGE)


def lists(image: ChipImage) -> Iterable[tuple[dict[str, int], str | None]]:
    """Yields changes of a spike that is right, and the message that each gives."""
    yield {}, None
    yield {"tick": -1}, None  # arrives in tick 0
    yield {"tick": -2}, "name: spike 1: tick -2 is negative; the first tick is 0"
    yield {"core": 9}, "name: spike 1: core is 9, must be -1 … 8"
    yield {"core": -2}, "name: spike 1: core is -2, must be -1 … 8"
    yield {"axon": 16}, "name: spike 1: axon is 16, must be 0 … 15"
    yield {"delay": 6}, "name: spike 1: delay is 6, must be 1 … 5"
    yield {"stream": 1 << 16}, "name: spike 1: stream is 65536, must be 0 … 65535"
    yield (
        {"core": -1, "delay": 0, "axon": image.input_bits},
        (f"name: spike 1: bit is {image.input_bits}, must be 0 … {image.input_bits - 1}"),
    )
    yield {"core": -1}, "name: spike 1: delay is 1, must be 0 … 0"
    yield {"core": -1, "delay": 0}, None


@pytest.mark.parametrize("change, message", list(lists(IMAGE)))
def test_spikes_in_memory_are_checked(change: dict[str, int], message: str | None) -> None:
    spike = {"stream": 0, "tick": 4, "core": 1, "axon": 0, "delay": 1}
    rows = {name: np.array([value, change.get(name, value)]) for name, value in spike.items()}
    types = {"tick": np.int64}
    spikes = InputSpikes(**{name: values.astype(types.get(name, np.int32)) for name, values in rows.items()})
    if message is None:
        assert entered(collected(SpikeList(spikes, IMAGE, "name"))) == entered(spikes)
        return
    with pytest.raises(TnCompileError) as error:
        SpikeList(spikes, IMAGE, "name")
    assert str(error.value) == message


def test_columns_of_spikes() -> None:
    assert list(input_columns(no_spikes())) == ["tick", "core", "axon", "delay"]
    one = np.ones(1, np.int32)
    bit = InputSpikes(stream=one, tick=one.astype(np.int64), core=-one, axon=one, delay=0 * one)
    assert list(input_columns(bit)) == ["tick", "bit", "stream"]
    both = InputSpikes(
        **{name: np.array([1, 1], np.int64 if name == "tick" else np.int32) for name in ("stream", "tick", "axon")},
        core=np.array([0, -1], np.int32),
        delay=np.array([1, 0], np.int32),
    )
    with pytest.raises(SimulationError, match="do not go into one table"):
        input_columns(both)


def test_standard_output_takes_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stream)
    write(tables.STDOUT, {"tick": [1], "pin": [2]})
    assert stream.buffer.getvalue() == b"tick,pin\n1,2\n"  # type: ignore[attr-defined]
    assert not stream.closed


def test_long_files_are_read_in_pieces(tmp_path: Path) -> None:
    """None of the files is ever in memory as a whole."""
    rows = 300_000
    for ending in ENDINGS:
        path = write(
            tmp_path / f"in{ending}", {"tick": np.arange(rows), "core": np.zeros(rows), "axon": np.zeros(rows)}
        )
        sizes = [len(chunk.tick) for chunk in InputFile(path, IMAGE).chunks()]
        assert sum(sizes) == rows
        assert max(sizes) <= max(tables.CHUNK_ROWS, (1 << 20) // len("0,0,0\n"))
