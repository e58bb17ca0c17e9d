"""How many ticks run at a time."""

from __future__ import annotations

import dataclasses

from support.random_chips import random_chip

from tncompile.sim.chunks import chunk_ticks

LONG = 10**9


def test_chunks_are_bounded_by_memory_and_time() -> None:
    image = random_chip(0)
    assert chunk_ticks(image, "event", 1, LONG) == 4096
    assert chunk_ticks(image, "event", 1, 50) == 50
    assert chunk_ticks(image, "event", 10**4, LONG) == 16
    assert 16 < chunk_ticks(image, "oracle", 1, LONG) < 4096
    assert 16 < chunk_ticks(image, "event", 4096, LONG) < chunk_ticks(image, "layered", 4096, LONG)
    wide = dataclasses.replace(image, output_pins=1 << 25)
    assert chunk_ticks(wide, "event", 1, LONG) in (1, 2)
    assert chunk_ticks(wide, "event", 64, LONG) == 1


def test_sliced_fills_its_rows() -> None:
    image = random_chip(0)
    for streams in (1, 2, 7):
        assert chunk_ticks(image, "sliced", streams, LONG) % 512 == 0
    assert chunk_ticks(image, "sliced", 20_000, LONG) == 64
    assert chunk_ticks(image, "sliced", 1, 700) == 700
