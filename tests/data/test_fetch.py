"""Downloads from a server on loopback: taken up where they broke off, checked, and unpacked safely."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from support.dataset_files import IDX_NAMES, load, write_cifar10, write_gtsrb, write_mnist
from support.web import Web, serving

import tncompile
from tncompile.config.data import DataConfig
from tncompile.data import fetch, files, share
from tncompile.data.fetch import Progress
from tncompile.errors import ArtifactError


class Heard:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phases: list[tuple[str, int, int]] = []
        self.figures: list[Any] = []

    def say(self, text: str) -> None:
        """Keeps a line."""
        self.lines.append(text)

    def progress(self, phase: str, done: int, total: int, figures: Any) -> None:
        """Keeps how far a phase is."""
        self.phases.append((phase, done, total))
        self.figures.append(figures)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits between tries are only noted."""
    waits: list[float] = []
    monkeypatch.setattr(fetch.time, "sleep", waits.append)
    return waits


@pytest.fixture
def web() -> Iterator[Web]:
    """A server."""
    with serving(files={}) as web:
        yield web


@pytest.fixture
def publish(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets a data set's downloads come from the server.

    The descriptions are those of tncompile, but for `downloads`.
    """
    package = tmp_path / "installed" / "tncompile"
    shutil.copytree(share("datasets"), package / "_share" / "datasets")
    monkeypatch.setattr(tncompile, "__file__", str(package / "__init__.py"))

    def publish(name: str, contents: dict[str, bytes], *, unpack: bool = False, **more: Any) -> None:
        path = package / "_share" / "datasets" / name / "dataset.yaml"
        values = yaml.safe_load(path.read_text())
        web.files |= {f"/{file}": content for file, content in contents.items()}
        values["downloads"] = [
            {
                "url": f"{web.url}/{file}",
                "md5": hashlib.md5(content).hexdigest(),
                "bytes": len(content),
                "unpack": unpack,
            }
            | more
            for file, content in contents.items()
        ]
        path.write_text(yaml.safe_dump(values))

    return publish


@pytest.fixture
def mnist(tmp_path: Path, publish: Callable[..., None]) -> dict[str, bytes]:
    """MNIST, small, on the server."""
    (tmp_path / "original").mkdir()
    write_mnist(tmp_path / "original", zipped=True, train=200)
    contents = {f"{name}.gz": (tmp_path / "original" / f"{name}.gz").read_bytes() for name in IDX_NAMES}
    publish("mnist", contents)
    return contents


def get(name: str, root: Path | None, **options: Any) -> dict[str, Any]:
    """Fetches a data set."""
    config = DataConfig(name=name, root=None if root is None else str(root), **options)
    return fetch.fetch(config, Heard())


def refused(name: str, root: Path) -> str:
    """Returns the message with which a download ends."""
    with pytest.raises(ArtifactError) as caught:
        get(name, root)
    return str(caught.value)


def test_files_come_and_are_found(web: Web, mnist: dict[str, bytes], tmp_path: Path) -> None:
    heard = Heard()
    found = fetch.fetch(DataConfig(name="mnist", root=str(tmp_path / "sets")), heard)
    assert found["bytes"] == sum(map(len, mnist.values()))
    assert (found["layout"], found["folder"]) == ("idx", str(tmp_path / "sets" / "mnist"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "sets" / "mnist").iterdir()} == mnist
    assert len(load("mnist", tmp_path / "sets").x_test) == 4
    assert heard.phases[-1] == (f"{IDX_NAMES[3]}.gz, MB", 1, 1)
    # Once more: nothing is asked for.
    web.asked.clear()
    assert get("mnist", tmp_path / "sets")["bytes"] == 0
    assert web.asked == []


@pytest.mark.parametrize("named", [False, True])
def test_where_files_come_to(
    mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    if named:
        monkeypatch.setenv(files.ROOT_VARIABLE, str(tmp_path / "sets"))
        (tmp_path / "sets").mkdir()
    folder = Path(get("mnist", None)["folder"])
    assert folder == (tmp_path / "sets" if named else files.cache_folder() / "data") / "mnist"
    assert len(load("mnist", None).x_test) == 4


@pytest.mark.parametrize("ranges", [True, False])
def test_what_breaks_off_is_taken_up(
    web: Web, mnist: dict[str, bytes], tmp_path: Path, no_waiting: list[float], ranges: bool
) -> None:
    size = len(mnist[f"{IDX_NAMES[0]}.gz"])
    web.ranges, web.cuts = ranges, [3, size // 2, size - 1]
    heard = Heard()
    found = fetch.fetch(DataConfig(name="mnist", root=str(tmp_path)), heard)
    assert (tmp_path / "mnist" / f"{IDX_NAMES[0]}.gz").read_bytes() == mnist[f"{IDX_NAMES[0]}.gz"]
    asked = [wanted for path, wanted in web.asked if path == f"/{IDX_NAMES[0]}.gz"]
    assert asked == [None, "bytes=3-", f"bytes={size // 2}-", f"bytes={size - 1}-"]
    again = [line for line in heard.lines if "trying again" in line]
    assert [f"after {n:,} bytes" in line for n, line in zip((3, size // 2, size - 1), again, strict=True)] == [True] * 3
    assert not list((tmp_path / "mnist").glob("*.part"))
    assert found["bytes"] >= sum(map(len, mnist.values()))
    assert no_waiting == [fetch.WAIT] * 3


@pytest.mark.parametrize("ranges", [True, False])
def test_all_bytes_that_came_are_counted(web: Web, mnist: dict[str, bytes], tmp_path: Path, ranges: bool) -> None:
    (tmp_path / "mnist").mkdir()
    first = mnist[f"{IDX_NAMES[0]}.gz"]
    (tmp_path / "mnist" / f"{IDX_NAMES[0]}.gz.part").write_bytes(first[:2000])
    web.ranges, web.cuts = ranges, [2500, 3000]
    whole = sum(map(len, mnist.values()))
    heard = Heard()
    found = fetch.fetch(DataConfig(name="mnist", root=str(tmp_path)), heard)
    assert found["bytes"] == (whole - 2000 if ranges else whole + 2500 + 3000)
    assert all(figures["MB/s"] >= 0 for figures in heard.figures)


def test_a_server_that_always_begins_anew_is_given_up(web: Web, mnist: dict[str, bytes], tmp_path: Path) -> None:
    web.ranges = False
    web.cuts += [1000, 500] * fetch.TRIES
    assert "5 times; what came is kept" in refused("mnist", tmp_path)
    assert len(web.asked) == fetch.TRIES + 1


@pytest.mark.parametrize("known", [True, False])
def test_a_server_that_does_not_stop(
    web: Web,
    mnist: dict[str, bytes],
    publish: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
) -> None:
    if not known:
        publish("mnist", mnist, bytes=None)
    name = f"{IDX_NAMES[0]}.gz"
    most = len(mnist[name]) if known else 1 << 18
    monkeypatch.setattr(fetch, "MAX_BYTES", 1 << 18)
    written: list[int] = []
    copy = fetch._copy

    def spy(answer: Any, out: Any, *arguments: Any) -> None:
        try:
            copy(answer, out, *arguments)
        finally:
            written.append(out.tell())

    monkeypatch.setattr(fetch, "_copy", spy)
    web.lengths = False
    web.files[f"/{name}"] += b"x" * (1 << 22)
    message = refused("mnist", tmp_path / "sets")
    assert message.startswith(f"{web.url}/{name}: the server sends more than {most:,} bytes")
    assert written[0] <= most and len(written) == 1
    assert list((tmp_path / "sets" / "mnist").iterdir()) == []


class Listener(Heard):
    """A reporter that lets others know when a line is said."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self.awaited, self.said = awaited, threading.Event()

    def say(self, text: str) -> None:
        """Keeps a line."""
        super().say(text)
        if self.awaited in text:
            self.said.set()


def test_one_of_two_calls_waits_for_the_other(web: Web, mnist: dict[str, bytes], tmp_path: Path) -> None:
    name, config = f"{IDX_NAMES[0]}.gz", DataConfig(name="mnist", root=str(tmp_path))
    web.pause = threading.Event()
    web.cuts = [1000]
    with ThreadPoolExecutor(2) as pool:
        try:
            reporters = [Listener("Downloading"), Listener("Another tncompile data fetch is under way")]
            one = pool.submit(fetch.fetch, config, reporters[0])
            assert reporters[0].said.wait(60)
            other = pool.submit(fetch.fetch, config, reporters[1])
            assert reporters[1].said.wait(60)
        finally:
            web.pause.set()
        assert (one.result()["bytes"], other.result()["bytes"]) == (sum(map(len, mnist.values())), 0)
    assert reporters[1].lines[0].endswith(f"in {tmp_path / 'mnist'}; waiting for it")
    assert [path for path, _ in web.asked] == [f"/{name}", *(f"/{name}.gz" for name in IDX_NAMES)]
    assert {path.name: path.read_bytes() for path in (tmp_path / "mnist").iterdir()} == mnist


def test_a_lock_that_a_killed_run_left_does_not_matter(mnist: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / fetch.LOCK).touch()
    get("mnist", tmp_path)
    assert {path.name for path in (tmp_path / "mnist").iterdir()} == set(mnist)


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), None])
def test_a_system_without_locks(
    mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    def flock(lock: int, how: int) -> None:
        assert error is not None
        raise error

    monkeypatch.setattr(fetch, "fcntl", None if error is None else SimpleNamespace(flock=flock, LOCK_EX=2, LOCK_NB=4))
    get("mnist", tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "mnist").iterdir()} == mnist


