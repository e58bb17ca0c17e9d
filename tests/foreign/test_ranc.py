"""RANC's networks against a model of RANC's own simulator, read and written, and its output text."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign.ranc_drive import as_spikes, drive
from foreign.ranc_model import Simulator, random_network
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool
from support.random_chips import (
    RANC,
    RANC_INCLUSIVE,
    RANC_UNBOUNDED,
    SMALL,
    WIDE,
    layered_chip,
    random_chip,
    random_frames,
)

from tncompile.arch import ChipArch
from tncompile.errors import ArtifactError, ConfigError, InfeasibleError, SimulationError
from tncompile.foreign import ranc
from tncompile.foreign.companion import companion_path
from tncompile.foreign.ranc import (
    RancFiles,
    read_input,
    read_memory,
    read_network,
    read_output,
    write_network,
    write_output,
)
from tncompile.ir import ChipImage, ResetMode
from tncompile.ir.text import digest
from tncompile.sim.spikes import InputSpikes
from tncompile.verify.image import verify

TICKS = 12
CASES = Path(__file__).parent / "ranc"
CONFORMANCE = Path(__file__).parents[2].parent / "shared" / "conformance"


def chip_of(image: ChipImage) -> ChipArch:
    """Returns the chip description of an image."""
    return ChipArch.model_validate_json(image.arch)


def save(folder: Path, network: dict[str, Any], config: dict[str, Any] | None, name: str = "net") -> Path:
    """Writes a network, and its config beside it."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(network))
    if config is not None:
        (folder / f"{name}.config.json").write_text(json.dumps(config))
    return path


def text_of(image: ChipImage, pins: Bool[np.ndarray, "ticks pins"], folder: Path) -> bytes:
    """Returns the output text of a run."""
    write_output(as_spikes(pins), image, folder / "out.txt", len(pins))
    return (folder / "out.txt").read_bytes()


def bit_spikes(frames: Bool[np.ndarray, "ticks input_bits"]) -> InputSpikes:
    """Returns input bits as spikes."""
    tick, bit = np.nonzero(frames)
    zeros = np.zeros(len(tick), np.int32)
    return InputSpikes(stream=zeros, tick=tick.astype(np.int64), core=zeros - 1, axon=bit.astype(np.int32), delay=zeros)


def with_table(image: ChipImage, **values: Any) -> ChipImage:
    """Returns the image with some fields of all rows of its neuron table but the unused one set to a value."""
    table = {}
    for name, value in values.items():
        table[name] = getattr(image.neurons, name).copy()
        table[name][1:] = value
    return dataclasses.replace(image, neurons=dataclasses.replace(image.neurons, **table))


# ---------------------------------------------------------------------------------------------------------------------
# Reading.


@pytest.mark.parametrize("bits", [None, 9])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_networks_run_as_in_rancs_simulator(tmp_path_factory: pytest.TempPathFactory, bits: int | None, seed: int):
    network, config = random_network(seed, large=12 if bits is None else 120)  # 9 bits: −256 … 255, so some wrap
    folder = tmp_path_factory.mktemp("ranc")
    image, inputs = read_network(save(folder, network, config), potential_bits=bits)
    verify(image, chip_of(image))
    assert text_of(image, drive(image, inputs, TICKS), folder) == Simulator(network, config, bits).run(TICKS)


def test_random_networks_spike():
    """The comparison says something only if spikes come out, of few neurons and of many."""
    outputs = [Simulator(*random_network(seed)).run(TICKS) for seed in range(200)]
    assert sum(output.count(b"1") > 3 for output in outputs) > 70
    assert len({output.count(b"1") for output in outputs}) > 20


def test_the_order_of_cores_says_nothing(tmp_path: Path):
    network, config = random_network(6)
    assert len(network["cores"]) > 2
    image, inputs = read_network(save(tmp_path, network, config))
    again, spikes = read_network(save(tmp_path, network | {"cores": network["cores"][::-1]}, config))
    assert digest(again) == digest(image)
    np.testing.assert_array_equal(spikes.core, inputs.core)
    sites = list(zip(image.core_y.tolist(), image.core_x.tolist(), strict=True))
    assert sites == sorted(sites)


