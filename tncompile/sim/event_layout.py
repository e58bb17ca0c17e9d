"""A chip image in the form that the engine `event` reads: rows of lanes, a record of row numbers a core, and routes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int8, Int16, Int32, Int64, Integer, Shaped, UInt8, UInt32, UInt64

from tncompile.arch import ChipArch
from tncompile.ir import ChipImage, NeuronTable, ResetMode
from tncompile.ir.base import Record
from tncompile.sim import event_kernel as kernel
from tncompile.sim.event_kernel import LANES, Job
from tncompile.sim.native import address, aligned, fixed, lined_up
from tncompile.sim.neurons import stateless_rows, stochastic_rows
from tncompile.sim.wiring import Wiring

_SHORT, _NARROW = (1 << 7) - 1, (1 << 15) - 1  # largest numbers of 8 and 16 bits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout(Record):
    """Sizes and arrays of an image, by the names of `Job`; lines also know their input bit."""

    words: int
    axon_words: int
    rows: int
    record: Int32[np.ndarray, "cores columns"]
    crossbars: UInt64[np.ndarray, "crossbars axons words"]
    axon_type: UInt8[np.ndarray, "cores axons"]
    short: Int8[np.ndarray, "short_rows lanes"]
    narrow: Int16[np.ndarray, "narrow_rows lanes"]
    wide: Int32[np.ndarray, "wide_rows lanes"]
    flags: UInt8[np.ndarray, "flag_rows lanes"]
    route: UInt32[np.ndarray, " senders"] | UInt64[np.ndarray, " senders"]
    pin: Int32[np.ndarray, " senders"]
    line_first: Int64[np.ndarray, " bits_and_1"]
    line: UInt64[np.ndarray, " lines"]
    line_bit: Int64[np.ndarray, " lines"]


def lay_out(image: ChipImage, wiring: Wiring) -> Layout:
    """Returns the layout of an image."""
    arch = wiring.arch
    words, axon_words = -(-arch.neurons // LANES), -(-arch.axons // 64)
    senders = image.neuron_type.size
    core, axon = np.divmod(wiring.target, arch.axons)
    bit = core * (axon_words * 64) + axon
    routes = wiring.delay.astype(np.uint64) | bit.astype(np.uint64) << np.uint64(kernel.TARGET_SHIFT)
    from_neuron = wiring.source < senders
    route = np.zeros(senders, np.uint64)
    route[wiring.source[from_neuron]] = routes[from_neuron]
    route[wiring.pin_source] |= np.uint64(kernel.PIN_FLAG)

    line, line_bit = routes[~from_neuron], wiring.source[~from_neuron] - senders
    order = np.argsort(line_bit, kind="stable")
    record, pools = _neurons(image, arch, words * LANES)
    return Layout(
        words=words,
        axon_words=axon_words,
        rows=int(wiring.delay.max(initial=1)) + 1,
        record=record,
        crossbars=_crossbars(image, words),
        axon_type=image.axon_type,
        short=pools.short.rows(),
        narrow=pools.narrow.rows(),
        wide=pools.wide.rows(),
        flags=pools.flags.rows(),
        route=lined_up(route.astype(np.uint32) if int(route.max(initial=0)) < 1 << 32 else route),
        pin=image.output_pin.reshape(-1),
        line_first=np.searchsorted(line_bit[order], np.arange(image.input_bits + 1)),
        line=line[order],
        line_bit=line_bit[order],
    )


def first_job(layout: Layout, image: ChipImage, arch: ChipArch) -> Job:
    """Returns the part of a job that is the same for all runs; the rest of it is 0."""
    low, high = arch.potential_range
    same = {field.name: getattr(layout, field.name) for field in fields(layout) if field.name in Job._fields}
    return Job(*[0] * len(Job._fields))._replace(
        **{name: address(value) if isinstance(value, np.ndarray) else value for name, value in same.items()},
        cores=len(image.core_x),
        neurons=arch.neurons,
        axons=arch.axons,
        axon_types=arch.axon_types,
        input_bits=image.input_bits,
        pins=image.output_pins,
        delays=arch.delay_max,
        columns=layout.record.shape[1],
        low=low,
        high=high,
        excess=32 - arch.potential_bits if arch.neuron == "ranc" else 0,
        inclusive=int(arch.negative_inclusive),
        short_routes=int(layout.route.itemsize == 4),
    )


def _crossbars(image: ChipImage, words: int) -> UInt64[np.ndarray, "crossbars axons words"]:
    """Returns the crossbars in words; those of the image, if they lie as they should."""
    count, axons, size = image.crossbars.shape
    if size % 8 == 0:
        return lined_up(lined_up(image.crossbars).view(np.uint64))
    padded = aligned((count, axons, words * 8), np.uint8)
    padded[:, :, :size] = image.crossbars
    return fixed(padded).view(np.uint64)


class _Pool:
    """Rows of numbers, equal ones stored once."""

    def __init__(self, lanes: int, dtype: type) -> None:
        self._lanes, self._dtype = lanes, dtype
        self._place: dict[bytes, int] = {}

    def add(self, rows: Integer[np.ndarray, "n lanes"]) -> Int32[np.ndarray, " n"]:
        """Returns where each row stands in the pool, from now on."""
        rows, place = np.ascontiguousarray(rows, self._dtype), self._place
        return np.array([place.setdefault(row.tobytes(), len(place)) for row in rows], np.int32).reshape(len(rows))

    def rows(self) -> Shaped[np.ndarray, "rows lanes"]:
        """Returns all rows."""
        pooled = aligned((len(self._place), self._lanes), self._dtype)
        for row, content in zip(pooled, self._place, strict=True):
            row[:] = np.frombuffer(content, self._dtype)
        return fixed(pooled)


class _Pools(NamedTuple):
    """The pools by their width."""

    short: _Pool
    narrow: _Pool
    wide: _Pool
    flags: _Pool


def _neurons(image: ChipImage, arch: ChipArch, lanes: int) -> tuple[Int32[np.ndarray, "cores columns"], _Pools]:
    """Returns the cores' records, and the pools that they point to.

    What is the same for cores with the same neurons is found once for all of them.
    """
    populations = _Pool(lanes, np.int32)
    padded = np.zeros((len(image.neuron_type), lanes), np.int32)
    padded[:, : arch.neurons] = image.neuron_type
    population = populations.add(padded)
    types = populations.rows()
    table = _inert_row_0(image.neurons)
    largest = np.stack([_largest(table.weights[:, g], types) for g in range(arch.axon_types)], axis=1)
    path = _paths(table, types, population, largest, image.axon_type, arch)

    kinds, which = np.unique(np.stack([population, path], axis=1), axis=0, return_inverse=True)
    types, path, largest = types[kinds[:, 0]], kinds[:, 1], largest[kinds[:, 0]]
    pools = _Pools(_Pool(lanes, np.int8), _Pool(lanes, np.int16), _Pool(lanes, np.int32), _Pool(lanes, np.uint8))
    record = np.full((len(kinds), kernel.FIRST_WEIGHT + 2 * arch.axon_types), -1, np.int32)

    def add(column: int, pool: _Pool, cores: Bool[np.ndarray, " kinds"], values: Integer[np.ndarray, " types"]) -> None:
        record[cores, column] = pool.add(values[types[cores]])

    def has(types_that: Bool[np.ndarray, " types"]) -> Bool[np.ndarray, " kinds"]:
        return np.any(types_that[types], axis=1)

    stateless, plain, whole = (path == way for way in (kernel.STATELESS, kernel.PLAIN, kernel.WHOLE))
    record[:, kernel.PATH] = path
    record[:, kernel.DRAWS] = kernel.NEURON_DRAWS * has(table.stochastic_leak | (table.mask_bits > 0))
    record[:, kernel.DRAWS] |= kernel.SYNAPSE_DRAWS * has(np.any(table.stochastic_weights, axis=1))
    # All axons of a stateless core fit in 16 bits together, or it would not be one.
    record[:, kernel.LIMIT] = np.where(stateless, arch.axons, np.maximum(_NARROW // np.maximum(largest.max(1), 1), 1))
    short = largest.max(axis=1) <= _SHORT
    record[:, kernel.SHORT] = short
    for g in range(arch.axon_types):
        weights, chance = table.weights[:, g], table.stochastic_weights[:, g]
        add(kernel.FIRST_WEIGHT + g, pools.short, short, np.where(chance, 0, weights))
        add(kernel.FIRST_WEIGHT + g, pools.narrow, ~short, np.where(chance, 0, weights))
        add(kernel.FIRST_WEIGHT + arch.axon_types + g, pools.narrow, has(chance), np.where(chance, weights, 0))

    bound = np.clip(table.threshold - table.leak.astype(np.int64), -_NARROW, _NARROW)
    bound[0] = _NARROW  # out of reach
    add(kernel.ALPHA, pools.narrow, stateless, bound)
    for cores, pool in ((plain, pools.narrow), (whole, pools.wide)):
        add(kernel.LEAK, pools.narrow, cores, table.leak)
        add(kernel.ALPHA, pool, cores, table.threshold)
        add(kernel.BETA, pool, cores, table.negative_threshold)
        add(kernel.RESET, pool, cores, table.reset)
        add(kernel.FLAGS, pools.flags, cores, _flags(table))
    mask = (np.uint64(1) << np.minimum(table.mask_bits, 32).astype(np.uint64)) - np.uint64(1)
    add(kernel.MASK, pools.wide, whole, mask.astype(np.uint32).view(np.int32))

    record = record[which.reshape(-1)]
    record[:, kernel.CROSSBAR] = image.core_crossbar
    return record, pools


def _inert_row_0(table: NeuronTable) -> NeuronTable:
    """Returns the table with a row 0 that does what it should, whatever stood there: V = 0 and no spike."""

    def without(values: Shaped[np.ndarray, "types *_"], inert: int = 0) -> Shaped[np.ndarray, "types *_"]:
        values = values.copy()
        values[0] = inert
        return values

    values = {field.name: without(getattr(table, field.name)) for field in fields(table)}
    thresholds = {name: without(values[name], 1) for name in ("threshold", "negative_threshold")}
    return NeuronTable(**(values | thresholds))


def _largest(
    weights: Int16[np.ndarray, " types"], types: Int32[np.ndarray, "populations lanes"]
) -> Int64[np.ndarray, " populations"]:
    """Returns the largest |s| of an axon type in each population [LSB]."""
    return np.abs(weights.astype(np.int64))[types].max(axis=1)


def _paths(
    table: NeuronTable,
    types: Int32[np.ndarray, "populations lanes"],
    population: Int32[np.ndarray, " cores"],
    largest: Int64[np.ndarray, "populations axon_types"],
    axon_type: UInt8[np.ndarray, "cores axons"],
    arch: ChipArch,
) -> Int64[np.ndarray, " cores"]:
    """Returns the simplest path that each core can take.

    Neurons are one comparison, Σ s ≥ α − λ, only if no sum leaves the potential's range: it might saturate, or wrap, so
    that it falls on the other side of the threshold. A leak that saturates does not: the ends lie on either side.
    """
    stateless = stateless_rows(table)
    stateless[0] = True
    small = np.stack([np.abs(v) <= _NARROW for v in (table.threshold, table.negative_threshold, table.reset)])
    plain = np.all(small, axis=0) & ~stochastic_rows(table) & ~table.leak_reversal & (arch.neuron == "truenorth")

    axons = np.stack([(axon_type == g).sum(axis=1) for g in range(arch.axon_types)], axis=1)
    reach = (axons * largest[population]).sum(axis=1)
    leak = _largest(table.leak, types)[population] if arch.neuron == "ranc" else 0
    fits = (reach < _NARROW) & (reach + leak <= arch.potential_range[1])
    return np.where(
        np.all(stateless[types], axis=1)[population] & fits,
        kernel.STATELESS,
        np.where(np.all(plain[types], axis=1)[population], kernel.PLAIN, kernel.WHOLE),
    )


def _flags(table: NeuronTable) -> UInt8[np.ndarray, " types"]:
    """Returns what the neurons do besides adding numbers, as bits."""
    bits = {
        kernel.SUBTRACT: table.reset_mode == ResetMode.SUBTRACT,
        kernel.KEEP: table.reset_mode == ResetMode.KEEP,
        kernel.SATURATE: table.negative_saturate,
        kernel.REVERSAL: table.leak_reversal,
        kernel.STOCHASTIC_LEAK: table.stochastic_leak,
    }
    return np.sum([np.where(rows, bit, 0) for bit, rows in bits.items()], axis=0).astype(np.uint8)
