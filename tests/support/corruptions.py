"""One surgical corruption of a valid stage for every violation code."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy as copy_of
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from support.random_nets import random_net

from passes.default_pipeline import DEFAULT_PIPELINE
from passes.emit import EmitConfig, emit
from passes.place import PlaceConfig, place
from passes.route import RouteConfig, route
from tncompile.arch import TRUENORTH, ChipArch
from tncompile.errors import RoutingError, VerificationError
from tncompile.ir import (
    NO_TARGET,
    OUTPUT_PIN,
    UNUSED,
    ChipImage,
    CoreGraph,
    CoreKind,
    Detours,
    LogicalNet,
    PartitionedGraph,
    PlacedChip,
    RoutedChip,
    SpikeCounts,
    Stage,
    TrinaryNet,
)
from tncompile.verify import verify
from tncompile.verify.image import verify_against

ARCH = ChipArch(name="small", axons=16, neurons=16, grid=(4, 4), board=(2, 2), dead_cores=((0, 0), (7, 3)))


@dataclass(frozen=True)
class Built:
    """All stages of one compilation."""

    logical: LogicalNet
    trinary: TrinaryNet
    graph: CoreGraph
    partitioned: PartitionedGraph
    placed: PlacedChip
    routed: RoutedChip
    image: ChipImage


@dataclass(frozen=True)
class Case:
    """What a verifier is given.

    Attributes:
        stage: what to verify.
        arch: the chip.
        against: the routed chip that an image is compared with, or None to verify the stage by itself.
    """

    stage: Stage
    arch: ChipArch = ARCH
    against: RoutedChip | None = None

    def codes(self) -> frozenset[str]:
        """Returns the codes that the verifier raises, none if it accepts."""
        try:
            if self.against is None:
                verify(self.stage, self.arch)
            else:
                assert isinstance(self.stage, ChipImage)
                verify_against(self.stage, self.against, self.arch)
        except VerificationError as error:
            return error.codes
        return frozenset()


NOTHING_SAVED = {"share_cores": False, "drop_unread": False, "fold_constants": False}
"""Options of pack under which random nets keep many cores, splitters and axons that nobody hears."""


def build(net: LogicalNet, arch: ChipArch, **options: Any) -> Built:
    """Returns all stages, without verifying any; options are those of pack."""
    stages: list[Stage] = [net]
    for p in DEFAULT_PIPELINE:
        stages.append(p.run(stages[-1], arch, p.config(**(options if p.name == "pack" else {})), seed=0))
    return Built(*stages)  # type: ignore[arg-type]


def valid() -> Built:
    """Returns the stages that are corrupted: two chips, splitters at the input."""
    return build(random_net(1, inputs=8, layers=3, size=6), ARCH, packets_per_bit=1, **NOTHING_SAVED)


def without_splitters(built: Built) -> CoreGraph:
    """Returns the same net as a graph that the host feeds without splitters."""
    pack = next(p for p in DEFAULT_PIPELINE if p.name == "pack")
    graph = pack.run(built.trinary, ARCH, pack.config(**NOTHING_SAVED), seed=0)
    assert isinstance(graph, CoreGraph)
    return graph


CORRUPTIONS: dict[str, Callable[[Built], Case]] = {}
"""What breaks the invariant of each code and no other, in the stages of `valid()`."""


def corrupts(code: str) -> Callable[[Callable[[Built], Case]], Callable[[Built], Case]]:
    """Registers the corruption of a code."""

    def register(corruption: Callable[[Built], Case]) -> Callable[[Built], Case]:
        assert code not in CORRUPTIONS, code
        CORRUPTIONS[code] = corruption
        return corruption

    return register


def changed(array: np.ndarray, index: Any, value: Any) -> np.ndarray:
    """Returns a copy of an array with other values at an index."""
    copy = array.copy()
    copy[index] = value
    return copy


def forged(record: Any, **changes: Any) -> Any:
    """Returns a record with other fields, past the type checks of its constructor: as a damaged file would give it."""
    copy = copy_of(record)
    for name, value in changes.items():
        object.__setattr__(copy, name, value)
    return copy


def first(condition: np.ndarray) -> Any:
    """Returns the first index at which a condition holds, as an int or a tuple."""
    found = np.argwhere(condition)
    assert len(found), "the valid stage has no place for this corruption"
    return tuple(found[0].tolist()) if condition.ndim > 1 else int(found[0, 0])


# ---------------------------------------------------------------------------------------------------------------------
# logical


def with_layer(net: LogicalNet, number: int, **changes: Any) -> Case:
    layers = list(net.layers)
    layers[number] = replace(layers[number], **changes)
    return Case(replace(net, layers=tuple(layers)))


def with_conv(net: LogicalNet, number: int, **changes: Any) -> Case:
    return with_layer(net, number, conv=replace(net.layers[number].conv, **changes))


def with_norm(net: LogicalNet, number: int, name: str, value: float) -> Case:
    norm = net.layers[number].norm
    return with_layer(net, number, norm=replace(norm, **{name: changed(getattr(norm, name), 0, value)}))


def with_transduction(net: LogicalNet, **changes: Any) -> Case:
    return Case(replace(net, transduction=replace(net.transduction, **changes)))


@corrupts("logical/layers")
def _(built: Built) -> Case:
    return Case(replace(built.logical, layers=()))


@corrupts("logical/name")
def _(built: Built) -> Case:
    return with_conv(built.logical, 1, name=built.logical.layers[0].conv.name)


@corrupts("logical/geometry")
def _(built: Built) -> Case:
    return with_conv(built.logical, 0, padding=built.logical.layers[0].conv.kernel)


@corrupts("logical/groups")
def _(built: Built) -> Case:
    return with_conv(built.logical, 0, groups=built.logical.layers[0].conv.in_shape[2] + 1)


@corrupts("logical/chain")
def _(built: Built) -> Case:
    width, height, channels = built.logical.layers[0].conv.in_shape
    return with_conv(built.logical, 0, in_shape=(width + 1, height, channels))


@corrupts("logical/shape")
def _(built: Built) -> Case:
    layer, *others = built.logical.layers
    return Case(replace(built.logical, layers=(forged(layer, hidden=layer.hidden[:-1]), *others)))


@corrupts("logical/permutation")
def _(built: Built) -> Case:
    permutation = built.logical.layers[0].conv.permutation
    return with_conv(built.logical, 0, permutation=changed(permutation, 0, len(permutation)))


@corrupts("logical/fan-in")
def _(built: Built) -> Case:
    return Case(built.logical, ARCH.model_copy(update={"axons": 2}))


@corrupts("logical/finite")
def _(built: Built) -> Case:
    return with_norm(built.logical, 0, "mean", np.nan)


@corrupts("logical/std")
def _(built: Built) -> Case:
    return with_norm(built.logical, 0, "std", -1.0)


@corrupts("logical/hidden")
def _(built: Built) -> Case:
    return with_layer(built.logical, 0, hidden=changed(built.logical.layers[0].hidden, (0, 0, 0, 0), 1.5))


@corrupts("logical/state")
def _(built: Built) -> Case:
    return with_layer(built.logical, 0, trinary=changed(built.logical.layers[0].trinary, (0, 0, 0, 0), 2))


@corrupts("logical/hysteresis")
def _(built: Built) -> Case:
    return with_layer(built.logical, 0, hysteresis=0.5)


@corrupts("logical/bits")
def _(built: Built) -> Case:
    return with_transduction(built.logical, input_bits=17)


@corrupts("logical/exact")
def _(built: Built) -> Case:
    weights = built.logical.transduction.weights
    return with_transduction(built.logical, weights=changed(weights, (0, 0, 0, 0), 1 << 24))


@corrupts("logical/class")
def _(built: Built) -> Case:
    readout = built.logical.readout
    assert len(readout.feature_class) > 1
    classes = changed(np.zeros_like(readout.feature_class), 0, 1)
    return Case(replace(built.logical, readout=replace(readout, classes=1, feature_class=classes)))


@corrupts("logical/class-features")
def _(built: Built) -> Case:
    readout = built.logical.readout
    return Case(replace(built.logical, readout=replace(readout, classes=readout.classes + 1)))


@corrupts("logical/spikes")
def _(built: Built) -> Case:
    convs = (built.logical.transduction.conv, *(layer.conv for layer in built.logical.layers))
    spikes = tuple(np.full(conv.outputs, 4, np.int32) for conv in convs)
    return Case(replace(built.logical, spike_counts=SpikeCounts(frames=3, spikes=spikes)))


# ---------------------------------------------------------------------------------------------------------------------
# trinary


def reach(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and the highest sum of each feature."""
    flat = weights.reshape(len(weights), -1).astype(np.int64)
    return np.minimum(flat, 0).sum(axis=1), np.maximum(flat, 0).sum(axis=1)