def test_packets_are_read_for_a_chip(tmp_path: Path):
    network, config = random_network(6)
    image, inputs = read_network(save(tmp_path, network, config))
    packets = read_input(save(tmp_path, {"packets": network["packets"]}, None, "packets"), image)
    assert len(inputs.tick)
    for field in dataclasses.fields(inputs):
        np.testing.assert_array_equal(getattr(packets, field.name), getattr(inputs, field.name))


def test_first_packets_are_there_in_tick_0():
    image, inputs = read_network(CASES / "relay.json")
    first = inputs.tick == -1
    assert first.any()
    assert (inputs.delay[first] >= 1).all()
    assert drive(image, inputs, 3)[1].any()  # two cores one behind the other


@pytest.mark.parametrize("case", ["relay"])
def test_small_case(case: str, tmp_path: Path):
    """The output text is what the model of RANC's simulator gave when the case was made."""
    image, inputs = read_network(CASES / f"{case}.json")
    expected = (CASES / f"{case}.output.txt").read_bytes()
    ticks = expected.count(b"\n")
    assert text_of(image, drive(image, inputs, ticks), tmp_path) == expected
    network, config = (json.loads((CASES / f"{case}{end}.json").read_text()) for end in ("", ".config"))
    assert Simulator(network, config).run(ticks) == expected


@pytest.mark.skipif(not (CONFORMANCE / "tea256.json").exists(), reason="the conformance cases are not here")
def test_conformance(tmp_path: Path):
    expected = json.loads((CONFORMANCE / "tea256.expected.json").read_text())
    image, inputs = read_network(CONFORMANCE / "tea256.json")
    verify(image, chip_of(image))
    pins = drive(image, inputs, len(expected) + 2)
    lines = text_of(image, pins, tmp_path).decode("utf-8-sig").splitlines()
    shown = [[i for i, value in enumerate(line.split()) if value == "1"] for line in lines]
    assert shown[0] == []
    assert shown[2:] == expected

    files = write_network(image, tmp_path / "export", inputs)
    assert files.memory_files == 2 * 11
    assert files.notes == ()
    assert digest(read_memory(tmp_path / "export")) == digest(image)
    companion_path(files.network).unlink()
    from_memory = read_memory(tmp_path / "export", potential_bits=32)
    assert len(from_memory.core_x) == 5  # the others' neurons are silent
    assert from_memory.output_pins == 250
    packets = read_input(CONFORMANCE / "tea256.json", from_memory)
    np.testing.assert_array_equal(drive(from_memory, packets, len(pins)), pins)


# ---------------------------------------------------------------------------------------------------------------------
# Writing.


def check_export(
    image: ChipImage, frames: Bool[np.ndarray, "ticks input_bits"], bits: int | None, folder: Path
) -> None:
    """Checks that an export runs in RANC's simulator as the image does here, and reads back as the image."""
    inputs = bit_spikes(frames)
    pins = drive(image, inputs, len(frames))
    files = write_network(image, folder, inputs)
    network, config = json.loads(files.network.read_text()), json.loads(files.config.read_text())
    assert text_of(image, pins, folder) == Simulator(network, config, bits).run(len(frames))

    same, packets = read_network(files.network)
    assert digest(same) == digest(image)
    np.testing.assert_array_equal(drive(same, packets, len(frames)), pins)
    if files.memory_files:
        assert digest(read_memory(folder)) == digest(image)

    companion_path(files.network).unlink()
    plain, packets = read_network(files.network, potential_bits=bits)
    verify(plain, chip_of(plain))
    np.testing.assert_array_equal(drive(plain, packets, len(frames)), pins)
    if files.memory_files:
        memory = read_memory(folder, potential_bits=bits or 32)
        assert memory.output_pins <= plain.output_pins  # as many as neurons send to
        assert digest(dataclasses.replace(memory, output_pins=plain.output_pins)) == digest(plain)


