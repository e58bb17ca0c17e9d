"""What is kept of a run on images, and how it is counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from support.random_acyclic import acyclic_chip
from support.random_chips import SMALL, random_chip
from support.random_graphs import SEEDS

from tncompile.analysis.estimate import Layers
from tncompile.counting import SpikeCounter, count_frames, one_layer
from tncompile.errors import ArtifactError
from tncompile.ir import ChipImage, Record
from tncompile.ir.text import digest
from tncompile.recording import RASTER_NEURONS, RASTER_TICKS, Recording, read_recording, write_recording
from tncompile.reference import chip
from tncompile.sim import InputSpikes, OutputSpikes, Window, simulate_stream
from tncompile.sim.sources import SpikeList
from tncompile.sim.stream import with_inputs

LATENCY = 80  # above the longest path of the chips here [tick]


def acyclic(seed: int) -> ChipImage:
    """Returns a chip without loops and without state."""
    return dataclasses.replace(acyclic_chip(seed, cores=5), latency=LATENCY)


def frames_of(image: ChipImage, count: int, seed: int) -> np.ndarray:
    """Returns random frames."""
    return np.random.default_rng(seed).random((count, image.input_bits)) < 0.4


def recording_of(image: ChipImage) -> Recording:
    """Returns a recording of some frames."""
    events, raster = count_frames(image, frames_of(image, 6, 1))
    return Recording(
        image=digest(image),
        labels=np.arange(9, dtype=np.int32),
        chip_classes=np.zeros(9, np.int32),
        wrong=np.array([1, 2], np.int32),
        wrong_pixels=np.full((2, 4, 3, 1), 7, np.uint8),
        counted=np.arange(6),
        events=events,
        raster=raster,
    )


def same(one: Record, other: Record) -> bool:
    """Returns whether two records hold the same."""
    return digest_like(one) == digest_like(other)


def digest_like(value: object) -> object:
    """Returns a record as plain values."""
    if isinstance(value, Record):
        return {field.name: digest_like(getattr(value, field.name)) for field in dataclasses.fields(value)}  # type: ignore[arg-type]
    return (str(value.dtype), value.tolist()) if isinstance(value, np.ndarray) else value


@given(SEEDS)
@settings(max_examples=6, deadline=None)
def test_frames_are_counted_as_the_reference_runs_them(seed):
    """The frames go round until each layer has seen each once; so the same ticks of the reference's trace count."""
    image = acyclic(seed)
    frames = frames_of(image, 7, seed)
    layers = Layers(
        names=("first", "others"),
        core=np.minimum(np.arange(5), 1).astype(np.int32),
        neuron=np.where(image.neuron_type > 0, np.minimum(np.arange(5), 1)[:, None], -1).astype(np.int32),
    )
    events, raster = count_frames(image, frames, engine="event", layers=layers)
    happened = chip.trace(image, frames[np.arange(LATENCY + 7) % 7], LATENCY + 7)
    np.testing.assert_array_equal(events.spikes, happened.spikes[LATENCY:].sum(axis=0))
    fan_out = np.bitwise_count(image.crossbars).sum(axis=2, dtype=np.int64)[image.core_crossbar]
    read = happened.axons[LATENCY:].astype(np.int64) * fan_out
    np.testing.assert_array_equal(events.tick_events, read.sum(axis=(1, 2)))
    np.testing.assert_array_equal(events.busiest_core, read.sum(axis=2).max(axis=1))

    np.testing.assert_array_equal(raster.spikes, happened.spikes[LATENCY:][:, raster.core, raster.neuron].T)
    np.testing.assert_array_equal(raster.layer, layers.neuron[raster.core, raster.neuron])
    assert (raster.layer >= 0).all() and (np.diff(raster.layer) >= 0).all()
    assert np.bincount(raster.layer).max() <= RASTER_NEURONS


def test_a_raster_ends():
    image = acyclic(3)
    events, raster = count_frames(image, frames_of(image, RASTER_TICKS + 5, 3), engine="event")
    assert raster.spikes.shape[1] == RASTER_TICKS and events.ticks == RASTER_TICKS + 5
    assert raster.layers == one_layer(image).names


def test_a_recording_comes_back(tmp_path: Path):
    image = acyclic(1)
    kept = recording_of(image)
    write_recording(tmp_path / "simulation.safetensors", kept)
    assert same(read_recording(tmp_path / "simulation.safetensors", image, digest(image)), kept)


