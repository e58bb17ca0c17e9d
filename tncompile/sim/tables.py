"""Tables of whole numbers in files: CSV, NPZ and Parquet, read and written a chunk of rows at a time."""

from __future__ import annotations

import io
import math
import re
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, Shaped

from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir.io import atomic_file

CHUNK_ROWS = 1 << 16
"""Rows that a table is read in at a time."""

STDOUT = Path("-")
"""Written as CSV to standard output."""

Columns = dict[str, Int64[np.ndarray, " rows"]]
"""Some rows of a table, by the names of its columns."""


@runtime_checkable
class Table(Protocol):
    """A file with rows of whole numbers.

    Attributes:
        path: the file.
        names: of its columns.
    """

    path: Path
    names: tuple[str, ...]

    def chunks(self) -> Iterator[Columns]:
        """Yields the rows from the first on, some at a time.

        Raises:
            ArtifactError: a value is no whole number, or the file is truncated or damaged.
        """
        ...

    def place(self, row: int) -> str:
        """Returns where a row is, for messages."""
        ...


def open_table(path: Path) -> Table:
    """Returns the table in a file, by its ending.

    Raises:
        ArtifactError: the file cannot be read or is of another kind.
        ConfigError: no table has such an ending, or what reads it is not installed.
    """
    return _kind(path).reader(path)


@contextmanager
def table_writer(path: Path, names: tuple[str, ...]) -> Iterator[Callable[[Columns], None]]:
    """Gives a function that appends rows; the file appears under its name when all is written, or not at all.

    Args:
        path: the file, whose ending says of which kind it is; `-` is standard output.
        names: of the columns.

    Raises:
        ArtifactError: the file cannot be written.
        ConfigError: as `open_table`.
    """
    if path == STDOUT:
        with _csv_writer(sys.stdout.buffer, names) as write:
            yield write
        sys.stdout.buffer.flush()
        return
    with atomic_file(path) as file, _kind(path).writer(file, names) as write:
        yield write


def check_ending(path: Path) -> None:
    """Refuses a file that no table has the ending of.

    Raises:
        ConfigError: it is one.
    """
    _kind(path)


# ---------------------------------------------------------------------------------------------------------------------
# CSV.

_BLOCK = 1 << 20  # [byte]
_COMMA, _NEWLINE, _MINUS, _ZERO = b",\n-0"
_DIGITS = 18  # of the longest number, so that it fits 64 bits


