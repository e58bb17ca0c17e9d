"""The companion of an exported chip: it belongs to one model, and says so."""

from __future__ import annotations

import dataclasses
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from support.random_chips import WIDE, random_chip

from tncompile.arch import ChipArch
from tncompile.errors import ArtifactError
from tncompile.foreign.companion import companion_path, complete, read_companion, write_companion
from tncompile.foreign.ibm import read_model, write_model
from tncompile.foreign.ibm_text import expand_runs, load_json
from tncompile.ir import ChipImage
from tncompile.ir.io import write_stage
from tncompile.ir.tensors import write_tensors
from tncompile.ir.text import digest

CHIP = random_chip(7, arch=WIDE, stateless=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Returns a model file with its companion."""
    write_model(CHIP, tmp_path / "chip.v2.json")
    return tmp_path / "chip.v2.json"


def test_it_stands_beside_the_model(path: Path) -> None:
    assert sorted(file.name for file in path.parent.iterdir()) == ["chip.v2.json", "chip.v2.tncompile.safetensors"]
    companion = read_companion(path)
    assert companion is not None
    assert companion.image == digest(CHIP)
    assert (companion.arch, companion.input_bits, companion.latency) == (CHIP.arch, CHIP.input_bits, CHIP.latency)
    used = set(CHIP.core_crossbar.tolist())
    assert sorted([*used, *companion.spare.tolist()]) == list(range(companion.crossbars))


def test_it_holds_little(path: Path) -> None:
    """Crossbars that cores use, axon types, targets and pins are in the model alone."""
    names = safetensors.numpy.load_file(companion_path(path)).keys()
    assert not names & {"crossbars", "axon_type", "dx", "dy", "target_axon", "target_delay", "output_pin"}


def test_without_one_there_is_none(path: Path) -> None:
    companion_path(path).unlink()
    assert read_companion(path) is None


def test_any_changed_byte_is_noticed(path: Path) -> None:
    file = companion_path(path)
    whole = file.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    rng = np.random.default_rng(0)
    for at in [*rng.integers(8, length + 8, 20).tolist(), *rng.integers(length + 8, len(whole), 40).tolist()]:
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            read_model(path)
        except ArtifactError as error:
            assert re.search("remove this file to read the model by itself$", str(error))
        else:  # a blank that fills the header up
            assert at < length + 8 and whole[at : at + 1] in b' "'
    file.write_bytes(whole[:-5])
    with pytest.raises(ArtifactError, match=r"truncated or altered; export the chip again, or remove this file"):
        read_model(path)


def test_another_file_is_refused(path: Path) -> None:
    write_stage(companion_path(path), CHIP)
    with pytest.raises(ArtifactError, match="not a companion file; expected kind tncompile-companion"):
        read_model(path)
    write_tensors(companion_path(path), "companion", {"core_x": np.zeros(3, np.int32)}, {"image": "x"})
    with pytest.raises(ArtifactError, match="is not the companion of a model"):
        read_model(path)


def changed(name: str, change: Callable[[np.ndarray], None]) -> ChipImage:
    """Returns the chip with an array changed in place."""
    array = np.array(getattr(CHIP, name))
    change(array)
    return dataclasses.replace(CHIP, **{name: array})


def flip(array: np.ndarray) -> None:
    array[CHIP.core_crossbar[3], 2, 1] ^= 4


def first_target(array: np.ndarray) -> None:
    core, neuron = np.argwhere(CHIP.target_delay)[0]
    array[core, neuron] = array[core, neuron] % 5 + 1


def other_weight(image: ChipImage) -> ChipImage:
    row = int(image.neuron_type[0, 3]) or int(image.neuron_type.max())
    weights = np.array(image.neurons.weights)
    weights[row, 1] ^= 1
    return dataclasses.replace(image, neurons=dataclasses.replace(image.neurons, weights=weights))


def other_crossbar(image: ChipImage) -> ChipImage:
    """One of two cores with the same crossbar gets another."""
    twin = next(c for c in range(1, 9) if CHIP.core_crossbar[c] in CHIP.core_crossbar[:c])
    number = np.array(image.core_crossbar)
    number[twin] = next(n for n in CHIP.core_crossbar if n != number[twin])
    return dataclasses.replace(image, core_crossbar=number)


def fewer_cores(image: ChipImage) -> ChipImage:
    gone = 4
    x, y = image.core_x[gone], image.core_y[gone]
    to_gone = (
        (image.target_delay > 0) & (image.core_x[:, None] + image.dx == x) & (image.core_y[:, None] + image.dy == y)
    )
    fields = {name: np.where(to_gone, 0, getattr(image, name)) for name in ("dx", "dy", "target_axon", "target_delay")}
    fields |= {name: getattr(image, name) for name in ("core_x", "core_y", "core_crossbar", "axon_type", "neuron_type")}
    fields["output_pin"] = image.output_pin
    return dataclasses.replace(image, **{name: np.delete(values, gone, axis=0) for name, values in fields.items()})


STALE: dict[str, tuple[ChipImage, str]] = {
    "a synapse": (changed("crossbars", flip), "a crossbar, an axon type, a target or an output pin is another one"),
    "a crossbar": (other_crossbar(CHIP), "the crossbar of the core at"),
    "an axon type": (changed("axon_type", lambda a: a.__setitem__((0, 0), a[0, 0] ^ 1)), "an axon type"),
    "a delay": (changed("target_delay", first_target), "a target"),
    "a pin": (changed("output_pin", lambda a: a.__setitem__(tuple(np.argwhere(a >= 0)[0]), 99)), "an output pin"),
    "a weight": (other_weight(CHIP), "has weights ["),
    "a core": (fewer_cores(CHIP), "it has 8 cores, none at"),
}


@pytest.mark.parametrize("what", STALE)
def test_it_goes_with_no_other_model(path: Path, what: str) -> None:
    other, message = STALE[what]
    if what == "a pin":
        other = dataclasses.replace(other, output_pins=100)
    companion = companion_path(path).read_bytes()
    write_model(other, path)
    assert digest(read_model(path)) == digest(other)
    companion_path(path).write_bytes(companion)
    with pytest.raises(ArtifactError) as caught:
        read_model(path)
    assert message in str(caught.value)
    assert "is not the model that chip.v2.tncompile.safetensors beside it was written with" in str(caught.value)
    companion_path(path).unlink()
    read_model(path)


def test_a_model_of_another_size_is_refused(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    write_model(random_chip(1, arch=WIDE.model_copy(update={"axons": 24, "neurons": 24}), stateless=True), other)
    path.write_bytes(other.read_bytes())
    with pytest.raises(ArtifactError, match="crossbarSize is 24, 16 was exported"):
        read_model(path)


def test_a_model_that_is_off_the_chip_is_refused(path: Path) -> None:
    model = load_json(path)
    largest = max(core["id"] for core in model["core"])
    for core in model["core"]:
        targets = expand_runs(core["neurons"]["destCores"], 16)
        core["neurons"]["destCores"] = np.where(targets == largest, 18, targets).tolist()
        core["id"] = 18 if core["id"] == largest else core["id"]
    path.write_text(json.dumps(model))
    with pytest.raises(ArtifactError, match="core 18: the chip that was exported has 18 cores"):
        read_model(path)


def test_axon_types_that_the_chip_has_not_are_refused(path: Path) -> None:
    two = WIDE.model_copy(update={"axon_types": 2})
    exported = random_chip(2, arch=two, stateless=True)
    write_model(exported, path)
    text = path.read_text()
    path.write_text(text.replace('"type":"S0"', '"type":"S2"', 1))
    with pytest.raises(ArtifactError, match="is of type S2, the chip has 2 axon types"):
        read_model(path)
    path.write_text(text.replace('"s3":0', '"s3":1', 1))
    with pytest.raises(ArtifactError, match="neuronTypes: a weight is beyond the chip's 2 axon types"):
        read_model(path)


def test_cores_and_rows_may_come_in_any_order(tmp_path: Path) -> None:
    """Another reader's order, numbers and spare rows do not matter."""
    write_companion(CHIP, tmp_path / "chip")
    companion = read_companion(tmp_path / "chip")
    assert companion is not None
    rng = np.random.default_rng(0)
    order, rows = rng.permutation(9), rng.permutation(len(CHIP.neurons))
    bits, first = np.unique(CHIP.core_crossbar, return_inverse=True)
    fields = {name: getattr(CHIP, name)[order] for name in ("core_x", "core_y", "axon_type", "dx", "dy", "target_axon")}
    fields |= {name: getattr(CHIP, name)[order] for name in ("target_delay", "output_pin")}
    table = {field.name: getattr(CHIP.neurons, field.name)[rows] for field in dataclasses.fields(CHIP.neurons)}
    read = dataclasses.replace(
        CHIP,
        **fields,
        crossbars=CHIP.crossbars[bits],
        core_crossbar=first[order].astype(np.int32),
        neurons=dataclasses.replace(CHIP.neurons, **table),
        neuron_type=np.argsort(rows)[CHIP.neuron_type[order]].astype(np.int32),
        latency=5,
        input_bits=0,
    )
    assert digest(complete(read, companion, tmp_path / "chip")) == digest(CHIP)


def test_arch_survives_as_text(path: Path) -> None:
    """The description is kept as the image had it, not as this version would write it."""
    assert CHIP.arch == json.dumps(json.loads(CHIP.arch), sort_keys=True)
    assert ChipArch.model_validate_json(CHIP.arch).model_dump_json() != CHIP.arch
    assert read_model(path).arch == CHIP.arch