def test_a_recording_of_another_chip(tmp_path: Path):
    image, path = acyclic(1), tmp_path / "simulation.safetensors"
    write_recording(path, recording_of(image))
    with pytest.raises(ArtifactError, match="of another chip image than the one beside it; run 'tncompile simulate'"):
        read_recording(path, image, digest(acyclic(2)))
    with pytest.raises(ArtifactError, match="has spikes of other cores"):
        read_recording(path, random_chip(1, cores=3), digest(image))


def test_a_damaged_recording(tmp_path: Path):
    image, path = acyclic(1), tmp_path / "simulation.safetensors"
    with pytest.raises(ArtifactError, match="the simulation cannot be read"):
        read_recording(path, image, digest(image))
    write_recording(path, recording_of(image))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(ArtifactError, match="truncated or altered"):
        read_recording(path, image, digest(image))
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactError, match="does not have the SHA-256"):
        read_recording(path, image, digest(image))


def spikes_to(image: ChipImage, count: int, ticks: int, seed: int) -> InputSpikes:
    """Returns random spikes to input bits and to axons of a chip, from tick 0 on, in the order of their ticks."""
    rng = np.random.default_rng(seed)
    direct = rng.random(count) < 0.5
    cores, axons = image.axon_type.shape
    return InputSpikes(
        stream=np.zeros(count, np.int32),
        tick=np.sort(rng.integers(0, ticks, count)),
        core=np.where(direct, rng.integers(0, cores, count), -1).astype(np.int32),
        axon=np.where(direct, rng.integers(0, axons, count), rng.integers(0, image.input_bits, count)).astype(np.int32),
        delay=np.where(direct, rng.integers(1, SMALL.delay_max + 1, count), 0).astype(np.int32),
    )


@given(SEEDS)
@settings(max_examples=6, deadline=None)
def test_a_run_of_spikes_is_counted_as_the_reference_runs_it(seed):
    image, ticks = random_chip(seed), 25
    entering = spikes_to(image, 60, ticks, seed)
    source = SpikeList(entering, image)
    counter = SpikeCounter(image, source)
    simulate_stream(image, source, ticks, engine="event", sinks=[counter], watch=tuple(range(len(image.core_x))))
    direct = entering.core >= 0
    addresses = np.stack([getattr(entering, name)[direct] for name in ("core", "axon", "delay")], axis=1)
    extended = with_inputs(image, addresses.astype(np.int32))
    frames = np.zeros((ticks, extended.input_bits), bool)
    frames[entering.tick[~direct], entering.axon[~direct]] = True
    frames[entering.tick[direct], image.input_bits + np.arange(direct.sum())] = True
    happened = chip.trace(extended, frames, ticks)
    fan_out = np.bitwise_count(image.crossbars).sum(axis=2, dtype=np.int64)[image.core_crossbar]
    events = counter.events()
    np.testing.assert_array_equal(events.spikes, happened.spikes.sum(axis=0))
    np.testing.assert_array_equal(events.tick_events, (happened.axons * fan_out).sum(axis=(1, 2)))
    np.testing.assert_array_equal(events.tick_inputs, frames[:, extended.packets.bit].sum(axis=1))


def test_a_spike_that_was_sent_before_the_first_tick_is_counted_where_it_arrives():
    image = random_chip(2)
    fan_out = np.bitwise_count(image.crossbars).sum(axis=2, dtype=np.int64)[image.core_crossbar]
    axon = int(fan_out[3].argmax())
    early = InputSpikes(
        stream=np.zeros(1, np.int32), tick=np.array([-1]), core=np.array([3], np.int32),
        axon=np.array([axon], np.int32), delay=np.array([2], np.int32),
    )  # fmt: skip
    silence = np.zeros((1, 1, *image.neuron_type.shape), bool)
    counter = SpikeCounter(image, SpikeList(early, image))
    for first in range(2):
        window = Window(
            first=first, ticks=1, spikes=no_output(), watch=(), raster=silence, potential=silence.astype(np.int32)
        )
        counter(window)
    assert counter.events().tick_events.tolist() == [0, fan_out[3, axon]]
    assert counter.events().tick_inputs.tolist() == [0, 0]


def no_output() -> OutputSpikes:
    """Returns no spikes."""
    none = np.zeros(0, np.int32)
    return OutputSpikes(stream=none, tick=none.astype(np.int64), pin=none, core=none, neuron=none)