@pytest.mark.parametrize(
    ("arch", "bits"),
    [
        (RANC_UNBOUNDED, None),
        (RANC, 7),
        (RANC_INCLUSIVE, 7),
        (RANC_UNBOUNDED.model_copy(update={"axon_types": 3}), None),
    ],
    ids=["unbounded", "wraps", "inclusive", "3 types"],
)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cores=st.integers(1, 18))
def test_random_chips_go_to_ranc_and_back(
    tmp_path_factory: pytest.TempPathFactory, arch: ChipArch, bits: int | None, seed: int, cores: int
):
    image = random_chip(seed, arch=arch, cores=cores)  # 18 cores fill the grid
    frames = random_frames(image, seed, batch=1, ticks=TICKS)[0]
    check_export(image, frames, bits, tmp_path_factory.mktemp("ranc"))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_stateless_truenorth_chips_go_to_ranc_and_back(tmp_path_factory: pytest.TempPathFactory, seed: int):
    image = layered_chip(seed)
    assert chip_of(image).neuron == "truenorth"
    frames = random_frames(image, seed, batch=1, ticks=TICKS)[0]
    check_export(image, frames, None, tmp_path_factory.mktemp("ranc"))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_truenorth_chips_that_export_run_alike(tmp_path_factory: pytest.TempPathFactory, seed: int):
    """Any truenorth chip either is refused, or RANC does the same with it."""
    rng = np.random.default_rng(seed)
    image = with_table(
        random_chip(seed, arch=WIDE.model_copy(update={"potential_bits": 28})),
        leak_reversal=False,
        reset_mode=rng.integers(0, 2),
        negative_saturate=rng.integers(0, 2),
        leak=rng.integers(-2, 3),
        negative_threshold=(beta := rng.integers(0, 60)),
        reset=rng.choice([beta, 0]),
    )
    frames = random_frames(image, seed, batch=1, ticks=TICKS)[0]
    try:
        check_export(image, frames, None, tmp_path_factory.mktemp("ranc"))
    except InfeasibleError as error:
        assert "V can" in str(error)


def test_used_neurons_without_target_send_to_an_empty_cell(tmp_path: Path):
    image = random_chip(3, arch=RANC_UNBOUNDED, cores=17)  # one of 18 sites is free, and the bus needs it
    idle = (image.neuron_type > 0) & (image.target_delay == 0) & (image.output_pin < 0)
    assert idle.any()
    files = write_network(image, tmp_path)
    network, config = json.loads(files.network.read_text()), json.loads(files.config.read_text())
    cells = {tuple(core["coordinates"]) for core in network["cores"]} | {tuple(network["output_bus"]["coordinates"])}
    assert (config["num_cores_x"], config["num_cores_y"]) == (7, 3)
    core, neuron = np.argwhere(idle)[0]
    dx, dy = network["cores"][core]["neurons"][neuron]["destination_core_offset"]
    assert (image.core_x[core] + dx, image.core_y[core] + dy) not in cells


def test_output_bus_is_near_those_who_drive_it(tmp_path: Path):
    arch = RANC_UNBOUNDED.model_copy(update={"grid": (5, 5), "board": (1, 1)})
    image = random_chip(1, arch=arch, cores=2)
    neurons = image.neuron_type.shape
    pins = np.full(neurons, -1, np.int32)
    pins[0, 0] = 0
    image = dataclasses.replace(
        image,
        core_x=np.array([3, 0], np.int32),
        core_y=np.array([3, 0], np.int32),
        output_pin=pins,
        neuron_type=np.ones(neurons, np.int32) * (pins >= 0),
        **{name: np.zeros(neurons, getattr(image, name).dtype) for name in ("dx", "dy", "target_axon", "target_delay")},
        packets=dataclasses.replace(image.packets, x=image.packets.x * 0, y=image.packets.y * 0),
    )
    files = write_network(image, tmp_path)
    assert json.loads(files.network.read_text())["output_bus"]["coordinates"] == [3, 2]
    assert json.loads(files.config.read_text())["num_cores_x"] == 4  # up to the last core, not the chip's 5


