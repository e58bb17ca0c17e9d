"""Writes the tables of the documentation anew: `python docs/build.py`.

Tables of keys come from the configuration models, tables of results from the files in `experiments/results`. A page
says where it wants one by two comments, the first of which names it; see `tables` for the names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from passes.default_pipeline import DEFAULT_PIPELINE
from tncompile.analysis.power import MODEL
from tncompile.config.experiment import Experiment
from tncompile.config.reference import markdown
from tncompile.report.amounts import significant

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
PAPER = ROOT / "experiments" / "paper.json"
"""Figures of the paper, a row each, with their source."""

PUBLISHED = MODEL.parent / "published.yaml"
"""What the model of power and speed is fitted to."""

PAGES = (ROOT / "docs" / "yaml.md", ROOT / "docs" / "energy.md", *sorted((ROOT / "experiments").glob("*.md")))
"""Pages that may have places for tables."""

_TABLE = re.compile(r"(<!-- (?P<what>[^>]+), by docs/build\.py -->\n).*?(<!-- end -->)", re.DOTALL)

_MEANING = {
    "leak_uW": "leakage of a core [µW]",
    "leak_exponent": "leakage goes with this power of the voltage",
    "update_pJ": "visit of a neuron, one a tick [pJ]",
    "event_pJ": "synaptic event [pJ]",
    "hop_pJ": "packet from a router to the next [pJ]",
    "crossing_pJ": "packet from a chip to the next [pJ]",
    "event_ns": "time of a synaptic event in a core [ns]",
    "link_packets_per_s": "packets that a link carries [1/s]",
    "floor_us": "shortest tick [µs]",
    "delay_exponent": "how gates slow down",
}
"""Constants of the model, in words."""

_HEAD = ("data", "chip accuracy", "of training, test images", "cores", "trained in", "spikes that differ")


def tables() -> dict[str, str]:
    """Returns all tables by name.

    `keys of experiment` and `keys of PASS` list configuration keys, `results` has a line for each row of the paper, and
    `results of ROW` for each experiment of that row. `constants`, `power` and `speed` are of the model of the chip's
    power and speed, and `estimates` are what it says of the results.
    """
    keys = {"experiment": markdown(Experiment)}
    keys |= {p.name: markdown(p.config, f"compile.{p.name}.") for p in DEFAULT_PIPELINE if p.config.model_fields}
    rows = json.loads(PAPER.read_text(encoding="utf-8"))["rows"]
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}
    return {
        **{f"keys of {name}": table for name, table in keys.items()},
        "estimates": estimates(rows, results),
        **model_tables(json.loads(MODEL.read_text(encoding="utf-8"))),
        "results": overview(rows, results),
        **{f"results of {row['row']}": row_table(row, results) for row in rows},
    }


def overview(rows: Sequence[Mapping[str, Any]], results: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the table of all rows of the paper: its figures, and beside them each trained experiment's."""
    head = ("row", "accuracy, cores in the paper", "experiment", *_HEAD)
    lines = []
    for row in rows:
        first = (f"[{row['title']}]({row['row']}.md)", f"{percent(row['accuracy'])}, {row['cores']:,}")
        found = [name for name in experiments_of(row["row"]) if name in results or _untrained(name) in results]
        lines += [(*(first if name == found[0] else ("", "")), *figures(name, row, results)) for name in found]
    return _markdown(head, lines)