def test_an_earlier_call_is_taken_up(web: Web, mnist: dict[str, bytes], tmp_path: Path) -> None:
    web.cuts = [1000] * fetch.TRIES + [1000]
    message = refused("mnist", tmp_path)
    assert message.startswith(f"{web.url}/{IDX_NAMES[0]}.gz: it broke off")
    assert "after 1,000 bytes, 5 times; what came is kept" in message
    part = tmp_path / "mnist" / f"{IDX_NAMES[0]}.gz.part"
    assert part.read_bytes() == mnist[f"{IDX_NAMES[0]}.gz"][:1000]
    web.cuts, web.asked = [], []
    get("mnist", tmp_path)
    assert web.asked[0] == (f"/{IDX_NAMES[0]}.gz", "bytes=1000-")
    assert (tmp_path / "mnist" / f"{IDX_NAMES[0]}.gz").read_bytes() == mnist[f"{IDX_NAMES[0]}.gz"]


def test_a_whole_part_needs_nothing_more(web: Web, mnist: dict[str, bytes], tmp_path: Path) -> None:
    name = f"{IDX_NAMES[0]}.gz"
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / f"{name}.part").write_bytes(mnist[name])
    get("mnist", tmp_path)
    assert (tmp_path / "mnist" / name).read_bytes() == mnist[name]


