"""The compiler's driver: runs passes one after the other, verifies every stage, and times and digests each step."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from passes.default_pipeline import DEFAULT_PIPELINE, Pass
from passes.place.graph import place_graph as place_graph  # for tncompile.place: only this module may import passes
from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.config.experiment import parse_config
from tncompile.errors import ConfigError, SemanticMismatch, VerificationError
from tncompile.ir import OUTPUT_PIN, ChipImage, CoreGraph, LogicalNet, PartitionedGraph, RoutedChip, Stage
from tncompile.ir.text import digest
from tncompile.reference import evaluate
from tncompile.verify import verify
from tncompile.verify.image import verify_against

S = TypeVar("S", bound=Stage)

Observer = Callable[[str, float, Mapping[str, float]], None]
"""Takes a pass's name, how much of its work is done (0 … 1), and figures to show beside that."""

QUIET_SECONDS = 1.0
"""A pass that is done sooner tells its observer nothing [s]."""

EXPORT = "export"
"""Name of the step in front of all passes: model to LogicalNet."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one pass gave.

    Attributes:
        name: the pass, or `export` for the stage that the passes start from.
        stage: what it returned, verified.
        seconds: the pass alone [s].
        verify_seconds: its verifier, and the semantic check if asked for [s].
        digest: of the stage.
        figures: what the pass knows beyond its stage, by key in results.json.
        figures_seconds: counting them [s].
    """

    name: str
    stage: Stage
    seconds: float
    verify_seconds: float
    digest: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    figures_seconds: float = 0.0


def step_names(pipeline: Sequence[Pass] = DEFAULT_PIPELINE) -> tuple[str, ...]:
    """Returns the names of all steps, export first."""
    return EXPORT, *(p.name for p in pipeline)


def pass_configs(sections: Mapping[str, Mapping], pipeline: Sequence[Pass] = DEFAULT_PIPELINE) -> dict[str, Config]:
    """Returns the options of every pass.

    Args:
        sections: what an experiment says under `compile:`, by pass.
        pipeline: the passes.

    Raises:
        ConfigError: an unknown pass, an unknown option or a wrong type.
    """
    names = [p.name for p in pipeline]
    unknown = [name for name in sections if name not in names]
    if unknown:
        raise ConfigError(f"compile.{unknown[0]}: there is no such pass; the passes are {', '.join(names)}")
    return {p.name: parse_config(p.config, sections.get(p.name, {}), f"compile.{p.name}") for p in pipeline}


def select(pipeline: Sequence[Pass], start_from: str | None = None, stop_after: str | None = None) -> tuple[Pass, ...]:
    """Returns the passes from `start_from` to `stop_after`, both included.

    Raises:
        ConfigError: an unknown pass, or nothing is left.
    """
    names = step_names(pipeline)
    for option, name in (("--start-from", start_from), ("--stop-after", stop_after)):
        if name is not None and name not in names:
            raise ConfigError(f"{option} {name}: there is no such pass; the passes are {', '.join(names)}")
    first = names.index(start_from) if start_from else 0
    last = names.index(stop_after) if stop_after else len(pipeline)
    if last < first:
        raise ConfigError(
            f"--stop-after {stop_after}: stands before --start-from {start_from}; the order is {', '.join(names)}"
        )
    return tuple(pipeline[max(first - 1, 0) : last])


