"""Figures as files of their own, drawn without a browser."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tncompile.ir.io import atomic_write
from tncompile.report.page.blocks import Chart
from tncompile.report.page.vega import VERSION, sized, theme


def write_figures(folder: Path, charts: Mapping[str, Chart]) -> list[Path]:
    """Writes each figure as PNG, twice as fine as a screen, and as SVG, on light paper; returns the files.

    Args:
        folder: made if need be.
        charts: by the name of their files.

    Raises:
        ArtifactError: a file cannot be written.
    """
    import vl_convert

    written, look = [], theme(dark=False)
    for name, chart in charts.items():
        spec = json.dumps(sized(chart.spec, chart.size))
        for ending, content in (
            (".svg", vl_convert.vegalite_to_svg(spec, vl_version=VERSION, config=look)),
            (".png", vl_convert.vegalite_to_png(spec, vl_version=VERSION, config=look, scale=2)),
        ):
            atomic_write(folder / f"{name}{ending}", content)
            written.append(folder / f"{name}{ending}")
    return written
