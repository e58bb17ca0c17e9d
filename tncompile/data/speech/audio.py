"""Sound files as 16-bit samples: RIFF WAVE and NIST SPHERE, told apart by their first bytes, not their names."""

from __future__ import annotations

import io
import struct
import warnings
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int16

from tncompile.data.speech.sphere import MAGIC, RATES, parse_sphere
from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes


class Audio(NamedTuple):
    """One channel of sound.

    Attributes:
        samples: 16-bit samples [LSB].
        rate: samples a second [Hz].
    """

    samples: Int16[np.ndarray, " samples"]
    rate: int


def read_audio(path: Path, rate: int | None = None) -> Audio:
    """Returns the sound in a RIFF WAVE or NIST SPHERE file of one channel of 16-bit (RIFF: or 8-bit) PCM.

    Args:
        path: the file.
        rate: the rate that it must have [Hz]; None takes any.

    Raises:
        ArtifactError: the file is of another format, truncated, has other channels, samples or another rate, or one
            beyond all recordings.
    """
    data = read_bytes(path)
    if data.startswith(MAGIC):
        audio = Audio(*parse_sphere(path, data))
    elif data.startswith(b"RIFF"):
        audio = _parse_riff(path, data)
    else:
        raise ArtifactError(
            f"{path}: starts with {data[:8]!r}, expected 'NIST_1A' (SPHERE) or 'RIFF' (WAVE); convert it to 16-bit "
            "PCM, or get the file again"
        )
    if rate is not None and audio.rate != rate:
        raise ArtifactError(f"{path}: has {audio.rate} samples a second, expected {rate}; get the original file")
    return audio


def check_rate(path: Path, rate: int) -> None:
    """Refuses a rate that no recording has.

    Raises:
        ArtifactError: it is such a rate.
    """
    lowest, highest = RATES
    if not lowest <= rate <= highest:
        raise ArtifactError(
            f"{path}: says that it has {rate} samples a second, expected {lowest} to {highest}; get the file again, or "
            "convert it"
        )


def _parse_riff(path: Path, data: bytes) -> Audio:
    from scipy.io import wavfile

    missing = _missing_riff(data)
    if missing:
        raise ArtifactError(f"{path}: is truncated: {missing} bytes are missing; get the file again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks with remarks, of no interest
            rate, samples = wavfile.read(io.BytesIO(data))
    except Exception as error:  # SciPy raises ValueError, struct.error, KeyError and others on damaged files
        raise ArtifactError(f"{path}: is no RIFF WAVE file that can be read: {error}; get the file again") from error
    if samples.ndim != 1:
        raise ArtifactError(f"{path}: has {samples.shape[-1]} channels, expected 1; mix it down to one")
    if samples.dtype == np.uint8:  # WAVE stores up to 8 bits without sign
        samples = (samples.astype(np.int16) - 128) << 8
    if samples.dtype != np.int16:
        raise ArtifactError(f"{path}: has samples of type {samples.dtype}, expected 8- or 16-bit PCM; convert it")
    check_rate(path, int(rate))
    return Audio(samples.astype(np.int16), int(rate))


def _missing_riff(data: bytes) -> int:
    """Returns by how many bytes the file is shorter than its `data` chunk says, which SciPy only warns of."""
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"data":
            return max(0, at + 8 + size - len(data))
        at += 8 + size + size % 2
    return max(0, at - len(data))


def resample(samples: Float[np.ndarray, " n"], rate: int, to: int) -> Float[np.ndarray, " m"]:
    """Returns a sound at another rate, by a polyphase filter with a Kaiser window.

    The result has ⌈n · to / rate⌉ samples; sample k of it is at the time of sample k · rate / to.

    References:
        `scipy.signal.resample_poly`.
    """
    if rate == to:
        return samples
    from scipy.signal import resample_poly

    common = gcd(rate, to)
    return resample_poly(samples, to // common, rate // common)
