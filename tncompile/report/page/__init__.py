"""Reports: one file of HTML about one run or several, which needs nothing else to be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir.io import atomic_write, check_writable
from tncompile.report.curves import COLOURS

NAME = "report.html"
"""Of a report whose place nobody named: in the run folder, or, of several runs, in the current one."""

__all__ = ["NAME", "check_report", "write_report"]


def check_report(folders: Sequence[Path], out: Path | None, figures: Path | None) -> Path:
    """Returns where a report goes, after checking that it can be made, before the work that goes into it.

    Args:
        folders: run folders.
        out: the file; None: `NAME` in the folder, or in the current one if there are several folders.
        figures: folder for the figures as files of their own.

    Raises:
        ArtifactError: no file can be made there.
        ConfigError: what draws it is not installed, or there are more folders than can be told apart, or one twice.
    """
    try:
        import jinja2  # noqa: F401
        import PIL  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"report: needs more packages ({error}); pip install 'tncompile[report]'") from error
    if len(folders) > len(COLOURS):
        raise ConfigError(
            f"report: {len(folders)} folders in one report, at most {len(COLOURS)} can be told apart; write several"
        )
    twice = [path for path, count in Counter(path.resolve() for path in folders).items() if count > 1]
    if twice:
        raise ConfigError(f"report: {twice[0]} is named twice; name each folder once")
    path = out or (folders[0] / NAME if len(folders) == 1 else Path(NAME))
    if path.is_dir():
        raise ArtifactError(f"--out {path}: is a folder; name a file, such as {path / NAME}")
    if path.exists() and not path.is_file():
        raise ArtifactError(f"--out {path}: is a device or the like, which a file would replace; name a file")
    if out is not None or len(folders) > 1:  # a folder that is not there is no place, and made by nobody
        check_writable(path)
    if figures is not None:
        if figures.exists() and not figures.is_dir():
            raise ArtifactError(f"--figures {figures}: is a file; name a folder")
        check_writable(figures / NAME)
    return path


def write_report(
    folders: Sequence[Path], out: Path | None = None, *, figures: Path | None = None, layers: Sequence[str] = ()
) -> dict[str, Any]:
    """Writes a report about run folders or import folders, and says where; equal folders give equal bytes.

    Args:
        folders: at least one; several are compared.
        out: the file, as `check_report`.
        figures: folder for each figure as PNG and as SVG; None: none are written.
        layers: those of the rasters; none: all of which spikes were kept.

    Raises:
        ArtifactError: a folder is none of a run, it is damaged, or a file cannot be written.
        ConfigError: as `check_report`, or a layer has no spikes.
    """
    path = check_report(folders, out, figures)
    from tncompile.report.page.files import write_figures
    from tncompile.report.page.gather import gather
    from tncompile.report.page.html import page_of, rendered

    runs = [gather(folder) for folder in folders]
    try:
        page = page_of(runs, layers)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        files = ", ".join(str(folder / "results.json") for folder in folders)
        raise ArtifactError(
            f"{files}: has figures of another form than tncompile writes ({type(error).__name__}: {error}); run the "
            "steps again"
        ) from error
    atomic_write(path, rendered(page))
    found: dict[str, Any] = {"report": str(path), "bytes": path.stat().st_size}
    if figures is not None:
        found["figures"] = [str(file) for file in write_figures(figures, page.figures)]
    return found
