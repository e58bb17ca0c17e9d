"""NIST SPHERE sound files, as TIMIT and other corpora of the time are distributed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int16

from tncompile.errors import ArtifactError

MAGIC = b"NIST_1A\n"
"""First line of a SPHERE file."""

RATES = (1_000, 192_000)
"""Lowest and highest rate of sound that is read [Hz]. A damaged header can say any, and resampling would believe it."""

_BYTE_ORDERS = {"01": "<i2", "10": ">i2"}


def parse_sphere(path: Path, data: bytes) -> tuple[Int16[np.ndarray, " samples"], int]:
    """Returns the samples and the rate [Hz] of a SPHERE file of one channel of uncompressed 16-bit PCM.

    The header is text: `NIST_1A`, its own size in bytes, then a line `name -type value` each (`-i` integer, `-r` real,
    `-sN` string of N bytes), and `end_head`; it is padded to its size. The samples follow in the byte order that
    `sample_byte_format` names: `01` least significant byte first, `10` most significant byte first.

    Args:
        path: for messages.
        data: the whole file.

    Raises:
        ArtifactError: it is no such file, is compressed, or is not as long as its header says.

    References:
        J. S. Garofolo et al. 1993, NISTIR 4930, "DARPA TIMIT acoustic-phonetic continuous speech corpus", and NIST's
        SPHERE software, document header.txt.
    """
    size, fields = _parse_header(path, data)
    coding = fields.get("sample_coding", "pcm")
    if coding != "pcm":
        advice = "uncompress it with NIST's w_decode or sph2pipe" if "shorten" in coding else "convert it to PCM"
        raise ArtifactError(f"{path}: its samples are coded as {coding!r}, expected pcm; {advice}")
    for name, expected in (("channel_count", 1), ("sample_n_bytes", 2)):
        found = _integer(path, fields, name)
        if found != expected:
            raise ArtifactError(f"{path}: its header says {name} {found}, expected {expected}; convert it")
    order = fields.get("sample_byte_format", "missing")
    if order not in _BYTE_ORDERS:
        raise ArtifactError(f"{path}: its header says sample_byte_format {order}, expected 01 or 10; get it again")
    count, rate = _integer(path, fields, "sample_count"), _integer(path, fields, "sample_rate")
    lowest, highest = RATES
    if not lowest <= rate <= highest:
        raise ArtifactError(
            f"{path}: its header says sample_rate {rate}, expected {lowest} to {highest}; get the file again"
        )
    if len(data) - size != 2 * count:
        raise ArtifactError(
            f"{path}: holds {len(data) - size} bytes of samples, expected {2 * count} for the {count} samples of its "
            "header; get the file again"
        )
    return np.frombuffer(data, _BYTE_ORDERS[order], offset=size).astype(np.int16), rate


def _parse_header(path: Path, data: bytes) -> tuple[int, dict[str, str]]:
    """Returns the header's size [B] and its fields, values as text."""
    line = data[len(MAGIC) : len(MAGIC) + 8]
    if not data.startswith(MAGIC) or not line.strip().isdigit():
        raise ArtifactError(f"{path}: is no SPHERE file: starts with {data[:16]!r}, expected 'NIST_1A' and a size")
    size = int(line)
    text = data[len(MAGIC) + len(line) : size].decode("latin-1")
    head, end, _ = text.partition("end_head")
    if len(data) < size or not end:
        raise ArtifactError(f"{path}: its SPHERE header is truncated, expected {size} bytes and 'end_head'")
    fields = {}
    for row in head.splitlines():
        words = row.split(maxsplit=2)
        if not words or row.startswith(";"):
            continue
        if len(words) != 3 or words[1][:2] not in ("-i", "-r", "-s"):
            raise ArtifactError(f"{path}: its SPHERE header has the line {row!r}, expected 'name -type value'")
        fields[words[0]] = words[2].strip()
    return size, fields


def _integer(path: Path, fields: dict[str, str], name: str) -> int:
    value = fields.get(name, "missing")
    try:
        return int(value)
    except ValueError as error:
        raise ArtifactError(
            f"{path}: its header says {name} {value}, expected an integer; get the file again"
        ) from error
