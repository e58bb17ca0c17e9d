"""The parts of the page about one run."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.report.page import charts, chip_parts
from tncompile.report.page.amounts import Amount, Number, counted, percent, short
from tncompile.report.page.answers import class_names, confusion_counts, failing_images
from tncompile.report.page.blocks import (
    Block,
    Cell,
    Chart,
    Charts,
    Gallery,
    Missing,
    Remarks,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
)
from tncompile.report.page.figures import confidence, headline, steps_to
from tncompile.report.page.gather import Gathered
from tncompile.report.page.origin import origin
from tncompile.report.page.remarks import remarks

CONFUSED = 8
"""Pairs of classes that are named."""


def run_sections(run: Gathered, layers: Sequence[str] = ()) -> tuple[Section, ...]:
    """Returns all parts about a run.

    Args:
        run: what there is.
        layers: those of the raster; none: all of which spikes were kept.

    Raises:
        ConfigError: a layer has no spikes to show.
    """
    return (
        summary(run),
        Section(name="remarks", title="Before you rely on it", blocks=_remarks(run)),
        Section(name="training", title="Training", blocks=_training(run)),
        Section(name="layers", title="Layers", blocks=_layers(run)),
        Section(name="chip", title="On the chip", blocks=chip_parts.chip(run)),
        Section(name="spikes", title="Spikes", blocks=chip_parts.spikes(run, layers)),
        Section(name="energy", title="Power and energy", blocks=chip_parts.energy(run)),
        Section(name="speed", title="What limits speed", blocks=chip_parts.speed(run)),
        Section(name="answers", title="Right and wrong answers", blocks=_answers(run)),
        Section(name="origin", title="Where this comes from", blocks=origin(run)),
    )


def summary(run: Gathered) -> Section:
    """Returns the figures that answer at first sight, beside the paper's."""
    figures = headline(run)
    paper = run.paper is not None
    tiles = tuple(
        Tile(
            label=amount.label,
            text="–" if amount.value is None else amount.number(amount.value),
            unit="" if amount.value is None else amount.unit,
            more=amount.span,
            beside="" if other is None else f"paper {amount.number(other)} {amount.unit}".rstrip(),
            command=amount.command if amount.value is None else "",
        )
        for amount, other in figures
    )
    blocks: list[Block] = [Tiles(tiles=tiles)]
    if paper:
        assert run.paper is not None
        rows = tuple(
            (
                Cell(text=amount.label),
                Cell(text=amount.text, more=amount.span),
                Cell(text="–" if other is None else f"{amount.number(other)} {amount.unit}".rstrip()),
                Cell(text=_apart(amount, other)),
            )
            for amount, other in figures
        )
        head = ("", "this run", "paper", "difference")
        blocks.append(Table(head=head, rows=rows))
        blocks.append(
            Text(
                text=f"The paper: {run.paper.title} in Esser et al. 2016 (PNAS, doi 10.1073/pnas.1604850113), on one "
                f"TrueNorth chip at 1.0 V. Ranges are {percent(confidence(run), 0)} intervals."
            )
        )
    return Section(name="summary", title="Summary", blocks=tuple(blocks))


def _apart(amount: Amount, other: Number | None) -> str:
    """Returns a difference with its unit; between shares it is one of percentage points."""
    if amount.value is None or other is None:
        return "–"
    unit = "points" if amount.unit == "%" else amount.unit
    difference = amount.difference(other)
    return f"{difference} {unit}".rstrip() if difference else "none"


def _remarks(run: Gathered) -> tuple[Block, ...]:
    found = remarks(run)
    return (Remarks(remarks=found),) if found else (Text(text="Nothing stands out."),)


def _training(run: Gathered) -> tuple[Block, ...]:
    told, command = run.trained, steps_to(run, "train")
    blocks: list[Block] = []
    if told:
        kept = f", epoch {told['kept_epoch']} kept" if told.get("kept_epoch") not in (None, told["epochs"]) else ""
        images = f" on {told['images']:,} images" if "images" in told else ""
        held = f" {percent(told['accuracy'], 2)} of the test images are right afterwards."
        blocks.append(Text(text=f"{counted(told['epochs'], 'epoch')}{images} in {_time(told['seconds'])}{kept}.{held}"))
    if run.training is not None:
        runs = [run.training]
        blocks.append(
            Charts(
                charts=(
                    Chart(name="accuracy", title="Right answers", spec=charts.accuracy_curves(runs)),
                    Chart(name="loss", title="Loss", spec=charts.loss_curves(runs)),
                    Chart(name="learning-rate", title="Learning rate", spec=charts.rate_curve(run.training)),
                )
            )
        )
    elif run.imported is not None:
        blocks.append(Missing(text="The chip was made elsewhere; its training is not known."))
    elif told or (run.compiled and not run.compiled.get("untrained")):
        # To train again would write over a model that came from elsewhere.
        again = command if told else ""
        blocks.append(Missing(text="The model came without the measurements of its training.", command=again))
    else:
        blocks.append(Missing(text="The net is not trained yet.", command=command))
    return tuple(blocks)


