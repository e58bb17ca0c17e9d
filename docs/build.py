"""Writes the tables of keys in docs/yaml.md anew, from the configuration models themselves: `python docs/build.py`."""

from __future__ import annotations

import re
from pathlib import Path

from passes.default_pipeline import DEFAULT_PIPELINE
from tncompile.config.experiment import Experiment
from tncompile.config.reference import markdown

PAGE = Path(__file__).parent / "yaml.md"

_TABLE = re.compile(r"(<!-- keys of (?P<what>\S+), by docs/build\.py -->\n).*?(<!-- end -->)", re.DOTALL)


def tables() -> dict[str, str]:
    """Returns the table of each part of an experiment, by the name that the page has for it."""
    passes = {p.name: markdown(p.config, f"compile.{p.name}.") for p in DEFAULT_PIPELINE if p.config.model_fields}
    return {"experiment": markdown(Experiment), **passes}


def filled(page: str) -> str:
    """Returns the page with its tables brought up to date.

    Raises:
        ValueError: a table has no place in the page, or a place has no table.
    """
    made = tables()
    places = [match["what"] for match in _TABLE.finditer(page)]
    if sorted(places) != sorted(made):
        raise ValueError(f"{PAGE.name}: has places for {sorted(places)}, there are tables of {sorted(made)}")
    return _TABLE.sub(lambda match: f"{match[1]}\n{made[match['what']]}\n{match[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
