"""Measures the partitioning of core graphs beside networkx, METIS and KaHIP, and remakes the README's tables of it.

usage: python -m benchmarks.partition [--nets 2 4 16] [--only NAME …] [--seeds N] [--limit SECONDS] [--out FILE]

    2, 4    the nets of Esser et al. 2016 (PNAS, doi 10.1073/pnas.1604850113) for two and four chips, untrained
    16      the latter with four times the features and groups

Each contestant has a process of its own, which is ended at the limit. What it returns is judged here: Σ arcs × distance
in chips, and whether every chip has a core for each that it got.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.graphs import core_graph, experiment, widened
from passes.partition import PartitionConfig, PartitionProblem, algorithm_of
from tncompile.analysis.graph import adjacency, arcs
from tncompile.arch import ChipArch
from tncompile.config.experiment import Experiment

NETS = ("2", "4", "16")
"""By the chips that they are for."""
JSON = Path(__file__).parent / "results" / "partition.json"
MARKERS = "<!-- partition: begin -->", "<!-- partition: end -->"

Dealt = np.ndarray
Contestant = Callable[[PartitionProblem, int], Dealt]


# ---------------------------------------------------------------------------------------------------------------------
# Contestants: from the graph, the chips and a seed to the row of a chip for each core.


def ours(algorithm: str, **options: int) -> Contestant:
    """Returns an algorithm of tncompile."""
    return lambda problem, seed: algorithm_of(PartitionConfig(algorithm=algorithm, **options), seed)(problem)


def metis(recursive: bool, all_room: bool, seeds: int = 1) -> Contestant:
    """Returns METIS, its parts put on chips by `arranged`.

    Args:
        recursive: by recursive bisection; else k-way.
        all_room: parts may take all the room that chips have; else 3 % more than their share, which is its default.
        seeds: the best of so many.
    """

    def run(problem: PartitionProblem, seed: int) -> Dealt:
        import pymetis

        matrix = problem.matrix
        graph = pymetis.CSRAdjacency(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64))
        found = []
        for number in range(seeds):
            options = pymetis.Options(
                seed=seeds * seed + number, ufactor=max(int(1000 * _room(problem)), 1) if all_room else 30
            )
            _, parts = pymetis.part_graph(
                len(problem.chips), graph, eweights=matrix.data, recursive=recursive, options=options
            )
            found.append(arranged(problem, np.array(parts, np.int32)))
        return min(found, key=problem.cost)

    return run


def kahip(mode: int, all_room: bool) -> Contestant:
    """Returns KaHIP, its parts put on chips by `arranged`.

    Args:
        mode: 0 = fast, 1 = eco, 2 = strong.
        all_room: as for METIS.
    """

    def run(problem: PartitionProblem, seed: int) -> Dealt:
        import kahip

        matrix, imbalance = problem.matrix, _room(problem) if all_room else 0.03
        _, parts = kahip.kaffpa(
            [1] * problem.cores, matrix.indptr.tolist(), matrix.data.tolist(), matrix.indices.tolist(),
            len(problem.chips), imbalance, True, seed, mode,
        )  # fmt: skip
        return arranged(problem, np.array(parts, np.int32))

    return run


def kernighan_lin(problem: PartitionProblem, seed: int) -> Dealt:
    """Returns the result of networkx's Kernighan–Lin bisection, again and again, its parts put on chips."""
    import networkx as nx

    graph = nx.from_scipy_sparse_array(problem.matrix, edge_attribute="rate")
    parts = [set(graph)]
    while len(parts) < len(problem.chips):
        halves = (
            nx.community.kernighan_lin_bisection(graph.subgraph(part), weight="rate", seed=seed) for part in parts
        )
        parts = [half for pair in halves for half in pair]
    dealt = np.zeros(problem.cores, np.int32)
    for number, part in enumerate(parts):
        dealt[list(part)] = number
    return arranged(problem, dealt)


def _room(problem: PartitionProblem) -> float:
    """Returns by what share a part may be larger than the mean one."""
    return float(problem.capacity.min() * len(problem.chips) / problem.cores - 1)


