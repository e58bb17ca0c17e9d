"""Pickles of plain values and arrays of bytes, read without calling anything that they name.

`pickle.Unpickler` cannot be made safe by a list of what may be called: NumPy's own `dtype` and `ndarray` take any
state, also one that makes pointers of a file's bytes; a tuple nested deep enough ends the interpreter when it is
hashed; and ten bytes can ask for a memo of gigabytes. So the operations are carried out here. `pickletools` takes them
apart; what they make are values of Python, and notes of arrays from which an array of bytes follows once all is known.
"""

from __future__ import annotations

import math
import pickletools
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import UInt8

from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes

SHOWN = 80
"""Most characters of what a file says of itself in a message."""

_CORES = ("core", "_core")  # NumPy 1 and 2

_NAMES = {
    **{f"numpy.{core}.multiarray _reconstruct": "reconstruct" for core in _CORES},
    **{f"numpy.{core}.numeric _frombuffer": "frombuffer" for core in _CORES},
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
}

_PLAIN = {
    *("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"),
}

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}

_TYPE = re.compile(r"[biufcO]\d{1,2}")


class Array:
    """What a pickle says of an array.

    Attributes:
        dtype: name of its type, as NumPy has it.
        shape: of it.
    """

    __slots__ = ("_content", "_order", "dtype", "shape")

    def __init__(self) -> None:
        self.dtype, self.shape = "", ()
        self._content, self._order = b"", "C"

    def fill(self, content: Any, dtype: Any, shape: Any, order: str) -> None:
        """Takes what an array is made of, unchecked but for its types."""
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
            raise ValueError("an array without type or shape")
        if any(type(size) is not int or size < 0 for size in shape):
            raise ValueError("an array whose shape is no sizes")
        self.dtype, self.shape = np.dtype(dtype.name).name, shape
        self._content, self._order = content, order

    def pixels(self) -> UInt8[np.ndarray, "..."]:
        """Returns an array of bytes.

        Raises:
            ValueError: it is none, or has more or fewer of them than its shape.
        """
        if self.dtype != "uint8" or not isinstance(self._content, bytes | bytearray):
            raise ValueError(f"an array of {self.dtype or 'no type'}, not of bytes")
        if math.prod(self.shape) != len(self._content):
            raise ValueError(f"an array of shape {list(self.shape)} with {len(self._content)} bytes")
        order = "F" if self._order == "F" else "C"
        return np.frombuffer(self._content, np.uint8).reshape(self.shape, order=order)


class _Dtype:
    """The name of a type of numbers."""

    __slots__ = ("name",)

    def __init__(self, name: Any) -> None:
        text = name.decode("latin-1") if isinstance(name, bytes) else name
        if not isinstance(text, str) or not _TYPE.fullmatch(text):
            raise _Foreign(f"arrays of type {shown(text)}")
        self.name = text


class _Name:
    """A function or class that a pickle names, and that is in the list."""

    __slots__ = ("name",)

    def __init__(self, module: Any, name: Any) -> None:
        if f"{module} {name}" not in _NAMES:
            raise _Foreign(shown(f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else name))
        self.name = _NAMES[f"{module} {name}"]


class _Foreign(Exception):
    """A pickle asks for what no plain value needs."""


def shown(value: Any) -> str:
    """Returns text and numbers as a message may have them, short and in plain letters; of others, their type."""
    if isinstance(value, bytes):
        value = value[:SHOWN].decode("latin-1")
    if not isinstance(value, str | int):
        return type(value).__name__
    return str(value)[:SHOWN].encode("unicode_escape").decode("ascii")


def read_pickle(path: Path) -> Any:
    """Returns what is in a pickle of Python 2 or 3: numbers, text, lists, tuples, dictionaries and `Array`s.

    Text of Python 2 is bytes. Keys of dictionaries are text. Nothing that the file names is looked up or called.

    Raises:
        ArtifactError: the file is missing, damaged, or asks for anything else.
    """
    data = read_bytes(path)
    try:
        return _carry_out(data)
    except _Foreign as error:
        raise ArtifactError(
            f"{path}: asks for {error}, which no batch of CIFAR needs; it could run any program and was not read. "
            "Get the file from its makers"
        ) from error
    except Exception as error:  # a damaged pickle can raise almost any
        why = shown(f"{type(error).__name__}: {error}")
        raise ArtifactError(f"{path}: is not a whole pickle: {why}; get the file again") from error


