"""What a careful colleague would say of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import tncompile
from tncompile.report.page.amounts import percent, short
from tncompile.report.page.charts import USUAL
from tncompile.report.page.figures import confidence
from tncompile.report.page.gather import Gathered

GAP = 0.005
"""Accuracy below the paper's from which on it is said."""
FULL = 0.97
"""Share of a board's cores, or of the cores' axons, from which on little can be added."""
BUSY = 0.5
"""Share of a tick that links or edges take, or of an edge's limit, from which on it is said."""
COUNTED_FRAMES = 100
"""Frames below which rates, power and speed stand on few."""
TEST_FRAMES = 1000
"""Test frames below which an accuracy is known roughly."""

Remark = tuple[bool, str]
"""Whether it is serious, and a sentence."""


def remarks(run: Gathered) -> tuple[Remark, ...]:
    """Returns what is to be said of a run, the serious first."""
    found = [
        *_steps(run),
        *_weights(run),
        *_data(run),
        *_agreement(run),
        *_accuracy(run),
        *_fill(run),
        *_rates(run),
        *_traffic(run),
    ]
    found += [*_estimates(run), *_counting(run), *_origin(run)]
    return tuple(sorted(found, key=lambda remark: not remark[0]))


def across(runs: Sequence[Gathered]) -> tuple[Remark, ...]:
    """Returns what is to be said of runs beside each other."""
    found: list[Remark] = []

    def of(what: str, values: Sequence[Any], serious: bool, advice: str) -> None:
        different = list(dict.fromkeys(str(value) for value in values if value is not None))
        if len(different) > 1:
            found.append((serious, f"The runs differ in their {what}: {', '.join(different)}. {advice}"))

    data = [None if run.experiment is None else run.experiment.data.name for run in runs]
    of("data set", data, True, "Their accuracies cannot be compared.")
    kinds = [run.trained.get("data", {}).get("kind") for run in runs]
    of("kind of data", kinds, True, "A part or a copy of the data gives other accuracies.")
    versions = [run.results.get("versions", {}).get("tncompile") for run in runs]
    of("version of tncompile", versions, False, "Some of what differs may be the tool's.")
    commits = [str(run.results["commit"])[:12] for run in runs if run.results.get("commit")]
    of("commit of tncompile", commits, False, "Some of what differs may be the tool's.")
    frames = [run.simulated.get("frames") for run in runs]
    of("number of test frames", frames, False, "The fewer, the wider the interval of the accuracy.")
    return tuple(found)


def _steps(run: Gathered) -> Iterator[Remark]:
    if run.imported is not None:
        yield False, "A chip of another tool: nothing was simulated here, so nothing is known of what it does."
    elif not run.simulated:
        yield False, "The chip was not simulated: no spike was compared with the model's, and nothing was counted."


def _weights(run: Gathered) -> Iterator[Remark]:
    if run.compiled.get("untrained"):
        beside = "; the training shown here is not that of the chip" if run.trained else ""
        yield (
            True,
            f"The chip has random weights (--untrained): its accuracy and its firing rates mean nothing{beside}.",
        )
    if run.trained and run.training is not None and len(run.training.points) < run.trained["epochs"]:
        yield False, "The curves end before the training did."


def _data(run: Gathered) -> Iterator[Remark]:
    said = set()
    for step, told in (("training", run.trained), ("simulation", run.simulated)):
        data = told.get("data") or {}
        if data.get("kind", "real") not in ("real", "own") and (data["kind"], data.get("missing")) not in said:
            said.add((data["kind"], data.get("missing")))
            kind = {
                "subset": "a part of the data set",
                "stand-in": "other data of the same kind",
                "jpeg copy": "a lossy copy",
            }
            what = kind.get(data["kind"], data["kind"])
            yield (
                True,
                f"The images of the {step} are {what}, not the published data set. {data.get('missing', '')}".strip(),
            )
    if str(run.simulated.get("images", "")).startswith("random"):
        yield True, f"The simulated images are random pixels ({run.simulated['images']}): there is no accuracy."


def _agreement(run: Gathered) -> Iterator[Remark]:
    simulated = run.simulated
    if simulated.get("mismatched_spikes"):
        yield (
            True,
            f"{simulated['mismatched_spikes']:,} spikes in {simulated['mismatched_frames']:,} of "
            f"{simulated['frames']:,} frames differ between chip and model: the chip must not be used.",
        )


