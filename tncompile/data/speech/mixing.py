"""Speech in noise: which noise, how loud, and which of its frames are speech."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int16

from tncompile.errors import ArtifactError

RATIOS = (-5, 0, 5, 10, 15, 20)
"""Ratios of speech to noise that occur, each as often as the others [dB]."""

LEVELS = (-36.0, -20.0)
"""Least and greatest level of a mixture [dB relative to a full-scale square wave]."""

MARGIN_S = 0.08
"""Noise alone before and behind speech, beside a quarter to three quarters of the speech's length [s]."""


class Noise(NamedTuple):
    """A recording of noise.

    Attributes:
        name: of the recording.
        samples: at the rate of the speech.
    """

    name: str
    samples: Float[np.ndarray, " n"]


class Mixture(NamedTuple):
    """Speech in noise.

    Attributes:
        samples: 16-bit samples [LSB].
        speech: whether each is speech.
        noise: name of the noise.
        ratio: of speech to noise [dB].
    """

    samples: Int16[np.ndarray, " n"]
    speech: Bool[np.ndarray, " n"]
    noise: str
    ratio: int


def chance(name: str, what: str) -> float:
    """Returns a number in [0, 1) that depends on nothing but its arguments, in any version of any library."""
    return int.from_bytes(hashlib.sha256(f"{name}/{what}".encode()).digest()[:6], "big") / 2**48


def mix(
    name: str,
    speech: Float[np.ndarray, " n"],
    active: Bool[np.ndarray, " n"],
    noises: list[Noise],
    rate: int,
) -> Mixture:
    """Returns an utterance in noise, between two stretches of the noise alone.

    Everything is drawn by `chance` from the utterance's name: the noise and where in it to begin (it is repeated if it
    is too short), one of `RATIOS`, the lengths of the two stretches, and one level in `LEVELS`, so that loudness alone
    says nothing. The ratio is that of the mean power of the samples of speech to the mean power of the whole
    noise. Last, an uncorrelated ±½ or ±1½ LSB is added, the noise floor of a recorder, so that no sound is
    quite silent.

    Args:
        name: of the utterance.
        speech: the utterance.
        active: which of its samples are speech.
        noises: to choose from.
        rate: samples a second [Hz].

    Raises:
        ArtifactError: the speech or the noise is silent.
    """
    noise = noises[int(chance(name, "noise") * len(noises))]
    ratio = RATIOS[int(chance(name, "ratio") * len(RATIOS))]
    before, behind = (
        int(rate * MARGIN_S + (0.25 + 0.5 * chance(name, side)) * active.sum()) for side in ("before", "behind")
    )
    padded = np.pad(speech.astype(np.float64), (before, behind))
    start = int(chance(name, "start") * len(noise.samples))
    bed = np.take(noise.samples.astype(np.float64), np.arange(start, start + len(padded)), mode="wrap")
    power = _power(name, speech[active])
    gain = np.sqrt(power / _power(noise.name, noise.samples) / 10 ** (ratio / 10))
    mixture = padded + gain * bed
    level = LEVELS[0] + (LEVELS[1] - LEVELS[0]) * chance(name, "level")
    mixture *= 32768 * 10 ** (level / 20) / np.sqrt(_power(name, mixture))
    return Mixture(
        np.clip(np.rint(mixture + _floor(name, len(mixture))), -32768, 32767).astype(np.int16),
        np.pad(active, (before, behind)),
        noise.name,
        ratio,
    )


def _power(name: str, samples: Float[np.ndarray, " n"]) -> float:
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    if power == 0:
        raise ArtifactError(f"{name}: is silent, expected sound; take the file away or get it again")
    return power


def _floor(name: str, count: int) -> Float64[np.ndarray, " {count}"]:
    # Raw bits of a counter-based generator: NumPy promises their stream, unlike that of its distributions.
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
    bits = np.random.Philox(key=key).random_raw(-(-count // 32))
    pairs = np.unpackbits(bits.view(np.uint8)).reshape(-1, 2)[:count]
    return pairs @ np.array([2.0, 1.0]) - 1.5
