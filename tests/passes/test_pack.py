"""pack: what the cores compute, how many there are, and what does not fit."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.packing import CHIPS, NOTHING_SAVED, OPTIONS, PACKETS, packed
from support.random_nets import nets, random_images, random_net

from passes.pack import NO_SAVING, PackConfig, cores_by_saving, pack
from passes.pack.copies import direct_copies
from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.analysis.core_bound import core_bound
from tncompile.arch import TRUENORTH, ChipArch
from tncompile.config.net import NetConfig
from tncompile.errors import CapacityError
from tncompile.ir import CoreGraph, CoreKind, LogicalNet
from tncompile.nn import build_network, export_network
from tncompile.reference import evaluate
from tncompile.verify import verify

ONE_CHIP = (
    "S-16 P4-252(2) N-256(2) P-256(8) S-512(32) N-512(4) x3 P-512(16) S-1024(64) N-1024(8) P-1024(32) N-1024(8) x2 "
    "N-2040(8)"
)


def layer_cores(graph: CoreGraph) -> list[int]:
    layers = len(graph.source.weights)
    return [int(((graph.core_layer == n) & (graph.core_kind == CoreKind.LAYER)).sum()) for n in range(layers)]


@given(nets(inputs=8), CHIPS, PACKETS, OPTIONS, st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_cores_compute_the_net(net, arch, packets, options, seed):
    """Small cores force chunks, splitters and trees; whatever the plan and what is saved, spikes are the net's."""
    graph = packed(net, arch, packets, **options)
    verify(graph, arch)
    images = random_images(net, 3, seed)
    np.testing.assert_array_equal(evaluate(graph, arch, images), evaluate(net, arch, images))


def test_trees_of_splitters():
    """A signal with more readers than a splitter core has neurons goes through several stages."""
    config = NetConfig(
        layers=({"kernel": 1, "features": 2}, {"kernel": 1, "features": 2}, {"kernel": 1, "features": 600})
    )
    arch = ChipArch(axons=8, neurons=8)
    model = build_network(config, in_shape=(1, 1, 1), input_bits=4, classes=2, arch=arch, seed=3)
    net = export_network(model, "tree")
    graph = packed(net, arch, 1, **NOTHING_SAVED)
    verify(graph, arch)
    assert graph.latency >= 4, "two layers, and at least two splitter stages between them"
    images = random_images(net, 8, 0)
    np.testing.assert_array_equal(evaluate(graph, arch, images), evaluate(net, arch, images))


@pytest.fixture(scope="module")
def one_chip() -> LogicalNet:
    config = NetConfig(layers=ONE_CHIP)
    model = build_network(config, in_shape=(32, 32, 3), input_bits=8, classes=10, arch=TRUENORTH, seed=0)
    return export_network(model, "one_chip")


@pytest.mark.parametrize(("packets", "cores", "splitters"), [("all", 3680, 0), (3, 4033, 353), (1, 4161, 481)])
def test_the_papers_net_as_the_paper_has_it(one_chip, packets, cores, splitters):
    """IBM's 3680 layer cores, layer by layer; behind up to three packets a bit IBM has 362 splitters."""
    graph = packed(one_chip, TRUENORTH, packets, **NOTHING_SAVED)
    assert graph.cores == cores
    assert int((graph.core_kind == CoreKind.SPLITTER).sum()) == splitters
    assert layer_cores(graph) == [512, 512, 512, 512, 256, 256, 256, 256, 256, 128, 128, 32, 32, 32]
    bits = graph.source.source.layers[0].conv.inputs
    if packets != "all":
        assert len(graph.input_lines.bit) <= packets * bits


@pytest.mark.parametrize(("packets", "cores", "least"), [("all", 3359, 3288), (1, 3810, 3766)])
def test_fewer_cores_for_the_papers_net(one_chip, packets, cores, least):
    """One packet a bit fits one chip, too."""
    graph = packed(one_chip, TRUENORTH, packets, drop_unread=False, fold_constants=False)
    assert graph.cores <= cores
    assert core_bound(graph, TRUENORTH) == least


def test_what_each_saving_saves_on_the_papers_net(one_chip):
    """Of those that are on; the others depend on the weights."""
    trinary = trinarize(one_chip, TRUENORTH, TrinarizeConfig(), seed=0)
    on = {"trim_padding": True, "free_blocks": True}
    config = PackConfig(packets_per_bit=3, **(NOTHING_SAVED | on))
    graph = pack(trinary, TRUENORTH, config, seed=0)
    counts = {NO_SAVING: 4033, "trim_padding": 3905, "free_blocks": 3713}
    assert cores_by_saving(trinary, graph, TRUENORTH, config) == counts


def test_a_filter_that_fits_no_core_is_refused():
    net = random_net(0, inputs=16, layers=1)
    conv = dataclasses.replace(
        net.layers[0].conv, in_shape=(4, 4, 12), kernel=(2, 2), stride=(1, 1), padding=(0, 0), features=24, groups=1,
        permutation=np.arange(12, dtype=np.int32),
    )  # fmt: skip
    layer = dataclasses.replace(net.layers[0], conv=conv)
    trinary = dataclasses.replace(
        trinarize(net, TRUENORTH, TrinarizeConfig(), seed=0), source=dataclasses.replace(net, layers=(layer,))
    )
    with pytest.raises(CapacityError) as error:
        pack(trinary, ChipArch(axons=32), PackConfig(), seed=0)
    assert str(error.value) == (
        f"layer {conv.name}: a filter needs 48 inputs, a core takes 16 (32 axons, 2 an input); "
        "groups that fit: 3, 4, 6, 12"
    )


def test_splitters_deeper_than_delays_are_refused():
    config = NetConfig(layers=({"kernel": 1, "features": 2}, {"kernel": 1, "features": 600}))
    arch = ChipArch(axons=8, neurons=8, delay_max=2)
    model = build_network(config, in_shape=(1, 1, 1), input_bits=4, classes=2, arch=arch, seed=3)
    with pytest.raises(CapacityError, match="splitter stages, delays of up to 2 ticks bridge 1"):
        packed(export_network(model, "deep"), arch, 1)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_direct_copies_leave_the_fewest_for_splitters(demand, spare):
    """Against all ways to share out the neurons of a core."""
    neurons = len(demand) + spare
    direct = direct_copies(np.array(demand), neurons)
    left = np.array(demand) - direct
    assert (left >= 0).all()
    assert (direct + (left > 0)).sum() <= neurons
    best = sum(demand)
    for copies in product(*(range(1, d + 1) for d in demand)):
        if sum(copies) <= neurons:
            best = min(best, sum(d - c + 1 if d > c else 0 for d, c in zip(demand, copies, strict=True)))
    assert left.sum() == best


def test_wrong_packet_limit_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        PackConfig(packets_per_bit=0)
