"""How power and speed of the chip are estimated."""

from __future__ import annotations

from pydantic import Field

from tncompile.config.base import Config

NOMINAL_VOLTS = 1.0
"""Supply voltage at which the networks of Esser et al. 2016 were measured [V]."""


VOLTS = (0.70, 1.05)
"""Supply voltages of TrueNorth's cores of which something is known, lowest and highest [V]."""


class EnergyConstants(Config):
    """Constants of a chip in place of the fitted ones, as they are at its `voltage`; left out: the fitted one."""

    leak_uW: float | None = Field(default=None, ge=1e-6, le=1e6, description="leakage of a core [µW]")
    update_pJ: float | None = Field(default=None, ge=1e-6, le=1e6, description="visit of a neuron, one a tick [pJ]")
    event_pJ: float | None = Field(default=None, ge=1e-6, le=1e6, description="synaptic event [pJ]")
    hop_pJ: float | None = Field(default=None, ge=1e-6, le=1e6, description="packet from one router to the next [pJ]")
    crossing_pJ: float | None = Field(
        default=None, ge=1e-6, le=1e6, description="packet from one chip to the next [pJ]"
    )
    event_ns: float | None = Field(
        default=None, ge=1e-6, le=1e6, description="time that a core takes for a synaptic event [ns]"
    )
    link_packets_per_s: float | None = Field(
        default=None, ge=1.0, le=1e15, description="packets that a link between two routers carries [1/s]"
    )
    floor_us: float | None = Field(
        default=None, ge=1e-6, le=1e6, description="shortest tick, however little there is to do [µs]"
    )


class EnergyConfig(Config):
    """What power and frames a second of the chip are estimated for, from the spikes in a simulation."""

    voltage: float = Field(
        default=NOMINAL_VOLTS, ge=VOLTS[0], le=VOLTS[1], description="supply voltage of the cores [V]"
    )
    frames: int = Field(
        default=100,
        ge=0,
        description="simulated images, evenly spread over all, in which events are counted; 0: no estimate",
    )
    constants: EnergyConstants = Field(
        default=EnergyConstants(), description="of another chip; left out: fitted to what is published of TrueNorth"
    )
