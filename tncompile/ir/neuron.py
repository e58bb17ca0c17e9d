"""The neuron's parameters: one table of distinct neuron types, shared by all cores."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

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

    One tick of one neuron, with active axons A_i, crosspoints w_i and axon types G_i, whose s and b are meant:

        V += Σ_i A_i w_i [(1−b) s + b F(s, ρ_i) sgn(s)]              synapses; F(s, ρ) = 1 if |s| ≥ ρ, else 0
        V += Ω [(1−c) λ + c F(λ, ρ) sgn(λ)],  Ω = 1 or, if ε, sgn(V)  leak; if ε and V crosses 0, V = 0
        η = ρ_T & (2^TM − 1)
        if V ≥ α + η:   spike; V = R | V − (α + η) | V               for γ = 0 | 1 | 2
        elif V < −β′:   κ = 1: V = −β;  κ = 0: V = −R | V + β′ | V   for γ = 0 | 1 | 2
                        β′ = β with κ = 1, β + η with κ = 0

    V saturates at the ends of the potential's range after the synapses, after the leak and after the reset.
    ρ_i and ρ are uniform in 0 … 255, ρ_T in 0 … 2³² − 1 (`tncompile.reference.random`).

    A chip with neuron ranc has κ = ε = b = c = TM = 0 and no γ = 2, its α and β may be negative, and V wraps at its
    range's ends instead of saturating. RANC's positive threshold is α, its negative threshold −β.

    Differs: silicon's generator of random numbers is not published, so its draws are others.

    References:
        Cassidy et al. 2013, IJCNN, "Cognitive computing building block: a versatile and efficient digital neuron
        model for neurosynaptic cores"; Mack et al. 2020, IEEE TCAD, "RANC".

    Attributes:
        weights: s^G, one an axon type [LSB].
        stochastic_weights: b^G.
        leak: λ [LSB].
        leak_reversal: ε.
        stochastic_leak: c.
        threshold: α [LSB].
        negative_threshold: β [LSB].
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


def stateless_table(
    weights: Int16[np.ndarray, "types axon_types"],
    leak: Int16[np.ndarray, " types"],
    *,
    neuron: Literal["truenorth", "ranc"] = "truenorth",
) -> NeuronTable:
    """Returns the table of neurons as Eedn nets use them: V is 0 before every tick.

    α = 1, β = 0, κ = 1, γ = 0, R = 0, V₀ = 0, nothing stochastic; κ = 0 with neuron ranc, which has no κ: with R = 0
    that is the same. Row 0 must be the unused neuron: no weights, no leak.

    Args:
        weights: s^G of each row [LSB].
        leak: λ of each row [LSB].
        neuron: the chip's.
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
        negative_saturate=np.full(rows, neuron == "truenorth"),
        reset=np.zeros(rows, np.int32),
        initial=np.zeros(rows, np.int32),
    )
