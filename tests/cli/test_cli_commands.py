"""What each command does when all is well."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import yaml
from support.command_line import Outcome, command_line, environment, files, invoke, process

from tncompile.pipeline import step_names
from tncompile.sim import ENGINES
from tncompile.workflow import SECTIONS

CONTRACT = {
    "train": "accuracy seconds epochs",
    "compile": "cores splitter_cores cores_by_layer chips wirelength hops_per_spike seconds_by_pass digest",
    "simulate": "frames accuracy model_accuracy mismatched_spikes mismatched_frames latency_ticks frames_per_s "
    "ticks_per_s engine",
}


def digests(outcome: Outcome) -> dict[str, str]:
    """Returns the digest behind each pass."""
    assert outcome.code == 0, outcome.err
    return outcome.json["compile"]["digests_by_pass"]


def names(folder: Path) -> set[str]:
    """Returns the files of a run folder, checkpoints aside."""
    return {name for name in files(folder) if "checkpoints" not in name}


def test_run_gives_all_figures_of_the_contract(finished: tuple[Path, Outcome]) -> None:
    folder, outcome = finished
    results = outcome.json
    assert results == json.loads((folder / "results.json").read_text())
    for section, keys in CONTRACT.items():
        assert not set(keys.split()) - set(results[section]), section
        assert set(SECTIONS[section]) <= set(results[section])
    assert results["seed"] == 0
    assert results["device"]
    assert re.fullmatch(r"[0-9a-f]{40}\+?", results["commit"] or "0" * 40)
    assert {"tncompile", "python", "jax", "flax", "numpy"} <= set(results["versions"])
    assert results["experiment"] == yaml.safe_load((folder / "experiment.yaml").read_text())
    assert results["experiment"]["train"]["batch"] == 64  # a default, spelled out


def test_run_figures_agree_with_one_another(finished: tuple[Path, Outcome]) -> None:
    results = finished[1].json
    train, compiled, simulated = (results[section] for section in CONTRACT)
    assert train["epochs"] == 2
    assert train["images"] == 192
    assert simulated["frames"] == 40
    assert simulated["mismatched_spikes"] == simulated["mismatched_frames"] == 0
    assert simulated["output_spikes"] > 0
    assert simulated["accuracy"] == simulated["model_accuracy"] == train["accuracy"]
    assert simulated["latency_ticks"] == compiled["latency_ticks"] >= 2
    assert simulated["engine"] in ENGINES
    assert simulated["engine_reason"] not in ("", "as asked")
    assert results["experiment"]["simulate"]["engine"] == "auto"
    by_layer, splitters = compiled["cores_by_layer"], compiled["splitters_by_layer"]
    assert set(by_layer) == {"conv0", "conv1"}
    assert sum(by_layer.values()) + compiled["splitter_cores"] == compiled["cores"]
    assert sum(splitters.values()) == compiled["splitter_cores"]
    assert compiled["chips"] == 1
    assert tuple(compiled["seconds_by_pass"]) == tuple(compiled["digests_by_pass"]) == step_names()
    assert compiled["digest"] == compiled["digests_by_pass"]["emit"]


def test_run_leaves_the_files_that_it_says_and_no_others(finished: tuple[Path, Outcome]) -> None:
    stages = {f"stages/{i}-{name}.safetensors" for i, name in enumerate(step_names())}
    others = {"experiment.yaml", "results.json", "model.safetensors", "chip.safetensors", "train/metrics.jsonl"}
    others |= {"simulation.safetensors"}
    assert names(finished[0]) == stages | others


def test_people_read_stderr_where_stdout_is_json(finished: tuple[Path, Outcome]) -> None:
    err = finished[1].err
    for text in ("Training tiny: 192 images of digits, 2 epochs", "mismatching spikes", "held-out accuracy"):
        assert text in err
    for step in step_names():
        assert re.search(rf"^  {step} +\d+\.\d\d s, verified in \d+\.\d\d s$", err, re.MULTILINE), step


def test_train_then_resume_changes_nothing(write: Callable[..., Path], tmp_path: Path) -> None:
    once = write("epochs: 2", "epochs: 1")
    trained = invoke("train", once, "--out", tmp_path / "run", "--json")
    assert trained.code == 0, trained.err
    assert set(trained.json) & set(CONTRACT) == {"train"}
    before = (tmp_path / "run/model.safetensors").read_bytes()
    resumed = invoke("train", once, "--out", tmp_path / "run", "--resume", "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json["train"] == trained.json["train"]
    assert (tmp_path / "run/model.safetensors").read_bytes() == before


def test_training_again_removes_what_was_compiled(folder: Path, experiment: Path) -> None:
    assert invoke("train", experiment, "--out", folder, "--resume", "--quiet").code == 0
    assert names(folder) == {"experiment.yaml", "results.json", "model.safetensors", "train/metrics.jsonl"}
    assert set(json.loads((folder / "results.json").read_text())) & set(CONTRACT) == {"train"}


def test_compile_starts_anywhere_with_equal_digests(folder: Path, experiment: Path) -> None:
    whole = digests(invoke("compile", experiment, "--out", folder, "--json"))
    image = (folder / "chip.safetensors").read_bytes()
    for step in step_names():
        outcome = invoke("compile", experiment, "--out", folder, "--start-from", step, "--json")
        assert digests(outcome) == whole
        assert outcome.json["compile"]["untrained"] is False
        assert (folder / "chip.safetensors").read_bytes() == image


def test_compile_stops_and_goes_on(folder: Path, experiment: Path) -> None:
    whole = files(folder)
    stopped = invoke("compile", experiment, "--out", folder, "--stop-after", "pack", "--json")
    assert tuple(digests(stopped)) == step_names()[:3]
    assert stopped.json["compile"]["digest"] == digests(stopped)["pack"]
    assert "wirelength" not in stopped.json["compile"]
    assert "chip.safetensors" not in names(folder)
    assert sorted(path.name for path in (folder / "stages").iterdir()) == [
        f"{i}-{name}.safetensors" for i, name in enumerate(step_names()[:3])
    ]
    assert invoke("compile", experiment, "--out", folder, "--start-from", "partition").code == 0
    del whole["simulation.safetensors"]  # of the chip before
    assert {k: v for k, v in files(folder).items() if k.endswith("safetensors")} == {
        k: v for k, v in whole.items() if k.endswith("safetensors")
    }


def test_compile_untrained_needs_no_training(experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "new/run"
    outcome = invoke("compile", experiment, "--out", out, "--untrained", "--dump-ir", "--check-semantics", 2, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["compile"]["untrained"] is True
    assert "train" not in outcome.json
    for index, (step, digest) in enumerate(digests(outcome).items()):
        head = (out / f"stages/{index}-{step}.txt").read_text().splitlines()[0]
        assert re.fullmatch(rf"[A-Z]\w+ {digest}", head)
    packed = invoke("simulate", out, "--random-images", "--frames", 5, "--engine", "packed", "--json")
    oracle = invoke("simulate", out, "--random-images", "--frames", 5, "--engine", "oracle", "--json")
    for outcome, engine in ((packed, "packed"), (oracle, "oracle")):
        assert outcome.code == 0, outcome.err
        figures = outcome.json["simulate"]
        assert figures["engine"] == engine
        assert figures["frames"] == 5
        assert figures["mismatched_spikes"] == 0
        assert figures["accuracy"] is figures["model_accuracy"] is None
    assert packed.json["simulate"]["output_spikes"] == oracle.json["simulate"]["output_spikes"] > 0


def test_simulate_takes_the_first_frames_of_the_test_images(folder: Path) -> None:
    outcome = invoke("simulate", folder, "--frames", 7, "--json")
    assert outcome.json["simulate"]["frames"] == 7
    assert outcome.json["experiment"]["simulate"]["frames"] == 7
    assert outcome.json["train"]["epochs"] == 2  # earlier figures stay


def test_settings_on_the_command_line_count(experiment: Path, tmp_path: Path) -> None:
    def compile(*more: Any) -> dict[str, Any]:
        outcome = invoke("compile", experiment, "--out", tmp_path / "run", "--untrained", "--json", *more)
        assert outcome.code == 0, outcome.err
        return outcome.json

    seeds = {seed: compile("--seed", seed, "--stop-after", "export") for seed in (1, 2)}
    assert seeds[1]["seed"] == seeds[1]["experiment"]["seed"] == 1
    assert digests(Outcome(0, json.dumps(seeds[1]), "")) != digests(Outcome(0, json.dumps(seeds[2]), ""))
    placed = compile("--set", "compile.place.algorithm=row_major", "--set", "compile.place.moves=0")
    assert placed["experiment"]["compile"]["place"] == {"algorithm": "row_major", "moves": 0}
    assert placed["compile"]["wirelength"] > compile("--set", "compile.place.moves=1000")["compile"]["wirelength"]


def test_quiet_prints_results_alone(folder: Path, experiment: Path) -> None:
    compiled = invoke("compile", experiment, "--out", folder, "--quiet")
    assert (compiled.code, compiled.err) == (0, "")
    assert "cores" in compiled.out
    simulated = invoke("simulate", folder, "--frames", 3, "--quiet", "--json")
    assert (simulated.code, simulated.err) == (0, "")
    assert simulated.json["simulate"]["frames"] == 3


@pytest.mark.parametrize(
    "path, kind, keys",
    [
        (
            "",
            None,
            {"folder", "models", "weights", "layers", "trinary", "utilisation", "chips", "wirelength", "limits"},
        ),
        ("model.safetensors", "model", {"models", "weights"}),
        ("stages/0-export.safetensors", "LogicalNet", {"layers"}),
        ("stages/1-trinarize.safetensors", "TrinaryNet", {"trinary"}),
        ("stages/2-pack.safetensors", "CoreGraph", {"cores", "latency_ticks", "utilisation"}),
        ("stages/3-partition.safetensors", "PartitionedGraph", {"cut", "chips"}),
        ("stages/4-place.safetensors", "PlacedChip", {"wirelength"}),
        ("stages/5-route.safetensors", "RoutedChip", {"busiest_link"}),
        ("chip.safetensors", "ChipImage", {"chip", "limits", "neurons", "synapses"}),
    ],
)
def test_inspect_says_what_is_there(
    finished: tuple[Path, Outcome], path: str, kind: str | None, keys: set[str]
) -> None:
    folder, outcome = finished
    found = invoke("inspect", folder / path, "--json")
    assert found.code == 0, found.err
    assert found.json.get("kind") == kind
    assert keys <= set(found.json)
    if "utilisation" in keys:
        layers = outcome.json["compile"]["cores_by_layer"]
        assert {row["layer"]: row["cores"] for row in found.json["utilisation"] if row["cores"]} == layers
    for row in found.json.get("limits", []):
        assert 0 <= row["used"] <= row["limit"], row
    text = invoke("inspect", folder / path)
    assert (text.code, text.err) == (0, "")
    assert text.out == found.err  # the same for people, who read it on stderr beside JSON


def test_inspect_reads_the_neuron_map_both_ways(finished: tuple[Path, Outcome]) -> None:
    folder = finished[0]
    (carried,) = invoke("inspect", folder, "--neuron", "0,3", "--json").json["carries"]
    value = ",".join(str(carried[key]) for key in ("layer", "x", "y", "feature"))
    copies = invoke("inspect", folder, "--value", value, "--json").json["carried_by"]
    assert copies[carried["copy"]] == carried
    for option, text, problem in (
        ("--neuron", "0", "--neuron: must be CORE,NEURON in whole numbers, for example 12,0"),
        ("--value", "conv0,1,x,2", "--value: must be LAYER,X,Y,FEATURE in whole numbers, for example conv0,3,2,17"),
        ("--value", "conv9,0,0,0", "layer conv9: there is none of that name; the layers are input, conv0, conv1"),
        ("--neuron", "9999,0", "neuron 9999,0: there are the cores 0 … "),
    ):
        outcome = invoke("inspect", folder, option, text)
        assert outcome.code == 2
        assert problem in outcome.err


def test_inspect_knows_a_model_by_its_content(finished: tuple[Path, Outcome], tmp_path: Path) -> None:
    copy = tmp_path / "best.safetensors"
    copy.write_bytes((finished[0] / "model.safetensors").read_bytes())
    (about,) = invoke("inspect", copy, "--json").json["models"]
    accuracy = about.pop("accuracy")
    assert about == {"model": copy.name, "trained": True, "seed": 0, "learned": "digits", "kind": "real"}
    assert 0 <= accuracy <= 1


def test_inspect_writes_the_core_graph(finished: tuple[Path, Outcome], tmp_path: Path) -> None:
    folder, outcome = finished
    file = tmp_path / "cores.graphml"
    assert invoke("inspect", folder, "--graph", file).code == 0
    graph = nx.read_graphml(file)
    assert graph.number_of_nodes() == outcome.json["compile"]["cores"]
    layers = Counter(layer for _, layer in graph.nodes(data="layer"))
    assert layers == outcome.json["compile"]["cores_by_layer"]
    assert all(rate > 0 for _, _, rate in graph.edges(data="rate"))


def test_random_images_follow_their_seed(folder: Path) -> None:
    spikes = [
        invoke("simulate", folder, "--random-images", "--frames", 4, "--seed", seed, "--json").json["simulate"]
        for seed in (1, 1, 2)
    ]
    assert spikes[0]["output_spikes"] == spikes[1]["output_spikes"] != spikes[2]["output_spikes"]
    assert spikes[2]["images"] == "random, seed 2"


def test_inspect_into_a_closed_pipe_or_full_disk_ends_quietly_or_says_so(finished: tuple[Path, Outcome]) -> None:
    command = command_line("inspect", finished[0] / "stages/0-export.safetensors", "--json")
    shell = f"{shlex.join(command)} | true; exit ${{PIPESTATUS[0]}}"
    piped = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, env=environment())
    assert (piped.returncode, "Exception" in piped.stderr) == (0, False), piped.stderr
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    assert ended.stderr == "error: standard output: No space left on device; make room, or choose another place\n"
    assert ended.returncode == 4


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom tncompile.cli import app\n"
        "try:\n    app(sys.argv[1:], prog_name='tncompile')\n"
        "finally:\n    print(sorted({m.partition('.')[0] for m in sys.modules}), file=sys.stderr)\n"
    )
    for arguments in (["--help"], ["compile", "--help"], ["--version"], []):
        ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
        heavy = {"jax", "flax", "numpy", "scipy", "networkx", "numba", "optax"}
        assert not heavy & set(re.findall(r"'(\w+)'", ended.stderr.splitlines()[-1]))
        assert ended.returncode == (0 if arguments else 2)
        assert "tncompile" in ended.stdout + ended.stderr


NAMES = ("run", "train", "compile", "simulate", "inspect", "import", "export")


def test_every_command_and_option_has_a_line_of_help() -> None:
    texts = {name: invoke(name, "--help").out for name in NAMES}
    overview = invoke("--help").out
    for name, text in texts.items():
        assert name in overview
        for option in ("--json", "--quiet"):
            assert option in text
    for option in ("--untrained", "--stop-after", "--start-from", "--dump-ir", "--check-semantics", "--set", "--seed"):
        assert option in texts["compile"]
    for option in ("--frames", "--engine", "--random-images", "--input", "--output", "--save-state", "--record"):
        assert option in texts["simulate"]
    assert "--potential-bits" in texts["import"]
    assert "--resume" in texts["train"]


def test_module_and_function_are_one_command(finished: tuple[Path, Outcome]) -> None:
    arguments = ("inspect", finished[0] / "stages/0-export.safetensors", "--json")
    assert process(*arguments) == invoke(*arguments)


def test_a_net_runs_round_faulty_routers(experiment: Path, tmp_path: Path) -> None:
    """Cores scattered over a chip with four faulty routers: relays take packets on, and no spike differs."""
    folder = tmp_path / "run"
    faulty = ("--set", "arch.grid=[6,6]", "--set", "arch.faulty_routers=[[1,1],[2,3],[3,1],[2,0]]")
    options = ("--untrained", "--set", "compile.place.algorithm=random", "--check-semantics", 3, "--out", folder)
    compiled = invoke("compile", experiment, *options, *faulty, "--json")
    assert compiled.code == 0, compiled.err
    figures = compiled.json["compile"]
    assert figures["detours"]["relays"] > 0
    simulated = invoke("simulate", folder, "--random-images", "--json").json["simulate"]
    assert simulated["mismatched_spikes"] == 0
    assert simulated["latency_ticks"] == figures["latency_ticks"]
    inspected = invoke("inspect", folder, "--json").json
    assert inspected["image_cores"] == figures["cores"] + figures["detours"]["relay_cores"]
    assert inspected["detours"] == figures["detours"]

    relays = figures["detours"]["relays"]
    stopped = invoke(
        "compile", experiment, *options[:-1], tmp_path / "placed", *faulty, "--stop-after", "place", "--json"
    )
    placed = stopped.json["compile"]
    assert figures["spikes_per_frame"]["most"] == placed["spikes_per_frame"]["most"] + relays
    assert figures["synaptic_events_per_frame"]["most"] == placed["synaptic_events_per_frame"]["most"] + relays
    assert figures["hops_per_frame"]["most"] >= placed["hops_per_frame"]["most"] == figures["wirelength"]
    assert figures["neuron_updates_per_tick"] == 256 * inspected["image_cores"]
    for suffix in ("svg", "png"):
        assert invoke("inspect", folder, "--plot", tmp_path / f"board.{suffix}", "--what", "all").code == 0

    walls = [[x, y] for x in (1, 3) for y in range(5)]
    cut_off = invoke("compile", experiment, "--untrained", "--out", folder, "--set", "arch.grid=[5,5]", "--set",
                     f"arch.faulty_routers={walls}")  # fmt: skip
    assert cut_off.code == 3
    assert "10 with faulty routers, 10 cut off by these: (2, 0), (2, 1)" in cut_off.err.replace("\n", " ")
