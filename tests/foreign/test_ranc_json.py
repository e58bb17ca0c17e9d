"""What RANC's network and config JSON may say in other words, and what is wrong in them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign.ranc_drive import drive
from hypothesis import given, settings
from hypothesis import strategies as st

from tncompile.arch import ChipArch
from tncompile.errors import ArtifactError, ConfigError, InfeasibleError, TnCompileError
from tncompile.foreign.ranc import read_input, read_network
from tncompile.ir import ChipImage
from tncompile.ir.text import digest
from tncompile.sim.spikes import InputSpikes
from tncompile.verify.image import verify

CASE = Path(__file__).parent / "ranc" / "relay.json"
NETWORK: dict[str, Any] = json.loads(CASE.read_text())
CONFIG: dict[str, Any] = json.loads(CASE.with_suffix(".config.json").read_text())
TICKS = 12

Edit = Callable[[dict[str, Any]], object]


def read(
    folder: Path, edit: Edit = lambda n: None, config: Edit | None = lambda c: None, **arguments: Any
) -> tuple[ChipImage, InputSpikes]:
    """Reads the small case with an edited network, and an edited config beside it or none."""
    network, settings_ = copy.deepcopy(NETWORK), copy.deepcopy(CONFIG)
    edit(network)
    (folder / "net.json").write_text(json.dumps(network))
    if config is not None:
        config(settings_)
        (folder / "net.config.json").write_text(json.dumps(settings_))
    image, inputs = read_network(folder / "net.json", **arguments)
    verify(image, chip_of(image))
    return image, inputs


def chip_of(image: ChipImage) -> ChipArch:
    """Returns the chip description of an image."""
    return ChipArch.model_validate_json(image.arch)


def expected_pins() -> np.ndarray:
    """Returns what the small case gives."""
    return drive(*read_network(CASE), TICKS)


def neuron(network: dict[str, Any], core: int = 0, number: int = 0) -> dict[str, Any]:
    """Returns a neuron of the file."""
    return network["cores"][core]["neurons"][number]


def set_neuron(core: int = 0, number: int = 0, **values: Any) -> Edit:
    """Returns an edit that gives a neuron other values."""
    return lambda network: neuron(network, core, number).update(values)


def set_config(**values: Any) -> Edit:
    """Returns an edit that gives the config other values."""
    return lambda config: config.update(values)


# ---------------------------------------------------------------------------------------------------------------------
# Liberties.


def booleans(network: dict[str, Any]) -> None:
    for core in network["cores"]:
        core["connections"] = [[bool(bit) for bit in row] for row in core["connections"]]


def shorter(network: dict[str, Any]) -> None:
    """Leaves out what is filled up anyway: zeros at the ends of rows, weights of 0, rows without connections."""
    for core in network["cores"]:
        for row in [*core["connections"], *(entry["weights"] for entry in core["neurons"])]:
            while row and row[-1] == 0:
                row.pop()
    network["cores"][1]["connections"].pop()


def longer(network: dict[str, Any]) -> None:
    """Adds what says nothing: silent neurons, rows of connections without neurons, axons, other keys."""
    silent = neuron(network) | {"weights": [0] * 4, "leak": 0, "positive_threshold": 1, "destination_axon": 7}
    for core in network["cores"]:
        core["neurons"].append(silent)
        core["connections"] += [[0] * 8, [1] * 8]
        core["axons"] += [3] * (8 - len(core["axons"]))
        core["comment"] = {"anything": ["goes", None, 1.5]}
    network["comment"] = "x"


@pytest.mark.parametrize(
    "edit",
    [
        booleans,
        shorter,
        longer,
        lambda network: network["cores"].reverse(),
        lambda network: [neuron(network, 0, i).pop("current_potential") for i in range(4)],  # 0 in the file
        lambda network: [neuron(network, 0, i).pop("reset_mode") for i in (0, 3)],
        lambda network: network["packets"].append([]),
    ],
    ids=["booleans", "shorter", "longer", "order", "no potential", "no reset mode", "empty tick"],
)
def test_the_same_in_other_words(tmp_path: Path, edit: Edit):
    np.testing.assert_array_equal(drive(*read(tmp_path, edit), TICKS), expected_pins())


@pytest.mark.parametrize("text", ["\ufeff{}", "\n\n {} \n"])
def test_white_space_and_byte_order_mark(tmp_path: Path, text: str):
    (tmp_path / "net.json").write_text(text.replace("{}", json.dumps(NETWORK, indent=3)), encoding="utf-8")
    (tmp_path / "config.json").write_text(text.replace("{}", json.dumps(CONFIG)), encoding="utf-8")
    np.testing.assert_array_equal(drive(*read_network(tmp_path / "net.json"), TICKS), expected_pins())


@pytest.mark.parametrize("packets", [[], None, [[]], "absent"])
def test_no_packets(tmp_path: Path, packets: Any):
    def edit(network: dict[str, Any]) -> None:
        del network["packets"]
        if packets != "absent":
            network["packets"] = packets

    _, inputs = read(tmp_path, edit)
    assert len(inputs.tick) == 0


@pytest.mark.parametrize("edit", [lambda n: n.pop("output_bus"), lambda n: n.update(output_bus=None)])
def test_no_output_bus(tmp_path: Path, edit: Edit):
    """Whoever sent to it sends to an empty cell."""
    image, _ = read(tmp_path, edit)
    assert image.output_pins == 0
    assert (image.output_pin == -1).all()
    assert (image.target_delay > 0).any()


def test_where_the_config_is(tmp_path: Path):
    whole, _ = read(tmp_path)
    assert chip_of(whole).grid == (3, 2)
    (tmp_path / "net.config.json").rename(tmp_path / "config.json")
    assert digest(read_network(tmp_path / "net.json")[0]) == digest(whole)
    (tmp_path / "config.json").rename(tmp_path / "else.json")
    assert digest(read_network(tmp_path / "net.json", tmp_path / "else.json")[0]) == digest(whole)
    image, inputs = read_network(tmp_path / "net.json")  # none: as many axons and neurons as are named
    arch = chip_of(image)
    assert (arch.grid, arch.axons, arch.neurons, arch.axon_types, arch.delay_max) == ((3, 2), 5, 8, 4, 15)
    np.testing.assert_array_equal(drive(image, inputs, TICKS), expected_pins())


def test_a_config_that_says_little(tmp_path: Path):
    def edit(config: dict[str, Any]) -> None:
        config.clear()
        config["num_cores_x"] = 7

    image, _ = read(tmp_path, config=edit)
    assert chip_of(image).grid == (7, 2)
    assert chip_of(image).axons == 5


@pytest.mark.parametrize(("num_weights", "types"), [(1, 2), (2, 2), (4, 4), (8, 8)])
def test_numbers_of_weights(tmp_path: Path, num_weights: int, types: int):
    def edit(network: dict[str, Any]) -> None:
        for core in network["cores"]:
            core["axons"] = [num_weights - 1] * len(core["axons"])
            for entry in core["neurons"]:
                entry["weights"] = [*range(num_weights)]

    image, _ = read(tmp_path, edit, set_config(num_weights=num_weights))
    assert chip_of(image).axon_types == types
    assert image.neurons.weights[:, num_weights - 1].max() == num_weights - 1
    assert not image.neurons.weights[:, num_weights:].any()


def test_sizes_are_rounded_up(tmp_path: Path):
    def edit(network: dict[str, Any]) -> None:
        network["cores"] = [dict(core, axons=[0], connections=[[1]] * 4) for core in network["cores"]]
        for core in network["cores"]:
            for entry in core["neurons"]:
                entry["destination_axon"] = 0
        network["packets"] = []

    image, _ = read(tmp_path, edit, set_config(num_axons=1, num_neurons=9, max_tick_offset=5))
    arch = chip_of(image)
    assert (arch.axons, arch.neurons, arch.delay_max) == (2, 16, 4)


@pytest.mark.parametrize(
    ("values", "field", "bits"),
    [
        ({"weights": [255, -255, 0, 0]}, "weight_bits", 9),
        ({"weights": [-256, 0, 0, 0]}, "weight_bits", 10),
        ({"weights": [32767, 0, 0, 0]}, "weight_bits", 16),
        ({"leak": -4096}, "leak_bits", 14),
        ({"positive_threshold": 255, "negative_threshold": -256}, "threshold_bits", 9),
        ({"positive_threshold": 256}, "threshold_bits", 10),
        ({"negative_threshold": -(1 << 23)}, "threshold_bits", 24),
        ({"positive_threshold": -5, "negative_threshold": 5}, "threshold_bits", 9),
    ],
)
def test_widths_are_those_needed(tmp_path: Path, values: dict[str, Any], field: str, bits: int):
    image, _ = read(tmp_path, set_neuron(**values))
    assert getattr(chip_of(image), field) == bits


def test_potential_bits(tmp_path: Path):
    assert chip_of(read(tmp_path)[0]).potential_bits == 32
    assert chip_of(read(tmp_path, potential_bits=9)[0]).potential_bits == 9
    assert chip_of(read(tmp_path, set_neuron(reset_potential=-256), potential_bits=9)[0]).potential_bits == 9
    for bits in (3, 33):
        with pytest.raises(ConfigError, match=f"potential_bits: must be 4 … 32, got {bits}"):
            read(tmp_path, potential_bits=bits)
    message = r"core \(1, 1\), neuron 0: reset_potential is 256, which takes 10 bits, the potential has 9; give it 10"
    with pytest.raises(InfeasibleError, match=message):
        read(tmp_path, set_neuron(reset_potential=256), potential_bits=9)
    with pytest.raises(InfeasibleError, match="current_potential is -9, which takes 5 bits, the potential has 4"):
        read(tmp_path, set_neuron(current_potential=-9), potential_bits=4)


def test_which_neurons_are_unused(tmp_path: Path):
    quiet = {"weights": [0, 0, 5, 5], "leak": 0, "positive_threshold": 1, "negative_threshold": 0}
    quiet |= {"current_potential": 0, "reset_potential": 3, "reset_mode": 0}

    def used(reset_type: int = 0, **values: Any) -> bool:
        image, _ = read(tmp_path, set_neuron(**quiet | values), set_config(neuron_reset_type=reset_type))
        return bool(image.neuron_type[image.core_x == 1][0, 0] > 0)

    assert not used()
    assert not used(negative_threshold=-3)
    assert used(weights=[1, 0, 0, 0])
    assert used(leak=1)
    assert used(positive_threshold=0)
    assert used(current_potential=2)
    assert used(negative_threshold=1)
    assert used(1)  # 0 is not above 0, and is reset to −3
    assert not used(1, reset_potential=0)
    assert not used(1, reset_mode=1)


@pytest.mark.parametrize(
    "values",
    [
        {"destination_core_offset": [2, 0]},
        {"destination_core_offset": [-2, 0]},
        {"destination_core_offset": [1, -1], "destination_axon": 5},
        {"destination_core_offset": [0, 0], "destination_axon": 8},
        {"destination_tick": 16},
    ],
)
def test_neurons_that_never_spike_may_send_anywhere(tmp_path: Path, values: dict[str, Any]):
    """This one is used, since it goes on from 4 to 2, but it does not reach 50."""
    never = {"weights": [0] * 4, "leak": -1, "current_potential": 4, "positive_threshold": 50, "negative_threshold": 2}
    never |= {"reset_mode": 0, "reset_potential": -4}
    image, _ = read(tmp_path, set_neuron(**never | values))
    where = image.core_x == 1
    assert image.neuron_type[where][0, 0] > 0
    assert image.target_delay[where][0, 0] == 0
    assert image.output_pin[where][0, 0] == -1
    with pytest.raises(ArtifactError, match=r"core \(1, 1\), neuron 0: "):
        read(tmp_path, set_neuron(**never | values | {"positive_threshold": 3}))


def test_spikes_that_are_lost(tmp_path: Path):
    """To an empty cell, or with the longest destination_tick."""
    there, _ = read(tmp_path, set_neuron(destination_core_offset=[-1, -1], destination_tick=14))
    assert there.target_delay[there.core_x == 1][0, 0] == 15
    for values in ({"destination_core_offset": [-1, 0]}, {"destination_core_offset": [-1, -1], "destination_tick": 15}):
        image, _ = read(tmp_path, set_neuron(**values))
        assert image.neuron_type[image.core_x == 1][0, 0] > 0
        assert image.target_delay[image.core_x == 1][0, 0] == 0


def test_packets(tmp_path: Path):
    def edit(network: dict[str, Any]) -> None:
        def packet(x: int, y: int, axon: int, tick: int) -> dict[str, Any]:
            return {"destination_core": [x, y], "destination_axon": axon, "destination_tick": tick}

        first = [packet(0, 0, 7, 14), packet(1, 1, 2, 0), packet(1, 1, 2, 0)]
        network["packets"] = [first, [], [packet(0, 1, 0, 0), packet(0, 0, 1, 15), packet(0, 0, 1, 2)]]

    _, inputs = read(tmp_path, edit)
    assert [
        *zip(inputs.tick.tolist(), inputs.core.tolist(), inputs.axon.tolist(), inputs.delay.tolist(), strict=True)
    ] == [
        (-1, 0, 7, 15),
        (-1, 1, 2, 1),  # twice in the file
        (1, 0, 1, 3),  # one to an empty cell and one with the longest tick are lost
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Errors.


def core(network: dict[str, Any], **values: Any) -> None:
    network["cores"][1].update(values)


def packet(**values: Any) -> Edit:
    return lambda network: network["packets"][1][0].update(values)


WRONG: list[tuple[str, Edit, str]] = [
    ("no cores", lambda n: n.pop("cores"), "network: has no cores; name a RANC network JSON"),
    ("no core", lambda n: n["cores"].clear(), "network: has no cores; name a RANC network JSON"),
    ("cores", lambda n: n.update(cores={}), r"'\{' where '\[' should be"),
    ("core", lambda n: n["cores"].append(7), "core 2 of the file: must be an object, is 7"),
    (
        "coordinates",
        lambda n: core(n, coordinates=[1]),
        r"core 1 of the file: coordinates must be two integers",
    ),
    ("no coordinates", lambda n: n["cores"][0].pop("coordinates"), "core 0 of the file: has no coordinates"),
    ("outside", lambda n: core(n, coordinates=[0, 2]), r"core \(0, 2\): is outside the grid of 3 x 2 cells"),
    ("negative", lambda n: core(n, coordinates=[-1, 0]), r"core \(-1, 0\): is outside the grid"),
    ("twice", lambda n: core(n, coordinates=[1, 1]), r"core \(1, 1\): stands where another core of the file does"),
    ("on the bus", lambda n: core(n, coordinates=[2, 0]), r"output_bus \(2, 0\): stands where another core"),
    ("no axons", lambda n: n["cores"][1].pop("axons"), r"core \(0, 0\): has no axons"),
    ("axons", lambda n: core(n, axons=5), r"core \(0, 0\): axons must be a list, is 5"),
    ("axon", lambda n: core(n, axons=[0, 1.5]), r"core \(0, 0\): axon 1: its type must be an integer .*, is 1.5"),
    ("axon below 0", lambda n: core(n, axons=[0, 0, -1]), r"core \(0, 0\): axon 2: its type must be at least 0, is -1"),
    (
        "axon type",
        lambda n: core(n, axons=[0, 4]),
        r"has 5 weights or axon types, num_weights in .* is 4",
    ),
    ("many axons", lambda n: core(n, axons=[0] * 9), r"core \(0, 0\): has 9 axons, num_axons in .* is 8"),
    ("many neurons", lambda n: n["cores"][0].update(neurons=[neuron(n)] * 9), r"has 9 neurons, num_neurons in .* is 8"),
    ("neurons", lambda n: core(n, neurons={"a": 1}), r"core \(0, 0\): neurons must be a list"),
    ("neuron", lambda n: core(n, neurons=[neuron(n), []]), r"core \(0, 0\), neuron 1: must be an object, is \[\]"),
    ("no leak", lambda n: neuron(n, 1, 2).pop("leak"), r"core \(0, 0\), neuron 2: has no leak"),
    ("leak", set_neuron(1, 2, leak="1"), r"core \(0, 0\), neuron 2: leak must be an integer of 32 bits, is \"1\""),
    ("float", set_neuron(0, 3, leak=1.0), r"core \(1, 1\), neuron 3: leak must be an integer of 32 bits, is 1.0"),
    ("boolean", set_neuron(leak=True), r"leak must be an integer of 32 bits, is true"),
    (
        "33 bits",
        set_neuron(positive_threshold=1 << 31),
        r"positive_threshold must be .* 32 bits, is 2147483648",
    ),
    (
        "null",
        set_neuron(0, 1, current_potential=None),
        r"neuron 1: current_potential must be .*, is null",
    ),
    ("reset mode", set_neuron(reset_mode=2), r"core \(1, 1\), neuron 0: reset_mode is 2, must be 0 or 1"),
    ("no weights", lambda n: neuron(n).pop("weights"), r"core \(1, 1\), neuron 0: has no weights"),
    ("weights", set_neuron(weights=3), r"neuron 0: weights must be a list, is 3"),
    ("weight", set_neuron(0, 2, weights=[1, None]), r"neuron 2: weights must be a list of integers, is \[1, null\]"),
    ("many weights", set_neuron(weights=[1] * 5), r"core \(1, 1\): has 5 weights or axon types, num_weights in"),
    (
        "offset",
        set_neuron(destination_core_offset=[1]),
        r"destination_core_offset must be a list of 2 integers",
    ),
    ("no offset", lambda n: neuron(n).pop("destination_core_offset"), "neuron 0: has no destination_core_offset"),
    (
        "off the grid",
        set_neuron(destination_core_offset=[2, 0]),
        r"sends to \(3, 1\), outside of the grid of 3 x 2",
    ),
    ("west of it", set_neuron(destination_core_offset=[-2, 0]), r"sends to \(-1, 1\), outside of the grid"),
    ("no such axon", set_neuron(1, 0, destination_axon=8), r"core \(0, 0\), neuron 0: destination_axon is 8, .* axons"),
    (
        "no such pin",
        set_neuron(destination_axon=5),
        r"destination_axon is 5, .* below 5, the outputs",
    ),
    ("axon below 0", set_neuron(1, 1, destination_axon=-1), r"neuron 1: destination_axon is -1"),
    ("no such tick", set_neuron(destination_tick=16), r"neuron 0: destination_tick is 16, must be 0 … 15"),
    ("tick below 0", set_neuron(destination_tick=-1), r"neuron 0: destination_tick is -1, must be 0 … 15"),
    ("no connections", lambda n: n["cores"][1].pop("connections"), r"core \(0, 0\): has no connections"),
    ("connections", lambda n: core(n, connections=0), r"core \(0, 0\): connections must be a list, is 0"),
    ("row", lambda n: core(n, connections=[[0], 3]), r"core \(0, 0\): connections of neuron 1 must be a list, is 3"),
    ("entry", lambda n: core(n, connections=[[0], [1, 2]]), r"connection of neuron 1 and axon 1 must be 0 or 1, is 2"),
    ("text", lambda n: core(n, connections=[["0"]]), r"connection of neuron 0 and axon 0 must be 0 or 1, is \"0\""),
    ("fraction", lambda n: core(n, connections=[[0, 0.0]]), r"neuron 0 and axon 1 must be 0 or 1, is 0.0"),
    ("long row", lambda n: core(n, connections=[[0] * 9]), r"core \(0, 0\): has 9 axons, num_axons in"),
    ("bus", lambda n: n.update(output_bus=[2, 0]), r"output_bus: must be an object, is \[2, 0\]"),
    ("bus outside", lambda n: n["output_bus"].update(coordinates=[3, 0]), r"output_bus \(3, 0\): is outside the grid"),
    ("no outputs", lambda n: n["output_bus"].pop("num_outputs"), "output_bus: has no num_outputs"),
    (
        "outputs",
        lambda n: n["output_bus"].update(num_outputs=-1),
        "output_bus: num_outputs must be 0 … 16777216, is -1",
    ),
    ("many outputs", lambda n: n["output_bus"].update(num_outputs=10**9), "num_outputs must be 0 … 16777216, is 1000"),
    ("packets", lambda n: n.update(packets={}), "packets: must be a list of lists, is {}"),
    ("packets of a tick", lambda n: n["packets"].append(0), "packets of tick 4: must be a list, is 0"),
    ("packet", lambda n: n["packets"][2].append(0), "tick 2, packet 0: must be an object, is 0"),
    ("no axon", lambda n: n["packets"][1][0].pop("destination_axon"), "tick 1, packet 0: has no destination_axon"),
    ("packet's core", packet(destination_core="0,0"), "tick 1, packet 0: destination_core must be a list"),
    ("packet outside", packet(destination_core=[0, 2]), r"packets: number 4, in the list of tick 1: .* 3 x 2 cells"),
    ("packet to the bus", packet(destination_core=[2, 0]), r"destination_core is \[2, 0\], the output bus"),
    ("packet's axon", packet(destination_axon=8), "destination_axon is 8, must be 0 … 7"),
    ("packet's tick", packet(destination_tick=16), "destination_tick is 16, must be 0 … 15"),
]


@pytest.mark.parametrize(("edit", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_wrong_networks(tmp_path: Path, edit: Edit, message: str):
    with pytest.raises(ArtifactError, match=message) as caught:
        read(tmp_path, edit)
    assert "net.json: " in str(caught.value)
    assert "; " in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.clear(), "net.config.json: config: has none of num_neurons, .*; name a RANC config JSON"),
        (set_config(num_axons="8"), "net.config.json: config: num_axons must be an integer of 32 bits"),
        (set_config(num_weights=0), "config: num_weights must be at least 1, is 0"),
        (set_config(max_tick_offset=0), "config: max_tick_offset must be at least 1, is 0"),
        (set_config(neuron_reset_type=2), "config: neuron_reset_type must be 0 or 1, is 2"),
        (set_config(num_neurons=3), r"core \(1, 1\): has 4 neurons, num_neurons in .*net.config.json is 3"),
        (set_config(num_cores_x=2), r"output_bus \(2, 0\): is outside the grid of 2 x 2 cells"),
    ],
)
def test_wrong_configs(tmp_path: Path, edit: Edit, message: str):
    with pytest.raises(ArtifactError, match=message):
        read(tmp_path, config=edit)


@pytest.mark.parametrize(
    ("edit", "config", "message"),
    [
        (
            set_neuron(weights=[40000]),
            None,
            r"neuron 0: weights is 40000: a chip cannot have weight_bits 17",
        ),
        (set_neuron(0, 2, leak=-40000), None, r"neuron 2: leak is -40000: a chip cannot have leak_bits 17"),
        (set_neuron(positive_threshold=1 << 23), None, r"positive_threshold is 8388608: .* threshold_bits 25"),
        (lambda n: None, set_config(num_weights=9), "a chip cannot have axon_types 9"),
        (lambda n: None, set_config(num_axons=1 << 30), "a chip cannot have axons 1073741824"),
        (lambda n: None, set_config(num_neurons=5000), "a chip cannot have neurons 5000"),
        (lambda n: None, set_config(max_tick_offset=99), "a chip cannot have delay_max 98"),
        (lambda n: None, set_config(num_cores_x=1 << 30), r"a chip cannot have grid \(1073741824, 2\)"),
        (lambda n: core(n, axons=[1 << 30]), None, "a chip cannot have axon_types 1073741825"),
        (lambda n: core(n, coordinates=[0, 1 << 30]), None, "a chip cannot have grid"),
    ],
)
def test_what_no_chip_can_hold(tmp_path: Path, edit: Edit, config: Edit | None, message: str):
    with pytest.raises(InfeasibleError, match=message):
        read(tmp_path, edit, config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: the end of the file where '{' should be"),
        ("[]", r"line 1, column 1: '\[' where '{' should be"),
        ('{"cores": [\n{]}', "line 2, column 2: is not JSON"),
        ('{"cores": []', "the end of the file where ',' should be"),
        ('{"cores": []} x', "line 1, column 15: 'x' where the end should be"),
        ('{"cores": [], "cores": []}', "network: has two entries 'cores'"),
        ("{1: 2}", "a key in quotes should be"),
        ('{"packets" []}', r"'\[' where ':' should be"),
        ('{"packets": ' + "[" * 100000, "is not a RANC network"),
        ('{"packets": ' + "1" * 5000 + "}", "is not a RANC network"),
    ],
)
def test_what_is_no_network(tmp_path: Path, text: str, message: str):
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_network(tmp_path / "net.json")


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"none.json: cannot be read"):
        read_network(tmp_path / "none.json")
    with pytest.raises(ArtifactError, match=r"none.json: cannot be read"):
        read_network(CASE, tmp_path / "none.json")
    (tmp_path / "net.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ArtifactError, match="is not UTF-8 text"):
        read_network(tmp_path / "net.json")
    with pytest.raises(ArtifactError, match=r"net\.json: is not JSON"):
        read_network(CASE, tmp_path / "net.json")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_an_error_or_a_network(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    """Bytes are removed, put in or exchanged; whatever comes of it, nothing but our errors is raised."""
    text = bytearray(CASE.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        length = data.draw(st.integers(0, 3))
        text[at : at + length] = data.draw(
            st.sampled_from([b"", b"0", b"-", b"9999", b"[", b"}", b'"', b",", b"null", b"\xff"])
        )
    path = tmp_path_factory.mktemp("damaged") / "net.json"
    path.write_bytes(bytes(text))
    try:
        image, inputs = read_network(path, CASE.with_suffix(".config.json"))
    except TnCompileError as error:
        assert str(path) in str(error)
    else:
        verify(image, chip_of(image))
        np.testing.assert_array_equal(read_input(path, image).tick, inputs.tick)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_other_value_is_an_error_or_a_network(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    """One value anywhere in the file is replaced by something else."""
    network = copy.deepcopy(NETWORK)
    at: Any = network
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.integers(0, 3)) == 0:
            break
        at = at[key]
    values = [None, True, -1, 3, 300, 1 << 29, 1 << 40, 0.5, "7", [], [1], [[1]], {}, {"coordinates": [0, 0]}]
    at[key] = data.draw(st.sampled_from(values))
    path = tmp_path_factory.mktemp("altered") / "net.json"
    path.write_text(json.dumps(network))
    try:
        image, _ = read_network(path, CASE.with_suffix(".config.json"))
    except TnCompileError as error:
        assert re.search(r"net\.json: .*; ", str(error))
    else:
        verify(image, chip_of(image))
