"""Cores and the packets between them, tick by tick: the machine that core graphs and chip images run on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8

from tncompile.arch import ChipArch
from tncompile.errors import SimulationError
from tncompile.ir import NeuronTable
from tncompile.reference.neuron import fire, initial_potential, integrate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cores:
    """Cores whose neurons know their target core by its number.

    Attributes:
        arch: the chip.
        input_bits, output_pins: how many.
        core_crossbar, crossbars, axon_type, neurons, neuron_type: as in `ChipImage`.
        target_core: core that the neuron sends to, −1 = none.
        target_axon, target_delay: where and when the spike arrives; 0 without a target core.
        output_pin: pin that the neuron drives, −1 = none.
        input_bit, input_core, input_axon, input_delay: lines of the host.
    """

    arch: ChipArch
    input_bits: int
    output_pins: int
    core_crossbar: Int32[np.ndarray, " cores"]
    crossbars: UInt8[np.ndarray, "crossbars axons bytes"]
    axon_type: UInt8[np.ndarray, "cores axons"]
    neurons: NeuronTable
    neuron_type: Int32[np.ndarray, "cores neurons"]
    target_core: Int64[np.ndarray, "cores neurons"]
    target_axon: Int64[np.ndarray, "cores neurons"]
    target_delay: Int64[np.ndarray, "cores neurons"]
    output_pin: Int64[np.ndarray, "cores neurons"]
    input_bit: Int64[np.ndarray, " lines"]
    input_core: Int64[np.ndarray, " lines"]
    input_axon: Int64[np.ndarray, " lines"]
    input_delay: Int64[np.ndarray, " lines"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoresState:
    """What the cores hold between two ticks.

    Attributes:
        tick: the next tick to be run [tick].
        seed: of the random numbers.
        potential: V [LSB].
        scheduler: row r holds the spikes of the next tick that is r modulo the number of rows.
    """

    tick: int
    seed: int
    potential: Int64[np.ndarray, "cores neurons"]
    scheduler: Bool[np.ndarray, "rows cores axons"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """Everything that happened in a run.

    Attributes:
        output: spikes on the pins.
        spikes: spikes of all neurons.
        potential: V at each tick's end [LSB].
        axons: the scheduler's row that each tick read.
        scheduler: the scheduler at each tick's end.
    """

    output: Bool[np.ndarray, "ticks pins"]
    spikes: Bool[np.ndarray, "ticks cores neurons"]
    potential: Int64[np.ndarray, "ticks cores neurons"]
    axons: Bool[np.ndarray, "ticks cores axons"]
    scheduler: Bool[np.ndarray, "ticks rows cores axons"]


def start(cores: Cores, seed: int = 0) -> CoresState:
    """Returns the state before tick 0: no spike on its way, every neuron at its initial potential."""
    return CoresState(
        tick=0,
        seed=seed,
        potential=initial_potential(cores.neurons, cores.neuron_type),
        scheduler=np.zeros((cores.arch.delay_max + 1, *cores.axon_type.shape), bool),
    )


def tick(
    cores: Cores, state: CoresState, frame: Bool[np.ndarray, " input_bits"]
) -> tuple[CoresState, Bool[np.ndarray, "cores neurons"], Bool[np.ndarray, " pins"]]:
    """Returns the state after one tick, the spikes of all neurons, and the spikes on the output pins.

    The tick reads its row of the scheduler, evaluates every core, clears the row, and enters the packets of the
    neurons and of the host, which arrive 1 … delay_max ticks later. Spikes to the same axon and tick merge.

    Args:
        cores: the cores.
        state: what they hold.
        frame: the input bits that enter in this tick.
    """
    scheduler = state.scheduler.copy()
    rows = len(scheduler)
    row = state.tick % rows

    total = integrate(
        state.potential, scheduler[row], cores.core_crossbar, cores.crossbars, cores.axon_type,
        cores.neurons, cores.neuron_type, seed=state.seed, tick=state.tick,
    )  # fmt: skip
    potential, spikes = fire(total, cores.neurons, cores.neuron_type, cores.arch, seed=state.seed, tick=state.tick)
    scheduler[row] = False

    send(cores, scheduler, state.tick, spikes, frame, state.tick + 1)

    pins = np.zeros(cores.output_pins, bool)
    pins[cores.output_pin[spikes & (cores.output_pin >= 0)]] = True
    after = CoresState(tick=state.tick + 1, seed=state.seed, potential=potential, scheduler=scheduler)
    return after, spikes, pins


def send(
    cores: Cores,
    scheduler: Bool[np.ndarray, "rows cores axons"],
    tick: int,
    spikes: Bool[np.ndarray, "cores neurons"],
    frame: Bool[np.ndarray, " input_bits"],
    since: int,
) -> None:
    """Enters the packets that neurons and host send in a tick into the scheduler's rows, in place.

    Args:
        cores: the cores.
        scheduler: where to.
        tick: in which they are sent [tick].
        spikes: the neurons that spike.
        frame: the input bits that enter.
        since: packets that arrive before that tick are left out [tick].
    """
    rows = len(scheduler)
    goes = spikes & (cores.target_core >= 0) & (tick + cores.target_delay >= since)
    arrival = (tick + cores.target_delay[goes]) % rows
    scheduler[arrival, cores.target_core[goes], cores.target_axon[goes]] = True
    line = frame[cores.input_bit] & (tick + cores.input_delay >= since)
    arrival = (tick + cores.input_delay[line]) % rows
    scheduler[arrival, cores.input_core[line], cores.input_axon[line]] = True


def run(
    cores: Cores, frames: Bool[np.ndarray, "frames input_bits"], ticks: int, seed: int = 0
) -> Bool[np.ndarray, "ticks pins"]:
    """Returns the spikes on the output pins in the ticks 0 … ticks − 1.

    Args:
        cores: the cores.
        frames: the input bits that enter in tick 0, 1, …; then none.
        ticks: how many [tick].
        seed: of the random numbers.

    Raises:
        SimulationError: the frames do not fit.
    """
    output = [pins for _, _, _, pins in _ticks(cores, frames, ticks, seed)]
    return np.array(output, bool).reshape(ticks, cores.output_pins)


def trace(cores: Cores, frames: Bool[np.ndarray, "frames input_bits"], ticks: int, seed: int = 0) -> Trace:
    """Returns everything that happens in the ticks 0 … ticks − 1; arguments and errors as in `run`."""
    done = list(_ticks(cores, frames, ticks, seed))
    shape = ticks, *cores.neuron_type.shape
    return Trace(
        output=np.array([pins for *_, pins in done], bool).reshape(ticks, cores.output_pins),
        spikes=np.array([spikes for _, _, spikes, _ in done], bool).reshape(shape),
        potential=np.array([after.potential for _, after, _, _ in done], np.int64).reshape(shape),
        axons=np.array([before.scheduler[before.tick % len(before.scheduler)] for before, *_ in done], bool).reshape(
            ticks, *cores.axon_type.shape
        ),
        scheduler=np.array([after.scheduler for _, after, _, _ in done], bool).reshape(
            ticks, cores.arch.delay_max + 1, *cores.axon_type.shape
        ),
    )


def pipeline(
    cores: Cores, frames: Bool[np.ndarray, "frames input_bits"], latency: int
) -> Bool[np.ndarray, "frames pins"]:
    """Returns the output spikes of frames that enter one a tick, `latency` ticks after each one's entry.

    Raises:
        SimulationError: the frames do not fit, or the latency is not known.
    """
    if latency < 0:
        raise SimulationError(
            f"latency {latency}: frames can be told apart only on a feed-forward net of known latency; run it by ticks"
        )
    return run(cores, frames, len(frames) + latency)[latency:]


def _ticks(
    cores: Cores, frames: Bool[np.ndarray, "frames input_bits"], ticks: int, seed: int
) -> Iterator[tuple[CoresState, CoresState, np.ndarray, np.ndarray]]:
    if frames.shape[1] != cores.input_bits:
        raise SimulationError(f"frames: {frames.shape[1]} input bits a frame, the net takes {cores.input_bits}")
    silence = np.zeros(cores.input_bits, bool)
    state = start(cores, seed)
    for t in range(ticks):
        before = state
        state, spikes, pins = tick(cores, before, frames[t] if t < len(frames) else silence)
        yield before, state, spikes, pins
