"""IBM's spike files, read and written: text (.sfti, .sfto), binary (.sfri, .sfro) and pins of connectors (.sfcp).

The header says what a file is, its ending does not. A text file has two lines of JSON, then an object a spike; the
others have JSON up to a byte 0xFF, then big-endian integers:

    TEXT     {"spike": {"srcTime", "destCore", "destAxon"}}, of an output file also srcCore, srcNeuron and destDelay
    RAWI3    int32 × 3: srcTime, destCore, destAxon
    RAWO6    int32 × 6: srcTime, srcCore, srcNeuron, destCore, destAxon, destDelay
    CONNPIN  a tick: 0xFEFCFEFC, int32 tick, 8 bytes; then blocks of uint16 connector, uint16 count, the pins, and as
             many delay bytes with delayMode 1. Tick −1 ends the file.

A spike of tick t that goes to a core arrives at t + its delay: its own, else the header's `defaultDestinationDelay`,
else 1. destCore −32 − pin // 256 is an output pin; its spike carries the tick of firing. Spikes may stand in any order
of their ticks; they are read in the order of ticks, those of one tick in the file's.

Assumed, as no published file has more than one connector: pins are numbered through all connectors, in the order of
their IDs, each taking `csize` numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64

from tncompile.errors import ArtifactError, ConfigError, InfeasibleError, SimulationError
from tncompile.foreign.ibm_connectors import (
    END_OF_HEADER,
    WRITER,
    OnPins,
    check_ticks,
    connector_file,
    default_delay,
    malformed,
    read_connectors,
)
from tncompile.foreign.ibm_format import PIN_CORE, PINS_PER_CORE, core_ids, ids_at
from tncompile.foreign.ibm_text import describe, integer
from tncompile.ir import ChipImage
from tncompile.ir.base import Record
from tncompile.ir.io import atomic_write, read_bytes
from tncompile.sim.spikes import InputSpikes, OutputSpikes
from tncompile.sim.wiring import image_arch

ENCODINGS = ("TEXT", "RAWI3", "RAWO6", "CONNPIN")
"""What a header may call a file."""
INPUT_ENDINGS = (".sfti", ".sfri")
"""Files of input spikes that can be written."""
OUTPUT_ENDINGS = (".sfto", ".sfro", ".sfcp")
"""Files of output spikes that can be written."""
_LAST_TICK = (1 << 62) - 1  # a delay behind it still is a number of 64 bits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Addressed(Record):
    """Spikes as a file has them.

    Attributes:
        tick, core, axon, delay: `core` is an id, or below 0.
        source_core, source_neuron: who sent it, −1 = the file does not say.
        line: where each stands, or empty in a file without lines.
        recorded: whether a simulator wrote them, as its output.
    """

    tick: Int64[np.ndarray, " spikes"]
    core: Int64[np.ndarray, " spikes"]
    axon: Int64[np.ndarray, " spikes"]
    delay: Int64[np.ndarray, " spikes"]
    source_core: Int64[np.ndarray, " spikes"]
    source_neuron: Int64[np.ndarray, " spikes"]
    line: Int64[np.ndarray, " lines"]
    recorded: bool


def is_ibm_spikes(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file begins as IBM's spike files do.

    Raises:
        ArtifactError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(1 << 16)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}; check the path") from error
    text = start.split(END_OF_HEADER, 1)[0].decode("utf-8-sig", "ignore").lstrip()
    try:
        value = json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict):
        return False
    known = value.get("class") == "SpikeWriter" or value.get("encoding") in ENCODINGS or "spike" in value
    return known or str(value.get("version")).startswith(("sfti", "sfto"))


def read_input(path: str | os.PathLike[str], image: ChipImage) -> InputSpikes:
    """Returns the spikes that a file sends into a chip.

    Of a file that a simulator recorded, the spikes to cores are sent again, with their delays, and those to output
    pins are not. Pin p of a CONNPIN file is input bit p of the image, whose packets have their delays; a pin's delay of
    more than 1 lets it enter so much later.

    Raises:
        ArtifactError: the file is not an IBM spike file, or is malformed or truncated.
        SimulationError: it names a core, axon, delay or pin that the image does not have.
    """
    path = Path(path)
    found = _read(path)
    if isinstance(found, OnPins):
        if (found.pin >= image.input_bits).any():
            pin = int(found.pin.max())
            raise SimulationError(
                f"{path}: has pin {pin}, the image has {image.input_bits} input bits; a model of IBM's has none, as it "
                "does not say where connectors lead: give the spikes by core and axon (.sfti)"
            )
        if (found.delay < 1).any():
            raise ArtifactError(f"{path}: a pin has delay 0, must be 1 or more; correct it")
        return _inputs(found.tick + found.delay - 1, np.full(len(found.tick), -1), found.pin, np.zeros(len(found.tick)))
    if not found.recorded and (found.core < 0).any():
        bad = int((found.core < 0).argmax())
        what = f"destCore is {found.core[bad]}, must be a core's id"
        raise ArtifactError(f"{path}: {_where(found, bad)}: {what}; correct it")
    keep = found.core >= 0
    arch = image_arch(image)
    row = _rows_of(path, found, found.core, keep, image)
    for name, values, low, high, owner in (
        ("destAxon", found.axon, 0, arch.axons - 1, "a core has"),
        ("destDelay", found.delay, 1, arch.delay_max, "a spike's delay is"),
    ):
        bad = keep & ((values < low) | (values > high))
        if bad.any():
            i = int(bad.argmax())
            raise SimulationError(
                f"{path}: {_where(found, i)}: {name} is {values[i]}, {owner} {low} to {high}; give the spikes of this "
                "model"
            )
    return _inputs(found.tick[keep], row[keep], found.axon[keep], found.delay[keep])


def read_output(path: str | os.PathLike[str], image: ChipImage) -> OutputSpikes:
    """Returns the spikes on the output pins in a file.

    Raises:
        ArtifactError: the file is not an IBM spike file, is malformed or truncated, or holds input spikes.
        SimulationError: it names a pin, core or neuron that the image does not have.
    """
    path = Path(path)
    found = _read(path)
    if isinstance(found, OnPins):
        tick, pin = found.tick, found.pin
        core = neuron = np.full(len(tick), -1)
    else:
        keep = found.core <= PIN_CORE
        if not (found.recorded or keep.any()) and len(keep):
            raise ArtifactError(f"{path}: holds input spikes, none on an output pin; name a file of output spikes")
        wrong = keep & ((found.axon < 0) | (found.axon >= PINS_PER_CORE))
        if wrong.any():
            i = int(wrong.argmax())
            raise ArtifactError(
                f"{path}: {_where(found, i)}: destAxon is {found.axon[i]}, an output pin has 0 to {PINS_PER_CORE - 1}; "
                "correct it"
            )
        known = keep & (found.source_core >= 0)
        row = np.where(known, _rows_of(path, found, found.source_core, known, image), -1)
        beyond = known & ((found.source_neuron < 0) | (found.source_neuron >= image.neuron_type.shape[1]))
        if beyond.any():
            i = int(beyond.argmax())
            raise SimulationError(
                f"{path}: {_where(found, i)}: srcNeuron is {found.source_neuron[i]}, a core has 0 to "
                f"{image.neuron_type.shape[1] - 1}; give the spikes of this model"
            )
        tick, core = found.tick[keep], row[keep]
        pin = found.axon[keep] + PINS_PER_CORE * (PIN_CORE - found.core[keep])
        neuron = np.where(known, found.source_neuron, -1)[keep]
    if (pin >= image.output_pins).any():
        raise SimulationError(
            f"{path}: has output pin {pin.max()}, the image has {image.output_pins} pins; give the spikes of this model"
        )
    order = np.argsort(tick, kind="stable")
    return OutputSpikes(
        stream=np.zeros(len(tick), np.int32),
        tick=tick[order],
        pin=pin[order].astype(np.int32),
        core=core[order].astype(np.int32),
        neuron=neuron[order].astype(np.int32),
    )


def write_input(spikes: InputSpikes, image: ChipImage, path: str | os.PathLike[str]) -> None:
    """Writes input spikes; .sfti is text, .sfri binary.

    The format gives all spikes the delay 1, so one with delay d is written d − 1 ticks later. An input bit is written
    as the packets that it sends.

    Raises:
        ConfigError: the ending is another one.
        InfeasibleError: there are several streams, ticks of more than 31 bits, or spikes that arrive in tick 0.
        SimulationError: a spike goes to what the image does not have.
        ArtifactError: the file cannot be written; nothing is left behind.
    """
    atomic_write(path, input_content(spikes, image, path))


def input_content(spikes: InputSpikes, image: ChipImage, path: str | os.PathLike[str]) -> bytes:
    """Returns what `write_input` writes, and raises the same, but for writing."""
    path = _ending(path, INPUT_ENDINGS)
    _check_stream(path, spikes.stream)
    bits = spikes.core < 0
    _check_range(path, "core", spikes.core, -1, len(image.core_x))
    _check_range(path, "axon", spikes.axon[~bits], 0, image.axon_type.shape[1])
    _check_range(path, "input bit", spikes.axon[bits], 0, image.input_bits)
    records = _packets(spikes, image)
    records = records[np.argsort(records[:, 0], kind="stable")]
    if (early := records[:, 0] < 0).any():
        raise InfeasibleError(
            f"{path}: {int(early.sum())} spikes arrive in tick {records[0, 0] + 1} or soon after; those in IBM's spike "
            "files are sent from tick 0 on and arrive a tick later; send all spikes later"
        )
    if path.suffix.lower() == ".sfti":
        lines = [f'{{"spike":{{"srcTime":{t},"destCore":{c},"destAxon":{a}}}}}\n' for t, c, a in records.tolist()]
        return (_text_header("sfti1.0") + "".join(lines)).encode()
    return _raw(path, "RAWI3", records)


def write_output(spikes: OutputSpikes, image: ChipImage, path: str | os.PathLike[str]) -> None:
    """Writes output spikes; .sfto is text, .sfro binary, .sfcp pins of one connector, without who drove them.

    Raises:
        ConfigError: the ending is another one.
        InfeasibleError: there are several streams, or ticks of more than 31 bits.
        SimulationError: a pin, core or neuron is not the image's.
        ArtifactError: the file cannot be written; nothing is left behind.
    """
    path = _ending(path, OUTPUT_ENDINGS)
    _check_stream(path, spikes.stream)
    _check_range(path, "pin", spikes.pin, 0, image.output_pins)
    _check_range(path, "core", spikes.core, -1, len(image.core_x))
    _check_range(path, "neuron", spikes.neuron, -1, image.neuron_type.shape[1])
    order = np.argsort(spikes.tick, kind="stable")
    tick, pin = spikes.tick[order], spikes.pin[order].astype(np.int64)
    if path.suffix.lower() == ".sfcp":
        atomic_write(path, connector_file(path, tick, pin, image.output_pins))
        return
    row = spikes.core[order]
    source = np.where(row >= 0, core_ids(image)[row], -1)
    fields = [
        tick,
        source,
        spikes.neuron[order],
        PIN_CORE - pin // PINS_PER_CORE,
        pin % PINS_PER_CORE,
        np.ones(len(tick), np.int64),
    ]
    records = np.stack(fields, axis=1)
    if path.suffix.lower() == ".sfro":
        atomic_write(path, _raw(path, "RAWO6", records))
        return
    keys = ("srcTime", "srcCore", "srcNeuron", "destCore", "destAxon", "destDelay")
    form = '{{"spike":{{' + ",".join(f'"{key}":{{}}' for key in keys) + "}}}}\n"
    atomic_write(path, _text_header("sfto1.0") + "".join(form.format(*record) for record in records.tolist()))


def _inputs(
    tick: Int64[np.ndarray, " spikes"],
    core: Int64[np.ndarray, " spikes"],
    axon: Int64[np.ndarray, " spikes"],
    delay: np.ndarray,
) -> InputSpikes:
    """Returns input spikes in the order of their ticks."""
    order = np.argsort(tick, kind="stable")
    return InputSpikes(
        stream=np.zeros(len(tick), np.int32),
        tick=tick[order],
        core=core[order].astype(np.int32),
        axon=axon[order].astype(np.int32),
        delay=delay[order].astype(np.int32),
    )


def _where(found: _Addressed, spike: int) -> str:
    """Returns where a spike stands in its file."""
    return f"line {found.line[spike]}" if len(found.line) else f"spike {spike} in the file"


def _rows_of(
    path: Path,
    found: _Addressed,
    ids: Int64[np.ndarray, " spikes"],
    keep: Bool[np.ndarray, " spikes"],
    image: ChipImage,
) -> Int64[np.ndarray, " spikes"]:
    """Returns the image's core with each id; where not `keep`, any."""
    known = core_ids(image)
    order = np.argsort(known)
    row = order[np.searchsorted(known, ids, sorter=order).clip(max=len(known) - 1)]
    missing = keep & (known[row] != ids)
    if missing.any():
        i = int(missing.argmax())
        raise SimulationError(
            f"{path}: {_where(found, i)}: core {ids[i]} is not in the image, whose {len(known)} cores have ids "
            f"{known.min()} to {known.max()}; give the spikes of this model"
        )
    return row


