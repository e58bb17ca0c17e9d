"""One tick of neurosynaptic cores, axon by axon, in every deterministic mode of the neuron."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8

from tncompile.errors import InfeasibleError
from tncompile.ir import NeuronTable, ResetMode


def check_deterministic(neurons: NeuronTable) -> None:
    """Refuses neurons that draw random numbers.

    Raises:
        InfeasibleError: a row has a stochastic flag or a threshold mask.
    """
    fields = {
        "stochastic_weights (b)": neurons.stochastic_weights.any(axis=1),
        "stochastic_leak (c)": neurons.stochastic_leak,
        "mask_bits (TM)": neurons.mask_bits > 0,
    }
    random = np.logical_or.reduce(list(fields.values()))
    if random.any():
        row = int(random.argmax())
        names = ", ".join(name for name, rows in fields.items() if rows[row])
        raise InfeasibleError(
            f"neuron type {row} (first of {int(random.sum())}): {names} set, but random numbers are not simulated yet; "
            "set the stochastic flags and the threshold's mask to 0"
        )


def integrate(
    potential: Int64[np.ndarray, "cores neurons"],
    axons: Bool[np.ndarray, "cores axons"],
    core_crossbar: Int32[np.ndarray, " cores"],
    crossbars: UInt8[np.ndarray, "crossbars axons bytes"],
    axon_type: UInt8[np.ndarray, "cores axons"],
    neurons: NeuronTable,
    neuron_type: Int32[np.ndarray, "cores neurons"],
) -> Int64[np.ndarray, "cores neurons"]:
    """Returns V + Σ_i A_i w_ij s^(G_i), not saturated.

    The sum is taken in 64 bits over the axons 0, 1, …; it saturates once, behind the last axon (`fire`). Hardware
    that saturates at each step would differ only where a partial sum leaves the range and comes back.

    Args:
        potential: V at the start of the tick [LSB].
        axons: A, the axons with a spike in this tick.
        core_crossbar, crossbars, axon_type, neurons, neuron_type: as in `ChipImage`.
    """
    total = potential.copy()
    for axon in range(axons.shape[1]):
        cores = np.flatnonzero(axons[:, axon])
        crosspoints = np.unpackbits(crossbars[core_crossbar[cores], axon], axis=-1, bitorder="little")  # cores neurons
        weight = neurons.weights[neuron_type[cores], axon_type[cores, axon][:, None]]  # cores neurons
        total[cores] += crosspoints.astype(np.int64) * weight
    return total


def fire(
    total: Int64[np.ndarray, "cores neurons"],
    neurons: NeuronTable,
    neuron_type: Int32[np.ndarray, "cores neurons"],
    potential_range: tuple[int, int],
) -> tuple[Int64[np.ndarray, "cores neurons"], Bool[np.ndarray, "cores neurons"]]:
    """Returns the potential at the end of the tick, and the spikes: leak, threshold and reset of `NeuronTable`.

    With leak reversal, sgn(0) = 0 as in the paper: a neuron at rest stays at rest. V crosses 0 if the leak gives it
    the opposite sign. V saturates before the leak, behind it, and behind the reset.

    Args:
        total: V with the synapses' sum [LSB].
        neurons, neuron_type: as in `ChipImage`; row 0 never spikes and holds V = 0.
        potential_range: the ends of V's range [LSB].
    """
    row = neuron_type
    alpha, beta = neurons.threshold[row].astype(np.int64), neurons.negative_threshold[row].astype(np.int64)
    reset, gamma = neurons.reset[row].astype(np.int64), neurons.reset_mode[row]
    leak, epsilon, kappa = (
        neurons.leak[row].astype(np.int64),
        neurons.leak_reversal[row],
        neurons.negative_saturate[row],
    )

    v = np.clip(total, *potential_range)

    omega = np.where(epsilon, np.sign(v), 1)
    leaked = v + omega * leak
    crossed = epsilon & (np.sign(v) * np.sign(leaked) < 0)
    v = np.clip(np.where(crossed, 0, leaked), *potential_range)

    spike = (v >= alpha) & (row != 0)
    below = ~spike & (v < -beta)
    modes = [gamma == ResetMode.RESET, gamma == ResetMode.SUBTRACT]
    after_spike = np.select(modes, [reset, v - alpha], v)
    after_below = np.where(kappa, -beta, np.select(modes, [-reset, v + beta], v))
    v = np.where(spike, after_spike, np.where(below, after_below, v))
    return np.where(row == 0, 0, np.clip(v, *potential_range)), spike


def initial_potential(
    neurons: NeuronTable, neuron_type: Int32[np.ndarray, "cores neurons"]
) -> Int64[np.ndarray, "cores neurons"]:
    """Returns V before the first tick [LSB]; 0 for the unused neuron."""
    return np.where(neuron_type == 0, 0, neurons.initial[neuron_type]).astype(np.int64)
