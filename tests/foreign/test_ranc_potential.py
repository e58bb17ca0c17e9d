"""Bounds on potentials, against neurons that are run."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tncompile.foreign.ranc_potential import Bounds, bounds, swing
from tncompile.ir import NeuronTable

NEURON = {"alpha": 1, "beta": 0, "reset": 0, "leak": 0, "mode": 0, "kappa": 0, "start": 0}


def bounds_of(least: int, most: int, *, inclusive: bool = False, **other: int) -> Bounds:
    """Returns the bounds of one neuron."""
    value = NEURON | other
    table = NeuronTable(
        weights=np.zeros((1, 2), np.int16),
        stochastic_weights=np.zeros((1, 2), bool),
        leak=np.array([value["leak"]], np.int16),
        leak_reversal=np.zeros(1, bool),
        stochastic_leak=np.zeros(1, bool),
        threshold=np.array([value["alpha"]], np.int32),
        negative_threshold=np.array([value["beta"]], np.int32),
        mask_bits=np.zeros(1, np.uint8),
        reset_mode=np.array([value["mode"]], np.uint8),
        negative_saturate=np.array([value["kappa"]], bool),
        reset=np.array([value["reset"]], np.int32),
        initial=np.array([value["start"]], np.int32),
    )
    return bounds(np.array([least]), np.array([most]), table, np.zeros(1, np.int64), inclusive=inclusive)


@settings(max_examples=300, deadline=None)
@given(
    neuron=st.fixed_dictionaries(
        {
            "alpha": st.integers(-4, 12),
            "beta": st.integers(-4, 12),
            "reset": st.integers(-5, 5),
            "leak": st.integers(-3, 3),
            "mode": st.integers(0, 1),
            "kappa": st.integers(0, 1),
            "start": st.integers(-6, 6),
        }
    ),
    least=st.integers(-6, 0),
    most=st.integers(0, 6),
    inclusive=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_run_leaves_the_bounds(neuron: dict[str, int], least: int, most: int, inclusive: bool, seed: int):
    found = bounds_of(least, most, inclusive=inclusive, **neuron)
    alpha, beta, reset, leak, mode, kappa, v = (neuron[name] for name in NEURON)
    rng = np.random.default_rng(seed)
    for _ in range(60):
        seen = [v, v := v + int(rng.choice([least, most, rng.integers(least, most + 1)])), v := v + leak]
        if v >= alpha:
            assert found.fires[0]
            v = v - alpha if mode else reset
        elif v < -beta or (inclusive and v == -beta):
            assert found.falls[0]
            v = -beta if kappa else v + beta if mode else -reset
        assert all(found.low[0] <= value <= found.high[0] for value in (*seen, v))


def test_bounds_are_close():
    """Where nothing accumulates they are exact, where a threshold stops it they reach up to there, else to infinity."""
    eedn = bounds_of(-7, 9, kappa=1)
    assert (eedn.low[0], eedn.high[0]) == (-7, 9)
    assert eedn.fires[0] and eedn.falls[0]
    gathers = bounds_of(0, 3, alpha=50)
    assert (gathers.low[0], gathers.high[0]) == (0, 52)
    assert not gathers.falls[0]
    drained = bounds_of(0, 3, alpha=5, mode=1)
    assert (drained.low[0], drained.high[0]) == (0, 7)
    assert bounds_of(0, 7, alpha=5, mode=1).high[0] == np.inf
    assert bounds_of(-7, 0, beta=5, mode=1).low[0] == -np.inf
    idle = bounds_of(0, 0, alpha=2, start=1)
    assert (idle.low[0], idle.high[0]) == (1, 1)
    assert not idle.fires[0]
    assert bounds_of(0, 0, beta=0, inclusive=True).falls[0]
    assert not bounds_of(0, 0, beta=0).falls[0]


def test_swing_counts_connections_by_type():
    bits = np.zeros((4, 8), np.uint8)
    bits[[0, 1, 3], 5] = 1
    crossbar = np.packbits(bits, axis=-1, bitorder="little")
    weights = np.zeros((8, 3), np.int64)
    weights[5] = (2, -3, 7)
    weights[6] = (9, 9, 9)
    least, most = swing(crossbar, np.array([0, 1, 2, 1], np.uint8), weights)
    assert (least[5], most[5]) == (-6, 2)
    assert not least[:5].any() and not most[6:].any()