class CsvTable:
    """Lines of whole numbers behind a line with the names of the columns."""

    def __init__(self, path: Path) -> None:
        """Reads the names.

        Raises:
            ArtifactError: the file cannot be read or has no such line.
        """
        self.path = path
        with _opened(path) as file:
            head = file.readline(_BLOCK)
        if not head:
            raise ArtifactError(f"{path}: is empty; its first line must name the columns")
        try:
            names = head.decode("utf-8-sig").split(",")
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{path}: is no CSV file; its first line must name the columns") from error
        self.names = tuple(name.strip().strip('"') for name in names)

    def chunks(self) -> Iterator[Columns]:
        """Yields the rows, as `Table`."""
        row, rest = 0, b""
        with _opened(self.path) as file:
            file.readline()
            while block := file.read(_BLOCK):
                block = rest + block
                # The last line that is not empty stays, so that empty ones behind it do no harm.
                cut = block.rfind(b"\n", 0, len(block.rstrip())) + 1
                rest = block[cut:]
                if len(rest) > 2 * _BLOCK:
                    raise ArtifactError(f"{self.place(row)}: is longer than {_BLOCK} bytes; this is no CSV file")
                if cut:
                    numbers = self._parse(block[:cut], row)
                    yield {name: numbers[:, i] for i, name in enumerate(self.names)}
                    row += len(numbers)
        if rest.strip():
            numbers = self._parse(rest.rstrip() + b"\n", row)
            yield {name: numbers[:, i] for i, name in enumerate(self.names)}

    def place(self, row: int) -> str:
        """Returns file and line."""
        return f"{self.path}:{row + 2}"

    def _parse(self, block: bytes, row: int) -> Int64[np.ndarray, "rows columns"]:
        """Returns the numbers of whole lines; `row` is that of the first one."""
        block = block.replace(b"\r\n", b"\n")
        if b" " in block or b"\t" in block:
            block = re.sub(rb"[ \t]*([,\n])[ \t]*", rb"\1", block).lstrip(b" \t")
        byte = np.frombuffer(block, np.uint8)
        end = np.flatnonzero((byte == _COMMA) | (byte == _NEWLINE))
        counts = np.diff(np.flatnonzero(byte[end] == _NEWLINE), prepend=-1)
        columns = len(self.names)
        if (wrong := counts != columns).any():
            bad = int(wrong.argmax())
            self._fail(row + bad, f"has {_count(int(counts[bad]), 'column')}, the first line names {columns}")

        begin = np.concatenate([[0], end[:-1] + 1])
        negative = byte[begin] == _MINUS
        first = begin + negative
        digits = end - first
        malformed = (digits < 1) | (digits > _DIGITS)
        value = np.zeros(len(end), np.int64)
        for place in range(min(int(digits.max(initial=0)), _DIGITS)):
            digit = byte[np.minimum(first + place, end)] - np.uint8(_ZERO)  # wraps: what is below '0' is above 9
            inside = place < digits
            malformed |= inside & (digit > 9)
            value = np.where(inside, value * 10 + digit, value)
        if malformed.any():
            bad = int(malformed.argmax())
            text = block[begin[bad] : end[bad]].decode(errors="replace")
            name = self.names[bad % columns]
            self._fail(row + bad // columns, f"{name} is '{text[:40]}', must be a whole number")
        return np.where(negative, -value, value).reshape(-1, columns)

    def _fail(self, row: int, what: str) -> NoReturn:
        raise ArtifactError(f"{self.place(row)}: {what}; correct the file, or write it again")


@contextmanager
def _csv_writer(file: BinaryIO | io.BufferedIOBase, names: tuple[str, ...]) -> Iterator[Callable[[Columns], None]]:
    line = ",".join(["%d"] * len(names)) + "\n"

    def write(columns: Columns) -> None:
        for start in range(0, len(columns[names[0]]), CHUNK_ROWS):
            part = np.stack([columns[name][start : start + CHUNK_ROWS] for name in names], axis=1)
            file.write((line * len(part) % tuple(part.ravel().tolist())).encode())

    file.write((",".join(names) + "\n").encode())
    yield write


# ---------------------------------------------------------------------------------------------------------------------
# NPZ.

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError)
"""What zipfile and NumPy raise at a file that is not what it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An array in an NPZ file.

    Attributes:
        path: the file.
        name: the array's.
        shape, dtype: of it.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def blocks(self, count: int, skip: int = 0) -> Iterator[Shaped[np.ndarray, "rows ..."]]:
        """Yields the array by blocks of at most `count` rows, those along its first axis.

        Args:
            count: rows at a time.
            skip: rows to leave out at the beginning.

        Raises:
            ArtifactError: the file is damaged.
        """
        size = self.dtype.itemsize * math.prod(self.shape[1:])
        with _archive(self.path) as archive, archive.open(f"{self.name}.npy") as file:
            _header(file)
            file.seek(skip * size, 1)
            for start in range(skip, self.shape[0], count):
                rows = min(count, self.shape[0] - start)
                data = file.read(rows * size)
                if len(data) != rows * size:
                    raise EOFError(f"{self.name} has {len(data)} bytes of {rows * size}")
                yield np.frombuffer(data, self.dtype).reshape(rows, *self.shape[1:])


def npz_members(path: Path) -> dict[str, Member]:
    """Returns the arrays in an NPZ file by name.

    Raises:
        ArtifactError: the file cannot be read, or holds something else than arrays of numbers.
    """
    members = {}
    with _archive(path) as archive:
        for item in archive.namelist():
            name = item.removesuffix(".npy")
            with archive.open(item) as file:
                shape, fortran, dtype = _header(file)
            if dtype.hasobject or (fortran and len(shape) > 1):
                order = "objects" if dtype.hasobject else "in Fortran order"
                raise ArtifactError(f"{path}: {name} is {order}; save np.ascontiguousarray({name}) of whole numbers")
            members[name] = Member(path=path, name=name, shape=shape, dtype=dtype)
    return members


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Gives an open NPZ file, whose damages become an `ArtifactError`."""
    try:
        with _opened(path) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except _DAMAGED as error:
        raise ArtifactError(f"{path}: is no whole NPZ file ({error}); write it again") from error


def _header(file: IO[bytes] | io.BufferedIOBase) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Returns shape, whether it is in Fortran order, and type of the array that a file holds."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"an array of format version {version}")


class NpzTable:
    """Arrays of one length, one a column."""

    def __init__(self, path: Path, members: dict[str, Member] | None = None) -> None:
        """Looks at the arrays.

        Args:
            path: the file.
            members: what `npz_members` returned for it.

        Raises:
            ArtifactError: the file cannot be read, or its arrays are no columns of whole numbers.
        """
        self.path = path
        self._members = npz_members(path) if members is None else members
        self.names = tuple(self._members)
        for name, member in self._members.items():
            if member.dtype.kind not in "biu" or len(member.shape) != 1:
                raise ArtifactError(
                    f"{path}: {name} is {member.dtype.name} {list(member.shape)}, must be a list of whole numbers"
                )
        lengths = {name: member.shape[0] for name, member in self._members.items()}
        if len(set(lengths.values())) > 1:
            raise ArtifactError(f"{path}: its arrays have different lengths: {lengths}; write it again")

    def chunks(self) -> Iterator[Columns]:
        """Yields the rows, as `Table`."""
        for blocks in zip(*(member.blocks(CHUNK_ROWS) for member in self._members.values()), strict=True):
            yield dict(zip(self.names, (block.astype(np.int64) for block in blocks), strict=True))

    def place(self, row: int) -> str:
        """Returns file and row."""
        return f"{self.path}: row {row}"


