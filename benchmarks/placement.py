"""Measures placement beside rig's annealer in C, in one run, and remakes its tables of the README.

usage: python -m benchmarks.placement [--seeds N] [--graph FILE] [--keep-page]

The graph is the core graph of the one-chip CIFAR-10 net, untrained. For each seed all contestants take turns: rig
(2.4.1 with rig_c_sa, one net of two pins an arc, effort 1, on a mesh that does not wrap), ours by moves, ours in
rig's time and in a tenth of it, and what needs no search. Each placement is checked and its wirelength taken here, not
by who made it. Then the cost against the size, on layered graphs of 64 to 16,384 cores.
"""

from __future__ import annotations

import argparse
import inspect
import random
import statistics
import time
import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.graphs import core_graph, experiment
from benchmarks.results import ROOT, keep, machine, number, table
from passes.place import ALGORITHMS, PlaceConfig
from passes.place.problem import PlaceProblem, Sites
from passes.progress import unheard
from tncompile.analysis.graph import Arcs, arcs
from tncompile.arch import TRUENORTH, ChipArch
from tncompile.verify.placed import verify_sites
from tncompile.workflow import commit, versions

EXPERIMENT = "cifar10_1chip"
JSON = ROOT / "benchmarks" / "results" / "placement.json"
MARKERS = "<!-- placement: begin -->", "<!-- placement: end -->"
MOVES = (30, 100, 300, 1000, 3000, 10_000)
SHARES = (0.1, 1.0)  # of rig's time
SPARE = 0.98  # of a share, so that the clock's grain does not make it more
SIZES = ((8, 1), (16, 1), (32, 1), (64, 1), (64, 2))  # side of a chip, side of the board
RIG_NEEDS = 'pip install "rig==2.4.1" rig_c_sa "setuptools<81"'  # it imports pkg_resources, which newer ones have not


def layered_arcs(cores: int, seed: int) -> Arcs:
    """Returns four layers of cores, each on a square, that send to 20 cores near their place in the next layer."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(cores // 4))
    source = np.repeat(np.arange(3 * side * side), 20)
    layer, place = np.divmod(source, side * side)
    y, x = np.divmod(place, side)
    near = [np.clip(np.rint(at + rng.normal(0, 2, len(at))), 0, side - 1).astype(int) for at in (x, y)]
    target = (layer + 1) * side * side + near[1] * side + near[0]
    name = rng.permutation(cores)
    pairs, weight = np.unique(np.stack([name[source], name[target]]), axis=1, return_counts=True)
    return Arcs(
        cores=cores, source=pairs[0].astype(np.int32), target=pairs[1].astype(np.int32), weight=weight.astype(np.int64)
    )


def load_arcs(path: Path) -> Arcs:
    """Returns arcs from an .npz file with cores, source, target and weight."""
    with np.load(path) as held:
        return Arcs(
            cores=int(held["cores"]),
            source=held["source"].astype(np.int32),
            target=held["target"].astype(np.int32),
            weight=held["weight"].astype(np.int64),
        )


def rig_placer(pairs: Arcs, arch: ChipArch) -> Callable[[int], Sites]:
    """Returns rig's placement by seed; everything but the placement itself is done before."""
    if not hasattr(inspect, "getargspec"):  # gone since Python 3.11
        spec = namedtuple("spec", "args varargs keywords defaults")
        inspect.getargspec = lambda function: spec(*inspect.getfullargspec(function)[:4])  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from rig.links import Links  # type: ignore[import-not-found]
            from rig.netlist import Net  # type: ignore[import-not-found]
            from rig.place_and_route import Cores, Machine  # type: ignore[import-not-found]
            from rig.place_and_route.place.sa import place  # type: ignore[import-not-found]
            from rig.place_and_route.place.sa.c_kernel import CKernel  # type: ignore[import-not-found]
        except ImportError as error:
            raise SystemExit(f"error: rig cannot be imported ({error}); {RIG_NEEDS}") from error
    width, height = arch.size
    ends = {
        (0, Links.west), (0, Links.south_west), (width - 1, Links.east), (width - 1, Links.north_east),
    }  # fmt: skip
    dead = {(x, y, link) for x, link in ends for y in range(height)}
    ends = {(0, Links.south), (0, Links.south_west), (height - 1, Links.north), (height - 1, Links.north_east)}
    dead |= {(x, y, link) for y, link in ends for x in range(width)}
    mesh = Machine(width, height, chip_resources={Cores: 1}, dead_links=dead)
    assert not mesh.has_wrap_around_links()
    vertices = OrderedDict((core, {Cores: 1}) for core in range(pairs.cores))
    nets = [
        Net(source, [target], float(weight))
        for source, target, weight in zip(
            pairs.source.tolist(), pairs.target.tolist(), pairs.weight.tolist(), strict=True
        )
    ]

    def run(seed: int) -> Sites:
        placed = place(vertices, nets, mesh, [], effort=1.0, random=random.Random(seed), kernel=CKernel)
        return np.array([placed[core] for core in range(pairs.cores)], np.int32)

    return run


