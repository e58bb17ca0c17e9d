"""pack: layers to cores.

A core takes one group of a layer at one block of output positions, or a part of the group's features (a chunk) where
they are too many. Every input of a core takes a fixed number of axons, and every axon wants a driver of its own. So a
signal that several cores read is computed several times side by side in its own core (natural copies), and where that
core has too few neurons, splitters copy it. Both cost cores, and what a layer costs depends on the blocks of the layer
that reads it.

How it goes:

1. `plan` chooses the blocks of every layer so that the sum over layers and splitters is smallest.
2. `layout` gives the blocks their weights, from the output pins back to the input. Here is saved what the weights
   allow: neurons that always or never spike (`constants`), axons to which no neuron listens, and the copies that would
   have driven them.
3. `assembly` counts the copies (`copies`) and grows the splitters (`splitters`).
4. `share` puts blocks and splitters on cores, several on one where they fit.
5. `assembly` connects everything.

References:
    Esser et al. 2016; US patent 11315020 (blocks, copies and splitters as one minimisation).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from passes.pack.assembly import assemble, items_of, sources_of
from passes.pack.constants import constants_of, no_constants
from passes.pack.layout import lay_out
from passes.pack.plan import Planner
from passes.pack.share import seat
from tncompile.analysis.blocks import shapes_of
from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.ir import SCHEMES, CoreGraph, TrinaryNet, check_fan_in

_SHARING: tuple[dict[str, float], ...] = ({}, {"guests": 0.5}, {"guests": 0.9}, {"alone": 0.0})
"""What room in part-filled cores may be worth: that shows only when all are seated, so the best plan is taken."""


class PackConfig(Config):
    """Options of pack."""

    scheme: Literal["pair"] = Field("pair", description="synapse scheme: how weights become axons and crosspoints")
    packets_per_bit: int | Literal["all"] = Field(
        "all",
        description="packets that the host may send for an input bit; a bit that feeds more axons goes through "
        "splitters. `all` = no limit, so no splitters at the input",
    )
    trim_padding: bool = Field(True, description="a block needs no room for padding; if not, all blocks are as inside")
    free_blocks: bool = Field(True, description="the blocks of a layer may differ in size")
    share_cores: bool = Field(True, description="blocks and splitters that fit one core together share it")
    drop_unread: bool = Field(
        True, description="axons to which no neuron listens are left out, and the copies that would drive them"
    )
    fold_constants: bool = Field(
        True, description="neurons that always or never spike are left out; what they add goes into the readers' leaks"
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
        config: what is saved, synapse scheme, and what the host sends.
        seed: not used; the pass draws no random numbers.

    Raises:
        CapacityError: a filter has more inputs than a core takes, or a splitter tree is deeper than delays allow.
    """
    scheme = SCHEMES[config.scheme]
    convs = tuple(layer.conv for layer in stage.source.layers)
    for conv in convs:
        check_fan_in(conv, arch, scheme)
    limit = None if config.packets_per_bit == "all" else config.packets_per_bit
    # Constants are added to leaks, which must decide for themselves where they stop at the largest leak.
    fold = config.fold_constants and all(conv.fan_in < arch.leak_max for conv in convs)
    known = constants_of(stage) if fold else no_constants(stage)
    shapes = shapes_of(convs, trim=config.trim_padding)

    best = None
    for worth in _SHARING if config.share_cores else ({},):
        plans = Planner(arch, scheme, limit, config.free_blocks, **worth).plan(shapes)
        layouts = lay_out(stage, plans, known, scheme, drop_unread=config.drop_unread)
        sources = sources_of(layouts, limit, arch)
        items = items_of(layouts, sources)
        seats = seat(items, arch, share=config.share_cores)
        if best is None or seats.cores < best[-1].cores:
            best = layouts, sources, items, seats
    assert best is not None
    layouts, sources, items, seats = best
    return assemble(stage, arch, scheme, layouts, sources, seats, items.way)
