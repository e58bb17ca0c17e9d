"""What all stages share: frozen dataclasses of tuples, ints and read-only NumPy arrays."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


class Record:
    """Base of every dataclass of the intermediate representations.

    Subclasses are `@dataclass(frozen=True, slots=True, kw_only=True, eq=False)`. Their fields are ints, floats,
    strings, None, tuples, NumPy arrays and other records. Arrays are made contiguous and read-only when the record is
    built, so that no pass can change a stage that another one holds. Two records are compared by `digest` (`ir.text`).
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, field.name, _frozen(getattr(self, field.name)))


class Stage(Record):
    """A record that the passes hand on: the input or output of a pass.

    A stage that refers to the stage before it does so in a field called `source`, which is stored as that
    stage's digest.
    """

    __slots__ = ()


def _writable(array: np.ndarray) -> bool:
    """Returns whether anybody can write to the memory of an array, through it or through what it is a view of."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return True
        owner = owner.base
    return False


def _frozen(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value)
        if _writable(value):
            value = value.copy()
            value.flags.writeable = False
        return value
    if isinstance(value, tuple):
        return tuple(_frozen(v) for v in value)
    return value