def measure(pairs: Arcs, arch: ChipArch, run: Callable[[], Sites]) -> dict[str, float]:
    """Returns the seconds and the wirelength of a placement, which is checked."""
    begin = time.perf_counter()
    sites = run()
    seconds = time.perf_counter() - begin
    x, y = np.ascontiguousarray(sites.T)
    verify_sites(x, y, arch, source=pairs.source, target=pairs.target, fixed={})
    hops = np.abs(x[pairs.target] - x[pairs.source]) + np.abs(y[pairs.target] - y[pairs.source])
    return {"seconds": seconds, "wirelength": int(hops @ pairs.weight)}


def ours(pairs: Arcs, arch: ChipArch, config: PlaceConfig, seed: int) -> Callable[[], Sites]:
    """Returns a placement of ours, with all that it prepares."""

    def run() -> Sites:
        problem = PlaceProblem.of_board(pairs, arch, {}, crossing=0)
        return ALGORITHMS[config.algorithm](problem, config, seed=seed, progress=unheard)

    return run


def against_rig(pairs: Arcs, seeds: int) -> dict[str, list[dict[str, float]]]:
    """Returns what each contestant came to, seed by seed."""
    arch = TRUENORTH
    rig = rig_placer(pairs, arch)
    ours(pairs, arch, PlaceConfig(moves=1), 0)()  # compiles
    lines: dict[str, list[dict[str, float]]] = {}

    def keep(name: str, line: dict[str, float]) -> None:
        lines.setdefault(name, []).append(line)
        print(f"{name:<32} {line['wirelength']:>12,} hops {line['seconds']:8.3f} s", flush=True)

    for seed in range(seeds):
        keep("rig, C annealer, effort 1", one := measure(pairs, arch, lambda seed=seed: rig(seed)))
        for share in SHARES:
            config = PlaceConfig(seconds=SPARE * share * one["seconds"])
            name = "annealing, rig's time" if share == 1 else f"annealing, {share:g} of rig's time"
            keep(name, measure(pairs, arch, ours(pairs, arch, config, seed)))
        for moves in MOVES:
            keep(f"annealing, {moves:,} moves", measure(pairs, arch, ours(pairs, arch, PlaceConfig(moves=moves), seed)))
        for name in ("spectral", "row_major", "hilbert", "random"):
            config = PlaceConfig(algorithm=name)  # type: ignore[arg-type]
            keep(name, measure(pairs, arch, ours(pairs, arch, config, seed)))
    return lines


