"""The driver: what a pipeline may look like, and that every stage is verified and compared."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from support.random_nets import random_images, random_net

from passes.default_pipeline import DEFAULT_PIPELINE, Pass, checked
from passes.trinarize import trinarize
from tncompile.arch import TRUENORTH
from tncompile.config import Config
from tncompile.errors import ConfigError, InternalError, SemanticMismatch, VerificationError
from tncompile.ir import ChipImage, LogicalNet, Stage, TrinaryNet
from tncompile.ir.text import digest
from tncompile.pipeline import Step, pass_configs, run_passes, select, step_names
from tncompile.reference import evaluate

NET = random_net(5, layers=3)
IMAGES = random_images(NET, 6, 0)


def run(pipeline: Sequence[Pass], samples: np.ndarray | None = IMAGES) -> list[Step]:
    """Returns all steps of a pipeline on a small net."""
    configs = pass_configs({}, pipeline)
    return list(run_passes(NET, TRUENORTH, configs, seed=0, pipeline=pipeline, samples=samples))


class NoConfig(Config):
    """A pass without options."""


def replaced(index: int, function: Any) -> tuple[Pass, ...]:
    """Returns the default pipeline with another function for one pass, under the pass's name."""
    old = DEFAULT_PIPELINE[index]
    function.__name__ = old.name
    return checked(*DEFAULT_PIPELINE[:index], dataclasses.replace(old, run=function), *DEFAULT_PIPELINE[index + 1 :])


def test_the_default_pipeline_goes_from_the_model_to_the_image() -> None:
    assert DEFAULT_PIPELINE[0].takes is LogicalNet
    assert DEFAULT_PIPELINE[-1].gives is ChipImage
    for before, after in pairwise(DEFAULT_PIPELINE):
        assert before.gives is after.takes
    assert step_names() == ("export", "trinarize", "pack", "partition", "place", "route", "emit")


def test_each_pass_has_one_name_for_module_function_and_options() -> None:
    for step in DEFAULT_PIPELINE:
        assert step.run.__module__ == f"passes.{step.name}"
        assert step.config.__name__ == f"{step.name.capitalize()}Config"
        assert getattr(sys.modules[step.run.__module__], step.config.__name__) is step.config
        assert f"{step.config.__module__}.".startswith(f"{step.run.__module__}.")  # there, or in a module of its folder
        assert issubclass(step.config, Config)
        step.config()  # every option has a default


def test_passes_that_are_not_neighbours_are_refused() -> None:
    first, _, third, *_ = DEFAULT_PIPELINE
    with pytest.raises(InternalError, match="trinarize gives TrinaryNet, partition takes CoreGraph"):
        checked(first, third)


def test_passes_that_share_a_name_are_refused() -> None:
    def trinarize(stage: TrinaryNet, arch: Any, config: Any, *, seed: int) -> TrinaryNet:
        return stage

    with pytest.raises(InternalError, match="two passes share a name: trinarize, trinarize"):
        checked(DEFAULT_PIPELINE[0], Pass(trinarize, NoConfig, TrinaryNet, TrinaryNet))


def test_select_takes_both_ends() -> None:
    def names(*ends: str | None) -> list[str]:
        return [step.name for step in select(DEFAULT_PIPELINE, *ends)]

    assert names() == names("export", "emit") == names("trinarize") == list(step_names()[1:])
    assert names(None, "export") == names("export", "export") == []
    assert names("pack", "place") == ["pack", "partition", "place"]
    assert names("emit", "emit") == ["emit"]
    with pytest.raises(ConfigError, match="--stop-after pack: stands before --start-from place; the order is"):
        names("place", "pack")


def test_every_step_is_named_verified_and_digested() -> None:
    steps = run(DEFAULT_PIPELINE)
    assert tuple(step.name for step in steps) == step_names()[1:]
    for step, made_by in zip(steps, DEFAULT_PIPELINE, strict=True):
        assert type(step.stage) is made_by.gives
        assert step.digest == digest(step.stage)
        assert step.seconds > 0
        assert step.verify_seconds > 0
    # The semantic check has something to find: the spikes are neither all 0 nor all 1.
    spikes = evaluate(NET, TRUENORTH, IMAGES)
    assert 0 < spikes.sum() < spikes.size


