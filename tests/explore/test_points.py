"""Which points options and files name, and what is said of those that are none."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.command_line import EXPERIMENT

from tncompile.errors import ConfigError
from tncompile.explore.points import Point, grid_points, load_points, name_of, parse_grid, read_points, text

TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_categories=("C", "Z")))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8)
KEYS = st.from_regex(r"[a-z]{1,6}(\.[a-z]{1,6}){0,2}", fullmatch=True)


@given(KEYS, st.lists(VALUES, min_size=1, max_size=5))
def test_any_values_of_yaml_are_parted_at_the_outermost_commas(key: str, values: list[Any]) -> None:
    assert parse_grid(f"{key}={','.join(map(json.dumps, values))}") == (key, tuple(values))


def test_values_as_people_write_them() -> None:
    assert parse_grid("arch.grid=[64,64],[32, 32]") == ("arch.grid", ([64, 64], [32, 32]))
    assert parse_grid("net.layers=S-4 P4-8(2) N-10, [S-4, 'N-8']")[1] == ("S-4 P4-8(2) N-10", ["S-4", "N-8"])
    assert parse_grid(" a . b =1e-3,no,null,true")[1] == (0.001, "no", None, True)


@pytest.mark.parametrize("values", ["0] # x", "0]\n# x", "0 # x", "[0]] #", "0], [1", "0]\n---\n[1", "0]", "'#"])
def test_nothing_of_the_values_is_dropped(values: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_grid(f"seed={values}")
    assert str(caught.value).startswith(f"--grid seed={values}: is not valid YAML: ")


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_grid_is_every_combination_once_the_last_key_fastest(sizes: list[int]) -> None:
    points = grid_points([f"k{i}={','.join(map(str, range(size)))}" for i, size in enumerate(sizes)])
    chosen = [tuple(point.values[f"k{i}"] for i in range(len(sizes))) for point in points]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == math.prod(sizes)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.dictionaries(KEYS, st.integers() | st.lists(st.integers()), min_size=1, max_size=3), min_size=1))
def test_csv_and_yaml_say_the_same_points(tmp_path_factory: pytest.TempPathFactory, rows: list[dict]) -> None:
    rows = [row for row in rows if not any(a != b and b.startswith(f"{a}.") for a in row for b in row)] or [{"a": 1}]
    folder = tmp_path_factory.mktemp("points")
    (folder / "points.yaml").write_text(json.dumps(rows))
    file, keys = io.StringIO(newline=""), sorted({key for row in rows for key in row})
    writer = csv.writer(file)
    writer.writerow(keys)
    writer.writerows([text(row[key]) if key in row else "" for key in keys] for row in rows)
    (folder / "points.csv").write_text(file.getvalue(), newline="")
    for ending in ("yaml", "csv"):
        assert [point.values for point in read_points(folder / f"points.{ending}")] == rows


def test_a_name_depends_on_the_settings_and_on_nothing_else() -> None:
    point = Point(values={"arch.axons": 128, "net.layers": "S-16 " * 30})
    name = name_of(point, {"a": 1, "b": 2})
    assert name == name_of(point, {"b": 2, "a": 1}) != name_of(point, {"a": 1, "b": 3})
    assert name.startswith("axons-128_layers-S-16-S-16") and len(name) < 80


NO_LIST = "--points {file}: must be a list of mappings in YAML, such as '- {arch.axons: 128, seed: 1}', or .csv"

FILES = {
    # content of a file of points, its ending: what is said of it
    ("", "csv"): "--points {file}: its first line must name each key once, has none",
    ("seed,seed\n1,2\n", "csv"): "--points {file}: its first line must name each key once, has seed, seed",
    ("seed\n", "csv"): "--points {file}: has no point; write one a line",
    ("seed,arch.axons\n1\n", "csv"): "{file}:2: has 1 cells, the first line names 2 keys",
    ("seed\n[1\n", "csv"): "{file}:2: seed: is not valid YAML: while parsing a flow sequence, expected ',' or ']', but "
    "got '<stream end>'",
    ("arch,arch.axons\n{},1\n", "csv"): "{file}:2: arch.axons: is set by arch already; name each key once",
    ("seed\n" + "1\n" * 5000, "csv"): "--points {file}: has 5,000 points, at most 4,096 are taken; leave some out",
    ("seed: 1\n", "yaml"): NO_LIST,
    ("- 1\n", "yaml"): NO_LIST,
}  # fmt: skip


@pytest.mark.parametrize("content, ending", FILES)
def test_a_wrong_file_of_points_is_refused(content: str, ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"points.{ending}"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_points(file)
    assert str(caught.value) == FILES[content, ending].replace("{file}", str(file))


def test_points_change_the_experiment_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT)
    points = grid_points(["arch.axons=128,512", "net.layers=S-4 N-10,[S-8, N-20(2)]"])
    experiments = load_points(path, points, ["train.epochs=7"], 5)
    assert [(e.arch.axons, len(e.net.layers), e.net.layers[0].features) for e in experiments] == [
        (128, 2, 4), (128, 2, 8), (512, 2, 4), (512, 2, 8),
    ]  # fmt: skip
    assert {(e.train.epochs, e.seed, e.name, e.data.train_limit) for e in experiments} == {(7, 5, "tiny", 192)}