def _carry_out(data: bytes) -> Any:
    """Returns what is on the stack when a pickle's operations have been carried out.

    References:
        Python's module `pickletools`, which describes them.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def above_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for operation, value, _ in pickletools.genops(data):
        name, argument = operation.name, cast(Any, value)
        if name in _PLAIN:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[argument] = stack[-1]
        elif name in ("SHORT_BINSTRING", "BINSTRING"):
            stack.append(argument.encode("latin-1"))  # which pickletools made text of
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[argument])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("EMPTY_LIST", "LIST"):
            stack.append(above_mark() if name == "LIST" else [])
        elif name in ("EMPTY_DICT", "DICT"):
            stack.append(_update({}, above_mark() if name == "DICT" else []))
        elif name in ("EMPTY_TUPLE", "TUPLE"):
            stack.append(tuple(above_mark()) if name == "TUPLE" else ())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack[-int(name[-1]) :] = [tuple(stack[-int(name[-1]) :])]
        elif name in ("APPEND", "APPENDS"):
            items = above_mark() if name == "APPENDS" else [stack.pop()]
            _list(stack[-1]).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = above_mark() if name == "SETITEMS" else [stack.pop() for _ in range(2)][::-1]
            _update(stack[-1], items)
        elif name == "GLOBAL":
            stack.append(_Name(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_Name(module, attribute))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_made(function, *arguments))
        elif name == "BUILD":
            state = stack.pop()
            _set_state(stack[-1], *state)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise _Foreign(f"the operation {name}")
    (result,) = stack
    return result


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"items of {type(value).__name__}")
    return value


def _update(value: Any, items: list[Any]) -> dict[Any, Any]:
    """Adds keys and values to a dictionary, and returns it."""
    if not isinstance(value, dict):
        raise ValueError(f"keys of {type(value).__name__}")
    if any(not isinstance(key, str | bytes) for key in items[::2]):
        raise _Foreign("keys other than text")
    value.update(zip(items[::2], items[1::2], strict=True))
    return value


def _made(function: Any, *arguments: Any) -> Any:
    """Returns what a function would, of the few that such pickles name."""
    if not isinstance(function, _Name):
        raise _Foreign(f"a call of {shown(function)}")
    if function.name == "reconstruct":
        if not isinstance(arguments[0], _Name) or arguments[0].name != "ndarray":
            raise _Foreign("arrays of another class")
        return Array()  # whatever shape it says: it is empty, and its content is set behind
    if function.name == "frombuffer":
        # Python's pickles of protocol 5. Newer versions of NumPy add an order of axes, which is None for these two.
        content, dtype, shape, order, *axes = arguments
        if order not in ("C", "F") or axes not in ([], [None]):
            raise _Foreign(f"arrays in order {shown(order)}")
        array = Array()
        array.fill(content, dtype, shape, order)
        return array
    if function.name == "dtype":
        return _Dtype(arguments[0])
    if function.name == "encode":
        text, encoding = arguments
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise _Foreign(f"the encoding {shown(encoding)}")
        return text.encode("latin-1")
    raise _Foreign(f"a call of {function.name}")


def _set_state(value: Any, *state: Any) -> None:
    """Takes the content of an array, or the byte order of a type, which must have nothing besides."""
    if isinstance(value, Array):
        _, shape, dtype, fortran, content = state
        value.fill(content, dtype, shape, "F" if fortran is True else "C")
    elif isinstance(value, _Dtype):
        _, _, *more = state
        if any(each is not None for each in more[:3]):
            raise _Foreign("arrays of records")
    else:
        raise _Foreign(f"a state of {shown(value)}")
