"""How a command ends: one message and an exit code, never a traceback."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tncompile.errors import ArtifactError, InternalError, TnCompileError

INTERRUPTED = 130

_OUR_FAULT = "This is a fault of tncompile. Run again with TNCOMPILE_DEBUG=1 to see where, and report it."

F = TypeVar("F", bound=Callable[..., None])


@contextmanager
def interruptible(advice: Callable[[], str]) -> Iterator[None]:
    """Gives an interrupt of what runs inside a message.

    Args:
        advice: says what is kept and how to go on; called when the interrupt comes.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(advice()) from interrupt


@contextmanager
def stoppable(wanted: bool) -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether to stop, which an interrupt or a request to terminate then is.

    What runs inside ends by itself soon after; a second interrupt ends it at once.

    Args:
        wanted: if not, both signals do what they always do.
    """
    asked = False
    before: dict[signal.Signals, Any] = {}

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        asked = True
        restore()

    def restore() -> None:
        for sent, handler in before.items():
            signal.signal(sent, handler)

    if wanted:
        before = {sent: signal.signal(sent, ask) for sent in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        restore()


def guarded(command: F) -> F:
    """Returns the command with its errors turned into a message on stderr and an exit code.

    With TNCOMPILE_DEBUG set in the environment, errors keep their traceback.
    """

    @functools.wraps(command)
    def run(*args, **kwargs) -> None:
        try:
            with _terminable(), _insistent():
                command(*args, **kwargs)
        except KeyboardInterrupt as interrupt:
            _end(": ".join(("interrupted", *map(str, interrupt.args))), INTERRUPTED)
        except InternalError as error:
            _end(f"internal error: {error}\n{_OUR_FAULT}", error.exit_code, error)
        except TnCompileError as error:
            _end(f"error: {error}", error.exit_code, error)
        except BrokenPipeError:
            _drop_output()  # whoever read it has gone, as in `tncompile inspect DIR | head`
        except OSError as error:
            _drop_output()
            what = error.filename or "standard output"
            _end(f"error: {what}: {error.strerror}; make room, or choose another place", ArtifactError.exit_code, error)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            _end(f"internal error: {what}\n{_OUR_FAULT}", InternalError.exit_code, error)

    return run  # type: ignore[return-value]


@contextmanager
def _terminable() -> Iterator[None]:
    """Makes a request to terminate, as a cluster's queue sends it, an interrupt: whatever runs cleans up behind it."""
    ours = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _insistent() -> Iterator[None]:
    """Sends an interrupt again that Python could only print: what runs during a garbage collection cannot raise it."""
    before = sys.unraisablehook

    def hear(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            main = threading.main_thread().ident
            again = threading.Timer(0.01, lambda: main and signal.pthread_kill(main, signal.SIGINT))
            again.daemon = True
            again.start()
        else:
            before(unraisable)

    sys.unraisablehook = hear
    try:
        yield
    finally:
        sys.unraisablehook = before


def _drop_output() -> None:
    """Sends what is left of stdout nowhere, or Python would complain of it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(message: str, code: int, error: Exception | None = None) -> None:
    if error is not None and os.environ.get("TNCOMPILE_DEBUG"):
        raise error
    print(message, file=sys.stderr)
    raise SystemExit(code)