def run_passes(
    stage: Stage,
    arch: ChipArch,
    configs: Mapping[str, Config],
    *,
    seed: int,
    pipeline: Sequence[Pass] = DEFAULT_PIPELINE,
    samples: np.ndarray | None = None,
    observer: Observer | None = None,
) -> Iterator[Step]:
    """Yields each pass's step as soon as its stage is verified.

    Args:
        stage: what the first pass takes; it is verified too.
        arch: the chip.
        configs: options by pass.
        seed: of all passes.
        pipeline: the passes to run.
        samples: integer pixels [n, y, x, channel]; each stage before and after a pass must compute the same spikes
            from them. None = no semantic check.
        observer: told how far a pass is, if the pass takes `progress` to say so and runs for long.

    Raises:
        VerificationError: a stage breaks its invariants.
        SemanticMismatch: a pass changed what the net computes.
        InfeasibleError: the net does not fit the chip.
    """
    verify(stage, arch)
    expected = None if samples is None else evaluate(stage, arch, samples)
    for step in pipeline:
        before, start = stage, time.perf_counter()
        stage = step.run(before, arch, configs[step.name], seed=seed, **_progress(step, observer))
        done = time.perf_counter()
        try:
            verify(stage, arch)
            if isinstance(stage, ChipImage) and isinstance(before, RoutedChip):
                verify_against(stage, before, arch)
        except VerificationError as error:
            raise VerificationError(f"pass {step.name}: {error.stage}", error.violations) from error
        if samples is not None and expected is not None:
            actual = evaluate(stage, arch, samples)
            _same_spikes(step.name, expected, actual, before, stage)
        verified = time.perf_counter()
        figures = {key: count(before, stage, arch, configs[step.name]) for key, count in step.figures.items()}
        counted = time.perf_counter()
        yield Step(step.name, stage, done - start, verified - done, digest(stage), figures, counted - verified)


def check_capacity(
    stage: Stage,
    arch: ChipArch,
    configs: Mapping[str, Config],
    *,
    seed: int,
    pipeline: Sequence[Pass] = DEFAULT_PIPELINE,
) -> None:
    """Runs the passes up to the one that counts cores against chips, to hear of a lack of room before training.

    How many cores a net takes depends on its shape, and a little on its weights: what training will save is not known.

    Raises:
        InfeasibleError: the net does not fit the chip.
    """
    for step in pipeline:
        stage = step.run(stage, arch, configs[step.name], seed=seed)
        if isinstance(stage, PartitionedGraph):
            return


def _progress(step: Pass, observer: Observer | None) -> dict[str, Callable[[float, Mapping[str, float]], None]]:
    """Returns the keyword argument by which a pass says how far it is, empty if it or nobody cares to."""
    if observer is None or "progress" not in inspect.signature(step.run).parameters:
        return {}
    begin = time.perf_counter()

    def tell(fraction: float, figures: Mapping[str, float]) -> None:
        if time.perf_counter() - begin >= QUIET_SECONDS:
            observer(step.name, fraction, figures)

    return {"progress": tell}


def _earlier(stage: Stage, kind: type[S]) -> S | None:
    """Returns the stage of a kind that a stage is or refers to, None if there is none."""
    found: Stage | None = stage
    while found is not None and not isinstance(found, kind):
        found = getattr(found, "source", None)
    return found


def _same_spikes(name: str, expected: np.ndarray, actual: np.ndarray, before: Stage, after: Stage) -> None:
    """Raises SemanticMismatch with the first output spike that differs: sample, tick, value and neuron."""
    differs = expected != actual
    if not differs.any():
        return
    sample = int(np.argmax(differs.any(axis=1)))
    index = int(np.argmax(differs[sample]))
    net = _earlier(before, LogicalNet)
    assert net is not None
    conv = net.layers[-1].conv
    width, _, features = conv.out_shape
    y, x = divmod(index // features, width)
    where = f"layer {conv.name}, position ({x}, {y}), feature {index % features}"
    graph = _earlier(after, CoreGraph) or _earlier(before, CoreGraph)
    if graph is not None:
        drives = (graph.target_core == OUTPUT_PIN) & (graph.target_axon == index)
        core, neuron = np.argwhere(drives)[0].tolist() if drives.any() else ("none", "none")
        where = f"tick {sample + graph.latency}, core {core}, neuron {neuron}, {where}"
    raise SemanticMismatch(
        f"pass {name} changed what the net computes: sample {sample}, {where}: spike {int(actual[sample, index])}, was "
        f"{int(expected[sample, index])} before the pass; {int(differs.sum())} of {differs.size} output spikes differ"
    )
