"""The TIMIT corpus as the LDC distributes it, and copies of it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from tncompile.data.files import files_in
from tncompile.data.speech.audio import read_audio
from tncompile.data.speech.corpus import Corpus, Recording, Utterance
from tncompile.data.speech.phones import read_phn
from tncompile.errors import ArtifactError

RATE = 16000

_CORE = """
MDAB0 MWBT0 FELC0 MTAS1 MWEW0 FPAS0 MJMP0 MLNT0 FPKT0 MLLL0 MTLS0 FJLM0
MBPM0 MKLT0 FNLP0 MCMJ0 MJDH0 FMGD0 MGRT0 MNJM0 FDHC0 MJLN0 MPAM0 FMLD0
"""

_DEVELOPMENT = """
FAKS0 FDAC1 FJEM0 MGWT0 MJAR0 MMDB1 MMDM2 MPDF0 FCMH0 FKMS0 MBDG0 MBWM0 MCSH0
FADG0 FDMS0 FEDW0 MGJF0 MGLB0 MRTK0 MTAA0 MTDT0 MTHC0 MWJG0 FNMR0 FREW0 FSEM0
MBNS0 MMJR0 MDLS0 MDLF0 MDVC0 MERS0 FMAH0 FDRW0 MRCS0 MRJM4 FCAL1 MMWH0 FJSJ0
MAJC0 MJSW0 MREB0 FGJD0 FJMG0 MROA0 MTEB0 MJFC0 MRJR0 FMML0 MRWS1
"""

CORE_TEST = frozenset(_CORE.split())
"""The core test set: of each of the eight dialect regions two men and a woman, 192 utterances.

References:
    J. S. Garofolo et al. 1993, NISTIR 4930, and testset.doc on the corpus's disc.
"""

DEVELOPMENT = frozenset(_DEVELOPMENT.split())
"""50 other speakers of the test part, 400 utterances, on which results are commonly tuned.

References:
    A. K. Halberstadt 1998, "Heterogeneous acoustic measurements and multiple classifiers for speech recognition", PhD
    thesis, MIT, section 2.1; the list is that of Kaldi's and SpeechBrain's recipes.
"""

_UTTERANCE = re.compile(r"DR[1-8]/([FM][A-Z]{3}\d)/(S[AIX]\d+)(?:\.\w+)*", re.IGNORECASE)


def find_timit(train: Path, test: Path, test_set: str) -> Corpus:
    """Returns the corpus in the folders TRAIN and TEST, without the two sentences SA that everybody reads.

    Case does not matter, and `.WAV.wav` or the like, as converters name their results, will do; of several sound files
    of an utterance the first in alphabetical order is read.

    Args:
        train: folder TRAIN; all of its speakers are for training.
        test: folder TEST.
        test_set: `core`: the 24 speakers of the core test set are for testing and the 50 of the development set for
            validation; `full`: all are for testing, and none for validation.

    Raises:
        ArtifactError: there are no utterances, or one is without its transcription.
    """
    parts = {"train": _utterances(train), "validation": [], "test": _utterances(test)}
    if test_set == "core":
        both = parts["test"]
        parts["validation"] = [each for each in both if each.speaker in DEVELOPMENT]
        parts["test"] = [each for each in both if each.speaker in CORE_TEST]
        if not parts["test"]:
            raise ArtifactError(
                f"{test}: has none of the 24 speakers of the core test set, {', '.join(sorted(CORE_TEST)[:3])} and so "
                "on; get the whole corpus"
            )
    return Corpus(**parts, rate=RATE, source=str(train.parent))


def _utterances(folder: Path) -> list[Utterance]:
    """Returns the utterances SI and SX in a folder, in the order of speakers and sentences."""
    files: dict[tuple[str, str], dict[str, Path]] = {}
    for path in files_in(folder):
        match = _UTTERANCE.fullmatch(path.relative_to(folder).as_posix())
        kind = path.suffix.lower()
        if match and kind in (".wav", ".phn") and not match[2].upper().startswith("SA"):
            files.setdefault((match[1].upper(), match[2].upper()), {}).setdefault(kind, path)
    if not any(".wav" in found for found in files.values()):
        raise ArtifactError(
            f"{folder}: holds no utterances, expected DR1/FCJF0/SI1027.WAV and so on; data.root must name the folder "
            "that holds TRAIN and TEST"
        )
    out = []
    for (speaker, sentence), found in sorted(files.items()):
        if len(found) < 2:
            (path,) = found.values()
            lacking = "PHN" if ".wav" in found else "WAV"
            raise ArtifactError(f"{path}: there is no {sentence}.{lacking} beside it; get the corpus again")
        load = partial(_load, found[".wav"], found[".phn"])
        out.append(Utterance(name=f"{speaker}/{sentence}", speaker=speaker, load=load))
    return out


def _load(sound: Path, transcription: Path) -> Recording:
    samples = read_audio(sound, RATE).samples
    return Recording(samples, read_phn(transcription, len(samples)))
