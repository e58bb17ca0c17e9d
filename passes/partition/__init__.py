"""Partition: which chip of the board each core lies on."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
from jaxtyping import Int32
from pydantic import Field, field_validator

from passes.partition.bisect import bisect
from passes.partition.custom import Partitioner, apply_partitioner, load_partitioner
from passes.partition.multilevel import multilevel
from passes.partition.orders import by_eigenvector
from passes.partition.problem import Algorithm, Dealt, PartitionProblem, fewest_chips
from passes.progress import Progress, unheard
from tncompile.analysis.graph import adjacency, arcs
from tncompile.analysis.utilisation import utilisation
from tncompile.arch import ChipArch
from tncompile.config import Config
from tncompile.errors import CapacityError
from tncompile.ir import INPUT_LAYER, CoreGraph, PartitionedGraph

__all__ = [
    "ALGORITHMS",
    "PartitionConfig",
    "PartitionProblem",
    "Partitioner",
    "algorithm_of",
    "fewest_chips",
    "partition",
    "partition_by",
]

ALGORITHMS = ("multilevel", "spectral", "in_order")
"""The partitioning algorithms by name."""


class PartitionConfig(Config):
    """Options of `partition`."""

    algorithm: str = Field(
        "multilevel",
        description="multilevel; spectral: recursive bisection by eigenvectors; in_order: chip after chip in the "
        "graph's order; or module:function, a function of your own that takes the core graph (networkx.DiGraph) and "
        "the chip and returns {core: chip}",
    )
    tries: int = Field(4, ge=1, le=1000, description="multilevel: partitions to begin with")
    recombinations: int = Field(4, ge=0, le=10000, description="multilevel: children of two of these each")
    passes: int = Field(8, ge=1, le=100, description="most Fiduccia–Mattheyses passes over one cut or level")
    patience: int = Field(200, ge=1, le=1_000_000_000, description="moves without a gain after which such a pass ends")

    @field_validator("algorithm")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ALGORITHMS and not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", name):
            raise ValueError(f"must be {', '.join(ALGORITHMS)}, or module:function of your own, is {name!r}")
        return name


def partition(
    stage: CoreGraph, arch: ChipArch, config: PartitionConfig, *, seed: int, progress: Progress = unheard
) -> PartitionedGraph:
    """Returns the graph dealt to chips of the board: Σ rate · distance in chips over all arcs made small.

    The algorithms of tncompile use the fewest chips that hold the graph, and give the same result for the same
    seed; a function of the user's own may do as it likes.

    Raises:
        CapacityError: the board has too few working cores.
        ConfigError: the user's function cannot be found, fails, or returns no partition.
    """
    check_room(stage, arch)
    if ":" in config.algorithm:
        return partition_by(load_partitioner(config.algorithm), stage, arch, name=config.algorithm)
    problem = PartitionProblem.of(adjacency(arcs(stage)), arch)
    if len(problem.chips) == 1:
        return _partitioned(stage, np.repeat(problem.chips, stage.cores).astype(np.int32))
    dealt = algorithm_of(config, seed, progress)(problem)
    return _partitioned(stage, problem.chips[dealt].astype(np.int32))


def partition_by(
    function: Partitioner, stage: CoreGraph, arch: ChipArch, *, name: str | None = None
) -> PartitionedGraph:
    """Returns the graph dealt to chips by a function of the user's own.

    Args:
        function: takes the core graph (`tncompile.analysis.graph.core_graph`) and the chip, and returns the number of
            the chip of each core.
        stage: the graph.
        arch: the chip.
        name: of the function, for messages; None: its own.

    Raises:
        ConfigError: the function fails, or returns anything but a chip with room for each core.
    """
    named = name or getattr(function, "__qualname__", repr(function))
    return _partitioned(stage, apply_partitioner(function, named, stage, arch))


def algorithm_of(config: PartitionConfig, seed: int, progress: Progress = unheard) -> Algorithm:
    """Returns the algorithm of tncompile that the options name, with its options and the seed."""
    refining = {"passes": config.passes, "patience": config.patience, "seed": seed}
    match config.algorithm:
        case "multilevel":
            counts = {"tries": config.tries, "recombinations": config.recombinations}
            return partial(multilevel, **counts, **refining, progress=progress)
        case "spectral":
            return partial(_spectral, **refining)
        case _:
            return _in_order


def _spectral(problem: PartitionProblem, *, passes: int, patience: int, seed: int) -> Dealt:
    """Returns the result of recursive bisection of the graph itself, ordered by eigenvectors."""
    return bisect(
        problem.matrix, np.ones(problem.cores, np.int64), problem.site, problem.capacity, by_eigenvector,
        passes=passes, patience=patience, seed=seed,
    )  # fmt: skip


def _in_order(problem: PartitionProblem) -> Dealt:
    """Returns the cores in the graph's order, one chip filled after the other."""
    return np.repeat(np.arange(len(problem.chips), dtype=np.int32), problem.capacity)[: problem.cores]


def check_room(stage: CoreGraph, arch: ChipArch) -> None:
    """Checks that the board has a working core for each of the graph's.

    Raises:
        CapacityError: it has too few.
    """
    capacity = sum(arch.capacity(chip) for chip in range(arch.chips))
    if capacity >= stage.cores:
        return
    rows = sorted(utilisation(stage), key=lambda row: -(row.cores + row.splitters))[:3]
    largest = ", ".join(f"{row.layer} ({row.cores} + {row.splitters} splitters)" for row in rows)
    input_split = bool((stage.neuron_layer == INPUT_LAYER).any())
    advice = ", or raise compile.pack.packets_per_bit to save splitters" if input_split else ""
    raise CapacityError(
        f"the net needs {stage.cores} cores, the board has {capacity} working ones ({arch.board[0]} x {arch.board[1]}"
        f" chips of {arch.grid[0]} x {arch.grid[1]}, {arch.defects}); most are taken by {largest}; use a"
        f" larger arch.board or arch.grid, or fewer features{advice}"
    )


def _partitioned(stage: CoreGraph, core_chip: Int32[np.ndarray, " cores"]) -> PartitionedGraph:
    pairs = arcs(stage)
    cut = pairs.weight[core_chip[pairs.source] != core_chip[pairs.target]].sum()
    return PartitionedGraph(source=stage, core_chip=core_chip, cut=int(cut))
