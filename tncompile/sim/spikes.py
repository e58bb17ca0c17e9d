"""Spikes into and out of a chip as lists, one entry a spike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64

from tncompile.ir.base import Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputSpikes(Record):
    """Spikes that somebody outside sends to the chip.

    Attributes:
        stream: which of the independent streams.
        tick: in which it is sent [tick].
        core: where it goes, a core's number in the image; −1: `axon` is an input bit of the image, whose packets say
            where it goes.
        axon: of that core, or the input bit.
        delay: arrives that many ticks later, at least 1; 0 for an input bit [tick].
    """

    stream: Int32[np.ndarray, " spikes"]
    tick: Int64[np.ndarray, " spikes"]
    core: Int32[np.ndarray, " spikes"]
    axon: Int32[np.ndarray, " spikes"]
    delay: Int32[np.ndarray, " spikes"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputSpikes(Record):
    """Spikes on the output pins.

    Attributes:
        stream: which of the independent streams.
        tick: in which the neuron fired [tick].
        pin: output pin.
        core, neuron: who drove it; −1 where that is not known.
    """

    stream: Int32[np.ndarray, " spikes"]
    tick: Int64[np.ndarray, " spikes"]
    pin: Int32[np.ndarray, " spikes"]
    core: Int32[np.ndarray, " spikes"]
    neuron: Int32[np.ndarray, " spikes"]
