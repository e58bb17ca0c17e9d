"""The compiled part of the engine `sliced`: rows of 512 bits, adders of rows, and the work of one thread.

Numba has no vectors, so a row is a type of its own, LLVM's <8 x i64>, with the few operations that are needed. Arrays
are passed as addresses: an array is a counted reference of seven fields, and counting them costs more than adding,
and compiling them more than all the rest.

Everything that `work` calls stands in this file, for Numba's cache looks at the age of this file alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple, no_type_check

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, models, register_model

from tncompile.native import kept
from tncompile.sim.native import DONE

WORD = 64  # ticks of a word
LANES = 8  # words of a row
ROW = LANES * 8  # bytes of a row
GROUP = WORD * LANES  # input bits or outputs that are transposed together
PLANES = 8  # bits of a count
MOST = 1 << (PLANES - 1)  # literals of a count
TREE = 8  # literals that are added together: their number in a count is a multiple
SPARE = WORD * LANES  # words of scratch in front of the literals: a transposition, or all planes of a node and a count
_WEIGHT_BITS = 32  # of a weight's magnitude
_PATIENCE = 20_000  # looks at the other threads' progress before the interpreter may do something else


class Job(NamedTuple):
    """One run: numbers, and addresses of arrays.

    A run is a sequence of tiles, each 512 ticks of one stream, or 64 ticks of 8 streams, fewer at the ends. A tile is
    a sequence of phases: input bits, levels, outputs. A phase is a number of tasks: groups of 512 input bits, blocks,
    groups of 512 outputs. Threads take tasks in their order; a phase begins when the last task before it is finished.

    Nodes, counts and literals are those of programs; blocks of equal program have their own inputs and signals.

    Attributes:
        batch, length, input_bits, pins, watched: streams, ticks, input bits, pins and watched neurons of the run.
        flat: 1 = each lane of a row is a stream; 0 = the lanes are consecutive words of one stream.
        tiles, phases: how many.
        progress: the next task to be taken, and how many are finished. [int64]
        phase_task: first task of each phase of a tile, and their number. [int64]
        rows: of each signal. Aligned. [uint64]
        state, even, odd: the last 64 ticks of each signal in each stream, the last one in the highest bit, at word
            signal · batch + stream: before the run, and after the tiles of its first, third … ticks and of its second,
            fourth … ticks. [uint64]
        frames, pin_spikes, watched_spikes: the run's input bits and outputs, one a byte. [uint8]
        pin_driver, pin_signal: an output pin is the OR of its signals, which begin at pin_driver. [int64, int32]
        watched_driver, watched_signal: the same for watched neurons.
        block_program, block_input, block_node: program, first input and first node of each block. [int64]
        input_source, input_delay: signal and delay of each input. [int32, uint8]
        node_signal: signal of each node of the blocks. [int32]
        program_node: first node of each program. [int64]
        node_bias: what the planes of each node begin at. [int64]
        node_planes: how many planes each node needs; PLANES if one count is all. [uint8]
        node_count: first count of each node. [int64]
        count_bit: bit of the weight that each count is for. [uint8]
        count_literal: first literal of each count. [int64]
        literal: where its row begins in the scratch, counted from the literals' first byte: row 0 = never, row 1 + 2i =
            input i of the block, row 2 + 2i = its complement. [uint32]
    """

    batch: int
    length: int
    input_bits: int
    pins: int
    watched: int
    flat: int
    tiles: int
    phases: int
    progress: int
    phase_task: int
    rows: int
    state: int
    even: int
    odd: int
    frames: int
    pin_spikes: int
    watched_spikes: int
    pin_driver: int
    pin_signal: int
    watched_driver: int
    watched_signal: int
    block_program: int
    block_input: int
    block_node: int
    input_source: int
    input_delay: int
    node_signal: int
    program_node: int
    node_bias: int
    node_planes: int
    node_count: int
    count_bit: int
    count_literal: int
    literal: int


class _Tile(NamedTuple):
    """Where a tile lies.

    Attributes:
        stream, tick: the first.
        streams, ticks: how many.
        before, after: addresses of the state.
    """

    stream: int
    tick: int
    streams: int
    ticks: int
    before: int
    after: int


_I32, _I64 = ir.IntType(32), ir.IntType(64)
_LLVM_ROW = ir.VectorType(_I64, LANES)
_LLVM_BITS = ir.VectorType(ir.IntType(1), WORD)
_LLVM_BYTES = ir.VectorType(ir.IntType(8), WORD)


class _RowType(types.Type):
    """A row: a word of each lane, in a register."""

    def __init__(self) -> None:
        super().__init__(name="Row")


@register_model(_RowType)
class _RowModel(models.PrimitiveModel):
    """How a row looks to LLVM."""

    @no_type_check
    def __init__(self, manager, kind) -> None:
        super().__init__(manager, kind, _LLVM_ROW)


_ROW = _RowType()
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_function = njit(**_OPTIONS)  # called by compiled code only, and so without what Python would need
_inline = njit(**_OPTIONS, forceinline=True)


def _element(builder, address, index, kind):
    """Returns the pointer to an element of the array at an address."""
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])


def _words(builder, address, index):
    """Returns the pointer to the row that begins at a word."""
    return builder.bitcast(_element(builder, address, index, _I64), _LLVM_ROW.as_pointer())


def _reader(kind: ir.IntType, *, signed: bool):
    """Returns a function (address, index) that reads an integer of an array."""

    @intrinsic
    @no_type_check
    def read(_, address, index):
        def emit(context, builder, signature, args):
            value = builder.load(_element(builder, args[0], args[1], kind), align=kind.width // 8)
            return value if kind == _I64 else builder.sext(value, _I64) if signed else builder.zext(value, _I64)

        return (types.int64 if signed else types.uint64)(address, index), emit

    return read


_int64, _int32 = _reader(_I64, signed=True), _reader(_I32, signed=True)
_word, _byte = _reader(_I64, signed=False), _reader(ir.IntType(8), signed=False)


def _writer(kind: ir.IntType):
    """Returns a function (address, index, value) that writes an integer of an array."""

    @intrinsic
    @no_type_check
    def write(_, address, index, value):
        def emit(context, builder, signature, args):
            address, index, value = args
            value = value if kind == _I64 else builder.trunc(value, kind)
            builder.store(value, _element(builder, address, index, kind), align=kind.width // 8)
            return context.get_dummy_value()

        return types.void(address, index, value), emit

    return write


_write_word, _write_byte = _writer(_I64), _writer(ir.IntType(8))


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
    """Returns an int64 that other threads add to, and all that they wrote before."""

    def emit(context, builder, signature, args):
        return builder.load_atomic(_element(builder, args[0], args[1], _I64), "acquire", 8)

    return types.int64(address, index), emit


def _splat(builder, word):
    """Returns a row of equal words."""
    row = builder.insert_element(ir.Constant(_LLVM_ROW, ir.Undefined), word, ir.Constant(_I32, 0))
    return _lanes(builder, row, [0] * LANES)


def _lanes(builder, row, order):
    """Returns lanes of a row in another order."""
    return builder.shuffle_vector(row, row, ir.Constant(ir.VectorType(_I32, LANES), order))


def _majority(context, builder, a, b, c):
    """Returns the carry of a full adder; LLVM finds no single instruction for it by itself."""
    if "+avx512f" not in context.codegen().magic_tuple()[2].split(","):
        return builder.xor(builder.and_(builder.xor(a, c), builder.xor(b, c)), c)
    kind = ir.FunctionType(_LLVM_ROW, [_LLVM_ROW] * 3 + [_I32])
    function = builder.module.declare_intrinsic("llvm.x86.avx512.pternlog.q.512", (), kind)
    return builder.call(function, [a, b, c, ir.Constant(_I32, 0xE8)])  # the majority's table of truth


@intrinsic
@no_type_check
def _load(_, address, index):
    """Returns the row that begins at an aligned word."""

    def emit(context, builder, signature, args):
        return builder.load(_words(builder, *args), align=ROW)

    return _ROW(address, index), emit


@intrinsic
@no_type_check
def _load_anywhere(_, address, index):
    """Returns the row that begins at any word."""

    def emit(context, builder, signature, args):
        return builder.load(_words(builder, *args), align=8)

    return _ROW(address, index), emit


@intrinsic
@no_type_check
def _load_literal(_, buffer, literals, index):
    """Returns the row that begins at byte literals[index] of the buffer."""

    def emit(context, builder, signature, args):
        buffer, literals, index = args
        begin = builder.zext(builder.load(_element(builder, literals, index, _I32), align=4), _I64)
        return builder.load(builder.inttoptr(builder.add(buffer, begin), _LLVM_ROW.as_pointer()), align=ROW)

    return _ROW(buffer, literals, index), emit


@intrinsic
@no_type_check
def _prefetch(_, address, index):
    """Asks for the row that begins at an aligned word."""

    def emit(context, builder, signature, args):
        pointer = builder.bitcast(_element(builder, args[0], args[1], _I64), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _I32, _I32, _I32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        builder.call(
            function, [pointer, *(ir.Constant(_I32, option) for option in (0, 2, 1))]
        )  # to read, into level 2, data
        return context.get_dummy_value()

    return types.void(address, index), emit


@intrinsic
@no_type_check
def _store(_, address, index, row):
    """Writes a row to where an aligned word begins."""

    def emit(context, builder, signature, args):
        address, index, row = args
        builder.store(row, _words(builder, address, index), align=ROW)
        return context.get_dummy_value()

    return types.void(address, index, row), emit


@intrinsic
@no_type_check
def _all_lanes(_, word):
    """Returns a row of equal words."""

    def emit(context, builder, signature, args):
        return _splat(builder, args[0])

    return _ROW(word), emit


@intrinsic
@no_type_check
def _not(_, a):
    """Returns the complement of a row."""

    def emit(context, builder, signature, args):
        return builder.not_(args[0])

    return _ROW(a), emit


@intrinsic
@no_type_check
def _xor(_, a, b):
    """Returns where one of two rows is set."""

    def emit(context, builder, signature, args):
        return builder.xor(*args)

    return _ROW(a, b), emit


@intrinsic
@no_type_check
def _half_add(_, a, b):
    """Returns the sum of two rows and the carry."""

    def emit(context, builder, signature, args):
        return context.make_tuple(builder, signature.return_type, [builder.xor(*args), builder.and_(*args)])

    return types.UniTuple(_ROW, 2)(a, b), emit


@intrinsic
@no_type_check
def _full_add(_, a, b, c):
    """Returns the sum of three rows and the carry."""

    def emit(context, builder, signature, args):
        a, b, c = args
        total = builder.xor(builder.xor(a, b), c)
        return context.make_tuple(builder, signature.return_type, [total, _majority(context, builder, a, b, c)])

    return types.UniTuple(_ROW, 2)(a, b, c), emit


@intrinsic
@no_type_check
def _delayed(_, row, before, flat, ticks):
    """Returns a row 0 … 63 ticks later.

    What comes in is the word before each word: of `before` if the lanes are streams, else that of the lane before, and
    word 0 of `before` for lane 0.
    """

    def emit(context, builder, signature, args):
        row, before, flat, ticks = args
        neighbour = _lanes(builder, row, [0, *range(LANES - 1)])
        first = builder.shuffle_vector(
            neighbour, before, ir.Constant(ir.VectorType(_I32, LANES), [LANES, *range(1, LANES)])
        )
        flat = builder.icmp_unsigned("!=", flat, ir.Constant(flat.type, 0))
        word_before = builder.select(flat, before, first)
        left = builder.shl(row, _splat(builder, ticks))
        # in two steps, for a shift by 64 is not defined
        half = builder.lshr(word_before, _splat(builder, ir.Constant(_I64, 1)))
        right = builder.lshr(half, _splat(builder, builder.sub(ir.Constant(_I64, WORD - 1), ticks)))
        return builder.or_(left, right)

    return _ROW(row, before, flat, ticks), emit


@intrinsic
@no_type_check
def _exchange(_, upper, lower, width, mask):
    """Returns two rows of a matrix of bits, the right half of each block of the upper one exchanged with the left half
    of the lower one; blocks are 2 · width wide and begin with the lowest bit."""

    def emit(context, builder, signature, args):
        upper, lower, width, mask = args
        width, mask = _splat(builder, width), _splat(builder, mask)
        change = builder.and_(builder.xor(builder.lshr(upper, width), lower), mask)
        rows = [builder.xor(upper, builder.shl(change, width)), builder.xor(lower, change)]
        return context.make_tuple(builder, signature.return_type, rows)

    return types.UniTuple(_ROW, 2)(upper, lower, width, mask), emit


def _many_bytes(builder, address, index):
    """Returns the pointer to 64 bytes."""
    return builder.bitcast(_element(builder, address, index, ir.IntType(8)), _LLVM_BYTES.as_pointer())


@intrinsic
@no_type_check
def _pack(_, address, index):
    """Returns 64 bytes as bits, those that are not 0, the first one lowest."""

    def emit(context, builder, signature, args):
        loaded = builder.load(_many_bytes(builder, *args), align=1)
        bits = builder.icmp_unsigned("!=", loaded, ir.Constant(_LLVM_BYTES, None))
        return builder.bitcast(bits, _I64)

    return types.uint64(address, index), emit


@intrinsic
@no_type_check
def _unpack(_, address, index, word):
    """Writes 64 bits as bytes, the lowest one first."""

    def emit(context, builder, signature, args):
        address, index, word = args
        spread = builder.zext(builder.bitcast(word, _LLVM_BITS), _LLVM_BYTES)
        builder.store(spread, _many_bytes(builder, address, index), align=1)
        return context.get_dummy_value()

    return types.void(address, index, word), emit


@_inline
@no_type_check
def _add_8(buffer, literals, i, ones, twos, fours):
    """Returns the three planes with eight literals added, and the carry into the eights."""
    ones, a = _full_add(ones, _load_literal(buffer, literals, i), _load_literal(buffer, literals, i + 1))
    ones, b = _full_add(ones, _load_literal(buffer, literals, i + 2), _load_literal(buffer, literals, i + 3))
    twos, c = _full_add(twos, a, b)
    ones, a = _full_add(ones, _load_literal(buffer, literals, i + 4), _load_literal(buffer, literals, i + 5))
    ones, b = _full_add(ones, _load_literal(buffer, literals, i + 6), _load_literal(buffer, literals, i + 7))
    twos, d = _full_add(twos, a, b)
    fours, carry = _full_add(fours, c, d)
    return ones, twos, fours, carry


@_inline
@no_type_check
def _add_16(buffer, literals, i, p0, p1, p2, p3):
    """Returns the four planes with sixteen literals added, and the carry into the sixteens."""
    p0, p1, p2, a = _add_8(buffer, literals, i, p0, p1, p2)
    p0, p1, p2, b = _add_8(buffer, literals, i + 8, p0, p1, p2)
    p3, carry = _full_add(p3, a, b)
    return p0, p1, p2, p3, carry


@_inline
@no_type_check
def _add(buffer, literals, i, end, p0, p1, p2, p3, p4, p5, p6, p7):
    """Returns the planes with literals i … end − 1 added, a multiple of 8."""
    while i + 32 <= end:
        p0, p1, p2, p3, a = _add_16(buffer, literals, i, p0, p1, p2, p3)
        p0, p1, p2, p3, b = _add_16(buffer, literals, i + 16, p0, p1, p2, p3)
        p4, carry = _full_add(p4, a, b)
        p5, carry = _half_add(p5, carry)
        p6, carry = _half_add(p6, carry)
        p7 = _xor(p7, carry)
        i += 32
    if i + 16 <= end:
        p0, p1, p2, p3, carry = _add_16(buffer, literals, i, p0, p1, p2, p3)
        p4, carry = _half_add(p4, carry)
        p5, carry = _half_add(p5, carry)
        p6, carry = _half_add(p6, carry)
        p7 = _xor(p7, carry)
        i += 16
    if i < end:
        p0, p1, p2, carry = _add_8(buffer, literals, i, p0, p1, p2)
        p3, carry = _half_add(p3, carry)
        p4, carry = _half_add(p4, carry)
        p5, carry = _half_add(p5, carry)
        p6, carry = _half_add(p6, carry)
        p7 = _xor(p7, carry)
    return p0, p1, p2, p3, p4, p5, p6, p7


@_inline
@no_type_check
def _bit(number, place):
    """Returns a row of one bit of a number."""
    return _all_lanes(-np.uint64((number >> place) & 1))


@_function
@no_type_check
def _count_wide(job, node, scratch):
    """Returns the spikes of a node that needs many counts."""
    buffer, planes = scratch + SPARE * 8, np.int64(_byte(job.node_planes, node))
    for k in range(planes):
        _store(scratch, k * LANES, _bit(_int64(job.node_bias, node), k))
    none = _all_lanes(np.uint64(0))
    for count in range(_int64(job.node_count, node), _int64(job.node_count, node + 1)):
        first, last = _int64(job.count_literal, count), _int64(job.count_literal, count + 1)
        at = planes * LANES
        for plane in _add(buffer, job.literal, first, last, none, none, none, none, none, none, none, none):
            _store(scratch, at, plane)
            at += LANES
        carry, lowest = none, np.int64(_byte(job.count_bit, count))
        for k in range(lowest, planes):
            plane = _load(scratch, k * LANES)
            if k < lowest + PLANES:
                plane, carry = _full_add(plane, _load(scratch, (planes + k - lowest) * LANES), carry)
            else:
                plane, carry = _half_add(plane, carry)
            _store(scratch, k * LANES, plane)
    return _load(scratch, (planes - 1) * LANES)


@_function
@no_type_check
def _run_block(job, tile, block, scratch):
    """Runs the nodes of a block: gathers what they read, counts, compares, and keeps the last 64 ticks."""
    buffer = scratch + SPARE * 8
    at = LANES  # behind the row of literal 0
    for i in range(_int64(job.block_input, block), _int64(job.block_input, block + 1)):
        signal = _int32(job.input_source, i)
        before = _load_anywhere(tile.before, signal * job.batch + tile.stream)
        row = _delayed(_load(job.rows, signal * LANES), before, job.flat, _byte(job.input_delay, i))
        _store(buffer, at, row)
        _store(buffer, at + LANES, _not(row))
        at += 2 * LANES

    program, first, last = (
        _int64(job.block_program, block),
        _int64(job.block_node, block),
        _int64(job.block_node, block + 1),
    )
    node = _int64(job.program_node, program)
    for i in range(first, last):
        if _byte(job.node_planes, node) > PLANES:
            spikes = _count_wide(job, node, scratch)
        else:
            bias, count = _int64(job.node_bias, node), _int64(job.node_count, node)
            spikes = _add(
                buffer, job.literal, _int64(job.count_literal, count), _int64(job.count_literal, count + 1),
                _bit(bias, 0), _bit(bias, 1), _bit(bias, 2), _bit(bias, 3),
                _bit(bias, 4), _bit(bias, 5), _bit(bias, 6), _bit(bias, 7),
            )[PLANES - 1]  # fmt: skip
        _store(job.rows, _int32(job.node_signal, i) * LANES, spikes)
        node += 1
    for i in range(first, last):
        _remember(job, tile, _int32(job.node_signal, i))


@_inline
@no_type_check
def _ask(job, block):
    """Asks for the inputs of a block, which otherwise come from afar when they are needed."""
    for i in range(_int64(job.block_input, block), _int64(job.block_input, block + 1)):
        _prefetch(job.rows, _int32(job.input_source, i) * LANES)


@_inline
@no_type_check
def _remember(job, tile, signal):
    """Writes the last 64 ticks of a signal in each stream of the tile."""
    word = 0 if job.flat else (tile.ticks - 1) // WORD
    ticks = tile.ticks - word * WORD  # of the last word, 1 … 64
    for i in range(tile.streams):
        at = signal * job.batch + tile.stream + i
        lane = signal * LANES + (i if job.flat else word)
        older = _word(job.rows, lane - 1) if word else _word(tile.before, at)
        kept = (older >> np.uint64(1)) >> np.uint64(ticks - 1)  # in two steps, for a shift by 64 is not defined
        _write_word(tile.after, at, kept | (_word(job.rows, lane) << np.uint64(WORD - ticks)))


@_inline
@no_type_check
def _place(job, tile, lane):
    """Returns a lane's stream, its first tick and how many ticks of it are run; none or fewer for an empty lane."""
    if job.flat:
        return tile.stream + lane, tile.tick, tile.ticks if lane < tile.streams else 0
    return tile.stream, tile.tick + lane * WORD, min(tile.ticks - lane * WORD, WORD)


