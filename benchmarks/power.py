"""Fits the constants of power and speed to what is published: `python -m benchmarks.power`.

It writes `tncompile/analysis/data/model.json`: the likeliest constants, their covariance, and for each published point
how far the model is from it. What it fits to stands in `data/published.yaml` and `experiments/paper.json`, and in
`experiments/results` what our CIFAR-10 network does for a frame, since nobody has published what IBM's did.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float64
from scipy.optimize import least_squares

from tncompile.analysis.power import MODEL, NAMES, POWER, Constants, Rates, parts, ticks
from tncompile.arch import TRUENORTH
from tncompile.ir.io import atomic_write

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "tncompile" / "analysis" / "data" / "published.yaml"
PAPER = ROOT / "experiments" / "paper.json"
ACTIVITY = ROOT / "experiments" / "results" / "cifar10_1chip.json"

SPREAD = {"synthetic": 0.03, "classifier": 0.08, "board": 0.25}
"""How far a published power may be off, by kind of point: the standard deviation of its logarithm."""
TRAFFIC_ALIKE, TRAFFIC_OTHER = 0.20, 0.50
"""How far a core's events may be off between two trainings of a net, and between nets for other data: as `SPREAD`."""
START = {"leak_uW": 30.0, "event_pJ": 2.0}
"""Where the search begins for constants of which nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A published power.

    Attributes:
        name: what was measured.
        kind: "synthetic", "classifier" or "board".
        rates: what the chip did; events and hops of classifiers are ours, to be multiplied by `traffic`.
        volts: supply voltage [V].
        milliwatts: as published.
    """

    name: str
    kind: str
    rates: Rates
    volts: float
    milliwatts: float


def points(published: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], frame: Mapping[str, float]) -> list[Point]:
    """Returns all published powers.

    Args:
        published: `data/published.yaml`.
        rows: of the paper.
        frame: what our CIFAR-10 net does for a frame: "cores", "synaptic_events" and "hops".
    """
    found = []
    synthetic = published["synthetic"]
    for point in synthetic["points"]:
        neurons = synthetic["cores"] * TRUENORTH.neurons
        spikes = neurons * point["rate"]
        rates = Rates(
            cores=synthetic["cores"],
            updates=neurons * synthetic["ticks_per_s"],
            events=spikes * point["synapses"],
            hops=spikes * synthetic["hops_per_spike"],
        )
        found.append(
            Point(name=point["name"], kind="synthetic", rates=rates, volts=point["volts"], milliwatts=point["mW"])
        )
    for row in rows:
        rates = _classifier(row["cores"], row["fps"], frame)
        found.append(Point(name=row["title"], kind="classifier", rates=rates, volts=1.0, milliwatts=row["mW"]))
    boards = published["boards"]
    for point in boards["points"]:
        crossings = boards["crossings_per_chip"] * point["chips"] * point["fps"]
        rates = _classifier(boards["cores_per_chip"] * point["chips"], point["fps"], frame, crossings)
        found.append(
            Point(name=point["name"], kind="board", rates=rates, volts=boards["volts"], milliwatts=point["mW"])
        )
    return found


def _classifier(cores: int, fps: float, frame: Mapping[str, float], crossings: float = 0.0) -> Rates:
    return Rates(
        cores=cores,
        updates=cores * TRUENORTH.neurons * fps,
        events=frame["synaptic_events"] / frame["cores"] * cores * fps,
        hops=frame["hops"] / frame["cores"] * cores * fps,
        crossings=crossings,
    )


def modelled(logs: Float64[np.ndarray, " free"], known: Float64[np.ndarray, " constants"], point: Point) -> float:
    """Returns the power of a point [mW].

    Args:
        logs: logarithms of the constants in `POWER`, and of `traffic` behind them.
        known: logarithms of all constants; those of `POWER` do not count.
        point: what the chip did.
    """
    values = np.exp(np.concatenate([logs[:-1], known[len(POWER) :]]))
    factor = math.exp(logs[-1]) if point.kind != "synthetic" else 1.0
    rates = Rates(
        cores=point.rates.cores,
        updates=point.rates.updates,
        events=factor * point.rates.events,
        hops=factor * point.rates.hops,
        crossings=point.rates.crossings,
    )
    return float(parts(Constants(values=values[None]), rates, point.volts).sum())


