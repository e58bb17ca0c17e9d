"""Everybody who runs full chips tick by tick, by name, and the object that a worker holds for each."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32

from benchmarks import chips, rivals
from benchmarks.rivals import Simulator
from benchmarks.workers import checksum
from tncompile.ir import ChipImage
from tncompile.sim.engine import ChipState, make_engine
from tncompile.sim.wiring import image_arch


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One who runs full chips.

    Attributes:
        what: in a few words, for the tables.
        algorithm: how it goes, for the floor (`ceilings.tick_work`).
        rival: its class, or None for an engine of ours.
        needs: a package or program without which it does not run.
        batch: the largest that it can do.
    """

    what: str
    algorithm: str
    rival: Callable[[rivals.Chip], Simulator] | None = None
    needs: str = ""
    batch: int = 1 << 30

    @property
    def here(self) -> bool:
        """Whether what it needs is installed."""
        return not self.needs or bool(importlib.util.find_spec(self.needs) or shutil.which(self.needs))


CONTESTANTS = {
    "event": Contestant(what="engine `event`", algorithm="event"),
    "packed": Contestant(what="engine `packed`", algorithm="popcount"),
    "c": Contestant(what="C, event-driven, vectors, all cores", algorithm="event", rival=rivals.PlainC, needs="cc"),
    "torch-bmm": Contestant(
        what="PyTorch `bmm`, float32", algorithm="dense", rival=rivals.TorchBmm, needs="torch"
    ),
    "torch-bags": Contestant(
        what="PyTorch `embedding_bag`, float32", algorithm="rows32", rival=rivals.TorchBags, needs="torch"
    ),
    "numpy-events": Contestant(
        what="NumPy `take`, `add.reduceat`, int16", algorithm="rows16", rival=rivals.NumPyEvents
    ),
    "numpy-popcount": Contestant(
        what="NumPy `bitwise_count`", algorithm="popcount", rival=rivals.NumPyPopcount
    ),
    "scipy": Contestant(
        what="SciPy, sparse row × CSR", algorithm="sparse-events", rival=rivals.SciPySparse
    ),
    "scipy-dense": Contestant(
        what="SciPy, CSR × dense column", algorithm="sparse-all", rival=rivals.SciPyDense
    ),
    "brian2": Contestant(
        what="Brian2, Cython target", algorithm="objects", rival=rivals.Brian2, needs="brian2", batch=1
    ),
}  # fmt: skip
"""By name, in the order of the tables."""

ENGINES = [name for name, contestant in CONTESTANTS.items() if contestant.rival is None]
"""Those of us who can run chips with state."""


class EngineSimulator:
    """One of our engines, or the oracle."""

    startup = 0.0

    def __init__(self, image: ChipImage, name: str) -> None:
        self._arch = image_arch(image)
        self._engine = make_engine(name, image)

    def start(self, potential: Int32[np.ndarray, "batch cores neurons"]) -> None:
        self._batch, cores, neurons = potential.shape
        no_spikes = np.zeros((self._batch, self._arch.delay_max, cores, neurons // 8), np.uint8)
        for array in (potential, no_spikes):
            array.flags.writeable = False  # or the record would copy it
        self._state = self._engine.load(
            ChipState(
                tick=0,
                seeds=np.zeros(self._batch, np.uint32),
                potential=potential,
                spikes=no_spikes,
                inputs=np.zeros((self._batch, self._arch.delay_max, 0), np.uint8),
            )
        )
        self._saved = None

    def run(self, ticks: int) -> None:
        self._state, _ = self._engine.run(self._state, np.zeros((self._batch, ticks, 0), bool))
        self._saved = None

    def _save(self) -> ChipState:
        if self._saved is None:
            self._saved = self._engine.save(self._state)
        return self._saved

    def spikes(self) -> Bool[np.ndarray, "batch cores neurons"]:
        return np.unpackbits(self._save().spikes[:, 0], axis=-1, bitorder="little").view(bool)

    def potential(self) -> Int32[np.ndarray, "batch cores neurons"]:
        return self._save().potential


class TickHost:
    """What a worker holds: a chip, and somebody who runs it."""

    def __init__(self, name: str, rate: float, cores: int, seed: int) -> None:
        """Makes the chip and lays it out.

        Args:
            name: who, of `CONTESTANTS`, or any other engine of ours.
            rate, cores, seed: of the chip (`chips.full_chip`).
        """
        self._seed = seed
        self._image = chips.full_chip(rate, cores, seed)
        rival = CONTESTANTS[name].rival if name in CONTESTANTS else None
        self._simulator: Simulator = (
            EngineSimulator(self._image, name) if rival is None else rival(rivals.chip_of(self._image))
        )

    def start(self, streams: Sequence[int]) -> None:
        """Puts streams before their first tick."""
        self._simulator.start(chips.start(self._image, streams, self._seed))

    def time(self, ticks: int) -> float:
        """Returns how long so many ticks of all streams take [s]."""
        begin = time.perf_counter()
        self._simulator.run(ticks)
        return time.perf_counter() - begin - self._simulator.startup

    def checksums(self, streams: Sequence[int]) -> list[tuple[int, int]]:
        """Returns what identifies the last tick's spikes and the potentials of each of these streams."""
        spikes, potential = self._simulator.spikes(), self._simulator.potential()
        return [checksum(spikes[stream], potential[stream]) for stream in streams]

    def rate(self) -> float:
        """Returns the share of neurons that fired in the last tick."""
        return float(self._simulator.spikes().mean())