def test_a_pass_that_changes_what_the_net_computes_is_named() -> None:
    def wrong(stage: LogicalNet, arch: Any, config: Any, *, seed: int) -> TrinaryNet:
        # Legal by itself: the weights of a net that is the same but for one sign.
        right = trinarize(stage, arch, config, seed=seed)
        weights = right.weights[-1].copy()
        first = tuple(np.argwhere(weights)[0])
        weights[first] = -weights[first]
        return dataclasses.replace(right, weights=(*right.weights[:-1], weights))

    pipeline = replaced(0, wrong)[:1]
    with pytest.raises(VerificationError):  # the verifier knows better than to take it
        run(pipeline, samples=None)


def test_the_first_neuron_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # Verifiers catch what passes do wrong before the spikes are compared, so let them sleep.
    monkeypatch.setattr("tncompile.pipeline.verify", lambda stage, arch: None)
    expected = evaluate(NET, TRUENORTH, IMAGES)
    conv = NET.layers[-1].conv
    sample, index = 2, conv.outputs - 1
    y, x, feature = np.unravel_index(index, (conv.out_shape[1], conv.out_shape[0], conv.features))

    def flipped(stage: Stage, arch: Any, images: np.ndarray) -> np.ndarray:
        spikes = expected.copy()
        if isinstance(stage, TrinaryNet):
            spikes[sample, index] ^= True
            spikes[sample + 1 :, 0] ^= True
        return spikes

    monkeypatch.setattr("tncompile.pipeline.evaluate", flipped)
    with pytest.raises(SemanticMismatch) as raised:
        run(DEFAULT_PIPELINE)
    before = int(expected[sample, index])
    assert str(raised.value) == (
        f"pass trinarize changed what the net computes: sample 2, layer {conv.name}, position ({x}, {y}), feature "
        f"{feature}: spike {1 - before}, was {before} before the pass; 4 of {expected.size} output spikes differ"
    )


def test_a_wrong_leak_is_found_by_the_semantic_check_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tncompile.pipeline.verify", lambda stage, arch: None)

    def wrong(stage: LogicalNet, arch: Any, config: Any, *, seed: int) -> TrinaryNet:
        right = trinarize(stage, arch, config, seed=seed)
        return dataclasses.replace(right, leak=(*right.leak[:-1], -right.leak[-1] - 1))

    with pytest.raises(SemanticMismatch, match=rf"pass trinarize .* layer {NET.layers[-1].conv.name}, position \("):
        run(replaced(0, wrong))
    run(replaced(0, wrong), samples=None)  # so it was the check that found it


def test_a_pass_that_returns_a_broken_stage_is_named() -> None:
    place = DEFAULT_PIPELINE[3]

    def wrong(stage: Any, arch: Any, config: Any, *, seed: int) -> Stage:
        right = place.run(stage, arch, config, seed=seed)
        return dataclasses.replace(right, wirelength=right.wirelength + 1)

    with pytest.raises(VerificationError) as raised:
        run(replaced(3, wrong))
    assert str(raised.value).startswith("pass place: PlacedChip breaks 1 invariant(s):\n  [placed/")
    assert raised.value.exit_code == 70


def test_a_broken_first_stage_is_refused() -> None:
    layer = NET.layers[0]
    broken = dataclasses.replace(layer, hidden=np.full_like(layer.hidden, np.nan))
    net = dataclasses.replace(NET, layers=(broken, *NET.layers[1:]))
    with pytest.raises(VerificationError, match="LogicalNet breaks"):
        next(run_passes(net, TRUENORTH, pass_configs({}), seed=0))


def test_options_are_checked_for_every_pass() -> None:
    configs = pass_configs({"place": {"moves": 7}})
    assert set(configs) == set(step_names()[1:])
    assert configs["place"].model_dump()["moves"] == 7
    with pytest.raises(ConfigError, match=r"compile\.plaice: there is no such pass; the passes are trinarize, pack"):
        pass_configs({"plaice": {}})
    with pytest.raises(ConfigError, match=r'compile\.place\.moves: is "many" \(a string\), expected a valid integer'):
        pass_configs({"place": {"moves": "many"}})
