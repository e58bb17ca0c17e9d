"""What a report says and draws, against what the run holds, counted another way."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vl_convert
from PIL import Image
from report.views import BOARDS, board

from tncompile.analysis.events import Events
from tncompile.ir import Direction
from tncompile.recording import Raster
from tncompile.report.curves import Point, Run
from tncompile.report.page import charts, maps
from tncompile.report.page.answers import class_names, confusion_counts, data_uri
from tncompile.report.page.figures import accuracy, headline
from tncompile.report.page.gather import Gathered, PaperRow, gather, paper_row
from tncompile.report.page.html import page_of
from tncompile.report.page.origin import commands
from tncompile.report.page.raster import ALL, chosen_layers, spike_raster
from tncompile.report.page.remarks import across, remarks
from tncompile.report.page.vega import VERSION, sized, theme
from tncompile.report.plots.view import BoardView

PAPER = PaperRow(title="Paper's", accuracy=0.9, cores=100, fps=1000.0, mw=200.0, fps_per_w=5000.0)


@pytest.fixture(scope="session")
def gathered(finished_run: Path) -> Gathered:
    """What is in the finished run folder."""
    return gather(finished_run)


def rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the data of a specification."""
    kinds = spec["data"]["format"]["parse"]
    found = csv.DictReader(io.StringIO(spec["data"]["values"]))
    return [{k: v if kinds[k] == "string" else float(v or "nan") for k, v in row.items()} for row in found]


def assert_drawn(spec: dict[str, Any], texts: list[str]) -> None:
    """Vega-Lite takes a specification without a word, on light and dark paper, and the picture has these texts."""
    for dark in (False, True):
        drawn = vl_convert.vegalite_to_svg(
            json.dumps(sized(spec, (500, 400))), vl_version=VERSION, config=theme(dark), show_warnings=True
        )
        assert all(f">{text}</text>" in drawn for text in texts), texts
        assert "NaN" not in drawn and "undefined" not in drawn


