"""Train, compile and simulate as steps on a run folder; what the command line calls.

A run folder holds everything about one experiment:

    experiment.yaml          the experiment, resolved: every default spelled out
    results.json             figures of all steps so far
    model.safetensors        the trained model (or untrained.safetensors, random weights)
    train/                   checkpoints and metrics.jsonl
    stages/N-PASS.safetensors   the stage behind each pass (and .txt with --dump-ir)
    chip.safetensors         the chip image
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import tncompile
from tncompile.analysis.utilisation import utilisation
from tncompile.config.experiment import Experiment, dump_experiment, resolved
from tncompile.data import DatasetSpec, load_dataset, load_spec
from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir import ChipImage, CoreGraph, CoreKind, LogicalNet, PartitionedGraph, PlacedChip, RoutedChip, Stage
from tncompile.ir.io import atomic_write, read_bytes, read_stage, write_stage
from tncompile.ir.text import digest, dump
from tncompile.pipeline import DEFAULT_PIPELINE, EXPORT, Step, pass_configs, run_passes, select, step_names

RESULTS_FORMAT = 1
"""Version of results.json: keys are added, never renamed."""

SEMANTIC_SEED = 0x5EED
"""Mixed into the seed of the images that `--check-semantics` and `--random-images` draw."""


class Reporter(Protocol):
    """Where the steps say what they are doing."""

    def say(self, text: str) -> None:
        """Takes a line for people."""
        ...

    def progress(self, phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Takes how far a phase is, and figures to show beside the bar."""
        ...


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run's files lie."""

    root: Path

    @property
    def experiment(self) -> Path:
        """The resolved experiment."""
        return self.root / "experiment.yaml"

    @property
    def results(self) -> Path:
        """Figures of all steps."""
        return self.root / "results.json"

    @property
    def image(self) -> Path:
        """The chip image."""
        return self.root / "chip.safetensors"

    @property
    def train(self) -> Path:
        """Checkpoints and metrics."""
        return self.root / "train"

    def model(self, untrained: bool) -> Path:
        """Returns the trained model's file, or that of the random one."""
        return self.root / ("untrained.safetensors" if untrained else "model.safetensors")

    def stage(self, step: str) -> Path:
        """Returns the file of the stage behind a step."""
        return self.root / "stages" / f"{step_names().index(step)}-{step}.safetensors"

    def create(self) -> None:
        """Makes the folder.

        Raises:
            ArtifactError: it cannot be made or written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(f"{self.root}: cannot be made: {error.strerror}; choose another --out") from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise ArtifactError(f"{self.root}: is not writable; choose another --out")

    def read_results(self) -> dict[str, Any]:
        """Returns what results.json holds, {} if there is none.

        Raises:
            ArtifactError: it is no JSON object.
        """
        if not self.results.exists():
            return {}
        try:
            results = json.loads(read_bytes(self.results))
        except ValueError as error:
            raise ArtifactError(f"{self.results}: is not JSON ({error}); remove it and run again") from error
        if not isinstance(results, dict):
            raise ArtifactError(f"{self.results}: holds no object; remove it and run again")
        return results

    def record(self, experiment: Experiment, section: str, figures: dict[str, Any]) -> dict[str, Any]:
        """Puts a step's figures into results.json, drops those of the steps behind it, and returns all."""
        order = ("train", "compile", "simulate")
        before = self.read_results()
        kept = {name: before[name] for name in order[: order.index(section)] if name in before}
        results = {
            "format": RESULTS_FORMAT,
            "name": experiment.name,
            "seed": experiment.seed,
            "versions": versions(),
            "commit": commit(),
            "device": device(),
            "experiment": resolved(experiment),
            **kept,
            section: figures,
        }
        atomic_write(self.results, json.dumps(results, indent=2) + "\n")
        return results


def versions() -> dict[str, str]:
    """Returns the versions of everything that a result may depend on."""
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "networkx", "numba")
    return {
        "tncompile": tncompile.__version__,
        "python": platform.python_version(),
        **{p: version(p) for p in packages},
    }


