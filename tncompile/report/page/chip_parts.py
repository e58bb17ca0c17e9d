"""The parts of the page about the chip: its maps, its spikes, its power and its speed."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.report.amounts import interval
from tncompile.report.page import charts, maps
from tncompile.report.page.amounts import counted, percent, short
from tncompile.report.page.blocks import Block, Cell, Chart, Charts, Legend, Missing, Table, Text
from tncompile.report.page.figures import confidence, steps_to
from tncompile.report.page.gather import Gathered
from tncompile.report.page.raster import ALL, chosen_layers, spike_raster

_LIMITS = {
    "core": "the busiest core",
    "link": "the busiest link",
    "edge": "the busiest chip edge",
    "floor": "the tick itself",
}


def chip(run: Gathered) -> tuple[Block, ...]:
    """Returns the maps of cores and links."""
    view = run.view
    if view is None:
        return (Missing(text="No core has a place on a chip yet.", command=steps_to(run, "compile")),)
    recording = run.recording
    events = None if recording is None else recording.events
    side = maps.tile(view)
    x0, y0, x1, y1 = maps.region(view)
    aspect = min(max((x1 - x0) / (y1 - y0), 0.7), 2.6)
    how = "Drag to move, Ctrl and wheel to zoom, double click to go back."
    if (x0, y0, x1, y1) != (0, 0, *view.arch.size):
        how += f" The board goes on: it has {view.arch.size[0]} × {view.arch.size[1]} sites."
    if side > 1:
        how += f" A square is {side} × {side} sites: most frequent layer, means of amounts, busiest link of each way."
    shades = maps.shades(view, run.graph, events)
    placement = maps.placement(view, run.graph, shades)
    pictures = [
        Chart(
            name="placement",
            title="Cores",
            spec=placement,
            canvas=True,
            aspect=aspect,
            controls=True,
            size=(720, 720),
            note=how,
        )
    ]
    load, per, unit = (
        (events.load, events.ticks, "packets a tick") if events is not None and events.ticks else (view.load, 1, "arcs")
    )
    blocks: list[Block] = []
    if load is not None:
        of = (
            f"Counted in {events.ticks:,} ticks."
            if unit != "arcs" and events is not None
            else "Every neuron counts once."
        )
        spec = maps.links(load, per, view, unit)
        pictures.append(
            Chart(
                name="links", title="Load of the links", spec=spec, canvas=True, aspect=aspect, size=(720, 720),
                note=f"{of} A bar is the way from one router to the next, without what the host and output pins send.",
            )
        )  # fmt: skip
    else:
        blocks.append(
            Missing(text="The cores are placed, but no packet has a way yet.", command=steps_to(run, "compile"))
        )
    entries = _legend(run)
    return (Charts(charts=tuple(pictures)), *([Legend(entries=entries)] if len(entries) > 1 else []), *blocks)


def _legend(run: Gathered) -> tuple[tuple[str, str, str], ...]:
    """Returns colour, name and cores of each label that a core has."""
    view = run.view
    assert view is not None
    colours = maps.layer_colours(len(view.labels))
    counts = [int((view.core_label == number).sum()) for number in range(len(view.labels))]
    return tuple(
        (colour, label, counted(count, "core"))
        for colour, label, count in zip(colours, view.labels, counts, strict=True)
        if count
    )


def spikes(run: Gathered, layers: Sequence[str]) -> tuple[Block, ...]:
    """Returns the raster; arguments and errors as `sections.run_sections`."""
    if run.recording is None or not run.recording.raster.spikes.size:
        if run.imported is not None:
            return (Missing(text="Spikes of the neurons are kept of runs on images only."),)
        return (Missing(text="No spikes were kept.", command=steps_to(run, "simulate")),)
    raster = run.recording.raster
    rows = chosen_layers(raster, layers, run.name)
    first = ALL if layers and len(rows) > 1 else next((r for r in rows if raster.layers[r] != "input"), rows[0])
    ticks = raster.spikes.shape[1]
    most = max(int((raster.layer == row).sum()) for row in rows)
    note = f"Up to {most:,} neurons of each layer, evenly spread, in {ticks:,} ticks; a frame enters every tick."
    chart = Chart(
        name="spikes",
        title="Who spikes when",
        spec=spike_raster(raster, rows, first),
        canvas=True,
        wide=True,
        controls=True,
        note=note,
    )
    return (Charts(charts=(chart,)),)


def energy(run: Gathered) -> tuple[Block, ...]:
    """Returns what the chip takes, and for what."""
    physics = run.physics
    if not physics:
        return (_no_physics(run),)
    blocks: list[Block] = []
    power, energy = physics.get("power_mW"), physics.get("energy_per_frame_uJ")
    if power and energy:
        volts = f" at {physics['voltage_V']:.2f} V" if "voltage_V" in physics else ""
        blocks.append(
            Text(
                text=f"The chip takes {interval(power, 'mW')}{volts} at full speed, {interval(energy, 'µJ')} a frame"
                + (f"; at the nominal tick {interval(physics['power_at_nominal_mW'], 'mW')}."
                   if "power_at_nominal_mW" in physics else ".")
            )
        )  # fmt: skip
    pictures = []
    if parts := physics.get("breakdown_mW"):
        note = f"Lines: {percent(confidence(run), 0)} intervals."
        spec = charts.bars(list(parts.items()), "mW")
        pictures.append(Chart(name="power", title="What takes power", spec=spec, note=note))
    if layers := physics.get("layers"):
        amounts = [(row["layer"], {"value": row["power_mW"]}) for row in layers]
        pictures.append(Chart(name="power-by-layer", title="By layer", spec=charts.bars(amounts, "mW")))
    return (*blocks, *([Charts(charts=tuple(pictures))] if pictures else []))


def _no_physics(run: Gathered) -> Missing:
    if run.imported is not None:
        return Missing(text="Power and speed are worked out for runs on images only.")
    what = (
        "The simulation counted no events: energy.frames is 0, or an earlier version made it."
        if run.simulated
        else "The chip is not simulated yet."
    )
    return Missing(text=what, command=steps_to(run, "simulate"))


def speed(run: Gathered) -> tuple[Block, ...]:
    """Returns what limits how short a tick can be."""
    physics = run.physics
    limits = physics.get("ticks_by_limit_us")
    if not limits:
        return (_no_physics(run),)
    limit = physics["limit"]
    where = ""
    if limit == "core" and (core := physics.get("busiest_core")):
        # Which core is busiest differs from tick to tick.
        where = (
            f"; over all ticks, core {core['core']} at ({core['x']}, {core['y']}), of {core['layer']}, has most to do"
        )
    told = [f"A tick must take {interval(physics['tick_us'], 'µs')}"] if "tick_us" in physics else []
    told += [f"{interval(physics['frames_per_s'], 'frames/s')}"] if "frames_per_s" in physics else []
    told += [f"a frame is through after {interval(physics['latency_ms'], 'ms')}"] if "latency_ms" in physics else []
    rows = [(_LIMITS[name], found) for name, found in limits.items()]
    spec = charts.bars(rows, "µs", "least time of a tick [µs]", strong=_LIMITS[limit])
    blocks: list[Block] = [
        Text(text=f"The limit is {_LIMITS[limit]}{where}. {'; '.join(told)}."),
    ]
    beside = None
    if busiest := physics.get("busiest"):
        titles = {
            "core_events": "synaptic events of the busiest core",
            "link_packets": "packets over the busiest link",
            "edge_packets": "packets over a chip's edge",
        }
        rows_of = tuple(
            (Cell(text=titles[key]), Cell(text=short(found["mean"])), Cell(text=short(found["most"])))
            for key, found in busiest.items()
        )
        beside = Table(head=("in a tick", "on average", "at most"), rows=rows_of)
    note = f"Lines: {percent(confidence(run), 0)} intervals."
    chart = Chart(name="speed", title="How short a tick can be", spec=spec, note=note)
    return (*blocks, Charts(charts=(chart,), beside=beside))