def test_too_long_a_part_is_dropped(web: Web, mnist: dict[str, bytes], tmp_path: Path) -> None:
    name = f"{IDX_NAMES[0]}.gz"
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / f"{name}.part").write_bytes(mnist[name] + b"more")
    get("mnist", tmp_path)
    assert (tmp_path / "mnist" / name).read_bytes() == mnist[name]


def test_a_server_that_sends_another_part(web: Web, mnist: dict[str, bytes], tmp_path: Path) -> None:
    web.cuts, web.shift = [1000], 1
    assert "the server sends another part than was asked for" in refused("mnist", tmp_path)


def test_a_server_that_does_not_say_how_long_a_file_is(web: Web, mnist: dict[str, bytes], tmp_path: Path) -> None:
    web.lengths = False
    get("mnist", tmp_path)
    web.cuts = [1000]  # looks like the end of the file, so only the checksum tells
    shutil.rmtree(tmp_path / "mnist")
    assert "came with MD5" in refused("mnist", tmp_path)


def test_another_content_is_refused(web: Web, mnist: dict[str, bytes], tmp_path: Path) -> None:
    name = f"{IDX_NAMES[1]}.gz"
    web.files[f"/{name}"] = mnist[name][:-1] + b"x"
    expected = hashlib.md5(mnist[name]).hexdigest()
    found = hashlib.md5(web.files[f"/{name}"]).hexdigest()
    message = refused("mnist", tmp_path)
    assert message.startswith(f"{web.url}/{name}: came with MD5 {found}, expected {expected}")
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == [f"{IDX_NAMES[0]}.gz"]


def test_another_size_is_refused_before_it_comes(web: Web, mnist: dict[str, bytes], tmp_path: Path) -> None:
    web.files[f"/{IDX_NAMES[0]}.gz"] += b"x"
    size = len(mnist[f"{IDX_NAMES[0]}.gz"])
    assert f"has {size + 1:,} bytes, expected {size:,}; it is another file by now" in refused("mnist", tmp_path)
    assert list((tmp_path / "mnist").iterdir()) == []


@pytest.mark.parametrize("code, text", [(404, "404 Not Found"), (403, "403 Forbidden")])
def test_a_file_that_has_gone(web: Web, mnist: dict[str, bytes], tmp_path: Path, code: int, text: str) -> None:
    web.status = [code]
    message = refused("mnist", tmp_path)
    assert message == f"{web.url}/{IDX_NAMES[0]}.gz: the server answers {text}; it may have moved, get the file by hand"
    assert len(web.asked) == 1


def test_a_busy_server_is_asked_again(
    web: Web, mnist: dict[str, bytes], tmp_path: Path, no_waiting: list[float]
) -> None:
    web.status = [503, 429, 500]
    get("mnist", tmp_path)
    assert no_waiting == [2.0, 4.0, 8.0]
    web.status = [503] * 5
    shutil.rmtree(tmp_path / "mnist")
    assert "the server answers 503 Service Unavailable, after 0 bytes, 5 times" in refused("mnist", tmp_path)