def arranged(problem: PartitionProblem, parts: Dealt) -> Dealt:
    """Returns parts of a partitioner that knows no distances on the chips that suit them: swapped while that pays."""
    chips = len(problem.chips)
    pairs = problem.matrix.tocoo()
    between = np.zeros((chips, chips), np.int64)
    np.add.at(between, (parts[pairs.row], parts[pairs.col]), pairs.data)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(1 if chips == 2 else 50):
        chip, better = rng.permutation(chips), True

        def cost(chip: np.ndarray) -> int:
            return int((between * problem.distance[np.ix_(chip, chip)]).sum())

        while better:
            better = False
            for a in range(chips):
                for b in range(a):
                    swapped = chip.copy()
                    swapped[[a, b]] = chip[[b, a]]
                    if cost(swapped) < cost(chip):
                        chip, better = swapped, True
        found.append((cost(chip), chip))
    return min(found, key=lambda one: one[0])[1][parts].astype(np.int32)


CONTESTANTS: dict[str, tuple[str, Contestant]] = {
    "multilevel": ("`multilevel`, the default", ours("multilevel")),
    "multilevel-1": ("`multilevel`, 1 try", ours("multilevel", tries=1)),
    "multilevel-16": ("`multilevel`, 16 tries, 16 recombinations", ours("multilevel", tries=16, recombinations=16)),
    "spectral": ("`spectral`", ours("spectral")),
    "in_order": ("`in_order`", ours("in_order")),
    "metis": ("METIS, k-way", metis(recursive=False, all_room=False)),
    "metis-room": ("METIS, k-way, all room", metis(recursive=False, all_room=True)),
    "metis-20": ("METIS, k-way, all room, best of 20 seeds", metis(recursive=False, all_room=True, seeds=20)),
    "metis-rb": ("METIS, bisection", metis(recursive=True, all_room=False)),
    "kahip-fast": ("KaHIP, fast", kahip(0, all_room=False)),
    "kahip-eco": ("KaHIP, eco, all room", kahip(1, all_room=True)),
    "kahip-strong": ("KaHIP, strong", kahip(2, all_room=False)),
    "kahip-strong-room": ("KaHIP, strong, all room", kahip(2, all_room=True)),
    "networkx": ("networkx, Kernighan–Lin", kernighan_lin),
}
"""By name: what the tables call it, and what it does."""


# ---------------------------------------------------------------------------------------------------------------------
# Measuring.


def net(chips: str) -> Experiment:
    """Returns the experiment whose net is measured; the host drives all input axons, so that no splitter adds arcs."""
    options = ["compile.pack.packets_per_bit=all"]
    if chips != "16":
        return experiment(f"cifar10_{chips}chip", options)
    return experiment("cifar10_4chip", [*options, "arch.board=[4, 4]", widened(experiment("cifar10_4chip"), 4)])


def warm_up(board: tuple[int, int]) -> PartitionProblem:
    """Returns a small problem of the same kind, to compile and load what is needed on."""
    chips = board[0] * board[1]
    ring = sparse.csr_array(sparse.eye_array(50 * chips, k=1, dtype=np.int64))
    matrix = sparse.csr_array(ring + ring.T)
    return PartitionProblem.of(matrix, ChipArch(grid=(17, 3), board=board))  # 51: all chips are needed


def _serve(path: str, board: tuple[int, int], name: str, seeds: int, pipe: Any) -> None:
    """Sends seconds and result of each seed's run."""
    try:
        problem = PartitionProblem.of(sparse.csr_array(sparse.load_npz(path)), ChipArch(board=board))
        run = CONTESTANTS[name][1]
        run(warm_up(board), 0)
        for seed in range(seeds):
            start = time.perf_counter()
            dealt = run(problem, seed)
            pipe.send((time.perf_counter() - start, dealt))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")


