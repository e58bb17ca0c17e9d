"""The machine: delays, merging, pins and packets, on chips small enough to follow by hand."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from support.random_chips import SMALL, random_chip, random_frames

from tncompile.errors import SimulationError
from tncompile.ir import ChipImage, InputPackets, stateless_table
from tncompile.reference import chip


def make_relay(hops: list[tuple[int, int]], delays: list[int]) -> ChipImage:
    """Returns a chain of cores: bit 0 → axon 0 of core 0 → … → pin 0; neuron 0 of each copies its axon 0.

    Args:
        hops: dx and dy from each core to the next.
        delays: of the input packet, and of each hop.
    """
    x, y = (np.cumsum([0, *[hop[axis] for hop in hops]]).astype(np.int32) for axis in (0, 1))
    cores = len(x)
    shape = (cores, SMALL.neurons)
    zeros = np.zeros(shape, np.int16)
    crossbar = np.zeros((1, SMALL.axons, SMALL.neurons // 8), np.uint8)
    crossbar[0, 0, 0] = 1
    return ChipImage(
        arch=json.dumps(SMALL.model_dump(mode="json")),
        input_bits=1,
        output_pins=1,
        latency=sum(delays),
        core_x=x - x.min(),
        core_y=y - y.min(),
        core_crossbar=np.zeros(cores, np.int32),
        crossbars=crossbar,
        axon_type=np.zeros((cores, SMALL.axons), np.uint8),
        neurons=stateless_table(np.array([[0] * 4, [1] * 4], np.int16), np.zeros(2, np.int16)),
        neuron_type=set_first(zeros.astype(np.int32), [1] * cores),
        dx=set_first(zeros, [*(hop[0] for hop in hops), 0]),
        dy=set_first(zeros, [*(hop[1] for hop in hops), 0]),
        target_axon=zeros,
        target_delay=set_first(zeros.astype(np.uint8), [*delays[1:], 0]),
        output_pin=set_first(np.full(shape, -1, np.int32), [-1] * (cores - 1) + [0]),
        packets=InputPackets(
            bit=np.zeros(1, np.int32),
            x=np.array([-x.min()], np.int32),
            y=np.array([-y.min()], np.int32),
            axon=np.zeros(1, np.int16),
            delay=np.array(delays[:1], np.uint8),
        ),
        host=None,
    )


def set_first(array: np.ndarray, column: list[int]) -> np.ndarray:
    """Returns the array with another first column."""
    array = array.copy()
    array[:, 0] = column
    return array


@pytest.mark.parametrize("delays", [[1, 1, 1], [5, 1, 3], [2, 5, 5]])
def test_a_spike_takes_the_sum_of_its_delays(delays: list[int]) -> None:
    image = make_relay([(2, 1), (-1, -1)], delays)
    frames = np.array([[1], [0], [0], [1], [1]], bool)
    output = chip.run(image, frames, 25)
    arrivals = np.array([0, 3, 4]) + sum(delays)
    assert np.flatnonzero(output[:, 0]).tolist() == arrivals.tolist()


def test_the_scheduler_holds_a_spike_until_its_tick() -> None:
    image = make_relay([(1, 0)], [2, 3])
    trace = chip.trace(image, np.array([[1]], bool), 6)
    held = [sorted({(int(r), int(c), int(a)) for r, c, a in np.argwhere(rows)}) for rows in trace.scheduler]
    assert held == [[(2, 0, 0)], [(2, 0, 0)], [(5, 1, 0)], [(5, 1, 0)], [(5, 1, 0)], []]
    assert trace.axons[2, 0, 0] and trace.axons[5, 1, 0] and trace.axons.sum() == 2
    assert [np.argwhere(s).tolist() for s in trace.spikes] == [[], [], [[0, 0]], [], [], [[1, 0]]]


def test_spikes_to_one_axon_in_one_tick_merge() -> None:
    image = make_relay([], [1])
    doubled = dataclasses.replace(
        image,
        packets=dataclasses.replace(
            image.packets,
            **{f: np.repeat(getattr(image.packets, f), 2) for f in ("bit", "x", "y", "axon", "delay")},
        ),
        neurons=dataclasses.replace(image.neurons, threshold=np.array([1, 2], np.int32)),
    )
    assert not chip.run(doubled, np.ones((1, 1), bool), 3).any()  # two packets are one spike, below α = 2


def test_a_packet_to_an_empty_site_is_an_error() -> None:
    image = make_relay([(1, 0)], [1, 1])
    with pytest.raises(SimulationError, match=r"core 0, neuron 0: sends to site \(0, 1\)"):
        chip.run(dataclasses.replace(image, dx=image.dx * 0, dy=set_first(image.dy, [1, 0])), np.ones((1, 1), bool), 3)


def test_frames_of_another_width_are_an_error() -> None:
    with pytest.raises(SimulationError, match="2 input bits a frame, the net takes 1"):
        chip.run(make_relay([], [1]), np.ones((1, 2), bool), 3)


def test_a_longer_run_begins_as_a_shorter_one() -> None:
    image = random_chip(3)
    frames = random_frames(image, 3, batch=1, ticks=12)[0]
    assert (chip.run(image, frames, 20)[:7] == chip.run(image, frames[:7], 7)).all()
