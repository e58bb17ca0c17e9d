"""Stages as text and as digests: what `--dump-ir` writes, goldens compare and stage files are checked with."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import struct
from collections.abc import Iterator
from typing import Any, get_type_hints

import numpy as np
from jaxtyping import AbstractArray, Shaped

from tncompile.errors import InternalError
from tncompile.ir.base import Record, Stage

MAX_VALUES = 8192
"""Arrays of up to that many values are dumped in full."""
MAX_ROWS = 4096
"""Tables of up to that many rows are dumped row by row."""
INLINE_WIDTH = 8
"""Rows of up to that many values are one cell of a table."""


def digest(stage: Stage) -> str:
    """Returns the SHA-256 of a stage, the same in every process and on every machine.

    It covers the type's name, the fields' names, scalars, and the dtype, shape and values of arrays; the stage that
    this one refers to counts by its own digest.
    """
    sha = hashlib.sha256()
    _hash(sha.update, stage)
    return sha.hexdigest()


def _hash(update: Any, value: Any) -> None:
    """Feeds a value to a hash; each kind has its tag and its length, so that no two values feed the same bytes."""
    match value:
        case Record():
            _hash(update, type(value).__name__)
            for name, item in record_fields(value):
                _hash(update, name)
                _hash(update, digest(item) if name == "source" else item)
        case np.ndarray():
            _hash(update, f"{value.dtype.name}{list(value.shape)}")
            update(array_bytes(value).data)
        case tuple():
            update(b"t" + struct.pack("<q", len(value)))
            for item in value:
                _hash(update, item)
        case str():
            text = value.encode()
            update(b"s" + struct.pack("<q", len(text)) + text)
        case None | bool():
            update(repr(value).encode())
        case int() | np.integer():
            _hash(update, f"int {int(value)}")
        case float():
            update(b"f" + struct.pack("<d", value))
        case _:
            raise InternalError(f"a stage cannot hold a {type(value).__name__}")


def record_fields(record: Record) -> Iterator[tuple[str, Any]]:
    """Yields name and value of each field, in the order of the class."""
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        yield field.name, getattr(record, field.name)


@functools.cache
def field_types(cls: type[Record]) -> dict[str, Any]:
    """Returns the declared type of each field of a record class, in the order of the class."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]


def is_array_type(hint: Any) -> bool:
    """Returns whether a declared type is a jaxtyping array."""
    return isinstance(hint, type) and issubclass(hint, AbstractArray)


