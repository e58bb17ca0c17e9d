"""What is in a run folder or in one of its files, as plain data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from tncompile import workflow
from tncompile.analysis.detours import detour_figures
from tncompile.analysis.graph import core_graph
from tncompile.analysis.neuron_map import carried_by, neurons_of
from tncompile.analysis.traffic import Activity, busiest_links, chip_traffic, packet_counts, paths, traffic
from tncompile.analysis.utilisation import utilisation
from tncompile.analysis.work import work
from tncompile.arch import ChipArch
from tncompile.chip_run import IMPORTED, open_chip, read_import
from tncompile.config.experiment import load_experiment
from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir import (
    ChipImage,
    CoreGraph,
    Direction,
    LogicalNet,
    PartitionedGraph,
    PlacedChip,
    RoutedChip,
    Stage,
    TrinaryNet,
)
from tncompile.ir.io import StageHeader, atomic_write, read_header, read_stage
from tncompile.ir.text import digest
from tncompile.report.plots.view import BoardView, view_of_image, view_of_stage

BUSIEST = 10
"""Busiest links that are listed."""

_MODELS = ("model.safetensors", "untrained.safetensors")
_IMAGE = "chip.safetensors"


def inspect_path(path: Path) -> dict[str, Any]:
    """Returns what a run folder, stage file, chip image or model file holds: values, and lists of rows.

    Raises:
        ArtifactError: there is nothing at the path, or it is damaged.
    """
    if not path.exists():
        raise ArtifactError(f"{path}: there is no such file or folder; check the path")
    return _folder(path) if path.is_dir() else _file(path)


def inspect_neuron(graph: CoreGraph, text: str) -> dict[str, Any]:
    """Returns which value of the net a neuron carries.

    Args:
        graph: the core graph.
        text: `CORE,NEURON`.

    Raises:
        ConfigError: the text is of another form, or there is no such neuron.
    """
    core, neuron = _numbers("--neuron", text.split(","), "CORE,NEURON", "12,0", 2)
    carried = carried_by(graph, core, neuron)
    return {"neuron": text, "carries": [] if carried is None else [asdict(carried)], "used": carried is not None}


def inspect_value(graph: CoreGraph, text: str) -> dict[str, Any]:
    """Returns which neurons carry a value of a layer's output map.

    Args:
        graph: the core graph.
        text: `LAYER,X,Y,FEATURE`; layer `input` has the bits that the host sends.

    Raises:
        ConfigError: the text is of another form, or there is no such value.
    """
    layer, *place = text.split(",")
    x, y, feature = _numbers("--value", place, "LAYER,X,Y,FEATURE", "conv0,3,2,17", 3)
    found = neurons_of(graph, layer.strip(), x, y, feature)
    return {"value": text, "copies": len(found), "carried_by": [asdict(carried) for carried in found]}


def write_graph(graph: CoreGraph, path: Path) -> dict[str, Any]:
    """Writes the core graph as GraphML and returns its size.

    Raises:
        ArtifactError: the file cannot be written.
    """
    digraph = core_graph(graph)
    for _, attributes in digraph.nodes(data=True):
        attributes["block"] = " ".join(map(str, attributes["block"]))  # GraphML knows no tuples
    atomic_write(path, "\n".join(nx.generate_graphml(digraph)) + "\n")
    return {"graph": str(path), "cores": digraph.number_of_nodes(), "arcs": digraph.number_of_edges()}


def inspect_activity(path: Path, activity: Activity) -> dict[str, Any]:
    """Returns what spikes load on the links of a chip.

    Args:
        path: a run or import folder, or a chip image.
        activity: its neurons' spikes.

    Raises:
        ArtifactError: there is no chip image.
        SimulationError: the spikes are those of another chip.
    """
    image = open_chip(path).image
    packets = paths(image)
    sent = packet_counts(packets, activity)
    hops = np.abs(packets.dx.astype(np.int64)) + np.abs(packets.dy.astype(np.int64))
    return {
        "activity": activity.source,
        "ticks": activity.ticks,
        "spikes": int(activity.spikes.sum()),
        "spikes_to_cores": int(sent.sum()),
        "hops_per_spike": float((sent * hops).sum() / max(int(sent.sum()), 1)),
        **_loads(image, ChipArch.model_validate_json(image.arch), activity),
    }


def board_view(path: Path, activity: Activity | None = None) -> BoardView:
    """Returns what pictures show of a run or import folder, or of a chip image.

    Args:
        path: the folder or file.
        activity: spikes to weigh ways and links with; None: every neuron counts once.

    Raises:
        ArtifactError: there is none, it is damaged, or nothing is placed yet.
        SimulationError: the spikes are those of another chip.
    """
    folder = workflow.RunFolder(path)
    if not path.exists():
        raise ArtifactError(f"{path}: there is no such file or folder; check the path")
    if path.is_file() and _is_model(path):
        raise ArtifactError(f"{path}: is a model, whose neurons are on no chip yet; name a run folder or a chip image")
    if not path.is_dir() or (path / IMPORTED).exists() or not folder.experiment.is_file():
        image = open_chip(path).image
        return view_of_image(image, ChipArch.model_validate_json(image.arch), activity)
    arch = load_experiment(folder.experiment).arch
    stages = {p.gives: p.name for p in workflow.DEFAULT_PIPELINE if p.gives in (PlacedChip, RoutedChip)}
    name = next((stages[kind] for kind in (RoutedChip, PlacedChip) if folder.stage(stages[kind]).exists()), None)
    if name is None:
        raise ArtifactError(
            f"{folder.stage(stages[PlacedChip])}: is missing, so no core has a place yet; go on with 'tncompile "
            "compile'"
        )
    stage = workflow.read_stages(folder, name)
    assert isinstance(stage, PlacedChip | RoutedChip)
    return view_of_stage(stage, arch, activity)


def _loads(chip: RoutedChip | ChipImage, arch: ChipArch, activity: Activity | None = None) -> dict[str, Any]:
    """Returns the busiest links, and what crosses the edges of chips if there are several."""
    load = traffic(paths(chip), arch.size, activity)

    def figures(packets: int) -> dict[str, Any]:
        return {"arcs": packets} if activity is None else {"spikes_a_tick": packets / activity.ticks, "spikes": packets}

    def amount(packets: int) -> int | float:
        return packets if activity is None else packets / activity.ticks

    return {
        "busiest_links": [
            {"x": at.x, "y": at.y, "to": at.direction.name.lower(), **figures(at.packets), "chip_edge": at.edge}
            for at in busiest_links(load, arch, BUSIEST)
        ],
        "chip_edges": [
            {
                "chip": at.chip,
                **{side.name.lower(): amount(at.leaving[side]) for side in Direction},
                "entering": amount(at.entering),
                "all": amount(at.all),
                "limit_%": 100 * amount(at.all) / arch.edge_spikes_per_tick,
            }
            for at in chip_traffic(load, arch)
        ],
    }


def _numbers(option: str, parts: list[str], form: str, example: str, count: int) -> list[int]:
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise ConfigError(f"{option}: must be {form} in whole numbers, for example {example}")
    return numbers


def _folder(path: Path) -> dict[str, Any]:
    if (path / IMPORTED).exists():
        return _imported(path)
    stages = sorted((path / "stages").glob("*.safetensors"))
    models = [path / name for name in _MODELS if (path / name).exists()]
    if not stages and not models:
        raise ArtifactError(
            f"{path}: is no run folder: it has neither a model nor stages; name another folder, or a file"
        )
    found: dict[str, Any] = {"folder": str(path)}
    if models:
        found["models"] = [row for model in models for row in _model(model)["models"]]
        found["weights"] = [row for model in models for row in _model(model)["weights"]]
    stage, experiment = None, workflow.RunFolder(path).experiment
    for file in stages:
        stage = _read(file, read_header(file), stage)
        if not isinstance(stage, ChipImage):
            found |= {k: v for k, v in _describe(stage).items() if k != "kind"}
        if isinstance(stage, RoutedChip) and experiment.is_file() and not (path / _IMAGE).exists():
            found |= _loads(stage, load_experiment(experiment).arch)
    if "utilisation" in found:
        found |= _savings(workflow.RunFolder(path).read_results().get("compile", {}))
    if (path / _IMAGE).exists():
        found |= {k: v for k, v in _file(path / _IMAGE).items() if k not in ("kind", "file")}
    return found


def _savings(compiled: dict[str, Any]) -> dict[str, Any]:
    """Returns what each saving saves, a row each; nothing if nobody counted."""
    counts = compiled.get("cores_by_saving", {})
    before = [None, *counts.values()]
    rows = [
        {"saving": name, "cores": cores, "saves": None if None in (earlier, cores) else earlier - cores}
        for (name, cores), earlier in zip(counts.items(), before, strict=False)
    ]
    return {"savings": rows} if rows else {}


def _imported(path: Path) -> dict[str, Any]:
    told = read_import(path)
    image = {key: value for key, value in _image(open_chip(path).image).items() if key != "kind"}
    source = {key: told[key] for key in ("source", "sha256", "input_spikes")}
    notes = [{"note": note} for note in told["notes"]]
    return {"folder": str(path), "imported_as": told["kind"], **source, **image, "notes": notes}


def _file(path: Path) -> dict[str, Any]:
    if _is_model(path):
        return {"file": str(path), "kind": "model", **_model(path)}
    return {"file": str(path), **_describe(_with_sources(path, read_header(path)))}


def _with_sources(path: Path, header: StageHeader) -> Stage:
    """Returns a stage with those that it refers to, which lie beside it."""
    if header.source is None:
        return read_stage(path)
    for file in sorted(path.parent.glob("*.safetensors")):
        if file != path and not _is_model(file):
            beside = read_header(file)
            if beside.digest == header.source:
                return read_stage(path, source=_with_sources(file, beside))
    raise ArtifactError(f"{path}: refers to a stage that does not lie beside it; keep the files of `stages` together")


def _is_model(path: Path) -> bool:
    """Returns whether a file says that it is a model; whether it is a sound one shows when it is read."""
    try:
        with path.open("rb") as file:
            return b"tncompile-model" in file.read(min(int.from_bytes(file.read(8), "little"), 1 << 20))
    except OSError:
        return False


def _read(path: Path, header: StageHeader, before: Stage | None) -> Stage:
    return read_stage(path, source=before if header.source is not None else None)


def _model(path: Path) -> dict[str, Any]:
    from tncompile.nn.store import read_model

    meta, tensors = read_model(path)
    rows = [
        {
            "model": path.name,
            "layer": layer["name"],
            "weights": trinary.size,
            "nonzero_%": 100 * float((trinary != 0).mean()),
            "positive_%": 100 * float((trinary > 0).mean()),
        }
        for layer in meta["net"]["layers"]
        if (trinary := tensors.get(f"{layer['name']}/trinary")) is not None
    ]
    about = {"model": path.name, "trained": meta.get("trained"), "seed": meta.get("seed")}
    if training := meta.get(workflow.TRAINING):
        about |= {"learned": meta["data"]["name"], "kind": training["data"]["kind"], "accuracy": training["accuracy"]}
    return {"models": [about], "weights": rows}


def _describe(stage: Stage) -> dict[str, Any]:
    match stage:
        case LogicalNet():
            return {"kind": "LogicalNet", "layers": _layers(stage)}
        case TrinaryNet():
            rows = [
                {
                    "layer": layer.conv.name,
                    "nonzero_%": 100 * float((weights != 0).mean()),
                    "leak_min": int(leak.min()),
                    "leak_max": int(leak.max()),
                }
                for layer, weights, leak in zip(stage.source.layers, stage.weights, stage.leak, strict=True)
            ]
            return {"kind": "TrinaryNet", "trinary": rows}
        case CoreGraph():
            return {
                "kind": "CoreGraph",
                "cores": stage.cores,
                "latency_ticks": stage.latency,
                "input_packets_per_bit": len(stage.input_lines.bit) / stage.source.source.layers[0].conv.inputs,
                "utilisation": [_percentages(asdict(row)) for row in utilisation(stage)],
                "a_frame": _work(stage),
            }
        case PartitionedGraph():
            chips, cores = np.unique(stage.core_chip, return_counts=True)
            rows = [{"chip": int(chip), "cores": int(n)} for chip, n in zip(chips, cores, strict=True)]
            return {"kind": "PartitionedGraph", "cut": stage.cut, "chips": rows}
        case PlacedChip():
            return {"kind": "PlacedChip", "wirelength": stage.wirelength}
        case RoutedChip():
            return {
                "kind": "RoutedChip",
                "busiest_link": int(stage.link_load.max(initial=0)),
                "crossings": stage.crossings,
                "detours": detour_figures(stage),
            }
        case ChipImage():
            return _image(stage)
    raise ArtifactError(f"nothing is known of a {type(stage).__name__}")


def _percentages(row: dict[str, Any]) -> dict[str, Any]:
    shares = ("axons", "neurons")
    return {f"{k}_%" if k in shares else k: 100 * v if k in shares else v for k, v in row.items()}


def _layers(net: LogicalNet) -> list[dict[str, Any]]:
    convs = (net.transduction.conv, *(layer.conv for layer in net.layers))
    return [
        {
            "layer": conv.name,
            "kernel": "×".join(map(str, conv.kernel)),
            "stride": "×".join(map(str, conv.stride)),
            "groups": conv.groups,
            "in": "×".join(map(str, conv.in_shape)),
            "out": "×".join(map(str, conv.out_shape)),
            "fan_in": conv.fan_in,
            "MOP_a_frame": 2e-6 * conv.fan_in * conv.outputs,
        }
        for conv in convs
    ]


def _work(graph: CoreGraph) -> list[dict[str, Any]]:
    """Returns what the cores do for a frame, a row each."""
    done = work(graph)
    counts = {"spikes": done.spikes, "host packets": done.host_packets, "synaptic events": done.synaptic_events}
    return [{"what": what, **asdict(count)} for what, count in counts.items()]


def _image(image: ChipImage) -> dict[str, Any]:
    arch = ChipArch.model_validate_json(image.arch)
    used = image.neurons.leak[np.unique(image.neuron_type)]
    delay = image.target_delay[image.target_delay > 0]
    limits = [
        ("axons a core", _most_axons(image), arch.axons),
        ("neurons a core", int((image.neuron_type > 0).sum(1).max(initial=0)), arch.neurons),
        ("cores", len(image.core_x), sum(arch.capacity(chip) for chip in range(arch.chips))),
        ("delay [tick]", int(delay.max(initial=0)), arch.delay_max),
        ("|dx| [core]", int(np.abs(image.dx.astype(int)).max(initial=0)), arch.offset_max),
        ("|dy| [core]", int(np.abs(image.dy.astype(int)).max(initial=0)), arch.offset_max),
        ("|leak| [LSB]", int(np.abs(used.astype(int)).max(initial=0)), arch.leak_max),
    ]
    return {
        "kind": "ChipImage",
        "chip": arch.name,
        "image_cores": len(image.core_x),
        "distinct_crossbars": len(image.crossbars),
        "neurons": int((image.neuron_type > 0).sum()),
        "synapses": int(np.bitwise_count(image.crossbars).sum(axis=(1, 2), dtype=np.int64)[image.core_crossbar].sum()),
        "input_bits": image.input_bits,
        "output_pins": image.output_pins,
        "latency_ticks": image.latency if image.latency >= 0 else "not known",
        "digest": digest(image),
        "limits": [{"what": what, "used": used, "limit": limit} for what, used, limit in limits],
        **_loads(image, arch),
    }


def _most_axons(image: ChipImage) -> int:
    """Returns the largest number of axons of a core that anything is connected to."""
    rows = (image.crossbars != 0).any(axis=2).sum(axis=1)
    return int(rows[image.core_crossbar].max(initial=0))
