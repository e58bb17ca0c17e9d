"""The notation of IBM's TrueNorth model files: JSON with comments and repeated keys, and lists as runs."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes

REPEATED = "core"
"""The one key that an object may hold several times."""

# A comment, or a string whole, so that a comment in it is none. `open` is what cannot be closed, and takes the rest, so
# that the search ends there.
_COMMENT = re.compile(
    # No possessive quantifier round a group: Python 3.11.2 matches those wrongly.
    r"""(?P<string> "[^"\\]*(?:\\.[^"\\]*)*" ) | /\*.*?\*/ | //[^\n]* | (?P<open> (?: " | /\* ) .* )""",
    re.VERBOSE | re.DOTALL,
)
_RUNS = {
    base: re.compile(rf"(-?{digit}+)(?:x(\d+)|:(-?{digit}+)(?::(-?{digit}+))?)?", re.ASCII | re.IGNORECASE)
    for base, digit in ((10, r"\d"), (16, "[0-9A-F]"))
}
"""A run with its numbers in decimal or in hexadecimal digits; how often one stands is always decimal."""


class _Repeated(Exception):
    """An object holds a key twice that it may not."""


def load_json(path: Path) -> dict[str, Any]:
    """Returns the object in a file of JSON with C comments.

    Of a repeated key `core`, the value is the list of all its values. Comments are /* … */ and // to the line's end;
    in strings they are text.

    Raises:
        ArtifactError: the file cannot be read, is not such JSON, or repeats another key.
    """
    data = read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArtifactError(
            f"{path}: byte {error.start} is not UTF-8 text; a model in IBM's binary form (.tnbm) is not read, name the "
            "JSON file that it was made from"
        ) from error
    del data
    text = strip_comments(text)
    try:
        value = json.loads(text, object_pairs_hook=_object, strict=False)
    except json.JSONDecodeError as error:
        raise ArtifactError(
            f"{path}: line {error.lineno}, column {error.colno}: {error.msg}; it is truncated or not JSON, export the "
            "model again"
        ) from error
    except _Repeated as error:
        raise ArtifactError(
            f"{path}: key {str(error)!r} stands twice in one object, only {REPEATED!r} may; remove one of the two"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets a thousand deep
        raise ArtifactError(f"{path}: is not a model file ({error}); export the model again") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: holds a {describe(value)}, expected an object; name a model file")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        for key in value:
            if key != REPEATED and keys.count(key) > 1:
                raise _Repeated(key)
        value[REPEATED] = [item for key, item in pairs if key == REPEATED]
    return value


def strip_comments(text: str) -> str:
    """Returns JSON text without its C comments; lines keep their numbers.

    >>> strip_comments('{"a": "/* text */", /* gone */ "b": 1 // gone too')
    '{"a": "/* text */",   "b": 1  '
    """
    if "/" not in text:
        return text

    def kept(match: re.Match[str]) -> str:
        if match["string"] or match["open"]:
            return match[0]
        return " " + "\n" * match[0].count("\n")

    return _COMMENT.sub(kept, text)


def describe(value: Any) -> str:
    """Returns a JSON value in a few words, for messages."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:40]}…"


def integer(value: Any) -> int | None:
    """Returns the integer that a JSON number, boolean or string stands for, or None.

    >>> [integer(value) for value in (3, 2.0, "-1", True, "x", 0.5, None)]
    [3, 2, -1, 1, None, None, None]
    """
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value, re.ASCII):
        return int(value)
    return None


def expand_runs(value: Any, limit: int, base: int = 10) -> Int64[np.ndarray, " values"]:
    """Returns the numbers of a list of runs.

    A run is a number, as such or in a string, "AxN" (N times A), "a:b" (a to b, up or down) or "a:step:b" (a, a + step,
    … as far as b). A string may hold several runs, with commas or blanks between them; one string stands for a list of
    one.

    >>> expand_runs(["-1x2", 7, "3:5", "22:-2:18"], 9)
    array([-1, -1,  7,  3,  4,  5, 22, 20, 18])

    Args:
        value: the list, as JSON gave it.
        limit: more numbers than that are not expanded.
        base: of the numbers in strings, 10 or 16; not of the N in "AxN".

    Raises:
        ValueError: something in it is not a run, or there are more than `limit` numbers; says what.
    """
    items = value if isinstance(value, list) else [value]
    if all(type(item) is int for item in items):
        numbers: Sequence[int] = items
    else:
        numbers = []
        for item in items:
            if isinstance(item, str):
                for run in split_runs(item):
                    numbers.extend(_expand(run, limit, base))
                    if len(numbers) > limit:
                        break
            elif isinstance(item, bool) or (number := integer(item)) is None:
                raise ValueError(f"{describe(item)} is neither a number nor a run such as '0x4', '3:5' or '18:2:22'")
            else:
                numbers.append(number)
            if len(numbers) > limit:
                break
    if len(numbers) > limit:
        raise ValueError(f"has more than {limit} values")
    try:
        return np.array(numbers, np.int64)
    except OverflowError as error:
        raise ValueError("holds a number of more than 64 bits") from error


@functools.lru_cache(4096)
def split_runs(text: str) -> tuple[str, ...]:
    """Returns the runs in a string, without the blanks within them."""
    return tuple(re.sub(r"\s*([xX:])\s*", r"\1", text).replace(",", " ").split())


@functools.lru_cache(4096)
def _expand(run: str, limit: int, base: int) -> Sequence[int]:
    """Returns the numbers of one run; raises as `expand_runs`."""
    match = _RUNS[base].fullmatch(run)
    if match is None or len(run) > 60:
        raise ValueError(f"{describe(run)} is neither a number nor a run such as '0x4', '3:5' or '18:2:22'")
    first = int(match[1], base)
    if match[2] is not None:
        if int(match[2]) > limit:
            raise ValueError(f"{describe(run)} are {int(match[2])} values, at most {limit} fit")
        return (first,) * int(match[2])
    if match[3] is None:
        return (first,)
    last = int(match[4] or match[3], base)
    step = int(match[3], base) if match[4] is not None else (1 if last >= first else -1)
    if step == 0 or (last - first) * step < 0:
        raise ValueError(f"{describe(run)} never gets from {first} to {last}; change the sign of the step")
    if (last - first) // step >= limit:
        raise ValueError(f"{describe(run)} are {(last - first) // step + 1} values, at most {limit} fit")
    return tuple(range(first, last + (1 if step > 0 else -1), step))


def compress_runs(values: Int64[np.ndarray, " values"]) -> list[int | str]:
    """Returns a list of runs as short as IBM's tools write them: a run of three or more, else plain numbers.

    >>> compress_runs(np.array([-1, -1, -1, 0, 1, 2, 9, 20, 18, 16]))
    ['-1x3', '0:2', 9, '20:-2:16']
    """
    runs: list[int | str] = []
    numbers = values.tolist()
    steps = np.diff(values).tolist()
    # The end of the longest run of equal steps that begins at each value.
    end = np.append(np.flatnonzero(np.diff(steps)) + 1, len(steps)) if steps else np.zeros(0, np.int64)
    end = end[np.searchsorted(end, np.arange(len(steps)), side="right")].tolist() if len(steps) else []
    start = 0
    while start < len(numbers):
        last = end[start] if start < len(steps) else start
        if last - start < 2:
            runs.append(numbers[start])
            start += 1
            continue
        step = steps[start]
        if step == 0:
            runs.append(f"{numbers[start]}x{last - start + 1}")
        else:
            middle = "" if step == 1 else f"{step}:"
            runs.append(f"{numbers[start]}:{middle}{numbers[last]}")
        start = last + 1
    return runs
