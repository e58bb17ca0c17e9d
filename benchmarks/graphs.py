"""The core graphs that placement and partitioning are measured on: experiments' nets, untrained."""

from __future__ import annotations

import json
from collections.abc import Sequence

from benchmarks.results import ROOT
from passes.default_pipeline import DEFAULT_PIPELINE
from tncompile.config.experiment import Experiment, load_experiment, resolved
from tncompile.data import load_spec
from tncompile.ir import CoreGraph
from tncompile.pipeline import pass_configs, run_passes, select
from tncompile.workflow import build_model


def experiment(name: str, overrides: Sequence[str] = ()) -> Experiment:
    """Returns one of the project's experiments.

    Args:
        name: of its file, without the ending.
        overrides: keys that are set otherwise, as for `--set`.
    """
    return load_experiment(ROOT / "experiments" / f"{name}.yaml", list(overrides))


def core_graph(of: Experiment) -> CoreGraph:
    """Returns the core graph of an experiment's net with random weights; nobody has counted its spikes."""
    from tncompile.nn import assume_statistics, export_network

    model = build_model(of, load_spec(of.data))
    assume_statistics(model, of.seed)
    steps = run_passes(
        export_network(model, of.name),
        of.arch,
        pass_configs(of.compile),
        seed=of.seed,
        pipeline=select(DEFAULT_PIPELINE, stop_after="pack"),
    )
    *_, packed = steps
    assert isinstance(packed.stage, CoreGraph)
    return packed.stage


def widened(of: Experiment, factor: int) -> str:
    """Returns the override that gives an experiment's net so many times the features and groups."""
    layers = resolved(of)["net"]["layers"]
    for layer in layers:
        layer["features"] *= factor
        layer["groups"] *= factor if layer["groups"] > 1 else 1
    return f"net.layers={json.dumps(layers)}"
