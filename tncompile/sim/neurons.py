"""What the neurons of an image can do, found by looking at all of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from tncompile.ir import ChipImage, NeuronTable, ResetMode
from tncompile.sim.wiring import Wiring


def used_rows(image: ChipImage) -> Bool[np.ndarray, " types"]:
    """Returns the rows of the neuron table that some neuron has; never row 0, the unused neuron."""
    used = np.zeros(len(image.neurons), bool)
    used[np.unique(image.neuron_type)] = True
    used[0] = False
    return used


def stochastic_rows(table: NeuronTable) -> Bool[np.ndarray, " types"]:
    """Returns the rows that draw random numbers."""
    return table.stochastic_weights.any(axis=1) | table.stochastic_leak | (table.mask_bits > 0)


def stateless_rows(table: NeuronTable) -> Bool[np.ndarray, " types"]:
    """Returns the rows whose potential is 0 before every tick, whatever comes in, and that draw no random numbers.

    With β = 0 and α ≤ 1, every V but 0 is above or below a threshold; with γ = 0 and R = 0 both lead to 0.
    """
    return (
        (table.initial == 0)
        & (table.threshold <= 1)
        & (table.negative_threshold == 0)
        & (table.reset_mode == ResetMode.RESET)
        & (table.reset == 0)
        & ~table.leak_reversal
        & ~stochastic_rows(table)
    )


def is_stateless(image: ChipImage, wiring: Wiring) -> bool:
    """Returns whether every neuron is one comparison, Σ s ≥ α − λ.

    So it is if all rows in use are stateless and no potential can saturate or wrap so that it falls on the other side
    of the threshold. A leak that saturates does not: the ends lie on either side.
    """
    used = used_rows(image)
    leak = int(np.abs(image.neurons.leak[used].astype(np.int64)).max(initial=0)) if wiring.arch.neuron == "ranc" else 0
    fits = reach(image, wiring) + leak <= wiring.arch.potential_range[1]
    return bool(stateless_rows(image.neurons)[used].all()) and fits


def reach(image: ChipImage, wiring: Wiring) -> int:
    """Returns a bound on |Σ s| over all subsets of a core's axons that have a source, for all neurons in use [LSB]."""
    arch = wiring.arch
    sourced = np.zeros((len(image.core_x), arch.axons), bool)
    sourced.ravel()[wiring.target] = True
    axons = [int((sourced & (image.axon_type == g)).sum(axis=1).max(initial=0)) for g in range(arch.axon_types)]
    weights = np.abs(image.neurons.weights[used_rows(image)].astype(np.int64))
    return int((weights @ np.array(axons)).max(initial=0))
