"""The built wheel, away from the checkout: its data sets and experiments come with it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.command_line import EXPERIMENT, environment

ROOT = Path(__file__).parents[2]

USES = """
import json, sys
from tncompile.config.data import DataConfig
from tncompile.config.experiment import load_experiment
from tncompile.data import load_dataset, share
from tncompile.workflow import commit
data = load_dataset(DataConfig(name="digits"))
experiments = {path.name: load_experiment(path).name for path in share("experiments").glob("*.yaml")}
print(json.dumps([share.__code__.co_filename, str(share("datasets")), len(data.x_train), experiments, commit()]))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel would install."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run_away(unpacked: Path, folder: Path, *arguments: str) -> str:
    """Returns what Python prints, run outside the checkout with the unpacked wheel in front of all else."""
    command = [sys.executable, *arguments]
    away = environment(PYTHONPATH=str(unpacked))
    return subprocess.run(command, cwd=folder, env=away, check=True, capture_output=True, text=True).stdout


def test_it_holds_code_and_data_and_nothing_else(unpacked: Path) -> None:
    top = {path.name for path in unpacked.iterdir()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"tncompile", "passes"}
    for kind in ("datasets", "experiments"):
        held = {str(p.relative_to(unpacked / "tncompile/_share")) for p in unpacked.rglob(f"_share/{kind}/**/*")}
        ours = {str(p.relative_to(ROOT)) for p in ROOT.glob(f"{kind}/**/*")}
        assert held == ours
    page = {path.name for path in (unpacked / "tncompile/report/page").iterdir()}
    assert page >= {"page.html.j2", "style.css", "script.js"}
    assert {p.relative_to(unpacked) for p in unpacked.rglob("*.py")} == {
        p.relative_to(ROOT) for package in ("tncompile", "passes") for p in (ROOT / package).rglob("*.py")
    }


def test_its_data_sets_and_experiments_are_found(unpacked: Path, tmp_path: Path) -> None:
    file, datasets, images, experiments, commit = json.loads(run_away(unpacked, tmp_path, "-c", USES))
    assert Path(file) == unpacked / "tncompile/share.py"
    assert Path(datasets) == unpacked / "tncompile/_share/datasets"
    assert images == 1348
    assert experiments == {path.name: path.stem for path in (ROOT / "experiments").glob("*.yaml")}
    assert commit is None


def test_its_command_line_compiles(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(EXPERIMENT)
    arguments = ("compile", "tiny.yaml", "--untrained", "--json")
    results = json.loads(run_away(unpacked, tmp_path, "-m", "tncompile", *arguments))
    assert results["compile"]["cores"] > 0
    assert results["commit"] is None
    assert (tmp_path / "runs/tiny/chip.safetensors").exists()
