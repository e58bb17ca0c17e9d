"""Summaries and inspections as tables on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tncompile.explore.points import text
from tncompile.explore.table import Table as Exploration
from tncompile.report.amounts import interval


def summary_rows(results: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields what the summary says of results.json's content, a row each."""
    compiled = results.get("compile")
    train = results.get("train")
    if train and not (compiled and compiled["untrained"]):  # a random net has nothing to do with that training
        yield "trained", f"{_count(train['epochs'], 'epoch')} in {train['seconds']:.1f} s"
        yield "held-out accuracy", _percent(train["accuracy"])
    if compiled:
        if "cores" in compiled:
            splitters = compiled["splitter_cores"]
            chips = f" on {_count(compiled['chips'], 'chip')}" if "chips" in compiled else ""
            yield "cores", f"{compiled['cores']:,}{chips}, {splitters:,} of them splitters"
            if "cores_at_least" in compiled:
                yield "lower bound", f"{compiled['cores_at_least']:,} cores by the net's shape, whatever its weights"
        if "cores_by_saving" in compiled:
            yield "by saving", _savings(compiled["cores_by_saving"])
        if "utilisation" in compiled:
            yield (
                "utilisation",
                ", ".join(f"{what} {100 * share:.1f} %" for what, share in compiled["utilisation"].items()),
            )
            yield from _work_rows(compiled)
        if "wirelength" in compiled:
            yield "wirelength", f"{compiled['wirelength']:,} hops, {compiled['hops_per_spike']:.2f} a spike"
        if "busiest_link" in compiled:
            yield "busiest link", _count(compiled["busiest_link"], "arc")
        if "chip_edges" in compiled:
            edges = compiled["chip_edges"]
            busiest = max(edges["chips"], key=lambda chip: chip["limit_%"])
            arcs = sum(edge["most"] for edge in edges["edges"])
            condition = ", if every neuron spikes" if busiest["mean"] is None else " on sample frames"
            yield (
                "chip edges",
                f"{arcs:,} arcs cross; chip ({busiest['chip'][0]}, {busiest['chip'][1]}) takes "
                f"{busiest['limit_%']:.3g} % of what its edges carry{condition}",
            )
        detours = compiled.get("detours", {"relays": 0})
        if detours["relays"]:
            cost = "{relays:,} round faulty routers, {relay_cores:,} cores more, {added_ticks:,} ticks more"
            yield "relays", cost.format(**detours)
        yield "compiled", f"in {compiled['seconds']:.1f} s"
        yield "digest", compiled["digest"][:16]
    if simulated := results.get("simulate"):
        yield "model accuracy", _percent(simulated["model_accuracy"])
        yield "chip accuracy", _percent(simulated["accuracy"])
        yield (
            "mismatching spikes",
            f"{simulated['mismatched_spikes']:,} in {simulated['frames']:,} frames "
            f"({simulated['output_spikes']:,} output spikes compared)",
        )
        if chip := simulated.get("chip"):
            yield from _chip_rows(chip)
        yield "latency", ", ".join([_count(simulated["latency_ticks"], "tick"), *_latency(chip)])
        yield (
            "simulator",
            f"{simulated['frames_per_s']:,.0f} frames/s, {simulated['ticks_per_s']:,.0f} ticks/s, "
            f"engine {simulated['engine']}",
        )


