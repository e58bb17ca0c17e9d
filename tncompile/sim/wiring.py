"""Who sends to whom in a chip image: addresses resolved and checked once for all engines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64
from pydantic import ValidationError

from tncompile.arch import ChipArch
from tncompile.errors import SimulationError
from tncompile.ir import ChipImage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wiring:
    """An image's packets as arcs from sources to axons and pins.

    Sources are the neurons, core · neurons + neuron, and behind them the input bits.

    Attributes:
        arch: the chip.
        source, target, delay: one arc each: source, core · axons + axon, and delay [tick].
        pin_source, pin: which neuron drives which output pin.
    """

    arch: ChipArch
    source: Int64[np.ndarray, " arcs"]
    target: Int64[np.ndarray, " arcs"]
    delay: Int64[np.ndarray, " arcs"]
    pin_source: Int64[np.ndarray, " drives"]
    pin: Int64[np.ndarray, " drives"]


def resolve(image: ChipImage) -> Wiring:
    """Returns the wiring of an image, after checking that every number in it points to something.

    Raises:
        SimulationError: the image disagrees with itself or with its chip description.
    """
    arch = image_arch(image)
    _check_shapes(image, arch)
    cores, neurons = image.neuron_type.shape
    site = _sites(image, arch)

    sender = np.flatnonzero(image.target_delay)
    core = sender // neurons
    x = image.core_x[core] + image.dx.ravel()[sender].astype(np.int64)
    y = image.core_y[core] + image.dy.ravel()[sender].astype(np.int64)
    target_core = _core_on(site, x, y, lambda i: f"core {core[i]}, neuron {sender[i] % neurons}")
    packets = image.packets
    packet_core = _core_on(site, packets.x.astype(np.int64), packets.y.astype(np.int64), lambda i: f"input packet {i}")
    driver = np.flatnonzero(image.output_pin.ravel() >= 0)
    return Wiring(
        arch=arch,
        source=np.concatenate([sender, cores * neurons + packets.bit.astype(np.int64)]),
        target=np.concatenate(
            [
                target_core * arch.axons + image.target_axon.ravel()[sender],
                packet_core * arch.axons + packets.axon,
            ]
        ),
        delay=np.concatenate([image.target_delay.ravel()[sender], packets.delay]).astype(np.int64),
        pin_source=driver,
        pin=image.output_pin.ravel()[driver].astype(np.int64),
    )


def image_arch(image: ChipImage) -> ChipArch:
    """Returns the chip description that an image carries.

    Raises:
        SimulationError: it is not one.
    """
    try:
        return ChipArch.model_validate_json(image.arch)
    except ValidationError as error:
        raise SimulationError(
            f"chip image: its chip description is not valid ({error.errors()[0]['msg']}); emit it again"
        ) from error


def _check_shapes(image: ChipImage, arch: ChipArch) -> None:
    cores = len(image.core_x)
    if not cores:
        raise SimulationError("chip image: has no cores, there is nothing to run; name another chip")
    per_neuron = (cores, arch.neurons)
    shapes = {
        "core_y": (image.core_y, (cores,)),
        "core_crossbar": (image.core_crossbar, (cores,)),
        "crossbars": (image.crossbars, (len(image.crossbars), arch.axons, arch.neurons // 8)),
        "axon_type": (image.axon_type, (cores, arch.axons)),
        "neurons.weights": (image.neurons.weights, (len(image.neurons), arch.axon_types)),
        **{
            name: (getattr(image, name), per_neuron)
            for name in ("neuron_type", "dx", "dy", "target_axon", "target_delay", "output_pin")
        },
    }
    for name, (array, shape) in shapes.items():
        if array.shape != shape:
            raise SimulationError(
                f"chip image: {name} has shape {list(array.shape)}, chip {arch.name!r} and {cores} cores need "
                f"{list(shape)}; emit it again for this chip"
            )
    limits = {
        "core_crossbar": (image.core_crossbar, 0, len(image.crossbars) - 1),
        "axon_type": (image.axon_type, 0, arch.axon_types - 1),
        "neuron_type": (image.neuron_type, 0, len(image.neurons) - 1),
        "target_axon": (image.target_axon, 0, arch.axons - 1),
        "target_delay": (image.target_delay, 0, arch.delay_max),
        "output_pin": (image.output_pin, -1, image.output_pins - 1),
        "packets.bit": (image.packets.bit, 0, image.input_bits - 1),
        "packets.axon": (image.packets.axon, 0, arch.axons - 1),
        "packets.delay": (image.packets.delay, 1, arch.delay_max),
    }
    for name, (array, low, high) in limits.items():
        wrong = (array < low) | (array > high)
        if wrong.any():
            where = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise SimulationError(
                f"chip image: {name}{list(where)} is {int(array[where])}, must be {low} … {high}; emit it again"
            )


def _sites(image: ChipImage, arch: ChipArch) -> Int32[np.ndarray, "height width"]:
    """Returns the core on each site of the board, −1 = none."""
    width, height = arch.size
    x, y = image.core_x, image.core_y
    off = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    if off.any():
        core = int(off.argmax())
        raise SimulationError(
            f"chip image: core {core} on site ({x[core]}, {y[core]}), the board has {width} x {height} cores"
        )
    site = np.full((height, width), -1, np.int32)
    site[y, x] = np.arange(len(x))
    twice = site[y, x] != np.arange(len(x))
    if twice.any():
        core = int(twice.argmax())
        raise SimulationError(
            f"chip image: cores {core} and {site[y[core], x[core]]} share site ({x[core]}, {y[core]})"
        )
    return site


def _core_on(
    site: Int32[np.ndarray, "height width"], x: Int64[np.ndarray, " packets"], y: Int64[np.ndarray, " packets"], who
) -> Int64[np.ndarray, " packets"]:
    """Returns the core that each packet ends at; `who(i)` names the sender of packet i."""
    height, width = site.shape
    inside: Bool[np.ndarray, " packets"] = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    core = np.where(inside, site[np.where(inside, y, 0), np.where(inside, x, 0)], -1).astype(np.int64)
    if (core < 0).any():
        lost = core < 0
        i = int(lost.argmax())
        raise SimulationError(
            f"chip image: {who(i)} (first of {int(lost.sum())}) sends to site ({x[i]}, {y[i]}), where no core is; "
            "check dx and dy, or the packet's x and y"
        )
    return core
