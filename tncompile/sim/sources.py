"""Where input spikes come from: anything that yields them by the order of their ticks, a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int32, Int64

from tncompile.errors import ArtifactError, SimulationError
from tncompile.ir import ChipImage
from tncompile.ir.base import Record
from tncompile.sim.spikes import InputSpikes
from tncompile.sim.wiring import image_arch

MAX_STREAMS = 1 << 16
"""Streams that a run can have; more is taken for a mistake in the input."""

_CHUNK = 1 << 16  # spikes at a time
_AXONS, _DELAYS = 4096, 64  # more than any chip description allows


@runtime_checkable
class SpikeSource(Protocol):
    """Input spikes that can be read several times.

    Attributes:
        every_stream: whether each stream of a run gets all of them; if not, `stream` says which one does.
    """

    every_stream: bool

    def chunks(self) -> Iterator[InputSpikes]:
        """Yields the spikes from the first on; their ticks never go back.

        A spike may be sent before tick 0 if it arrives there or later.

        Raises:
            ArtifactError: they cannot be read, or are out of order.
            SimulationError: one is outside of the chip.
        """
        ...


class SpikeList:
    """Spikes in memory; a `SpikeSource`."""

    def __init__(self, spikes: InputSpikes, image: ChipImage, name: str = "input") -> None:
        """Checks the spikes and sorts them by tick.

        Args:
            spikes: in any order.
            image: the chip.
            name: what to call them in messages.

        Raises:
            ArtifactError: one arrives before tick 0.
            SimulationError: a spike is outside of the chip.
        """
        arch = image_arch(image)
        bit = spikes.core < 0
        columns = {name: getattr(spikes, name).astype(np.int64) for name in ("stream", "tick", "core", "axon", "delay")}

        def place(row: int) -> str:
            return f"{name}: spike {row}"

        if (early := spikes.tick + spikes.delay < 0).any():
            row = int(early.argmax())
            raise ArtifactError(f"{place(row)}: tick {spikes.tick[row]} is negative; the first tick is 0")
        check_ranges(
            {"stream": columns["stream"], "core": columns["core"]},
            {"stream": (0, MAX_STREAMS - 1), "core": (-1, len(image.core_x) - 1)},
            place,
        )
        limits = {
            True: {"axon": (0, image.input_bits - 1), "delay": (0, 0)},
            False: {"axon": (0, arch.axons - 1), "delay": (1, arch.delay_max)},
        }
        for to_bit, most in limits.items():
            rows = np.flatnonzero(bit == to_bit)
            names = {"bit" if to_bit and name == "axon" else name: name for name in most}
            check_ranges(
                {called: columns[name][rows] for called, name in names.items()},
                {called: most[name] for called, name in names.items()},
                lambda row, rows=rows: place(int(rows[row])),
            )
        order = np.argsort(spikes.tick, kind="stable")
        self._spikes = taken(spikes, order)
        self.every_stream = not spikes.stream.any()

    def chunks(self) -> Iterator[InputSpikes]:
        """Yields the spikes in the order of their ticks."""
        for start in range(0, len(self._spikes.tick), _CHUNK):
            yield taken(self._spikes, slice(start, start + _CHUNK))


def no_spikes() -> InputSpikes:
    """Returns an empty list."""
    none = np.zeros(0, np.int32)
    return InputSpikes(stream=none, tick=none.astype(np.int64), core=none, axon=none, delay=none)


def taken(spikes: InputSpikes, rows: slice | Int64[np.ndarray, " rows"]) -> InputSpikes:
    """Returns some of the spikes."""
    return InputSpikes(
        stream=spikes.stream[rows],
        tick=spikes.tick[rows],
        core=spikes.core[rows],
        axon=spikes.axon[rows],
        delay=spikes.delay[rows],
    )


def collected(source: SpikeSource) -> InputSpikes:
    """Returns all spikes of a source at once; errors as `SpikeSource.chunks`."""
    chunks = [no_spikes(), *source.chunks()]
    names = ("stream", "tick", "core", "axon", "delay")
    return InputSpikes(**{name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey(Record):
    """What a first look at all spikes of a source finds.

    Attributes:
        spikes: those that are to be run.
        earlier: those before.
        streams: how many the source tells apart.
        last: tick of the last spike, −1 if there is none [tick].
        addresses: distinct core, axon and delay of the spikes to axons, in rising order.
    """

    spikes: int
    earlier: int
    streams: int
    last: int
    addresses: Int32[np.ndarray, "addresses 3"]


def survey(source: SpikeSource, start: int | None = None) -> Survey:
    """Returns what is in a source from tick `start` on, None: at all; errors as `SpikeSource.chunks`."""
    spikes, earlier, streams, last = 0, 0, 1, -1
    keys = np.zeros(0, np.int64)
    for chunk in source.chunks():
        skipped = 0 if start is None else int(np.searchsorted(chunk.tick, start))
        earlier += skipped
        spikes += len(chunk.tick) - skipped
        streams = max(streams, int(chunk.stream.max(initial=0)) + 1)
        last = max(last, int(chunk.tick.max(initial=-1)))
        chunk = taken(chunk, slice(skipped, None))
        addressed = taken(chunk, np.flatnonzero(chunk.core >= 0))
        found = distinct(address_keys(addressed.core, addressed.axon, addressed.delay))
        keys = merged(keys, found)
    return Survey(spikes=spikes, earlier=earlier, streams=streams, last=last, addresses=addresses_of(keys))


def address_keys(
    core: Int32[np.ndarray, " addresses"], axon: Int32[np.ndarray, " addresses"], delay: Int32[np.ndarray, " addresses"]
) -> Int64[np.ndarray, " addresses"]:
    """Returns a number for each address, which orders addresses by core, axon and delay."""
    return (core.astype(np.int64) * _AXONS + axon) * _DELAYS + delay


def addresses_of(keys: Int64[np.ndarray, " addresses"]) -> Int32[np.ndarray, "addresses 3"]:
    """Returns core, axon and delay of each of `address_keys`."""
    return np.stack([keys // (_AXONS * _DELAYS), keys // _DELAYS % _AXONS, keys % _DELAYS], axis=1).astype(np.int32)


def distinct(keys: Int64[np.ndarray, " keys"]) -> Int64[np.ndarray, " different"]:
    """Returns the different ones of some numbers in rising order; many times as fast as `np.unique` from 2.3 on."""
    keys = np.sort(keys)
    return keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys


def merged(keys: Int64[np.ndarray, " keys"], more: Int64[np.ndarray, " more"]) -> Int64[np.ndarray, " all"]:
    """Returns all of two lists of different numbers in rising order, each one once."""
    new = more[~contained(more, keys)]
    return np.sort(np.concatenate([keys, new]), kind="stable") if len(new) else keys


def contained(keys: Int64[np.ndarray, " keys"], others: Int64[np.ndarray, " others"]) -> Bool[np.ndarray, " keys"]:
    """Returns which numbers are among others, which are in rising order."""
    place = np.searchsorted(others, keys)
    return np.append(others, -1)[place] == keys if len(others) else np.zeros(len(keys), bool)


def check_ranges(
    columns: Mapping[str, Int64[np.ndarray, " rows"]],
    limits: Mapping[str, tuple[int, int]],
    place: Callable[[int], str],
) -> None:
    """Checks that all values are inside of the chip.

    Args:
        columns: values by name.
        limits: the smallest and the largest value of each column that has some.
        place: says where a row is.

    Raises:
        SimulationError: one is not; names the first row.
    """
    checked = [(name, values, *limits[name]) for name, values in columns.items() if name in limits]
    outside = [(values < low) | (values > high) for _, values, low, high in checked]
    rows = [int(wrong.argmax()) for wrong in outside if wrong.any()]
    if not rows:
        return
    row = min(rows)
    name, values, low, high = next(c for c, wrong in zip(checked, outside, strict=True) if wrong[row])
    there = f"must be {low} … {high}" if high >= low else f"the image has no {name}s"
    raise SimulationError(f"{place(row)}: {name} is {values[row]}, {there}")