@_function
@no_type_check
def _transpose(matrix):
    """Transposes 8 matrices of 64 x 64 bits side by side: bit j of word i changes place with bit i of word j."""
    width, mask = 32, np.uint64(0xFFFFFFFF)
    while width:
        for i in range(WORD):
            if not i & width:
                upper, lower = _load(matrix, i * LANES), _load(matrix, (i + width) * LANES)
                upper, lower = _exchange(upper, lower, width, mask)
                _store(matrix, i * LANES, upper)
                _store(matrix, (i + width) * LANES, lower)
        width >>= 1
        mask ^= mask << np.uint64(width)


@_function
@no_type_check
def _enter(job, tile, group, scratch):
    """Writes the rows of up to 512 input bits."""
    first = group * GROUP
    for lane in range(LANES):
        stream, tick, ticks = _place(job, tile, lane)
        if ticks <= 0:
            continue
        for t in range(WORD):
            for c in range(LANES):
                bit, word = first + c * WORD, np.uint64(0)
                begin = (stream * job.length + tick + t) * job.input_bits + bit
                if t < ticks and bit + WORD <= job.input_bits:
                    word = _pack(job.frames, begin)
                elif t < ticks:
                    for k in range(job.input_bits - bit):
                        word |= _byte(job.frames, begin + k) << np.uint64(k)
                _write_word(scratch, t * LANES + c, word)
        _transpose(scratch)
        for c in range(LANES):
            for k in range(min(WORD, job.input_bits - first - c * WORD)):
                _write_word(job.rows, (first + c * WORD + k) * LANES + lane, _word(scratch, k * LANES + c))
    for signal in range(first, min(first + GROUP, job.input_bits)):
        _remember(job, tile, signal)


