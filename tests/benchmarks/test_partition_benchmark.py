"""The comparison of partitioners judges all of them alike, and rivals get the best places for their parts."""

from __future__ import annotations

import json
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the benchmarks are no installed package

from benchmarks import partition as bench  # noqa: E402
from benchmarks.results import ROOT as HERE  # noqa: E402


@pytest.mark.parametrize("seed", range(4))
def test_parts_get_the_chips_that_suit_them(seed):
    problem = bench.warm_up((2, 2))
    parts = np.random.default_rng(seed).permutation(np.repeat(np.arange(4), 50)).astype(np.int32)
    parts = np.where(np.random.default_rng(seed).random(200) < 0.5, np.arange(200) // 50, parts).astype(np.int32)
    best = min(problem.cost(np.array(chip, np.int32)[parts]) for chip in permutations(range(4)))
    assert problem.cost(bench.arranged(problem, parts)) == best


def test_what_a_contestant_returns_is_judged_here(tmp_path):
    problem = bench.warm_up((2, 1))
    sparse.save_npz(tmp_path / "ring.npz", problem.matrix)
    line = bench.measure(tmp_path / "ring.npz", (2, 1), "in_order", 2, 60)
    assert len(line.pop("seconds")) == 2
    # Two full-size chips: all cores fit one, and nothing is cut.
    assert line == {"cost": [0, 0], "cut": [0, 0], "largest": [100, 100], "fits": [True, True]}


def test_a_contestant_is_stopped_at_the_limit(tmp_path):
    sparse.save_npz(tmp_path / "ring.npz", bench.warm_up((2, 1)).matrix)
    line = bench.measure(tmp_path / "ring.npz", (2, 1), "in_order", 1, 0)
    assert line["why_not"] == "took more than 0 s" and line["cost"] == []


def test_tables_of_the_readme_are_those_of_the_figures():
    entry = json.loads((HERE / "benchmarks" / "results" / "partition.json").read_text())
    assert bench.report(entry) in (HERE / "benchmarks" / "README.md").read_text()
    assert set(entry["nets"]) == set(bench.NETS) == {"2", "4", "16"}
