"""Measures what compiling costs against the size of the net, and remakes the README's table of it.

usage: python -m benchmarks.compile [--only NAME …] [--keep-page]

Each net is compiled untrained by the command line, in a process of its own: everything from its start to the chip
image on disk, verification and files included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.graphs import experiment, widened
from benchmarks.results import ROOT, keep, machine, table
from tncompile.config.experiment import Experiment
from tncompile.pipeline import EXPORT, step_names
from tncompile.workflow import commit, versions

JSON = ROOT / "benchmarks" / "results" / "compile.json"
MARKERS = "<!-- compile: begin -->", "<!-- compile: end -->"

NETS: dict[str, tuple[str, Callable[[Experiment], list[str]]]] = {
    "digits": ("digits", lambda of: []),
    "digits, 4 × the features": ("digits", lambda of: ["net.layers=S-64 P4-512(8) N-512(4) N-500(4)"]),
    "fashion_mnist": ("fashion_mnist", lambda of: []),
    "fashion_mnist, 2 × the features": ("fashion_mnist", lambda of: [widened(of, 2)]),
    "cifar10_1chip": ("cifar10_1chip", lambda of: []),
    "cifar10_2chip": ("cifar10_2chip", lambda of: []),
    "cifar10_4chip": ("cifar10_4chip", lambda of: []),
}
"""By name: an experiment, and the keys that are set otherwise."""


def measure(name: str) -> dict[str, Any]:
    """Returns what compiling one of the nets took.

    Raises:
        RuntimeError: it does not compile.
    """
    base, changes = NETS[name]
    overrides = [word for change in changes(experiment(base)) for word in ("--set", change)]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "err").open("w+") as errors:
        command = [sys.executable, "-m", "tncompile", "compile", str(ROOT / "experiments" / f"{base}.yaml")]
        command += ["--untrained", "--out", f"{folder}/run", *overrides]
        begin = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=ROOT)
        _, status, used = os.wait4(child.pid, 0)  # subprocess does not tell what one child used
        wall = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            raise RuntimeError(f"{name}: {errors.read()[-1000:]}")
        compiled = json.loads((Path(folder) / "run" / "results.json").read_text())["compile"]
        image = (Path(folder) / "run" / "chip.safetensors").stat().st_size
    kept = ("cores", "cores_at_least", "chips", "wirelength", "hops_per_spike", "seconds", "seconds_by_pass", "digest")
    kilobyte = 1024 if sys.platform != "darwin" else 1
    return {key: compiled[key] for key in kept} | {
        "wall_s": wall,
        "cpu_s": used.ru_utime + used.ru_stime,
        "memory_gb": used.ru_maxrss * kilobyte / 1e9,
        "image_mb": image / 1e6,
    }


def report(entry: dict[str, Any]) -> str:
    """Returns the table."""
    passes = [name for name in step_names() if name not in (EXPORT, "trinarize", "partition", "route", "emit")]
    head = ["net", "cores (chips)", "from start to image [s]", *(f"{name} [s]" for name in passes), "GB", "image [MB]"]
    rows = [
        [
            name,
            f"{line['cores']:,} ({line['chips']})",
            f"{line['wall_s']:.1f}",
            *(f"{line['seconds_by_pass'][step]:.2f}" for step in passes),
            f"{line['memory_gb']:.2f}",
            f"{line['image_mb']:.1f}",
        ]
        for name, line in entry["lines"].items()
    ]
    of = entry["machine"]
    return (
        f"Machine: {of['processor']}; {of['cores']} cores, {of['memory_gb']} GB, {of['system']}. Python"
        f" {entry['versions']['python']}, jax {entry['versions']['jax']}, numba {entry['versions']['numba']}. Commit"
        f" {entry['commit']}, seed 0.\n\n{table(head, rows)}"
    )


def main() -> None:
    """Measures everything and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETS, default=list(NETS), metavar="NAME", help="these nets alone")
    parser.add_argument("--keep-page", action="store_true", help="write neither the JSON file nor the README")
    options = parser.parse_args()
    lines = {}
    measure("digits")  # so that everything is compiled and in the machine's memory
    for name in options.only:
        lines[name] = measure(name)
        print(f"{name}: {lines[name]['cores']:,} cores in {lines[name]['wall_s']:.1f} s", flush=True)
    entry = {"machine": machine(), "commit": commit(), "versions": versions(), "lines": lines}
    print(report(entry))
    if not options.keep_page:
        keep(entry, report(entry), JSON, MARKERS)


if __name__ == "__main__":
    main()