def fit() -> dict[str, Any]:
    """Returns what `model.json` holds."""
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    paper = json.loads(PAPER.read_text(encoding="utf-8"))
    results = json.loads(ACTIVITY.read_text(encoding="utf-8"))
    chip = results["simulate"]["chip"]
    frame = {"cores": results["compile"]["cores"]} | {k: chip["per_frame"][k] for k in ("synaptic_events", "hops")}
    figures = published["figures"]
    prior = {name: (math.log(_at_one_volt(figures[name])), figures[name]["spread"]) for name in figures}
    start = [prior[name][0] if name in prior else math.log(START[name]) for name in POWER]
    known = np.array(start + [prior[name][0] for name in NAMES[len(POWER) :]])
    measured = points(published, paper["rows"], frame)
    free = [*POWER, "traffic"]

    def misfits(logs: Float64[np.ndarray, " free"]) -> Float64[np.ndarray, " misfits"]:
        of_points = [math.log(modelled(logs, known, p) / p.milliwatts) / SPREAD[p.kind] for p in measured]
        of_figures = [(logs[i] - prior[n][0]) / prior[n][1] for i, n in enumerate(free) if n in prior]
        return np.array(of_points + of_figures)

    found = least_squares(misfits, np.array([*start, prior["traffic"][0]]), x_scale=0.1)
    covariance = np.linalg.inv(found.jac.T @ found.jac)[:-1, :-1]
    told = [(p, modelled(found.x, known, p)) for p in measured]
    residuals = [
        {
            "name": p.name,
            "kind": p.kind,
            "volts": p.volts,
            "mW": p.milliwatts,
            "model_mW": mW,
            "off": mW / p.milliwatts - 1,
        }
        for p, mW in told
    ]
    classifiers = [math.log1p(r["off"]) for r in residuals if r["kind"] == "classifier"]
    event = event_time(prior["event_ns"], paper["rows"], chip["busiest"]["core_events"]["mean"])
    mean = np.concatenate([found.x[:-1], known[len(POWER) :]])
    mean[NAMES.index("event_ns")] = event["log_mean"]
    every = np.diag([prior.get(name, (0.0, 0.0))[1] ** 2 for name in NAMES])
    every[: len(POWER), : len(POWER)] = covariance
    every[NAMES.index("event_ns"), NAMES.index("event_ns")] = event["spread"] ** 2
    return {
        "about": "fitted by benchmarks/power.py to tncompile/analysis/data/published.yaml and experiments/paper.json",
        "names": list(NAMES),
        "constants": dict(zip(NAMES, np.exp(mean).tolist(), strict=True)),
        "mean": mean.tolist(),
        "covariance": every.tolist(),
        "scatter": float(np.sqrt(np.mean(np.square(classifiers)))),
        "traffic": float(np.exp(found.x[-1])),
        "our_frame": frame | {"busiest_core": chip["busiest"]["core_events"]["mean"]},
        "residuals": residuals,
        "speed": speed(mean, paper["rows"], chip),
    }


def event_time(prior: tuple[float, float], rows: Sequence[Mapping[str, Any]], busiest: float) -> dict[str, float]:
    """Returns how long a core takes for a synaptic event, the mean and spread of its logarithm.

    Frames a second of the paper say how long a tick was. How many events its busiest core made in one is not known; our
    CIFAR-10 net is the paper's, trained on the same images, so its number may be off by `TRAFFIC_ALIKE`, and for the
    nets of the other rows by `TRAFFIC_OTHER`. The peak of the whole chip is one more estimate.

    Args:
        prior: mean and spread of the logarithm, from the peak [ns].
        rows: of the paper.
        busiest: events of the busiest core of our CIFAR-10 net in a tick.
    """
    estimates = [prior]
    for row in rows:
        spread = TRAFFIC_ALIKE if row["row"] == "cifar10" else TRAFFIC_OTHER
        estimates.append((math.log(1e9 / row["fps"] / busiest), spread))
    weights = np.array([1 / spread**2 for _, spread in estimates])
    mean = float(np.average([log for log, _ in estimates], weights=weights))
    return {"log_mean": mean, "spread": math.sqrt(1 / weights.sum() + TRAFFIC_ALIKE**2)}


def speed(
    mean: Float64[np.ndarray, " constants"], rows: Sequence[Mapping[str, Any]], chip: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the frames a second of each row of the paper, if its net were as busy as ours for CIFAR-10."""
    constants, busiest = Constants(values=np.exp(mean)[None]), chip["busiest"]
    loads = [busiest[name]["mean"] for name in ("core_events", "link_packets", "edge_packets")]
    tick = ticks(constants, *loads, 1.0, TRUENORTH).max()
    return [
        {"name": row["title"], "fps": row["fps"], "model_fps": 1e6 / tick, "off": 1e6 / tick / row["fps"] - 1,
         "events_if_exact": 1e9 / row["fps"] / constants.of("event_ns")[0]}
        for row in rows
    ]  # fmt: skip


def _at_one_volt(figure: Mapping[str, Any]) -> float:
    """Returns a figure at 1.0 V: energies go with the square of the voltage, times as gates slow down."""
    volts = figure.get("volts")
    if volts is None:
        return float(figure["value"])
    if figure["unit"] == "ns":
        one = Constants(values=np.ones((1, len(NAMES))))
        return figure["value"] / float(ticks(one, 1000.0, 0.0, 0.0, volts, TRUENORTH)[0, 0])
    return figure["value"] / volts**2


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = fit()
    atomic_write(MODEL, json.dumps(found, indent=1) + "\n")
    for name, value in found["constants"].items():
        sd = math.sqrt(found["covariance"][NAMES.index(name)][NAMES.index(name)])
        print(f"{name:20} {value:12.4g}  ± {100 * 1.645 * sd:.0f} %")
    print(f"{'traffic':20} {found['traffic']:12.4g}\n{'scatter':20} {found['scatter']:12.4g}")
    for row in found["residuals"]:
        print(f"{row['name']:26} {row['mW']:8.1f} mW  {row['model_mW']:8.1f} mW  {100 * row['off']:+6.1f} %")
    for row in found["speed"]:
        print(f"{row['name']:26} {row['fps']:8.0f} /s  {row['model_fps']:8.0f} /s  {100 * row['off']:+6.1f} %")


if __name__ == "__main__":
    main()