def test_nothing_stays_of_an_earlier_export(tmp_path: Path):
    (tmp_path / "csram_999.mem").write_text("0\n")
    (tmp_path / "notes.mem").write_text("kept\n")
    files = write_network(random_chip(0, arch=RANC), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert files.memory_files == sum(name.startswith(("csram", "tc")) for name in names) > 0
    assert "csram_999.mem" not in names
    assert "notes.mem" in names


def expressible() -> ChipImage:
    """Returns a truenorth chip that RANC has neurons for."""
    return layered_chip(5)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("stochastic_weights", True, r"neuron type \d+ \(core .*stochastic_weights \(b\) is set, RANC draws no random"),
        ("stochastic_leak", True, r"stochastic_leak \(c\) is set"),
        ("mask_bits", 3, r"mask_bits \(TM\) is above 0"),
        ("leak_reversal", True, r"leak_reversal \(ε\) is set"),
        ("reset_mode", ResetMode.KEEP, r"reset_mode \(γ\) is 2"),
        ("reset", 5, r"negative_saturate \(κ\) is set.*γ is 0, R 5, β 0"),
        ("reset_mode", ResetMode.SUBTRACT, r"negative_saturate \(κ\) is set.*γ is 1"),
    ],
)
def test_neurons_that_ranc_has_not(tmp_path: Path, field: str, value: Any, message: str):
    image = with_table(expressible(), leak=-1)
    write_network(image, tmp_path / "good")
    with pytest.raises(InfeasibleError, match=message):
        write_network(with_table(image, **{field: value}), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_flags_without_effect_pass(tmp_path: Path):
    image = with_table(expressible(), leak=0, leak_reversal=True, stochastic_leak=True)
    flags = image.neurons.weights == 0
    image = dataclasses.replace(image, neurons=dataclasses.replace(image.neurons, stochastic_weights=flags))
    files = write_network(image, tmp_path)
    assert digest(read_network(files.network)[0]) == digest(image)


def test_potentials_that_saturate_are_refused(tmp_path: Path):
    image = random_chip(2, arch=SMALL, stateless=True)  # −64 … 63, and sums beyond
    with pytest.raises(InfeasibleError, match=r"V can reach .* the chip saturates at -64 and 63, RANC does not"):
        write_network(image, tmp_path)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"stream": [0, 1]}, InfeasibleError, "spikes of 2 streams, RANC's files have one"),
        ({"tick": [-2, 0]}, InfeasibleError, r"spike 0 is sent in tick -2"),
        ({"core": [0, 99]}, SimulationError, r"spike 1: core is 99, must be 0 …"),
        ({"axon": [16, 0]}, SimulationError, r"spike 0: axon is 16, must be 0 … 15"),
        ({"delay": [0, 1]}, SimulationError, r"spike 0: delay is 0, must be 1 … 5"),
        ({"core": [-1, -1], "axon": [0, 999]}, SimulationError, r"spike 1: input bit is 999"),
    ],
)
def test_inputs_that_do_not_fit(tmp_path: Path, changes: dict[str, list[int]], error: type[Exception], message: str):
    columns = {"stream": [0, 0], "tick": [0, 0], "core": [0, 1], "axon": [0, 1], "delay": [1, 1]} | changes
    kinds = {"tick": np.int64}
    inputs = InputSpikes(**{name: np.array(values, kinds.get(name, np.int32)) for name, values in columns.items()})
    with pytest.raises(error, match=message):
        write_network(random_chip(0, arch=RANC), tmp_path, inputs)


def test_notes_say_what_differs(tmp_path: Path):
    def notes(image: ChipImage) -> str:
        files: RancFiles = write_network(image, tmp_path)
        return "; ".join(files.notes)

    quiet = dict.fromkeys(("leak", "negative_threshold", "reset", "initial", "reset_mode"), 0)
    weak = with_table(random_chip(0, arch=RANC), weights=1, threshold=5, **quiet)
    assert notes(weak) == ""
    assert "FPGA: the RTL knows reset type 0 only" in notes(
        dataclasses.replace(weak, arch=RANC_INCLUSIVE.model_dump_json())
    )
    growing = with_table(weak, leak=3, reset_mode=1, threshold=1)  # gains more a tick than a spike takes
    assert "C++ simulator: of" in notes(growing)
    assert "V can leave 9 bits" in notes(dataclasses.replace(growing, arch=RANC_UNBOUNDED.model_dump_json()))
    wide = with_table(
        dataclasses.replace(weak, arch=RANC.model_copy(update={"weight_bits": 12}).model_dump_json()), weights=999
    )
    assert "no FPGA memory files: core (" in notes(wide)
    assert "weights is 999, the field takes -256 to 255" in notes(wide)


# ---------------------------------------------------------------------------------------------------------------------
# The companion.


