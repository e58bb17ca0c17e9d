"""Recorded utterances with the phones in them, whatever the files they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int16, Int32, Num

from tncompile.data.speech.phones import DROPPED, PAUSES, Segments


class Recording(NamedTuple):
    """The sound of an utterance, and what is said in it.

    Attributes:
        samples: 16-bit samples [LSB].
        segments: phones.
    """

    samples: Int16[np.ndarray, " n"]
    segments: Segments


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """An utterance that is read when it is wanted.

    Attributes:
        name: unique in its corpus.
        speaker: who said it.
        load: reads it.
    """

    name: str
    speaker: str
    load: Callable[[], Recording]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Utterances by part; no speaker is in two of them.

    Attributes:
        train, validation, test: the utterances; no validation if the corpus ships none.
        rate: samples a second [Hz].
        source: where they are from, for messages.
    """

    train: list[Utterance]
    validation: list[Utterance]
    test: list[Utterance]
    rate: int
    source: str


def classes_at(segments: Segments, times: Num[np.ndarray, " n"]) -> Int32[np.ndarray, " n"]:
    """Returns the class of the phone at each time, `DROPPED` where no phone is or one without a class.

    Args:
        segments: the phones.
        times: in samples.
    """
    index = np.searchsorted(segments.end, times, side="right")
    inside = np.minimum(index, len(segments.end) - 1)
    covered = (index < len(segments.end)) & (segments.begin[inside] <= times)
    return np.where(covered, segments.classes[inside], DROPPED).astype(np.int32)


def speech_in(segments: Segments, samples: int) -> Bool[np.ndarray, " {samples}"]:
    """Returns which samples of an utterance are speech: those of all phones but the silences before, behind and within.

    Closures of stops and the short silences (`epi`) that go with the articulation of a consonant are speech.
    """
    out = np.zeros(samples, bool)
    for begin, end, phone in zip(segments.begin, segments.end, segments.phones, strict=True):
        out[begin:end] = phone not in PAUSES
    return out
