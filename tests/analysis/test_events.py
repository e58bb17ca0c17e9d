"""Events counted from spikes, against the slow reference's own record of what every axon, neuron and packet did."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from support.random_chips import SMALL, random_chip, random_frames
from support.random_graphs import SEEDS

from tncompile.analysis.events import EventCounter, Events
from tncompile.analysis.traffic import Activity, paths, traffic
from tncompile.errors import SimulationError
from tncompile.ir import ChipImage, Direction
from tncompile.reference import chip

TICKS, SKIPPED = 20, 3


def walked(image: ChipImage, spikes: np.ndarray) -> tuple[int, np.ndarray]:
    """Returns the hops and link loads of one tick's spikes, each packet followed step by step, x first."""
    load = np.zeros((4, *reversed(SMALL.size)), np.int64)
    for core, neuron in np.argwhere(spikes & (image.target_delay > 0)):
        x, y = int(image.core_x[core]), int(image.core_y[core])
        for axis, way in ((0, int(image.dx[core, neuron])), (1, int(image.dy[core, neuron]))):
            step = 1 if way > 0 else -1
            for _ in range(abs(way)):
                direction = ((Direction.WEST, Direction.EAST), (Direction.SOUTH, Direction.NORTH))[axis][way > 0]
                load[direction, y, x] += 1
                x, y = (x + step, y) if axis == 0 else (x, y + step)
    return int(load.sum()), load


def crossing(image: ChipImage, spikes: np.ndarray, frame: np.ndarray, load: np.ndarray) -> int:
    """Returns the packets over the sides of the busiest of the two chips, which lie side by side."""
    border = SMALL.grid[0]
    between = int(load[Direction.EAST, :, border - 1].sum() + load[Direction.WEST, :, border].sum())
    totals = []
    for right in (False, True):
        lines = int((frame[image.packets.bit] & ((image.packets.x >= border) == right)).sum())
        pins = int((spikes & (image.output_pin >= 0))[(image.core_x >= border) == right].sum())
        totals.append(between + lines + pins)
    return max(totals)


def enter(counter: EventCounter, tick: int, frame: np.ndarray) -> None:
    """Lets a frame's bits enter."""
    bit = np.flatnonzero(frame)
    counter.enter(tick, np.full(len(bit), -1), bit, np.zeros(len(bit), np.int64))


def counted(image: ChipImage, spikes: np.ndarray, frames: np.ndarray) -> Events:
    """Returns what a counter makes of a run, its first ticks left out."""
    counter = EventCounter(image)
    for tick in range(len(spikes)):
        enter(counter, tick, frames[tick])
        counter.tick(spikes[tick], count=tick >= SKIPPED)
    return counter.events()


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_counts_are_those_of_the_reference(seed):
    image = random_chip(seed, stochastic=seed % 2 == 0)
    frames = random_frames(image, seed, batch=1, ticks=TICKS)[0]
    happened = chip.trace(image, frames, TICKS, seed=seed)
    found = counted(image, happened.spikes, frames)

    crosspoints = np.unpackbits(image.crossbars, axis=2, bitorder="little")[image.core_crossbar].astype(np.int64)
    events = np.einsum("tca,can->tc", happened.axons.astype(np.int64), crosspoints)[SKIPPED:]
    np.testing.assert_array_equal(found.tick_events, events.sum(axis=1))
    np.testing.assert_array_equal(found.busiest_core, events.max(axis=1))
    np.testing.assert_array_equal(found.core_events, events.sum(axis=0))
    np.testing.assert_array_equal(found.core_most, events.max(axis=0))

    spikes = happened.spikes[SKIPPED:]
    np.testing.assert_array_equal(found.spikes, spikes.sum(axis=0))
    np.testing.assert_array_equal(found.tick_spikes, spikes.sum(axis=(1, 2)))
    np.testing.assert_array_equal(found.tick_inputs, frames[SKIPPED:][:, image.packets.bit].sum(axis=1))
    steps = [walked(image, each) for each in spikes]
    np.testing.assert_array_equal(found.tick_hops, [hops for hops, _ in steps])
    np.testing.assert_array_equal(found.busiest_link, [load.max() for _, load in steps])
    np.testing.assert_array_equal(found.load, sum(load for _, load in steps))
    activity = Activity(spikes=found.spikes, ticks=found.ticks, source="counted")
    np.testing.assert_array_equal(found.load, traffic(paths(image), SMALL.size, activity))
    crossed = [
        crossing(image, fired, frame, load)
        for fired, frame, (_, load) in zip(spikes, frames[SKIPPED:], steps, strict=True)
    ]
    np.testing.assert_array_equal(found.busiest_edge, crossed)


def test_nothing_counted_is_nothing():
    image = random_chip(5)
    events = EventCounter(image).events()
    assert events.ticks == 0 and not events.spikes.any() and not events.load.any()


@pytest.mark.parametrize("field", ["dx", "packets"])
def test_a_packet_to_nowhere(field):
    image = random_chip(3)
    free = next((x, y) for y in range(3) for x in range(6) if not ((image.core_x == x) & (image.core_y == y)).any())
    if field == "packets":
        packets = dataclasses.replace(
            image.packets, x=np.full_like(image.packets.x, free[0]), y=np.full_like(image.packets.y, free[1])
        )
        lost = dataclasses.replace(image, packets=packets)
    else:
        lost = dataclasses.replace(image, dx=np.full_like(image.dx, 99))
    with pytest.raises(SimulationError, match=r"a packet goes to site .* where the image has no core"):
        EventCounter(lost)
