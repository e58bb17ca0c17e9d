"""Route round faulty routers: relays, and everything else in step with them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.random_graphs import SEEDS, random_graph
from support.random_nets import random_images, random_net

from passes.emit import EmitConfig, emit
from passes.pack import PackConfig, pack
from passes.partition import PartitionConfig, partition
from passes.place import PlaceConfig, place
from passes.route import RouteConfig, route
from passes.route.mesh import Mesh
from passes.route.timing import _waits
from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.arch import ChipArch, Site
from tncompile.errors import InfeasibleError, RoutingError, VerificationError
from tncompile.ir import CoreGraph, PartitionedGraph, PlacedChip, RoutedChip, TrinaryNet, graph_of, sites_of
from tncompile.reference import evaluate
from tncompile.verify import verify
from tncompile.verify.image import verify_against


def way(start: Site, end: Site) -> list[Site]:
    """Returns the routers that a packet passes, hop by hop."""
    x, y = start
    passed = [start]
    while (x, y) != end:
        if x != end[0]:
            x += 1 if end[0] > x else -1
        else:
            y += 1 if end[1] > y else -1
        passed.append((x, y))
    return passed


def on_board(seed: int, graph: CoreGraph, algorithm: str) -> tuple[PlacedChip, ChipArch]:
    """Returns a graph of cores of 16 axons on a board with not many free sites.

    Either routers and cores are faulty here and there, or walls of faulty routers leave one gap each.
    """
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(graph.cores * rng.uniform(1.1, 2)))) + 1
    sites = rng.permutation(side * side)
    faulty = [(int(s % side), int(s // side)) for s in sites[: int(rng.integers(1, max(3, side * side // 8)))]]
    dead = (faulty.pop(),)
    if seed % 3 == 0:
        side += side // 2 + 1
        gap = rng.integers(0, side, side)
        faulty = [(x, y) for x in range(2, side, 3) for y in range(side) if y != gap[x]]
        dead = ()
    arch = ChipArch(axons=16, neurons=16, grid=(side, side), faulty_routers=tuple(faulty), dead_cores=dead)
    cut = partition(graph, arch, PartitionConfig(), seed=0)
    return place(cut, arch, PlaceConfig(algorithm=algorithm, moves=20), seed=seed), arch


def packed(seed: int) -> tuple[TrinaryNet, CoreGraph]:
    """Returns a random net and its cores: with one packet a bit and nothing left out, those are many."""
    net = trinarize(random_net(seed, inputs=8, size=6), CORES, TrinarizeConfig(), seed=0)
    saved = {"share_cores": bool(seed % 2), "drop_unread": bool(seed // 2 % 2), "fold_constants": False}
    return net, pack(net, CORES, PackConfig(packets_per_bit=1, **saved), seed=0)


CORES = ChipArch(axons=16, neurons=16)


@given(SEEDS, st.sampled_from(["random", "random", "row_major", "annealing"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_nets_compute_the_same_round_faulty_routers(seed, algorithm):
    net, graph = packed(seed)
    assume(graph.cores > 8)
    try:
        placed, arch = on_board(seed, graph, algorithm)
        routed = route(placed, arch, RouteConfig(), seed=0)
    except InfeasibleError:
        return
    verify(placed, arch)
    verify(routed, arch)
    full, (x, y) = graph_of(routed), sites_of(routed)
    faulty = set(arch.faulty_routers)
    for core, neuron in np.argwhere(full.target_core >= 0):
        start, end = ((int(x[c]), int(y[c])) for c in (core, full.target_core[core, neuron]))
        assert not faulty & set(way(start, end))
        assert (routed.dx[core, neuron], routed.dy[core, neuron]) == (end[0] - start[0], end[1] - start[1])
    image = emit(routed, arch, EmitConfig(), seed=0)
    verify_against(image, routed, arch)
    images = random_images(net.source, 4, seed)
    expected = evaluate(net, arch, images)
    np.testing.assert_array_equal(evaluate(routed, arch, images), expected)
    np.testing.assert_array_equal(evaluate(image, arch, images), expected)
    again = route(placed, arch, RouteConfig(), seed=0)
    assert (again.detours is None) == (routed.detours is None)
    np.testing.assert_array_equal(again.dx, routed.dx)


@pytest.fixture(scope="module")
def detoured() -> list[tuple[RoutedChip, ChipArch]]:
    """Returns random nets with detours, on boards of a row-major placement."""
    found = []
    for seed in range(30):
        try:
            placed, arch = on_board(seed, packed(seed)[1], "random")
            routed = route(placed, arch, RouteConfig(), seed=0)
        except InfeasibleError:
            continue
        if routed.detours is not None:
            found.append((routed, arch))
    return found


def test_random_nets_do_have_detours(detoured):
    """Relays in cores of their own, in those of layers, behind one another, and nets that take longer by them."""
    own = guests = chained = longer = 0
    for routed, _ in detoured:
        detours, graph = routed.detours, routed.source.source.source
        relays = set(zip(detours.core.tolist(), detours.neuron.tolist(), strict=True))
        sources = zip(detours.source_core.tolist(), detours.source_neuron.tolist(), strict=True)
        own += len(detours.core_x)
        guests += int((detours.core < graph.cores).sum())
        chained += len(relays & set(sources))
        longer += detours.latency - graph.latency
    assert all((own, guests, chained, longer)), (own, guests, chained, longer)


def pair(first: Site, last: Site, count: int = 3) -> PlacedChip:
    """Returns two cores on these sites, of which the first sends to the second from so many neurons."""
    graph = random_graph(1, cores=2, layers=1, axons=8, neurons=8)
    target, axon, delay = np.full((2, 8), -1, np.int32), np.zeros((2, 8), np.int32), np.zeros((2, 8), np.uint8)
    target[0, :count], axon[0, :count], delay[0, :count] = 1, np.arange(count), 1
    lines = replace(graph.input_lines, **{name: a[:0] for name, a in _arrays(graph.input_lines)})
    graph = replace(
        graph,
        target_core=target,
        target_axon=axon,
        target_delay=delay,
        input_lines=lines,
        neuron_layer=np.where(target >= 0, 0, -2).astype(np.int16),
        neuron_index=np.where(target >= 0, np.arange(8), -1).astype(np.int32),
        crossbars=np.zeros_like(graph.crossbars),
    )
    x, y = (np.array(values, np.int32) for values in zip(first, last, strict=True))
    cut = PartitionedGraph(source=graph, core_chip=np.zeros(2, np.int32), cut=0)
    return PlacedChip(source=cut, core_x=x, core_y=y, wirelength=0)


def _arrays(record):
    return [(name, getattr(record, name)) for name in record.__dataclass_fields__]


def stops(routed: RoutedChip, neuron: int = 0) -> list[Site]:
    """Returns the sites at which the packets of a neuron of core 0 stop, from its own on, relay by relay."""
    graph, (x, y) = graph_of(routed), sites_of(routed)
    core, found = 0, [(int(x[0]), int(y[0]))]
    relays = routed.detours.core.tolist() if routed.detours else []
    for _ in range(len(relays) + 1):
        target, axon = int(graph.target_core[core, neuron]), int(graph.target_axon[core, neuron])
        found.append((int(x[target]), int(y[target])))
        if target == 1:
            return found
        row = graph.crossbars[graph.core_crossbar[target], axon]
        (neuron,) = np.flatnonzero(np.unpackbits(row, bitorder="little")).tolist()
        core = target
    raise AssertionError("packets go round in a circle")


def board(rows: str, **options) -> ChipArch:
    """Returns a chip drawn row by row from y = 0 on; # is a faulty router, x a faulty core."""
    lines = rows.split()
    sites = {(x, y): mark for y, line in enumerate(lines) for x, mark in enumerate(line)}
    return ChipArch(
        axons=8,
        neurons=8,
        grid=(len(lines[0]), len(lines)),
        faulty_routers=tuple(site for site, mark in sites.items() if mark == "#"),
        dead_cores=tuple(site for site, mark in sites.items() if mark == "x"),
        **options,
    )


