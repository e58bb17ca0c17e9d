"""How a command ends: one message and an exit code, never a traceback."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from tncompile.errors import TnCompileError

INTERNAL = 70
INTERRUPTED = 130

F = TypeVar("F", bound=Callable[..., None])


def guarded(command: F) -> F:
    """Returns the command with its errors turned into a message on stderr and an exit code.

    With TNCOMPILE_DEBUG set in the environment, errors keep their traceback.
    """

    @functools.wraps(command)
    def run(*args, **kwargs) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            _end("interrupted", INTERRUPTED)
        except BrokenPipeError:
            # Whoever read our output has gone, as in `tncompile inspect DIR | head`.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except TnCompileError as error:
            _end(f"error: {error}", error.exit_code, error)
        except Exception as error:
            _end(
                f"internal error: {type(error).__name__}: {error}\n"
                "This is a fault of tncompile. Run again with TNCOMPILE_DEBUG=1 to see where, and report it.",
                INTERNAL,
                error,
            )

    return run  # type: ignore[return-value]


def _end(message: str, code: int, error: Exception | None = None) -> None:
    if error is not None and os.environ.get("TNCOMPILE_DEBUG"):
        raise error
    print(message, file=sys.stderr)
    raise SystemExit(code)
