"""`tncompile inspect` with pictures and spikes, as users call it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.command_line import Outcome, files, invoke, process

from tncompile.analysis.traffic import Activity, busiest_links, chip_traffic, paths, traffic
from tncompile.config.experiment import load_experiment
from tncompile.ir import ChipImage
from tncompile.ir.io import read_stage
from tncompile.report.activity import frame_activity
from tncompile.sim import transduce
from tncompile.sim.tables import table_writer
from tncompile.sim.wiring import image_arch
from tncompile.workflow import images_to_simulate

IBM = Path(__file__).parents[1] / "foreign" / "ibm" / "small.json"


def image_of(folder: Path) -> ChipImage:
    """Returns the chip image of a run folder."""
    return read_stage(folder / "chip.safetensors", expect=ChipImage)


def check_figures(found: dict, image: ChipImage, activity: Activity | None) -> None:
    """Compares the figures of links and edges with the analysis."""
    arch = image_arch(image)
    load = traffic(paths(image), arch.size, activity)
    per = 1 if activity is None else activity.ticks
    for row, link in zip(found["busiest_links"], busiest_links(load, arch, 10), strict=True):
        assert (row["x"], row["y"], row["to"], row["chip_edge"]) == (
            link.x, link.y, link.direction.name.lower(), link.edge,
        )  # fmt: skip
        if activity is None:
            assert row["arcs"] == link.packets
        else:
            assert (row["spikes"], row["spikes_a_tick"]) == (link.packets, link.packets / per)
    for row, chip in zip(found["chip_edges"], chip_traffic(load, arch), strict=True):
        assert row["chip"] == chip.chip
        assert [row[side] for side in ("east", "west", "north", "south")] == [side / per for side in chip.leaving]
        assert (row["entering"], row["all"]) == (chip.entering / per, chip.all / per)
        assert row["limit_%"] == pytest.approx(100 * chip.all / per / 160_000)


def test_links_and_edges_are_told(boards: Path) -> None:
    found = invoke("inspect", boards, "--json").json
    check_figures(found, image_of(boards), None)
    assert len(found["busiest_links"]) == 10
    assert found["busiest_links"][0]["arcs"] == found["busiest_link"]
    assert [row["chip"] for row in found["chip_edges"]] == [0, 1, 2, 3]
    assert sum(row["entering"] for row in found["chip_edges"]) == found["crossings"] > 0
    assert "busiest links" in (text := invoke("inspect", boards).out) and "chip edges" in text


def test_links_of_an_imported_chip_are_told(tmp_path: Path) -> None:
    assert invoke("import", IBM, "--out", tmp_path / "chip").code == 0
    found = invoke("inspect", tmp_path / "chip", "--json").json
    check_figures(found, read_stage(tmp_path / "chip" / "image.safetensors", expect=ChipImage), None)
    assert invoke("inspect", tmp_path / "chip", "--plot", tmp_path / "chip.png").code == 0
    assert (tmp_path / "chip.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_only_routed_has_links_too(boards: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(boards, tmp_path / "run"))
    for file in (folder / "chip.safetensors", folder / "stages" / "6-emit.safetensors"):
        file.unlink()
    whole, part = (invoke("inspect", path, "--json").json for path in (boards, folder))
    assert (part["busiest_links"], part["chip_edges"]) == (whole["busiest_links"], whole["chip_edges"])
    for name, path in (("whole", boards), ("part", folder)):
        assert invoke("inspect", path, "--plot", tmp_path / f"{name}.png", "--what", "links").code == 0
    assert (tmp_path / "whole.png").read_bytes() == (tmp_path / "part.png").read_bytes()


def test_spikes_of_test_images_load_the_links(boards: Path, tmp_path: Path) -> None:
    outcome = invoke("inspect", boards, "--frames", 12, "--json", "--plot", tmp_path / "links.svg", "--what", "links")
    found, image = outcome.json, image_of(boards)
    experiment = load_experiment(boards / "experiment.yaml", ["simulate.frames=12"])
    assert image.host is not None
    bits = transduce(image.host, images_to_simulate(experiment, None)[0])
    activity = frame_activity(image, bits, engine="event")
    check_figures(found, image, activity)
    sends = paths(image).sends
    assert found["activity"] == "12 test images of digits"
    assert (found["ticks"], found["spikes"]) == (12, activity.spikes.sum())
    assert found["spikes_to_cores"] == activity.spikes[sends].sum()
    load = traffic(paths(image), image_arch(image).size, activity)
    assert found["hops_per_spike"] == pytest.approx(load.sum() / found["spikes_to_cores"])
    assert "at this activity" in (tmp_path / "links.svg").read_text().replace("\n", " ")
    random = invoke("inspect", boards, "--frames", 12, "--random-images", "--json").json
    assert random["activity"] == "12 random images, seed 3"
    assert random["spikes"] != found["spikes"]


def test_recorded_spikes_load_the_links(boards: Path, tmp_path: Path) -> None:
    image = image_of(boards)
    spikes = np.random.default_rng(1).integers(0, 3, image.neuron_type.shape)
    core, neuron = np.nonzero(spikes)
    rows = np.repeat(np.arange(len(core)), spikes[core, neuron])
    with table_writer(tmp_path / "spikes.npz", ("tick", "core", "neuron")) as write:
        write({"tick": np.arange(len(rows)) % 50 + 7, "core": core[rows], "neuron": neuron[rows]})
    found = invoke("inspect", boards, "--spikes", tmp_path / "spikes.npz", "--json").json
    check_figures(found, image, Activity(spikes=spikes, ticks=50, source=""))
    assert (found["activity"], found["ticks"], found["spikes"]) == ("recorded in spikes.npz", 50, spikes.sum())
    (tmp_path / "alien.csv").write_text("tick,core,neuron\n3,99999,0\n")
    assert invoke("inspect", boards, "--spikes", tmp_path / "alien.csv") == Outcome(
        5,
        "",
        f"error: {tmp_path}/alien.csv:2: core is 99999, must be 0 … {len(image.core_x) - 1}\n",
    )


def test_pictures_are_whole_files_of_the_same_bytes_in_any_process(boards: Path, tmp_path: Path) -> None:
    style = tmp_path / "matplotlibrc"
    style.write_text("font.size: 25\naxes.grid: True\nbackend: svg\n")
    before = files(boards)
    pictures = tmp_path / "pictures"
    other = {"MATPLOTLIBRC": str(style), "PYTHONHASHSEED": "7"}
    for name, more in (("plain.png", {}), ("styled.png", other), ("plain.svg", {})):
        outcome = process("inspect", boards, "--plot", pictures / name, "--quiet", "--json", **more)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.json == {"plot": str(pictures / name), "shows": "placement, links, utilisation, wirelength"}
    assert (pictures / "plain.png").read_bytes() == (pictures / "styled.png").read_bytes()
    assert sorted(path.name for path in pictures.iterdir()) == ["plain.png", "plain.svg", "styled.png"]
    assert (pictures / "plain.png").read_bytes().startswith(b"\x89PNG")
    assert (pictures / "plain.svg").read_text().startswith("<?xml")
    assert files(boards) == before


def test_a_picture_goes_with_other_questions(boards: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    found = invoke("inspect", boards, "--neuron", "0,0", "--plot", file, "--what", "wirelength,links", "--json").json
    assert found["neuron"] == "0,0" and found["shows"] == "wirelength, links"
    assert file.is_file()


ERRORS = {
    ("--plot", "{tmp}/x.pdf"): (
        2, "--plot {tmp}/x.pdf: ends in '.pdf', so its kind is not known; use one of .png, .svg"),
    ("--plot", "{tmp}/x"): (2, "--plot {tmp}/x: has no ending, so its kind is not known; use one of .png, .svg"),
    ("--plot", "{tmp}/folder.png"): (4, "--plot {tmp}/folder.png: is a folder; name a file"),
    ("--plot", "{tmp}/file/x.png"): (
        4, "{tmp}/file/x.png: cannot be written: {tmp}/file is no folder; make room or choose another folder"),
    ("--plot", "{tmp}/x.png", "--what", "cores"): (
        2, "--what cores: there is no picture 'cores'; choose from placement, links, utilisation, wirelength, "
        "curves, or all"),
    ("--what", "links"): (2, "--what: there is no --plot FILE to draw it into; give one, or leave --what out"),
    ("--beside", "{tmp}"): (2, "--beside: there is no --plot FILE to draw it into; give one, or leave --beside out"),
    ("--plot", "{tmp}/x.png", "--beside", "{tmp}"): (
        2, "--beside {tmp}: only curves are drawn of several runs; add --what curves"),
    ("--random-images",): (2, "--random-images: says what --frames N are; give that too, or leave it out"),
    ("--frames", "3", "--spikes", "{tmp}/x.csv"): (
        2, "--frames: the spikes are those of --spikes; leave one of the two out"),
    ("--frames", "9999"): (2, "simulate.frames: 9999 frames asked for, digits has 449 test images"),
    ("--spikes", "{tmp}/none.csv"): (4, "{tmp}/none.csv: cannot be read: No such file or directory; check the path"),
    ("--spikes", "{tmp}/spikes.txt"): (
        2, "{tmp}/spikes.txt: ends in '.txt', so its kind is not known; use one of .csv, .npz, .parquet"),
}  # fmt: skip


@pytest.mark.parametrize("arguments", ERRORS, ids=" ".join)
def test_wrong_options_are_refused_in_one_message(arguments: tuple[str, ...], boards: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    before, code_message = files(tmp_path), ERRORS[arguments]
    outcome = invoke("inspect", boards, *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    code, message = code_message[0], code_message[1].replace("{tmp}", str(tmp_path))
    told = re.sub(r"^Counting spikes .*\n", "", outcome.err)
    assert (outcome.code, outcome.out, told) == (code, "", f"error: {message}\n")
    assert files(tmp_path) == before


def test_folders_without_what_a_picture_needs(boards: Path, tmp_path: Path) -> None:
    picture = tmp_path / "x.png"

    def refused(folder: Path, *arguments: str) -> str:
        outcome = invoke("inspect", folder, "--plot", picture, *arguments)
        assert (outcome.code, outcome.out, picture.exists()) == (4, "", False)
        return outcome.err

    empty = tmp_path / "empty"
    empty.mkdir()
    assert refused(tmp_path / "none") == f"error: {tmp_path}/none: there is no such file or folder; check the path\n"
    assert refused(empty).startswith(f"error: {empty}: has no chip image, neither chip.safetensors nor")
    assert "expected a ChipImage" in refused(boards / "stages" / "4-place.safetensors")
    model = boards / "untrained.safetensors"
    assert refused(model) == (
        f"error: {model}: is a model, whose neurons are on no chip yet; name a run folder or a chip image\n"
    )

    folder = Path(shutil.copytree(boards, tmp_path / "run"))
    for name in ("chip", "stages/6-emit", "stages/5-route"):
        (folder / f"{name}.safetensors").unlink()
    assert refused(folder) == (
        "error: boards: is placed, but not routed, so its links carry nothing yet; go on with 'tncompile compile', or "
        "draw something else with --what\n"
    )
    assert refused(folder, "--frames", "2").startswith(f"error: {folder}: has no chip image")
    assert invoke("inspect", folder, "--plot", picture, "--what", "placement,utilisation,wirelength").code == 0
    picture.unlink()
    (folder / "stages" / "4-place.safetensors").unlink()
    assert refused(folder, "--what", "placement") == (
        f"error: {folder}/stages/4-place.safetensors: is missing, so no core has a place yet; go on with 'tncompile "
        "compile'\n"
    )
    damaged = Path(shutil.copytree(boards, tmp_path / "damaged"))
    (damaged / "stages" / "5-route.safetensors").write_bytes(b"no stage at all")
    assert f"{damaged}/stages/5-route.safetensors: " in refused(damaged)


def test_without_matplotlib_one_message_says_what_to_install(boards: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['matplotlib'] = None\n")
    path = ":".join([str(tmp_path), *filter(None, sys.path)])
    outcome = process("inspect", boards, "--plot", tmp_path / "x.png", PYTHONPATH=path)
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(
        r"error: --plot: pictures need matplotlib \(.*\); pip install 'tncompile\[plot\]'\n", outcome.err
    )
    assert process("inspect", boards, "--json", PYTHONPATH=path).json["busiest_links"]


def test_inspecting_without_a_picture_does_not_load_matplotlib(boards: Path) -> None:
    program = (
        "import sys\nfrom tncompile.cli import app\ntry:\n    app(sys.argv[1:])\n"
        "finally:\n    assert 'matplotlib' not in sys.modules\n"
    )
    command = [sys.executable, "-c", program, "inspect", str(boards), "--quiet", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
