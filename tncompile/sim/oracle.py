"""The reference as an engine: slow, and the judge of all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from tncompile.ir import ChipImage
from tncompile.reference import chip, cores
from tncompile.sim.engine import check_frames
from tncompile.sim.wiring import resolve


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OracleState:
    """What the chip holds between two ticks, once a stream.

    Attributes:
        streams: state of each stream.
        spikes: neurons that spiked in the last tick.
    """

    streams: tuple[cores.CoresState, ...]
    spikes: Bool[np.ndarray, "batch cores neurons"]


class OracleEngine:
    """Runs one chip image axon by axon in NumPy."""

    def __init__(self, image: ChipImage) -> None:
        """Builds the reference's cores.

        Raises:
            InfeasibleError: a neuron needs random numbers.
            SimulationError: the image disagrees with itself.
        """
        resolve(image)  # for its checks; the reference finds the targets in its own way
        self.image = image
        self._cores = chip.cores_of(image)

    def init(self, batch: int) -> OracleState:
        """Returns the state of `batch` independent streams before their first tick."""
        return OracleState(
            streams=(cores.start(self._cores),) * batch,
            spikes=np.zeros((batch, *self.image.neuron_type.shape), bool),
        )

    def prepare(self, batch: int, ticks: int) -> None:
        """Does nothing: there is nothing to compile."""

    def run(
        self, state: OracleState, frames: Bool[np.ndarray, "batch ticks input_bits"]
    ) -> tuple[OracleState, Bool[np.ndarray, "batch ticks pins"]]:
        """Returns the state after as many ticks as there are frames, and the output pins in each tick.

        Raises:
            SimulationError: the frames do not fit the image or the state.
        """
        check_frames(frames, len(state.streams), self.image.input_bits)
        output = np.zeros((*frames.shape[:2], self.image.output_pins), bool)
        for t in range(frames.shape[1]):
            ticks = [cores.tick(self._cores, s, f) for s, f in zip(state.streams, frames[:, t], strict=True)]
            state = OracleState(
                streams=tuple(after for after, _, _ in ticks),
                spikes=np.array([spikes for _, spikes, _ in ticks], bool).reshape(state.spikes.shape),
            )
            for stream, (_, _, pins) in enumerate(ticks):
                output[stream, t] = pins
        return state, output

    def step(
        self, state: OracleState, frame: Bool[np.ndarray, "batch input_bits"]
    ) -> tuple[OracleState, Bool[np.ndarray, "batch pins"]]:
        """Returns the state after one tick, and its output pins; errors as in `run`."""
        state, output = self.run(state, frame[:, None])
        return state, output[:, 0]

    def spikes(self, state: OracleState) -> Bool[np.ndarray, "batch cores neurons"]:
        """Returns the neurons that spiked in the last tick."""
        return state.spikes

    def potential(self, state: OracleState) -> Int64[np.ndarray, "batch cores neurons"]:
        """Returns the potential of all neurons after the last tick [LSB]."""
        shape = state.spikes.shape
        return np.array([stream.potential for stream in state.streams], np.int64).reshape(shape)
