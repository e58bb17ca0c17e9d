"""Threads that share work, apart from the engines."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tncompile.sim import native


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_what_a_thread_raises_ends_all_and_is_raised(bad: int) -> None:
    progress = np.zeros(2, np.int64)

    def part(number: int):
        def work(task: int) -> int:
            if number == bad:
                raise MemoryError("no more")
            return native.DONE if progress[0] else 7

        return work

    threads = threading.active_count()
    with pytest.raises(MemoryError, match="no more"):
        native.share([part(number) for number in range(3)], [progress])
    assert threading.active_count() == threads


def test_an_interrupt_while_the_others_finish_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, running = np.zeros(2, np.int64), threading.Event()
    join, joins = threading.Thread.join, []

    def interrupted(thread: threading.Thread) -> None:
        joins.append(thread)
        if len(joins) <= 2:
            raise KeyboardInterrupt
        join(thread)

    def slow(task: int) -> int:
        running.set()
        return native.DONE if progress[0] else 7

    def quick(task: int) -> int:
        running.wait()
        return native.DONE

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        native.share([quick, slow], [progress])
    assert threading.active_count() == threads and len(joins) == 3


def test_a_part_is_called_with_its_last_answer_until_it_is_done() -> None:
    given: list[int] = []
    answers = iter([4, 9, native.DONE])

    def part(task: int) -> int:
        given.append(task)
        return next(answers)

    native.share([part], [])
    assert given == [native.IDLE, 4, 9]