def measure(path: Path, board: tuple[int, int], name: str, seeds: int, limit: float) -> dict[str, Any]:
    """Returns the figures of a contestant on a graph: a list each, with an entry a seed."""
    problem = PartitionProblem.of(sparse.csr_array(sparse.load_npz(path)), ChipArch(board=board))
    context = multiprocessing.get_context("spawn")
    ours_, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(str(path), board, name, seeds, theirs), daemon=True)
    process.start()
    theirs.close()
    line: dict[str, Any] = {key: [] for key in ("cost", "cut", "largest", "fits", "seconds")}
    end = time.monotonic() + limit
    while len(line["cost"]) < seeds:
        try:
            if not ours_.poll(max(end - time.monotonic(), 0)):
                line["why_not"] = f"took more than {limit:.0f} s"
                break
            answer = ours_.recv()
        except EOFError:
            line["why_not"] = "its process died"
            break
        if isinstance(answer, str):
            line["why_not"] = answer
            break
        seconds, dealt = answer
        load = np.bincount(dealt, minlength=len(problem.chips))
        pairs = problem.matrix.tocoo()
        line["seconds"].append(round(seconds, 4))
        line["cost"].append(problem.cost(dealt))
        line["cut"].append(int(pairs.data[dealt[pairs.row] != dealt[pairs.col]].sum()) // 2)
        line["largest"].append(int(load.max()))
        line["fits"].append(bool((load <= problem.capacity).all()))
    process.kill()
    process.join()
    return line


# ---------------------------------------------------------------------------------------------------------------------
# Tables.


def report(entry: dict[str, Any]) -> str:
    """Returns what the README says."""
    from benchmarks.results import table

    machine, load = entry["machine"], f"{entry['load']:.1f}"
    parts = [
        f"Machine: {machine['processor']}; {machine['cores']} cores. Load when the run began: {load}.\n"
        f"Versions: {', '.join(f'{name} {number}' for name, number in sorted(entry['versions'].items()))}. "
        f"Commit {entry['commit']}. {entry['seeds']} seeds each."
    ]
    for chips in filter(entry["nets"].__contains__, NETS):
        about = entry["nets"][chips]
        rows, why_not = [], []
        for name, (shown, _) in CONTESTANTS.items():
            line = entry["lines"].get(f"{chips}/{name}")
            if line is None:
                continue
            if line.get("why_not"):
                why_not.append(f"{shown}: {line['why_not']}")
            if not line["cost"]:
                continue
            best = min(range(len(line["cost"])), key=lambda i: (not line["fits"][i], line["cost"][i]))
            fits = "yes" if all(line["fits"]) else f"in {sum(line['fits'])} of {len(line['fits'])}"
            rows.append(
                [
                    shown, f"{line['cost'][best]:,}", f"{statistics.median(line['cost']):,.0f}",
                    f"{line['cut'][best]:,}", f"{line['largest'][best]:,}", fits, f"{min(line['seconds']):.2f}",
                ]
            )  # fmt: skip
        columns, rows_ = net(chips).arch.board
        parts.append(f"### {about['cores']:,} cores on {columns} × {rows_} chips, {about['arcs']:,} arcs between cores")
        head = ["", "arcs × chips, best", "median", "arcs cut", "fullest chip", "fits", "seconds"]
        parts.append(table(head, rows))
        if why_not:
            parts.append(f"Not measured, or not all: {'; '.join(why_not)}.")
    return "\n\n".join(parts)


def _versions() -> dict[str, str]:
    found = {}
    for package in ("numba", "numpy", "scipy", "networkx", "pymetis", "kahip"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def main() -> int:
    """Measures, prints the tables, and keeps them if all was measured."""
    import os

    from benchmarks.results import fill, machine
    from tncompile.ir.io import atomic_write
    from tncompile.workflow import commit

    parser = argparse.ArgumentParser(description="Partitioning beside networkx, METIS and KaHIP.")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120, help="of a contestant on a net [s]")
    parser.add_argument("--out", type=Path, help="in place of results/partition.json; leaves the README alone")
    options = parser.parse_args()

    entry: dict[str, Any] = {
        "machine": machine(), "versions": _versions(), "commit": commit(), "load": os.getloadavg()[0],
        "seeds": options.seeds, "nets": {}, "lines": {},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for chips in options.nets:
            of = net(chips)
            matrix, board = adjacency(arcs(core_graph(of))), of.arch.board
            path = Path(folder) / f"{chips}.npz"
            sparse.save_npz(path, matrix)
            entry["nets"][chips] = {"cores": len(matrix.indptr) - 1, "arcs": int(matrix.data.sum()) // 2}
            for name in options.only:
                line = measure(path, board, name, options.seeds, options.limit)
                entry["lines"][f"{chips}/{name}"] = line
                cost = min(line["cost"], default=math.nan)
                print(f"{chips:>3} {name:<18} {cost:>12,} {line.get('why_not', '')}", flush=True)
    text = report(entry)
    print(text)
    whole = options.nets == list(NETS) and options.only == list(CONTESTANTS)
    out = options.out or (JSON if whole else None)
    if out is not None:
        atomic_write(out, json.dumps(entry, indent=1, sort_keys=True) + "\n")
    if options.out is None and whole:
        fill(text, markers=MARKERS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
