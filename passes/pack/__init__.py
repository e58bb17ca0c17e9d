"""pack: layers to cores.

A core takes one group of a layer at one block of output positions, or a part of the group's features (a chunk) where
they are too many. Every input of a core takes a fixed number of axons, and every axon wants a driver of its own. So a
signal that several cores read is computed several times side by side in its own core (natural copies), and where that
core has too few neurons, splitter cores copy it. Both cost cores, and what a layer costs depends on the blocks of the
layer that reads it.

The pass has two halves. `tiles` chooses the tile of every layer so that the sum over layer and splitter cores is
smallest: the layers are a chain, so dynamic programming over (tile of a layer, tile of its reader) does it.
`layout`, `copies` and `assembly` then make cores, copies, splitters and delays for that plan.

Signals that no output can see are not computed, and padding takes no axons.

References:
    Esser et al. 2016; US patent 11315020 (blocks, copies and splitters as one minimisation).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from passes.pack.assembly import assemble
from passes.pack.layout import lay_out
from passes.pack.tiles import plan_tiles, shapes_of
from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.ir import SCHEMES, CoreGraph, TrinaryNet, check_fan_in


class PackConfig(Config):
    """Options of pack."""

    scheme: Literal["pair"] = Field("pair", description="synapse scheme: how weights become axons and crosspoints")
    packets_per_bit: int | Literal["all"] = Field(
        "all",
        description="packets that the host may send for an input bit; a bit that feeds more axons goes through "
        "splitter cores. `all` = no limit, so no splitters at the input",
    )

    def model_post_init(self, _: object) -> None:
        """Refuses a limit below one packet."""
        if self.packets_per_bit != "all" and self.packets_per_bit < 1:
            raise ValueError(f"packets_per_bit: must be at least 1 or 'all', got {self.packets_per_bit}")


def pack(stage: TrinaryNet, arch: ChipArch, config: PackConfig, *, seed: int) -> CoreGraph:
    """Returns the net as cores.

    Args:
        stage: the net in integers.
        arch: the core's size and the longest delay; the number of cores is checked when they are put on chips.
        config: synapse scheme and what the host sends.
        seed: not used; the pass draws no random numbers.

    Raises:
        CapacityError: a filter has more inputs than a core takes, or a splitter tree is deeper than delays allow.
    """
    scheme = SCHEMES[config.scheme]
    convs = tuple(layer.conv for layer in stage.source.layers)
    for conv in convs:
        check_fan_in(conv, arch, scheme)
    limit = None if config.packets_per_bit == "all" else config.packets_per_bit
    shapes = shapes_of(convs)
    tiles = plan_tiles(shapes, arch, scheme, limit)
    layers = [lay_out(shape, tile) for shape, tile in zip(shapes, tiles, strict=True)]
    return assemble(stage, arch, scheme, layers, limit)
