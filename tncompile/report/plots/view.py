"""What a picture of a board shows, as plain arrays; no drawing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Int16, Int32, Int64, UInt8

from tncompile.analysis.graph import layer_names
from tncompile.analysis.traffic import Activity, hop_counts, paths, traffic
from tncompile.analysis.utilisation import axons_used, neurons_used
from tncompile.arch import ChipArch
from tncompile.config.net import KINDS
from tncompile.ir import (
    INPUT_LAYER,
    UNUSED,
    ChipImage,
    Conv,
    CoreGraph,
    CoreKind,
    PlacedChip,
    RoutedChip,
    graph_of,
    sites_of,
)
from tncompile.ir.base import Record

FREE, DEAD = -1, -2
"""What `sites` has for a site without a core, and for a faulty one."""


class Mark(IntEnum):
    """How a core is told apart from others of its label."""

    PLAIN = 0
    SPLITTER = 1
    SHARED = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardView(Record):
    """A board with its cores, as pictures show it.

    Attributes:
        name: of the network or chip.
        arch: the board.
        unit: what is counted on links and ways: "arcs", or "spikes" where activity was measured.
        per: ticks that they were counted in; 1 for arcs [tick].
        labels: of the cores, in the order of the data's way.
        core_x, core_y: site of each core.
        core_label: row of `labels`.
        core_mark: a `Mark` each.
        core_guest: the label of most of the other neurons in a shared core; that of the core itself if it is not one.
        axons, neurons: used ones of each core.
        load: packets on each link; None if the way of the packets is not known yet.
        hops: packets by length of their way, those that stay on their chip and those that do not.
    """

    name: str
    arch: ChipArch
    unit: str
    per: int
    labels: tuple[str, ...]
    core_x: Int32[np.ndarray, " cores"]
    core_y: Int32[np.ndarray, " cores"]
    core_label: Int16[np.ndarray, " cores"]
    core_mark: UInt8[np.ndarray, " cores"]
    core_guest: Int16[np.ndarray, " cores"]
    axons: Int64[np.ndarray, " cores"]
    neurons: Int64[np.ndarray, " cores"]
    load: Int64[np.ndarray, "4 height width"] | None
    hops: Int64[np.ndarray, "2 lengths"]

    @property
    def cores(self) -> int:
        """How many cores there are."""
        return len(self.core_x)


def view_of_stage(stage: PlacedChip | RoutedChip, arch: ChipArch, activity: Activity | None = None) -> BoardView:
    """Returns the view of a compiled network; without loads if it is only placed.

    Args:
        stage: the network on its board.
        arch: the board.
        activity: spikes to weigh ways and links with; None: every neuron counts once.

    Raises:
        SimulationError: the spikes are those of another chip.
    """
    if isinstance(stage, RoutedChip):
        graph, (core_x, core_y) = graph_of(stage), sites_of(stage)
    else:
        graph, core_x, core_y = stage.source.source, stage.core_x, stage.core_y
    packets = paths(stage)
    names = layer_names(graph)
    convs = {number: layer.conv for number, layer in enumerate(graph.source.source.layers)}
    labels = tuple(f"{name} {notation(convs[number])}" if number in convs else name for number, name in names.items())
    guest = _guests(graph)
    mark = np.where(guest != graph.core_layer, Mark.SHARED, Mark.PLAIN)
    return BoardView(
        name=graph.source.source.name,
        arch=arch,
        unit="arcs" if activity is None else "spikes",
        per=1 if activity is None else activity.ticks,
        labels=labels,
        core_x=core_x,
        core_y=core_y,
        core_label=(graph.core_layer - INPUT_LAYER).astype(np.int16),
        core_mark=np.where(graph.core_kind != CoreKind.LAYER, Mark.SPLITTER, mark).astype(np.uint8),
        core_guest=(guest - INPUT_LAYER).astype(np.int16),
        axons=axons_used(graph),
        neurons=neurons_used(graph),
        load=traffic(packets, arch.size, activity) if isinstance(stage, RoutedChip) else None,
        hops=hop_counts(packets, arch, activity),
    )


def view_of_image(image: ChipImage, arch: ChipArch, activity: Activity | None = None) -> BoardView:
    """Returns the view of a chip image, which knows no layers; arguments and errors as `view_of_stage`.

    An axon is used if a crosspoint is set on it, a neuron if it has a type.
    """
    packets = paths(image)
    none = np.zeros(len(image.core_x), np.int16)
    connected = (image.crossbars != 0).any(axis=2).sum(axis=1)
    return BoardView(
        name=arch.name,
        arch=arch,
        unit="arcs" if activity is None else "spikes",
        per=1 if activity is None else activity.ticks,
        labels=("cores",),
        core_x=image.core_x,
        core_y=image.core_y,
        core_label=none,
        core_mark=none.astype(np.uint8),
        core_guest=none,
        axons=connected[image.core_crossbar].astype(np.int64),
        neurons=(image.neuron_type > 0).sum(axis=1).astype(np.int64),
        load=traffic(packets, arch.size, activity),
        hops=hop_counts(packets, arch, activity),
    )


def sites(view: BoardView) -> Int32[np.ndarray, "height width"]:
    """Returns the core on each site [y, x], or FREE or DEAD."""
    width, height = view.arch.size
    found = np.full((height, width), FREE, np.int32)
    for x, y in view.arch.blockages:
        found[y, x] = DEAD
    found[view.core_y, view.core_x] = np.arange(view.cores)
    return found


def notation(conv: Conv) -> str:
    """Returns a layer in the paper's notation."""
    kind = next((k for k, v in KINDS.items() if v == (conv.kernel[0], conv.stride[0], conv.padding[0])), "conv")
    return f"{kind}-{conv.features}" + (f"({conv.groups})" if conv.groups > 1 else "")


def _guests(graph: CoreGraph) -> Int16[np.ndarray, " cores"]:
    """Returns the layer that most of a core's neurons carry which are not of the core's own; without such, its own."""
    layers = len(graph.source.source.layers)
    core, neuron = np.nonzero((graph.neuron_layer != UNUSED) & (graph.neuron_layer != graph.core_layer[:, None]))
    carried = graph.neuron_layer[core, neuron].astype(np.int64) - INPUT_LAYER
    counts = np.bincount(core * (layers + 1) + carried, minlength=graph.cores * (layers + 1)).reshape(graph.cores, -1)
    guest = counts.argmax(axis=1) + INPUT_LAYER
    return np.where(counts.any(axis=1), guest, graph.core_layer).astype(np.int16)
