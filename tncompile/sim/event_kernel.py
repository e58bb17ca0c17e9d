"""The compiled part of the engine `event`: the ticks of one thread.

Numba knows no vectors. The one that it needs, 64 lanes of 16 bits to add weights in, is a type of its own here with
three operations; loops over neurons are left to LLVM, which makes vectors of them itself if all numbers keep their 32
bits: Numba takes the sum of two int32 for an int64, hence the many `_i32`. Arrays are passed as addresses: compiling
and counting references to them costs more than the rest.

Everything that `work` calls stands in this file, for Numba's cache looks at the age of this file alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, no_type_check

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, models, register_model

from tncompile.native import kept
from tncompile.sim.native import DONE, IDLE

LANES = 64  # neurons of a word of a crossbar's row
BLOCK = 32  # cores that a thread takes at a time
AHEAD = 4  # cores between looking for a core's active axons and evaluating it

FINISHED = 8  # place in `Job.progress`: on another line of the cache than the tasks that are taken
_PATIENCE = 20_000  # looks at the other threads' progress before the interpreter may do something else

# Columns of `Job.record`: the core's path through `_evaluate`, what it draws, how many axons' weights always fit in 16
# bits together, whether its weights are of 8 bits, and row numbers: first those of the neurons' parameters, then one an
# axon type for the weights of deterministic synapses, and one for those of stochastic ones, −1 = none.
PATH, DRAWS, LIMIT, SHORT, CROSSBAR, LEAK, ALPHA, BETA, RESET, FLAGS, MASK, FIRST_WEIGHT = range(12)

# Paths.
STATELESS, PLAIN, WHOLE = range(3)

# Bits of DRAWS.
NEURON_DRAWS, SYNAPSE_DRAWS = 1, 2

# Bits of a row of flags.
SUBTRACT, KEEP, SATURATE, REVERSAL, STOCHASTIC_LEAK = 1, 2, 4, 8, 16

# A route: the delay in the low bits, 0 = goes to no axon; whether there is a pin; then the axon, core · words of a
# core's axons · 64 + axon. So 2^25 axons have room in 32 bits.
DELAY_MASK, PIN_FLAG, TARGET_SHIFT = 63, 64, 7


class Job(NamedTuple):
    """One run: numbers, and addresses of arrays.

    A tick is a sequence of tasks, blocks of cores. Threads take tasks in their order; a tick begins when the last task
    before it is finished. Each thread has a scheduler of its own, in which it enters the spikes that it sends; what
    stands in a row is the OR of all of them. So no two threads ever write to one word.

    Attributes:
        batch, ticks, first_tick: streams and ticks of the run, and the number of its first tick.
        cores, neurons, axons, axon_types, input_bits, pins, watched: how many.
        words: words of a crossbar's row; the neurons of a core take 64 · words lanes.
        axon_words: words of a core's axons in a row of the scheduler.
        rows: of the scheduler; the row of a tick is its number modulo that.
        delays: ticks of history.
        columns: of `record`.
        copies: schedulers.
        low, high: ends of the potential's range. [LSB]
        excess: bits by which an int32 is longer than a potential that wraps, else 0. [bit]
        inclusive: 1 = V ≤ −β for V < −β.
        short_routes: 1 = `route` has 32 bits an element.
        progress: tasks taken, and, at FINISHED, tasks finished. [int64]
        seeds: of each stream. [uint32]
        record: of each core. [int32]
        crossbars: rows of axons; row crossbar · axons + axon. [uint64]
        axon_type: of each core's axons. [uint8]
        short: rows of lanes: weights of the cores that are SHORT. [int8]
        narrow: rows of lanes: other weights, and the parameters of plain and stateless neurons. [int16]
        wide: rows of lanes: the parameters of other neurons. [int32]
        flags: rows of lanes. [uint8]
        route: of each core's neurons. [uint32 or uint64]
        pin: of each core's neurons, if any. [int32]
        line_first: first line of each input bit. [int64]
        line: routes. [uint64]
        watch: the place of each core among the watched ones, −1 = not watched. [int32]
        large: of each stream's cores: 1 = V stands in `potential`, 0 = in `small`. [uint8]
        small: V of each stream's cores, in lanes, if all of the core's fit. [int16]
        potential: V of each stream's cores, in lanes. [int32]
        scheduler: of each thread: of each stream: rows of the cores' axons. [uint64]
        history: of each stream: the spikes of the last ticks; that of a tick is at its number modulo delays. [uint64]
        rest: of each stream's cores: 1 = a tick without active axons changes nothing. [uint8]
        frames, pin_spikes: input bits and output pins of each stream's ticks, one a byte. [uint8]
        watched_spikes, watched_potential: of the neurons of the watched cores. [uint8, int32]
    """

    batch: int
    ticks: int
    first_tick: int
    cores: int
    neurons: int
    axons: int
    axon_types: int
    input_bits: int
    pins: int
    watched: int
    words: int
    axon_words: int
    rows: int
    delays: int
    columns: int
    copies: int
    low: int
    high: int
    excess: int
    inclusive: int
    short_routes: int
    progress: int
    seeds: int
    record: int
    crossbars: int
    axon_type: int
    short: int
    narrow: int
    wide: int
    flags: int
    route: int
    pin: int
    line_first: int
    line: int
    watch: int
    large: int
    small: int
    potential: int
    scheduler: int
    history: int
    rest: int
    frames: int
    pin_spikes: int
    watched_spikes: int
    watched_potential: int


class _Now(NamedTuple):
    """A tick of a stream.

    Attributes:
        stream: number of the stream.
        tick: number of the tick.
        turn: the tick in this run.
        row: of the scheduler.
        slot: of the history.
    """

    stream: int
    tick: int
    turn: int
    row: int
    slot: int


class Scratch(NamedTuple):
    """What one thread writes to: its number, and addresses of arrays.

    Attributes:
        thread: number.
        first: first active axon of each core of a block. [int64]
        row: the crossbar word at which the row of each active axon begins. [int64]
        weight: the lane at which its weights begin. [int64]
        bits: four words of the row of each axon that is being added. [uint64]
        total: Σ of the weights. [int16]
        chance: F(s, ρ) sgn(s). [int16]
        potential: V. [int32]
        word0, word1: random words. [uint32]
        spiked: 1 = a spike. [uint8]
        sender: core · neurons + neuron of each spike of a block. [int64]
    """

    thread: int
    first: int
    row: int
    weight: int
    bits: int
    total: int
    chance: int
    potential: int
    word0: int
    word1: int
    spiked: int
    sender: int


_I1, _I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
_LLVM_LANES = ir.VectorType(_I16, LANES)
_LLVM_BYTES = ir.VectorType(_I8, LANES)


class _LanesType(types.Type):
    """64 sums of weights, in registers."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    """How the lanes look to LLVM."""

    @no_type_check
    def __init__(self, manager, kind) -> None:
        super().__init__(manager, kind, _LLVM_LANES)


_LANES = _LanesType()
_i32, _u32 = np.int32, np.uint32
_options = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # called by `work` alone
_function, _inline = njit(**_options), njit(forceinline=True, **_options)


def _element(builder, address, index, kind):
    """Returns the pointer to an element of the array at an address."""
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])


def _vector(builder, address, index, kind):
    """Returns the pointer to the vector that begins with an element."""
    return builder.bitcast(_element(builder, address, index, kind.element), kind.as_pointer())


def _reader(kind: ir.IntType, number: Any) -> Callable[..., Any]:
    """Returns a function (address, index) that reads an element of an array as a number of at least its width."""

    @intrinsic
    @no_type_check
    def read(_, address, index):
        def emit(context, builder, signature, args):
            value = builder.load(_element(builder, args[0], args[1], kind), align=kind.width // 8)
            if kind.width == number.bitwidth:
                return value
            return (builder.zext if kind == _I8 else builder.sext)(value, ir.IntType(number.bitwidth))

        return number(address, index), emit

    return read


_byte, _half = _reader(_I8, types.int32), _reader(_I16, types.int32)
_int32, _uint32 = _reader(_I32, types.int32), _reader(_I32, types.uint32)
_int64, _word = _reader(_I64, types.int64), _reader(_I64, types.uint64)


def _writer(kind: ir.IntType) -> Callable[..., Any]:
    """Returns a function (address, index, value) that writes an integer of at least the elements' width."""

    @intrinsic
    @no_type_check
    def write(_, address, index, value):
        def emit(context, builder, signature, args):
            address, index, value = args
            value = value if value.type == kind else builder.trunc(value, kind)
            builder.store(value, _element(builder, address, index, kind), align=kind.width // 8)
            return context.get_dummy_value()

        return types.void(address, index, value), emit

    return write


_write_byte, _write_half, _write_int, _write_word = (_writer(kind) for kind in (_I8, _I16, _I32, _I64))


@intrinsic
@no_type_check
def _fetch_add(_, address, index, value):
    """Adds to an int64 that other threads add to, and returns what it was; what was written before is seen by them."""

    def emit(context, builder, signature, args):
        address, index, value = args
        return builder.atomic_rmw("add", _element(builder, address, index, _I64), value, "acq_rel")

    return types.int64(address, index, value), emit


@intrinsic
@no_type_check
def _fetch(_, address, index):
    """Returns an int64 that other threads add to, and sees all that they wrote before."""

    def emit(context, builder, signature, args):
        return builder.load_atomic(_element(builder, args[0], args[1], _I64), "acquire", 8)

    return types.int64(address, index), emit


@intrinsic
@no_type_check
def _lowest(_, word):
    """Returns the number of the lowest bit that is set in a word that is not 0."""

    def emit(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(_I1, 1))

    return types.int64(word), emit


@intrinsic
@no_type_check
def _prefetch(_, address, index):
    """Asks for the line of the cache on which a word lies."""

    def emit(context, builder, signature, args):
        pointer = builder.bitcast(_element(builder, args[0], args[1], _I64), _I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _I32, _I32, _I32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        builder.call(function, [pointer, *(ir.Constant(_I32, option) for option in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(address, index), emit


@intrinsic
@no_type_check
def _no_lanes(_):
    """Returns 64 zeros."""

    def emit(context, builder, signature, args):
        return ir.Constant(_LLVM_LANES, None)

    return _LANES(), emit


def _adder(kind: ir.VectorType) -> Callable[..., Any]:
    """Returns a function that adds those of 64 weights to the lanes whose bits are set in a word."""

    @intrinsic
    @no_type_check
    def add_where(_, lanes, bits, bits_at, weights, weights_at):
        def emit(context, builder, signature, args):
            lanes, bits, bits_at, weights, weights_at = args
            word = builder.load(_element(builder, bits, bits_at, _I64), align=8)
            where = builder.bitcast(word, ir.VectorType(_I1, LANES))
            more = builder.load(_vector(builder, weights, weights_at, kind), align=kind.element.width // 8)
            more = more if kind == _LLVM_LANES else builder.sext(more, _LLVM_LANES)
            return builder.add(lanes, builder.select(where, more, ir.Constant(_LLVM_LANES, None)))

        return _LANES(lanes, bits, bits_at, weights, weights_at), emit

    return add_where


_add_halves_where, _add_bytes_where = _adder(_LLVM_LANES), _adder(_LLVM_BYTES)


@intrinsic
@no_type_check
def _load_lanes(_, address, index):
    """Returns 64 elements of an array of int16."""

    def emit(context, builder, signature, args):
        return builder.load(_vector(builder, args[0], args[1], _LLVM_LANES), align=2)

    return _LANES(address, index), emit


@intrinsic
@no_type_check
def _store_lanes(_, address, index, lanes):
    """Writes the lanes to an array of int16."""

    def emit(context, builder, signature, args):
        address, index, lanes = args
        builder.store(lanes, _vector(builder, address, index, _LLVM_LANES), align=2)
        return context.get_dummy_value()

    return types.void(address, index, lanes), emit


@intrinsic
@no_type_check
def _pack(_, address, index):
    """Returns 64 bytes as bits, those that are not 0, the first one lowest."""

    def emit(context, builder, signature, args):
        loaded = builder.load(_vector(builder, args[0], args[1], _LLVM_BYTES), align=1)
        bits = builder.icmp_unsigned("!=", loaded, ir.Constant(_LLVM_BYTES, None))
        return builder.bitcast(bits, _I64)

    return types.uint64(address, index), emit


@_inline
@no_type_check
def _rotate(word, bits):
    return np.uint32((word << np.uint32(bits)) | (word >> np.uint32(32 - bits)))


@_inline
@no_type_check
def _mix(a, b, r0, r1, r2, r3):
    """Returns two words after four rounds of Threefry."""
    a = _u32(a + b)
    b = _u32(_rotate(b, r0) ^ a)
    a = _u32(a + b)
    b = _u32(_rotate(b, r1) ^ a)
    a = _u32(a + b)
    b = _u32(_rotate(b, r2) ^ a)
    a = _u32(a + b)
    b = _u32(_rotate(b, r3) ^ a)
    return a, b


@_function
@no_type_check
def _draw(job, own, now, core, block):
    """Writes the random words of all neurons of a core: Threefry-2x32 with 20 rounds.

    The key is (seed, tick), the counter (core · neurons + neuron, block), all modulo 2³².

    References:
        Salmon et al. 2011, SC11, "Parallel random numbers: as easy as 1, 2, 3".
    """
    k0, k1 = _uint32(job.seeds, now.stream), np.uint32(now.tick)
    k2 = _u32(k0 ^ k1 ^ np.uint32(0x1BD11BDA))
    first, c1 = np.uint32(core * job.neurons), _u32(np.uint32(block) + k1)
    for j in range(job.words * LANES):
        a, b = _u32(_u32(first + np.uint32(j)) + k0), c1
        a, b = _mix(a, b, 13, 15, 26, 6)
        a, b = _u32(a + k1), _u32(b + _u32(k2 + np.uint32(1)))
        a, b = _mix(a, b, 17, 29, 16, 24)
        a, b = _u32(a + k2), _u32(b + _u32(k0 + np.uint32(2)))
        a, b = _mix(a, b, 13, 15, 26, 6)
        a, b = _u32(a + k0), _u32(b + _u32(k1 + np.uint32(3)))
        a, b = _mix(a, b, 17, 29, 16, 24)
        a, b = _u32(a + k1), _u32(b + _u32(k2 + np.uint32(4)))
        a, b = _mix(a, b, 13, 15, 26, 6)
        a, b = _u32(a + k2), _u32(b + _u32(k0 + np.uint32(5)))
        _write_int(own.word0, j, a)
        _write_int(own.word1, j, b)


@_inline
@no_type_check
def _enter(job, own, now, share, shares):
    """Sends the spikes of a share of the input bits."""
    first, last = share * job.input_bits // shares, (share + 1) * job.input_bits // shares
    frame = (now.stream * job.ticks + now.turn) * job.input_bits
    for bit in range(first, last):
        if _byte(job.frames, frame + bit):
            for i in range(_int64(job.line_first, bit), _int64(job.line_first, bit + 1)):
                _send(job, own, now, _word(job.line, i))


@_inline
@no_type_check
def _send(job, own, now, route):
    """Enters a spike in this thread's scheduler."""
    row = now.row + np.int64(route & np.uint64(DELAY_MASK))
    if row >= job.rows:
        row -= job.rows
    target = np.int64(route >> np.uint64(TARGET_SHIFT))
    at = ((own.thread * job.batch + now.stream) * job.rows + row) * job.cores * job.axon_words + (target >> 6)
    _write_word(job.scheduler, at, _word(job.scheduler, at) | (np.uint64(1) << np.uint64(target & 63)))


@_inline
@no_type_check
def _find(job, own, now, core, count):
    """Lists the active axons of a core behind `count` others, clears their bits, and returns how many there are now."""
    record = core * job.columns
    crossbar = np.int64(_int32(job.record, record + CROSSBAR)) * job.axons
    for word in range(job.axon_words):
        bits = np.uint64(0)
        for copy in range(job.copies):
            at = ((copy * job.batch + now.stream) * job.rows + now.row) * job.cores * job.axon_words
            at += core * job.axon_words + word
            found = _word(job.scheduler, at)
            if found:
                _write_word(job.scheduler, at, np.uint64(0))
                bits |= found
        while bits:
            axon = word * 64 + _lowest(bits)
            bits &= bits - np.uint64(1)
            row = (crossbar + axon) * job.words
            for line in range(0, job.words, 8):
                _prefetch(job.crossbars, row + line)
            kind = np.int64(_byte(job.axon_type, core * job.axons + axon))
            weight = np.int64(_int32(job.record, record + FIRST_WEIGHT + kind)) * job.words * LANES
            _write_word(own.row, count, row)
            _write_word(own.weight, count, weight)
            count += 1
    return count


def _summer(add_where: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that writes Σ s over some of the listed axons."""

    @_inline
    @no_type_check
    def add_up(job, own, weights, begin, end):
        word = 0
        while word + 4 <= job.words:  # so many lanes fill a quarter of the registers of AVX-512
            for i in range(begin, end):  # little else is done, so that many rows are under way to the processor
                row, at = _int64(own.row, i) + word, 4 * (i - begin)
                for k in range(4):
                    _write_word(own.bits, at + k, _word(job.crossbars, row + k))
            a, b, c, d = _no_lanes(), _no_lanes(), _no_lanes(), _no_lanes()
            for i in range(begin, end):
                at, weight = 4 * (i - begin), _int64(own.weight, i) + word * LANES
                a = add_where(a, own.bits, at, weights, weight)
                b = add_where(b, own.bits, at + 1, weights, weight + LANES)
                c = add_where(c, own.bits, at + 2, weights, weight + 2 * LANES)
                d = add_where(d, own.bits, at + 3, weights, weight + 3 * LANES)
            at = word * LANES
            _store_lanes(own.total, at, a)
            _store_lanes(own.total, at + LANES, b)
            _store_lanes(own.total, at + 2 * LANES, c)
            _store_lanes(own.total, at + 3 * LANES, d)
            word += 4
        while word < job.words:
            a = _no_lanes()
            for i in range(begin, end):
                row, weight = _int64(own.row, i) + word, _int64(own.weight, i) + word * LANES
                a = add_where(a, job.crossbars, row, weights, weight)
            _store_lanes(own.total, word * LANES, a)
            word += 1

    return add_up


_sum_halves, _sum_bytes = _summer(_add_halves_where), _summer(_add_bytes_where)


@_inline
@no_type_check
def _sum_chances(job, own, now, core, begin, end):
    """Adds Σ F(s, ρ) sgn(s) over some of the listed axons."""
    record = core * job.columns
    crossbar = np.int64(_int32(job.record, record + CROSSBAR)) * job.axons
    drawn = np.int64(0)
    for i in range(begin, end):
        row = _int64(own.row, i)
        axon = row // job.words - crossbar
        kind = np.int64(_byte(job.axon_type, core * job.axons + axon))
        weight = np.int64(_int32(job.record, record + FIRST_WEIGHT + job.axon_types + kind)) * job.words * LANES
        if weight < 0:
            continue
        if drawn != 1 + axon // 8:
            drawn = 1 + axon // 8
            _draw(job, own, now, core, drawn)
        words, shift = own.word1 if axon & 4 else own.word0, np.uint32(8 * (axon & 3))
        for j in range(job.words * LANES):
            rho = _i32((_uint32(words, j) >> shift) & np.uint32(0xFF))
            least, s = max(rho, _i32(1)), _half(job.narrow, weight + j)  # s = 0 has no sign
            _write_half(own.chance, j, _i32(1) if s >= least else _i32(-1) if _i32(-s) >= least else _i32(0))
        for word in range(job.words):
            lanes = _load_lanes(own.total, word * LANES)
            lanes = _add_halves_where(lanes, job.crossbars, row + word, own.chance, word * LANES)
            _store_lanes(own.total, word * LANES, lanes)


@_inline
@no_type_check
def _clip(v, low, high):
    return min(max(v, low), high)


@_inline
@no_type_check
def _row(job, record, column):
    """Returns the first lane of a core's row."""
    return np.int64(_int32(job.record, record + column)) * job.words * LANES


@_inline
@no_type_check
def _has(flags, bit):
    return _i32(flags & _i32(bit)) != _i32(0)


@_inline
@no_type_check
def _fire_stateless(job, own, record):
    """Writes the spikes of neurons whose V is 0 before every tick: Σ s ≥ α − λ, which stands for α."""
    alpha = _row(job, record, ALPHA)
    for j in range(job.words * LANES):
        _write_byte(own.spiked, j, _u32(_half(own.total, j) >= _half(job.narrow, alpha + j)))


def _plain(small: bool) -> Callable[..., Any]:
    """Returns a function that writes potentials and spikes of plain neurons.

    It returns whether any potential moved, and whether any is too large for 16 bits. With `small` none was before, and
    they are also written to the scratch.
    """

    @_inline
    @no_type_check
    def fire(job, own, v_at, record):
        leak, alpha, beta = _row(job, record, LEAK), _row(job, record, ALPHA), _row(job, record, BETA)
        reset, flags = _row(job, record, RESET), _row(job, record, FLAGS)
        low, high = _i32(job.low), _i32(job.high)
        moved, over = _i32(0), _i32(0)
        for j in range(job.words * LANES):
            before = _half(job.small, v_at + j) if small else _int32(job.potential, v_at + j)
            v = _clip(_i32(before + _half(own.total, j)), low, high)
            v = _clip(_i32(v + _half(job.narrow, leak + j)), low, high)
            a, b = _half(job.narrow, alpha + j), _half(job.narrow, beta + j)
            r, flag = _half(job.narrow, reset + j), _byte(job.flags, flags + j)
            above = _i32(v - a) if _has(flag, SUBTRACT) else v if _has(flag, KEEP) else r
            below = _i32(v + b) if _has(flag, SUBTRACT) else v if _has(flag, KEEP) else _i32(-r)
            below = _i32(-b) if _has(flag, SATURATE) else below
            after = above if v >= a else below if v < _i32(-b) else v
            after = _clip(after, low, high)
            moved = _i32(moved | _i32(before ^ after))
            over = _i32(over | _i32(after ^ _i32(_i32(after << 16) >> 16)))
            if small:
                _write_half(job.small, v_at + j, after)
                _write_int(own.potential, j, after)
            else:
                _write_int(job.potential, v_at + j, after)
            _write_byte(own.spiked, j, _u32(v >= a))
        return moved != 0, over != 0

    return fire


_fire_small, _fire_large = _plain(small=True), _plain(small=False)


@_inline
@no_type_check
def _fire_plain(job, own, place, v_at, record):
    """Runs plain neurons, whose potentials stand in 16 bits as long as those of the whole core fit."""
    if _byte(job.large, place):
        moved, over = _fire_large(job, own, v_at, record)
        if not over:
            for j in range(job.words * LANES):
                _write_half(job.small, v_at + j, _int32(job.potential, v_at + j))
            _write_byte(job.large, place, _i32(0))
    else:
        moved, over = _fire_small(job, own, v_at, record)
        if over:
            for j in range(job.words * LANES):
                _write_int(job.potential, v_at + j, _int32(own.potential, j))
            _write_byte(job.large, place, _i32(1))
    return moved


@_inline
@no_type_check
def _fit(job, v):
    """Returns a potential brought back into its range: modulo the range, or to the nearer end."""
    v = _i32(_i32(v << _i32(job.excess)) >> _i32(job.excess))
    return _clip(v, _i32(job.low), _i32(job.high))


@_function
@no_type_check
def _fire_whole(job, own, v_at, record):
    """Does what `_fire_plain` does for any neurons; their random words stand in the scratch."""
    leak, alpha, beta = _row(job, record, LEAK), _row(job, record, ALPHA), _row(job, record, BETA)
    reset, flags, mask = _row(job, record, RESET), _row(job, record, FLAGS), _row(job, record, MASK)
    moved = _i32(0)
    for j in range(job.words * LANES):
        before, flag = _int32(job.potential, v_at + j), _byte(job.flags, flags + j)
        v = _fit(job, _i32(before + _half(own.total, j)))

        step = _half(job.narrow, leak + j)
        rho = max(_i32(_uint32(own.word1, j) & np.uint32(0xFF)), _i32(1))
        chance = _i32(1) if step >= rho else _i32(-1) if _i32(-step) >= rho else _i32(0)
        step = chance if _has(flag, STOCHASTIC_LEAK) else step
        reversal = _has(flag, REVERSAL)
        turned = _i32(-step) if v < 0 else step if v > 0 else _i32(0)
        leaked = _i32(v + (turned if reversal else step))
        crossed = ((v < 0) & (leaked > 0)) | ((v > 0) & (leaked < 0))
        v = _fit(job, _i32(0) if reversal & crossed else leaked)

        # More than every potential is as good as any larger number, and leaves room to add α.
        eta = _u32(_uint32(own.word0, j) & _uint32(job.wide, mask + j))
        eta = _i32(min(eta, _u32(1 << 28)))
        saturate = _has(flag, SATURATE)
        a, b, r = (
            _i32(_int32(job.wide, alpha + j) + eta),
            _int32(job.wide, beta + j),
            _int32(job.wide, reset + j),
        )
        b = b if saturate else _i32(b + eta)
        above = _i32(v - a) if _has(flag, SUBTRACT) else v if _has(flag, KEEP) else r
        below = _i32(v + b) if _has(flag, SUBTRACT) else v if _has(flag, KEEP) else _i32(-r)
        below = _i32(-b) if saturate else below
        after = above if v >= a else below if v < _i32(job.inclusive - b) else v
        after = _fit(job, after)
        moved = _i32(moved | _i32(before ^ after))
        _write_int(job.potential, v_at + j, after)
        _write_byte(own.spiked, j, _u32(v >= a))
    return moved != 0


@_function
@no_type_check
def _evaluate(job, own, now, core, begin, end):
    """Runs the neurons of a core: writes potentials and spikes, and returns whether any potential moved."""
    record, place = core * job.columns, now.stream * job.cores + core
    path, draws, limit = (
        _int32(job.record, record + PATH),
        _int32(job.record, record + DRAWS),
        _int32(job.record, record + LIMIT),
    )
    v_at = place * job.words * LANES
    if end - begin > limit and not _byte(job.large, place):
        for j in range(job.words * LANES):
            _write_int(job.potential, v_at + j, _half(job.small, v_at + j))
        _write_byte(job.large, place, _i32(1))
    while True:
        some = min(end, begin + limit)
        if _int32(job.record, record + SHORT):
            _sum_bytes(job, own, job.short, begin, some)
        else:
            _sum_halves(job, own, job.narrow, begin, some)
        if draws & SYNAPSE_DRAWS:
            _sum_chances(job, own, now, core, begin, some)
        if some == end:
            break
        for j in range(job.words * LANES):
            v = _i32(_int32(job.potential, v_at + j) + _half(own.total, j))
            _write_int(job.potential, v_at + j, v)
        begin = some
    if path == STATELESS:
        _fire_stateless(job, own, record)
        return False
    if path == PLAIN:
        return _fire_plain(job, own, place, v_at, record)
    if draws & NEURON_DRAWS:
        _draw(job, own, now, core, 0)
    return _fire_whole(job, own, v_at, record)


@_inline
@no_type_check
def _spikes_at(job, now, core):
    """Returns the word at which the spikes of a core begin in the history."""
    return ((now.stream * job.delays + now.slot) * job.cores + core) * job.words


@_inline
@no_type_check
def _collect(job, own, now, core, count):
    """Keeps the spikes of a core, lists them behind `count` others, and returns how many there are now."""
    at = _spikes_at(job, now, core)
    for word in range(job.words):
        bits = _pack(own.spiked, word * LANES)
        _write_word(job.history, at + word, bits)
        while bits:
            sender = core * job.neurons + word * LANES + _lowest(bits)
            bits &= bits - np.uint64(1)
            _prefetch(job.route, sender >> job.short_routes)
            _write_word(own.sender, count, sender)
            count += 1
    return count


@_function
@no_type_check
def _record(job, now, core):
    """Writes what the neurons of a watched core did."""
    place = now.stream * job.cores + core
    at, v_at, large = _spikes_at(job, now, core), place * job.words * LANES, _byte(job.large, place)
    to = (now.stream * job.ticks + now.turn) * job.watched + np.int64(_int32(job.watch, core))
    to *= job.neurons
    for j in range(job.neurons):
        bit = (_word(job.history, at + j // LANES) >> np.uint64(j % LANES)) & np.uint64(1)
        _write_byte(job.watched_spikes, to + j, np.uint32(bit))
        v = _int32(job.potential, v_at + j) if large else _half(job.small, v_at + j)
        _write_int(job.watched_potential, to + j, v)


@_inline
@no_type_check
def _deliver(job, own, now, begin, end):
    """Sends some of the listed spikes."""
    for i in range(begin, end):
        sender = _int64(own.sender, i)
        route = np.uint64(_uint32(job.route, sender)) if job.short_routes else _word(job.route, sender)
        if route & np.uint64(DELAY_MASK):
            _send(job, own, now, route)
        if route & np.uint64(PIN_FLAG):
            pin = np.int64(_int32(job.pin, sender))
            _write_byte(job.pin_spikes, (now.stream * job.ticks + now.turn) * job.pins + pin, np.uint32(1))


@_function
@no_type_check
def _run_block(job, own, now, first_core):
    """Runs one tick of a block of cores of a stream.

    What lies far away is asked for before it is needed: crossbar rows a few cores before they are evaluated, the routes
    of spikes one core before they are sent.
    """
    cores = min(BLOCK, job.cores - first_core)
    active = senders = sent = 0
    _write_word(own.first, 0, 0)
    for i in range(cores + AHEAD):
        if i < cores:
            active = _find(job, own, now, first_core + i, active)
            _write_word(own.first, i + 1, active)
        if i < AHEAD:
            continue
        core = first_core + i - AHEAD
        begin, end = _int64(own.first, i - AHEAD), _int64(own.first, i - AHEAD + 1)
        rest, before = now.stream * job.cores + core, senders
        if begin < end or not _byte(job.rest, rest):
            moved = _evaluate(job, own, now, core, begin, end)
            senders = _collect(job, own, now, core, senders)
            draws = _int32(job.record, core * job.columns + DRAWS) & NEURON_DRAWS
            resting = begin == end and senders == before and not moved and not draws
            _write_byte(job.rest, rest, np.uint32(resting))
        else:
            for word in range(job.words):
                _write_word(job.history, _spikes_at(job, now, core) + word, np.uint64(0))
        if job.watched and _int32(job.watch, core) >= 0:
            _record(job, now, core)
        _deliver(job, own, now, sent, before)
        sent = before
    _deliver(job, own, now, sent, senders)


@kept
@no_type_check
def work(job, own, task):
    """Takes tasks and runs them until none is left; other threads do so too.

    Returns:
        DONE, or what it should be called with next, after a while: a task that it has taken, which waits for another
        thread, or IDLE, if all tasks of a tick are taken but not yet finished.
    """
    blocks = (job.cores + BLOCK - 1) // BLOCK
    tasks = job.ticks * blocks
    looks = 0
    while True:
        if task == IDLE:
            taken = _fetch(job.progress, 0)
            if taken >= tasks:
                return DONE
            if _fetch(job.progress, FINISHED) >= taken - taken % blocks:
                task = _fetch_add(job.progress, 0, 1)
                if task >= tasks:
                    return DONE
        elif _fetch(job.progress, FINISHED) >= task - task % blocks:
            turn, block = task // blocks, task % blocks
            tick = job.first_tick + turn
            if tick & 1:  # what the caches still hold of the tick before comes first
                block = blocks - 1 - block
            for stream in range(job.batch):
                now = _Now(stream=stream, tick=tick, turn=turn, row=tick % job.rows, slot=tick % job.delays)
                _enter(job, own, now, block, blocks)
                _run_block(job, own, now, block * BLOCK)
            _fetch_add(job.progress, FINISHED, 1)
            task, looks = IDLE, 0
            continue
        looks += 1
        if looks > _PATIENCE:
            return task
