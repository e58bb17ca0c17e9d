"""What a model file of IBM's means, neuron by neuron and in its own terms. Imports nothing of ours.

Written beside the description of the format: run-length lists are expanded before, all numbers are the file's.
"""

from __future__ import annotations

import json
import random
from typing import Any

Model = dict[str, Any]
Spike = tuple[int, int, int]
"""Tick, core and axon."""
LOW, HIGH = -(1 << 19), (1 << 19) - 1


def simulate(model: Model, spikes: list[Spike], ticks: int) -> list[tuple[int, int, int, int]]:
    """Returns tick, source core, source neuron and output pin of all output spikes, lists of the model expanded."""
    size = model["model"]["crossbarSize"]
    types = {int(kind["name"][1:], 16): kind for kind in model["neuronTypes"]}
    library = {item["name"]: item["crossbar"]["rows"] for item in model["crossbarTypes"]}
    neurons = {}
    for core in model["core"]:
        rows = core["crossbar"].get("rows") or library[core["crossbar"]["name"]]
        bits = [f"{int(row['synapses'].replace(' ', ''), 16):0{size}b}" for row in rows]
        lists = core["neurons"]
        for n in range(size):
            if lists["types"][n]:
                kind = types[lists["types"][n]]
                column = lists["dendrites"][n]
                weights = [
                    kind[f"sigma{row['type'][1]}"] * kind[f"s{row['type'][1]}"] * int(bits[axon][column])
                    for axon, row in enumerate(rows)
                ]
                goal = tuple(lists[key][n] for key in ("destCores", "destAxons", "destDelays"))
                neurons[core["id"], n] = {"kind": kind, "weights": weights, "goal": goal, "V": kind["V"]}

    arriving: dict[int, set[tuple[int, int]]] = {}
    for tick, core, axon in spikes:
        arriving.setdefault(tick + 1, set()).add((core, axon))
    fired = []
    for tick in range(ticks):
        active = arriving.pop(tick, set())
        for (core, n), neuron in neurons.items():
            potential = neuron["V"] + sum(neuron["weights"][axon] for where, axon in active if where == core)
            spike, neuron["V"] = evaluate(neuron["kind"], clipped(potential))
            goal, axon, delay = neuron["goal"]
            if spike and goal >= 0:
                arriving.setdefault(tick + delay, set()).add((goal, axon))
            elif spike and goal <= -32:
                fired.append((tick, core, n, axon + 256 * (-32 - goal)))
    return fired


def evaluate(kind: Model, potential: int) -> tuple[bool, int]:
    """Returns whether a neuron spikes, and its potential at the tick's end, from that behind the synapses."""
    leak = kind["sigma_lambda"] * kind["lambda"]
    if kind["epsilon"]:
        before = potential
        potential += leak * ((before > 0) - (before < 0))
        if before * potential < 0:
            potential = 0
    else:
        potential += leak
    potential = clipped(potential)
    alpha, beta, reset = kind["alpha"], kind["beta"], kind["sigma_VR"] * (2 ** kind["VR"] - 1)
    if potential >= alpha:
        return True, clipped((reset, potential - alpha, potential)[kind["gamma"]])
    if potential < -beta:
        return False, clipped(-beta if kind["kappa"] else (-reset, potential + beta, potential)[kind["gamma"]])
    return False, potential


def clipped(value: int) -> int:
    return max(LOW, min(HIGH, value))


