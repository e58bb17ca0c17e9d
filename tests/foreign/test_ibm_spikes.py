"""IBM's spike files: what is read and written of each kind, and what is none."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ibm_models import CASES, run, small_model, write
from support.random_chips import WIDE, random_chip

from tncompile.errors import ArtifactError, ConfigError, InfeasibleError, SimulationError
from tncompile.foreign.ibm import core_ids, read_model
from tncompile.foreign.ibm_spikes import is_ibm_spikes, read_input, read_output, write_input, write_output
from tncompile.ir import ChipImage
from tncompile.sim.spikes import InputSpikes, OutputSpikes

FILES = Path(__file__).parent / "ibm"
IMAGE = random_chip(3, arch=WIDE)
"""Nine cores on sites that are not in the order of the cores, with packets for input bits."""
IDS = core_ids(IMAGE).tolist()
TEXT = '{"class":"SpikeWriter","encoding":"TEXT","nscsVersion":"1.4.0"}\n'
INPUT = TEXT + '{"version":"sfti1.0","defaultDestinationDelay":1}\n'
OUTPUT = TEXT + '{"version":"sfto1.0", "defaultDestinationDelay" : 1}\n'
TICK = b"\xfe\xfc\xfe\xfc"


def spike(**fields: Any) -> str:
    return json.dumps({"spike": fields}) + "\n"


def raw(encoding: str, *records: tuple[int, ...], **header: Any) -> bytes:
    head = {"class": "SpikeWriter", "nscsVersion": "1.4.0", "encoding": encoding} | header
    return json.dumps(head).encode() + b"\xff" + np.array(records, ">i4").tobytes()


def pins(*blocks: bytes, connectors: list[dict[str, Any]] | None = None, end: bytes | None = None) -> bytes:
    """Returns a CONNPIN file with these blocks and an end mark."""
    connectors = [{"ID": 0, "csize": 7, "bpp": 8, "delayMode": 1}] if connectors is None else connectors
    head = '{"class":"SpikeWriter","encoding":"CONNPIN","nscsVersion":"1.4.0"}\n' + json.dumps(
        {"maxBlockSize": 1024, "connectors": connectors}, indent=3
    )
    return head.encode() + b"\n\xff" + b"".join(blocks) + (TICK + b"\xff" * 4 + bytes(8) if end is None else end)


def tick(number: int, *blocks: bytes) -> bytes:
    return TICK + struct.pack(">i", number) + bytes(8) + b"".join(blocks)


def block(connector: int, numbers: list[int], *, width: int = 1, delays: list[int] | None = None) -> bytes:
    body = b"".join(number.to_bytes(width, "big") for number in numbers)
    return struct.pack(">HH", connector, len(numbers)) + body + bytes([1] * len(numbers) if delays is None else delays)


def save(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "spikes.dat"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def inputs(*spikes: tuple[int, int, int, int]) -> InputSpikes:
    """Returns input spikes from tick, core, axon and delay."""
    tick, *others = np.array(spikes, np.int64).reshape(-1, 4).T
    fields = {name: values.astype(np.int32) for name, values in zip(("core", "axon", "delay"), others, strict=True)}
    return InputSpikes(stream=np.zeros(len(spikes), np.int32), tick=tick, **fields)


def outputs(*spikes: tuple[int, int, int, int]) -> OutputSpikes:
    """Returns output spikes from tick, pin, core and neuron."""
    tick, *others = np.array(spikes, np.int64).reshape(-1, 4).T
    fields = {name: values.astype(np.int32) for name, values in zip(("pin", "core", "neuron"), others, strict=True)}
    return OutputSpikes(stream=np.zeros(len(spikes), np.int32), tick=tick, **fields)


def assert_same(actual: InputSpikes | OutputSpikes, expected: InputSpikes | OutputSpikes) -> None:
    assert type(actual) is type(expected)
    for field in dataclasses.fields(expected):
        np.testing.assert_array_equal(getattr(actual, field.name), getattr(expected, field.name), field.name)


@pytest.mark.skipif(not CASES.exists(), reason="IBM's own case is not beside the checkout")
def test_ibms_own_connector_file() -> None:
    image = read_model(CASES / "patternMatch.json")
    found = read_output(CASES / "patternMatch_outputSpikes0.sfcp", image)
    expected = np.loadtxt(CASES / "patternMatch_gold.csv", delimiter=",", skiprows=1, dtype=np.int64)
    np.testing.assert_array_equal(np.stack([found.tick, found.pin], axis=1), expected)
    assert (found.core == -1).all() and (found.neuron == -1).all()
    assert is_ibm_spikes(CASES / "patternMatch_outputSpikes0.sfcp")
    assert is_ibm_spikes(CASES / "patternMatch_inputSpikes.sfti")
    assert not is_ibm_spikes(CASES / "patternMatch.json")
    assert not is_ibm_spikes(CASES / "patternMatch_gold.csv")


def test_our_own_case() -> None:
    """Every kind of file says the same of a run; the oracle does, too."""
    image = read_model(FILES / "small.json")
    sent = read_input(FILES / "small.sfti", image)
    assert_same(read_input(FILES / "small.sfri", image), sent)
    fired = np.argwhere(run(image, sent, 60))
    assert len(fired) > 40
    for ending in ("sfto", "sfro", "sfcp"):
        found = read_output(FILES / f"small.{ending}", image)
        np.testing.assert_array_equal(np.unique(np.stack([found.tick, found.pin], axis=1), axis=0), fired)
        assert is_ibm_spikes(FILES / f"small.{ending}")
    assert_same(read_output(FILES / "small.sfro", image), read_output(FILES / "small.sfto", image))
    assert (image.output_pin[found.core, found.neuron] == found.pin)[found.core >= 0].all()


A, B = IDS[2], IDS[5]
PLAIN = inputs((0, 2, 3, 1), (4, 5, 15, 1), (4, 2, 0, 1))
INPUTS: dict[str, str | bytes] = {
    "text": INPUT
    + spike(srcTime=0, destCore=A, destAxon=3)
    + spike(srcTime=4, destCore=B, destAxon=15)
    + spike(srcTime=4, destCore=A, destAxon=0),
    "text, not in the order of ticks": INPUT
    + spike(srcTime=4, destCore=B, destAxon=15)
    + spike(srcTime=4, destCore=A, destAxon=0)
    + spike(srcTime=0, destCore=A, destAxon=3),
    "text with other line ends, blank lines and blanks": "\ufeff"
    + INPUT.replace("\n", "\r\n\r\n  ")
    + f'{{ "spike" : {{ "srcTime" : 0 , "destCore" : {A} , "destAxon" : 3 }} }}\r\n\r\n'
    + (spike(srcTime=4, destCore=B, destAxon=15) + "\n" + spike(srcTime=4, destCore=A, destAxon=0)).replace(
        "\n", "\r\n"
    ),
    "text over several lines, and several spikes a line": TEXT.strip()
    + json.dumps({"version": "sfti1.0"}, indent=2)
    + spike(srcTime=0, destCore=A, destAxon=3).strip()
    + json.dumps({"spike": {"srcTime": 4, "destCore": B, "destAxon": 15}}, indent=2)
    + spike(srcTime=4, destCore=A, destAxon=0).strip(),
    "text without a header": spike(srcTime=0, destCore=A, destAxon=3)
    + spike(srcTime=4, destCore=B, destAxon=15)
    + spike(srcTime=4, destCore=A, destAxon=0),
    "text with all fields, as strings": INPUT
    + spike(srcTime="0", destCore=str(A), destAxon="3", destDelay="1", srcCore=-1, srcNeuron=-1)
    + spike(srcTime=4.0, destCore=B, destAxon=15)
    + spike(srcTime=4, destCore=A, destAxon=0),
    "text that a simulator recorded": OUTPUT
    + spike(srcTime=0, srcCore=B, srcNeuron=9, destCore=A, destAxon=3, destDelay=1)
    + spike(srcTime=1, srcCore=B, srcNeuron=9, destCore=-32, destAxon=3, destDelay=1)
    + spike(srcTime=2, srcCore=B, srcNeuron=8, destCore=-1, destAxon=-1, destDelay=1)
    + spike(srcTime=4, srcCore=A, srcNeuron=9, destCore=B, destAxon=15, destDelay=1)
    + spike(srcTime=4, srcCore=A, srcNeuron=9, destCore=A, destAxon=0, destDelay=1),
    "text with half a header, and no line end": '{"version":"sfti1.0"}\n'
    + spike(srcTime=0, destCore=A, destAxon=3)
    + spike(srcTime=4, destCore=B, destAxon=15)
    + spike(srcTime=4, destCore=A, destAxon=0).strip(),
    "RAWI3": raw("RAWI3", (0, A, 3), (4, B, 15), (4, A, 0), defaultDestinationDelay=1),
    "RAWI3 without a default delay": raw("RAWI3", (4, B, 15), (0, A, 3), (4, A, 0)),
    "RAWI3 with a header of two lines": raw("RAWI3", (0, A, 3), (4, B, 15), (4, A, 0)).replace(
        b"}\xff", b'}\n{"defaultDestinationDelay": 1}\n\xff'
    ),
    "RAWO6": raw("RAWO6", (0, B, 9, A, 3, 1), (1, B, 9, -32, 3, 1), (4, A, 9, B, 15, 1), (4, A, 9, A, 0, 1)),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_input_spikes(tmp_path: Path, kind: str) -> None:
    """Whatever the file is called."""
    path = save(tmp_path, INPUTS[kind])
    assert is_ibm_spikes(path)
    assert_same(read_input(path, IMAGE), PLAIN)


def test_delays_of_input_spikes(tmp_path: Path) -> None:
    """A spike's own delay, else the header's, else 1."""
    header = INPUT.replace('"defaultDestinationDelay":1', '"defaultDestinationDelay":3')
    text = header + spike(srcTime=0, destCore=A, destAxon=1) + spike(srcTime=0, destCore=A, destAxon=1, destDelay=5)
    assert_same(read_input(save(tmp_path, text), IMAGE), inputs((0, 2, 1, 3), (0, 2, 1, 5)))
    assert_same(
        read_input(save(tmp_path, raw("RAWI3", (7, A, 1), defaultDestinationDelay=2)), IMAGE), inputs((7, 2, 1, 2))
    )
    assert_same(
        read_input(save(tmp_path, raw("RAWO6", (7, A, 0, A, 1, 4), defaultDestinationDelay=2)), IMAGE),
        inputs((7, 2, 1, 4)),
    )


def test_pins_as_input_are_input_bits(tmp_path: Path) -> None:
    connectors = [{"ID": 4, "csize": 2, "bpp": 8, "delayMode": 0}, {"ID": 1, "csize": 3, "bpp": 8, "delayMode": 1}]
    image = dataclasses.replace(IMAGE, input_bits=5)
    # The pins of the connector with the lower ID come first: 0 to 2, then 3 and 4. A delay of 3 is two ticks later.
    content = pins(
        tick(0, block(4, [1, 0], delays=[]), block(1, [2, 0], delays=[1, 3])), tick(9), connectors=connectors
    )
    assert_same(
        read_input(save(tmp_path, content), image), inputs((0, -1, 4, 0), (0, -1, 3, 0), (0, -1, 2, 0), (2, -1, 0, 0))
    )
    with pytest.raises(SimulationError, match="has pin 4, the image has 4 input bits"):
        read_input(save(tmp_path, content), dataclasses.replace(IMAGE, input_bits=4))


def test_output_spikes(tmp_path: Path) -> None:
    image = dataclasses.replace(IMAGE, output_pins=600)
    expected = outputs((0, 3, 5, 9), (4, 599, 2, 0), (4, 256, 5, 9), (4, 3, -1, -1))
    records = [(0, B, 9, -32, 3, 1), (4, A, 0, -34, 87, 1), (4, B, 9, -33, 0, 1), (4, -1, -1, -32, 3, 1)]
    other = [(2, B, 9, A, 3, 1), (3, A, 1, -1, -1, 1)]  # not on a pin
    keys = ("srcTime", "srcCore", "srcNeuron", "destCore", "destAxon", "destDelay")
    mixed = [*records[1:], *other, records[0]]
    text = OUTPUT + "".join(spike(**dict(zip(keys, record, strict=True))) for record in mixed)
    assert_same(read_output(save(tmp_path, text), image), expected)
    assert_same(read_output(save(tmp_path, raw("RAWO6", *mixed)), image), expected)
    # Without who sent them, as some tools record them.
    nameless = dataclasses.replace(expected, core=np.full(4, -1, np.int32), neuron=np.full(4, -1, np.int32))
    assert_same(
        read_output(save(tmp_path, raw("RAWI3", *((t, c, a) for t, _, _, c, a, _ in records))), image), nameless
    )
    content = pins(
        tick(0, block(0, [3], width=2)),
        tick(4, block(0, [599], width=2), block(0, [256, 3], width=2)),
        connectors=[{"ID": 0, "csize": 600, "bpp": 16, "delayMode": 1}],
    )
    assert_same(read_output(save(tmp_path, content), image), nameless)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("mode", [0, 1])
def test_pins_of_any_width(tmp_path: Path, width: int, mode: int) -> None:
    numbers = [0, 200, 7]
    delays = None if mode else []
    content = pins(
        tick(5, block(2, numbers, width=width, delays=delays), block(2, [], delays=[])),
        tick(3, block(2, [1], width=width, delays=[1] if mode else [])),
        connectors=[{"ID": 2, "csize": 201, "bpp": 8 * width, "delayMode": mode}],
    )
    found = read_output(save(tmp_path, content), dataclasses.replace(IMAGE, output_pins=201))
    np.testing.assert_array_equal(found.tick, [3, 5, 5, 5])
    np.testing.assert_array_equal(found.pin, [1, *numbers])


def test_a_file_may_be_empty(tmp_path: Path) -> None:
    for content in (INPUT, raw("RAWI3"), raw("RAWO6"), pins()):
        assert_same(read_input(save(tmp_path, content), IMAGE), inputs())
        assert_same(read_output(save(tmp_path, content), IMAGE), outputs())


ONE = spike(srcTime=0, destCore=A, destAxon=3)
MALFORMED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is empty"),
    "no spikes": ("{}", "has neither a header nor spikes"),
    "another file": ("tick,pin\n0,1\n", "line 1, column 1: Expecting value"),
    "not UTF-8": (b'{"class": "\x80"}', "byte 11 is not UTF-8 text"),
    "binary, not UTF-8": (b"\x80abc\xff", "has no header"),
    "a list": ("[1]", "line 1 is [1], expected a header or a spike"),
    "unknown encoding": (raw("RAWI4"), 'its encoding is "RAWI4", must be one of TEXT, RAWI3, RAWO6, CONNPIN'),
    "text as binary": (raw("TEXT"), "says that it is TEXT, but its header ends with 0xFF"),
    "binary as text": (raw("RAWI3")[:-1], "is RAWI3, but has no 0xFF behind the header"),
    "cut line": (INPUT + ONE + ONE[:20], "line 4, column"),
    "late tick": (INPUT + spike(srcTime=1 << 62, destCore=A, destAxon=1), "line 3: its tick is 4611686018427387904"),
    "33 bits": (INPUT + spike(srcTime=0, destCore=A, destAxon=1 << 32), "line 3: its axon is 4294967296, must be a"),
    "-33 bits": (OUTPUT + spike(srcTime=0, destCore=-1 << 62, destAxon=0, srcCore=A), "line 3: its core is -46116860"),
    "no JSON": (INPUT + ONE + "\n\nx", "line 6, column 1: Expecting value"),
    "no spike": (INPUT + ONE + '{"spikes": {}}', "line 4: is not a spike, as the lines before it"),
    "no axon": (INPUT + ONE + spike(srcTime=0, destCore=A), "line 4: destAxon is missing"),
    "no number": (INPUT + spike(srcTime="x", destCore=A, destAxon=1), 'line 3: srcTime is "x", expected an integer'),
    "half a number": (INPUT + spike(srcTime=0.5, destCore=A, destAxon=1), "line 3: srcTime is 0.5"),
    "large": (INPUT + spike(srcTime=1 << 70, destCore=A, destAxon=1), "srcTime has more than 64 bits"),
    "tick": (INPUT + spike(srcTime=-1, destCore=A, destAxon=1), "line 3: its tick is -1, must be 0 or more"),
    "default delay": (INPUT.replace(":1}", ":-1}") + ONE, "defaultDestinationDelay is -1, must be 1 or more"),
    "input to a pin": (INPUT + spike(srcTime=0, destCore=-32, destAxon=1), "destCore is -32, must be a core's id"),
    "RAWI3 cut": (raw("RAWI3", (0, A, 3))[:-1], "ends 11 bytes into a spike of 12: it is truncated"),
    "RAWO6 cut": (raw("RAWO6", (0, A, 3, A, 3, 1)) + b"\0\0", "ends 2 bytes into a spike of 24"),
    "RAWI3 tick": (raw("RAWI3", (0, A, 3), (-2, A, 3)), "spike 1 in the file: its tick is -2"),
    "pins without connectors": (pins(connectors=[]), "its header has no connectors"),
    "connector": (pins(connectors=[3]), "connector 0 in the header is 3, expected an object"),  # type: ignore[list-item]
    "no ID": (pins(connectors=[{"csize": 3}]), "connector 0 in the header: ID is null"),
    "no size": (pins(connectors=[{"ID": 0}]), "connector 0 in the header: csize is null"),
    "same ID": (pins(connectors=[{"ID": 0, "csize": 3}] * 2), "connector 1 in the header: another one has ID 0"),
    "bits of a pin": (pins(connectors=[{"ID": 0, "csize": 3, "bpp": 12}]), "bpp is 12, must be 8, 16, 24 or 32"),
    "delay mode": (pins(connectors=[{"ID": 0, "csize": 3, "delayMode": 2}]), "delayMode is 2, must be 0 to 1"),
    "no tick mark": (pins(b"\0" * 16), "00000000 where a tick begins with fefcfefc"),
    "negative tick": (pins(tick(-2)), "its tick is -2, must be 0 or more, or −1 at the end"),
    "unknown connector": (pins(tick(3, block(1, [0]))), "tick 3: connector 1 is not in the header"),
    "pin": (pins(tick(3, block(0, [7]))), "tick 3: pin 7 of connector 0, which has 7 pins"),
    "no end": (pins(tick(3, block(0, [1])), end=b""), "before the end mark: it is truncated"),
    "no ticks": (pins(end=b""), "it is truncated"),
    "cut mark": (pins(end=TICK), "it is truncated"),
    "cut pins": (pins(tick(3, block(0, [1, 2])[:-3]), end=b""), "it is truncated"),
    "cut delays": (pins(tick(3, block(0, [1, 2])[:-1]), end=b""), "it is truncated"),
    "behind the end": (pins() + b"more", "has 4 bytes behind its end mark"),
    "delay 0": (pins(tick(3, block(0, [1], delays=[0]))), "a pin has delay 0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_no_spike_file_is_refused(tmp_path: Path, kind: str) -> None:
    content, message = MALFORMED[kind]
    path = save(tmp_path, content)
    with pytest.raises(ArtifactError) as caught:
        read_input(path, IMAGE)
    assert message in str(caught.value) and str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_cut_file_is_never_taken_for_a_whole_one(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = pins(tick(0, block(0, [1, 2])), tick(2), tick(3, block(0, [3]), block(0, [4])))
    head = whole.index(b"\xff") + 1
    cut = whole[: data.draw(st.integers(head, len(whole) - 1))]
    with pytest.raises(ArtifactError, match="it is truncated"):
        read_output(save(tmp_path_factory.getbasetemp(), cut), IMAGE)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for reader in (read_input, read_output):
        with pytest.raises(ArtifactError, match="cannot be read: No such file"):
            reader(tmp_path / "none.sfti", IMAGE)
    with pytest.raises(ArtifactError, match="cannot be read: No such file"):
        is_ibm_spikes(tmp_path / "none.sfti")


@pytest.mark.parametrize(
    "content", ["", "[]", "tick,pin\n", '{"packets": []}', '{"core": {"id": 0}}', "\0\xff", "[" * 9999]
)
def test_what_is_of_another_kind(tmp_path: Path, content: str) -> None:
    assert not is_ibm_spikes(save(tmp_path, content))


UNKNOWN = next(i for i in range(99) if i not in IDS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (INPUT + ONE + spike(srcTime=0, destCore=UNKNOWN, destAxon=3), f"line 4: core {UNKNOWN} is not in"),
        (INPUT + spike(srcTime=0, destCore=99999, destAxon=3), "line 3: core 99999 is not in the image"),
        (INPUT + spike(srcTime=0, destCore=A, destAxon=16), "line 3: destAxon is 16, a core has 0 to 15"),
        (INPUT + spike(srcTime=0, destCore=A, destAxon=-1), "line 3: destAxon is -1, a core has 0 to 15"),
        (INPUT + spike(srcTime=0, destCore=A, destAxon=3, destDelay=0), "destDelay is 0, a spike's delay is 1 to 5"),
        (INPUT + spike(srcTime=0, destCore=A, destAxon=3, destDelay=6), "line 3: destDelay is 6, a spike's delay is"),
        (raw("RAWI3", (0, A, 3), (0, A, 99)), "spike 1 in the file: destAxon is 99"),
    ],
)  # fmt: skip
def test_input_that_the_image_has_no_place_for(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = save(tmp_path, content)
    with pytest.raises(SimulationError) as caught:
        read_input(path, IMAGE)
    assert message in str(caught.value) and str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("record", "error", "message"),
    [
        ((0, UNKNOWN, 0, -32, 0, 1), SimulationError, f"core {UNKNOWN} is not in the image"),
        ((0, A, 16, -32, 0, 1), SimulationError, "srcNeuron is 16, a core has 0 to 15"),
        ((0, A, 0, -33, 0, 1), SimulationError, "has output pin 256, the image has 7 pins"),
        ((0, A, 0, -32, 256, 1), ArtifactError, "destAxon is 256, an output pin has 0 to 255"),
    ],
)
def test_output_that_the_image_has_no_place_for(tmp_path: Path, record: tuple, error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        read_output(save(tmp_path, raw("RAWO6", record)), dataclasses.replace(IMAGE, output_pins=7))
    assert message in str(caught.value)


def test_input_spikes_are_no_output_spikes(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds input spikes, none on an output pin"):
        read_output(save(tmp_path, INPUT + ONE), IMAGE)


def drawn_inputs(seed: int, image: ChipImage) -> InputSpikes:
    rng = np.random.default_rng(seed)
    spikes = int(rng.integers(0, 40))
    fields = [
        np.sort(rng.integers(0, 20, spikes)),
        rng.integers(0, len(image.core_x), spikes),
        rng.integers(0, WIDE.axons, spikes),
        np.ones(spikes, np.int64),
    ]
    return inputs(*map(tuple, np.stack(fields, axis=1).tolist()))  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", [".sfti", ".sfri", ".SFTI"])
@pytest.mark.parametrize("seed", range(4))
def test_written_input_spikes_come_back(tmp_path: Path, ending: str, seed: int) -> None:
    image = random_chip(seed, arch=WIDE)
    spikes = drawn_inputs(seed, image)
    path = tmp_path / f"spikes{ending}"
    write_input(spikes, image, path)
    assert is_ibm_spikes(path)
    assert_same(read_input(path, image), spikes)


@pytest.mark.parametrize("ending", [".sfti", ".sfri"])
def test_delays_and_input_bits_are_written_as_when_they_arrive(tmp_path: Path, ending: str) -> None:
    image = IMAGE
    spikes = inputs((0, 2, 3, 4), (1, -1, 0, 0), (1, 5, 3, 2), (2, -1, image.input_bits - 1, 0), (2, 2, 1, 1))
    path = tmp_path / f"spikes{ending}"
    write_input(spikes, image, path)
    found = read_input(path, image)
    assert (found.delay == 1).all() and (np.diff(found.tick) >= 0).all()
    of_bit = {0: 1, image.input_bits - 1: 2}
    packets = image.packets
    core_at = {site: c for c, site in enumerate(zip(image.core_x.tolist(), image.core_y.tolist(), strict=True))}
    expected = [(4, 2, 3), (3, 5, 3), (3, 2, 1)] + [
        (of_bit[bit] + delay, core_at[x, y], axon)
        for bit, x, y, axon, delay in zip(
            *(getattr(packets, name).tolist() for name in ("bit", "x", "y", "axon", "delay")), strict=True
        )
        if bit in of_bit
    ]
    assert len(expected) > 4
    arrivals = zip((found.tick + 1).tolist(), found.core.tolist(), found.axon.tolist(), strict=True)
    assert sorted(arrivals) == sorted(expected)
    np.testing.assert_array_equal(run(image, found, 30), run(image, spikes, 30))


@pytest.mark.parametrize("ending", [".sfto", ".sfro", ".sfcp"])
@pytest.mark.parametrize("pins", [7, 256, 257, 70_000])
def test_written_output_spikes_come_back(tmp_path: Path, ending: str, pins: int) -> None:
    image = dataclasses.replace(IMAGE, output_pins=pins)
    rng = np.random.default_rng(pins)
    chosen = np.unique(rng.integers(0, (9, pins), (3000, 2)), axis=0)
    known = rng.random(len(chosen)) < 0.7
    driver = np.where(known[:, None], rng.integers(0, (9, 16), (len(chosen), 2)), -1)
    spikes = outputs(*map(tuple, np.concatenate([chosen, driver], axis=1).tolist()))  # type: ignore[arg-type]
    path = tmp_path / f"spikes{ending}"
    write_output(spikes, image, path)
    none = np.full(len(chosen), -1, np.int32)
    assert_same(
        read_output(path, image), dataclasses.replace(spikes, core=none, neuron=none) if ending == ".sfcp" else spikes
    )


def test_a_tick_with_many_pins_takes_several_blocks(tmp_path: Path) -> None:
    spikes = outputs(*((4, pin, -1, -1) for pin in range(2500)))
    image = dataclasses.replace(IMAGE, output_pins=2500)
    write_output(spikes, image, tmp_path / "a.sfcp")
    assert_same(read_output(tmp_path / "a.sfcp", image), spikes)
    body = (tmp_path / "a.sfcp").read_bytes().split(b"\xff", 1)[1]
    numbers = list(range(2500))
    blocks = [block(0, numbers[i : i + 1024], width=2) for i in (0, 1024, 2048)]
    assert body == tick(4, *blocks) + tick(-1)


def test_spikes_of_one_pin_and_tick_merge_on_a_connector(tmp_path: Path) -> None:
    write_output(outputs((5, 1, 0, 0), (2, 3, 1, 1), (5, 1, 2, 2)), IMAGE, tmp_path / "a.sfcp")
    assert_same(read_output(tmp_path / "a.sfcp", IMAGE), outputs((2, 3, -1, -1), (5, 1, -1, -1)))


@pytest.mark.parametrize("ending", [".sfti", ".sfri"])
def test_no_spikes_are_a_file_too(tmp_path: Path, ending: str) -> None:
    write_input(inputs(), IMAGE, tmp_path / f"a{ending}")
    assert_same(read_input(tmp_path / f"a{ending}", IMAGE), inputs())
    for output in (".sfto", ".sfro", ".sfcp"):
        write_output(outputs(), IMAGE, tmp_path / f"b{output}")
        assert_same(read_output(tmp_path / f"b{output}", IMAGE), outputs())


def test_headers_are_as_ibms(tmp_path: Path) -> None:
    """But they do not say that IBM's simulator wrote them."""
    write_input(inputs((3, 2, 1, 1)), IMAGE, tmp_path / "a.sfti")
    first, second, *spikes = [json.loads(line) for line in (tmp_path / "a.sfti").read_text().splitlines()]
    assert first["class"] == "SpikeWriter" and first["encoding"] == "TEXT" and first["writer"].startswith("tncompile ")
    assert second == {"version": "sfti1.0", "defaultDestinationDelay": 1}
    assert spikes == [{"spike": {"srcTime": 3, "destCore": A, "destAxon": 1}}]
    write_output(outputs((3, 2, 5, 1)), IMAGE, tmp_path / "a.sfro")
    head, body = (tmp_path / "a.sfro").read_bytes().split(b"\xff", 1)
    assert json.loads(head)["encoding"] == "RAWO6" and "nscsVersion" not in json.loads(head)
    assert struct.unpack(">6i", body) == (3, B, 1, -32, 2, 1)
    write_output(outputs((3, 2, 5, 1)), IMAGE, tmp_path / "a.sfcp")
    body = (tmp_path / "a.sfcp").read_bytes().split(b"\xff", 1)[1]
    assert body == tick(3, block(0, [2])) + tick(-1)


