"""Digests and dumps of stages."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tncompile import ir
from tncompile.errors import InternalError
from tncompile.ir.text import MAX_VALUES, _runs, digest, dump

KINDS = ["LogicalNet", "TrinaryNet", "CoreGraph", "PartitionedGraph", "PlacedChip", "RoutedChip", "ChipImage"]


def expand(runs: str) -> list[int]:
    """Returns the integers that `_runs` wrote."""
    out: list[int] = []
    for word in runs.split():
        if "x" in word:
            value, count = word.split("x")
            out += [int(value)] * int(count)
        elif ":" in word:
            first, last = word.split(":")
            out += range(int(first), int(last) + 1)
        else:
            out.append(int(word))
    return out


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-3, 3) | st.integers(-(2**40), 2**40), max_size=40),
    st.integers(0, 20),
    st.integers(-3, 3),
)
def test_runs_lose_nothing(values: list[int], length: int, first: int) -> None:
    values = values + [first] * length + list(range(first, first + length)) + values
    assert expand(_runs(np.array(values, np.int64))) == values


def test_runs_read_well() -> None:
    assert _runs(np.array([5, 5, 5, 0, 1, 2, 3, -1, 0, 1, 7])) == "5x3 0:3 -1 0 1 7"
    assert _runs(np.array([True, True, True, False])) == "1x3 0"
    assert _runs(np.array([0.1, 0.1, 0.1], np.float32)) == "0.1 0.1 0.1"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_stage_has_the_same_digest_and_dump(stages, kind: str) -> None:
    first, second = stages(4)[kind], stages(4)[kind]
    assert first is not second
    assert digest(first) == digest(second)
    assert dump(first) == dump(second)


@pytest.mark.parametrize("kind", KINDS)
def test_another_stage_has_another_digest_and_dump(stages, kind: str) -> None:
    assert digest(stages(4)[kind]) != digest(stages(6)[kind])
    assert dump(stages(4)[kind]) != dump(stages(6)[kind])


def changes(value):
    """Yields every change of one leaf of a record: the leaf's path, and the changed record."""
    for field in dataclasses.fields(value):
        old = getattr(value, field.name)
        for path, new in leaf_changes(old):
            yield f"{field.name}{path}", dataclasses.replace(value, **{field.name: new})


def leaf_changes(old):
    match old:
        case ir.Record():
            yield from ((f".{path}", new) for path, new in changes(old))
        case np.ndarray():
            new = old.copy()
            new.reshape(-1)[-1] = not new.reshape(-1)[-1] if new.dtype == bool else new.reshape(-1)[-1] + 1
            yield "[-1]", new
        case tuple():
            for i, item in enumerate(old):
                yield from ((f"[{i}]{path}", (*old[:i], new, *old[i + 1 :])) for path, new in leaf_changes(item))
        case str():
            yield "", old + "?"
        case int() | float():
            yield "", old + 1
        case None:
            yield "", None


@pytest.mark.parametrize("kind", KINDS)
def test_every_single_change_shows_in_digest_and_dump(stages, kind: str) -> None:
    stage = stages(2)[kind]
    text, body, count = digest(stage), dump(stage).split("\n", 1)[1], 0
    for path, changed in changes(stage):
        assert digest(changed) != text, path
        assert dump(changed).split("\n", 1)[1] != body, path
        count += 1
    assert count >= 3


def test_equal_bytes_in_other_types_have_other_digests(stages) -> None:
    stage = stages()["PartitionedGraph"]
    chip = stage.core_chip

    def of(**change: object) -> str:
        return digest(_unchecked(stage, **change))

    assert of(core_chip=chip.astype(np.int64)) != of(core_chip=chip)
    assert of(core_chip=chip.view(np.uint32)) != of(core_chip=chip)
    assert of(core_chip=chip.reshape(1, -1)) != of(core_chip=chip)
    assert of(cut="7") != of(cut=7) != of(cut=7.0)
    assert of(cut=True) != of(cut=1)
    assert of(cut=("a", "bc")) != of(cut=("ab", "c"))
    assert of(cut=((1,), 2)) != of(cut=((1, 2),)) != of(cut=(1, 2))
    assert of(cut=np.int32(7)) == of(cut=7)


def _unchecked(stage: ir.Stage, **change: object) -> ir.Stage:
    """Returns a copy with other fields, past the type checks that tests run under."""
    copy = object.__new__(type(stage))
    for field in dataclasses.fields(stage):  # type: ignore[arg-type]
        object.__setattr__(copy, field.name, change.get(field.name, getattr(stage, field.name)))
    return copy


def test_byte_order_and_memory_layout_do_not_count(stages) -> None:
    graph = stages()["CoreGraph"]
    swapped = _unchecked(graph, core_block=np.asfortranarray(graph.core_block.astype(">i2")))
    assert digest(swapped) == digest(graph)
    assert dump(swapped) == dump(graph)


def test_a_value_that_no_stage_may_hold_is_refused(stages) -> None:
    with pytest.raises(InternalError, match="dict"):
        digest(_unchecked(stages()["PartitionedGraph"], cut={}))


def test_digest_is_the_same_in_another_process(stages) -> None:
    script = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('sample_stages', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "from tncompile.ir.text import digest, dump\n"
        "print({k: digest(s) + str(len(dump(s))) for k, s in module.make_stages(8).items()})\n"
    )
    out = {
        subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).with_name("conftest.py"))],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert out == {str({k: digest(s) + str(len(dump(s))) for k, s in stages(8).items()}) + "\n"}


def test_dump_of_a_small_stage(stages) -> None:
    placed = stages()["PlacedChip"]
    x, y = placed.core_x, placed.core_y
    assert dump(placed) == (
        f"PlacedChip {digest(placed)}\n"
        f"  source: PartitionedGraph {digest(placed.source)}\n"
        "  cores  core_x  core_y\n"
        f"      0  {x[0]:6d}  {y[0]:6d}\n"
        f"      1  {x[1]:6d}  {y[1]:6d}\n"
        f"      2  {x[2]:6d}  {y[2]:6d}\n"
        "  wirelength: 41\n"
    )


def test_dumps_of_a_full_chip_stay_small(stages) -> None:
    for kind, stage in stages(1, cores=4096, neurons=256, lines=123_008).items():
        assert len(dump(stage)) < 2_000_000, kind


def test_a_big_array_is_told_by_shape_range_and_digest(stages) -> None:
    stage = stages(cores=MAX_VALUES + 1)["PartitionedGraph"]
    line = dump(stage).splitlines()[2]
    assert line.startswith(f"  core_chip: int32[{MAX_VALUES + 1}] 0..99 #")


def test_a_broken_stage_can_be_dumped(stages) -> None:
    placed = stages()["PlacedChip"]
    assert "core_y: int32[2]" in dump(_unchecked(placed, core_y=placed.core_y[:2]))
