"""Chips of other tools: imported, run, compared, exported; and files that are no such chips."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Outcome, files, invoke, process
from support.random_chips import layered_chip, random_chip

from tncompile.chip_run import parse_cores
from tncompile.errors import ConfigError
from tncompile.ir import ChipImage
from tncompile.ir.io import read_stage, write_stage
from tncompile.ir.text import digest

FOREIGN = Path(__file__).parents[1] / "foreign"
IBM, RANC = FOREIGN / "ibm/small.json", FOREIGN / "ranc/relay.json"
"""Small chips of both kinds, with what the reference, or a model of RANC's simulator, makes of them."""
CASES = Path(__file__).parents[3] / "shared/conformance"
"""Cases of IBM's and RANC's own tools, beside the checkout; not everybody has them."""


def imported(path: Path, out: Path, *options: Any) -> dict[str, Any]:
    """Imports a chip and returns what the command says of it."""
    outcome = invoke("import", path, "--out", out, "--json", *options)
    assert outcome.code == 0, outcome.err
    return outcome.json


def spikes_in(path: Path) -> list[tuple[int, int]]:
    """Returns tick and pin of each spike in a CSV file."""
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["tick", "pin"]
    return [(int(tick), int(pin)) for tick, pin in rows]


@pytest.fixture(scope="module")
def ibm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small IBM chip, imported."""
    folder = tmp_path_factory.mktemp("ibm") / "chip"
    imported(IBM, folder)
    return folder


@pytest.fixture(scope="module")
def ranc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small RANC chip, imported."""
    folder = tmp_path_factory.mktemp("ranc") / "chip"
    imported(RANC, folder)
    return folder


# ---------------------------------------------------------------------------------------------------------------------
# Import.


@pytest.mark.parametrize("path, kind, spikes", [(IBM, "ibm", 0), (RANC, "ranc", 7)])
def test_import_writes_an_image_and_where_it_comes_from(path: Path, kind: str, spikes: int, tmp_path: Path) -> None:
    found = imported(path, tmp_path / "chip")
    image = read_stage(tmp_path / "chip/image.safetensors", expect=ChipImage)
    assert json.loads((tmp_path / "chip/import.json").read_text()) == found
    assert (found["kind"], found["source"], found["input_spikes"]) == (kind, path.name, spikes)
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["image"] == digest(image)
    assert (found["cores"], found["output_pins"]) == (len(image.core_x), image.output_pins)
    assert found["synapses"] == sum(int(np.unpackbits(image.crossbars[c]).sum()) for c in image.core_crossbar)
    expected = {"image.safetensors", "import.json", *(["input.npz"] if spikes else [])}
    assert set(files(tmp_path / "chip")) == expected
    # Named outright and again over itself, the same comes out.
    before = files(tmp_path / "chip")
    assert imported(path, tmp_path / "chip", "--format", kind) == found
    assert files(tmp_path / "chip") == before
    assert imported(RANC if kind == "ibm" else IBM, tmp_path / "chip")["kind"] != kind
    assert ((tmp_path / "chip/input.npz").exists()) == (kind == "ibm")  # nothing of the other chip is left


def test_people_read_a_summary(tmp_path: Path) -> None:
    outcome = process("import", IBM, "--out", tmp_path / "chip")
    assert (outcome.code, outcome.err) == (0, "")
    for line in ("kind             ibm", "cores            2", "output pins      "):
        assert line in outcome.out
    text = invoke("inspect", tmp_path / "chip").out
    for line in (f"source           {IBM.name}", "image cores      2", "imported as      ibm", "axons a core"):
        assert line in text


def test_an_import_says_that_random_numbers_differ(tmp_path: Path) -> None:
    text = IBM.read_text()
    assert '"c_lambda":' in text
    changed = tmp_path / "random.json"
    model = text.replace('"c_lambda": false', '"c_lambda": true').replace('"c_lambda":false', '"c_lambda":true')
    changed.write_text(model)
    (note,) = imported(changed, tmp_path / "chip")["notes"]
    assert "draw random numbers" in note and "differ from IBM's" in note
    assert note in invoke("inspect", tmp_path / "chip", "--json").json["notes"][0]["note"]
    assert imported(IBM, tmp_path / "other")["notes"] == []