def _chip_rows(chip: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields what the chip itself would do, with intervals."""
    limits = {
        "core": "synaptic events, most of them in core ({x}, {y}), {layer}".format(**chip["busiest_core"]),
        "link": "the link between two routers that carries most",
        "edge": "the packets over the chip's edge",
        "floor": "the shortest tick there is",
    }
    sure = f"with {100 * chip['confidence']:.0f} % confidence"
    yield "chip speed", f"{interval(chip['frames_per_s'], 'frames/s')} {sure}, limited by {limits[chip['limit']]}"
    yield "chip power", f"{interval(chip['power_mW'], 'mW')} at that speed and {chip['voltage_V']:.4g} V"
    energy = interval(chip["energy_per_frame_uJ"], "µJ a frame")
    yield "chip efficiency", f"{interval(chip['frames_per_s_per_W'], 'frames/s/W')}, {energy}"


def _latency(chip: Mapping[str, Any] | None) -> list[str]:
    """Returns how long an answer takes on the chip, if anybody knows."""
    return [interval(chip["latency_ms"], "ms")] if chip and "latency_ms" in chip else []


def _savings(cores: Mapping[str, int | None]) -> str:
    """Returns the cores with no saving, and as the savings come in one after the other."""
    counts = (("too many splitters" if count is None else f"{count:,}") for count in cores.values())
    return " · ".join(f"{name} {count}" for name, count in zip(cores, counts, strict=True))


def _work_rows(compiled: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields what a frame makes the cores do: on average, if spikes were counted, and at most."""
    keys = {"spikes": "spikes", "synaptic_events": "synaptic events", "hops": "hops"}
    found = {name: compiled.get(f"{key}_per_frame") for key, name in keys.items()}
    for row, kind in (("a frame", "mean"), ("a frame, at most", "most")):
        counts = [
            f"{counts[kind]:,.0f} {name}" for name, counts in found.items() if counts and counts[kind] is not None
        ]
        if counts:
            yield row, ", ".join(counts)


def print_summary(results: Mapping[str, Any], folder: Path, *, to_stderr: bool = False) -> None:
    """Prints the summary of a run."""
    table = Table(title=f"{results['name']} (seed {results['seed']})", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in summary_rows(results):
        table.add_row(*map(escape, row))
    table.add_row("results", escape(str(folder)))
    Console(stderr=to_stderr, highlight=False).print(table)


def print_inspection(found: Mapping[str, Any], *, to_stderr: bool = False) -> None:
    """Prints what `inspect` found: the plain values first, then each list of rows as a table."""
    console = Console(stderr=to_stderr, highlight=False)
    for key, value in found.items():
        if not isinstance(value, list):
            console.print(f"[bold]{key.replace('_', ' '):<16}[/bold] {_cell(value)}", soft_wrap=True)
    for key, rows in found.items():
        if not isinstance(rows, list) or not rows:
            continue
        table = Table(title=key.replace("_", " "), title_justify="left")
        for i, column in enumerate(rows[0]):
            number = isinstance(rows[0][column], int | float)
            # A name, to be copied, stays in one piece.
            table.add_column(
                column.replace("_", " "), justify="right" if number else "left", overflow="fold", no_wrap=i == 0
            )
        for row in rows:
            table.add_row(*(_cell(v) for v in row.values()))
        console.print(table)


def print_exploration(table: Exploration, folder: Path, *, to_stderr: bool = False) -> None:
    """Prints the table of a sweep: what varies, how it went, and figures; rows on the Pareto front have a star."""
    shown = [column for column in table.known if column in table.judged or column.name not in _unsaid(table)]
    title = f"{table.name}: " + _count(len(table.rows), "point")
    if judged := ", ".join(f"{column.title} ({column.better})" for column in table.judged):
        title += f"; * no other beats it in {judged}"
    rows = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    lines = [
        [
            f"{number} {_SIGNS.get(row.status, '*' * best)}",
            *(text(row.point.values[key]) if key in row.point.values else "–" for key in table.keys),
            *("–" if (value := row.value(column.name)) is None else column.plain(value) for column in shown),
        ]
        for number, (row, best) in enumerate(zip(table.rows, table.front, strict=True), 1)
    ]
    last = Counter(key.rpartition(".")[2] for key in table.keys)
    names = [short if last[short := key.rpartition(".")[2]] == 1 else key for key in table.keys]
    rows.add_column("", no_wrap=True)
    for name in names:
        rows.add_column(escape(name), overflow="fold")
    for column, *cells in zip(shown, *(line[1 + len(names) :] for line in lines), strict=True):
        # Of a heading that does not fit, a part will do, but not of a number.
        rows.add_column(escape(column.heading), justify="right", min_width=max(map(len, cells)))
    for line, best in zip(lines, table.front, strict=True):
        rows.add_row(*map(escape, line), style="bold" if best else None)
    console = Console(stderr=to_stderr, highlight=False)
    console.print(escape(title), soft_wrap=True)
    # A line may be longer than the terminal; a number that is cut would be another number.
    needed = console.measure(rows, options=console.options.update(max_width=1000)).minimum
    console.print(rows, width=max(console.width, needed), crop=False, no_wrap=needed > console.width)
    troubles: dict[str, list[str]] = {}
    for row in filter(lambda row: row.message, table.rows):
        troubles.setdefault(f"{row.status}: {row.message}", []).append(row.point.label)
    for trouble, labels in troubles.items():
        where = "; ".join(labels[:_NAMED]) + (f"; and {len(labels) - _NAMED} more" if len(labels) > _NAMED else "")
        console.print(escape(f"{trouble} ({where})"), soft_wrap=True)
    console.print(f"all of it, and a run folder for each point: {escape(str(folder))}", soft_wrap=True)


_NAMED = 3
"""Points with the same message are named up to so many."""

_SIGNS = {"infeasible": "–", "failed": "!", "waiting": "…"}
"""What stands before the row of a point that is not done."""


def _unsaid(table: Exploration) -> set[str]:
    """Returns the columns that are in the files of a sweep alone: people have others that say nearly the same."""
    known = {column.name for column in table.known}
    unsaid = {"synaptic_events_at_most", "hops_at_most", "latency_ms"}
    unsaid |= {"held_out_accuracy"} if "accuracy" in known else set()
    unsaid |= {"latency_ticks", "synaptic_events_per_frame", "hops_per_frame"} if "power_mW" in known else set()
    return unsaid | ({"chips"} if all(row.value("chips") in (1, None) for row in table.rows) else set())


def _cell(value: Any) -> str:
    match value:
        case float():
            return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
        case bool() | None:
            return {True: "yes", False: "no", None: "–"}[value]
        case int():
            return f"{value:,}"
        case Mapping():
            return ", ".join(f"{k} {_cell(v)}" for k, v in value.items())
        case _:
            return escape(str(value))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"
