"""Experiments and options that are wrong: one message that says where and what to change, its exit code, no files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Outcome, files, invoke, process

PASSES = "trinarize, pack, partition, place, route, emit"
ENGINES = "auto, packed, event, layered, sliced, oracle"

EXPERIMENTS = {
    # name: (old text, new text, exit code, message; {file} is the experiment's path)
    "unknown key": ("epochs: 2", "epoch: 2", 2, "{file}:9: train.epoch: unknown key; did you mean epochs?"),
    "duplicate key": ("epochs: 2", "epochs: 2\n  epochs: 3", 2,
                      "{file}:10: key 'train.epochs' stands twice; remove one"),
    "wrong type": ("epochs: 2", "epochs: two", 2,
                   '{file}:9: train.epochs: is "two" (a string), expected a valid integer'),
    "several at once": ("data:\n", "dota:\n", 2,
                        "{file}:1: data: is missing; this key is required\n"
                        "{file}:2: dota: unknown key; did you mean data?"),
    "not YAML": ("[S-4, S-16(2), P-20]", "[", 2,
                 "{file}:9: is not valid YAML: while parsing a flow sequence, expected ',' or ']', but got ':'"),
    "unknown pass": ("  place:", "  plaice:", 2,
                     f"compile.plaice: there is no such pass; the passes are {PASSES}"),
    "unknown option of a pass": ("moves: 10", "movs: 10", 2, "compile.place.movs: unknown key; did you mean moves?"),
    "unknown engine": ("compile:\n", "simulate:\n  engine: magic\ncompile:\n", 2,
                       f"simulate.engine: no engine is called 'magic'; choose one of {ENGINES}"),
    "a filter of 144 inputs": ("P-20", "S-20", 3,
                               "layer conv1: a filter needs 144 inputs, a core takes 128 (256 axons, 2 an input); "
                               "groups that fit: 2, 4"),
    "a filter of 129 inputs": ("S-4, S-16(2), P-20", "S-43, {kernel: [1, 3], features: 20}", 3,
                               "layer conv0: a filter needs 129 inputs, a core takes 128 (256 axons, 2 an input); "
                               "no common divisor of 43 channels and 20 features fits; use a smaller kernel, or "
                               "channels and features that can be divided into groups of at most 42 channels"),
    "a net too big for the chip": ("moves: 10", "moves: 10\narch:\n  grid: [2, 2]", 3,
                                  "the net needs 16 cores, the board has 4 working ones (1 x 1 chips of 2 x 2, 0 "
                                  "faulty); most are taken by conv0 (8 + 0 splitters), conv1 (8 + 0 splitters); use a "
                                  "larger arch.board or arch.grid, or fewer features"),
    "no chip": ("moves: 10", "moves: 10\narch:\n  neurons: 12", 2,
                "{file}:13: arch: neurons: must be a multiple of 8 (crossbar rows are packed in bytes), got 12"),
    "fewer images than a batch": ("train_limit: 192", "train_limit: 3", 2,
                                  "train.batch: 64 is more than the 3 training images; use a smaller one"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_wrong_experiment_is_refused_before_any_work(name: str, write: Callable[..., Path], tmp_path: Path) -> None:
    old, new, code, message = EXPERIMENTS[name]
    path, out = write(old, new), tmp_path / "run"
    outcome = invoke("run", path, "--out", out)
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    assert outcome.err.endswith(f"error: {message.replace('{file}', str(path))}\n"), outcome.err
    assert not out.exists()


def test_a_net_too_big_for_the_chip_names_layers_and_remedies(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write("moves: 10", "moves: 10\narch:\n  grid: [2, 2]")
    outcome = invoke("compile", path, "--out", tmp_path / "run", "--untrained", "--quiet")
    assert outcome.code == 3
    for text in ("needs 16 cores", "has 4 working ones", "conv0", "conv1", "arch.grid"):
        assert text in outcome.err
    assert {name for name in files(tmp_path / "run") if name.endswith("safetensors")} == {
        "untrained.safetensors",
        "stages/0-export.safetensors",
        "stages/1-trinarize.safetensors",
        "stages/2-pack.safetensors",
    }


OPTIONS = {
    # arguments behind `tncompile compile tiny.yaml --out DIR`: exit code, message
    ("--stop-after", "plaice"): (2, f"--stop-after plaice: there is no such pass; the passes are export, {PASSES}"),
    ("--start-from", "plaice"): (2, f"--start-from plaice: there is no such pass; the passes are export, {PASSES}"),
    ("--start-from", "place", "--stop-after", "pack"): (
        2, f"--stop-after pack: stands before --start-from place; the order is export, {PASSES}"),
    ("--set", "train"): (2, "--set train: must be KEY=VALUE or KEY.KEY=VALUE, for example train.epochs=5"),
    ("--set", "seed.x=1"): (2, '--set seed.x=1: seed: is {"x": 1} (a mapping), expected a valid integer'),
    ("--seed", str(1 << 32)): (
        2, "--set seed=4294967296: seed: is 4294967296 (an integer), expected less than 4294967296"),
    ("--set", "train.epochs=9"): (
        2, "{dir}/model.safetensors: was made with train.epochs = 2, the experiment says 9; set that back, train "
        "again, or name the folder of that experiment with --out"),
    ("--set", "net.layers=[S-4, S-16, P-20]"): (
        2, "{dir}/model.safetensors: was made with net.layers[1].groups = 2, the experiment says 1; set that back, "
        "train again, or name the folder of that experiment with --out"),
    ("--set", "data.contrast=stretch"): (
        2, '{dir}/model.safetensors: was made with data.contrast = "none", the experiment says "stretch"; set that '
        "back, train again, or name the folder of that experiment with --out"),
    ("--seed", "5"): (
        2, "{dir}/model.safetensors: was made with seed = 0, the experiment says 5; set that back, train again, or "
        "name the folder of that experiment with --out"),
    ("--start-from", "place", "--set", "arch.grid=[8, 8]"): (
        2, "{dir}: was compiled with arch.grid[0] = 64, the experiment says 8; set that back, or compile without "
        "--start-from first"),
    ("--start-from", "place", "--set", "compile.pack.packets_per_bit=2"): (
        2, '{dir}: was compiled with compile.pack = null, the experiment says {"packets_per_bit": 2}; set that back, '
        "or compile without --start-from first"),
}  # fmt: skip


@pytest.mark.parametrize("arguments", OPTIONS, ids=" ".join)
def test_wrong_options_of_compile_change_nothing(
    arguments: tuple[str, ...], finished: tuple[Path, Outcome], experiment: Path
) -> None:
    folder = finished[0]
    before = files(folder)
    code, message = OPTIONS[arguments]
    outcome = invoke("compile", experiment, "--out", folder, *arguments)
    assert outcome == Outcome(code, "", f"error: {message.replace('{dir}', str(folder))}\n")
    assert files(folder) == before


SIMULATIONS = {
    ("--engine", "magic"): (2, f"simulate.engine: no engine is called 'magic'; choose one of {ENGINES}"),
    ("--frames", "41"): (2, "simulate.frames: 41 frames asked for, digits has 40 test images"),
    ("--set", "compile.place.moves=11"): (
        2, "{dir}/chip.safetensors: was made with compile.place.moves = 10, the experiment says 11; set that back, or "
        "compile again"),
    ("--set", "arch.delay_max=3"): (
        2, "{dir}/chip.safetensors: was made with arch.delay_max = 15, the experiment says 3; set that back, or "
        "compile again"),
    ("--set", "seed=5"): (
        2, "{dir}/model.safetensors: was made with seed = 0, the experiment says 5; set that back, train again, or "
        "name the folder of that experiment with --out"),
}  # fmt: skip


@pytest.mark.parametrize("arguments", SIMULATIONS, ids=" ".join)
def test_wrong_options_of_simulate_change_nothing(arguments: tuple[str, ...], finished: tuple[Path, Outcome]) -> None:
    folder = finished[0]
    before = files(folder)
    code, message = SIMULATIONS[arguments]
    outcome = invoke("simulate", folder, *arguments)
    assert outcome == Outcome(code, "", f"error: {message.replace('{dir}', str(folder))}\n")
    assert files(folder) == before


NO_CHIP = (
    "has no chip image, neither chip.safetensors nor image.safetensors; name the folder of an earlier 'tncompile "
    "compile' or 'tncompile import'"
)
PLACES = {
    ("simulate", "{tmp}/none"): (4, "{tmp}/none: cannot be read: No such file or directory; check the path"),
    ("simulate", "{tmp}"): (4, f"{{tmp}}: {NO_CHIP}"),
    ("inspect", "{tmp}/none"): (4, "{tmp}/none: there is no such file or folder; check the path"),
    ("inspect", "{tmp}"): (
        4, "{tmp}: is no run folder: it has neither a model nor stages; name another folder, or a file"),
    ("inspect", "{tiny}"): (
        4, "{tiny}: is not a stage file or chip image of tncompile, or its start is damaged; name another file, or "
        "make it again"),
    ("train", "{tmp}/none.yaml"): (
        2, "{tmp}/none.yaml: cannot be read: No such file or directory; check the path"),
    ("train", "{tmp}"): (2, "{tmp}: cannot be read: Is a directory; check the path"),
    ("compile", "{tiny}", "--out", "{tmp}/none"): (
        4, "{tmp}/none/model.safetensors: there is no model; train one with 'tncompile train', or compile with "
        "--untrained"),
    ("compile", "{tiny}", "--out", "{tmp}/none", "--start-from", "place"): (
        4, "{tmp}/none: has no stage behind export; compile without --start-from first"),
    # Root may write anywhere, so a place that cannot be written to is one below a file.
    ("train", "{tiny}", "--out", "{tiny}/run"): (
        4, "{tiny}/run: cannot be made: Not a directory; choose another --out"),
    ("run", "{tiny}", "--out", "{tiny}"): (4, "{tiny}: cannot be made: File exists; choose another --out"),
    ("compile", "{tiny}", "--out", "{tiny}/run", "--untrained"): (
        4, "{tiny}/run: cannot be made: Not a directory; choose another --out"),
}  # fmt: skip


@pytest.mark.parametrize("arguments", PLACES, ids=" ".join)
def test_wrong_places(arguments: tuple[str, ...], experiment: Path, tmp_path: Path) -> None:
    def filled(text: str) -> str:
        return text.replace("{tmp}", str(tmp_path)).replace("{tiny}", str(experiment))

    code, message = PLACES[arguments]
    assert invoke(*map(filled, arguments)) == Outcome(code, "", f"error: {filled(message)}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["bogus"], "No such command 'bogus'"),
        (["compile"], "Missing argument"),
        (["compile", "x.yaml", "--bogus"], "No such option: --bogus"),
        (["simulate", "x", "--frames", "0"], "'--frames'"),
        (["train", "x.yaml", "--seed", "-1"], "'--seed'"),
        (["compile", "x.yaml", "--out", ""], "'--out'"),
    ],
)
def test_wrong_usage(arguments: list[str], text: str) -> None:
    outcome = invoke(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert text in outcome.err
    assert "Usage: tncompile" in outcome.err


@pytest.mark.parametrize("name", ["", ".", "..", "/etc", "../up", "a/b", "a/"])
def test_a_name_that_leads_out_of_the_folder_of_runs_is_refused(name: str, write: Callable[..., Path]) -> None:
    path = write("name: tiny", f'name: "{name}"')
    message = f"name: {name!r} cannot be the name of a run folder; choose another one, or give --out"
    assert invoke("compile", path, "--untrained") == Outcome(2, "", f"error: {message}\n")


def test_a_missing_data_set_says_how_to_get_it(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write("name: digits", "name: mnist\n  root: nowhere")
    outcome = invoke("train", path, "--out", tmp_path / "run")
    assert outcome.code == 4
    for text in ("error: MNIST", "train-images-idx3-ubyte", "nowhere", "data.root"):
        assert text in outcome.err
    assert files(tmp_path / "run") == {}


def test_errors_in_a_process_of_its_own_look_the_same(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write("epochs: 2", "epoch: 2")
    expected = Outcome(2, "", f"error: {path}:9: train.epoch: unknown key; did you mean epochs?\n")
    assert process("run", path, "--out", tmp_path / "run") == expected


def test_a_fault_of_our_own_says_so(monkeypatch: pytest.MonkeyPatch, finished: tuple[Path, Outcome]) -> None:
    def broken(path: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("tncompile.report.inspect.inspect_path", broken)
    assert invoke("inspect", finished[0]) == Outcome(
        70,
        "",
        "internal error: RuntimeError: boom\n"
        "This is a fault of tncompile. Run again with TNCOMPILE_DEBUG=1 to see where, and report it.\n",
    )
