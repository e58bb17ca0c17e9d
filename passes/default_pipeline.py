"""The compiler's pipeline, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from passes.emit import EmitConfig, emit
from passes.pack import PackConfig, cores_by_saving, pack
from passes.partition import PartitionConfig, partition
from passes.place import PlaceConfig, place
from passes.route import RouteConfig, route
from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.config import Config
from tncompile.errors import InternalError
from tncompile.ir import (
    ChipImage,
    CoreGraph,
    LogicalNet,
    PartitionedGraph,
    PlacedChip,
    RoutedChip,
    Stage,
    TrinaryNet,
)


@dataclass(frozen=True, slots=True)
class Pass:
    """One step of the compiler.

    Attributes:
        run: `run(stage, arch, config, *, seed) -> stage`: pure, the same result for the same arguments in any process.
            One that takes long may also take `progress`, and call it with how much is done (0 … 1) and figures by name.
        config: model of its options: the section of its name under `compile:` in an experiment.
        takes, gives: stages before and after it.
        figures: what the pass knows beyond its stage, by key in results.json: `f(before, after, arch, config)` returns
            plain data, for people only.
    """

    run: Callable[..., Stage]
    config: type[Config]
    takes: type[Stage]
    gives: type[Stage]
    figures: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that the function, the file and the YAML section share."""
        return self.run.__name__


def checked(*pipeline: Pass) -> tuple[Pass, ...]:
    """Returns the pipeline.

    Raises:
        InternalError: two passes share a name, or one does not take what the one before gives.
    """
    names = [p.name for p in pipeline]
    if len(set(names)) != len(names):
        raise InternalError(f"pipeline: two passes share a name: {', '.join(names)}")
    for before, after in pairwise(pipeline):
        if before.gives is not after.takes:
            raise InternalError(
                f"pipeline: {before.name} gives {before.gives.__name__}, {after.name} takes {after.takes.__name__}"
            )
    return pipeline


DEFAULT_PIPELINE = checked(
    # Real weights to −1, 0, 1 and batch norm to integer leaks; exact.
    Pass(trinarize, TrinarizeConfig, LogicalNet, TrinaryNet),
    # Layers to cores: blocks, copies, splitters, delays.
    Pass(pack, PackConfig, TrinaryNet, CoreGraph, {"cores_by_saving": cores_by_saving}),
    # Cores to chips; trivial on one.
    Pass(partition, PartitionConfig, CoreGraph, PartitionedGraph),
    # Cores to sites, for short wires.
    Pass(place, PlaceConfig, PartitionedGraph, PlacedChip),
    # Sites to relative addresses, and what they load on the links.
    Pass(route, RouteConfig, PlacedChip, RoutedChip),
    # Everything to hardware terms.
    Pass(emit, EmitConfig, RoutedChip, ChipImage),
)