def commit() -> str | None:
    """Returns the commit of the checkout that tncompile runs from, with `+` if it was changed; None if installed."""
    root = Path(tncompile.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        dirty = subprocess.run(
            ["git", "-C", root, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "") if head.returncode == 0 else None


def device() -> str:
    """Returns the device that JAX computes on, and the processor."""
    import jax

    first = jax.devices()[0]
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), processor)
    except OSError:
        pass  # not Linux
    return f"{first.platform} {first.device_kind} on {processor}, {os.cpu_count()} cores"


# ---------------------------------------------------------------------------------------------------------------------
# The model.


def _build(experiment: Experiment, spec: DatasetSpec) -> Any:
    from tncompile.nn import build_network

    return build_network(
        experiment.net,
        in_shape=spec.in_shape,
        input_bits=spec.input_bits,
        classes=spec.classes,
        arch=experiment.arch,
        seed=experiment.seed,
    )


def _model_meta(experiment: Experiment, spec: DatasetSpec, trained: bool) -> dict[str, Any]:
    """Returns what a model file says of its origin; only a model of the same net may be compiled."""
    return {
        "trained": trained,
        "seed": experiment.seed,
        "net": resolved(experiment)["net"],
        "data": {"name": spec.name, "in_shape": list(spec.in_shape), "classes": spec.classes},
    }


def _load(experiment: Experiment, folder: RunFolder, untrained: bool) -> Any:
    from tncompile.nn import load_model

    path = folder.model(untrained)
    if not path.exists():
        raise ArtifactError(
            f"{path}: there is no model; train one with 'tncompile train', or compile with --untrained"
        )
    spec = load_spec(experiment.data)
    model = _build(experiment, spec)
    found, expected = load_model(path, model), _model_meta(experiment, spec, not untrained)
    differs = [key for key in expected if found.get(key) != expected[key]]
    if differs:
        raise ConfigError(
            f"{path}: was made with {differs[0]} = {json.dumps(found.get(differs[0]))}, the experiment says "
            f"{json.dumps(expected[differs[0]])}; train again, or name the folder of that experiment with --out"
        )
    return model


# ---------------------------------------------------------------------------------------------------------------------
# Steps.


def train_step(
    experiment: Experiment, folder: RunFolder, reporter: Reporter, *, resume: bool = False
) -> dict[str, Any]:
    """Trains the experiment's net and writes the model; returns results.json's content."""
    from tncompile.nn import save_model
    from tncompile.train import train

    folder.create()
    pass_configs(experiment.compile)  # a mistake there should not wait until training is done
    data = load_dataset(experiment.data)
    model = _build(experiment, data.spec)
    atomic_write(folder.experiment, dump_experiment(experiment))
    images, epochs = len(data.x_train), experiment.train.epochs
    reporter.say(f"Training {experiment.name}: {images:,} images of {data.spec.name}, {epochs} epochs")
    result = train(
        model,
        data,
        experiment.train,
        seed=experiment.seed,
        out_dir=folder.train,
        resume=resume,
        observer=lambda p: reporter.progress(
            "train",
            p.epoch * p.steps + p.step,
            experiment.train.epochs * p.steps,
            {"loss": p.loss, "accuracy": p.accuracy, "images/s": p.images_per_s},
        ),
    )
    save_model(folder.model(untrained=False), model, _model_meta(experiment, data.spec, trained=True))
    return folder.record(
        experiment,
        "train",
        {
            "accuracy": result.accuracy,
            "seconds": result.seconds,
            "epochs": result.epochs,
            "images": len(data.x_train),
            "data": data.provenance,
        },
    )