def test_the_width_of_rancs_potentials_can_be_chosen(tmp_path: Path) -> None:
    for bits, options in ((32, ()), (9, ("--potential-bits", 9, "--config", RANC.with_name("relay.config.json")))):
        (note,) = imported(RANC, tmp_path / str(bits), *options)["notes"]
        assert note.startswith(f"potentials have {bits} bits and wrap")
        arch = json.loads(read_stage(tmp_path / str(bits) / "image.safetensors", expect=ChipImage).arch)
        assert (arch["neuron"], arch["potential_bits"]) == ("ranc", bits)


def test_an_import_folder_is_not_made_of_another_folder(tmp_path: Path, ibm: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    outcome = invoke("import", IBM, "--out", tmp_path)
    message = f"error: {tmp_path}: holds something else than an imported chip; choose another --out\n"
    assert outcome == Outcome(4, "", message)
    assert invoke("import", IBM, "--out", tmp_path / "notes.txt") == Outcome(
        4, "", f"error: {tmp_path}/notes.txt: cannot be written: Not a directory; choose another --out\n"
    )
    assert files(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("name", ["image.safetensors", "input.npz"])
def test_files_of_another_import_are_found_out(name: str, ranc: Path, tmp_path: Path) -> None:
    folder = tmp_path / "chip"
    imported(RANC, folder)
    if name == "input.npz":
        np.savez(folder / name, tick=[0], core=[0], axon=[0])
    else:
        write_stage(folder / name, random_chip(0))
    outcome = invoke("simulate", folder)
    message = f"{folder / name}: is not what {folder}/import.json tells of; import the chip again"
    assert outcome == Outcome(4, "", f"error: {message}\n")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 1}', '{"format": 1, "kind": "ibm"}'])
def test_a_damaged_import_is_said(content: str, tmp_path: Path) -> None:
    imported(IBM, tmp_path / "chip")
    path = tmp_path / "chip/import.json"
    path.write_text(content)
    for command in ("simulate", "inspect"):
        outcome = invoke(command, tmp_path / "chip")
        assert (outcome.code, outcome.out) == (4, "")
        assert outcome.err.startswith(f"error: {path}: is ")
        assert outcome.err.endswith("import the chip again\n")


# ---------------------------------------------------------------------------------------------------------------------
# Import, run, compare.


@pytest.mark.parametrize("spikes", ["small.sfti", "small.sfri"])
@pytest.mark.parametrize("expected", ["small.sfto", "small.sfro", "small.sfcp"])
def test_ibm_chips_run_as_expected(spikes: str, expected: str, ibm: Path, tmp_path: Path) -> None:
    output = tmp_path / f"out{Path(expected).suffix}"
    outcome = invoke(
        "simulate", ibm, "--input", FOREIGN / "ibm" / spikes, "--expect", FOREIGN / "ibm" / expected, "--ticks", 60,
        "--output", output, "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.json["expected"]["spikes"] == outcome.json["output_spikes"] > 0
    assert outcome.json["input_spikes"] == 90
    assert output.read_bytes() == (FOREIGN / "ibm" / expected).read_bytes()


def test_ranc_chips_run_their_own_packets(ranc: Path, tmp_path: Path) -> None:
    expected = RANC.with_name("relay.output.txt")
    lines = len(expected.read_text().splitlines())
    output = tmp_path / "out.txt"
    for ticks in ([], ["--ticks", lines]):  # without, as many as there are lines
        outcome = invoke("simulate", ranc, "--expect", expected, *ticks, "--output", output, "--json")
        assert outcome.code == 0, outcome.err
        assert "warning" not in outcome.err
        assert outcome.json["ticks"] == lines
        assert (outcome.json["expected"]["missing"], outcome.json["expected"]["surplus"]) == (0, 0)
        assert outcome.json["expected"]["spikes"] > 0
    assert output.read_bytes() == expected.read_bytes()
    # The network is a file of packets as well.
    again = invoke("simulate", ranc, "--input", RANC, "--ticks", lines, "--output", tmp_path / "again.txt", "--json")
    assert again.json["input_spikes"] == outcome.json["input_spikes"] == 7
    assert (tmp_path / "again.txt").read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("chip", ["ibm", "ranc"])
@pytest.mark.parametrize("ending", [".csv", ".npz", ".sfto", ".sfro", ".sfcp", ".txt"])
def test_an_output_is_what_the_same_run_expects(
    chip: str, ending: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(chip)
    given = ["--input", FOREIGN / "ibm/small.sfti"] if chip == "ibm" else []
    # RANC's text does not show the last tick's spikes: there are some.
    ticks = 1 + max(tick for tick, _ in spikes_of(folder, 20, tmp_path, *given))
    output = tmp_path / f"out{ending}"
    spikes = spikes_of(folder, ticks, tmp_path, *given)
    assert invoke("simulate", folder, *given, "--ticks", ticks, "--output", output).code == 0
    shown = len([tick for tick, _ in spikes if ending != ".txt" or tick < ticks - 1])
    assert shown > 0 and (shown < len(spikes)) == (ending == ".txt")
    for asked in (["--ticks", ticks], []):
        outcome = invoke("simulate", folder, *given, *asked, "--expect", output, "--json")
        assert outcome.code == 0, outcome.err
        assert "warning" not in outcome.err
        found = outcome.json["expected"]
        assert outcome.json["ticks"] == ticks
        assert (found["spikes"], found["missing"], found["surplus"], found["beyond"]) == (shown, 0, 0, 0)
    # A tick more: only RANC's text says nothing of what comes then, and has a line that is not compared.
    longer = invoke("simulate", folder, *given, "--ticks", ticks + 5, "--expect", output)
    later = [tick for tick, _ in spikes_of(folder, ticks + 5, tmp_path, *given) if tick >= ticks]
    assert longer.code == (5 if later and ending != ".txt" else 0), longer.err
    warning = f"warning: {output}: says nothing of the ticks {ticks - 1} … {ticks + 4}, which are not compared\n"
    assert (warning in longer.err) == (ending == ".txt")


def test_expected_spikes_beyond_the_run_are_said(ibm: Path, tmp_path: Path) -> None:
    given = ("--input", FOREIGN / "ibm/small.sfti")
    spikes = spikes_of(ibm, 60, tmp_path, *given)
    expected = FOREIGN / "ibm/small.sfcp"
    last = spikes[-1][0]
    # Some beyond it.
    outcome = invoke("simulate", ibm, *given, "--ticks", 40, "--expect", expected, "--json")
    beyond = len([tick for tick, _ in spikes if tick >= 40])
    assert 1 < beyond < len(spikes)
    said = f"{beyond} expected spikes lie beyond the run, whose last tick is 39; --ticks {last + 1} takes in all"
    assert outcome.code == 0 and f"warning: {expected}: {said}\n" in outcome.err
    assert (outcome.json["expected"]["beyond"], outcome.json["expected"]["spikes"]) == (beyond, len(spikes) - beyond)
    text = invoke("simulate", ibm, *given, "--ticks", 40, "--expect", expected, "--quiet")
    assert (text.code, text.err) == (0, "") and f"0 differ ({beyond:,} beyond the run)" in text.out
    # All of them: nothing was compared.
    late = tmp_path / "late.csv"
    late.write_text(f"tick,pin\n{spikes[0][0]},{spikes[0][1]}\n")
    first = spikes[0][0]
    assert first > 0
    outcome = invoke("simulate", ibm, *given, "--ticks", first, "--expect", late, "--quiet")
    message = f"{late}: nothing was compared: 1 expected spike lies beyond the run, whose last tick is {first - 1}; "
    assert (outcome.code, outcome.err) == (5, f"error: {message}--ticks {first + 1} takes in all\n")
    # Before the run, which goes on from a state: that is no mistake.
    state = tmp_path / "state"
    assert invoke("simulate", ibm, *given, "--ticks", first + 1, "--save-state", state).code == 0
    late.write_text(f"tick,pin\n{spikes[0][0]},{spikes[0][1]}\n")
    outcome = invoke("simulate", ibm, "--state", state, "--ticks", 1, "--expect", late, "--json")
    assert (outcome.json["expected"]["earlier"], outcome.json["expected"]["beyond"]) == (1, 0)
    # None at all.
    late.write_text("tick,pin\n")
    outcome = invoke("simulate", ibm, "--ticks", 1, "--expect", late)
    assert outcome.code == 0
    assert f"warning: {late}: expects no spike on any output pin of this chip\n" in outcome.err


def test_a_run_of_forever_is_not_begun(ibm: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("tick,core,axon\n1000000000000,0,0\n")
    outcome = invoke("simulate", ibm, "--input", path)
    message = "--ticks: the files ask for 1000000000016 ticks (15 behind the last input spike); say how many to run, if"
    assert outcome.code == 2 and outcome.err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("watch", "message"),
    [
        ("0-1000000000", "has core 1000000000, no board has more than 1048576 cores"),
        ("1048576", "has core 1048576, no board has more than 1048576 cores"),
        (f"0-{10**30}", "must be cores and ranges of cores, for example 0,5,7-9"),
    ],
)
def test_ranges_of_cores_are_bounded(watch: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_cores(watch)
    assert str(caught.value) == f"--watch {watch}: {message}"


def spikes_of(chip: Path, ticks: int, folder: Path, *options: Any) -> list[tuple[int, int]]:
    """Returns tick and pin of each spike of a run."""
    output = folder / "spikes.csv"
    outcome = invoke("simulate", chip, "--ticks", ticks, "--output", output, *options)
    assert outcome.code == 0, outcome.err
    return spikes_in(output)


@pytest.mark.skipif(not CASES.exists(), reason="the conformance cases are not beside the checkout")
def test_a_case_of_ibms_simulator(tmp_path: Path) -> None:
    steps = (
        ("import", CASES / "patternMatch.json", "--format", "ibm", "--out", tmp_path / "chip"),
        ("simulate", tmp_path / "chip", "--input", CASES / "patternMatch_inputSpikes.sfti", "--ticks", 48, "--output",
         tmp_path / "out.csv", "--expect", CASES / "patternMatch_outputSpikes0.sfcp"),
    )  # fmt: skip
    for step in steps:
        outcome = process(*step)
        assert outcome.code == 0, outcome.err
    gold = CASES / "patternMatch_gold.csv"
    assert (tmp_path / "out.csv").read_text().split() == gold.read_text().split()
    assert len(spikes_in(tmp_path / "out.csv")) == 24


@pytest.mark.skipif(not CASES.exists(), reason="the conformance cases are not beside the checkout")
def test_a_case_of_rancs_simulator(tmp_path: Path) -> None:
    config = CASES / "tea256.config.json"
    steps = (
        ("import", CASES / "tea256.json", "--format", "ranc", "--config", config, "--out", tmp_path / "chip"),
        ("simulate", tmp_path / "chip", "--ticks", 12, "--output", tmp_path / "out.csv"),
    )
    for step in steps:
        outcome = process(*step)
        assert outcome.code == 0, outcome.err
    spikes = spikes_in(tmp_path / "out.csv")
    expected = json.loads((CASES / "tea256.expected.json").read_text())
    # Its first row is line 2 of the simulator's text, which shows what fired in tick 1.
    assert [[pin for tick, pin in spikes if tick == t + 1] for t in range(10)] == expected


# ---------------------------------------------------------------------------------------------------------------------
# Export.


@pytest.mark.parametrize("kind, model, spikes", [("ibm", "model.json", "input.sfti"), ("ranc", "network.json", None)])
def test_an_exported_chip_reads_back_equal(
    kind: str, model: str, spikes: str | None, ibm: Path, ranc: Path, tmp_path: Path
) -> None:
    chip = ibm if kind == "ibm" else ranc
    given = ["--input", FOREIGN / "ibm/small.sfti"] if kind == "ibm" else []
    outcome = invoke("export", chip, "--format", kind, "--out", tmp_path / "export", *given, "--json")
    assert outcome.code == 0, outcome.err
    written = outcome.json
    assert {row["file"]: row["bytes"] for row in written["files"]} == {
        name: len(content) for name, content in files(tmp_path / "export").items()
    }
    assert written["input_spikes"] == (90 if kind == "ibm" else 7)
    found = imported(tmp_path / "export" / model, tmp_path / "again")
    assert found["image"] == written["image"] == json.loads((chip / "import.json").read_text())["image"]
    assert spikes_of(chip, 40, tmp_path, *given) == spikes_of(
        tmp_path / "again", 40, tmp_path, *(["--input", tmp_path / "export" / spikes] if spikes else [])
    )


def test_memory_files_are_a_chip(ranc: Path, tmp_path: Path) -> None:
    """The exported chip, and what the files alone say of it, which runs alike."""
    image = json.loads((ranc / "import.json").read_text())["image"]
    assert invoke("export", ranc, "--format", "ranc", "--out", tmp_path / "export").code == 0
    for options in ((), ("--format", "ranc")):
        found = imported(tmp_path / "export", tmp_path / "again", *options)
        assert (found["image"], found["kind"], found["source"]) == (image, "ranc", "export")
        assert found["input_spikes"] == 0  # they stand in the network JSON
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted((tmp_path / "export").glob("*.mem"))
    ]
    assert found["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    for name in ("network.json", "network.tncompile.safetensors"):
        (tmp_path / "export" / name).unlink()
    alone = imported(tmp_path / "export", tmp_path / "alone")
    assert alone["notes"] == ["potentials have 9 bits and wrap, as in RANC's hardware"]
    expected = spikes_of(ranc, 14, tmp_path)
    assert expected
    assert spikes_of(tmp_path / "again", 14, tmp_path, "--input", RANC) == expected
    assert spikes_of(tmp_path / "alone", 14, tmp_path, "--input", RANC) == expected


def test_a_truenorth_chip_that_comes_back_from_ranc_saturates(tmp_path: Path) -> None:
    write_stage(tmp_path / "chip.safetensors", layered_chip(5))
    assert invoke("export", tmp_path / "chip.safetensors", "--format", "ranc", "--out", tmp_path / "export").code == 0
    found = imported(tmp_path / "export/network.json", tmp_path / "again")
    arch = json.loads(read_stage(tmp_path / "again/image.safetensors", expect=ChipImage).arch)
    assert arch["neuron"] == "truenorth"
    (note,) = found["notes"]
    assert f"potentials have {arch['potential_bits']} bits and saturate" in note and "wrap" not in note


def test_spikes_that_ibm_has_no_place_for_leave_nothing_behind(ibm: Path, tmp_path: Path) -> None:
    """A chip whose own input begins a tick before the first."""
    chip = tmp_path / "chip"
    imported(IBM, chip)
    np.savez(chip / "input.npz", tick=[-1, 3], core=[0, 0], axon=[0, 1])
    told = json.loads((chip / "import.json").read_text())
    told |= {"input": hashlib.sha256((chip / "input.npz").read_bytes()).hexdigest(), "input_spikes": 2}
    (chip / "import.json").write_text(json.dumps(told))
    outcome = invoke("export", chip, "--format", "ibm", "--out", tmp_path / "export")
    assert outcome.code == 3
    assert "input.sfti: 1 spikes arrive in tick 0 or soon after" in outcome.err and outcome.err.count("\n") == 1
    assert not (tmp_path / "export").exists()


def test_export_says_what_it_wrote_and_what_cannot_be(ibm: Path, tmp_path: Path) -> None:
    outcome = invoke("export", ibm, "--format", "ibm", "--out", tmp_path / "export")
    assert (outcome.code, outcome.err) == (0, "")
    assert "files            2" in outcome.out  # the model and its companion
    refused = invoke("export", ibm, "--format", "nir", "--out", tmp_path / "other")
    message = "--format nir: nothing of that kind is written; use one of ibm, ranc, model"
    assert refused == Outcome(2, "", f"error: {message}\n")
    assert not (tmp_path / "other").exists()


def test_export_leaves_other_folders_and_its_own_files_in_order(ibm: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("of somebody else")
    refused = invoke("export", ibm, "--format", "ibm", "--out", tmp_path)
    message = f"{tmp_path}: holds something else than an exported chip; choose another --out"
    assert refused == Outcome(4, "", f"error: {message}\n")
    assert (tmp_path / "model.json").read_text() == "of somebody else"
    # Spikes of another export do not stay beside a model that has none.
    out = tmp_path / "export"
    assert invoke("export", ibm, "--format", "ibm", "--out", out, "--input", IBM.with_suffix(".sfti")).code == 0
    assert (out / "input.sfti").exists()
    (out / "notes.txt").write_text("mine")
    again = invoke("export", ibm, "--format", "ibm", "--out", out)
    assert "files            2" in again.out and not (out / "input.sfti").exists() and (out / "notes.txt").exists()


def test_the_spikes_that_came_with_a_chip_can_be_named(ranc: Path, tmp_path: Path) -> None:
    named = spikes_of(ranc, 14, tmp_path, "--input", ranc / "input.npz")
    assert named == spikes_of(ranc, 14, tmp_path) and named


# ---------------------------------------------------------------------------------------------------------------------
# What cannot be imported.


def changed(path: Path, old: str, new: str) -> Callable[[Path], Path]:
    """Returns how to write a copy of a file with one change."""

    def write(folder: Path) -> Path:
        text = path.read_text()
        assert old in text
        copy = folder / "chip.json"
        copy.write_text(text.replace(old, new, 1))
        return copy

    return write


def holding(content: bytes) -> Callable[[Path], Path]:
    """Returns how to write a file."""

    def write(folder: Path) -> Path:
        path = folder / "chip.json"
        path.write_bytes(content)
        return path

    return write


UNKNOWN = "looks like no chip that is known; say of which kind it is with --format ibm|ranc"
BAD: dict[str, tuple[Callable[[Path], Path], tuple[Any, ...], int, str]] = {
    # name: (file, options, exit code, beginning of the message behind the file's name)
    "missing": (lambda folder: folder / "none.json", (), 4,
                "cannot be read: No such file or directory; check the path"),
    "a folder without memory files": (lambda folder: folder, ("--format", "ranc"), 4,
                                      "has no csram_NNN.mem; name a folder of RANC's memory files"),
    "a folder": (lambda folder: folder, (), 4,
                 "is a folder without RANC's memory files; name the JSON file of the chip"),
    "empty": (holding(b""), (), 4, "is empty; name the JSON file of the chip"),
    "cut off before what it is known by": (holding(RANC.read_bytes()[:40]), (), 4, "is not JSON (line "),
    "something else": (holding(b'{"hello": 1}'), (), 4, UNKNOWN),
    "both": (holding(b'{"neuronTypes": [], "output_bus": {}}'), (), 4,
             "looks like ibm and ranc chip that is known; say of which kind it is with --format ibm|ranc"),
    "binary": (holding(bytes(range(256))), ("--format", "ranc"), 4, ""),
    "truncated": (lambda folder: holding(IBM.read_bytes()[:-200])(folder), (), 4, ""),
    "ibm as ranc": (lambda folder: IBM, ("--format", "ranc"), 4, ""),
    "ranc as ibm": (lambda folder: RANC, ("--format", "ibm"), 4, ""),
    "a crossbar that is not there": (changed(IBM, '{"name":"coreProt0000002"}', '{"name":"missing"}'), (), 4, ""),
    "a packet out of the grid": (changed(RANC, '"destination_core": [1, 1]', '"destination_core": [9, 1]'), (), 4, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_chip_is_refused(name: str, tmp_path: Path) -> None:
    make, options, code, message = BAD[name]
    path = make(tmp_path)
    outcome = invoke("import", path, "--out", tmp_path / "out", *options)
    assert (outcome.code, outcome.out) == (code, ""), outcome
    assert outcome.err.startswith(f"error: {path}: {message}"), outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


OPTIONS: dict[tuple[Any, ...], str] = {
    ("--format", "nir"): "--format nir: no chips of that kind are read; use one of ibm, ranc",
    ("--config", RANC): "--config: a chip of kind ibm has none; leave it out",
    ("--potential-bits", 9): "--potential-bits: a chip of kind ibm has none; leave it out",
}


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options[0])
def test_wrong_options_of_import(options: tuple[Any, ...], tmp_path: Path) -> None:
    outcome = invoke("import", IBM, "--out", tmp_path / "out", *options)
    assert outcome == Outcome(2, "", f"error: {OPTIONS[options]}\n")
    assert not (tmp_path / "out").exists()
