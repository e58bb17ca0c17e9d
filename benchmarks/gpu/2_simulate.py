"""Measures the engines that XLA compiles, over numbers of streams, on whatever device JAX finds.

usage: python -m benchmarks.gpu.2_simulate [--streams 1 16 64 512] [--cores 4096] [--ticks 64] [--skip net]

- chip: a full chip of random crossbars, 2 % of its neurons firing (`benchmarks/chips.py`), on engine packed;
- net: the one-chip CIFAR-10 net, untrained, on random images, one frame a tick, on engines packed and layered. Every
  frame's output spikes are compared with those of the integer reference.

Results already in the JSON file beside this script, for the same device and versions, are kept. A line that fails, for
lack of memory say, is left out, and tried again by the next run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import nets
from benchmarks.ticks import TickHost
from tncompile.ir.io import atomic_write
from tncompile.workflow import commit, device, versions

RATE = 0.02
SEED = 0
REPEATS = 5
"""Timed calls; the best and the median are kept."""


def main() -> int:
    """Measures what is missing, writes the file after each line, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64, 512], help="how many side by side")
    parser.add_argument("--cores", type=int, default=4096, help="of the chip; a square number")
    parser.add_argument("--ticks", type=int, default=64, help="of one timed call")
    parser.add_argument("--skip", choices=["chip", "net"], help="leave one of the two out")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".json"), help="the file")
    options = parser.parse_args()

    key = ", ".join([device(), *(f"{name} {versions()[name]}" for name in ("tncompile", "jax", "jaxlib"))])
    results = json.loads(options.results.read_text()) if options.results.exists() else {}
    lines = results.setdefault(key, {})
    failed = 0

    def measure(name: str, streams: int, run: Callable[[], dict[str, Any]]) -> None:
        nonlocal failed
        name = f"{name}, {streams} streams, {options.ticks} ticks a call"
        if name in lines:
            return
        try:
            lines[name] = run() | {"commit": commit()}
        except Exception as error:  # whatever a device and its driver may raise: the other lines are still wanted
            failed += 1
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return
        print(f"{name}: {lines[name]['ticks_per_s']:,.0f} ticks/s", flush=True)
        atomic_write(options.results, json.dumps(results, indent=2) + "\n")

    if options.skip != "chip":
        host = _once(lambda: TickHost("packed", RATE, options.cores, SEED))
        for streams in options.streams:
            measure(
                f"chip of {options.cores} cores, engine packed",
                streams,
                lambda n=streams: _chip(host(), n, options.ticks),
            )
    if options.skip != "net":
        expected = _once(lambda: nets.Facts(fresh=False).expected())
        for engine in ("packed", "layered"):
            net = _once(lambda name=engine: nets.EngineFrames(name))
            for streams in options.streams:
                measure(
                    f"net, engine {engine}",
                    streams,
                    lambda n=streams, net=net: _net(net, expected(), n, options.ticks),
                )
    return 1 if failed else 0


def _chip(host: TickHost, streams: int, ticks: int) -> dict[str, Any]:
    """Returns the figures of a chip."""
    begin = time.perf_counter()
    host.start(range(streams))
    host.time(ticks)
    warm = time.perf_counter() - begin
    return _figures([host.time(ticks) for _ in range(REPEATS)], streams * ticks, warm)


def _net(frames: Callable[[], nets.EngineFrames], expected: list[int], streams: int, ticks: int) -> dict[str, Any]:
    """Returns the figures of a net; a tick is a frame.

    Raises:
        AssertionError: a frame came out with other spikes than expected.
    """
    begin = time.perf_counter()
    runner = frames()
    runner.start(streams, ticks)
    warm = time.perf_counter() - begin
    figures = _figures([runner.time() for _ in range(REPEATS)], streams * ticks, warm)
    wrong = runner.wrong(expected)
    assert not wrong, f"{wrong} of the last call's {streams * ticks} frames differ from the reference"
    return figures


def _figures(seconds: list[float], ticks: int, warm: float) -> dict[str, Any]:
    """Returns the figures of a line.

    Args:
        seconds: of each call [s].
        ticks: of all streams together, a call [tick].
        warm: laying out, compiling and the first call [s].
    """
    return {
        "ticks_per_s": ticks / min(seconds),
        "ticks_per_s_median": ticks / statistics.median(seconds),
        "warm_up_s": warm,
    }


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    """Returns a function that makes something when it is first called, and then returns the same again."""
    made: list[Any] = []

    def get() -> Any:
        if not made:
            made.append(make())
        return made[0]

    return get


if __name__ == "__main__":
    sys.exit(main())