def compile_step(
    experiment: Experiment,
    folder: RunFolder,
    reporter: Reporter,
    *,
    untrained: bool = False,
    start_from: str | None = None,
    stop_after: str | None = None,
    dump_ir: bool = False,
    check_semantics: int = 0,
) -> dict[str, Any]:
    """Compiles the run folder's model, writes each stage and the chip image, and returns results.json's content."""
    configs = pass_configs(experiment.compile)
    passes = select(DEFAULT_PIPELINE, start_from, stop_after)
    names = step_names()
    folder.create()
    begin = time.perf_counter()
    steps: list[Step] = []
    routed: RoutedChip | None = None

    def keep(step: Step) -> None:
        steps.append(step)
        write_stage(folder.stage(step.name), step.stage)
        if dump_ir:
            atomic_write(folder.stage(step.name).with_suffix(".txt"), dump(step.stage))
        reporter.say(f"  {step.name:<10} {step.seconds:7.2f} s, verified in {step.verify_seconds:.2f} s")
        reporter.progress("compile", names.index(step.name) + 1, len(names), {})

    if start_from in (None, EXPORT):
        stage: Stage = _export(experiment, folder, untrained)
        # A stage of an earlier compilation would not belong to the new one.
        for name in names:
            for path in (folder.stage(name), folder.stage(name).with_suffix(".txt")):
                path.unlink(missing_ok=True)
        folder.image.unlink(missing_ok=True)
        atomic_write(folder.experiment, dump_experiment(experiment))
        keep(Step(EXPORT, stage, time.perf_counter() - begin, 0.0, digest(stage)))
    else:
        assert start_from is not None
        stage = read_stages(folder, names[names.index(start_from) - 1])
        routed = stage if isinstance(stage, RoutedChip) else None
        untrained = bool(folder.read_results().get("compile", {}).get("untrained", False))
        atomic_write(folder.experiment, dump_experiment(experiment))
    samples = None
    if check_semantics:
        samples = random_images(load_spec(experiment.data), check_semantics, experiment.seed)
    for step in run_passes(stage, experiment.arch, configs, seed=experiment.seed, pipeline=passes, samples=samples):
        keep(step)
        stage = step.stage
        routed = stage if isinstance(stage, RoutedChip) else routed
    if isinstance(stage, ChipImage):
        write_stage(folder.image, stage)
    earlier = folder.read_results().get("compile", {}) if start_from not in (None, EXPORT) else {}
    figures: dict[str, Any] = {
        "untrained": untrained,
        **stage_figures(routed or stage),
        "seconds": time.perf_counter() - begin,
        "seconds_by_pass": earlier.get("seconds_by_pass", {}) | {s.name: s.seconds for s in steps},
        "digest": digest(stage),
        "digests_by_pass": earlier.get("digests_by_pass", {}) | {s.name: s.digest for s in steps},
    }
    return folder.record(experiment, "compile", figures)


def _export(experiment: Experiment, folder: RunFolder, untrained: bool) -> LogicalNet:
    from tncompile.nn import assume_statistics, export_network, save_model

    if untrained:
        spec = load_spec(experiment.data)
        model = _build(experiment, spec)
        assume_statistics(model, experiment.seed)
        save_model(folder.model(untrained), model, _model_meta(experiment, spec, trained=False))
    else:
        model = _load(experiment, folder, untrained)
    return export_network(model, experiment.name)


def read_stages(folder: RunFolder, step: str) -> Stage:
    """Returns the stage behind a step, with all stages that it refers to.

    Raises:
        ArtifactError: one of the files is missing or does not belong to the others.
    """
    stage: Stage | None = None
    for name in step_names():
        path = folder.stage(name)
        if not path.exists():
            raise ArtifactError(f"{path}: is missing; compile without --start-from first")
        stage = read_stage(path, source=stage)
        if name == step:
            break
    assert stage is not None
    return stage


def stage_figures(stage: Stage) -> dict[str, Any]:
    """Returns what results.json says of a stage and of those that it refers to."""
    figures: dict[str, Any] = {}
    while not isinstance(stage, LogicalNet):
        match stage:
            case RoutedChip():
                figures["crossings"] = stage.crossings
                figures["busiest_link"] = int(stage.link_load.max(initial=0))
            case PlacedChip():
                arcs = int((stage.source.source.target_core >= 0).sum())
                figures["wirelength"] = stage.wirelength
                figures["hops_per_spike"] = stage.wirelength / max(arcs, 1)
            case PartitionedGraph():
                figures["chips"] = len(np.unique(stage.core_chip))
                figures["cut"] = stage.cut
            case CoreGraph():
                figures["cores"] = stage.cores
                figures["splitter_cores"] = int((stage.core_kind == CoreKind.SPLITTER).sum())
                rows = utilisation(stage)
                figures["cores_by_layer"] = {row.layer: row.cores for row in rows if row.cores}
                figures["splitters_by_layer"] = {row.layer: row.splitters for row in rows if row.splitters}
                figures["input_packets"] = len(stage.input_lines.bit)
                figures["input_bits"] = stage.source.source.layers[0].conv.inputs
                figures["latency_ticks"] = stage.latency
        stage = stage.source  # type: ignore[attr-defined]
    return dict(reversed(figures.items()))


