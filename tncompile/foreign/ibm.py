"""IBM's TrueNorth model files (JSON), read and written.

A type in a core's list stands for the neuron type whose name has its number: 31 for N0000001F, in decimal, as IBM's
tools write it; 0 is the unused neuron. Assumed, as other tools may copy the name's digits: all lists of a file are in
one base, which is 16 if they make no sense in base 10, because one has a digit from A to F, or a type that is not in
the file, or not as many values as a core has neurons. A whole name stands for its type, too; of names without the N,
the digits are in the base of the lists. A JSON number is decimal, if there is such a type.

Differs: `rngSeed` seeds a generator that IBM has not published; neurons that draw random numbers run with ours
(`import_notes`). `model.buildKey64`, `metadata` and unknown keys are not read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer, Shaped, UInt8

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.errors import ArtifactError, InfeasibleError
from tncompile.foreign.companion import MAX_PINS, complete, read_companion
from tncompile.foreign.ibm_format import (
    AXON_TYPES,
    CROSSBAR_CLASS,
    FLAGS,
    INTEGERS,
    LISTS,
    NEURON_CLASS,
    NOWHERE,
    PIN_CORE,
    PINS_PER_CORE,
    REVERSED,
    SIGNS,
    core_ids,
    sites_of,
)
from tncompile.foreign.ibm_text import describe, expand_runs, integer, load_json, split_runs
from tncompile.foreign.ibm_write import write_model
from tncompile.ir import ChipImage, InputPackets, NeuronTable
from tncompile.ir.base import Record

_POTENTIAL_BITS, _DELAY_MAX = TRUENORTH.potential_bits, TRUENORTH.delay_max
_BOARD_WIDTH = 4  # chips; a packet's 9-bit offset goes no further

__all__ = ["core_ids", "import_notes", "read_model", "write_model"]

_DEFAULTS: dict[str, int] = {
    **{f"sigma{k}": 1 for k in range(AXON_TYPES)},
    **{f"s{k}": 0 for k in range(1, AXON_TYPES)},
    **{f"b{k}": 0 for k in range(AXON_TYPES)},
    "c_lambda": 0,
    "TM": 0,
    "V": 0,
}
"""What a neuron type need not say."""
_ONE_BY_ONE = dict(
    zip(LISTS, (("dendrite",), ("type",), ("destCore",), ("destAxon",), ("delay", "destDelay")), strict=True)
)
"""Keys of the same where `neurons` is a list with an object a neuron, as other tools than IBM's write it."""