def with_leak(net: TrinaryNet, feature: int, leak: int) -> Case:
    return Case(replace(net, leak=(changed(net.leak[0], feature, leak), *net.leak[1:])))


@corrupts("trinary/shape")
def _(built: Built) -> Case:
    return Case(forged(built.trinary, leak=(built.trinary.leak[0][:-1], *built.trinary.leak[1:])))


@corrupts("trinary/weight")
def _(built: Built) -> Case:
    weights = built.trinary.weights
    return Case(replace(built.trinary, weights=(changed(weights[0], (0, 0, 0, 0), 2), *weights[1:])))


@corrupts("trinary/rounding")
def _(built: Built) -> Case:
    hidden, weights = built.logical.layers[0].hidden, built.trinary.weights[0]
    source = with_layer(built.logical, 0, hidden=changed(hidden, first(weights < 1), 1)).stage
    return Case(replace(built.trinary, source=source))


@corrupts("trinary/threshold")
def _(built: Built) -> Case:
    transduction, threshold = built.logical.transduction, built.trinary.threshold
    low, high = reach(transduction.weights.astype(np.int64) * ((1 << transduction.input_bits) - 1))
    feature = first((threshold > low) & (threshold <= high))
    return Case(replace(built.trinary, threshold=changed(threshold, feature, threshold[feature] + 1)))


