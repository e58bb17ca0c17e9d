"""Frames through a feed-forward chip image: one frame a tick, several streams side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from tncompile.arch import ChipArch
from tncompile.errors import ConfigError, SimulationError
from tncompile.ir import ChipImage
from tncompile.sim.choose import AUTO, Choice, accelerator, choose_engine
from tncompile.sim.chunks import ONE_LENGTH, chunk_ticks
from tncompile.sim.wiring import image_arch

_GPU_STREAMS = 8  # that fill a GPU, if there are frames enough


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameResult:
    """What came out.

    Attributes:
        output_bits: spikes on the output pins, `latency` ticks after each frame's entry.
        engine: its name.
        reason: why it was chosen.
        streams: how many ran side by side.
        ticks: ticks that each stream ran [tick].
        seconds: time that the ticks took, without layout and compilation [s].
        frames_per_s: frames over seconds [1/s].
        ticks_per_s: ticks of all streams together over seconds [tick/s].
    """

    output_bits: Bool[np.ndarray, "n pins"]
    engine: str
    reason: str
    streams: int
    ticks: int
    seconds: float

    @property
    def frames_per_s(self) -> float:
        """Frames a second [1/s]."""
        return len(self.output_bits) / self.seconds

    @property
    def ticks_per_s(self) -> float:
        """Ticks of all streams together, a second [tick/s]."""
        return self.streams * self.ticks / self.seconds


def simulate_frames(
    image: ChipImage,
    arch: ChipArch,
    input_bits: Bool[np.ndarray, "n bits"],
    *,
    engine: str = AUTO,
    streams: int | None = None,
    devices: int = 1,
    split: str = "streams",
    progress: Callable[[int, int], None] | None = None,
    announce: Callable[[Choice], None] | None = None,
) -> FrameResult:
    """Returns the output spikes of frames that enter one a tick.

    The frames are dealt to streams in runs of equal length: stream s takes the frames s·k … (s + 1)·k − 1. Each
    stream is a chip of its own; it runs k + latency ticks.

    Args:
        image: a feed-forward chip.
        arch: the chip that it must have been made for.
        input_bits: the transduction's bits of each frame.
        engine: name of the engine, or `auto`.
        streams: how many side by side, or None for a number that suits the frames and the devices.
        devices: how many share the work.
        split: what is dealt to them: "streams" or "cores".
        progress: called with the finished and all ticks of a stream, after each chunk.
        announce: told of the engine, before it gets ready.

    Raises:
        ConfigError: no engine has the name, `streams` is below 1, or there are not so many devices.
        InfeasibleError: the engine cannot run such an image.
        SimulationError: the image is not for this chip, disagrees with itself, or has no known latency; or the frames
            do not fit it.
    """
    if streams is not None and streams < 1:
        raise ConfigError(f"streams: must be at least 1, got {streams}")
    if image_arch(image) != arch:
        raise SimulationError(
            f"chip image: it was emitted for another chip than {arch.name!r} as described; emit it for this one"
        )
    if image.latency < 0:
        raise SimulationError(
            "chip image: its latency is not known, so frames one a tick cannot be told apart; run it tick by tick"
        )
    if input_bits.shape[1] != image.input_bits:
        raise SimulationError(f"frames: {input_bits.shape[1]} input bits a frame, the image takes {image.input_bits}")
    frames = len(input_bits)
    if streams is None:
        streams = _streams(frames, image.latency, devices, split)
    each = -(-frames // streams)  # frames a stream
    ticks = each + image.latency

    runner, choice = choose_engine(image, engine, streams=streams, ticks=ticks, devices=devices, split=split)
    if announce is not None:
        announce(choice)
    chunk = chunk_ticks(image, choice.engine, streams, ticks)
    runner.prepare(streams, chunk)
    state = runner.init(streams)
    output = np.zeros((streams, each, image.output_pins), bool)
    begin = time.perf_counter()
    for start in range(0, ticks, chunk):
        stop = start + chunk if choice.engine in ONE_LENGTH else min(start + chunk, ticks)
        state, out = runner.run(state, _enter(input_bits, streams, each, start, stop))
        first, last = max(start, image.latency), min(start + chunk, ticks)
        if first < last:
            output[:, first - image.latency : last - image.latency] = out.pins[:, first - start : last - start]
        if progress is not None:
            progress(last, ticks)
    return FrameResult(
        output_bits=output.reshape(-1, image.output_pins)[:frames],
        engine=choice.engine,
        reason=choice.reason,
        streams=streams,
        ticks=ticks,
        seconds=time.perf_counter() - begin,
    )


def _streams(frames: int, latency: int, devices: int, split: str) -> int:
    """Returns how many streams suit a run: a CPU has its hands full with one, devices and GPUs have not."""
    wanted = _GPU_STREAMS if accelerator() else 1
    streams = max(1, min(wanted, frames // (4 * max(1, latency))))
    return streams + (-streams % devices if split == "streams" else 0)


def _enter(
    input_bits: Bool[np.ndarray, "n bits"], streams: int, each: int, start: int, stop: int
) -> Bool[np.ndarray, "streams ticks bits"]:
    """Returns what enters each stream in the ticks start … stop − 1; nothing behind its last frame."""
    entering = np.zeros((streams, stop - start, input_bits.shape[1]), bool)
    for stream in range(streams):
        frames = input_bits[stream * each : (stream + 1) * each][start:stop]
        entering[stream, : len(frames)] = frames
    return entering
