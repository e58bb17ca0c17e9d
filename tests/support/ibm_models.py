"""Small models in IBM's format, as data to be changed and written, and spikes through the oracle."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from tncompile.ir import ChipImage
from tncompile.reference import chip
from tncompile.sim.spikes import InputSpikes
from tncompile.sim.stream import with_inputs

CASES = Path(__file__).parents[3] / "shared" / "conformance"
"""Cases that IBM's own tools made, beside the checkout; not everybody has them."""


def neuron_type(number: int, **changes: Any) -> dict[str, Any]:
    """Returns a neuron type: weights 2, −1, 3, 1, no leak, threshold 1, reset to 0."""
    fields: dict[str, Any] = {"name": f"N{number:08X}", "class": "NeuronGeneral"}
    fields |= dict(zip(("sigma0", "sigma1", "sigma2", "sigma3"), (1, -1, 1, 1), strict=True))
    fields |= dict(zip(("s0", "s1", "s2", "s3"), (2, 1, 3, 1), strict=True))
    fields |= dict.fromkeys(("b0", "b1", "b2", "b3"), False)
    fields |= {"sigma_lambda": -1, "lambda": 0, "c_lambda": False, "epsilon": False, "alpha": 1, "beta": 0, "TM": 0}
    fields |= {"gamma": 0, "kappa": True, "sigma_VR": 1, "VR": 0, "V": 0}
    return fields | changes


def rows(size: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Returns a random crossbar."""
    rng = np.random.default_rng(seed)
    bits = rng.random((size, size)) < 0.4
    return [
        {"type": f"S{int(rng.integers(4))}", "synapses": np.packbits(row).tobytes().hex(" ").upper()} for row in bits
    ]


def small_model() -> dict[str, Any]:
    """Returns a model of two cores of 16 axons and neurons, with a loop between them and three output pins."""
    return {
        "model": {
            "coreCount": 2,
            "neuronclass": "NeuronGeneral",
            "crossbarSize": 16,
            "crossbarclass": "CrossbarBinary",
            "buildKey64": "none",
            "networking": "INTRA",
            "useCrossbarPrototypes": True,
        },
        "crossbarTypes": [{"name": "coreProt0000001", "crossbar": {"rows": rows(16, seed=1)}}],
        "neuronTypes": [
            neuron_type(1),
            neuron_type(31, gamma=1, alpha=3, beta=2, kappa=False, sigma_VR=-1, VR=2, V=-1),
            neuron_type(2, s0=0, s2=0, **{"lambda": 1, "sigma_lambda": 1, "epsilon": True, "alpha": 5, "gamma": 2}),
        ],
        "core": [
            {
                "metadata": {"coreletClass": "a_corelet", "coreletId": 1, "coreNumber": 0, "parentCoreletId": [0]},
                "id": 0,
                "timeScaleExponent": 0,
                "rngSeed": 4294967295,
                "neurons": {
                    "dendrites": ["0:15"],
                    "types": ["1x8", "31x4", 2, "1x3"],
                    "destCores": ["1x8", "0x4", "-2x4"],
                    "destAxons": ["0:7", "12:15", "-1x4"],
                    "destDelays": ["1x6", "2:5", "1x6"],
                },
                "crossbar": {"name": "coreProt0000001"},
            },
            {
                "id": 1,
                "timeScaleExponent": 0,
                "rngSeed": 1,
                "neurons": {
                    "dendrites": ["0:15"],
                    "types": ["31x6", "1x6", "0x4"],
                    "destCores": ["0x6", "-32x2", "-33x2", "-1x6"],
                    "destAxons": ["0:2:10", 0, 3, "0x2", "0x6"],
                    "destDelays": [15, "3:7", "1x10"],
                },
                "crossbar": {"rows": rows(16, seed=2)},
            },
        ],
    }


def changed(model: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Returns a model with one value set, or, if `value` is ..., removed; the path has keys and numbers and dots."""
    model = copy.deepcopy(model)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = model
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return model


def text(model: dict[str, Any]) -> str:
    """Returns a model as IBM's tools write it: with the key `core` once a core."""
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in model.items() if key != "core"]
    parts += [f'"core": {json.dumps(core)}' for core in model.get("core", [])]
    return "{" + ",\n".join(parts) + "}"


def write(path: Path, model: dict[str, Any]) -> Path:
    """Writes a model to a file and returns its path."""
    path.write_text(text(model), encoding="utf-8")
    return path


def run(image: ChipImage, spikes: InputSpikes, ticks: int) -> Bool[np.ndarray, "ticks pins"]:
    """Returns what the oracle puts on the output pins when all these spikes, to axons and input bits, are sent."""
    to_bit = spikes.core < 0
    columns = np.stack([spikes.core, spikes.axon, spikes.delay], axis=1)
    addresses, address = np.unique(columns[~to_bit], axis=0, return_inverse=True)
    frames = np.zeros((ticks, image.input_bits + len(addresses)), bool)
    frames[spikes.tick[to_bit], spikes.axon[to_bit]] = True
    frames[spikes.tick[~to_bit], image.input_bits + address] = True
    return chip.run(with_inputs(image, addresses), frames, ticks)
