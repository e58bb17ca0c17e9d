"""Which engine runs an image: found by looking at the image, the run and the machine, and said with its reason."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass

from tncompile.errors import ConfigError, InfeasibleError
from tncompile.ir import ChipImage
from tncompile.sim.engine import ENGINES, Engine, make_engine
from tncompile.sim.layers import NotLayered

AUTO = "auto"
"""The name that leaves the choice to this module."""

NAMES = (AUTO, *ENGINES)
"""What a user may ask for."""

LAYERED_FRAMES = 512
"""From so many streams × ticks on, it pays to find the layers, a second for 4,000 cores; a row of `sliced` holds as
many."""

EVENT_STREAMS = 4
"""Up to so many streams, following single spikes is faster than counting bits of whole crossbars; with more, it depends
on how many neurons fire, and counting takes no time to compile where JAX is there anyhow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An engine, and why.

    Attributes:
        engine: its name.
        reason: why it was chosen, as half a sentence.
    """

    engine: str
    reason: str


def choose_engine(
    image: ChipImage, name: str = AUTO, *, streams: int, ticks: int, devices: int = 1, split: str = "streams"
) -> tuple[Engine, Choice]:
    """Returns an engine for an image, and why it is that one.

    Args:
        image: the chip.
        name: of the engine, or `auto`.
        streams: how many will run side by side.
        ticks: how many they will run, about [tick].
        devices: how many share the work.
        split: what is dealt to them: "streams" or "cores".

    Raises:
        ConfigError: no engine has the name, the engine runs on one device only, or there are not so many.
        InfeasibleError: the engine that was asked for cannot run such an image.
        SimulationError: the image disagrees with itself.
    """
    check_name(name, "engine")
    if devices > 1:
        return _on_devices(image, name, devices, split)
    if name != AUTO:
        return make_engine(name, image), Choice(engine=name, reason="as asked")
    *specialists, last = candidates(accelerator(), streams, ticks)
    passed = ""
    for choice in specialists:
        try:
            return make_engine(choice.engine, image), choice
        except InfeasibleError as error:
            # An engine that needs layers says which and what for; here the reason alone is enough.
            reason = error.__context__ if isinstance(error.__context__, NotLayered) else str(error).rsplit("; ", 1)[0]
            passed = f"; {choice.engine} cannot, since {reason}"
    return make_engine(last.engine, image), Choice(engine=last.engine, reason=last.reason + passed)


def _on_devices(image: ChipImage, name: str, devices: int, split: str) -> tuple[Engine, Choice]:
    if name not in (AUTO, "packed"):
        raise ConfigError(f"engine: {name} runs on one device, {devices} asked for; use packed, or one device")
    from tncompile.sim.packed import PackedEngine  # imports JAX, which takes seconds

    engine = PackedEngine(image, devices=devices, split=split)
    return engine, Choice(engine="packed", reason=f"it shares {split} among {devices} devices")


def check_name(name: str, where: str) -> None:
    """Refuses what is no engine's name and not `auto`.

    Args:
        name: what was asked for.
        where: the key or option, for the message.

    Raises:
        ConfigError: it is neither.
    """
    if name not in NAMES:
        raise ConfigError(f"{where}: no engine is called {name!r}; choose one of {', '.join(NAMES)}")


def candidates(accelerated: bool, streams: int, ticks: int) -> tuple[Choice, ...]:
    """Returns the engines to try, the best one first; the last one runs any image.

    Args:
        accelerated: whether XLA has a GPU or TPU.
        streams: how many run side by side.
        ticks: how many they run [tick].
    """
    layers = "no neuron keeps a potential and no wiring goes round, so many ticks of a layer are run at once"
    many = streams * ticks >= LAYERED_FRAMES
    if accelerated:
        general = Choice(engine="packed", reason="there is a GPU, and it runs any chip")
        return (Choice(engine="layered", reason=f"there is a GPU; {layers}"), general) if many else (general,)
    if streams <= EVENT_STREAMS:
        general = Choice(engine="event", reason="it runs any chip, fast with few streams")
    else:
        general = Choice(engine="packed", reason="it runs any chip, fast with many streams")
    return (Choice(engine="sliced", reason=layers), general) if many else (general,)


def accelerator() -> bool:
    """Returns whether JAX computes on something else than the CPU, without importing it where that cannot be."""
    if "jax" not in sys.modules:
        asked = os.environ.get("JAX_PLATFORMS", "").lower()
        # Every plugin of JAX, CUDA's and ROCm's too, lies in this namespace package; the TPU's is a package of its own.
        plugin = any(importlib.util.find_spec(name) for name in ("jax_plugins", "libtpu"))
        if asked == "cpu" or not plugin:
            return False
    import jax

    return jax.default_backend() != "cpu"