_HEX = re.compile(r"[0-9A-Fa-f]*", re.ASCII)
_TYPE_NAME = re.compile(r"([Nn]?)([0-9A-Fa-f]{1,8})", re.ASCII)
_TIMES = re.compile(r"(.+)[xX](\d{1,9})", re.ASCII | re.DOTALL)
_ROW_TYPE = {f"{letter}{k}": k for letter in ("S", "s", "") for k in range(AXON_TYPES)} | {
    k: k for k in range(AXON_TYPES)
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Model(Record):
    """The cores of a model file in the order of their ids.

    Attributes:
        ids: of the cores.
        crossbars: distinct ones in the order of their first use; columns in the order of the neurons.
        core_crossbar, axon_type: as in `ChipImage`.
        type_row: 0 = unused, else 1 + place in the file's list of neuron types.
        target_core: id, or one of `NOWHERE`, or `PIN_CORE` and below.
        target_axon, target_delay: as the file has them.
    """

    ids: Int64[np.ndarray, " cores"]
    crossbars: UInt8[np.ndarray, "crossbars axons bytes"]
    core_crossbar: Int32[np.ndarray, " cores"]
    axon_type: UInt8[np.ndarray, "cores axons"]
    type_row: Int64[np.ndarray, "cores size"]
    target_core: Int64[np.ndarray, "cores size"]
    target_axon: Int64[np.ndarray, "cores size"]
    target_delay: Int64[np.ndarray, "cores size"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where in a file something stands, to say so when it is wrong."""

    path: Path
    where: str

    def at(self, where: str) -> _Place:
        """Returns a place within this one."""
        return _Place(path=self.path, where=f"{self.where}, {where}" if self.where else where)

    def fail(self, what: str, hint: str) -> NoReturn:
        """Refuses the file: it is malformed."""
        raise ArtifactError(f"{self.path}: {self.where}: {what}; {hint}")

    def cannot(self, what: str, hint: str) -> NoReturn:
        """Refuses the file: it is legal, but no chip here runs it."""
        raise InfeasibleError(f"{self.path}: {self.where}: {what}; {hint}")


def read_model(path: str | os.PathLike[str]) -> ChipImage:
    """Returns the chip image of an IBM model file.

    With the companion of an export beside it, that is the image that was exported. Else the chip is TrueNorth with
    the model's crossbar size, on a board with as many chips as the largest id needs; cores are in the order of their
    ids, crossbars in the order of their first use, neuron types in the file's, behind the unused one; nothing enters
    but spikes to axons.

    Raises:
        ArtifactError: the file is not a model, or disagrees with itself or with its companion.
        InfeasibleError: it asks for what no chip here has: another neuron class or time scale, a reset beyond the
            potential, a target out of a packet's reach.
    """
    path = Path(path)
    file = _Place(path=path, where="")
    model = load_json(path)
    companion = read_companion(path)
    size = _crossbar_size(file.at("model"), model.get("model"))
    columns, names = _neuron_types(file.at("neuronTypes"), model.get("neuronTypes", []))
    cores = _read_cores(file, model, size, names)
    if companion is None:
        return _image(file, cores, columns, _arch(size, int(cores.ids[-1])))
    arch = ChipArch.model_validate_json(companion.arch)
    largest, sites = int(cores.ids[-1]), arch.size[0] * arch.size[1]
    if not size == arch.axons == arch.neurons:
        file.at("model").fail(f"crossbarSize is {size}, {arch.axons} was exported", "export the chip again")
    if largest >= sites:
        file.at(f"core {largest}").fail(f"the chip that was exported has {sites} cores", "export the chip again")
    return complete(_image(file, cores, columns, arch), companion, path)


def import_notes(image: ChipImage) -> tuple[str, ...]:
    """Returns what to know before an imported model is compared with IBM's simulator; nothing if all is the same."""
    table = image.neurons
    random = (table.stochastic_weights & (table.weights != 0)).any(axis=1) | (table.mask_bits > 0)
    random |= table.stochastic_leak & (table.leak != 0)
    random[0] = False
    count = int(random[image.neuron_type].sum())
    if not count:
        return ()
    return (
        f"{count} neurons draw random numbers (b, c_lambda or TM): they run with tncompile's generator and the seed "
        "given to it, so single spikes differ from IBM's; rngSeed is for a generator that is not published, and unused",
    )


def _crossbar_size(place: _Place, header: Any) -> int:
    """Returns the axons and neurons of a core, after checking the model's header."""
    if not isinstance(header, dict):
        place.fail("the header is missing", "name an IBM model file (.json)")
    size = integer(header.get("crossbarSize"))
    if size is None or size < 1:
        place.fail(f"crossbarSize is {describe(header.get('crossbarSize'))}, must be 1 or more", "correct it")
    if size > 4096:
        place.cannot(f"crossbarSize is {size}, a core has at most 4096 axons and neurons", "use smaller cores")
    for key, value in header.items():
        only = {"crossbarclass": CROSSBAR_CLASS, "neuronclass": NEURON_CLASS}.get(key.lower(), value)
        if value != only:
            place.cannot(f"{key} is {describe(value)}, only {only} can be run", f"use {only}")
    return size


def _arch(size: int, largest: int) -> ChipArch:
    """Returns TrueNorth with cores of a size, on a board that has a site for the largest id."""
    chips = largest // (TRUENORTH.grid[0] * TRUENORTH.grid[1]) + 1
    board = (1, chips) if chips <= _BOARD_WIDTH else (_BOARD_WIDTH, -(-chips // _BOARD_WIDTH))
    cores = {"axons": max(size, 2), "neurons": -(-size // 8) * 8, "board": board}
    return ChipArch.model_validate(TRUENORTH.model_dump() | cores)


def _neuron_types(place: _Place, types: Any) -> tuple[dict[str, Int64[np.ndarray, " types"]], list[str]]:
    """Returns the neuron types by columns, and their names."""
    if not isinstance(types, list):
        place.fail(f"is a {describe(types)}, expected a list", "list the neuron types")
    known: set[int | str] = set()
    for i, item in enumerate(types):
        here = place.at(f"type {i}")
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            here.fail(f"{describe(item)} is no object with a name", "give it one, such as N00000001")
        name, only = item["name"], item.get("class", NEURON_CLASS)
        if only != NEURON_CLASS:
            here.cannot(f"{name} is of class {describe(only)}, only {NEURON_CLASS} can be run", "use that class")
        match = _TYPE_NAME.fullmatch(name)
        keys = {name, int(match[2], 16)} if match else {name}
        if not keys.isdisjoint(known):
            here.fail(f"a type before it has the name or number of {name}", "give each its own")
        known |= keys
        if f"s{AXON_TYPES}" in item:
            here.cannot(f"{name} has s{AXON_TYPES}, the format ends with s{AXON_TYPES - 1}", "use 4 axon types")
    columns = {key: _column(place, types, key, span) for key, span in INTEGERS.items()}
    columns |= {key: _column(place, types, key, (-1, 1)) for key in SIGNS}
    columns |= {key: _column(place, types, key, (0, 1)) for key in FLAGS}
    for key in SIGNS:
        if not columns[key].all():
            place.fail(f"{types[int((columns[key] == 0).argmax())]['name']}: {key} is 0, must be −1 or 1", "correct it")
    for key, most in (("VR", _POTENTIAL_BITS - 1), ("TM", TRUENORTH.threshold_bits)):
        over = columns[key] > most
        if over.any():
            i = int(over.argmax())
            place.cannot(f"{types[i]['name']}: {key} is {columns[key][i]}, at most {most} can be run", "make it less")
    return columns, [item["name"] for item in types]


def _column(place: _Place, types: list[dict[str, Any]], key: str, span: tuple[int, int]) -> Int64[np.ndarray, " types"]:
    """Returns one number of each neuron type."""
    values = [item.get(key, _DEFAULTS.get(key)) for item in types]
    if not set(map(type, values)) <= {int, bool}:
        for i, value in enumerate(values):
            number = integer(value)
            if number is None:
                found = "is missing" if value is None else f"is {describe(value)}, must be {span[0]} to {span[1]}"
                place.fail(f"{types[i]['name']}: {key} {found}", "correct it")
            values[i] = number
    low, high = span
    wrong = next((i for i, value in enumerate(values) if not low <= value <= high), None)
    if wrong is not None:
        place.fail(f"{types[wrong]['name']}: {key} is {values[wrong]}, must be {low} to {high}", "correct it")
    return np.array(values, np.int64)


def _read_cores(file: _Place, model: dict[str, Any], size: int, names: list[str]) -> _Model:
    """Returns the cores of a model, every number checked that can be checked without a chip."""
    unordered = _core_list(file, model)
    order, ids = _ordered_ids(file, unordered)
    count = integer(model["model"].get("coreCount", len(ids)))
    if count not in (len(ids), ids[-1] + 1):
        file.at("model").fail(
            f"coreCount is {count}, the file has {len(ids)} cores", "it is truncated, export it again"
        )
    cores = [unordered[i] for i in order]
    prototypes = _prototypes(file.at("crossbarTypes"), model.get("crossbarTypes", []), size)
    weights = max(
        (k + 1 for item in model.get("neuronTypes", []) for k in range(AXON_TYPES) if f"s{k}" in item), default=4
    )

    places = [file.at(f"core {number}") for number in ids]
    neurons = [_by_lists(place.at("neurons"), core.get("neurons")) for place, core in zip(places, cores, strict=True)]
    lists = {key: np.zeros((len(cores), size), np.int64) for key in LISTS}
    lists["types"] = _type_rows([place.at("neurons, types") for place in places], neurons, size, names)
    axon_type = np.zeros((len(cores), size), np.uint8)
    core_crossbar = np.zeros(len(cores), np.int32)
    known: dict[bytes, int] = {}
    for c, core in enumerate(cores):
        here = places[c]
        if integer(core.get("timeScaleExponent", 0)) != 0:
            here.cannot(f"timeScaleExponent is {describe(core['timeScaleExponent'])}, only 0 can be run", "make it 0")
        for key, values in _neuron_lists(here.at("neurons"), neurons[c], size).items():
            lists[key][c] = values
        bits, axon_type[c] = _core_crossbar(here.at("crossbar"), core.get("crossbar"), prototypes, size)
        core_crossbar[c] = known.setdefault(_permuted(bits, lists["dendrites"][c]).tobytes(), len(known))
    if axon_type.max(initial=0) >= weights:
        c, axon = np.argwhere(axon_type >= weights)[0].tolist()
        here = file.at(f"core {ids[c]}, row {axon}")
        here.fail(f"is of type S{axon_type[c, axon]}, no neuron type has s{axon_type[c, axon]}", "add it")
    found = _Model(
        ids=ids,
        crossbars=np.frombuffer(b"".join(known), np.uint8).reshape(len(known), size, -(-size // 8)),
        core_crossbar=core_crossbar,
        axon_type=axon_type,
        type_row=lists["types"],
        target_core=lists["destCores"],
        target_axon=lists["destAxons"],
        target_delay=lists["destDelays"],
    )
    _check_targets(file, found, size)
    return found


def _core_list(file: _Place, model: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the cores in the file's order: the key `core` may be repeated, and each time be one core or a list."""
    value = model.get("core", [])
    items = [core for entry in (value if isinstance(value, list) else [value]) for core in _as_list(entry)]
    for i, core in enumerate(items):
        if not isinstance(core, dict):
            file.at(f"core number {i} in the file").fail(f"is {describe(core)}, expected an object", "correct it")
    if not items:
        file.at("core").fail("there is no core", "name an IBM model file (.json)")
    return items


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _ordered_ids(
    file: _Place, cores: list[dict[str, Any]]
) -> tuple[Int64[np.ndarray, " cores"], Int64[np.ndarray, " cores"]]:
    """Returns the order of the cores by their ids, and the ids in that order; without any ids, places in the file."""
    nameless = sum("id" not in core for core in cores) == len(cores)
    ids: list[int] = []
    for i, core in enumerate(cores):
        number = i if nameless else integer(core.get("id"))
        here = file.at(f"core number {i} in the file")
        if number is None or number < 0:
            here.fail(f"its id is {describe(core.get('id'))}, must be 0 or more", "give each core its own id")
        if number >= 1 << 20:
            here.cannot(f"its id is {number}, a board has at most {1 << 20} cores", "number the cores from 0")
        ids.append(number)
    numbers = np.array(ids, np.int64)
    order = np.argsort(numbers, kind="stable")
    twice = np.flatnonzero(np.diff(numbers[order]) == 0)
    if len(twice):
        file.at(f"core {numbers[order][twice[0]]}").fail("two cores have this id", "give each core its own id")
    return order, numbers[order]


def _prototypes(
    place: _Place, crossbars: Any, size: int
) -> dict[str, tuple[UInt8[np.ndarray, "axons bytes"], UInt8[np.ndarray, " axons"]]]:
    """Returns the crossbars of the library by name, with the types of their axons."""
    found = {}
    for i, item in enumerate(_as_list(crossbars)):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            place.at(f"entry {i}").fail(f"{describe(item)} is no object with a name", "give it one")
        name = item["name"]
        if name in found:
            place.at(name).fail("two crossbars have this name", "give each its own")
        found[name] = _rows(place.at(name), item.get("crossbar", item), size)
    return found


def _core_crossbar(
    place: _Place,
    crossbar: Any,
    prototypes: dict[str, tuple[UInt8[np.ndarray, "axons bytes"], UInt8[np.ndarray, " axons"]]],
    size: int,
) -> tuple[UInt8[np.ndarray, "axons bytes"], UInt8[np.ndarray, " axons"]]:
    """Returns a core's crossbar, its own or one from the library, and the types of its axons."""
    if isinstance(crossbar, dict) and "rows" in crossbar:
        return _rows(place, crossbar, size)
    name = crossbar.get("name") if isinstance(crossbar, dict) else crossbar
    if not isinstance(name, str):
        place.fail("has neither rows nor a name", "give it 'rows', or the name of one in crossbarTypes")
    if name not in prototypes:
        place.fail(f"no crossbar in crossbarTypes is called {name!r}", "add it, or correct the name")
    return prototypes[name]


def _rows(
    place: _Place, crossbar: Any, size: int
) -> tuple[UInt8[np.ndarray, "axons bytes"], UInt8[np.ndarray, " axons"]]:
    """Returns the crosspoints of a crossbar, the first neuron in the lowest bit, and the types of its axons."""
    rows = crossbar.get("rows") if isinstance(crossbar, dict) else None
    if not isinstance(rows, list):
        place.fail("has no rows", "give it one row an axon")
    if len(rows) != size:
        place.fail(f"has {len(rows)} rows, crossbarSize is {size}", "give it one row an axon")
    texts: list[str] = []
    types = np.zeros(size, np.uint8)
    for i, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("synapses"), str):
            place.at(f"row {i}").fail(f"{describe(row)} is no object with synapses", "give it 'type' and 'synapses'")
        kind = row.get("type")
        if not isinstance(kind, str | int) or (number := _ROW_TYPE.get(kind)) is None:
            place.at(f"row {i}").fail(f"its type is {describe(kind)}, must be S0 to S{AXON_TYPES - 1}", "correct it")
        texts.append(row["synapses"])
        types[i] = number
    data = np.frombuffer(_hex_rows(place, texts, size), np.uint8).reshape(size, -(-size // 8))
    beyond = (data[:, -1] & (0xFF >> (size % 8 or 8))) != 0
    if beyond.any():
        row = int(beyond.argmax())
        place.at(f"row {row}").fail(f"has a synapse beyond neuron {size - 1}", "give it one bit a neuron")
    return REVERSED[data], types


def _hex_rows(place: _Place, texts: list[str], size: int) -> bytes:
    """Returns rows of hexadecimal digits as bytes, a row filled up to whole bytes with zeros."""
    width = -(-size // 8)
    if len({(len(text), text.count(" ")) for text in texts}) == 1:  # so no row has more digits than another
        try:
            data = bytes.fromhex(" ".join(texts))
        except ValueError:
            data = b""
        if len(data) == size * width:
            return data
    rows = []
    for i, text in enumerate(texts):
        digits = "".join(text.split())
        if not _HEX.fullmatch(digits) or not -(-size // 4) <= len(digits) <= 2 * width:
            found = f"{describe(text)} with {len(digits)} digits"
            place.at(f"row {i}").fail(
                f"its synapses are {found}, must be {2 * width} hexadecimal digits", "give one bit a neuron"
            )
        rows.append(digits.ljust(2 * width, "0"))
    return bytes.fromhex("".join(rows))


def _permuted(
    bits: UInt8[np.ndarray, "axons bytes"], dendrites: Int64[np.ndarray, " neurons"]
) -> UInt8[np.ndarray, "axons bytes"]:
    """Returns crosspoints with column `dendrites[i]` in place i."""
    size = len(dendrites)
    if np.array_equal(dendrites, np.arange(size)):
        return bits
    return np.packbits(np.unpackbits(bits, axis=1, bitorder="little")[:, dendrites], axis=1, bitorder="little")


def _neuron_lists(place: _Place, neurons: dict[str, Any], size: int) -> dict[str, Int64[np.ndarray, " neurons"]]:
    """Returns the lists of a core's neurons, but their types."""
    found: dict[str, Int64[np.ndarray, " neurons"]] = {}
    for key in LISTS:
        here = place.at(key)
        value = neurons.get(key)
        if key == "types":
            continue
        if value is None:
            if key not in ("dendrites", "destDelays"):
                here.fail("is missing", f"give {size} values")
            found[key] = np.arange(size) if key == "dendrites" else np.ones(size, np.int64)
            continue
        try:
            found[key] = expand_runs(value, size)
        except ValueError as error:
            here.fail(str(error), f"give {size} values")
        if len(found[key]) != size:
            here.fail(f"has {len(found[key])} values, crossbarSize is {size}", f"give {size} values")
    dendrites = found["dendrites"]
    wrong = (dendrites < 0) | (dendrites >= size)
    if wrong.any():
        i = int(wrong.argmax())
        place.at(f"neuron {i}").fail(f"its dendrite is {dendrites[i]}, must be 0 to {size - 1}", "correct it")
    return found


def _by_lists(place: _Place, neurons: Any) -> dict[str, Any]:
    """Returns the lists of a core's neurons as the file has them, also if it describes them one by one."""
    if isinstance(neurons, dict):
        return neurons
    if not isinstance(neurons, list):
        place.fail("are missing", f"give {', '.join(LISTS)}")
    for i, neuron in enumerate(neurons):
        if not isinstance(neuron, dict):
            place.at(f"neuron {i}").fail(f"is {describe(neuron)}, expected an object", "correct it")
    found = {}
    for key, names in _ONE_BY_ONE.items():
        name = next((name for name in names if neurons and name in neurons[0]), None)
        if name is not None:
            missing = next((i for i, neuron in enumerate(neurons) if name not in neuron), None)
            if missing is not None:
                place.at(f"neuron {missing}").fail(f"has no {name}", "give it to every neuron or to none")
            found[key] = [neuron[name] for neuron in neurons]
    return found


class _UnknownType(Exception):
    """A list has a type that is not in the file; says which."""


class _Types:
    """The neuron types of a file by what lists call them, with numbers in strings in one base."""

    def __init__(self, names: Sequence[str], base: int) -> None:
        self._base = base
        self._rows: dict[int | str, int] = {}
        self._known: dict[int | str, Sequence[int]] = {}
        for row, name in enumerate(names, 1):
            self._rows[name] = row
            if match := _TYPE_NAME.fullmatch(name):
                digits, base_of_name = match[2], 16 if match[1] else base
                if base_of_name == 16 or digits.isdecimal():
                    self._rows.setdefault(int(digits, base_of_name), row)
        self._rows[0] = 0

    def rows(self, values: Any, size: int) -> list[int]:
        """Returns the rows of the neuron table that a core's list names, 0 = unused.

        Raises:
            ValueError: the list is malformed, or has not `size` values; says what.
            _UnknownType: a type is not in the file.
        """
        found: list[int] = []
        for entry in _as_list(values):
            if type(entry) not in (int, str):
                found.append(self._number(entry))
                continue
            if entry not in self._known:
                self._known[entry] = self._text(entry, size) if isinstance(entry, str) else [self._number(entry)]
            found.extend(self._known[entry])
            if len(found) > size:
                break
        if len(found) != size:
            more = " or more" if len(found) > size else ""
            raise ValueError(f"has {len(found)} values{more}, crossbarSize is {size}")
        return found

    def _number(self, entry: Any) -> int:
        """Returns the row that an entry which is no string stands for; raises as `rows`."""
        number = expand_runs([entry], 1).item()
        text = str(number)
        if text in self._rows:
            return self._rows[text]
        if self._base == 16 and number not in self._rows and text.isdecimal():
            number = int(text, 16)
        return self._row(number, text)

    def _text(self, entry: str, limit: int) -> Sequence[int]:
        """Returns the rows that a string stands for; raises as `rows`."""
        if entry in self._rows:
            return (self._rows[entry],)
        found: list[int] = []
        for run in split_runs(entry):
            found.extend(self._run(run, limit))
            if len(found) > limit:
                break
        return found

    def _run(self, run: str, limit: int) -> Sequence[int]:
        """Returns the rows that one run stands for; raises as `rows`."""
        times = _TIMES.fullmatch(run)
        name, count = (times[1], int(times[2])) if times else (run, 1)
        match = _TYPE_NAME.fullmatch(name)
        if name in self._rows or (match and match[1]):
            if count > limit:
                raise ValueError(f"{describe(run)} are {count} values, at most {limit} fit")
            row = self._rows.get(name)
            if row is None and match:
                row = self._rows.get(int(match[2], 16))
            if row is None:
                raise _UnknownType(f"{describe(run)} is not in neuronTypes")
            return (row,) * count
        numbers = expand_runs(run, limit, self._base).tolist()
        row_of = {
            number: self._row(number, f"{number:X}" if self._base == 16 else str(number)) for number in set(numbers)
        }
        return [row_of[number] for number in numbers]

    def _row(self, number: int, text: str) -> int:
        if number not in self._rows:
            name = f" (N{number:08X})" if number > 0 else ""
            raise _UnknownType(f"type {text} is not in neuronTypes{name}, nor 0 (unused)")
        return self._rows[number]


def _type_rows(
    places: Sequence[_Place], neurons: Sequence[dict[str, Any]], size: int, names: list[str]
) -> Int64[np.ndarray, "cores size"]:
    """Returns the row of the neuron table that each neuron of each core has, 0 = unused.

    Numbers are read in the base in which all lists of the file make sense, see above; 10 if they do in both.
    """
    lists = [core.get("types") for core in neurons]
    for place, types in zip(places, lists, strict=True):
        if types is None:
            place.fail("is missing", f"give {size} values")
    problems: list[tuple[_Place, Exception]] = []
    rows = np.zeros((len(lists), size), np.int64)
    for base in (10, 16):
        table, core = _Types(names, base), 0
        try:
            for core, types in enumerate(lists):
                rows[core] = table.rows(types, size)
            return rows
        except (ValueError, _UnknownType) as error:
            problems.append((places[core], error))
    (_, first), (_, second) = problems
    place, error = problems[isinstance(first, ValueError) and isinstance(second, _UnknownType)]
    if isinstance(error, _UnknownType):
        place.fail(str(error), "add the type")
    place.fail(str(error), f"give {size} values")


def _check_targets(file: _Place, model: _Model, size: int) -> None:
    """Refuses addresses that no neuron may have."""
    core, axon, delay = model.target_core, model.target_axon, model.target_delay
    to_core, to_pin = _to_core(model), core <= PIN_CORE
    far = PIN_CORE - MAX_PINS // PINS_PER_CORE + 1
    for name, values, bad, limit in (
        (
            "destCore",
            core,
            (core < 0) & ~to_pin & ~np.isin(core, NOWHERE),
            "an id, −1 (not connected), −2 (discarded), or −32 and below (output pins)",
        ),
        ("destCore", core, core < far, f"at least {far}: there are at most {MAX_PINS} output pins"),
        ("destCore", core, to_core & ~np.isin(core, model.ids), "the id of a core in the file"),
        ("destAxon", axon, to_core & ((axon < 0) | (axon >= size)), f"0 to {size - 1}"),
        ("destAxon", axon, to_pin & ((axon < 0) | (axon >= PINS_PER_CORE)), f"0 to {PINS_PER_CORE - 1} for a pin"),
        ("destDelay", delay, to_core & ((delay < 1) | (delay > _DELAY_MAX)), f"1 to {_DELAY_MAX} ticks"),
    ):
        if bad.any():
            c, n = np.argwhere(bad)[0].tolist()
            more = int(bad.sum()) - 1
            file.at(f"core {model.ids[c]}, neuron {n}").fail(
                f"its {name} is {values[c, n]}, must be {limit}",
                f"correct it and {more} more" if more else "correct it",
            )


def _to_core(model: _Model) -> Bool[np.ndarray, "cores size"]:
    """Returns which neurons send to a core; where one that never spikes would send to, if nowhere, does not matter."""
    return (model.target_core >= 0) & (np.isin(model.target_core, model.ids) | (model.type_row != 0))


def _image(file: _Place, model: _Model, columns: dict[str, Int64[np.ndarray, " types"]], arch: ChipArch) -> ChipImage:
    """Returns a model's cores on a chip.

    Raises:
        ArtifactError: an axon or a neuron uses an axon type that the chip has not.
        InfeasibleError: a target is out of a packet's reach.
    """
    size = model.type_row.shape[1]
    if model.axon_type.max(initial=0) >= arch.axon_types:
        c, axon = np.argwhere(model.axon_type >= arch.axon_types)[0].tolist()
        here = file.at(f"core {model.ids[c]}, row {axon}")
        here.fail(
            f"is of type S{model.axon_type[c, axon]}, the chip has {arch.axon_types} axon types", "export it again"
        )
    to_core, to_pin = _to_core(model), model.target_core <= PIN_CORE
    x, y = sites_of(model.ids, arch)
    target = np.searchsorted(model.ids, np.where(to_core, model.target_core, model.ids[0]))
    dx, dy = (np.where(to_core, at[target] - at[:, None], 0) for at in (x, y))
    far = np.maximum(np.abs(dx), np.abs(dy)) > arch.offset_max
    if far.any():
        c, n = np.argwhere(far)[0].tolist()
        file.at(f"core {model.ids[c]}, neuron {n}").cannot(
            f"core {model.target_core[c, n]} is ({dx[c, n]}, {dy[c, n]}) cores away, packets reach {arch.offset_max}",
            "give cores that are connected ids on chips that are close",
        )
    pin = np.where(to_pin, model.target_axon + PINS_PER_CORE * (PIN_CORE - model.target_core), -1)
    crossbars = np.zeros((len(model.crossbars), arch.axons, arch.neurons // 8), np.uint8)
    crossbars[:, :size] = model.crossbars
    return ChipImage(
        arch=arch.model_dump_json(),
        input_bits=0,
        output_pins=int(pin.max()) + 1,
        latency=-1,
        core_x=x.astype(np.int32),
        core_y=y.astype(np.int32),
        core_crossbar=model.core_crossbar,
        crossbars=crossbars,
        axon_type=_padded(model.axon_type, arch.axons, 0).astype(np.uint8),
        neurons=_table(file.at("neuronTypes"), columns, arch.axon_types),
        neuron_type=_padded(model.type_row, arch.neurons, 0).astype(np.int32),
        dx=_padded(dx, arch.neurons, 0).astype(np.int16),
        dy=_padded(dy, arch.neurons, 0).astype(np.int16),
        target_axon=_padded(np.where(to_core, model.target_axon, 0), arch.neurons, 0).astype(np.int16),
        target_delay=_padded(np.where(to_core, model.target_delay, 0), arch.neurons, 0).astype(np.uint8),
        output_pin=_padded(pin, arch.neurons, -1).astype(np.int32),
        packets=InputPackets(
            bit=np.zeros(0, np.int32),
            x=np.zeros(0, np.int32),
            y=np.zeros(0, np.int32),
            axon=np.zeros(0, np.int16),
            delay=np.zeros(0, np.uint8),
        ),
        host=None,
    )


def _padded(values: Integer[np.ndarray, "cores used"], width: int, fill: int) -> Integer[np.ndarray, "cores width"]:
    """Returns rows filled up to a width."""
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=fill)


def _table(place: _Place, columns: dict[str, Int64[np.ndarray, " types"]], axon_types: int) -> NeuronTable:
    """Returns the neuron table: the unused neuron, then the file's types."""
    weights = np.stack([columns[f"sigma{k}"] * columns[f"s{k}"] for k in range(AXON_TYPES)], axis=1)
    if weights[:, axon_types:].any():
        place.fail(f"a weight is beyond the chip's {axon_types} axon types", "export the chip again")

    def column(values: Int64[np.ndarray, "types ..."], kind: type, unused: int = 0) -> Shaped[np.ndarray, "rows ..."]:
        return np.concatenate([np.full((1, *values.shape[1:]), unused), values]).astype(kind)

    return NeuronTable(
        weights=column(weights[:, :axon_types], np.int16),
        stochastic_weights=column(np.stack([columns[f"b{k}"] for k in range(axon_types)], axis=1), np.bool_),
        leak=column(columns["sigma_lambda"] * columns["lambda"], np.int16),
        leak_reversal=column(columns["epsilon"], np.bool_),
        stochastic_leak=column(columns["c_lambda"], np.bool_),
        threshold=column(columns["alpha"], np.int32, unused=1),
        negative_threshold=column(columns["beta"], np.int32),
        mask_bits=column(columns["TM"], np.uint8),
        reset_mode=column(columns["gamma"], np.uint8),
        negative_saturate=column(columns["kappa"], np.bool_, unused=1),
        reset=column(columns["sigma_VR"] * ((1 << columns["VR"]) - 1), np.int32),
        initial=column(columns["V"], np.int32),
    )
