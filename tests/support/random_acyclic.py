"""Random chip images without state and without cycles, otherwise as wild as an image can be. Imports no simulator."""

from __future__ import annotations

import dataclasses

import numpy as np
from support.random_chips import WIDE, random_chip

from tncompile.arch import ChipArch
from tncompile.ir import ChipImage


def acyclic_chip(
    seed: int, *, arch: ChipArch = WIDE, cores: int = 9, twins: bool = True, crosspoints: float = 0.3
) -> ChipImage:
    """Returns a chip whose spikes never come back, along paths of uneven lengths and delays.

    Cores and the parts of a core stand in one random order, and spikes go only forward in it: to later cores, to
    later axons of the same core, by axons of few or many sources, host and neurons mixed. There are unused neurons,
    neurons that always or never spike, weights of several bits, neurons that reach two axons of a core by a copy,
    pins of several drivers, spikes that go nowhere, and two cores that compute the same.

    Args:
        seed: of everything random.
        arch: the chip.
        cores: how many.
        twins: whether the two first cores are equal and hear the host only, both the same.
        crosspoints: share of crosspoints that are set, where that makes no cycle.
    """
    rng = np.random.default_rng(seed)
    image = random_chip(seed, arch=arch, cores=cores, stateless=True, crosspoints=crosspoints)
    twins = twins and cores > 2
    parts = int(rng.integers(1, 5))
    axon_part, neuron_part = (np.arange(count) * parts // count for count in (arch.axons, arch.neurons))
    rank = rng.permutation(cores)
    if twins:
        rank[rank <= 1] = 0
    first = np.flatnonzero(rank == rank.min())

    bits = np.unpackbits(image.crossbars, axis=2, bitorder="little") & (axon_part[:, None] <= neuron_part)
    neuron_type, core_crossbar, axon_type = (
        array.copy() for array in (image.neuron_type, image.core_crossbar, image.axon_type)
    )
    for array in (neuron_type, core_crossbar, axon_type):
        array[first] = array[first[0]]
    copies = np.flatnonzero(neuron_part[1:] == neuron_part[:-1])[:: rng.integers(2, 5)]
    bits[..., copies + 1] = bits[..., copies]
    neuron_type[:, copies + 1] = neuron_type[:, copies]

    shape = (cores, arch.neurons)
    core = np.broadcast_to(np.arange(cores)[:, None], shape)
    target, axon = rng.integers(0, cores, shape), rng.integers(0, rng.integers(1, arch.axons + 1), shape)
    delay = np.where(image.target_delay, image.target_delay, 1)
    target[:, copies + 1], delay[:, copies + 1] = target[:, copies], delay[:, copies]
    forward = rank[target] * parts + axon_part[axon] > rank[core] * parts + neuron_part
    if twins:
        forward &= rank[target] > 0
    sends = forward & (rng.random(shape) < 0.9)
    pin = np.where(~sends & (rng.random(shape) < 0.8), rng.integers(0, image.output_pins, shape), -1)

    packets = image.packets
    if twins:  # what one hears, the other hears too
        to_first = np.isin(packets.x * 1000 + packets.y, image.core_x[first] * 1000 + image.core_y[first])
        again = np.concatenate([np.flatnonzero(~to_first), *[np.flatnonzero(to_first)] * len(first)])
        packets = dataclasses.replace(
            packets, **{f.name: getattr(packets, f.name)[again] for f in dataclasses.fields(packets)}
        )
        home = np.repeat(first, to_first.sum())
        x, y = packets.x.copy(), packets.y.copy()
        x[len(x) - len(home) :], y[len(y) - len(home) :] = image.core_x[home], image.core_y[home]
        packets = dataclasses.replace(packets, x=x, y=y)
    types = len(image.neurons)
    alpha = np.where(np.arange(types) > 0, rng.integers(0, 2, types), 1).astype(np.int32)
    return dataclasses.replace(
        image,
        core_crossbar=core_crossbar,
        crossbars=np.packbits(bits, axis=2, bitorder="little"),
        axon_type=axon_type,
        neurons=dataclasses.replace(image.neurons, threshold=alpha),
        neuron_type=neuron_type,
        dx=np.where(sends, image.core_x[target] - image.core_x[core], 0).astype(np.int16),
        dy=np.where(sends, image.core_y[target] - image.core_y[core], 0).astype(np.int16),
        target_axon=np.where(sends, axon, 0).astype(np.int16),
        target_delay=np.where(sends, delay, 0).astype(np.uint8),
        output_pin=pin.astype(np.int32),
        packets=packets,
    )
