"""The training benchmark compares like with like: all who compute the network find the same loss and gradients."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks are no installed package

from benchmarks.training import CONTESTANTS, compared, report

HERE = [name for name in CONTESTANTS if importlib.util.find_spec("torch") or not name.startswith("torch")]


@pytest.fixture(scope="module")
def contestants():
    made = {name: CONTESTANTS[name][1]("digits", 8, *CONTESTANTS[name][2]) for name in HERE}
    return made


def test_all_find_the_same_loss_and_gradient(contestants):
    found = {name: contestant.found() for name, contestant in contestants.items()}
    lines = compared(found)
    assert {name for name, pair in found.items() if pair is not None} == {n for n, line in lines.items() if line}
    assert [name for name, line in lines.items() if not line] == [n for n in HERE if n == "torch-bare"]


@pytest.mark.parametrize(("loss", "sign"), [(2.5, 1), (2.3, -1)])
def test_whoever_computes_something_else_is_found(loss, sign):
    gradient = np.ones((2, 1, 1, 3), np.float32)
    with pytest.raises(AssertionError, match=r"^b: "):
        compared({"a": (2.3, gradient), "b": (loss, sign * gradient)})


def test_report_gives_ratios_to_the_fastest_of_pytorch():
    line = {"images_per_s_median": 1.0, "memory_gb": 1.0, "gradient_cosine": 1.0}
    entry = {
        "machine": {"processor": "p", "cores": 2, "memory_gb": 8, "system": "s"},
        "versions": {"jax": "1"},
        "commit": "c",
        "batch": 64,
        "rounds": 1,
        "lines": {
            "torch": line | {"images_per_s": 100.0},
            "torch-last": line | {"images_per_s": 200.0},
            "bfloat16": line | {"images_per_s": 300.0},
        },
    }
    assert "1.50" in report(entry).splitlines()[-1]
