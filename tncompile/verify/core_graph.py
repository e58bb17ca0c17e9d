"""Verifies CoreGraph: the cores, read as hardware would, compute the trinary net and nothing else.

The check starts from what stands in the crossbars and in the targets. Who drives an axon says which signal the axon
carries; an axon's type and a neuron's weights say what a crosspoint is worth; so each neuron has an integer weight
for each signal, which must be the filter's of `source` at the neuron's position. An input may only be missing if its
weight is 0, or if it is constant and stands in the leak.

A core is labelled by what it was opened for, and may hold other neurons too: what a neuron is for is told by what it
carries and hears, not by its core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import SupportsIndex

import numpy as np
from jaxtyping import Bool, Int8, Int64

from tncompile.arch import ChipArch
from tncompile.ir import (
    INPUT_LAYER,
    NO_TARGET,
    OUTPUT_PIN,
    SCHEMES,
    UNUSED,
    Conv,
    CoreGraph,
    CoreKind,
    NeuronTable,
    ResetMode,
)
from tncompile.verify.constants import constant_signals
from tncompile.verify.findings import Findings
from tncompile.verify.neurons import check_table

CODES: dict[str, str] = {
    "core-graph/shape": "arrays have the shapes and types that the numbers of cores, axons and neurons ask for",
    "core-graph/scheme": "the synapse scheme exists",
    "core-graph/range": "every reference names something that exists",
    "core-graph/neuron-width": "fields of the neuron table fit the chip's",
    "core-graph/unused-type": "row 0 of the neuron table never spikes",
    "core-graph/stateless": "used neurons are stateless and deterministic: α = 1, V = 0 before every tick",
    "core-graph/unused-neuron": "an unused neuron has type 0, no index, no copy, no target and no crosspoint",
    "core-graph/block": "a layer core's block is within its layer's map; a splitter has none, and no group",
    "core-graph/order": "cores are in the order of the data's way, then group, block and feature; relays last",
    "core-graph/neuron-place": "a core holds a neuron of the layer, block and group that it is labelled with",
    "core-graph/copy": "copies of a signal are numbered from 0, each once, those that compute it before splitters",
    "core-graph/orphan": "every neuron that hears anything is reached from the input; every core sends somewhere",
    "core-graph/delay": "delays are 1 to the chip's longest, 1 on a pin, 0 without a target",
    "core-graph/line-order": "input lines are sorted by bit, core and axon",
    "core-graph/axon-drivers": "an axon is driven by at most one neuron or input line",
    "core-graph/axon-undriven": "an axon with crosspoints is driven",
    "core-graph/alignment": "all axons that a neuron hears receive a frame at the same tick, constants by then",
    "core-graph/latency": "all output pins fire at the declared latency",
    "core-graph/pin": "pin p is value p of the last layer, each once",
    "core-graph/pair-type": "driven axons have type 0 or 1",
    "core-graph/pair-weights": "a layer's neuron has weights −1 and 1 for axons of types 0 and 1",
    "core-graph/pair-crosspoints": "a neuron hears an input through one crosspoint at most",
    "core-graph/axon-stray": "an axon carries a signal that its core reads",
    "core-graph/weight": "crosspoints, axon types and neuron weights give the trinary weights",
    "core-graph/leak": "a neuron has its feature's leak, and what missing constant inputs add",
    "core-graph/splitter": "a splitter neuron repeats exactly one axon: weight 1, no leak",
    "core-graph/splitter-signal": "a splitter neuron carries the signal of its axon",
}


def verify(stage: CoreGraph, arch: ChipArch) -> None:
    """Checks a core graph against the invariants of `CoreGraph`.

    Raises:
        VerificationError: with all violations. Cores whose axons are driven wrongly are not decoded, and nothing is
            computed from references that do not exist.
    """
    found = Findings("CoreGraph", CODES)
    _shapes(found, stage, arch)
    found.check()
    _ranges(found, stage, arch)
    found.check()

    signals = _Signals.of(stage)
    used = stage.neuron_layer != UNUSED
    splits = used & (stage.neurons.weights == 1).all(axis=1)[stage.neuron_type]
    splits |= stage.neuron_layer == INPUT_LAYER  # nobody computes input bits
    _neurons(found, stage, used)
    _cores(found, stage, used, splits)
    _copies(found, stage, signals, used, splits)
    _pins(found, stage)
    carried, readable = _axons(found, stage, signals)
    if stage.scheme == "pair":
        _pairs(found, stage, used & ~splits, carried)
    tick, since = _timing(found, stage, arch)
    _decode(found, stage, arch, signals, splits, carried, readable, tick, since)
    found.check()


@dataclass(frozen=True)
class _Signals:
    """Numbers all signals of the net: input bits, then the values of each layer's output map.

    Attributes:
        maps: width, height and features of the transduction's output map and of each layer's.
        first: number of each map's first signal; the last entry is the number of all signals.
        of_neuron: signal of each used neuron, −1 for others.
    """

    maps: tuple[tuple[int, int, int], ...]
    first: Int64[np.ndarray, " ends"]
    of_neuron: Int64[np.ndarray, "cores neurons"]

    @classmethod
    def of(cls, stage: CoreGraph) -> _Signals:
        net = stage.source.source
        maps = (net.transduction.conv.out_shape, *(layer.conv.out_shape for layer in net.layers))
        first = np.cumsum([0, *(x * y * f for x, y, f in maps)])
        of_neuron = first[stage.neuron_layer.astype(np.int64) + 1] + stage.neuron_index
        return cls(maps, first, np.where(stage.neuron_layer == UNUSED, -1, of_neuron))

    def name(self, signal: SupportsIndex) -> str:
        """Returns a signal in words."""
        number = int(signal)
        layer = int(np.searchsorted(self.first, number, side="right")) - 1
        index = number - int(self.first[layer])
        width, _, features = self.maps[layer]
        position, feature = divmod(index, features)
        what = "input bit" if layer == 0 else f"layer {layer - 1}"
        return f"{what} x={position % width} y={position // width} feature {feature}"


def _shapes(found: Findings, stage: CoreGraph, arch: ChipArch) -> None:
    cores = len(stage.core_kind)
    lines = len(stage.input_lines.bit)
    neurons = (cores, arch.neurons)
    found.add_shapes(
        "core-graph/shape",
        "graph",
        stage,
        {
            "core_kind": ((cores,), np.uint8),
            "core_layer": ((cores,), np.int16),
            "core_group": ((cores,), np.int32),
            "core_block": ((cores, 4), np.int16),
            "core_crossbar": ((cores,), np.int32),
            "crossbars": ((len(stage.crossbars), arch.axons, arch.neurons // 8), np.uint8),
            "axon_type": ((cores, arch.axons), np.uint8),
            "neuron_type": (neurons, np.int32),
            "neuron_layer": (neurons, np.int16),
            "neuron_index": (neurons, np.int32),
            "neuron_copy": (neurons, np.int16),
            "target_core": (neurons, np.int32),
            "target_axon": (neurons, np.int32),
            "target_delay": (neurons, np.uint8),
        },
    )
    found.add_shapes(
        "core-graph/shape",
        "input lines",
        stage.input_lines,
        {
            "bit": ((lines,), np.int32),
            "core": ((lines,), np.int32),
            "axon": ((lines,), np.int16),
            "delay": ((lines,), np.uint8),
        },
    )
    check_table(
        found,
        "core-graph/shape",
        "core-graph/neuron-width",
        "core-graph/unused-type",
        stage.neurons,
        arch,
    )


def _ranges(found: Findings, stage: CoreGraph, arch: ChipArch) -> None:
    if stage.scheme not in SCHEMES:
        found.add("core-graph/scheme", "scheme", f"one of {', '.join(SCHEMES)}", stage.scheme)
    net = stage.source.source
    layers, cores = len(net.layers), stage.cores
    splitter = stage.core_kind != CoreKind.LAYER

    def check(where: str, values: np.ndarray, low: np.ndarray | int, high: np.ndarray | int) -> None:
        """Notes the values outside low … high, ends included."""
        lows, highs = np.broadcast_to(low, values.shape), np.broadcast_to(high, values.shape)
        found.add_each(
            "core-graph/range",
            (values < lows) | (values > highs),
            lambda *i: (f"{where}{list(i)}", f"{lows[i]} to {highs[i]}", values[i]),
        )

    check("core_kind", stage.core_kind, 0, max(CoreKind))
    check(
        "core_layer", stage.core_layer, np.where(splitter, INPUT_LAYER, 0), np.where(splitter, layers - 2, layers - 1)
    )
    check("core_crossbar", stage.core_crossbar, 0, len(stage.crossbars) - 1)
    check("axon_type", stage.axon_type, 0, arch.axon_types - 1)
    check("neuron_type", stage.neuron_type, 0, len(stage.neurons) - 1)
    check("neuron_layer", stage.neuron_layer, UNUSED, layers - 1)
    values = (0, net.transduction.conv.outputs, *(layer.conv.outputs for layer in net.layers))
    carries = np.clip(stage.neuron_layer, UNUSED, layers - 1) - UNUSED  # row of `values`
    check("neuron_index", stage.neuron_index, np.where(carries == 0, -1, 0), np.array(values)[carries] - 1)
    check("target_core", stage.target_core, OUTPUT_PIN, cores - 1)
    ends = np.where(stage.target_core == OUTPUT_PIN, values[-1], arch.axons)
    check("target_axon", stage.target_axon, 0, ends - 1)
    lines = stage.input_lines
    check("input_lines.bit", lines.bit, 0, values[1] - 1)
    check("input_lines.core", lines.core, 0, cores - 1)
    check("input_lines.axon", lines.axon, 0, arch.axons - 1)


def _neurons(found: Findings, stage: CoreGraph, used: Bool[np.ndarray, "cores neurons"]) -> None:
    plain = _stateless(stage.neurons)
    found.add_each(
        "core-graph/stateless",
        used & ~plain[stage.neuron_type],
        lambda c, n: (_neuron(c, n), "a stateless neuron", f"row {stage.neuron_type[c, n]} of the neuron table"),
    )
    for field, neutral in (
        ("neuron_type", 0),
        ("neuron_index", -1),
        ("neuron_copy", -1),
        ("target_core", NO_TARGET),
        ("target_axon", 0),
    ):
        values = getattr(stage, field)
        found.add_each(
            "core-graph/unused-neuron",
            ~used & (values != neutral),
            lambda c, n, field=field, neutral=neutral, values=values: (
                f"{_neuron(c, n)}, unused, {field}",
                neutral,
                values[c, n],
            ),
        )


def _stateless(table: NeuronTable) -> Bool[np.ndarray, " types"]:
    """Returns which neurons have V = 0 before every tick and spike if their sum and leak reach 1.

    A spike resets V to R = 0; without one V ≤ 0, which the negative threshold β = 0 lifts to −β = 0 (κ = 1) or −R = 0
    (κ = 0).
    """
    stochastic = table.stochastic_weights.any(axis=1) | table.stochastic_leak | (table.mask_bits > 0)
    spike = (table.threshold == 1) & (table.reset_mode == ResetMode.RESET) & (table.reset == 0)
    silence = table.negative_threshold == 0
    return spike & silence & ~stochastic & ~table.leak_reversal & (table.initial == 0)


def _cores(
    found: Findings,
    stage: CoreGraph,
    used: Bool[np.ndarray, "cores neurons"],
    splits: Bool[np.ndarray, "cores neurons"],
) -> None:
    net = stage.source.source
    convs = [layer.conv for layer in net.layers]
    layered = stage.core_kind == CoreKind.LAYER
    layer = np.where(layered, stage.core_layer, 0)
    width, height, _ = np.array([conv.out_shape for conv in convs]).T[:, layer]
    groups = np.array([conv.groups for conv in convs])[layer]
    x0, y0, x1, y1 = stage.core_block.astype(np.int64).T
    in_map = (x0 >= 0) & (x0 < x1) & (x1 <= width) & (y0 >= 0) & (y0 < y1) & (y1 <= height)
    whole = in_map & (stage.core_group >= 0) & (stage.core_group < groups)
    empty = ~stage.core_block.any(axis=1) & (stage.core_group == -1)
    found.add_each(
        "core-graph/block",
        ~np.where(layered, whole, empty),
        lambda c: (
            f"core {c}, block and group",
            f"within {width[c]} x {height[c]} and {groups[c]} groups" if layered[c] else "0 and −1",
            f"{stage.core_block[c].tolist()} and {stage.core_group[c]}",
        ),
    )

    found.add_each(
        "core-graph/orphan",
        ~(used & (stage.target_core != NO_TARGET)).any(axis=1),
        lambda c: (f"core {c}", "at least 1 neuron with a target", f"0 of {used[c].sum()} used neurons"),
    )

    features = np.array([conv.features for conv in convs])[layer]
    position, feature = np.divmod(stage.neuron_index.astype(np.int64), features[:, None])
    y, x = np.divmod(position, width[:, None])
    group = feature // np.maximum(features // groups, 1)[:, None]
    in_block = (x >= x0[:, None]) & (x < x1[:, None]) & (y >= y0[:, None]) & (y < y1[:, None])
    in_group = group == stage.core_group[:, None]
    of_label = used & (stage.neuron_layer == stage.core_layer[:, None])
    of_label &= np.where(layered[:, None], ~splits & in_block & in_group, splits)
    found.add_each(
        "core-graph/neuron-place",
        ~of_label.any(axis=1) & used.any(axis=1) & (whole | ~layered),
        lambda c: (
            f"core {c}",
            f"a neuron of layer {stage.core_layer[c]}" + (", in the core's block and group" if layered[c] else ""),
            "none",
        ),
    )

    # Splitters stand behind the layer that they copy. Their trees have no order but that sources come first.
    none = np.iinfo(np.int64).max
    way = np.where(stage.core_kind == CoreKind.RELAY, none, 2 * stage.core_layer.astype(np.int64) + ~layered)
    first = np.where(of_label, feature, none).min(axis=1, initial=none)
    keys = np.stack([way, *np.where(layered, [stage.core_group, y0, x0, first], 0)], axis=1)
    step = np.diff(keys, axis=0)
    leading = step[np.arange(len(step)), (step != 0).argmax(axis=1)]
    found.add_each(
        "core-graph/order",
        leading < 0,
        lambda c: (f"cores {c} and {c + 1}", "ordered by way, group, y, x, feature", keys[c : c + 2].tolist()),
    )


def _copies(
    found: Findings,
    stage: CoreGraph,
    signals: _Signals,
    used: Bool[np.ndarray, "cores neurons"],
    splits: Bool[np.ndarray, "cores neurons"],
) -> None:
    core, neuron = np.nonzero(used)
    signal, copy = signals.of_neuron[core, neuron], stage.neuron_copy[core, neuron]
    order = np.lexsort((copy, signal))
    expected = np.arange(len(order)) - np.searchsorted(signal[order], signal[order])
    split = splits[core, neuron][order]
    # Sorted by copy, a layer's neuron may not follow a splitter's of the same signal.
    late = np.zeros(len(order), bool)
    late[1:] = (np.diff(signal[order]) == 0) & split[:-1] & ~split[1:]
    found.add_each(
        "core-graph/copy",
        (copy[order] != expected) | late,
        lambda i: (
            f"{_neuron(core[order[i]], neuron[order[i]])}, {signals.name(signal[order[i]])}",
            f"copy {expected[i]}, and splitters behind others",
            f"copy {copy[order[i]]}",
        ),
    )


def _pins(found: Findings, stage: CoreGraph) -> None:
    last = stage.source.source.layers[-1].conv
    core, neuron = np.nonzero(stage.target_core == OUTPUT_PIN)
    layer, index = stage.neuron_layer[core, neuron], stage.neuron_index[core, neuron]
    pin = stage.target_axon[core, neuron]
    found.add_each(
        "core-graph/pin",
        (layer != len(stage.source.source.layers) - 1) | (index != pin),
        lambda i: (
            _neuron(core[i], neuron[i]),
            f"value {pin[i]} of the last layer",
            f"value {index[i]} of layer {layer[i]}",
        ),
    )
    count = np.bincount(pin, minlength=last.outputs)
    found.add_each("core-graph/pin", count != 1, lambda p: (f"pin {p}", "driven by 1 neuron", f"{count[p]} neurons"))


def _axons(
    found: Findings, stage: CoreGraph, signals: _Signals
) -> tuple[Int64[np.ndarray, "cores axons"], Bool[np.ndarray, " cores"]]:
    """Returns the signal that each axon carries, −1 if none, and the cores of which all axons are driven rightly."""
    lines = stage.input_lines
    keys = np.stack([lines.bit, lines.core, lines.axon], axis=1).astype(np.int64)
    step = np.diff(keys, axis=0)
    found.add_each(
        "core-graph/line-order",
        step[np.arange(len(step)), (step != 0).argmax(axis=1)] < 0,
        lambda i: (f"input lines {i} and {i + 1}", "ordered by bit, core, axon", keys[i : i + 2].tolist()),
    )

    shape = stage.axon_type.shape
    core, neuron = np.nonzero(stage.target_core >= 0)
    ends = stage.target_core[core, neuron].astype(np.int64) * shape[1] + stage.target_axon[core, neuron]
    line_ends = lines.core.astype(np.int64) * shape[1] + lines.axon
    drivers = np.bincount(np.concatenate([ends, line_ends]), minlength=stage.axon_type.size).reshape(shape)
    carried = np.full(stage.axon_type.size, -1, np.int64)
    carried[ends] = signals.of_neuron[core, neuron]
    carried[line_ends] = lines.bit
    found.add_each(
        "core-graph/axon-drivers",
        drivers > 1,
        lambda c, a: (f"core {c}, axon {a}", "at most 1 driver", f"{drivers[c, a]} drivers"),
    )
    connected = np.bitwise_or.reduce(stage.crossbars, axis=2)[stage.core_crossbar] != 0
    undriven = connected & (drivers == 0)
    found.add_each(
        "core-graph/axon-undriven",
        undriven,
        lambda c, a: (f"core {c}, axon {a}", "driven, as it has crosspoints", "no driver"),
    )
    return carried.reshape(shape), ~((drivers > 1) | undriven).any(axis=1)


def _timing(
    found: Findings, stage: CoreGraph, arch: ChipArch
) -> tuple[Int64[np.ndarray, "cores axons"], Int64[np.ndarray, "cores axons"]]:
    """Returns when axons receive what.

    Returns:
        The tick at which each axon receives a frame that enters at tick 0, −1 if none does; and the tick from which
        each of these others carries its constant.
    """
    lines = stage.input_lines
    delay = stage.target_delay.astype(np.int64)
    to_core, to_pin = stage.target_core >= 0, stage.target_core == OUTPUT_PIN
    low = np.where(to_core | to_pin, 1, 0)
    high = np.where(to_core, arch.delay_max, low)
    found.add_each(
        "core-graph/delay",
        (delay < low) | (delay > high),
        lambda c, n: (_neuron(c, n), f"{low[c, n]} to {high[c, n]} ticks", delay[c, n]),
    )
    found.add_each(
        "core-graph/delay",
        (lines.delay < 1) | (lines.delay > arch.delay_max),
        lambda i: (f"input line {i}", f"1 to {arch.delay_max} ticks", lines.delay[i]),
    )

    neuron_tick, axon_tick, still = _ticks(stage)
    found.add_each(
        "core-graph/orphan",
        (stage.neuron_layer != UNUSED) & (neuron_tick < 0) & ~still,
        lambda c, n: (_neuron(c, n), "fed from the input", "no path from the input"),
    )
    constant_since, axon_since = _since(stage, still)
    fires = np.where(neuron_tick >= 0, neuron_tick, np.maximum(constant_since, stage.latency))
    fires = np.where(to_pin, fires, stage.latency)
    found.add_each(
        "core-graph/latency",
        fires != stage.latency,
        lambda c, n: (f"pin of {_neuron(c, n)}", f"tick {stage.latency}, the declared latency", f"tick {fires[c, n]}"),
    )
    return axon_tick, axon_since


def _since(
    stage: CoreGraph, still: Bool[np.ndarray, "cores neurons"]
) -> tuple[Int64[np.ndarray, "cores neurons"], Int64[np.ndarray, "cores axons"]]:
    """Returns the tick from which still neurons (see `_ticks`) are what they stay, and their axons; 0 for all others.

    A spike of tick 0 takes its delay, so a reader that is behind many or long ones computes its first frames without.
    """
    sends = still & (stage.target_core >= 0)
    source, neuron = np.nonzero(sends)
    target, axon, wait = stage.target_core[sends], stage.target_axon[sends], stage.target_delay[sends].astype(np.int64)
    axon_since = np.zeros(stage.axon_type.shape, np.int64)
    since = np.zeros(still.shape, np.int64)
    while len(source):
        axon_since[target, axon] = since[source, neuron] + wait
        before = since.copy()
        for core in np.unique(target[still[target].any(axis=1)]):
            points = np.unpackbits(stage.crossbars[stage.core_crossbar[core]], axis=1, bitorder="little")
            since[core] = np.where(still[core], (points * axon_since[core][:, None]).max(axis=0), 0)
        if np.array_equal(since, before):
            break
    return since, axon_since


def _ticks(
    stage: CoreGraph,
) -> tuple[Int64[np.ndarray, "cores neurons"], Int64[np.ndarray, "cores axons"], Bool[np.ndarray, "cores neurons"]]:
    """Returns the ticks at which neurons fire and axons receive a frame that enters at tick 0, and who is still.

    Ticks spread from the input: a neuron takes that of any axon that it hears; whether the others agree is looked at
    later. A neuron that hears nothing, or only such neurons, is still: it fires always or never, and has no tick. Who
    has no tick without being still is −1, too.
    """
    source, neuron = np.nonzero(stage.target_core >= 0)
    target, axon = stage.target_core[source, neuron], stage.target_axon[source, neuron]
    wait = stage.target_delay[source, neuron].astype(np.int64)
    hears, heard = _hears(stage)
    driven = np.zeros(stage.axon_type.shape, bool)
    driven[target, axon] = True
    driven[stage.input_lines.core, stage.input_lines.axon] = True
    still, axon_still = ~hears, ~driven
    axon_tick = np.full(stage.axon_type.shape, -1, np.int64)
    axon_tick[stage.input_lines.core, stage.input_lines.axon] = stage.input_lines.delay
    while True:
        neuron_tick = np.where(hears, np.take_along_axis(axon_tick, heard, axis=1), -1)
        ticking = (neuron_tick[source, neuron] >= 0) & (axon_tick[target, axon] < 0)
        if ticking.any():
            axon_tick[target[ticking], axon[ticking]] = (neuron_tick[source, neuron] + wait)[ticking]
            continue
        axon_still[target, axon] |= still[source, neuron]
        # Now those of which the first axon has no tick: perhaps another one has, or all are still.
        settled = False
        for core in np.flatnonzero((hears & (neuron_tick < 0) & ~still).any(axis=1)):
            open_ = np.flatnonzero(hears[core] & (neuron_tick[core] < 0) & ~still[core])
            points = np.unpackbits(stage.crossbars[stage.core_crossbar[core]], axis=1, bitorder="little")[:, open_]
            last = np.where(points, axon_tick[core][:, None], -1)
            ticks, quiet = last.max(axis=0) >= 0, ~(points & ~axon_still[core][:, None]).any(axis=0)
            heard[core, open_[ticks]] = last.argmax(axis=0)[ticks]
            still[core, open_[quiet & ~ticks]] = True
            settled |= bool((ticks | quiet).any())
        if not settled:
            return neuron_tick, axon_tick, still


def _hears(stage: CoreGraph) -> tuple[Bool[np.ndarray, "cores neurons"], Int64[np.ndarray, "cores neurons"]]:
    """Returns whether each neuron has a crosspoint, and its first axon if it has."""
    shape = len(stage.crossbars), stage.neuron_type.shape[1]
    hears, heard = np.empty(shape, bool), np.empty(shape, np.int64)
    for number, crossbar in enumerate(stage.crossbars):
        points = np.unpackbits(crossbar, axis=1, bitorder="little")
        hears[number], heard[number] = points.any(axis=0), points.argmax(axis=0)
    return hears[stage.core_crossbar], heard[stage.core_crossbar]


def _pairs(
    found: Findings,
    stage: CoreGraph,
    computes: Bool[np.ndarray, "cores neurons"],
    carried: Int64[np.ndarray, "cores axons"],
) -> None:
    """Checks types and weights of scheme `pair`: an axon of type 0 takes 1 away, one of type 1 adds 1."""
    found.add_each(
        "core-graph/pair-type",
        (carried >= 0) & (stage.axon_type > 1),
        lambda c, a: (f"core {c}, axon {a}", "type 0 or 1", f"type {stage.axon_type[c, a]}"),
    )
    weights = stage.neurons.weights[:, :2]
    trinary = (weights == (-1, 1)).all(axis=1)
    found.add_each(
        "core-graph/pair-weights",
        computes & ~trinary[stage.neuron_type],
        lambda c, n: (_neuron(c, n), "weights −1 and 1", f"weights {weights[stage.neuron_type[c, n]].tolist()}"),
    )


@dataclass(frozen=True)
class _Filters:
    """One layer's filters, indexed for decoding.

    Attributes:
        conv: geometry.
        flat: trinary weights, flattened [feature, ky, kx, ci].
        channel: place of each source channel behind the permutation.
        window: weights that are not zero in the taps [feature, < ky, < kx]; sums up to a corner of the kernel.
    """

    conv: Conv
    flat: np.ndarray
    channel: np.ndarray
    window: np.ndarray

    @classmethod
    def of(cls, conv: Conv, weights: np.ndarray) -> _Filters:
        channel = np.empty(conv.in_shape[2], np.int32)
        channel[conv.permutation] = np.arange(conv.in_shape[2], dtype=np.int32)
        window = np.zeros((conv.features, conv.kernel[1] + 1, conv.kernel[0] + 1), np.int32)
        window[:, 1:, 1:] = np.count_nonzero(weights, axis=3).cumsum(axis=1).cumsum(axis=2)
        return cls(conv, weights.ravel(), channel, window)

    def read(self, values: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns what output values (flat indices) do with input values (flat indices).

        Returns:
            Weights [input, value], 0 where the value does not read the input; whether any value reads the input
            [input]; and the number of weights of each value that are not zero within the map [value].
        """
        conv = self.conv
        values, inputs = values.astype(np.int32), inputs.astype(np.int32)  # half as wide, so twice as fast
        (in_width, in_height, channels), (width, _, features) = conv.in_shape, conv.out_shape
        position, feature = np.divmod(values, features)
        left = position % width * conv.stride[0] - conv.padding[0]
        top = position // width * conv.stride[1] - conv.padding[1]
        place, channel = np.divmod(inputs, channels)
        group = feature // conv.features_per_group
        ci = self.channel[channel][:, None] - group * conv.inputs_per_group
        kx = (place % in_width)[:, None] - left
        ky = (place // in_width)[:, None] - top
        reads = (ci >= 0) & (ci < conv.inputs_per_group)
        reads &= (kx >= 0) & (kx < conv.kernel[0]) & (ky >= 0) & (ky < conv.kernel[1])
        tap = ((feature * conv.kernel[1] + ky) * conv.kernel[0] + kx) * conv.inputs_per_group + ci
        weight = np.where(reads, self.flat[np.where(reads, tap, 0)], 0)

        x0, x1 = np.maximum(-left, 0), np.minimum(in_width - left, conv.kernel[0])
        y0, y1 = np.maximum(-top, 0), np.minimum(in_height - top, conv.kernel[1])
        count = self.window[feature, y1, x1] - self.window[feature, y0, x1]
        count -= self.window[feature, y1, x0] - self.window[feature, y0, x0]
        return weight, np.any(reads, axis=1), count

    def taps(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns all inputs of output values (flat indices), and the weights; weight 0 where there is padding."""
        conv = self.conv
        (in_width, in_height, channels), (width, _, features) = conv.in_shape, conv.out_shape
        position, feature = np.divmod(values.astype(np.int64), features)
        ky, kx, ci = np.unravel_index(np.arange(conv.fan_in), (conv.kernel[1], conv.kernel[0], conv.inputs_per_group))
        x = (position % width * conv.stride[0] - conv.padding[0])[:, None] + kx
        y = (position // width * conv.stride[1] - conv.padding[1])[:, None] + ky
        channel = conv.permutation[(feature // conv.features_per_group * conv.inputs_per_group)[:, None] + ci]
        inside = (x >= 0) & (x < in_width) & (y >= 0) & (y < in_height)
        weights = self.flat[feature[:, None] * conv.fan_in + np.arange(conv.fan_in)]
        return np.where(inside, (y * in_width + x) * channels + channel, 0), np.where(inside, weights, 0)


@dataclass(frozen=True)
class _Core:
    """What one core does, as hardware would read it.

    Attributes:
        number: of the core.
        neurons: the used ones; of neighbours that are equal in all respects, the first.
        values: flat index of the value that each neuron carries.
        leak: of each neuron [LSB].
        axons: the driven ones.
        carried: signal of each axon.
        weights: what a spike on an axon adds to a neuron [axon, neuron].
    """

    number: int
    neurons: np.ndarray
    values: np.ndarray
    leak: np.ndarray
    axons: np.ndarray
    carried: np.ndarray
    weights: np.ndarray

    @classmethod
    def read(
        cls, stage: CoreGraph, number: int, crosspoints: np.ndarray, used: np.ndarray, carried: np.ndarray
    ) -> _Core:
        neurons = np.flatnonzero(used)
        axons = np.flatnonzero(carried >= 0)
        values, types = stage.neuron_index[number, neurons], stage.neuron_type[number, neurons]
        points = crosspoints[axons][:, neurons]
        distinct = np.ones(len(neurons), bool)
        distinct[1:] = (np.diff(values) != 0) | (np.diff(types) != 0) | (points[:, 1:] != points[:, :-1]).any(axis=0)
        types = types[distinct]
        weights = stage.neurons.weights[types].astype(np.int32).T[stage.axon_type[number, axons]]
        return cls(
            number=number,
            neurons=neurons[distinct],
            values=values[distinct],
            leak=stage.neurons.leak[types],
            axons=axons,
            carried=carried[axons],
            weights=weights * points[:, distinct],
        )


def _decode(
    found: Findings,
    stage: CoreGraph,
    arch: ChipArch,
    signals: _Signals,
    splits: Bool[np.ndarray, "cores neurons"],
    carried: Int64[np.ndarray, "cores axons"],
    readable: Bool[np.ndarray, " cores"],
    tick: Int64[np.ndarray, "cores axons"],
    since: Int64[np.ndarray, "cores axons"],
) -> None:
    """Reads each core's crossbar as weights, one core at a time: 256 × 256 crosspoints are enough for NumPy."""
    net = stage.source
    filters = [_Filters.of(layer.conv, w) for layer, w in zip(net.source.layers, net.weights, strict=True)]
    known = cache(lambda: constant_signals(net))  # seldom asked for
    for number in range(stage.cores):
        crosspoints = np.unpackbits(stage.crossbars[stage.core_crossbar[number]], axis=1, bitorder="little")
        layer = np.where(splits[number], INPUT_LAYER, stage.neuron_layer[number])  # that a neuron computes
        found.add_each(
            "core-graph/unused-neuron",
            crosspoints.any(axis=0) & (layer == UNUSED),
            lambda n, number=number: (f"{_neuron(number, n)}, unused", "without crosspoints", "with crosspoints"),
        )
        if not readable[number]:
            continue
        _align(found, number, crosspoints, tick[number], since[number])
        stray = carried[number] >= 0
        for kind in np.unique(layer[layer != UNUSED]):
            core = _Core.read(stage, number, crosspoints, layer == kind, carried[number])
            if kind == INPUT_LAYER:
                read = _decode_splitter(found, stage, signals, core)
            else:
                read = _decode_layer(found, stage, arch, signals, filters[kind], core, int(kind), known)
            stray[core.axons[read]] = False
        found.add_each(
            "core-graph/axon-stray",
            stray,
            lambda a, number=number: (
                f"core {number}, axon {a}",
                "an input of a neuron here",
                signals.name(carried[number, a]),
            ),
        )


def _align(
    found: Findings,
    number: int,
    crosspoints: np.ndarray,
    tick: Int64[np.ndarray, " axons"],
    since: Int64[np.ndarray, " axons"],
) -> None:
    """Checks that no neuron hears axons of different ticks; those of tick −1 carry a constant, which may be early."""
    timed = (tick >= 0) & crosspoints.any(axis=1)
    if len(np.unique(tick[timed])) < 2 and not since.any():
        return
    constant = (crosspoints * since[:, None]).max(axis=0)
    points, tick = crosspoints[timed].astype(bool), tick[timed][:, None]
    never = np.iinfo(np.int64).max
    last = np.where(points, tick, -1).max(axis=0, initial=-1)
    first = np.where(points, tick, never).min(axis=0, initial=never)
    found.add_each(
        "core-graph/alignment",
        (last >= 0) & (first != last),
        lambda n: (_neuron(number, n), f"all axons at tick {first[n]}", f"one at tick {last[n]}"),
    )
    found.add_each(
        "core-graph/alignment",
        (last >= 0) & (constant > last),
        lambda n: (_neuron(number, n), f"constants from tick {last[n]} on", f"one from tick {constant[n]} on"),
    )


def _decode_layer(
    found: Findings,
    stage: CoreGraph,
    arch: ChipArch,
    signals: _Signals,
    filters: _Filters,
    core: _Core,
    layer: int,
    known: Callable[[], tuple[Int8[np.ndarray, " _"], ...]],
) -> Bool[np.ndarray, " axons"]:
    """Returns which axons these neurons of one layer read."""
    if not len(core.axons):  # then all that they read must be constant
        inputs, summed = np.zeros(0, np.int64), np.zeros((0, len(core.values)), np.int64)
        row = np.zeros(0, np.int64)
        order = row
    else:
        order = np.argsort(core.carried, kind="stable")
        inputs, starts, row = np.unique(core.carried[order], return_index=True, return_inverse=True)
        summed = np.add.reduceat(core.weights[order], starts, axis=0)  # input neuron
        points = np.add.reduceat((core.weights != 0)[order].astype(np.int64), starts, axis=0)
        found.add_each(
            "core-graph/pair-crosspoints",
            points > 1,
            lambda i, n: (
                f"{_neuron(core.number, core.neurons[n])}, {signals.name(inputs[i])}",
                "heard through 1 crosspoint",
                f"through {points[i, n]}",
            ),
        )
    of_map = (inputs >= signals.first[layer]) & (inputs < signals.first[layer + 1])
    expected, reads, count = filters.read(core.values, np.where(of_map, inputs - signals.first[layer], 0))
    expected, reads = expected * of_map[:, None], reads & of_map  # signals of another layer are read by nobody
    found.add_each(
        "core-graph/weight",
        summed != expected,
        lambda i, n: (
            f"{_neuron(core.number, core.neurons[n])}, {signals.name(inputs[i])}",
            f"weight {expected[i, n]}",
            f"weight {summed[i, n]}",
        ),
    )
    leak = stage.source.leak[layer][core.values % filters.conv.features].astype(np.int64)
    lacking = np.flatnonzero(count != np.count_nonzero(expected, axis=0))
    if len(lacking):
        sources, weights = filters.taps(core.values[lacking])
        missing = (weights != 0) & ~np.isin(sources + signals.first[layer], inputs)
        constant = known()[layer][sources]
        found.add_each(
            "core-graph/weight",
            (missing & (constant < 0)).any(axis=1),
            lambda n: (
                _neuron(core.number, core.neurons[lacking[n]]),
                "fed by all its inputs that are not constant",
                f"{(missing & (constant < 0))[n].sum()} have no axon",
            ),
        )
        leak[lacking] += (weights * (missing & (constant == 1))).sum(axis=1)
    # A leak beyond the largest one may be cut down to it where the sum of all that is heard cannot decide any more.
    fits, heard = np.clip(leak, -arch.leak_max, arch.leak_max), np.count_nonzero(expected, axis=0)
    found.add_each(
        "core-graph/leak",
        (core.leak != fits) | ((leak != fits) & (heard >= arch.leak_max)),
        lambda n: (_neuron(core.number, core.neurons[n]), f"leak {leak[n]}", f"leak {core.leak[n]}"),
    )
    read = np.zeros(len(core.axons), bool)
    read[order] = reads[row]
    return read


def _decode_splitter(found: Findings, stage: CoreGraph, signals: _Signals, core: _Core) -> Bool[np.ndarray, " axons"]:
    """Returns which axons these splitter neurons read."""
    weights = core.weights
    repeats = (np.count_nonzero(weights, axis=0) == 1) & (weights.sum(axis=0) == 1) & (core.leak == 0)
    found.add_each(
        "core-graph/splitter",
        ~repeats,
        lambda n: (
            _neuron(core.number, core.neurons[n]),
            "one weight of 1 and no leak",
            f"weights {weights[:, n][weights[:, n] != 0].tolist()} and leak {core.leak[n]}",
        ),
    )
    if len(core.axons):
        heard = core.carried[weights.argmax(axis=0)]
        own = signals.of_neuron[core.number, core.neurons]
        found.add_each(
            "core-graph/splitter-signal",
            repeats & (heard != own),
            lambda n: (_neuron(core.number, core.neurons[n]), signals.name(own[n]), signals.name(heard[n])),
        )
    return np.asarray((weights != 0).any(axis=1))


def _neuron(core: SupportsIndex, neuron: SupportsIndex) -> str:
    return f"core {core}, neuron {neuron}"