def against_size(seed: int) -> list[dict[str, float]]:
    """Returns the cost of the default for graphs of several sizes that fill their boards."""
    rows = []
    for side, chips in SIZES:
        arch = ChipArch(grid=(side, side), board=(chips, chips))
        cores = (side * chips) ** 2
        pairs = layered_arcs(cores, seed)
        start = measure(pairs, arch, ours(pairs, arch, PlaceConfig(algorithm="spectral"), seed))
        line = min(
            (measure(pairs, arch, ours(pairs, arch, PlaceConfig(), seed)) for _ in range(3)),
            key=lambda line: line["seconds"],
        )
        moves = PlaceConfig().moves * max(cores, 1000)
        rows.append(
            line
            | {
                "cores": cores,
                "arcs": len(pairs.source),
                "hops": line["wirelength"] / int(pairs.weight.sum()),
                "start_hops": start["wirelength"] / int(pairs.weight.sum()),
                "start_seconds": start["seconds"],
                "ns_a_move": 1e9 * (line["seconds"] - start["seconds"]) / moves,
            }
        )
        print(f"{cores:>6} cores {line['seconds']:8.3f} s {rows[-1]['hops']:.3f} hops an arc", flush=True)
    return rows


def report(entry: dict[str, Any]) -> str:
    """Returns the tables in Markdown."""
    lines = entry["lines"]
    mean = {name: statistics.fmean(line["wirelength"] for line in runs) for name, runs in lines.items()}
    seconds = {name: statistics.median(line["seconds"] for line in runs) for name, runs in lines.items()}
    rig = next(name for name in lines if name.startswith("rig"))
    rows = [
        (
            f"**{name}**" if name == rig else name,
            f"{mean[name]:,.0f}",
            f"{min(line['wirelength'] for line in lines[name]):,}",
            f"{mean[name] / entry['weight']:.2f}",
            number(seconds[name]) if seconds[name] >= 0.005 else "< 0.01",
            f"{mean[name] / mean[rig]:.3f}",
            f"{seconds[name] / seconds[rig]:.3f}",
        )
        for name in lines
    ]
    head = ("", "mean hops", "best", "hops an arc", "seconds", "hops × rig", "time × rig")
    sizes = table(
        ("cores", "arcs", "spectral: hops an arc", "s", "annealing: hops an arc", "s", "ns a move"),
        (
            (
                f"{row['cores']:,}",
                f"{row['arcs']:,}",
                f"{row['start_hops']:.2f}",
                number(row["start_seconds"]),
                f"{row['hops']:.2f}",
                number(row["seconds"]),
                f"{row['ns_a_move']:.0f}",
            )
            for row in entry["sizes"]
        ),
    )
    of = entry["machine"]
    return (
        f"Machine: {of['processor']}; {of['cores']} cores, {of['memory_gb']} GB, {of['system']}. Versions: rig"
        f" {entry['versions']['rig']}, rig_c_sa {entry['versions']['rig_c_sa']}, numba {entry['versions']['numba']},"
        f" numpy {entry['versions']['numpy']}. Commit {entry['commit']}.\n\n"
        f"The core graph: {entry['cores']:,} cores, {entry['arcs']:,} pairs of cores, {entry['weight']:,} arcs;"
        f" {entry['seeds']} seeds.\n\n{table(head, rows)}\n\n"
        f"Cost against size: four layers, 20 arcs a core to random cores near its place in the next layer; one board"
        f" full each, 64 × 64 cores a chip at most.\n\n{sizes}"
    )


def main() -> None:
    """Measures everything and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="runs of each contestant (5)")
    parser.add_argument("--graph", type=Path, help=".npz with cores, source, target, weight, in place of the net's")
    parser.add_argument("--keep-page", action="store_true", help="write neither the JSON file nor the README")
    options = parser.parse_args()
    pairs = load_arcs(options.graph) if options.graph else arcs(core_graph(experiment(EXPERIMENT)))
    entry = {
        "machine": machine(),
        "commit": commit(),
        "seeds": options.seeds,
        "cores": pairs.cores,
        "arcs": len(pairs.source),
        "weight": int(pairs.weight.sum()),
        "lines": against_rig(pairs, options.seeds),
        "sizes": against_size(0),
        "versions": versions() | {name: version(name) for name in ("rig", "rig_c_sa")},
    }
    print(report(entry))
    if not options.keep_page:
        keep(entry, report(entry), JSON, MARKERS)


if __name__ == "__main__":
    main()
