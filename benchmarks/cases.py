"""The three cases: who is measured on what, how it is checked, and the tables of what came out."""

from __future__ import annotations

import argparse
import importlib.util
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import nets
from benchmarks.ceilings import frame_work, tick_work
from benchmarks.results import JSON, README, ROOT, Results, cell, fill, number, plot, table
from benchmarks.ticks import CONTESTANTS, ENGINES, TickHost
from benchmarks.workers import Failed, Worker

RATES = (0.02, 0.1)
CHECKED = {1: 10, 16: 5}
"""Ticks after which a batch's streams are compared with the oracle; 3 for all other batches."""

BUDGET = 0.5
"""Length of one measurement, about [s]."""

MOST_TICKS = 128
"""Of one measurement [tick]."""

ROUNDS = 2
"""Measurements of each contestant in turn."""

PATIENCE = {"a": 10.0, "b": 40.0}
"""A contestant that would take longer than this for a batch is left out of it, by case [s]."""

TOGETHER = 64
"""Up to so many streams, contestants take turns; more of them, one after the other, for the memory's sake."""

FULL_CHIP = 4096
SLOW = ("scipy-dense", "brian2")
"""Contestants that `--quick` leaves out of a full chip: they take longest to build."""

GROWTH = (64, 256, 1024, 4096, 16384, 65536)
FRAME_ENGINES = {
    "sliced": {1: 1024, 16: 128, 64: 64, 512: 64},
    "layered": {1: 512, 16: 64, 64: 16, 512: 16},
    "packed": {1: 32, 16: 8, 64: 4, 512: 2},
    "event": {1: 32, 16: 8, 64: 4, 512: 2},
}
"""Engines that run nets, and the ticks of one measurement by batch: as many as suit the engine."""

_PIPELINE = 20
"""Ticks that fill the net's pipeline, about."""

FRAME_ALGORITHMS = {"sliced": "sliced", "layered": "int8", "packed": "popcount", "event": "event"}
FRAME_RIVALS = {
    "torch-conv2d": ("PyTorch `conv2d`, float32", nets.TorchConv2d, "torch"),
    "torch-conv2d-last": ("PyTorch `conv2d`, channels last", nets.TorchConv2dLast, "torch"),
    "torch-products": ("PyTorch `bmm` a layer, float32", nets.TorchProducts, "torch"),
    "numpy-products": ("NumPy `matmul` a layer, float32", nets.NumPyProducts, "numpy"),
}
FRAMES_AT_ONCE = (16, 64, 256)
"""Of the rivals, one after the other."""


def main(description: str | None, arguments: Sequence[str] | None = None) -> int:
    """Measures what is missing, prints the tables and writes them; returns the exit code.

    Args:
        description: of the command.
        arguments: of the command line, or None for those that Python was started with.

    Raises:
        Failed: somebody without whom nothing can be compared does not run.
    """
    options = command_line(description).parse_args(arguments)
    usual = options.cores == FULL_CHIP and not options.quick
    path = options.out or (JSON if usual else ROOT / "runs" / "benchmarks" / "quick.json")
    results = Results.open(path, options.seed, options.fresh)
    if results.entry["ceilings"] is None and options.ceilings:
        _say("ceilings of this machine")
        with _workers({"ceilings": (Ceiler,)}) as (workers, failures):
            if failures:
                raise Failed(failures["ceilings"])
            results.entry["ceilings"] = workers["ceilings"]("measure", options.quick)
        results.write()
    cases = {"a": _full_chip, "b": _net, "c": _growth}
    for name in sorted(set(options.cases)):
        cases[name](results, options)
    text = report(results)
    print(f"\n{text}")
    if options.out is None and usual:
        plot_growth(results)
        fill(text)
        _say(f"wrote {path.relative_to(ROOT)} and {README.relative_to(ROOT)}")
    wrong = [key for key, line in results.entry["lines"].items() if line.get("same") is False]
    for key in wrong:
        _say(f"WRONG: {key} has other spikes than the oracle")
    return 1 if wrong else 0


