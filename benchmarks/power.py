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

SPREAD = {"synthetic": 0.05, "classifier": 0.08, "board": 0.25}
"""How far a published power may be off, by kind of point: the standard deviation of its logarithm."""
TRAFFIC_ALIKE, TRAFFIC_OTHER, TRAFFIC_COMMON = 0.15, 0.50, 0.15
"""How far a core's events may be off between two trainings of a net, between nets for other data, and for all nets
alike, since a tick is taken from the mean over frames of the busiest core: as `SPREAD`."""
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
            cores=float(synthetic["cores"]),
            updates=float(neurons * synthetic["ticks_per_s"]),
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
        crossings = float(boards["crossings_per_chip"] * point["chips"] * point["fps"])
        rates = _classifier(boards["cores_per_chip"] * point["chips"], point["fps"], frame, crossings)
        found.append(
            Point(name=point["name"], kind="board", rates=rates, volts=boards["volts"], milliwatts=point["mW"])
        )
    return found


def _classifier(cores: int, fps: float, frame: Mapping[str, float], crossings: float = 0.0) -> Rates:
    return Rates(
        cores=float(cores),
        updates=float(cores * TRUENORTH.neurons * fps),
        events=frame["synaptic_events"] / frame["cores"] * cores * fps,
        hops=frame["hops"] / frame["cores"] * cores * fps,
        crossings=crossings,
    )


