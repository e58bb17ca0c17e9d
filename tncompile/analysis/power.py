"""What a chip's power is made of, how short a tick it would manage, and how sure one can be of both.

Both are models of a few constants, fitted to what has been published (`benchmarks/power.py` fits them, and writes
`data/model.json`, which also has their covariance; `data/published.yaml` has what they are fitted to, with sources).

    power = leakage · cores + update · neuron updates/s + event · synaptic events/s + hop · hops/s
            + crossing · crossings/s
    tick  = max(event time · events of the busiest core, packets of the busiest link / what a link carries,
                packets of the busiest chip's edges / what they carry, the shortest tick there is)

Leakage grows with the supply voltage by a power that is fitted, too; the energies of neuron updates, events and hops
with its square, as charge and discharge of wires do; crossings have a supply of their own. Gates are
slower the lower it is.

Differs:
    Sensors, transduction and the host's link are left out, as in the paper. Temperature is not modelled, nor that chips
    of one kind differ. For cores of another size, leakage goes with the bits of a core's memory, a neuron update with
    those of its row, and hops with the length of a core's side; nobody has measured that.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.config.energy import NOMINAL_VOLTS, EnergyConstants
from tncompile.errors import InternalError
from tncompile.ir import Record

MODEL = Path(__file__).parent / "data" / "model.json"
"""The fitted constants."""

POWER = ("leak_uW", "leak_exponent", "update_pJ", "event_pJ", "hop_pJ", "crossing_pJ")
"""Constants of the power, at 1.0 V."""
SPEED = ("event_ns", "link_packets_per_s", "floor_us", "delay_exponent")
"""Constants of the tick, at 1.0 V."""
NAMES = (*POWER, *SPEED)
"""All of them. Each is a number above 0, and it is its logarithm that is normally distributed."""

PARTS = ("leakage", "neuron updates", "synaptic events", "hops", "chip crossings")
"""What power is made of."""
LIMITS = ("core", "link", "edge", "floor")
"""What can keep a tick from being shorter."""

_THRESHOLD_VOLTS = 0.40  # of the transistors, assumed: for how gates slow down
_NEURON_BITS = 154  # of a core's memory a neuron, beside its row of the crossbar: 410 − 256 (Akopyan 2015)


PerChip = float | Float64[np.ndarray, " chips"]
"""A number of one chip, or of each of many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a chip, or a board of chips, does in a second; or what each of many does.

    Attributes:
        cores: in use; the others are switched off.
        updates: neurons that are visited, all of each core in each tick [1/s].
        events: synaptic events [1/s].
        hops: of packets from router to router [1/s].
        crossings: of packets from chip to chip [1/s].
    """

    cores: PerChip
    updates: PerChip
    events: PerChip
    hops: PerChip
    crossings: PerChip = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Constants(Record):
    """The constants, as one or many possible sets.

    Attributes:
        values: in the order of `NAMES`.
        fixed: which of them are somebody's own, at the voltage in question, so that no rule of voltage or size applies.
    """

    values: Float64[np.ndarray, "sets constants"]
    fixed: frozenset[str] = frozenset()

    def of(self, name: str) -> Float64[np.ndarray, " sets"]:
        """Returns one constant."""
        return self.values[:, NAMES.index(name)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model(Record):
    """The fitted constants.

    Attributes:
        mean: of their logarithms, in the order of `NAMES`.
        covariance: of these.
        scatter: standard deviation of the logarithm of measured power about that of the model.
        about: how they were fitted, and to what.
    """

    mean: Float64[np.ndarray, " constants"]
    covariance: Float64[np.ndarray, "constants constants"]
    scatter: float
    about: str

    def best(self, own: EnergyConstants | None = None) -> Constants:
        """Returns the likeliest constants, some of them replaced by somebody's own."""
        return _replaced(np.exp(self.mean)[None], own)

    def draw(self, count: int, own: EnergyConstants | None = None) -> Constants:
        """Returns sets of constants that are as likely as each other, the same ones each time."""
        normal = np.random.default_rng(0).standard_normal((count, len(self.mean)))
        size, axes = np.linalg.eigh(self.covariance)
        return _replaced(np.exp(self.mean + normal * np.sqrt(np.maximum(size, 0)) @ axes.T), own)