def command_line(description: str | None) -> argparse.ArgumentParser:
    """Returns what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulator",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    rivals = [name for name in [*CONTESTANTS, *FRAME_RIVALS] if name not in ENGINES]
    parser.add_argument(
        "--cases", nargs="+", choices=list("abc"), default=list("abc"), metavar="CASE", help="of a, b and c"
    )
    parser.add_argument(
        "--engines", nargs="*", choices=FRAME_ENGINES, default=list(FRAME_ENGINES), metavar="NAME",
        help=f"ours, of {', '.join(FRAME_ENGINES)}",
    )  # fmt: skip
    parser.add_argument(
        "--rivals", nargs="*", choices=rivals, default=rivals, metavar="NAME", help=f"of {', '.join(rivals)}"
    )
    parser.add_argument("--batch", nargs="+", type=int, default=None, help="streams side by side (1 16 64 512)")
    parser.add_argument("--rate", nargs="+", type=float, default=RATES, help="neurons that fire in case a (0.02 0.1)")
    parser.add_argument("--cores", type=int, default=FULL_CHIP, help="of the chip of case a, a square (4096)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    parser.add_argument("--quick", action="store_true", help="batches 1 and 16, without the slowest; the README stays")
    parser.add_argument("--fresh", action="store_true", help="measure again what the file already has")
    parser.add_argument("--no-ceilings", dest="ceilings", action="store_false", help="and so no floors")
    parser.add_argument("--out", type=Path, default=None, help="the JSON file; the README stays")
    return parser


class Ceiler:
    """What the worker that measures the machine holds."""

    def measure(self, quick: bool) -> dict[str, Any]:
        """Returns the ceilings."""
        from benchmarks import ceilings  # imports Numba, JAX and PyTorch

        return ceilings.measure(repeats=3 if quick else 9)


@contextmanager
def _workers(makers: dict[str, tuple]) -> Iterator[tuple[dict[str, Worker], dict[str, str]]]:
    """Gives workers by name, and why some could not be had; ends them.

    Args:
        makers: what each worker holds: a class and its arguments.
    """
    workers: dict[str, Worker] = {}
    failures: dict[str, str] = {}
    try:
        for name, (factory, *arguments) in makers.items():
            try:
                workers[name] = Worker(factory, *arguments)
            except Failed as error:
                failures[name] = str(error)
                _say(f"  {name}: {error}")
        yield workers, failures
    finally:
        for worker in workers.values():
            worker.stop()


def _take_turns(run: dict[str, Callable[[], float]], rounds: int, failures: dict[str, str]) -> dict[str, list[float]]:
    """Returns what the calls return, one after the other in each round.

    Args:
        run: calls that return how long they took [s]; short ones are repeated within their turn.
        rounds: how many.
        failures: why somebody could not go on; more are added.
    """
    seconds: dict[str, list[float]] = {name: [] for name in run}
    for _ in range(rounds):
        for name in [name for name in run if name not in failures]:
            spent = 0.0
            try:
                while spent < BUDGET / 2:
                    seconds[name].append(run[name]())
                    spent += max(seconds[name][-1], BUDGET / 50)
            except Failed as error:
                failures[name] = str(error)
    return {name: taken for name, taken in seconds.items() if name not in failures}


def _figures(seconds: Sequence[float], units: float) -> dict[str, Any]:
    """Returns a line's times: of one unit (a tick or a frame), best and median."""
    return {
        "seconds": min(seconds) / units,
        "median_seconds": statistics.median(seconds) / units,
        "per_s": units / min(seconds),
        "repeats": len(seconds),
    }


def _batches(options: argparse.Namespace) -> list[int]:
    return options.batch or ([1, 16] if options.quick else [1, 16, 64, 512])


def _say(text: str) -> None:
    print(text, flush=True)


