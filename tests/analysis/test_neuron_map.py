"""The map between neurons and values of the network reads the same both ways."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from support.random_nets import nets, random_net

from passes.pack import PackConfig, pack
from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.analysis.neuron_map import carried_by, neurons_of
from tncompile.arch import ChipArch
from tncompile.errors import ConfigError
from tncompile.ir import UNUSED, CoreGraph, LogicalNet

ARCH = ChipArch(axons=16, neurons=16)


def packed(net: LogicalNet) -> CoreGraph:
    config = PackConfig(packets_per_bit=1, share_cores=False)  # guests are not what a core is labelled as
    return pack(trinarize(net, ARCH, TrinarizeConfig(), seed=0), ARCH, config, seed=0)


@given(nets(inputs=8, size=4, features=6))
@settings(max_examples=15, deadline=None)
def test_both_ways(net):
    graph = packed(net)
    used = set()
    for core, neuron in np.argwhere(graph.neuron_layer != UNUSED).tolist():
        value = carried_by(graph, core, neuron)
        assert value is not None
        copies = neurons_of(graph, value.layer, value.x, value.y, value.feature)
        assert copies[value.copy] == value
        assert [c.copy for c in copies] == list(range(len(copies)))
        if value.kind == "layer":
            assert value.group == graph.core_group[core]
            x0, y0, x1, y1 = graph.core_block[core]
            assert x0 <= value.x < x1
            assert y0 <= value.y < y1
        used.add((core, neuron))
    for core, neuron in np.argwhere(graph.neuron_layer == UNUSED)[:5].tolist():
        assert carried_by(graph, core, neuron) is None


def test_what_is_not_there_is_refused():
    graph = packed(random_net(3, layers=1))
    with pytest.raises(ConfigError, match=r"neuron 0,99: there are the cores 0 … \d+ with the neurons 0 … 15 each"):
        carried_by(graph, 0, 99)
    with pytest.raises(ConfigError, match="layer conv9: there is none of that name; the layers are input, layer0"):
        neurons_of(graph, "conv9", 0, 0, 0)
    with pytest.raises(ConfigError, match=r"layer layer0: has no position \(99, 0\)"):
        neurons_of(graph, "layer0", 99, 0, 0)
