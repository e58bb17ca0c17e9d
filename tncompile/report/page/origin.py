"""Where a run's results come from, and how to make them again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from tncompile.report.page.blocks import Block, Cell, Commands, Table, Text
from tncompile.report.page.gather import Gathered

_DATA = {
    "real": "the published data set",
    "own": "one's own",
    "jpeg copy": "a lossy copy",
    "subset": "a part of it",
    "stand-in": "other data of the same kind",
}


def origin(run: Gathered) -> tuple[Block, ...]:
    """Returns seed, versions, data with checksums, digests, and the command lines."""
    rows = [(Cell(text=key), Cell(text=value)) for key, value in _facts(run)]
    blocks: list[Block] = [Table(head=("", ""), rows=tuple(rows), words=(0, 1), prose=True)]
    if files := _files(run):
        blocks.append(
            Table(head=("file of the data", "SHA-256", "is the published one"), rows=files, words=(0, 1, 2), prose=True)
        )
    if lines := commands(run):
        blocks += [Text(text="To make it again:"), Commands(lines=lines)]
    return tuple(blocks)


def commands(run: Gathered) -> tuple[str, ...]:
    """Returns the command lines that make a run's results and this report again."""
    folder = str(run.path)
    again = f"{run.path.name or 'run'}-again"
    if run.imported is not None:
        return (shlex.join(["tncompile", "import", str(run.imported["source"]), "--out", again]),)
    if run.experiment is None:
        return ()
    experiment = shlex.join([str(run.path / "experiment.yaml"), "--out", again])
    simulate = [f"tncompile simulate {shlex.quote(again)}{_images(run)}"] if run.simulated else []
    report = [f"tncompile report {shlex.quote(again)}"]
    if run.compiled.get("untrained"):
        return (f"tncompile compile {experiment} --untrained", *simulate, *report)
    if run.compiled and not run.trained:
        model = shlex.join(["--model", f"{folder}/model.safetensors"])
        return (f"tncompile compile {experiment} {model}", *simulate, *report)
    train = [f"tncompile train {experiment}"] if run.trained else []
    build = [f"tncompile compile {experiment}"] if run.compiled else []
    return (*train, *build, *simulate, *report)


def _images(run: Gathered) -> str:
    """Returns the options with which the simulation took its images."""
    images = str(run.simulated.get("images", ""))
    frames = f" --frames {run.simulated['frames']}"
    seed = images.removeprefix("random, seed ")
    return f"{frames} --random-images --seed {seed}" if seed != images else frames


def _facts(run: Gathered) -> Iterator[tuple[str, str]]:
    results = run.results
    yield "folder", str(run.path)
    if run.imported is not None:
        yield "imported from", f"{run.imported['source']} ({run.imported['kind']})"
        yield "SHA-256 of it", str(run.imported["sha256"])
        yield "digest of the chip image", str(run.imported["image"])
        for note in run.imported["notes"]:
            yield "note", str(note)
    if run.experiment is not None:
        yield "experiment", f"{run.experiment.name}, seed {run.experiment.seed}"
        told = run.trained.get("data") or run.simulated.get("data") or {}
        kind = f": {_DATA.get(told['kind'], told['kind'])}, layout {told['layout']}" if "kind" in told else ""
        yield "data", f"{run.experiment.data.name}{kind}"
    if "digest" in run.compiled:
        yield "digest of the last stage", run.compiled["digest"]
    if results.get("commit"):
        yield "commit of tncompile", str(results["commit"])
    if versions := results.get("versions"):
        yield "versions", ", ".join(f"{name} {number}" for name, number in versions.items())
    if results.get("device"):
        yield "machine", str(results["device"])
    if run.simulated:
        told = run.simulated
        yield "simulated with", f"engine {told['engine']}, {told['frames_per_s']:,.0f} frames/s on this machine"


def _files(run: Gathered) -> tuple[tuple[Cell, ...], ...]:
    files: dict[str, Mapping[str, Any]] = {}
    for told in (run.trained, run.simulated):
        files |= (told.get("data") or {}).get("files", {})
    words = {True: "yes", False: "no", None: "not known"}
    return tuple(
        (Cell(text=name), Cell(text=str(file.get("sha256") or "–")), Cell(text=words[file.get("published")]))
        for name, file in files.items()
    )
