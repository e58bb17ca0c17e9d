"""Phone labels of TIMIT: the 61 of its transcriptions, the 39 that results are given in, and `.PHN` files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64

from tncompile.errors import ArtifactError
from tncompile.ir.io import read_bytes

_VOWELS = "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h"
_STOPS = "jh ch b d g p t k dx q"
_CLOSURES = "bcl dcl gcl pcl tcl kcl"
_OTHERS = "s sh z zh f th v dh m n ng em en eng nx l r w y hh hv el"
_SILENCES = "pau epi h#"

PHONES = tuple(f"{_VOWELS} {_STOPS} {_CLOSURES} {_OTHERS} {_SILENCES}".split())
"""The 61 labels of TIMIT's transcriptions."""

PAUSES = ("h#", "pau", "sil")
"""Labels of silence at the ends of an utterance and between its words, and of all silence in folded transcriptions."""

DROPPED = -1
"""Class of the glottal stop q, which belongs to none of the 39."""

_FOLD = {
    "ao": "aa",
    "ax": "ah",
    "ax-h": "ah",
    "axr": "er",
    "el": "l",
    "em": "m",
    "en": "n",
    "eng": "ng",
    "hv": "hh",
    "ix": "ih",
    "nx": "n",
    "ux": "uw",
    "zh": "sh",
    **dict.fromkeys(f"{_CLOSURES} {_SILENCES}".split(), "sil"),
}

FOLDED = tuple(sorted({_FOLD.get(phone, phone) for phone in PHONES} - {"q"}))
"""The 39 classes, in alphabetical order."""

CLASSES: dict[str, int] = {
    phone: DROPPED if phone == "q" else FOLDED.index(_FOLD.get(phone, phone)) for phone in (*PHONES, "sil")
}
"""Class of each label in 0 … 38, q `DROPPED`; `sil`, which folded transcriptions have, is one more label.

References:
    K.-F. Lee, H.-W. Hon 1989, "Speaker-independent phone recognition using hidden Markov models", IEEE Trans. ASSP
    37(11), table II, as folded in later work: its 48 classes, with the pairs that it does not count as confusions.
"""


MAX_UNLABELLED = 16000
"""Most samples at the end of a sound that a whole transcription may leave without a label, 1 s in TIMIT."""

ROUNDING = 400
"""The same of a transcription that does not end with TIMIT's mark of an end, h#, and may have been cut at a line's end.

TIMIT's last ends lie on a grid of 80 samples, before the sound's end: 46,720 of 46,797 samples (FCJF0/SA1), 61,680 of
61,748 (FNLP0/SA1, in the corpus's readme.doc). This is five times as much, and less than a final silence takes.
"""


class Segments(NamedTuple):
    """Phones of one utterance, one behind the other without gaps.

    Attributes:
        begin: first sample of each.
        end: sample behind the last of each.
        phones: labels.
    """

    begin: Int64[np.ndarray, " segments"]
    end: Int64[np.ndarray, " segments"]
    phones: tuple[str, ...]

    @property
    def classes(self) -> Int32[np.ndarray, " segments"]:
        """Class of each, or `DROPPED`."""
        return np.array([CLASSES[phone] for phone in self.phones], np.int32)


def read_phn(path: Path, samples: int) -> Segments:
    """Returns the segments in a `.PHN` file: lines `begin end phone`, in samples, the end exclusive.

    The first segment begins with the sound. A last segment that ends behind the sound is cut there; what no segment
    covers has no label. TIMIT's transcriptions begin and end with h#; of one that does not, the end must be that of the
    sound, up to `ROUNDING`.

    Args:
        path: the file.
        samples: length of the sound that it describes.

    Raises:
        ArtifactError: a line is none of these, a label is unknown, segments overlap or leave a gap, they do not lie
            within the sound, or the first or last ones are missing.

    References:
        readme.doc on the corpus's disc: "beginning and ending silence regions are marked with h#".
    """
    begin, end, phones = [], [], []
    text = read_bytes(path).decode("latin-1")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 3 or not (words[0].isdecimal() and words[1].isdecimal()):
            raise ArtifactError(f"{path}:{number}: is {line!r}, expected 'begin end phone'; get the file again")
        phone = words[2].lower()
        if phone not in CLASSES:
            raise ArtifactError(
                f"{path}:{number}: has the label {words[2]!r}, expected one of TIMIT's 61 ({' '.join(PHONES)}); "
                "get the original transcription"
            )
        begin.append(int(words[0]))
        end.append(int(words[1]))
        phones.append(phone)
        if len(end) > 1 and begin[-1] != end[-2]:
            raise ArtifactError(
                f"{path}:{number}: begins at sample {begin[-1]}, expected {end[-2]}, where the segment before it ends; "
                "get the file again"
            )
        if begin[-1] >= end[-1]:
            raise ArtifactError(f"{path}:{number}: is {line!r}, expected an end behind its begin; get the file again")
        if len(begin) == 1 and begin[0] != 0:
            raise ArtifactError(
                f"{path}:{number}: begins at sample {begin[0]}, expected 0, where the sound begins; the lines before "
                "it are missing, get the file again"
            )
    if not phones:
        raise ArtifactError(f"{path}: has no segments, expected lines 'begin end phone'; get the file again")
    marked = len(phones) > 1 and phones[-1] == "h#"
    if begin[-1] >= samples or end[-1] < samples - (MAX_UNLABELLED if marked else ROUNDING):
        raise ArtifactError(
            f"{path}: its last segment is {phones[-1]}, {begin[-1]} … {end[-1]}, the sound has {samples} samples: one "
            "of the two is truncated, or of another utterance; get both files again"
        )
    end[-1] = min(end[-1], samples)
    return Segments(np.array(begin, np.int64), np.array(end, np.int64), tuple(phones))
