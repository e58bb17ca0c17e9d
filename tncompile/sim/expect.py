"""Compares the output spikes of a run with a list of what is expected, window by window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from tncompile.errors import SimulationError
from tncompile.ir import ChipImage
from tncompile.sim.sources import check_ranges, contained, distinct
from tncompile.sim.spikes import OutputSpikes
from tncompile.sim.stream import Window


@runtime_checkable
class ExpectedSpikes(Protocol):
    """Output spikes that can be read in order.

    Attributes:
        every_stream: whether they are expected of each stream; if not, `stream` says of which one.
    """

    every_stream: bool

    def chunks(self) -> Iterator[OutputSpikes]:
        """Yields the spikes; their ticks never go back. Errors as `SpikeSource.chunks`."""
        ...


class OutputList:
    """Output spikes in memory; an `ExpectedSpikes`."""

    def __init__(self, spikes: OutputSpikes, image: ChipImage, name: str = "output") -> None:
        """Checks the spikes and sorts them by tick.

        Args:
            spikes: in any order.
            image: the chip.
            name: what to call them in messages.

        Raises:
            SimulationError: a spike is on no pin of the image.
        """
        columns = {"pin": spikes.pin.astype(np.int64)}
        check_ranges(columns, {"pin": (0, image.output_pins - 1)}, lambda row: f"{name}: spike {row}")
        order = np.argsort(spikes.tick, kind="stable")
        names = ("stream", "tick", "pin", "core", "neuron")
        self._spikes = OutputSpikes(**{name: getattr(spikes, name)[order] for name in names})
        self.every_stream = not spikes.stream.any()

    def chunks(self) -> Iterator[OutputSpikes]:
        """Yields the spikes in the order of their ticks."""
        yield self._spikes


class Comparison:
    """Takes the windows of a run in order, and counts what differs in their ticks.

    Attributes:
        expected: spikes that were expected so far.
        missing: of those, how many did not come.
        surplus: spikes that came and were not expected.
        first: tick, stream and pin of the first one that differs, and whether it was expected; or None.
    """

    def __init__(self, expected: ExpectedSpikes, streams: int, pins: int) -> None:
        """Begins to read what is expected.

        Args:
            expected: what is expected.
            streams: of the run.
            pins: of the image.
        """
        self.expected = self.missing = self.surplus = 0
        self.first: tuple[int, int, int, bool] | None = None
        self._every_stream = expected.every_stream
        self._streams = streams
        self._pins = max(1, pins)
        self._chunks = expected.chunks()
        self._held = np.zeros((0, 3), np.int64)  # tick, stream, pin

    def __call__(self, window: Window) -> None:
        """Compares one more window."""
        spikes = window.spikes
        came = self._keys(np.stack([spikes.tick, spikes.stream, spikes.pin], axis=1).astype(np.int64), window.first)
        wanted = self._keys(self._until(window.first, window.first + window.ticks), window.first)
        missing, surplus = wanted[~contained(wanted, came)], came[~contained(came, wanted)]
        self.expected += len(wanted)
        self.missing += len(missing)
        self.surplus += len(surplus)
        if self.first is None and len(missing) + len(surplus):
            key = int(min(missing.min(initial=np.iinfo(np.int64).max), surplus.min(initial=np.iinfo(np.int64).max)))
            rest, pin = divmod(key, self._pins)
            tick, stream = divmod(rest, self._streams)
            self.first = (window.first + tick, stream, pin, key in missing)

    def _until(self, start: int, stop: int) -> Int64[np.ndarray, "spikes 3"]:
        """Returns what is expected in the ticks start … stop − 1, and forgets what was before."""
        taken = []
        while True:
            tick = self._held[:, 0]
            low, high = np.searchsorted(tick, (start, stop))
            taken.append(self._held[low:high])
            self._held = self._held[high:]
            if len(self._held):
                break
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._held = np.stack([chunk.tick, chunk.stream, chunk.pin], axis=1).astype(np.int64)
        rows = np.concatenate(taken)
        if self._every_stream:
            rows = np.repeat(rows, self._streams, axis=0)
            rows[:, 1] = np.arange(len(rows)) % self._streams
        elif (beyond := rows[:, 1] >= self._streams).any():
            stream = int(rows[beyond.argmax(), 1])
            raise SimulationError(f"expected: has spikes of stream {stream}, the run has 0 … {self._streams - 1}")
        return rows

    def _keys(self, rows: Int64[np.ndarray, "spikes 3"], first: int) -> Int64[np.ndarray, " different"]:
        """Returns a number for each different spike, in the order of tick, stream and pin."""
        tick, stream, pin = rows.T
        return distinct(((tick - first) * self._streams + stream) * self._pins + pin)
