"""Verifies LogicalNet: the geometry fits together, the numbers are numbers, the filters fit a core."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from tncompile.arch import ChipArch
from tncompile.ir import SCHEMES, BatchNorm, Conv, LogicalNet
from tncompile.verify.findings import Findings

CODES: dict[str, str] = {
    "logical/layers": "there is at least one on-chip layer",
    "logical/name": "names of layers are unique and not empty",
    "logical/geometry": "kernel, stride, features and groups are at least 1, 0 ≤ padding < kernel, no map is empty",
    "logical/groups": "groups divide channels and features",
    "logical/chain": "a layer's input shape is the output shape of the one before",
    "logical/shape": "weights, batch norms, permutations and classes have the shapes that the geometry asks for",
    "logical/permutation": "a channel permutation holds each channel once",
    "logical/fan-in": "a filter has no more inputs than a core takes",
    "logical/finite": "real numbers are finite",
    "logical/std": "standard deviations are not negative",
    "logical/hidden": "hidden weights are within ±1",
    "logical/state": "the hysteresis' state is −1, 0 or 1",
    "logical/hysteresis": "0 ≤ h < 0.5",
    "logical/bits": "pixels have 1 to 16 bits, sums 0 to 24 fraction bits",
    "logical/exact": "float32 holds every partial sum of the transduction",
    "logical/class": "a feature's class exists or is −1",
    "logical/class-features": "every class has a feature",
    "logical/spikes": "spikes on sample frames are counted for every value of every layer, at most one a frame",
}


def verify(stage: LogicalNet, arch: ChipArch) -> None:
    """Checks a net against the invariants of `LogicalNet`.

    Raises:
        VerificationError: with all violations.
    """
    found = Findings("LogicalNet", CODES)
    convs = (stage.transduction.conv, *(layer.conv for layer in stage.layers))
    if not stage.layers:
        found.add("logical/layers", f"net {stage.name}", "at least 1 layer", "0 layers")
    names = [conv.name for conv in convs]
    for name in sorted(set(names)):
        if not name or names.count(name) > 1:
            found.add("logical/name", f"layer {name!r}", "unique and not empty", f"{names.count(name)} layers")
    for conv in convs:
        _geometry(found, conv)
    found.check()  # shapes follow from the geometry

    for before, conv in pairwise(convs):
        if conv.in_shape != before.out_shape:
            found.add("logical/chain", f"layer {conv.name}, input shape", before.out_shape, conv.in_shape)
    _shapes(found, stage)
    found.check()  # values are read by shape

    for conv in convs:
        if not np.array_equal(np.sort(conv.permutation), np.arange(conv.in_shape[2])):
            found.add(
                "logical/permutation", f"layer {conv.name}", f"0 to {conv.in_shape[2] - 1} once", conv.permutation
            )
    _transduction(found, stage)
    _layers(found, stage, arch)
    _readout(found, stage)
    _spike_counts(found, stage)
    found.check()


def _geometry(found: Findings, conv: Conv) -> None:
    where = f"layer {conv.name}"
    channels = conv.in_shape[2]
    smallest = min(*conv.in_shape, *conv.kernel, *conv.stride, conv.features, conv.groups)
    if smallest < 1:
        found.add("logical/geometry", f"{where}, sizes", "at least 1", smallest)
        return
    for axis, name in enumerate("xy"):
        padding, kernel = conv.padding[axis], conv.kernel[axis]
        if not 0 <= padding < kernel:
            found.add("logical/geometry", f"{where}, padding in {name}", f"0 to {kernel - 1}", padding)
        if conv.in_shape[axis] + 2 * padding < kernel:
            padded = conv.in_shape[axis] + 2 * padding
            found.add("logical/geometry", f"{where}, kernel in {name}", f"at most the padded map's {padded}", kernel)
    for name, count in (("channels", channels), ("features", conv.features)):
        if count % conv.groups:
            found.add("logical/groups", f"{where}, {name}", f"a multiple of {conv.groups} groups", count)


def _shapes(found: Findings, stage: LogicalNet) -> None:
    def check(conv: Conv, record: object, weights: dict[str, type[np.generic]], norm: BatchNorm) -> None:
        where = f"layer {conv.name}"
        features = (conv.features,)
        found.add_shapes("logical/shape", where, conv, {"permutation": ((conv.in_shape[2],), np.int32)})
        found.add_shapes("logical/shape", where, record, {k: (conv.weight_shape, t) for k, t in weights.items()})
        found.add_shapes("logical/shape", where, norm, dict.fromkeys(("mean", "std", "bias"), (features, np.float32)))

    first = stage.transduction
    check(first.conv, first, {"weights": np.int32}, first.norm)
    for layer in stage.layers:
        check(layer.conv, layer, {"hidden": np.float32, "trinary": np.int8}, layer.norm)
    features = stage.layers[-1].conv.features
    found.add_shapes("logical/shape", "readout", stage.readout, {"feature_class": ((features,), np.int32)})


def _norm(found: Findings, name: str, norm: BatchNorm) -> None:
    for key in ("mean", "std", "bias"):
        values = getattr(norm, key)
        found.add_each(
            "logical/finite",
            ~np.isfinite(values),
            lambda f, key=key, values=values: (f"layer {name}, feature {f}, {key}", "finite", values[f]),
            "training diverged",
        )
    found.add_each("logical/std", norm.std < 0, lambda f: (f"layer {name}, feature {f}", "at least 0", norm.std[f]))


def _transduction(found: Findings, stage: LogicalNet) -> None:
    layer = stage.transduction
    name = layer.conv.name
    _norm(found, name, layer.norm)
    for key, bits, low, high in (
        ("input_bits", layer.input_bits, 1, 16),
        ("fraction_bits", layer.fraction_bits, 0, 24),
    ):
        if not low <= bits <= high:
            found.add("logical/bits", f"layer {name}, {key}", f"{low} to {high}", bits)
            return
    top = (1 << layer.input_bits) - 1
    largest = np.abs(layer.weights.astype(np.int64)).sum(axis=(1, 2, 3)) * top
    found.add_each(
        "logical/exact",
        largest >= 1 << 24,
        lambda f: (f"layer {name}, feature {f}", f"Σ |w| · {top} below {1 << 24}", largest[f]),
        "scale the weights down, with fewer fraction bits",
    )


def _layers(found: Findings, stage: LogicalNet, arch: ChipArch) -> None:
    room = max(scheme.inputs_per_core(arch) for scheme in SCHEMES.values())
    for layer in stage.layers:
        conv, where = layer.conv, f"layer {layer.conv.name}"
        if conv.fan_in > room:
            found.add("logical/fan-in", where, f"at most {room} inputs a filter", conv.fan_in, "raise groups")
        _norm(found, conv.name, layer.norm)
        finite = np.isfinite(layer.hidden)
        for code, bad, limit in (
            ("logical/finite", ~finite, "finite"),
            ("logical/hidden", finite & (np.abs(layer.hidden) > 1), "−1 to 1"),
        ):
            found.add_each(
                code,
                bad,
                lambda *i, where=where, hidden=layer.hidden, limit=limit: (
                    f"{where}, hidden{list(i)}",
                    limit,
                    hidden[i],
                ),
            )
        found.add_each(
            "logical/state",
            np.abs(layer.trinary.astype(np.int16)) > 1,
            lambda *i, where=where, state=layer.trinary: (f"{where}, trinary{list(i)}", "−1, 0 or 1", state[i]),
        )
        if not (math.isfinite(layer.hysteresis) and 0 <= layer.hysteresis < 0.5):
            found.add("logical/hysteresis", where, "0 to 0.5", layer.hysteresis)


def _readout(found: Findings, stage: LogicalNet) -> None:
    classes, feature_class = stage.readout.classes, stage.readout.feature_class
    found.add_each(
        "logical/class",
        (feature_class < -1) | (feature_class >= classes),
        lambda f: (f"readout, feature {f}", f"−1 to {classes - 1}", feature_class[f]),
    )
    for missing in sorted(set(range(classes)) - set(feature_class.tolist())):
        found.add("logical/class-features", f"class {missing}", "at least 1 feature", "0 features")


def _spike_counts(found: Findings, stage: LogicalNet) -> None:
    counts = stage.spike_counts
    if counts is None:
        return
    convs = (stage.transduction.conv, *(layer.conv for layer in stage.layers))
    if counts.frames < 1:
        found.add("logical/spikes", "sample frames", "at least 1", counts.frames)
    if len(counts.spikes) != len(convs):
        found.add("logical/spikes", "layers with counted spikes", len(convs), len(counts.spikes))
        return
    for conv, spikes in zip(convs, counts.spikes, strict=True):
        if spikes.shape != (conv.outputs,) or spikes.dtype != np.int32:
            found.add(
                "logical/spikes", f"layer {conv.name}", f"int32[{conv.outputs}]", f"{spikes.dtype}{list(spikes.shape)}"
            )
            continue
        found.add_each(
            "logical/spikes",
            (spikes < 0) | (spikes > counts.frames),
            lambda value, name=conv.name, spikes=spikes: (
                f"layer {name}, value {value}",
                f"0 to {counts.frames} spikes",
                spikes[value],
            ),
        )