@corrupts("trinary/leak-width")
def _(built: Built) -> Case:
    return Case(built.trinary, ARCH.model_copy(update={"leak_bits": 2}))


@corrupts("trinary/potential-range")
def _(built: Built) -> Case:
    return Case(built.trinary, ARCH.model_copy(update={"potential_bits": 2}))


@corrupts("trinary/leak-clamp")
def _(built: Built) -> Case:
    low, _ = reach(built.trinary.weights[0])
    return with_leak(built.trinary, 0, int(2 - low[0]))


@corrupts("trinary/fold")
def _(built: Built) -> Case:
    low, _ = reach(built.trinary.weights[0])
    leak = built.trinary.leak[0]
    feature = first(leak < 1 - low)
    return with_leak(built.trinary, feature, int(leak[feature]) + 1)


# ---------------------------------------------------------------------------------------------------------------------
# core graph


def with_graph(graph: CoreGraph, **changes: Any) -> Case:
    return Case(replace(graph, **changes))


def with_value(graph: CoreGraph, name: str, index: Any, value: Any) -> Case:
    return with_graph(graph, **{name: changed(getattr(graph, name), index, value)})


def with_neurons(graph: CoreGraph, name: str, index: Any, value: Any) -> Case:
    return with_graph(
        graph, neurons=replace(graph.neurons, **{name: changed(getattr(graph.neurons, name), index, value)})
    )


def table(graph: CoreGraph) -> dict[str, np.ndarray]:
    """Returns the columns of the neuron table."""
    return {name: getattr(graph.neurons, name) for name in graph.neurons.__slots__}


def with_lines(graph: CoreGraph, bit: Any, core: Any, axon: Any, delay: Any) -> CoreGraph:
    """Returns a graph with other input lines, sorted."""
    order = np.lexsort((axon, core, bit))
    columns = {"bit": bit, "core": core, "axon": axon, "delay": delay}
    lines = {name: values[order].astype(getattr(graph.input_lines, name).dtype) for name, values in columns.items()}
    return replace(graph, input_lines=replace(graph.input_lines, **lines))


def columns(graph: CoreGraph) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    lines = graph.input_lines
    return lines.bit, lines.core, lines.axon, lines.delay


def with_crosspoint(graph: CoreGraph, core: int, points: dict[tuple[int, int], bool]) -> CoreGraph:
    """Returns a graph in which one core has a crossbar of its own with other crosspoints [axon, neuron]."""
    crossbar = np.unpackbits(graph.crossbars[graph.core_crossbar[core]], axis=1, bitorder="little")
    for point, value in points.items():
        crossbar[point] = value
    packed = np.packbits(crossbar, axis=1, bitorder="little")
    return replace(
        graph,
        crossbars=np.concatenate([graph.crossbars, packed[None]]),
        core_crossbar=changed(graph.core_crossbar, core, len(graph.crossbars)),
    )


def crosspoints(graph: CoreGraph) -> np.ndarray:
    """Returns the crosspoints of all cores [core, axon, neuron]."""
    return np.unpackbits(graph.crossbars, axis=2, bitorder="little")[graph.core_crossbar].astype(bool)


def used(graph: CoreGraph) -> np.ndarray:
    return graph.neuron_layer != UNUSED