@functools.cache
def fitted() -> Model:
    """Returns the model that tncompile comes with."""
    found = json.loads(MODEL.read_text(encoding="utf-8"))
    if tuple(found["names"]) != NAMES:
        raise InternalError(f"{MODEL}: has the constants {found['names']}; fit them again with benchmarks/power.py")
    return Model(
        mean=np.array(found["mean"]),
        covariance=np.array(found["covariance"]),
        scatter=float(found["scatter"]),
        about=found["about"],
    )


def parts(
    constants: Constants, rates: Rates, volts: PerChip, arch: ChipArch = TRUENORTH
) -> Float64[np.ndarray, "sets_or_chips parts"]:
    """Returns the power of each of `PARTS` [mW].

    Args:
        constants: one or many sets; one if there are many chips.
        rates: what the chip does.
        volts: its supply voltage [V].
        arch: its cores.

    >>> one = Constants(values=np.array([[30.0, 4.0, 26.0, 1.9, 3.8, 832.0, 60.0, 4e7, 47.6, 1.3]]))
    >>> busy = Rates(cores=4096.0, updates=1e9, events=0.0, hops=0.0)
    >>> parts(one, busy, 1.0).round(1).tolist()
    [[122.9, 26.0, 0.0, 0.0, 0.0]]
    """
    memory, row, side = _sizes(arch)
    leak = constants.of("leak_uW")
    if "leak_uW" not in constants.fixed:
        leak = leak * memory * volts ** constants.of("leak_exponent")
    scale = {"update_pJ": row * volts**2, "event_pJ": volts**2, "hop_pJ": side * volts**2, "crossing_pJ": 1.0}
    energy = {name: constants.of(name) * (1.0 if name in constants.fixed else factor) for name, factor in scale.items()}
    milliwatts = [
        leak * rates.cores * 1e-3,
        *(
            energy[name] * rate * 1e-9
            for name, rate in zip(scale, (rates.updates, rates.events, rates.hops, rates.crossings), strict=True)
        ),
    ]
    return np.stack(np.broadcast_arrays(*milliwatts), axis=1)


def ticks(
    constants: Constants, core_events: float, link_packets: float, edge_packets: float, volts: float, arch: ChipArch
) -> Float64[np.ndarray, "sets limits"]:
    """Returns how long each of `LIMITS` makes a tick at least [µs]; the longest of these is the tick.

    Args:
        constants: one or many sets.
        core_events: synaptic events of the busiest core in a tick.
        link_packets: packets on the busiest link between two routers.
        edge_packets: packets over the four sides of the busiest chip.
        volts: the supply voltage [V].
        arch: the board, which says what the sides of a chip carry.
    """
    slower = (volts / NOMINAL_VOLTS) * (
        (NOMINAL_VOLTS - _THRESHOLD_VOLTS) / (volts - _THRESHOLD_VOLTS)
    ) ** constants.of("delay_exponent")
    lengths = {
        "event_ns": constants.of("event_ns") * core_events * 1e-3,
        "link_packets_per_s": link_packets / constants.of("link_packets_per_s") * 1e6,
        "edge": np.full(len(constants.values), edge_packets / arch.edge_spikes_per_s * 1e6),  # of a supply of its own
        "floor_us": constants.of("floor_us"),
    }
    as_given = {*constants.fixed, "edge"}
    return np.stack([length * (1.0 if name in as_given else slower) for name, length in lengths.items()], axis=1)


def _sizes(arch: ChipArch) -> tuple[float, float, float]:
    """Returns a core's memory, the row of a neuron and the side of a core, as multiples of TrueNorth's."""

    def row(chip: ChipArch) -> int:
        return chip.axons + _NEURON_BITS

    memory = arch.neurons * row(arch) / (TRUENORTH.neurons * row(TRUENORTH))
    return memory, row(arch) / row(TRUENORTH), memory**0.5


def _replaced(values: Float64[np.ndarray, "sets constants"], own: EnergyConstants | None) -> Constants:
    """Returns the constants with somebody's own in their places."""
    chosen: Mapping[str, Any] = {} if own is None else own.model_dump(exclude_none=True)
    values = values.copy()
    for name, value in chosen.items():
        values[:, NAMES.index(name)] = value
    return Constants(values=values, fixed=frozenset(chosen))