# ---------------------------------------------------------------------------------------------------------------------
# (a) A full chip.


def _full_chip(results: Results, options: argparse.Namespace) -> None:
    names = [name for name in CONTESTANTS if name in [*options.engines, *options.rivals]]
    if options.quick and options.cores == FULL_CHIP:
        names = [name for name in names if name not in SLOW]
    for rate in options.rate:
        batches = [
            b for b in _batches(options) if any(results.line(_key_a(options, rate, b, n)) is None for n in names)
        ]
        if not batches:
            continue
        _say(f"(a) {options.cores} cores, {rate:.0%} of the neurons firing a tick")
        oracle = _oracle(rate, options.cores, options.seed, batches)
        here = [name for name in names if CONTESTANTS[name].here]
        makers = {name: (TickHost, name, rate, options.cores, options.seed) for name in here}
        with _workers(makers) as (workers, failures):
            failures |= {name: f"{CONTESTANTS[name].needs} is not installed" for name in names if name not in here}
            known: dict[str, float] = {}  # seconds a tick and stream
            for batch in batches:
                for name, why in failures.items():
                    results.put(_key_a(options, rate, batch, name), {"why_not": why})
                together = [list(workers)] if batch <= TOGETHER else [[name] for name in workers]
                for group in together:
                    some = {name: workers[name] for name in group}
                    _column(results, options, rate, batch, some, oracle, known, failures)
                for name in [name for name in workers if name in failures]:
                    workers.pop(name).stop()


def _key_a(options: argparse.Namespace, rate: float, batch: int, name: str) -> str:
    return f"a/{options.cores}/{rate}/{batch}/{name}"


def _oracle(rate: float, cores: int, seed: int, batches: Sequence[int]) -> dict[tuple[int, int], tuple[int, int]]:
    """Returns the checksums of (stream, ticks): of each batch's first and last stream, when the batch is compared."""
    wanted = {_checked(batch): {0} for batch in batches}
    for batch in batches:
        wanted[_checked(batch)].add(batch - 1)
    checksums = {}
    with _workers({"oracle": (TickHost, "oracle", rate, cores, seed)}) as (workers, failures):
        if failures:
            raise Failed(f"oracle: {failures['oracle']}")
        for ticks, streams in wanted.items():
            workers["oracle"]("start", sorted(streams))
            workers["oracle"]("time", ticks)
            sums = workers["oracle"]("checksums", range(len(streams)))
            checksums |= {(stream, ticks): each for stream, each in zip(sorted(streams), sums, strict=True)}
    return checksums


def _checked(batch: int) -> int:
    return CHECKED.get(batch, 3)


