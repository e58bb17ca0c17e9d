"""Recordings that somebody packed into one NumPy file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16, Int64

from tncompile.data.readers.arrays import array_headers, read_arrays
from tncompile.data.speech.audio import check_rate
from tncompile.data.speech.corpus import Corpus, Recording, Utterance
from tncompile.data.speech.phones import CLASSES, Segments
from tncompile.errors import ArtifactError


def _arrays(path: Path, what: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Returns arrays of a pack; whatever else is in the file is not unpacked."""
    there = array_headers(path)
    if missing := [name for name in names if name not in there]:
        raise ArtifactError(
            f"{path}: is not a pack of {what}: has no {missing[0]}, only {', '.join(there) or 'nothing'}; get the file "
            "again"
        )
    return read_arrays(path, names)


class Pack:
    """An .npz file of sounds in a row, as first differences.

    Attributes:
        path: the file.
        arrays: those that were asked for.
        samples: 16-bit samples of all sounds [LSB].
        bounds: first sample of each sound, and the sample behind the last one.
        rate: samples a second [Hz].
    """

    def __init__(self, path: Path, keys: tuple[str, ...]):
        """Reads a file.

        Sound k is samples `offsets[k]` to `offsets[k + 1]` of the sums, modulo 2¹⁶, over the differences
        `256 · diff_hi + diff_lo`.

        Args:
            path: the file.
            keys: arrays that it must have beside the sounds, one value a sound.

        Raises:
            ArtifactError: it is no such file, or its arrays do not go together.
        """
        self.path = path
        arrays = _arrays(path, "sounds", ("diff_hi", "diff_lo", "offsets", "sample_rate", *keys))
        try:
            high, low = arrays.pop("diff_hi"), arrays.pop("diff_lo")
            differences = (high.astype(np.uint16) << 8) | low
            self.samples: Int16[np.ndarray, " n"] = np.cumsum(differences.view(np.int16), dtype=np.int16)
            self.bounds: Int64[np.ndarray, " bounds"] = arrays.pop("offsets").astype(np.int64)
            self.rate = int(arrays.pop("sample_rate")[0])
            self.arrays = arrays
            lengths = {name: len(arrays[name]) for name in keys}
        except (ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise ArtifactError(f"{path}: is not a pack of sounds: {error}; get the file again") from error
        if self.bounds.ndim != 1 or len(self.bounds) < 2:
            raise ArtifactError(
                f"{path}: offsets has shape {list(self.bounds.shape)}, expected [n], at least 2, the bounds of one "
                "sound; get the file again"
            )
        steps = np.diff(self.bounds)
        ends = self.bounds[[0, -1]].tolist()
        if (
            ends != [0, len(self.samples)]
            or steps.min() <= 0
            or self.rate <= 0
            or set(lengths.values()) != {len(steps)}
        ):
            raise ArtifactError(
                f"{path}: has {len(self.samples)} samples at {self.rate} Hz in {len(steps)} sounds that end at "
                f"{ends[1]}, with {lengths}, which do not go together; get the file again"
            )

        check_rate(path, self.rate)

    def sound(self, index: int) -> Int16[np.ndarray, " n"]:
        """Returns the samples of a sound."""
        return self.samples[self.bounds[index] : self.bounds[index + 1]]


def read_phone_pack(path: Path) -> Corpus:
    """Returns the utterances of an .npz file with speakers, training and test parts, and phones.

    Segment k belongs to utterance `seg_utt[k]`, is its samples `seg_start[k]` to `seg_end[k]`, and is phone
    `phones[seg_phone[k]]`; those of an utterance tile it.

    Raises:
        ArtifactError: it is no such file, or its arrays do not go together.
    """
    pack = Pack(path, ("utt_id", "speaker", "is_test"))
    columns = ("seg_utt", "seg_start", "seg_end", "seg_phone")
    arrays = _arrays(path, "phones", (*columns, "phones"))
    try:
        owner, begin, end, phone = (arrays[name].astype(np.int64) for name in columns)
        phones = [str(phone) for phone in arrays["phones"]]
        unknown = sorted(set(phones) - set(CLASSES))
        if unknown:
            raise ValueError(f"phones {unknown} are not known")
        if (phone < 0).any() or (phone >= len(phones)).any():
            raise ValueError(f"seg_phone is in {phone.min()} … {phone.max()}, expected 0 … {len(phones) - 1}")
        if not (np.diff(owner) >= 0).all() or not np.array_equal(np.unique(owner), np.arange(len(pack.bounds) - 1)):
            raise ValueError("its segments are not in the order of its utterances")
        first = np.searchsorted(owner, np.arange(len(pack.bounds)))
        lengths = np.diff(pack.bounds)
        expected = np.concatenate([[0], end[:-1]])
        expected[first[:-1]] = 0
        if not np.array_equal(begin, expected) or (end <= begin).any() or (end[first[1:] - 1] != lengths).any():
            raise ValueError("its segments do not tile its utterances")
    except (ValueError, IndexError, TypeError) as error:
        raise ArtifactError(f"{path}: is not a pack of phones: {error}; get the file again") from error

    def load(index: int) -> Recording:
        rows = slice(first[index], first[index + 1])
        return Recording(pack.sound(index), Segments(begin[rows], end[rows], tuple(phones[p] for p in phone[rows])))

    utterances = [
        Utterance(name=str(name), speaker=str(speaker), load=partial(load, index))
        for index, (name, speaker) in enumerate(zip(pack.arrays["utt_id"], pack.arrays["speaker"], strict=True))
    ]
    test = pack.arrays["is_test"].astype(bool)
    return Corpus(
        train=[utterances[i] for i in np.flatnonzero(~test)],
        validation=[],
        test=[utterances[i] for i in np.flatnonzero(test)],
        rate=pack.rate,
        source=str(path),
    )