def driven(graph: CoreGraph) -> np.ndarray:
    """Returns which axons are driven [core, axon]."""
    axons = np.zeros(graph.axon_type.shape, bool)
    to_core = graph.target_core >= 0
    axons[graph.target_core[to_core], graph.target_axon[to_core]] = True
    axons[graph.input_lines.core, graph.input_lines.axon] = True
    return axons


def ticks(graph: CoreGraph) -> np.ndarray:
    """Returns the tick at which each core receives a frame; cores stand in the order of the data's way."""
    tick = np.zeros(graph.cores, np.int64)
    tick[graph.input_lines.core] = graph.input_lines.delay
    for core in range(graph.cores):
        for neuron in np.flatnonzero(graph.target_core[core] >= 0):
            tick[graph.target_core[core, neuron]] = tick[core] + graph.target_delay[core, neuron]
    return tick


def layered(graph: CoreGraph) -> np.ndarray:
    return graph.core_kind == CoreKind.LAYER


@corrupts("core-graph/shape")
def _(built: Built) -> Case:
    return Case(forged(built.graph, core_kind=built.graph.core_kind.astype(np.int64)))


@corrupts("core-graph/scheme")
def _(built: Built) -> Case:
    return with_graph(built.graph, scheme="none")


@corrupts("core-graph/range")
def _(built: Built) -> Case:
    return with_value(built.graph, "target_axon", first(built.graph.target_core >= 0), ARCH.axons)


@corrupts("core-graph/neuron-width")
def _(built: Built) -> Case:
    return with_neurons(built.graph, "threshold", 1, ARCH.threshold_range[1] + 1)


@corrupts("core-graph/unused-type")
def _(built: Built) -> Case:
    return with_neurons(built.graph, "leak", 0, 1)


@corrupts("core-graph/stateless")
def _(built: Built) -> Case:
    return with_neurons(built.graph, "reset", built.graph.neuron_type.max(), 1)


@corrupts("core-graph/unused-neuron")
def _(built: Built) -> Case:
    return with_value(built.graph, "neuron_type", first(~used(built.graph)), 1)


@corrupts("core-graph/block")
def _(built: Built) -> Case:
    core = first(layered(built.graph))
    width = built.logical.layers[built.graph.core_layer[core]].conv.out_shape[0]
    return with_value(built.graph, "core_block", (core, 2), width + 1)


@corrupts("core-graph/order")
def _(built: Built) -> Case:
    graph = built.graph
    core = first(layered(graph)[:-1] & (np.diff(graph.core_layer) == 0) & (np.diff(graph.core_kind.astype(int)) == 0))
    order = changed(np.arange(graph.cores), [core, core + 1], [core + 1, core])
    own = ("core_kind", "core_layer", "core_group", "core_block", "core_crossbar", "axon_type")
    of_neurons = ("neuron_type", "neuron_layer", "neuron_index", "neuron_copy", "target_axon", "target_delay")
    swapped = replace(
        graph,
        target_core=np.where(graph.target_core >= 0, order[graph.target_core], graph.target_core)[order].astype(
            np.int32
        ),
        **{name: getattr(graph, name)[order] for name in own + of_neurons},
    )
    bit, line_core, axon, delay = columns(graph)
    return Case(with_lines(swapped, bit, order[line_core], axon, delay))


@corrupts("core-graph/neuron-place")
def _(built: Built) -> Case:
    """The last core of a group is labelled with the block of the one before."""
    graph = built.graph
    place = np.stack([graph.core_layer, graph.core_group], axis=1)
    same = (place[1:] == place[:-1]).all(axis=1)
    core = 1 + first(layered(graph)[1:] & same & ~np.append(same[1:], False))
    return with_value(graph, "core_block", core, graph.core_block[core - 1])


@corrupts("core-graph/copy")
def _(built: Built) -> Case:
    return with_value(built.graph, "neuron_copy", first(built.graph.neuron_copy == 1), 0)


@corrupts("core-graph/orphan")
def _(built: Built) -> Case:
    """An empty core behind the last."""
    graph = built.graph
    repeated = ("core_kind", "core_layer", "core_group", "core_block")
    nothing = {
        "core_crossbar": len(graph.crossbars),
        "axon_type": 0,
        "neuron_type": 0,
        "neuron_layer": UNUSED,
        "neuron_index": -1,
        "neuron_copy": -1,
        "target_core": NO_TARGET,
        "target_axon": 0,
        "target_delay": 0,
    }
    last = {name: getattr(graph, name)[-1:] for name in (*repeated, *nothing)}
    last |= {name: np.full_like(last[name], value) for name, value in nothing.items()}
    crossbars = np.concatenate([graph.crossbars, np.zeros_like(graph.crossbars[:1])])
    grown = {name: np.concatenate([getattr(graph, name), row]) for name, row in last.items()}
    return with_graph(graph, crossbars=crossbars, **grown)


