"""The page itself: its parts put into the template, with all that they need inside."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import tncompile
from tncompile.report.page.blocks import Chart, Section
from tncompile.report.page.compare import comparison
from tncompile.report.page.gather import Gathered
from tncompile.report.page.sections import run_sections
from tncompile.report.page.vega import VERSION, theme

TEMPLATE = "page.html.j2"
"""The template, beside `style.css` and `script.js`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A run's sections, or those about all runs.

    Attributes:
        key: of the ids of its elements.
        title: of the run; empty if the page has only one part.
        about: below the title.
        sections: what it shows.
        folded: whether readers must open it.
    """

    key: str
    title: str
    about: str
    sections: tuple[Section, ...]
    folded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that a page shows.

    Attributes:
        title: of it.
        about: below the title.
        parts: in their order.
    """

    title: str
    about: str
    parts: tuple[Part, ...]

    @property
    def figures(self) -> dict[str, Chart]:
        """All charts by the name of their files."""
        many = len(self.parts) > 1
        return {
            f"{part.key}-{chart.name}" if many else chart.name: chart
            for part in self.parts
            for section in part.sections
            for chart in section.charts
        }


def page_of(runs: Sequence[Gathered], layers: Sequence[str] = ()) -> Page:
    """Returns the page about runs.

    Args:
        runs: at least one; several are compared, each with a part of its own that can be opened.
        layers: those of the rasters.

    Raises:
        ConfigError: a layer has no spikes to show.
    """
    if len(runs) == 1:
        (run,) = runs
        part = Part(key="run", title="", about="", sections=run_sections(run, layers), folded=False)
        return Page(title=run.name, about=_about(run), parts=(part,))
    names = run_names(runs)
    beside = Part(key="all", title="", about="", sections=comparison(runs, names), folded=False)
    own = tuple(
        Part(key=f"run{number}", title=name, about=_about(run), sections=run_sections(run, layers), folded=True)
        for number, (run, name) in enumerate(zip(runs, names, strict=True), 1)
    )
    return Page(title=" · ".join(names), about=f"{len(runs)} runs side by side", parts=(beside, *own))


def run_names(runs: Sequence[Gathered]) -> tuple[str, ...]:
    """Returns the name of each run's folder, or, where two have the same, the path."""
    counts = Counter(run.path.resolve().name for run in runs)
    return tuple(
        str(run.path) if counts[run.path.resolve().name] > 1 else run.path.resolve().name for run in runs
    )  # fmt: skip


def _about(run: Gathered) -> str:
    """Returns what a run is about, in a line."""
    if run.imported is not None:
        return f"imported from {run.imported['source']}"
    if run.experiment is None:
        return "a training that goes on"
    title = run.experiment.data.name if run.spec is None else run.spec.title
    return f"{title}, {run.arch.name if run.arch else run.experiment.arch.name}, seed {run.experiment.seed}"


def rendered(page: Page) -> str:
    """Returns the page as HTML."""
    import jinja2
    import vl_convert

    here = files("tncompile.report.page")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string((here / TEMPLATE).read_text(encoding="utf-8"))
    return template.render(
        page=page,
        style=(here / "style.css").read_text(encoding="utf-8"),
        script=(here / "script.js").read_text(encoding="utf-8"),
        vega=_inert(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VERSION)),
        themes=embedded({"light": theme(dark=False), "dark": theme(dark=True)}),
        embedded=embedded,
        version=tncompile.__version__,
    )


def embedded(value: Mapping[str, Any]) -> str:
    """Returns a value as JSON that cannot end the script element that it stands in.

    >>> embedded({"name": "</script>"})
    '{"name":"\\\\u003c/script>"}'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _inert(source: str) -> str:
    """Returns JavaScript whose strings cannot end the script element that it stands in, as HTML's standard advises."""
    return source.replace("</script", "<\\/script").replace("<!--", "<\\!--")
