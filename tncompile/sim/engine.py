"""What an engine is, and all engines by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int

from tncompile.errors import ConfigError, SimulationError
from tncompile.ir import ChipImage


@runtime_checkable
class Engine(Protocol):
    """Runs one chip image on a batch of independent streams, tick by tick.

    An engine is made from an image and keeps nothing between calls: what the chip holds is in the state, which `run`
    and `step` return anew. A long run goes in chunks of a fixed number of ticks: each length is compiled once.
    """

    image: ChipImage

    def init(self, batch: int) -> Any:
        """Returns the state of `batch` streams before their first tick."""
        ...

    def prepare(self, batch: int, ticks: int) -> None:
        """Does now what the first `run` with this batch and this many ticks would do besides running."""
        ...

    def run(
        self, state: Any, frames: Bool[np.ndarray, "batch ticks input_bits"]
    ) -> tuple[Any, Bool[np.ndarray, "batch ticks pins"]]:
        """Returns the state after as many ticks as there are frames, and the output pins in each tick.

        Input bits that enter in tick t arrive at t + delay of each of their packets.

        Raises:
            SimulationError: the frames do not fit the image or the state.
        """
        ...

    def step(
        self, state: Any, frame: Bool[np.ndarray, "batch input_bits"]
    ) -> tuple[Any, Bool[np.ndarray, "batch pins"]]:
        """Returns the state after one tick, and its output pins; errors as in `run`."""
        ...

    def spikes(self, state: Any) -> Bool[np.ndarray, "batch cores neurons"]:
        """Returns the neurons that spiked in the last tick."""
        ...

    def potential(self, state: Any) -> Int[np.ndarray, "batch cores neurons"]:
        """Returns the potential of all neurons after the last tick [LSB]."""
        ...


def make_engine(name: str, image: ChipImage) -> Engine:
    """Returns the engine of that name for an image.

    Raises:
        ConfigError: no engine has the name.
        InfeasibleError: a neuron needs random numbers, or the image is too large for the engine.
        SimulationError: the image disagrees with itself.
    """
    if name not in ENGINES:
        raise ConfigError(f"engine: no engine is called {name!r}; choose one of {', '.join(sorted(ENGINES))}")
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


def _packed(image: ChipImage) -> Engine:
    from tncompile.sim.packed import PackedEngine  # imports JAX, which takes seconds

    return PackedEngine(image)


def _oracle(image: ChipImage) -> Engine:
    from tncompile.sim.oracle import OracleEngine

    return OracleEngine(image)


ENGINES: dict[str, Callable[[ChipImage], Engine]] = {"packed": _packed, "oracle": _oracle}
"""All engines by name: how to make one for an image."""
