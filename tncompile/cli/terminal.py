"""Progress and messages on a terminal, or as plain lines where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tncompile.reporter import Lines, in_words


class Terminal:
    """A `workflow.Reporter` on stderr: bars on a terminal, a line now and then otherwise, nothing if quiet."""

    def __init__(self, console: Console, progress: Progress | None, quiet: bool):
        self._console = console
        self._progress = progress
        self._quiet = quiet
        self._tasks: dict[str, TaskID] = {}
        self._lines = Lines(self.say)

    def say(self, text: str) -> None:
        """Prints a line."""
        if not self._quiet:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def progress(self, phase: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Moves a phase's bar."""
        if self._quiet:
            return
        if self._progress is not None:
            if phase not in self._tasks:
                self._tasks[phase] = self._progress.add_task(phase, total=total, figures="")
            self._progress.update(self._tasks[phase], completed=done, total=total, figures=in_words(figures))
        else:
            self._lines.progress(phase, done, total, figures)


@contextmanager
def terminal(quiet: bool) -> Iterator[Terminal]:
    """Gives a terminal for the length of a command, and takes its bars down at the end."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield Terminal(console, None, quiet)
        return
    columns = (
        TextColumn("  {task.description:<10}"),
        BarColumn(30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console) as progress:
        yield Terminal(console, progress, quiet)
