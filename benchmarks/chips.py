"""The chips that the benchmarks run: full of random crossbars, firing at a chosen rate."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int16, Int32

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.ir import ChipImage, InputPackets, NeuronTable, ResetMode

ROWS = 1024
"""Distinct neurons of a chip: weights, leak and threshold differ from one to the next."""

WEIGHT = 15
"""Largest magnitude of a weight [LSB]: small enough that the leak decides how often a neuron fires."""


def board(cores: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the grid of a chip and the chips of the board that hold so many cores: squares, as full as can be.

    Raises:
        ValueError: the cores do not fill a square of at most 256 cores a side, the reach of a packet.
    """
    side = math.isqrt(cores)
    grid = TRUENORTH.grid[0]
    most = TRUENORTH.offset_max + 1
    if side * side != cores or side > most or (side > grid and side % grid):
        raise ValueError(f"{cores} cores: must be the square of 1 … {grid}, or of a multiple of {grid} up to {most}")
    return ((side, side), (1, 1)) if side <= grid else ((grid, grid), (side // grid, side // grid))


def full_chip(rate: float, cores: int = 4096, seed: int = 0) -> ChipImage:
    """Returns a chip with all neurons in use, of which about `rate` fire in a tick, for ever.

    Each crosspoint is set with probability 1/4. A core has as many axons of each of the four types, in random order.
    Every neuron sends to one axon with delay 1, and every axon has one neuron that sends to it: a random permutation
    of all axons of all cores. There is no input and no output: the chip drives itself.

    The two exciting and the two inhibiting weights of a neuron sum to 0, so what the synapses bring is noise around 0,
    and the leak λ > 0 alone drives V upwards. A spike subtracts α = λ / rate, so a neuron fires once in 1 / rate ticks,
    earlier or later as the noise will have it. V is kept above −β = −α.

    Args:
        rate: share of the neurons that fire in a tick.
        cores: how many (`board`).
        seed: of everything random.

    Raises:
        ValueError: the cores do not fill a board.
    """
    rng = np.random.default_rng([seed, cores, round(1e6 * rate)])
    grid, chips = board(cores)
    arch = TRUENORTH.model_copy(update={"name": f"benchmark-{cores}", "grid": grid, "board": chips})
    shape = (cores, arch.neurons)
    side = grid[0] * chips[0]
    core_y, core_x = np.divmod(np.arange(cores, dtype=np.int32), np.int32(side))
    types = np.tile(np.repeat(np.arange(arch.axon_types, dtype=np.uint8), arch.axons // arch.axon_types), (cores, 1))

    target = rng.permutation(np.arange(cores * arch.axons, dtype=np.int32)).reshape(shape)
    target_core, target_axon = target // np.int32(arch.axons), (target % np.int32(arch.axons)).astype(np.int16)
    dx, dy = ((site[target_core] - site[:, None]).astype(np.int16) for site in (core_x, core_y))
    crossbars = rng.integers(0, 256, (cores, arch.axons, arch.neurons // 8), np.uint8)
    for crossbar in crossbars:  # one at a time, in place: 65,536 of them take half a gigabyte
        crossbar &= rng.integers(0, 256, crossbar.shape, np.uint8)
    crossbars.flags.writeable = False  # or the image would copy them
    nothing = np.zeros(0, np.int32)
    return ChipImage(
        arch=json.dumps(arch.model_dump(mode="json"), sort_keys=True),
        input_bits=0,
        output_pins=0,
        latency=-1,
        core_x=core_x,
        core_y=core_y,
        core_crossbar=np.arange(cores, dtype=np.int32),
        crossbars=crossbars,
        axon_type=rng.permuted(types, axis=1),
        neurons=_neurons(rng, rate, arch),
        neuron_type=rng.integers(1, ROWS, shape, np.int32),
        dx=dx,
        dy=dy,
        target_axon=target_axon,
        target_delay=np.ones(shape, np.uint8),
        output_pin=np.full(shape, -1, np.int32),
        packets=InputPackets(
            bit=nothing, x=nothing, y=nothing, axon=nothing.astype(np.int16), delay=nothing.astype(np.uint8)
        ),
        host=None,
    )


def start(image: ChipImage, streams: Sequence[int], seed: int = 0) -> Int32[np.ndarray, "streams cores neurons"]:
    """Returns potentials from which the chip fires at its rate at once, others in each stream [LSB].

    V is anything in 0 … α − 1, so that as many neurons come to α in the first tick as in any other. The streams have
    the same random numbers, dealt to the neurons from another one on.

    Args:
        image: a `full_chip`.
        streams: which; a stream's potentials do not depend on what others are asked for.
        seed: of everything random.
    """
    threshold = image.neurons.threshold[image.neuron_type].ravel().astype(np.float32)
    uniform = np.random.default_rng(seed).random(threshold.size, np.float32)
    potential = np.empty((len(streams), *image.neuron_type.shape), np.int32)
    for row, stream in enumerate(streams):
        begin = int(np.random.default_rng([seed, stream]).integers(threshold.size))
        turned = np.roll(uniform, begin)  # 512 streams of new numbers for 4096 cores would take a minute
        turned *= threshold
        potential[row].ravel()[:] = np.minimum(turned, threshold - 1, out=turned)  # rounds towards 0
    return potential


def _neurons(rng: np.random.Generator, rate: float, arch: ChipArch) -> NeuronTable:
    def magnitude() -> Int16[np.ndarray, " types"]:
        return rng.integers(1, WEIGHT, ROWS, np.int16, endpoint=True)

    exciting = np.stack([magnitude(), magnitude()], axis=1)
    total = exciting.sum(axis=1, dtype=np.int16)
    first = rng.integers(np.maximum(1, total - WEIGHT), np.minimum(WEIGHT, total - 1), dtype=np.int16, endpoint=True)
    inhibiting = -np.stack([first, total - first], axis=1)
    leak = np.round(rate * rng.integers(300, 500, ROWS, endpoint=True)).astype(np.int16)
    threshold = np.round(leak / rate).astype(np.int32)
    weights = np.concatenate([exciting, inhibiting], axis=1)
    weights[0], leak[0], threshold[0] = 0, 0, 1
    return NeuronTable(
        weights=weights,
        stochastic_weights=np.zeros_like(weights, bool),
        leak=leak,
        leak_reversal=np.zeros(ROWS, bool),
        stochastic_leak=np.zeros(ROWS, bool),
        threshold=threshold,
        negative_threshold=threshold,
        mask_bits=np.zeros(ROWS, np.uint8),
        reset_mode=np.full(ROWS, ResetMode.SUBTRACT, np.uint8),
        negative_saturate=np.ones(ROWS, bool),
        reset=np.zeros(ROWS, np.int32),
        initial=np.zeros(ROWS, np.int32),
    )
