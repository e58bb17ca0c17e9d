"""Batches: each image once an epoch, made ahead of their use, and what becomes of an error in the thread."""

from __future__ import annotations

import threading
import time
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
    made: list[int] = []

    def source() -> Iterator[int]:
        for i in range(20):
            made.append(i)
            yield i

    with ahead(source(), always) as items:
        stream = iter(items)
        assert next(stream) == 0
        time.sleep(0.3)
        assert len(made) <= 1 + DEPTH + 1
        assert list(stream) == list(range(1, 20))


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
    def slow() -> Iterator[int]:
        for i in range(3):
            time.sleep(0.1)
            yield i

    with ahead(slow(), always) as items:
        list(items)
    assert items.waited >= 0.25
    with ahead(slow(), lambda: False) as items:  # there is other work to do in the meantime
        list(items)
    assert items.waited == 0
