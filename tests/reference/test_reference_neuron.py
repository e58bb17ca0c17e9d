"""The neuron's equations, worked out by hand for each mode."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tncompile.errors import InfeasibleError
from tncompile.ir import stateless_table
from tncompile.reference.neuron import check_deterministic, fire, initial_potential, integrate

RANGE = (-64, 63)
RESET, SUBTRACT, KEEP = 0, 1, 2
NEURON = {
    "leak": 0,
    "leak_reversal": False,
    "threshold": 10,
    "negative_threshold": 5,
    "reset_mode": RESET,
    "negative_saturate": True,
    "reset": 0,
    "initial": 0,
}


def make_table(**fields: int):
    """Returns a table of the unused neuron and one with these fields, without weights."""
    table = stateless_table(np.zeros((2, 4), np.int16), np.zeros(2, np.int16))
    values = {
        name: np.array([getattr(table, name)[0], value], getattr(table, name).dtype)
        for name, value in {**NEURON, **fields}.items()
    }
    return dataclasses.replace(table, **values)


@pytest.mark.parametrize(
    ("fields", "total", "potential", "spike"),
    [
        # threshold: V ≥ α spikes, and R, V − α or V remains
        ({}, 9, 9, False),
        ({}, 10, 0, True),
        ({"reset": 3}, 17, 3, True),
        ({"reset": -3}, 17, -3, True),
        ({"reset_mode": SUBTRACT, "reset": 3}, 17, 7, True),
        ({"reset_mode": KEEP, "reset": 3}, 17, 17, True),
        ({"threshold": 0}, 0, 0, True),
        # negative threshold: V < −β; κ = 1 saturates at −β in each reset mode
        ({}, -5, -5, False),
        ({}, -6, -5, False),
        ({"reset_mode": SUBTRACT}, -20, -5, False),
        ({"reset_mode": KEEP}, -20, -5, False),
        # κ = 0: −R, V + β or V remains
        ({"negative_saturate": False, "reset": 3}, -6, -3, False),
        ({"negative_saturate": False, "reset_mode": SUBTRACT}, -20, -15, False),
        ({"negative_saturate": False, "reset_mode": KEEP}, -20, -20, False),
        ({"negative_saturate": False, "reset": 3}, -5, -5, False),
        ({"negative_threshold": 0}, -1, 0, False),
        # leak: comes before the threshold
        ({"leak": 3}, 7, 0, True),
        ({"leak": -3}, 12, 9, False),
        ({"leak": -3}, -3, -5, False),
        # leak reversal: away from 0 or towards it, nothing at 0, never across
        ({"leak": 3, "leak_reversal": True}, 2, 5, False),
        ({"leak": 2, "leak_reversal": True}, -2, -4, False),
        ({"leak": 3, "leak_reversal": True}, 0, 0, False),
        ({"leak": -3, "leak_reversal": True}, 5, 2, False),
        ({"leak": -3, "leak_reversal": True}, -4, -1, False),
        ({"leak": -3, "leak_reversal": True}, 3, 0, False),
        ({"leak": -3, "leak_reversal": True}, 2, 0, False),
        ({"leak": -3, "leak_reversal": True}, -2, 0, False),
        ({"leak": -3, "leak_reversal": False}, 2, -1, False),
        # saturation after the synapses: 100 → 63, then the leak takes it to 53, below α = 60
        ({"threshold": 60, "leak": -10}, 100, 53, False),
        ({"negative_threshold": 60, "leak": 10}, -100, -54, False),
        # after the leak: 60 + 10 → 63, so 13 remains of α = 50
        ({"threshold": 50, "leak": 10, "reset_mode": SUBTRACT}, 60, 13, True),
        ({"negative_threshold": 50, "leak": -10, "reset_mode": SUBTRACT, "negative_saturate": False}, -60, -14, False),
        # after the reset
        ({"reset": 100}, 10, 63, True),
        ({"negative_threshold": 0, "negative_saturate": False, "reset": 100}, -1, -64, False),
    ],
)  # fmt: skip
def test_one_neuron(fields: dict[str, int], total: int, potential: int, spike: bool) -> None:
    after, spikes = fire(np.array([[total]], np.int64), make_table(**fields), np.array([[1]], np.int32), RANGE)
    assert (int(after[0, 0]), bool(spikes[0, 0])) == (potential, spike)


def test_the_unused_neuron_never_spikes_and_holds_zero() -> None:
    table = dataclasses.replace(
        make_table(),
        threshold=np.zeros(2, np.int32),
        leak=np.array([5, 0], np.int16),
        initial=np.array([7, 7], np.int32),
    )
    kind = np.array([[0, 1]], np.int32)
    after, spikes = fire(np.array([[9, 9]], np.int64), table, kind, RANGE)
    assert spikes.tolist() == [[False, True]]
    assert after.tolist() == [[0, 0]]
    assert initial_potential(table, kind).tolist() == [[0, 7]]


def test_integrate_adds_each_active_axon_by_its_type() -> None:
    weights = np.array([[0, 0, 0, 0], [1, 10, 100, -1000], [2, 20, 200, -2000]], np.int16)
    table = stateless_table(weights, np.zeros(3, np.int16))
    crosspoints = np.zeros((1, 4, 8), bool)
    crosspoints[0, :, 0] = [1, 1, 0, 1]
    crosspoints[0, :, 1] = [1, 1, 1, 1]
    crosspoints[0, :, 7] = [0, 0, 0, 1]
    kind = np.array([[1, 2, 1, 1, 1, 1, 1, 1]], np.int32)
    total = integrate(
        np.full((1, 8), 5, np.int64),
        np.array([[True, False, True, True]]),
        np.array([0], np.int32),
        np.packbits(crosspoints, axis=-1, bitorder="little"),
        np.array([[3, 0, 2, 1]], np.uint8),
        table,
        kind,
    )
    assert total.tolist() == [[5 - 1000 + 10, 5 - 2000 + 200 + 20, 5, 5, 5, 5, 5, 5 + 10]]


def test_partial_sums_do_not_saturate() -> None:
    table = stateless_table(np.array([[0, 0], [60, -60]], np.int16), np.zeros(2, np.int16))
    total = integrate(
        np.full((1, 8), 50, np.int64), np.ones((1, 2), bool), np.zeros(1, np.int32),
        np.full((1, 2, 1), 255, np.uint8), np.array([[0, 1]], np.uint8), table, np.ones((1, 8), np.int32),
    )  # fmt: skip
    assert (total == 50).all()


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("stochastic_weights", np.array([[0, 0, 0, 0], [0, 0, 1, 0]], bool), "stochastic_weights"),
        ("stochastic_leak", np.array([0, 1], bool), "stochastic_leak"),
        ("mask_bits", np.array([0, 3], np.uint8), "mask_bits"),
    ],
)
def test_random_neurons_are_refused_by_name(field: str, value: np.ndarray, name: str) -> None:
    with pytest.raises(InfeasibleError, match=rf"neuron type 1 .*{name}"):
        check_deterministic(dataclasses.replace(make_table(), **{field: value}))
