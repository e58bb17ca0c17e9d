"""Runs of any length: spikes go in and come out as lists, in memory that does not grow with the number of ticks."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt32

from tncompile.errors import ArtifactError, ConfigError, SimulationError
from tncompile.ir import ChipImage, InputPackets
from tncompile.ir.base import Record
from tncompile.ir.tensors import read_tensors, write_tensors
from tncompile.ir.text import digest
from tncompile.sim.choose import Choice, choose_engine
from tncompile.sim.chunks import ONE_LENGTH, chunk_ticks
from tncompile.sim.engine import ChipState, Engine
from tncompile.sim.sources import (
    MAX_STREAMS,
    SpikeSource,
    Survey,
    address_keys,
    addresses_of,
    merged,
    survey,
    taken,
)
from tncompile.sim.spikes import InputSpikes, OutputSpikes

_STATE = "chip-state"


# ---------------------------------------------------------------------------------------------------------------------
# Images for a run.


def with_inputs(image: ChipImage, addresses: Int32[np.ndarray, "addresses 3"]) -> ChipImage:
    """Returns the image with one more input bit for each address, behind its own.

    Engines know input bits only; a spike that somebody outside sends to an axon is a bit with one packet.

    Args:
        image: the chip.
        addresses: core, axon and delay of each.
    """
    core, axon, delay = addresses.T
    own = image.packets
    packets = InputPackets(
        bit=np.concatenate([own.bit, image.input_bits + np.arange(len(core), dtype=np.int32)]),
        x=np.concatenate([own.x, image.core_x[core]]),
        y=np.concatenate([own.y, image.core_y[core]]),
        axon=np.concatenate([own.axon, axon.astype(np.int16)]),
        delay=np.concatenate([own.delay, delay.astype(np.uint8)]),
    )
    return dataclasses.replace(image, input_bits=image.input_bits + len(core), packets=packets)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drivers(Record):
    """Which neuron drives which output pin of an image.

    Attributes:
        pin: output pin.
        core, neuron: a neuron that drives it.
    """

    pin: Int32[np.ndarray, " drivers"]
    core: Int32[np.ndarray, " drivers"]
    neuron: Int32[np.ndarray, " drivers"]


def split_pins(image: ChipImage) -> tuple[ChipImage, Drivers]:
    """Returns the image with a pin of its own for each neuron that drives one, and what those pins stand for."""
    core, neuron = np.nonzero(image.output_pin >= 0)
    own = np.full_like(image.output_pin, -1)
    own[core, neuron] = np.arange(len(core))
    drivers = Drivers(pin=image.output_pin[core, neuron], core=core.astype(np.int32), neuron=neuron.astype(np.int32))
    return dataclasses.replace(image, output_pin=own, output_pins=len(core)), drivers


# ---------------------------------------------------------------------------------------------------------------------
# What a run can be resumed from.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SavedState(Record):
    """A chip between two ticks, and the spikes from outside that are under way.

    Attributes:
        image: digest of the chip image, as it is without more inputs.
        addresses: core, axon and delay of the input bits behind the image's own, in rising order.
        chip: the state, over all these input bits.
    """

    image: str
    addresses: Int32[np.ndarray, "addresses 3"]
    chip: ChipState


def write_state(path: Path, saved: SavedState) -> None:
    """Writes a state, whole or not at all.

    Raises:
        ArtifactError: the file cannot be written.
    """
    chip = saved.chip
    tensors = {"addresses": saved.addresses} | {
        name: getattr(chip, name) for name in ("seeds", "potential", "spikes", "inputs")
    }
    write_tensors(path, _STATE, tensors, {"image": saved.image, "tick": chip.tick})


def read_state(path: Path, image: ChipImage) -> SavedState:
    """Returns the state in a file.

    Raises:
        ArtifactError: the file is missing, truncated, altered or of another version, or it is the state of another
            image.
    """
    meta, tensors = read_tensors(path, _STATE, again="run the ticks again")
    if meta["image"] != digest(image):
        raise ArtifactError(
            f"{path}: is the state of another chip image, {meta['image'][:16]}…, not of {digest(image)[:16]}…; "
            "name the folder of that image"
        )
    return SavedState(
        image=meta["image"],
        addresses=tensors.pop("addresses"),
        chip=ChipState(tick=meta["tick"], **tensors),
    )


def resumed(
    saved: SavedState, image: ChipImage, addresses: Int32[np.ndarray, "some 3"]
) -> tuple[Int32[np.ndarray, "all 3"], ChipState]:
    """Returns the addresses of a run that goes on from a state, and the state over their input bits.

    All addresses of the state stay, those without spikes under way too: engines may take neurons for one that differ in
    an input which nothing enters, but their last spikes differ if something did.

    Args:
        saved: the state.
        image: the chip, without more inputs.
        addresses: those that the spikes to come go to, in rising order.
    """
    held = address_keys(*saved.addresses.T)
    keys = merged(held, address_keys(*addresses.T))
    own, before = image.input_bits, len(held)
    entered = np.unpackbits(saved.chip.inputs, axis=-1, count=own + before, bitorder="little")  # stream age bit
    inputs = np.zeros((*entered.shape[:2], own + len(keys)), np.uint8)
    inputs[:, :, :own] = entered[:, :, :own]
    inputs[:, :, own + np.searchsorted(keys, held)] = entered[:, :, own:]
    chip = dataclasses.replace(saved.chip, inputs=np.packbits(inputs, axis=-1, bitorder="little"))
    return addresses_of(keys), chip


# ---------------------------------------------------------------------------------------------------------------------
# The run.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window(Record):
    """What came out of some ticks of a run.

    Attributes:
        first: their first [tick].
        ticks: how many [tick].
        spikes: on the output pins, by tick, stream and pin; with their drivers if those were asked for.
        watch: the watched cores.
        raster: spikes of their neurons.
        potential: V of their neurons at each tick's end [LSB].
    """

    first: int
    ticks: int
    spikes: OutputSpikes
    watch: tuple[int, ...]
    raster: Bool[np.ndarray, "streams ticks watched neurons"]
    potential: Int32[np.ndarray, "streams ticks watched neurons"]


def pieces(window: Window, ticks: int) -> Iterator[Window]:
    """Yields a window in pieces of so many ticks; the last one may be shorter."""
    for begin in range(0, window.ticks, ticks):
        end = min(begin + ticks, window.ticks)
        low, high = np.searchsorted(window.spikes.tick, (window.first + begin, window.first + end))
        names = [field.name for field in dataclasses.fields(window.spikes)]
        yield Window(
            first=window.first + begin,
            ticks=end - begin,
            spikes=OutputSpikes(**{name: getattr(window.spikes, name)[low:high] for name in names}),
            watch=window.watch,
            raster=window.raster[:, begin:end],
            potential=window.potential[:, begin:end],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamResult:
    """How a run went.

    Attributes:
        choice: the engine, and why.
        streams: how many ran side by side.
        first: its first tick [tick].
        ticks: how many it ran; fewer than asked for if it was stopped [tick].
        input_spikes: spikes in the source from `first` on.
        earlier_spikes: spikes in the source before, which were left out.
        output_spikes: of all streams; several drivers of a pin in a tick are one.
        seconds: time that the ticks took, without compilation [s].
        save: returns the state at the end.
    """

    choice: Choice
    streams: int
    first: int
    ticks: int
    input_spikes: int
    earlier_spikes: int
    output_spikes: int
    seconds: float
    save: Callable[[], SavedState]


def simulate_stream(
    image: ChipImage,
    source: SpikeSource,
    ticks: int,
    *,
    engine: str = "auto",
    sinks: Sequence[Callable[[Window], None]] = (),
    state: SavedState | None = None,
    streams: int | None = None,
    seed: int = 0,
    devices: int = 1,
    split: str = "streams",
    watch: Sequence[int] = (),
    drivers: bool = False,
    progress: Callable[[int, int], None] | None = None,
    announce: Callable[[Choice], None] | None = None,
    stop: Callable[[], bool] | None = None,
    found: Survey | None = None,
) -> StreamResult:
    """Runs a chip for some ticks and hands on what comes out, a window of ticks at a time.

    Args:
        image: the chip.
        source: spikes that enter; those before the first tick are left out.
        ticks: how many to run [tick].
        engine: its name, or `auto`.
        sinks: take what comes out, window by window.
        state: what to go on from; None: tick 0.
        streams: independent chips side by side; None: those of the state, or as many as the source tells apart.
        seed: of the first stream's random numbers; each further stream has the next one. A state has its own.
        devices: how many share the work.
        split: what is dealt to them: "streams" or "cores".
        watch: cores whose spikes and potentials are wanted.
        drivers: whether output spikes say which neuron fired; a pin may then spike several times in a tick.
        progress: called with the finished and all ticks, after each window.
        announce: told of the engine, before it gets ready.
        stop: asked after each window whether to end the run there.
        found: what `survey` says of the source, from the state's tick on if there is one; None: not known yet.

    Raises:
        ArtifactError: the source cannot be read.
        ConfigError: no engine has the name, there are not so many devices, or the number of streams is out of range.
        InfeasibleError: the engine cannot run such an image.
        SimulationError: the image disagrees with itself, or the source or the state does not fit it.
    """
    if ticks < 1:
        raise ConfigError(f"ticks: must be at least 1, got {ticks}")
    first = 0 if state is None else state.chip.tick
    found = survey(source, None if state is None else first) if found is None else found
    streams = _streams(found, state, streams)
    addresses, chip = (found.addresses, None) if state is None else resumed(state, image, found.addresses)
    extended, behind = with_inputs(image, addresses), None
    if drivers:
        extended, behind = split_pins(extended)
    runner, choice = choose_engine(extended, engine, streams=streams, ticks=ticks, devices=devices, split=split)
    if announce is not None:
        announce(choice)
    chunk = chunk_ticks(extended, choice.engine, streams, ticks, len(watch))
    if chip is None:
        seeds = ((seed + np.arange(streams)) % (1 << 32)).astype(np.uint32)
        now = _start(runner, source, seeds, image.input_bits, addresses)
    else:
        now = runner.load(chip)
    runner.prepare(streams, chunk, watch)

    entering = _frames(source, image.input_bits, addresses, (streams, chunk), first)
    before, frames, over = now, np.zeros((streams, 0, extended.input_bits), bool), False
    done, spikes, begin = 0, 0, time.perf_counter()
    while done < ticks and not (done and stop is not None and stop()):
        size = min(chunk, ticks - done)
        before, frames = now, next(entering)
        # Chunks are of one length for engines that compile each length: the last one runs on without input.
        length = chunk if choice.engine in ONE_LENGTH else size
        frames[:, size:] = False
        now, out = runner.run(before, frames[:, :length], watch)
        frames, over = frames[:, :size], length > size
        window = Window(
            first=first + done,
            ticks=size,
            spikes=_output_spikes(out.pins[:, :size], first + done, behind),
            watch=tuple(watch),
            raster=out.spikes[:, :size],
            potential=out.potential[:, :size],
        )
        done += size
        spikes += _distinct(window.spikes)
        for sink in sinks:
            sink(window)
        if progress is not None:
            progress(done, ticks)

    def save() -> SavedState:
        end = runner.run(before, frames)[0] if over else now
        return SavedState(image=digest(image), addresses=addresses, chip=runner.save(end))

    return StreamResult(
        choice=choice,
        streams=streams,
        first=first,
        ticks=done,
        input_spikes=found.spikes,
        earlier_spikes=found.earlier,
        output_spikes=spikes,
        seconds=time.perf_counter() - begin,
        save=save,
    )


def _streams(found: Survey, state: SavedState | None, streams: int | None) -> int:
    """Returns how many streams a run has.

    Raises:
        ConfigError: the number asked for is not that of the state, or out of range.
        SimulationError: the spikes go to more.
    """
    held = None if state is None else len(state.chip.seeds)
    if streams is not None and not 1 <= streams <= MAX_STREAMS:
        raise ConfigError(f"streams: must be 1 … {MAX_STREAMS}, got {streams}")
    if streams is not None and held is not None and streams != held:
        raise ConfigError(f"streams: {streams} asked for, the state has {held}; leave it out")
    most = streams or held or found.streams
    if found.streams > most:
        raise SimulationError(f"input: has spikes of stream {found.streams - 1}, the run has 0 … {most - 1}")
    return most


def _windows(source: SpikeSource, first: int, chunk: int) -> Iterator[list[InputSpikes]]:
    """Yields the spikes of the ticks first … first + chunk − 1, then those of the next `chunk` ticks, without end."""
    waiting = source.chunks()
    held = next(waiting, None)
    start = first
    while True:
        window = []
        while held is not None:
            low, high = np.searchsorted(held.tick, (start, start + chunk))
            window.append(taken(held, slice(low, high)))
            if high < len(held.tick):
                break
            held = next(waiting, None)
        yield window
        start += chunk


def _frames(
    source: SpikeSource,
    own: int,
    addresses: Int32[np.ndarray, "addresses 3"],
    shape: tuple[int, int],
    first: int,
) -> Iterator[Bool[np.ndarray, "streams ticks bits"]]:
    """Yields the input bits of some ticks after the other, without end.

    Args:
        source: spikes.
        own: the image's own input bits; those of the addresses stand behind them.
        addresses: in rising order.
        shape: streams, and ticks at a time.
        first: tick of the first frame.
    """
    for start, window in zip(itertools.count(first, shape[1]), _windows(source, first, shape[1]), strict=False):
        frames = np.zeros((*shape, own + len(addresses)), bool)
        for spikes in window:
            stream = slice(None) if source.every_stream else spikes.stream
            frames[stream, spikes.tick - start, _input_bits(spikes, own, addresses)] = True
        yield frames


def _start(
    runner: Engine,
    source: SpikeSource,
    seeds: UInt32[np.ndarray, " streams"],
    own: int,
    addresses: Int32[np.ndarray, "addresses 3"],
) -> Any:
    """Returns an engine's state before tick 0, in which the spikes that were sent before are under way."""
    state = runner.init(len(seeds), seeds)
    early = []
    for chunk in source.chunks():
        count = int(np.searchsorted(chunk.tick, 0))
        early.append(taken(chunk, slice(count)))
        if count < len(chunk.tick):
            break
    if not sum(len(spikes.tick) for spikes in early):
        return state
    saved = runner.save(state)
    inputs = np.zeros((*saved.inputs.shape[:2], own + len(addresses)), bool)  # stream, age of the tick, bit
    for spikes in early:
        stream = slice(None) if source.every_stream else spikes.stream
        inputs[stream, -1 - spikes.tick, _input_bits(spikes, own, addresses)] = True
    return runner.load(dataclasses.replace(saved, inputs=np.packbits(inputs, axis=-1, bitorder="little")))