def test_an_altered_network_is_not_the_one_exported(tmp_path: Path):
    files = write_network(random_chip(4, arch=RANC), tmp_path)
    text = files.network.read_text()
    network = json.loads(text)
    network["cores"][0]["neurons"][0]["leak"] += 1
    files.network.write_text(json.dumps(network))
    with pytest.raises(ArtifactError, match=r"core \(\d, \d\), neuron 0, leak: is .*, exported was .*remove network"):
        read_network(files.network)
    files.network.write_text(json.dumps(json.loads(text) | {"cores": json.loads(text)["cores"][:1]}))
    with pytest.raises(ArtifactError, match="export the chip again"):
        read_network(files.network)
    files.network.write_text(text)
    files.config.write_text(files.config.read_text().replace('"max_tick_offset": 6', '"max_tick_offset": 7'))
    with pytest.raises(ArtifactError, match="config, max_tick_offset: is 7, exported was 6"):
        read_network(files.network)


def test_the_companion_says_the_potential(tmp_path: Path):
    files = write_network(random_chip(4, arch=RANC), tmp_path)
    assert chip_of(read_network(files.network, potential_bits=7)[0]).potential_bits == 7
    with pytest.raises(ConfigError, match=r"potential_bits: 9 asked for, .* says 7"):
        read_network(files.network, potential_bits=9)


# ---------------------------------------------------------------------------------------------------------------------
# The output text.


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pins=st.integers(1, 5), ticks=st.integers(0, 7))
def test_output_text(tmp_path_factory: pytest.TempPathFactory, seed: int, pins: int, ticks: int):
    image = dataclasses.replace(random_chip(0, arch=RANC, cores=1), output_pins=pins)
    fired = np.random.default_rng(seed).random((ticks, pins)) < 0.3
    folder = tmp_path_factory.mktemp("text")
    text = text_of(image, fired, folder)
    lines = text.decode("utf-8-sig").split("\n")
    assert text.startswith(b"\xef\xbb\xbf")
    assert len(lines) == ticks + 1
    assert all(line == "".join(f"{int(bit)} " for bit in row) for line, row in zip(lines[1:-1], fired, strict=False))
    if ticks == 0:
        with pytest.raises(ArtifactError, match=r"out.txt: has no line; name a RANC output text"):
            read_output(folder / "out.txt", image)
        return
    read, lines_read = read_output(folder / "out.txt", image)
    assert lines_read == ticks
    shown = as_spikes(fired[:-1])
    for field in dataclasses.fields(read):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(shown, field.name))


def test_output_text_of_many_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """More lines than are written at a time."""
    monkeypatch.setattr(ranc, "_CHUNK_BYTES", 1000)
    image = dataclasses.replace(random_chip(0, arch=RANC, cores=1), output_pins=2)
    fired = np.random.default_rng(0).random((9001, 2)) < 0.01
    text_of(image, fired, tmp_path)
    read, ticks = read_output(tmp_path / "out.txt", image)
    assert ticks == 9001
    np.testing.assert_array_equal(read.tick, as_spikes(fired[:-1]).tick)


@pytest.mark.parametrize("text", ["0 1\n0 0\n", "\ufeff0 1 \r\n0 0 \r\n", "0 1 \n0 0 "])
def test_output_text_in_other_hands(tmp_path: Path, text: str):
    image = dataclasses.replace(random_chip(0, arch=RANC, cores=1), output_pins=2)
    (tmp_path / "out.txt").write_bytes(text.encode())
    read, ticks = read_output(tmp_path / "out.txt", image)
    assert (read.tick.tolist(), read.pin.tolist(), ticks) == ([-1], [1], 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"0 1 \n0 \n", "line 1: has 1 values, the chip has 2 output pins"),
        (b"0 1 \n\n0 1 \n", "line 1: has 0 values"),
        (b"0 2 \n", "line 0: has '2', must be 0 or 1"),
        (b"\x00\xff\n", "line 0: has .*, must be 0 or 1"),
    ],
)
def test_output_text_that_is_none(tmp_path: Path, text: bytes, message: str):
    image = dataclasses.replace(random_chip(0, arch=RANC, cores=1), output_pins=2)
    (tmp_path / "out.txt").write_bytes(text)
    with pytest.raises(ArtifactError, match=message):
        read_output(tmp_path / "out.txt", image)


def test_output_text_has_one_stream(tmp_path: Path):
    spikes = as_spikes(np.ones((2, 1), bool))
    spikes = dataclasses.replace(spikes, stream=np.array([0, 1], np.int32))
    with pytest.raises(InfeasibleError, match="spikes of 2 streams"):
        write_output(spikes, random_chip(0, arch=RANC), tmp_path / "out.txt", 2)
