"""Batches: each image once an epoch, made ahead of their use, and what becomes of an error in the thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from tncompile.train.batches import DEPTH, ahead, batches


def always() -> bool:
    return True


def order(seed: int, epoch: int) -> list[int]:
    """Returns the images of an epoch in the order in which they come; images and classes go together."""
    x, y = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1), np.arange(50)
    return [
        int(i) for pixels, classes in batches(x, y, 8, seed=seed, epoch=epoch) for i in (pixels.ravel() + classes) // 2
    ]


def test_an_epoch_takes_each_image_once_and_depends_on_seed_and_epoch() -> None:
    assert len(order(0, 0)) == len(set(order(0, 0))) == 48
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) != order(1, 1)


def test_items_come_in_order_and_no_more_than_a_few_are_made_ahead() -> None:
    taken, most, full = 0, 0, threading.Event()

    def source() -> Iterator[int]:
        nonlocal most
        for i in range(20):
            most = max(most, i - taken)
            if i == DEPTH:
                full.set()
            yield i

    with ahead(source(), always) as items:
        assert full.wait(60), "nothing is taken yet"
        for item in items:
            assert item == taken
            taken += 1
    assert taken == 20
    assert most <= DEPTH + 1  # one may have been handed over and not be counted yet


def test_an_error_of_the_source_is_raised_where_the_items_are_taken() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken image")

    with ahead(source(), always) as items, pytest.raises(ValueError, match="broken image"):
        assert list(items) == [1]


def test_a_block_that_is_left_early_ends_its_thread() -> None:
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), ahead(iter(range(1000)), always) as items:
        next(iter(items))
        raise KeyboardInterrupt
    assert threading.active_count() == before


def test_the_time_that_was_waited_is_known() -> None:
    for idle in (True, False):
        asked = threading.Event()

        def late(asked: threading.Event = asked) -> Iterator[int]:
            asked.wait(60)
            yield 1

        def says(idle: bool = idle, asked: threading.Event = asked) -> bool:
            asked.set()
            return idle

        with ahead(late(), says) as items:
            assert list(items) == [1]
        assert (items.waited > 0) == idle, "not while there is other work to do"
