"""The commands. Heavy modules are imported inside them, so that `--help` is instant."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from tncompile import __version__
from tncompile.cli.guard import guarded, interruptible

app = typer.Typer(
    name="tncompile",
    help="Train, compile and simulate trinary spiking networks for TrueNorth-class chips.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _folder(text: str) -> Path:
    """Returns the folder that --out names; an empty name, as of an unset shell variable, is not the current folder."""
    if not text.strip():
        raise typer.BadParameter("is empty; name a folder, or '.' for the current one")
    return Path(text)


ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment.", show_default=False)]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.", show_default=False)]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", parser=_folder, help="Run folder. [default: runs/NAME]")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=V", help="Overrides a key of the experiment; may be repeated.")
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Overrides the experiment's seed.")]
ImageSeed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of --random-images. [default: the run's]")]
Json = Annotated[bool, typer.Option("--json", help="Results as JSON on stdout; text for people goes to stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
Untrained = Annotated[bool, typer.Option("--untrained", help="Compile seeded random trinary weights.")]
StopAfter = Annotated[str | None, typer.Option("--stop-after", metavar="PASS", help="Last pass to run.")]
StartFrom = Annotated[
    str | None, typer.Option("--start-from", metavar="PASS", help="First pass to run; takes the stages in DIR.")
]
DumpIr = Annotated[bool, typer.Option("--dump-ir", help="Also write every stage as text.")]
CheckSemantics = Annotated[
    int,
    typer.Option("--check-semantics", metavar="N", min=0, help="Run N random images before and after each pass."),
]
Frames = Annotated[int | None, typer.Option("--frames", metavar="N", min=1, help="Test images. [default: all]")]
Engine = Annotated[str | None, typer.Option("--engine", metavar="NAME", help="Simulator engine. [default: packed]")]
Neuron = Annotated[
    str | None, typer.Option("--neuron", metavar="CORE,NEURON", help="Say which value of the net a neuron carries.")
]
Graph = Annotated[
    Path | None, typer.Option("--graph", metavar="FILE", help="Write the core graph as GraphML, for networkx or Gephi.")
]
Value = Annotated[
    str | None,
    typer.Option("--value", metavar="LAYER,X,Y,FEATURE", help="Say which neurons carry a value of a layer's output."),
]
RandomImages = Annotated[
    bool, typer.Option("--random-images", help="Random pixels instead of the data set, which is then not needed.")
]


def _version(asked: bool) -> bool:
    if asked:
        print(f"tncompile {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


@app.command()
@guarded
def run(
    experiment: ExperimentFile,
    out: Out = None,
    resume: Resume = False,
    overrides: Set = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train, compile and simulate: the whole path from one command."""
    from tncompile import workflow

    loaded, folder = _open_experiment(experiment, out, overrides, seed)
    given = _arguments(experiment, out, overrides, seed)
    with _terminal(quiet) as terminal:
        with interruptible(lambda: _after_training(folder, "run", given)):
            workflow.train_step(loaded, folder, terminal, resume=resume)
        with interruptible(lambda: _after_compiling(folder, given)):
            workflow.compile_step(loaded, folder, terminal)
        with interruptible(lambda: _after_simulating(folder)):
            results = workflow.simulate_step(loaded, folder, terminal)
    _finish(results, folder, as_json, quiet)


