"""What a chip does in each tick, counted from the spikes of a run: what its energy and its speed are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer

from tncompile.analysis.traffic import chip_traffic, paths
from tncompile.arch import ChipArch
from tncompile.errors import SimulationError
from tncompile.ir import ChipImage, Record
from tncompile.native import kept


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Events(Record):
    """What happened on a chip in some ticks.

    Attributes:
        spikes: of each neuron in all ticks.
        core_events: synaptic events in each core, in all ticks: crosspoints in the rows of the axons that it read.
        core_most: the most synaptic events of each core in one tick.
        tick_events: synaptic events of all cores in each tick.
        tick_spikes: spikes of all neurons, those to output pins too.
        tick_hops: hops of all packets that neurons send to cores.
        tick_inputs: packets that the host sends.
        busiest_core: synaptic events of the core that has most of them in the tick.
        busiest_link: packets on the link between two routers that carries most.
        busiest_edge: packets over the four sides of the chip for which that is most: from and to other chips of the
            board, and, since they come from and go to somewhere, those of the host and of output pins.
        load: packets that neurons send over each link in all ticks.
    """

    spikes: Int64[np.ndarray, "cores neurons"]
    core_events: Int64[np.ndarray, " cores"]
    core_most: Int64[np.ndarray, " cores"]
    tick_events: Int64[np.ndarray, " ticks"]
    tick_spikes: Int64[np.ndarray, " ticks"]
    tick_hops: Int64[np.ndarray, " ticks"]
    tick_inputs: Int64[np.ndarray, " ticks"]
    busiest_core: Int64[np.ndarray, " ticks"]
    busiest_link: Int64[np.ndarray, " ticks"]
    busiest_edge: Int64[np.ndarray, " ticks"]
    load: Int64[np.ndarray, "4 height width"]

    @property
    def ticks(self) -> int:
        """How many ticks were counted [tick]."""
        return len(self.tick_events)


class EventCounter:
    """Counts what a chip does, tick by tick, from the spikes of its neurons and of the host.

    It knows which axons are active in a tick from who spiked before, so it needs nothing else of an engine. It follows
    one stream from tick 0 on: for each tick `enter`, as often as need be, then `tick`.
    """

    def __init__(self, image: ChipImage) -> None:
        """Gets ready to count.

        Args:
            image: the chip; its packets must reach cores.

        Raises:
            SimulationError: a packet goes to a site without a core.
        """
        self._arch = ChipArch.model_validate_json(image.arch)
        packets, shape = paths(image), image.neuron_type.shape
        width, height = self._arch.size
        core_at = np.full((height, width), -1, np.int32)
        core_at[image.core_y, image.core_x] = np.arange(len(image.core_x))
        x, y = image.core_x[:, None] + packets.dx, image.core_y[:, None] + packets.dy
        self._way = np.stack(
            [np.broadcast_to(image.core_x[:, None], shape), np.broadcast_to(image.core_y[:, None], shape), x, y]
        )
        self._way = np.ascontiguousarray(self._way.reshape(4, -1).T.astype(np.int32))
        target = np.where(packets.sends, _core_of(core_at, x, y, packets.sends), -1)
        lines = image.packets
        host = _core_of(core_at, lines.x, lines.y, np.ones(len(lines.x), bool))
        axons = image.axon_type.shape[1]
        self._axon = np.where(target < 0, -1, target * axons + image.target_axon).astype(np.int32).ravel()
        self._delay = image.target_delay.ravel()
        self._pin = (image.output_pin >= 0).ravel()
        self._line = (lines.bit, (host * axons + lines.axon).astype(np.int32), lines.delay)
        self._line_chip = self._chips(lines.x, lines.y)
        self._core_chip = self._chips(image.core_x, image.core_y)
        self._fan_out = np.bitwise_count(image.crossbars).sum(axis=2, dtype=np.int32)[image.core_crossbar]
        self._rows = np.zeros((self._arch.delay_max + 1, *self._fan_out.shape), bool)
        self._axons, self._bits = axons, image.input_bits
        self._entered = np.zeros(self._arch.chips, np.int64)
        self._tick = 0
        self._spikes = np.zeros(shape, np.int64)
        self._core_events = np.zeros(shape[0], np.int64)
        self._core_most = np.zeros(shape[0], np.int64)
        self._load = np.zeros((4, height, width), np.int64)
        self._series: list[tuple[int, ...]] = []

    def enter(
        self,
        tick: int,
        core: Integer[np.ndarray, " spikes"],
        axon: Integer[np.ndarray, " spikes"],
        delay: Integer[np.ndarray, " spikes"],
    ) -> None:
        """Takes spikes that somebody outside sends.

        Args:
            tick: in which they are sent, the next one or one before tick 0 [tick].
            core: that each goes to; −1: an input bit, which the host has packets for.
            axon: where it goes there, or the input bit.
            delay: arrives so many ticks later; of no meaning for an input bit [tick].
        """
        direct, (bit, line_axon, line_delay) = core >= 0, self._line
        frame = np.zeros(self._bits, bool)
        frame[axon[~direct]] = True
        entering = frame[bit]
        to = np.concatenate([line_axon[entering], core[direct].astype(np.int64) * self._axons + axon[direct]])
        arrival = tick + np.concatenate([line_delay[entering], delay[direct]]).astype(np.int64)
        there = arrival >= 0
        self._rows.reshape(len(self._rows), -1)[arrival[there] % len(self._rows), to[there]] = True
        if tick >= 0:
            chips = np.concatenate([self._line_chip[entering], self._core_chip[core[direct]]])
            self._entered += np.bincount(chips, minlength=len(self._entered))

    def tick(self, spikes: Bool[np.ndarray, "cores neurons"], *, count: bool = True) -> None:
        """Takes the next tick.

        Args:
            spikes: of all neurons in it.
            count: whether it is one of those that are wanted; if not, it only sends what arrives later.
        """
        rows = len(self._rows)
        now = self._rows[self._tick % rows]
        events = _read(now, self._fan_out)
        now[:] = False
        arcs = np.zeros((4, *(side + 1 for side in self._load.shape[1:])), np.int64)
        sent, hops = _send(
            spikes.reshape(-1), self._axon, self._delay, self._way, self._rows.reshape(rows, -1), self._tick, arcs
        )
        entered, self._entered = self._entered, np.zeros_like(self._entered)
        self._tick += 1
        if not count:
            return
        load = _loads(arcs)
        self._spikes += spikes
        self._core_events += events
        np.maximum(self._core_most, events, out=self._core_most)
        self._load += load
        self._series.append(
            (
                int(events.sum()), sent, hops, int(entered.sum()), int(events.max(initial=0)),
                int(load.max(initial=0)), self._edge(load, spikes, entered),
            )
        )  # fmt: skip

    def events(self) -> Events:
        """Returns what was counted so far."""
        series = np.array(self._series, np.int64).reshape(-1, 7)
        names = (
            "tick_events",
            "tick_spikes",
            "tick_hops",
            "tick_inputs",
            "busiest_core",
            "busiest_link",
            "busiest_edge",
        )
        return Events(
            spikes=self._spikes,
            core_events=self._core_events,
            core_most=self._core_most,
            load=self._load,
            **dict(zip(names, series.T, strict=True)),
        )

    def _chips(self, x: Int32[np.ndarray, " some"], y: Int32[np.ndarray, " some"]) -> Int64[np.ndarray, " some"]:
        width, height = self._arch.grid
        return (x // width + self._arch.board[0] * (y // height)).astype(np.int64)

    def _edge(
        self,
        load: Int64[np.ndarray, "4 height width"],
        spikes: Bool[np.ndarray, "cores neurons"],
        entered: Int64[np.ndarray, " chips"],
    ) -> int:
        """Returns the packets over the sides of the busiest chip, those that entered from outside included."""
        chips = self._arch.chips
        pins = (spikes & self._pin.reshape(spikes.shape)).sum(axis=1)
        packets = entered + np.bincount(self._core_chip, weights=pins, minlength=chips).astype(np.int64)
        if chips > 1:
            packets = packets + np.array([chip.all for chip in chip_traffic(load, self._arch)])
        return int(packets.max())


def _core_of(
    core_at: Int32[np.ndarray, "height width"], x: np.ndarray, y: np.ndarray, sends: Bool[np.ndarray, "..."]
) -> Int32[np.ndarray, "..."]:
    """Returns the core on each site that something sends to.

    Raises:
        SimulationError: there is none.
    """
    height, width = core_at.shape
    on_board = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    found = np.where(on_board, core_at[np.where(on_board, y, 0), np.where(on_board, x, 0)], -1)
    if (lost := sends & (found < 0)).any():
        at = tuple(part[0] for part in np.nonzero(lost))
        raise SimulationError(f"chip image: a packet goes to site ({x[at]}, {y[at]}), where the image has no core")
    return found.astype(np.int32)


@kept
@no_type_check
def _read(row, fan_out):
    """Returns the synaptic events of each core: crosspoints in the rows of its active axons."""
    cores, axons = row.shape
    events = np.zeros(cores, np.int64)
    for core in range(cores):
        total = 0
        for axon in range(axons):
            total += row[core, axon] * fan_out[core, axon]
        events[core] = total
    return events


@kept
@no_type_check
def _send(spikes, axon, delay, way, rows, tick, arcs):
    """Enters the packets of the neurons that spike, notes where their ways begin and end, and counts spikes and hops.

    `arcs` takes a difference array a direction: each leg of a way is an interval of a row or a column of routers.
    """
    sent, hops = 0, 0
    for neuron in range(len(spikes)):
        if not spikes[neuron]:
            continue
        sent += 1
        if axon[neuron] < 0:
            continue
        rows[(tick + delay[neuron]) % len(rows), axon[neuron]] = True
        x, y, to_x, to_y = way[neuron]
        hops += abs(to_x - x) + abs(to_y - y)
        if x < to_x:
            arcs[0, y, x] += 1
            arcs[0, y, to_x] -= 1
        elif to_x < x:
            arcs[1, y, to_x + 1] += 1
            arcs[1, y, x + 1] -= 1
        if y < to_y:
            arcs[2, y, to_x] += 1
            arcs[2, to_y, to_x] -= 1
        elif to_y < y:
            arcs[3, to_y + 1, to_x] += 1
            arcs[3, y + 1, to_x] -= 1
    return sent, hops


def _loads(arcs: Int64[np.ndarray, "4 height_1 width_1"]) -> Int64[np.ndarray, "4 height width"]:
    """Returns the packets on each link: running sums along x for the first two directions, along y for the others."""
    return np.concatenate([arcs[:2].cumsum(axis=2), arcs[2:].cumsum(axis=1)])[:, :-1, :-1]
