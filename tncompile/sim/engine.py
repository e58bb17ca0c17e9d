"""What an engine is, and all engines by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int32, UInt8, UInt32

from tncompile.errors import ConfigError, SimulationError
from tncompile.ir import ChipImage
from tncompile.ir.base import Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ticks(Record):
    """What came out of a run of ticks.

    Attributes:
        pins: spikes on the output pins.
        spikes: spikes of the neurons of the watched cores.
        potential: V of the same neurons at each tick's end [LSB].
    """

    pins: Bool[np.ndarray, "batch ticks pins"]
    spikes: Bool[np.ndarray, "batch ticks watched neurons"]
    potential: Int32[np.ndarray, "batch ticks watched neurons"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChipState(Record):
    """What a chip holds between two ticks, in a form that every engine reads and writes.

    Spikes are under way for as long as the longest delay, so the spikes and input bits of that many ticks say what
    stands in the scheduler. Entry 0 is the last tick, entry 1 the one before; ticks before tick 0 are empty. Bits are
    packed with the lowest number in the lowest bit.

    Attributes:
        tick: the next tick to be run [tick].
        seeds: of each stream's random numbers.
        potential: V [LSB].
        spikes: the neurons that spiked.
        inputs: the input bits that entered.
    """

    tick: int
    seeds: UInt32[np.ndarray, " batch"]
    potential: Int32[np.ndarray, "batch cores neurons"]
    spikes: UInt8[np.ndarray, "batch delays cores bytes"]
    inputs: UInt8[np.ndarray, "batch delays input_bytes"]


@runtime_checkable
class Engine(Protocol):
    """Runs one chip image on a batch of independent streams, tick by tick.

    An engine is made from an image and keeps nothing of a chip between calls: what it holds is in the state, which
    `run` and `step` return anew; an old state may be run again, and gives the same. A long run goes in chunks of a
    fixed number of ticks: some engines compile each length once.

    Random numbers are a function of the stream's seed, the tick, core, neuron and axon: all engines, batches and
    devices draw the same (`tncompile.reference.random`).
    """

    image: ChipImage

    def init(self, batch: int, seeds: UInt32[np.ndarray, " batch"] | None = None) -> Any:
        """Returns the state of `batch` streams before their first tick; without seeds, all have seed 0."""
        ...

    def prepare(self, batch: int, ticks: int, watch: Sequence[int] = ()) -> None:
        """Does now what the first `run` with this batch, ticks and watched cores would do besides running."""
        ...

    def run(
        self, state: Any, frames: Bool[np.ndarray, "batch ticks input_bits"], watch: Sequence[int] = ()
    ) -> tuple[Any, Ticks]:
        """Returns the state after as many ticks as there are frames, and what came out.

        Input bits that enter in tick t arrive at t + delay of each of their packets.

        Args:
            state: the state before.
            frames: the input bits that enter in each tick.
            watch: cores whose spikes and potentials are wanted.

        Raises:
            SimulationError: the frames do not fit the image or the state.
        """
        ...

    def step(
        self, state: Any, frame: Bool[np.ndarray, "batch input_bits"]
    ) -> tuple[Any, Bool[np.ndarray, "batch pins"]]:
        """Returns the state after one tick, and its output pins; errors as in `run`."""
        ...

    def save(self, state: Any) -> ChipState:
        """Returns the state in the form that every engine can load."""
        ...

    def load(self, saved: ChipState) -> Any:
        """Returns the engine's state from a saved one of an equal image, whichever engine wrote it."""
        ...


def make_engine(name: str, image: ChipImage) -> Engine:
    """Returns the engine of that name for an image.

    Raises:
        ConfigError: no engine has the name.
        InfeasibleError: the engine cannot run such an image.
        SimulationError: the image disagrees with itself.
    """
    if name not in ENGINES:
        raise ConfigError(f"engine: no engine is called {name!r}; choose one of {', '.join(ENGINES)}")
    return ENGINES[name](image)


def check_frames(frames: Bool[np.ndarray, "batch ticks input_bits"], batch: int, input_bits: int) -> None:
    """Refuses frames that fit neither the state's batch nor the image.

    Raises:
        SimulationError: they do not fit.
    """
    if frames.shape[0] != batch:
        raise SimulationError(f"frames: {frames.shape[0]} streams, the state has {batch}")
    if frames.shape[2] != input_bits:
        raise SimulationError(f"frames: {frames.shape[2]} input bits a frame, the image takes {input_bits}")


def check_saved(saved: ChipState, image: ChipImage, delay_max: int) -> None:
    """Refuses a saved state of another image.

    Raises:
        SimulationError: its shapes are not those of the image.
    """
    cores, neurons = image.neuron_type.shape
    batch = len(saved.seeds)
    shapes = {
        "potential": (saved.potential.shape, (batch, cores, neurons)),
        "spikes": (saved.spikes.shape, (batch, delay_max, cores, -(-neurons // 8))),
        "inputs": (saved.inputs.shape, (batch, delay_max, -(-image.input_bits // 8))),
    }
    for name, (actual, expected) in shapes.items():
        if actual != expected:
            raise SimulationError(
                f"state: {name} has shape {list(actual)}, the image needs {list(expected)}; load a state of this image"
            )


def check_stateless(saved: ChipState, stateless: Bool[np.ndarray, " cores"]) -> None:
    """Refuses a saved state with potentials in cores whose neurons never keep one.

    Raises:
        SimulationError: there are some.
    """
    wrong = saved.potential.any(axis=(0, 2)) & stateless
    if wrong.any():
        raise SimulationError(
            f"state: core {int(wrong.argmax())} has potentials, its neurons in the image keep none; load a state of "
            "this image"
        )


def check_copies(saved: ChipState, kept: ChipState) -> None:
    """Refuses a saved state in which neurons that always spike together did not.

    Args:
        saved: the state.
        kept: the same, after it was loaded by an engine that computes such neurons once.

    Raises:
        SimulationError: they differ.
    """
    wrong = (saved.spikes != kept.spikes).any(axis=(0, 1, 3))
    if wrong.any():
        raise SimulationError(
            f"state: core {int(wrong.argmax())} has spikes that no run of the image leads to; load "
            "a state of this image"
        )


def check_watch(watch: Sequence[int], cores: int) -> None:
    """Refuses cores that the image does not have.

    Raises:
        SimulationError: a core is not one of the image's.
    """
    for core in watch:
        if not 0 <= core < cores:
            raise SimulationError(f"watch: core {core}, the image has the cores 0 … {cores - 1}")


def _packed(image: ChipImage) -> Engine:
    from tncompile.sim.packed import PackedEngine  # imports JAX, which takes seconds

    return PackedEngine(image)


def _event(image: ChipImage) -> Engine:
    from tncompile.sim.event import EventEngine  # imports Numba

    return EventEngine(image)


def _layered(image: ChipImage) -> Engine:
    from tncompile.sim.layered import LayeredEngine

    return LayeredEngine(image)


def _sliced(image: ChipImage) -> Engine:
    from tncompile.sim.sliced import SlicedEngine

    return SlicedEngine(image)


def _oracle(image: ChipImage) -> Engine:
    from tncompile.sim.oracle import OracleEngine

    return OracleEngine(image)


ENGINES: dict[str, Callable[[ChipImage], Engine]] = {
    "packed": _packed,
    "event": _event,
    "layered": _layered,
    "sliced": _sliced,
    "oracle": _oracle,
}
"""All engines by name: how to make one for an image."""
