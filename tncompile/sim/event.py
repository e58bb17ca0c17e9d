"""The engine `event`: follows single spikes, for any chip, on CPUs.

It runs any image: recurrent wiring, all delays, all modes of the neuron with their random numbers. How one tick of a
core goes:

1. *Find.* The active axons stand as bits in a row of the scheduler, as on the chip.
2. *Integrate.* Each active axon's crossbar row selects the neurons to whose sums the weights of its type are added, 64
   neurons at once: 16-bit lanes, which a row of the crossbar masks. So many axons' weights always fit in 16 bits; more
   are taken in several goes. Stochastic synapses draw one block of random words for 8 axons.
3. *Fire.* Saturate, leak, saturate, threshold and reset, saturate: the order of `NeuronTable`. There are three paths,
   and each core takes the simplest that its neurons allow: stateless neurons are one comparison; plain neurons draw
   nothing, saturate and have parameters of 16 bits; the last path takes any.
4. *Send.* Each spike sets the bit of its target in the row of the tick in which it arrives.

A core without active axons that did not change in a tick without active axons, and draws nothing, is passed over.

What counts is memory. A tick of a full chip moves 4 MB of potentials twice, and up to 14 bytes of parameters a neuron;
the crossbars stay packed, 33 MB, of which only the rows of active axons are read. Parameters are rows of lanes, equal
rows are stored once for all cores and parameters, and weights are read only for axon types with an active axon.

Threads take blocks of cores as they become free, and wait for each other once a tick (`event_kernel`). With many more
streams than threads, each thread runs streams of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numba
import numpy as np
from jaxtyping import Bool, Int16, Int32, Int64, Shaped, UInt8, UInt32, UInt64

from tncompile.arch import ChipArch
from tncompile.ir import ChipImage
from tncompile.sim import event_kernel as kernel
from tncompile.sim.engine import ChipState, Ticks, check_frames, check_saved, check_stateless, check_watch
from tncompile.sim.event_kernel import BLOCK, LANES, Job, Scratch
from tncompile.sim.event_layout import first_job, lay_out
from tncompile.sim.native import IDLE, Spares, address, aligned, fixed, share
from tncompile.sim.wiring import resolve

_THREAD_CORES = 1000  # cores × streams × ticks, about 0.3 ms, that are worth one more thread
_STREAMS_EACH = 4  # streams a thread from which on it is better to deal streams than cores
_TEAM = 8  # threads of a team, if there are streams for more than one team


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EventState:
    """What the chip holds between two ticks.

    Attributes:
        tick: the next tick to be run [tick].
        seeds: of each stream's random numbers.
        large: 1 = some potential of a core needs more than 16 bits, or all stand in `potential` anyhow.
        small: V of the other cores [LSB].
        potential: V of large cores [LSB].
        scheduler: the axons that will be active; the row of a tick is its number modulo the rows.
        history: the neurons that spiked; the entry of a tick is its number modulo the delays.
        inputs: the input bits that entered, as in `ChipState`.
        rest: whether a tick without active axons is known to change nothing in a core.
    """

    tick: int
    seeds: UInt32[np.ndarray, " batch"]
    large: UInt8[np.ndarray, "batch cores"]
    small: Int16[np.ndarray, "batch cores lanes"]
    potential: Int32[np.ndarray, "batch cores lanes"]
    scheduler: UInt64[np.ndarray, "batch rows cores axon_words"]
    history: UInt64[np.ndarray, "batch delays cores words"]
    inputs: UInt8[np.ndarray, "batch delays input_bytes"]
    rest: UInt8[np.ndarray, "batch cores"]


class EventEngine:
    """Runs one chip image, spike by spike."""

    def __init__(self, image: ChipImage) -> None:
        """Lays out an image.

        Raises:
            SimulationError: the image disagrees with itself.
        """
        wiring = resolve(image)
        self.image = image
        self._arch = wiring.arch
        self._layout = lay_out(image, wiring)
        self._job = first_job(self._layout, image, wiring.arch)
        self._spares = Spares()

    def init(self, batch: int, seeds: UInt32[np.ndarray, " batch"] | None = None) -> EventState:
        """Returns the state of `batch` streams before their first tick; without seeds, all have seed 0."""
        self._spares = Spares()  # of another number of streams, perhaps
        kind, layout = self.image.neuron_type, self._layout
        potential = np.where(kind == 0, 0, self.image.neurons.initial[kind])
        delays = self._arch.delay_max
        return EventState(
            tick=0,
            seeds=fixed(np.zeros(batch, np.uint32) if seeds is None else seeds.copy()),
            **self._potentials(np.broadcast_to(potential, (batch, *kind.shape))),
            scheduler=fixed(aligned((batch, layout.rows, len(kind), layout.axon_words), np.uint64)),
            history=fixed(aligned((batch, delays, len(kind), layout.words), np.uint64)),
            inputs=fixed(np.zeros((batch, delays, -(-self.image.input_bits // 8)), np.uint8)),
            rest=fixed(np.zeros((batch, len(kind)), np.uint8)),
        )

    def prepare(self, batch: int, ticks: int, watch: Sequence[int] = ()) -> None:
        """Compiles the kernel, or reads it from Numba's cache; it is the same for all batches, lengths and images."""
        progress = np.zeros(2 * kernel.FINISHED, np.int64)
        job = Job(*[0] * len(Job._fields))._replace(progress=address(progress))  # of no ticks
        kernel.work(job, Scratch(*[0] * len(Scratch._fields)), IDLE)

    def run(
        self, state: EventState, frames: Bool[np.ndarray, "batch ticks input_bits"], watch: Sequence[int] = ()
    ) -> tuple[EventState, Ticks]:
        """Returns the state after as many ticks as there are frames, and what came out.

        Args:
            state: the state before.
            frames: the input bits that enter in each tick.
            watch: cores whose spikes and potentials are wanted.

        Raises:
            SimulationError: the frames do not fit the image or the state, or a watched core is not there.
        """
        check_frames(frames, len(state.seeds), self.image.input_bits)
        check_watch(watch, len(self.image.core_x))
        batch, ticks, _ = frames.shape
        watched, place = np.unique(np.asarray(watch, np.int64), return_inverse=True)
        shape = (batch, ticks, len(watched), self._arch.neurons)
        run = _Run(
            frames=np.ascontiguousarray(frames),
            pins=np.zeros((batch, ticks, self.image.output_pins), bool),
            spikes=np.zeros(shape, bool),
            potential=np.zeros(shape, np.int32),
        )
        after = self._run(state, run, watched) if batch and ticks else replace(state, tick=state.tick + ticks)
        return after, Ticks(
            pins=fixed(run.pins),
            spikes=fixed(_spread(run.spikes, place)),
            potential=fixed(_spread(run.potential, place)),
        )

    def step(
        self, state: EventState, frame: Bool[np.ndarray, "batch input_bits"]
    ) -> tuple[EventState, Bool[np.ndarray, "batch pins"]]:
        """Returns the state after one tick, and its output pins; errors as in `run`."""
        state, ticks = self.run(state, frame[:, None])
        return state, ticks.pins[:, 0]

    def save(self, state: EventState) -> ChipState:
        """Returns the state in the form that every engine can load."""
        neurons = self._arch.neurons
        return ChipState(
            tick=state.tick,
            seeds=state.seeds,
            potential=np.where(state.large[:, :, None], state.potential, state.small)[:, :, :neurons],
            spikes=state.history.view(np.uint8)[:, self._entries(state.tick), :, : neurons // 8],
            inputs=state.inputs,
        )

    def load(self, saved: ChipState) -> EventState:
        """Returns the engine's state from a saved one: every spike that is still under way is sent again.

        Raises:
            SimulationError: it is the state of another image.
        """
        check_saved(saved, self.image, self._arch.delay_max)
        self._spares = Spares()
        layout, neurons = self._layout, self._arch.neurons
        stateless = layout.record[:, kernel.PATH] == kernel.STATELESS
        check_stateless(saved, stateless)
        history = aligned((*saved.spikes.shape[:3], layout.words), np.uint64)
        history.view(np.uint8)[:, self._entries(saved.tick), :, : neurons // 8] = saved.spikes
        scheduler = aligned((len(saved.seeds), layout.rows, len(stateless), layout.axon_words), np.uint64)
        for stream in range(len(scheduler)):
            rows = scheduler[stream].reshape(-1)
            for age in range(1, self._arch.delay_max + 1):
                fired = np.unpackbits(saved.spikes[stream, age - 1], bitorder="little")
                entered = np.unpackbits(saved.inputs[stream, age - 1], count=self.image.input_bits, bitorder="little")
                routes = np.concatenate(
                    [layout.route[np.flatnonzero(fired)], layout.line[entered[layout.line_bit].astype(bool)]]
                )
                delay = (routes & np.uint64(kernel.DELAY_MASK)).astype(np.int64)
                routes, delay = routes[delay >= age], delay[delay >= age]
                target = (routes >> np.uint64(kernel.TARGET_SHIFT)).astype(np.int64)
                row = (saved.tick - age + delay) % layout.rows
                word = row * (len(stateless) * layout.axon_words) + target // 64
                np.bitwise_or.at(rows, word, np.uint64(1) << (target % 64).astype(np.uint64))
        return EventState(
            tick=saved.tick,
            seeds=saved.seeds,
            **self._potentials(saved.potential),
            scheduler=fixed(scheduler),
            history=fixed(history),
            inputs=saved.inputs,
            rest=fixed(np.zeros(saved.potential.shape[:2], np.uint8)),
        )

    def _potentials(
        self, potential: Int32[np.ndarray, "batch cores neurons"]
    ) -> dict[str, Shaped[np.ndarray, "batch cores ..."]]:
        """Returns `large`, `small` and `potential` of a state."""
        batch, cores, neurons = potential.shape
        lanes = (batch, cores, self._layout.words * LANES)
        small, large = aligned(lanes, np.int16), aligned(lanes, np.int32)
        small[:, :, :neurons], large[:, :, :neurons] = potential, potential
        is_large = np.any(small[:, :, :neurons] != potential, axis=2)
        is_large |= self._layout.record[:, kernel.PATH] != kernel.PLAIN
        return {"large": fixed(is_large.astype(np.uint8)), "small": fixed(small), "potential": fixed(large)}

    def _entries(self, tick: int) -> Int64[np.ndarray, " delays"]:
        """Returns the entries of the history that hold the tick before `tick`, the one before that, …."""
        return (tick - 1 - np.arange(self._arch.delay_max)) % self._arch.delay_max

    def _run(self, state: EventState, run: _Run, watched: Int64[np.ndarray, " watched"]) -> EventState:
        """Fills what comes out of a run, and returns the state afterwards."""
        batch, ticks, _ = run.frames.shape
        cores = len(self.image.core_x)
        threads = min(numba.config.NUMBA_NUM_THREADS, 1 + batch * ticks * cores // _THREAD_CORES)  # type: ignore[attr-defined]
        teams, size = _teams(threads, batch, -(-cores // BLOCK))
        kept = self._kept(state, ticks)
        schedulers = self._spares.take((batch, *state.scheduler.shape[1:]), np.uint64)
        watch = np.full(cores, -1, np.int32)
        watch[watched] = np.arange(len(watched))

        parts, progress, copies = [], [], []
        memory = []  # what the parts know the address of
        for begin, end in _shares(batch, teams):
            streams = slice(begin, end)
            scheduler = schedulers[None, streams]
            if size > 1:
                scheduler = self._spares.take((size, *scheduler.shape[1:]), np.uint64)
                scheduler[1:] = 0
                copies.append((streams, scheduler))
            scheduler[0] = state.scheduler[streams]
            counts = np.zeros(2 * kernel.FINISHED, np.int64)
            job = self._job._replace(
                batch=end - begin,
                ticks=ticks,
                first_tick=state.tick,
                watched=len(watched),
                copies=size,
                progress=address(counts),
                seeds=address(state.seeds[streams]),
                watch=address(watch),
                scheduler=address(scheduler),
                **{name: address(array[streams]) for name, array in kept.items()},
                frames=address(run.frames[streams]),
                pin_spikes=address(run.pins[streams]),
                watched_spikes=address(run.spikes[streams]),
                watched_potential=address(run.potential[streams]),
            )
            for thread in range(size):
                scratch = _scratch(self._arch)
                own = Scratch(thread=thread, **{name: address(array) for name, array in scratch.items()})
                parts.append(partial(kernel.work, job, own))
                memory.append(scratch)
            progress.append(counts)
        share(parts, progress)
        for streams, scheduler in copies:
            np.bitwise_or.reduce(scheduler, out=schedulers[streams])

        delays = self._arch.delay_max
        entered = np.packbits(run.frames[:, -delays:][:, ::-1], axis=-1, bitorder="little")
        return EventState(
            tick=state.tick + ticks,
            seeds=state.seeds,
            scheduler=fixed(schedulers),
            inputs=fixed(np.concatenate([entered, state.inputs], axis=1)[:, :delays]),
            **{name: fixed(array) for name, array in kept.items()},
        )

    def _kept(self, state: EventState, ticks: int) -> dict[str, Shaped[np.ndarray, "batch ..."]]:
        """Returns what a run goes on writing to, as it stands in a state: the parts that may still be read."""
        names = ("large", "small", "potential", "history", "rest")
        old = {name: getattr(state, name) for name in names}
        new = {name: self._spares.take(array.shape, array.dtype.type) for name, array in old.items()}
        new["large"][...], new["rest"][...] = old["large"], old["rest"]
        if ticks < self._arch.delay_max:  # else all of it is written anew
            new["history"][...] = old["history"]
        large = old["large"].astype(bool)
        for name, rows in (("small", ~large), ("potential", large)):
            if rows.all():
                new[name][...] = old[name]
            elif rows.any():
                new[name][rows] = old[name][rows]
        return new


class _Run(NamedTuple):
    """What a run reads and fills: input bits and output pins, and spikes and potentials of the watched cores."""

    frames: Bool[np.ndarray, "batch ticks input_bits"]
    pins: Bool[np.ndarray, "batch ticks pins"]
    spikes: Bool[np.ndarray, "batch ticks watched neurons"]
    potential: Int32[np.ndarray, "batch ticks watched neurons"]


def _scratch(arch: ChipArch) -> dict[str, Shaped[np.ndarray, " _"]]:
    """Returns memory for one thread, by the names of `Scratch`."""
    lanes = -(-arch.neurons // LANES) * LANES
    sizes = {
        "first": (BLOCK + 1, np.int64),
        "row": (BLOCK * arch.axons, np.int64),
        "weight": (BLOCK * arch.axons, np.int64),
        "bits": (4 * arch.axons, np.uint64),
        "total": (lanes, np.int16),
        "chance": (lanes, np.int16),
        "potential": (lanes, np.int32),
        "word0": (lanes, np.uint32),
        "word1": (lanes, np.uint32),
        "spiked": (lanes, np.uint8),
        "sender": (BLOCK * arch.neurons, np.int64),
    }
    return {name: aligned((size,), dtype) for name, (size, dtype) in sizes.items()}


def _teams(threads: int, streams: int, blocks: int) -> tuple[int, int]:
    """Returns how many teams of threads share the streams, and the size of a team, which shares the cores.

    A thread without company waits for nobody, but streams have to be many to be dealt evenly. Each thread of a team
    has a scheduler of its own for all of the team's streams: so teams are small where there are streams for several.
    """
    if streams >= _STREAMS_EACH * threads:
        return threads, 1
    teams = min(streams, -(-threads // _TEAM))
    return teams, min(threads // teams, blocks)


def _shares(count: int, parts: int) -> list[tuple[int, int]]:
    """Returns begin and end of nearly equal parts."""
    return [(part * count // parts, (part + 1) * count // parts) for part in range(parts)]


def _spread(array: Shaped[np.ndarray, "batch ticks watched neurons"], place: Int64[np.ndarray, " _"]):
    """Returns the watched cores in the order in which they were asked for."""
    if np.array_equal(place, np.arange(array.shape[2])):
        return array
    return array[:, :, place]
