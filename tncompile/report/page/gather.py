"""What a report shows of a folder: as much as is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tncompile import workflow
from tncompile.arch import ChipArch
from tncompile.chip_run import IMPORTED, open_chip, read_import
from tncompile.config.experiment import Experiment, load_experiment
from tncompile.data import DatasetSpec, load_spec
from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir import (
    ChipImage,
    CoreGraph,
    LogicalNet,
    PartitionedGraph,
    PlacedChip,
    RoutedChip,
    Stage,
    TrinaryNet,
    graph_of,
)
from tncompile.ir.io import read_bytes, read_stage
from tncompile.ir.text import digest
from tncompile.recording import Recording, read_recording
from tncompile.report.curves import Run, read_runs
from tncompile.report.page.amounts import Number
from tncompile.report.page.layers import Layer, layers_of
from tncompile.report.plots.view import BoardView, view_of_image, view_of_stage
from tncompile.share import share


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """What the paper reached on a data set with one chip.

    Attributes:
        title: of the data set there.
        accuracy: share of right answers.
        cores: used.
        fps: frames a second; None: not noted.
        mw: power [mW]; None: not noted.
        fps_per_w: frames a second and watt; None: not noted.
    """

    title: str
    accuracy: float
    cores: int
    fps: Number | None
    mw: Number | None
    fps_per_w: Number | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A folder's content, each part None or empty where it is not there.

    Attributes:
        path: the folder, as it was named.
        name: of the experiment, or of the folder.
        results: content of results.json.
        imported: content of import.json, of a chip of other tools.
        experiment: what was run.
        spec: its data set.
        paper: the paper's row of that data set.
        training: its curves.
        layers: in the order of the data's way.
        rates: what the layers' firing rates were counted in, for people; None: nobody counted.
        graph: the cores.
        view: the board with its cores.
        recording: of the simulation.
    """

    path: Path
    name: str
    results: Mapping[str, Any]
    imported: Mapping[str, Any] | None
    experiment: Experiment | None
    spec: DatasetSpec | None
    paper: PaperRow | None
    training: Run | None
    layers: tuple[Layer, ...]
    rates: str | None
    graph: CoreGraph | None
    view: BoardView | None
    recording: Recording | None

    @property
    def trained(self) -> Mapping[str, Any]:
        """What results.json says of the training."""
        return self.results.get("train", {})

    @property
    def compiled(self) -> Mapping[str, Any]:
        """What results.json says of the compilation."""
        return self.results.get("compile", {})

    @property
    def simulated(self) -> Mapping[str, Any]:
        """What results.json says of the simulation."""
        return self.results.get("simulate", {})

    @property
    def physics(self) -> Mapping[str, Any]:
        """What results.json says of the chip's power and speed."""
        return self.simulated.get("chip") or {}

    @property
    def arch(self) -> ChipArch | None:
        """The board."""
        return None if self.view is None else self.view.arch

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return () if self.spec is None else self.spec.class_names


def gather(path: Path) -> Gathered:
    """Returns what is in a run folder, of whatever steps are done, or in an import folder.

    Raises:
        ArtifactError: there is no such folder, it is neither of them, or a file in it is damaged.
        ConfigError: its experiment is not valid.
    """
    if not path.is_dir():
        found = "is a file" if path.exists() else "there is no such folder"
        raise ArtifactError(f"{path}: {found}; name the folder of an earlier 'tncompile run' or 'tncompile import'")
    if (path / IMPORTED).exists():
        return _imported(path)
    folder = workflow.RunFolder(path)
    curves = folder.metrics.is_file()
    if not curves or folder.experiment.is_file():  # a training that goes on has written nothing but its measurements
        folder.check()
    experiment = load_experiment(folder.experiment) if folder.experiment.is_file() else None
    results = folder.read_results()
    stage = _last_stage(folder)
    graph, net = _graph(stage), _net(stage)
    chip = view = recording = None
    if experiment is not None and isinstance(stage, PlacedChip | RoutedChip):
        view = view_of_stage(stage, experiment.arch)
    wanted = "simulate" in results and folder.simulation.is_file()
    if folder.image.is_file() and (wanted or stage is None):
        chip = read_stage(folder.image, expect=ChipImage)
    if chip is not None and view is None:
        view = view_of_image(chip, ChipArch.model_validate_json(chip.arch))
    if chip is not None and wanted:
        recording = read_recording(folder.simulation, chip, digest(chip))
    spec = None if experiment is None else _spec(experiment)
    layers, rates = layers_of(net, graph, None if recording is None else recording.events)
    return Gathered(
        path=path,
        name=path.resolve().name if experiment is None else experiment.name,
        results=results,
        imported=None,
        experiment=experiment,
        spec=spec,
        paper=None if experiment is None else paper_row(experiment.data.name),
        training=read_runs([path])[0] if curves else None,
        layers=layers,
        rates=rates,
        graph=graph,
        view=view,
        recording=recording,
    )


def _imported(path: Path) -> Gathered:
    chip = open_chip(path).image
    return Gathered(
        path=path,
        name=path.resolve().name,
        results={},
        imported=read_import(path),
        experiment=None,
        spec=None,
        paper=None,
        training=None,
        layers=(),
        rates=None,
        graph=None,
        view=view_of_image(chip, ChipArch.model_validate_json(chip.arch)),
        recording=None,
    )


def paper_row(data: str) -> PaperRow | None:
    """Returns the paper's row of a data set, None if it has none."""
    path = share("experiments") / "paper.json"
    for row in json.loads(read_bytes(path))["rows"]:
        if row["data"] == data:
            return PaperRow(
                title=row["title"],
                accuracy=row["accuracy"],
                cores=row["cores"],
                fps=row.get("fps"),
                mw=row.get("mW"),
                fps_per_w=row.get("fps_per_W"),
            )
    return None


def _spec(experiment: Experiment) -> DatasetSpec | None:
    """Returns the experiment's data set, None if it is one's own and not at hand: the report names classes then."""
    try:
        return load_spec(experiment.data)
    except (ArtifactError, ConfigError):
        return None


def _last_stage(folder: workflow.RunFolder) -> Stage | None:
    """Returns the last stage that lies in a run folder, with all that it refers to; an image refers to none."""
    there = []
    for pass_name in workflow.step_names():
        if not folder.stage(pass_name).exists():
            break
        there.append(pass_name)
    images = {each.name for each in workflow.DEFAULT_PIPELINE if each.gives is ChipImage}
    there = [name for name in there if name not in images]
    return workflow.read_stages(folder, there[-1]) if there else None


def _graph(stage: Stage | None) -> CoreGraph | None:
    match stage:
        case RoutedChip():
            return graph_of(stage)
        case PlacedChip():
            return stage.source.source
        case PartitionedGraph():
            return stage.source
        case CoreGraph():
            return stage
    return None


def _net(stage: Stage | None) -> LogicalNet | None:
    match stage:
        case LogicalNet():
            return stage
        case TrinaryNet():
            return stage.source
    graph = _graph(stage)
    return None if graph is None else graph.source.source