def little_endian(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Returns the array contiguous and in little-endian byte order, as it is hashed and stored."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)


def array_bytes(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, " bytes"]:
    """Returns the bytes of an array in C order, little-endian."""
    return little_endian(array).reshape(-1).view(np.uint8)


def describe_array(array: Shaped[np.ndarray, "..."]) -> str:
    """Returns dtype and shape, as in `int32[4, 256]`."""
    return f"{array.dtype.name}{list(array.shape)}"


def dump(stage: Stage) -> str:
    """Returns a stage as canonical text, for people and for diffs.

    Arrays of up to `MAX_VALUES` values are written in full: `3x5` is five threes, `4:7` is 4 5 6 7. Arrays of a record
    that share their first dimension become one table, a row an id; in a table, `#…` is the digest of a long row. Of
    anything larger stand dtype, shape, range and digest. A line depends on nothing but its own values.
    """
    return "\n".join([f"{type(stage).__name__} {digest(stage)}", *_record(stage, "  ")]) + "\n"


def _record(record: Record, indent: str) -> Iterator[str]:
    tables = _tables(record)
    for name, value in record_fields(record):
        table = next((t for t in tables.values() if name in t), None)
        if table is None:
            yield from _value(name, value, indent)
        elif name == next(iter(table)):
            dimension = next(d for d, t in tables.items() if t is table)
            yield from _table(dimension, table, indent)


def _value(name: str, value: Any, indent: str) -> Iterator[str]:
    match value:
        case Stage():
            yield f"{indent}{name}: {type(value).__name__} {digest(value)}"
        case Record():
            yield f"{indent}{name}: {type(value).__name__}"
            yield from _record(value, indent + "  ")
        case np.ndarray():
            yield from _array(name, value, indent)
        case tuple() if any(isinstance(v, Record | np.ndarray) for v in value):
            for i, item in enumerate(value):
                yield from _value(f"{name}[{i}]", item, indent)
        case _:
            yield f"{indent}{name}: {value!r}"


def _array(name: str, array: Shaped[np.ndarray, "..."], indent: str) -> Iterator[str]:
    head = f"{indent}{name}: {describe_array(array)}"
    if array.size > MAX_VALUES:
        span = f" {array.min()}..{array.max()}" if array.dtype != bool else ""
        yield f"{head}{span} {_short(array)}"
    elif array.ndim <= 1:
        yield f"{head} {_runs(array)}".rstrip()
    else:
        yield head
        for index in np.ndindex(array.shape[:-1]):
            yield f"{indent}  {','.join(map(str, index))}: {_runs(array[index])}"


def _tables(record: Record) -> dict[str, dict[str, np.ndarray]]:
    """Returns the arrays of a record that share their first dimension, by that dimension's name."""
    tables: dict[str, dict[str, np.ndarray]] = {}
    for name, hint in field_types(type(record)).items():
        if is_array_type(hint) and (dimension := hint.dim_str.split()[0]).isidentifier():
            tables.setdefault(dimension, {})[name] = getattr(record, name)
    sizes = {d: {len(a) for a in t.values()} for d, t in tables.items()}  # of a broken stage, more than one
    return {d: t for d, t in tables.items() if len(t) > 1 and len(sizes[d]) == 1 and max(sizes[d]) <= MAX_ROWS}


def _table(dimension: str, arrays: dict[str, np.ndarray], indent: str) -> Iterator[str]:
    full = {n: a for n, a in arrays.items() if a.ndim > 1 and a[:1].size > INLINE_WIDTH and a.size <= MAX_VALUES}
    columns = {n: a for n, a in arrays.items() if n not in full}
    if columns:
        yield f"{indent}{dimension}  " + "  ".join(columns)
        for row in range(len(next(iter(columns.values())))):
            cells = [str(row).rjust(len(dimension)), *(_cell(a[row]).rjust(len(n)) for n, a in columns.items())]
            yield indent + "  ".join(cells)
    for name, array in full.items():
        yield from _array(name, array, indent)


def _cell(value: Any) -> str:
    """Returns the text of one row of one array."""
    row = np.asarray(value)
    return _short(row) if row.size > INLINE_WIDTH else ",".join(map(_scalar, row.reshape(-1)))


def _short(array: Shaped[np.ndarray, "..."]) -> str:
    return "#" + hashlib.sha256(array_bytes(array).data).hexdigest()[:12]


def _scalar(value: Any) -> str:
    return str(int(value)) if isinstance(value, np.bool_) else str(value)


def _runs(array: Shaped[np.ndarray, "..."]) -> str:
    """Returns the values of an array with runs of equal and of consecutive integers drawn together."""
    values = array.reshape(-1)
    if values.dtype.kind == "f":
        return " ".join(map(_scalar, values))
    step = np.append(np.diff(values.astype(np.int64)), 2)
    out, start = [], 0
    while start < len(values):
        rise, length = step[start], 1
        while rise in (0, 1) and step[start + length - 1] == rise:
            length += 1
        if rise == 0 and length >= 3:
            out.append(f"{_scalar(values[start])}x{length}")
        elif rise == 1 and length >= 4:  # −1 0 1 stays as it is
            out.append(f"{_scalar(values[start])}:{_scalar(values[start + length - 1])}")
        else:
            out.append(_scalar(values[start]))
            length = 1
        start += length
    return " ".join(out)
