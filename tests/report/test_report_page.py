"""Reports from the command line: of whole runs, of runs that miss a step, of several runs, and of what is none."""

from __future__ import annotations

import json
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from support.command_line import EXPERIMENT, Outcome, invoke, process

from tncompile.report.page.gather import gather
from tncompile.report.page.html import page_of

ROOT = Path(__file__).parents[2]
LIMIT = 5_000_000
"""Size that no report may reach [byte]."""
PARTS = ("summary", "remarks", "training", "layers", "chip", "spikes", "energy", "speed", "answers", "origin")


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run folder, to be changed."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def report(*arguments: object, out: Path) -> str:
    """Returns the page that a command writes."""
    outcome = invoke("report", *arguments, "--out", out, "--json", "--quiet")
    assert outcome.code == 0, outcome.err
    assert outcome.json["bytes"] == out.stat().st_size < LIMIT
    return out.read_text(encoding="utf-8")


def specs(page: str) -> dict[str, dict]:
    """Returns the specifications on a page by the ids of their boxes."""
    found = re.findall(r'<script type="application/json" data-for="([^"]+)">(.*?)</script>', page, re.DOTALL)
    return {name: json.loads(text) for name, text in found}


def text(page: str) -> str:
    """Returns the page without its scripts, styles and tags."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare))


def test_a_whole_run_has_every_part(finished_run: Path, tmp_path: Path) -> None:
    page = report(finished_run, out=tmp_path / "page.html")
    assert re.findall(r'<section id="run-(\w+)"', page) == list(PARTS)
    assert set(specs(page)) == {
        f"run-{name}"
        for name in (
            "accuracy", "loss", "learning-rate", "firing-rates", "placement", "links", "spikes", "power",
            "power-by-layer", "speed", "confusion",
        )
    }  # fmt: skip
    results = json.loads((finished_run / "results.json").read_text())
    shown = text(page)
    assert f"accuracy {100 * results['simulate']['accuracy']:.2f} %" in shown
    assert results["compile"]["digest"] in shown and "cannot" not in shown
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)), (
        "everything is in the file"
    )
    assert 'class="missing"' not in page.replace('<noscript><p class="missing">', "")


def test_equal_folders_give_equal_bytes_at_the_place_that_is_documented(run: Path) -> None:
    assert invoke("report", run, "--quiet").code == 0
    first = (run / "report.html").read_bytes()
    assert invoke("report", run, "--quiet").code == 0
    assert (run / "report.html").read_bytes() == first
    assert not list(run.glob(".*tmp"))


def test_names_of_users_are_text(run: Path, tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script><b onclick='x'>&amp;"
    for file in ("experiment.yaml", "results.json"):
        path = run / file
        path.write_text(path.read_text().replace("tiny", json.dumps(name)[1:-1] if file.endswith("n") else name))
    evil = run.rename(tmp_path / "<img src=x onerror=alert(2)>")
    page = report(evil, out=tmp_path / "page.html")
    assert "<script>alert" not in page and "<b onclick" not in page and "<img src=x" not in page
    assert "alert(1)" in page and "alert(2)" in page
    beside = Path(shutil.copytree(evil, tmp_path / "</script>"))
    page = report(evil, beside, out=tmp_path / "both.html")
    assert "<img src=x" not in page
    runs = set(specs(page)["all-loss"]["layer"][0]["encoding"]["color"]["scale"]["domain"])
    assert runs == {evil.name, beside.name}


def compiled(*options: str) -> Callable[[Path, Path], None]:
    """Returns what makes a folder by `tncompile compile` of random weights."""

    def make(finished: Path, folder: Path) -> None:
        experiment = folder.parent / "tiny.yaml"
        experiment.write_text(EXPERIMENT)
        outcome = invoke("compile", experiment, "--untrained", "--out", folder, "--quiet", *options)
        assert outcome.code == 0, outcome.err

    return make


def random_images(finished: Path, folder: Path) -> None:
    """Makes a folder that was simulated on random images."""
    compiled()(finished, folder)
    assert invoke("simulate", folder, "--random-images", "--frames", "3", "--quiet").code == 0


def only_trained(finished: Path, folder: Path) -> None:
    """Makes a folder that was not compiled."""
    without("chip.safetensors", "stages", "simulation.safetensors", keep=("train",))(finished, folder)


def without(*names: str, keep: tuple[str, ...] = ("train", "compile", "simulate")) -> Callable[[Path, Path], None]:
    """Returns what copies the finished run without some files and without some sections of results.json."""

    def make(finished: Path, folder: Path) -> None:
        shutil.copytree(finished, folder)
        for name in names:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if (folder / "results.json").exists():
            results = json.loads((folder / "results.json").read_text())
            gone = {"train", "compile", "simulate"} - {*keep}
            (folder / "results.json").write_text(json.dumps({k: v for k, v in results.items() if k not in gone}))

    return make


def imported(finished: Path, folder: Path) -> None:
    """Makes a folder with a chip of another tool."""
    outcome = invoke("import", ROOT / "tests/foreign/ibm/small.json", "--out", folder, "--quiet")
    assert outcome.code == 0, outcome.err


TRAIN, COMPILE, SIMULATE = "tncompile train", "tncompile compile", "tncompile simulate"
UNFINISHED: dict[str, tuple[Callable[[Path, Path], None], list[str], list[str]]] = {
    "only trained": (only_trained, ["training"], [COMPILE, SIMULATE]),
    "exported": (compiled("--stop-after", "export"), ["layers"], ["--untrained", SIMULATE, TRAIN]),
    "packed": (compiled("--stop-after", "pack"), ["layers"], ["--untrained", SIMULATE, TRAIN]),
    "placed": (compiled("--stop-after", "place"), ["layers", "chip"], ["--untrained", SIMULATE, TRAIN]),
    "random weights": (compiled(), ["layers", "chip"], [SIMULATE, TRAIN, "The chip has random weights"]),
    "random images": (random_images, ["layers", "chip", "spikes", "energy", "speed"], ["are random pixels"]),
    "not simulated": (
        without("simulation.safetensors", keep=("train", "compile")), ["training", "layers", "chip"], [SIMULATE],
    ),
    "without the run's file": (
        without("simulation.safetensors"), ["training", "layers", "chip", "energy", "speed"], [SIMULATE],
    ),
    "without curves": (without("train"), ["layers", "chip", "spikes", "energy", "speed", "answers"], [TRAIN]),
    "without stages": (
        without("stages"), ["training", "chip", "spikes", "energy", "speed", "answers"], [COMPILE],
    ),
    "a training that goes on": (
        without("experiment.yaml", "results.json", "model.safetensors", "chip.safetensors", "stages",
                "simulation.safetensors"), ["training"], ["tncompile run EXPERIMENT.yaml"],
    ),
    "a chip of another tool": (imported, ["chip"], ["tncompile import"]),
}  # fmt: skip
"""What makes each folder, the parts of its page that have something to draw, and what the page says."""


@pytest.mark.parametrize("case", UNFINISHED)
def test_a_run_that_misses_a_step_is_shown_as_far_as_it_goes(case: str, finished_run: Path, tmp_path: Path) -> None:
    make, drawn, said = UNFINISHED[case]
    make(finished_run, tmp_path / "folder")
    page = report(tmp_path / "folder", out=tmp_path / "page.html")
    sections = re.split(r'<section id="run-', page.split("</main>")[0])[1:]
    assert [part.split('"')[0] for part in sections] == list(PARTS)
    shown = {part.split('"')[0]: part for part in sections}
    # Layers are numbers first of all: their rates may not be known.
    assert [
        name for name, part in shown.items() if "data-for=" in part or (name == "layers" and "<td" in part)
    ] == drawn
    for name, part in shown.items():
        hint = name in ("summary", "remarks", "origin", *drawn)
        assert hint or 'class="missing"' in part, f"{name} says neither what there is nor why there is nothing"
    assert all(words in text(page) for words in said)


def test_runs_beside_each_other(run: Path, finished_run: Path, tmp_path: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    results["compile"]["cores"] += 7
    results["versions"]["tncompile"] = "0.0.1"
    (run / "results.json").write_text(json.dumps(results))
    other = run.rename(tmp_path / "other")
    page = report(finished_run, other, out=tmp_path / "page.html")
    shown = text(page)
    cores = results["compile"]["cores"]
    assert re.search(rf"cores {cores - 7} {cores} ?\+7 ", shown)
    assert "differ in their version of tncompile: 0.1.0, 0.0.1" in shown
    assert "data set" not in shown.split("Training")[0]
    assert {name for name in specs(page) if name.startswith("all-")} == {
        f"all-{name}" for name in ("accuracy", "loss", "power", "firing-rates")
    }
    assert re.findall(r'<details id="(\w+)"', page) == ["run1", "run2"]
    assert {f"{part}-placement" for part in ("run1", "run2")} <= set(specs(page))


def test_figures_as_files(finished_run: Path, boards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    outcome = invoke("report", finished_run, boards, "--out", tmp_path / "x.html", "--figures", folder, "--json", "-q")
    assert outcome.code == 0, outcome.err
    charts = page_of([gather(finished_run), gather(boards)]).figures
    files = {path.name for path in folder.iterdir()}
    assert files == {f"{name}{ending}" for name in charts for ending in (".png", ".svg")}
    assert sorted(outcome.json["figures"]) == sorted(str(folder / name) for name in files)
    for name, chart in charts.items():
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.width > 2 * chart.size[0] and picture.height > 200
            assert len(set(picture.convert("L").resize((64, 64)).tobytes())) > 2, "something is drawn"
        assert ElementTree.parse(folder / f"{name}.svg").getroot().tag.endswith("svg")


def test_layers_of_the_raster(finished_run: Path, tmp_path: Path) -> None:
    page = report(finished_run, "--layers", "conv1,conv0", out=tmp_path / "page.html")
    (chosen,) = [each for each in specs(page)["run-spikes"]["params"] if "bind" in each]
    assert chosen["bind"]["labels"] == ["all of them", "conv0", "conv1"]
    assert chosen["value"] == chosen["bind"]["options"][0]


def refused(outcome: Outcome, code: int, message: str) -> None:
    """Checks that a command ended with one message."""
    assert (outcome.code, outcome.err.count("error:")) == (code, 1)
    assert message in outcome.err


def test_what_is_no_run_folder_is_refused(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    out = ("--out", tmp_path / "page.html")
    refused(
        invoke("report", tmp_path / "none", *out), 4, "none: there is no such folder; name the folder of an earlier"
    )
    refused(invoke("report", tmp_path / "none"), 4, "none: there is no such folder")
    refused(invoke("report", tmp_path / "file", *out), 4, "file: is a file")
    refused(invoke("report", tmp_path / "empty", *out), 4, "empty: is no run folder: it has no experiment.yaml")
    refused(invoke("report", finished_run, tmp_path / "empty", *out), 4, "empty: is no run folder")
    refused(invoke("report", finished_run, finished_run, *out), 2, "is named twice")
    refused(invoke("report", *(tmp_path / str(n) for n in range(8)), *out), 2, "8 folders in one report, at most 7")
    refused(invoke("report", finished_run, "--out", tmp_path / "empty"), 4, "is a folder; name a file, such as")
    refused(invoke("report", finished_run, "--out", tmp_path / "file" / "x.html"), 4, "cannot be written")
    refused(invoke("report", finished_run, *out, "--figures", tmp_path / "file"), 4, "file: is a file; name a folder")
    refused(invoke("report", finished_run, "--out", "/dev/full"), 4, "--out /dev/full: is a device or the like")
    assert not Path("/dev/full").is_file()
    refused(invoke("report", finished_run, *out, "--layers", "conv9"), 2, "has spikes of conv0, conv1; choose from")
    refused(invoke("report", finished_run, *out, "--layers", "conv0,,conv1"), 2, "has an empty name")
    refused(invoke("report", finished_run, *out, "--layers", "conv0,conv0"), 2, "names a layer twice")
    assert not (tmp_path / "page.html").exists() and not (tmp_path / "none").exists()


@pytest.mark.parametrize("change", [{"chip": "x"}, {"accuracy": "high"}])
def test_figures_of_another_form_are_refused(change: dict, run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    results["simulate"] |= change
    (run / "results.json").write_text(json.dumps(results))
    refused(invoke("report", run), 4, "results.json: has figures of another form than tncompile writes")
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("name", ["simulation.safetensors", "chip.safetensors", "stages/5-route.safetensors"])
def test_damaged_files_are_refused(name: str, run: Path) -> None:
    path = run / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    outcome = invoke("report", run)
    refused(outcome, 4, str(path))
    assert not (run / "report.html").exists()


def test_what_draws_it_is_an_extra(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    refused(invoke("report", finished_run), 2, "pip install 'tncompile[report]'")


def test_a_report_needs_no_jax(finished_run: Path, tmp_path: Path) -> None:
    outcome = process("report", finished_run, "--out", tmp_path / "page.html", "--quiet", JAX_PLATFORMS="none")
    assert outcome.code == 0, outcome.err
