"""The parts of the page about several runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.report.page import charts
from tncompile.report.page.amounts import Amount, percent
from tncompile.report.page.blocks import Block, Cell, Chart, Charts, Missing, Remarks, Section, Table, Text
from tncompile.report.page.figures import confidence, headline, more_figures
from tncompile.report.page.gather import Gathered
from tncompile.report.page.remarks import across


def comparison(runs: Sequence[Gathered], names: Sequence[str]) -> tuple[Section, ...]:
    """Returns the parts about several runs.

    Args:
        runs: at least two.
        names: of them, all different.
    """
    found = across(runs)
    curves = [run.training for run in runs if run.training is not None]
    named = [training for training in (_named(run, name) for run, name in zip(runs, names, strict=True)) if training]
    blocks: list[Block] = [
        _table(runs, names),
        Text(text="Small: the interval, and the difference from the first run."),
    ]
    if found:
        blocks.append(Remarks(remarks=found))
    training: list[Block] = []
    if named:
        pictures = (
            Chart(name="accuracy", title="Right answers", spec=charts.accuracy_curves(named, names)),
            Chart(name="loss", title="Loss", spec=charts.loss_curves(named, names)),
        )
        training.append(Charts(charts=pictures))
    if len(curves) < len(runs):
        training.append(Missing(text="Not every run has curves of its training."))
    sections = [
        Section(name="summary", title="Side by side", blocks=tuple(blocks)),
        Section(name="training", title="Training", blocks=tuple(training)),
    ]
    if pictures := _activity(runs, names):
        sections.append(Section(name="activity", title="Power and firing rates", blocks=(Charts(charts=pictures),)))
    return tuple(sections)


def _named(run: Gathered, name: str) -> charts.Run | None:
    return None if run.training is None else charts.Run(name=name, points=run.training.points)


def _table(runs: Sequence[Gathered], names: Sequence[str]) -> Table:
    """Returns all figures, with differences from the first run; those that no run has are left out."""
    papers = {run.paper for run in runs}
    paper = papers.pop() if len(papers) == 1 else None
    rows = []
    columns = [(*headline(run), *((amount, None) for amount in more_figures(run))) for run in runs]
    for amounts in zip(*columns, strict=True):
        row = [amount for amount, _ in amounts]
        if all(amount.value is None for amount in row):
            continue
        cells = [Cell(text=row[0].label)]
        if paper is not None:
            other = amounts[0][1]
            cells.append(Cell(text="–" if other is None else f"{row[0].number(other)} {row[0].unit}".rstrip()))
        cells += [Cell(text=amount.text, more=_below(amount, row[0], first=amount is row[0])) for amount in row]
        rows.append(tuple(cells))
    head = ("", *(() if paper is None else (f"the paper, {paper.title}",)), *names)
    return Table(head=head, rows=tuple(rows))


def _below(amount: Amount, first_run: Amount, *, first: bool) -> str:
    """Returns what stands below a figure: its interval, and its difference from the first run's."""
    apart = "" if first else amount.difference(first_run.value)
    return " · ".join(part for part in (amount.span, apart) if part)


def _activity(runs: Sequence[Gathered], names: Sequence[str]) -> tuple[Chart, ...]:
    pictures = []
    parts = [
        (what, name, amount)
        for run, name in zip(runs, names, strict=True)
        for what, amount in run.physics.get("breakdown_mW", {}).items()
    ]
    if parts:
        note = f"Lines: {percent(confidence(runs[0]), 0)} intervals."
        spec = charts.breakdown(parts, "mW", names)
        pictures.append(Chart(name="power", title="What takes power", spec=spec, note=note))
    rates = [
        (row.name, name, row.rate)
        for run, name in zip(runs, names, strict=True)
        for row in run.layers
        if row.rate is not None
    ]
    if rates:
        spec = charts.firing_rates(rates, names)
        pictures.append(Chart(name="firing-rates", title="Firing rate of each layer", spec=spec))
    return tuple(pictures)
