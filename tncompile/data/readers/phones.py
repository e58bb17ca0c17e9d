"""Phones of TIMIT, and of sets like it, as images: one a segment, or one a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from tncompile.data.parts import Part, Parts, Source
from tncompile.data.spec import front_end
from tncompile.data.speech.audio import resample
from tncompile.data.speech.corpus import Corpus, Utterance, classes_at
from tncompile.data.speech.frames import (
    Codes,
    as_images,
    at_times,
    collect,
    encode,
    fit_codes,
    frame_centres,
    segment_times,
    windows,
)
from tncompile.data.speech.mfcc import mfcc
from tncompile.data.speech.packs import read_phone_pack
from tncompile.data.speech.phones import Segments
from tncompile.data.speech.timit import find_timit


class Heard(NamedTuple):
    """An utterance after the front end.

    Attributes:
        speaker: who said it.
        frames: features.
        segments: phones.
        hop: step from frame to frame, in the samples in which the segments are counted.
    """

    speaker: str
    frames: Float32[np.ndarray, "frames orders coefficients"]
    segments: Segments
    hop: float


class Task(NamedTuple):
    """What of an utterance is an image.

    Attributes:
        classes: class of each image, or `DROPPED`.
        images: the images, of so many samples each.
    """

    classes: Callable[[Heard], Int32[np.ndarray, " n"]]
    images: Callable[[Heard, Codes, int], UInt8[np.ndarray, "n times orders coefficients"]]


def _segment_images(heard: Heard, codes: Codes, length: int) -> UInt8[np.ndarray, "n times orders coefficients"]:
    times = segment_times(heard.segments.begin, heard.segments.end, heard.hop, length)
    return encode(at_times(heard.frames, times, heard.hop), codes)


def _frame_classes(heard: Heard) -> Int32[np.ndarray, " n"]:
    return classes_at(heard.segments, frame_centres(len(heard.frames), heard.hop))


def _frame_images(heard: Heard, codes: Codes, length: int) -> UInt8[np.ndarray, "n times orders coefficients"]:
    return windows(encode(heard.frames, codes), np.arange(len(heard.frames)), length)


SEGMENTS = Task(lambda heard: heard.segments.classes, _segment_images)
"""An image is a segment between given bounds, sampled at `frames.segment_times`."""

FRAMES = Task(_frame_classes, _frame_images)
"""An image is a frame with those around it; its class is that of the phone at the frame's centre."""


def read_timit_segments(source: Source) -> Parts:
    """Returns TIMIT's segments; the layout is the folders TRAIN and TEST, option `test_set` is that of `find_timit`."""
    return _parts(source, _timit(source), SEGMENTS)


def read_timit_frames(source: Source) -> Parts:
    """Returns TIMIT's frames, from the same files as `read_timit_segments`."""
    return _parts(source, _timit(source), FRAMES)


def read_phone_pack_segments(source: Source) -> Parts:
    """Returns the segments of a pack of phones (`read_phone_pack`)."""
    return _parts(source, read_phone_pack(source.path(0)), SEGMENTS)


def read_phone_pack_frames(source: Source) -> Parts:
    """Returns the frames of a pack of phones (`read_phone_pack`)."""
    return _parts(source, read_phone_pack(source.path(0)), FRAMES)


def _timit(source: Source) -> Corpus:
    return find_timit(source.path(0), source.path(1), source.options["test_set"])


def _parts(source: Source, corpus: Corpus, task: Task) -> Parts:
    """Returns the images of a corpus, in codes that fit its training part.

    Whole parts, whatever the limits: they would change the codes, and so the images.
    """
    heard = _hear(source, corpus)
    train = [next(heard) for _ in corpus.train]
    codes = fit_codes(np.concatenate([each.frames for each in train]), front_end(source.spec).deviations)

    def part(utterances: list[Heard]) -> Part:
        length, height, channels = source.spec.in_shape
        x, y, owner = collect(
            [task.classes(each) for each in utterances],
            lambda i: as_images(task.images(utterances[i], codes, length), channels),
            (height, length, channels),
        )
        return Part(x=x, y=y, group=np.array([each.speaker for each in utterances])[owner], source=corpus.source)

    validation = part([next(heard) for _ in corpus.validation]) if corpus.validation else None
    return Parts(train=part(train), validation=validation, test=part(list(heard)))


def _hear(source: Source, corpus: Corpus) -> Iterator[Heard]:
    """Yields training, validation and test utterances, in this order."""
    front = front_end(source.spec)
    utterances: list[Utterance] = [*corpus.train, *corpus.validation, *corpus.test]
    for done, utterance in enumerate(utterances):
        source.progress(done, len(utterances))
        samples, segments = utterance.load()
        sound = resample(samples.astype(np.float32), corpus.rate, front.rate)
        yield Heard(utterance.speaker, mfcc(sound, front), segments, front.hop * corpus.rate / front.rate)
    source.progress(len(utterances), len(utterances))
