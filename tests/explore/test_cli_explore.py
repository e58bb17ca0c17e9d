"""`tncompile explore` as users run it: what it leaves, what it takes over, interrupts, and what it refuses."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Outcome, command_line, environment, files, invoke, process

from tncompile.nn.store import read_model

FITS_NOT = "the net needs 24 cores, the board has 16 working ones (1 x 1 chips of 4 x 4, 0 faulty)"


def test_a_sweep_answers_for_every_point(swept: tuple[Path, Outcome]) -> None:
    folder, outcome = swept
    told = outcome.json
    assert told == json.loads((folder / "explore.json").read_text())
    points = told["points"]
    assert [tuple(point["point"].values()) for point in points] == [
        (128, [4, 4]), (128, [64, 64]), (256, [4, 4]), (256, [64, 64]),
    ]  # fmt: skip
    assert points[0]["status"] == "infeasible" and points[0]["message"].startswith(FITS_NOT)
    assert points[0]["cores"] is None and not points[0]["front"]
    for point in points[1:]:
        assert (point["status"], point["message"]) == ("done", None)
        results = json.loads((folder / point["folder"] / "results.json").read_text())
        assert point["accuracy"] == results["simulate"]["accuracy"]
        assert point["cores"] == results["compile"]["cores"]
        assert point["digest"] == results["compile"]["digest"]
        for bound in ("value", "low", "high"):
            column = "power_mW" + ("" if bound == "value" else f"_{bound}")
            assert point[column] == results["simulate"]["chip"]["power_mW"][bound]
    assert points[1]["cores"] > points[2]["cores"] == points[3]["cores"]
    lines = list(csv.DictReader((folder / "explore.csv").open()))
    assert [line["cores"] for line in lines] == ["", *(str(point["cores"]) for point in points[1:])]
    for kind, magic in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        assert (folder / f"explore.{kind}").read_bytes().startswith(magic)


def test_points_that_differ_in_the_chip_share_one_training(swept: tuple[Path, Outcome]) -> None:
    folder, outcome = swept
    (trained,) = (folder / "models").iterdir()
    logs = [(folder / point["folder"] / "log.txt").read_text() for point in outcome.json["points"]]
    assert sum("Training tiny" in log for log in logs) == 1
    for point in outcome.json["points"][1:]:
        own = folder / point["folder"]
        assert (own / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
        assert point["held_out_accuracy"] == json.loads((trained / "results.json").read_text())["train"]["accuracy"]


def test_a_sweep_is_not_written_into_a_run_folder(swept: tuple[Path, Outcome], experiment: Path) -> None:
    folder, outcome = swept
    own = folder / outcome.json["points"][3]["folder"]
    refused = invoke("explore", experiment, "--grid", "seed=0,1", "--out", own)
    assert (refused.code, refused.out) == (4, "")
    assert refused.err.endswith(": is a run folder; name another one for the sweep\n")


def test_a_point_is_a_run_folder_like_any_other(swept: tuple[Path, Outcome], experiment: Path, tmp_path: Path) -> None:
    folder, outcome = swept
    point = outcome.json["points"][3]
    own = folder / point["folder"]
    assert invoke("inspect", own, "--json").json["cores"] == point["cores"]
    overrides = ("--set", "train.epochs=1", "--set", "arch.grid=[64, 64]", "--set", "arch.neurons=256")
    alone = invoke("run", experiment, *overrides, "--out", tmp_path / "run", "--json", "--quiet").json
    assert alone["experiment"] == json.loads((own / "results.json").read_text())["experiment"]
    assert alone["compile"]["digest"] == point["digest"]
    (_, one), (_, other) = (read_model(path / "model.safetensors") for path in (own, tmp_path / "run"))
    assert {name: array.tobytes() for name, array in one.items()} == {k: v.tobytes() for k, v in other.items()}
    assert alone["simulate"]["accuracy"] == point["accuracy"]


def test_finished_points_are_taken_as_they_are(swept: tuple[Path, Outcome], arguments: tuple) -> None:
    folder, outcome = swept
    kept = [point["folder"] for point in outcome.json["points"][1:]]
    before = {name: files(folder / name) for name in kept}
    changed = folder / kept[1] / "chip.safetensors"
    again = invoke(*arguments, "--json")
    assert "Exploring tiny: 4 points, 3 of them done already; 1 training; 1 at a time\n" in again.err
    assert again.json == outcome.json
    assert {name: files(folder / name) for name in kept} == before
    changed.unlink()  # what is not whole is made anew
    assert "2 of them done already" in invoke(*arguments).err
    assert changed.read_bytes() == before[kept[1]]["chip.safetensors"]


def test_a_point_that_fails_is_a_row_and_the_code(experiment: Path, tmp_path: Path) -> None:
    grid = ("--grid", "train.batch=64,500", "--set", "train.epochs=1", "--steps", "train")
    outcome = invoke("explore", experiment, *grid, "--out", tmp_path / "out", "--json", "--quiet")
    assert outcome.code == 2
    why = "train.batch: 500 is more than the 192 training images; use a smaller one"
    assert outcome.err.endswith(f"error: 1 of 2 points failed; train.batch 500: {why}\n")
    done, failed = outcome.json["points"]
    assert (done["status"], failed["status"], failed["message"]) == ("done", "failed", why)
    assert done["held_out_accuracy"] is not None and done["accuracy"] is None
    assert outcome.json["objectives"] == ["held_out_accuracy"]


def test_jobs_of_submitit_and_a_given_model(swept: tuple[Path, Outcome], experiment: Path, tmp_path: Path) -> None:
    (trained,) = (swept[0] / "models").iterdir()
    (tmp_path / "points.csv").write_text("compile.place.moves\n0\n")
    given = ("--points", tmp_path / "points.csv", "--model", trained / "model.safetensors", "--set", "train.epochs=1")
    jobs = ("--cluster", "local", "--cluster-options", "timeout_min=5", "--objectives", "accuracy")
    outcome = process("explore", experiment, *given, *jobs, "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    (point,) = outcome.json["points"]
    assert (point["status"], point["front"]) == ("done", True)
    assert point["accuracy"] == swept[1].json["points"][3]["accuracy"]
    assert list((tmp_path / "out" / "jobs").glob("*_result.pkl"))
    assert "No picture: it takes two objectives" in outcome.err


def test_random_weights_need_no_training(experiment: Path, tmp_path: Path) -> None:
    grid = ("--untrained", "--grid", "arch.grid=[32,32]")
    outcome = invoke("explore", experiment, *grid, "--out", tmp_path / "out", "--json", "--quiet")
    assert outcome.code == 0, outcome.err
    (point,) = outcome.json["points"]
    assert (point["status"], point["accuracy"], point["cores"]) == ("done", None, 16)
    assert not (tmp_path / "out" / "models").exists()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Returns the processes that another one has started."""
    text = "".join(path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/children"))
    return [int(number) for number in text.split()]


def alive(number: int) -> bool:
    """Says whether a process is there and not only waited for."""
    try:
        return "State:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except OSError:
        return False


def stopped_by(number: int, command: list[str], when: Callable[[], bool]) -> tuple[int, str]:
    """Runs a command, sends it a signal once something is so, and returns how it ended, with its workers."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()) as run:
        while not when():
            assert run.poll() is None, "it was not through"
            time.sleep(0.01)
        workers = workers_of(run)
        assert workers
        run.send_signal(number)
        _, err = run.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, "a worker outlived the command"
        time.sleep(0.01)
    return run.returncode, err


def test_an_interrupt_and_a_kill_lose_nothing_that_was_done(experiment: Path, tmp_path: Path) -> None:
    """The first is interrupted in its second training, the second killed there, and the third comes to the end."""
    out = tmp_path / "out"
    grid: tuple[Any, ...] = ("--grid", "seed=3,4", "--steps", "train", "--set", "train.epochs=25", "--workers", 1)
    command = command_line("explore", experiment, *grid, "--out", out)

    def epochs() -> list[int]:
        return sorted(len(path.read_text().splitlines()) for path in out.glob("models/*/train/metrics.jsonl"))

    code, err = stopped_by(signal.SIGINT, command, lambda: len(epochs()) == 2 and epochs()[0] >= 3)
    assert code == 130
    assert err.splitlines()[-1] == (
        "interrupted: 1 of 2 points are done and kept, and so are checkpoints of trainings; the same command goes on "
        "with the rest"
    )
    (finished,) = out.glob("points/*/results.json")
    first = finished.stat().st_mtime_ns
    before = epochs()[0]
    assert stopped_by(signal.SIGKILL, command, lambda: epochs()[0] > before)[0] == -signal.SIGKILL
    outcome = invoke("explore", experiment, *grid, "--out", out, "--json")
    assert outcome.code == 0, outcome.err
    assert "2 points, 1 of them done already" in outcome.err
    assert finished.stat().st_mtime_ns == first
    other = next(out / point["folder"] for point in outcome.json["points"] if point["point"]["seed"] == 4)
    assert (other / "log.txt").read_text().count("Going on behind epoch") == 2
    assert (other / "train/metrics.jsonl").read_text().count("\n") == 25


REFUSED = {
    # arguments behind `tncompile explore tiny.yaml`: exit code, message
    (): (2, "--grid KEY=V1,V2,… or --points FILE says what varies: neither is given; give one of the two"),
    ("--grid", "seed=1", "--points", "a.csv"): (
        2, "--grid KEY=V1,V2,… or --points FILE says what varies: both are given; give one of the two"),
    ("--grid", "seed"): (2, "--grid seed: must be KEY=V1,V2,… or KEY.KEY=V1,V2,…, for example arch.axons=128,256"),
    ("--grid", "seed="): (2, "--grid seed=: has no value; write one or more, with commas between"),
    ("--grid", "arch.axons=1,,2"): (
        2, "--grid arch.axons=1,,2: is not valid YAML: while parsing a flow node, expected the node content, but found "
        "','"),
    ("--grid", "arch.axon=128"): (
        2, "--grid arch.axon=128: arch.axon: unknown key; did you mean axons? (point arch.axon 128)"),
    ("--grid", "arch.axons=128,many"): (
        2, '--grid arch.axons="many": arch.axons: is "many" (a string), expected a valid integer (point arch.axons '
        "many)"),
    ("--grid", "seed=0,1", "--grid", "arch.neurons=8,12"): (
        2, "--grid arch.neurons=12: arch: neurons: must be a multiple of 8 (crossbar rows are packed in bytes), got 12 "
        "(point seed 0, arch.neurons 12)"),
    ("--grid", "seed.x=0"): (
        2, '--grid seed.x=0: seed: is {"x": 0} (a mapping), expected a valid integer (point seed.x 0)'),
    ("--grid", "arch.axons=256,0x100"): (
        2, "--grid: point arch.axons 256 is the same experiment as arch.axons 256; name each value once"),
    ("--grid", "seed=1", "--grid", "seed=2"): (2, "--grid seed: is set by seed already; name each key once"),
    ("--grid", "arch.axons=128", "--grid", "arch={}"): (
        2, "--grid arch: is set by arch.axons already; name each key once"),
    ("--grid", "arch.axons=128", "--set", "arch.axons=256"): (
        2, "--set arch.axons: arch.axons is varied by --grid; leave one of the two out"),
    ("--grid", "seed=1", "--seed", 2): (2, "--seed: seed is varied by --grid; leave one of the two out"),
    ("--grid", "compile.plaice.moves=1"): (
        2, "compile.plaice: there is no such pass; the passes are trinarize, pack, partition, place, route, emit "
        "(point compile.plaice.moves 1)"),
    ("--grid", "seed=1", "--set", "data.layout=tape"): (
        2, "data.layout: digits has no 'tape'; it has csv (point seed 1)"),
    ("--points", "missing.csv"): (
        2, "--points missing.csv: cannot be read: No such file or directory; check the path"),
    ("--points", "missing.yaml"): (2, "missing.yaml: cannot be read: No such file or directory; check the path"),
    ("--grid", "seed=1", "--steps", "compile"): (
        2, "--steps compile: must be the first of train, compile, simulate, each once"),
    ("--grid", "seed=1", "--steps", "train,fly"): (
        2, "--steps train,fly: there is no step 'fly'; choose from train, compile, simulate"),
    ("--grid", "seed=1", "--steps", "train", "--untrained"): (
        2, "--steps train: with --untrained nothing is trained; leave train out"),
    ("--grid", "seed=1", "--untrained", "--model", "m"): (
        2, "--model: says which model to compile, and so does --untrained; leave one of them out"),
    ("--grid", "seed=1", "--model", "missing"): (
        4, "missing: cannot be read: No such file or directory; check the path"),
    ("--grid", "seed=1", "--cluster-options", "a=1"): (
        2, "--cluster-options a=1: there is no --cluster NAME; give one, or leave it out"),
    ("--grid", "seed=1", "--cluster", "moon"): (
        2, "--cluster moon: AutoExecutor doesn't know any executor named moon; submit from a machine of that cluster"),
    ("--grid", "seed=1", "--cluster", "local", "--cluster-options", "timeout_min"): (
        2, "--cluster-options timeout_min: must be KEY=VALUE, for example timeout_min=60"),
    ("--grid", "seed=1", "--cluster", "local", "--cluster-options", "timeout_min=long"): (
        2, "--cluster-options: Parameter \"timeout_min\" expected type <class 'int'> (but value: \"long\")"),
    ("--grid", "seed=1", "--out", "/proc/sweep"): (
        4, "/proc/sweep: cannot be made: No such file or directory; choose another --out"),
}  # fmt: skip


@pytest.mark.parametrize("given", REFUSED, ids=lambda given: " ".join(map(str, given)) or "nothing")
def test_what_cannot_be_done_is_refused_before_any_work(
    given: tuple, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, message = REFUSED[given]
    outcome = invoke("explore", experiment, *given)
    assert outcome == Outcome(code, "", f"error: {message}\n")
    assert not list(tmp_path.rglob("points")) and not list(tmp_path.rglob("explore.*"))


def test_two_sweeps_do_not_write_to_one_folder(swept: tuple[Path, Outcome], arguments: tuple) -> None:
    import fcntl

    with (swept[0] / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = invoke(*arguments)
    assert outcome.code == 4
    assert outcome.err == (
        f"error: {swept[0]}: another 'tncompile explore' is at work there; wait, or choose another --out\n"
    )
