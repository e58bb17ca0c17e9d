"""The table of a sweep: a row for each point, in memory, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tncompile.errors import ConfigError
from tncompile.explore.pareto import Better, Number, front
from tncompile.explore.points import Point, text
from tncompile.ir.io import atomic_write

FORMAT = 1
"""Version of explore.json: keys are added, never renamed."""

WAITING = "waiting"
"""Status of a point that is not through; others are those of `Outcome`."""


class Column(NamedTuple):
    """A figure of a point.

    Attributes:
        name: in files and for `--objectives`.
        path: in results.json, with dots; there is a number, or a `value` between `low` and `high`.
        title: for people.
        unit: of what is shown; empty: none.
        better: the end that is wanted; None: neither, so it is no objective.
        factor: from the number to what is shown.
        interval: whether there may be a `low` and a `high`.
    """

    name: str
    path: str
    title: str
    unit: str = ""
    better: Better | None = None
    factor: float = 1.0
    interval: bool = False

    @property
    def heading(self) -> str:
        """Title and unit."""
        return self.title + f" [{self.unit}]" * bool(self.unit)

    def shown(self, value: Number) -> str:
        """Returns a number as people read it, with its unit."""
        return f"{self.plain(value)} {self.unit}".rstrip()

    def plain(self, value: Number) -> str:
        """Returns a number as people read it."""
        value *= self.factor
        if self.unit == "%":
            return f"{value:.2f}"
        return f"{value:,.3g}" if abs(value) < 1000 and value != int(value) else f"{value:,.0f}"


_CHIP = "simulate.chip."

_EVENTS = "compile.synaptic_events_per_frame."

COLUMNS = (
    Column("accuracy", "simulate.accuracy", "chip accuracy", "%", "max", 100),
    Column("held_out_accuracy", "train.accuracy", "model accuracy", "%", "max", 100),
    Column("cores", "compile.cores", "cores", "", "min"),
    Column("chips", "compile.chips", "chips", "", "min"),
    Column("latency_ticks", "compile.latency_ticks", "latency", "ticks", "min"),
    Column("synaptic_events_per_frame", _EVENTS + "mean", "synaptic events a frame", "", "min"),
    Column("synaptic_events_at_most", _EVENTS + "most", "synaptic events a frame, at most", "", "min"),
    Column("hops_per_frame", "compile.hops_per_frame.mean", "hops a frame", "", "min"),
    Column("hops_at_most", "compile.hops_per_frame.most", "hops a frame, at most", "", "min"),
    Column("latency_ms", _CHIP + "latency_ms", "latency", "ms", "min", interval=True),
    Column("power_mW", _CHIP + "power_mW", "power", "mW", "min", interval=True),
    Column("frames_per_s", _CHIP + "frames_per_s", "frames/s", "", "max", interval=True),
    Column("frames_per_s_per_W", _CHIP + "frames_per_s_per_W", "frames/s a W", "", "max", interval=True),
    Column("energy_per_frame_uJ", _CHIP + "energy_per_frame_uJ", "energy a frame", "µJ", "min", interval=True),
)  # fmt: skip
"""What is collected of each point, as far as its steps have it."""

OBJECTIVES = ("accuracy", "cores", "energy_per_frame_uJ", "frames_per_s")
"""What decides who is on the front, if nobody says otherwise."""

_BY_NAME = {column.name: column for column in COLUMNS}


class Figure(NamedTuple):
    """A figure, and the interval that it lies in; None where there is none."""

    value: Number
    low: Number | None = None
    high: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of a point.

    Attributes:
        point: the choice.
        folder: its run folder, from that of the sweep.
        status: `done`, `infeasible`, `failed` or `waiting`.
        code: exit code of its step; 0: none was done, or all is well.
        message: why it is not done.
        digest: of the chip image.
        figures: by the column's name.
    """

    point: Point
    folder: str
    status: str = WAITING
    code: int = 0
    message: str = ""
    digest: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def value(self, name: str) -> Number | None:
        """Returns a figure's number, None if there is none."""
        return self.figures[name].value if name in self.figures else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The table of a sweep.

    Attributes:
        name: of the experiment.
        rows: one a point, in the order of the points.
        objectives: names of columns that decide who is on the front.
    """

    name: str
    rows: tuple[Row, ...]
    objectives: tuple[str, ...] = OBJECTIVES

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that vary, each once."""
        return tuple(dict.fromkeys(key for row in self.rows for key in row.point.values))

    @property
    def known(self) -> tuple[Column, ...]:
        """The columns in which any row has a figure."""
        return tuple(column for column in COLUMNS if any(column.name in row.figures for row in self.rows))

    @property
    def judged(self) -> tuple[Column, ...]:
        """The objectives that any row has; before a simulation, the model's accuracy stands for the chip's."""
        known = self.known
        names = dict.fromkeys(
            "held_out_accuracy" if name == "accuracy" and _BY_NAME[name] not in known else name
            for name in self.objectives
        )
        return tuple(_BY_NAME[name] for name in names if _BY_NAME[name] in known)

    @property
    def front(self) -> tuple[bool, ...]:
        """Which rows are on the Pareto front of the objectives that are known."""
        judged = self.judged
        if not judged:
            return (False,) * len(self.rows)
        values = [[row.value(column.name) for column in judged] for row in self.rows]
        return tuple(front(values, [column.better for column in judged if column.better]))


