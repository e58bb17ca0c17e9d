"""Data sets are looked for only where a test puts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tncompile.data import files


@pytest.fixture(autouse=True)
def no_folders_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No folder of data sets, and a cache of the test's own, which this returns."""
    monkeypatch.delenv(files.ROOT_VARIABLE, raising=False)
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv(files.CACHE_VARIABLE, str(cache))
    return cache
