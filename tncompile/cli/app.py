"""The commands. Heavy modules are imported inside them, so that `--help` is instant."""

from __future__ import annotations

import json
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from tncompile import __version__
from tncompile.cli.data import data_app
from tncompile.cli.guard import guarded, interruptible, stoppable

app = typer.Typer(
    name="tncompile",
    help="Train, compile and simulate spiking networks for TrueNorth-class chips.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")


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
SimulateSeed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Seed of --random-images [the run's], or of neurons that draw numbers [0]."),
]
Json = Annotated[bool, typer.Option("--json", help="Results as JSON on stdout; text for people goes to stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
Coordinator = Annotated[
    str | None,
    typer.Option(
        "--coordinator", metavar="HOST:PORT|auto", help="Train with other processes; here process 0 is found."
    ),
]
Processes = Annotated[
    int | None, typer.Option("--processes", metavar="N", min=2, help="Processes that train together.")
]
ProcessNumber = Annotated[
    int | None, typer.Option("--process", metavar="I", min=0, help="Which of them this one is, from 0.")
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Also write what TensorBoard shows; needs tensorboardX.")
]
Untrained = Annotated[bool, typer.Option("--untrained", help="Compile seeded random trinary weights.")]
Model = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="Compile this trained model. [default: DIR's own]")
]
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
Engine = Annotated[
    str | None,
    typer.Option("--engine", metavar="NAME", help="Simulator engine. [default: auto, which says why]"),
]
Streams = Annotated[
    int | None,
    typer.Option("--streams", metavar="N", min=1, help="Chips side by side. [default: as the input has]"),
]
Devices = Annotated[
    int | None, typer.Option("--devices", metavar="N", min=1, help="Devices that share the work. [default: 1]")
]
Split = Annotated[
    str | None, typer.Option("--split", metavar="streams|cores", help="What is dealt to them. [default: streams]")
]
Input = Annotated[
    Path | None,
    typer.Option("--input", metavar="SPIKES", help="Run these spikes: .csv, .npz, .parquet, IBM's or RANC's."),
]
Ticks = Annotated[
    int | None,
    typer.Option("--ticks", metavar="N", min=1, help="Ticks to run. [default: until the input is through]"),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Output spikes, kind by ending, such as .csv; - is stdout."),
]
Expect = Annotated[
    Path | None, typer.Option("--expect", metavar="SPIKES", help="Compare the output spikes with these.")
]
Record = Annotated[
    Path | None, typer.Option("--record", metavar="FILE", help="Spikes of the watched cores: .csv, .npz or .parquet.")
]
Watch = Annotated[
    str | None, typer.Option("--watch", metavar="CORES", help="Cores to record, such as 0,5,7-9. [default: all]")
]
Potentials = Annotated[bool, typer.Option("--potentials", help="Record potentials too, a row a neuron and tick.")]
State = Annotated[Path | None, typer.Option("--state", metavar="FILE", help="Go on from a saved state.")]
SaveState = Annotated[
    Path | None, typer.Option("--save-state", metavar="FILE", help="Save the state at the end, or at an interrupt.")
]
Format = Annotated[str | None, typer.Option("--format", metavar="ibm|ranc", help="Kind of file. [default: by content]")]
ToFormat = Annotated[str, typer.Option("--format", metavar="ibm|ranc|model", help="What to write.")]
NewFolder = Annotated[Path, typer.Option("--out", metavar="DIR", parser=_folder, help="Folder to write.")]
RancConfig = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="RANC's config.json. [default: what the network shows]")
]
PotentialBits = Annotated[
    int | None,
    typer.Option("--potential-bits", metavar="N", help="Width of RANC's potentials. [default: 32; memory files: 9]"),
]
ChipPath = Annotated[
    Path, typer.Argument(metavar="DIR", help="A run or import folder, or a chip image.", show_default=False)
]
Neuron = Annotated[
    str | None, typer.Option("--neuron", metavar="CORE,NEURON", help="Say which value of the net a neuron carries.")
]
Graph = Annotated[
    Path | None, typer.Option("--graph", metavar="FILE", help="Write the core graph as GraphML, for networkx or Gephi.")
]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Draw a picture, .png or .svg; needs matplotlib.")
]
What = Annotated[
    str | None,
    typer.Option(
        "--what",
        metavar="NAMES",
        help="Draw these of placement, links, utilisation, wirelength, which are all, and of curves. [default: all]",
    ),
]
Beside = Annotated[
    list[Path] | None,
    typer.Option("--beside", metavar="DIR", help="Draw the curves of this run folder too; may be repeated."),
]
Spikes = Annotated[
    Path | None, typer.Option("--spikes", metavar="FILE", help="Weigh links with these spikes, of simulate --record.")
]
SampleFrames = Annotated[
    int | None, typer.Option("--frames", metavar="N", min=1, help="Weigh links with the spikes of N test images.")
]
Value = Annotated[
    str | None,
    typer.Option("--value", metavar="LAYER,X,Y,FEATURE", help="Say which neurons carry a value of a layer's output."),
]
Volts = Annotated[
    float | None,
    typer.Option(
        "--volts", metavar="V", help="Estimate the chip's power and speed at this supply voltage, 0.70 … 1.05."
    ),
]
Reported = Annotated[
    list[Path], typer.Argument(metavar="DIR", help="Run folders, or import folders.", show_default=False)
]
ReportOut = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="The page. [default: DIR/report.html; of several, ./report.html]"),
]
Figures = Annotated[
    Path | None, typer.Option("--figures", metavar="DIR", help="Also write each figure here, as PNG and as SVG.")
]
RasterLayers = Annotated[
    str | None, typer.Option("--layers", metavar="A,B", help="Layers in the raster of spikes. [default: all]")
]
RandomImages = Annotated[
    bool, typer.Option("--random-images", help="Random pixels instead of the data set, which is then not needed.")
]
Grid = Annotated[
    list[str] | None,
    typer.Option("--grid", metavar="A.B=V1,V2,…", help="Values of a key, all combined with those of other --grid."),
]
PointsFile = Annotated[
    Path | None, typer.Option("--points", metavar="FILE", help="The points instead: .csv, or mappings in YAML.")
]
Steps = Annotated[
    str | None, typer.Option("--steps", metavar="NAMES", help="What is done. [default: train,compile,simulate]")
]
SweepModel = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="Compile this trained model for every point.")
]
SweepFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", parser=_folder, help="Folder of all points. [default: runs/NAME-explore]"),
]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", min=1, help="Points at a time. [default: half the cores]")
]
Cluster = Annotated[
    str | None, typer.Option("--cluster", metavar="NAME", help="Run points as jobs, by submitit: slurm, local.")
]
ClusterOptions = Annotated[
    list[str] | None,
    typer.Option("--cluster-options", metavar="K=V", help="A job's option, as submitit has it; may be repeated."),
]
Objectives = Annotated[
    str | None,
    typer.Option("--objectives", metavar="NAMES", help="Columns that decide which points nothing beats."),
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
    tensorboard: TensorBoard = False,
    overrides: Set = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train, compile and simulate: the whole path from one command."""
    from tncompile import workflow

    loaded, folder = _open_experiment(experiment, out, overrides, seed)
    workflow.check_trinary(loaded)
    given = _arguments(experiment, out, overrides, seed)
    with _terminal(quiet) as terminal:
        with interruptible(lambda: _after_training(folder, "run", [*given, *_flag("--tensorboard", tensorboard)])):
            workflow.train_step(loaded, folder, terminal, resume=resume, tensorboard=tensorboard)
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
    tensorboard: TensorBoard = False,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process: ProcessNumber = None,
    overrides: Set = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the experiment's network."""
    from tncompile import workflow
    from tncompile.errors import ConfigError

    loaded, folder = _open_experiment(experiment, out, overrides, seed)
    given = _arguments(experiment, out, overrides, seed)
    shared = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    given += [part for option, value in shared.items() if value is not None for part in (option, str(value))]
    given += _flag("--tensorboard", tensorboard)
    if coordinator is None and (processes is not None or process is not None):
        raise ConfigError("--coordinator: is missing; --processes and --process go with --coordinator HOST:PORT")
    with ExitStack() as stack:
        stack.enter_context(interruptible(lambda: _after_training(folder, "train", given)))
        terminal = stack.enter_context(_terminal(quiet))
        if coordinator is not None:
            from tncompile.train.processes import join, stdout_to_stderr

            stack.enter_context(stdout_to_stderr())
            if not join(coordinator, processes, process, terminal):
                terminal = stack.enter_context(_terminal(quiet=True))
        results = workflow.train_step(loaded, folder, terminal, resume=resume, tensorboard=tensorboard)
    if results:  # the first process has them
        _finish(results, folder, as_json, quiet)


@app.command()
@guarded
def compile(
    experiment: ExperimentFile,
    out: Out = None,
    untrained: Untrained = False,
    model: Model = None,
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
    given = [*_arguments(experiment, out, overrides, seed), *_flag("--untrained", untrained)]
    with interruptible(lambda: _after_compiling(folder, given)), _terminal(quiet) as terminal:
        results = workflow.compile_step(
            loaded,
            folder,
            terminal,
            untrained=untrained,
            model=model,
            start_from=start_from,
            stop_after=stop_after,
            dump_ir=dump_ir,
            check_semantics=check_semantics,
        )
    _finish(results, folder, as_json, quiet)


@app.command()
@guarded
def simulate(
    folder: ChipPath,
    frames: Frames = None,
    random_images: RandomImages = False,
    input: Input = None,
    ticks: Ticks = None,
    output: Output = None,
    expect: Expect = None,
    record: Record = None,
    watch: Watch = None,
    potentials: Potentials = False,
    state: State = None,
    save_state: SaveState = None,
    volts: Volts = None,
    engine: Engine = None,
    streams: Streams = None,
    devices: Devices = None,
    split: Split = None,
    overrides: Set = None,
    seed: SimulateSeed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a chip: on the data set, comparing every spike with the model; or on spikes, those of other tools too."""
    files = {
        "--input": input, "--ticks": ticks, "--output": output, "--expect": expect, "--record": record,
        "--watch": watch, "--potentials": potentials or None, "--state": state, "--save-state": save_state,
        "--volts": volts,
    }  # fmt: skip
    images = {"--frames": frames, "--random-images": random_images or None, "--set": overrides}
    from tncompile.errors import ArtifactError

    if not folder.exists():
        raise ArtifactError(f"{folder}: cannot be read: No such file or directory; check the path")
    if not (folder / "experiment.yaml").is_file() or any(value is not None for value in files.values()):
        how = {"engine": engine, "streams": streams, "devices": devices, "split": split, "seed": seed}
        _simulate_spikes(folder, files, images, how, as_json, quiet)
        return
    from tncompile import workflow
    from tncompile.config.experiment import load_experiment

    run_folder = workflow.RunFolder(folder)
    keys = {"frames": frames, "engine": engine, "streams": streams, "devices": devices, "split": split}
    options = [*(overrides or []), *(part for key, value in keys.items() for part in _option(f"simulate.{key}", value))]
    loaded = load_experiment(run_folder.experiment, options)
    drawn = (loaded.seed if seed is None else seed) if random_images else None
    with interruptible(lambda: _after_simulating(run_folder)), _terminal(quiet) as terminal:
        results = workflow.simulate_step(loaded, run_folder, terminal, random=drawn)
    _finish(results, run_folder, as_json, quiet)


def _simulate_spikes(
    path: Path,
    files: dict[str, Any],
    images: dict[str, Any],
    how: dict[str, Any],
    as_json: bool,
    quiet: bool,
) -> None:
    """Runs spikes through a chip; `files`, `images` and `how` are the options by name, None where not given."""
    from tncompile import chip_run
    from tncompile.errors import ConfigError, SimulationError

    for option, value in images.items():
        if value is not None:
            raise ConfigError(f"{option}: is for test images in a run folder, not for a run of spikes; leave it out")
    options = {option.removeprefix("--").replace("-", "_"): value for option, value in files.items()} | how
    given = {option: value for option, value in options.items() if value is not None}
    if "watch" in given:
        given["watch"] = chip_run.parse_cores(given["watch"])
    if as_json and given.get("output") == chip_run.STDOUT:
        raise ConfigError("--output -: standard output takes the spikes or --json, not both; name a file")
    run = chip_run.SpikeRun(**given)
    resumable = run.save_state is not None
    with interruptible(lambda: _AFTER_SPIKES), _terminal(quiet) as terminal, stoppable(resumable) as stop:
        figures = chip_run.run_spikes(path, run, terminal, stop)
    if figures["ticks"] < figures["ticks_asked"]:
        raise KeyboardInterrupt(chip_run.advice(path, run, figures))
    _print(figures, chip_run.summary(figures), as_json, quiet, to_stderr=as_json or run.output == chip_run.STDOUT)
    if difference := chip_run.describe_difference(figures):
        raise SimulationError(difference)


_AFTER_SPIKES = "nothing is kept; with --save-state FILE, an interrupted run is kept up to there and can go on"


@app.command(name="import")
@guarded
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A chip of other tools.", show_default=False)],
    out: NewFolder,
    kind: Format = None,
    config: RancConfig = None,
    potential_bits: PotentialBits = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read IBM's TrueNorth model JSON or RANC's network JSON, to be simulated."""
    from tncompile import chip_run

    with interruptible(lambda: "the import is not whole; import again"):
        found = chip_run.import_chip(file, out, kind=kind, config=config, potential_bits=potential_bits)
    _print(found, chip_run.import_summary(found, out), as_json, quiet, to_stderr=as_json)


@app.command()
@guarded
def export(
    folder: ChipPath,
    kind: ToFormat,
    out: NewFolder,
    input: Input = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a chip image, and input spikes, in IBM's or RANC's format; or a trained model, for others to compile."""
    from tncompile import chip_run, workflow
    from tncompile.errors import ConfigError

    if kind == "model":
        if input is not None:
            raise ConfigError("--input: a model has no input spikes; leave it out")
        files = workflow.publish(workflow.RunFolder(folder), out)
        written = {"folder": str(out), "kind": kind}
        found = written | {"files": [{"file": name, "bytes": size} for name, size in files.items()]}
        _print(found, written | {"files": ", ".join(files)}, as_json, quiet, to_stderr=as_json)
        return
    with interruptible(lambda: "the export is not whole; export again"):
        written = chip_run.export_chip(folder, out, kind=kind, source=input)
    _print(written, chip_run.export_summary(written), as_json, quiet, to_stderr=as_json)


@app.command()
@guarded
def inspect(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder, or a model, stage or image file.")],
    neuron: Neuron = None,
    value: Value = None,
    graph: Graph = None,
    plot: Plot = None,
    what: What = None,
    beside: Beside = None,
    spikes: Spikes = None,
    frames: SampleFrames = None,
    random_images: RandomImages = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what is in a run folder or file, and draw it: layers, cores, utilisation, busiest links, training curves."""
    from tncompile import workflow
    from tncompile.report.curves import read_runs
    from tncompile.report.inspect import (
        board_view,
        inspect_activity,
        inspect_neuron,
        inspect_path,
        inspect_value,
        write_graph,
    )
    from tncompile.report.plots import BOARD, CURVES, asked, write_plot

    others = beside or []
    shown = asked(plot, what, others)
    with interruptible(lambda: "nothing was written"):
        activity = _activity(path, spikes, frames, random_images, quiet)
        found = {}
        if neuron is not None or value is not None or graph is not None:
            cores = workflow.read_core_graph(workflow.RunFolder(path))
            found |= {} if neuron is None else inspect_neuron(cores, neuron)
            found |= {} if value is None else inspect_value(cores, value)
            found |= {} if graph is None else write_graph(cores, graph)
        found |= {} if activity is None else inspect_activity(path, activity)
        if plot is not None:
            view = board_view(path, activity) if any(name in BOARD for name in shown) else None
            write_plot(plot, view, shown, read_runs([path, *others]) if CURVES in shown else ())
            found |= {"plot": str(plot), "shows": ", ".join(shown)}
        found = found or inspect_path(path)
    _print(found, found, as_json, quiet, to_stderr=as_json)


@app.command()
@guarded
def explore(
    experiment: ExperimentFile,
    grid: Grid = None,
    points: PointsFile = None,
    out: SweepFolder = None,
    steps: Steps = None,
    untrained: Untrained = False,
    model: SweepModel = None,
    workers: Workers = None,
    cluster: Cluster = None,
    cluster_options: ClusterOptions = None,
    objectives: Objectives = None,
    overrides: Set = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment with many values of its keys, and say which choices nothing beats."""
    from tncompile.errors import ConfigError
    from tncompile.explore.points import grid_points, read_points
    from tncompile.explore.sweep import check_failures, make_workers, plan, run_sweep
    from tncompile.explore.table import OBJECTIVES, document, parse_objectives
    from tncompile.report.tables import print_exploration

    if bool(grid) == (points is not None):
        found = "both are given" if grid else "neither is given"
        raise ConfigError(f"--grid KEY=V1,V2,… or --points FILE says what varies: {found}; give one of the two")
    sweep = plan(
        experiment,
        grid_points(grid or []) if points is None else read_points(points),
        out,
        steps=steps,
        untrained=untrained,
        model=model,
        overrides=overrides or [],
        seed=seed,
        objectives=OBJECTIVES if objectives is None else parse_objectives(objectives),
    )
    with interruptible(lambda: _after_exploring(sweep)), _terminal(quiet) as terminal:
        table = run_sweep(sweep, *make_workers(sweep, workers, cluster, cluster_options or []), terminal)
    if as_json:
        print(json.dumps(document(table), indent=2, ensure_ascii=False), flush=True)
    if not (quiet and as_json):
        print_exploration(table, sweep.folder, to_stderr=as_json)
    check_failures(table)


@app.command()
@guarded
def report(
    folders: Reported,
    out: ReportOut = None,
    figures: Figures = None,
    layers: RasterLayers = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a report of a run, or of several beside each other: one HTML file that needs no network."""
    from tncompile.report.page import write_report
    from tncompile.report.page.raster import parse_layers

    asked = () if layers is None else parse_layers(layers)
    with interruptible(lambda: "no report was written"):
        found = write_report(folders, out, figures=figures, layers=asked)
    shown = {key: len(value) if isinstance(value, list) else value for key, value in found.items()}
    _print(found, shown, as_json, quiet, to_stderr=as_json)


def _activity(path: Path, spikes: Path | None, frames: int | None, random_images: bool, quiet: bool) -> Any:
    """Returns the spikes that links are to be weighed with; None: none were asked for."""
    from tncompile.errors import ConfigError

    if spikes is not None and frames is not None:
        raise ConfigError("--frames: the spikes are those of --spikes; leave one of the two out")
    if random_images and frames is None:
        raise ConfigError("--random-images: says what --frames N are; give that too, or leave it out")
    if spikes is None and frames is None:
        return None
    from tncompile.chip_run import open_chip
    from tncompile.report.activity import folder_activity, recorded_activity
    from tncompile.workflow import RunFolder

    if spikes is not None:
        return recorded_activity(spikes, open_chip(path).image)
    with _terminal(quiet) as terminal:
        return folder_activity(RunFolder(path), frames or 0, terminal, random=random_images)


def _print(found: dict[str, Any], summary: dict[str, Any], as_json: bool, quiet: bool, *, to_stderr: bool) -> None:
    """Prints what a command found: all of it as JSON, a summary for people, or both."""
    from tncompile.report.tables import print_inspection

    if as_json:
        print(json.dumps(found, indent=2), flush=True)
    if not (quiet and as_json):
        print_inspection(summary, to_stderr=to_stderr)


def _option(key: str, value: Any) -> list[str]:
    return [] if value is None else [f"{key}={value}"]


def _flag(name: str, given: bool) -> list[str]:
    return [name] if given else []


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


def _after_exploring(sweep: Any) -> str:
    """Returns what to do after an interrupt of a sweep."""
    done = sum(row.status == "done" for row in sweep.rows)
    kept = f"{done} of {len(sweep.tasks)} points are done and kept"
    trainings = ", and so are checkpoints of trainings" * sweep.checkpoints
    return f"{kept}{trainings}; the same command goes on with the rest"


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
    from tncompile import workflow
    from tncompile.report.tables import print_summary

    if as_json:
        print(json.dumps(results, indent=2), flush=True)
    if not (quiet and as_json):
        print_summary(results, folder.root, to_stderr=as_json)
    workflow.check_spikes(results)
