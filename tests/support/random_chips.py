"""Random chip images that use everything an image can say. Imports no pass, and no simulator."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool

from tncompile.arch import ChipArch
from tncompile.ir import ChipImage, InputPackets, NeuronTable, stateless_table

SMALL = ChipArch(
    name="small",
    axons=16,
    neurons=16,
    axon_types=4,
    weight_bits=5,
    leak_bits=5,
    threshold_bits=6,
    potential_bits=7,  # −64 … 63: a few strong synapses saturate
    delay_max=5,
    grid=(3, 3),
    board=(2, 1),
)
"""Two chips of 3 × 3 cores with narrow potentials."""
RANC = SMALL.model_copy(update={"name": "ranc", "neuron": "ranc", "threshold_bits": 7, "potential_bits": 7})
"""The same with RANC's neuron and potentials that wrap after a few strong synapses."""
RANC_INCLUSIVE = RANC.model_copy(update={"negative_inclusive": True})
"""The same, with V ≤ −β for V < −β."""
RANC_UNBOUNDED = RANC.model_copy(update={"potential_bits": 32})
"""RANC's neuron with potentials that no run of a test can make wrap."""
WIDE = SMALL.model_copy(update={"name": "wide", "potential_bits": 20})
"""The same with potentials that no sum can saturate."""


