"""Compiled code, apart from what is compiled."""

from __future__ import annotations

import pytest
from numba import njit

from tncompile import native


def test_code_is_compiled_even_where_it_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_a_folder(*, cache: bool = False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(native, "njit", without_a_folder)
    assert native.kept(lambda x: x + 1)(2) == 3