def _read(path: Path) -> _Addressed | OnPins:
    """Returns the spikes in a file of any kind."""
    data = read_bytes(path)
    end = data.find(END_OF_HEADER)
    if end < 0:
        return _read_text(path, data)
    try:
        header = _header(path, list(_objects(path, data[:end].decode("utf-8-sig"))))
    except UnicodeDecodeError as error:
        malformed(path, f"has no header ({error.reason} at byte {error.start})")
    body = memoryview(data)[end + 1 :]
    match header["encoding"]:
        case "RAWI3":
            return _read_raw(path, body, 3, default_delay(path, header))
        case "RAWO6":
            return _read_raw(path, body, 6, default_delay(path, header))
        case "CONNPIN":
            return read_connectors(path, header, data, end + 1)
        case encoding:
            malformed(path, f"says that it is {encoding}, but its header ends with 0xFF as a binary file's")


def _header(path: Path, objects: list[tuple[int, Any]]) -> dict[str, Any]:
    """Returns the objects of a header as one; of text without a header, what that means."""
    header: dict[str, Any] = {"encoding": "TEXT"}  # it may have none
    for line, value in objects:
        if not isinstance(value, dict):
            malformed(path, f"line {line} is {describe(value)}, expected a header or a spike")
        header |= value
    if header["encoding"] not in ENCODINGS:
        malformed(path, f"its encoding is {describe(header['encoding'])}, must be one of {', '.join(ENCODINGS)}")
    return header


