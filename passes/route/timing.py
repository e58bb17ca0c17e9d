"""Makes room for the ticks that relays take, and aligns everything else with them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields

import numpy as np
from jaxtyping import Int64

from tncompile.arch import ChipArch
from tncompile.errors import RoutingError
from tncompile.ir import OUTPUT_PIN, UNUSED, CoreGraph, Detours, Relays

Place = tuple[int, int]
"""A neuron: its core, and its number there."""


def retimed(graph: CoreGraph, relays: Relays, arch: ChipArch) -> Detours:
    """Returns the relays with delays that keep all paths through the net equally long.

    A frame's way through the net is stretched at some ticks: whoever sends across one waits a tick longer. A packet by
    n relays needs n + 1 ticks at least; as few ticks are added as give them to all.

    Raises:
        RoutingError: somebody would have to wait longer than the longest delay.
    """
    chains = _chains(relays)
    fires = fire_ticks(graph)
    core, neuron = np.array(list(chains), np.int64).T
    begin = fires[core, neuron]
    legs = np.array([len(chain) + 1 for chain in chains.values()], np.int64)
    waits = _waits(begin, begin + graph.target_delay[core, neuron], legs)

    def later(tick: Int64[np.ndarray, "..."]) -> Int64[np.ndarray, "..."]:
        """Returns when something happens that happened at this tick before."""
        return tick + np.concatenate([[0], waits.cumsum()])[np.clip(tick, 0, len(waits))]

    before = graph.target_delay.astype(np.int64)
    delay = np.where(graph.target_core >= 0, later(fires + before) - later(fires), before)
    line_delay = later(graph.input_lines.delay.astype(np.int64))
    most = np.full_like(delay, arch.delay_max)
    most[core, neuron] *= legs
    if (delay > most).any() or (line_delay > arch.delay_max).any():
        longest = max(int((delay - most).max()) + arch.delay_max, int(line_delay.max(initial=0)))
        raise RoutingError(
            f"relays round faulty routers (arch.faulty_routers) make the net {waits.sum()} tick(s) longer, so that a"
            f" packet would have to wait {longest} ticks, a delay is at most {arch.delay_max}; use a larger arch.grid"
            " or arch.board, so that fewer packets need relays, or other options of compile.place"
        )
    delay = np.concatenate([delay, np.zeros((len(relays.core_x), delay.shape[1]), np.int64)])
    for place, chain in chains.items():
        left, ways = int(delay[place]), len(chain)
        for sender in (place, *chain):
            delay[sender] = min(left - ways, arch.delay_max)
            left, ways = left - int(delay[sender]), ways - 1
    return Detours(
        **{field.name: getattr(relays, field.name) for field in fields(relays)},
        target_delay=delay.astype(np.uint8),
        line_delay=line_delay.astype(np.uint8),
        latency=int(later(np.array([graph.latency]))[0]),
    )


def fire_ticks(graph: CoreGraph) -> Int64[np.ndarray, "cores neurons"]:
    """Returns the tick at which each neuron fires for a frame that enters at tick 0; −1 for unused ones.

    Neurons that hear nothing fire always or never; theirs is the tick at which they would have to fire for those who
    hear them, and 0 where nobody has a tick.
    """
    fires = np.full(graph.neuron_layer.shape, -1, np.int64)
    arriving: dict[int, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    lines = graph.input_lines
    for tick in np.unique(lines.delay):
        arriving[int(tick)].append((lines.core[lines.delay == tick], lines.axon[lines.delay == tick]))
    while arriving:
        tick = min(arriving)
        core, axon = (np.concatenate(column) for column in zip(*arriving.pop(tick), strict=True))
        order = np.argsort(core, kind="stable")
        cores, starts = np.unique(core[order], return_index=True)
        for at, axons in zip(cores.tolist(), np.split(axon[order], starts[1:]), strict=True):
            hears = _heard(graph, at, axons) & (fires[at] < 0)
            fires[at, hears] = tick
            sends = np.flatnonzero(hears & (graph.target_core[at] >= 0))
            wait = graph.target_delay[at, sends]
            for ticks in np.unique(wait):
                to = sends[wait == ticks]
                arriving[tick + int(ticks)].append((graph.target_core[at, to], graph.target_axon[at, to]))
    return _still(graph, fires)


def _still(graph: CoreGraph, fires: Int64[np.ndarray, "cores neurons"]) -> Int64[np.ndarray, "cores neurons"]:
    """Returns the ticks with those of neurons that hear nothing, from whom they send to."""
    fires = np.where((graph.target_core == OUTPUT_PIN) & (fires < 0), graph.latency, fires)
    left = np.argwhere((graph.neuron_layer != UNUSED) & (fires < 0)).tolist()
    while left:
        found: dict[Place, int] = {}
        for core, neuron in left:
            target, axon = int(graph.target_core[core, neuron]), int(graph.target_axon[core, neuron])
            tick = fires[target][_heard(graph, target, np.array([axon]))].max(initial=-1) if target >= 0 else -1
            if tick >= 0:
                found[core, neuron] = max(int(tick) - int(graph.target_delay[core, neuron]), 0)
        for core, neuron in found or left:
            fires[core, neuron] = found.get((core, neuron), 0)
        left = [(core, neuron) for core, neuron in left if fires[core, neuron] < 0]
    return fires


def _heard(graph: CoreGraph, core: int, axons: np.ndarray) -> np.ndarray:
    """Returns which neurons of a core hear any of the axons."""
    rows = graph.crossbars[graph.core_crossbar[core], axons]
    return np.unpackbits(np.bitwise_or.reduce(rows, axis=0), bitorder="little").astype(bool)


def _chains(relays: Relays) -> dict[Place, list[Place]]:
    """Returns the relays of each neuron that has any, in the order in which its packets take them."""
    chains: dict[Place, list[Place]] = {}
    first: dict[Place, Place] = {}
    sources = zip(relays.source_core.tolist(), relays.source_neuron.tolist(), strict=True)
    for source, relay in zip(sources, zip(relays.core.tolist(), relays.neuron.tolist(), strict=True), strict=True):
        first[relay] = first.get(source, source)
        chains.setdefault(first[relay], []).append(relay)
    return chains


def _waits(
    begin: Int64[np.ndarray, " chains"], end: Int64[np.ndarray, " chains"], legs: Int64[np.ndarray, " chains"]
) -> Int64[np.ndarray, " ticks"]:
    """Returns how many ticks to add behind each tick, the fewest that make begin … end at least `legs` ticks long.

    From the earliest end on, what is missing is added as late as it helps: there it helps most of the others.
    """
    waits = np.zeros(int(end.max()), np.int64)
    for last, first, least in np.unique(np.stack([end, begin, legs], axis=1), axis=0).tolist():
        waits[last - 1] += max(least - (last - first) - int(waits[first:last].sum()), 0)
    return waits
