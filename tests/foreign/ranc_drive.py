"""Runs the reference on spikes to axons, some of which are sent before the first tick."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool

from tncompile.ir import ChipImage
from tncompile.reference import chip, cores
from tncompile.sim.spikes import InputSpikes, OutputSpikes


def drive(image: ChipImage, inputs: InputSpikes, ticks: int) -> Bool[np.ndarray, "ticks pins"]:
    """Returns the output pins of the reference in the ticks 0 … ticks − 1."""
    machine = chip.cores_of(image)
    state = cores.start(machine)
    rows = len(state.scheduler)
    output = np.zeros((ticks, image.output_pins), bool)
    for tick in range(-1, ticks):
        frame = np.zeros(image.input_bits, bool)
        now = inputs.tick == tick
        frame[inputs.axon[now & (inputs.core < 0)]] = True
        if tick >= 0:
            state, _, output[tick] = cores.tick(machine, state, frame)
        scheduler = state.scheduler.copy()
        direct = now & (inputs.core >= 0)
        scheduler[(tick + inputs.delay[direct]) % rows, inputs.core[direct], inputs.axon[direct]] = True
        state = dataclasses.replace(state, scheduler=scheduler)
    return output


def as_spikes(pins: Bool[np.ndarray, "ticks pins"]) -> OutputSpikes:
    """Returns set pins as a list of spikes."""
    tick, pin = np.nonzero(pins)
    unknown = np.full(len(tick), -1, np.int32)
    return OutputSpikes(
        stream=np.zeros(len(tick), np.int32),
        tick=tick.astype(np.int64),
        pin=pin.astype(np.int32),
        core=unknown,
        neuron=unknown,
    )
