"""The README and the pages in docs/ are true: commands parse, links resolve, tables are current, code runs."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from support.command_line import invoke

from tncompile.cli import app
from tncompile.config.experiment import Experiment, parse_config
from tncompile.config.yaml import parse_yaml
from tncompile.data.spec import chosen_options, load_description
from tncompile.nn import build_network

ROOT = Path(__file__).parents[2]
PAGES = sorted(page for folder in (".", "docs", "datasets/*", "experiments") for page in ROOT.glob(f"{folder}/*.md"))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")

USAGE_ERROR = typer.BadParameter.__bases__[0]
"""What click raises for a command line that is not valid; typer exports only this subclass of it."""


def blocks(page: Path, language: str) -> list[str]:
    """Returns the fenced blocks of a language on a page."""
    return [text for name, text in _FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


def commands() -> dict[str, Any]:
    """Returns the commands by name, each one of click, which newer typer brings along under a name of its own.

    Those of a group are called as they are written, `data list`.
    """
    found = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inside = getattr(command, "commands", None)
        found |= {name: command} if inside is None else {f"{name} {each}": inside[each] for each in inside}
    return found


def command_lines(page: Path) -> list[list[str]]:
    """Returns the arguments of every use of tncompile in a page's shell blocks, `tncompile` itself left out."""
    lines = [line.split("#")[0] for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    parts = [shlex.split(part) for line in lines for part in line.split("&&")]
    return [part[1:] for part in parts if part and Path(part[0]).name == "tncompile"]


def anchors(page: Path) -> set[str]:
    """Returns the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def parse(arguments: list[str]) -> dict:
    """Returns the parameters of a command line; raises if it does not parse."""
    known = commands()
    words = 1 if arguments[0] in known else 2
    name, rest = " ".join(arguments[:words]), arguments[words:]
    return known[name].make_context(name, rest).params


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_parse(page):
    for arguments in command_lines(page):
        parse(arguments)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_experiments_in_commands_exist(page):
    for arguments in command_lines(page):
        if "experiment" in (parameters := parse(arguments)):
            assert (ROOT / parameters["experiment"]).is_file(), arguments


def test_a_wrong_option_would_be_found():
    with pytest.raises(USAGE_ERROR, match="no-such-option"):
        parse(["run", "experiments/digits.yaml", "--no-such-option"])
    with pytest.raises(KeyError):
        parse(["no-such-command"])


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_relative_links_resolve(page):
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{link}: there is no {path}"
        assert path.is_relative_to(ROOT), f"{link}: leads out of the project"
        assert not anchor or anchor in anchors(path), f"{link}: no such heading"


def test_every_page_of_docs_is_in_its_index():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index


def test_readme_starts_with_two_complete_commands():
    first, second = blocks(ROOT / "README.md", "sh")[:2]
    assert first.endswith(".venv/bin/tncompile run experiments/digits.yaml\n")
    assert second.endswith(".venv/bin/pytest\n")
    for command in (first, second):
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install --quiet --editable ")


def test_command_line_page_names_every_command_and_option():
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    for name, command in commands().items():
        assert f"`tncompile {name} " in text
        for option in (o for p in command.params if p.param_type_name == "option" for o in p.opts):
            assert f"`{option}" in text, f"{name}: {option} is not documented"


@pytest.fixture(scope="module")
def build():
    """Returns docs/build.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs/build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_current(build):
    made = build.tables()
    for path in build.PAGES:
        page = path.read_text(encoding="utf-8")
        assert build.filled(page, made) == page, f"{path.name}: run python docs/build.py"


def test_every_table_is_on_a_page(build):
    shown = [name for path in build.PAGES for name in build.places(path.read_text(encoding="utf-8"))]
    assert sorted(shown) == sorted(build.tables())


def test_a_place_without_a_table_is_an_error(build):
    with pytest.raises(ValueError, match="a place for results of nothing, there are tables of"):
        build.filled("<!-- results of nothing, by docs/build.py -->\n<!-- end -->\n", build.tables())


def test_tables_of_results_say_what_was_measured_on_what(build):
    row = {"row": "gtsrb", "data": "gtsrb", "title": "GTSRB", "accuracy": 0.965, "cores": 4042}
    trained = {
        "experiment": {"data": {"name": "gtsrb"}},
        "train": {"data": {"kind": "subset"}, "epochs": 3, "seconds": 90.0, "images": 1000},
        "compile": {"cores": 1234},
        "simulate": {"accuracy": 0.5, "frames": 200, "mismatched_spikes": 0},
    }
    lines = build.row_table(row, {"gtsrb_small": trained}).splitlines()
    assert lines[2] == "| the paper | all of `gtsrb` | 96.50 % | – | 4,042 | – | – |"
    assert lines[3].startswith("| [`gtsrb_1chip`](gtsrb_1chip.yaml) | not run |")
    assert lines[4] == (
        "| [`gtsrb_small`](gtsrb_small.yaml) | `gtsrb`: subset | **50.00 %** | 1,000, 200 | 1,234 | 3 epochs, 1.5 min "
        "| 0 in 200 frames |"
    )
    (other,) = build.overview([row | {"data": "svhn"}], {"gtsrb_small": trained}).splitlines()[2:]
    assert "| another data set, `gtsrb`: subset |" in other
    (line,) = build.overview([row], {"gtsrb_small": trained}).splitlines()[2:]
    assert line.startswith("| [GTSRB](gtsrb.md) | 96.50 %, 4,042 | [`gtsrb_small`]")
    untrained = {"compile": {"cores": 3702}}
    (line,) = build.overview([row], {"gtsrb_1chip_untrained": untrained}).splitlines()[2:]
    assert "| not trained: needs a GPU | – | 3,702 |" in line


@pytest.mark.parametrize("block", blocks(ROOT / "docs/yaml.md", "yaml"))
def test_yaml_examples_give_networks_that_fit(block):
    needed = {"data": {"name": "digits"}, "net": {"layers": "S-16 N-20(2)"}}
    experiment = parse_config(Experiment, needed | parse_yaml(block, "docs/yaml.md").values, "")
    build_network(experiment.net, in_shape=(8, 8, 1), input_bits=5, classes=10, arch=experiment.arch, seed=0)


@pytest.mark.parametrize(
    "block",
    [block for page in ("docs/data.md", *ROOT.glob("datasets/*/CARD.md")) for block in blocks(ROOT / page, "yaml")],
)
def test_yaml_of_data_sets_is_valid(block):
    needed = {"net": {"layers": "S-16 N-20(2)"}}
    data = parse_config(Experiment, needed | parse_yaml(block, "docs/data.md").values, "").data
    chosen_options(load_description(data.name), data)


def test_code_of_the_data_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = run_code(ROOT / "docs/data.md", {"__name__": "docs_data"})
    assert printed == blocks(ROOT / "docs/data.md", "text")[-1]


def run_code(page: Path, namespace: dict[str, Any]) -> str:
    """Runs all Python of a page as one program in a namespace, and returns what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        # Without this file's future import: the page must run as it stands.
        exec(compile("\n".join(blocks(page, "python")), str(page), "exec", dont_inherit=True), namespace)
    return printed.getvalue()


def test_code_of_the_pass_page_and_of_the_simulator_page_runs():
    passes: dict[str, Any] = {"__name__": "docs_passes"}
    printed = run_code(ROOT / "docs/passes.md", passes)
    assert printed == "".join(blocks(ROOT / "docs/passes.md", "text")[1:])  # the first is the prototype

    image = passes["image"]
    simulator = {"image": image, "frames": np.ones((2, 3, image.input_bits), bool)}
    run_code(ROOT / "docs/simulator.md", simulator)
    assert simulator["ticks"].pins.shape == (2, 3, image.output_pins)
    assert simulator["ticks"].potential.shape[:3] == (2, 3, 1)
    assert simulator["saved"].tick == 3


def test_the_example_of_other_tools_chips_runs(tmp_path, monkeypatch):
    page = (ROOT / "docs/simulator.md").read_text(encoding="utf-8")
    section = tmp_path / "section.md"
    section.write_text(page[page.index("## Chips of other tools") : page.index("## Frames, streams")], encoding="utf-8")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    printed = ""
    for arguments in command_lines(section):
        outcome = invoke(*arguments)
        assert outcome.code == 0, f"{arguments}: {outcome.err}"
        printed += outcome.out
    (shown,) = blocks(section, "text")
    assert shown in printed
    for name in ("out.csv", "out.sfto", "out.txt", "exported/model.json", "exported/input.sfti"):
        assert (tmp_path / name).is_file(), name
    assert list((tmp_path / "exported-ranc").rglob("*.mem"))
