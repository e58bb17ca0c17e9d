"""The neuron's parameters: one table of distinct neuron types, shared by all cores."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Int16, Int32, UInt8

from tncompile.ir.base import Record


class ResetMode(IntEnum):
    """γ: what the potential becomes after a spike."""

    RESET = 0  # R
    SUBTRACT = 1  # V − α
    KEEP = 2  # V


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeuronTable(Record):
    """Distinct neurons; row 0 is the unused neuron, which never spikes and holds V = 0.

    One tick of one neuron, with active axons A_i, crosspoints w_i and axon types G_i:

        V += Σ_i A_i w_i s^(G_i)                                  synapses
        V += Ω λ,  Ω = 1 or, if ε, sgn(V)                         leak; if ε and V crosses 0, V = 0
        if V ≥ α:      spike; V = R | V − α | V                   for γ = 0 | 1 | 2
        elif V < −β:   κ = 1: V = −β;  κ = 0: V = −R | V + β | V  for γ = 0 | 1 | 2

    V saturates at the ends of the potential's range after the synapses, after the leak and after the reset.
    With the stochastic flags b^G (synapse), c (leak) or a threshold mask of TM > 0 bits, random numbers enter.

    References:
        Cassidy et al. 2013, IJCNN, "Cognitive computing building block: a versatile and efficient digital neuron
        model for neurosynaptic cores".

    Attributes:
        weights: s^G, one an axon type [LSB].
        stochastic_weights: b^G.
        leak: λ [LSB].
        leak_reversal: ε.
        stochastic_leak: c.
        threshold: α [LSB].
        negative_threshold: β [LSB], not negative.
        mask_bits: TM, bits of the threshold's random part [bit].
        reset_mode: γ.
        negative_saturate: κ.
        reset: R [LSB].
        initial: V before the first tick [LSB].
    """

    weights: Int16[np.ndarray, "types axon_types"]
    stochastic_weights: Bool[np.ndarray, "types axon_types"]
    leak: Int16[np.ndarray, " types"]
    leak_reversal: Bool[np.ndarray, " types"]
    stochastic_leak: Bool[np.ndarray, " types"]
    threshold: Int32[np.ndarray, " types"]
    negative_threshold: Int32[np.ndarray, " types"]
    mask_bits: UInt8[np.ndarray, " types"]
    reset_mode: UInt8[np.ndarray, " types"]
    negative_saturate: Bool[np.ndarray, " types"]
    reset: Int32[np.ndarray, " types"]
    initial: Int32[np.ndarray, " types"]

    def __len__(self) -> int:
        return len(self.leak)


def stateless_table(weights: Int16[np.ndarray, "types axon_types"], leak: Int16[np.ndarray, " types"]) -> NeuronTable:
    """Returns the table of neurons as Eedn nets use them: V is 0 before every tick.

    α = 1, β = 0, κ = 1, γ = 0, R = 0, V₀ = 0, nothing stochastic. Row 0 must be the unused neuron: no weights, no leak.

    Args:
        weights: s^G of each row [LSB].
        leak: λ of each row [LSB].
    """
    rows = len(leak)
    return NeuronTable(
        weights=weights,
        stochastic_weights=np.zeros_like(weights, bool),
        leak=leak,
        leak_reversal=np.zeros(rows, bool),
        stochastic_leak=np.zeros(rows, bool),
        threshold=np.ones(rows, np.int32),
        negative_threshold=np.zeros(rows, np.int32),
        mask_bits=np.zeros(rows, np.uint8),
        reset_mode=np.full(rows, ResetMode.RESET, np.uint8),
        negative_saturate=np.ones(rows, bool),
        reset=np.zeros(rows, np.int32),
        initial=np.zeros(rows, np.int32),
    )