def _column(
    results: Results,
    options: argparse.Namespace,
    rate: float,
    batch: int,
    workers: dict[str, Worker],
    oracle: dict[tuple[int, int], tuple[int, int]],
    known: dict[str, float],
    failures: dict[str, str],
) -> None:
    """Checks and times all workers at one batch, and writes their lines.

    Args:
        results: where to.
        options: of the command line.
        rate, batch: of the chip, and streams.
        workers: who.
        oracle: what the spikes and potentials must be.
        known: seconds a tick and stream of earlier batches; this one is added.
        failures: why somebody takes no further part; more are added.
    """
    rounds, checked = ROUNDS if batch <= TOGETHER else 1, _checked(batch)
    ticks: dict[str, int] = {}
    for name, worker in workers.items():
        key = _key_a(options, rate, batch, name)
        about = known.get(name, 0.0) * batch
        if batch > CONTESTANTS[name].batch:
            results.put(key, {"why_not": f"runs {CONTESTANTS[name].batch} stream"})
        elif about * (checked + rounds + 1) > PATIENCE["a"]:
            results.put(key, {"why_not": f"would take about {about:.1f} s a tick"})
        else:
            try:
                worker("start", range(batch))
                seconds = worker("time", checked)
                expected = [oracle[stream, checked] for stream in (0, batch - 1)]
                if worker("checksums", [0, batch - 1]) != expected:
                    results.put(key, {"why_not": "other spikes than the oracle", "same": False})
                    _say(f"  {name}: other spikes or potentials than the oracle, batch {batch}")
                    continue
                if seconds < 2 * BUDGET:  # what was compiled meanwhile is now there
                    seconds = min(seconds, worker("time", checked))
                wanted = min(MOST_TICKS, BUDGET * checked / seconds)
                ticks[name] = 1 << max(0, int(wanted).bit_length() - 1)
                worker("time", ticks[name])  # compiles for so many
            except Failed as error:
                failures[name] = str(error)
    alive = {name: worker for name, worker in workers.items() if name in ticks}
    calls = {name: partial(worker, "time", ticks[name]) for name, worker in alive.items()}
    times = _take_turns(calls, rounds, failures)
    for name in failures.keys() & workers.keys():
        results.put(_key_a(options, rate, batch, name), {"why_not": failures[name]})
    measured = statistics.mean(alive[name]("rate") for name in times) if times else rate
    for name, taken in times.items():
        worker, line = alive[name], _figures(taken, ticks[name])
        known[name] = line["seconds"] / batch
        work = tick_work(CONTESTANTS[name].algorithm, cores=options.cores, rate=measured, batch=batch)
        line |= {
            "stream_ticks_per_s": batch * line["per_s"],
            "rate": measured,
            "ticks_checked": checked,
            "same": True,
            "memory": worker.memory(),
            "of_floor": results.of_floor(line["seconds"], work),
        }
        results.put(_key_a(options, rate, batch, name), line)
        _say(f"  batch {batch:3}  {name:15} {line['stream_ticks_per_s']:10,.1f} ticks/s")
        if batch > TOGETHER:
            worker("start", [0])  # gives the memory back


# ---------------------------------------------------------------------------------------------------------------------
# (b) The one-chip CIFAR-10 net.


def _net(results: Results, options: argparse.Namespace) -> None:
    engines = [name for name in FRAME_ENGINES if name in options.engines]
    rivals = [name for name in FRAME_RIVALS if name in options.rivals]
    batches = _batches(options)
    frames = FRAMES_AT_ONCE[: 1 if options.quick else None]
    keys = [_key_b(n, b) for n in engines for b in batches] + [_key_b(n, f) for n in rivals for f in frames]
    if all(results.line(key) is not None for key in keys):
        return
    _say("(b) the one-chip CIFAR-10 net")
    makers: dict[str, tuple] = {"net": (nets.Facts, options.fresh)}
    makers |= {name: (nets.EngineFrames, name) for name in engines}
    here = [name for name in rivals if importlib.util.find_spec(FRAME_RIVALS[name][2])]
    makers |= {name: (nets.RivalFrames, FRAME_RIVALS[name][1]) for name in here}
    with _workers(makers) as (workers, failures):
        if "net" in failures:
            raise Failed(f"net: {failures['net']}")
        net = workers.pop("net")
        results.entry["net"] = net("figures")
        expected = net("expected")
        net.stop()
        failures |= {name: f"{FRAME_RIVALS[name][2]} is not installed" for name in rivals if name not in here}
        known: dict[str, float] = {}
        for turn in range(max(len(batches), len(frames))):
            sizes = {
                name: (batches[turn], _frame_ticks(name, batches[turn])) for name in engines if turn < len(batches)
            }
            sizes |= {name: (frames[turn], 1) for name in rivals if turn < len(frames)}
            _frames(results, options, workers, sizes, expected, known, failures)


def _key_b(name: str, batch: int) -> str:
    return f"b/{batch}/{name}"


def _frame_ticks(name: str, batch: int) -> int:
    """Returns the ticks of one measurement: those of the next larger batch that is in the list."""
    ticks = FRAME_ENGINES[name]
    return ticks[min((b for b in ticks if b >= batch), default=max(ticks))]


