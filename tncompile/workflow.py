"""Train, compile and simulate as steps on a run folder; what the command line calls.

A run folder holds everything about one experiment:

    experiment.yaml          the experiment, resolved: every default spelled out
    results.json             figures of all steps so far
    model.safetensors        the trained model (or untrained.safetensors, random weights)
    train/                   checkpoints, metrics.jsonl, and event files for TensorBoard with --tensorboard
    stages/N-PASS.safetensors   the stage behind each pass (and .txt with --dump-ir)
    chip.safetensors         the chip image
    simulation.safetensors   what it did on images, for reports
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import tncompile
from tncompile.analysis.chip_edges import chip_edge_figures
from tncompile.analysis.core_bound import core_bound
from tncompile.analysis.detours import detour_figures
from tncompile.analysis.graph import arcs
from tncompile.analysis.utilisation import shared_cores, utilisation
from tncompile.analysis.wirelength import hops_per_arc
from tncompile.analysis.work import fill, hops, work
from tncompile.arch import ChipArch
from tncompile.config.data import DataConfig
from tncompile.config.experiment import Experiment, dump_experiment, parse_config, resolved
from tncompile.config.net import NetConfig
from tncompile.config.train import TrainConfig, lasting
from tncompile.data import DatasetSpec, load_dataset, load_spec
from tncompile.data.spec import chosen_options, load_description
from tncompile.errors import ArtifactError, ConfigError, InternalError, SimulationError
from tncompile.ir import (
    ChipImage,
    CoreGraph,
    CoreKind,
    LogicalNet,
    PartitionedGraph,
    PlacedChip,
    RoutedChip,
    SpikeCounts,
    Stage,
    graph_of,
    sites_of,
)
from tncompile.ir.io import atomic_write, read_bytes, read_stage, write_stage
from tncompile.ir.text import digest, dump
from tncompile.pipeline import (
    DEFAULT_PIPELINE,
    EXPORT,
    Step,
    check_capacity,
    pass_configs,
    run_passes,
    select,
    step_names,
)
from tncompile.reporter import Reporter
from tncompile.sim.choose import check_name
from tncompile.verify import verify

RESULTS_FORMAT = 1
"""Version of results.json: keys are added, never renamed."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "train": ("accuracy", "seconds", "epochs"),
    "compile": ("untrained", "seconds", "seconds_by_pass", "digest", "digests_by_pass"),
    "simulate": ("frames", "accuracy", "model_accuracy", "mismatched_spikes", "mismatched_frames", "latency_ticks",
                 "frames_per_s", "ticks_per_s", "engine"),
}  # fmt: skip
"""Sections of results.json in the order of the steps, with the keys that each always has."""

TRAINING = "training"
"""Key under which a model file tells what its training came to, and on what data."""

SAMPLE_FRAMES = 255
"""Training images, evenly spread over all, on which spikes are counted behind the training; a count fits in a byte."""