@pytest.mark.parametrize(
    ("name", "spikes", "error", "message"),
    [
        ("a.csv", inputs(), ConfigError, "end its name with one of .sfti, .sfri"),
        ("a.sfto", inputs(), ConfigError, "IBM has no such spike file"),
        ("a.sfti", inputs((0, 9, 0, 1)), SimulationError, "core is 9, the image has 0 to 8"),
        ("a.sfti", inputs((0, 0, 16, 1)), SimulationError, "axon is 16, the image has 0 to 15"),
        ("a.sfti", inputs((0, -1, 99, 0)), SimulationError, "input bit is 99, the image has 0 to"),
        ("a.sfri", inputs((1 << 31, 0, 0, 1)), InfeasibleError, "has a spike in tick 2147483648"),
        ("a.sfti", inputs((-1, 0, 0, 1), (2, 0, 0, 1)), InfeasibleError, "1 spikes arrive in tick 0 or soon after"),
        ("a.sfri", inputs((-1, 0, 0, 1), (-1, 0, 1, 1)), InfeasibleError, "2 spikes arrive in tick 0 or soon after"),
        (
            "a.sfti",
            dataclasses.replace(inputs((0, 0, 0, 1), (0, 0, 0, 1)), stream=np.array([0, 2], np.int32)),
            InfeasibleError,
            "these spikes are of the streams 0 to 2",
        ),
    ],
)
def test_input_that_cannot_be_written(
    tmp_path: Path, name: str, spikes: InputSpikes, error: type, message: str
) -> None:
    with pytest.raises(error) as caught:
        write_input(spikes, IMAGE, tmp_path / name)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "spikes", "error", "message"),
    [
        ("a.sfti", outputs(), ConfigError, "end its name with one of .sfto, .sfro, .sfcp"),
        ("a.sfto", outputs((0, 99, 0, 0)), SimulationError, "pin is 99, the image has 0 to"),
        ("a.sfto", outputs((0, 0, 9, 0)), SimulationError, "core is 9, the image has 0 to 8"),
        ("a.sfto", outputs((0, 0, 0, 16)), SimulationError, "neuron is 16, the image has 0 to 15"),
        ("a.sfro", outputs((1 << 31, 0, 0, 0)), InfeasibleError, "has a spike in tick 2147483648"),
        ("a.sfcp", outputs((1 << 31, 0, 0, 0)), InfeasibleError, "has a spike in tick 2147483648"),
    ],
)
def test_output_that_cannot_be_written(
    tmp_path: Path, name: str, spikes: OutputSpikes, error: type, message: str
) -> None:
    with pytest.raises(error) as caught:
        write_output(spikes, IMAGE, tmp_path / name)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_small_case_is_the_small_model(tmp_path: Path) -> None:
    """What the files of our own case were made from."""
    made = read_model(write(tmp_path / "model.json", small_model()))
    np.testing.assert_array_equal(read_model(FILES / "small.json").crossbars, made.crossbars)
