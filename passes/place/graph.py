"""The placer by itself, for whoever has only a weighted graph."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import networkx as nx
import numpy as np
from pydantic import ValidationError

from passes.place import ALGORITHMS, check_reach
from passes.place.fixed import check_fixed, fixing
from passes.place.options import PlaceConfig
from passes.place.problem import PlaceProblem
from passes.progress import Progress, unheard
from tncompile.analysis.graph import Arcs
from tncompile.arch import ChipArch, Site
from tncompile.errors import CapacityError, ConfigError, PlacementError
from tncompile.verify.placed import verify_sites

Node = TypeVar("Node", bound=Hashable)

_LARGEST = 1e100  # rate: sums of such are still finite
_RATES = 1 << 30  # rates that are no integers are rounded to so many steps, of all rates together


def place_graph(
    graph: nx.Graph,
    arch: ChipArch,
    *,
    algorithm: str = "annealing",
    seconds: float | None = None,
    seed: int = 0,
    fixed: Mapping[Any, Site] | None = None,
    crossing: int = 0,
    progress: Progress = unheard,
    **options: Any,
) -> dict[Any, Site]:
    """Returns a site of its own for each node of a graph, Σ rate × length over all arcs made small.

    The length of an arc is |dx| + |dy|, plus `crossing` for each edge of a chip that it crosses. Nodes may be
    on any chip of the board; the sites are verified as those of a compiled net are.

    Args:
        graph: usually a DiGraph; arcs have the attribute `rate`, 1 if left out. Directions matter only for the load of
            links.
        arch: the board: its grid, chips, faulty cores and reach.
        algorithm: row_major, hilbert, random, spectral, or annealing, which makes one of these shorter.
        seconds: what placing may take [s]; None = as many moves as `moves` says, and the same result on every machine.
        seed: of everything random.
        fixed: sites of nodes that must not move.
        crossing: what the edge between two chips counts for, beyond its one hop [hop].
        progress: told how much is done.
        options: the other options of `compile.place` (start, moves, heat, congestion).

    Raises:
        CapacityError: the board has fewer working cores than the graph has nodes.
        ConfigError: an unknown algorithm or option, a rate that is negative or no number.
        PlacementError: a node cannot be fixed where it is to be, or no placement was found within a packet's reach.

    >>> ring = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")])
    >>> sites = place_graph(ring, ChipArch(grid=(2, 2)), fixed={"a": (0, 0)})
    >>> sites["a"], sites["c"]
    ((0, 0), (1, 1))
    """
    config = _config({"algorithm": algorithm, "seconds": seconds, **options})
    for name, given, kind in (("graph", graph, nx.Graph), ("arch", arch, ChipArch)):
        if not isinstance(given, kind):
            raise ConfigError(f"place: {name}: is of type {type(given).__name__}, expected a {kind.__name__}")
    for name, number in (("crossing", crossing), ("seed", seed)):
        if not isinstance(number, (int, np.integer)) or number < 0:
            raise ConfigError(f"place: {name}: is {number!r}, expected an integer of at least 0")
    nodes = {node: number for number, node in enumerate(graph)}
    working = sum(arch.capacity(chip) for chip in range(arch.chips))
    if len(nodes) > working:
        raise CapacityError(
            f"place: the graph has {len(nodes):,} nodes, the board {working:,} working cores ({arch.board[0]} x"
            f" {arch.board[1]} chips of {arch.grid[0]} x {arch.grid[1]}, {arch.defects}); take a larger"
            " board"
        )
    at = _fixed(nodes, fixed or {}, arch)
    arcs = _arcs(graph, nodes)
    problem = PlaceProblem.of_board(arcs, arch, at, crossing)
    sites = ALGORITHMS[config.algorithm](problem, config, seed=seed, progress=progress)
    check_reach(arcs, sites, [f"node {node!r}" for node in nodes], arch, "raise seconds or moves")
    x, y = np.ascontiguousarray(sites.T)
    verify_sites(x, y, arch, source=arcs.source, target=arcs.target, fixed=at)
    return {node: (int(x[number]), int(y[number])) for node, number in nodes.items()}


def _config(options: Mapping[str, Any]) -> PlaceConfig:
    """Returns the options as the pass takes them."""
    try:
        return PlaceConfig.model_validate(dict(options))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = ", ".join(name for name in PlaceConfig.model_fields if name != "fixed")
            raise ConfigError(f"place: {key}: there is no such option; the options are {known}") from None
        expected = problem["msg"].removeprefix("Input should be ")
        raise ConfigError(f"place: {key}: is {problem['input']!r}, expected {expected}") from None


def _fixed(nodes: Mapping[Any, int], fixed: Mapping[Any, Site], arch: ChipArch) -> dict[int, Site]:
    """Returns the sites of fixed nodes by number, after checking that each can be there."""
    words = {"section": "place: fixed", "noun": "node"}
    if not isinstance(fixed, Mapping):
        raise ConfigError(f"place: fixed: is of type {type(fixed).__name__}, expected a mapping {{node: (x, y)}}")
    for node, site in fixed.items():
        if not _is_site(site):
            raise ConfigError(f"place: fixed: node {node!r}: is {site!r}, expected two integers (x, y)")
        if node not in nodes:
            raise PlacementError(f"{fixing(node, site, **words)}: the graph has no such node")
    check_fixed(fixed, arch, **words)
    return {nodes[node]: site for node, site in fixed.items()}


def _is_site(site: Any) -> bool:
    pair = isinstance(site, (tuple, list)) and len(site) == 2
    return pair and all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in site)


def _arcs(graph: nx.Graph, nodes: Mapping[Any, int]) -> Arcs:
    """Returns the arcs with integer weights: the rates if they are integers, else proportional to them."""
    source, target, rates = [], [], []
    for start, end, rate in graph.edges(data="rate", default=1):
        if not isinstance(rate, (int, float, np.integer, np.floating)) or not 0 <= rate <= _LARGEST:
            raise ConfigError(
                f"place: arc {start!r} to {end!r}: rate is {rate!r}, expected a number of 0 to {_LARGEST:.0e}"
            )
        if start != end and rate:
            source.append(nodes[start])
            target.append(nodes[end])
            rates.append(rate)
    order = np.lexsort((target, source)) if source else np.zeros(0, np.int64)
    weight = np.array(rates, np.float64)[order]
    total = weight.sum()
    if total and (total > _RATES or (weight != np.rint(weight)).any()):
        weight = np.maximum(np.rint(weight * (_RATES / total)), 1)
    return Arcs(
        cores=len(nodes),
        source=np.array(source, np.int32)[order],
        target=np.array(target, np.int32)[order],
        weight=weight.astype(np.int64),
    )
