"""The neuron's equations, worked out by hand for each mode."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tncompile.arch import ChipArch
from tncompile.ir import NeuronTable, stateless_table
from tncompile.reference.neuron import fire, initial_potential, integrate
from tncompile.reference.random import draw, synapse_byte, threefry

ARCH = ChipArch(potential_bits=7)  # −64 … 63
RANC = ARCH.model_copy(update={"neuron": "ranc"})
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


def fire_one(table: NeuronTable, total: int, arch: ChipArch) -> tuple[int, bool]:
    """Returns potential and spike of one neuron of row 1."""
    after, spikes = fire(np.array([[total]], np.int64), table, np.array([[1]], np.int32), arch)
    return int(after[0, 0]), bool(spikes[0, 0])


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
    assert fire_one(make_table(**fields), total, ARCH) == (potential, spike)


def test_the_unused_neuron_never_spikes_and_holds_zero() -> None:
    table = dataclasses.replace(
        make_table(),
        threshold=np.zeros(2, np.int32),
        leak=np.array([5, 0], np.int16),
        initial=np.array([7, 7], np.int32),
    )
    kind = np.array([[0, 1]], np.int32)
    after, spikes = fire(np.array([[9, 9]], np.int64), table, kind, ARCH)
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
    ("fields", "total", "potential", "spike"),
    [
        ({}, 10, 0, True),
        ({"reset": 3}, -6, -3, False),
        ({"reset_mode": SUBTRACT}, 17, 7, True),
        ({"reset_mode": SUBTRACT}, -20, -15, False),
        ({"reset_mode": SUBTRACT}, -5, -5, False),
        # thresholds of the other sign
        ({"threshold": -7}, -7, 0, True),
        ({"threshold": -7, "reset_mode": SUBTRACT}, -7, 0, True),
        ({"negative_threshold": -4, "reset_mode": SUBTRACT}, 3, -1, False),
        ({"negative_threshold": -4, "reset_mode": SUBTRACT}, 4, 4, False),
        # V wraps before the leak, behind it, and behind the reset
        ({"negative_threshold": 64}, 65, -63, False),
        ({"negative_threshold": 64, "leak": 5}, 60, -63, False),
        ({"threshold": -60, "reset_mode": SUBTRACT}, 10, 70 - 128, True),
    ],
)
def test_rancs_neuron(fields: dict[str, int], total: int, potential: int, spike: bool) -> None:
    after, spikes = fire_one(make_table(**{"negative_saturate": 0, **fields}), total, RANC)
    assert (after, spikes) == (potential, spike)


def test_ranc_counts_a_potential_at_the_negative_threshold_as_below_if_asked() -> None:
    table = make_table(negative_saturate=0, reset_mode=SUBTRACT)
    assert fire_one(table, -5, RANC) == (-5, False)
    assert fire_one(table, -5, RANC.model_copy(update={"negative_inclusive": True})) == (0, False)


def test_threefry_gives_the_known_answers() -> None:
    ones, pi = 0xFFFFFFFF, (0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3)
    answers = {
        (0, 0, 0, 0): (0x6B200159, 0x99BA4EFE),
        (ones, ones, ones, ones): (0x1CB996FC, 0xBB002BE7),
        pi: (0xC4923A9C, 0x483DF7A0),
    }
    for (k0, k1, c0, c1), expected in answers.items():
        words = [np.array([word], np.uint32) for word in (k0, k1, c0, c1)]
        assert tuple(int(w[0]) for w in threefry((words[0], words[1]), (words[2], words[3]))) == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_a_stochastic_synapse_adds_its_sign_as_often_as_its_weight_says(sign: int) -> None:
    weights = np.array([[0, 0, 0, 0], [sign * 100, sign * 7, 0, 0]], np.int16)
    table = dataclasses.replace(
        make_table(), weights=weights, stochastic_weights=np.array([[False] * 4, [True, False, True, False]])
    )
    neurons = 4096
    total = integrate(
        np.zeros((1, neurons), np.int64), np.ones((1, 3), bool), np.zeros(1, np.int32),
        np.full((1, 3, neurons // 8), 255, np.uint8), np.array([[0, 1, 2]], np.uint8), table,
        np.ones((1, neurons), np.int32), seed=5, tick=9,
    )  # fmt: skip
    drawn = sign * total[0] - 7  # type 0 draws, type 1 always adds 7, type 2 has s = 0 and sgn(0) = 0
    assert set(drawn.tolist()) == {0, 1}
    assert abs(drawn.mean() - 101 / 256) < 0.03  # |s| ≥ ρ for 101 of 256 values
    rho = synapse_byte(draw(5, 9, np.arange(neurons, dtype=np.uint32), 1), 0)
    assert (drawn == (rho <= 100)).all()


def test_a_stochastic_leak_moves_by_one() -> None:
    table = make_table(leak=-30, stochastic_leak=1, threshold=60, negative_threshold=60)
    neurons = 4096
    after, _ = fire(np.full((1, neurons), 20, np.int64), table, np.ones((1, neurons), np.int32), ARCH, seed=1, tick=2)
    assert set(after[0].tolist()) == {19, 20}
    assert abs((after == 19).mean() - 31 / 256) < 0.03


def test_the_random_threshold_is_the_fixed_one_and_some_bits() -> None:
    neurons, kind = 4096, np.ones((1, 4096), np.int32)
    eta = (draw(3, 4, np.arange(neurons, dtype=np.uint32), 0)[0] & 7).astype(int)
    at = np.full((1, neurons), 13, np.int64)
    after, spikes = fire(at, make_table(mask_bits=3, reset_mode=SUBTRACT), kind, ARCH, seed=3, tick=4)
    assert (spikes[0] == (10 + eta <= 13)).all() and 0.4 < spikes.mean() < 0.6
    assert (after[0] == np.where(spikes[0], 13 - 10 - eta, 13)).all()
    fields = {"mask_bits": 3, "reset_mode": SUBTRACT, "negative_saturate": 0}
    after, _ = fire(-at, make_table(**fields), kind, ARCH, seed=3, tick=4)
    assert (after[0] == np.where(-(5 + eta) > -13, -13 + 5 + eta, -13)).all()
    after, _ = fire(-at, make_table(mask_bits=3), kind, ARCH, seed=3, tick=4)
    assert (after == -5).all()  # κ = 1: the negative threshold is fixed


def test_draws_differ_by_seed_tick_neuron_and_block() -> None:
    neurons = np.arange(256, dtype=np.uint32)
    words = [draw(seed, tick, neurons, block) for seed in (0, 1) for tick in (0, 1, 1 << 31) for block in (0, 1, 2)]
    assert len({int(w) for pair in words for array in pair for w in array}) > 0.999 * 18 * 512
