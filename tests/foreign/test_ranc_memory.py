"""RANC's FPGA memory files, digit by digit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tncompile.errors import ArtifactError, ConfigError
from tncompile.foreign.companion import companion_path
from tncompile.foreign.ranc import read_memory, read_network, write_network
from tncompile.foreign.ranc_decode import network_image
from tncompile.foreign.ranc_json import RancConfig, RancNetwork, config_json, silent_network
from tncompile.foreign.ranc_memory import file_name, misfit, write_memory_files
from tncompile.ir import ChipImage
from tncompile.ir.text import digest

CASE = Path(__file__).parent / "ranc" / "relay.json"
CONFIG = RancConfig(
    num_neurons=8,
    num_axons=8,
    num_cores_x=3,
    num_cores_y=2,
    num_weights=4,
    max_tick_offset=16,
    neuron_reset_type=0,
)


def exported(folder: Path) -> ChipImage:
    """Writes the small case, removes the companion, and returns it as its network JSON reads by itself."""
    image, inputs = read_network(CASE)
    files = write_network(image, folder, inputs)
    companion_path(files.network).unlink()
    return read_network(files.network, potential_bits=9)[0]


def one_neuron(**values: int | list[int]) -> RancNetwork:
    """Returns a network of one core at (1, 1), whose neuron 2 has some values."""
    arrays = silent_network(CONFIG, np.array([1], np.int32), np.array([1], np.int32))
    for name, value in values.items():
        arrays[name][0, 2] = value
    return RancNetwork(**arrays | {"bus": (2, 0), "num_outputs": 3})


def test_a_line_of_csram(tmp_path: Path):
    network = one_neuron(
        current_potential=-1,
        reset_potential=-256,
        weights=[1, -2, 255, 0],
        leak=3,
        positive_threshold=5,
        negative_threshold=-5,
        reset_mode=1,
        dx=-1,
        dy=1,
        destination_axon=6,
        destination_tick=9,
    )
    crossbars = np.zeros((1, 8, 1), np.uint8)
    crossbars[0, [0, 1, 6], 0] = 1 << 2
    types = np.array([[0, 1, 2, 3, 0, 0, 0, 2]], np.uint8)
    write_memory_files(dataclasses.replace(network, crossbars=crossbars, axon_type=types), tmp_path)
    lines = (tmp_path / "csram_004.mem").read_text().splitlines()  # 1 + 3 · 1
    assert len(lines) == 8
    assert lines[2] == "".join(
        [
            "01000011",  # axon 7 first
            "111111111",
            "100000000",
            "000000001" + "111111110" + "011111111" + "000000000",
            "000000011",
            "000000101",
            "111111011",
            "1",
            "111111111",
            "000000001",
            "110",
            "1001",
        ]
    )
    threshold = 8 + 7 * 9
    silent = "".join("1" if i == threshold + 8 else "0" for i in range(len(lines[2])))
    assert {line for number, line in enumerate(lines) if number != 2} == {silent}
    assert (tmp_path / "tc_004.mem").read_text().split() == ["00", "01", "10", "11", "00", "00", "00", "10"]
    empty = (tmp_path / "csram_000.mem").read_text().splitlines()
    assert empty == [silent] * 8
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{part}_{cell:03d}.mem" for part in ("csram", "tc") for cell in (0, 1, 3, 4, 5)}  # 2 is the bus


def test_names_have_the_digits_that_the_last_cell_needs(tmp_path: Path):
    assert file_name("tc", 4, 1000) == "tc_004.mem"
    assert file_name("tc", 4, 1001) == "tc_0004.mem"
    image = exported(tmp_path)
    for path in [*tmp_path.glob("*.mem")]:
        path.rename(path.with_name(path.name.replace("_0", "_00")))
    assert digest(read_memory(tmp_path)) == digest(image)


def test_memory_files_are_the_network(tmp_path: Path):
    image = exported(tmp_path)
    assert digest(read_memory(tmp_path)) == digest(image)


def test_with_the_companion_they_are_the_exported_chip(tmp_path: Path):
    image, inputs = read_network(CASE)
    write_network(image, tmp_path, inputs)
    assert digest(read_memory(tmp_path)) == digest(image)
    with pytest.raises(ConfigError, match=r"potential_bits: 9 asked for, .* says 32"):
        read_memory(tmp_path, potential_bits=9)
    path = tmp_path / "csram_000.mem"
    path.write_text(path.read_text().replace("0", "1", 9).replace("1", "0", 3))
    with pytest.raises(ArtifactError, match="export the chip again"):
        read_memory(tmp_path)


def test_a_silent_core_is_one_of_an_export(tmp_path: Path):
    """Without the companion, its files are those of an empty cell."""
    network = one_neuron(positive_threshold=3, weights=[1, 0, 0, 0], dx=1, dy=-1, destination_axon=2)
    arrays = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
    silent = silent_network(CONFIG, np.array([0], np.int32), np.array([1], np.int32))
    both: dict[str, Any] = {
        name: np.concatenate([silent[name], value]) if isinstance(value, np.ndarray) else value
        for name, value in arrays.items()
    }
    both["crossbars"][1, 4, 0] = 1 << 2
    image = network_image(tmp_path, RancNetwork(**both), 32)
    assert image.core_x.tolist() == [0, 1]
    files = write_network(image, tmp_path)
    assert digest(read_memory(tmp_path)) == digest(image)
    companion_path(files.network).unlink()
    alone = read_memory(tmp_path)
    assert (alone.core_x.tolist(), alone.core_y.tolist()) == ([1], [1])
    assert alone.output_pins == 3  # pin 2 is the last that a neuron sends to
    assert json.loads(alone.arch)["potential_bits"] == 9


def test_a_network_without_a_bus_has_files_for_all_cells(tmp_path: Path):
    network = dataclasses.replace(one_neuron(leak=1), bus=None, num_outputs=0)
    assert write_memory_files(network, tmp_path) == 2 * 6
    (tmp_path / "config.json").write_text(config_json(CONFIG))
    image = read_memory(tmp_path)
    assert (image.output_pins, image.core_x.tolist(), image.core_y.tolist()) == (0, [1], [1])


def test_the_grid_is_not_too_large_for_files():
    large = dataclasses.replace(CONFIG, num_cores_x=256, num_cores_y=65)
    assert misfit(dataclasses.replace(one_neuron(), config=large)) == (
        "the grid has 16640 cells, files are written of at most 16384"
    )


def test_comments_and_underscores(tmp_path: Path):
    """As Verilog's $readmemb takes them."""
    image = exported(tmp_path)
    for path in tmp_path.glob("*.mem"):
        text = path.read_text()
        path.write_text("/* word by\nword */\n" + "\n".join(f"{line[:1]}_{line[1:]}  // here" for line in text.split()))
    assert digest(read_memory(tmp_path)) == digest(image)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": [0, 0, 256, 0]}, r"core \(1, 1\), neuron 2: weights is 256, the field takes -256 to 255"),
        ({"leak": -257}, "leak is -257, the field takes -256 to 255"),
        ({"positive_threshold": 1000}, "positive_threshold is 1000"),
        ({"negative_threshold": 256}, "negative_threshold is 256"),
        ({"current_potential": -300}, "current_potential is -300"),
        ({"reset_potential": 256}, "reset_potential is 256"),
        ({"dx": 256}, "dx is 256"),
        ({"dy": -257}, "dy is -257"),
        ({"destination_axon": 8}, "destination_axon is 8, the field takes 0 to 7"),
        ({"destination_tick": 16}, "destination_tick is 16, the field takes 0 to 15"),
    ],
)
def test_what_has_no_memory_files(values: dict[str, int | list[int]], message: str):
    assert message.replace("\\", "") in str(misfit(one_neuron(**values)))