def test_all_charts_of_a_run_are_valid_and_say_no_warning(
    gathered: Gathered, boards: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for runs in ([gathered], [gathered, gather(boards)]):
        for name, chart in page_of(runs).figures.items():
            vl_convert.vegalite_to_vega(json.dumps(chart.spec), vl_version=VERSION, show_warnings=True)
            assert capfd.readouterr() == ("", ""), name


def test_curves_hold_every_epoch_and_the_legend_every_kind() -> None:
    points = tuple(
        Point(
            epoch=n,
            loss=2.0 / n,
            train_accuracy=0.5,
            validation_accuracy=0.1 * n,
            test_accuracy=0.25,
            learning_rate=0.1,
        )
        for n in (1, 2, 3)
    )
    one = Run(name="one", points=points)
    spec = charts.accuracy_curves([one])
    assert_drawn(spec, ["right answers [%]", "epoch", "test", "validation", "training"])
    found = {(row["kind"], row["epoch"]): row["value"] for row in rows(spec)}
    assert len(found) == 9 and found["validation", 3] == pytest.approx(30) and found["test", 1] == 25
    none = Run(name="two", points=tuple(point.model_copy(update={"validation_accuracy": None}) for point in points))
    both = charts.accuracy_curves([one, none], ["one", "two"])
    assert_drawn(both, ["one", "two"])
    assert len(rows(both)) == 15
    assert [row["value"] for row in rows(charts.loss_curves([one]))] == pytest.approx([2, 1, 2 / 3])
    assert_drawn(charts.rate_curve(Run(name="short", points=points[:1])), ["learning rate"])


def test_bars_and_their_intervals() -> None:
    amounts = [("leak", {"value": 3.0, "low": 2.0, "high": 5.5}), ("hops", {"value": 1.0})]
    assert_drawn(charts.bars(amounts, "mW", strong="leak"), ["leak", "hops", "mW"])
    both = [(what, run, amount) for what, amount in amounts for run in ("a", "b")]
    spec = charts.breakdown(both, "mW", ["a", "b"])
    assert_drawn(spec, ["leak", "hops", "a", "b"])
    assert [(row["what"], row["run"], row["value"]) for row in rows(spec)] == [
        ("leak", "a", 3), ("leak", "b", 3), ("hops", "a", 1), ("hops", "b", 1),
    ]  # fmt: skip
    assert_drawn(charts.firing_rates([("conv0", "a", 0.3)]), ["conv0"])


def test_confusion_matrix() -> None:
    rng = np.random.default_rng(0)
    labels, found = rng.integers(-1, 4, 300).astype(np.int32), rng.integers(0, 4, 300).astype(np.int32)
    counts = confusion_counts(labels, found, 5)
    assert counts.tolist() == [
        [sum(1 for a, b in zip(labels, found, strict=True) if (a, b) == (i, j)) for j in range(5)] for i in range(5)
    ]
    names = ["cat", "dog", "it's", "</script>", "never"]
    spec = charts.confusion(counts, names)
    assert_drawn(spec, ["cat", "dog", "never", "class", "what the chip says", str(counts[0, 0])])
    for row in rows(spec):
        i, j = names.index(row["class"]), names.index(row["found"])
        assert row["count"] == counts[i, j] and row["share"] == pytest.approx(counts[i, j] / counts[i].sum())
    many = charts.confusion(np.eye(40, dtype=np.int64), [str(n) for n in range(40)])
    assert len(many["layer"]) == 1, "numbers have no room in so many classes"


def test_names_of_classes_are_there_and_differ(gathered: Gathered) -> None:
    recording = gathered.recording
    assert recording is not None
    assert class_names(recording, tuple("abcdefghij")) == tuple("abcdefghij")
    assert class_names(recording, ("a", "b", "a", *"cdefghi")) == ("a (0)", "b", "a (2)", *"cdefghi")
    count = int(max(recording.labels.max(), recording.chip_classes.max())) + 1
    assert class_names(recording, ()) == tuple(str(n) for n in range(count))


def test_images_keep_their_pixels() -> None:
    rng = np.random.default_rng(1)
    for shape, most in (((3, 5, 1), 16), ((4, 4, 3), 255), ((2, 3, 2), 1000)):
        pixels = rng.integers(0, most + 1, shape).astype(np.uint16)
        head, data = data_uri(pixels, most).split(",")
        assert head == "data:image/png;base64"
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        expected = np.rint(pixels * (255 / most))
        if shape[2] != 3:
            expected = np.concatenate([expected[:, :, n] for n in range(shape[2])], axis=1)
        np.testing.assert_array_equal(shown, expected)


# ---------------------------------------------------------------------------------------------------------------------
# Layers, maps and rasters.


def test_layers_are_counted_from_the_spikes(gathered: Gathered) -> None:
    graph, recording = gathered.graph, gathered.recording
    assert graph is not None and recording is not None
    events = recording.events
    assert gathered.rates == f"the simulated chip, {events.ticks} frames"
    for number, layer in enumerate(gathered.layers[1:]):
        values: dict[int, int] = {}
        for core, neuron in np.argwhere(graph.neuron_layer == number):
            values[int(graph.neuron_index[core, neuron])] = int(events.spikes[core, neuron])
        assert layer.rate == pytest.approx(sum(values.values()) / len(values) / events.ticks)
        assert layer.silent == pytest.approx(sum(not spikes for spikes in values.values()) / len(values))
        features = {index % layer.shape[2] for index in values}
        live = {index % layer.shape[2] for index, spikes in values.items() if spikes}
        assert layer.dead == len(features - live)
        assert layer.events == pytest.approx(
            sum(int(events.core_events[core]) for core in range(graph.cores) if graph.core_layer[core] == number)
            / events.ticks
        )


def test_without_a_simulation_rates_are_the_models(finished_run: Path, gathered: Gathered, tmp_path: Path) -> None:
    for path in (*finished_run.glob("*"),):
        if path.name != "simulation.safetensors":
            (tmp_path / path.name).symlink_to(path)
    run = gather(tmp_path)
    assert run.recording is None and run.rates is not None and "images of the training" in run.rates
    counts = run.graph.source.source.spike_counts if run.graph is not None else None
    assert counts is not None
    for layer, spikes in zip(run.layers, counts.spikes, strict=True):
        assert layer.rate == pytest.approx(spikes.mean() / counts.frames)
        assert layer.dead == int((spikes.reshape(-1, layer.shape[2]) == 0).all(axis=0).sum())


def test_the_map_has_every_core_with_its_amounts(gathered: Gathered) -> None:
    view, graph, recording = gathered.view, gathered.graph, gathered.recording
    assert view is not None and graph is not None and recording is not None
    shades = maps.shades(view, graph, recording.events)
    spec = maps.placement(view, graph, shades)
    found = rows(spec)
    assert len(found) == view.cores == len({(row["x"], row["y"]) for row in found})
    titles = [shade.title for shade in shades]
    for row in found:
        core = int(row["core"])
        assert (row["x"], row["y"]) == (view.core_x[core], view.core_y[core])
        assert row["layer"] == view.labels[view.core_label[core]] and row["group"] == str(graph.core_group[core])
        events = recording.events
        expected = {
            "spikes a frame": events.spikes[core].sum() / events.ticks,
            "synaptic events a frame": events.core_events[core] / events.ticks,
            "synaptic events, busiest tick": events.core_most[core],
            "firing rate [% of neurons a tick]": 100 * events.spikes[core].sum() / events.ticks / view.neurons[core],
            "axons used": view.axons[core],
            "neurons used": view.neurons[core],
        }
        assert {t: row[f"v{i}"] for i, t in enumerate(titles)} == pytest.approx(expected, rel=1e-4)
    for title in ("layer", *titles):
        assert_drawn(maps.placement(view, graph, shades, title), ["x [core]", "y [core]"])


@pytest.mark.parametrize("name", BOARDS)
def test_maps_of_all_boards_stay_small_and_whole(name: str) -> None:
    view = board(name)
    side = maps.tile(view)
    assert (side > 1) == (view.arch.size[0] * view.arch.size[1] > maps.MARKS)
    shades = maps.shades(view, None, None)
    spec = maps.placement(view, None, shades)
    found = rows(spec)
    x0, y0, x1, y1 = maps.region(view)
    assert all(x0 <= x < x1 and y0 <= y < y1 for x, y in zip(view.core_x, view.core_y, strict=True))
    cores = sum(row.get("cores", 1) for row in found)
    axons = sum(row["v0"] * row.get("cores", 1) for row in found)
    assert cores == view.cores and axons == pytest.approx(view.axons.sum(), rel=1e-4)
    assert view.load is not None
    load = np.random.default_rng(0).integers(0, 99, view.load.shape)
    ways = maps.links(load, 3, view, "packets a tick")
    for row in rows(ways):
        x, y = int(row["x"]), int(row["y"])
        for direction in Direction:
            part = load[direction, y : y + side, x : x + side]
            assert row[direction.name.lower()] == pytest.approx(part.max() / 3, rel=1e-4)
    assert len(json.dumps([spec, ways])) < 3_000_000


@pytest.mark.parametrize("name", ["two small chips", "corner of a chip", "one core"])
def test_small_maps_are_drawn(name: str) -> None:
    view = board(name)
    assert_drawn(maps.placement(view, None, maps.shades(view, None, None)), ["x [core]"])
    load = np.ones((4, *reversed(view.arch.size)), np.int64)
    assert_drawn(maps.links(load, 1, view, "arcs"), ["arcs", "y [core]"])


def test_the_raster_holds_the_spikes() -> None:
    rng = np.random.default_rng(2)
    layer = np.repeat(np.arange(3, dtype=np.int32), (4, 2, 3))
    raster = Raster(
        layers=("a", "b", "it's"),
        layer=layer,
        core=rng.integers(0, 9, 9).astype(np.int32),
        neuron=np.arange(9, dtype=np.int32),
        spikes=rng.random((9, 20)) < 0.4,
    )
    assert chosen_layers(raster, ("it's", "a"), "run") == [0, 2]
    spec = spike_raster(raster, [0, 2], ALL)
    found = np.zeros_like(raster.spikes)
    for row in rows(spec):
        found[int(row["neuron"]), int(row["tick"])] = True
        assert row["layer"] == layer[int(row["neuron"])]
    kept = layer != 1
    np.testing.assert_array_equal(found[kept], raster.spikes[kept])
    assert not found[~kept].any()
    for first in (ALL, 0, 2):
        assert_drawn(spike_raster(raster, [0, 2], first), ["tick", "neuron"])


def test_layers_without_neurons_are_no_choice() -> None:
    raster = Raster(
        layers=("input", "a"),
        layer=np.ones(2, np.int32),
        core=np.zeros(2, np.int32),
        neuron=np.arange(2, dtype=np.int32),
        spikes=np.ones((2, 3), bool),
    )
    assert chosen_layers(raster, (), "run") == [1]


# ---------------------------------------------------------------------------------------------------------------------
# Figures and remarks.


def told(run: Gathered, **sections: dict[str, Any]) -> Gathered:
    """Returns a run whose results.json says something else besides."""
    results = dict(run.results)
    for name, more in sections.items():
        results[name] = dict(results.get(name, {})) | more
    return dataclasses.replace(run, results=results)


def estimate(value: float) -> dict[str, float]:
    """Returns a figure with its interval."""
    return {"value": value, "low": 0.8 * value, "high": 1.5 * value}


def test_the_first_figures_have_intervals_and_the_papers_beside_them(gathered: Gathered) -> None:
    chip = {"power_mW": estimate(50.0), "frames_per_s": estimate(2000.0), "frames_per_s_per_W": estimate(40000.0)}
    run = told(gathered, simulate={"chip": chip, "accuracy": 0.85, "frames": 1000})
    figures = headline(dataclasses.replace(run, paper=PAPER))
    assert [(amount.text, amount.span, paper) for amount, paper in figures] == [
        ("85.00 %", "83.05 … 86.76", 90.0),
        (f"{gathered.compiled['cores']}", "", 100.0),
        ("50 mW", "40 … 75", 200.0),
        ("2,000 frames/s", "1,600 … 3,000", 1000.0),
        ("40,000 frames/s/W", "32,000 … 60,000", 5000.0),
    ]
    nothing = dataclasses.replace(run, results={}, view=None)
    assert [amount.text for amount, _ in headline(nothing)] == ["–"] * 5
    assert all(amount.command for amount, _ in headline(nothing))
    trained = dataclasses.replace(run, results={"train": run.trained})
    assert accuracy(trained).label == "accuracy of the model"


def test_the_paper_has_its_figures() -> None:
    row = paper_row("cifar10")
    assert row is not None and (row.cores, row.fps, row.mw) == (4042, 1249, 204.4)
    assert row.fps_per_w == 6108.6
    assert paper_row("digits") is None


SAID: dict[str, tuple[dict[str, dict[str, Any]], str | None]] = {
    "random weights": ({"compile": {"untrained": True}}, "The chip has random weights (--untrained)"),
    "stand-in": ({"train": {"data": {"kind": "stand-in", "missing": "Drawn."}}}, "other data of the same kind, not"),
    "own images": ({"train": {"data": {"kind": "own"}}}, None),
    "far from the paper": ({"simulate": {"accuracy": 0.5}}, "40.00 percentage points below the paper's 90.00 %"),
    "near the paper": ({"simulate": {"accuracy": 0.899, "frames": 5000}}, None),
    "few test frames": ({"simulate": {"accuracy": 0.9, "frames": 400}}, "its standard error is 1.5 points"),
    "mismatch": (
        {"simulate": {"mismatched_spikes": 7, "mismatched_frames": 2}}, "7 spikes in 2 of 5,000 frames differ",
    ),
    "few counted frames": ({"simulate": {"chip": {"counted_frames": 12}}}, "stand on 12 frames"),
    "links": (
        {"simulate": {"chip": {"tick_us": estimate(10.0), "ticks_by_limit_us": {"link": estimate(8.0)}}}},
        "the busiest link take 80 % of a tick",
    ),
    "paper's power": ({"simulate": {"chip": {"power_mW": estimate(10.0)}}}, "paper's power, 200 mW, lies outside the"),
    "full axons": ({"compile": {"utilisation": {"axons": 0.99}}}, "99.0 % of the axons are used"),
    "chip edges": ({"compile": {"chip_edges": {"chips": [{"limit_%": 70.0}]}}}, "takes 70 % of its limit"),
    "another version": ({"versions": {"tncompile": "0.0.1"}}, "The results are of tncompile 0.0.1"),
    "random images": ({"simulate": {"images": "random, seed 4"}}, "are random pixels (random, seed 4)"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_remarks(case: str, gathered: Gathered) -> None:
    quiet = told(
        gathered, simulate={"accuracy": 0.9, "frames": 5000, "chip": {}}, compile={"utilisation": {"axons": 0.5}}
    )
    quiet = dataclasses.replace(quiet, paper=PAPER, layers=(), results={**quiet.results, "commit": "0" * 40})
    assert remarks(quiet) == ()
    sections, sentence = SAID[case]
    found = [text for _, text in remarks(told(quiet, **sections))]
    assert found == [] if sentence is None else any(sentence in text for text in found)


def test_remarks_on_layers_and_commits(gathered: Gathered) -> None:
    layer = gathered.layers[1]
    layers = tuple(
        dataclasses.replace(layer, name=name, rate=rate, dead=dead)
        for name, rate, dead in (("low", 0.002, 3), ("fine", 0.2, 0), ("high", 0.7, None))
    )
    run = dataclasses.replace(gathered, layers=layers, results={**gathered.results, "commit": "1" * 40 + "+"})
    found = " ".join(text for _, text in remarks(run))
    assert "below 1 %: low 0.2 %." in found and "above 60 %: high 70.0 %." in found
    assert f"low 3 of {layer.shape[2]}." in found and "that no commit holds" in found
    serious = [serious for serious, _ in remarks(run)]
    assert serious == sorted(serious, reverse=True)


def test_a_full_board_is_remarked_on(gathered: Gathered) -> None:
    assert any("nearly full" in text for _, text in remarks(dataclasses.replace(gathered, view=board("full chip"))))


def test_remarks_on_runs_beside_each_other(gathered: Gathered) -> None:
    other = told(gathered, train={"data": {"kind": "subset"}}, versions={"tncompile": "9"}, simulate={"frames": 3})
    found = " ".join(text for _, text in across([gathered, other, gathered]))
    assert "kind of data: real, subset" in found and "version of tncompile: 0.1.0, 9" in found and "40, 3" in found
    assert across([gathered, gathered]) == ()


def test_command_lines_make_it_again(gathered: Gathered) -> None:
    folder = gathered.path
    lines = commands(gathered)
    assert [line.split()[1] for line in lines] == ["train", "compile", "simulate", "report"]
    assert f"{folder}/experiment.yaml --out run-again" in lines[0] and lines[2].endswith("run-again --frames 40")
    random = told(gathered, compile={"untrained": True}, simulate={"images": "random, seed 4", "frames": 3})
    assert commands(random)[0].endswith("--untrained")
    assert commands(random)[1].endswith("--frames 3 --random-images --seed 4")
    given = dataclasses.replace(gathered, results={k: v for k, v in gathered.results.items() if k != "train"})
    assert commands(given)[0].endswith(f"--model {folder}/model.safetensors")


def test_events_of_no_ticks_give_no_rates(gathered: Gathered) -> None:
    view, recording = gathered.view, gathered.recording
    assert isinstance(view, BoardView) and recording is not None
    fields = {field.name: getattr(recording.events, field.name) for field in dataclasses.fields(Events)}
    empty = Events(**{k: v[:0] if k.startswith(("tick_", "busiest_")) else v for k, v in fields.items()})
    assert [shade.title for shade in maps.shades(view, gathered.graph, empty)] == ["axons used", "neurons used"]