SEMANTIC_SEED = 0x5EED
"""Mixed into the seed of the images that `--check-semantics` and `--random-images` draw."""


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

    @property
    def metrics(self) -> Path:
        """Measurements of the training, a line an epoch."""
        return self.train / "metrics.jsonl"

    @property
    def simulation(self) -> Path:
        """What the chip did on images."""
        return self.root / "simulation.safetensors"

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

    def check(self) -> None:
        """Checks that there is an experiment.

        Raises:
            ArtifactError: there is none.
        """
        if not self.experiment.is_file():
            raise ArtifactError(
                f"{self.root}: is no run folder: it has no {self.experiment.name}; name the folder of an earlier "
                "'tncompile run' or 'tncompile compile'"
            )

    def forget(self, steps: Sequence[str]) -> None:
        """Removes the stages behind these steps, the chip image and what it did, which no longer belong to the rest.

        Raises:
            ArtifactError: one cannot be removed.
        """
        stages = [self.stage(step) for step in steps]
        for path in (self.image, self.simulation, *stages, *(stage.with_suffix(".txt") for stage in stages)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise ArtifactError(f"{path}: cannot be removed: {error.strerror}; choose another --out") from error

    def read_results(self) -> dict[str, Any]:
        """Returns what results.json holds, {} if there is none.

        Raises:
            ArtifactError: it is damaged.
        """
        if not self.results.exists():
            return {}
        hint = "remove it, and train and compile again"
        try:
            results = json.loads(read_bytes(self.results))
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{self.results}: is not JSON ({error}); {hint}") from error
        if not isinstance(results, dict) or results.get("format") != RESULTS_FORMAT:
            raise ArtifactError(f'{self.results}: is no object with "format": {RESULTS_FORMAT}; {hint}')
        if not isinstance(results.get("experiment"), dict):
            raise ArtifactError(f"{self.results}: experiment is no mapping; {hint}")
        try:
            parse_config(Experiment, results["experiment"], "experiment")
        except ConfigError as error:
            raise ArtifactError(f"{self.results}: {error}; {hint}") from error
        for section, keys in SECTIONS.items():
            figures = results.get(section, dict.fromkeys(keys))
            missing = [key for key in keys if key not in figures] if isinstance(figures, dict) else keys
            if missing:
                raise ArtifactError(f"{self.results}: {section} has no {', '.join(missing)}; {hint}")
        return results

    def record(self, experiment: Experiment, section: str, figures: dict[str, Any]) -> dict[str, Any]:
        """Puts a step's figures into results.json, drops those of the steps behind it, and returns all."""
        before_it = list(SECTIONS)[: list(SECTIONS).index(section)]
        before = self.read_results() if before_it else {}
        kept = {name: before[name] for name in before_it if name in before}
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


@functools.cache
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


def build_model(experiment: Experiment, spec: DatasetSpec) -> Any:
    """Returns the experiment's network for images of a data set, with random weights of its seed.

    Raises:
        ConfigError, CapacityError: the network does not fit the images or the core.
    """
    from tncompile.nn import build_float_network, build_network

    sizes = {"in_shape": spec.in_shape, "input_bits": spec.input_bits, "classes": spec.classes}
    if experiment.net.kind == "float":
        return build_float_network(experiment.net, **sizes, seed=experiment.seed)
    return build_network(experiment.net, **sizes, arch=experiment.arch, seed=experiment.seed)


def check_trinary(experiment: Experiment) -> None:
    """Checks that the experiment's net is one for a chip.

    Raises:
        ConfigError: it is a float one.
    """
    if experiment.net.kind != "trinary":
        raise ConfigError(
            f"net.kind: {experiment.net.kind} nets are teachers, which no chip takes; train it with 'tncompile train', "
            "name its run folder as train.teacher.run of another experiment, and compile that"
        )


def load_teacher(experiment: Experiment, student: RunFolder) -> Any:
    """Returns the network that the experiment's net learns from, None if there is none.

    Args:
        experiment: whose net is to learn.
        student: the run folder that its training writes.

    Raises:
        ConfigError: it classifies other images, or into other classes, or the student would overwrite it.
        ArtifactError: it is not there, or damaged.
    """
    from tncompile.config.experiment import load_experiment
    from tncompile.nn import load_model
    from tncompile.train import Teacher

    if experiment.train.teacher is None:
        return None
    folder = RunFolder(Path(experiment.train.teacher.run))
    if folder.root.resolve() == student.root.resolve():
        raise ConfigError(
            f"train.teacher.run: {folder.root} is the folder that this training writes; name another --out"
        )
    path = folder.model(untrained=False)
    if not path.exists():
        raise ArtifactError(f"train.teacher.run: {path}: there is no model; train the teacher first")
    folder.check()
    theirs = load_experiment(folder.experiment)
    spec, own = load_spec(theirs.data), load_spec(experiment.data)
    for key in ("in_shape", "input_bits", "class_names"):
        if getattr(spec, key) != getattr(own, key):
            raise ConfigError(
                f"train.teacher.run: {folder.root} learned {spec.name}, with other {key} than {own.name} "
                f"({_short(getattr(spec, key))}, not {_short(getattr(own, key))}); name a teacher of the same images"
            )
    # A teacher of other ones may know images that this training holds out.
    if differs := _difference(_chosen_data(theirs.data), _chosen_data(experiment.data), "data"):
        raise ConfigError(f"train.teacher.run: {folder.root} was trained with {differs}; make both the same")
    network = build_model(theirs, spec)
    load_model(path, network)
    told = f"{theirs.train.logit_scale} {hashlib.sha256(read_bytes(path)).hexdigest()}"
    return Teacher(network.scorer(), theirs.train.logit_scale, hashlib.sha256(told.encode()).hexdigest())


def _model_meta(experiment: Experiment, spec: DatasetSpec, trained: bool) -> dict[str, Any]:
    """Returns what a model file says of its origin; only a model of the same origin may be compiled."""
    settings = resolved(experiment)
    data = {"name": spec.name, "in_shape": list(spec.in_shape), "classes": spec.classes}
    if trained:
        data |= _chosen_data(experiment.data)
    training = {"train_limit": experiment.data.train_limit, "train": lasting(settings["train"])} if trained else {}
    return {"trained": trained, "seed": experiment.seed, "net": settings["net"], "data": data, **training}


def _chosen_data(config: DataConfig) -> dict[str, Any]:
    """Returns what an experiment chooses of a data set's images, beside how many: each choice gives other ones."""
    options = chosen_options(load_description(config.name), config)
    return {"layout": config.layout, "options": options, "validation": config.validation, "contrast": config.contrast}


def _defaults() -> dict[str, Any]:
    """Returns the defaults of the keys in `_model_meta` that files of earlier versions may lack.

    That a data set has no options is one; what an option of it was, such a file does not tell.
    """
    net = {name: field.default for name, field in NetConfig.model_fields.items() if not field.is_required()}
    data = {"layout": None, "options": {}, "validation": 0.0, "contrast": "none"}
    return {"data": data, "net": net, "train": lasting(TrainConfig().model_dump(mode="json"))}


def _completed(made: Any, asked: Any, defaults: Any) -> Any:
    """Returns what a file says, with the keys that it lacks and that have their default in the experiment."""
    if not all(isinstance(each, Mapping) for each in (made, asked, defaults)):
        return made
    later = {key: value for key, value in defaults.items() if key not in made and asked.get(key) == value}
    return {key: _completed(value, asked.get(key), defaults.get(key)) for key, value in made.items()} | later


def _difference(made: Any, asked: Any, path: str = "", lacking: Any = None) -> str | None:
    """Returns the first key whose two values differ, with both, or None; `lacking` is that of a key not in `made`."""
    if isinstance(made, Mapping) and isinstance(asked, Mapping):
        # What something is called says more than what it is like.
        keys = sorted([*made, *(key for key in asked if key not in made)], key=lambda key: key != "name")
        both = ((made.get(key, lacking), asked.get(key), f"{path}.{key}".lstrip("."), lacking) for key in keys)
        return next(filter(None, (_difference(*each) for each in both)), None)
    if isinstance(made, list) and isinstance(asked, list) and len(made) == len(asked):
        both = ((a, b, f"{path}[{i}]", lacking) for i, (a, b) in enumerate(zip(made, asked, strict=True)))
        return next(filter(None, (_difference(*each) for each in both)), None)
    return None if made == asked else f"{path} = {_short(made)}, the experiment says {_short(asked)}"


_UNKNOWN = "unknown (an earlier version of tncompile, which did not note it, wrote the file)"


def _short(value: Any) -> str:
    if value is _UNKNOWN:
        return _UNKNOWN
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _load(experiment: Experiment, path: Path, untrained: bool) -> tuple[Any, SpikeCounts | None]:
    """Returns a model, and the spikes that were counted on sample images behind its training."""
    from tncompile.nn import load_model, load_spike_counts, read_model

    if not path.exists():
        raise ArtifactError(f"{path}: there is no model; train one with 'tncompile train', or compile with --untrained")
    spec = load_spec(experiment.data)
    asked = _model_meta(experiment, spec, not untrained)
    noted = {key: value for key, value in read_model(path)[0].items() if key != TRAINING}
    made = _completed(noted, asked, _defaults())
    if "train" in made:
        made |= {"train": lasting(made["train"])}
    if differs := _difference(made, asked, lacking=_UNKNOWN):
        raise ConfigError(
            f"{path}: was made with {differs}; set that back, {'compile' if untrained else 'train'} again, or name the "
            "folder of that experiment with --out"
        )
    model = build_model(experiment, spec)
    load_model(path, model)
    return model, load_spike_counts(path, model)


def publish(folder: RunFolder, out: Path) -> dict[str, int]:
    """Writes a run folder's trained model as small as it can be, and its experiment, for others to compile.

    Returns:
        The size of each file, `NAME.safetensors` and `NAME.yaml` [byte].

    Raises:
        ArtifactError: there is no trained model; a file cannot be written, or is of another kind.
    """
    from tncompile.config.experiment import load_experiment
    from tncompile.nn import publish_model

    folder.check()
    own = folder.model(untrained=False)
    if not own.exists():
        raise ArtifactError(f"{own}: there is no model; train one with 'tncompile train'")
    experiment = load_experiment(folder.experiment)
    # Where files lay is nobody else's business.
    changed: dict[str, Any] = {"data": experiment.data.model_copy(update={"root": None})}
    if (teacher := experiment.train.teacher) is not None:
        teacher = teacher.model_copy(update={"run": Path(teacher.run).name})
        changed["train"] = experiment.train.model_copy(update={"teacher": teacher})
    RunFolder(out).create()
    files = [out / f"{experiment.name}{ending}" for ending in (".safetensors", ".yaml")]
    publish_model(own, files[0])
    atomic_write(files[1], dump_experiment(experiment.model_copy(update=changed)))
    return {path.name: path.stat().st_size for path in files}


# ---------------------------------------------------------------------------------------------------------------------
# Steps.


def check_options(experiment: Experiment) -> None:
    """Checks what is known by name only: a mistake there should not wait until the step that it is about.

    Raises:
        ConfigError: an unknown pass, an unknown option of a pass, or an unknown engine.
    """
    pass_configs(experiment.compile)
    check_name(experiment.simulate.engine, "simulate.engine")


def train_step(
    experiment: Experiment, folder: RunFolder, reporter: Reporter, *, resume: bool = False, tensorboard: bool = False
) -> dict[str, Any]:
    """Trains the experiment's net and writes the model; returns results.json's content.

    Of several processes that train together, the first one writes, and the others return {}.

    Args:
        experiment: what to train, and how.
        folder: the run folder.
        reporter: takes progress.
        resume: go on from the last checkpoint.
        tensorboard: also write TensorBoard's event files.
    """
    import jax

    from tncompile.memory import keep_freed_memory
    from tncompile.nn import export_network, save_model
    from tncompile.train import (
        EpochObserver,
        InputWatch,
        Resumed,
        check_tensorboard,
        check_training,
        event_files,
        train,
    )

    check_options(experiment)
    if tensorboard:
        check_tensorboard()
    keep_freed_memory()
    model = build_model(experiment, load_spec(experiment.data))
    trinary = experiment.net.kind == "trinary"
    if trinary:
        untrained = export_network(model, experiment.name)
        check_capacity(untrained, experiment.arch, pass_configs(experiment.compile), seed=experiment.seed)
    teacher = load_teacher(experiment, folder)
    data = load_dataset(experiment.data, reporter)
    check_training(experiment.train, data)
    writes = jax.process_index() == 0
    if writes:
        folder.create()
    images, epochs = len(data.x_train), experiment.train.epochs
    many = "" if epochs == 1 else "s"
    reporter.say(f"Training {experiment.name}: {images:,} images of {data.spec.name}, {epochs} epoch{many}")
    with contextlib.ExitStack() as stack:
        watch: list[EpochObserver] = [InputWatch(reporter.say)]
        if resume:
            watch.append(Resumed(reporter.say, folder.train))
        if tensorboard:
            watch.append(stack.enter_context(event_files(folder.train / "tensorboard")))
        result = train(
            model,
            data,
            experiment.train,
            seed=experiment.seed,
            out_dir=folder.train,
            resume=resume,
            teacher=teacher,
            origin={f"data.{key}": value for key, value in _chosen_data(experiment.data).items()},
            observer=lambda progress: reporter.progress(
                "train",
                (progress.epoch - 1) * progress.steps + progress.step,
                progress.epochs * progress.steps,
                {"loss": progress.loss, "accuracy": progress.accuracy, "images/s": progress.images_per_s},
            ),
            epochs=watch,
        )
    if not writes:
        return {}
    folder.forget(step_names())
    sample = data.x_train[np.linspace(0, images - 1, min(images, SAMPLE_FRAMES)).astype(np.int64)]
    counts = model.spike_counts(sample) if trinary else None
    figures = {
        "accuracy": result.accuracy,
        "validation_accuracy": result.validation_accuracy,
        "seconds": result.seconds,
        "waited": sum(epoch.waited for epoch in result.history),
        "epochs": result.epochs,
        "kept_epoch": result.kept,
        "images": len(data.x_train),
        "data": data.provenance,
    }
    about = {key: value for key, value in data.provenance.items() if key != "folder"}
    training = {key: value for key, value in figures.items() if key not in ("seconds", "waited")}  # the same each time
    training |= {"data": about, "versions": versions(), "commit": commit(), "device": device()}
    meta = _model_meta(experiment, data.spec, trained=True) | {TRAINING: training}
    save_model(folder.model(untrained=False), model, meta, counts)
    atomic_write(folder.experiment, dump_experiment(experiment))
    return folder.record(experiment, "train", figures)


def compile_step(
    experiment: Experiment,
    folder: RunFolder,
    reporter: Reporter,
    *,
    untrained: bool = False,
    model: Path | None = None,
    start_from: str | None = None,
    stop_after: str | None = None,
    dump_ir: bool = False,
    check_semantics: int = 0,
) -> dict[str, Any]:
    """Compiles the run folder's model, writes each stage and the chip image, and returns results.json's content.

    The stages and results.json are written after each pass, so that an interrupted compilation can go on from them.

    Args:
        experiment: what the model is of.
        folder: the run folder.
        reporter: takes progress.
        untrained: compile random weights.
        model: a model file that takes the place of the folder's own.
        start_from: first pass to run.
        stop_after: last pass to run.
        dump_ir: also write stages as text.
        check_semantics: random images to run before and behind each pass.
    """
    if model is not None and (untrained or start_from not in (None, EXPORT)):
        other = "--untrained" if untrained else "--start-from"
        raise ConfigError(f"--model: says which model to begin with, and so does {other}; leave one of them out")
    check_trinary(experiment)
    check_options(experiment)
    passes = select(DEFAULT_PIPELINE, start_from, stop_after)
    names = step_names()
    results = folder.read_results()
    begin = time.perf_counter()
    figures: dict[str, Any] = {}

    def keep(step: Step) -> None:
        nonlocal results
        write_stage(folder.stage(step.name), step.stage)
        if dump_ir:
            atomic_write(folder.stage(step.name).with_suffix(".txt"), dump(step.stage))
        if isinstance(step.stage, ChipImage):
            write_stage(folder.image, step.stage)
        seconds, digests = figures.get("seconds_by_pass", {}), figures.get("digests_by_pass", {})
        figures.update(
            untrained=untrained,
            **stage_figures(step.stage, experiment.arch),
            **step.figures,
            seconds=time.perf_counter() - begin,
            seconds_by_pass=seconds | {step.name: step.seconds},
            digest=step.digest,
            digests_by_pass=digests | {step.name: step.digest},
        )
        results = folder.record(experiment, "compile", figures)
        reporter.say(f"  {step.name:<10} {step.seconds:7.2f} s, verified in {step.verify_seconds:.2f} s")
        if step.figures:
            reporter.say(f"  {'':<10} {step.figures_seconds:7.2f} s for {', '.join(step.figures).replace('_', ' ')}")
        reporter.progress("compile", names.index(step.name) + 1, len(names), {})

    if start_from in (None, EXPORT):
        stage: Stage = _export(experiment, folder, untrained, model)
        exported = time.perf_counter()
        verify(stage, experiment.arch)
        verified = time.perf_counter()
        folder.forget(names)
        atomic_write(folder.experiment, dump_experiment(experiment))
        keep(Step(EXPORT, stage, exported - begin, verified - exported, digest(stage)))
    else:
        earlier = names[: names.index(start_from)]
        _check_start(experiment, folder, results, earlier)
        stage = read_stages(folder, earlier[-1])
        compiled = results["compile"]
        untrained = compiled["untrained"]
        for key in ("seconds_by_pass", "digests_by_pass"):
            figures[key] = {name: compiled[key][name] for name in earlier}
        figures.update(stage_figures(stage, experiment.arch))
        kept = {key for p in DEFAULT_PIPELINE if p.name in earlier for key in p.figures}
        figures.update((key, compiled[key]) for key in compiled if key in kept)
        folder.forget(names[len(earlier) :])
        atomic_write(folder.experiment, dump_experiment(experiment))
    samples = None
    if check_semantics:
        samples = random_images(load_spec(experiment.data), check_semantics, experiment.seed)
        figures["semantics_checked"] = check_semantics
    configs = pass_configs(experiment.compile)
    steps = run_passes(
        stage,
        experiment.arch,
        configs,
        seed=experiment.seed,
        pipeline=passes,
        samples=samples,
        observer=lambda name, fraction, figures: reporter.progress(name, round(100 * fraction), 100, figures),
    )
    for step in steps:
        keep(step)
    if check_semantics:
        reporter.say(f"  {check_semantics} random images give the same spikes before and after each pass")
    return results


def _check_start(experiment: Experiment, folder: RunFolder, results: dict[str, Any], earlier: Sequence[str]) -> None:
    """Checks that the stages in the folder are those that the experiment gives up to some pass.

    Raises:
        ArtifactError: they are not all there.
        ConfigError: they were made with other settings.
    """
    hint = "compile without --start-from first"
    missing = [name for name in earlier if name not in results.get("compile", {}).get("digests_by_pass", {})]
    if missing:
        raise ArtifactError(f"{folder.root}: has no stage behind {missing[0]}; {hint}")

    def settings(experiment: Experiment) -> dict[str, Any]:
        values = resolved(experiment)
        passes = {name: options for name, options in values["compile"].items() if name in earlier}
        data = {"name": experiment.data.name}
        if not results["compile"]["untrained"]:
            data |= {"train_limit": experiment.data.train_limit, **_chosen_data(experiment.data)}
        same = {key: values[key] for key in ("seed", "arch", "net")}
        return same | {"train": lasting(values["train"]), "data": data, "compile": passes}

    made = parse_config(Experiment, results["experiment"], "experiment")
    if differs := _difference(settings(made), settings(experiment)):
        raise ConfigError(f"{folder.root}: was compiled with {differs}; set that back, or {hint}")


def _export(experiment: Experiment, folder: RunFolder, untrained: bool, model: Path | None) -> LogicalNet:
    from tncompile.nn import assume_statistics, export_network, save_model

    if untrained:
        spec = load_spec(experiment.data)
        network = build_model(experiment, spec)
        assume_statistics(network, experiment.seed)
        folder.create()
        save_model(folder.model(untrained), network, _model_meta(experiment, spec, trained=False))
        return export_network(network, experiment.name)
    own = folder.model(untrained)
    network, spike_counts = _load(experiment, model or own, untrained)
    if model is not None and model.resolve() != own.resolve():
        folder.create()
        for path in (folder.results, folder.metrics):  # of a training that the model is not from
            path.unlink(missing_ok=True)
        atomic_write(own, read_bytes(model))
    return export_network(network, experiment.name, spike_counts)


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


def read_core_graph(folder: RunFolder) -> CoreGraph:
    """Returns the core graph of a run folder, with its relays if it is routed already.

    Raises:
        ArtifactError: as `read_stages`.
    """
    steps = {p.gives: p.name for p in DEFAULT_PIPELINE}
    routed = folder.stage(steps[RoutedChip]).exists()
    stage = read_stages(folder, steps[RoutedChip if routed else CoreGraph])
    if isinstance(stage, RoutedChip):
        return graph_of(stage)
    if isinstance(stage, CoreGraph):
        return stage
    raise InternalError("no pass of the pipeline gives a CoreGraph")


def stage_figures(stage: Stage, arch: ChipArch) -> dict[str, Any]:
    """Returns what results.json says of a stage and of those that it refers to.

    An image refers to none and adds nothing to the routed chip that it is made from.
    """
    figures: dict[str, Any] = {}
    while not isinstance(stage, LogicalNet | ChipImage):
        match stage:
            case RoutedChip():
                figures["crossings"] = stage.crossings
                figures["busiest_link"] = int(stage.link_load.max(initial=0))
                full = graph_of(stage)
                figures["latency_ticks"] = full.latency
                figures["detours"] = detour_figures(stage)
                if stage.detours is not None:  # relays work for a frame as all others do, and are to be paid for
                    figures["hops_per_frame"] = asdict(hops(arcs(full), *sites_of(stage)))
                    figures |= _work_figures(full)
            case PlacedChip():
                figures["wirelength"] = stage.wirelength
                placed = arcs(stage.source.source), stage.core_x, stage.core_y
                figures["hops_per_spike"] = hops_per_arc(*placed)
                figures.setdefault("hops_per_frame", asdict(hops(*placed)))
            case PartitionedGraph():
                figures["chips"] = len(np.unique(stage.core_chip))
                figures["cut"] = stage.cut
                if arch.chips > 1:
                    figures["chip_edges"] = chip_edge_figures(stage, arch)
            case CoreGraph():
                figures["cores"] = stage.cores
                figures["cores_at_least"] = core_bound(stage, arch)
                figures["shared_cores"] = int(shared_cores(stage).sum())
                figures["splitter_cores"] = int((stage.core_kind == CoreKind.SPLITTER).sum())
                rows = utilisation(stage)
                figures["cores_by_layer"] = {row.layer: row.cores for row in rows if row.cores}
                figures["splitters_by_layer"] = {row.layer: row.splitters for row in rows if row.splitters}
                figures["input_packets"] = len(stage.input_lines.bit)
                figures["input_bits"] = stage.source.source.layers[0].conv.inputs
                figures.setdefault("latency_ticks", stage.latency)
                for key, value in ({"utilisation": asdict(fill(stage))} | _work_figures(stage)).items():
                    figures.setdefault(key, value)
        stage = stage.source  # type: ignore[attr-defined]
    return dict(reversed(figures.items()))


def _work_figures(graph: CoreGraph) -> dict[str, Any]:
    done, counted = work(graph), graph.source.source.spike_counts
    return {
        "sample_frames": None if counted is None else counted.frames,
        "spikes_per_frame": asdict(done.spikes),
        "host_packets_per_frame": asdict(done.host_packets),
        "synaptic_events_per_frame": asdict(done.synaptic_events),
        "neuron_updates_per_tick": done.neuron_updates_per_tick,
    }


def random_images(spec: DatasetSpec, count: int, seed: int) -> np.ndarray:
    """Returns seeded random pixels of a data set's shape: uint8 or uint16 [n, y, x, channel]."""
    width, height, channels = spec.in_shape
    rng = np.random.default_rng((seed, SEMANTIC_SEED))
    pixels = rng.integers(0, spec.pixel_max, (count, height, width, channels), endpoint=True)
    return pixels.astype(np.uint8 if spec.input_bits <= 8 else np.uint16)


def simulate_step(
    experiment: Experiment, folder: RunFolder, reporter: Reporter, *, random: int | None = None
) -> dict[str, Any]:
    """Runs the chip image on held-out images and compares every spike with the model; returns results.json's content.

    Args:
        experiment: that of the run folder.
        folder: the run folder.
        reporter: takes progress.
        random: seed of random images to draw instead of loading the data set; there is no accuracy then.

    Raises:
        ArtifactError: image and model do not belong together.
    """
    from tncompile.nn import export_network
    from tncompile.sim import classify, simulate_frames, transduce

    check_options(experiment)
    folder.check()
    options = experiment.simulate
    if not folder.image.exists():
        raise ArtifactError(f"{folder.image}: there is no chip image; run 'tncompile compile' first")
    image = read_stage(folder.image, expect=ChipImage)
    results = folder.read_results()
    compiled = results.get("compile", {})
    digests = compiled.get("digests_by_pass", {})
    if digest(image) != compiled.get("digest"):
        raise ArtifactError(f"{folder.image}: is not the image that {folder.results} tells of; compile again")
    made, asked = ({key: e[key] for key in ("arch", "compile")} for e in (results["experiment"], resolved(experiment)))
    if differs := _difference(made, asked):
        raise ConfigError(f"{folder.image}: was made with {differs}; set that back, or compile again")
    pixels, labels, provenance = images_to_simulate(experiment, random)
    model, spike_counts = _load(experiment, folder.model(compiled["untrained"]), compiled["untrained"])
    if digest(export_network(model, experiment.name, spike_counts)) != digests.get(EXPORT):
        raise ArtifactError(f"{folder.image}: was not compiled from the model beside it; compile again")
    if image.host is None:
        raise ArtifactError(f"{folder.image}: has no off-chip layers, so it takes no images; compile again")

    reporter.say(f"Simulating {len(pixels):,} frames")
    bits = transduce(image.host, pixels)
    result = simulate_frames(
        image,
        experiment.arch,
        bits,
        engine=options.engine,
        streams=options.streams,
        devices=options.devices,
        split=options.split,
        progress=lambda done, total: reporter.progress("simulate", done, total, {}),
        announce=lambda choice: reporter.say(f"Engine {choice.engine}: {choice.reason}"),
    )
    chip_classes = classify(image.host, result.output_bits)
    model_bits, model_outputs, model_classes = _run_model(model, pixels)
    # Spikes that enter the chip count as well: if they differ, the host is not the model's first layer.
    wrong = np.concatenate([bits != model_bits, result.output_bits != model_outputs], axis=1)
    estimated = _count_and_keep(experiment, folder, image, pixels, bits, labels, chip_classes, reporter)
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
        "engine_reason": result.reason,
        "chip": estimated,
        "images": experiment.data.name if random is None else f"random, seed {random}",
        "data": provenance,
        "device": device(),
    }
    return folder.record(experiment, "simulate", figures)


