"""`tncompile data`: what is printed, exit codes, interrupts; what it finds out is tested in tests/data."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support.command_line import Outcome, checked, environment, invoke, process
from support.dataset_files import images, write_cifar10, write_folder, write_python3_pickle
from support.web import serving

from tncompile.data import files, share
from tncompile.data.layouts import LAYOUTS
from tncompile.share import dataset_names


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and no folder of data sets."""
    monkeypatch.delenv(files.ROOT_VARIABLE, raising=False)
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of the user's own images."""
    write_folder(tmp_path / "photos", {"train": [f"{c}/{i}.png" for c in "ab" for i in range(3)], "test": ["a/9.png"]})
    return tmp_path / "photos"


def test_list() -> None:
    outcome = invoke("data", "list")
    assert (outcome.code, outcome.err) == (0, "")
    assert "digits" in outcome.out and "comes along" in outcome.out
    found = invoke("data", "list", "--json")
    assert [row["name"] for row in found.json["datasets"]] == dataset_names()
    assert "digits" in found.err and invoke("data", "list", "--json", "--quiet").err == ""


@pytest.mark.parametrize("name", dataset_names())
def test_info(name: str) -> None:
    outcome = invoke("data", "info", name)
    assert (outcome.code, outcome.err) == (0, "")
    found = invoke("data", "info", name, "--json").json
    for text in (found["title"], found["licence"], found["obtain"], found["layouts"][0]["layout"]):
        assert text in outcome.out
    for option in found["options"]:
        assert option["default"] in outcome.out


def test_prepare_verify_and_what_follows(photos: Path, cache: Path) -> None:
    options = ("--root", photos, "--set", "options.size=[8, 8]")
    outcome = invoke("data", "prepare", "folder", *options)
    assert outcome.code == 0, outcome.err
    assert outcome.err.startswith(f"Reading folder, layout folder, in {photos}")
    (path,) = (cache / "prepared").iterdir()
    found = invoke("data", "prepare", "folder", *options, "--json", "--quiet")
    assert found.json | {"seconds": 0} == {
        "name": "folder", "layout": "folder", "kind": "own", "missing": "", "folder": str(photos), "train_images": 6,
        "test_images": 1, "prepared": str(path), "bytes": path.stat().st_size, "seconds": 0,
    }  # fmt: skip
    assert found.err == ""
    verified = invoke("data", "verify", "folder", *options, "--json", "--quiet")
    assert verified.code == 0
    rows = {row["check"]: row["verdict"] for row in verified.json["checks"]}
    assert rows["prepared copy"] == "OK"


def test_verify_ends_with_an_error_if_something_is_wrong(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "sets", python=True)
    outcome = invoke("data", "verify", "cifar10", "--root", tmp_path / "sets")
    assert outcome.code == 4
    assert "wrong" in outcome.out
    assert "error: cifar10: 8 of 1" in outcome.err
    good = invoke("data", "verify", "digits")
    assert (good.code, "wrong" in good.out) == (0, False)


class Forged:
    """Pickled, this is an array of one Python object, at an address that stands in the file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return np.empty(0).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, (1,), ForgedType(), False, b"AAAAAAAA")


class ForgedType:
    """Pickled, this is a type of objects that says of itself that it holds none."""

    def __reduce__(self) -> tuple[Any, ...]:
        return np.dtype, ("V8", False, True), (3, "|", None, ("a",), {"a": (np.dtype(object), 0)}, 8, 1, 0)


def test_a_hostile_pickle_is_refused(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "sets", python=True)
    content = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2], b"batch_label": [Forged()]}
    write_python3_pickle(tmp_path / "sets" / "data_batch_1", content)
    # In a process of its own, which it would otherwise take along.
    outcome = process("data", "verify", "cifar10", "--root", tmp_path / "sets", "--json")
    assert outcome.code == 4 and "Traceback" not in outcome.err
    (check,) = outcome.json["checks"]
    assert f"{tmp_path / 'sets' / 'data_batch_1'}: asks for arrays of type V8" in str(check)


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (("info", "mnits"), 2, "error: data.name: 'mnits' is no data set; did you mean mnist?\n"),
        (("verify", "mnist", "--set", "lay=idx"), 2, "error: --set lay=idx: data.lay: unknown key; "),
        (
            ("prepare", "gtsrb", "--set", "options.crp=none"),
            2,
            "error: data.options.crp: gtsrb has no such option; did",
        ),
        (("prepare", "gtsrb", "--root", "/nowhere"), 4, "error: German Traffic Sign Recognition Benchmark: its files"),
        (("fetch", "flickr_logos32"), 4, "error: FlickrLogos-32: cannot be downloaded just like that. Ask its makers"),
        (("fetch", "digits"), 4, "comes with tncompile"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], code: int, message: str) -> None:
    outcome = invoke("data", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


def test_a_cache_that_cannot_be_written(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(files.CACHE_VARIABLE, "/dev/null/cache")
    outcome = invoke("data", "prepare", "folder", "--root", photos)
    assert outcome.code == 4 and "cannot be written" in outcome.err


def test_an_interrupt_of_prepare_leaves_nothing(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(source: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(LAYOUTS, "folder", interrupt)
    outcome = invoke("data", "prepare", "folder", "--root", photos)
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err.endswith("interrupted: nothing was written; prepare again\n")
    assert not cache.exists()


FETCH = """
import sys, tncompile
tncompile.__file__ = sys.argv.pop(1)
from tncompile.cli import app
app()
"""


def test_an_interrupt_of_fetch_keeps_what_came(tmp_path: Path, cache: Path) -> None:
    """With Ctrl-C in a process of its own, as users do it, and going on with the same command."""
    x, _ = images(400, 0)
    np.savez(tmp_path / "original.npz", x=x)
    content = (tmp_path / "original.npz").read_bytes()
    package = tmp_path / "installed" / "tncompile"
    folder = package / "_share" / "datasets" / "mnist"
    folder.mkdir(parents=True)
    root = tmp_path / "my sets"
    command = [sys.executable, "-c", FETCH, str(package / "__init__.py"), "data", "fetch", "mnist", "--root", str(root)]
    part = root / "mnist" / "data.npz.part"
    pause = threading.Event()
    with serving(files={"/data.npz": content}, cuts=[len(content) // 2], pause=pause) as web:
        values = yaml.safe_load((share("datasets") / "mnist" / "dataset.yaml").read_text())
        values["layouts"] = {"npz": {"files": [{"name": "data.npz"}]}}
        values["downloads"] = [{"url": f"{web.url}/data.npz", "sha256": hashlib.sha256(content).hexdigest()}]
        (folder / "dataset.yaml").write_text(yaml.safe_dump(values))
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as run:
            while run.poll() is None and not (part.is_file() and part.stat().st_size):
                time.sleep(0.01)
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=60)
        pause.set()
        outcome = checked(Outcome(run.returncode, out, err))
        assert (outcome.code, outcome.out) == (130, ""), outcome
        assert outcome.err.endswith(
            f"interrupted: what came is kept; go on with: tncompile data fetch mnist --root '{root}'\n"
        )
        came = part.read_bytes()
        assert came and content.startswith(came)
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)
        assert done.returncode == 0, done.stderr
        assert web.asked == [("/data.npz", None), ("/data.npz", f"bytes={len(came)}-")]
    assert (root / "mnist" / "data.npz").read_bytes() == content
    assert not part.exists() and not cache.exists()
