"""Verifies ChipImage: by itself, as hardware would take it, and against the routed chip that it was made from."""

from __future__ import annotations

import dataclasses

import numpy as np
from pydantic import ValidationError

from tncompile.arch import ChipArch
from tncompile.ir import (
    NO_TARGET,
    OUTPUT_PIN,
    ChipImage,
    Conv,
    CoreGraph,
    NeuronTable,
    Readout,
    RoutedChip,
    graph_of,
    sites_of,
)
from tncompile.verify.findings import Findings
from tncompile.verify.neurons import check_table

CODES: dict[str, str] = {
    "image/shape": "arrays have the shapes and types that the numbers of cores, axons and neurons ask for",
    "image/arch": "the chip description is that of the chip",
    "image/latency": "the latency is at least 1 tick, or −1 if not known",
    "image/reference": "crossbars, neuron types and axon types exist",
    "image/neuron-width": "fields of the neuron table fit the chip's",
    "image/unused-type": "row 0 of the neuron table never spikes",
    "image/site": "every core has a working site on the board",
    "image/shared-site": "no two cores share a site",
    "image/pin": "an output pin is below the number of pins",
    "image/idle": "a neuron with a pin or without a target has no address",
    "image/offset": "offsets fit a packet",
    "image/delay": "delays are at most the chip's longest",
    "image/target": "a neuron's target is an axon of a core of the image",
    "image/faulty-router": "a neuron's packet passes no faulty router on its way x first, then y",
    "image/packet": "a packet of the host carries an input bit to an axon of a core, in 1 to the longest delay ticks",
    "image/host": "the host's layers give the input bits and read the output pins",
    "image/decode-core": "sites, crossbars, axon types and neurons are the routed chip's",
    "image/decode-target": "every neuron's target is the routed chip's",
    "image/decode-input": "the host's packets go down the core graph's input lines",
    "image/decode-host": "the host's layers are the net's, the latency the core graph's",
}


def verify(stage: ChipImage, arch: ChipArch) -> None:
    """Checks a chip image by itself against the invariants of `ChipImage`.

    Raises:
        VerificationError: with all violations.
    """
    found = Findings("ChipImage", CODES)
    try:
        same = ChipArch.model_validate_json(stage.arch) == arch
    except ValidationError:
        same = False
    if not same:
        found.add("image/arch", "arch", f"the description of {arch.name}", f"{stage.arch[:60]}…")
    if stage.latency != -1 and stage.latency < 1:
        found.add("image/latency", "latency", "at least 1, or −1", stage.latency)
    _shapes(found, stage, arch)
    found.check()
    _ranges(found, stage, arch)
    found.check()
    core_at = _sites(found, stage, arch)
    _targets(found, stage, arch, core_at)
    _ways(found, stage, arch)
    _packets(found, stage, arch, core_at)
    _host(found, stage)
    found.check()


def verify_against(image: ChipImage, routed: RoutedChip, arch: ChipArch) -> None:
    """Checks that an image, decoded, is the routed chip that it was made from.

    Raises:
        VerificationError: with all violations of `verify`, if any, or all differences.
    """
    verify(image, arch)
    found = Findings("ChipImage", CODES)
    graph, (x, y) = graph_of(routed), sites_of(routed)
    net = graph.source
    cores = {
        "core_x": x,
        "core_y": y,
        "axon_type": graph.axon_type,
        "core_crossbar": graph.core_crossbar,
        "crossbars": graph.crossbars,
        "neuron_type": graph.neuron_type,
    }
    for name, expected in cores.items():
        _same(found, "image/decode-core", name, getattr(image, name), expected)
    for field in dataclasses.fields(NeuronTable):
        actual, expected = getattr(image.neurons, field.name), getattr(graph.neurons, field.name)
        _same(found, "image/decode-core", f"neurons.{field.name}", actual, expected)
    if len(image.core_x) == graph.cores:
        _same_targets(found, image, routed, graph)
    lines = graph.input_lines
    packets = {
        "bit": lines.bit,
        "x": x[lines.core],
        "y": y[lines.core],
        "axon": lines.axon,
        "delay": lines.delay,
    }
    for name, expected in packets.items():
        _same(found, "image/decode-input", f"packets.{name}", getattr(image.packets, name), expected)

    first, last = net.source.transduction, net.source.layers[-1].conv
    if image.latency != graph.latency:
        found.add("image/decode-host", "latency", graph.latency, image.latency)
    if image.host is None:
        found.add("image/decode-host", "host", f"layer {first.conv.name} and the readout", "no host")
    else:
        _same(found, "image/decode-host", "host.weights", image.host.weights, first.weights)
        _same(found, "image/decode-host", "host.threshold", image.host.threshold, net.threshold)
        for name, actual, expected in (
            ("input_bits", image.host.input_bits, first.input_bits),
            ("out_shape", image.host.out_shape, last.out_shape),
            ("conv", _plain(image.host.conv), _plain(first.conv)),
            ("readout", _plain(image.host.readout), _plain(net.source.readout)),
        ):
            if actual != expected:
                found.add("image/decode-host", f"host.{name}", expected, actual)
    found.check()