def _frames(
    results: Results,
    options: argparse.Namespace,
    workers: dict[str, Worker],
    sizes: dict[str, tuple[int, int]],
    expected: list[int],
    known: dict[str, float],
    failures: dict[str, str],
) -> None:
    """Checks and times workers at one batch each, and writes their lines.

    Args:
        results: where to.
        options: of the command line.
        workers: who.
        sizes: streams, and ticks of one measurement.
        expected: checksums of the frames' output spikes.
        known: seconds a frame of smaller batches; this one's are added.
        failures: why somebody takes no part; more are added.
    """
    calls: dict[str, Callable[[], float]] = {}
    for name, (batch, ticks) in sizes.items():
        about = known.get(name, 0.0) * batch
        try:
            if about * (_PIPELINE + ticks * ROUNDS) > PATIENCE["b"]:
                results.put(_key_b(name, batch), {"why_not": f"would take about {about:.1f} s a tick"})
            elif name not in failures:
                workers[name]("start", batch, ticks)
                workers[name]("time")
                calls[name] = partial(workers[name], "time")
        except Failed as error:
            failures[name] = str(error)
    times = _take_turns(calls, ROUNDS, failures)
    for name in failures.keys() & sizes.keys():
        results.put(_key_b(name, sizes[name][0]), {"why_not": failures[name]})
    for name, taken in times.items():
        batch, ticks = sizes[name]
        key = _key_b(name, batch)
        wrong = workers[name]("wrong", expected)
        if wrong:
            results.put(key, {"why_not": f"{wrong} frames with other spikes than the reference", "same": False})
            continue
        line = _figures(taken, batch * ticks)
        known[name] = line["seconds"]
        work = frame_work(FRAME_ALGORITHMS.get(name, "float32"), **results.entry["net"])
        line |= {
            "ticks": ticks,
            "same": True,
            "memory": workers[name].memory(),
            "of_floor": results.of_floor(line["seconds"], work),
        }
        results.put(key, line)
        _say(f"  batch {batch:3}  {name:17} {line['per_s']:10,.1f} frames/s")


# ---------------------------------------------------------------------------------------------------------------------
# (c) From 64 cores to 16 chips.


