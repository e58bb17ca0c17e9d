"""IBM's model files: what a model means, every way to write it, and what is no model."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign.ibm_model import random_model, simulate, with_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ibm_models import CASES, changed, neuron_type, rows, run, small_model, text, write

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.errors import ArtifactError, InfeasibleError
from tncompile.foreign.ibm import core_ids, import_notes, read_model
from tncompile.foreign.ibm_spikes import read_input
from tncompile.ir import ChipImage
from tncompile.ir.text import digest
from tncompile.verify import verify


def read(tmp_path: Path, model: dict[str, Any] | str) -> ChipImage:
    """Returns the image of a model, after the verifier has seen it."""
    path = tmp_path / "model.json"
    path.write_text(model if isinstance(model, str) else text(model), encoding="utf-8")
    image = read_model(path)
    verify(image, ChipArch.model_validate_json(image.arch))
    return image


@pytest.mark.skipif(not CASES.exists(), reason="IBM's own case is not beside the checkout")
def test_ibms_simulator_and_the_oracle_agree() -> None:
    image = read_model(CASES / "patternMatch.json")
    verify(image, TRUENORTH)
    assert (len(image.core_x), image.output_pins, image.input_bits, image.latency) == (2, 3, 0, -1)
    axons = np.unpackbits(image.crossbars[image.core_crossbar], axis=2)
    assert axons.sum() == 280
    spikes = read_input(CASES / "patternMatch_inputSpikes.sfti", image)
    assert len(spikes.tick) == 142
    expected = np.loadtxt(CASES / "patternMatch_gold.csv", delimiter=",", skiprows=1, dtype=int)
    assert len(expected) == 24
    np.testing.assert_array_equal(np.argwhere(run(image, spikes, 48)), expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_models_run_as_their_files_say(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    model, spikes = random_model(seed)
    folder = tmp_path_factory.mktemp("ibm")
    image = read(folder, with_runs(model, seed))
    lines = [json.dumps({"spike": {"srcTime": t, "destCore": c, "destAxon": a}}) for t, c, a in spikes]
    (folder / "input.sfti").write_text("\n".join(['{"class":"SpikeWriter","encoding":"TEXT"}', *lines]))
    fired = run(image, read_input(folder / "input.sfti", image), 40)
    expected = sorted({(tick, pin) for tick, _, _, pin in simulate(model, spikes, 40)})
    assert [tuple(place) for place in np.argwhere(fired).tolist()] == expected


def test_random_models_spike() -> None:
    """The comparison says something only if spikes come out, of few neurons and of many."""
    counts = [len(simulate(*random_model(seed), 40)) for seed in range(40)]
    assert sum(count > 20 for count in counts) > 20
    assert len(set(counts)) > 15


def test_a_small_model_in_hardware_terms(tmp_path: Path) -> None:
    image = read(tmp_path, small_model())
    arch = ChipArch.model_validate_json(image.arch)
    assert arch == ChipArch.model_validate(TRUENORTH.model_dump() | {"axons": 16, "neurons": 16})
    assert (image.latency, image.input_bits, image.output_pins, image.host) == (-1, 0, 257, None)
    np.testing.assert_array_equal(core_ids(image), [0, 1])
    np.testing.assert_array_equal(image.core_crossbar, [0, 1])

    table = image.neurons
    np.testing.assert_array_equal(table.weights, [[0, 0, 0, 0], [2, -1, 3, 1], [2, -1, 3, 1], [0, -1, 0, 1]])
    np.testing.assert_array_equal(table.leak, [0, 0, 0, 1])
    np.testing.assert_array_equal(table.leak_reversal, [False, False, False, True])
    np.testing.assert_array_equal(table.threshold, [1, 1, 3, 5])
    np.testing.assert_array_equal(table.negative_threshold, [0, 0, 2, 0])
    np.testing.assert_array_equal(table.reset_mode, [0, 0, 1, 2])
    np.testing.assert_array_equal(table.negative_saturate, [True, True, False, True])
    np.testing.assert_array_equal(table.reset, [0, 0, -3, 0])
    np.testing.assert_array_equal(table.initial, [0, 0, -1, 0])

    # Row 1 + place in the file's list: the numbers in the lists are decimal, those in the names hexadecimal.
    np.testing.assert_array_equal(image.neuron_type, [[1] * 8 + [2] * 4 + [3] + [1] * 3, [2] * 6 + [1] * 6 + [0] * 4])
    np.testing.assert_array_equal(image.target_delay[0], [1] * 6 + [2, 3, 4, 5] + [1] * 2 + [0] * 4)
    np.testing.assert_array_equal(image.target_delay[1], [15, 3, 4, 5, 6, 7] + [0] * 10)
    np.testing.assert_array_equal(image.target_axon[0], [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15] + [0] * 4)
    np.testing.assert_array_equal(image.dx[:, 0], [1, -1])
    assert image.dx[0, 8] == 0 and image.target_delay[0, 8] == 4, "a core may send to itself"
    np.testing.assert_array_equal(image.output_pin[1], [-1] * 6 + [0, 3, 256, 256] + [-1] * 6)
    assert (image.output_pin[0] == -1).all()


def test_bit_and_axon_order(tmp_path: Path) -> None:
    """The first neuron is the highest bit of the first byte; a row is an axon."""
    rows = [{"type": "S0", "synapses": "00 00"} for _ in range(16)]
    rows[3] = {"type": "S2", "synapses": "80 03"}
    rows[5] = {"type": "S1", "synapses": "01 40"}
    image = read(tmp_path, changed(small_model(), "core.1.crossbar", {"rows": rows}))
    bits = np.unpackbits(image.crossbars[image.core_crossbar[1]], axis=1, bitorder="little")
    assert [tuple(place) for place in np.argwhere(bits).tolist()] == [(3, 0), (3, 14), (3, 15), (5, 7), (5, 9)]
    np.testing.assert_array_equal(image.axon_type[1], [0, 0, 0, 2, 0, 1] + [0] * 10)


def test_dendrites_are_the_columns_that_neurons_read(tmp_path: Path) -> None:
    order = [15, 3, *range(4, 15), 0, 1, 2]
    plain = read(tmp_path, small_model())
    mixed = read(tmp_path, changed(small_model(), "core.0.neurons.dendrites", ["15", 3, "4:14", "0:2"]))

    def columns(image: ChipImage, core: int) -> np.ndarray:
        return np.unpackbits(image.crossbars[image.core_crossbar[core]], axis=1, bitorder="little")

    np.testing.assert_array_equal(columns(mixed, 0), columns(plain, 0)[:, order])
    np.testing.assert_array_equal(columns(mixed, 1), columns(plain, 1))


def test_crossbars_are_shared_by_their_bits(tmp_path: Path) -> None:
    """Two names for one crossbar, a copy within a core, and axon types of their own."""
    model = small_model()
    first = model["crossbarTypes"][0]["crossbar"]["rows"]
    typed = [row | {"type": "S3"} for row in first]
    model["crossbarTypes"].append({"name": "unused", "crossbar": {"rows": rows(16, seed=3)}})
    model["crossbarTypes"].append({"name": "again", "crossbar": {"rows": typed}})
    third, fourth = copy.deepcopy(model["core"][0]), copy.deepcopy(model["core"][0])
    third |= {"id": 2, "crossbar": {"name": "again"}}
    fourth |= {"id": 3, "crossbar": {"rows": first}}
    model["core"] += [third, fourth]
    model["model"]["coreCount"] = 4
    image = read(tmp_path, model)
    np.testing.assert_array_equal(image.core_crossbar, [0, 1, 0, 0])
    assert len(image.crossbars) == 2
    assert (image.axon_type[2] == 3).all()
    np.testing.assert_array_equal(image.axon_type[3], image.axon_type[0])


def unspaced(model: dict[str, Any], rewrite: Callable[[str], str]) -> dict[str, Any]:
    for row in [*model["crossbarTypes"][0]["crossbar"]["rows"], *model["core"][1]["crossbar"]["rows"]]:
        row["synapses"] = rewrite(row["synapses"])
    return model


def with_comments(model: str) -> str:
    return "/* a */ // b\n" + re.sub(r'"core"', '/* Core\n"core": */ "core"', model) + "\n// end"


def flags_as_numbers(model: dict[str, Any]) -> dict[str, Any]:
    for kind in model["neuronTypes"]:
        kind |= {key: int(value) for key, value in kind.items() if isinstance(value, bool)}
    return model


def without_defaults(model: dict[str, Any]) -> dict[str, Any]:
    for kind in model["neuronTypes"]:
        for key in ("b0", "b1", "b2", "b3", "c_lambda", "TM", "class"):
            del kind[key]
    del model["core"][0]["metadata"], model["core"][0]["timeScaleExponent"], model["core"][0]["rngSeed"]
    del model["core"][0]["neurons"]["dendrites"]
    for key in ("coreCount", "neuronclass", "crossbarclass", "buildKey64", "networking", "useCrossbarPrototypes"):
        del model["model"][key]
    return model


def one_by_one(model: dict[str, Any]) -> dict[str, Any]:
    """Neurons as a list of objects, types by names of any form, as other people's tools write them."""
    names = {"N00000001": "-4611", "N0000001F": "n-two", "N00000002": "8123"}
    numbers = {1: "-4611", 31: "n-two", 2: "8123", 0: 0}
    for kind in model["neuronTypes"]:
        kind["name"] = names[kind["name"]]
    plain = {
        "types": [[1] * 8 + [31] * 4 + [2] + [1] * 3, [31] * 6 + [1] * 6 + [0] * 4],
        "destCores": [[1] * 8 + [0] * 4 + [-2] * 4, [0] * 6 + [-32] * 2 + [-33] * 2 + [-1] * 6],
        "destAxons": [[*range(8), *range(12, 16)] + [-1] * 4, [0, 2, 4, 6, 8, 10, 0, 3, 0, 0] + [0] * 6],
        "destDelays": [[1] * 6 + [2, 3, 4, 5] + [1] * 6, [15, 3, 4, 5, 6, 7] + [1] * 10],
    }
    for c, core in enumerate(model["core"]):
        core["neurons"] = [
            {
                "type": numbers[plain["types"][c][i]],
                "dendrite": i,
                "destCore": plain["destCores"][c][i],
                "destAxon": plain["destAxons"][c][i],
                "delay": plain["destDelays"][c][i],
            }
            for i in range(16)
        ]
    return model


