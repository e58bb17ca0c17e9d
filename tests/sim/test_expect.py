"""What is compared with what is expected, and how much of it is not."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_chips import random_chip

from tncompile.sim.expect import Comparison, OutputList
from tncompile.sim.spikes import OutputSpikes
from tncompile.sim.stream import Window

Spikes = set[tuple[int, int, int]]
"""Tick, stream and pin of each."""


def output_spikes(spikes: Spikes, *, copies: int = 1) -> OutputSpikes:
    """Returns spikes as a list, each of them several times."""
    tick, stream, pin = np.array(sorted([*spikes] * copies), np.int64).reshape(-1, 3).T
    nobody = np.full(len(tick), -1, np.int32)
    return OutputSpikes(stream=stream.astype(np.int32), tick=tick, pin=pin.astype(np.int32), core=nobody, neuron=nobody)


class InChunks:
    """Expected spikes, a few at a time."""

    def __init__(self, spikes: Spikes, sizes: list[int], *, copies: int, end: int | None) -> None:
        self._spikes = output_spikes(spikes, copies=copies)
        self._sizes = sizes
        self.every_stream = not any(stream for _, stream, _ in spikes)
        self.end = end

    def chunks(self) -> Iterator[OutputSpikes]:
        names = ("stream", "tick", "pin", "core", "neuron")
        ends = itertools.accumulate([*self._sizes, len(self._spikes.tick)])
        for start, stop in itertools.pairwise([0, *ends]):
            yield OutputSpikes(**{name: getattr(self._spikes, name)[start:stop] for name in names})


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_what_is_expected_before_and_behind_the_run_is_counted(data: st.DataObject) -> None:
    streams, pins = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    spike = st.tuples(st.integers(0, 12), st.integers(0, streams - 1), st.integers(0, pins - 1))
    came, wanted = data.draw(st.sets(spike)), data.draw(st.sets(spike))
    end = data.draw(st.none() | st.integers(0, 13))
    if end is not None:
        wanted = {s for s in wanted if s[0] < end}
    sizes = data.draw(st.lists(st.integers(0, 5), max_size=6))
    expected = InChunks(wanted, sizes, copies=data.draw(st.integers(1, 3)), end=end)
    comparison = Comparison(expected, streams, pins)
    start, *cuts, stop = sorted(data.draw(st.sets(st.integers(0, 13), min_size=2)))
    for first, last in itertools.pairwise([start, *cuts, stop]):
        window = Window(
            first=first,
            ticks=last - first,
            spikes=output_spikes({s for s in came if first <= s[0] < last}),
            watch=(),
            raster=np.zeros((streams, 0, 0, 16), bool),
            potential=np.zeros((streams, 0, 0, 16), np.int32),
        )
        comparison(window)
    comparison.finish()
    if expected.every_stream:
        wanted = {(tick, stream, pin) for tick, _, pin in wanted for stream in range(streams)}
    behind = {s for s in wanted if s[0] >= stop}
    assert comparison.earlier == sum(s[0] < start for s in wanted)
    assert (comparison.beyond, comparison.last) == (len(behind), max((s[0] for s in behind), default=-1))
    assert comparison.expected == len(wanted) - comparison.earlier - comparison.beyond
    told = {s for s in came if start <= s[0] < stop and (end is None or s[0] < end)}
    assert comparison.surplus == len(told - wanted)
    assert comparison.missing == len({s for s in wanted if start <= s[0] < stop} - told)


def test_a_list_says_all_unless_told_otherwise() -> None:
    image = dataclasses.replace(random_chip(0), output_pins=1)
    assert OutputList(output_spikes({(0, 0, 0)}), image).end is None
    assert OutputList(output_spikes({(0, 0, 0)}), image, end=3).end == 3
