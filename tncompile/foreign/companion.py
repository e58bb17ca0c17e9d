"""The companion file of an exported chip: what other tools' formats have no place for.

It stands beside the model that it belongs to. With it, the model reads back as the image that was exported, bit for
bit; without it, the model stands for itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NoReturn

import numpy as np
from jaxtyping import Int32, Int64, UInt8
from pydantic import ValidationError

from tncompile.arch import ChipArch
from tncompile.errors import ArtifactError
from tncompile.ir import ChipImage, Host, InputPackets, NeuronTable
from tncompile.ir.base import Record
from tncompile.ir.io import Malformed, decode_record, encode
from tncompile.ir.tensors import read_tensors, write_tensors
from tncompile.ir.text import digest

MAX_PINS = 1 << 24
"""Output pins that a chip of other tools may have: as many as fit in memory in every tick."""
SUFFIX = ".tncompile.safetensors"
"""A companion has its model's name with this for the ending."""
_KIND = "companion"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Companion(Record):
    """What a chip image holds and a foreign model does not, and in what order the image has the rest.

    Attributes:
        image: digest of the image that was exported.
        arch, input_bits, output_pins, latency, packets, host: the image's.
        core_x, core_y: sites, in the image's order of cores.
        core_crossbar: the image's numbers of its crossbars.
        crossbars: how many the image has.
        spare: numbers of the crossbars that no core uses.
        spare_bits: those crossbars.
        neurons, neuron_type: the image's table, with the rows that no neuron uses, and its numbers.
    """

    image: str
    arch: str
    input_bits: int
    output_pins: int
    latency: int
    core_x: Int32[np.ndarray, " cores"]
    core_y: Int32[np.ndarray, " cores"]
    core_crossbar: Int32[np.ndarray, " cores"]
    crossbars: int
    spare: Int32[np.ndarray, " spares"]
    spare_bits: UInt8[np.ndarray, "spares axons bytes"]
    neurons: NeuronTable
    neuron_type: Int32[np.ndarray, "cores neurons"]
    packets: InputPackets
    host: Host | None


def companion_path(path: str | os.PathLike[str]) -> Path:
    """Returns where the companion of a model file stands.

    >>> companion_path("chips/net.json").name
    'net.tncompile.safetensors'
    """
    path = Path(path)
    return path.with_name(path.stem + SUFFIX)


def write_companion(image: ChipImage, path: str | os.PathLike[str]) -> None:
    """Writes the companion of the model file that an image was exported to; the same image gives the same bytes.

    Args:
        image: what was exported.
        path: the model file.

    Raises:
        ArtifactError: the companion cannot be written; nothing is left behind.
    """
    spare = np.setdiff1d(np.arange(len(image.crossbars), dtype=np.int32), image.core_crossbar)
    companion = Companion(
        image=digest(image),
        arch=image.arch,
        input_bits=image.input_bits,
        output_pins=image.output_pins,
        latency=image.latency,
        core_x=image.core_x,
        core_y=image.core_y,
        core_crossbar=image.core_crossbar,
        crossbars=len(image.crossbars),
        spare=spare,
        spare_bits=image.crossbars[spare],
        neurons=image.neurons,
        neuron_type=image.neuron_type,
        packets=image.packets,
        host=image.host,
    )
    tensors: dict[str, np.ndarray] = {}
    meta = encode(companion, "", tensors)
    write_tensors(companion_path(path), _KIND, tensors, meta)


def read_companion(path: str | os.PathLike[str]) -> Companion | None:
    """Returns the companion of a model file, or None if none stands beside it.

    Args:
        path: the model file.

    Raises:
        ArtifactError: the companion cannot be read, was altered, or is of another version.
    """
    path = companion_path(path)
    if not path.exists():
        return None
    advice = "export the chip again, or remove this file to read the model by itself"
    try:
        meta, tensors = read_tensors(path, _KIND, again="it is of another tncompile")
        companion: Companion = decode_record(meta, Companion, "", tensors)
        ChipArch.model_validate_json(companion.arch)
    except ArtifactError as error:
        raise ArtifactError(f"{error}; {advice}") from error
    except (Malformed, ValidationError) as error:
        raise ArtifactError(f"{path}: is not the companion of a model ({error}); {advice}") from error
    return companion


