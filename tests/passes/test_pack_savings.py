"""pack's savings: that each saves, and that what each saves is counted as it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from support.packing import CHIPS, OPTIONS, PACKETS, packed
from support.random_nets import nets, random_net

from passes.pack import NO_SAVING, SAVINGS, PackConfig, cores_by_saving, pack
from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.analysis.core_bound import core_bound
from tncompile.arch import ChipArch
from tncompile.errors import CapacityError
from tncompile.ir import CoreGraph


def test_every_saving_saves():
    """Summed over random nets, each by itself; and no graph is below the bound before the weights save anything."""
    arch, of_weights = ChipArch(axons=16, neurons=16), {"drop_unread": False, "fold_constants": False}
    given = [(random_net(seed, inputs=8), packets) for seed in range(4) for packets in ("all", 1)]

    def graphs(**options: bool) -> list[CoreGraph]:
        return [packed(net, arch, packets, **options) for net, packets in given]

    def cores(**options: bool) -> int:
        return sum(graph.cores for graph in graphs(**options))

    of_shape = graphs(**of_weights)
    assert all(core_bound(graph, arch) <= graph.cores for graph in of_shape)
    for saving in ("trim_padding", "free_blocks", "share_cores"):
        assert sum(graph.cores for graph in of_shape) < cores(**of_weights, **{saving: False}), saving
    everything = cores()
    for saving in of_weights:
        assert everything < cores(**{saving: False}), saving


@given(nets(inputs=8), CHIPS, PACKETS, OPTIONS)
@settings(max_examples=15, deadline=None)
def test_savings_are_counted_as_pack_makes_them(net, arch, packets, options):
    trinary = trinarize(net, arch, TrinarizeConfig(), seed=0)
    config = PackConfig(packets_per_bit=packets, **options)
    on = [name for name in SAVINGS if options[name]]
    counts = cores_by_saving(trinary, pack(trinary, arch, config, seed=0), arch, config)
    assert tuple(counts) == (NO_SAVING, *on)
    for number, cores in enumerate(counts.values()):
        assert cores == packed(net, arch, packets, **{name: name in on[:number] for name in SAVINGS}).cores


def test_savings_without_which_a_net_does_not_fit_have_no_count():
    """Delays of one tick bridge no splitter, and few enough copies are wanted only when unread axons are gone."""
    net, arch, config = (
        random_net(2, inputs=8),
        ChipArch(axons=16, neurons=8, delay_max=1),
        PackConfig(packets_per_bit=1),
    )
    trinary = trinarize(net, arch, TrinarizeConfig(), seed=0)
    counts = cores_by_saving(trinary, pack(trinary, arch, config, seed=0), arch, config)
    with pytest.raises(CapacityError):
        packed(net, arch, 1, drop_unread=False, fold_constants=False)
    assert list(counts.values())[:4] == [None] * 4
    assert counts["drop_unread"] == packed(net, arch, 1, fold_constants=False).cores
