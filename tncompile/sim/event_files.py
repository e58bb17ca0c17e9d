"""Spikes in files of our own: lists of events in CSV, NPZ and Parquet, and arrays in NPZ.

Columns of input spikes are `tick, core, axon` and, if need be, `delay` (1 if left out), or `tick, bit`; of output
spikes `tick, pin`. A column `stream` tells independent streams apart; without it, all streams get the same spikes.
Ticks never go back. An NPZ file may hold an array instead: `frames` (input bits) or `pins` (output pins),
bool [ticks, bits] or [streams, ticks, bits].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from tncompile.errors import ArtifactError, SimulationError
from tncompile.ir import ChipImage
from tncompile.sim.sources import MAX_STREAMS, check_ranges
from tncompile.sim.spikes import InputSpikes, OutputSpikes
from tncompile.sim.stream import Window
from tncompile.sim.tables import Columns, Member, NpzTable, Table, npz_members, open_table
from tncompile.sim.wiring import image_arch

INPUTS = (("tick", "core", "axon"), ("tick", "bit"))
"""Columns that each form of an input table must have."""
OUTPUTS = (("tick", "pin"),)
"""The same for output tables."""

_ARRAY_BYTES = 1 << 22  # of an array at a time


class InputFile:
    """Input spikes in a file; a `SpikeSource`."""

    def __init__(self, path: Path, image: ChipImage, from_tick: int = 0) -> None:
        """Looks at the columns or the array.

        Args:
            path: the file.
            image: the chip.
            from_tick: the first tick that a spike may be sent in [tick].

        Raises:
            ArtifactError: the file cannot be read or has other columns.
            ConfigError: its kind is not known.
            SimulationError: the array does not fit the image.
        """
        arch = image_arch(image)
        self._from_tick = from_tick
        self._limits = {
            "core": (0, len(image.core_x) - 1),
            "axon": (0, arch.axons - 1),
            "bit": (0, image.input_bits - 1),
            "delay": (1, arch.delay_max),
        }
        self._events = _events(path, "frames", INPUTS, ("delay", "stream"), image.input_bits)
        self.every_stream = "stream" not in self._events.names

    def chunks(self) -> Iterator[InputSpikes]:
        """Yields the spikes in the order of their ticks, after checking each.

        Raises:
            ArtifactError: a tick is negative or out of order, or the file is damaged.
            SimulationError: a spike is outside of the chip.
        """
        for columns in _checked(self._events, self._limits, self._from_tick):
            zeros = np.zeros(len(columns["tick"]), np.int64)
            if "bit" in columns:
                core, axon, delay = zeros - 1, columns["bit"], zeros
            else:
                core, axon, delay = columns["core"], columns["axon"], columns.get("delay", zeros + 1)
            yield InputSpikes(
                stream=columns.get("stream", zeros).astype(np.int32),
                tick=columns["tick"],
                core=core.astype(np.int32),
                axon=axon.astype(np.int32),
                delay=delay.astype(np.int32),
            )


class OutputFile:
    """Output spikes in a file; an `ExpectedSpikes`."""

    def __init__(self, path: Path, image: ChipImage) -> None:
        """Looks at the columns or the array; errors as `InputFile`."""
        self._limits = {"pin": (0, image.output_pins - 1)}
        self._events = _events(path, "pins", OUTPUTS, ("stream",), image.output_pins)
        self.every_stream = "stream" not in self._events.names
        self.end: int | None = None

    def chunks(self) -> Iterator[OutputSpikes]:
        """Yields the spikes in the order of their ticks, after checking each; errors as `InputFile.chunks`."""
        for columns in _checked(self._events, self._limits):
            nobody = np.full(len(columns["tick"]), -1, np.int32)
            yield OutputSpikes(
                stream=columns.get("stream", np.zeros_like(columns["tick"])).astype(np.int32),
                tick=columns["tick"],
                pin=columns["pin"].astype(np.int32),
                core=nobody,
                neuron=nobody,
            )


def input_columns(spikes: InputSpikes) -> Columns:
    """Returns a table of input spikes, those to axons; with a stream only if there are several.

    Raises:
        SimulationError: some go to input bits, and some to axons.
    """
    bits = spikes.core < 0
    if bits.any() and not bits.all():
        raise SimulationError("spikes to input bits and to axons do not go into one table; write two")
    addressed = {"core": spikes.core, "axon": spikes.axon, "delay": spikes.delay}
    streams = {"stream": spikes.stream} if spikes.stream.any() else {}
    return _integers({"tick": spikes.tick} | ({"bit": spikes.axon} if bits.any() else addressed) | streams)


def output_columns(window: Window) -> Columns:
    """Returns a table of the output spikes of a window."""
    spikes = window.spikes
    return _integers({"tick": spikes.tick, "pin": spikes.pin, "stream": spikes.stream})


def raster_columns(window: Window) -> Columns:
    """Returns a table of the spikes of the watched cores' neurons."""
    tick, stream, index, neuron = np.nonzero(np.ascontiguousarray(np.swapaxes(window.raster, 0, 1)))
    core = np.asarray(window.watch, np.int64)[index]
    return _integers({"tick": tick + window.first, "core": core, "neuron": neuron, "stream": stream})


