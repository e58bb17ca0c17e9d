"""Runs of a chip on images in which everything that happens is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Int32, Int64

from tncompile.analysis.estimate import Layers
from tncompile.analysis.events import EventCounter, Events
from tncompile.analysis.graph import layer_names
from tncompile.errors import ConfigError, SimulationError
from tncompile.ir import INPUT_LAYER, UNUSED, ChipImage, CoreGraph
from tncompile.recording import RASTER_NEURONS, RASTER_TICKS, Raster
from tncompile.sim import InputSpikes, Window, simulate_stream
from tncompile.sim.sources import SpikeSource, taken


def count_frames(
    image: ChipImage,
    frames: Bool[np.ndarray, "n bits"],
    *,
    engine: str = "auto",
    layers: Layers | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Events, Raster]:
    """Returns what a chip does while frames enter one a tick and every layer is at work, and spikes of some neurons.

    The frames go round, and the ticks that count begin when the first of them leaves the pipeline: so each layer sees
    each frame exactly once in them.

    Args:
        image: a feed-forward chip.
        frames: the transduction's bits.
        engine: that runs it.
        layers: of the chip; None: it is taken as one.
        progress: called with the finished and all ticks, now and then.

    Raises:
        ConfigError: there are no frames, or no engine has the name.
        InfeasibleError: the engine cannot run such an image.
        SimulationError: the chip's latency is not known, or the frames do not fit the image.
    """
    if image.latency < 0:
        raise SimulationError(
            "chip image: its latency is not known, so frames one a tick cannot be told apart; record a run with "
            "'tncompile simulate --record' and name that file with --spikes"
        )
    if frames.shape[1] != image.input_bits:
        raise SimulationError(f"frames: {frames.shape[1]} input bits a frame, the image takes {image.input_bits}")
    if not len(frames):
        raise ConfigError("frames: there are none; give at least one")
    layers = layers or one_layer(image)
    core, neuron = _sampled(layers)
    raster: list[Bool[np.ndarray, " some"]] = []
    counter = EventCounter(image)

    def take(window: Window) -> None:
        for tick, spikes in enumerate(window.raster[0], window.first):
            wanted = tick >= image.latency
            counter.enter(tick, *_bits(frames[tick % len(frames)]))
            counter.tick(spikes, count=wanted)
            if wanted and len(raster) < RASTER_TICKS:
                raster.append(spikes[core, neuron])

    ticks = image.latency + len(frames)
    simulate_stream(
        image,
        _Frames(frames, ticks),
        ticks,
        engine=engine,
        sinks=[take],
        streams=1,
        watch=tuple(range(len(image.core_x))),
        progress=progress,
    )
    return counter.events(), Raster(
        layers=layers.names,
        layer=layers.neuron[core, neuron],
        core=core.astype(np.int32),
        neuron=neuron.astype(np.int32),
        spikes=np.stack(raster, axis=1),
    )


class SpikeCounter:
    """Counts what a chip does in a run of spikes: its first stream, from tick 0 on; takes the run's windows."""

    def __init__(self, image: ChipImage, source: SpikeSource) -> None:
        """Gets ready to count.

        Args:
            image: the chip, of which all cores must be watched.
            source: the spikes that enter.
        """
        self._counter = EventCounter(image)
        self._entering = _by_tick(source)
        self._next = next(self._entering, None)
        while self._next is not None and self._next[0] < 0:
            self._take()

    def __call__(self, window: Window) -> None:
        """Takes the next ticks."""
        for tick, spikes in enumerate(window.raster[0], window.first):
            while self._next is not None and self._next[0] == tick:
                self._take()
            self._counter.tick(spikes)

    def events(self) -> Events:
        """Returns what was counted so far."""
        return self._counter.events()

    def _take(self) -> None:
        assert self._next is not None
        tick, spikes = self._next
        self._counter.enter(tick, spikes.core, spikes.axon, spikes.delay)
        self._next = next(self._entering, None)


def _by_tick(source: SpikeSource) -> Iterator[tuple[int, InputSpikes]]:
    """Yields the spikes of the first stream, those of a tick together, as far as a chunk of the source holds them."""
    for chunk in source.chunks():
        own = chunk if source.every_stream else taken(chunk, chunk.stream == 0)
        starts = np.flatnonzero(np.diff(own.tick, prepend=own.tick[:1] - 1))
        for begin, end in zip(starts, [*starts[1:], len(own.tick)], strict=True):
            yield int(own.tick[begin]), taken(own, slice(begin, end))


def layers_of(graph: CoreGraph) -> Layers:
    """Returns which layer each core and neuron belongs to; "input" is what splitters copy of it."""
    names = layer_names(graph)
    carries = graph.neuron_layer != UNUSED
    return Layers(
        names=tuple(names.values()),
        core=(graph.core_layer - INPUT_LAYER).astype(np.int32),
        neuron=np.where(carries, graph.neuron_layer - INPUT_LAYER, -1).astype(np.int32),
    )


def one_layer(image: ChipImage) -> Layers:
    """Returns all cores as one layer, for chips of which no more is known."""
    return Layers(
        names=("cores",),
        core=np.zeros(len(image.core_x), np.int32),
        neuron=np.where(image.neuron_type > 0, 0, -1).astype(np.int32),
    )


def _sampled(layers: Layers) -> tuple[Int64[np.ndarray, " some"], Int64[np.ndarray, " some"]]:
    """Returns core and number of some neurons of each layer, evenly spread over all that carry something."""
    chosen = []
    for layer in range(len(layers.names)):
        those = np.flatnonzero(layers.neuron == layer)
        take = min(len(those), RASTER_NEURONS)
        chosen.append(those[np.linspace(0, len(those) - 1, take).astype(np.int64)] if take else those)
    core, neuron = np.unravel_index(np.concatenate(chosen), layers.neuron.shape)
    return core, neuron


class _Frames:
    """Frames that enter one a tick, round and round; a `SpikeSource`."""

    every_stream = True

    def __init__(self, frames: Bool[np.ndarray, "n bits"], ticks: int) -> None:
        """Keeps the frames.

        Args:
            frames: input bits.
            ticks: for so many [tick].
        """
        self._frames = frames
        self._ticks = ticks

    def chunks(self) -> Iterator[InputSpikes]:
        """Yields the spikes of one tick after the other."""
        for tick in range(self._ticks):
            core, bit, none = _bits(self._frames[tick % len(self._frames)])
            yield InputSpikes(stream=none, tick=none.astype(np.int64) + tick, core=core, axon=bit, delay=none)


def _bits(frame: Bool[np.ndarray, " bits"]) -> tuple[Int32[np.ndarray, " set"], ...]:
    """Returns core, axon and delay of the spikes to a frame's input bits."""
    bit = np.flatnonzero(frame).astype(np.int32)
    none = np.zeros(len(bit), np.int32)
    return none - 1, bit, none
