"""Runs of spikes from the command line: what they write, how they stop and go on, and what they refuse."""

from __future__ import annotations

import csv
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from support.command_line import Outcome, checked, command_line, environment, files, invoke, process
from support.random_chips import random_chip

from tncompile.ir import ChipImage
from tncompile.ir.io import read_stage, write_stage
from tncompile.reference import chip as reference

TICKS = 200


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the image of a random chip, whose neurons draw random numbers, and spikes for it."""
    folder = tmp_path_factory.mktemp("chip")
    image = random_chip(13, stochastic=True)
    write_stage(folder / "image.safetensors", image)
    rng = np.random.default_rng(0)
    rows = sorted((int(t), int(c), int(a)) for t, c, a in rng.integers(0, (TICKS, 9, 16), (400, 3)))
    (folder / "in.csv").write_text("tick,core,axon\n" + "".join(f"{t},{c},{a}\n" for t, c, a in rows))
    return folder


def simulated(*arguments: Any) -> dict[str, Any]:
    """Runs spikes and returns the figures."""
    outcome = invoke("simulate", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return outcome.json


def rows(path: Path) -> list[tuple[int, ...]]:
    """Returns the rows of a table in a CSV, NPZ or Parquet file."""
    match path.suffix:
        case ".csv":
            with path.open(newline="") as file:
                return [tuple(map(int, row)) for row in list(csv.reader(file))[1:]]
        case ".npz":
            with np.load(path) as arrays:
                return list(zip(*(arrays[name].tolist() for name in arrays), strict=True))
        case _:
            table = pyarrow.parquet.read_table(path)
            return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def whole(chip: Path, folder: Path, *options: Any) -> list[tuple[int, ...]]:
    """Returns the output spikes of the whole run."""
    simulated(chip, "--input", chip / "in.csv", "--ticks", TICKS, "--output", folder / "whole.csv", *options)
    return rows(folder / "whole.csv")


# ---------------------------------------------------------------------------------------------------------------------
# What is written.


def test_engines_write_the_same_spikes_into_all_kinds_of_files(chip: Path, tmp_path: Path) -> None:
    expected = whole(chip, tmp_path, "--engine", "oracle", "--seed", 3)
    assert len(expected) > 100
    for engine, ending in (("event", "csv"), ("packed", "npz"), ("auto", "parquet")):
        output = tmp_path / f"{engine}.{ending}"
        figures = simulated(chip, "--input", chip / "in.csv", "--ticks", TICKS, "--engine", engine, "--output", output,
                            "--expect", tmp_path / "whole.csv", "--seed", 3)  # fmt: skip
        assert rows(output) == expected
        compared = figures["expected"]
        assert (compared["file"], compared["spikes"], compared["first"]) == (
            str(tmp_path / "whole.csv"),
            len(expected),
            None,
        )
        assert not any(compared[name] for name in ("missing", "surplus", "earlier", "beyond"))
        assert (figures["output_spikes"], figures["input_spikes"]) == (len(expected), 400)
        assert (figures["first_tick"], figures["ticks"], figures["streams"]) == (0, TICKS, 1)
        assert figures["ticks_per_s"] > 0 and figures["peak_memory_bytes"] > 1 << 20
        assert figures["engine"] == ("event" if engine == "auto" else engine)
        assert figures["reason"] == "as asked" or engine == "auto"
    assert whole(chip, tmp_path, "--seed", 4) != expected


def test_people_read_what_was_run_and_on_what(chip: Path, tmp_path: Path) -> None:
    outcome = process("simulate", chip, "--input", chip / "in.csv", "--output", tmp_path / "out.csv")
    assert outcome.code == 0, outcome.err
    last = rows(chip / "in.csv")[-1][0]
    for text in (
        f"Running ticks 0 … {last + 5} (5 behind the last input spike), 400 input spikes",
        "Engine event: it runs any chip",
        f"  simulate {last + 6}/{last + 6}",
    ):
        assert text in outcome.err
    for text in (f"ticks            {last + 6} (0 … {last + 5})", "input spikes     400", "output spikes    ",
                 f" in {tmp_path}/out.csv", "engine           event: it runs any chip", " ticks/s", " MB"):  # fmt: skip
        assert text in outcome.out.replace("\n", ""), text
    quiet = invoke("simulate", chip, "--input", chip / "in.csv", "--quiet", "--json")
    assert (quiet.code, quiet.err) == (0, "")
    assert quiet.json["ticks"] == last + 6


def test_no_jax_is_imported_where_it_is_not_needed(chip: Path) -> None:
    program = (
        "import sys\nfrom tncompile.cli import app\n"
        "try:\n    app(sys.argv[1:], prog_name='tncompile')\n"
        "finally:\n    print([m for m in ('jax', 'flax', 'networkx') if m in sys.modules], file=sys.stderr)\n"
    )
    arguments = ["simulate", str(chip), "--ticks", "5", "--engine", "event"]
    ended = subprocess.run(["python3", "-c", program, *arguments], capture_output=True, text=True, env=environment(
        PATH=f"{os.path.dirname(command_line()[0])}:{os.environ['PATH']}"))  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[-1] == "[]"


def test_spikes_on_standard_output_go_into_a_pipe(chip: Path, tmp_path: Path) -> None:
    expected = whole(chip, tmp_path)
    command = shlex.join(
        command_line("simulate", chip, "--input", chip / "in.csv", "--ticks", TICKS, "--output", "-", "--quiet")
    )
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment())
    head, *lines = run.stdout.splitlines()
    assert (run.returncode, head) == (0, "tick,pin")
    assert [tuple(map(int, line.split(","))) for line in lines] == expected
    assert "output spikes" in run.stderr
    piped = ["bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"]
    run = subprocess.run(piped, capture_output=True, text=True, env=environment())
    assert (run.stdout, run.returncode) == ("tick,pin\n", 0), run.stderr
    assert "Traceback" not in run.stderr


def test_streams_are_told_apart(chip: Path, tmp_path: Path) -> None:
    several = simulated(chip, "--input", chip / "in.csv", "--ticks", TICKS, "--streams", 3, "--seed", 5, "--output",
                        tmp_path / "three.csv")  # fmt: skip
    assert (several["streams"], several["ticks"]) == (3, TICKS)
    assert (tmp_path / "three.csv").read_text().startswith("tick,pin,stream\n")
    for stream in range(3):
        alone = whole(chip, tmp_path, "--seed", 5 + stream)
        assert [row[:2] for row in rows(tmp_path / "three.csv") if row[2] == stream] == alone
    # A file with streams of its own.
    text = (chip / "in.csv").read_text().splitlines()
    (tmp_path / "in.csv").write_text("\n".join([f"{text[0]},stream", *(f"{line},1" for line in text[1:])]))
    options = ("--input", tmp_path / "in.csv", "--ticks", TICKS, "--seed", 4)
    assert simulated(chip, *options, "--output", tmp_path / "two.npz")["streams"] == 2
    assert [row[:2] for row in rows(tmp_path / "two.npz") if row[2] == 1] == whole(chip, tmp_path, "--seed", 5)
    assert simulated(chip, *options, "--expect", tmp_path / "two.npz")["expected"]["missing"] == 0


@pytest.mark.parametrize("ending", ["csv", "npz", "parquet"])
def test_watched_cores_are_recorded(ending: str, chip: Path, tmp_path: Path) -> None:
    record = tmp_path / f"raster.{ending}"
    options = ("--input", chip / "in.csv", "--ticks", TICKS, "--watch", "7,0-1", "--record", record, "--seed", 2)
    assert simulated(chip, *options)["record"] == str(record)
    image = read_stage(chip / "image.safetensors", expect=ChipImage)
    spikes = rows(record)
    assert {core for _, core, _ in spikes} == {0, 1, 7}
    simulated(chip, *options, "--potentials", "--engine", "oracle")
    potentials = rows(record)
    used = {(c, n) for c, n in np.argwhere(image.neuron_type > 0).tolist() if c in (0, 1, 7)}
    assert [row[:3] for row in potentials if row[3]] == spikes
    assert len(potentials) == TICKS * len(used)
    assert {row[1:3] for row in potentials} == used
    assert len({row[4] for row in potentials}) > 10
    simulated(chip, *options[:4], "--record", record, "--streams", 2)
    assert {row[3] for row in rows(record)} == {0, 1}
    assert {row[1] for row in rows(record)} == set(range(9))  # without --watch, all of them


def test_what_is_expected_is_compared_over_the_ticks_of_the_run(chip: Path, tmp_path: Path) -> None:
    spikes = whole(chip, tmp_path)
    path = tmp_path / "expected.csv"

    def expect(changed: list[tuple[int, ...]], *options: Any) -> Outcome:
        path.write_text("tick,pin\n" + "".join(f"{t},{p}\n" for t, p in sorted(changed)))
        return invoke("simulate", chip, "--input", chip / "in.csv", "--expect", path, "--json", *options)

    assert expect([*spikes, (TICKS, 0)], "--ticks", TICKS).code == 0  # behind the run
    t, p = spikes[50]
    missing = expect(spikes[:50] + spikes[51:], "--ticks", TICKS)
    message = (
        f"{path}: 1 output spike differs (0 missing, 1 too many, of {len(spikes) - 1} expected); the first: tick {t}, "
        f"pin {p} came and is not expected"
    )
    assert (missing.code, missing.err.splitlines()[-1]) == (5, f"error: {message}")
    assert missing.json["expected"]["first"] == {"tick": t, "stream": 0, "pin": p, "expected": False}
    free = next((t, p) for t in range(TICKS) for p in range(3) if (t, p) not in spikes)
    more = expect([*spikes[:50], *spikes[51:], free], "--ticks", TICKS)
    where = f"tick {free[0]}, pin {free[1]} is expected and did not come"
    first = where if free < (t, p) else f"tick {t}, pin {p} came and is not expected"
    assert more.code == 5
    assert f"2 output spikes differ (1 missing, 1 too many, of {len(spikes)} expected); the first: {first}" in more.err
    # Without --ticks, the run ends with what is expected.
    until = [row for row in spikes if row[0] <= 77]
    assert expect(until).json["ticks"] == until[-1][0] + 1


def test_a_compiled_chip_takes_input_bits(finished: tuple[Path, Outcome], tmp_path: Path) -> None:
    folder = finished[0]
    before = files(folder)
    image = read_stage(folder / "chip.safetensors", expect=ChipImage)
    frames = np.random.default_rng(0).random((6, image.input_bits)) < 0.3
    expected = np.argwhere(reference.run(image, frames, 6 + image.latency)).tolist()
    np.savez(tmp_path / "in.npz", frames=frames)
    tick, bit = np.nonzero(frames)
    np.savez(tmp_path / "list.npz", tick=tick, bit=bit)
    for source in ("in.npz", "list.npz"):
        for path in (folder, folder / "chip.safetensors"):
            figures = simulated(path, "--input", tmp_path / source, "--output", tmp_path / "out.npz")
            assert figures["ticks"] == 6 + image.latency
            assert [list(row) for row in rows(tmp_path / "out.npz")] == expected
            assert figures["engine"] == "event"
    assert files(folder) == before


# ---------------------------------------------------------------------------------------------------------------------
# Cut, stopped and killed.


def test_a_run_in_parts_is_the_whole_run(chip: Path, tmp_path: Path) -> None:
    expected = whole(chip, tmp_path, "--seed", 9)
    state, got = tmp_path / "state", []
    lines = (chip / "in.csv").read_text().splitlines()
    parts = ((0, 60, "event"), (60, 61, "oracle"), (61, 150, "packed"), (150, TICKS, "event"))
    for start, stop, engine in parts:
        # Each part has a file of its own.
        here = [line for line in lines[1:] if start <= int(line.split(",")[0]) < stop]
        (tmp_path / "in.csv").write_text("\n".join([lines[0], *here]) + "\n")
        resume = ("--state", state) if start else ("--seed", 9)
        figures = simulated(chip, "--input", tmp_path / "in.csv", "--ticks", stop - start, "--engine", engine,
                            "--output", tmp_path / "out.csv", "--save-state", state, *resume)  # fmt: skip
        assert (figures["first_tick"], figures["ticks"], figures["state"]) == (start, stop - start, str(state))
        got += rows(tmp_path / "out.csv")
    assert got == expected
    # A part may also take the whole file: what was sent before is left out, and said.
    simulated(chip, "--input", chip / "in.csv", "--ticks", 60, "--save-state", state, "--seed", 9)
    outcome = invoke("simulate", chip, "--input", chip / "in.csv", "--ticks", TICKS - 60, "--state", state, "--expect",
                     tmp_path / "whole.csv")  # fmt: skip
    assert outcome.code == 0, outcome.err
    earlier = sum(int(line.split(",")[0]) < 60 for line in lines[1:])
    assert f"input spikes     {400 - earlier} ({earlier} earlier ones left out)" in outcome.out


LONG = 4_000_000
"""Ticks that take a while on any machine."""


def started(*arguments: Any) -> subprocess.Popen[str]:
    """Starts a long run and returns once it has shown progress."""
    command = command_line(*arguments)
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("  simulate "):
            return run
    raise AssertionError(f"the run ended by itself: {run.wait()}")


def ended(run: subprocess.Popen[str]) -> Outcome:
    """Returns how a run ended."""
    out, err = run.communicate(timeout=60)
    return checked(Outcome(run.returncode, out, err))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_goes_on_as_it_says(sent: signal.Signals, chip: Path, tmp_path: Path) -> None:
    state, output, raster = tmp_path / "state", tmp_path / "out.csv", tmp_path / "raster.npz"
    run = started("simulate", chip, "--input", chip / "in.csv", "--ticks", LONG, "--output", output, "--save-state",
                  state, "--record", raster, "--watch", "0,3", "--seed", 1)  # fmt: skip
    run.send_signal(sent)
    outcome = ended(run)
    assert (outcome.code, outcome.out) == (130, "")
    message, advice = outcome.err.splitlines()[-1].split("; go on with: ")
    assert {path.name for path in tmp_path.iterdir()} == {"state", "out.csv", "raster.npz"}
    end = int(message.removeprefix("interrupted: the state at tick ").split()[0])
    assert message == f"interrupted: the state at tick {end} is kept in {state}, the spikes before in {output}"
    program, *arguments = shlex.split(advice)
    assert program == "tncompile"
    assert arguments[arguments.index("--ticks") + 1] == str(LONG - end)
    arguments[arguments.index("--ticks") + 1] = "300"  # the rest would take too long
    went_on = invoke(*arguments)
    assert went_on.code == 0, went_on.err
    simulated(chip, "--input", chip / "in.csv", "--ticks", end + 300, "--output", tmp_path / "whole.csv", "--record",
              tmp_path / "whole.npz", "--watch", "0,3", "--seed", 1)  # fmt: skip
    assert rows(output) + rows(tmp_path / f"out-{end}.csv") == rows(tmp_path / "whole.csv")
    assert rows(raster) + rows(tmp_path / f"raster-{end}.npz") == rows(tmp_path / "whole.npz")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_without_a_state_leaves_nothing(sent: signal.Signals, chip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    output.write_text("from before")
    run = started("simulate", chip, "--ticks", LONG, "--output", output, "--record", tmp_path / "raster.csv")
    run.send_signal(sent)
    outcome = ended(run)
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err.splitlines()[-1] == (
        "interrupted: nothing is kept; with --save-state FILE, an interrupted run is kept up to there and can go on"
    )
    assert files(tmp_path) == {"out.csv": b"from before"}


def test_a_killed_run_leaves_nothing_half_written(chip: Path, tmp_path: Path) -> None:
    state, output = tmp_path / "state", tmp_path / "out.npz"
    simulated(chip, "--input", chip / "in.csv", "--ticks", 50, "--save-state", state, "--output", output)
    before = files(tmp_path)
    run = started("simulate", chip, "--input", chip / "in.csv", "--ticks", LONG, "--state", state, "--output", output,
                  "--save-state", state)  # fmt: skip
    time.sleep(0.3)
    run.kill()
    assert ended(run).code == -signal.SIGKILL
    # Under their names the files are as they were; what was being written has a name of its own.
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith(".") and name.endswith(".tmp") for name in after.keys() - before.keys())
    figures = simulated(chip, "--input", chip / "in.csv", "--ticks", TICKS - 50, "--state", state, "--output", output)
    assert rows(output) == [row for row in whole(chip, tmp_path) if row[0] >= 50]
    assert figures["first_tick"] == 50


def test_a_full_disk_is_said_and_nothing_is_half_written(chip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    outcome = process("simulate", chip, "--input", chip / "in.csv", "--ticks", 20000, "--output", output, "--quiet",
                      prefix=["bash", "-c", 'ulimit -f 8 && exec "$@"', "-"])  # fmt: skip
    message = f"{output}: cannot be written: File too large; make room or choose another folder"
    assert outcome == Outcome(4, "", f"error: {message}\n")
    assert files(tmp_path) == {}


# ---------------------------------------------------------------------------------------------------------------------
# What is refused.

KINDS = "use one of .sfto, .sfro, .sfcp, .txt, .csv, .npz, .parquet"
OPTIONS: dict[str, tuple[tuple[Any, ...], int, str]] = {
    # name: (options behind `tncompile simulate DIR`, exit code, message)
    "no input": ((), 2, "--ticks: there is no input (--input FILE); say how many ticks to run"),
    "frames": (("--frames", 3), 2,
               "--frames: is for test images in a run folder, not for a run of spikes; leave it out"),
    "random images": (("--random-images", "--ticks", 3), 2,
                      "--random-images: is for test images in a run folder, not for a run of spikes; leave it out"),
    "set": (("--set", "a=1", "--ticks", 3), 2,
            "--set: is for test images in a run folder, not for a run of spikes; leave it out"),
    "unknown engine": (("--engine", "magic", "--ticks", 3), 2,
                       "--engine: no engine is called 'magic'; choose one of auto, packed, event, layered, sliced, "
                       "oracle"),
    "ending": (("--ticks", 3, "--output", "{tmp}/out.xyz"), 2,
               f"{{tmp}}/out.xyz: no output spikes are written as '.xyz'; {KINDS}"),
    "record ending": (("--ticks", 3, "--record", "{tmp}/out.txt"), 2,
                      "{tmp}/out.txt: ends in '.txt', so its kind is not known; use one of .csv, .npz, .parquet"),
    "watch alone": (("--ticks", 3, "--watch", "1"), 2, "--watch: there is no --record FILE to write to"),
    "potentials alone": (("--ticks", 3, "--potentials"), 2, "--potentials: there is no --record FILE to write to"),
    "watch": (("--ticks", 3, "--watch", "1,x", "--record", "{tmp}/r.csv"), 2,
              "--watch 1,x: must be cores and ranges of cores, for example 0,5,7-9"),
    "watch backwards": (("--ticks", 3, "--watch", "5-3", "--record", "{tmp}/r.csv"), 2,
                        "--watch 5-3: must be cores and ranges of cores, for example 0,5,7-9"),
    "watched core": (("--ticks", 3, "--watch", "9", "--record", "{tmp}/r.csv"), 5,
                     "watch: core 9, the image has the cores 0 … 8"),
    "same file": (("--ticks", 3, "--output", "{tmp}/r.csv", "--record", "{tmp}/r.csv"), 2,
                  "--record {tmp}/r.csv: is the same file as --output; name another one"),
    "output over input": (("--input", "{chip}/in.csv", "--ticks", 3, "--output", "{chip}/in.csv"), 2,
                          "--output {chip}/in.csv: is the same file as --input; name another one"),
    "state over the chip": (("--ticks", 3, "--save-state", "{chip}/image.safetensors"), 2,
                            "--save-state {chip}/image.safetensors: is the same file as the chip; name another one"),
    "state without a name": (("--ticks", 3, "--save-state", ""), 2, "--save-state: needs the name of a file"),
    "too many ticks": (("--ticks", 10**20), 2, f"--ticks: must be below {1 << 53}, got {10**20}"),
    "output below a file": (("--ticks", 3, "--output", "{chip}/in.csv/out.sfto"), 4,
                            "{chip}/in.csv/out.sfto: cannot be written: {chip}/in.csv is no folder; make room or"),
    "state for a folder": (("--ticks", 3, "--save-state", "{tmp}"), 4, "--save-state {tmp}: is a folder; name a file"),
    "record on standard output": (("--ticks", 3, "--record", "-"), 2,
                                  "--record: only --output can go to standard output; name a file"),
    "json and spikes": (("--ticks", 3, "--output", "-", "--json"), 2,
                        "--output -: standard output takes the spikes or --json, not both; name a file"),
    "seed": (("--ticks", 3, "--seed", 1 << 32), 2, "--seed: must be below 4294967296, got 4294967296"),
    "seed and state": (("--ticks", 3, "--seed", 1, "--state", "{tmp}/s"), 2,
                       "--seed: the state of --state has its own seeds; leave it out"),
    "no state": (("--ticks", 3, "--state", "{tmp}/s"), 4,
                 "{tmp}/s: the chip-state cannot be read: No such file or directory"),
    "split": (("--ticks", 3, "--split", "rows"), 2, "--split rows: must be streams or cores"),
    "devices": (("--ticks", 3, "--devices", 2, "--engine", "event"), 2,
                "engine: event runs on one device, 2 asked for; use packed, or one device"),
    "streams of sfto": (("--ticks", 3, "--streams", 2, "--output", "{tmp}/o.sfto"), 2,
                        "{tmp}/o.sfto: '.sfto' holds one stream, the run has 2; use .csv or .npz"),
    "layers": (("--ticks", 3, "--engine", "sliced"), 3, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_wrong_options(name: str, chip: Path, tmp_path: Path) -> None:
    def filled(text: object) -> str:
        return str(text).replace("{tmp}", str(tmp_path)).replace("{chip}", str(chip))

    options, code, message = OPTIONS[name]
    before = files(chip)
    given = [filled(part) for part in options]
    outcome = invoke("simulate", chip, *given, *([] if "--json" in given else ["--quiet"]))
    assert (outcome.code, outcome.out) == (code, ""), outcome
    assert outcome.err.startswith(f"error: {filled(message)}"), outcome.err
    assert outcome.err.count("\n") == 1
    assert files(tmp_path) == {}
    assert files(chip) == before


INPUTS: dict[str, tuple[str, bytes, int, str]] = {
    # name: (file, content, exit code, beginning of the message behind the file's name)
    "empty": ("in.csv", b"", 4, ": is empty; its first line must name the columns"),
    "columns": ("in.csv", b"time,core,axon\n0,0,0\n", 4, ": has the columns time,core,axon; it must have tick,core,"),
    "no numbers": ("in.csv", b"tick,core,axon\n0,0,0\n1,a,0\n", 4, ":3: core is 'a', must be a whole number"),
    "truncated": ("in.csv", b"tick,core,axon\n0,0,0\n1,2", 4, ":3: has 2 columns, the first line names 3"),
    "order": ("in.csv", b"tick,core,axon\n5,0,0\n4,0,0\n", 4, ":3: tick 4 comes behind tick 5; sort the spikes by "),
    "negative": ("in.csv", b"tick,core,axon\n-1,0,0\n", 4, ":2: tick -1 is negative; the first tick is 0"),
    "core": ("in.csv", b"tick,core,axon\n0,0,0\n0,9,0\n", 5, ":3: core is 9, must be 0 … 8"),
    "axon": ("in.csv", b"tick,core,axon\n0,0,16\n", 5, ":2: axon is 16, must be 0 … 15"),
    "delay": ("in.csv", b"tick,core,axon,delay\n0,0,0,6\n", 5, ":2: delay is 6, must be 1 … 5"),
    "npz": ("in.npz", b"PK\x03\x04", 4, ": is no whole NPZ file"),
    "parquet": ("in.parquet", b"PAR1", 4, ": cannot be read as Parquet"),
    "kind": ("in.dat", b"\x00\x01", 4, ": is no spike file that is known; there are IBM .sfto and .sfro, "),
    "output": ("in.txt", b"0 1 \n", 4, ": holds output spikes (RANC output (.txt)); name a file of input spikes"),
    "sfti": ("in.sfti", b'{"class":"SpikeWriter","encoding":"TEXT"}\n{"version":"sfti1.0"}\n{"spike":{"srcT', 4, ""),
    "ranc": ("in.json", b'{"packets": [[{"destination_core": [9, 9]}]]}', 4, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_wrong_input(name: str, chip: Path, tmp_path: Path) -> None:
    file, content, code, message = INPUTS[name]
    path = tmp_path / file
    path.write_bytes(content)
    outcome = invoke("simulate", chip, "--input", path, "--output", tmp_path / "out.csv", "--quiet")
    assert (outcome.code, outcome.out) == (code, ""), outcome
    assert outcome.err.startswith(f"error: {path}{message}"), outcome.err
    assert outcome.err.count("\n") == 1
    assert files(tmp_path) == {file: content}


def test_a_missing_input_is_said(chip: Path, tmp_path: Path) -> None:
    for option in ("--input", "--expect"):
        for name in ("none.csv", "none.sfti"):
            outcome = invoke("simulate", chip, "--ticks", 3, option, tmp_path / name)
            message = f"{tmp_path / name}: cannot be read: No such file or directory; check the path"
            assert outcome == Outcome(4, "", f"error: {message}\n")


def test_a_state_belongs_to_its_image(chip: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    simulated(chip, "--ticks", 5, "--save-state", state)
    write_stage(tmp_path / "other.safetensors", random_chip(1))
    outcome = invoke("simulate", tmp_path / "other.safetensors", "--ticks", 3, "--state", state)
    assert outcome.code == 4
    assert outcome.err.startswith(f"error: {state}: is the state of another chip image, ")
    content = bytearray(state.read_bytes())
    content[-1] ^= 1
    state.write_bytes(content)
    outcome = invoke("simulate", chip, "--ticks", 3, "--state", state)
    message = f"{state}: its content does not have the SHA-256 in its header; the file was altered"
    assert outcome == Outcome(4, "", f"error: {message}\n")
    ended_before = simulated(chip, "--input", chip / "in.csv", "--ticks", 500, "--save-state", state)
    assert ended_before["ticks"] == 500
    outcome = invoke("simulate", chip, "--input", chip / "in.csv", "--state", state)
    last = rows(chip / "in.csv")[-1][0]
    message = f"--ticks: the input ends in tick {last}, the state is of tick 500; say how many ticks to run"
    assert outcome == Outcome(2, "", f"error: {message}\n")


def test_what_holds_no_chip_is_refused(tmp_path: Path) -> None:
    advice = "name the folder of an earlier 'tncompile compile' or 'tncompile import'"
    outcome = invoke("simulate", tmp_path, "--ticks", 3)
    message = f"{tmp_path}: has no chip image, neither chip.safetensors nor image.safetensors; {advice}"
    assert outcome == Outcome(4, "", f"error: {message}\n")
    outcome = invoke("simulate", tmp_path / "none", "--ticks", 3)
    message = f"{tmp_path}/none: cannot be read: No such file or directory; check the path"
    assert outcome == Outcome(4, "", f"error: {message}\n")
    (tmp_path / "image.safetensors").write_text("nothing")
    outcome = invoke("simulate", tmp_path, "--ticks", 3)
    assert outcome.err.startswith(f"error: {tmp_path}/image.safetensors: is not a stage file or chip image")
