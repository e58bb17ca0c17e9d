"""Which engine is chosen, and why."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest
from support.random_chips import layered_chip, random_chip

from tncompile.errors import ConfigError, InfeasibleError
from tncompile.sim import ENGINES, choose_engine
from tncompile.sim.choose import EVENT_STREAMS, LAYERED_FRAMES, NAMES, accelerator, candidates, check_name

FEW, MANY = LAYERED_FRAMES - 1, LAYERED_FRAMES


@pytest.mark.parametrize(
    "accelerated, streams, ticks, names",
    [
        (False, 1, FEW, ["event"]),
        (False, 1, MANY, ["sliced", "event"]),
        (False, MANY, 1, ["sliced", "event" if MANY <= EVENT_STREAMS else "packed"]),
        (False, EVENT_STREAMS, MANY, ["sliced", "event"]),
        (False, EVENT_STREAMS + 1, MANY, ["sliced", "packed"]),
        (True, 1, FEW, ["packed"]),
        (True, 1, MANY, ["layered", "packed"]),
        (True, 512, 100, ["layered", "packed"]),
    ],
)
def test_candidates(accelerated: bool, streams: int, ticks: int, names: list[str]) -> None:
    found = candidates(accelerated, streams, ticks)
    assert [choice.engine for choice in found] == names
    assert set(names) <= ENGINES.keys()
    assert all(choice.reason for choice in found)
    assert all(("GPU" in choice.reason) == accelerated for choice in found)


def test_the_first_that_can_run_the_image_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tncompile.sim.choose.accelerator", lambda: False)
    image = layered_chip(3)
    engine, choice = choose_engine(image, streams=1, ticks=MANY)
    assert (choice.engine, type(engine).__name__) == ("sliced", "SlicedEngine")
    assert engine.image is image
    engine, choice = choose_engine(image, streams=1, ticks=FEW)
    assert (choice.engine, type(engine).__name__) == ("event", "EventEngine")
    # One neuron that keeps its potential is enough.
    table = dataclasses.replace(image.neurons, threshold=np.full(len(image.neurons), 5, np.int32))
    engine, choice = choose_engine(dataclasses.replace(image, neurons=table), streams=1, ticks=MANY)
    assert (choice.engine, type(engine).__name__) == ("event", "EventEngine")
    assert re.fullmatch(
        r"it runs any chip, fast with .*; sliced cannot, since core \d+, neuron \d+ .* potential from tick to tick",
        choice.reason,
    )
    assert choose_engine(random_chip(1), streams=EVENT_STREAMS + 1, ticks=1)[1].engine == "packed"


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_asked_for_is_taken(name: str) -> None:
    engine, choice = choose_engine(layered_chip(3), name, streams=1, ticks=1)
    assert (choice.engine, choice.reason) == (name, "as asked")
    assert type(engine).__name__.lower() == f"{name}engine"


def test_what_cannot_be_is_refused() -> None:
    image = random_chip(1)
    for name in ("sliced", "layered"):
        with pytest.raises(InfeasibleError):
            choose_engine(image, name, streams=1, ticks=1)
    with pytest.raises(ConfigError, match=r"^engine: no engine is called 'magic'; choose one of auto, packed, event, "):
        choose_engine(image, "magic", streams=1, ticks=1)
    with pytest.raises(ConfigError, match=r"^here: no engine is called ''; choose one of auto"):
        check_name("", "here")
    for name in NAMES:
        check_name(name, "here")
    with pytest.raises(ConfigError, match="engine: oracle runs on one device, 2 asked for"):
        choose_engine(image, "oracle", streams=2, ticks=1, devices=2)


DEVICES = """
import numpy as np
from support.random_chips import random_chip
from tncompile.sim.choose import choose_engine

image = random_chip(1)
for split in ("streams", "cores"):
    engine, choice = choose_engine(image, streams=4, ticks=5, devices=4, split=split)
    state, out = engine.run(engine.init(4), np.ones((4, 5, image.input_bits), bool))
    oracle, _ = choose_engine(image, "oracle", streams=4, ticks=5)
    _, expected = oracle.run(oracle.init(4), np.ones((4, 5, image.input_bits), bool))
    print(choice.engine, choice.reason, np.array_equal(out.pins, expected.pins), sep="; ")
"""


def test_devices_share_the_work() -> None:
    environment = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "PYTHONPATH": "tests",
        "JAX_PLATFORMS": "cpu",
    }
    ended = subprocess.run([sys.executable, "-c", DEVICES], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "packed; it shares streams among 4 devices; True",
        "packed; it shares cores among 4 devices; True",
    ]


def test_a_machine_without_a_gpu_is_known_without_jax() -> None:
    code = "import sys; from tncompile.sim.choose import accelerator; print(accelerator(), 'jax' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"JAX_PLATFORMS": "cpu"})
    assert ended.stdout == "False False\n", ended.stderr


def test_what_jax_computes_on_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    for backend, expected in (("cpu", False), ("gpu", True), ("tpu", True)):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        assert accelerator() == expected