def random_chip(
    seed: int,
    *,
    arch: ChipArch = SMALL,
    cores: int = 9,
    stateless: bool = False,
    stochastic: bool = False,
    crosspoints: float = 0.3,
) -> ChipImage:
    """Returns a recurrent chip of random wiring.

    Neurons send to any core, so axons have none, one or many sources, host and neurons mixed; delays are anything up
    to a random bound; pins may have many drivers; some neurons are unused, and so are some rows of the table.

    Args:
        seed: of everything random.
        arch: the chip.
        cores: how many, on random sites.
        stateless: whether all neurons forget their potential, as those of compiled nets do.
        stochastic: whether some neurons draw random numbers.
        crosspoints: share of crosspoints that are set.
    """
    rng = np.random.default_rng(seed)
    width, height = arch.size
    sites = rng.choice(width * height, cores, replace=False)
    core_x, core_y = (sites % width).astype(np.int32), (sites // width).astype(np.int32)
    neurons = random_neurons(rng, arch, types=int(rng.integers(2, 12)), stateless=stateless, stochastic=stochastic)
    shape = (cores, arch.neurons)
    neuron_type = rng.integers(0 if rng.random() < 0.8 else 1, len(neurons), shape).astype(np.int32)
    delays = int(rng.integers(1, arch.delay_max + 1))
    input_bits, pins, lines = (int(rng.integers(1, most)) for most in (12, 8, 4 * cores + 2))
    axons = int(rng.integers(1, arch.axons + 1))  # few axons: many sources each

    use = rng.choice(3, shape, p=[0.7, 0.15, 0.15])  # core, pin, nothing
    target = rng.integers(0, cores, shape)
    to_core = use == 0
    crossbars = np.packbits(
        rng.random((int(rng.integers(1, cores + 1)), arch.axons, arch.neurons)) < crosspoints,
        axis=-1,
        bitorder="little",
    )
    line_core = rng.integers(0, cores, lines)
    return ChipImage(
        arch=json.dumps(arch.model_dump(mode="json"), sort_keys=True),
        input_bits=input_bits,
        output_pins=pins,
        latency=-1,
        core_x=core_x,
        core_y=core_y,
        core_crossbar=rng.integers(0, len(crossbars), cores).astype(np.int32),
        crossbars=crossbars,
        axon_type=rng.integers(0, rng.integers(1, arch.axon_types + 1), (cores, arch.axons)).astype(np.uint8),
        neurons=neurons,
        neuron_type=neuron_type,
        dx=np.where(to_core, core_x[target] - core_x[:, None], 0).astype(np.int16),
        dy=np.where(to_core, core_y[target] - core_y[:, None], 0).astype(np.int16),
        target_axon=np.where(to_core, rng.integers(0, axons, shape), 0).astype(np.int16),
        target_delay=np.where(to_core, rng.integers(1, delays + 1, shape), 0).astype(np.uint8),
        output_pin=np.where(use == 1, rng.integers(0, pins, shape), -1).astype(np.int32),
        packets=InputPackets(
            bit=rng.integers(0, input_bits, lines).astype(np.int32),
            x=core_x[line_core],
            y=core_y[line_core],
            axon=rng.integers(0, arch.axons, lines).astype(np.int16),
            delay=rng.integers(1, delays + 1, lines).astype(np.uint8),
        ),
        host=None,
    )


def side_by_side(images: Sequence[ChipImage]) -> ChipImage:
    """Returns one image of several chips of the same description, without wires between them.

    Input bits, pins and cores are numbered one chip behind the other; each chip has a row of the board for itself.
    """
    arch = ChipArch.model_validate_json(images[0].arch)
    board = arch.model_copy(update={"board": (arch.board[0], arch.board[1] * len(images))})

    def behind(counts: Sequence[int]) -> list[int]:
        return [0, *np.cumsum(counts)[:-1].tolist()]

    crossbar, row, bit, pin, y = (
        behind([count(image) for image in images])
        for count in (
            lambda i: len(i.crossbars),
            lambda i: len(i.neurons),
            lambda i: i.input_bits,
            lambda i: i.output_pins,
            lambda i: arch.size[1],
        )
    )

    def joined(get: Callable[[ChipImage, int], np.ndarray]) -> np.ndarray:
        return np.concatenate([get(image, i) for i, image in enumerate(images)])

    first = images[0].neurons
    return dataclasses.replace(
        images[0],
        arch=json.dumps(board.model_dump(mode="json"), sort_keys=True),
        input_bits=sum(image.input_bits for image in images),
        output_pins=sum(image.output_pins for image in images),
        core_y=joined(lambda c, i: c.core_y + np.int32(y[i])),
        core_crossbar=joined(lambda c, i: c.core_crossbar + np.int32(crossbar[i])),
        neurons=NeuronTable(
            **{f.name: joined(lambda c, _, f=f: getattr(c.neurons, f.name)) for f in dataclasses.fields(first)}
        ),
        neuron_type=joined(lambda c, i: np.where(c.neuron_type, c.neuron_type + np.int32(row[i]), 0).astype(np.int32)),
        output_pin=joined(lambda c, i: np.where(c.output_pin < 0, -1, c.output_pin + pin[i]).astype(np.int32)),
        packets=InputPackets(
            bit=joined(lambda c, i: c.packets.bit + np.int32(bit[i])),
            x=joined(lambda c, _: c.packets.x),
            y=joined(lambda c, i: c.packets.y + np.int32(y[i])),
            axon=joined(lambda c, _: c.packets.axon),
            delay=joined(lambda c, _: c.packets.delay),
        ),
        **{
            name: joined(lambda c, _, name=name: getattr(c, name))
            for name in ("core_x", "crossbars", "axon_type", "dx", "dy", "target_axon", "target_delay")
        },
    )


def layered_chip(seed: int) -> ChipImage:
    """Returns a feed-forward chip of stateless neurons with 1 to 3 layers of cores, each a few ticks behind the last.

    All that enters in tick t fires on the pins in tick t + latency, and nothing else does.
    """
    rng = np.random.default_rng(seed)
    image = random_chip(seed, arch=WIDE, stateless=True)
    cores, neurons = image.neuron_type.shape
    layers = int(rng.integers(1, 4))
    layer = np.sort(np.append(np.arange(layers), rng.integers(0, layers, cores - layers)))
    delay = rng.integers(1, WIDE.delay_max + 1, layers)  # in front of each layer

    target = np.zeros((cores, neurons), np.int64)
    for index in range(layers - 1):
        senders = layer == index
        target[senders] = rng.choice(np.flatnonzero(layer == index + 1), (senders.sum(), neurons))
    last = np.broadcast_to((layer == layers - 1)[:, None], target.shape)
    target_delay = np.where(last, 0, delay[np.minimum(layer + 1, layers - 1)][:, None])
    first = rng.choice(np.flatnonzero(layer == 0), len(image.packets.bit))
    return dataclasses.replace(
        image,
        latency=int(delay.sum()),
        dx=np.where(last, 0, image.core_x[target] - image.core_x[:, None]).astype(np.int16),
        dy=np.where(last, 0, image.core_y[target] - image.core_y[:, None]).astype(np.int16),
        target_axon=np.where(last, 0, rng.integers(0, WIDE.axons, target.shape)).astype(np.int16),
        target_delay=target_delay.astype(np.uint8),
        output_pin=np.where(last, rng.integers(0, image.output_pins, target.shape), -1).astype(np.int32),
        packets=dataclasses.replace(
            image.packets,
            x=image.core_x[first],
            y=image.core_y[first],
            delay=np.full(len(first), delay[0], np.uint8),
        ),
    )


def random_neurons(
    rng: np.random.Generator, arch: ChipArch, *, types: int, stateless: bool, stochastic: bool = False
) -> NeuronTable:
    """Returns a table of `types` neurons in all modes of the chip's neuron; row 0 is the unused one, whatever it says.

    Args:
        rng: where the numbers come from.
        arch: the chip, whose ranges they fill.
        types: rows.
        stateless, stochastic: as in `random_chip`.
    """
    low, high = arch.potential_range
    weights = rng.integers(-arch.weight_max, arch.weight_max, (types, arch.axon_types), endpoint=True).astype(np.int16)
    leak = rng.integers(-arch.leak_max, arch.leak_max, types, endpoint=True)
    leak = np.where(rng.random(types) < 0.5, rng.integers(-2, 3, types), leak).astype(np.int16)
    if stateless:
        weights[0], leak[0] = 0, 0
        return stateless_table(weights, leak, neuron=arch.neuron)

    def bits(share: float, *shape: int) -> Bool[np.ndarray, "*shape"]:
        return rng.random(shape or types) < share

    ranc = arch.neuron == "ranc"
    lowest, highest = arch.threshold_range
    reset = rng.integers(-arch.weight_max, arch.weight_max, types, endpoint=True)
    beta = rng.integers(-highest // 4 if ranc else 0, min(highest, -low) + 1, types)
    stochastic &= not ranc
    return NeuronTable(
        weights=weights,
        stochastic_weights=bits(0.3, *weights.shape) & stochastic,
        leak=leak,
        leak_reversal=(bits(0.3) if rng.random() < 0.7 else bits(0)) & (not ranc),
        stochastic_leak=bits(0.4) & stochastic,
        threshold=rng.integers(lowest // 4, min(highest, high) + 1, types).astype(np.int32),
        negative_threshold=np.where(bits(0.3), 0, beta).astype(np.int32),
        mask_bits=np.where(bits(0.5), rng.integers(0, arch.threshold_bits + 1, types) * stochastic, 0).astype(np.uint8),
        reset_mode=rng.integers(0, 2 if ranc else 3, types).astype(np.uint8),
        negative_saturate=bits(0.5) & (not ranc),
        reset=np.where(bits(0.4), 0, reset).astype(np.int32),
        initial=rng.integers(max(low, -1000), min(high, 1000) + 1, types).astype(np.int32),
    )


def random_frames(
    image: ChipImage, seed: int, *, batch: int, ticks: int, rate: float = 0.4
) -> Bool[np.ndarray, "batch ticks input_bits"]:
    """Returns input bits that are set with probability `rate`."""
    return np.random.default_rng(seed).random((batch, ticks, image.input_bits)) < rate
