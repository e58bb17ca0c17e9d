"""What the verifier of core graphs says of neurons that always spike, and of what stands for them in others' leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.random_nets import random_images, random_net

from passes.pack import PackConfig, pack
from tncompile.arch import ChipArch
from tncompile.errors import VerificationError
from tncompile.ir import Conv, CoreGraph, LogicalLayer, Readout, TrinaryNet
from tncompile.reference import evaluate
from tncompile.verify import verify

ARCH = ChipArch(axons=32, neurons=32)
SHORT_LEAKS = ARCH.model_copy(update={"leak_bits": 3})


def layer(name: str, in_shape: tuple[int, int, int], weights: list[list[int]]) -> LogicalLayer:
    """Returns a layer of 1 × 1 filters, of which only the geometry counts here."""
    trinary = np.array(weights, np.int8)[:, None, None, :]
    conv = Conv(
        name=name,
        in_shape=in_shape,
        kernel=(1, 1),
        stride=(1, 1),
        padding=(0, 0),
        features=len(weights),
        groups=1,
        permutation=np.arange(in_shape[2], dtype=np.int32),
    )
    norm = random_net(0).layers[0].norm
    norm = replace(norm, **{key: np.ones(len(weights), np.float32) for key in ("mean", "std", "bias")})
    return LogicalLayer(conv=conv, hidden=trinary.astype(np.float32), trinary=trinary, hysteresis=0.0, norm=norm)


@pytest.fixture(scope="module")
def net() -> TrinaryNet:
    """Returns a net whose output counts five neurons that always spike, less three copies each of two input bits."""
    base = random_net(4, size=3)
    width, height, channels = base.transduction.conv.out_shape
    assert channels >= 2
    bits = [[int(i == bit) for i in range(channels)] for bit in (0, 0, 0, 1, 1, 1)]
    first = layer("copies", (width, height, channels), [*bits, *[[0] * channels] * 5])
    last = layer("count", first.conv.out_shape, [[-1] * 6 + [1] * 5])
    readout = Readout(classes=1, feature_class=np.zeros(1, np.int32))
    return TrinaryNet(
        source=replace(base, layers=(first, last), readout=readout),
        threshold=np.zeros(channels, np.int64),
        weights=(first.trinary, last.trinary),
        leak=(np.array([0] * 6 + [1] * 5, np.int16), np.zeros(1, np.int16)),
    )


def computes(graph: CoreGraph, arch: ChipArch, net: TrinaryNet) -> bool:
    """Returns whether a graph gives the net's output spikes of every frame."""
    images = random_images(net.source, 40, seed=0)
    return np.array_equal(evaluate(graph, arch, images), evaluate(net, arch, images))


def codes(graph: CoreGraph, arch: ChipArch) -> set[str]:
    """Returns what the verifier objects to."""
    try:
        verify(graph, arch)
    except VerificationError as error:
        return set(error.codes)
    return set()


def test_a_constant_that_comes_behind_the_first_frame_is_refused(net: TrinaryNet):
    graph = pack(net, ARCH, PackConfig(fold_constants=False), seed=0)
    assert not codes(graph, ARCH) and computes(graph, ARCH, net)
    always = (graph.neuron_layer == 0) & (graph.neuron_index % 11 >= 6)
    late = replace(graph, target_delay=np.where(always, 4, graph.target_delay).astype(np.uint8))
    assert not computes(late, ARCH, net)
    assert codes(late, ARCH) == {"core-graph/alignment"}


def test_a_pin_that_is_always_on_too_late_is_refused(net: TrinaryNet):
    """Its neuron hears nothing but one that always spikes, through a delay longer than the latency."""
    always = replace(net, weights=(net.weights[0], np.maximum(net.weights[1], 0)))
    graph = pack(always, ARCH, PackConfig(fold_constants=False), seed=0)
    assert not codes(graph, ARCH) and computes(graph, ARCH, always)
    sends = graph.target_core >= 0
    late = replace(graph, target_delay=np.where(sends, 4, graph.target_delay).astype(np.uint8))
    assert not computes(late, ARCH, always)
    assert codes(late, ARCH) == {"core-graph/latency"}


def test_a_folded_leak_is_cut_down_only_where_that_changes_no_sum(net: TrinaryNet):
    graph = pack(net, ARCH, PackConfig(), seed=0)
    assert graph.neurons.leak.max() == 5 > SHORT_LEAKS.leak_max and computes(graph, ARCH, net)
    leak = np.minimum(graph.neurons.leak, SHORT_LEAKS.leak_max)
    cut = replace(graph, neurons=replace(graph.neurons, leak=leak))
    assert not computes(cut, SHORT_LEAKS, net)
    assert codes(cut, SHORT_LEAKS) == {"core-graph/leak"}
    unfolded = pack(net, SHORT_LEAKS, PackConfig(), seed=0)
    assert not codes(unfolded, SHORT_LEAKS) and computes(unfolded, SHORT_LEAKS, net)