def _accuracy(run: Gathered) -> Iterator[Remark]:
    simulated, paper = run.simulated, run.paper
    found = simulated.get("accuracy")
    if found is None or run.compiled.get("untrained"):
        return
    if paper is not None and (gap := paper.accuracy - found) > GAP:
        yield (
            True,
            f"The accuracy is {100 * gap:.2f} percentage points below the paper's {percent(paper.accuracy, 2)} "
            f"on {paper.title}.",
        )
    if (frames := simulated["frames"]) < TEST_FRAMES:
        error = (found * (1 - found) / frames) ** 0.5
        yield (
            False,
            f"The accuracy stands on {frames:,} test frames: its standard error is {100 * error:.2g} points.",
        )


def _fill(run: Gathered) -> Iterator[Remark]:
    if run.view is not None:
        arch = run.view.arch
        room = sum(arch.capacity(chip) for chip in range(arch.chips))
        if run.view.cores > FULL * room:
            yield False, f"The board is nearly full: {run.view.cores:,} of {room:,} cores are used."
    if (axons := run.compiled.get("utilisation", {}).get("axons", 0.0)) > FULL:
        yield False, f"{percent(axons)} of the axons are used: wider layers need more cores."


def _rates(run: Gathered) -> Iterator[Remark]:
    low, high = USUAL
    for unusual, what in (
        ([row for row in run.layers if row.rate is not None and row.rate < low], f"below {percent(low, 0)}"),
        ([row for row in run.layers if row.rate is not None and row.rate > high], f"above {percent(high, 0)}"),
    ):
        if unusual:
            listed = ", ".join(f"{row.name} {percent(row.rate)}" for row in unusual)
            yield False, f"Firing rates {what}: {listed}."
    if dead := [row for row in run.layers if row.dead]:
        listed = ", ".join(f"{row.name} {row.dead:,} of {row.shape[2]:,}" for row in dead)
        yield False, f"Features that never spiked in the counted frames ({run.rates}): {listed}."


def _traffic(run: Gathered) -> Iterator[Remark]:
    limits = run.physics.get("ticks_by_limit_us", {})
    tick = run.physics.get("tick_us", {}).get("value")
    for name, what in (("link", "the busiest link"), ("edge", "a chip's edge")):
        share = limits[name]["value"] / tick if tick and name in limits else 0.0
        if share > BUSY:
            yield False, f"Packets over {what} take {percent(share, 0)} of a tick: traffic is near its limit."
    edges = run.compiled.get("chip_edges", {}).get("chips", [])
    worst = max((edge["limit_%"] for edge in edges), default=0.0)
    if worst > 100 * BUSY:
        yield False, f"What crosses the edges of a chip takes {worst:.3g} % of its limit at the nominal tick."


def _estimates(run: Gathered) -> Iterator[Remark]:
    """Yields which of the paper's figures lie outside the intervals of this run's."""
    if run.paper is None:
        return
    for what, key, published, unit in (
        ("power", "power_mW", run.paper.mw, "mW"),
        ("speed", "frames_per_s", run.paper.fps, "frames/s"),
    ):
        found = run.physics.get(key)
        if found and published is not None and not found["low"] <= published <= found["high"]:
            yield (
                False,
                f"The paper's {what}, {short(published)} {unit}, lies outside the interval {short(found['low'])} … "
                f"{short(found['high'])}: this is another net than the paper's, or it fires at other rates.",
            )


def _counting(run: Gathered) -> Iterator[Remark]:
    frames = run.physics.get("counted_frames")
    if frames is not None and frames < COUNTED_FRAMES:
        yield False, f"Power, speed and firing rates stand on {frames:,} frames."
    if run.physics:
        yield (
            False,
            f"Power and speed are a model's, not measured on silicon; intervals hold {percent(confidence(run), 0)}.",
        )


def _origin(run: Gathered) -> Iterator[Remark]:
    version = run.results.get("versions", {}).get("tncompile")
    if version is not None and version != tncompile.__version__:
        yield False, f"The results are of tncompile {version}; this report is by {tncompile.__version__}."
    if str(run.results.get("commit") or "").endswith("+"):
        yield False, "The results were made with changes to tncompile that no commit holds."
