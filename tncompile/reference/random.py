"""Random numbers of the stochastic neuron: a function of seed, tick, core, neuron and axon, and of nothing else."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt32

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA  # of Threefish's key schedule, cut to 32 bits

NEURON_BLOCK = 0
"""The block that holds a neuron's own draws: word 0 the threshold's, word 1 the leak's."""
SYNAPSE_BLOCK = 1
"""The block of the axons 0 … 7, one byte an axon; the next 8 axons have the next block."""


def threefry(
    key: tuple[UInt32[np.ndarray, "*k"], UInt32[np.ndarray, "*k"]],
    counter: tuple[UInt32[np.ndarray, "*c"], UInt32[np.ndarray, "*c"]],
) -> tuple[UInt32[np.ndarray, "*n"], UInt32[np.ndarray, "*n"]]:
    """Returns the two words of Threefry-2x32 with 20 rounds.

    Example:
        >>> zero = np.zeros(1, np.uint32)
        >>> [hex(word[0]) for word in threefry((zero, zero), (zero, zero))]
        ['0x6b200159', '0x99ba4efe']

    References:
        Salmon et al. 2011, SC11, "Parallel random numbers: as easy as 1, 2, 3"; the example is a known answer that
        comes with their library.
    """
    (k0, k1), (c0, c1) = key, counter
    keys = k0, k1, k0 ^ k1 ^ np.uint32(_PARITY)
    with np.errstate(over="ignore"):  # sums modulo 2³²
        a, b = c0 + keys[0], c1 + keys[1]
        for group in range(5):
            for rotation in _ROTATIONS[group % 2]:
                a = a + b
                b = ((b << np.uint32(rotation)) | (b >> np.uint32(32 - rotation))) ^ a
            a = a + keys[(group + 1) % 3]
            b = b + keys[(group + 2) % 3] + np.uint32(group + 1)
    return a, b


def draw(
    seed: int, tick: int, neuron: UInt32[np.ndarray, "*n"], block: int
) -> tuple[UInt32[np.ndarray, "*n"], UInt32[np.ndarray, "*n"]]:
    """Returns the words of one block of draws of each neuron.

    Args:
        seed: of the stream.
        tick: in which they are drawn; counts modulo 2³² [tick].
        neuron: core · neurons + neuron.
        block: `NEURON_BLOCK`, or `SYNAPSE_BLOCK` + axon // 8.
    """
    key = np.full(neuron.shape, seed, np.uint32), np.full(neuron.shape, tick & 0xFFFFFFFF, np.uint32)
    return threefry(key, (neuron, np.full(neuron.shape, block, np.uint32)))


def synapse_byte(
    words: tuple[UInt32[np.ndarray, "*n"], UInt32[np.ndarray, "*n"]], axon: int
) -> UInt32[np.ndarray, "*n"]:
    """Returns ρ of an axon from its block's words: byte axon mod 8, lowest first, word 0 first."""
    return (words[axon % 8 // 4] >> np.uint32(8 * (axon % 4))) & np.uint32(0xFF)