@pytest.mark.parametrize(
    ("rows", "end", "relayed"),
    [
        ("... ...", (2, 1), []),
        ("..# ...", (2, 1), [(0, 1)]),  # y before x: a relay straight above
        (".#. ...", (2, 0), [(0, 1)]),
        (".#... .#.#. .#.#. .#.#. ...#.", (4, 4), [(0, 4), (2, 0)]),  # round two walls
    ],
)
def test_packets_take_the_fewest_relays(rows, end, relayed):
    arch = board(rows)
    placed = pair((0, 0), end)
    routed = route(placed, arch, RouteConfig(), seed=0)
    way_taken = stops(routed)
    assert way_taken == [(0, 0), *relayed, end]
    assert routed.detours is None if not relayed else routed.detours is not None
    for start, stop in pairwise(way_taken):
        assert not set(arch.faulty_routers) & set(way(start, stop))


def fewest_relays(arch: ChipArch, start: Site, end: Site) -> int:
    """Returns the fewest relays between two sites, found by trying all ways hop by hop."""
    sites = [(x, y) for x, y in product(range(arch.size[0]), range(arch.size[1])) if (x, y) not in arch.blockages]
    reached, relays = {start}, 0
    while True:
        clear = {b for a in reached for b in [*sites, end] if not set(arch.faulty_routers) & set(way(a, b))}
        if end in clear:
            return relays
        assert clear - reached, "cut off"
        reached, relays = reached | clear, relays + 1


