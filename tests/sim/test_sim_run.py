"""Frames through a feed-forward chip: what comes out belongs to what went in."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_chips import SMALL, WIDE, layered_chip, random_frames

from tncompile.errors import ConfigError, SimulationError
from tncompile.ir import ChipImage
from tncompile.reference import chip
from tncompile.sim import run as sim_run
from tncompile.sim import simulate_frames
from tncompile.sim.choose import LAYERED_FRAMES


def alone(image: ChipImage, frames: np.ndarray) -> np.ndarray:
    """Returns the output of each frame when it has the chip for itself."""
    return np.array([chip.run(image, frame[None], image.latency + 1)[-1] for frame in frames])


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), streams=st.sampled_from([None, 1, 2, 5]))
def test_each_frame_gets_its_own_output(seed: int, streams: int | None) -> None:
    image = layered_chip(seed)
    frames = random_frames(image, seed, batch=1, ticks=13)[0]
    result = simulate_frames(image, WIDE, frames, streams=streams)
    np.testing.assert_array_equal(result.output_bits, alone(image, frames))
    assert result.ticks == -(-13 // result.streams) + image.latency
    assert result.seconds > 0 and result.frames_per_s > 0 and result.ticks_per_s > 0


def test_engines_agree() -> None:
    image = layered_chip(7)
    frames = random_frames(image, 7, batch=1, ticks=9)[0]
    oracle = simulate_frames(image, WIDE, frames, engine="oracle", streams=2)
    for name in ("packed", "event", "layered", "sliced", "auto"):
        result = simulate_frames(image, WIDE, frames, engine=name, streams=2)
        np.testing.assert_array_equal(result.output_bits, oracle.output_bits, name)
        assert result.engine == (name if name != "auto" else "event")
    assert (oracle.engine, oracle.reason) == ("oracle", "as asked")


def test_the_engine_is_told_of_before_the_run() -> None:
    image = layered_chip(7)
    frames = random_frames(image, 7, batch=1, ticks=LAYERED_FRAMES)[0]
    said: list[str] = []
    result = simulate_frames(image, WIDE, frames, announce=lambda choice: said.append(choice.engine))
    assert said == [result.engine] == ["sliced"]


def test_devices_take_streams_evenly() -> None:
    image = layered_chip(7)
    frames = random_frames(image, 7, batch=1, ticks=9)[0]
    with pytest.raises(ConfigError, match="engine: event runs on one device, 2 asked for"):
        simulate_frames(image, WIDE, frames, engine="event", devices=2)
    with pytest.raises(ConfigError, match="1000"):
        simulate_frames(image, WIDE, frames, devices=1000)  # more than there are


def test_chunks_do_not_show_and_tell_the_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    image = layered_chip(3)
    frames = random_frames(image, 3, batch=1, ticks=13)[0]
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(sim_run, "chunk_ticks", lambda *_: 4)
    result = simulate_frames(image, WIDE, frames, streams=2, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(result.output_bits, alone(image, frames))
    total = 7 + image.latency
    assert seen == [(min(done, total), total) for done in range(4, total + 4, 4)]


def test_no_frames() -> None:
    image = layered_chip(3)
    result = simulate_frames(image, WIDE, np.zeros((0, image.input_bits), bool))
    assert result.output_bits.shape == (0, image.output_pins)


def test_what_cannot_run_is_refused() -> None:
    image = layered_chip(3)
    frames = np.zeros((2, image.input_bits), bool)
    with pytest.raises(SimulationError, match="emitted for another chip than 'small'"):
        simulate_frames(image, SMALL, frames)
    with pytest.raises(SimulationError, match="latency is not known"):
        simulate_frames(dataclasses.replace(image, latency=-1), WIDE, frames)
    with pytest.raises(SimulationError, match="0 input bits a frame"):
        simulate_frames(image, WIDE, frames[:, :0])
    with pytest.raises(ConfigError, match="no engine is called 'x'"):
        simulate_frames(image, WIDE, frames, engine="x")
    with pytest.raises(ConfigError, match="streams: must be at least 1, got 0"):
        simulate_frames(image, WIDE, frames, streams=0)