VARIANTS: dict[str, Callable[[dict[str, Any]], dict[str, Any] | str]] = {
    "with comments": lambda m: with_comments(text(m)),
    "cores as one list": lambda m: json.dumps(m),
    "cores in the other order": lambda m: text(m | {"core": m["core"][::-1]}),
    "without ids": lambda m: changed(changed(m, "core.0.id", ...), "core.1.id", ...),
    "numbers as strings": lambda m: changed(changed(m, "core.1.id", "1"), "model.crossbarSize", "16"),
    "crossbar by name alone": lambda m: changed(m, "core.0.crossbar", "coreProt0000001"),
    "prototype without a crossbar object": lambda m: changed(
        m, "crossbarTypes", [{"name": "coreProt0000001", "rows": rows(16, seed=1)}]
    ),
    "hexadecimal without blanks": lambda m: unspaced(m, lambda s: s.replace(" ", "")),
    "hexadecimal in lower case": lambda m: unspaced(m, str.lower),
    "hexadecimal with odd blanks": lambda m: unspaced(m, lambda s: f" {s[0]} {s[1:3]}\t{s[3:]} "),
    "row types as numbers": lambda m: changed(
        m, "core.1.crossbar.rows", [row | {"type": int(row["type"][1])} for row in m["core"][1]["crossbar"]["rows"]]
    ),
    "row types in lower case": lambda m: changed(
        m, "core.1.crossbar.rows", [row | {"type": row["type"].lower()} for row in m["core"][1]["crossbar"]["rows"]]
    ),
    "flags as 0 and 1": flags_as_numbers,
    "without what has a default": without_defaults,
    "types by their names": lambda m: changed(
        m, "core.0.neurons.types", ["N00000001x8", "n0000001fx4", "N2", "1x2", "N00000001"]
    ),
    "lists as numbers": lambda m: changed(m, "core.0.neurons.types", [1] * 8 + [31] * 4 + [2] + [1] * 3),
    "lists as one string": lambda m: changed(m, "core.0.neurons.types", "1x8,31x4,2 1x3"),
    "neurons one by one": one_by_one,
    "short names of types": lambda m: changed(m, "neuronTypes.1.name", "N1f"),
    "header keys of another case": lambda m: changed(m, "model.neuronClass", "NeuronGeneral"),
    "an address where a neuron never spikes": lambda m: changed(
        m, "core.1.neurons.destCores", ["0x6", "-32x2", "-33x2", "-1x2", "99x4"]
    ),
    "discarded for not connected": lambda m: changed(
        m, "core.1.neurons.destCores", ["0x6", "-32x2", "-33x2", "-2x6"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_other_ways_to_say_the_same(tmp_path: Path, name: str) -> None:
    assert digest(read(tmp_path, VARIANTS[name](small_model()))) == digest(read(tmp_path, small_model()))


@pytest.mark.parametrize("size", [1, 3, 8, 10, 257])
def test_cores_of_any_size(tmp_path: Path, size: int) -> None:
    """Synapses take whole bytes, or as few digits as will do; neurons come to a multiple of 8."""
    digits = -(-size // 4)
    model = {
        "model": {"crossbarSize": size},
        "neuronTypes": [neuron_type(1)],
        "core": {
            "id": 0,
            "neurons": {
                "types": f"1x{size}",
                "destCores": f"0x{size}",
                "destAxons": f"0:{size - 1}",
            },
            "crossbar": {"rows": [{"type": "S0", "synapses": "8" + "0" * (digits - 1)}] * size},
        },
    }
    image = read(tmp_path, json.dumps(model))
    arch = ChipArch.model_validate_json(image.arch)
    assert (arch.axons, arch.neurons) == (max(size, 2), -(-size // 8) * 8)
    bits = np.unpackbits(image.crossbars[0], axis=1, bitorder="little")
    assert bits[:size, 0].all() and not bits[:, 1:].any() and not bits[size:].any()
    assert (image.neuron_type[0] == np.r_[np.ones(size), np.zeros(arch.neurons - size)]).all()


def test_fewer_axon_types_than_four(tmp_path: Path) -> None:
    model = small_model()
    for kind in model["neuronTypes"]:
        for key in ("sigma2", "sigma3", "s2", "s3", "b2", "b3"):
            del kind[key]
    for row in [*model["crossbarTypes"][0]["crossbar"]["rows"], *model["core"][1]["crossbar"]["rows"]]:
        row["type"] = "S1"
    np.testing.assert_array_equal(read(tmp_path, model).neurons.weights[1], [2, -1, 0, 0])
    model["core"][1]["crossbar"]["rows"][4]["type"] = "S2"
    with pytest.raises(ArtifactError, match="core 1, row 4: is of type S2, no neuron type has s2"):
        read(tmp_path, model)


def ring(ids: list[int], size: int = 8) -> dict[str, Any]:
    """Returns a model in which each core sends to the next."""
    return {
        "model": {"crossbarSize": size, "coreCount": len(ids)},
        "crossbarTypes": [{"name": "a", "crossbar": {"rows": rows(size)}}],
        "neuronTypes": [neuron_type(1)],
        "core": [
            {
                "id": this,
                "neurons": {"types": f"1x{size}", "destCores": f"{after}x{size}", "destAxons": f"0:{size - 1}"},
                "crossbar": {"name": "a"},
            }
            for this, after in zip(ids, ids[1:] + ids[:1], strict=True)
        ],
    }


@pytest.mark.parametrize(
    ("ids", "board", "sites"),
    [
        ([0, 5, 63, 64, 4095], (1, 1), [(0, 0), (5, 0), (63, 0), (0, 1), (63, 63)]),
        ([7], (1, 1), [(7, 0)]),
        ([4095, 4096, 4161], (1, 2), [(63, 63), (0, 64), (1, 65)]),
        ([0, 4 * 4096 - 1], (1, 4), [(0, 0), (63, 255)]),
        ([0, 4 * 4096, 16 * 4096 - 1], (4, 4), [(0, 0), (0, 64), (255, 255)]),
        ([3 * 4096, 4 * 4096], (4, 2), [(192, 0), (0, 64)]),
    ],
)
def test_ids_are_sites(tmp_path: Path, ids: list[int], board: tuple[int, int], sites: list[tuple[int, int]]) -> None:
    """Ids need not be without gaps, and may go on over more than one chip."""
    image = read(tmp_path, ring(ids))
    assert ChipArch.model_validate_json(image.arch).board == board
    assert list(zip(image.core_x.tolist(), image.core_y.tolist(), strict=True)) == sites
    np.testing.assert_array_equal(core_ids(image), ids)
    counted = changed(ring(ids), "model.coreCount", ids[-1] + 1)  # gaps counted as cores
    assert digest(read(tmp_path, counted)) == digest(image)
    target = np.stack([image.core_x + image.dx[:, 3], image.core_y + image.dy[:, 3]], axis=1)
    np.testing.assert_array_equal(target, np.roll(sites, -1, axis=0))


def test_neurons_that_draw_random_numbers(tmp_path: Path) -> None:
    assert import_notes(read(tmp_path, small_model())) == ()
    model = small_model()
    model["neuronTypes"][0] |= {"b1": True, "c_lambda": 1, "TM": 18}
    image = read(tmp_path, model)
    np.testing.assert_array_equal(image.neurons.stochastic_weights[1], [False, True, False, False])
    np.testing.assert_array_equal(image.neurons.stochastic_leak, [False, True, False, False])
    np.testing.assert_array_equal(image.neurons.mask_bits, [0, 18, 0, 0])
    (note,) = import_notes(image)
    assert note.startswith("17 neurons draw random numbers") and "rngSeed" in note
    model = small_model()
    model["neuronTypes"][0] |= {"b0": True, "s0": 0, "c_lambda": True}  # of nothing: no number has an influence
    assert import_notes(read(tmp_path, model)) == ()


def with_names(names: dict[int, str], types: tuple[Any, Any]) -> dict[str, Any]:
    """Returns the small model with other names of its types, and other lists of types."""
    model = small_model()
    for kind, number in zip(model["neuronTypes"], (1, 31, 2), strict=True):
        kind["name"] = names.get(number, kind["name"])
    return changed(changed(model, "core.0.neurons.types", types[0]), "core.1.neurons.types", types[1])


HEX = {31: "0A", 1: "1", 2: "10"}
BASES: dict[str, tuple[dict[int, str], Any, Any]] = {
    "hexadecimal digits": ({}, ["1x8", "1Fx4", 2, "1x3"], ["1Fx6", "1x6", "0x4"]),
    "hexadecimal digits in one core only": ({}, ["1x8", "1fx4", "2", "1x3"], ["N1Fx6", "1x6", "0x4"]),
    "numbers that exist in base 16 only": ({}, ["1x8", "1f x 4, 2", "1x3"], [*["1F"] * 5, "1F", *["1"] * 6, "0x4"]),
    "digits that exist in base 16 only": (
        {31: "N00000010", 2: "N00000011"}, ["1x8", "10x4", 11, "1x3"], [10] * 6 + ["1x6", "0x4"]
    ),
    "numbers that are two types": (
        {31: "N0000000A", 2: "N00000010", 1: "N00000009"}, ["9x8", "Ax4", "10", "9x3"], ["A:A", "Ax5", "9x6", "0x4"]
    ),
    "names without N": (HEX, ["1x8", "0Ax4", "10", "1x3"], ["0Ax6", "1x6", "0x4"]),
    "numbers of names without N": (HEX, ["01x8", "Ax4", 10, "1x3"], ["000ax6", "1x6", "00x4"]),
    "decimal names": (
        {31: "9", 1: "8", 2: "10"}, ["8x8", "9x4", 10, "8x3"], [9, 9, 9, "9x3", "8x6", "0x4"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BASES)
def test_types_in_hexadecimal_digits(tmp_path: Path, name: str) -> None:
    """All of a file in one base: 16 if base 10 makes no sense."""
    names, first, second = BASES[name]
    assert digest(read(tmp_path, with_names(names, (first, second)))) == digest(read(tmp_path, small_model()))


def test_types_in_decimal_digits_if_both_bases_make_sense(tmp_path: Path) -> None:
    names = {1: "N0000000A", 2: "N00000010"}
    image = read(tmp_path, with_names(names, (["10x16"], ["16x16"])))
    np.testing.assert_array_equal(image.neuron_type, [[1] * 16, [3] * 16])
    # Only in base 10 has the range three values.
    image = read(tmp_path, with_names({1: "N00000009", 31: "N0000000A", 2: "N0000000B"}, (["9:11", "9x13"], ["9x16"])))
    np.testing.assert_array_equal(image.neuron_type[0], [1, 2, 3] + [1] * 13)
    # And only in base 16 eight values.
    kinds = [neuron_type(number) for number in range(9, 17)]
    model = changed(with_names({}, (["9:10", "9x8"], ["9x16"])), "neuronTypes", kinds)
    np.testing.assert_array_equal(read(tmp_path, model).neuron_type[0], [*range(1, 9)] + [1] * 8)


MALFORMED = [
    ("model", ..., "model: the header is missing; name an IBM model file"),
    ("model.crossbarSize", ..., "model: crossbarSize is null, must be 1 or more"),
    ("model.crossbarSize", 0, "crossbarSize is 0, must be 1 or more"),
    ("model.crossbarSize", 17, "coreProt0000001: has 16 rows, crossbarSize is 17"),
    ("model.coreCount", 3, "model: coreCount is 3, the file has 2 cores; it is truncated"),
    ("core", ..., "core: there is no core"),
    ("core.0", 5, "core number 0 in the file: is 5, expected an object"),
    ("core.1.id", 0, "core 0: two cores have this id"),
    ("core.1.id", -1, "core number 1 in the file: its id is -1, must be 0 or more"),
    ("core.1.id", ..., "core number 1 in the file: its id is null"),
    ("core.1.id", "x", 'its id is "x"'),
    ("core.1.crossbar", ..., "core 1, crossbar: has neither rows nor a name"),
    ("core.1.crossbar", {"name": "x"}, "core 1, crossbar: no crossbar in crossbarTypes is called 'x'"),
    ("core.1.crossbar.rows", {}, "core 1, crossbar: has no rows"),
    ("core.1.crossbar.rows.7", ..., "core 1, crossbar: has 15 rows, crossbarSize is 16"),
    ("core.1.crossbar.rows.7", 1, "core 1, crossbar, row 7: 1 is no object with synapses"),
    ("core.1.crossbar.rows.7.type", "S4", 'core 1, crossbar, row 7: its type is "S4", must be S0 to S3'),
    ("core.1.crossbar.rows.7.type", [], "core 1, crossbar, row 7: its type is []"),
    ("core.1.crossbar.rows.7.synapses", "00", "row 7: its synapses are \"00\" with 2 digits, must be 4"),
    ("core.1.crossbar.rows.7.synapses", "00 0G", "row 7: its synapses are \"00 0G\""),
    ("core.1.crossbar.rows.7.synapses", "00 00 00", "row 7: its synapses are \"00 00 00\" with 6 digits, must be 4"),
    ("crossbarTypes.0.name", ..., "crossbarTypes, entry 0: "),
    ("crossbarTypes.0.crossbar", 1, "crossbarTypes, coreProt0000001: has no rows"),
    ("neuronTypes", {"a": 1}, "neuronTypes: is a {\"a\": 1}, expected a list"),
    ("neuronTypes.0", 1, "neuronTypes, type 0: 1 is no object with a name"),
    ("neuronTypes.0.name", ..., "neuronTypes, type 0: "),
    ("neuronTypes.2.name", "N0000001f", "type 2: a type before it has the name or number of N0000001f"),
    ("neuronTypes.0.alpha", ..., "neuronTypes: N00000001: alpha is missing"),
    ("neuronTypes.0.s0", ..., "N00000001: s0 is missing"),
    ("neuronTypes.0.alpha", "x", "N00000001: alpha is \"x\", must be 0 to 262143"),
    ("neuronTypes.0.alpha", -1, "N00000001: alpha is -1, must be 0 to 262143"),
    ("neuronTypes.0.beta", 1 << 18, "N00000001: beta is 262144, must be 0 to 262143"),
    ("neuronTypes.0.beta", 1 << 80, "N00000001: beta is 1208925819614629174706176"),
    ("neuronTypes.0.s1", 256, "N00000001: s1 is 256, must be 0 to 255"),
    ("neuronTypes.0.s1", -1, "N00000001: s1 is -1, must be 0 to 255"),
    ("neuronTypes.0.sigma1", 0, "N00000001: sigma1 is 0, must be −1 or 1"),
    ("neuronTypes.0.sigma_lambda", 2, "N00000001: sigma_lambda is 2"),
    ("neuronTypes.0.lambda", 300, "N00000001: lambda is 300, must be 0 to 255"),
    ("neuronTypes.0.gamma", 3, "N00000001: gamma is 3, must be 0 to 2"),
    ("neuronTypes.0.kappa", 2, "N00000001: kappa is 2, must be 0 to 1"),
    ("neuronTypes.0.kappa", ..., "N00000001: kappa is missing"),
    ("neuronTypes.0.V", 1 << 19, "N00000001: V is 524288, must be -524288 to 524287"),
    ("neuronTypes.0.TM", 32, "N00000001: TM is 32, must be 0 to 31"),
    ("neuronTypes.0.VR", 0.5, "N00000001: VR is 0.5, must be 0 to 31"),
    ("core.0.neurons", ..., "core 0, neurons: are missing"),
    ("core.0.neurons", [1], "core 0, neurons, neuron 0: is 1, expected an object"),
    ("core.0.neurons", [{"type": 1}, {"dendrite": 0}], "core 0, neurons, neuron 1: has no type"),
    ("core.0.neurons.types", ..., "core 0, neurons, types: is missing; give 16 values"),
    ("core.0.neurons.types", ["1x15"], "core 0, neurons, types: has 15 values, crossbarSize is 16"),
    ("core.0.neurons.types", ["1x17"], "core 0, neurons, types: \"1x17\" are 17 values, at most 16 fit"),
    ("core.0.neurons.types", ["N1x17"], "core 0, neurons, types: \"N1x17\" are 17 values, at most 16 fit"),
    ("core.0.neurons.types", ["3x16"], "core 0, neurons, types: type 3 is not in neuronTypes (N00000003), nor 0"),
    ("core.0.neurons.types", ["-1x16"], "core 0, neurons, types: type -1 is not in neuronTypes, nor 0"),
    ("core.0.neurons.types", ["N3x16"], "core 0, neurons, types: \"N3x16\" is not in neuronTypes"),
    ("core.0.neurons.types", ["1Ex16"], "core 0, neurons, types: type 1E is not in neuronTypes (N0000001E), nor 0"),
    ("core.0.neurons.types", [True] * 16, "core 0, neurons, types: true is neither a number nor a run"),
    ("core.0.neurons.types", ["1x1000000000"], "\"1x1000000000\" are 1000000000 values, at most 16 fit"),
    ("core.0.neurons.types", ["1:1000000000"], "\"1:1000000000\" are 1000000000 values, at most 16 fit"),
    ("core.0.neurons.types", ["1x16," * 9999], "has 32 values or more, crossbarSize is 16"),
    ("core.1.neurons.destCores", ["-8000000x16"], "its destCore is -8000000, must be at least -65567: there are at"),
    ("core.0.neurons.types", ["one"], "core 0, neurons, types: \"one\" is neither a number nor a run"),
    ("core.0.neurons.dendrites", ["1:16"], "core 0, neurons, neuron 15: its dendrite is 16, must be 0 to 15"),
    ("core.0.neurons.destCores", ["2x16"], "core 0, neuron 0: its destCore is 2, must be the id of a core in the file"),
    ("core.0.neurons.destCores", ["-31x16"], "core 0, neuron 0: its destCore is -31, must be an id, −1 (not"),
    ("core.0.neurons.destCores", [-99999999, "-1x15"], "its destCore is -99999999, must be at least"),
    ("core.0.neurons.destAxons", ["0:7", 16, "0x7"], "core 0, neuron 8: its destAxon is 16, must be 0 to 15"),
    ("core.0.neurons.destAxons", ["-1x16"], "core 0, neuron 0: its destAxon is -1, must be 0 to 15; correct it and 11"),
    ("core.1.neurons.destAxons", ["0x6", 256, "0x9"], "core 1, neuron 6: its destAxon is 256, must be 0 to 255 for"),
    ("core.0.neurons.destDelays", ["0x16"], "core 0, neuron 0: its destDelay is 0, must be 1 to 15 ticks"),
    ("core.0.neurons.destDelays", ["1x11", 16, "1x4"], "core 0, neuron 11: its destDelay is 16, must be 1 to 15"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "message"), MALFORMED)
def test_what_is_no_model_is_refused(tmp_path: Path, place: str, value: Any, message: str) -> None:
    path = write(tmp_path / "model.json", changed(small_model(), place, value))
    with pytest.raises(ArtifactError) as caught:
        read_model(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ") and "; " in str(caught.value) and "\n" not in str(caught.value)


def test_rows_that_make_up_for_each_other_are_refused(tmp_path: Path) -> None:
    model = small_model()
    model["core"][1]["crossbar"]["rows"][3]["synapses"] = "00"
    model["core"][1]["crossbar"]["rows"][4]["synapses"] = "00 00 00"
    with pytest.raises(ArtifactError, match='core 1, crossbar, row 3: its synapses are "00" with 2 digits'):
        read(tmp_path, model)


def test_a_synapse_beyond_the_last_neuron_is_refused(tmp_path: Path) -> None:
    model = ring([0], 12)
    model["crossbarTypes"][0]["crossbar"]["rows"][3]["synapses"] = "00 0F"
    with pytest.raises(ArtifactError, match="crossbarTypes, a, row 3: has a synapse beyond neuron 11"):
        read(tmp_path, model)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("model.crossbarSize", 5000, "crossbarSize is 5000, a core has at most 4096 axons and neurons"),
        ("model.crossbarclass", "CrossbarGraded", 'crossbarclass is "CrossbarGraded", only CrossbarBinary can be run'),
        ("model.neuronClass", "NeuronSimple", 'neuronClass is "NeuronSimple", only NeuronGeneral can be run'),
        ("neuronTypes.1.class", "NeuronSimple", 'N0000001F is of class "NeuronSimple"'),
        ("neuronTypes.1.s4", 1, "N0000001F has s4, the format ends with s3"),
        ("neuronTypes.1.VR", 20, "N0000001F: VR is 20, at most 19 can be run"),
        ("neuronTypes.1.TM", 19, "N0000001F: TM is 19, at most 18 can be run"),
        ("core.1.timeScaleExponent", 1, "core 1: timeScaleExponent is 1, only 0 can be run"),
        ("core.1.id", 1 << 20, f"its id is {1 << 20}, a board has at most {1 << 20} cores"),
    ],
)
def test_what_no_chip_here_can_run_is_refused(tmp_path: Path, place: str, value: Any, message: str) -> None:
    path = write(tmp_path / "model.json", changed(small_model(), place, value))
    with pytest.raises(InfeasibleError) as caught:
        read_model(path)
    assert message in str(caught.value) and str(caught.value).startswith(f"{path}: ")


def test_a_target_out_of_reach_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InfeasibleError, match=r"core 0, neuron 0: core 65536 is \(0, 256\) cores away, packets reach 255"
    ):
        read(tmp_path, ring([0, 16 * 4096]))