def complete(image: ChipImage, companion: Companion, path: str | os.PathLike[str]) -> ChipImage:
    """Returns the image that was exported, from what a reader made of the model, and the companion.

    Crossbars, axon types, targets and pins are the model's; the neurons' parameters are compared with the model's;
    order, numbering and all the rest are the companion's.

    Args:
        image: the model read by itself, on the companion's chip, no two of its crossbars equal; its cores and rows in
            any order.
        companion: of the model.
        path: the model file, for messages.

    Raises:
        ArtifactError: the model is not the one that the companion was written with.
    """
    order = _order(image, companion, path)
    neuron_type = image.neuron_type[order]
    for field in fields(NeuronTable):
        mine = getattr(companion.neurons, field.name)[companion.neuron_type]
        theirs = getattr(image.neurons, field.name)[neuron_type]
        differs = (mine != theirs).reshape(*companion.neuron_type.shape, -1).any(axis=2) & (companion.neuron_type != 0)
        if differs.any():
            core, neuron = np.argwhere(differs)[0].tolist()
            _stale(
                path,
                f"neuron {neuron} of the core at ({companion.core_x[core]}, {companion.core_y[core]}) has {field.name} "
                f"{theirs[core, neuron]}, was exported with {mine[core, neuron]}",
            )
    complete = ChipImage(
        arch=companion.arch,
        input_bits=companion.input_bits,
        output_pins=companion.output_pins,
        latency=companion.latency,
        core_x=companion.core_x,
        core_y=companion.core_y,
        core_crossbar=companion.core_crossbar,
        crossbars=_crossbars(image, companion, order, path),
        axon_type=image.axon_type[order],
        neurons=companion.neurons,
        neuron_type=companion.neuron_type,
        dx=image.dx[order],
        dy=image.dy[order],
        target_axon=image.target_axon[order],
        target_delay=image.target_delay[order],
        output_pin=image.output_pin[order],
        packets=companion.packets,
        host=companion.host,
    )
    if digest(complete) != companion.image:
        _stale(path, "a crossbar, an axon type, a target or an output pin is another one")
    return complete


def _order(image: ChipImage, companion: Companion, path: str | os.PathLike[str]) -> Int64[np.ndarray, " cores"]:
    """Returns the row in `image` of each of the companion's cores."""
    row = {site: i for i, site in enumerate(zip(image.core_x.tolist(), image.core_y.tolist(), strict=True))}
    sites = list(zip(companion.core_x.tolist(), companion.core_y.tolist(), strict=True))
    missing = [site for site in sites if site not in row]
    if missing or len(row) != len(sites) or image.neuron_type.shape != companion.neuron_type.shape:
        where = f", none at {missing[0]}" if missing else ""
        _stale(path, f"it has {len(row)} cores{where}, {len(sites)} were exported")
    return np.array([row[site] for site in sites], np.int64)


def _crossbars(
    image: ChipImage, companion: Companion, order: Int64[np.ndarray, " cores"], path: str | os.PathLike[str]
) -> UInt8[np.ndarray, "crossbars axons bytes"]:
    """Returns the model's crossbars in the companion's numbering, with those that no core uses."""
    if companion.crossbars != len(np.unique(companion.core_crossbar)) + len(companion.spare):
        _stale(path, "its crossbars are not as many as were exported")
    crossbars = np.zeros((companion.crossbars, *image.crossbars.shape[1:]), np.uint8)
    theirs = image.core_crossbar[order]
    number, first = np.unique(companion.core_crossbar, return_index=True)
    crossbars[number] = image.crossbars[theirs[first]]
    crossbars[companion.spare] = companion.spare_bits
    found = np.zeros(companion.crossbars, np.int64)
    found[number] = theirs[first]
    differs = theirs != found[companion.core_crossbar]
    if differs.any():
        core = int(differs.argmax())
        _stale(path, f"the crossbar of the core at ({companion.core_x[core]}, {companion.core_y[core]}) is another one")
    return crossbars


def _stale(path: str | os.PathLike[str], what: str) -> NoReturn:
    raise ArtifactError(
        f"{path}: is not the model that {companion_path(path).name} beside it was written with: {what}; export the "
        "chip again, or remove that file to read the model by itself"
    )
