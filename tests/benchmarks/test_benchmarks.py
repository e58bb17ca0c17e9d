"""The benchmarks compare like with like: every rival computes the oracle's spikes, and one that does not is found."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.random_nets import random_images, random_net

from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.arch import TRUENORTH
from tncompile.reference import net as reference
from tncompile.sim.wiring import resolve

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the benchmarks are no installed package

from benchmarks import cases, chips, nets, placement, results  # noqa: E402
from benchmarks import compile as compiling  # noqa: E402
from benchmarks.ceilings import Ceilings, Work, tick_work  # noqa: E402
from benchmarks.ticks import CONTESTANTS, TickHost  # noqa: E402

RIVALS = [name for name, contestant in CONTESTANTS.items() if contestant.rival is not None]
TICKS = 8


def checksums(name: str, rate: float, streams: list[int]) -> list[tuple[int, int]]:
    """Returns those of some streams after a few ticks of a chip of four cores."""
    host = TickHost(name, rate, cores=4, seed=3)
    host.start(streams)
    host.time(TICKS - 3)
    host.time(3)
    return host.checksums(range(len(streams)))


@pytest.mark.parametrize("rate", cases.RATES)
@pytest.mark.parametrize("name", RIVALS)
def test_rivals_run_as_the_oracle(name, rate):
    if not CONTESTANTS[name].here:
        pytest.skip(f"{CONTESTANTS[name].needs} is not installed")
    streams = [0, 2][: CONTESTANTS[name].batch]
    assert checksums(name, rate, streams) == checksums("oracle", rate, streams)


def test_streams_differ():
    first, second = checksums("oracle", 0.1, [0, 2])
    assert first != second


@pytest.mark.parametrize("rate", cases.RATES)
def test_chips_fire_at_their_rate_for_ever(rate):
    host = TickHost("numpy-popcount", rate, cores=64, seed=0)
    host.start([0])
    fired = []
    for _ in range(60):
        host.time(1)
        fired.append(host.rate())
    assert np.mean(fired[:10]) == pytest.approx(rate, rel=0.08)
    assert np.mean(fired[-20:]) == pytest.approx(rate, rel=0.08)


def test_chips_are_what_they_are_said_to_be():
    image = chips.full_chip(0.02, 64)
    wiring = resolve(image)
    for end in (wiring.source, wiring.target):
        np.testing.assert_array_equal(np.sort(end), np.arange(64 * 256))
    assert (wiring.delay == 1).all()
    assert np.bitwise_count(image.crossbars).sum() / (64 * 256 * 256) == pytest.approx(0.25, abs=0.01)
    assert not image.neurons.weights.sum(axis=1).any()
    assert (np.sort(image.axon_type, axis=1) == np.repeat(np.arange(4), 64)).all()


@pytest.mark.parametrize("cores", [1, 64, 4096, 16384, 65536])
def test_boards_are_within_a_packet_s_reach(cores):
    grid, board = chips.board(cores)
    width, height = grid[0] * board[0], grid[1] * board[1]
    assert width * height == cores
    assert max(width, height) - 1 <= TRUENORTH.offset_max
    assert max(grid) <= max(TRUENORTH.grid)


@pytest.mark.parametrize("cores", [2, 65 * 65, 512 * 512])
def test_boards_that_cannot_be(cores):
    with pytest.raises(ValueError, match="must be the square"):
        chips.board(cores)


@pytest.mark.parametrize("kind", ["NumPyProducts", "TorchConv2d", "TorchConv2dLast", "TorchProducts"])
def test_layers_of_rivals_are_the_reference_s(kind):
    if kind.startswith("Torch"):
        pytest.importorskip("torch")
    for seed in range(12):
        logical = random_net(seed)
        net = trinarize(logical, TRUENORTH, TrinarizeConfig(), seed=0)
        images = random_images(logical, 5, seed)
        bits = reference.input_bits(net, images)
        found = getattr(nets, kind)(net).spikes(bits)
        np.testing.assert_array_equal(found, reference.trinary_spikes(net, images))


def test_the_command_measures_and_checks(tmp_path):
    out = tmp_path / "figures.json"
    size = ["--cases", "a", "--cores", "4", "--batch", "1", "2", "--rate", "0.1", "--quick", "--no-ceilings"]
    command = [sys.executable, "-m", "benchmarks.simulator", *size, "--engines", "--rivals", "numpy-popcount", "c"]
    done = subprocess.run([*command, "--out", out], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = json.loads(out.read_text())["lines"]
    assert set(lines) == {f"a/4/0.1/{batch}/{name}" for batch in (1, 2) for name in ("numpy-popcount", "c")}
    for key, line in lines.items():
        if key.endswith("/c") and not shutil.which("cc"):
            assert line == {"why_not": "cc is not installed"}
        else:
            assert line["same"] is True
            assert line["stream_ticks_per_s"] == pytest.approx(int(key.split("/")[3]) / line["seconds"])
            assert 0.05 < line["rate"] < 0.2
    assert "| NumPy `bitwise_count`" in done.stdout


def test_lines_are_kept_for_the_same_sources_and_seed(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    monkeypatch.setattr(results, "_sources", lambda: "abc")
    results.Results.open(path, seed=0, fresh=False).put("a/4/0.1/1/c", {"per_s": 1.0})
    assert results.Results.open(path, seed=0, fresh=False).line("a/4/0.1/1/c") == {"per_s": 1.0}
    assert results.Results.open(path, seed=0, fresh=True).line("a/4/0.1/1/c") is None
    assert results.Results.open(path, seed=1, fresh=False).line("a/4/0.1/1/c") is None
    monkeypatch.setattr(results, "_sources", lambda: "abd")
    assert results.Results.open(path, seed=0, fresh=False).line("a/4/0.1/1/c") is None


class Doctored:
    """A worker of this process, with one bit of its checksum changed."""

    def __init__(self) -> None:
        self._host = TickHost("numpy-popcount", 0.1, 4, 0)

    def __call__(self, method: str, *arguments):
        result = getattr(self._host, method)(*arguments)
        return [(spikes, potential ^ 1) for spikes, potential in result] if method == "checksums" else result


def test_other_spikes_than_the_oracle_s_are_found(tmp_path):
    options = cases.command_line(None).parse_args(["--cores", "4", "--quick"])
    figures = results.Results.open(tmp_path / "figures.json", 0, fresh=True)
    oracle = cases._oracle(0.1, 4, 0, [1])
    cases._column(figures, options, 0.1, 1, {"numpy-popcount": Doctored()}, oracle, {}, {})  # type: ignore[dict-item]
    assert figures.entry["lines"]["a/4/0.1/1/numpy-popcount"]["same"] is False


def test_floors():
    ceilings = Ceilings(**dict.fromkeys(Ceilings.__dataclass_fields__, 1e9) | {"threads": 1})
    assert Work(bytes=2e9, operations={"popcount": 1e9, "adders": 5e8}).seconds(ceilings) == 2
    assert Work(bytes=0.0, operations={"popcount": 3e9}).seconds(ceilings) == 3
    # Every crossbar once, and the potentials: 33.5 MB and 12.6 MB.
    assert tick_work("popcount", cores=4096, rate=0.02, batch=1).bytes == 4096 * 256 * (32 + 8 + 4)
    assert tick_work("dense", cores=4096, rate=0.02, batch=1).operations["float32"] == 2 * 4096 * 256 * 256


def test_tables_of_the_readme_are_those_of_the_figures():
    figures = results.Results(results.JSON, json.loads(results.JSON.read_text()))
    assert cases.report(figures) in results.README.read_text()


@pytest.mark.parametrize("module", [compiling, placement], ids=lambda module: module.__name__)
def test_tables_of_the_compiler_are_those_of_the_figures(module):
    assert module.report(json.loads(module.JSON.read_text())) in results.README.read_text()


def test_compiling_is_measured_from_its_start_to_the_image():
    line = compiling.measure("digits")
    assert line["cores"] >= line["cores_at_least"] > 0
    assert line["wall_s"] > line["seconds"] > sum(line["seconds_by_pass"].values()) / 2
    assert 0.1 < line["memory_gb"] < 4
    assert line["image_mb"] > 0.1


def test_tables_go_between_the_markers_of_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("\n".join(["above", results.MARKERS[0], "old", results.MARKERS[1], "below"]))
    for _ in range(2):
        results.fill("new", page)
    assert page.read_text() == "\n".join(["above", results.MARKERS[0], "", "new", "", results.MARKERS[1], "below"])
    page.write_text("no markers")
    with pytest.raises(ValueError, match="has no lines"):
        results.fill("new", page)


def test_pictures(tmp_path):
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    assert results.plot(tmp_path / "a" / "plot.png", "x", "y", {"one": [(64, 2.0), (4096, 1.0)]}, ("all", 3.0))
    assert (tmp_path / "a" / "plot.png").stat().st_size > 1000