@app.command()
@guarded
def train(
    experiment: ExperimentFile,
    out: Out = None,
    resume: Resume = False,
    overrides: Set = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the experiment's network."""
    from tncompile import workflow

    loaded, folder = _open_experiment(experiment, out, overrides, seed)
    given = _arguments(experiment, out, overrides, seed)
    advice = interruptible(lambda: _after_training(folder, "train", given))
    with advice, _terminal(quiet) as terminal:
        results = workflow.train_step(loaded, folder, terminal, resume=resume)
    _finish(results, folder, as_json, quiet)


@app.command()
@guarded
def compile(
    experiment: ExperimentFile,
    out: Out = None,
    untrained: Untrained = False,
    stop_after: StopAfter = None,
    start_from: StartFrom = None,
    dump_ir: DumpIr = False,
    check_semantics: CheckSemantics = 0,
    overrides: Set = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compile the trained network, or one with random weights, to a chip image."""
    from tncompile import workflow

    loaded, folder = _open_experiment(experiment, out, overrides, seed)
    given = [*_arguments(experiment, out, overrides, seed), *(["--untrained"] if untrained else [])]
    with interruptible(lambda: _after_compiling(folder, given)), _terminal(quiet) as terminal:
        results = workflow.compile_step(
            loaded,
            folder,
            terminal,
            untrained=untrained,
            start_from=start_from,
            stop_after=stop_after,
            dump_ir=dump_ir,
            check_semantics=check_semantics,
        )
    _finish(results, folder, as_json, quiet)


@app.command()
@guarded
def simulate(
    folder: Folder,
    frames: Frames = None,
    engine: Engine = None,
    random_images: RandomImages = False,
    overrides: Set = None,
    seed: ImageSeed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a chip image on the data set, and compare every output spike with the model."""
    from tncompile import workflow
    from tncompile.config.experiment import load_experiment

    run_folder = workflow.RunFolder(folder)
    run_folder.check()
    options = [*(overrides or []), *_option("simulate.frames", frames), *_option("simulate.engine", engine)]
    loaded = load_experiment(run_folder.experiment, options)
    drawn = (loaded.seed if seed is None else seed) if random_images else None
    with interruptible(lambda: _after_simulating(run_folder)), _terminal(quiet) as terminal:
        results = workflow.simulate_step(loaded, run_folder, terminal, random=drawn)
    _finish(results, run_folder, as_json, quiet)


@app.command()
@guarded
def inspect(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder, or a model, stage or image file.")],
    neuron: Neuron = None,
    value: Value = None,
    graph: Graph = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what is in a run folder or file: layers, cores a layer, utilisation, limits used."""
    from tncompile import workflow
    from tncompile.report.inspect import inspect_neuron, inspect_path, inspect_value, write_graph
    from tncompile.report.tables import print_inspection

    if neuron is None and value is None and graph is None:
        found = inspect_path(path)
    else:
        cores = workflow.read_core_graph(workflow.RunFolder(path))
        found = {} if neuron is None else inspect_neuron(cores, neuron)
        found |= {} if value is None else inspect_value(cores, value)
        found |= {} if graph is None else write_graph(cores, graph)
    if as_json:
        print(json.dumps(found, indent=2), flush=True)
    if not (quiet and as_json):
        print_inspection(found, to_stderr=as_json)


def _option(key: str, value: Any) -> list[str]:
    return [] if value is None else [f"{key}={value}"]


def _arguments(experiment: Path, out: Path | None, overrides: list[str] | None, seed: int | None) -> list[str]:
    """Returns the arguments that a command must share with another one, to be about the same thing."""
    given = [
        str(experiment),
        *(["--out", str(out)] if out else []),
        *(["--seed", str(seed)] if seed is not None else []),
    ]
    return given + [part for override in overrides or [] for part in ("--set", override)]


def _after_training(folder: Any, command: str, given: list[str]) -> str:
    """Returns what to do after an interrupt while training."""
    kept = f"the checkpoints in {folder.train} are kept" if folder.train.exists() else "nothing is lost"
    return f"{kept}; go on with: {shlex.join(['tncompile', command, *given, '--resume'])}"


def _after_compiling(folder: Any, given: list[str]) -> str:
    """Returns what to do after an interrupt while compiling."""
    from tncompile.pipeline import step_names

    missing = next((name for name in step_names() if not folder.stage(name).exists()), None)
    start = ["--start-from", missing] if missing not in (None, step_names()[0]) else []
    kept = f"the stages in {folder.root / 'stages'} are kept" if start else "the model is kept"
    return f"{kept}; go on with: {shlex.join(['tncompile', 'compile', *given, *start])}"


def _after_simulating(folder: Any) -> str:
    """Returns what to do after an interrupt while simulating."""
    return f"the chip image is kept; go on with: {shlex.join(['tncompile', 'simulate', str(folder.root)])}"


def _open_experiment(path: Path, out: Path | None, overrides: list[str] | None, seed: int | None) -> tuple[Any, Any]:
    from tncompile import workflow
    from tncompile.config.experiment import load_experiment
    from tncompile.errors import ConfigError

    loaded = load_experiment(path, overrides or [], seed)
    if out is None and (loaded.name == ".." or Path("runs", loaded.name).name != loaded.name):
        raise ConfigError(
            f"name: {loaded.name!r} cannot be the name of a run folder; choose another one, or give --out"
        )
    return loaded, workflow.RunFolder(out or Path("runs", loaded.name))


def _terminal(quiet: bool) -> Any:
    from tncompile.cli.terminal import terminal

    return terminal(quiet)


def _finish(results: dict[str, Any], folder: Any, as_json: bool, quiet: bool) -> None:
    """Prints the results; spikes that differ are an error all the same."""
    from tncompile.errors import SimulationError
    from tncompile.report.tables import print_summary

    if as_json:
        print(json.dumps(results, indent=2), flush=True)
    if not (quiet and as_json):
        print_summary(results, folder.root, to_stderr=as_json)
    simulated = results.get("simulate", {})
    if simulated.get("mismatched_spikes"):
        raise SimulationError(
            f"{simulated['mismatched_spikes']} spikes in {simulated['mismatched_frames']} of {simulated['frames']} "
            "frames differ between chip and model; the chip image must not be used"
        )