def parse_objectives(given: str) -> tuple[str, ...]:
    """Returns names of columns, written with commas between.

    Raises:
        ConfigError: there is no such objective, or one is named twice.

    >>> parse_objectives("accuracy, cores")
    ('accuracy', 'cores')
    """
    names = tuple(name.strip() for name in given.split(","))
    for name in names:
        if name not in _BY_NAME or _BY_NAME[name].better is None:
            choices = ", ".join(column.name for column in COLUMNS if column.better)
            raise ConfigError(f"--objectives {given}: there is no objective {name!r}; choose from {choices}")
    if len(set(names)) < len(names):
        raise ConfigError(f"--objectives {given}: names one twice; name each once")
    return names


def figures_of(results: Mapping[str, Any]) -> dict[str, Figure]:
    """Returns what the columns find in results.json's content.

    >>> figures_of({"compile": {"cores": 56}})
    {'cores': Figure(value=56, low=None, high=None)}
    """
    found = {column.name: _figure(_at(results, column.path)) for column in COLUMNS}
    return {name: figure for name, figure in found.items() if figure is not None}


def _at(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _figure(found: Any) -> Figure | None:
    if not isinstance(found, Mapping):
        return Figure(found) if _number(found) else None
    value, low, high = (found.get(key) if _number(found.get(key)) else None for key in ("value", "low", "high"))
    return None if value is None else Figure(value, low, high)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def records(table: Table) -> list[dict[str, Any]]:
    """Returns the rows as JSON data, numbered from 1, all with the same keys: those that vary are under `point`."""
    on_front = table.front
    return [
        {
            "number": number,
            "point": dict(row.point.values),
            "status": row.status,
            "front": on,
            **_cells(row),
            "digest": row.digest or None,
            "folder": row.folder,
            "message": row.message or None,
        }
        for number, (row, on) in enumerate(zip(table.rows, on_front, strict=True), 1)
    ]


def _cells(row: Row) -> dict[str, Number | None]:
    cells: dict[str, Number | None] = {}
    for column in COLUMNS:
        value, low, high = row.figures.get(column.name, (None, None, None))
        cells[column.name] = value
        if column.interval:
            cells |= {f"{column.name}_low": low, f"{column.name}_high": high}
    return cells


def document(table: Table) -> dict[str, Any]:
    """Returns the table as JSON data, with what its columns mean."""
    return {
        "format": FORMAT,
        "name": table.name,
        "keys": list(table.keys),
        "objectives": [column.name for column in table.judged],
        "columns": [{key: getattr(column, key) for key in ("name", "path", "title", "better")} for column in COLUMNS],
        "points": records(table),
    }


def csv_text(table: Table) -> str:
    """Returns the table as CSV: number and what varies first, then the rest as in `records`."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    rows = records(table)
    others = [key for key in rows[0] if key not in ("number", "point")]
    writer.writerow(["number", *table.keys, *others])
    for row in rows:
        chosen = (text(row["point"][key]) if key in row["point"] else "" for key in table.keys)
        writer.writerow([row["number"], *chosen, *(_plain(row[key]) for key in others)])
    return file.getvalue()


def _plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def write_table(table: Table, folder: Path) -> None:
    """Writes explore.json and explore.csv.

    Raises:
        ArtifactError: one cannot be written.
    """
    atomic_write(folder / "explore.json", json.dumps(document(table), indent=2, ensure_ascii=False) + "\n")
    atomic_write(folder / "explore.csv", csv_text(table))
