"""The figures of a run that stand in its summary and in comparisons."""

from __future__ import annotations

import shlex

from tncompile.analysis.estimate import CONFIDENCE
from tncompile.report.page.amounts import Amount, Number, interval, share_interval
from tncompile.report.page.gather import Gathered


def steps_to(run: Gathered, step: str) -> str:
    """Returns the command that gives what a step's figures come from; empty if no command does.

    Args:
        run: the folder.
        step: `train`, `compile` or `simulate`.
    """
    if run.imported is not None:
        return ""
    experiment, folder = run.path / "experiment.yaml", str(run.path)
    if step == "simulate" and run.compiled.get("digests_by_pass", {}).get("emit"):
        return shlex.join(["tncompile", "simulate", folder])
    if run.experiment is None:
        return shlex.join(["tncompile", "run", "EXPERIMENT.yaml", "--out", folder])
    if run.experiment.net.kind != "trinary" and step != "train":
        return ""
    untrained = ["--untrained"] if run.compiled.get("untrained") else []
    if step != "train" and (run.trained or untrained):
        compiling = shlex.join(["tncompile", "compile", str(experiment), "--out", folder, *untrained])
        simulating = shlex.join(["tncompile", "simulate", folder])
        return f"{compiling} && {simulating}" if step == "simulate" else compiling
    return shlex.join(["tncompile", "train" if step == "train" else "run", str(experiment), "--out", folder])


def confidence(run: Gathered) -> float:
    """Returns the confidence of the run's intervals."""
    return float(run.physics.get("confidence", CONFIDENCE))


def accuracy(run: Gathered) -> Amount:
    """Returns the share of right answers: the chip's; without a simulation, the trained model's."""
    simulated, found, count = run.simulated, None, 0
    label = "accuracy"
    if simulated.get("accuracy") is not None:
        found, count = simulated["accuracy"], simulated["frames"]
    elif run.trained and not simulated and not run.compiled.get("untrained", False):
        label, found = "accuracy of the model", run.trained["accuracy"]
        count = 0 if run.spec is None else run.spec.splits.get("test", 0)
    command = steps_to(run, "simulate")
    if found is None:
        return Amount(label=label, value=None, unit="%", digits=2, command=command)
    low, high = share_interval(found, count, confidence(run)) if count else (None, None)
    return Amount(
        label=label,
        value=100 * found,
        low=None if low is None else 100 * low,
        high=None if high is None else 100 * high,
        unit="%",
        digits=2,
    )


def headline(run: Gathered) -> tuple[tuple[Amount, Number | None], ...]:
    """Returns what a reader asks for first, each with the paper's figure beside it: None if there is none."""
    paper, physics, simulate = run.paper, run.physics, steps_to(run, "simulate")
    cores = run.compiled.get("cores")
    if cores is None and run.view is not None:
        cores = run.view.cores
    return (
        (accuracy(run), None if paper is None else 100 * paper.accuracy),
        (
            Amount(label="cores", value=cores, digits=0, command=steps_to(run, "compile")),
            None if paper is None else float(paper.cores),
        ),
        (
            interval("power", physics.get("power_mW"), "mW", command=simulate),
            None if paper is None else paper.mw,
        ),
        (
            interval("speed", physics.get("frames_per_s"), "frames/s", command=simulate),
            None if paper is None else paper.fps,
        ),
        (
            interval("efficiency", physics.get("frames_per_s_per_W"), "frames/s/W", command=simulate),
            None if paper is None else paper.fps_per_w,
        ),
    )


def more_figures(run: Gathered) -> tuple[Amount, ...]:
    """Returns the figures that stand below those of `headline` in comparisons."""
    compiled, simulated, physics = run.compiled, run.simulated, run.physics
    use = compiled.get("utilisation", {})
    edges = compiled.get("chip_edges", {}).get("chips", [])

    def whole(label: str, value: Number | None, unit: str = "") -> Amount:
        return Amount(label=label, value=value, unit=unit, digits=0)

    def share(label: str, value: Number | None) -> Amount:
        return Amount(label=label, value=None if value is None else 100 * value, unit="%", digits=1)

    def mean(label: str, key: str) -> Amount:
        counted = physics.get("per_frame", {}).get(key)
        sampled = (compiled.get(f"{key}_per_frame") or {}).get("mean")
        return Amount(label=label, value=sampled if counted is None else counted)

    return (
        interval("energy a frame", physics.get("energy_per_frame_uJ"), "µJ"),
        interval("power at the nominal tick", physics.get("power_at_nominal_mW"), "mW"),
        interval("tick", physics.get("tick_us"), "µs"),
        interval("latency", physics.get("latency_ms"), "ms"),
        whole("latency in ticks", simulated.get("latency_ticks", compiled.get("latency_ticks")), "ticks"),
        whole("chips", compiled.get("chips")),
        whole("splitters", compiled.get("splitter_cores")),
        whole("fewest cores possible", compiled.get("cores_at_least")),
        share("axons used", use.get("axons")),
        share("neurons used", use.get("neurons")),
        share("crosspoints set", use.get("synapses")),
        mean("spikes a frame", "spikes"),
        mean("synaptic events a frame", "synaptic_events"),
        mean("hops a frame", "hops"),
        whole("wirelength", compiled.get("wirelength"), "hops"),
        whole("busiest link", compiled.get("busiest_link"), "arcs"),
        Amount(
            label="busiest chip edge",
            value=max((edge["limit_%"] for edge in edges), default=None),
            unit="% of its limit",
        ),
        whole("spikes that differ from the model", simulated.get("mismatched_spikes")),
        whole("test frames simulated", simulated.get("frames")),
        whole("epochs", run.trained.get("epochs")),
        whole("training images", run.trained.get("images")),
    )