def _shapes(found: Findings, stage: ChipImage, arch: ChipArch) -> None:
    cores, lines = len(stage.core_x), len(stage.packets.bit)
    neurons = (cores, arch.neurons)
    found.add_shapes(
        "image/shape",
        "image",
        stage,
        {
            "core_x": ((cores,), np.int32),
            "core_y": ((cores,), np.int32),
            "core_crossbar": ((cores,), np.int32),
            "crossbars": ((len(stage.crossbars), arch.axons, arch.neurons // 8), np.uint8),
            "axon_type": ((cores, arch.axons), np.uint8),
            "neuron_type": (neurons, np.int32),
            "dx": (neurons, np.int16),
            "dy": (neurons, np.int16),
            "target_axon": (neurons, np.int16),
            "target_delay": (neurons, np.uint8),
            "output_pin": (neurons, np.int32),
        },
    )
    words = dict.fromkeys(("bit", "x", "y"), ((lines,), np.int32))
    ends = {"axon": ((lines,), np.int16), "delay": ((lines,), np.uint8)}
    found.add_shapes("image/shape", "packets", stage.packets, words | ends)
    if stage.host is not None:
        host = stage.host
        arrays = {"weights": (host.conv.weight_shape, np.int32), "threshold": ((host.conv.features,), np.int64)}
        found.add_shapes("image/shape", "host", host, arrays)
        features = {"feature_class": ((host.out_shape[2],), np.int32)}
        found.add_shapes("image/shape", "host", host.readout, features)
    check_table(found, "image/shape", "image/neuron-width", "image/unused-type", stage.neurons, arch)


def _ranges(found: Findings, stage: ChipImage, arch: ChipArch) -> None:
    for name, count in (
        ("core_crossbar", len(stage.crossbars)),
        ("neuron_type", len(stage.neurons)),
        ("axon_type", arch.axon_types),
    ):
        values = getattr(stage, name)
        found.add_each(
            "image/reference",
            (values < 0) | (values >= count),
            lambda *i, name=name, values=values, count=count: (f"{name}{list(i)}", f"0 to {count - 1}", values[i]),
        )
    width, height = arch.size
    x, y = stage.core_x, stage.core_y
    found.add_each(
        "image/site",
        (x < 0) | (x >= width) | (y < 0) | (y >= height),
        lambda c: (f"core {c}", f"within {width} x {height}", f"site ({x[c]}, {y[c]})"),
    )


def _sites(found: Findings, stage: ChipImage, arch: ChipArch) -> np.ndarray:
    """Returns whether a core stands at [y, x]."""
    width, height = arch.size
    count = np.zeros((height, width), np.int64)
    np.add.at(count, (stage.core_y, stage.core_x), 1)
    found.add_each(
        "image/shared-site", count > 1, lambda j, i: (f"site ({i}, {j})", "at most 1 core", f"{count[j, i]} cores")
    )
    for x, y in sorted(arch.blockages):
        if count[y, x]:
            found.add("image/site", f"site ({x}, {y})", "free, as it is faulty or cut off", f"{count[y, x]} core")
    return count > 0


def _holds(core_at: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns whether a core stands at each (x, y); off the board there is none."""
    height, width = core_at.shape
    on_board = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return on_board & core_at[np.where(on_board, y, 0), np.where(on_board, x, 0)]


def _targets(found: Findings, stage: ChipImage, arch: ChipArch, core_at: np.ndarray) -> None:
    pin, delay = stage.output_pin, stage.target_delay
    dx, dy, axon = (a.astype(np.int64) for a in (stage.dx, stage.dy, stage.target_axon))
    found.add_each(
        "image/pin",
        (pin < -1) | (pin >= stage.output_pins),
        lambda c, n: (_neuron(c, n), f"pin −1 to {stage.output_pins - 1}", f"pin {pin[c, n]}"),
    )
    idle = (delay == 0) | (pin >= 0)
    found.add_each(
        "image/idle",
        idle & ((dx != 0) | (dy != 0) | (axon != 0) | (delay != 0)),
        lambda c, n: (
            _neuron(c, n),
            "dx, dy, axon and delay 0",
            f"{dx[c, n]}, {dy[c, n]}, {axon[c, n]} and {delay[c, n]}",
        ),
    )
    far = np.maximum(np.abs(dx), np.abs(dy))
    found.add_each(
        "image/offset",
        ~idle & (far > arch.offset_max),
        lambda c, n: (_neuron(c, n), f"−{arch.offset_max} to {arch.offset_max}", f"dx {dx[c, n]}, dy {dy[c, n]}"),
    )
    found.add_each(
        "image/delay",
        ~idle & (delay > arch.delay_max),
        lambda c, n: (_neuron(c, n), f"at most {arch.delay_max} ticks", delay[c, n]),
    )
    x, y = stage.core_x[:, None] + dx, stage.core_y[:, None] + dy
    found.add_each(
        "image/target",
        ~idle & ~(_holds(core_at, x, y) & (axon >= 0) & (axon < arch.axons)),
        lambda c, n: (
            _neuron(c, n),
            f"axon 0 to {arch.axons - 1} of a core",
            f"axon {axon[c, n]} at ({x[c, n]}, {y[c, n]})",
        ),
    )


def _ways(found: Findings, stage: ChipImage, arch: ChipArch) -> None:
    """Checks the ways of packets: how many faulty routers a leg passes is a difference of two running sums."""
    if not arch.faulty_routers:
        return
    width, height = arch.size
    faulty = np.zeros((height + 1, width + 1), np.int32)
    for i, j in arch.faulty_routers:
        faulty[j + 1, i + 1] = 1
    rows, columns = faulty[1:].cumsum(axis=1), faulty[:, 1:].cumsum(axis=0)
    core, neuron = np.nonzero(stage.target_delay > 0)
    x, y = stage.core_x[core], stage.core_y[core]
    to_x, to_y = x + stage.dx[core, neuron], y + stage.dy[core, neuron]
    # A packet that leaves the board has been reported as one without a target.
    within = (to_x >= 0) & (to_x < width) & (to_y >= 0) & (to_y < height)
    core, neuron, x, y, to_x, to_y = (values[within] for values in (core, neuron, x, y, to_x, to_y))
    passed = rows[y, np.maximum(x, to_x) + 1] - rows[y, np.minimum(x, to_x)]
    passed += columns[np.maximum(y, to_y) + 1, to_x] - columns[np.minimum(y, to_y), to_x]
    found.add_each(
        "image/faulty-router",
        passed > 0,
        lambda n: (
            _neuron(int(core[n]), int(neuron[n])),
            "only routers that work",
            f"by a faulty one, from ({x[n]}, {y[n]}) to ({to_x[n]}, {to_y[n]})",
        ),
    )


def _packets(found: Findings, stage: ChipImage, arch: ChipArch, core_at: np.ndarray) -> None:
    packets = stage.packets
    good = (packets.bit >= 0) & (packets.bit < stage.input_bits) & (packets.axon >= 0) & (packets.axon < arch.axons)
    good &= (packets.delay >= 1) & (packets.delay <= arch.delay_max) & _holds(core_at, packets.x, packets.y)
    found.add_each(
        "image/packet",
        ~good,
        lambda i: (
            f"packet {i}, bit {packets.bit[i]}",
            f"below {stage.input_bits}, at an axon of a core in 1 to {arch.delay_max} ticks",
            f"at axon {packets.axon[i]} of ({packets.x[i]}, {packets.y[i]}) in {packets.delay[i]}",
        ),
    )


def _host(found: Findings, stage: ChipImage) -> None:
    host = stage.host
    if host is None:
        return
    width, height, features = host.out_shape
    classes, feature_class = host.readout.classes, host.readout.feature_class
    for name, limit, actual in (
        ("input bits", stage.input_bits, host.conv.outputs),
        ("output pins", stage.output_pins, width * height * features),
    ):
        if limit != actual:
            found.add("image/host", f"host, {name}", limit, actual)
    found.add_each(
        "image/host",
        (feature_class < -1) | (feature_class >= classes),
        lambda f: (f"host, class of feature {f}", f"−1 to {classes - 1}", feature_class[f]),
    )


def _same(found: Findings, code: str, name: str, actual: np.ndarray, expected: np.ndarray) -> None:
    if actual.shape != expected.shape:
        found.add(code, name, f"{list(expected.shape)} values", f"{list(actual.shape)} values")
        return
    found.add_each(code, actual != expected, lambda *i: (f"{name}{list(i)}", expected[i], actual[i]))


def _same_targets(found: Findings, image: ChipImage, routed: RoutedChip, graph: CoreGraph) -> None:
    """Compares where each neuron's spike ends, read off the image's addresses."""
    goes = image.target_delay > 0
    core_of = {site: c for c, site in enumerate(zip(image.core_x.tolist(), image.core_y.tolist(), strict=True))}
    target = np.full(image.dx.shape, NO_TARGET, np.int64)
    target[image.output_pin >= 0] = OUTPUT_PIN
    core, neuron = np.nonzero(goes)
    x, y = image.core_x[core] + image.dx[core, neuron], image.core_y[core] + image.dy[core, neuron]
    target[core, neuron] = [core_of[site] for site in zip(x.tolist(), y.tolist(), strict=True)]
    end = np.where(goes, image.target_axon, np.maximum(image.output_pin, 0))
    delay = np.where(image.output_pin >= 0, 1, image.target_delay)  # on a pin it does not count
    for name, actual, expected in (
        ("target core", target, graph.target_core),
        ("target axon or pin", end, graph.target_axon),
        ("delay", delay, graph.target_delay),
        ("dx", image.dx, routed.dx),
        ("dy", image.dy, routed.dy),
    ):
        _same(found, "image/decode-target", name, actual, expected)


def _plain(record: Conv | Readout) -> dict[str, object]:
    """Returns a record's fields, arrays as lists, so that == compares them."""
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}


def _neuron(core: int, neuron: int) -> str:
    return f"core {core}, neuron {neuron}"
