"""What IBM's TrueNorth files share: how they number cores and output pins, and what a neuron type says."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, Integer

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.ir import ChipImage
from tncompile.sim.wiring import image_arch

PIN_CORE = -32
"""destCore of the first 256 output pins; −33 has the next 256, and so on."""
PINS_PER_CORE = 256
"""Output pins that share a destCore."""
NOWHERE = (-1, -2)
"""destCore of a neuron that is not connected, and of one whose spikes are discarded."""
AXON_TYPES = 4
"""Axon types that the format has, S0 to S3."""
NEURON_CLASS, CROSSBAR_CLASS = "NeuronGeneral", "CrossbarBinary"
"""The classes of neurons and crossbars that are understood."""
LISTS = ("dendrites", "types", "destCores", "destAxons", "destDelays")
"""What a core says of its neurons, a list each."""

INTEGERS: dict[str, tuple[int, int]] = {
    **{f"s{k}": (0, TRUENORTH.weight_max) for k in range(AXON_TYPES)},
    "lambda": (0, TRUENORTH.leak_max),
    "alpha": TRUENORTH.threshold_range,
    "beta": TRUENORTH.threshold_range,
    "TM": (0, 31),
    "gamma": (0, 2),
    "VR": (0, 31),
    "V": TRUENORTH.potential_range,
}
"""A neuron type's numbers, and their ranges."""
SIGNS = (*(f"sigma{k}" for k in range(AXON_TYPES)), "sigma_lambda", "sigma_VR")
"""A neuron type's signs, −1 or 1."""
FLAGS = (*(f"b{k}" for k in range(AXON_TYPES)), "c_lambda", "epsilon", "kappa")
"""A neuron type's flags."""
REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1).ravel()
"""Each byte with its bits the other way round."""


def core_ids(image: ChipImage) -> Int64[np.ndarray, " cores"]:
    """Returns the id that each core of an image has in IBM's files.

    id = chip · (cores of a chip) + (y mod grid_y) · grid_x + (x mod grid_x), chip = number of the chip on the board
    (`ChipArch.chip_of`).
    """
    return ids_at(image.core_x, image.core_y, image_arch(image))


def ids_at(
    x: Integer[np.ndarray, "*sites"], y: Integer[np.ndarray, "*sites"], arch: ChipArch
) -> Int64[np.ndarray, "*sites"]:
    """Returns the ids of the cores at sites."""
    width, height = arch.grid
    x, y = x.astype(np.int64), y.astype(np.int64)
    chip = x // width + arch.board[0] * (y // height)
    return chip * (width * height) + (y % height) * width + x % width


def sites_of(
    ids: Int64[np.ndarray, " cores"], arch: ChipArch
) -> tuple[Int64[np.ndarray, " cores"], Int64[np.ndarray, " cores"]]:
    """Returns x and y of the cores with some ids."""
    width, height = arch.grid
    chip, core = np.divmod(ids, width * height)
    return chip % arch.board[0] * width + core % width, chip // arch.board[0] * height + core // width
