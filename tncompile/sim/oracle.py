"""The reference as an engine: slow, and the judge of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8, UInt32

from tncompile.ir import ChipImage
from tncompile.reference import chip, cores
from tncompile.sim.engine import ChipState, Ticks, check_frames, check_saved, check_watch
from tncompile.sim.wiring import resolve


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OracleState:
    """What the chip holds between two ticks.

    Attributes:
        tick: the next tick to be run [tick].
        streams: state of each stream.
        spikes, inputs: as in `ChipState`.
    """

    tick: int
    streams: tuple[cores.CoresState, ...]
    spikes: UInt8[np.ndarray, "batch delays cores bytes"]
    inputs: UInt8[np.ndarray, "batch delays input_bytes"]


class OracleEngine:
    """Runs one chip image axon by axon in NumPy."""

    def __init__(self, image: ChipImage) -> None:
        """Builds the reference's cores.

        Raises:
            SimulationError: the image disagrees with itself.
        """
        resolve(image)  # for its checks; the reference finds the targets in its own way
        self.image = image
        self._cores = chip.cores_of(image)

    def init(self, batch: int, seeds: UInt32[np.ndarray, " batch"] | None = None) -> OracleState:
        """Returns the state of `batch` independent streams before their first tick; without seeds, all have seed 0."""
        delays = self._cores.arch.delay_max
        count, neurons = self.image.neuron_type.shape
        return OracleState(
            tick=0,
            streams=tuple(
                cores.start(self._cores, int(seed)) for seed in (np.zeros(batch) if seeds is None else seeds)
            ),
            spikes=np.zeros((batch, delays, count, -(-neurons // 8)), np.uint8),
            inputs=np.zeros((batch, delays, -(-self.image.input_bits // 8)), np.uint8),
        )

    def prepare(self, batch: int, ticks: int, watch: Sequence[int] = ()) -> None:
        """Does nothing: there is nothing to compile."""

    def run(
        self, state: OracleState, frames: Bool[np.ndarray, "batch ticks input_bits"], watch: Sequence[int] = ()
    ) -> tuple[OracleState, Ticks]:
        """Returns the state after as many ticks as there are frames, and what came out.

        Raises:
            SimulationError: the frames do not fit the image or the state, or a watched core is not there.
        """
        check_frames(frames, len(state.streams), self.image.input_bits)
        check_watch(watch, len(self.image.core_x))
        watched = np.asarray(watch, np.int64)
        shape = (*frames.shape[:2], len(watched), self.image.neuron_type.shape[1])
        pins = np.zeros((*frames.shape[:2], self.image.output_pins), bool)
        raster, potential = np.zeros(shape, bool), np.zeros(shape, np.int32)
        streams, spikes, inputs = list(state.streams), state.spikes.copy(), state.inputs.copy()
        for s in range(len(streams)):
            for t, frame in enumerate(frames[s]):
                streams[s], fired, pins[s, t] = cores.tick(self._cores, streams[s], frame)
                raster[s, t], potential[s, t] = fired[watched], streams[s].potential[watched]
                spikes[s] = _push(spikes[s], fired)
                inputs[s] = _push(inputs[s], frame)
        after = OracleState(tick=state.tick + frames.shape[1], streams=tuple(streams), spikes=spikes, inputs=inputs)
        return after, Ticks(pins=pins, spikes=raster, potential=potential)

    def step(
        self, state: OracleState, frame: Bool[np.ndarray, "batch input_bits"]
    ) -> tuple[OracleState, Bool[np.ndarray, "batch pins"]]:
        """Returns the state after one tick, and its output pins; errors as in `run`."""
        state, ticks = self.run(state, frame[:, None])
        return state, ticks.pins[:, 0]

    def save(self, state: OracleState) -> ChipState:
        """Returns the state in the form that every engine can load."""
        return ChipState(
            tick=state.tick,
            seeds=np.array([stream.seed for stream in state.streams], np.uint32),
            potential=np.array([stream.potential for stream in state.streams], np.int32).reshape(
                -1, *self.image.neuron_type.shape
            ),
            spikes=state.spikes,
            inputs=state.inputs,
        )

    def load(self, saved: ChipState) -> OracleState:
        """Returns the engine's state from a saved one: every spike that is still under way is sent again.

        Raises:
            SimulationError: it is the state of another image.
        """
        check_saved(saved, self.image, self._cores.arch.delay_max)
        neurons = self.image.neuron_type.shape[1]
        streams = []
        for s, seed in enumerate(saved.seeds):
            scheduler = cores.start(self._cores).scheduler.copy()
            fired, entered = _bits(saved.spikes[s], neurons), _bits(saved.inputs[s], self.image.input_bits)
            for age in range(1, len(fired) + 1):
                cores.send(self._cores, scheduler, saved.tick - age, fired[age - 1], entered[age - 1], saved.tick)
            streams.append(
                cores.CoresState(
                    tick=saved.tick,
                    seed=int(seed),
                    potential=saved.potential[s].astype(np.int64),
                    scheduler=scheduler,
                )
            )
        return OracleState(tick=saved.tick, streams=tuple(streams), spikes=saved.spikes, inputs=saved.inputs)


def _push(history: UInt8[np.ndarray, "delays *bytes"], bits: Bool[np.ndarray, "*bits"]) -> UInt8[np.ndarray, "..."]:
    """Returns the history with one more tick in front, and the oldest one gone."""
    return np.concatenate([np.packbits(bits, axis=-1, bitorder="little")[None], history[:-1]])


def _bits(history: UInt8[np.ndarray, "*bytes"], count: int) -> Bool[np.ndarray, "*bits"]:
    return np.unpackbits(history, axis=-1, count=count, bitorder="little").astype(bool)