@corrupts("core-graph/delay")
def _(built: Built) -> Case:
    return with_value(built.graph, "target_delay", first(built.graph.target_core == OUTPUT_PIN), 2)


@corrupts("core-graph/line-order")
def _(built: Built) -> Case:
    lines = built.graph.input_lines
    swapped = {name: changed(getattr(lines, name), [0, 1], getattr(lines, name)[[1, 0]]) for name in lines.__slots__}
    return with_graph(built.graph, input_lines=replace(lines, **swapped))


@corrupts("core-graph/axon-drivers")
def _(built: Built) -> Case:
    return Case(with_lines(built.graph, *(np.append(values, values[-1]) for values in columns(built.graph))))


@corrupts("core-graph/axon-undriven")
def _(built: Built) -> Case:
    """A pair of axons loses both lines; its core has others."""
    graph = without_splitters(built)
    _, line_core, axon, _ = columns(graph)
    pairs = crosspoints(graph).any(axis=2).reshape(graph.cores, -1, 2).any(axis=2)
    several = driven(graph).sum(axis=1) > 2
    line = first(pairs[line_core, axon // 2] & several[line_core])
    gone = (line_core == line_core[line]) & (axon // 2 == axon[line] // 2)
    return Case(with_lines(graph, *(values[~gone] for values in columns(graph))))


@corrupts("core-graph/alignment")
def _(built: Built) -> Case:
    """A line comes late to an axon that is nobody's first."""
    graph = without_splitters(built)
    lines, points = graph.input_lines, crosspoints(graph)
    leads = np.zeros(points.shape[:2], bool)
    np.put_along_axis(leads, points.argmax(axis=1), True, axis=1)
    line = first((points.any(axis=2) & ~leads)[lines.core, lines.axon])
    return with_graph(graph, input_lines=replace(lines, delay=changed(lines.delay, line, lines.delay[line] + 1)))


@corrupts("core-graph/latency")
def _(built: Built) -> Case:
    return with_graph(built.graph, latency=built.graph.latency + 1)


@corrupts("core-graph/pin")
def _(built: Built) -> Case:
    graph = built.graph
    core, neuron = np.nonzero(graph.target_core == OUTPUT_PIN)
    two = (core[:2], neuron[:2])
    return with_value(graph, "target_axon", two, graph.target_axon[two][::-1])


@corrupts("core-graph/pair-type")
def _(built: Built) -> Case:
    graph = built.graph
    idle = layered(graph)[:, None] & driven(graph) & ~crosspoints(graph).any(axis=2)
    return with_value(graph, "axon_type", first(idle), 2)


@corrupts("core-graph/pair-weights")
def _(built: Built) -> Case:
    """A neuron of no weight −1 is given another weight for axons of type 0."""
    graph = built.graph
    plus_only = ~crosspoints(graph)[:, ::2].any(axis=1)
    place = first(layered(graph)[:, None] & used(graph) & plus_only)
    rows = {name: np.concatenate([v, v[[graph.neuron_type[place]]]]) for name, v in table(graph).items()}
    rows["weights"][-1, 0] = 3
    return with_graph(
        graph,
        neurons=replace(graph.neurons, **rows),
        neuron_type=changed(graph.neuron_type, place, len(graph.neurons)),
    )


@corrupts("core-graph/pair-crosspoints")
def _(built: Built) -> Case:
    """Both crosspoints of a weight 0: −1 and +1 add up to 0."""
    graph = built.graph
    points = crosspoints(graph)
    free = layered(graph)[:, None, None] & used(graph)[:, None, :] & driven(graph)[:, ::2, None]
    core, pair, neuron = first(free & ~points[:, ::2] & ~points[:, 1::2])
    return Case(with_crosspoint(graph, core, {(2 * pair, neuron): True, (2 * pair + 1, neuron): True}))


@corrupts("core-graph/axon-stray")
def _(built: Built) -> Case:
    """An input bit drives a free pair of axons in layer 1, at the right tick."""
    graph = without_splitters(built)
    free = ~driven(graph).reshape(graph.cores, -1, 2).any(axis=2)
    core, pair = first((layered(graph) & (graph.core_layer == 1))[:, None] & free)
    new = np.array([0, 0]), np.array([core, core]), np.array([2 * pair, 2 * pair + 1]), np.repeat(ticks(graph)[core], 2)
    fed = with_lines(graph, *(np.append(old, more) for old, more in zip(columns(graph), new, strict=True)))
    return with_value(fed, "axon_type", (core, new[2]), (0, 1))


@corrupts("core-graph/weight")
def _(built: Built) -> Case:
    graph = built.graph
    core, axon, neuron = first(layered(graph)[:, None, None] & crosspoints(graph))
    return Case(with_crosspoint(graph, core, {(axon, neuron): False}))


@corrupts("core-graph/leak")
def _(built: Built) -> Case:
    graph = built.graph
    place = first(used(graph) & layered(graph)[:, None])
    leak = graph.neurons.leak
    weights = (graph.neurons.weights == graph.neurons.weights[graph.neuron_type[place]]).all(axis=1)
    other = first(weights & (leak != leak[graph.neuron_type[place]]))
    return with_value(graph, "neuron_type", place, other)


def heard(graph: CoreGraph) -> tuple[int, int, int, int]:
    """Returns a splitter core, a neuron, its axon, and another axon that carries another signal."""
    points = crosspoints(graph)
    core = first(~layered(graph) & (driven(graph).sum(axis=1) > 1))
    neuron = first(used(graph)[core])
    axon = first(points[core, :, neuron])
    return core, neuron, axon, first(driven(graph)[core] & (np.arange(ARCH.axons) != axon))


@corrupts("core-graph/splitter")
def _(built: Built) -> Case:
    core, neuron, _, other = heard(built.graph)
    return Case(with_crosspoint(built.graph, core, {(other, neuron): True}))


@corrupts("core-graph/splitter-signal")
def _(built: Built) -> Case:
    core, neuron, axon, other = heard(built.graph)
    return Case(with_crosspoint(built.graph, core, {(axon, neuron): False, (other, neuron): True}))


# ---------------------------------------------------------------------------------------------------------------------
# partitioned, placed, routed


@corrupts("partitioned/shape")
def _(built: Built) -> Case:
    return Case(forged(built.partitioned, core_chip=built.partitioned.core_chip[:-1]))


@corrupts("partitioned/chip")
def _(built: Built) -> Case:
    return Case(replace(built.partitioned, core_chip=changed(built.partitioned.core_chip, 0, ARCH.chips)))


@corrupts("partitioned/capacity")
def _(built: Built) -> Case:
    chip = int(built.partitioned.core_chip[0])
    size = ARCH.size
    own = tuple((x, y) for x in range(size[0]) for y in range(size[1]) if ARCH.chip_of(x, y) == chip)
    return Case(built.partitioned, ARCH.model_copy(update={"dead_cores": own}))


@corrupts("partitioned/cut")
def _(built: Built) -> Case:
    return Case(replace(built.partitioned, cut=built.partitioned.cut + 1))


def site(built: Built, core: int) -> tuple[int, int]:
    return int(built.placed.core_x[core]), int(built.placed.core_y[core])


@corrupts("placed/shape")
def _(built: Built) -> Case:
    return Case(forged(built.placed, core_x=built.placed.core_x[:-1]))


@corrupts("placed/board")
def _(built: Built) -> Case:
    return Case(replace(built.placed, core_x=changed(built.placed.core_x, 0, ARCH.size[0])))


@corrupts("placed/dead")
def _(built: Built) -> Case:
    return Case(built.placed, ARCH.model_copy(update={"dead_cores": (site(built, 0),)}))


@corrupts("placed/shared")
def _(built: Built) -> Case:
    chip = built.partitioned.core_chip
    other = 1 + first(chip[1:] == chip[0])
    x, y = site(built, 0)
    xs, ys = changed(built.placed.core_x, other, x), changed(built.placed.core_y, other, y)
    core, neuron = np.nonzero(built.graph.target_core >= 0)
    target = built.graph.target_core[core, neuron]
    wirelength = int((np.abs(xs[core] - xs[target]) + np.abs(ys[core] - ys[target])).sum())
    return Case(replace(built.placed, core_x=xs, core_y=ys, wirelength=wirelength))


@corrupts("placed/chip")
def _(built: Built) -> Case:
    chip = built.partitioned.core_chip
    source = replace(built.partitioned, core_chip=changed(chip, 0, (chip[0] + 1) % ARCH.chips))
    return Case(replace(built.placed, source=source))


SHORT = ARCH.model_copy(update={"offset_bits": 2})
"""The same chip, whose packets reach only the next core."""


@corrupts("placed/reach")
def _(built: Built) -> Case:
    return Case(built.placed, SHORT)


@corrupts("placed/wirelength")
def _(built: Built) -> Case:
    return Case(replace(built.placed, wirelength=built.placed.wirelength - 1))


@corrupts("routed/shape")
def _(built: Built) -> Case:
    return Case(forged(built.routed, link_load=built.routed.link_load[:3]))


@corrupts("routed/no-target")
def _(built: Built) -> Case:
    place = first(built.graph.target_core < 0)
    return Case(replace(built.routed, dx=changed(built.routed.dx, place, 1)))


@corrupts("routed/reach")
def _(built: Built) -> Case:
    return Case(built.routed, SHORT)


@corrupts("routed/arrival")
def _(built: Built) -> Case:
    place = first(built.graph.target_core >= 0)
    return Case(replace(built.routed, dx=changed(built.routed.dx, place, built.routed.dx[place] + 1)))


@corrupts("routed/link-load")
def _(built: Built) -> Case:
    load = built.routed.link_load
    return Case(replace(built.routed, link_load=changed(load, (0, 0, 0), load[0, 0, 0] + 1)))


@corrupts("routed/crossings")
def _(built: Built) -> Case:
    return Case(replace(built.routed, crossings=built.routed.crossings + 1))


def arrives_at(built: Built) -> tuple[int, int]:
    """Returns the site of a core to which another one sends."""
    core, neuron = np.nonzero(built.graph.target_core >= 0)
    target = built.graph.target_core[core, neuron]
    return site(built, int(target[first(target != core)]))


@corrupts("routed/faulty-router")
def _(built: Built) -> Case:
    return Case(built.routed, ARCH.model_copy(update={"faulty_routers": (arrives_at(built),)}))


@cache
def detoured(built: Built) -> tuple[RoutedChip, Detours, ChipArch]:
    """Returns the cores scattered and routed round a faulty router on a free site: by a core of its own, and others."""
    width, height = ARCH.size
    scattered = place(built.partitioned, ARCH, PlaceConfig(algorithm="random"), seed=0)
    taken = {*zip(scattered.core_x.tolist(), scattered.core_y.tolist(), strict=True), *ARCH.dead_cores}
    for free in ((x, y) for y in range(height) for x in range(width) if (x, y) not in taken):
        arch = ARCH.model_copy(update={"faulty_routers": (free,)})
        try:
            routed = route(scattered, arch, RouteConfig(), seed=0)
        except RoutingError:
            continue
        detours = routed.detours
        if detours and len(detours.core_x) and (detours.core < built.graph.cores).any():
            return routed, detours, arch
    raise AssertionError("no free site is on a way")


def with_detours(built: Built, index: Any, **values: Any) -> Case:
    """Returns the chip with other detours: what fields hold at an index."""
    routed, detours, arch = detoured(built)
    fields = {name: changed(getattr(detours, name), index, value) for name, value in values.items()}
    return Case(replace(routed, detours=replace(detours, **fields)), arch)


@corrupts("routed/relay-range")
def _(built: Built) -> Case:
    return with_detours(built, 0, axon=ARCH.axons)


@corrupts("routed/relay-site")
def _(built: Built) -> Case:
    placed = detoured(built)[0].source
    return with_detours(built, 0, core_x=placed.core_x[0], core_y=placed.core_y[0])


@corrupts("routed/relay-room")
def _(built: Built) -> Case:
    core = detoured(built)[1].core
    relay = first(core < built.graph.cores)
    return with_detours(built, relay, neuron=first(built.graph.neuron_layer[core[relay]] != UNUSED))


@corrupts("routed/relay-source")
def _(built: Built) -> Case:
    core, neuron = first(built.graph.target_core < 0)
    return with_detours(built, 0, source_core=core, source_neuron=neuron)


# ---------------------------------------------------------------------------------------------------------------------
# image


def with_image(built: Built, **changes: Any) -> Case:
    return Case(replace(built.image, **changes))


def with_image_value(built: Built, name: str, index: Any, value: Any) -> Case:
    return with_image(built, **{name: changed(getattr(built.image, name), index, value)})


def with_image_neurons(built: Built, name: str, index: Any, value: Any) -> Case:
    neurons = built.image.neurons
    return with_image(built, neurons=replace(neurons, **{name: changed(getattr(neurons, name), index, value)}))


def with_packet(built: Built, name: str, index: int, value: int) -> Case:
    packets = built.image.packets
    return with_image(built, packets=replace(packets, **{name: changed(getattr(packets, name), index, value)}))


def differing(case: Case, built: Built) -> Case:
    """Returns a case in which an image that is valid by itself is compared with the routed chip."""
    assert not case.codes()
    return replace(case, against=built.routed)


@corrupts("image/shape")
def _(built: Built) -> Case:
    return Case(forged(built.image, core_x=built.image.core_x[:-1]))


@corrupts("image/arch")
def _(built: Built) -> Case:
    return with_image(built, arch=TRUENORTH.model_dump_json())


@corrupts("image/latency")
def _(built: Built) -> Case:
    return with_image(built, latency=0)


@corrupts("image/reference")
def _(built: Built) -> Case:
    return with_image_value(built, "core_crossbar", 0, len(built.image.crossbars))


@corrupts("image/neuron-width")
def _(built: Built) -> Case:
    return with_image_neurons(built, "weights", (1, 0), ARCH.weight_max + 1)


@corrupts("image/unused-type")
def _(built: Built) -> Case:
    return with_image_neurons(built, "initial", 0, 1)


@corrupts("image/site")
def _(built: Built) -> Case:
    dead = ARCH.model_copy(update={"dead_cores": (site(built, 0),)})
    return Case(replace(built.image, arch=dead.model_dump_json()), dead)


@corrupts("image/shared-site")
def _(built: Built) -> Case:
    """A second core on the site of the last, which drives pins: the copy has none."""
    image = built.image
    of_core = ("core_x", "core_y", "core_crossbar", "axon_type", "neuron_type")
    of_neurons = ("dx", "dy", "target_axon", "target_delay", "output_pin")
    last = {name: getattr(image, name)[-1:] for name in (*of_core, *of_neurons)}
    last["output_pin"] = np.full_like(last["output_pin"], -1)
    return with_image(built, **{name: np.concatenate([getattr(image, name), row]) for name, row in last.items()})


@corrupts("image/pin")
def _(built: Built) -> Case:
    pin = built.image.output_pin
    return with_image_value(built, "output_pin", first(pin == 0), built.image.output_pins)


@corrupts("image/idle")
def _(built: Built) -> Case:
    return with_image_value(built, "target_axon", first(built.image.target_delay == 0), 1)


@corrupts("image/offset")
def _(built: Built) -> Case:
    return Case(replace(built.image, arch=SHORT.model_dump_json()), SHORT)


@corrupts("image/delay")
def _(built: Built) -> Case:
    return with_image_value(built, "target_delay", first(built.image.target_delay > 0), ARCH.delay_max + 1)


@corrupts("image/target")
def _(built: Built) -> Case:
    return with_image_value(built, "target_axon", first(built.image.target_delay > 0), ARCH.axons)


@corrupts("image/faulty-router")
def _(built: Built) -> Case:
    """A router between two cores, on a free site of the same board."""
    routed, _, arch = detoured(built)
    straight = route(routed.source, ARCH, RouteConfig(), seed=0)
    return Case(replace(emit(straight, arch, EmitConfig(), seed=0), arch=arch.model_dump_json()), arch)


@corrupts("image/packet")
def _(built: Built) -> Case:
    return with_packet(built, "delay", 0, 0)


@corrupts("image/host")
def _(built: Built) -> Case:
    return with_image(built, output_pins=built.image.output_pins + 1)


@corrupts("image/decode-core")
def _(built: Built) -> Case:
    kind = built.image.axon_type[0, 0]
    return differing(with_image_value(built, "axon_type", (0, 0), (kind + 1) % ARCH.axon_types), built)


@corrupts("image/decode-target")
def _(built: Built) -> Case:
    place = first(built.image.target_delay > 0)
    axon = (built.image.target_axon[place] + 1) % ARCH.axons
    return differing(with_image_value(built, "target_axon", place, axon), built)


@corrupts("image/decode-input")
def _(built: Built) -> Case:
    return differing(with_packet(built, "delay", 0, ARCH.delay_max), built)


@corrupts("image/decode-host")
def _(built: Built) -> Case:
    assert built.image.host is not None
    host = built.image.host
    return differing(with_image(built, host=replace(host, threshold=host.threshold + 1)), built)
