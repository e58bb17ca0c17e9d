"""The search for the packing with the fewest cores, for one set of savings or for several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8

from passes.pack.assembly import Source, items_of, sources_of
from passes.pack.constants import constants_of, no_constants
from passes.pack.layout import Layout, lay_out
from passes.pack.plan import Layer, Plan, Planner
from passes.pack.share import Items, Seats, seat
from tncompile.analysis.blocks import shapes_of
from tncompile.arch import ChipArch
from tncompile.ir import SynapseScheme, TrinaryNet, check_fan_in

_SHARING: tuple[dict[str, float], ...] = ({}, {"guests": 0.5}, {"guests": 0.9}, {"alone": 0.0})
"""What room in part-filled cores may be worth: that shows only when all are seated, so the best plan is taken."""


@dataclass(frozen=True, eq=False)
class Packing:
    """Who sits where; only the connections are missing.

    Attributes:
        layouts: cells of each layer.
        sources: what drives each layer, and the pins.
        items: all cells and splitter nodes.
        seats: of the items.
    """

    layouts: list[Layout]
    sources: list[Source]
    items: Items
    seats: Seats


class Packer:
    """Packs one net, as often as is asked for; what several packings share is worked out once."""

    def __init__(self, net: TrinaryNet, arch: ChipArch, scheme: SynapseScheme, limit: int | None):
        """Takes the net, the core's size, how weights become crosspoints, and the packets that the host may send a bit.

        Raises:
            CapacityError: a filter has more inputs than a core takes.
        """
        self._net, self._arch, self._scheme, self._limit = net, arch, scheme, limit
        self._convs = tuple(layer.conv for layer in net.source.layers)
        for conv in self._convs:
            check_fan_in(conv, arch, scheme)
        self._layers: dict[bool, tuple[Layer, ...]] = {}
        self._plans: dict[tuple[bool, bool, bool], tuple[tuple[Plan, ...], ...]] = {}
        self._laid: dict[tuple, Layout] = {}

    def fewest(self, savings: Iterable[str]) -> Packing:
        """Returns the packing with the fewest cores that these savings allow, none but these.

        Args:
            savings: names of pack's options.

        Raises:
            CapacityError: a splitter tree is deeper than delays allow.
        """
        on = frozenset(savings)
        known = self._known("fold_constants" in on)
        share = "share_cores" in on
        best: Packing | None = None
        for plans in self._candidates("trim_padding" in on, "free_blocks" in on, share):
            layouts = lay_out(
                self._net, plans, known, self._scheme, drop_unread="drop_unread" in on, earlier=self._laid
            )
            sources = sources_of(layouts, self._limit, self._arch)
            items = items_of(layouts, sources)
            seats = seat(items, self._arch, share=share)
            if best is None or seats.cores < best.seats.cores:
                best = Packing(layouts, sources, items, seats)
        assert best is not None
        return best

    def _known(self, fold: bool) -> tuple[Int8[np.ndarray, " _"], ...]:
        # Constants are added to leaks, which must decide for themselves where they stop at the largest leak.
        decide = all(conv.fan_in < self._arch.leak_max for conv in self._convs)
        return constants_of(self._net) if fold and decide else no_constants(self._net)

    def _candidates(self, trim: bool, free: bool, share: bool) -> tuple[tuple[Plan, ...], ...]:
        """Returns the plans to try, each once."""
        key = trim, free, share
        if key not in self._plans:
            if trim not in self._layers:
                shapes = shapes_of(self._convs, trim=trim)
                self._layers[trim] = tuple(Layer(shape, self._arch, self._scheme) for shape in shapes)
            found: dict[tuple, tuple[Plan, ...]] = {}
            for worth in _SHARING if share else _SHARING[:1]:
                plans = Planner(self._arch, self._scheme, self._limit, free, **worth).plan(self._layers[trim])
                found.setdefault(tuple(plan.blocks for plan in plans), plans)
            self._plans[key] = tuple(found.values())
        return self._plans[key]
