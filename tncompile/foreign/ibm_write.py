"""Writes IBM's TrueNorth model files (JSON)."""

from __future__ import annotations

import json
import os
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Int64, UInt8

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.errors import InfeasibleError
from tncompile.foreign.companion import write_companion
from tncompile.foreign.ibm_format import (
    AXON_TYPES,
    CROSSBAR_CLASS,
    NEURON_CLASS,
    NOWHERE,
    PIN_CORE,
    PINS_PER_CORE,
    REVERSED,
    core_ids,
    ids_at,
)
from tncompile.foreign.ibm_text import compress_runs
from tncompile.ir import ChipImage, NeuronTable
from tncompile.ir.io import atomic_write
from tncompile.ir.text import digest
from tncompile.sim.wiring import image_arch


def write_model(image: ChipImage, path: str | os.PathLike[str]) -> None:
    """Writes a chip image as an IBM model file, and its companion beside it; the same image gives the same bytes.

    Cores stand in the order of their ids. Neuron types have the numbers of their rows; those that no neuron uses are
    left out. What the format has no place for goes into the companion.

    Raises:
        InfeasibleError: a number of the image does not fit the format.
        ArtifactError: a file cannot be written.
    """
    check_model(image)
    arch = image_arch(image)
    types = np.setdiff1d(image.neuron_type, [0])
    ids = core_ids(image)
    # A crossbar of the library has the types of its axons: cores that differ in them need two.
    looks = np.concatenate([image.core_crossbar.astype("<i4").view(np.uint8).reshape(-1, 4), image.axon_type], axis=1)
    first, look = _first_of_each(looks)
    addresses = _addresses(image, arch)
    parts = [
        f'{{\n\t"model":{_block(_model_header(image, arch))},\n\t"crossbarTypes":[\n',
        ",\n".join(_prototype_text(image, i + 1, core) for i, core in enumerate(first.tolist())),
        '\n\t],\n\t"neuronTypes":[\n',
        ",\n".join(f"\t\t{_compact(_type_fields(image.neurons, row))}" for row in types.tolist()),
        "\n\t]",
    ]
    for core in np.argsort(ids).tolist():
        lists = {key: values[core] for key, values in addresses.items()}
        types_of = image.neuron_type[core].astype(np.int64)
        fields = _core_fields(core, int(ids[core]), types_of, lists, int(look[core]) + 1)
        parts.append(f',\n\t"core":{_block(fields)}')
    parts.append("\n}\n")
    atomic_write(path, "".join(parts))
    write_companion(image, path)


def check_model(image: ChipImage) -> None:
    """Refuses what the format cannot say.

    Raises:
        InfeasibleError: a number of the image does not fit the format.
    """
    arch = image_arch(image)
    types = np.setdiff1d(image.neuron_type, [0])

    def cannot(what: str, limit: str, hint: str) -> NoReturn:
        raise InfeasibleError(f"IBM's model format: {what}, the format has {limit}; {hint}")

    if arch.neuron != "truenorth":
        cannot(f"the chip has the neuron {arch.neuron}", "truenorth", "export it as RANC")
    if arch.axons != arch.neurons:
        cannot(f"cores have {arch.axons} axons and {arch.neurons} neurons", "one size for both", "use square cores")
    if arch.axon_types > AXON_TYPES:
        cannot(f"the chip has {arch.axon_types} axon types", f"{AXON_TYPES}", "use fewer")
    if arch.potential_bits != TRUENORTH.potential_bits:
        what = f"the chip's potential has {arch.potential_bits} bits and saturates there"
        cannot(what, f"{TRUENORTH.potential_bits} bits", f"set potential_bits to {TRUENORTH.potential_bits}")
    if not len(image.core_x):
        cannot("the image has no core", "at least one", "export a chip that does something")
    if image.target_delay.max() > TRUENORTH.delay_max:
        core, neuron = np.argwhere(image.target_delay > TRUENORTH.delay_max)[0].tolist()
        what = f"core {core}, neuron {neuron}: the delay is {image.target_delay[core, neuron]} ticks"
        cannot(what, f"1 to {TRUENORTH.delay_max}", "use shorter delays")
    table = image.neurons
    low, high = TRUENORTH.potential_range
    most = TRUENORTH.threshold_range[1]
    magnitude = np.abs(table.reset.astype(np.int64))
    for name, bad, limit in (
        ("weights", (np.abs(table.weights.astype(np.int64)) > TRUENORTH.weight_max).any(axis=1), "±255"),
        ("leak", np.abs(table.leak.astype(np.int64)) > TRUENORTH.leak_max, "±255"),
        ("threshold", (table.threshold < 0) | (table.threshold > most), f"0 to {most}"),
        (
            "negative_threshold",
            (table.negative_threshold < 0) | (table.negative_threshold > most),
            f"0 to {most}",
        ),
        ("mask_bits", table.mask_bits > TRUENORTH.threshold_bits, f"0 to {TRUENORTH.threshold_bits}"),
        (
            "reset",
            (magnitude & (magnitude + 1) != 0) | (magnitude > high),
            "0, ±1, ±3, ±7, … (one less than a power of 2)",
        ),
        ("initial", (table.initial < low) | (table.initial > high), f"{low} to {high}"),
    ):
        wrong = types[np.asarray(bad)[types]]
        if len(wrong):
            value = getattr(table, name)[wrong[0]].tolist()
            cannot(f"neuron type {wrong[0]}: {name} is {value}", limit, "change it in the net or the chip description")


