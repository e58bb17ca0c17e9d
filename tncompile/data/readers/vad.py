"""Voice activity: speech in noise, as images of windows that are speech or not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64, Num

from tncompile.data.files import files_in
from tncompile.data.parts import Part, Parts, Source
from tncompile.data.spec import front_end
from tncompile.data.speech.audio import read_audio, resample
from tncompile.data.speech.corpus import Recording, speech_in
from tncompile.data.speech.frames import as_images, collect, encode, fit_codes, frame_centres, windows
from tncompile.data.speech.mfcc import FrontEnd, mfcc
from tncompile.data.speech.mixing import Mixture, Noise, mix
from tncompile.data.speech.packs import Pack
from tncompile.data.speech.timit import find_timit
from tncompile.errors import ArtifactError

PARTS = ("train", "validation", "test")

STEP_MS = 50
"""From window to window [ms]."""

ONE_IN = 5
"""One of so many noises, and one of so many speakers where the data do not say, is for testing, one for validation."""

_DIGIT = re.compile(r"(\d_(\w+)_\d+)\.wav", re.IGNORECASE)
_PIECE = re.compile(r"(.*)_\d\d(?:\.wav)?", re.IGNORECASE)  # of a recording of noise that was cut up

T = TypeVar("T")


class Voice(NamedTuple):
    """An utterance that is read when it is wanted.

    Attributes:
        name: unique; everything random about its mixture follows from it.
        speaker: who said it.
        load: reads its samples, and which of them are speech.
    """

    name: str
    speaker: str
    load: Callable[[], tuple[Num[np.ndarray, " n"], Bool[np.ndarray, " n"]]]


class Heard(NamedTuple):
    """A mixture after the front end.

    Attributes:
        speaker: who speaks.
        frames: features.
        centres: the frames in the middle of its windows.
        classes: of the windows, 1 for speech.
    """

    speaker: str
    frames: Float32[np.ndarray, "frames orders coefficients"]
    centres: Int64[np.ndarray, " n"]
    classes: Int32[np.ndarray, " n"]


def read_vad_timit(source: Source) -> Parts:
    """Returns TIMIT in noise; the layout is the folders TRAIN, TEST and that of the noises.

    Speakers are those of TIMIT's training part, development set and core test set.
    """
    corpus = find_timit(source.path(0), source.path(1), "core")

    def voice(load: Callable[[], Recording]) -> tuple[Num[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        samples, segments = load()
        return samples, speech_in(segments, len(samples))

    voices = {part: [Voice(u.name, u.speaker, partial(voice, u.load)) for u in getattr(corpus, part)] for part in PARTS}
    return _mixed(source, voices, corpus.rate, read_noises(source.path(2), front_end(source.spec).rate))


def read_vad_digits(source: Source) -> Parts:
    """Returns spoken digits in noise; the layout is the folders of the digits and of the noises.

    The digits are the folder `recordings` of the Free Spoken Digit Dataset; its speakers are dealt to the parts
    (`deal`). A recording is cut close to the digit, so all of it counts as speech.
    """
    folder = source.path(0)
    found = {path: _DIGIT.fullmatch(path.name) for path in files_in(folder)}
    matches = {path: match for path, match in found.items() if match}
    if not matches:
        raise ArtifactError(f"{folder}: holds no recordings, expected 0_george_0.wav and so on; check data.root")
    rate = front_end(source.spec).rate

    def load(path: Path) -> tuple[Num[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        audio = read_audio(path)
        samples = resample(audio.samples.astype(np.float32), audio.rate, rate)
        return samples, np.ones(len(samples), bool)

    voices = [Voice(match[1], match[2], partial(load, path)) for path, match in matches.items()]
    return _mixed(source, _by_speaker(voices, folder), rate, read_noises(source.path(1), rate))


def read_vad_pack(source: Source) -> Parts:
    """Returns the spoken digits and noises of one .npz file, mixed.

    Sound k is file `file[k]`, by speaker or of kind `source[k]`, and speech where `is_speech[k]`. Pieces of a recording
    of noise that was cut up, NAME_00, NAME_01 and so on, stay together. The file's own split is not used: it has
    each speaker, and pieces of the same recordings, in both parts.
    """
    path = source.path(0)
    pack = Pack(path, ("is_speech", "source", "file"))
    rate = front_end(source.spec).rate
    speech, files = pack.arrays["is_speech"].astype(bool), [str(name) for name in pack.arrays["file"]]

    def sound(index: int) -> Num[np.ndarray, " n"]:
        return resample(pack.sound(index).astype(np.float32), pack.rate, rate)

    def load(index: int) -> tuple[Num[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        samples = sound(index)
        return samples, np.ones(len(samples), bool)

    voices = [
        Voice(files[i].removesuffix(".wav"), str(pack.arrays["source"][i]), partial(load, int(i)))
        for i in np.flatnonzero(speech)
    ]
    noises = whole_noises((files[i], sound(int(i))) for i in np.flatnonzero(~speech))
    return _mixed(source, _by_speaker(voices, path), rate, _checked_noises(noises, path))


def whole_noises(sounds: Iterable[tuple[str, Num[np.ndarray, " _"]]]) -> list[Noise]:
    """Returns recordings of noise; pieces of one that was cut up, NAME_00, NAME_01 and so on, are one again.

    They would otherwise be in several parts of the data set.

    Args:
        sounds: names, with .wav behind them or not, and samples, pieces in their order.
    """
    pieces: dict[str, list[np.ndarray]] = {}
    for name, samples in sounds:
        match = _PIECE.fullmatch(name)
        pieces.setdefault(match[1] if match else name, []).append(samples)
    return [Noise(name, np.concatenate(samples)) for name, samples in pieces.items()]


def read_noises(folder: Path, rate: int) -> list[Noise]:
    """Returns the recordings in a folder and those below it, `.wav` in any case, each at a rate and only once.

    Pieces of a recording in the same folder are one (`whole_noises`).

    Raises:
        ArtifactError: there are too few for three parts, or one cannot be read.
    """
    out, seen = [], set()
    for path in files_in(folder):
        if path.suffix.lower() != ".wav":
            continue
        audio = read_audio(path)
        digest = hashlib.sha256(audio.samples.tobytes()).digest()
        if digest in seen:
            continue  # collections of noises hold copies, which would be in two parts
        seen.add(digest)
        samples = resample(audio.samples.astype(np.float32), audio.rate, rate)
        out.append((path.relative_to(folder).as_posix(), samples))
    return _checked_noises(whole_noises(out), folder)


def deal(items: Iterable[T], name: Callable[[T], str]) -> dict[str, list[T]]:
    """Returns items by part: in the order of the SHA-256 of their names, first those for testing, then for validation.

    Of n items, round(n / `ONE_IN`) but at least one are for testing, as many for validation, all others for training.
    """
    order = sorted(items, key=lambda item: hashlib.sha256(name(item).encode()).digest())
    count = max(1, round(len(order) / ONE_IN))
    return {"test": order[:count], "validation": order[count : 2 * count], "train": order[2 * count :]}


def mixtures(voices: list[Voice], rate: int, noises: list[Noise], front: FrontEnd) -> Iterator[tuple[Voice, Mixture]]:
    """Yields the utterances of a part, each in noise at the front end's rate.

    Args:
        voices: the utterances.
        rate: of their samples [Hz].
        noises: the part's, at the front end's rate.
        front: the front end.
    """
    for voice in voices:
        samples, active = voice.load()
        sound = resample(samples.astype(np.float32), rate, front.rate)
        at = np.arange(len(sound)) * rate // front.rate
        yield voice, mix(voice.name, sound, active[np.minimum(at, len(active) - 1)], noises, front.rate)


def _checked_noises(noises: list[Noise], where: Path) -> list[Noise]:
    if len(noises) < len(PARTS):
        raise ArtifactError(
            f"{where}: holds {len(noises)} different recordings of noise, expected at least {len(PARTS)} .wav files, "
            "so that training, validation and test have each their own; NAME_00.wav, NAME_01.wav and so on count as "
            "pieces of one"
        )
    for noise in noises:
        if not noise.samples.any():
            raise ArtifactError(f"{where}: the noise {noise.name} is silent; take it away")
    return noises


def _by_speaker(voices: list[Voice], where: Path) -> dict[str, list[Voice]]:
    """Returns utterances by part, those of a speaker in one."""
    speakers = deal({voice.speaker for voice in voices}, str)
    if not all(speakers.values()):
        raise ArtifactError(f"{where}: has {sum(map(len, speakers.values()))} speakers, expected at least {len(PARTS)}")
    return {part: [voice for voice in voices if voice.speaker in names] for part, names in speakers.items()}


def _mixed(source: Source, voices: dict[str, list[Voice]], rate: int, noises: list[Noise]) -> Parts:
    """Returns windows of mixtures, in codes that fit the training part; whole parts, as those of phones."""
    front = front_end(source.spec)
    length, height, channels = source.spec.in_shape
    dealt = deal(noises, lambda noise: noise.name)
    total = sum(map(len, voices.values()))
    heard: dict[str, list[Heard]] = {}
    for name in PARTS:
        heard[name] = []
        for voice, mixture in mixtures(voices[name], rate, dealt[name], front):
            source.progress(sum(map(len, heard.values())), total)
            heard[name].append(hear(voice.speaker, mixture, front, length))
    source.progress(total, total)
    codes = fit_codes(np.concatenate([each.frames for each in heard["train"]]), front.deviations)

    def part(name: str) -> Part:
        each = heard[name]
        x, y, owner = collect(
            [one.classes for one in each],
            lambda i: as_images(windows(encode(each[i].frames, codes), each[i].centres, length), channels),
            (height, length, channels),
        )
        return Part(x=x, y=y, group=np.array([one.speaker for one in each])[owner], source=str(source.folder))

    return Parts(
        train=part("train"), validation=part("validation") if voices["validation"] else None, test=part("test")
    )


def hear(speaker: str, mixture: Mixture, front: FrontEnd, length: int) -> Heard:
    """Returns a mixture's windows that lie within it, one each `STEP_MS`; each is what its middle frame is."""
    frames = mfcc(mixture.samples, front)
    centres = np.arange(length // 2, len(frames) - (length - length // 2) + 1, max(1, STEP_MS // front.hop_ms))
    at = frame_centres(len(frames), float(front.hop))[centres].astype(np.int64)
    return Heard(speaker, frames, centres, mixture.speech[np.minimum(at, len(mixture.speech) - 1)].astype(np.int32))
