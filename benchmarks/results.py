"""Where figures are kept between runs, and the tables that are made from them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.ceilings import Ceilings, Work
from tncompile.ir.io import atomic_write
from tncompile.workflow import commit, versions

ROOT = Path(__file__).parents[1]
JSON = ROOT / "benchmarks" / "results" / "simulator.json"
README = ROOT / "benchmarks" / "README.md"
MARKERS = "<!-- figures: begin -->", "<!-- figures: end -->"
"""Between these lines of the README stand the tables."""


@dataclass(slots=True)
class Results:
    """The figures of one machine, versions and sources, written after each line.

    Attributes:
        path: the file.
        entry: what it holds.
    """

    path: Path
    entry: dict[str, Any]

    @classmethod
    def open(cls, path: Path, seed: int, fresh: bool) -> Results:
        """Returns what is already known about these sources on this machine.

        Args:
            path: the file.
            seed: of everything random.
            fresh: forget it.
        """
        origin = {"machine": machine(), "versions": _versions(), "sources": _sources(), "seed": seed}
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if fresh or any(found.get(key) != value for key, value in origin.items()):
            load = os.getloadavg()[0]
            found = origin | {"commit": commit(), "load": load, "ceilings": None, "net": None, "lines": {}}
        return cls(path, found)

    def write(self) -> None:
        """Writes the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self.path, json.dumps(self.entry, indent=1, sort_keys=True) + "\n")

    def put(self, key: str, line: dict[str, Any]) -> None:
        """Keeps a line."""
        self.entry["lines"][key] = line
        self.write()

    def line(self, key: str) -> dict[str, Any] | None:
        """Returns a line, or None if it has not been measured."""
        return self.entry["lines"].get(key)

    @property
    def ceilings(self) -> Ceilings | None:
        """What the machine can do, if that was measured."""
        return None if self.entry["ceilings"] is None else Ceilings(**self.entry["ceilings"])

    def of_floor(self, seconds: float, work: Work) -> float | None:
        """Returns how many times the floor a time is."""
        return None if self.ceilings is None else seconds / work.seconds(self.ceilings)


def machine() -> dict[str, Any]:
    """Returns what the figures were measured on."""
    processor = platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in lines.items()}
        processor = fields.get("model name", processor)
        if "cpu family" in fields:
            processor += f", family {fields['cpu family']} model {fields.get('model', '?')}"
        wide = [flag for flag in ("avx512_vpopcntdq", "avx512f", "avx2") if flag in fields.get("flags", "").split()]
        processor += f", {wide[0]}" if wide else ""
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30),
        "system": platform.system(),
    }


def _versions() -> dict[str, str]:
    rivals = {}
    for package in ("torch", "brian2"):
        try:
            rivals[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions() | rivals


def _sources() -> str:
    """Returns a digest of all that is measured: figures of other sources are not these."""
    digest = hashlib.sha256()
    for folder in ("benchmarks", "tncompile", "passes"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".c"):
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


# ---------------------------------------------------------------------------------------------------------------------
# Tables.


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table in Markdown, all columns but the first to the right."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *others]) + " |"

    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def number(value: float) -> str:
    """Returns three digits of a number, or all in front of the point."""
    digits = next((d for d, least in ((0, 100), (1, 10), (2, 0)) if value >= least), 2)
    return f"{value:,.{digits}f}"


def cell(line: dict[str, Any] | None, per: str) -> str:
    """Returns a line's figure with its distance from the floor in brackets.

    Args:
        line: the line.
        per: the figure, 1 over seconds.
    """
    if line is None:
        return ""
    if "why_not" in line:
        return "–"
    distance = f" ({number(line['of_floor'])})" if line.get("of_floor") else ""
    return number(line[per]) + distance


def keep(entry: dict[str, Any], text: str, path: Path, markers: tuple[str, str]) -> None:
    """Writes an entry to its file, and the tables made of it into the README."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(entry, indent=1) + "\n")
    fill(text, markers=markers)


def fill(text: str, page: Path = README, markers: tuple[str, str] = MARKERS) -> None:
    """Puts text between two lines of a page that mark its place.

    Raises:
        ValueError: the page has no such markers.
    """
    begin, end = markers
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{page}: has no lines {begin} and {end}")
    atomic_write(page, f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def plot(
    path: Path,
    label_x: str,
    label_y: str,
    series: dict[str, list[tuple[float, float]]],
    level: tuple[str, float] | None = None,
) -> bool:
    """Draws lines on logarithmic axes into a picture; returns whether matplotlib is there to do it.

    Args:
        path: the picture.
        label_x, label_y: of the axes.
        series: lines by name.
        level: name and height of a dashed line.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for (name, points), marker in zip(series.items(), "osD^v", strict=False):
        x, y = zip(*sorted(points), strict=True)
        axes.loglog(x, y, marker=marker, label=name)
    if level is not None:
        axes.axhline(level[1], color="grey", linestyle="dashed", label=level[0])
    ticks = sorted({x for points in series.values() for x, _ in points})
    axes.set_xticks(ticks, [f"{int(x):,}" for x in ticks])
    axes.minorticks_off()
    axes.grid(True, alpha=0.3)
    axes.set(xlabel=label_x, ylabel=label_y)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return True
