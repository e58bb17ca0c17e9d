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
5. `packing` does all this with several worths of the room in part-filled cores, and keeps the best.
6. `assembly` connects everything.

References:
    Esser et al. 2016; US patent 11315020 (blocks, copies and splitters as one minimisation).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from passes.pack.assembly import assemble
from passes.pack.packing import Packer
from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.errors import CapacityError
from tncompile.ir import SCHEMES, CoreGraph, TrinaryNet


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


SAVINGS = tuple(name for name, field in PackConfig.model_fields.items() if field.annotation is bool)
"""The options that save cores, in the order in which they are counted."""

NO_SAVING = "none"
"""Stands for no saving where cores are counted by saving."""


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
    best = _packer(stage, arch, config).fewest(_switched_on(config))
    scheme = SCHEMES[config.scheme]
    return assemble(stage, arch, scheme, best.layouts, best.sources, best.seats, best.items.way)


def cores_by_saving(net: TrinaryNet, graph: CoreGraph, arch: ChipArch, config: PackConfig) -> dict[str, int | None]:
    """Returns how many cores a net takes without any saving, and as those that are on come in one after the other.

    Each number is what `pack` gives with the savings up to there; the last is that of the graph.

    Args:
        net: what was packed.
        graph: what pack made of it.
        arch: the core's size and the longest delay.
        config: the savings that are on, and what all counts have in common.

    Returns:
        Cores by the saving that came in last, `NO_SAVING` first; None where delays cannot bridge the splitters yet.
    """
    packer, on = _packer(net, arch, config), _switched_on(config)
    names = [NO_SAVING, *on]
    counts: dict[str, int | None] = {}
    for number, name in enumerate(names[:-1]):
        try:
            counts[name] = packer.fewest(on[:number]).seats.cores
        except CapacityError:
            counts[name] = None
    return counts | {names[-1]: graph.cores}


def _packer(net: TrinaryNet, arch: ChipArch, config: PackConfig) -> Packer:
    limit = None if config.packets_per_bit == "all" else config.packets_per_bit
    return Packer(net, arch, SCHEMES[config.scheme], limit)


def _switched_on(config: PackConfig) -> tuple[str, ...]:
    return tuple(name for name in SAVINGS if getattr(config, name))