def check_spikes(results: Mapping[str, Any]) -> None:
    """Checks that chip and model spiked alike in the simulation that results.json tells of, if there was one.

    Raises:
        SimulationError: they did not.
    """
    simulated = results.get("simulate", {})
    if simulated.get("mismatched_spikes"):
        raise SimulationError(
            f"{simulated['mismatched_spikes']} spikes in {simulated['mismatched_frames']} of {simulated['frames']} "
            "frames differ between chip and model; the chip image must not be used"
        )


def _count_and_keep(
    experiment: Experiment,
    folder: RunFolder,
    image: ChipImage,
    pixels: np.ndarray,
    bits: np.ndarray,
    labels: np.ndarray | None,
    classes: np.ndarray,
    reporter: Reporter,
) -> dict[str, Any] | None:
    """Counts what the chip does on some of the images, writes that for reports, and returns what it comes to.

    None if no image is to be counted; then there is no such file either.
    """
    from tncompile.analysis.estimate import estimate
    from tncompile.counting import count_frames, layers_of, one_layer
    from tncompile.recording import WRONG_IMAGES, Recording, write_recording

    count = min(experiment.energy.frames, len(pixels))
    if not count:
        folder.simulation.unlink(missing_ok=True)
        return None
    # Evenly over all: data sets may be sorted by class.
    counted = np.linspace(0, len(pixels) - 1, count).astype(np.int64)
    there = (folder.root / "stages").is_dir()  # without them, nobody knows which layer a core belongs to
    layers = layers_of(read_core_graph(folder)) if there else one_layer(image)
    reporter.say(f"Counting what the chip does on {count:,} of them")
    events, raster = count_frames(
        image,
        bits[counted],
        engine=experiment.simulate.engine,
        layers=layers,
        progress=lambda done, total: reporter.progress("count", done, total, {}),
    )
    known = np.full(len(pixels), -1) if labels is None else labels
    wrong = np.flatnonzero((known >= 0) & (classes != known))[:WRONG_IMAGES]
    write_recording(
        folder.simulation,
        Recording(
            image=digest(image),
            labels=known.astype(np.int32),
            chip_classes=classes.astype(np.int32),
            wrong=wrong.astype(np.int32),
            wrong_pixels=pixels[wrong],
            counted=counted,
            events=events,
            raster=raster,
        ),
    )
    return estimate(events, image, experiment.energy, layers)


def images_to_simulate(
    experiment: Experiment, random: int | None
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any] | None]:
    """Returns the images to simulate, their classes, and their `Dataset.provenance`; random ones have pixels only.

    Args:
        experiment: its `simulate.frames` says how many.
        random: seed of random images to draw instead of loading the data set.

    Raises:
        ArtifactError: the data set cannot be read.
        ConfigError: it has not so many images.
    """
    spec, frames = load_spec(experiment.data), experiment.simulate.frames
    if random is not None:
        return random_images(spec, frames or 16, random), None, None
    limit = min(filter(None, (frames, experiment.data.test_limit)), default=None)
    try:
        # Decoding images takes time: only those that are needed.
        data = load_dataset(
            experiment.data.model_copy(update={"train_limit": 1, "test_limit": limit, "validation": 0.0})
        )
    except ArtifactError as error:
        raise ArtifactError(f"{error} Or simulate random pixels with --random-images.") from error
    if frames is not None and frames > len(data.x_test):
        raise ConfigError(f"simulate.frames: {frames} frames asked for, {spec.name} has {len(data.x_test)} test images")
    return data.x_test, data.y_test, data.provenance


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