def _growth(results: Results, options: argparse.Namespace) -> None:
    rate = RATES[0]
    names = [name for name in ENGINES if name in options.engines]
    for cores in GROWTH[: 4 if options.quick else None]:
        if all(results.line(_key_c(cores, name)) is not None for name in names):
            continue
        _say(f"(c) {cores} cores, {rate:.0%} of the neurons firing a tick")
        with _workers({name: (TickHost, name, rate, cores, options.seed) for name in names}) as (workers, failures):
            expected = _oracle(rate, cores, options.seed, [1])[0, _checked(1)] if cores <= FULL_CHIP else None
            wrong = set()
            ticks = 16 * max(1, 1024 // cores)
            for name in list(workers):
                try:
                    workers[name]("start", [0])
                    workers[name]("time", _checked(1))
                    checksum = workers[name]("checksums", [0])[0]
                    expected = checksum if expected is None else expected  # the others are compared with the first one
                    wrong |= {name} if checksum != expected else set()
                    workers[name]("time", ticks)  # compiles for so many
                except Failed as error:
                    failures[name] = str(error)
                    workers.pop(name).stop()
            calls = {name: partial(worker, "time", ticks) for name, worker in workers.items()}
            times = _take_turns(calls, ROUNDS, failures)
            for name, why in failures.items():
                results.put(_key_c(cores, name), {"why_not": why})
            for name, taken in times.items():
                if name in wrong:
                    results.put(_key_c(cores, name), {"why_not": "other spikes than the oracle", "same": False})
                    continue
                worker, line = workers[name], _figures(taken, ticks)
                work = tick_work(CONTESTANTS[name].algorithm, cores=cores, rate=rate, batch=1)
                line |= {
                    "same": True,
                    "memory": worker.memory(),
                    "of_floor": results.of_floor(line["seconds"], work),
                }
                results.put(_key_c(cores, name), line)
                _say(f"  {name:8} {line['per_s']:10,.1f} ticks/s {line['memory'] / 1e9:6.2f} GB")


def _key_c(cores: int, name: str) -> str:
    return f"c/{cores}/{name}"


# ---------------------------------------------------------------------------------------------------------------------
# What came out.


def report(results: Results) -> str:
    """Returns the tables as Markdown."""
    entry = results.entry
    where = entry["machine"]
    used = ", ".join(f"{name} {value}" for name, value in entry["versions"].items())
    parts = [
        f"Machine: {where['processor']}; {where['cores']} cores, {where['memory_gb']} GB, {where['system']}. "
        f"Load when the run began: {entry['load']:.1f}.\n"
        f"Versions: {used}. Commit {entry['commit']}, sources {entry['sources']}, seed {entry['seed']}.",
        *_report_ceilings(results),
        *_report_full_chip(results),
        *_report_net(results),
        *_report_growth(results),
    ]
    return "\n\n".join(parts)


def _report_ceilings(results: Results) -> list[str]:
    c = results.ceilings
    if c is None:
        return []
    giga = {
        "copy, read and written [GB/s]": c.copy,
        "read [GB/s]": c.read,
        "popcount, 64-bit words, first cache [G/s]": c.popcount,
        "popcount, 33.5 MB [G/s]": c.popcount_memory,
        "popcount by XLA, 33.5 MB [G/s]": c.popcount_xla,
        "popcount by NumPy, one core [G/s]": c.popcount_numpy,
        "full adders, 64-bit words [G/s]": c.adders,
        "16-bit additions [G/s]": c.additions,
        "random bytes of 1 MB [G/s]": c.gather,
        "random bytes of 1 MB by XLA [G/s]": c.gather_xla,
        "int8 products 2048², XLA [GOP/s]": c.int8_xla,
        "int8 products 2048², PyTorch [GOP/s]": c.int8_torch,
        "float32 products 2048², XLA [GFLOP/s]": c.float32_xla,
        "float32 products 2048², PyTorch [GFLOP/s]": c.float32_torch,
        "float32 products 2048², NumPy [GFLOP/s]": c.float32_numpy,
    }
    rows = [(name, "–" if value is None else number(value / 1e9)) for name, value in giga.items()]
    return ["### The machine's ceilings", table([f"{c.threads} threads", "best"], rows)]


def _report_full_chip(results: Results) -> list[str]:
    parts = []
    lines = {tuple(key.split("/")[1:]): line for key, line in results.entry["lines"].items() if key.startswith("a/")}
    for cores, rate in sorted({key[:2] for key in lines}, key=lambda key: (int(key[0]), float(key[1]))):
        mine = {key[2:]: line for key, line in lines.items() if key[:2] == (cores, rate)}
        batches = sorted({int(batch) for batch, _ in mine})
        base = mine.get(("1", "torch-bmm"), {}).get("per_s")
        measured = [line["rate"] for line in mine.values() if "rate" in line]
        rows, remarks = [], []
        for name in [name for name in CONTESTANTS if any(n == name for _, n in mine)]:
            first = mine.get(("1", name), {})
            speed = number(first["per_s"] / base) if base and "per_s" in first else ""
            memory = f"{first['memory'] / 1e9:.2f}" if "memory" in first else ""
            cells = [cell(mine.get((str(batch), name)), "stream_ticks_per_s") for batch in batches]
            rows.append([CONTESTANTS[name].what, *cells, speed, memory])
            remarks += [
                f"{name}, batch {batch}: {mine[str(batch), name]['why_not']}"
                for batch in batches
                if "why_not" in mine.get((str(batch), name), {})
            ]
        head = ["ticks/s of all streams (× floor)", *(f"batch {batch}" for batch in batches), "× `bmm`, batch 1", "GB"]
        parts += [
            f"### (a) Full chip: {int(cores):,} cores, {float(rate):.0%} of the neurons a tick",
            f"Measured: {statistics.mean(measured):.2%} of the neurons fired in a tick." if measured else "",
            table(head, rows),
            "; ".join(remarks) and f"Not measured: {'; '.join(remarks)}.",
        ]
    return [part for part in parts if part]


def _report_net(results: Results) -> list[str]:
    lines = {tuple(key.split("/")[1:]): line for key, line in results.entry["lines"].items() if key.startswith("b/")}
    if not lines:
        return []
    net = {name: size / 1e6 for name, size in results.entry["net"].items()}
    best = max((line["per_s"] for (_, n), line in lines.items() if "conv2d" in n and "per_s" in line), default=None)
    batches = sorted({int(batch) for batch, _ in lines})
    rows, remarks = [], []
    for name in [name for name in [*FRAME_ENGINES, *FRAME_RIVALS] if any(n == name for _, n in lines)]:
        mine = {batch: lines.get((str(batch), name)) for batch in batches}
        fastest = max((line["per_s"] for line in mine.values() if line and "per_s" in line), default=None)
        what = FRAME_RIVALS[name][0] if name in FRAME_RIVALS else f"engine `{name}`"
        speed = number(fastest / best) if fastest and best else ""
        rows.append([what, *(cell(line, "per_s") for line in mine.values()), speed])
        remarks += [
            f"{name}, batch {batch}: {line['why_not']}" for batch, line in mine.items() if line and "why_not" in line
        ]
    head = ["frames/s (× floor)", *(f"batch {batch}" for batch in batches), "× best `conv2d`"]
    return [
        "### (b) The one-chip CIFAR-10 net, on-chip layers",
        f"A frame: {net['products']:.1f} M products of an input and a weight, {net['weights']:.1f} M of them not 0. "
        f"A tick: {net['words']:.1f} M words of 64 axons; {net['active']:.2f} M axons with a spike.",
        table(head, rows),
        *([f"Not measured: {'; '.join(remarks)}."] if remarks else []),
    ]


def _growth_lines(results: Results) -> dict[tuple[int, str], dict[str, Any]]:
    lines = {tuple(key.split("/")[1:]): line for key, line in results.entry["lines"].items() if key.startswith("c/")}
    return {(int(cores), name): line for (cores, name), line in lines.items()}


def _report_growth(results: Results) -> list[str]:
    lines = _growth_lines(results)
    if not lines:
        return []
    names = [name for name in ENGINES if any(n == name for _, n in lines)]
    rows = []
    for cores in sorted({cores for cores, _ in lines}):
        row = [f"{cores:,} ({max(1, cores // FULL_CHIP)})"]
        for name in names:
            line = lines.get((cores, name))
            memory = f"{line['memory'] / 1e9:.2f}" if line and "memory" in line else ""
            row += [cell(line, "per_s"), memory]
        rows.append(row)
    head = ["cores (chips)", *(text for name in names for text in (f"`{name}` ticks/s (× floor)", "GB"))]
    return [
        f"### (c) From 64 cores to 16 chips, batch 1, {RATES[0]:.0%} of the neurons a tick",
        table(head, rows),
        "![time of a tick over cores](images/growth.png)" if (ROOT / "benchmarks/images/growth.png").exists() else "",
    ]


def plot_growth(results: Results) -> None:
    """Draws case (c), if matplotlib is there."""
    lines = _growth_lines(results)
    series: dict[str, list[tuple[float, float]]] = {
        f"engine {name}": [
            (c, 1e3 * line["seconds"]) for (c, n), line in lines.items() if n == name and "seconds" in line
        ]
        for name in ENGINES
    }
    series = {name: points for name, points in series.items() if points}
    if series:
        plot(
            ROOT / "benchmarks/images/growth.png",
            "cores",
            "time of a tick [ms]",
            series,
            ("a chip, 1,000 ticks/s", 1.0),
        )