def _time(seconds: float) -> str:
    """Returns a time in the largest unit of which there is one.

    >>> [_time(seconds) for seconds in (7.04, 90.0, 11135.5)]
    ['7.0 s', '1.5 min', '3.1 h']
    """
    unit, size = next((each for each in (("h", 3600), ("min", 60)) if seconds >= each[1]), ("s", 1))
    return f"{seconds / size:.1f} {unit}"


def _layers(run: Gathered) -> tuple[Block, ...]:
    if not run.layers:
        if run.imported is not None:
            return (Missing(text="Chips of other tools do not say which layer a core belongs to."),)
        return (Missing(text="The net is not compiled yet.", command=steps_to(run, "compile")),)
    power = {row["layer"]: row for row in run.physics.get("layers", ())}
    head = ["layer", "notation", "output map", "groups", "cores", "splitters", "axons", "neurons"]
    head += ["firing rate", "silent", "dead", "synaptic events"]
    units = ["", "", "x × y × features", "", "", "", "used", "used", "a frame", "of values", "features", "a frame"]
    if power:
        head, units = [*head, "power"], [*units, "mW"]
    rows = []
    for row in run.layers:
        events = row.events if row.events is not None else power.get(row.name, {}).get("synaptic_events")
        texts = [
            row.name,
            row.notation,
            " × ".join(map(str, row.shape)),
            f"{row.groups:,}",
            _whole(row.cores),
            _whole(row.splitters),
            percent(row.axons),
            percent(row.neurons),
            percent(row.rate),
            percent(row.silent),
            _whole(row.dead),
            "–" if events is None else short(events),
        ]
        if power:
            texts.append(short(power[row.name]["power_mW"]) if row.name in power else "–")
        rows.append(tuple(Cell(text=text) for text in texts))
    blocks: list[Block] = [
        Table(head=tuple(head), units=tuple(units), rows=tuple(rows), words=(0, 1, 2)),
        Text(
            text="The row “input” is the transduction on the host; its cores are splitters, which only copy bits."
            + (f" Firing rates: {run.rates}. A value is silent, or a feature dead, if it never spiked in them."
               if run.rates else "")
        ),
    ]  # fmt: skip
    shown = [(row.name, run.name, row.rate) for row in run.layers if row.rate is not None]
    if shown:
        note = "Dashed: 1 % and 60 %, beyond which a layer says little."
        chart = Chart(
            name="firing-rates", title="Firing rate of each layer", spec=charts.firing_rates(shown), note=note
        )
        blocks.append(Charts(charts=(chart,)))
    return tuple(blocks)


def _whole(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _answers(run: Gathered) -> tuple[Block, ...]:
    recording = run.recording
    if recording is None or not (recording.labels >= 0).any():
        if run.imported is not None:
            return (Missing(text="A chip of other tools takes spikes, not images with classes."),)
        why = "The images had no classes." if recording is not None else "No answers were kept."
        return (Missing(text=why, command=steps_to(run, "simulate")),)
    names = class_names(recording, run.classes)
    counts = confusion_counts(recording.labels, recording.chip_classes, len(names))
    wrong = [(int(counts[i, j]), i, j) for i in range(len(names)) for j in range(len(names)) if i != j and counts[i, j]]
    worst = sorted(wrong, key=lambda pair: (-pair[0], pair[1:]))[:CONFUSED]
    of = counts.sum(axis=1)
    rows = tuple(
        (Cell(text=f"{names[i]} → {names[j]}"), Cell(text=f"{count:,}"), Cell(text=percent(count / of[i])))
        for count, i, j in worst
    )
    spec = charts.confusion(counts, names)
    chart = Chart(name="confusion", title="Which class is taken for which", spec=spec, aspect=1.0, size=(560, 560))
    beside = Table(head=("most frequent mistakes", "images", "of the class"), rows=rows) if rows else None
    blocks: list[Block] = [Charts(charts=(chart,), beside=beside)]
    if len(recording.wrong):
        pixel_max = int(recording.wrong_pixels.max()) if run.spec is None else run.spec.pixel_max
        blocks.append(Text(text=f"The first {counted(len(recording.wrong), 'image')} that the chip gets wrong:"))
        blocks.append(Gallery(images=failing_images(recording, names, max(pixel_max, 1))))
    return tuple(blocks)