def _objects(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Yields JSON values that stand one behind the other, each with its line."""
    decoder = json.JSONDecoder(strict=False)
    position, line = 0, 1
    while True:
        start = position
        while position < len(text) and text[position].isspace():
            position += 1
        line += text.count("\n", start, position)
        if position == len(text):
            return
        try:
            value, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            malformed(path, f"line {error.lineno}, column {error.colno}: {error.msg}; it is truncated or no JSON")
        except (ValueError, RecursionError) as error:
            malformed(path, f"line {line}: {error}")
        yield line, value
        line += text.count("\n", position, end)
        position = end


def _read_text(path: Path, data: bytes) -> _Addressed:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        malformed(path, f"byte {error.start} is not UTF-8 text")
    objects = _lines(text) or list(_objects(path, text))
    first = next((i for i, (_, value) in enumerate(objects) if _is_spike(value)), len(objects))
    header = _header(path, objects[:first])
    if first == 0 == len(objects) or header["encoding"] != "TEXT":
        malformed(path, "is empty" if not objects else f"is {header['encoding']}, but has no 0xFF behind the header")
    if first == len(objects) and header.get("class") != "SpikeWriter" and "version" not in header:
        malformed(path, "has neither a header nor spikes")
    other = next((line for line, value in objects[first:] if not _is_spike(value)), None)
    if other is not None:
        malformed(path, f"line {other}: is not a spike, as the lines before it")
    line = np.array([line for line, _ in objects[first:]], np.int64)
    spikes = [value["spike"] for _, value in objects[first:]]

    def column(key: str, default: int | None = None) -> Int64[np.ndarray, " spikes"]:
        values = [spike.get(key, default) for spike in spikes]
        if not set(map(type, values)) <= {int}:
            for i, value in enumerate(values):
                number = integer(value)
                if number is None:
                    found = "is missing" if value is None else f"is {describe(value)}, expected an integer"
                    malformed(path, f"line {line[i]}: {key} {found}")
                values[i] = number
        try:
            return np.array(values, np.int64)
        except OverflowError:
            malformed(path, f"{key} has more than 64 bits")

    recorded = str(header.get("version", "")).startswith("sfto") or any("srcCore" in spike for spike in spikes)
    return _checked(
        path,
        _Addressed(
            tick=column("srcTime"),
            core=column("destCore"),
            axon=column("destAxon"),
            delay=column("destDelay", default_delay(path, header)),
            source_core=column("srcCore", -1),
            source_neuron=column("srcNeuron", -1),
            line=line,
            recorded=recorded,
        ),
    )


def _lines(text: str) -> list[tuple[int, Any]] | None:
    """Returns the JSON values of a text with one a line, each with its line; None if it is not that, or malformed."""
    numbered = [(i + 1, line) for i, line in enumerate(text.split("\n")) if line and not line.isspace()]
    try:
        values = json.loads("[" + ",".join(line for _, line in numbered) + "]", strict=False)
    except (ValueError, RecursionError):
        return None
    if len(values) != len(numbered):
        return None
    return [(line, value) for (line, _), value in zip(numbered, values, strict=True)]


def _is_spike(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("spike"), dict)


def _checked(path: Path, found: _Addressed) -> _Addressed:
    """Returns spikes, none of which is before tick 0, and no number of which is beyond all chips."""
    bad = (found.tick < 0) | (found.tick > _LAST_TICK)
    if bad.any():
        i = int(bad.argmax())
        limit = "0 or more" if found.tick[i] < 0 else f"at most {_LAST_TICK}"
        malformed(path, f"{_where(found, i)}: its tick is {found.tick[i]}, must be {limit}")
    for name in ("core", "axon", "delay", "source_core", "source_neuron"):
        values = getattr(found, name)
        bad = values != values.astype(np.int32)
        if bad.any():
            i = int(bad.argmax())
            what = name.replace("_", " ")
            malformed(path, f"{_where(found, i)}: its {what} is {values[i]}, must be a number of 32 bits")
    return found


def _read_raw(path: Path, body: memoryview, words: int, delay: int) -> _Addressed:
    """Returns the spikes of a file with 3 (RAWI3) or 6 (RAWO6) integers a spike."""
    left = len(body) % (4 * words)
    if left:
        malformed(path, f"ends {left} bytes into a spike of {4 * words}: it is truncated")
    columns = np.frombuffer(body, ">i4").reshape(-1, words).T.astype(np.int64)
    unknown = np.full(columns.shape[1], -1)
    tick, source_core, source_neuron, core, axon, delays = (
        columns if words == 6 else (columns[0], unknown, unknown, columns[1], columns[2], np.full_like(unknown, delay))
    )
    return _checked(
        path,
        _Addressed(
            tick=tick,
            core=core,
            axon=axon,
            delay=delays,
            source_core=source_core,
            source_neuron=source_neuron,
            line=np.zeros(0, np.int64),
            recorded=words == 6,
        ),
    )


def _ending(path: str | os.PathLike[str], endings: tuple[str, ...]) -> Path:
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise ConfigError(f"{path}: IBM has no such spike file; end its name with one of {', '.join(endings)}")
    return path


def _check_stream(path: Path, stream: Int32[np.ndarray, " spikes"]) -> None:
    if len(stream) and stream.min() != stream.max():
        raise InfeasibleError(
            f"{path}: IBM's spike files hold one stream, these spikes are of the streams {stream.min()} to "
            f"{stream.max()}; write one stream at a time, or .npz"
        )


def _check_range(path: Path, name: str, values: Int32[np.ndarray, " spikes"], low: int, count: int) -> None:
    """Refuses numbers that the image does not have."""
    bad = (values < low) | (values >= count)
    if bad.any():
        raise SimulationError(
            f"{path}: {name} is {values[bad.argmax()]}, the image has 0 to {count - 1}; give this image's spikes"
        )


def _packets(spikes: InputSpikes, image: ChipImage) -> Int64[np.ndarray, "packets 3"]:
    """Returns tick, core's id and axon of all that is sent, each one tick before it arrives; a bit by its packets."""
    packets = image.packets
    order = np.argsort(packets.bit, kind="stable")
    bits = np.flatnonzero(spikes.core < 0)
    first = np.searchsorted(packets.bit[order], spikes.axon[bits], side="left")
    count = np.searchsorted(packets.bit[order], spikes.axon[bits], side="right") - first
    spike = np.repeat(bits, count)
    nth = np.arange(len(spike)) - np.repeat(np.cumsum(count) - count, count)
    packet = order[np.repeat(first, count) + nth]
    of_bits = np.stack(
        [
            spikes.tick[spike] + packets.delay[packet] - 1,
            ids_at(packets.x[packet], packets.y[packet], image_arch(image)),
            packets.axon[packet],
        ],
        axis=1,
    )
    direct = np.flatnonzero(spikes.core >= 0)
    to_axons = np.stack(
        [
            spikes.tick[direct] + spikes.delay[direct] - 1,
            core_ids(image)[spikes.core[direct]],
            spikes.axon[direct],
        ],
        axis=1,
    )
    return np.concatenate([of_bits, to_axons])


def _text_header(version: str) -> str:
    first = {"class": "SpikeWriter", "encoding": "TEXT", "writer": WRITER}
    second = {"version": version, "defaultDestinationDelay": 1}
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in (first, second))


def _raw(path: Path, encoding: str, records: Int64[np.ndarray, "spikes words"]) -> bytes:
    """Returns a RAWI3 or RAWO6 file."""
    check_ticks(path, records[:, 0])
    header = {"class": "SpikeWriter", "encoding": encoding, "writer": WRITER, "defaultDestinationDelay": 1}
    return json.dumps(header, separators=(",", ":")).encode() + END_OF_HEADER + records.astype(">i4").tobytes()
