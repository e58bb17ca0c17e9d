"""Pictures of a placed network: where its cores are, what their links carry, how full they are, how far packets go.

And of trainings: their curves. `view` and `raster` make plain arrays; `paint`, `maps`, `panels`, `curves` and `sheet`
need matplotlib, which is an extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir.io import atomic_write, check_writable
from tncompile.report.curves import Run
from tncompile.report.plots.view import BoardView, view_of_image, view_of_stage

BOARD = ("placement", "links", "utilisation", "wirelength")
"""What can be drawn of a board."""
CURVES = "curves"
"""How trainings went."""
WHAT = (*BOARD, CURVES)
"""What can be drawn."""
ALL = "all"
"""The name of all of a board on one sheet."""
ENDINGS = (".png", ".svg")
"""Kinds of pictures."""

__all__ = [
    "ALL",
    "BOARD",
    "CURVES",
    "ENDINGS",
    "WHAT",
    "BoardView",
    "asked",
    "parse_what",
    "view_of_image",
    "view_of_stage",
    "write_plot",
]


def parse_what(text: str) -> tuple[str, ...]:
    """Returns what a text asks to be drawn: names with commas between, or `all` of a board.

    Raises:
        ConfigError: there is no such picture, or one is named twice.

    >>> parse_what("placement, links")
    ('placement', 'links')
    """
    if text.strip() == ALL:
        return BOARD
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in WHAT:
            raise ConfigError(f"--what {text}: there is no picture {name!r}; choose from {', '.join(WHAT)}, or {ALL}")
    if len(set(names)) < len(names):
        raise ConfigError(f"--what {text}: names a picture twice; name each once")
    return names


def asked(path: Path | None, what: str | None, beside: Sequence[Path] = ()) -> tuple[str, ...]:
    """Returns what is to be drawn, after checking that it can be, before the work that goes into it.

    Args:
        path: the picture; None: there is none.
        what: as `parse_what`; None: all.
        beside: other runs, whose curves are to be drawn as well.

    Raises:
        ArtifactError: a folder stands in the picture's place, or no file can be made there.
        ConfigError: its ending is of no kind of picture, matplotlib is not installed, there is something to be drawn
            and no picture to draw it into, or there are other runs and no curves to be drawn.
    """
    if path is None:
        for option, given in (("--what", what is not None), ("--beside", bool(beside))):
            if given:
                raise ConfigError(f"{option}: there is no --plot FILE to draw it into; give one, or leave {option} out")
        return ()
    if path.suffix.lower() not in ENDINGS:
        ending = f"ends in '{path.suffix}'" if path.suffix else "has no ending"
        raise ConfigError(f"--plot {path}: {ending}, so its kind is not known; use one of {', '.join(ENDINGS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"--plot: pictures need matplotlib ({error}); pip install 'tncompile[plot]'") from error
    names = parse_what(ALL if what is None else what)
    if beside and CURVES not in names:
        raise ConfigError(f"--beside {beside[0]}: only curves are drawn of several runs; add --what {CURVES}")
    if path.is_dir():
        raise ArtifactError(f"--plot {path}: is a folder; name a file")
    check_writable(path)
    return names


def write_plot(path: Path, view: BoardView | None, what: Sequence[str] = BOARD, runs: Sequence[Run] = ()) -> None:
    """Draws a board or trainings, and writes the picture whole or not at all; the same data give the same bytes.

    Args:
        path: the file; its ending says of which kind it is, one of `ENDINGS`.
        view: the board; None: no picture is of a board.
        what: which pictures, of `WHAT`.
        runs: the trainings; none: no picture is of trainings.

    Raises:
        ArtifactError: the file cannot be written, or links are asked for and the view has no loads.
        ConfigError: as `asked`.
    """
    asked(path, ",".join(what))
    if view is not None and "links" in what and view.load is None:
        raise ArtifactError(
            f"{view.name}: is placed, but not routed, so its links carry nothing yet; go on with 'tncompile compile', "
            "or draw something else with --what"
        )
    from tncompile.report.plots.panels import draw

    atomic_write(path, draw(view, what, path.suffix.lower()[1:], runs))
