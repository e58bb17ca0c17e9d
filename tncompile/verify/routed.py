"""Verifies RoutedChip: every packet is walked hop by hop, x first, then y; relays are neurons as others."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from tncompile.arch import ChipArch
from tncompile.ir import UNUSED, Detours, Direction, RoutedChip, graph_of, sites_of
from tncompile.verify.core_graph import verify as verify_graph
from tncompile.verify.findings import Findings

CODES: dict[str, str] = {
    "routed/shape": "every neuron has an offset, every link a load",
    "routed/no-target": "a neuron without a target core has dx = dy = 0",
    "routed/reach": "offsets fit a packet",
    "routed/arrival": "a packet stays on the board and ends at its target core",
    "routed/faulty-router": "a packet passes no faulty router",
    "routed/link-load": "a link's load is the number of arcs that take it",
    "routed/crossings": "crossings are the hops over a chip's edge",
    "routed/relay-range": "relays are where there are cores, axons and neurons",
    "routed/relay-site": "a core of relays has a working site of its own",
    "routed/relay-room": "a relay takes an axon and a neuron that nobody else uses",
    "routed/relay-source": "a relay repeats a neuron that has a target core, or an earlier relay",
}


def verify(stage: RoutedChip, arch: ChipArch) -> None:
    """Checks routes against the invariants of `RoutedChip`.

    With detours, the core graph with its relays is verified as any other: it must still compute the net, and every
    frame must arrive everywhere in time. Loads are compared only if all packets arrive: what stray ones would load says
    nothing.

    Raises:
        VerificationError: with all violations.
    """
    found = Findings("RoutedChip", CODES)
    graph = stage.source.source.source
    if stage.detours is not None:
        _relays(found, stage, stage.detours, arch)
        found.check()
        graph = graph_of(stage)
        verify_graph(graph, arch)
    core_x, core_y = sites_of(stage)
    target = graph.target_core
    width, height = arch.size
    found.add_shapes(
        "routed/shape",
        "chip",
        stage,
        {
            "dx": (target.shape, np.int16),
            "dy": (target.shape, np.int16),
            "link_load": ((len(Direction), height, width), np.int64),
        },
    )
    found.check()

    dx, dy = stage.dx.astype(np.int64), stage.dy.astype(np.int64)
    found.add_each(
        "routed/no-target",
        (target < 0) & ((dx != 0) | (dy != 0)),
        lambda c, n: (f"core {c}, neuron {n}", "dx = dy = 0", f"dx = {dx[c, n]}, dy = {dy[c, n]}"),
    )
    far = np.maximum(np.abs(dx), np.abs(dy)) * (target >= 0)
    found.add_each(
        "routed/reach",
        far > arch.offset_max,
        lambda c, n: (f"core {c}, neuron {n}", f"−{arch.offset_max} to {arch.offset_max}", far[c, n]),
    )

    core, neuron = np.nonzero(target >= 0)
    goal = target[core, neuron]
    walk = _Walk(core_x[core], core_y[core], arch)
    walk.go(dx[core, neuron], 1, 0)
    walk.go(dy[core, neuron], 0, 1)
    found.add_each(
        "routed/arrival",
        (walk.x != core_x[goal]) | (walk.y != core_y[goal]),
        lambda i: (
            f"core {core[i]}, neuron {neuron[i]}",
            f"at core {goal[i]}, ({core_x[goal[i]]}, {core_y[goal[i]]})",
            f"at ({walk.x[i]}, {walk.y[i]})" if walk.on_board[i] else "off the board",
        ),
    )
    found.check()

    found.add_each(
        "routed/faulty-router",
        walk.blocked,
        lambda i: (
            f"core {core[i]}, neuron {neuron[i]} to core {goal[i]}",
            "only routers that work",
            "by a faulty one (arch.faulty_routers)",
        ),
    )
    found.add_each(
        "routed/link-load",
        walk.load != stage.link_load,
        lambda d, y, x: (
            f"link {Direction(d).name} of ({x}, {y})",
            f"{walk.load[d, y, x]} arcs",
            stage.link_load[d, y, x],
        ),
    )
    if walk.crossings != stage.crossings:
        found.add("routed/crossings", "chip", walk.crossings, stage.crossings)
    found.check()


def _relays(found: Findings, stage: RoutedChip, detours: Detours, arch: ChipArch) -> None:
    """Checks that relays can be put into the core graph: what they then do there is for its own verifier."""
    placed = stage.source
    graph = placed.source.source
    relays, more = len(detours.core), len(detours.core_x)
    cores = graph.cores + more
    words = dict.fromkeys(("core", "axon", "neuron", "source_core", "source_neuron"), ((relays,), np.int32))
    sites = dict.fromkeys(("core_x", "core_y"), ((more,), np.int32))
    delays = {
        "target_delay": ((cores, arch.neurons), np.uint8),
        "line_delay": (graph.input_lines.delay.shape, np.uint8),
    }
    found.add_shapes("routed/shape", "detours", detours, words | sites | delays)
    found.check()
    limits = (cores, arch.axons, arch.neurons, cores, arch.neurons)
    for name, limit in zip(words, limits, strict=True):
        values = getattr(detours, name)
        found.add_each(
            "routed/relay-range",
            (values < 0) | (values >= limit),
            lambda i, name=name, limit=limit, values=values: (f"relay {i}, {name}", f"0 to {limit - 1}", values[i]),
        )
    found.check()

    taken = set(zip(placed.core_x.tolist(), placed.core_y.tolist(), strict=True)) | arch.blockages
    for number, site in enumerate(zip(detours.core_x.tolist(), detours.core_y.tolist(), strict=True), graph.cores):
        on_board = 0 <= site[0] < arch.size[0] and 0 <= site[1] < arch.size[1]
        if not on_board or site in taken:
            found.add("routed/relay-site", f"core {number}, of relays", "on a working site of its own", f"at {site}")
        taken.add(site)

    hears, carries = np.zeros((cores, arch.axons), np.int64), np.zeros((cores, arch.neurons), np.int64)
    sends = graph.target_core >= 0
    np.add.at(hears, (graph.target_core[sends], graph.target_axon[sends]), 1)
    np.add.at(hears, (graph.input_lines.core, graph.input_lines.axon), 1)
    np.add.at(hears, (detours.core, detours.axon), 1)
    carries[: graph.cores] = graph.neuron_layer != UNUSED
    np.add.at(carries, (detours.core, detours.neuron), 1)
    users = np.maximum(hears[detours.core, detours.axon], carries[detours.core, detours.neuron])
    found.add_each(
        "routed/relay-room",
        users > 1,
        lambda i: (f"relay {i}", "an axon and a neuron of its own", f"{users[i]} users of one of them"),
    )

    repeatable = np.zeros(carries.shape, bool)
    repeatable[: graph.cores] = sends
    sources = zip(detours.source_core.tolist(), detours.source_neuron.tolist(), strict=True)
    for number, source in enumerate(sources):
        if not repeatable[source]:
            found.add(
                "routed/relay-source",
                f"relay {number}",
                "repeats a neuron with a target core",
                f"core {source[0]}, neuron {source[1]}",
            )
        repeatable[detours.core[number], detours.neuron[number]] = True


class _Walk:
    """Packets on their way, all one hop at a time.

    Attributes:
        x, y: where each packet is.
        on_board: whether it is still there; one that leaves the board stops.
        blocked: whether each came to a faulty router on its way.
        load: packets that took each link so far.
        crossings: hops over a chip's edge so far.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, arch: ChipArch) -> None:
        self.x, self.y = x.astype(np.int64), y.astype(np.int64)
        self.on_board: Bool[np.ndarray, " packets"] = np.ones(len(x), bool)
        self.blocked: Bool[np.ndarray, " packets"] = np.zeros(len(x), bool)
        self.load: Int64[np.ndarray, "4 height width"] = np.zeros(
            (len(Direction), arch.size[1], arch.size[0]), np.int64
        )
        self.crossings = 0
        self._arch = arch
        width, height = arch.size
        self._faulty = np.zeros((height + 2, width + 2), bool)  # with a rim, for packets that leave the board
        for i, j in arch.faulty_routers:
            self._faulty[j, i] = True

    def go(self, hops: Int64[np.ndarray, " packets"], along_x: int, along_y: int) -> None:
        """Moves each packet so many hops along one axis, backwards if negative."""
        forward, back = (Direction.EAST, Direction.WEST) if along_x else (Direction.NORTH, Direction.SOUTH)
        width, height = self._arch.size
        moving = np.flatnonzero((hops != 0) & self.on_board)
        left, sign = np.abs(hops), np.sign(hops)
        while len(moving):
            x, y, step = self.x[moving], self.y[moving], sign[moving]
            link = (np.where(step > 0, forward, back) * height + y) * width + x
            self.load += np.bincount(link, minlength=self.load.size).reshape(self.load.shape)
            to_x, to_y = x + step * along_x, y + step * along_y
            grid_x, grid_y = self._arch.grid
            self.crossings += np.count_nonzero((x // grid_x != to_x // grid_x) | (y // grid_y != to_y // grid_y))
            self.x[moving], self.y[moving] = to_x, to_y
            self.blocked[moving] |= self._faulty[to_y, to_x]
            self.on_board[moving] = (to_x >= 0) & (to_x < width) & (to_y >= 0) & (to_y < height)
            left[moving] -= 1
            moving = moving[(left[moving] > 0) & self.on_board[moving]]