@contextmanager
def _npz_writer(file: io.BufferedRandom, names: tuple[str, ...]) -> Iterator[Callable[[Columns], None]]:
    with ExitStack() as stack:
        # An array's length stands in front of it, so each column waits in a file of its own until all is known.
        folder = Path(file.name).parent
        parts = {name: stack.enter_context(tempfile.TemporaryFile(dir=folder)) for name in names}
        rows = 0

        def write(columns: Columns) -> None:
            nonlocal rows
            for name, part in parts.items():
                part.write(columns[name].astype(_dtype(name)).tobytes())
            rows += len(columns[names[0]])

        yield write
        with zipfile.ZipFile(file, "w") as archive:
            for name, part in parts.items():
                part.seek(0)
                # Without a date, so that equal tables are equal files.
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    header = {"descr": _dtype(name).str, "fortran_order": False, "shape": (rows,)}
                    np.lib.format.write_array_header_1_0(member, header)
                    while block := part.read(_BLOCK):
                        member.write(block)


# ---------------------------------------------------------------------------------------------------------------------
# Parquet.

_GROUP_ROWS = 1 << 20  # of what is written


class ParquetTable:
    """Integer columns in Apache Parquet."""

    def __init__(self, path: Path) -> None:
        """Reads the schema.

        Raises:
            ArtifactError: the file cannot be read, or its columns are no whole numbers.
            ConfigError: pyarrow is not installed.
        """
        self.path = path
        arrow, parquet = _arrow(path)
        with self._whole(), parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
        self.names = tuple(schema.names)
        for field in schema:
            if not (arrow.types.is_integer(field.type) or arrow.types.is_boolean(field.type)):
                raise ArtifactError(f"{path}: {field.name} is {field.type}, must be a column of whole numbers")

    def chunks(self) -> Iterator[Columns]:
        """Yields the rows, as `Table`."""
        arrow, parquet = _arrow(self.path)
        row = 0
        with self._whole(), parquet.ParquetFile(self.path) as file:
            for batch in file.iter_batches(CHUNK_ROWS):
                for name, column in zip(self.names, batch.columns, strict=True):
                    if column.null_count:
                        missing = row + column.is_null().index(True).as_py()
                        raise ArtifactError(f"{self.place(missing)}: {name} is missing; write the file again")
                yield {
                    name: column.cast(arrow.int64()).to_numpy()
                    for name, column in zip(self.names, batch.columns, strict=True)
                }
                row += batch.num_rows

    def place(self, row: int) -> str:
        """Returns file and row."""
        return f"{self.path}: row {row}"

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Turns what pyarrow raises into an `ArtifactError`."""
        arrow, _ = _arrow(self.path)
        try:
            yield
        except (OSError, arrow.ArrowException) as error:
            what = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise ArtifactError(f"{self.path}: cannot be read as Parquet: {what}; write it again") from error


def _arrow(path: Path) -> tuple[Any, Any]:
    """Returns pyarrow and what it reads Parquet with."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            f"{path}: Parquet needs pyarrow; pip install 'tncompile[parquet]', or use .csv or .npz"
        ) from error
    return pyarrow, pyarrow.parquet


@contextmanager
def _parquet_writer(file: io.BufferedRandom, names: tuple[str, ...]) -> Iterator[Callable[[Columns], None]]:
    arrow, parquet = _arrow(Path(file.name))
    schema = arrow.schema([(name, arrow.from_numpy_dtype(_dtype(name))) for name in names])
    waiting: list[Any] = []

    def flush() -> None:
        writer.write_table(arrow.Table.from_batches(waiting, schema).combine_chunks())
        waiting.clear()

    def write(columns: Columns) -> None:
        arrays = [arrow.array(columns[name].astype(_dtype(name))) for name in names]
        waiting.append(arrow.record_batch(arrays, schema=schema))
        if sum(batch.num_rows for batch in waiting) >= _GROUP_ROWS or len(waiting) >= 1000:
            flush()

    with parquet.ParquetWriter(file, schema) as writer:
        yield write
        flush()


# ---------------------------------------------------------------------------------------------------------------------
# All of them.

_DTYPES = {"tick": np.dtype(np.int64), "spike": np.dtype(bool)}


def _dtype(name: str) -> np.dtype:
    """Returns the type that a column is stored in."""
    return _DTYPES.get(name, np.dtype(np.int32))


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}; check the path") from error


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _kind(path: Path) -> _Kind:
    if path.suffix.lower() not in KINDS:
        ending = f"ends in '{path.suffix}'" if path.suffix else "has no ending"
        raise ConfigError(f"{path}: {ending}, so its kind is not known; use one of {', '.join(KINDS)}")
    return KINDS[path.suffix.lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How tables of a kind are read and written."""

    reader: Callable[[Path], Table]
    writer: Callable[[io.BufferedRandom, tuple[str, ...]], Any]


KINDS = {
    ".csv": _Kind(reader=CsvTable, writer=_csv_writer),
    ".npz": _Kind(reader=NpzTable, writer=_npz_writer),
    ".parquet": _Kind(reader=ParquetTable, writer=_parquet_writer),
}
"""All kinds by ending."""
