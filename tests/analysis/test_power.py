"""The model of power and speed: its fit to what is published, its laws, and its intervals."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.random_chips import SMALL, random_chip, random_frames

from benchmarks.power import SPREAD, fit
from tncompile.analysis.estimate import CONFIDENCE, Layers, estimate
from tncompile.analysis.events import EventCounter, Events
from tncompile.analysis.power import LIMITS, MODEL, NAMES, PARTS, Rates, fitted, parts, ticks
from tncompile.arch import TRUENORTH
from tncompile.config.energy import EnergyConfig, EnergyConstants
from tncompile.counting import one_layer
from tncompile.reference import chip

SHIPPED = json.loads(MODEL.read_text(encoding="utf-8"))
VOLTS = st.floats(0.70, 1.05)
RATES = Rates(cores=4000.0, updates=1e9, events=1e10, hops=1e9, crossings=1e7)
BEST = fitted().best()


def events_of(seed: int) -> tuple[Events, object]:
    """Returns a random chip and what it did in some ticks."""
    image = random_chip(seed)
    frames = random_frames(image, seed, batch=1, ticks=12)[0]
    counter = EventCounter(image)
    for tick, (spikes, frame) in enumerate(zip(chip.trace(image, frames, 12).spikes, frames, strict=True)):
        bit = np.flatnonzero(frame)
        counter.enter(tick, np.full(len(bit), -1), bit, np.zeros(len(bit), np.int64))
        counter.tick(spikes)
    return counter.events(), image


# ---------------------------------------------------------------------------------------------------------------------
# The fit.


def test_the_shipped_constants_are_those_of_the_script():
    found = fit()
    assert found["names"] == SHIPPED["names"]
    for key in ("mean", "covariance", "scatter", "traffic"):
        np.testing.assert_allclose(found[key], SHIPPED[key], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(
        [row["model_mW"] for row in found["residuals"]], [row["model_mW"] for row in SHIPPED["residuals"]], rtol=1e-4
    )


def test_the_rows_of_the_paper_are_met():
    off = [abs(row["off"]) for row in SHIPPED["residuals"] if row["kind"] == "classifier"]
    assert len(off) == 8 and sum(each <= 0.15 for each in off) >= 7 and max(off) <= 0.25


def test_the_points_at_low_voltage_are_met():
    off = [abs(r["off"]) for r in SHIPPED["residuals"] if r["kind"] == "synthetic" and 0.75 <= r["volts"] <= 0.80]
    assert len(off) == 5 and max(off) <= 0.10


def test_points_that_are_left_out_are_met_as_well():
    """The fit is no mere repetition: no point is far off when only the others are known, and the scatter says so."""
    off = [row["off_if_held_out"] for row in SHIPPED["residuals"]]
    assert max(map(abs, off)) <= 0.20
    classifiers = [row["off_if_held_out"] for row in SHIPPED["residuals"] if row["kind"] == "classifier"]
    assert SHIPPED["scatter"] == pytest.approx(np.sqrt(np.mean(np.log1p(classifiers) ** 2)))


def test_residuals_are_no_larger_than_the_fit_takes_them_to_be():
    for kind, spread in SPREAD.items():
        off = np.array([np.log1p(row["off"]) for row in SHIPPED["residuals"] if row["kind"] == kind])
        assert np.sqrt(np.mean(off**2)) <= 1.3 * spread


def test_an_event_costs_less_than_all_power_by_events():
    """72 mW by 2.68 G events a second are 27 pJ each; most of that is no event's."""
    assert float(BEST.of("event_pJ")[0]) < 5


# ---------------------------------------------------------------------------------------------------------------------
# Laws.


@given(VOLTS, st.floats(0.1, 10))
def test_power_is_linear_in_what_is_done(volts, factor):
    more = Rates(
        **{name: factor * getattr(RATES, name) for name in ("cores", "updates", "events", "hops", "crossings")}
    )
    np.testing.assert_allclose(parts(BEST, more, volts), factor * parts(BEST, RATES, volts), rtol=1e-12)


@given(VOLTS, VOLTS)
def test_more_voltage_takes_more_power_and_less_time(one, other):
    low, high = sorted((one, other))
    assert (parts(BEST, RATES, low) <= parts(BEST, RATES, high)).all()
    assert parts(BEST, RATES, low)[0, -1] == parts(BEST, RATES, high)[0, -1]  # a supply of its own
    slow, fast = (ticks(BEST, 1e4, 1e3, 1e4, volts, TRUENORTH) for volts in (low, high))
    assert (slow >= fast).all()
    assert slow[0, LIMITS.index("edge")] == fast[0, LIMITS.index("edge")]


def test_what_limits_a_tick():
    busy = {"core": (1e6, 0.0, 0.0), "link": (0.0, 1e6, 0.0), "edge": (0.0, 0.0, 1e6), "floor": (0.0, 0.0, 0.0)}
    for limit, loads in busy.items():
        assert LIMITS[int(ticks(BEST, *loads, 1.0, TRUENORTH)[0].argmax())] == limit
    assert ticks(BEST, 0.0, 0.0, 1.6e5, 1.0, TRUENORTH)[0, LIMITS.index("edge")] == pytest.approx(1000)


