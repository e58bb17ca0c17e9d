"""Stage files: safetensors with one metadata key, checked down to the last byte when read."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import secrets
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, overload

import numpy as np
import safetensors.numpy
from jaxtyping import Shaped
from safetensors import SafetensorError

import tncompile
from tncompile.errors import ArtifactError, InternalError
from tncompile.ir.base import Record, Stage
from tncompile.ir.core_graph import CoreGraph
from tncompile.ir.image import ChipImage
from tncompile.ir.logical import LogicalNet
from tncompile.ir.partitioned import PartitionedGraph
from tncompile.ir.placed import PlacedChip
from tncompile.ir.routed import RoutedChip
from tncompile.ir.text import describe_array, digest, field_types, is_array_type, little_endian, record_fields
from tncompile.ir.trinary import TrinaryNet

FORMAT = 1
"""Version of the stage file format; a reader takes no other."""

KINDS: dict[str, type[Stage]] = {
    kind.__name__: kind
    for kind in (LogicalNet, TrinaryNet, CoreGraph, PartitionedGraph, PlacedChip, RoutedChip, ChipImage)
}
"""All stages that a file can hold, by name."""

_UNSEALED = "0" * 64
_SEAL = re.compile(rb'\\"checksum\\":\\"([0-9a-f]{64})\\"')

S = TypeVar("S", bound=Stage)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StageHeader:
    """What a stage file says of itself.

    Attributes:
        kind: name of the stage.
        version: version of tncompile that wrote it.
        digest: of the stage (`ir.text`).
        source: digest of the stage that it refers to, or None.
    """

    kind: str
    version: str
    digest: str
    source: str | None


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[io.BufferedRandom]:
    """Gives a file to be written piece by piece, which appears under its name only when all of it is on disk.

    The folder is made if need be. After an exception, nothing is left behind.

    Raises:
        ArtifactError: the file cannot be written.
    """
    path = Path(path)
    # Process numbers would not do: containers that share a folder may both be number 1. Nor would `tempfile`, whose
    # files nobody else may read.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:  # Ctrl-C too
            temporary.unlink(missing_ok=True)
            raise
    except BrokenPipeError:
        raise  # no file is a pipe: it is that of somebody who writes elsewhere meanwhile
    except OSError as error:
        raise _unwritable(path, error) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuses a place where no file can be made, before the work whose result goes there; makes its folder.

    Raises:
        ArtifactError: it is such a place.
    """
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str | os.PathLike[str], error: OSError) -> ArtifactError:
    # Making a folder says so of a file that stands in its place.
    why = f"{error.filename} is no folder" if isinstance(error, FileExistsError) else error.strerror or error
    return ArtifactError(f"{path}: cannot be written: {why}; make room or choose another folder")


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Writes a whole file or nothing, as `atomic_file`.

    Raises:
        ArtifactError: the file cannot be written; nothing is left behind.
    """
    with atomic_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Returns a file's content.

    Raises:
        ArtifactError: the file is missing or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}; check the path") from error


def write_stage(path: str | os.PathLike[str], stage: Stage) -> None:
    """Writes a stage; the same stage gives the same bytes.

    The stage that it refers to is not written, only its digest.

    Raises:
        ArtifactError: the file cannot be written; nothing is left behind.
    """
    tensors: dict[str, np.ndarray] = {}
    source = getattr(stage, "source", None)
    metadata = {
        "format": FORMAT,
        "kind": type(stage).__name__,
        "tncompile": tncompile.__version__,
        "digest": digest(stage),
        "source": None if source is None else digest(source),
        "stage": encode(stage, "", tensors),
    }
    atomic_write(path, _seal(tensors, metadata))


def read_header(path: str | os.PathLike[str]) -> StageHeader:
    """Returns what a stage file says of itself.

    Raises:
        ArtifactError: as `read_stage`.
    """
    return _open(path)[0]


@overload
def read_stage(path: str | os.PathLike[str], *, expect: type[S], source: Stage | None = None) -> S: ...
@overload
def read_stage(path: str | os.PathLike[str], *, expect: None = None, source: Stage | None = None) -> Stage: ...
def read_stage(
    path: str | os.PathLike[str], *, expect: type[Stage] | None = None, source: Stage | None = None
) -> Stage:
    """Returns the stage in a file.

    Args:
        path: the file.
        expect: the stage that it must be.
        source: the stage that it refers to, if its kind has a `source`.

    Raises:
        ArtifactError: the file is missing, truncated, altered, of another format version or another kind, or its
            `source` is not the one given.
    """
    header, structure, tensors = _open(path)
    kind = KINDS[header.kind]
    if expect is not None and kind is not expect:
        _fail(path, f"holds a {header.kind}, expected a {expect.__name__}", "name the file of that stage")
    needed = field_types(kind).get("source")
    if needed is not None:
        if source is None or not isinstance(source, needed):
            _fail(path, f"refers to the {needed.__name__} with digest {header.source}", "give that stage with it")
        if digest(source) != header.source:
            _fail(
                path,
                f"refers to the {needed.__name__} with digest {header.source}, not to the one given, {digest(source)}",
                "the two files are from different runs; take both from one run, or compile again",
            )
    try:
        stage = decode_record(structure, kind, "", tensors, source)
    except Malformed as error:
        _fail(path, f"is not a valid {header.kind}: {error}", "make it again")
    if tensors:
        _fail(path, f"is not a valid {header.kind}: unknown tensors {sorted(tensors)}", "make it again")
    if digest(stage) != header.digest:
        _fail(path, f"has digest {digest(stage)}, says {header.digest}", "it was altered; make it again")
    return stage


class Malformed(Exception):
    """A stage file's structure does not fit its kind."""


