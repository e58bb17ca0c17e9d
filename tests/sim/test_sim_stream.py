"""Runs of spikes: any length, any cut, any engine, the same bits."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_chips import layered_chip, random_chip, random_frames

from tncompile.errors import ArtifactError, ConfigError, SimulationError
from tncompile.ir import ChipImage
from tncompile.ir.tensors import write_tensors
from tncompile.reference import chip as reference
from tncompile.sim import make_engine
from tncompile.sim import stream as sim_stream
from tncompile.sim.expect import Comparison, OutputList
from tncompile.sim.sources import SpikeList, no_spikes, survey
from tncompile.sim.spikes import InputSpikes, OutputSpikes
from tncompile.sim.stream import (
    SavedState,
    StreamResult,
    Window,
    read_state,
    resumed,
    simulate_stream,
    split_pins,
    with_inputs,
    write_state,
)

GENERAL = ("oracle", "event", "packed")
"""Engines that run any chip."""
TICKS = 30


def spikes_to(image: ChipImage, seed: int, *, count: int = 60, ticks: int = TICKS, streams: int = 1) -> InputSpikes:
    """Returns spikes to random input bits and axons, in no order."""
    rng = np.random.default_rng(seed)
    core = rng.integers(-1, len(image.core_x), count).astype(np.int32)
    bit = core < 0
    return InputSpikes(
        stream=rng.integers(0, streams, count).astype(np.int32),
        tick=rng.integers(0, ticks, count),
        core=core,
        axon=np.where(bit, rng.integers(0, image.input_bits, count), rng.integers(0, 16, count)).astype(np.int32),
        delay=np.where(bit, 0, rng.integers(1, 6, count)).astype(np.int32),
    )


def run(image: ChipImage, source: SpikeList, ticks: int, engine: str = "oracle", **more: Any) -> tuple[Any, Any]:
    """Returns how a run went, and everything that came out: stream, tick, pin of the spikes, and the watched cores."""
    windows: list[Window] = []
    result = simulate_stream(image, source, ticks, engine=engine, sinks=[windows.append], **more)
    assert sum(window.ticks for window in windows) == result.ticks
    spikes = [np.concatenate([getattr(w.spikes, name) for w in windows]) for name in ("stream", "tick", "pin")]
    raster = np.concatenate([w.raster for w in windows], axis=1)
    potential = np.concatenate([w.potential for w in windows], axis=1)
    return result, (np.stack(spikes, axis=1), raster, potential)


def assert_same(one: Any, other: Any) -> None:
    """Compares what came out of two runs."""
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def joined(one: Any, other: Any) -> Any:
    """Returns what came out of a run and of the one after it."""
    return (
        np.concatenate([one[0], other[0]]),
        *(np.concatenate(pair, axis=1) for pair in zip(one[1:], other[1:], strict=True)),
    )


# ---------------------------------------------------------------------------------------------------------------------
# What comes out is what the reference says.


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_spikes_are_frames_in_another_form(seed: int) -> None:
    """The reference takes frames; the same bits as a list, and as spikes to the axons that they go to, do the same."""
    image = random_chip(seed, stochastic=seed % 2 == 1)
    frames = random_frames(image, seed, batch=1, ticks=TICKS, rate=0.1)[0]
    expected = np.argwhere(reference.run(image, frames, TICKS, seed=7))
    tick, bit = np.nonzero(frames)
    of_bits = InputSpikes(
        stream=np.zeros(len(tick), np.int32),
        tick=tick,
        core=np.full(len(tick), -1, np.int32),
        axon=bit.astype(np.int32),
        delay=np.zeros(len(tick), np.int32),
    )
    lines = image.packets
    site = {(x, y): core for core, (x, y) in enumerate(zip(image.core_x, image.core_y, strict=True))}
    sent = [(t, line) for t, b in zip(tick, bit, strict=True) for line in np.flatnonzero(lines.bit == b)]
    line = np.array([which for _, which in sent], np.int64)
    to_axons = InputSpikes(
        stream=np.zeros(len(sent), np.int32),
        tick=np.array([t for t, _ in sent], np.int64),
        core=np.array([site[lines.x[i], lines.y[i]] for i in line], np.int32),
        axon=lines.axon[line].astype(np.int32),
        delay=lines.delay[line].astype(np.int32),
    )
    for spikes in (of_bits, to_axons):
        result, (came, _, _) = run(image, SpikeList(spikes, image), TICKS, seed=7)
        np.testing.assert_array_equal(came[:, 1:], expected)
        assert (result.input_spikes, result.output_spikes) == (len(spikes.tick), len(expected))


def test_spikes_sent_before_tick_0_arrive_there_or_later() -> None:
    """A spike of delay d sent in tick t is one of delay 1 sent in tick t + d − 1, as far as that is not before 0."""
    image = random_chip(5, cores=4)
    early = dataclasses.replace(spikes_to(image, 1, count=40), core=np.arange(40, dtype=np.int32) % 4)
    tick = -np.minimum(np.maximum(early.delay, 1), 1 + np.arange(40) % 3).astype(np.int64)
    early = dataclasses.replace(early, tick=tick, delay=np.maximum(early.delay, 1))
    arrives = early.tick + early.delay
    late = dataclasses.replace(early, tick=np.zeros_like(tick), delay=arrives.astype(np.int32))
    later = arrives > 0  # the rest arrives in tick 0, for which there is no other way to say it

    def seen(spikes: InputSpikes, engine: str) -> Any:
        return run(image, SpikeList(spikes, image), 12, engine, watch=(0, 1, 2, 3))[1]

    other = seen(only(late, later), "oracle")
    everything = seen(early, "oracle")
    assert not np.array_equal(everything[2][0, 0], other[2][0, 0])  # those that arrive in tick 0 are felt there
    assert_same(seen(only(early, later), "event"), other)
    for engine in GENERAL[1:]:
        assert_same(seen(early, engine), everything)


@pytest.mark.parametrize("engine", GENERAL[1:])
@pytest.mark.parametrize("seed", range(2))
def test_engines_agree(engine: str, seed: int) -> None:
    image = random_chip(seed, stochastic=seed == 1)
    source = SpikeList(spikes_to(image, seed, streams=2), image)
    fast, one = run(image, source, TICKS, engine, watch=(0, 3), seed=seed)
    slow, other = run(image, source, TICKS, "oracle", watch=(0, 3), seed=seed)
    assert_same(one, other)
    assert fast.streams == slow.streams == 2
    assert_states(fast.save(), slow.save())


def assert_states(one: SavedState, other: SavedState) -> None:
    """Compares two states bit by bit."""
    assert (one.image, one.chip.tick) == (other.image, other.chip.tick)
    np.testing.assert_array_equal(one.addresses, other.addresses)
    for name in ("seeds", "potential", "spikes", "inputs"):
        np.testing.assert_array_equal(getattr(one.chip, name), getattr(other.chip, name), name)


def test_a_source_without_streams_enters_all_of_them() -> None:
    image = random_chip(4, stochastic=True)
    source = SpikeList(spikes_to(image, 4), image)
    _, (spikes, raster, potential) = run(image, source, TICKS, streams=3, seed=2**32 - 1, watch=(0,))
    for stream, seed in enumerate((2**32 - 1, 0, 1)):
        _, (alone, alone_raster, alone_potential) = run(image, source, TICKS, seed=seed, watch=(0,))
        np.testing.assert_array_equal(spikes[spikes[:, 0] == stream][:, 1:], alone[:, 1:])
        np.testing.assert_array_equal(potential[stream], alone_potential[0])
        np.testing.assert_array_equal(raster[stream], alone_raster[0])
    assert not np.array_equal(potential[0], potential[1])  # the numbers differ, so this chip does draw some


@pytest.mark.parametrize("chunk", [1, 2, 7, 29, 30, 1000])
def test_chunks_do_not_show(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_chip(6)
    source = SpikeList(spikes_to(image, 6, streams=2), image)
    expected, whole = run(image, source, TICKS, watch=(2, 1))
    monkeypatch.setattr(sim_stream, "chunk_ticks", lambda *_: min(chunk, TICKS))
    monkeypatch.setattr("tncompile.sim.sources._CHUNK", 3)
    seen: list[tuple[int, int]] = []
    result, pieces = run(image, source, TICKS, watch=(2, 1), progress=lambda *where: seen.append(where))
    assert_same(pieces, whole)
    assert_states(result.save(), expected.save())
    assert seen == [(min(done, TICKS), TICKS) for done in range(min(chunk, TICKS), TICKS + chunk, chunk)][: len(seen)]
    assert seen[-1] == (TICKS, TICKS)


# ---------------------------------------------------------------------------------------------------------------------
# A run that is cut in two is the same run.


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, TICKS - 1), engines=st.permutations(GENERAL))
def test_a_run_goes_on_from_a_file_on_any_engine(
    seed: int, cut: int, engines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    image = random_chip(seed, stochastic=seed % 2 == 1)
    spikes = spikes_to(image, seed, streams=2)
    whole, expected = run(image, SpikeList(spikes, image), TICKS, "oracle", watch=(0, 8), seed=seed)
    # The two parts come from two sources that know nothing of each other's addresses.
    before, after = (only(spikes, spikes.tick < cut), only(spikes, spikes.tick >= cut))
    if not len(after.tick) or not len(before.tick):
        return
    first, one = run(image, SpikeList(before, image), cut, engines[0], watch=(0, 8), seed=seed, streams=2)
    path = tmp_path_factory.mktemp("state") / "state"
    write_state(path, first.save())
    saved = read_state(path, image)
    assert_states(saved, first.save())
    second, other = run(image, SpikeList(after, image), TICKS - cut, engines[1], watch=(0, 8), state=saved)
    assert_same(joined(one, other), expected)
    assert (second.first, second.ticks, second.earlier_spikes) == (cut, TICKS - cut, 0)
    # With the whole list again, the spikes before the cut are left out.
    third, again = run(image, SpikeList(spikes, image), TICKS - cut, engines[2], watch=(0, 8), state=saved)
    assert_same(again, other)
    assert third.earlier_spikes == len(before.tick)
    end, last = third.save(), whole.save()
    for name in ("seeds", "potential", "spikes"):
        np.testing.assert_array_equal(getattr(end.chip, name), getattr(last.chip, name))


def only(spikes: InputSpikes, wanted: np.ndarray) -> InputSpikes:
    """Returns some of the spikes."""
    return InputSpikes(**{name: getattr(spikes, name)[wanted] for name in ("stream", "tick", "core", "axon", "delay")})


@pytest.mark.parametrize("engine", ["sliced", "layered"])
@pytest.mark.parametrize("cut", [1, 5, 29])
def test_layered_chips_go_on_from_and_to_other_engines(engine: str, cut: int) -> None:
    image = layered_chip(2)
    source = SpikeList(spikes_to(image, 2, streams=2), image)
    _, expected = run(image, source, TICKS, "oracle", watch=(0, 8))
    for begins, ends in ((engine, "oracle"), ("oracle", engine), (engine, engine)):
        first, one = run(image, source, cut, begins, watch=(0, 8))
        _, other = run(image, source, TICKS - cut, ends, watch=(0, 8), state=first.save())
        assert_same(joined(one, other), expected)


def test_a_state_keeps_its_spikes_beside_new_addresses() -> None:
    image = random_chip(1)
    spikes = InputSpikes(
        stream=np.zeros(2, np.int32),
        tick=np.array([0, 2]),
        core=np.array([4, 2], np.int32),
        axon=np.array([3, 3], np.int32),
        delay=np.array([5, 2], np.int32),
    )
    result, _ = run(image, SpikeList(spikes, image), 3)
    saved = result.save()
    assert saved.addresses.tolist() == [[2, 3, 2], [4, 3, 5]]
    needed, chip = resumed(saved, image, np.array([[2, 3, 2], [3, 0, 1]], np.int32))
    assert needed.tolist() == [[2, 3, 2], [3, 0, 1], [4, 3, 5]]
    bits = np.unpackbits(chip.inputs[0], axis=-1, count=image.input_bits + 3, bitorder="little")
    assert bits[:, image.input_bits :].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert not bits[:, : image.input_bits].any()


@pytest.mark.parametrize("engine", ["sliced", "layered"])
def test_neurons_that_differ_in_an_input_no_longer_used_stay_different(engine: str) -> None:
    """Two neurons hear one axon each; if nothing more enters, they compute the same, but their last spikes differ."""
    image = layered_chip(2)
    spikes = spikes_to(image, 3, ticks=10)
    _, expected = run(image, SpikeList(spikes, image), TICKS, "oracle", watch=(0, 8))
    first, one = run(image, SpikeList(spikes, image), 11, "oracle", watch=(0, 8))
    _, other = run(image, SpikeList(no_spikes(), image), TICKS - 11, engine, watch=(0, 8), state=first.save())
    assert_same(joined(one, other), expected)


def test_a_stopped_run_ends_at_a_window_and_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_chip(8)
    source = SpikeList(spikes_to(image, 8), image)
    _, expected = run(image, source, TICKS, watch=(0,))
    monkeypatch.setattr(sim_stream, "chunk_ticks", lambda *_: 7)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 2

    first, one = run(image, source, TICKS, watch=(0,), stop=stop)
    assert first.ticks == 14
    _, other = run(image, source, TICKS - 14, watch=(0,), state=first.save())
    assert_same(joined(one, other), expected)


# ---------------------------------------------------------------------------------------------------------------------
# Images for a run.


def test_more_inputs_change_nothing_else() -> None:
    image = random_chip(2)
    addresses = np.array([[8, 15, 5], [0, 0, 1]], np.int32)
    extended = with_inputs(image, addresses)
    assert extended.input_bits == image.input_bits + 2
    core, axon, delay = addresses.T
    np.testing.assert_array_equal(extended.packets.bit[-2:], [image.input_bits, image.input_bits + 1])
    np.testing.assert_array_equal(extended.packets.x[-2:], image.core_x[core])
    np.testing.assert_array_equal(extended.packets.y[-2:], image.core_y[core])
    np.testing.assert_array_equal(extended.packets.axon[-2:], axon)
    np.testing.assert_array_equal(extended.packets.delay[-2:], delay)
    for name in ("bit", "x", "y", "axon", "delay"):
        np.testing.assert_array_equal(getattr(extended.packets, name)[:-2], getattr(image.packets, name))


def test_drivers_are_the_neurons_that_fired() -> None:
    image = random_chip(13)
    split, drivers = split_pins(image)
    assert split.output_pins == len(drivers.pin) == int((image.output_pin >= 0).sum())
    assert len(np.unique(image.output_pin[image.output_pin >= 0])) < len(drivers.pin)  # some pins have several
    source = SpikeList(spikes_to(image, 13), image)
    windows: list[Window] = []
    cores = tuple(range(len(image.core_x)))
    counted = simulate_stream(image, source, TICKS, engine="oracle", sinks=[windows.append], drivers=True, watch=cores)
    result, (plain, raster, _) = run(image, source, TICKS, watch=cores)
    (window,) = windows
    spikes = window.spikes
    fired = raster[0] & (image.output_pin >= 0)
    expected = sorted((t, int(image.output_pin[c, n]), c, n) for t, c, n in np.argwhere(fired).tolist())
    columns = (spikes.tick, spikes.pin, spikes.core, spikes.neuron)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert {(t, p) for t, p, _, _ in expected} == {(t, p) for _, t, p in plain.tolist()}
    assert len(expected) > counted.output_spikes == result.output_spikes == len(plain)


# ---------------------------------------------------------------------------------------------------------------------
# What is expected.


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_differs_is_counted(data: st.DataObject) -> None:
    streams, pins = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    spike = st.tuples(st.integers(0, 12), st.integers(0, streams - 1), st.integers(0, pins - 1))
    came, wanted = data.draw(st.sets(spike)), data.draw(st.sets(spike))
    start, *cuts, stop = sorted(data.draw(st.sets(st.integers(0, 13), min_size=2)))
    image = dataclasses.replace(random_chip(0), output_pins=pins)
    expected = OutputList(output_spikes(wanted), image)
    comparison = Comparison(expected, streams, pins)
    nothing = np.zeros((streams, 0, 0, 16))
    for first, last in itertools.pairwise([start, *cuts, stop]):
        spikes = output_spikes({s for s in came if first <= s[0] < last})
        comparison(
            Window(
                first=first,
                ticks=last - first,
                spikes=spikes,
                watch=(),
                raster=nothing.astype(bool),
                potential=nothing.astype(np.int32),
            )
        )
    if not any(stream for _, stream, _ in wanted):  # no streams are told apart: all are to have these spikes
        wanted = {(tick, stream, pin) for tick, _, pin in wanted for stream in range(streams)}
    came, wanted = ({s for s in spikes if start <= s[0] < stop} for spikes in (came, wanted))
    differs = came ^ wanted
    assert (comparison.expected, comparison.missing, comparison.surplus) == (
        len(wanted), len(wanted - came), len(came - wanted)
    )  # fmt: skip
    assert comparison.first == (None if not differs else (*min(differs), min(differs) in wanted))


def output_spikes(spikes: set[tuple[int, int, int]]) -> OutputSpikes:
    """Returns spikes, tick, stream and pin, as a list."""
    tick, stream, pin = np.array(sorted(spikes), np.int64).reshape(-1, 3).T
    nobody = np.full(len(tick), -1, np.int32)
    return OutputSpikes(stream=stream.astype(np.int32), tick=tick, pin=pin.astype(np.int32), core=nobody, neuron=nobody)


def test_expected_spikes_that_cannot_be_are_refused() -> None:
    image = random_chip(0)
    with pytest.raises(SimulationError, match=rf"name: spike 1: pin is {image.output_pins}, must be 0 … "):
        OutputList(output_spikes({(0, 0, 0), (1, 0, image.output_pins)}), image, "name")
    comparison = Comparison(OutputList(output_spikes({(0, 2, 0)}), image), 2, image.output_pins)
    with pytest.raises(SimulationError, match="expected: has spikes of stream 2, the run has 0 … 1"):
        simulate_stream(image, SpikeList(no_spikes(), image), 3, engine="oracle", streams=2, sinks=[comparison])


# ---------------------------------------------------------------------------------------------------------------------
# What cannot be.


def saved_state(image: ChipImage) -> SavedState:
    """Returns the state after a few ticks."""
    return run(image, SpikeList(spikes_to(image, 0), image), 5)[0].save()


def test_a_state_of_another_image_is_refused(tmp_path: Path) -> None:
    image, other = random_chip(1), random_chip(2)
    write_state(tmp_path / "state", saved_state(image))
    with pytest.raises(ArtifactError, match=r"state: is the state of another chip image, .*; name the folder of that"):
        read_state(tmp_path / "state", other)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "cannot be read": lambda path: path.unlink(),
    "not a whole safetensors file": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "the file was altered": lambda path: path.write_bytes(path.read_bytes()[:-3] + b"abc"),
    "not a chip-state file": lambda path: write_tensors(path, "other", {}, {}),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_state_is_refused(message: str, tmp_path: Path) -> None:
    image, path = random_chip(1), tmp_path / "state"
    write_state(path, saved_state(image))
    DAMAGES[message](path)
    with pytest.raises(ArtifactError, match=message):
        read_state(path, image)


def test_a_state_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, path = random_chip(1), tmp_path / "state"
    with monkeypatch.context() as newer:
        newer.setattr("tncompile.ir.tensors.VERSION", 9)
        write_state(path, saved_state(image))
    with pytest.raises(ArtifactError, match="file of version 9, this tncompile reads version 1; run the ticks again"):
        read_state(path, image)


def test_what_cannot_run_is_refused() -> None:
    image = random_chip(1)
    source = SpikeList(spikes_to(image, 1, streams=3), image)
    state = saved_state(image)
    assert survey(source).streams == 3
    with pytest.raises(ConfigError, match="ticks: must be at least 1, got 0"):
        run(image, source, 0)
    with pytest.raises(ConfigError, match="streams: must be 1 … 65536, got 0"):
        run(image, source, 1, streams=0)
    with pytest.raises(SimulationError, match="input: has spikes of stream 2, the run has 0 … 1"):
        run(image, source, 1, streams=2)
    with pytest.raises(SimulationError, match="input: has spikes of stream 2, the run has 0 … 0"):
        run(image, source, 1, state=state)
    with pytest.raises(ConfigError, match="streams: 2 asked for, the state has 1; leave it out"):
        run(image, SpikeList(no_spikes(), image), 1, state=state, streams=2)
    with pytest.raises(ConfigError, match="no engine is called 'magic'; choose one of auto, "):
        run(image, source, 1, "magic")
    with pytest.raises(SimulationError, match="watch: core 9, the image has the cores 0 … 8"):
        run(image, source, 1, watch=(9,))


LONG = """
import resource, sys
import numpy as np
from support.random_chips import random_chip
from tncompile.sim.sources import SpikeList
from tncompile.sim.spikes import InputSpikes
from tncompile.sim.stream import simulate_stream