def test_smaller_cores_leak_less():
    half = TRUENORTH.model_copy(update={"axons": 128, "neurons": 128})
    whole, part = parts(BEST, RATES, 1.0)[0], parts(BEST, RATES, 1.0, half)[0]
    ratio = 128 * (128 + 154) / (256 * (256 + 154))
    assert part[0] == pytest.approx(ratio * whole[0])
    assert part[1] == pytest.approx((128 + 154) / (256 + 154) * whole[1])
    assert part[2] == whole[2]
    assert part[3] == pytest.approx(ratio**0.5 * whole[3])


def test_own_constants_stand_as_they_are():
    own = EnergyConstants(leak_uW=10.0, event_pJ=1.0, event_ns=7.0)
    for constants in (fitted().best(own), fitted().draw(50, own)):
        found = parts(constants, RATES, 0.70, SMALL)
        np.testing.assert_allclose(found[:, 0], 40.0)
        np.testing.assert_allclose(found[:, 2], 10.0)
        np.testing.assert_allclose(ticks(constants, 1e3, 0.0, 0.0, 0.70, SMALL)[:, 0], 7.0)


def test_draws_follow_the_fit_and_are_the_same_each_time():
    drawn = np.log(fitted().draw(20_000).values)
    np.testing.assert_allclose(drawn.mean(axis=0), fitted().mean, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), fitted().covariance, atol=0.02)
    np.testing.assert_array_equal(fitted().draw(5).values, fitted().draw(5).values)
    assert np.linalg.eigvalsh(fitted().covariance).min() > -1e-12


# ---------------------------------------------------------------------------------------------------------------------
# Estimates.


@pytest.mark.parametrize("seed", range(6))
def test_an_estimate_adds_up(seed):
    events, image = events_of(seed)
    layers = Layers(
        names=("even", "odd"),
        core=(np.arange(len(image.core_x)) % 2).astype(np.int32),
        neuron=np.broadcast_to(np.arange(len(image.core_x))[:, None] % 2, image.neuron_type.shape).astype(np.int32),
    )
    found = estimate(events, image, EnergyConfig(), layers)
    assert found["counted_frames"] == 12 and found["confidence"] == CONFIDENCE
    figures = [
        found[key] for key in ("tick_us", "frames_per_s", "power_mW", "frames_per_s_per_W", "energy_per_frame_uJ")
    ]
    for figure in (*figures, *found["breakdown_mW"].values(), *found["ticks_by_limit_us"].values()):
        assert figure["low"] <= figure["value"] * (1 + 1e-12) and figure["value"] <= figure["high"] * (1 + 1e-12)
    power, speed = found["power_mW"]["value"], found["frames_per_s"]["value"]
    assert sum(found["breakdown_mW"][part]["value"] for part in PARTS) == pytest.approx(power)
    assert found["tick_us"]["value"] == max(limit["value"] for limit in found["ticks_by_limit_us"].values())
    assert speed == pytest.approx(1e6 / found["tick_us"]["value"])
    assert found["frames_per_s_per_W"]["value"] == pytest.approx(1e3 * speed / power)
    assert found["energy_per_frame_uJ"]["value"] == pytest.approx(1e3 * power / speed)
    for key in ("synaptic_events", "spikes", "hops"):
        assert sum(row[key] for row in found["layers"]) == pytest.approx(found["per_frame"][key])
    crossings = found["breakdown_mW"]["chip crossings"]["value"]  # which belong to no layer
    assert sum(row["power_mW"] for row in found["layers"]) == pytest.approx(power - crossings)
    json.dumps(found, allow_nan=False)


def test_an_estimate_without_doubt_has_only_scatter():
    """With every constant given, speed is sure, and power as sure as the model is."""
    events, image = events_of(1)
    given = dict.fromkeys(EnergyConstants.model_fields, 2.0)
    config = EnergyConfig(constants=EnergyConstants(**given))
    found = estimate(events, image, config, one_layer(image))
    assert found["tick_us"]["low"] == found["tick_us"]["high"] == found["tick_us"]["value"]
    power = found["power_mW"]
    assert np.log(power["high"] / power["low"]) == pytest.approx(2 * 1.645 * fitted().scatter, rel=0.05)


def test_silent_ticks_do_not_make_a_run_of_spikes_faster():
    events, image = events_of(1)
    counter = EventCounter(image)
    for _ in range(200):
        counter.tick(np.zeros(image.neuron_type.shape, bool))
    silent = counter.events()
    series = [field.name for field in dataclasses.fields(events) if field.name.startswith(("tick_", "busiest_"))]
    longer = dataclasses.replace(
        events, **{name: np.concatenate([getattr(events, name), getattr(silent, name)]) for name in series}
    )
    own = EnergyConfig(constants=EnergyConstants(event_ns=1e4))
    short, long = (estimate(each, image, own, one_layer(image), tick="most") for each in (events, longer))
    assert short["limit"] == "core"
    assert long["tick_us"] == short["tick_us"]


def test_a_chip_that_is_too_slow_has_no_power_at_the_nominal_speed():
    events, image = events_of(1)
    slow = EnergyConfig(constants=EnergyConstants(floor_us=5000.0))
    assert "power_at_nominal_mW" not in estimate(events, image, slow, one_layer(image))
    assert "power_at_nominal_mW" in estimate(events, image, EnergyConfig(), one_layer(image))


def test_every_own_constant_is_one_of_the_model():
    assert set(EnergyConstants.model_fields) <= set(NAMES)
