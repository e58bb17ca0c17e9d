"""The placement benchmark: its graphs, its check, and that the page shows the figures of the file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from passes.place import PlaceConfig
from tncompile.arch import ChipArch
from tncompile.errors import VerificationError

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks are no installed package

from benchmarks import placement
from benchmarks.results import README


def test_layered_graphs_are_what_they_say():
    pairs = placement.layered_arcs(64, 1)
    assert pairs.cores == 64
    assert pairs.weight.sum() == 48 * 20
    order = np.lexsort((pairs.target, pairs.source))
    np.testing.assert_array_equal(order, np.arange(len(order)))
    assert len(np.setdiff1d(pairs.source, pairs.target)) >= 16  # a first layer that nobody sends to


def test_placements_are_checked_and_measured():
    pairs, arch = placement.layered_arcs(16, 0), ChipArch(grid=(4, 4))
    y, x = np.divmod(np.arange(16, dtype=np.int32), 4)
    sites = np.stack([x, y], axis=1)
    hops = sum(
        int(w) * int(np.abs(sites[s] - sites[t]).sum())
        for s, t, w in zip(pairs.source, pairs.target, pairs.weight, strict=True)
    )
    assert placement.measure(pairs, arch, lambda: sites)["wirelength"] == hops
    found = placement.measure(pairs, arch, placement.ours(pairs, arch, PlaceConfig(moves=20), 0))
    assert found["wirelength"] < hops
    with pytest.raises(VerificationError):
        placement.measure(pairs, arch, lambda: np.zeros((16, 2), np.int32))


def test_graphs_come_from_files(tmp_path):
    pairs = placement.layered_arcs(16, 0)
    path = tmp_path / "arcs.npz"
    np.savez(path, cores=pairs.cores, source=pairs.source, target=pairs.target, weight=pairs.weight)
    np.testing.assert_array_equal(placement.load_arcs(path).weight, pairs.weight)


def test_tables_of_the_readme_are_those_of_the_figures():
    entry = json.loads(placement.JSON.read_text())
    assert placement.report(entry) in README.read_text()
