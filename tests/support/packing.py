"""Nets on cores: what tests of the pack pass share."""

from __future__ import annotations

from hypothesis import strategies as st

from passes.pack import SAVINGS, PackConfig, pack
from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.arch import ChipArch
from tncompile.ir import CoreGraph, LogicalNet

NOTHING_SAVED = dict.fromkeys(SAVINGS, False)
PACKETS = st.sampled_from(["all", 1, 2, 3])
OPTIONS = st.fixed_dictionaries(dict.fromkeys(SAVINGS, st.booleans()))
CHIPS = st.builds(
    ChipArch,
    axons=st.integers(16, 40),
    neurons=st.sampled_from([8, 16, 24, 64]),
    axon_types=st.integers(2, 8),
    neuron=st.sampled_from(["truenorth", "ranc"]),
)
"""Chips of small cores: few neurons beside the axons or many, axons that do not pair up, axon types to spare."""


def packed(net: LogicalNet, arch: ChipArch, packets: int | str = "all", **options: bool) -> CoreGraph:
    trinary = trinarize(net, arch, TrinarizeConfig(), seed=0)
    return pack(trinary, arch, PackConfig(packets_per_bit=packets, **options), seed=0)  # type: ignore[arg-type]