@given(SEEDS)
@settings(max_examples=50, deadline=None)
def test_ways_over_random_boards_are_the_shortest(seed):
    rng = np.random.default_rng(seed)
    width, height = (int(n) for n in rng.integers(2, 7, 2))
    marks = rng.choice(list("...#"), (height, width))
    arch = board(" ".join("".join(row) for row in marks))
    free = sorted({(x, y) for x, y in product(range(width), range(height))} - arch.blockages)
    assume(len(free) >= 2)
    first, last = (free[i] for i in rng.choice(len(free), 2, replace=False))
    routed = route(pair(first, last), arch, RouteConfig(), seed=0)
    assert len(stops(routed)) - 2 == fewest_relays(arch, first, last)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_the_mesh_knows_which_ways_are_clear(seed):
    rng = np.random.default_rng(seed)
    width, height = (int(n) for n in rng.integers(1, 7, 2))
    marks = rng.choice(list("...#"), (height, width))
    arch = board(" ".join("".join(row) for row in marks), offset_bits=int(rng.integers(2, 5)))
    mesh, faulty, reach = Mesh.of(arch), set(arch.faulty_routers), arch.offset_max
    sites = list(product(range(width), range(height)))

    def goes(start: Site, end: Site) -> bool:
        near = max(abs(start[0] - end[0]), abs(start[1] - end[1])) <= reach
        return near and not faulty & set(way(start, end))

    columns, rows = np.arange(width)[None, :], np.arange(height)[:, None]
    for start in sites:
        back = mesh.reaching(*start)
        last = sites[int(rng.integers(len(sites)))]
        relaying = mesh.relaying(start, last, columns, rows)
        for end in sites:
            assert back[end[1], end[0]] == goes(end, start)
            assert relaying[end[1], end[0]] == (goes(start, end) and goes(end, last))

    reached = (rng.random((height, width)) < 0.3) & (marks != "#")
    starts = [(int(x), int(y)) for y, x in np.argwhere(reached)]
    source_x, source_y = mesh.sources(reached)
    for end in sites:
        source = int(source_x[end[1], end[0]]), int(source_y[end[1], end[0]])
        if any(goes(start, end) for start in starts):
            assert source in starts and goes(source, end)
        else:
            assert source == (-1, -1)


@given(SEEDS)
@settings(max_examples=50, deadline=None)
def test_one_relay_stands_where_the_way_is_shortest(seed):
    """Of all by which one is enough, on boards where that may be far around."""
    rng = np.random.default_rng(seed)
    width, height = (int(n) for n in rng.integers(5, 14, 2))
    marks = rng.choice(list(".....#"), (height, width))
    arch = board(" ".join("".join(row) for row in marks))
    free = sorted({(x, y) for x, y in product(range(width), range(height))} - arch.blockages)
    assume(len(free) >= 2)
    first, last = (free[i] for i in rng.choice(len(free), 2, replace=False))
    routed = route(pair(first, last), arch, RouteConfig(), seed=0)
    found, faulty = stops(routed), set(arch.faulty_routers)
    assume(len(found) == 3)
    ways = [[*way(first, site), *way(site, last)] for site in free if site not in (first, last)]
    assert len([*way(first, found[1]), *way(found[1], last)]) == min(len(w) for w in ways if not faulty & set(w))


def test_relays_fill_a_free_core_before_the_next():
    """All eight axons of the core at (0, 1) are taken, no other is opened."""
    detours = route(pair((0, 0), (2, 1), count=8), board("..# ... ..."), RouteConfig(), seed=0).detours
    assert detours is not None
    assert (detours.core_x.tolist(), detours.core_y.tolist()) == ([0], [1])
    assert sorted(detours.axon.tolist()) == sorted(detours.neuron.tolist()) == list(range(8))