def random_model(seed: int) -> tuple[Model, list[Spike]]:
    """Returns a model that uses everything in the format that is not random, its lists expanded, and input spikes."""
    rng = random.Random(seed)
    size = rng.choice((8, 16, 24))
    cores = rng.sample(range(rng.choice((5, 100, 5000))), rng.randint(1, 4))
    numbers = rng.sample(range(1, rng.choice((20, 300))), rng.randint(1, 8))
    pins = rng.choice((1, 5, 300, 700))

    def kind(number: int) -> Model:
        large = rng.choice((3, 3, 20, 255))
        return {
            "name": f"N{number:08X}",
            "class": "NeuronGeneral",
            **{f"sigma{i}": rng.choice((-1, 1)) for i in range(4)},
            **{f"s{i}": rng.randint(0, large) for i in range(4)},
            **dict.fromkeys(("b0", "b1", "b2", "b3", "c_lambda"), False),
            "sigma_lambda": rng.choice((-1, 1)),
            "lambda": rng.choice((0, 0, rng.randint(0, large))),
            "epsilon": rng.random() < 0.4,
            "alpha": rng.choice((0, 1, 1, rng.randint(0, 3 * large), rng.randint(0, 262143))),
            "beta": rng.choice((0, rng.randint(0, 3 * large), 262143)),
            "TM": 0,
            "gamma": rng.choice((0, 0, 1, 2)),
            "kappa": rng.random() < 0.5,
            "sigma_VR": rng.choice((-1, 1)),
            "VR": rng.choice((0, 0, 1, 2, 5, 19)),
            "V": rng.choice((0, 0, rng.randint(-large, large), LOW, HIGH)),
        }

    def rows() -> list[Model]:
        density = rng.choice((0.05, 0.2, 0.5))
        bits = ("".join(str(int(rng.random() < density)) for _ in range(size)) for _ in range(size))
        texts = (f"{int(row, 2):0{size // 4}X}" for row in bits)
        return [
            {"type": f"S{rng.randrange(4)}", "synapses": " ".join(text[i : i + 2] for i in range(0, len(text), 2))}
            for text in texts
        ]

    def goal() -> tuple[int, int, int]:
        where = rng.random()
        if where < 0.5:
            return rng.choice(cores), rng.randrange(size), rng.randint(1, 15)
        if where < 0.85:
            pin = rng.randrange(pins)
            return -32 - pin // 256, pin % 256, rng.randint(1, 15)
        return rng.choice(((-1, 0, 1), (-1, -1, 0), (-2, -1, 1)))

    library = [{"name": f"coreProt{i:07}", "crossbar": {"rows": rows()}} for i in range(rng.randint(1, 2))]
    described = []
    for number in cores:
        goals = [goal() for _ in range(size)]
        described.append(
            {
                "id": number,
                "timeScaleExponent": 0,
                "rngSeed": rng.randrange(1 << 32),
                "neurons": {
                    "dendrites": rng.sample(range(size), size) if rng.random() < 0.4 else [*range(size)],
                    "types": rng.choices([0, *numbers], k=size),
                    **dict(
                        zip(("destCores", "destAxons", "destDelays"), map(list, zip(*goals, strict=True)), strict=True)
                    ),
                },
                "crossbar": {"name": rng.choice(library)["name"]} if rng.random() < 0.6 else {"rows": rows()},
            }
        )
    model = {
        "model": {"coreCount": len(cores), "crossbarSize": size},
        "crossbarTypes": library,
        "neuronTypes": [kind(number) for number in numbers],
        "core": described,
    }
    spikes = [(rng.randrange(30), rng.choice(cores), rng.randrange(size)) for _ in range(rng.choice((0, 20, 200)))]
    return model, spikes + spikes[:3]


def with_runs(model: Model, seed: int) -> Model:
    """Returns the model with its lists as runs, as IBM's tools write them or a little otherwise."""
    rng = random.Random(seed)
    model = json.loads(json.dumps(model))
    for core in model["core"]:
        core["neurons"] = {key: runs(values, rng) for key, values in core["neurons"].items()}
    return model


def runs(values: list[int], rng: random.Random) -> list[int | str]:
    found: list[int | str] = []
    start = 0
    while start < len(values):
        step = values[start + 1] - values[start] if start + 1 < len(values) else 0
        end = start
        while end + 1 < len(values) and values[end + 1] - values[end] == step:
            end += 1
        if end == start or rng.random() < 0.2:
            found.append(rng.choice((values[start], str(values[start]))))
            end = start
        elif step == 0:
            found.append(f"{values[start]}x{end - start + 1}")
        else:
            found.append(f"{values[start]}:{values[end]}" if step == 1 else f"{values[start]}:{step}:{values[end]}")
        start = end + 1
    return found