class Endless:
    every_stream = True
    def chunks(self):
        for start in range(0, ticks, 1000):
            tick = np.arange(start, start + 1000)
            one = np.zeros(1000, np.int32)
            yield InputSpikes(stream=one, tick=tick, core=one - 1, axon=one, delay=one)

image = random_chip(3, cores=2)
peaks = []
for ticks in (20_000, 400_000):
    result = simulate_stream(image, Endless(), ticks, engine="event")
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(result.output_spikes, *peaks)
"""


def test_memory_does_not_grow_with_the_number_of_ticks() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LONG], capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[1]
    )
    assert ended.returncode == 0, ended.stderr
    spikes, before, after = map(int, ended.stdout.split())
    assert spikes > 400_000
    assert after - before < 20_000, "[KiB]"


def test_results_say_how_the_run_went() -> None:
    image = random_chip(1)
    result, _ = run(image, SpikeList(no_spikes(), image), 9)
    assert isinstance(result, StreamResult)
    assert (result.first, result.ticks, result.input_spikes, result.earlier_spikes) == (0, 9, 0, 0)
    assert (result.choice.engine, result.choice.reason) == ("oracle", "as asked")
    assert result.seconds > 0
    assert make_engine("oracle", image).save(make_engine("oracle", image).load(result.save().chip)).tick == 9
