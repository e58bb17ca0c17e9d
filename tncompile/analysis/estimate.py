"""What a chip would make of a run: power, frames a second and what limits them, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int32, Int64

from tncompile.analysis.events import Events
from tncompile.analysis.link_load import side_load
from tncompile.analysis.power import LIMITS, PARTS, Constants, Model, Rates, fitted, parts, ticks
from tncompile.analysis.traffic import paths
from tncompile.arch import ChipArch
from tncompile.config.energy import EnergyConfig
from tncompile.ir import ChipImage, Record

CONFIDENCE = 0.90
"""Share of the possible chips that an interval holds, if the model is right."""

_DRAWS = 4096  # sets of constants that stand for how sure one can be of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure and how sure one can be of it.

    Attributes:
        value: the likeliest.
        low, high: it lies between them with a probability of `CONFIDENCE`.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers(Record):
    """Which layer each core and neuron of a chip belongs to.

    Attributes:
        names: in the order of the data's way.
        core: a row of `names` each.
        neuron: that of the value that each neuron carries; −1 for one that carries none.
    """

    names: tuple[str, ...]
    core: Int32[np.ndarray, " cores"]
    neuron: Int32[np.ndarray, "cores neurons"]


def estimate(
    events: Events,
    image: ChipImage,
    config: EnergyConfig,
    layers: Layers,
    model: Model | None = None,
    *,
    tick: Literal["mean", "most"] = "mean",
) -> dict[str, Any]:
    """Returns power, speed and what they are made of, as JSON data.

    One frame enters a tick, so what is counted in a tick is what is done for a frame. A tick is taken to be as long as
    the busiest core needs on average over the frames, as the constants are fitted to the same; where ticks are not
    alike, as in runs of spikes, the longest of them is safe.

    Args:
        events: what was counted, at least one tick.
        image: the chip.
        config: supply voltage and constants.
        layers: of the chip.
        model: the constants; None: the fitted ones.
        tick: which of the ticks says how long all are.
    """
    arch, model = ChipArch.model_validate_json(image.arch), model or fitted()
    best, drawn = model.best(config.constants), model.draw(_DRAWS, config.constants)
    # All figures of one set of constants belong together: the power at a speed is that of the very speed.
    scatter = np.exp(model.scatter * np.random.default_rng(1).standard_normal(_DRAWS))
    frame = per_frame(events, image, arch)
    busiest = {
        "core_events": _series(events.busiest_core),
        "link_packets": _series(events.busiest_link),
        "edge_packets": _series(events.busiest_edge),
    }
    core, link, edge = (row[tick] for row in busiest.values())

    def figures(constants: Constants, off: Float64[np.ndarray, " sets"]) -> dict[str, np.ndarray]:
        lengths = ticks(constants, core, link, edge, config.voltage, arch)
        length = lengths.max(axis=1)
        fps = 1e6 / length
        power = _power(constants, frame, len(image.core_x), fps, config.voltage, arch) * off[:, None]
        nominal = _power(
            constants, frame, len(image.core_x), np.full(len(fps), float(arch.ticks_per_s)), config.voltage, arch
        )
        total = power.sum(axis=1)
        found = {
            "tick_us": length,
            "frames_per_s": fps,
            "power_mW": total,
            "frames_per_s_per_W": fps / total * 1e3,
            "energy_per_frame_uJ": total / fps * 1e3,
            "power_at_nominal_mW": nominal.sum(axis=1) * off,
        }
        if image.latency >= 0:
            found["latency_ms"] = image.latency * length * 1e-3
        shares = {f"breakdown_mW/{part}": power[:, i] for i, part in enumerate(PARTS)}
        return found | shares | {f"ticks_by_limit_us/{name}": lengths[:, i] for i, name in enumerate(LIMITS)}

    values, spread = figures(best, np.ones(1)), figures(drawn, scatter)
    found = {name: asdict(_interval(float(values[name][0]), spread[name])) for name in values}
    if found["tick_us"]["value"] > 1e6 / arch.ticks_per_s:
        del found["power_at_nominal_mW"]  # the chip is too slow for that
    limit = max(LIMITS, key=lambda name: found[f"ticks_by_limit_us/{name}"]["value"])
    speed = np.array([found["frames_per_s"]["value"]])
    hot = int(events.core_events.argmax())
    return {
        "counted_frames": events.ticks,
        "confidence": CONFIDENCE,
        "voltage_V": config.voltage,
        "per_frame": frame,
        "busiest": busiest,
        "limit": limit,
        "busiest_core": {
            "core": hot,
            "x": int(image.core_x[hot]),
            "y": int(image.core_y[hot]),
            "layer": layers.names[layers.core[hot]],
        },
        **_nested(found),
        "layers": [
            {
                **row,
                "power_mW": float(
                    _power(best, row | {"crossings": 0.0}, row["cores"], speed, config.voltage, arch).sum()
                ),
            }
            for row in by_layer(events, image, layers)
        ],
    }


def per_frame(events: Events, image: ChipImage, arch: ChipArch) -> dict[str, float]:
    """Returns what is done for a frame, on average."""
    count = max(events.ticks, 1)
    return {
        "synaptic_events": float(events.tick_events.sum()) / count,
        "spikes": float(events.tick_spikes.sum()) / count,
        "hops": float(events.tick_hops.sum()) / count,
        "host_packets": float(events.tick_inputs.sum()) / count,
        "neuron_updates": float(image.neuron_type.size),
        "crossings": float(side_load(events.load, arch).sum()) / count,
    }


def by_layer(events: Events, image: ChipImage, layers: Layers) -> list[dict[str, Any]]:
    """Returns what each layer does for a frame, on average, a row each.

    Synaptic events are those in its cores; spikes and hops those of the neurons that carry its values, splitters' too,
    wherever they stand. The rate is spikes a neuron and frame.
    """
    count, packets = max(events.ticks, 1), paths(image)
    hops = (np.abs(packets.dx.astype(np.int64)) + np.abs(packets.dy)) * packets.sends * events.spikes
    carries = layers.neuron >= 0
    number = layers.neuron[carries]

    def sums(weight: Int64[np.ndarray, " carrying"]) -> Float64[np.ndarray, " layers"]:
        return np.bincount(number, weights=weight, minlength=len(layers.names))

    neurons, spikes = sums(np.ones(len(number), np.int64)), sums(events.spikes[carries])
    travelled = sums(hops[carries])
    cores = np.bincount(layers.core, minlength=len(layers.names))
    done = np.bincount(layers.core, weights=events.core_events, minlength=len(layers.names))
    silent = sums((events.spikes[carries] == 0).astype(np.int64))
    return [
        {
            "layer": name,
            "cores": int(cores[i]),
            "neurons": int(neurons[i]),
            "silent_neurons": int(silent[i]),
            "spikes": spikes[i] / count,
            "rate": spikes[i] / count / neurons[i] if neurons[i] else 0.0,
            "neuron_updates": float(cores[i] * image.neuron_type.shape[1]),
            "synaptic_events": done[i] / count,
            "hops": travelled[i] / count,
        }
        for i, name in enumerate(layers.names)
        if cores[i] or neurons[i]
    ]


def _power(
    constants: Constants,
    frame: Mapping[str, Any],
    cores: int,
    fps: Float64[np.ndarray, " sets"],
    volts: float,
    arch: ChipArch,
) -> Float64[np.ndarray, "sets parts"]:
    """Returns the power at so many frames a second: leakage, and the energy of a frame as often."""
    standing = parts(constants, Rates(cores=float(cores), updates=0.0, events=0.0, hops=0.0), volts, arch)
    moving = parts(
        constants,
        Rates(
            cores=0.0,
            updates=frame["neuron_updates"],
            events=frame["synaptic_events"],
            hops=frame["hops"],
            crossings=frame["crossings"],
        ),
        volts,
        arch,
    )
    return standing + moving * fps[:, None]


def _interval(value: float, drawn: Float64[np.ndarray, " sets"]) -> Interval:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value=value, low=float(low), high=float(high))


def _series(packets: Int64[np.ndarray, " ticks"]) -> dict[str, float]:
    return {"mean": float(packets.mean()), "most": float(packets.max())}


def _nested(found: dict[str, Any]) -> dict[str, Any]:
    """Returns the figures with those of `a/b` as a mapping a."""
    nested: dict[str, Any] = {}
    for name, value in found.items():
        first, _, second = name.partition("/")
        if second:
            nested.setdefault(first, {})[second] = value
        else:
            nested[first] = value
    return nested
