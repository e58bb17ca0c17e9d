"""Chips of other core sizes, compiled and simulated as users do it, and what is said of their cores."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.command_line import EXPERIMENT, Outcome, invoke, process

EXPERIMENTS = Path(__file__).parents[2] / "experiments"

CHIPS: dict[str, tuple[str, list[str], int]] = {
    "128x128": ("digits_128x128.yaml", [], 112),
    "512x256": ("digits.yaml", ["arch.axons=512"], 48),
}
"""Experiment, what is set, and cores."""


@pytest.mark.parametrize("name", CHIPS)
def test_other_core_sizes_compile_and_simulate(name: str, tmp_path: Path) -> None:
    experiment, overrides, cores = CHIPS[name]
    given = [part for override in overrides for part in ("--set", override)]
    out = tmp_path / "run"
    compiled = process("compile", EXPERIMENTS / experiment, "--untrained", *given, "--out", out, "--quiet", "--json")
    assert compiled.code == 0, compiled.err
    found = compiled.json["compile"]
    axons, neurons = map(int, name.split("x"))
    assert (found["cores"], found["neuron_updates_per_tick"]) == (cores, cores * neurons)
    check_figures(found, axons, neurons)
    simulated = process("simulate", out, "--random-images", "--frames", 20, "--quiet", "--json")
    assert simulated.code == 0, simulated.err
    assert simulated.json["simulate"]["mismatched_spikes"] == 0
    assert simulated.json["simulate"]["output_spikes"] > 0


@pytest.mark.parametrize(
    "overrides",
    [
        ["arch.axon_types=2"],
        ["arch.axons=131", "arch.neurons=512", "arch.axon_types=7", "arch.neuron=ranc"],
        ["arch.grid=[3, 2]", "arch.board=[2, 2]"],
    ],
    ids=" ".join,
)
def test_other_chips_compute_the_same(overrides: list[str], experiment: Path, tmp_path: Path) -> None:
    given = [part for override in overrides for part in ("--set", override)]
    out = tmp_path / "run"
    compiled = invoke("compile", experiment, "--untrained", *given, "--out", out, "--check-semantics", 3, "--quiet")
    assert compiled.code == 0, compiled.err
    simulated = invoke("simulate", out, "--random-images", "--frames", 5, "--quiet", "--json")
    assert simulated.code == 0, simulated.err
    assert simulated.json["simulate"]["mismatched_spikes"] == 0


def test_a_filter_too_large_for_the_core_is_told(tmp_path: Path) -> None:
    small = ("--set", "arch.axons=128", "--set", "arch.neurons=128")
    outcome = invoke("compile", EXPERIMENTS / "digits.yaml", "--untrained", *small, "--out", tmp_path / "run", "-q")
    message = (
        "layer conv0: a filter needs 128 inputs, a core takes 64 (128 axons, 2 an input); groups that fit: 4, 8, 16"
    )
    assert outcome == Outcome(3, "", f"error: {message}\n")


def test_what_is_measured_is_said_beside_what_there_can_be(finished: tuple[Path, Outcome]) -> None:
    found = finished[1].json["compile"]
    check_figures(found, 256, 256)
    assert found["sample_frames"] == 192
    for what in ("spikes", "host_packets", "synaptic_events", "hops"):
        assert 0 < found[f"{what}_per_frame"]["mean"] < found[f"{what}_per_frame"]["most"], what
    for row in ("a frame", "a frame, at most", "utilisation", "by saving"):
        assert f"│ {row} " in finished[1].err


def test_savings_are_told_and_kept(folder: Path, experiment: Path) -> None:
    before = invoke("inspect", folder, "--json").json["savings"]
    assert [row["saving"] for row in before] == [
        "none", "trim_padding", "free_blocks", "share_cores", "drop_unread", "fold_constants",
    ]  # fmt: skip
    assert before[0]["saves"] is None
    assert sum(row["saves"] for row in before[1:]) == before[0]["cores"] - before[-1]["cores"]
    placed = invoke("compile", experiment, "--out", folder, "--start-from", "place", "--json").json["compile"]
    assert placed["cores_by_saving"] == {row["saving"]: row["cores"] for row in before}
    fewer = ("--set", "compile.pack.share_cores=false", "--set", "compile.pack.fold_constants=false")
    packed = invoke("compile", experiment, "--out", folder, "--start-from", "pack", "--json", *fewer)
    counts = packed.json["compile"]["cores_by_saving"]
    assert list(counts) == ["none", "trim_padding", "free_blocks", "drop_unread"]
    assert counts["drop_unread"] == packed.json["compile"]["cores"]
    said = " · ".join(f"{name} {cores}" for name, cores in counts.items())
    assert said in packed.err


def check_figures(found: dict[str, Any], axons: int, neurons: int) -> None:
    """Checks that the figures of cores and frames agree with one another."""
    cores, shares = found["cores"], found["utilisation"]
    most = {what: found[f"{what}_per_frame"]["most"] for what in ("spikes", "host_packets", "synaptic_events", "hops")}
    assert list(found["cores_by_saving"].values())[-1] == cores >= found["cores_at_least"]
    assert shares["neurons"] == pytest.approx(most["spikes"] / (cores * neurons))
    assert shares["synapses"] == pytest.approx(most["synaptic_events"] / (cores * axons * neurons))
    assert 0 < shares["axons"] <= 1
    assert most["hops"] == found["wirelength"]
    assert most["host_packets"] == found["input_packets"]


def test_a_compilation_for_several_chips_may_stop_before_routing(tmp_path: Path) -> None:
    """What crosses the chips' edges is known, and shown, as soon as cores have their chips."""
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT)
    options = ("--untrained", "--out", tmp_path / "run", "--set", "arch.grid=[4,3]", "--set", "arch.board=[2,1]")
    stopped = invoke("compile", path, *options, "--stop-after", "partition")
    assert stopped.code == 0, stopped.err
    row = " ".join(stopped.out.replace("│", " ").split())
    assert re.search(r"chip edges [\d,]+ arcs cross; chip \(\d, \d\) takes [\d.]+ % of what its", row)
    assert "if every neuron spikes" in row