def test_what_just_fits():
    values = {"weights": [-256, 255, 0, 0], "leak": -256, "dx": 255, "dy": -256, "destination_axon": 7}
    assert misfit(one_neuron(**values, destination_tick=15, positive_threshold=255)) is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("csram_000.mem", "0101\n" * 8, r"csram_000.mem: line 0 has 4 digits, must be 115 binary digits"),
        ("csram_000.mem", ("0" * 114 + "2\n") * 8, "line 0 is not binary"),
        ("tc_003.mem", "00\n" * 7, r"tc_003.mem: has 7 lines, the config asks for 8"),
        ("tc_000.mem", None, "tc_000.mem: cannot be read"),
        ("csram_003.mem", None, "has neither csram_.* nor csram_.*, only the output bus's cell has none"),
        ("config.json", None, "config.json: cannot be read"),
        (
            "config.json",
            '{"num_axons": 8}',
            "config.json: config: has no num_neurons, num_cores_x, num_cores_y, num_we",
        ),
        ("csram_006.mem", "", r"csram_006.mem: is of cell 6, the grid's last is 3"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, text: str | None, message: str):
    exported(tmp_path)
    if text is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(text)
    with pytest.raises(ArtifactError, match=message):
        read_memory(tmp_path)


def test_a_folder_without_memory_files(tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"has no csram_NNN.mem"):
        read_memory(tmp_path, CASE.with_suffix(".config.json"))


def test_memory_files_agree_with_the_json(tmp_path: Path):
    """Field by field, read by hand from both."""
    exported(tmp_path)
    network = json.loads((tmp_path / "network.json").read_text())
    assert json.loads((tmp_path / "config.json").read_text())["num_cores_x"] == 2
    for core in network["cores"]:
        x, y = core["coordinates"]
        lines = (tmp_path / f"csram_{x + 2 * y:03d}.mem").read_text().splitlines()
        for neuron, row, line in zip(core["neurons"], core["connections"], lines, strict=False):
            assert [int(bit) for bit in line[:8][::-1]] == row
            words = [line[8 + 9 * i : 17 + 9 * i] for i in range(9)]
            numbers = [int(word, 2) - (int(word[0]) << 9) for word in words]
            assert numbers[:2] == [neuron["current_potential"], neuron["reset_potential"]]
            assert numbers[2:6] == neuron["weights"]
            assert numbers[6:] == [neuron["leak"], neuron["positive_threshold"], neuron["negative_threshold"]]
            assert int(line[-4:], 2) == neuron["destination_tick"]


def test_two_files_of_one_cell_are_refused(tmp_path: Path):
    exported(tmp_path)
    (tmp_path / "tc_0.mem").write_bytes((tmp_path / "tc_000.mem").read_bytes())
    with pytest.raises(ArtifactError, match="has two tc files of cell 0; remove the one that is not meant"):
        read_memory(tmp_path)