def _fail(path: str | os.PathLike[str], what: str, hint: str) -> NoReturn:
    raise ArtifactError(f"{path}: {what}; {hint}")


def _seal(tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> bytes:
    """Returns a file with the checksum of all its other bytes in it."""
    try:
        text = json.dumps(metadata | {"checksum": _UNSEALED}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise InternalError(f"a {metadata['kind']} holds a number that is not finite") from error
    data = safetensors.numpy.save(tensors, {"tncompile": text})
    seal = _SEAL.search(data)
    assert seal is not None
    start, end = seal.span(1)
    return data[:start] + hashlib.sha256(data).hexdigest().encode() + data[end:]


def _open(path: str | os.PathLike[str]) -> tuple[StageHeader, Any, dict[str, np.ndarray]]:
    """Returns header, structure and tensors of a file whose checksum is right."""
    data = read_bytes(path)
    length = int.from_bytes(data[:8], "little")
    seal = _SEAL.search(data, 8, 8 + min(length, len(data)))
    if seal is None:
        _fail(
            path,
            "is not a stage file or chip image of tncompile, or its start is damaged",
            "name another file, or make it again",
        )
    start, end = seal.span(1)
    checksum = hashlib.sha256(data[:start])
    checksum.update(_UNSEALED.encode())
    checksum.update(memoryview(data)[end:])
    if checksum.hexdigest().encode() != seal[1]:
        _fail(path, "its checksum is wrong: it is truncated or was altered", "copy it again, or make it again")
    try:
        metadata = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["tncompile"])
        if metadata["format"] != FORMAT:
            _fail(
                path,
                f"has format version {metadata['format']} (tncompile {metadata['tncompile']}), this is tncompile "
                f"{tncompile.__version__}, which reads version {FORMAT}",
                "make it again with this version",
            )
        header = StageHeader(
            kind=str(metadata["kind"]),
            version=str(metadata["tncompile"]),
            digest=str(metadata["digest"]),
            source=None if metadata["source"] is None else str(metadata["source"]),
        )
        if header.kind not in KINDS:
            _fail(path, f"holds a {header.kind}, expected one of {', '.join(KINDS)}", "make it again")
        return header, metadata["stage"], safetensors.numpy.load(data)
    except (ValueError, TypeError, KeyError, RecursionError, SafetensorError) as error:
        raise ArtifactError(f"{path}: is not a stage file of tncompile ({error}); make it again") from error


def encode(value: Any, path: str, tensors: dict[str, np.ndarray]) -> Any:
    """Returns a value as JSON data, and puts its arrays into `tensors` by their paths."""
    match value:
        case Record():
            return {
                name: encode(item, _join(path, name), tensors)
                for name, item in record_fields(value)
                if name != "source"
            }
        case np.ndarray():
            tensors[path] = little_endian(value)
            return describe_array(value)
        case tuple():
            return [encode(item, _join(path, i), tensors) for i, item in enumerate(value)]
        case np.integer():
            return int(value)
        case _:
            return value


def _join(path: str, name: str | int) -> str:
    return f"{path}.{name}" if path else str(name)


def decode_record(
    value: Any, kind: type[Record], path: str, tensors: dict[str, np.ndarray], source: Stage | None = None
) -> Any:
    """Returns the record of a kind from JSON data and tensors; takes the tensors that it used out of `tensors`.

    Raises:
        Malformed: they are no such record.
    """
    declared = field_types(kind)
    stored = [name for name in declared if name != "source"]
    if not isinstance(value, dict) or sorted(value) != sorted(stored):
        keys = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise Malformed(f"{path or kind.__name__}: has {keys}, expected {sorted(stored)}")
    fields = {name: _decode(value[name], declared[name], _join(path, name), tensors) for name in stored}
    sizes: dict[str, int] = {}
    for name, item in fields.items():
        if isinstance(item, np.ndarray):
            # Not `jaxtyped("context")`, which would do the same and import JAX.
            dimensions = zip(declared[name].dim_str.split(), item.shape, strict=True)
            if any(sizes.setdefault(dimension, size) != size for dimension, size in dimensions):
                raise Malformed(f"{_join(path, name)}: {describe_array(item)} does not fit the arrays beside it")
    return kind(**fields, **({"source": source} if "source" in declared else {}))


def _decode(value: Any, hint: Any, path: str, tensors: dict[str, np.ndarray]) -> Any:
    """Returns the value of a declared type from JSON data and tensors."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and types.NoneType in args:
            return None
        (hint,) = (a for a in args if a is not types.NoneType)
        return _decode(value, hint, path, tensors)
    if origin is tuple:
        count = len(value) if isinstance(value, list) else None
        if count is None or (args[-1] is not ... and count != len(args)):
            raise Malformed(f"{path}: is no list of the right length")
        items = (args[0],) * count if args[-1] is ... else args
        return tuple(_decode(v, h, _join(path, i), tensors) for i, (v, h) in enumerate(zip(value, items, strict=True)))
    if is_array_type(hint):
        return _decode_array(value, hint, path, tensors)
    if issubclass(hint, Record):
        return decode_record(value, hint, path, tensors)
    if type(value) is not hint:
        raise Malformed(f"{path}: is a {type(value).__name__}, expected {hint.__name__}")
    return value


def _decode_array(value: Any, hint: Any, path: str, tensors: dict[str, np.ndarray]) -> Shaped[np.ndarray, "..."]:
    if path not in tensors:
        raise Malformed(f"{path}: its tensor is missing")
    array = tensors.pop(path)
    if value != describe_array(array) or not isinstance(array, hint):
        raise Malformed(f"{path}: is {describe_array(array)}, expected {value} and {hint.__name__}")
    return array