def test_no_server(tmp_path: Path, publish: Callable[..., None], web: Web) -> None:
    publish("mnist", {"a": b"a"}, url="http://127.0.0.1:9/a")
    assert "the server cannot be reached (Connection refused), after 0 bytes, 5 times" in refused("mnist", tmp_path)


def test_no_room(web: Web, mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 990, 10))  # type: ignore[attr-defined]
    message = refused("mnist", tmp_path)
    assert message.startswith(f"{tmp_path / 'mnist'}: has room for 10 bytes, {IDX_NAMES[0]}.gz needs ")


def test_a_disk_that_fills_up(
    web: Web, mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(answer: Any, out: Any, start: int, total: int | None, progress: Progress, most: int) -> None:
        out.write(answer.read(100))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch, "_copy", full)
    message = refused("mnist", tmp_path)
    assert "cannot be written: No space left on device; make room, and run it again: what is there is kept" in message
    assert (tmp_path / "mnist" / f"{IDX_NAMES[0]}.gz.part").stat().st_size == 100


def test_a_root_that_is_no_folder(mnist: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    message = refused("mnist", tmp_path / "file")
    assert str(tmp_path / "file") in message and "choose another --root" in message


def test_a_file_of_the_user_is_not_written_over(mnist: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    path = tmp_path / "mnist" / f"{IDX_NAMES[0]}.gz"
    path.write_bytes(b"mine")
    message = refused("mnist", tmp_path)
    assert message.startswith(f"{path}: is there, but is not ") and "remove it, or name another --root" in message
    assert path.read_bytes() == b"mine"


def test_what_cannot_be_downloaded_says_how_it_is_got(tmp_path: Path) -> None:
    message = refused("flickr_logos32", tmp_path)
    assert message.startswith("FlickrLogos-32: cannot be downloaded just like that. Ask its makers for it")
    assert not (tmp_path / "flickr_logos32").exists()


@pytest.mark.parametrize("extra", [False, True])
def test_optional_files_come_only_if_they_are_asked_for(
    web: Web, publish: Callable[..., None], tmp_path: Path, extra: bool
) -> None:
    contents = {f"{part}_32x32.mat": part.encode() for part in ("train", "test", "extra")}
    publish("svhn", contents)
    path = share("datasets") / "svhn" / "dataset.yaml"
    values = yaml.safe_load(path.read_text())
    values["downloads"][2]["option"] = ["extra", True]
    path.write_text(yaml.safe_dump(values))
    get("svhn", tmp_path, options={"extra": extra})
    names = {path.name for path in (tmp_path / "svhn").iterdir()}
    assert names == set(contents) - (set() if extra else {"extra_32x32.mat"})


# Archives


def tar(members: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    """Returns an archive of files, and of further members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return stream.getvalue()


def packed(folder: Path, as_zip: bool = False, only: str = "") -> bytes:
    """Returns an archive of all files in a folder, or of those whose path begins with something."""
    names = {path.relative_to(folder.parent).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    members = {name: path.read_bytes() for name, path in names.items() if name.startswith(only)}
    if not as_zip:
        return tar(members)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_a_tar_archive(web: Web, publish: Callable[..., None], tmp_path: Path) -> None:
    write_cifar10(tmp_path / "original" / "cifar-10-batches-py", python=True)
    archive = packed(tmp_path / "original" / "cifar-10-batches-py")
    publish("cifar10", {"cifar-10-python.tar.gz": archive}, unpack=True)
    found = get("cifar10", tmp_path / "sets")
    assert found["folder"] == str(tmp_path / "sets" / "cifar10" / "cifar-10-batches-py")
    assert [path.name for path in (tmp_path / "sets" / "cifar10").iterdir()] == ["cifar-10-batches-py"]
    assert len(load("cifar10", tmp_path / "sets").x_test) == 7
    web.asked.clear()
    assert get("cifar10", tmp_path / "sets")["bytes"] == 0
    assert web.asked == []


def test_archives_that_share_a_folder(publish: Callable[..., None], tmp_path: Path) -> None:
    folder = tmp_path / "GTSRB"
    write_gtsrb(folder)
    (folder / "GT-final_test.csv").rename(tmp_path / "GT-final_test.csv")
    table = io.BytesIO()
    with zipfile.ZipFile(table, "w") as archive:
        archive.write(tmp_path / "GT-final_test.csv", "GT-final_test.csv")
    contents = {
        "GTSRB_Final_Training_Images.zip": packed(folder, True, "GTSRB/Final_Training"),
        "GTSRB_Final_Test_Images.zip": packed(folder, True, "GTSRB/Final_Test"),
        "GTSRB_Final_Test_GT.zip": table.getvalue(),
    }
    publish("gtsrb", contents, unpack=True)
    get("gtsrb", tmp_path / "sets")
    assert sorted(path.name for path in (tmp_path / "sets" / "gtsrb").iterdir()) == ["GT-final_test.csv", "GTSRB"]
    data = load("gtsrb", tmp_path / "sets")
    np.testing.assert_array_equal(data.x_train, load("gtsrb", folder.parent).x_train)


def member(name: str, **changes: Any) -> tarfile.TarInfo:
    """Returns a member of an archive that is no plain file."""
    info = tarfile.TarInfo(name)
    for key, value in changes.items():
        setattr(info, key, value)
    return info


HOSTILE = {
    "up": tar({"../escaped": b"x"}),
    "link": tar({}, member("link", type=tarfile.SYMTYPE, linkname="../../escaped")),
    "hard link": tar({}, member("link", type=tarfile.LNKTYPE, linkname="../../escaped")),
    "device": tar({}, member("null", type=tarfile.CHRTYPE)),
    "cut": packed(Path(__file__).parent, only="data/test_s")[:-50],
    "cut in half": (half := packed(Path(__file__).parent, only="data/test_s"))[: len(half) // 2],
    "cut in its checksum": half[:-2],
    "altered": half[:-8] + b"altered!",
    "no archive": b"x" * 1000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_and_damaged_tar_archives(publish: Callable[..., None], tmp_path: Path, kind: str) -> None:
    publish("cifar10", {"a.tar.gz": HOSTILE[kind]}, unpack=True)
    message = refused("cifar10", tmp_path / "sets")
    assert message.startswith(f"{tmp_path / 'sets' / 'cifar10' / 'a.tar.gz'}: cannot be unpacked: "), message
    assert [path.name for path in (tmp_path / "sets" / "cifar10").iterdir()] == ["a.tar.gz"]
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "a/../../escaped", "..\\escaped"])
def test_hostile_zip_archives(publish: Callable[..., None], tmp_path: Path, name: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    publish("gtsrb", {"a.zip": stream.getvalue()}, unpack=True)
    assert "which leads out of its folder" in refused("gtsrb", tmp_path / "sets")
    assert not list(tmp_path.rglob("*escaped"))


def test_a_zip_archive_with_a_link_and_a_damaged_one(publish: Callable[..., None], tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "../../escaped")
    publish("gtsrb", {"a.zip": stream.getvalue()}, unpack=True)
    assert "which leads out of its folder" in refused("gtsrb", tmp_path / "one")
    publish("gtsrb", {"a.zip": stream.getvalue()[:-30]}, unpack=True)
    assert "cannot be unpacked: File is not a zip file; remove it" in refused("gtsrb", tmp_path / "two")


def test_what_killed_runs_left_of_unpacking_is_removed(
    publish: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch.os, "getpid", lambda: 1)
    write_cifar10(tmp_path / "original" / "cifar-10-batches-py", python=True)
    publish("cifar10", {"a.tar.gz": packed(tmp_path / "original" / "cifar-10-batches-py")}, unpack=True)
    for number in (1, 7):
        left = tmp_path / "sets" / "cifar10" / f".unpacking.{number}.tmp"
        (left / "cifar-10-batches-py").mkdir(parents=True)
        (left / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"half")
    get("cifar10", tmp_path / "sets")
    assert os.listdir(tmp_path / "sets" / "cifar10") == ["cifar-10-batches-py"]
    left.mkdir()
    assert get("cifar10", tmp_path / "sets")["bytes"] == 0
    assert os.listdir(tmp_path / "sets" / "cifar10") == ["cifar-10-batches-py"]


def test_an_interrupt_while_unpacking_leaves_the_archive(
    publish: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar10(tmp_path / "original" / "cifar-10-batches-py", python=True)
    publish("cifar10", {"a.tar.gz": packed(tmp_path / "original" / "cifar-10-batches-py")}, unpack=True)

    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_merge", interrupt)
        with pytest.raises(KeyboardInterrupt):
            get("cifar10", tmp_path / "sets")
    assert os.listdir(tmp_path / "sets" / "cifar10") == ["a.tar.gz"]
    assert get("cifar10", tmp_path / "sets")["bytes"] == 0
    assert os.listdir(tmp_path / "sets" / "cifar10") == ["cifar-10-batches-py"]
