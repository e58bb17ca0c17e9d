"""Downloads of data sets that anybody may get: resumed where they broke off, checked, and unpacked."""

from __future__ import annotations

import errno
import gzip
import hashlib
import http.client
import os
import re
import shutil
import stat
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import tncompile
from tncompile.config.data import DataConfig
from tncompile.data.files import download_folder, find_files
from tncompile.data.spec import Description, Download, chosen_options, load_description
from tncompile.errors import ArtifactError
from tncompile.reporter import Reporter

try:
    import fcntl
except ImportError:  # Windows: two that fetch the same at once are not kept apart there
    fcntl = None

CHUNK = 1 << 16
"""Bytes that are read at a time."""

TRIES = 5
"""A download is given up when it broke off so often without anything new in between."""

WAIT = 1.0
"""Before it is taken up again [s]; twice as long each time that brought nothing."""

TIMEOUT = 30.0
"""Longest silence of a server [s]."""

MAX_BYTES = 1 << 34
"""Most that is taken of a file of which neither its description nor the server says how long it is [B]."""

LOCK = ".fetching.lock"
"""In a data set's folder while somebody fetches it; one that a killed run left behind does no harm."""

UNPACKING = ".unpacking."
"""How folders begin in which archives are unpacked."""

Progress = Callable[[int, int | None], None]
"""Told how many bytes of how many are there; None: the server does not say."""


def fetch(config: DataConfig, reporter: Reporter) -> dict[str, Any]:
    """Downloads a data set into a folder of its own name, unpacks what is packed, and returns what is there.

    What breaks off is kept and taken up again, here or by the next call. Archives are removed once all are unpacked.
    Of several calls for the same folder at once, in whatever process, one does the work while the others wait.

    Args:
        config: the data set; its `root` is the folder of all data sets, by default the one that TNCOMPILE_DATA names,
            else one in the cache, where data sets are looked for as well.
        reporter: told about progress.

    Raises:
        ConfigError: the data set or an option is unknown.
        ArtifactError: it cannot be downloaded by anybody; a server does not answer, has no such file or another one; a
            file cannot be written.
    """
    begin = time.perf_counter()
    described = load_description(config.name)
    options = chosen_options(described, config)
    wanted = [file for file in described.downloads if file.option is None or options[file.option[0]] == file.option[1]]
    if not wanted:
        raise ArtifactError(f"{described.title}: cannot be downloaded just like that. {described.obtain}")
    root = Path(config.root).expanduser() if config.root is not None else download_folder()
    folder = root / described.name
    brought = 0
    with _writable(folder), _alone(folder, reporter) as alone:
        if alone:
            for left in folder.glob(f"{UNPACKING}*.tmp"):  # by a run that was killed
                shutil.rmtree(left, ignore_errors=True)
        if _is_there(described, root, folder):
            reporter.say(f"{described.title} is in {folder} already, unpacked")
            wanted = [file for file in wanted if not file.unpack]
        for file in wanted:
            brought += _fetched(file, folder, reporter)
        _unpack([folder / file.name for file in wanted if file.unpack], folder, reporter)
    found = find_files(described, DataConfig(name=config.name, root=str(root)))
    return {
        "name": described.name,
        "layout": found.name,
        "folder": str(found.folder),
        "bytes": brought,
        "seconds": time.perf_counter() - begin,
    }


def _is_there(described: Description, root: Path, folder: Path) -> bool:
    """Returns whether all files of some layout are in the data set's own folder."""
    try:
        found = find_files(described, DataConfig(name=described.name, root=str(root)))
    except ArtifactError:
        return False
    return found.folder.resolve().is_relative_to(folder.resolve())


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Turns what goes wrong with a folder into an error that names it."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "make room, and run it again: what is there is kept" if full else "choose another --root"
        raise ArtifactError(
            f"{error.filename or folder}: cannot be written: {error.strerror or error}; {hint}"
        ) from error


