"""RANC's FPGA memory files: what each core of the RTL loads when it is built.

`csram_NNN.mem` has a line a neuron, `tc_NNN.mem` a line an axon, in binary digits as Verilog's $readmemb takes them.
NNN is x + num_cores_x · y of the cell. Every cell but the output bus's has its two files; a cell without a core holds
silent neurons.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import NoReturn

import numpy as np
from jaxtyping import Int32, UInt8

from tncompile.errors import ArtifactError
from tncompile.foreign.ranc_json import (
    RancConfig,
    RancNetwork,
    crosspoints,
    read_config_json,
    silent_network,
)
from tncompile.ir.io import atomic_write, read_bytes

WORD_BITS = 9
"""Width of potentials, weights, leaks, thresholds and offsets, sign included, in RANC's RTL as published [bit]."""
TICK_BITS = 4
"""Width of destination_tick [bit]."""
NAMED_CELLS = 1000
"""Cells that the RTL as published finds files for: it writes their numbers with three digits."""

_MOST_CELLS = 1 << 14  # of whose neurons the files are some 100 kB a cell
_COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)
_NAME = re.compile(r"(csram|tc)_(\d+)\.mem")


def misfit(network: RancNetwork) -> str | None:
    """Returns why a network has no memory files, the first value that its field does not take; None: it has."""
    cells = network.config.num_cores_x * network.config.num_cores_y
    if cells > _MOST_CELLS:
        return f"the grid has {cells} cells, files are written of at most {_MOST_CELLS}"
    for name, _, width, signed in _fields(network.config):
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
        values = getattr(network, name)
        wrong = (values < low) | (values > high)
        if wrong.any():
            where = tuple(np.argwhere(wrong)[0])
            return (
                f"core ({network.x[where[0]]}, {network.y[where[0]]}), neuron {where[1]}: {name} is {values[where]}, "
                f"the field takes {low} to {high}"
            )
    return None


def write_memory_files(network: RancNetwork, folder: str | os.PathLike[str]) -> int:
    """Writes the memory files of a network that fits them (`misfit`); returns how many.

    Raises:
        ArtifactError: a file cannot be written.
    """
    config = network.config
    cells = config.num_cores_x * config.num_cores_y
    core_on = dict(zip((network.x + config.num_cores_x * network.y).tolist(), range(len(network.x)), strict=True))
    bus = None if network.bus is None else network.bus[0] + config.num_cores_x * network.bus[1]
    cell = np.zeros(1, np.int32)
    empty = _texts(RancNetwork(**silent_network(config, cell, cell)), 0)
    written = 0
    for number in range(cells):
        if number != bus:
            texts = _texts(network, core_on[number]) if number in core_on else empty
            for part, text in zip(("csram", "tc"), texts, strict=True):
                atomic_write(Path(folder) / file_name(part, number, cells), text)
                written += 1
    return written


def file_name(part: str, cell: int, cells: int) -> str:
    """Returns the name of a cell's file, with as many digits as the last cell's number needs, at least three.

    >>> file_name("csram", 7, 12)
    'csram_007.mem'
    """
    return f"{part}_{cell:0{max(3, len(str(cells - 1)))}d}.mem"


def remove_memory_files(folder: str | os.PathLike[str]) -> None:
    """Removes all memory files of a folder, so that none of another network stays among those to be written.

    Raises:
        ArtifactError: a file cannot be removed.
    """
    for path in memory_files(folder):
        try:
            path.unlink()
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be removed: {error.strerror}; choose another folder") from error


