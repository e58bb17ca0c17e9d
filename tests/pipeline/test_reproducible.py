"""One seed, one result: in another process too, whatever order its sets and dictionaries have."""

from __future__ import annotations

from pathlib import Path

from support.command_line import EXPERIMENT, files, process

from tncompile.pipeline import step_names


def test_two_processes_with_other_hash_seeds_agree_after_every_pass(tmp_path: Path) -> None:
    experiment = tmp_path / "tiny.yaml"
    # Few packets an input bit, so that there are splitters too, and two chips.
    arch = "arch:\n  grid: [6, 6]\n  board: [2, 1]\n"
    experiment.write_text(EXPERIMENT.replace("compile:\n", f"{arch}compile:\n  pack:\n    packets_per_bit: 1\n"))
    results = []
    for hash_seed in ("1", "2"):
        out = tmp_path / hash_seed
        arguments = ("compile", experiment, "--out", out, "--untrained", "--seed", 7, "--json", "--quiet")
        outcome = process(*arguments, PYTHONHASHSEED=hash_seed)
        assert outcome.code == 0, outcome.err
        results.append(outcome.json["compile"])
    for result in results:
        assert tuple(result["digests_by_pass"]) == step_names()
        assert result["splitter_cores"] > 0
    assert results[0]["digests_by_pass"] == results[1]["digests_by_pass"]
    one, two = (files(tmp_path / hash_seed) for hash_seed in ("1", "2"))
    for content in (one, two):
        del content["results.json"]  # has times in it
    assert one == two
