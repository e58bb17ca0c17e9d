"""A chip image in hardware terms: packets find their cores by offset and site."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from tncompile.arch import ChipArch
from tncompile.errors import SimulationError
from tncompile.ir import ChipImage
from tncompile.reference import cores as machine


def cores_of(image: ChipImage) -> machine.Cores:
    """Returns the cores of an image, each packet's offset turned into a core's number.

    Raises:
        SimulationError: a packet goes to a site without a core.
    """
    core_at = {(int(x), int(y)): core for core, (x, y) in enumerate(zip(image.core_x, image.core_y, strict=True))}

    def core_on(x: int, y: int, who: str) -> int:
        if (x, y) not in core_at:
            raise SimulationError(f"{who}: sends to site ({x}, {y}), where the image has no core")
        return core_at[x, y]

    target_core = np.full(image.neuron_type.shape, -1, np.int64)
    for core, neuron in np.argwhere(image.target_delay > 0):
        x = int(image.core_x[core]) + int(image.dx[core, neuron])
        y = int(image.core_y[core]) + int(image.dy[core, neuron])
        target_core[core, neuron] = core_on(x, y, f"core {core}, neuron {neuron}")
    packets = image.packets
    input_core = [
        core_on(int(x), int(y), f"input packet {i}") for i, (x, y) in enumerate(zip(packets.x, packets.y, strict=True))
    ]
    return machine.Cores(
        arch=ChipArch.model_validate_json(image.arch),
        input_bits=image.input_bits,
        output_pins=image.output_pins,
        core_crossbar=image.core_crossbar,
        crossbars=image.crossbars,
        axon_type=image.axon_type,
        neurons=image.neurons,
        neuron_type=image.neuron_type,
        target_core=target_core,
        target_axon=image.target_axon.astype(np.int64),
        target_delay=image.target_delay.astype(np.int64),
        output_pin=image.output_pin.astype(np.int64),
        input_bit=packets.bit.astype(np.int64),
        input_core=np.array(input_core, np.int64),
        input_axon=packets.axon.astype(np.int64),
        input_delay=packets.delay.astype(np.int64),
    )


def run(
    image: ChipImage, input_bits: Bool[np.ndarray, "frames input_bits"], ticks: int, seed: int = 0
) -> Bool[np.ndarray, "ticks pins"]:
    """Returns the spikes on the output pins in the ticks 0 … ticks − 1.

    Args:
        image: the chip.
        input_bits: the bits that the host sends in tick 0, 1, …; then none. A packet of tick t arrives at
            t + delay.
        ticks: how many [tick].
        seed: of the random numbers.

    Raises:
        SimulationError: a packet goes to a site without a core, or the input does not fit the image.
    """
    return machine.run(cores_of(image), input_bits, ticks, seed)


def trace(
    image: ChipImage, input_bits: Bool[np.ndarray, "frames input_bits"], ticks: int, seed: int = 0
) -> machine.Trace:
    """Returns everything that happens in the ticks 0 … ticks − 1; arguments and errors as in `run`."""
    return machine.trace(cores_of(image), input_bits, ticks, seed)