@contextmanager
def _alone(folder: Path, reporter: Reporter) -> Iterator[bool]:
    """Makes a folder if need be, and waits until nobody else fetches into it.

    Gives whether that is certain: not on systems without such locks, nor where no file can be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = _locked(folder, reporter)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            with suppress(OSError):
                (folder / LOCK).unlink()
            os.close(lock)


def _locked(folder: Path, reporter: Reporter) -> int | None:
    """Returns the descriptor of a file that this process alone has locked; None if there are no locks here."""
    if fcntl is None:
        return None
    path, waiting = folder / LOCK, False
    while True:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None  # what is there already can be used all the same, and writing anything says what is wrong
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waiting:
                    reporter.say(f"Another tncompile data fetch is under way in {folder}; waiting for it")
                    waiting = True
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            os.close(lock)
            with suppress(OSError):
                path.unlink()
            return None
        except BaseException:  # Ctrl-C
            os.close(lock)
            raise
        # Whoever had it has removed it since: then somebody else may hold a new one.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        os.close(lock)


def _fetched(file: Download, folder: Path, reporter: Reporter) -> int:
    """Brings one file; returns how many bytes came over the net."""
    path, part = folder / file.name, folder / f"{file.name}.part"
    if path.is_file():
        if _checksum(path, file) == (file.sha256 or file.md5):
            reporter.say(f"{file.name} is there already")
            return 0
        raise ArtifactError(
            f"{path}: is there, but is not {file.url}: its {_kind(file)} is {_checksum(path, file)}, expected "
            f"{file.sha256 or file.md5}; remove it, or name another --root"
        )
    reporter.say(f"Downloading {file.url}")
    begin, start = time.monotonic(), part.stat().st_size if part.is_file() else 0

    def progress(done: int, total: int | None) -> None:
        nonlocal start
        start = min(start, done)  # if the server can only begin anew
        rate = (done - start) / 1e6 / max(time.monotonic() - begin, 1e-3)
        megabytes, of_all = (max(round(size / 1e6), 1) for size in (done, total or done))
        reporter.progress(f"{file.name}, MB", megabytes, of_all, {"MB/s": rate})

    brought = _download(file, part, progress, reporter)
    found = _checksum(part, file)
    if found != (file.sha256 or file.md5):
        size = part.stat().st_size
        part.unlink()
        raise ArtifactError(
            f"{file.url}: came with {_kind(file)} {found}, expected {file.sha256 or file.md5} ({size:,} bytes"
            + (f", expected {file.bytes:,}" if file.bytes else "")
            + "); it was removed. Try again, or get the file from elsewhere"
        )
    os.replace(part, path)
    return brought


def _download(file: Download, part: Path, progress: Progress, reporter: Reporter) -> int:
    """Downloads a file, taking up what is there already; returns how many bytes came."""
    brought, idle = 0, 0
    furthest = _size(part)
    while True:
        try:
            return brought + _receive(file, part, _size(part), progress)
        except _BrokenOff as error:
            now = _size(part)
            brought += error.came
            idle = 0 if now > furthest else idle + 1
            furthest = max(furthest, now)
            if idle == TRIES:
                raise ArtifactError(
                    f"{file.url}: {error}, after {now:,} bytes, {TRIES} times; what came is kept, run it again to go on"
                ) from error
            reporter.say(f"{file.name}: {error}, after {now:,} bytes; trying again")
            time.sleep(WAIT * 2**idle)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


class _BrokenOff(Exception):
    """A download ended before its end, and may be taken up again.

    Attributes:
        came: bytes that came until then.
    """

    came = 0


class _TooLong(Exception):
    """A server sends more than the file has."""


def _receive(file: Download, part: Path, have: int, progress: Progress) -> int:
    """Receives a file from where it broke off, or from its start if the server cannot do that.

    Returns:
        How many bytes came.
    """
    headers = {"User-Agent": f"tncompile/{tncompile.__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        answer = urllib.request.urlopen(urllib.request.Request(file.url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is nothing behind what we have: it is whole, or of another file
            total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
            if total and int(total[1]) == have:
                return 0
            part.unlink()
            raise _BrokenOff("the server has less than came before") from error
        if error.code in (408, 429) or error.code >= 500:
            raise _BrokenOff(f"the server answers {error.code} {error.reason}") from error
        raise ArtifactError(
            f"{file.url}: the server answers {error.code} {error.reason}; it may have moved, get the file by hand"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise _BrokenOff(f"the server cannot be reached ({getattr(reason, 'strerror', None) or reason})") from error
    with answer:
        start, total = _extent(answer.status, answer.headers, have)
        if None not in (file.bytes, total) and file.bytes != total:
            raise ArtifactError(f"{file.url}: has {total:,} bytes, expected {file.bytes:,}; it is another file by now")
        size = file.bytes if total is None else total
        _check_room(part, file, None if size is None else size - start)
        most = MAX_BYTES if size is None else size
        try:
            with part.open("r+b" if start else "wb") as out:
                out.seek(start)
                out.truncate()
                try:
                    _copy(answer, out, start, total, progress, most)
                except _BrokenOff as error:
                    error.came = out.tell() - start
                    raise
                return out.tell() - start
        except _TooLong as error:
            part.unlink()
            says = (
                "the most that is taken of a file of unknown length" if size is None else "which is what the file has"
            )
            raise ArtifactError(
                f"{file.url}: the server sends more than {most:,} bytes, {says}; what came was removed. Try again, or "
                "get the file from elsewhere"
            ) from error


def _extent(status: int, headers: Any, have: int) -> tuple[int, int | None]:
    """Returns from which byte on the answer's content is, and the whole file's size if it is said."""
    if status == 206:
        extent = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if extent and int(extent[1]) == have:
            return have, None if extent[2] == "*" else int(extent[2])
        raise _BrokenOff("the server sends another part than was asked for")
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _check_room(part: Path, file: Download, needed: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed is not None and needed > free:
        raise ArtifactError(
            f"{part.parent}: has room for {free:,} bytes, {file.name} needs {needed:,} more; make room, or choose "
            "another --root"
        )


def _copy(answer: Any, out: Any, start: int, total: int | None, progress: Progress, most: int) -> None:
    done, told = start, 0.0
    while chunk := _read(answer):
        if done + len(chunk) > most:
            raise _TooLong
        out.write(chunk)
        done += len(chunk)
        if time.monotonic() - told >= 0.2:
            told = time.monotonic()
            progress(done, total)
    if total is not None and done < total:
        raise _BrokenOff("it broke off")
    progress(done, total)


def _read(answer: Any) -> bytes:
    """Returns the next bytes; what goes wrong on the net is told apart from what goes wrong on the disk."""
    try:
        return answer.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOff(f"it broke off ({error or type(error).__name__})") from error


def _kind(file: Download) -> str:
    return "SHA-256" if file.sha256 else "MD5"


def _checksum(path: Path, file: Download) -> str:
    digest = hashlib.sha256() if file.sha256 else hashlib.md5(usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _unpack(archives: list[Path], folder: Path, reporter: Reporter) -> None:
    """Unpacks archives into a folder and removes them; nothing appears in it before all are whole."""
    if not archives:
        return
    fresh = Path(tempfile.mkdtemp(dir=folder, prefix=UNPACKING, suffix=".tmp"))
    try:
        for archive in archives:
            reporter.say(f"Unpacking {archive.name}")
            try:
                _extract(archive, fresh)
            except (tarfile.TarError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise ArtifactError(f"{archive}: cannot be unpacked: {error}; remove it and get it again") from error
        _merge(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    for archive in archives:
        archive.unlink()


def _extract(archive: Path, folder: Path) -> None:
    """Unpacks an archive of which nothing may land outside the folder."""
    if archive.suffix != ".zip":
        with tarfile.open(archive) as file:
            for member in file:  # not extractall, whose filters Python has since 3.11.4 only
                path = PurePosixPath(member.name.replace("\\", "/"))
                content = file.extractfile(member) if member.isfile() else None
                if path.is_absolute() or ".." in path.parts or not (content or member.isdir()):
                    raise tarfile.TarError(f"it holds {member.name!r}, which is no plain file within its folder")
                (folder / path if content is None else (folder / path).parent).mkdir(parents=True, exist_ok=True)
                if content is not None:
                    with content, (folder / path).open("wb") as out:
                        shutil.copyfileobj(content, out)
            # tarfile ends with the archive's end mark, before the last of the compressed bytes and their checksum.
            while file.fileobj is not None and file.fileobj.read(CHUNK):
                pass
        return
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            path = PurePosixPath(member.filename.replace("\\", "/"))
            link = stat.S_ISLNK(member.external_attr >> 16)
            if path.is_absolute() or ".." in path.parts or link:
                raise ArtifactError(
                    f"{archive}: holds {member.filename!r}, which leads out of its folder; not unpacked"
                )
        file.extractall(folder)


def _merge(source: Path, target: Path) -> None:
    """Moves what is in one folder into another, into the folders that are there already."""
    for entry in source.iterdir():
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _merge(entry, place)
        else:
            os.replace(entry, place)
