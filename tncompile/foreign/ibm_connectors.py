"""What IBM's spike files share, and the kind for connectors: CONNPIN (.sfcp). The layout stands in `ibm_spikes`."""

from __future__ import annotations

import itertools
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Int64

import tncompile
from tncompile.errors import ArtifactError, InfeasibleError
from tncompile.foreign.ibm_text import describe, integer
from tncompile.ir.base import Record

END_OF_HEADER = b"\xff"
"""Byte behind the header of a binary file."""
WRITER = f"tncompile {tncompile.__version__}"
"""What headers say of who wrote the file."""

_TICK_MARK = b"\xfe\xfc\xfe\xfc"
_TICK = struct.Struct(">4si8x")
_BLOCK = struct.Struct(">HH")
_BLOCK_PINS = 1024  # at most in a block that is written
_INT32 = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnPins(Record):
    """Spikes on the pins of connectors."""

    tick: Int64[np.ndarray, " spikes"]
    pin: Int64[np.ndarray, " spikes"]
    delay: Int64[np.ndarray, " spikes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Connector:
    """One connector of a CONNPIN file.

    Attributes:
        first: number of its pin 0 among all connectors' pins.
        size: its pins.
        width: bytes of a pin.
        delays: whether each pin has a delay byte.
        delay: of its spikes, without those bytes [tick].
    """

    first: int
    size: int
    width: int
    delays: bool
    delay: int


def malformed(path: Path, what: str) -> NoReturn:
    """Refuses a file."""
    raise ArtifactError(f"{path}: {what}; name an IBM spike file, or write it again")


def default_delay(path: Path, header: dict[str, Any]) -> int:
    """Returns the delay that a header gives to spikes without their own [tick]."""
    delay = integer(header.get("defaultDestinationDelay", 1))
    if delay is None or not 0 <= delay <= _INT32:
        malformed(path, f"defaultDestinationDelay is {describe(header['defaultDestinationDelay'])}, must be 1 or more")
    return delay


def check_ticks(path: Path, tick: Int64[np.ndarray, " spikes"]) -> None:
    """Refuses ticks that a binary file has no place for."""
    if len(tick) and tick.max() > _INT32:
        raise InfeasibleError(
            f"{path}: has a spike in tick {tick.max()}, this kind of file goes to {_INT32}; write text or .npz"
        )


def read_connectors(path: Path, header: dict[str, Any], data: bytes, begin: int) -> OnPins:
    """Returns the spikes of a CONNPIN file."""
    connectors = _connectors(path, header)
    ticks: list[int] = []
    pins: list[Int64[np.ndarray, " pins"]] = []
    delays: list[Int64[np.ndarray, " pins"]] = []

    def take(position: int, length: int) -> bytes:
        if position + length > len(data):
            malformed(path, f"ends at byte {len(data)}, within a tick or before the end mark: it is truncated")
        return data[position : position + length]

    position = begin
    while True:
        mark, tick = _TICK.unpack(take(position, _TICK.size))
        if mark != _TICK_MARK:
            malformed(path, f"byte {position}: {mark.hex()} where a tick begins with {_TICK_MARK.hex()}")
        if tick < -1:
            malformed(path, f"byte {position}: its tick is {tick}, must be 0 or more, or −1 at the end")
        position += _TICK.size
        if tick == -1:
            break
        while take(position, 4) != _TICK_MARK:
            number, count = _BLOCK.unpack(take(position, _BLOCK.size))
            connector = connectors.get(number)
            if connector is None:
                malformed(path, f"byte {position}, tick {tick}: connector {number} is not in the header")
            position += _BLOCK.size
            length = count * connector.width
            found = _pins(take(position, length), connector.width)
            if count and found.max() >= connector.size:
                malformed(
                    path,
                    f"tick {tick}: pin {found.max()} of connector {number}, which has {connector.size} pins (csize)",
                )
            position += length
            ticks += [tick] * count
            pins.append(found + connector.first)
            if connector.delays:
                delays.append(np.frombuffer(take(position, count), np.uint8).astype(np.int64))
                position += count
            else:
                delays.append(np.full(count, connector.delay, np.int64))
    if position != len(data):
        malformed(path, f"has {len(data) - position} bytes behind its end mark")
    none = [np.zeros(0, np.int64)]
    return OnPins(
        tick=np.array(ticks, np.int64), pin=np.concatenate(pins or none), delay=np.concatenate(delays or none)
    )


def _pins(data: bytes, width: int) -> Int64[np.ndarray, " pins"]:
    """Returns big-endian numbers of 1 to 4 bytes."""
    digits = np.frombuffer(data, np.uint8).reshape(-1, width).astype(np.int64)
    return digits @ (1 << (8 * np.arange(width)[::-1]))


def _connectors(path: Path, header: dict[str, Any]) -> dict[int, _Connector]:
    """Returns the connectors of a CONNPIN file by their IDs, in the order of the IDs."""
    described = header.get("connectors")
    if not isinstance(described, list) or not described:
        malformed(path, "its header has no connectors")
    delay = default_delay(path, header)
    numbers: dict[int, dict[str, int]] = {}
    for i, item in enumerate(described):
        if not isinstance(item, dict):
            malformed(path, f"connector {i} in the header is {describe(item)}, expected an object")
        values: dict[str, int] = {}
        for key, default, low, high in (
            ("ID", None, 0, 0xFFFF),
            ("csize", None, 1, _INT32),
            ("bpp", 8, 8, 32),
            ("delayMode", 0, 0, 1),
            ("defaultDestinationDelay", delay, 0, _INT32),
        ):
            number = integer(item.get(key, header.get(key, default)))
            if number is None or not low <= number <= high:
                malformed(
                    path, f"connector {i} in the header: {key} is {describe(item.get(key))}, must be {low} to {high}"
                )
            values[key] = number
        if values["bpp"] % 8:
            malformed(path, f"connector {i} in the header: bpp is {values['bpp']}, must be 8, 16, 24 or 32")
        if values["ID"] in numbers:
            malformed(path, f"connector {i} in the header: another one has ID {values['ID']}")
        numbers[values["ID"]] = values
    found: dict[int, _Connector] = {}
    first = 0
    for number in sorted(numbers):
        values = numbers[number]
        found[number] = _Connector(
            first=first,
            size=values["csize"],
            width=values["bpp"] // 8,
            delays=values["delayMode"] == 1,
            delay=values["defaultDestinationDelay"],
        )
        first += values["csize"]
    return found


def connector_file(
    path: Path, tick: Int64[np.ndarray, " spikes"], pin: Int64[np.ndarray, " spikes"], pins: int
) -> bytes:
    """Returns a CONNPIN file with all pins in one connector; spikes of one pin and tick merge."""
    check_ticks(path, tick)
    width = 1 if pins <= 1 << 8 else 2 if pins <= 1 << 16 else 4
    connector = {
        "ID": 0,
        "name": "output",
        "csize": max(pins, 1),
        "bpp": 8 * width,
        "delayMode": 1,
        "defaultDestinationDelay": 1,
    }
    lines = (
        {"class": "SpikeWriter", "encoding": "CONNPIN", "writer": WRITER},
        {"maxBlockSize": _BLOCK_PINS, "defaultDestinationDelay": 1, "connectors": [connector]},
    )
    parts = ["".join(json.dumps(line) + "\n" for line in lines).encode(), END_OF_HEADER]
    starts = np.flatnonzero(np.diff(tick, prepend=-1)).tolist()
    for start, stop in itertools.pairwise([*starts, len(tick)]):
        parts.append(_TICK.pack(_TICK_MARK, int(tick[start])))
        now = np.array(list(dict.fromkeys(pin[start:stop].tolist())), np.int64)
        for block in range(0, len(now), _BLOCK_PINS):
            some = now[block : block + _BLOCK_PINS]
            parts += [_BLOCK.pack(0, len(some)), some.astype(f">u{width}").tobytes(), b"\x01" * len(some)]
    parts.append(_TICK.pack(_TICK_MARK, -1))
    return b"".join(parts)
