"""The table of a sweep: what it takes from results.json, who is on the front, what its files say."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tncompile.errors import ArtifactError, ConfigError, InternalError, SimulationError
from tncompile.explore.points import Point
from tncompile.explore.sweep import check_failures
from tncompile.explore.table import (
    COLUMNS,
    Figure,
    Row,
    Table,
    csv_text,
    document,
    figures_of,
    parse_objectives,
    write_table,
)
from tncompile.report.tables import print_exploration

RESULTS = {
    "train": {"accuracy": 0.9},
    "compile": {
        "cores": 56,
        "chips": 1,
        "latency_ticks": 3,
        "synaptic_events_per_frame": {"mean": 10.5, "most": 20},
        "hops_per_frame": {"mean": None, "most": 7},
    },
    "simulate": {
        "accuracy": 0.875,
        "chip": {
            "power_mW": {"value": 2.0, "low": 1.5, "high": 3.0},
            "frames_per_s": {"value": float("nan"), "low": 1.0, "high": 2.0},
            "limit": "core",
        },
    },
}


def row(number: int, status: str = "done", **figures: float) -> Row:
    return Row(
        point=Point(values={"arch.axons": number, "net.layers": ["S-4", "N, 8"]}),
        folder=f"points/{number}",
        status=status,
        message="" if status == "done" else "does not fit",
        figures={name: Figure(value) for name, value in figures.items()},
    )


def test_figures_are_taken_where_they_are() -> None:
    assert figures_of(RESULTS) == {
        "accuracy": Figure(0.875),
        "held_out_accuracy": Figure(0.9),
        "cores": Figure(56),
        "chips": Figure(1),
        "latency_ticks": Figure(3),
        "synaptic_events_per_frame": Figure(10.5),
        "synaptic_events_at_most": Figure(20),
        "hops_at_most": Figure(7),
        "power_mW": Figure(2.0, 1.5, 3.0),
    }
    assert figures_of({"simulate": {"accuracy": None, "chip": None}}) == {}


def test_only_objectives_that_are_known_decide() -> None:
    rows = (row(1, accuracy=0.9, cores=10), row(2, accuracy=0.8, cores=5), row(3, accuracy=0.8, cores=6))
    table = Table(name="net", rows=(*rows, row(4, "infeasible")))
    assert [column.name for column in table.judged] == ["accuracy", "cores"]
    assert table.front == (True, True, False, False)
    assert Table(name="net", rows=rows, objectives=("accuracy",)).front == (True, False, False)
    assert Table(name="net", rows=rows, objectives=("power_mW",)).front == (False, False, False)


def test_before_a_simulation_the_accuracy_of_the_model_decides() -> None:
    table = Table(name="net", rows=(row(1, held_out_accuracy=0.9, cores=10), row(2, held_out_accuracy=0.8, cores=10)))
    assert [column.name for column in table.judged] == ["held_out_accuracy", "cores"]
    assert table.front == (True, False)


def test_both_files_say_the_same(tmp_path: Path) -> None:
    known = Row(
        point=Point(values={"arch.axons": 5}), folder="f", status="done", digest="d", figures=figures_of(RESULTS)
    )
    table = Table(name="net", rows=(known, row(6, "infeasible")))
    write_table(table, tmp_path)
    told = json.loads((tmp_path / "explore.json").read_text())
    assert told == document(table)
    lines = list(csv.DictReader(io.StringIO((tmp_path / "explore.csv").read_text())))
    assert [line["arch.axons"] for line in lines] == ["5", "6"]
    assert [line["net.layers"] for line in lines] == ["", '["S-4", "N, 8"]']
    for line, point in zip(lines, told["points"], strict=True):
        for key, value in point.items():
            if key != "point":
                assert line[key] == ("" if value is None else str(value).lower() if key == "front" else str(value)), key
    assert (lines[0]["power_mW_low"], lines[0]["power_mW_high"]) == ("1.5", "3.0")
    assert lines[1]["message"] == "does not fit"
    assert {key for key in lines[0] if not key.endswith(("_low", "_high"))} == {
        "number", "arch.axons", "net.layers", "status", "front", "digest", "folder", "message",
        *(column.name for column in COLUMNS),
    }  # fmt: skip


def test_a_table_without_rows_that_are_done_can_be_written() -> None:
    assert csv_text(Table(name="net", rows=(row(1, "waiting"),))).splitlines()[1].startswith('1,1,"[""S-4""')


def test_people_see_who_is_on_the_front_and_why_others_are_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        row(1, accuracy=0.9, cores=10),
        row(2, accuracy=0.8, cores=12),
        *(row(i, "infeasible") for i in range(3, 9)),
    ]
    print_exploration(Table(name="net", rows=tuple(rows)), Path("runs/net-explore"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "net: 8 points; * no other beats it in chip accuracy (max), cores (min)"
    assert [line[1:4] for line in lines if line[1:2] in ("1", "2", "3")] == ["1 *", "2  ", "3 –"]
    (why,) = (line for line in lines if "does not fit" in line)
    assert why.startswith("infeasible: does not fit (arch.axons 3, ") and why.endswith("; and 3 more)")
    assert lines[-1] == "all of it, and a run folder for each point: runs/net-explore"


def test_no_number_is_cut_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_exploration(Table(name="net", rows=(row(1, accuracy=0.9876, cores=1234567),)), Path("runs/net-explore"))
    out = capsys.readouterr().out
    assert "98.76" in out and "1,234,567" in out


@pytest.mark.parametrize(
    "code, error",
    [(2, ConfigError), (4, ArtifactError), (5, SimulationError), (70, InternalError), (130, KeyboardInterrupt)],
)
def test_the_first_failure_decides_how_a_sweep_ends(code: int, error: type[BaseException]) -> None:
    failed = replace(row(2, "failed"), code=code)
    rows = (row(1, "infeasible"), failed, replace(row(3, "failed"), code=2))
    with pytest.raises(error, match=r"^2 of 3 points failed; arch.axons 2, .*: does not fit"):
        check_failures(Table(name="net", rows=rows))
    check_failures(Table(name="net", rows=(*rows[:1], row(4, cores=1))))


@pytest.mark.parametrize("given", ["", "speed", "accuracy,accuracy", "accuracy,,cores"])
def test_wrong_objectives_are_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=r"^--objectives"):
        parse_objectives(given)