def memory_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Returns the memory files in a folder, in the order of their names."""
    return [path for path in sorted(Path(folder).glob("*.mem")) if _NAME.fullmatch(path.name)]


def read_memory_files(folder: str | os.PathLike[str], config_file: str | os.PathLike[str]) -> RancNetwork:
    """Returns the network that a folder of memory files holds, with a core in every cell that has files.

    The cell without files is the output bus, with as many outputs as neurons send to; if there is none, there is no
    bus.

    Args:
        folder: where `csram_NNN.mem` and `tc_NNN.mem` are.
        config_file: the config JSON, with the dimensions, which the files do not say.

    Raises:
        ArtifactError: a file is missing, has lines of another length or number, or is of a cell outside the grid.
        InfeasibleError: a size is beyond what a chip description can hold.
    """
    matches = [(path, _NAME.fullmatch(path.name)) for path in memory_files(folder)]
    files = {int(match[2]): path for path, match in matches if match is not None and match[1] == "csram"}
    if not files:
        _fail(folder, "has no csram_NNN.mem", "name a folder of RANC's memory files")
    for kind in ("csram", "tc"):
        cells = sorted(int(match[2]) for _, match in matches if match is not None and match[1] == kind)
        twice = [a for a, b in itertools.pairwise(cells) if a == b]
        if twice:
            _fail(folder, f"has two {kind} files of cell {twice[0]}", "remove the one that is not meant")
    config = read_config_json(config_file)
    cells = config.num_cores_x * config.num_cores_y
    if max(files) >= cells:
        _fail(files[max(files)], f"is of cell {max(files)}, the grid's last is {cells - 1}", "correct the grid's size")
    missing = sorted(set(range(cells)) - files.keys())
    if len(missing) > 1:
        name = file_name("csram", missing[1], cells)
        what = f"has neither {file_name('csram', missing[0], cells)} nor {name}, only the output bus's cell has none"
        _fail(folder, what, "make the files again, or correct the grid's size")

    number = np.array(sorted(files), np.int32)
    arrays = silent_network(config, number % config.num_cores_x, number // config.num_cores_x)
    for core, path in enumerate(files[cell] for cell in sorted(files)):
        types = path.with_name(path.name.replace("csram", "tc"))
        arrays["axon_type"][core] = _numbers(_read(types, config.num_axons, _bits(config.num_weights)))
        fields = _fields(config)
        words = _read(path, config.num_neurons, config.num_axons + sum(count * width for _, count, width, _ in fields))
        connections = words[:, : config.num_axons][:, ::-1]  # the last axon comes first
        arrays["crossbars"][core] = np.packbits(connections.T, axis=-1, bitorder="little")
        at = config.num_axons
        for name, count, width, signed in fields:
            values = _numbers(words[:, at : at + count * width].reshape(-1, count, width))
            if signed:
                values -= values >> (width - 1) << width
            arrays[name][core] = values.reshape(arrays[name][core].shape)
            at += count * width
    if missing:
        y, x = divmod(missing[0], config.num_cores_x)
        to_bus = (arrays["x"][:, None] + arrays["dx"] == x) & (arrays["y"][:, None] + arrays["dy"] == y)
        outputs = int(np.where(to_bus, arrays["destination_axon"] + 1, 0).max())
        arrays |= {"bus": (x, y), "num_outputs": outputs}
    return RancNetwork(**arrays)


def _fail(path: str | os.PathLike[str], what: str, hint: str) -> NoReturn:
    raise ArtifactError(f"{path}: {what}; {hint}")


def _bits(count: int) -> int:
    """Returns the bits that name one of `count` things, Verilog's $clog2 [bit]."""
    return (count - 1).bit_length()


def _fields(config: RancConfig) -> tuple[tuple[str, int, int, bool], ...]:
    """Returns name, count, width [bit] and whether signed of what follows the connections in a csram line."""
    return (
        ("current_potential", 1, WORD_BITS, True),
        ("reset_potential", 1, WORD_BITS, True),
        ("weights", config.num_weights, WORD_BITS, True),
        ("leak", 1, WORD_BITS, True),
        ("positive_threshold", 1, WORD_BITS, True),
        ("negative_threshold", 1, WORD_BITS, True),
        ("reset_mode", 1, 1, False),
        ("dx", 1, WORD_BITS, True),
        ("dy", 1, WORD_BITS, True),
        ("destination_axon", 1, _bits(config.num_axons), False),
        ("destination_tick", 1, TICK_BITS, False),
    )


def _texts(network: RancNetwork, core: int) -> tuple[bytes, bytes]:
    """Returns a core's csram and tc file."""
    config = network.config
    neurons = config.num_neurons
    parts = [crosspoints(network.crossbars[core], neurons)[:, ::-1]]  # the last axon comes first
    for name, count, width, _ in _fields(config):
        values = getattr(network, name)[core].reshape(neurons, count)
        parts.append(_digits(values, width).reshape(neurons, count * width))
    types = _digits(network.axon_type[core].astype(np.int32), _bits(config.num_weights))
    return _lines(np.concatenate(parts, axis=1)), _lines(types)


def _digits(values: Int32[np.ndarray, "*n"], width: int) -> UInt8[np.ndarray, "*n width"]:
    """Returns the lowest bits of two's complement numbers, the most significant one first."""
    return (values[..., None] >> np.arange(width - 1, -1, -1) & 1).astype(np.uint8)


def _numbers(digits: UInt8[np.ndarray, "*n width"]) -> Int32[np.ndarray, "*n"]:
    """Returns the numbers that bits make, the most significant one first."""
    width = digits.shape[-1]
    return (digits.astype(np.int32) << np.arange(width - 1, -1, -1, dtype=np.int32)).sum(axis=-1, dtype=np.int32)


def _lines(bits: UInt8[np.ndarray, "lines bits"]) -> bytes:
    text = np.full((bits.shape[0], bits.shape[1] + 1), ord("\n"), np.uint8)
    text[:, :-1] = bits + ord("0")
    return text.tobytes()


def _read(path: Path, lines: int, width: int) -> UInt8[np.ndarray, "lines width"]:
    """Returns the bits of a file; comments and underscores are allowed, as in Verilog."""
    words = _COMMENT.sub(b" ", read_bytes(path)).replace(b"_", b"").split()
    if len(words) != lines:
        _fail(path, f"has {len(words)} lines, the config asks for {lines}", "correct the config, or make it again")
    for number, word in enumerate(words):
        if len(word) != width or word.strip(b"01"):
            what = f"line {number} has {len(word)} digits" if len(word) != width else f"line {number} is not binary"
            _fail(path, f"{what}, must be {width} binary digits", "correct the config, or make it again")
    return (np.frombuffer(b"".join(words), np.uint8) - ord("0")).reshape(lines, width)