def modelled(
    logs: Float64[np.ndarray, " free"], known: Float64[np.ndarray, " constants"], measured: Sequence[Point]
) -> Float64[np.ndarray, " points"]:
    """Returns the power of points [mW].

    Args:
        logs: logarithms of the constants in `POWER`, and of `traffic` behind them.
        known: logarithms of all constants; those of `POWER` do not count.
        measured: the points.
    """
    constants = Constants(values=np.exp(np.concatenate([logs[:-1], known[len(POWER) :]]))[None])
    factor = np.array([1.0 if point.kind == "synthetic" else math.exp(logs[-1]) for point in measured])

    def of(name: str) -> Float64[np.ndarray, " points"]:
        return np.array([getattr(point.rates, name) for point in measured])

    rates = Rates(
        cores=of("cores"),
        updates=of("updates"),
        events=factor * of("events"),
        hops=factor * of("hops"),
        crossings=of("crossings"),
    )
    return parts(constants, rates, np.array([point.volts for point in measured])).sum(axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is known of each constant before a fit: the mean and the spread of its logarithm.

    Attributes:
        mean: of those of `NAMES` and of `traffic`; where nothing is known, where the search begins.
        spread: of those of which something is known.
    """

    mean: Mapping[str, float]
    spread: Mapping[str, float]

    @property
    def logs(self) -> Float64[np.ndarray, " constants"]:
        """The means in the order of `NAMES`."""
        return np.array([self.mean[name] for name in NAMES])


def prior_of(figures: Mapping[str, Any]) -> Prior:
    """Returns what `data/published.yaml` says of single constants."""
    start = {name: math.log(value) for name, value in START.items()}
    return Prior(
        mean=start | {name: math.log(_at_one_volt(figure)) for name, figure in figures.items()},
        spread={name: float(figure["spread"]) for name, figure in figures.items()},
    )


def solve(
    measured: Sequence[Point], prior: Prior
) -> tuple[Float64[np.ndarray, " free"], Float64[np.ndarray, "free free"]]:
    """Returns the logarithms of the constants in `POWER` and of `traffic` that fit best, and their covariance."""
    free, known = [*POWER, "traffic"], prior.logs
    published = np.array([point.milliwatts for point in measured])
    spread = np.array([SPREAD[point.kind] for point in measured])

    def misfits(logs: Float64[np.ndarray, " free"]) -> Float64[np.ndarray, " misfits"]:
        of_points = np.log(modelled(logs, known, measured) / published) / spread
        of_figures = [(logs[i] - prior.mean[n]) / prior.spread[n] for i, n in enumerate(free) if n in prior.spread]
        return np.concatenate([of_points, of_figures])

    found = least_squares(misfits, np.array([prior.mean[name] for name in free]), x_scale=0.1)
    return found.x, np.linalg.inv(found.jac.T @ found.jac)


def fit() -> dict[str, Any]:
    """Returns what `model.json` holds."""
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    rows = json.loads(PAPER.read_text(encoding="utf-8"))["rows"]
    results = json.loads(ACTIVITY.read_text(encoding="utf-8"))
    chip = results["simulate"]["chip"]
    frame = {"cores": results["compile"]["cores"]} | {k: chip["per_frame"][k] for k in ("synaptic_events", "hops")}
    prior, measured = prior_of(published["figures"]), points(published, rows, frame)
    logs, covariance = solve(measured, prior)
    residuals = []
    for i, point in enumerate(measured):
        others, _ = solve(measured[:i] + measured[i + 1 :], prior)
        of_all, of_others = (float(modelled(each, prior.logs, [point])[0]) for each in (logs, others))
        residuals.append(
            {
                "name": point.name,
                "kind": point.kind,
                "volts": point.volts,
                "mW": point.milliwatts,
                "model_mW": of_all,
                "off": of_all / point.milliwatts - 1,
                "off_if_held_out": of_others / point.milliwatts - 1,
            }
        )
    # Those that a net will have which nothing was fitted to.
    classifiers = [math.log1p(row["off_if_held_out"]) for row in residuals if row["kind"] == "classifier"]
    busiest = chip["busiest"]["core_events"]["mean"]
    event, spread = event_time((prior.mean["event_ns"], prior.spread["event_ns"]), rows, busiest)
    mean = np.concatenate([logs[:-1], prior.logs[len(POWER) :]])
    every = np.diag([prior.spread.get(name, 0.0) ** 2 for name in NAMES])
    every[: len(POWER), : len(POWER)] = covariance[:-1, :-1]
    at = NAMES.index("event_ns")
    mean[at], every[at, at] = event, spread**2
    return {
        "about": "fitted by benchmarks/power.py to tncompile/analysis/data/published.yaml and experiments/paper.json",
        "names": list(NAMES),
        "constants": dict(zip(NAMES, np.exp(mean).tolist(), strict=True)),
        "mean": mean.tolist(),
        "covariance": every.tolist(),
        "scatter": float(np.sqrt(np.mean(np.square(classifiers)))),
        "traffic": float(np.exp(logs[-1])),
        "our_frame": frame | {"busiest_core": busiest},
        "residuals": residuals,
        "speed": speed(mean, rows, chip),
    }


def event_time(prior: tuple[float, float], rows: Sequence[Mapping[str, Any]], busiest: float) -> tuple[float, float]:
    """Returns how long a core takes for a synaptic event: the mean and the spread of its logarithm.

    Frames a second of the paper say how long a tick was. How many events its busiest core made in one is not known; our
    CIFAR-10 net is the paper's, trained on the same images, so its number may be off by `TRAFFIC_ALIKE`, and for the
    nets of the other rows by `TRAFFIC_OTHER`; by `TRAFFIC_COMMON` for all rows together, which eight rows do not
    average out, and once more for the net that the constant is used for. The peak of the whole chip is one more
    estimate.

    Args:
        prior: mean and spread of the logarithm, from the peak [ns].
        rows: of the paper.
        busiest: events of the busiest core of our CIFAR-10 net in a tick.
    """
    logs = [math.log(1e9 / row["fps"] / busiest) for row in rows]
    weights = [(TRAFFIC_ALIKE if row["row"] == "cifar10" else TRAFFIC_OTHER) ** -2 for row in rows]
    of_rows = float(np.average(logs, weights=weights))
    sure = [prior[1] ** -2, 1 / (1 / sum(weights) + TRAFFIC_COMMON**2)]
    mean = float(np.average([prior[0], of_rows], weights=sure))
    return mean, math.sqrt(1 / sum(sure) + TRAFFIC_COMMON**2)


def speed(
    mean: Float64[np.ndarray, " constants"], rows: Sequence[Mapping[str, Any]], chip: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the frames a second of each row of the paper, if its net were as busy as ours for CIFAR-10."""
    constants, busiest = Constants(values=np.exp(mean)[None]), chip["busiest"]
    core, link, edge = (busiest[name]["mean"] for name in ("core_events", "link_packets", "edge_packets"))
    tick = ticks(constants, core, link, edge, 1.0, TRUENORTH).max()
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
    if figure["unit"] in ("ns", "us"):
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
        offs = f"{100 * row['off']:+6.1f} %, held out {100 * row['off_if_held_out']:+6.1f} %"
        print(f"{row['name']:26} {row['mW']:8.1f} mW  {row['model_mW']:8.1f} mW  {offs}")
    for row in found["speed"]:
        print(f"{row['name']:26} {row['fps']:8.0f} /s  {row['model_fps']:8.0f} /s  {100 * row['off']:+6.1f} %")


if __name__ == "__main__":
    main()