def _input_bits(
    spikes: InputSpikes, own: int, addresses: Int32[np.ndarray, "addresses 3"]
) -> Int64[np.ndarray, " spikes"]:
    """Returns the input bit of each spike; arguments as in `_frames`."""
    core, axon, delay = addresses.T
    keys = address_keys(core, axon, delay)
    there = np.searchsorted(keys, address_keys(spikes.core, spikes.axon, spikes.delay))
    return np.where(spikes.core < 0, spikes.axon, own + there)


def _distinct(spikes: OutputSpikes) -> int:
    """Returns how many spikes there are on pins, in the order of `Window.spikes`."""
    if not len(spikes.tick):
        return 0
    same = (np.diff(spikes.tick) == 0) & (np.diff(spikes.stream) == 0) & (np.diff(spikes.pin) == 0)
    return len(spikes.tick) - int(same.sum())


def _output_spikes(pins: Bool[np.ndarray, "streams ticks pins"], first: int, drivers: Drivers | None) -> OutputSpikes:
    """Returns what is set on the pins in the ticks from `first` on, by tick, stream and pin."""
    tick, stream, pin = np.nonzero(np.ascontiguousarray(np.swapaxes(pins, 0, 1)))
    if drivers is None:
        core = neuron = np.full(len(pin), -1, np.int32)
    else:
        core, neuron, pin = drivers.core[pin], drivers.neuron[pin], drivers.pin[pin]
        order = np.lexsort((neuron, core, pin, stream, tick))
        tick, stream, pin, core, neuron = (column[order] for column in (tick, stream, pin, core, neuron))
    return OutputSpikes(
        stream=stream.astype(np.int32),
        tick=(tick + first).astype(np.int64),
        pin=pin.astype(np.int32),
        core=core,
        neuron=neuron,
    )