@_function
@no_type_check
def _leave(job, tile, group, scratch, outputs, driver, signal, spikes):
    """Writes the spikes of up to 512 outputs, given how many there are, their signals, and where the spikes go."""
    first = group * GROUP
    for lane in range(LANES):
        stream, tick, ticks = _place(job, tile, lane)
        if ticks <= 0:
            continue
        for c in range(LANES):
            for k in range(WORD):
                output, word = first + c * WORD + k, np.uint64(0)
                if output < outputs:
                    for i in range(_int64(driver, output), _int64(driver, output + 1)):
                        word |= _word(job.rows, _int32(signal, i) * LANES + lane)
                _write_word(scratch, k * LANES + c, word)
        _transpose(scratch)
        for t in range(ticks):
            for c in range(LANES):
                output, word = first + c * WORD, _word(scratch, t * LANES + c)
                begin = (stream * job.length + tick + t) * outputs + output
                if output + WORD <= outputs:
                    _unpack(spikes, begin, word)
                else:
                    for k in range(outputs - output):
                        _write_byte(spikes, begin + k, (word >> np.uint64(k)) & np.uint64(1))


@_inline
@no_type_check
def _find_tile(job, number):
    """Returns a tile by its number: all streams of the first ticks, then all of the next ones."""
    streams, ticks = (LANES, WORD) if job.flat else (1, GROUP)
    across = -(-job.batch // streams)
    turn, stream, tick = number // across, number % across * streams, number // across * ticks
    return _Tile(
        stream,
        tick,
        min(streams, job.batch - stream),
        min(ticks, job.length - tick),
        job.state if turn == 0 else job.odd if turn % 2 == 0 else job.even,
        job.even if turn % 2 == 0 else job.odd,
    )


@kept
@no_type_check
def work(job, scratch, task):
    """Works on a run as long as tasks are left that need not wait long.

    Args:
        job: the run.
        scratch: address of this thread's scratch, SPARE words and a row for each literal of a block, the first one's 0.
            Aligned. [uint64]
        task: one that this thread has taken and not done, or IDLE.

    Returns:
        A task that this thread has taken and not done: call again; DONE if no task is left.
    """
    tasks = _int64(job.phase_task, job.phases)
    tile_number, phase = np.int64(-1), np.int64(0)
    tile = _find_tile(job, 0)
    if task < 0:
        task = _fetch_add(job.progress, 0, 1)
    while True:
        if task >= tasks * job.tiles:
            return DONE
        if task // tasks != tile_number:
            tile_number, phase = task // tasks, np.int64(0)
            tile = _find_tile(job, tile_number)
        here = task - tile_number * tasks
        while here >= _int64(job.phase_task, phase + 1):
            phase += 1
        looks = 0
        while _fetch(job.progress, 1) < tile_number * tasks + _int64(job.phase_task, phase):
            looks += 1
            if looks == _PATIENCE:
                return task
        here -= _int64(job.phase_task, phase)
        ahead = _fetch_add(job.progress, 0, 1)
        if 0 < phase < job.phases - 2 and ahead - tile_number * tasks < _int64(job.phase_task, phase + 1):
            _ask(job, ahead - tile_number * tasks - _int64(job.phase_task, 1))
        if phase == 0:
            _enter(job, tile, here, scratch)
        elif phase < job.phases - 2:
            _run_block(job, tile, task - tile_number * tasks - _int64(job.phase_task, 1), scratch)
        elif phase < job.phases - 1:
            _leave(job, tile, here, scratch, job.pins, job.pin_driver, job.pin_signal, job.pin_spikes)
        else:
            _leave(job, tile, here, scratch, job.watched, job.watched_driver, job.watched_signal, job.watched_spikes)
        _fetch_add(job.progress, 1, 1)
        task = ahead


@kept
@no_type_check
def measure(indptr, weight, threshold):
    """Returns how many literals and counts each node needs, its planes, and what they begin at."""
    nodes = len(threshold)
    literals, counts = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    planes, bias = np.empty(nodes, np.uint8), np.empty(nodes, np.int64)
    set_in = np.empty(_WEIGHT_BITS, np.int64)  # weights that have each bit
    for node in range(nodes):
        total, goal = np.int64(0), np.int64(threshold[node])
        for e in range(indptr[node], indptr[node + 1]):
            size = abs(np.int64(weight[e]))
            total += size
            goal += size if weight[e] < 0 else 0
        planes[node], counts[node], literals[node] = PLANES, 1, -(-total // TREE) * TREE
        if total > MOST:
            counts[node] = literals[node] = 0
            while total > 1 << (planes[node] - 1):
                planes[node] += 1
            set_in[:] = 0
            for e in range(indptr[node], indptr[node + 1]):
                for bit in range(_WEIGHT_BITS):
                    set_in[bit] += abs(np.int64(weight[e])) >> bit & 1
            for n in set_in:
                counts[node] += -(-n // MOST)
                literals[node] += -(-n // TREE) * TREE
        bias[node] = (1 << (planes[node] - 1)) - goal
    return literals, counts, planes, bias


@kept
@no_type_check
def list_literals(indptr, source, delay, weight, order, begin, planes, counts, literals, place):
    """Returns the inputs, counts and literals of the nodes, in their order, block by block."""
    in_source, in_delay = np.empty(len(source), np.int32), np.empty(len(source), np.uint8)
    other = np.empty(len(source), np.int32)  # input of the block with the same source and another delay
    block_inputs = np.empty(len(begin) - 1, np.int64)
    count_bit, count_literals = np.zeros(counts, np.uint8), np.zeros(counts, np.int64)
    literal = np.zeros(literals, np.uint32)
    inputs = count = at = 0
    for block in range(len(begin) - 1):
        first = inputs
        for node in order[begin[block] : begin[block + 1]]:
            once = planes[node] == PLANES  # each literal as often as its weight says
            for bit in range(1 if once else _WEIGHT_BITS):
                n = 0
                for e in range(indptr[node], indptr[node + 1]):
                    size = abs(np.int64(weight[e]))
                    times = size if once else size >> bit & 1
                    if not times:
                        continue
                    i = place[source[e]]
                    while i >= 0 and in_delay[i] != delay[e]:
                        i = other[i]
                    if i < 0:
                        i, inputs = inputs, inputs + 1
                        in_source[i], in_delay[i], other[i] = source[e], delay[e], place[source[e]]
                        place[source[e]] = i
                    for _ in range(times):
                        literal[at] = (2 * (i - first) + (2 if weight[e] < 0 else 1)) * ROW
                        at, n = at + 1, n + 1
                        if n % MOST == 0 and not once:
                            count_bit[count], count_literals[count] = bit, MOST
                            count += 1
                if once or n % MOST:
                    n = n if once else n % MOST
                    full = -(-n // TREE) * TREE
                    at += full - n
                    count_bit[count], count_literals[count] = bit, full
                    count += 1
        for i in range(first, inputs):
            place[in_source[i]] = -1
        block_inputs[block] = inputs - first
    return in_source[:inputs], in_delay[:inputs], block_inputs, count_bit, count_literals, literal
