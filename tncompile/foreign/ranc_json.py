"""RANC's network JSON and config JSON as arrays, in RANC's own terms; what they mean on a chip is in `ranc`."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer, UInt8
from pydantic import ValidationError

from tncompile.arch import ChipArch
from tncompile.errors import ArtifactError, InfeasibleError
from tncompile.foreign.companion import MAX_PINS
from tncompile.ir.base import Record
from tncompile.ir.io import read_bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RancConfig(Record):
    """What the config JSON says; the trace options have no influence on what a network computes.

    Attributes:
        num_neurons, num_axons: of every core; cores that name fewer are filled up with silent ones.
        num_cores_x, num_cores_y: the grid, the output bus's cell included.
        num_weights: weights of a neuron, so axon types.
        max_tick_offset: rows of the scheduler [tick].
        neuron_reset_type: 0 resets a potential below the negative threshold, 1 also one equal to it.
    """

    num_neurons: int
    num_axons: int
    num_cores_x: int
    num_cores_y: int
    num_weights: int
    max_tick_offset: int
    neuron_reset_type: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RancNetwork(Record):
    """Cores and output bus of a network, in the order of the file.

    Attributes:
        config: dimensions.
        bus: cell of the output bus, or None.
        num_outputs: its outputs.
        x, y: cells of the cores.
        axon_type: row of `weights` that an axon takes.
        crossbars: connections, packed as in `ChipImage`: bit `neuron % 8` of byte [axon, neuron // 8].
        weights, leak, positive_threshold, negative_threshold, reset_potential, reset_mode, current_potential: the
            neurons' parameters [LSB].
        dx, dy: destination_core_offset [core].
        destination_axon, destination_tick: the rest of a neuron's packet.
    """

    config: RancConfig
    bus: tuple[int, int] | None
    num_outputs: int
    x: Int32[np.ndarray, " cores"]
    y: Int32[np.ndarray, " cores"]
    axon_type: UInt8[np.ndarray, "cores axons"]
    crossbars: UInt8[np.ndarray, "cores axons bytes"]
    weights: Int32[np.ndarray, "cores neurons types"]
    leak: Int32[np.ndarray, "cores neurons"]
    positive_threshold: Int32[np.ndarray, "cores neurons"]
    negative_threshold: Int32[np.ndarray, "cores neurons"]
    reset_potential: Int32[np.ndarray, "cores neurons"]
    reset_mode: Int32[np.ndarray, "cores neurons"]
    current_potential: Int32[np.ndarray, "cores neurons"]
    dx: Int32[np.ndarray, "cores neurons"]
    dy: Int32[np.ndarray, "cores neurons"]
    destination_axon: Int32[np.ndarray, "cores neurons"]
    destination_tick: Int32[np.ndarray, "cores neurons"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RancPackets(Record):
    """Spikes from outside, which enter at cell (0, 0).

    Attributes:
        entry: number of the list that a packet stands in; list k enters one tick before the neurons' k-th evaluation,
            counted from 0.
        x, y: destination_core, as it is an offset from (0, 0).
        axon, destination_tick: the rest of the packet.
    """

    entry: Int64[np.ndarray, " packets"]
    x: Int32[np.ndarray, " packets"]
    y: Int32[np.ndarray, " packets"]
    axon: Int32[np.ndarray, " packets"]
    destination_tick: Int32[np.ndarray, " packets"]


SCALARS = {
    "reset_potential": None,
    "leak": None,
    "positive_threshold": None,
    "negative_threshold": None,
    "destination_axon": None,
    "destination_tick": None,
    "current_potential": 0,
    "reset_mode": 0,
}
"""The integers of a neuron, and what stands for one that is missing; None = it must not be missing."""

SILENT = {"positive_threshold": 1}
"""RANC's neuron of a core that names fewer: all other fields are 0, so that it never spikes."""

_INT32 = np.iinfo(np.int32)
_HINT = "correct the file"


def read_network_json(
    path: str | os.PathLike[str], config: str | os.PathLike[str] | None = None
) -> tuple[RancNetwork, RancPackets]:
    """Returns cores and packets of a network JSON.

    The text is walked through core by core, so that memory is that of the text, not of all its numbers as objects.

    Args:
        path: the network.
        config: its config JSON; None: `<stem>.config.json` or `config.json` beside the network, or no config at all.
            What the config leaves out is taken from the network: as many cells, neurons, axons and weights as it
            names, 16 ticks, reset type 0.

    Raises:
        ArtifactError: a file is missing, is no JSON, or has entries that RANC does not know.
        InfeasibleError: a size is beyond what a chip description can hold.
    """
    scanner = _Scanner(path)
    cores: list[_Core] | None = None
    bus, outputs, packets = None, 0, _packets([], path)
    for key in scanner.members():
        if key == "cores":
            cores = [_core(scanner.core(), index, path) for index in scanner.items()]
        elif key == "packets":
            packets = _packets(scanner.value(), path)
        elif key == "output_bus":
            bus, outputs = _bus(scanner.value(), path)
        else:
            scanner.value()
    if cores is not None:
        scanner.end()
    if not cores:
        _fail(path, "network", "has no cores", "name a RANC network JSON")
    settings = _config(path, config, cores, bus)
    _check_cells(path, settings, cores, bus)
    config_arch(path, settings)  # before arrays of that size are made
    return _network(settings, cores, bus, outputs), packets


def read_packets_json(path: str | os.PathLike[str]) -> tuple[RancPackets, tuple[int, int] | None]:
    """Returns the packets of a network JSON, which need have nothing else, and the output bus's cell if it has one.

    Raises:
        ArtifactError: the file is missing, is no JSON, or its packets are no packets.
    """
    scanner = _Scanner(path)
    bus, packets = None, _packets([], path)
    for key in scanner.members():
        if key == "packets":
            packets = _packets(scanner.value(), path)
        elif key == "output_bus":
            bus, _ = _bus(scanner.value(), path)
        elif key == "cores":
            for _ in scanner.items():
                scanner.value()
        else:
            scanner.value()
    scanner.end()
    return packets, bus


def config_arch(
    path: str | os.PathLike[str], config: RancConfig, widths: Mapping[str, tuple[int, str]] | None = None, **more: Any
) -> ChipArch:
    """Returns the chip description of a config: its sizes, as far as a description can have such small ones.

    Args:
        path: of the network, for messages.
        config: the sizes.
        widths: fields of the description with their width [bit] and what it is needed for.
        more: further fields.

    Raises:
        InfeasibleError: a size or width is beyond what a chip description can hold.
    """
    widths = widths or {}
    values = {
        "axons": max(2, config.num_axons),
        "neurons": max(8, -(-config.num_neurons // 8) * 8),
        "axon_types": max(2, config.num_weights),
        "delay_max": max(1, config.max_tick_offset - 1),
        "grid": (config.num_cores_x, config.num_cores_y),
        **{field: bits for field, (bits, _) in widths.items()},
    }
    try:
        return ChipArch(name="ranc", neuron="ranc", negative_inclusive=config.neuron_reset_type == 1, **(values | more))
    except ValidationError as error:
        reason = error.errors()[0]
        field = str(reason["loc"][0]) if reason["loc"] else "grid"
        _, where = widths.get(field, (0, "the config, or what the network names without one"))
        raise InfeasibleError(
            f"{path}: {where}: a chip cannot have {field} {values[field]} ({reason['msg']}); make it smaller"
        ) from error


def config_json(config: RancConfig) -> str:
    """Returns the config JSON; nothing is traced."""
    traces = ("neuron_block_trace_verbosity", "core_controller_trace_verbosity", "scheduler_trace_verbosity")
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return json.dumps(values | dict.fromkeys(traces, 0), indent=1) + "\n"


def network_json(network: RancNetwork, packets: RancPackets) -> Iterator[bytes]:
    """Yields the network JSON piece by piece: a line a neuron and a row of connections.

    Silent neurons without connections at a core's end are left out: whoever reads it fills them up.
    """
    yield b'{"packets": [' + _packet_lists(packets) + b"],\n"
    if network.bus is not None:
        bus = {"coordinates": list(network.bus), "num_outputs": network.num_outputs}
        yield f'"output_bus": {json.dumps(bus)},\n'.encode()
    yield b'"cores": ['
    number = np.arange(1, network.config.num_neurons + 1)
    counts = (~silent_neurons(network) * number).max(axis=1, initial=0).tolist()
    for core, count in enumerate(counts):
        yield b",\n" if core else b"\n"
        yield from _core_text(network, core, count)
    yield b"]}\n"


def crosspoints(crossbar: UInt8[np.ndarray, "axons bytes"], neurons: int) -> UInt8[np.ndarray, "neurons axons"]:
    """Returns a core's connections as RANC writes them, a row a neuron."""
    return np.ascontiguousarray(np.unpackbits(crossbar, axis=-1, count=neurons, bitorder="little").T)


def select_cores(network: RancNetwork, rows: Integer[np.ndarray, " some"]) -> RancNetwork:
    """Returns some of a network's cores, in the order of `rows`."""
    values = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
    arrays = {name: value[rows] for name, value in values.items() if isinstance(value, np.ndarray)}
    return dataclasses.replace(network, **arrays)


def silent_network(
    config: RancConfig, x: Int32[np.ndarray, " cores"], y: Int32[np.ndarray, " cores"]
) -> dict[str, Any]:
    """Returns the arrays of a network of cores with silent neurons and without connections, to be filled."""
    cores, neurons, axons = len(x), config.num_neurons, config.num_axons
    return {
        "config": config,
        "bus": None,
        "num_outputs": 0,
        "x": x,
        "y": y,
        "axon_type": np.zeros((cores, axons), np.uint8),
        "crossbars": np.zeros((cores, axons, -(-neurons // 8)), np.uint8),
        "weights": np.zeros((cores, neurons, config.num_weights), np.int32),
        **{name: np.full((cores, neurons), SILENT.get(name, 0), np.int32) for name in (*SCALARS, "dx", "dy")},
    }


def silent_neurons(network: RancNetwork) -> Bool[np.ndarray, "cores neurons"]:
    """Returns the neurons that RANC would put there by itself: without connections, all fields those of `SILENT`."""
    shape = network.leak.shape
    connected = np.bitwise_or.reduce(network.crossbars, axis=1)
    silent = ~np.unpackbits(connected, axis=-1, count=shape[1], bitorder="little").astype(bool)
    silent &= ~network.weights.any(axis=2)
    for name in (*SCALARS, "dx", "dy"):
        silent &= getattr(network, name) == SILENT.get(name, 0)
    return silent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Core(Record):
    """One core of the file, not filled up.

    Attributes:
        x, y: its cell.
        axon_type: of the axons that are named.
        connections: packed along the axons, a row a neuron.
        width: axons of the longest row of connections.
        scalars: the neurons' fields of `SCALARS`, in that order.
        weights, offset: their weights and destination_core_offset.
    """

    x: int
    y: int
    axon_type: Int32[np.ndarray, " axons"]
    connections: UInt8[np.ndarray, "rows bytes"]
    width: int
    scalars: Int32[np.ndarray, "fields neurons"]
    weights: Int32[np.ndarray, "neurons types"]
    offset: Int32[np.ndarray, "neurons 2"]


def _fail(path: str | os.PathLike[str], where: str, what: str, hint: str = _HINT) -> NoReturn:
    raise ArtifactError(f"{path}: {where}: {what}; {hint}")


_BITS = re.compile(r"\[[\[\]01, \t\n\r]*")


class _Scanner:
    """Walks through a JSON text and decodes only the values that it is asked for."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._at = 0
        self._decode = json.JSONDecoder().raw_decode
        try:
            self._text = read_bytes(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{path}: is not UTF-8 text ({error}); name a RANC network JSON") from error

    def members(self) -> Iterator[str]:
        """Yields the keys of the object that comes; each one's value has to be taken before the next key."""
        seen: set[str] = set()
        for _ in self._elements("{", "}"):
            key = self.value()
            if not isinstance(key, str):
                self._wrong("a key in quotes")
            if key in seen:
                _fail(self._path, "network", f"has two entries {key!r}")
            seen.add(key)
            self._take(":")
            yield key

    def end(self) -> None:
        """Refuses whatever comes."""
        if self._next():
            self._wrong("the end")

    def items(self) -> Iterator[int]:
        """Yields the numbers of the elements of the array that comes; each has to be taken before the next one."""
        return self._elements("[", "]")

    def value(self) -> Any:
        """Returns the value that comes."""
        self._next()
        try:
            value, self._at = self._decode(self._text, self._at)
        except json.JSONDecodeError as error:
            _fail(self._path, f"line {error.lineno}, column {error.colno}", f"is not JSON ({error.msg})")
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{self._path}: is not a RANC network ({error}); name another file") from error
        return value

    def core(self) -> Any:
        """Returns the value that comes; in an object, `connections` are an array if they are a matrix of 0 and 1."""
        if self._next() != "{":
            return self.value()
        entry = {}
        for key in self.members():
            bits = self._bits() if key == "connections" else None
            entry[key] = self.value() if bits is None else bits
        return entry

    def _bits(self) -> UInt8[np.ndarray, "rows axons"] | None:
        """Returns equally long lists of 0 and 1, or None if anything else comes: ten times as fast as `value`."""
        self._next()
        found = _BITS.match(self._text, self._at)
        lists = found[0].rstrip(", \t\n\r") if found else ""
        text = lists.encode().translate(None, b" \t\n\r")  # [[0,1],[1,0]]
        width = (text.find(b"]") - 1) // 2
        if width < 1 or len(text) % (2 * width + 2) != 1 or not text.endswith(b"]]"):
            return None
        rows = np.frombuffer(text[1:-1] + b",", np.uint8).reshape(-1, 2 * width + 2)
        frame = rows.copy()
        frame[:, 1:-2:2] = ord("0")
        bits = rows[:, 1:-2:2] - ord("0")
        if (frame != np.frombuffer(b"[" + b"0," * (width - 1) + b"0],", np.uint8)).any() or (bits > 1).any():
            return None
        self._at += len(lists)
        return bits

    def _elements(self, opening: str, closing: str) -> Iterator[int]:
        self._take(opening)
        if self._next() == closing:
            self._at += 1
            return
        for number in itertools.count():
            yield number
            if self._next() == closing:
                self._at += 1
                return
            self._take(",")

    def _next(self) -> str:
        """Returns the next character that is no white space, or nothing at the end."""
        text, at = self._text, self._at
        while at < len(text) and text[at] in " \t\n\r":
            at += 1
        self._at = at
        return text[at : at + 1]

    def _take(self, character: str) -> None:
        if self._next() != character:
            self._wrong(f"'{character}'")
        self._at += 1

    def _wrong(self, expected: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - self._text.rfind("\n", 0, self._at)
        found = repr(self._text[self._at]) if self._at < len(self._text) else "the end of the file"
        _fail(self._path, f"line {line}, column {column}", f"{found} where {expected} should be")


def _int32(value: Any) -> bool:
    return type(value) is int and _INT32.min <= value <= _INT32.max


def _member(entry: Any, key: str, kind: type, path: str | os.PathLike[str], where: str) -> Any:
    """Returns an entry's member of a kind."""
    if not isinstance(entry, dict):
        _fail(path, where, f"must be an object, is {_show(entry)}")
    if key not in entry:
        _fail(path, where, f"has no {key}")
    if type(entry[key]) is not kind or (kind is int and not _int32(entry[key])):
        name = {int: "an integer of 32 bits", list: "a list"}[kind]
        _fail(path, where, f"{key} must be {name}, is {_show(entry[key])}")
    return entry[key]


def _pair(entry: Any, key: str, path: str | os.PathLike[str], where: str) -> tuple[int, int]:
    pair = _member(entry, key, list, path, where)
    if len(pair) != 2 or not all(map(_int32, pair)):
        _fail(path, where, f"{key} must be two integers [x, y], is {_show(pair)}")
    return pair[0], pair[1]


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _core(entry: Any, index: int, path: str | os.PathLike[str]) -> _Core:
    x, y = _pair(entry, "coordinates", path, f"core {index} of the file")
    where = f"core ({x}, {y})"
    axon_type = _integers(axons := _member(entry, "axons", list, path, where))
    if axon_type is None:
        axon = next(i for i, kind in enumerate(axons) if not _int32(kind))
        _fail(path, where, f"axon {axon}: its type must be an integer of 32 bits, is {_show(axons[axon])}")
    neurons = _member(entry, "neurons", list, path, where)
    scalars = [_column(neurons, key, default, path, where) for key, default in SCALARS.items()]
    weights = _lists(neurons, "weights", path, where)
    offset = _lists(neurons, "destination_core_offset", path, where, 2)
    connections = entry.get("connections")
    if not isinstance(connections, np.ndarray):
        connections = _connections(_member(entry, "connections", list, path, where), path, where)
    return _Core(
        x=x,
        y=y,
        axon_type=axon_type,
        connections=np.packbits(connections, axis=-1),
        width=connections.shape[1],
        scalars=np.array(scalars, np.int32),
        weights=weights,
        offset=offset,
    )


def _integers(values: list[Any]) -> Int32[np.ndarray, " values"] | None:
    """Returns a list as an array, or None if not all are integers of 32 bits."""
    if not set(map(type, values)) <= {int}:
        return None
    if values and not (_INT32.min <= min(values) and max(values) <= _INT32.max):
        return None
    return np.array(values, np.int32)


def _column(
    neurons: list[Any], key: str, default: int | None, path: str | os.PathLike[str], where: str
) -> Int32[np.ndarray, " neurons"]:
    """Returns one integer of each neuron; `default` stands for one that is missing."""
    try:
        column = _integers([n[key] for n in neurons] if default is None else [n.get(key, default) for n in neurons])
    except (KeyError, TypeError, AttributeError):
        column = None
    if column is None:  # names the first that is wrong
        given = {} if default is None else {key: default}
        for number, neuron in enumerate(neurons):
            entry = given | neuron if isinstance(neuron, dict) else neuron
            _member(entry, key, int, path, f"{where}, neuron {number}")
    assert column is not None
    return column


def _lists(
    neurons: list[Any], key: str, path: str | os.PathLike[str], where: str, length: int | None = None
) -> Int32[np.ndarray, "neurons values"]:
    """Returns a list of integers of each neuron: of a given length, or filled up with zeros to the longest."""
    rows = [_member(n, key, list, path, f"{where}, neuron {i}") for i, n in enumerate(neurons)]
    width = max(map(len, rows), default=0) if length is None else length
    whole = rows
    if length is None and any(len(row) != width for row in rows):
        whole = [row + [0] * (width - len(row)) for row in rows]
    values = _integers(list(itertools.chain.from_iterable(whole)))
    if values is None or any(len(row) != width for row in whole):
        number = next(i for i, row in enumerate(whole) if len(row) != width or not all(map(_int32, row)))
        what = "integers" if length is None else f"{length} integers"
        _fail(path, f"{where}, neuron {number}", f"{key} must be a list of {what}, is {_show(rows[number])}")
    return values.reshape(len(rows), width)


def _connections(rows: list[Any], path: str | os.PathLike[str], where: str) -> UInt8[np.ndarray, "rows axons"]:
    """Returns rows of 0 and 1, or false and true, filled up to the longest one."""
    if set(map(type, rows)) <= {list}:
        width = max(map(len, rows), default=0)
        if any(len(row) != width for row in rows):
            rows = [row + [0] * (width - len(row)) for row in rows]
        try:
            flat = bytes(itertools.chain.from_iterable(rows))
        except (TypeError, ValueError):
            flat = b"\x02"
        if not flat.strip(b"\x00\x01"):
            return np.frombuffer(flat, np.uint8).reshape(len(rows), width)
    for number, row in enumerate(rows):
        if not isinstance(row, list):
            _fail(path, where, f"connections of neuron {number} must be a list, is {_show(row)}")
        for axon, value in enumerate(row):
            if type(value) not in (int, bool) or value not in (0, 1):
                _fail(path, where, f"connection of neuron {number} and axon {axon} must be 0 or 1, is {_show(value)}")
    raise AssertionError("no connection is wrong")


def _bus(entry: Any, path: str | os.PathLike[str]) -> tuple[tuple[int, int] | None, int]:
    """Returns the cell of the output bus, and its outputs; null means that there is none."""
    if entry is None:
        return None, 0
    cell = _pair(entry, "coordinates", path, "output_bus")
    outputs = _member(entry, "num_outputs", int, path, "output_bus")
    if not 0 <= outputs <= MAX_PINS:
        _fail(path, "output_bus", f"num_outputs must be 0 … {MAX_PINS}, is {outputs}")
    return cell, outputs


def _packets(lists: Any, path: str | os.PathLike[str]) -> RancPackets:
    """Returns the packets of a list of lists, one list a tick; null and an empty list mean none."""
    if lists is None:
        lists = []
    if not isinstance(lists, list):
        _fail(path, "packets", f"must be a list of lists, is {_show(lists)}")
    entry: list[int] = []
    rows: list[tuple[int, int, int, int]] = []
    for number, packets in enumerate(lists):
        if not isinstance(packets, list):
            _fail(path, f"packets of tick {number}", f"must be a list, is {_show(packets)}")
        for index, packet in enumerate(packets):
            where = f"tick {number}, packet {index}"
            x, y = _pair(packet, "destination_core", path, where)
            axon, tick = (_member(packet, f"destination_{key}", int, path, where) for key in ("axon", "tick"))
            entry.append(number)
            rows.append((x, y, axon, tick))
    columns = np.array(rows, np.int32).reshape(-1, 4).T
    return RancPackets(
        entry=np.array(entry, np.int64), x=columns[0], y=columns[1], axon=columns[2], destination_tick=columns[3]
    )


def _sizes(core: _Core) -> dict[str, int]:
    """Returns what a core needs of each of the config's sizes."""
    return {
        "num_neurons": core.scalars.shape[1],
        "num_axons": max(len(core.axon_type), core.width),
        "num_weights": max(core.weights.shape[1], int(core.axon_type.max(initial=-1)) + 1),
    }


def read_config_json(path: str | os.PathLike[str]) -> RancConfig:
    """Returns a config JSON that names all sizes by itself; 16 ticks and reset type 0 need not be named.

    Raises:
        ArtifactError: the file is missing, is no JSON, or is none or not a whole config.
        InfeasibleError: a size is beyond what a chip description can hold.
    """
    values = _settings(path, {"max_tick_offset": 16, "neuron_reset_type": 0})
    missing = [key for key in _LEAST if key not in values]
    if missing:
        _fail(path, "config", f"has no {', '.join(missing)}")
    config = RancConfig(**values)
    config_arch(path, config)
    return config


_LEAST = {
    "num_neurons": 0,
    "num_axons": 0,
    "num_cores_x": 1,
    "num_cores_y": 1,
    "num_weights": 1,
    "max_tick_offset": 1,
    "neuron_reset_type": 0,
}
"""What a config says, and the smallest value of each."""


def _settings(path: str | os.PathLike[str], values: dict[str, int]) -> dict[str, int]:
    """Returns what a config JSON says, and `values` for what it does not."""
    try:
        entry = json.loads(read_bytes(path).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: is not JSON ({error}); name a RANC config JSON") from error
    if not isinstance(entry, dict) or not _LEAST.keys() & entry.keys():
        _fail(path, "config", f"has none of {', '.join(_LEAST)}", "name a RANC config JSON")
    named = {key: _member(entry, key, int, path, "config") for key in _LEAST if key in entry}
    for key, value in named.items():
        if value < _LEAST[key]:
            _fail(path, "config", f"{key} must be at least {_LEAST[key]}, is {value}")
    if named.get("neuron_reset_type", 0) > 1:
        _fail(path, "config", f"neuron_reset_type must be 0 or 1, is {named['neuron_reset_type']}")
    return values | named


def _config(
    path: str | os.PathLike[str],
    config: str | os.PathLike[str] | None,
    cores: Sequence[_Core],
    bus: tuple[int, int] | None,
) -> RancConfig:
    """Returns the config beside a network, what it does not say taken from the network."""
    cells = [(core.x, core.y) for core in cores] + ([] if bus is None else [bus])
    values = _LEAST | {name: max([0, *(_sizes(core)[name] for core in cores)]) for name in _SIZES}
    values |= {f"num_cores_{axis}": max([1, *(cell[i] + 1 for cell in cells)]) for i, axis in enumerate("xy")}
    values |= {"max_tick_offset": 16}
    network = Path(path)
    beside = (network.with_name(f"{network.stem}.config.json"), network.with_name("config.json"))
    found = config if config is not None else next((p for p in beside if p != network and p.exists()), None)
    if found is None:
        return RancConfig(**values)
    values = _settings(found, values)
    for core in cores:
        for key, size in _sizes(core).items():
            if size > values[key]:
                what = f"has {size} {_SIZES[key]}, {key} in {found} is {values[key]}"
                _fail(path, f"core ({core.x}, {core.y})", what, "correct one of the two")
    return RancConfig(**values)


_SIZES = {"num_neurons": "neurons", "num_axons": "axons", "num_weights": "weights or axon types"}


def _check_cells(
    path: str | os.PathLike[str], config: RancConfig, cores: Sequence[_Core], bus: tuple[int, int] | None
) -> None:
    """Refuses cores outside the grid, on one cell or on the output bus, and axon types below 0."""
    width, height = config.num_cores_x, config.num_cores_y
    cells = [(f"core ({core.x}, {core.y})", core.x, core.y) for core in cores]
    if bus is not None:
        cells.append((f"output_bus ({bus[0]}, {bus[1]})", *bus))
    taken: set[tuple[int, int]] = set()
    for where, x, y in cells:
        if not (0 <= x < width and 0 <= y < height):
            _fail(path, where, f"is outside the grid of {width} x {height} cells", "correct it, or the config")
        if (x, y) in taken:
            _fail(path, where, "stands where another core of the file does", "move or remove one of the two")
        taken.add((x, y))
    for core in cores:
        for axon in np.flatnonzero(core.axon_type < 0)[:1]:
            what = f"axon {axon}: its type must be at least 0, is {core.axon_type[axon]}"
            _fail(path, f"core ({core.x}, {core.y})", what)


def _network(config: RancConfig, cores: Sequence[_Core], bus: tuple[int, int] | None, outputs: int) -> RancNetwork:
    """Returns all cores, filled up to the config's size."""
    arrays = silent_network(
        config, np.array([core.x for core in cores], np.int32), np.array([core.y for core in cores], np.int32)
    )
    for index, core in enumerate(cores):
        count = core.scalars.shape[1]
        arrays["axon_type"][index, : len(core.axon_type)] = core.axon_type
        arrays["weights"][index, :count, : core.weights.shape[1]] = core.weights
        arrays["dx"][index, :count], arrays["dy"][index, :count] = core.offset.T
        for key, values in zip(SCALARS, core.scalars, strict=True):
            arrays[key][index, :count] = values
        bits = np.unpackbits(core.connections[:count], axis=-1, count=core.width)
        packed = np.packbits(bits.T, axis=-1, bitorder="little")
        arrays["crossbars"][index, : packed.shape[0], : packed.shape[1]] = packed
    return RancNetwork(**arrays | {"bus": bus, "num_outputs": outputs})


_NEURON = (
    '{{"reset_potential": {}, "weights": [{}], "leak": {}, "positive_threshold": {}, "negative_threshold": {}, '
    '"destination_core_offset": [{}, {}], "destination_axon": {}, "destination_tick": {}, "current_potential": {}, '
    '"reset_mode": {}}}'
).format


def _core_text(network: RancNetwork, core: int, count: int) -> Iterator[bytes]:
    """Yields a core with its first `count` neurons."""
    yield f'{{"coordinates": [{network.x[core]}, {network.y[core]}],\n'.encode()
    yield f'"axons": {network.axon_type[core].tolist()},\n"neurons": ['.encode()
    columns = [getattr(network, name)[core, :count].tolist() for name in (*SCALARS, "dx", "dy")]
    lines = []
    for weights, *values in zip(network.weights[core, :count].tolist(), *columns, strict=True):
        reset, leak, above, below, axon, tick, potential, mode, dx, dy = values
        text = ", ".join(map(str, weights))
        lines.append(_NEURON(reset, text, leak, above, below, dx, dy, axon, tick, potential, mode))
    yield ",\n".join(lines).encode()
    yield b'],\n"connections": ['
    yield _rows(crosspoints(network.crossbars[core], network.config.num_neurons)[:count])
    yield b"]}"


def _rows(bits: UInt8[np.ndarray, "rows axons"]) -> bytes:
    """Returns rows of 0 and 1 as JSON lists, with commas between them."""
    rows, axons = bits.shape
    if axons == 0:
        return b",".join([b"[]"] * rows)
    text = np.full((rows, 2 * axons + 3), ord(","), np.uint8)  # [0,1,0],\n
    text[:, 0] = ord("[")
    text[:, 1 : 2 * axons : 2] = bits + ord("0")
    text[:, 2 * axons] = ord("]")
    text[:, 2 * axons + 2] = ord("\n")
    return text.tobytes()[:-2]


def _packet_lists(packets: RancPackets) -> bytes:
    """Returns the lists of packets, with commas between them."""
    lists: list[list[str]] = [[] for _ in range(int(packets.entry.max(initial=-1)) + 1)]
    columns = (packets.entry, packets.x, packets.y, packets.axon, packets.destination_tick)
    for entry, x, y, axon, tick in zip(*(column.tolist() for column in columns), strict=True):
        lists[entry].append(
            f'{{"destination_core": [{x}, {y}], "destination_axon": {axon}, "destination_tick": {tick}}}'
        )
    return ",\n".join(f"[{', '.join(line)}]" for line in lists).encode()
