"""One tick of neurosynaptic cores, axon by axon, in every mode of the neuron."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8, UInt32

from tncompile.arch import ChipArch
from tncompile.ir import NeuronTable, ResetMode
from tncompile.reference.random import NEURON_BLOCK, SYNAPSE_BLOCK, draw, synapse_byte


def integrate(
    potential: Int64[np.ndarray, "cores neurons"],
    axons: Bool[np.ndarray, "cores axons"],
    core_crossbar: Int32[np.ndarray, " cores"],
    crossbars: UInt8[np.ndarray, "crossbars axons bytes"],
    axon_type: UInt8[np.ndarray, "cores axons"],
    neurons: NeuronTable,
    neuron_type: Int32[np.ndarray, "cores neurons"],
    *,
    seed: int = 0,
    tick: int = 0,
) -> Int64[np.ndarray, "cores neurons"]:
    """Returns V + Σ_i A_i w_ij [(1 − b) s + b F(s, ρ) sgn(s)], s and b those of the type of axon i; not saturated.

    The sum is taken in 64 bits over the axons 0, 1, …; it saturates once, behind the last axon (`fire`). Hardware
    that saturates at each step would differ only where a partial sum leaves the range and comes back.

    Args:
        potential: V at the start of the tick [LSB].
        axons: A, the axons with a spike in this tick.
        core_crossbar, crossbars, axon_type, neurons, neuron_type: as in `ChipImage`.
        seed, tick: of the random numbers.
    """
    total = potential.copy()
    for axon in range(axons.shape[1]):
        cores = np.flatnonzero(axons[:, axon])
        crosspoints = np.unpackbits(crossbars[core_crossbar[cores], axon], axis=-1, bitorder="little")  # cores neurons
        row, kind = neuron_type[cores], axon_type[cores, axon][:, None]
        weight = neurons.weights[row, kind].astype(np.int64)  # cores neurons
        stochastic = neurons.stochastic_weights[row, kind]
        if stochastic.any():
            words = draw(seed, tick, _number(neuron_type)[cores], SYNAPSE_BLOCK + axon // 8)
            weight = np.where(stochastic, _chance(weight, synapse_byte(words, axon)), weight)
        total[cores] += crosspoints.astype(np.int64) * weight
    return total


def fire(
    total: Int64[np.ndarray, "cores neurons"],
    neurons: NeuronTable,
    neuron_type: Int32[np.ndarray, "cores neurons"],
    arch: ChipArch,
    *,
    seed: int = 0,
    tick: int = 0,
) -> tuple[Int64[np.ndarray, "cores neurons"], Bool[np.ndarray, "cores neurons"]]:
    """Returns the potential at the end of the tick, and the spikes: leak, threshold and reset of `NeuronTable`.

    With leak reversal, sgn(0) = 0 as in the paper: a neuron at rest stays at rest. V crosses 0 if the leak gives it
    the opposite sign. V saturates or wraps before the leak, behind it, and behind the reset.

    Args:
        total: V with the synapses' sum [LSB].
        neurons, neuron_type: as in `ChipImage`; row 0 never spikes and holds V = 0.
        arch: the chip: the potential's range, and what happens outside.
        seed, tick: of the random numbers.
    """
    row = neuron_type
    alpha, beta = neurons.threshold[row].astype(np.int64), neurons.negative_threshold[row].astype(np.int64)
    reset, gamma = neurons.reset[row].astype(np.int64), neurons.reset_mode[row]
    leak, epsilon, kappa = (
        neurons.leak[row].astype(np.int64),
        neurons.leak_reversal[row],
        neurons.negative_saturate[row],
    )
    rho_threshold, rho_leak = draw(seed, tick, _number(neuron_type), NEURON_BLOCK)

    v = _fit(total, arch)

    leak = np.where(neurons.stochastic_leak[row], _chance(leak, rho_leak & np.uint32(0xFF)), leak)
    omega = np.where(epsilon, np.sign(v), 1)
    leaked = v + omega * leak
    crossed = epsilon & (np.sign(v) * np.sign(leaked) < 0)
    v = _fit(np.where(crossed, 0, leaked), arch)

    mask = (np.int64(1) << neurons.mask_bits[row].astype(np.int64)) - 1
    eta = rho_threshold.astype(np.int64) & mask
    alpha = alpha + eta
    beta = np.where(kappa, beta, beta + eta)
    spike = (v >= alpha) & (row != 0)
    below = ~spike & ((v <= -beta) if arch.negative_inclusive else (v < -beta))
    modes = [gamma == ResetMode.RESET, gamma == ResetMode.SUBTRACT]
    after_spike = np.select(modes, [reset, v - alpha], v)
    after_below = np.where(kappa, -beta, np.select(modes, [-reset, v + beta], v))
    v = np.where(spike, after_spike, np.where(below, after_below, v))
    return np.where(row == 0, 0, _fit(v, arch)), spike


def initial_potential(
    neurons: NeuronTable, neuron_type: Int32[np.ndarray, "cores neurons"]
) -> Int64[np.ndarray, "cores neurons"]:
    """Returns V before the first tick [LSB]; 0 for the unused neuron."""
    return np.where(neuron_type == 0, 0, neurons.initial[neuron_type]).astype(np.int64)


def _fit(v: Int64[np.ndarray, "cores neurons"], arch: ChipArch) -> Int64[np.ndarray, "cores neurons"]:
    """Returns the potential brought back into its range: to the nearer end, or modulo the range with neuron ranc."""
    low, high = arch.potential_range
    if arch.neuron == "ranc":
        return (v - low) % (high - low + 1) + low
    return np.clip(v, low, high)


def _chance(value: Int64[np.ndarray, "*n"], rho: UInt32[np.ndarray, "*n"]) -> Int64[np.ndarray, "*n"]:
    """Returns F(s, ρ) sgn(s): ±1 if |s| ≥ ρ, else 0."""
    return np.sign(value) * (np.abs(value) >= rho)


def _number(neuron_type: Int32[np.ndarray, "cores neurons"]) -> UInt32[np.ndarray, "cores neurons"]:
    """Returns core · neurons + neuron."""
    return np.arange(neuron_type.size, dtype=np.uint32).reshape(neuron_type.shape)