def random_images(spec: DatasetSpec, count: int, seed: int) -> np.ndarray:
    """Returns seeded random pixels of a data set's shape: uint8 or uint16 [n, y, x, channel]."""
    width, height, channels = spec.in_shape
    rng = np.random.default_rng((seed, SEMANTIC_SEED))
    pixels = rng.integers(0, 1 << spec.input_bits, (count, height, width, channels))
    return pixels.astype(np.uint8 if spec.input_bits <= 8 else np.uint16)


def simulate_step(
    experiment: Experiment, folder: RunFolder, reporter: Reporter, *, random: bool = False
) -> dict[str, Any]:
    """Runs the chip image on held-out images and compares every spike with the model; returns results.json's content.

    Args:
        experiment: that of the run folder.
        folder: the run folder.
        reporter: takes progress.
        random: draw random images instead of loading the data set; there is no accuracy then.

    Raises:
        ArtifactError: image and model do not belong together.
    """
    from tncompile.nn import export_network
    from tncompile.sim import classify, simulate_frames, transduce

    options = experiment.simulate
    if not folder.image.exists():
        raise ArtifactError(f"{folder.image}: there is no chip image; run 'tncompile compile' first")
    image = read_stage(folder.image, expect=ChipImage)
    compiled = folder.read_results().get("compile", {})
    model = _load(experiment, folder, bool(compiled.get("untrained", False)))
    exported = digest(export_network(model, experiment.name))
    if exported != compiled.get("digests_by_pass", {}).get(EXPORT):
        raise ArtifactError(f"{folder.image}: was not compiled from this model; run 'tncompile compile' again")
    if image.host is None:
        raise ArtifactError(f"{folder.image}: has no off-chip layers, so it takes no images; compile again")

    spec = load_spec(experiment.data)
    if random:
        pixels, labels = random_images(spec, options.frames or 16, experiment.seed), None
    else:
        data = load_dataset(experiment.data)
        if options.frames is not None and options.frames > len(data.x_test):
            raise ConfigError(
                f"simulate.frames: {options.frames} frames asked for, {spec.name} has {len(data.x_test)} test images"
            )
        pixels, labels = data.x_test[: options.frames], data.y_test[: options.frames]

    reporter.say(f"Simulating {len(pixels):,} frames on engine {options.engine}")
    bits = transduce(image.host, pixels)
    result = simulate_frames(
        image,
        experiment.arch,
        bits,
        engine=options.engine,
        streams=options.streams,
        progress=lambda done, total: reporter.progress("simulate", done, total, {}),
    )
    chip_classes = classify(image.host, result.output_bits)
    model_bits, model_outputs, model_classes = _run_model(model, pixels)
    # Spikes that enter the chip count as well: if they differ, the host is not the model's first layer.
    wrong = np.concatenate([bits != model_bits, result.output_bits != model_outputs], axis=1)
    figures = {
        "frames": len(pixels),
        "accuracy": None if labels is None else float((chip_classes == labels).mean()),
        "model_accuracy": None if labels is None else float((model_classes == labels).mean()),
        "mismatched_spikes": int(wrong.sum()),
        "mismatched_frames": int(wrong.any(axis=1).sum()),
        "output_spikes": int(model_outputs.sum()),
        "latency_ticks": image.latency,
        "frames_per_s": result.frames_per_s,
        "ticks_per_s": result.ticks_per_s,
        "streams": result.streams,
        "engine": result.engine,
        "images": "random" if random else spec.name,
        "device": device(),
    }
    return folder.record(experiment, "simulate", figures)


_MODEL_BATCH = 100
"""Images that the model takes at a time: bounds the memory of its maps."""


def _run_model(model: Any, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the model's input bits, output bits and classes, all batches of one shape so that XLA compiles once."""
    count = len(pixels)
    size = min(count, _MODEL_BATCH)
    padded = np.concatenate([pixels, np.zeros((-count % size, *pixels.shape[1:]), pixels.dtype)])
    batches = [padded[i : i + size] for i in range(0, len(padded), size)]
    rows = [(*model.spikes(batch), model.classify(batch)) for batch in batches]
    entering, leaving, classes = (np.concatenate(column)[:count] for column in zip(*rows, strict=True))
    return entering, leaving, classes
