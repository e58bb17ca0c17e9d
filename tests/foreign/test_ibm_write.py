"""Chip images as IBM's models: what is written reads back, and what does not fit is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.corruptions import ARCH, build
from support.ibm_models import CASES, run, small_model, write
from support.random_chips import RANC, SMALL, WIDE, random_chip, random_frames
from support.random_nets import random_net

from tncompile.arch import ChipArch
from tncompile.errors import InfeasibleError
from tncompile.foreign.companion import companion_path
from tncompile.foreign.ibm import core_ids, read_model, write_model
from tncompile.foreign.ibm_spikes import read_input, write_input
from tncompile.foreign.ibm_text import load_json
from tncompile.ir import ChipImage
from tncompile.ir.text import digest
from tncompile.sim.spikes import InputSpikes
from tncompile.verify import verify

FILES = Path(__file__).parent / "ibm"


def fitted(image: ChipImage, seed: int = 0) -> ChipImage:
    """Returns the image with resets that the format can say: ±(2^n − 1)."""
    rng = np.random.default_rng(seed)
    table = image.neurons
    reset = rng.choice([-1, 1], len(table)) * ((1 << rng.integers(0, 6, len(table))) - 1)
    return dataclasses.replace(image, neurons=dataclasses.replace(table, reset=reset.astype(np.int32)))


def chip(seed: int, **options: Any) -> ChipImage:
    return fitted(random_chip(seed, **({"arch": WIDE} | options)), seed)


def compiled(seed: int) -> ChipImage:
    return build(random_net(seed, inputs=8, layers=2, size=5), ARCH, packets_per_bit=1).image


def frames_as_spikes(image: ChipImage, seed: int, ticks: int) -> InputSpikes:
    tick, bit = np.nonzero(random_frames(image, seed, batch=1, ticks=ticks)[0])
    none = np.zeros(len(tick), np.int32)
    return InputSpikes(stream=none, tick=tick, core=none - 1, axon=bit.astype(np.int32), delay=none)


@pytest.mark.parametrize("seed", range(4))
def test_compiled_nets_come_back(tmp_path: Path, seed: int) -> None:
    image = compiled(seed)
    assert image.host is not None and image.latency > 0 and len(image.packets.bit)
    write_model(image, tmp_path / "net.json")
    back = read_model(tmp_path / "net.json")
    assert digest(back) == digest(image)
    verify(back, ARCH)


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_random_chips_come_back(tmp_path: Path, seed: int, stochastic: bool) -> None:
    """Crossbars that are equal or unused, rows that no neuron uses and an odd row 0 keep their numbers."""
    image = chip(seed, stochastic=stochastic)
    image = dataclasses.replace(image, crossbars=np.concatenate([image.crossbars, image.crossbars]))
    write_model(image, tmp_path / "chip.json")
    assert digest(read_model(tmp_path / "chip.json")) == digest(image)


@pytest.mark.parametrize("axon_types", [2, 3])
def test_chips_with_fewer_axon_types_come_back(tmp_path: Path, axon_types: int) -> None:
    image = chip(1, arch=WIDE.model_copy(update={"axon_types": axon_types}))
    write_model(image, tmp_path / "chip.json")
    assert digest(read_model(tmp_path / "chip.json")) == digest(image)


@pytest.mark.parametrize("seed", range(6))
def test_without_the_companion_a_chip_does_the_same(tmp_path: Path, seed: int) -> None:
    image = compiled(seed) if seed < 2 else chip(seed)
    path = tmp_path / "chip.json"
    write_model(image, path)
    companion_path(path).unlink()
    alone = read_model(path)
    verify(alone, ChipArch.model_validate_json(alone.arch))
    assert (alone.latency, alone.input_bits, alone.host, len(alone.packets.bit)) == (-1, 0, None, 0)
    assert (np.diff(core_ids(alone)) > 0).all()
    assert len({bits.tobytes() for bits in alone.crossbars}) == len(alone.crossbars)

    spikes = frames_as_spikes(image, seed, 12)
    write_input(spikes, image, tmp_path / "spikes.sfti")
    ours = run(image, spikes, 40)
    theirs = run(alone, read_input(tmp_path / "spikes.sfti", alone), 40)
    assert ours.any()
    np.testing.assert_array_equal(theirs, ours[:, : alone.output_pins])
    assert not ours[:, alone.output_pins :].any()


@pytest.mark.skipif(not CASES.exists(), reason="IBM's own case is not beside the checkout")
def test_ibms_own_model_comes_back(tmp_path: Path) -> None:
    image = read_model(CASES / "patternMatch.json")
    write_model(image, tmp_path / "model.json")
    assert digest(read_model(tmp_path / "model.json")) == digest(image)
    companion_path(tmp_path / "model.json").unlink()
    ours, theirs = load_json(tmp_path / "model.json"), load_json(CASES / "patternMatch.json")
    assert ours.keys() == theirs.keys()
    assert ours["model"].keys() == theirs["model"].keys()
    assert [kind.keys() for kind in ours["neuronTypes"]] == [kind.keys() for kind in theirs["neuronTypes"]]
    assert [core.keys() for core in ours["core"]] == [core.keys() for core in theirs["core"]]
    assert ours["core"][0]["metadata"].keys() == theirs["core"][0]["metadata"].keys()
    assert ours["crossbarTypes"][0] == theirs["crossbarTypes"][0] | {"name": "coreProt0000001"}
    assert ours["crossbarTypes"][1]["crossbar"] == theirs["core"][1]["crossbar"]
    np.testing.assert_array_equal(read_model(tmp_path / "model.json").neuron_type, image.neuron_type)


def test_the_file_is_as_it_was(tmp_path: Path) -> None:
    image = read_model(write(tmp_path / "source.json", small_model()))
    write_model(image, tmp_path / "small.json")
    lines = (tmp_path / "small.json").read_text().splitlines()
    assert lines[6].lstrip().startswith('"buildKey64":"tncompile_')
    golden = (FILES / "small.json").read_text().splitlines()
    assert lines[:6] + lines[7:] == golden[:6] + golden[7:]


def test_the_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        write_model(chip(5), tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert companion_path(tmp_path / "a.json").read_bytes() == companion_path(tmp_path / "b.json").read_bytes()


def test_a_core_stands_in_the_file_as_ibm_would_have_it(tmp_path: Path) -> None:
    image = chip(2, arch=WIDE)
    write_model(image, tmp_path / "chip.json")
    text = (tmp_path / "chip.json").read_text()
    assert "/" not in text, "no comments: any reader of JSON with repeated keys takes it"
    pairs = json.loads(text, object_pairs_hook=list)
    assert [key for key, _ in pairs] == ["model", "crossbarTypes", "neuronTypes", *["core"] * 9]
    ids = [dict(core)["id"] for key, core in pairs if key == "core"]
    assert ids == sorted(core_ids(image).tolist())
    names = [dict(kind)["name"] for kind in dict(pairs)["neuronTypes"]]
    assert names == [f"N{row:08X}" for row in np.unique(image.neuron_type) if row]


def with_row(image: ChipImage, name: str, value: Any) -> ChipImage:
    """Returns the image with one value of the first used row of its neuron table set."""
    row = int(image.neuron_type[image.neuron_type > 0].min())
    values = np.array(getattr(image.neurons, name))
    values[row] = value
    return dataclasses.replace(image, neurons=dataclasses.replace(image.neurons, **{name: values}))


def on_chip(**changes: Any) -> ChipImage:
    """Returns a chip with another description."""
    return dataclasses.replace(chip(3), arch=WIDE.model_copy(update=changes).model_dump_json())


UNFIT = {
    "ranc": (random_chip(0, arch=RANC), "the chip has the neuron ranc, the format has truenorth; export it as RANC"),
    "axons": (on_chip(axons=32), "cores have 32 axons and 16 neurons, the format has one size for both"),
    "axon types": (on_chip(axon_types=5), "the chip has 5 axon types, the format has 4"),
    "potential": (fitted(random_chip(0, arch=SMALL)), "the chip's potential has 7 bits and saturates there"),
    "weights": (with_row(chip(3), "weights", 256), "weights is [256, 256, 256, 256], the format has ±255"),
    "leak": (with_row(chip(3), "leak", -256), "leak is -256, the format has ±255"),
    "threshold": (with_row(chip(3), "threshold", 1 << 18), "threshold is 262144, the format has 0 to 262143"),
    "negative threshold": (with_row(chip(3), "negative_threshold", 1 << 18), "negative_threshold is 262144"),
    "mask": (with_row(chip(3), "mask_bits", 19), "mask_bits is 19, the format has 0 to 18"),
    "reset": (
        with_row(chip(3), "reset", 5),
        "reset is 5, the format has 0, ±1, ±3, ±7, … (one less than a power of 2)",
    ),
    "large reset": (with_row(chip(3), "reset", -((1 << 20) - 1)), "reset is -1048575, the format has 0, ±1"),
    "initial": (with_row(chip(3), "initial", 1 << 19), "initial is 524288, the format has -524288 to 524287"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_does_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    image, message = UNFIT[name]
    with pytest.raises(InfeasibleError) as caught:
        write_model(image, tmp_path / "chip.json")
    assert message in str(caught.value) and str(caught.value).startswith("IBM's model format: ")
    assert not list(tmp_path.iterdir())


def test_a_delay_of_more_than_15_is_refused(tmp_path: Path) -> None:
    image = chip(3, arch=WIDE.model_copy(update={"delay_max": 20}))
    delay = np.array(image.target_delay)
    core, neuron = np.argwhere(delay)[4].tolist()
    delay[delay > 15] = 15
    delay[core, neuron] = 16
    with pytest.raises(
        InfeasibleError, match=f"core {core}, neuron {neuron}: the delay is 16 ticks, the format has 1 to 15"
    ):
        write_model(dataclasses.replace(image, target_delay=delay), tmp_path / "chip.json")


def test_an_image_without_cores_is_refused(tmp_path: Path) -> None:
    image = chip(3)
    none = {
        name: getattr(image, name)[:0] for name in ("core_x", "core_y", "core_crossbar", "axon_type", "neuron_type")
    }
    none |= {name: getattr(image, name)[:0] for name in ("dx", "dy", "target_axon", "target_delay", "output_pin")}
    with pytest.raises(InfeasibleError, match="the image has no core"):
        write_model(dataclasses.replace(image, **none), tmp_path / "chip.json")


def test_a_row_that_no_neuron_uses_may_be_anything(tmp_path: Path) -> None:
    """It is in the companion, not in the model."""
    image = chip(3)
    table = {
        field.name: np.concatenate([getattr(image.neurons, field.name)] * 2)
        for field in dataclasses.fields(image.neurons)
    }
    table["reset"][-1] = 5
    image = dataclasses.replace(image, neurons=dataclasses.replace(image.neurons, **table))
    write_model(image, tmp_path / "chip.json")
    assert digest(read_model(tmp_path / "chip.json")) == digest(image)