def _first_of_each(
    rows: UInt8[np.ndarray, "rows bytes"],
) -> tuple[Int64[np.ndarray, " distinct"], Int64[np.ndarray, " rows"]]:
    """Returns the first row of each kind, in the order of the rows, and the kind of each row."""
    known: dict[bytes, int] = {}
    kind = np.array([known.setdefault(row.tobytes(), len(known)) for row in rows], np.int64)
    return np.unique(kind, return_index=True)[1], kind


def _model_header(image: ChipImage, arch: ChipArch) -> dict[str, Any]:
    return {
        "coreCount": len(image.core_x),
        "neuronclass": NEURON_CLASS,
        "crossbarSize": arch.axons,
        "crossbarclass": CROSSBAR_CLASS,
        "buildKey64": f"tncompile_{digest(image)}",
        "networking": "INTRA",
        "useCrossbarPrototypes": True,
    }


def _prototype_text(image: ChipImage, number: int, core: int) -> str:
    """Returns the library's entry for the crossbar of a core."""
    bits = REVERSED[image.crossbars[image.core_crossbar[core]]]
    width = bits.shape[1] * 3  # two digits and a blank a byte
    text = bits.tobytes().hex(" ").upper()
    rows = ",\n".join(
        f'\t\t\t\t{{"type":"S{kind}","synapses":"{text[i * width : (i + 1) * width - 1]}"}}'
        for i, kind in enumerate(image.axon_type[core].tolist())
    )
    return f'\t\t{{\n\t\t\t"name":"{_prototype_name(number)}",\n\t\t\t"crossbar":{{"rows":[\n{rows}\n\t\t\t]}}\n\t\t}}'


def _type_fields(table: NeuronTable, row: int) -> dict[str, Any]:
    """Returns a row of the neuron table in IBM's terms."""
    kinds = range(AXON_TYPES)
    weights = [int(w) for w in table.weights[row]] + [0] * (AXON_TYPES - table.weights.shape[1])
    flags = [bool(b) for b in table.stochastic_weights[row]] + [False] * (AXON_TYPES - table.weights.shape[1])
    leak, reset = int(table.leak[row]), int(table.reset[row])
    return {
        "name": f"N{row:08X}",
        "class": NEURON_CLASS,
        **{f"sigma{k}": -1 if weights[k] < 0 else 1 for k in kinds},
        **{f"s{k}": abs(weights[k]) for k in kinds},
        **{f"b{k}": flags[k] for k in kinds},
        "sigma_lambda": -1 if leak < 0 else 1,
        "lambda": abs(leak),
        "c_lambda": bool(table.stochastic_leak[row]),
        "epsilon": bool(table.leak_reversal[row]),
        "alpha": int(table.threshold[row]),
        "beta": int(table.negative_threshold[row]),
        "TM": int(table.mask_bits[row]),
        "gamma": int(table.reset_mode[row]),
        "kappa": bool(table.negative_saturate[row]),
        "sigma_VR": -1 if reset < 0 else 1,
        "VR": abs(reset).bit_length(),
        "V": int(table.initial[row]),
    }


def _addresses(image: ChipImage, arch: ChipArch) -> dict[str, Int64[np.ndarray, "cores neurons"]]:
    """Returns where each neuron sends to, by the lists that a core has."""
    to_core, to_pin = image.target_delay > 0, image.output_pin >= 0
    target = ids_at(image.core_x[:, None] + image.dx, image.core_y[:, None] + image.dy, arch)
    pin = image.output_pin.astype(np.int64)
    send = [to_core, to_pin]
    return {
        "destCores": np.select(send, [target, PIN_CORE - pin // PINS_PER_CORE], NOWHERE[0]),
        "destAxons": np.select(send, [image.target_axon.astype(np.int64), pin % PINS_PER_CORE], 0),
        "destDelays": np.where(to_core, image.target_delay, 1).astype(np.int64),
    }


def _core_fields(
    number: int,
    core_id: int,
    types: Int64[np.ndarray, " neurons"],
    addresses: dict[str, Int64[np.ndarray, " neurons"]],
    prototype: int,
) -> dict[str, Any]:
    """Returns a core in IBM's terms."""
    lists = {"dendrites": np.arange(len(types)), "types": types, **addresses}
    return {
        "metadata": {"coreletClass": "tncompile", "coreletId": 0, "coreNumber": number, "parentCoreletId": [-1]},
        "id": core_id,
        "timeScaleExponent": 0,
        "rngSeed": (1 << 32) - 1,  # as IBM's tools leave it
        "neurons": {key: compress_runs(values) for key, values in lists.items()},
        "crossbar": {"name": _prototype_name(prototype)},
    }


def _prototype_name(number: int) -> str:
    return f"coreProt{number:07}"


def _block(fields: dict[str, Any]) -> str:
    """Returns an object within the file's as JSON, a line a key."""
    lines = ",\n".join(f'\t\t"{key}":{_compact(value)}' for key, value in fields.items())
    return f"{{\n{lines}\n\t}}"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