def potential_columns(window: Window, used: Bool[np.ndarray, "watched neurons"]) -> Columns:
    """Returns a table of the potentials and spikes of the watched cores' neurons that are in use, a row each a tick."""
    index, neuron = np.nonzero(used)
    core = np.asarray(window.watch, np.int64)[index]
    streams, ticks = window.raster.shape[:2]
    shape = (ticks, streams, len(index))

    def rows(values: np.ndarray) -> Int64[np.ndarray, " rows"]:
        return np.broadcast_to(values, shape).astype(np.int64).ravel()

    return {
        "tick": rows(np.arange(window.first, window.first + ticks)[:, None, None]),
        "core": rows(core),
        "neuron": rows(neuron),
        "spike": rows(np.swapaxes(window.raster, 0, 1)[:, :, index, neuron]),
        "potential": rows(np.swapaxes(window.potential, 0, 1)[:, :, index, neuron]),
        "stream": rows(np.arange(streams)[:, None]),
    }


def _integers(columns: Mapping[str, np.ndarray]) -> Columns:
    return {name: column.astype(np.int64) for name, column in columns.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Reading.


class _ArrayEvents:
    """An array in an NPZ file as the table of what is set in it; a `Table`."""

    def __init__(self, member: Member, column: str, width: int) -> None:
        self.path = member.path
        self._member = member
        self._column = column
        streams = ("stream",) if len(member.shape) == 3 else ()
        self.names = ("tick", column, *streams)
        if member.dtype != np.bool_ or len(member.shape) not in (2, 3):
            raise ArtifactError(
                f"{self.path}: {member.name} is {member.dtype.name} {list(member.shape)}, must be bool "
                f"[ticks, {column}s] or [streams, ticks, {column}s]"
            )
        if member.shape[-1] != width:
            raise SimulationError(f"{self.path}: {member.name} has {member.shape[-1]} {column}s, the image has {width}")

    def chunks(self) -> Iterator[Columns]:
        """Yields what is set, in the order of ticks."""
        member = self._member
        if len(member.shape) == 3:
            blocks = member.blocks(max(1, member.shape[0]))  # its streams stand one behind the other: it is one block
        else:
            blocks = (block[None] for block in member.blocks(max(1, _ARRAY_BYTES // max(1, member.shape[1]))))
        first = 0
        for block in blocks:
            tick, stream, bit = np.nonzero(np.ascontiguousarray(np.swapaxes(block, 0, 1)))
            streams = {"stream": stream} if "stream" in self.names else {}
            yield {"tick": tick + first, self._column: bit} | streams
            first += block.shape[1]

    def place(self, row: int) -> str:
        """Returns the file: an array's spikes have no rows."""
        return str(self.path)


def _events(path: Path, array: str, forms: tuple[tuple[str, ...], ...], optional: tuple[str, ...], width: int) -> Table:
    """Returns the events in a file as a table.

    Args:
        path: the file.
        array: name of the array that it may hold instead.
        forms: columns that a table must have, one form or another.
        optional: columns that it may have.
        width: bits of the array.

    Raises:
        ArtifactError: it is neither.
    """
    table: Table
    if path.suffix.lower() == ".npz":
        members = npz_members(path)
        if tuple(members) == (array,):
            return _ArrayEvents(members[array], forms[-1][-1], width)
        table = NpzTable(path, members)
    else:
        table = open_table(path)
    names = set(table.names)
    if len(names) == len(table.names):
        for form in forms:
            allowed = set(form) | (set(optional) if form == forms[0] else set(optional) - {"delay"})
            if set(form) <= names <= allowed:
                return table
    expected = " or ".join(",".join(form) for form in forms)
    raise ArtifactError(
        f"{path}: has the columns {','.join(table.names)[:80]}; it must have {expected}, and may have "
        f"{' and '.join(optional)}"
    )


def _checked(table: Table, limits: Mapping[str, tuple[int, int]], from_tick: int = 0) -> Iterator[Columns]:
    """Yields a table of events by chunks, after checking ticks and ranges.

    Args:
        table: the events.
        limits: smallest and largest value of each column.
        from_tick: the first tick that there may be [tick].

    Raises:
        ArtifactError: a tick is negative or out of order.
        SimulationError: a value is outside of the chip.
    """
    row, last = 0, from_tick
    bounds = {**limits, "stream": (0, MAX_STREAMS - 1)}
    for columns in table.chunks():
        tick = columns["tick"]
        before = np.concatenate([[last], tick[:-1]])
        if (wrong := tick < before).any():
            bad = int(wrong.argmax())
            problem = f"comes behind tick {before[bad]}; sort the spikes by tick"
            if tick[bad] < from_tick:
                problem = "is negative; the first tick is 0"
            raise ArtifactError(f"{table.place(row + bad)}: tick {tick[bad]} {problem}")
        check_ranges(columns, bounds, lambda bad, row=row: table.place(row + bad))
        row, last = row + len(tick), int(tick[-1]) if len(tick) else last
        yield columns
