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
        end: the first tick that they say nothing of, the last of the run that they are from; None: they say all [tick].
    """

    every_stream: bool
    end: int | None

    def chunks(self) -> Iterator[OutputSpikes]:
        """Yields the spikes; their ticks never go back. Errors as `SpikeSource.chunks`."""
        ...


class OutputList:
    """Output spikes in memory; an `ExpectedSpikes`."""

    def __init__(self, spikes: OutputSpikes, image: ChipImage, name: str = "output", end: int | None = None) -> None:
        """Checks the spikes and sorts them by tick.

        Args:
            spikes: in any order.
            image: the chip.
            name: what to call them in messages.
            end: as in `ExpectedSpikes` [tick].

        Raises:
            SimulationError: a spike is on no pin of the image.
        """
        columns = {"pin": spikes.pin.astype(np.int64)}
        check_ranges(columns, {"pin": (0, image.output_pins - 1)}, lambda row: f"{name}: spike {row}")
        order = np.argsort(spikes.tick, kind="stable")
        names = ("stream", "tick", "pin", "core", "neuron")
        self._spikes = OutputSpikes(**{name: getattr(spikes, name)[order] for name in names})
        self.every_stream = not spikes.stream.any()
        self.end = end

    def chunks(self) -> Iterator[OutputSpikes]:
        """Yields the spikes in the order of their ticks."""
        yield self._spikes


class Comparison:
    """Takes the windows of a run in order, and counts what differs in their ticks.

    Attributes:
        expected: spikes that were expected so far.
        missing: of those, how many did not come.
        surplus: spikes that came and were not expected; only in ticks of which something is said.
        first: tick, stream and pin of the first one that differs, and whether it was expected; or None.
        earlier: spikes that are expected before the first window.
        beyond: spikes that are expected behind the last window, once `finish` has counted them.
        last: tick of the last one of these; −1 if there are none [tick].
        end: as in `ExpectedSpikes` [tick].
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
        self.earlier = self.beyond = 0
        self.last = -1
        self._every_stream = expected.every_stream
        self.end = expected.end
        self._streams = streams
        self._pins = max(1, pins)
        self._chunks = expected.chunks()
        self._held = np.zeros((0, 3), np.int64)  # tick, stream, pin

    def __call__(self, window: Window) -> None:
        """Compares one more window."""
        came = _rows(window.spikes)
        came = self._keys(came if self.end is None else came[came[:, 0] < self.end], window.first)
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

    def finish(self) -> None:
        """Counts what is expected behind the last window.

        Raises:
            ArtifactError: it cannot be read.
            SimulationError: a spike is outside of the chip, or of a stream that the run has not.
        """
        for rows in self._before(np.iinfo(np.int64).max):
            self.beyond += self._different(rows)
            self.last = max(self.last, int(rows[:, 0].max(initial=-1)))

    def _until(self, start: int, stop: int) -> Int64[np.ndarray, "spikes 3"]:
        """Returns what is expected in the ticks start … stop − 1, and counts what was before."""
        self.earlier += sum(self._different(rows) for rows in self._before(start))
        rows = np.concatenate(list(self._before(stop)))
        if self._every_stream:
            rows = np.repeat(rows, self._streams, axis=0)
            rows[:, 1] = np.arange(len(rows)) % self._streams
        return rows

    def _different(self, rows: Int64[np.ndarray, "spikes 3"]) -> int:
        """Returns how many spikes of the run some rows stand for."""
        return len(np.unique(rows, axis=0)) * (self._streams if self._every_stream else 1)

    def _before(self, stop: int) -> Iterator[Int64[np.ndarray, "spikes 3"]]:
        """Yields what is expected in ticks before `stop`, each tick as a whole, and forgets it."""
        while True:
            high = int(np.searchsorted(self._held[:, 0], stop))
            more = None if high < len(self._held) else self._next()
            if more is not None:  # they may go on with the last tick
                high = int(np.searchsorted(self._held[:, 0], self._held[-1, 0])) if high else 0
            yield self._held[:high]
            if more is None:
                self._held = self._held[high:]
                return
            self._held = np.concatenate([self._held[high:], more])

    def _next(self) -> Int64[np.ndarray, "spikes 3"] | None:
        """Returns more of what is expected, or None at its end."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return None
        if not self._every_stream and (strange := chunk.stream >= self._streams).any():
            stream = int(chunk.stream[strange.argmax()])
            raise SimulationError(f"expected: has spikes of stream {stream}, the run has 0 … {self._streams - 1}")
        return _rows(chunk)

    def _keys(self, rows: Int64[np.ndarray, "spikes 3"], first: int) -> Int64[np.ndarray, " different"]:
        """Returns a number for each different spike, in the order of tick, stream and pin."""
        tick, stream, pin = rows.T
        return distinct(((tick - first) * self._streams + stream) * self._pins + pin)


def _rows(spikes: OutputSpikes) -> Int64[np.ndarray, "spikes 3"]:
    """Returns tick, stream and pin of spikes."""
    return np.stack([spikes.tick, spikes.stream, spikes.pin], axis=1).astype(np.int64)
