"""How commands end that are interrupted where Python can only print so."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from tncompile.cli.guard import INTERRUPTED, guarded


def test_an_interrupt_during_a_garbage_collection_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """Libraries run functions then, whose errors Python prints and forgets."""
    assert threading.current_thread() is threading.main_thread()
    armed = [True]

    def interrupt(phase: str, info: dict[str, int]) -> None:
        if armed:
            armed.clear()
            raise KeyboardInterrupt

    @guarded
    def command() -> None:
        gc.callbacks.append(interrupt)
        try:
            gc.collect()
            time.sleep(20)
        finally:
            gc.callbacks.remove(interrupt)

    begin = time.perf_counter()
    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == INTERRUPTED
    assert time.perf_counter() - begin < 10
    assert capsys.readouterr().err == "interrupted\n"