def test_cores_that_are_cut_off_are_named():
    arch = board(".#.. x#.. .#..")
    assert arch.cut_off == ((0, 0), (0, 1), (0, 2))  # the smaller part
    placed = pair((0, 0), (2, 0))
    with pytest.raises(RoutingError) as error:
        route(placed, arch, RouteConfig(), seed=0)
    assert str(error.value) == (
        "faulty routers (arch.faulty_routers) cut off core 0 (layer layer0) at (0, 0) from core 1 (layer layer0) at"
        " (2, 0): no core with an axon and a neuron to spare stands where it could relay their packets; leave more"
        " sites free (a larger arch.grid or arch.board), or place by annealing, which keeps ways off faulty routers"
    )


def test_delays_that_grow_too_long_are_refused(detoured):
    """Where no delay may be longer than without detours, whoever goes past a relay may have to wait too long."""
    refused = 0
    for routed, arch in detoured:
        graph = routed.source.source.source
        longest = max(int(graph.target_delay.max()), int(graph.input_lines.delay.max(initial=1)))
        try:
            route(routed.source, arch.model_copy(update={"delay_max": longest}), RouteConfig(), seed=0)
        except RoutingError as error:
            assert "a packet would have to wait" in str(error)
            assert f"a delay is at most {longest}" in str(error)
            refused += 1
    assert refused


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(1, 5)), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_no_fewer_ticks_are_enough(chains):
    begin, length, legs = (np.array(column, np.int64) for column in zip(*chains, strict=True))
    end = begin + length
    waits = _waits(begin, end, legs)

    def enough(added: np.ndarray) -> bool:
        return all(added[b:e].sum() + e - b >= n for b, e, n in zip(begin, end, legs, strict=True))

    assert enough(waits)
    ticks, total = len(waits), int(waits.sum())
    if total and ticks <= 5:
        fewer = (np.array(a) for a in product(range(total), repeat=ticks) if sum(a) == total - 1)
        assert not any(enough(added) for added in fewer)


def test_delays_of_detours_are_verified(detoured):
    """A chip whose packets all arrive, but not in step, is refused by what the graph's verifier finds."""
    routed, arch = detoured[0]
    late = replace(routed.detours, latency=routed.detours.latency + 1)
    with pytest.raises(VerificationError, match="core-graph/latency"):
        verify(replace(routed, detours=late), arch)
    with pytest.raises(VerificationError, match="core-graph/latency"):
        verify(replace(routed, detours=replace(routed.detours, line_delay=routed.detours.line_delay + 1)), arch)


def test_annealing_keeps_ways_off_faulty_routers():
    """Of the ways that would have to be relayed, most are gone, for not much more wirelength."""
    blocked = np.zeros(2, np.int64)
    for seed in range(8):
        graph = random_graph(seed, cores=60, layers=4)
        arch = ChipArch(axons=8, neurons=8, grid=(9, 9), faulty_routers=((4, 4), (2, 6), (6, 2)))
        cut = partition(graph, arch, PartitionConfig(), seed=0)
        perfect = arch.model_copy(update={"faulty_routers": (), "dead_cores": arch.faulty_routers})
        for i, chip in enumerate((perfect, arch)):
            placed = place(cut, chip, PlaceConfig(), seed=seed)
            verify(placed, arch)
            x, y = placed.core_x, placed.core_y
            source, neuron = np.nonzero(graph.target_core >= 0)
            target = graph.target_core[source, neuron]
            blocked[i] += (~Mesh.of(arch).clear(x[source], y[source], x[target], y[target])).sum()
    assert blocked[1] < blocked[0] / 4


def test_images_are_refused_whatever_faulty_router_is_on_a_way():
    graph = packed(2)[1]
    width, height = 6, -(-graph.cores // 6) + 1
    arch = CORES.model_copy(update={"grid": (width, height)})
    cut = partition(graph, arch, PartitionConfig(), seed=0)
    routed = route(place(cut, arch, PlaceConfig(algorithm="random"), seed=0), arch, RouteConfig(), seed=0)
    image, (x, y) = emit(routed, arch, EmitConfig(), seed=0), sites_of(routed)
    core, neuron = np.nonzero(graph.target_core >= 0)
    ways = [
        way((int(x[a]), int(y[a])), (int(x[b]), int(y[b])))
        for a, b in set(zip(core, graph.target_core[core, neuron], strict=True))
    ]
    passed = set().union(*ways)
    refused = set()
    for faulty in product(range(width), range(height)):
        broken = arch.model_copy(update={"faulty_routers": (faulty,)})
        try:
            verify(replace(image, arch=broken.model_dump_json()), broken)
        except VerificationError as error:
            refused |= {faulty} if "image/faulty-router" in error.codes else set()
    assert refused == passed
    assert refused - set(zip(x.tolist(), y.tolist(), strict=True))
