"""One chip on several devices gives what it gives on one, whatever is dealt to them.

The tests with four devices run where JAX has four: on such a machine, and in a process of its own that gets them.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from support.random_chips import RANC_UNBOUNDED, SMALL, WIDE, random_chip, random_frames, side_by_side

from tncompile.errors import ConfigError
from tncompile.sim import make_engine
from tncompile.sim.devices import pick_devices
from tncompile.sim.packed import PackedEngine, PackedState

four = pytest.mark.skipif(len(jax.devices()) < 4, reason="needs four devices; test_with_four_devices gets them")


def assert_equal_runs(engine: PackedEngine, batch: int) -> PackedState:
    """Compares an engine with the oracle, run in two parts, and returns the state."""
    image = engine.image
    frames = random_frames(image, 4, batch=batch, ticks=14)
    seeds = np.arange(batch, dtype=np.uint32) // 2
    watch = [len(image.core_x) - 1, *range(len(image.core_x))]
    oracle = make_engine("oracle", image)
    state, truth = engine.init(batch, seeds), oracle.init(batch, seeds)
    for part in (frames[:, :7], frames[:, 7:]):
        state, ticks = engine.run(state, part, watch)
        truth, expected = oracle.run(truth, part, watch)
        for name in ("pins", "spikes", "potential"):
            np.testing.assert_array_equal(getattr(ticks, name), getattr(expected, name), name)
    actual, saved = engine.save(state), oracle.save(truth)
    for name in ("tick", "seeds", "potential", "spikes", "inputs"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(saved, name), name)
    return state


def test_with_four_devices() -> None:
    if len(jax.devices()) >= 4:
        pytest.skip("they run here")
    host = "--xla_force_host_platform_device_count=4"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", str(Path(__file__))],
        env={**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {host}", "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 skipped" in run.stdout  # this test alone


@four
@pytest.mark.parametrize("split", ["streams", "cores"])
def test_four_devices_give_what_the_oracle_gives(split: str) -> None:
    """Cores in several groups, deterministic and stochastic; no number of them is a multiple of 4."""
    chips = (
        random_chip(5),
        random_chip(7, stochastic=True, cores=6),
        random_chip(3, arch=SMALL, stateless=True, cores=3),
    )
    image = side_by_side(chips)
    batch = 8 if split == "streams" else 3
    state = assert_equal_runs(PackedEngine(image, devices=4, split=split), batch)
    if split == "streams":
        assert {shard.data.shape[-1] for shard in state.past.addressable_shards} == {2}
    else:
        v = next(v for v in state.potential if v is not None)
        assert {shard.data.shape[0] for shard in v.addressable_shards} == {len(v) // 4}


@four
@pytest.mark.parametrize("kind", ["stateless", "ranc"])
def test_spikes_that_are_not_kept_beside_potentials(kind: str) -> None:
    """Stateless neurons have none, and potentials of 32 bits have no room; some parameters are one for all neurons."""
    image = random_chip(1, arch=WIDE, stateless=True) if kind == "stateless" else random_chip(1, arch=RANC_UNBOUNDED)
    same = dataclasses.replace(image.neurons, weights=np.ones_like(image.neurons.weights))
    engine = PackedEngine(dataclasses.replace(image, neurons=same), devices=3, split="cores")
    assert all(weight.ndim == 0 for weight in engine._chip.groups[0].weights)
    assert_equal_runs(engine, 1)


@four
def test_a_run_goes_on_with_another_split() -> None:
    image = random_chip(11, arch=SMALL, stochastic=True)
    frames = random_frames(image, 2, batch=4, ticks=12)
    seeds = np.array([1, 2, 3, 4], np.uint32)
    one = PackedEngine(image, devices=jax.devices()[3:])
    _, whole = one.run(one.init(4, seeds), frames)
    by_streams, by_cores = PackedEngine(image, devices=4), PackedEngine(image, devices=2, split="cores")
    state, first = by_streams.run(by_streams.init(4, seeds), frames[:, :5])
    _, second = by_cores.run(by_cores.load(by_streams.save(state)), frames[:, 5:])
    np.testing.assert_array_equal(np.concatenate([first.pins, second.pins], axis=1), whole.pins)
    assert whole.pins.any()


@four
def test_streams_that_cannot_be_dealt_are_refused() -> None:
    engine = PackedEngine(random_chip(1), devices=4)
    for call in (engine.init, lambda batch: engine.prepare(batch, 1)):
        with pytest.raises(ConfigError, match=r"streams: 6 on 4 devices; take a multiple of 4, or deal cores"):
            call(6)


def test_devices_that_are_not_there_are_refused() -> None:
    count = len(jax.devices())
    for wanted in (0, count + 1):
        with pytest.raises(ConfigError, match=rf"devices: {wanted} wanted, JAX sees {count} .*choose 1 … {count}"):
            pick_devices(wanted, "streams")
    with pytest.raises(ConfigError, match="devices: none given"):
        pick_devices([], "streams")
    with pytest.raises(ConfigError, match="split: 'neurons'; choose one of streams, cores"):
        PackedEngine(random_chip(1), split="neurons")
