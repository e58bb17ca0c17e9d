"""Bounds on a neuron's potential, whatever comes in: what RANC's neuron can be asked to do is decided by them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64, UInt8

from tncompile.ir import NeuronTable, ResetMode
from tncompile.ir.base import Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bounds(Record):
    """Bounds on V, infinite where nothing drains what comes in [LSB].

    Attributes:
        low, high: of V at any moment of any tick: at its start, behind the synapses, the leak and the reset.
        fires: whether V behind the leak can reach the threshold.
        falls: whether it can get below the negative threshold.
    """

    low: Float64[np.ndarray, " neurons"]
    high: Float64[np.ndarray, " neurons"]
    fires: Bool[np.ndarray, " neurons"]
    falls: Bool[np.ndarray, " neurons"]


def swing(
    crossbar: UInt8[np.ndarray, "axons bytes"],
    axon_type: UInt8[np.ndarray, " axons"],
    weights: Int[np.ndarray, "neurons types"],
) -> tuple[Int64[np.ndarray, " neurons"], Int64[np.ndarray, " neurons"]]:
    """Returns the least and the greatest sum of a core's synapses, over all sets of active axons [LSB]."""
    neurons, types = weights.shape
    of_type = axon_type == np.arange(types)[:, None]  # types axons
    bits = np.unpackbits(crossbar, axis=-1, count=neurons, bitorder="little")
    count = (of_type.astype(np.float32) @ bits.astype(np.float32)).astype(np.int64).T  # exact: at most 4096 each
    return (count * np.minimum(weights, 0)).sum(axis=1), (count * np.maximum(weights, 0)).sum(axis=1)


def bounds(
    least: Int64[np.ndarray, " neurons"],
    most: Int64[np.ndarray, " neurons"],
    neurons: NeuronTable,
    row: Int[np.ndarray, " neurons"],
    *,
    inclusive: bool,
) -> Bounds:
    """Returns bounds on V in exact arithmetic: no end of a range, no random number, no leak reversal, γ 0 or 1.

    V at a tick's start lies between two numbers; from them follows between which it lies at the tick's end, and both
    ranges together are the next to try, until nothing grows any more. Whatever could grow a second time by
    accumulation goes on to the next threshold, or to infinity if no threshold stops it.

    Args:
        least, most: of the synapses' sum (`swing`).
        neurons: table of neurons.
        row: of each neuron.
        inclusive: whether V = −β counts as below −β.
    """
    alpha, beta = (values[row].astype(np.float64) for values in (neurons.threshold, neurons.negative_threshold))
    reset, leak = (values[row].astype(np.float64) for values in (neurons.reset, neurons.leak))
    keeps = neurons.reset_mode[row] == ResetMode.SUBTRACT
    kappa = neurons.negative_saturate[row]
    floor = -beta + inclusive  # the least V that is not below
    start_low = start_high = neurons.initial[row].astype(np.float64)

    while True:  # each end moves at most past two marks and then to infinity
        low, high = start_low + least + leak, start_high + most + leak  # behind the leak
        fires, falls = high >= alpha, low < floor
        spiked_low = np.where(keeps, np.maximum(low, alpha) - alpha, reset)
        spiked_high = np.where(keeps, high - alpha, reset)
        fallen_low = np.where(kappa, -beta, np.where(keeps, low + beta, -reset))
        fallen_high = np.where(kappa, -beta, np.where(keeps, np.minimum(high, floor - 1) + beta, -reset))
        stays = (np.maximum(low, floor) <= np.minimum(high, alpha - 1)).astype(bool)
        ends_low = [np.where(stays, np.maximum(low, floor), start_low)]
        ends_low += [np.where(fires, spiked_low, start_low), np.where(falls, fallen_low, start_low)]
        ends_high = [np.where(stays, np.minimum(high, alpha - 1), start_high)]
        ends_high += [np.where(fires, spiked_high, start_high), np.where(falls, fallen_high, start_high)]
        grown_low, grown_high = np.minimum.reduce([start_low, *ends_low]), np.maximum.reduce([start_high, *ends_high])
        grown_low = _widen(start_low, grown_low, (np.minimum(reset, -reset), np.minimum(-beta, floor)), -np.inf)
        grown_high = _widen(start_high, grown_high, (np.maximum(reset, -reset), alpha - 1), np.inf)
        if (grown_low == start_low).all() and (grown_high == start_high).all():
            break
        start_low, start_high = grown_low, grown_high

    return Bounds(
        low=np.minimum(start_low, np.minimum(start_low + least, start_low + least + leak)),
        high=np.maximum(start_high, np.maximum(start_high + most, start_high + most + leak)),
        fires=fires,
        falls=falls,
    )


def _widen(
    before: Float64[np.ndarray, " neurons"],
    grown: Float64[np.ndarray, " neurons"],
    marks: tuple[Float64[np.ndarray, " neurons"], ...],
    end: float,
) -> Float64[np.ndarray, " neurons"]:
    """Returns an end of a range that has grown, moved outwards to the nearest mark, or to the end of all numbers."""
    outwards = np.sign(end)
    reached = np.full_like(grown, end)
    for mark in marks:
        beyond = outwards * mark >= outwards * grown
        reached = np.where(beyond, outwards * np.minimum(outwards * reached, outwards * mark), reached)
    return np.where(grown == before, before, reached)