def row_table(row: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the table of a row of the paper: its figures, and below them those of each of our experiments."""
    paper = ("the paper", f"all of `{row['data']}`", percent(row["accuracy"]), "–", f"{row['cores']:,}", "–", "–")
    return _markdown(("", *_HEAD), [paper, *(figures(name, row, results) for name in experiments_of(row["row"]))])


def experiments_of(row: str) -> list[str]:
    """Returns the names of the experiments of a row of the paper, those for a whole chip first."""
    kinds = ("1chip", "small")
    found = [path.stem for path in (ROOT / "experiments").glob(f"{row}_*.yaml")]
    return [name for kind in kinds for name in sorted(found) if re.fullmatch(rf"{row}(_[a-z]+)?_{kind}", name)]


def figures(name: str, row: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Returns the line of an experiment of a row: its name and what `_HEAD` says, from its committed results.

    Without results of a trained net, there are those of its compilation with random weights, or nothing.
    """
    of = results.get(name) or results.get(_untrained(name))
    link = f"[`{name}`]({name}.yaml)"
    if of is None:
        return (link, *("not run" for _ in _HEAD))
    cores = f"{of['compile']['cores']:,}"
    differing = "–"
    if "simulate" in of:
        differing = f"{of['simulate']['mismatched_spikes']:,} in {of['simulate']['frames']:,} frames"
    if "train" not in of:
        return (link, "random weights", "not trained: needs a GPU", "–", cores, "–", differing)
    trained, simulated = of["train"], of["simulate"]
    own = of["experiment"]["data"]["name"]
    data = f"`{own}`: {trained['data']['kind']}"
    if own != row["data"]:
        data = f"another data set, `{own}`: {trained['data']['kind']}"
    time = f"{trained['epochs']} epochs, {trained['seconds'] / 60:.1f} min"
    images = f"{trained['images']:,}, {simulated['frames']:,}"
    return (link, data, f"**{percent(simulated['accuracy'])}**", images, cores, time, differing)


def estimates(rows: Sequence[Mapping[str, Any]], results: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns what the chip would make of each trained net of the paper's size, beside the paper's figures."""
    lines = []
    for row in rows:
        chip = results.get(f"{row['row']}_1chip", {}).get("simulate", {}).get("chip")
        if chip is None:
            continue
        published = {
            "frames_per_s": ("frames/s", row["fps"]),
            "power_mW": ("mW", row["mW"]),
            "frames_per_s_per_W": ("frames/s/W", row["fps_per_W"]),
        }
        for key, (unit, paper) in published.items():
            low, high = chip[key]["low"], chip[key]["high"]
            within = "yes" if low <= paper <= high else "no"
            interval = f"{significant(low)} … {significant(high)}"
            own = f"**{significant(chip[key]['value'])}**"
            lines.append((row["title"], unit, own, interval, f"{paper:,.1f}".removesuffix(".0"), within))
    return _markdown(("one-chip network", "", "estimate", "90 %", "the paper", "within"), lines)


def model_tables(model: Mapping[str, Any]) -> dict[str, str]:
    """Returns the constants of the model of power and speed, and how well it fits either."""
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    known, spread = published["figures"], 1.645 * np.sqrt(np.diag(model["covariance"]))
    constants = [
        (f"`{name}`", _MEANING[name], f"{value:.3g}", f"{value * np.exp(-off):.3g} … {value * np.exp(off):.3g}",
         _origin(known[name]) if name in known else "the fit alone")
        for (name, value), off in zip(model["constants"].items(), spread, strict=True)
    ]  # fmt: skip
    kinds = {
        "synthetic": "random network, 4,096 cores, 1,000 ticks/s",
        "classifier": "one chip",
        "board": "NS16e board",
    }
    power = [
        (row["name"], kinds[row["kind"]], f"{row['volts']:g}", f"{row['mW']:,.1f}", f"{row['model_mW']:,.1f}",
         f"**{100 * row['off']:+.1f} %**", f"{100 * row['off_if_held_out']:+.1f} %")
        for row in model["residuals"]
    ]  # fmt: skip
    speed = [
        (row["name"], f"{row['fps']:,}", f"{row['model_fps']:,.0f}", f"{100 * row['off']:+.0f} %",
         f"{row['events_if_exact']:,.0f}")
        for row in model["speed"]
    ]  # fmt: skip
    head = ("point", "what", "V", "published [mW]", "model [mW]", "residual", "held out")
    return {
        "constants": _markdown(("constant", "of what, at 1.0 V", "value", "90 %", "known from"), constants),
        "power": _markdown(head, power),
        "speed": _markdown(
            ("row", "published [frames/s]", "model, if as busy as ours", "residual", "events of the busiest core"),
            speed,
        ),
    }


def _origin(figure: Mapping[str, Any]) -> str:
    """Returns what is known of a constant before the fit."""
    volts = f" at {figure['volts']:g} V" if "volts" in figure else ""
    return f"{figure['certainty']}, {figure['value']:g}{volts}: {figure['what']}"


def percent(share: float) -> str:
    """Returns a share as text in per cent."""
    return f"{100 * share:.2f} %"


def filled(page: str, made: Mapping[str, str]) -> str:
    """Returns the page with its tables brought up to date.

    Raises:
        ValueError: a place has no table.
    """

    def fill(match: re.Match[str]) -> str:
        if match["what"] not in made:
            raise ValueError(f"a page has a place for {match['what']}, there are tables of {sorted(made)}")
        return f"{match[1]}\n{made[match['what']]}\n{match[3]}"

    return _TABLE.sub(fill, page)


def places(page: str) -> list[str]:
    """Returns the names of the tables that a page has places for."""
    return [match["what"] for match in _TABLE.finditer(page)]


def _untrained(name: str) -> str:
    return f"{name}_untrained"


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown, with a line break at its end as `markdown` has it."""
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    made = tables()
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), made), encoding="utf-8")
