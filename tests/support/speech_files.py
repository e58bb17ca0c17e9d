"""Small writers of the formats in which speech and noise are distributed."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np

RATE = 16000

SPEAKERS = {
    "TRAIN/DR1/FCJF0": "train",
    "TRAIN/DR8/MBCG0": "train",
    "TEST/DR1/FAKS0": "validation",
    "TEST/DR1/MDAB0": "test",
    "TEST/DR7/FDHC0": "test",
    "TEST/DR2/FJRE0": "unused",
}
"""Speakers of the TIMIT that `write_timit` makes, and the parts that they belong to."""

DIGIT_SPEAKERS = ("ann", "bob", "cy", "dan")
"""Speakers of the digits."""

SEGMENTS = [
    ("h#", 1600),
    ("sh", 1280),
    ("ix", 960),
    ("q", 480),
    ("bcl", 800),
    ("b", 320),
    ("pau", 1120),
    ("dx", 640),
    ("axr", 1440),
    ("h#", 1000),
]
"""Phones of its sentences, with their lengths in samples."""


def said(name: str, count: int, changed: str) -> np.ndarray:
    """Returns the sound of a file; another and far louder one if the name has `changed` in it."""
    other = changed != "" and changed in name
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    return sound(seed + other, count, 12000 if other else 3000)


def sound(seed: int, count: int, loudness: float = 3000) -> np.ndarray:
    """Returns 16-bit samples of a noise whose colour depends on the seed."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal(count + 16)
    coloured = np.convolve(white, rng.standard_normal(17), "valid")
    return np.clip(coloured * loudness / coloured.std(), -32768, 32767).astype(np.int16)


def sphere_bytes(samples: np.ndarray, rate: int = RATE, order: str = "01", size: int = 1024, **changes: str) -> bytes:
    """Returns a NIST SPHERE file; a change is `name='-i 2'` or the like, or an empty text to leave a field out."""
    fields = {
        "database_id": "-s5 TIMIT",
        "channel_count": "-i 1",
        "sample_count": f"-i {len(samples)}",
        "sample_rate": f"-i {rate}",
        "sample_min": f"-i {samples.min()}",
        "sample_n_bytes": "-i 2",
        "sample_byte_format": f"-s2 {order}",
        "sample_sig_bits": "-i 16",
    } | changes
    lines = ["NIST_1A", f"{size:7d}", *(f"{name} {value}" for name, value in fields.items() if value), "end_head", ""]
    return "\n".join(lines).encode().ljust(size) + samples.astype({"01": "<i2", "10": ">i2"}[order]).tobytes()


def riff_bytes(samples: np.ndarray, rate: int = RATE, channels: int = 1, kind: int = 1) -> bytes:
    """Returns a RIFF WAVE file of samples of any type, with a chunk of remarks before the samples."""
    data, width = samples.astype(samples.dtype.newbyteorder("<")).tobytes(), samples.dtype.itemsize
    body = b"WAVEfmt " + struct.pack(
        "<IHHIIHH", 16, kind, channels, rate, rate * channels * width, channels * width, 8 * width
    )
    body += b"LIST" + struct.pack("<I", 5) + b"INFOx\0"  # an odd size, so padded
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def phn_text(segments: list[tuple[str, int]] = SEGMENTS) -> str:
    """Returns a transcription of phones with their lengths."""
    ends = np.cumsum([length for _, length in segments])
    return "".join(f"{end - length} {end} {phone}\n" for (phone, length), end in zip(segments, ends, strict=True))


def write_timit(folder: Path, changed: str = "", *, lower: bool = False, riff: bool = False, order: str = "01") -> None:
    """Writes the folders TRAIN and TEST with the speakers of `SPEAKERS`, three sentences each.

    Args:
        folder: where.
        changed: speaker whose sounds are other ones.
        lower: names in lower case.
        riff: RIFF files under names as converters make them.
        order: byte order of SPHERE files.
    """
    count = sum(length for _, length in SEGMENTS)
    for k, speaker in enumerate(SPEAKERS):
        for sentence in ("SA1", f"SI{1000 + k}", f"SX{10 + k}"):
            samples = said(f"{speaker}/{sentence}", count, changed)
            for ending, content in (
                (".WAV.wav" if riff else ".WAV", riff_bytes(samples) if riff else sphere_bytes(samples, order=order)),
                (".PHN", phn_text().encode()),
                (".TXT", b"0 1 x\n"),
            ):
                name = f"{speaker}/{sentence}{ending}"
                path = folder / (name.lower() if lower else name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


def write_digits(folder: Path, changed: str = "", each: int = 3) -> None:
    """Writes a folder of recordings as those of the Free Spoken Digit Dataset."""
    folder.mkdir(parents=True)
    (folder / "readme.txt").write_text("no sound")
    for speaker in DIGIT_SPEAKERS:
        for index in range(each):
            name = f"{index}_{speaker}_{index}.wav"
            (folder / name).write_bytes(riff_bytes(said(name, 4000, changed), 8000))


def write_pack(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays as an .npz file with LZMA, as `numpy.savez` cannot."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def write_noises(folder: Path, count: int = 5, rate: int = 19980) -> None:
    """Writes a folder of noises at the rate of NOISEX-92, one of them in a folder below it."""
    for k in range(count):
        path = folder / ("more" if k == 0 else "") / f"noise{k}.{'WAV' if k == 1 else 'wav'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(riff_bytes(sound(900 + k, 3000 + 100 * k), rate))


def pack_arrays(sounds: list[np.ndarray], rate: int) -> dict[str, np.ndarray]:
    """Returns sounds in a row as the arrays of a pack."""
    samples = np.concatenate(sounds).astype(np.int16)
    differences = np.diff(samples, prepend=np.int16(0)).view(np.uint16)
    return {
        "diff_lo": (differences & 255).astype(np.uint8),
        "diff_hi": (differences >> 8).astype(np.uint8),
        "offsets": np.cumsum([0, *map(len, sounds)]).astype(np.uint32),
        "sample_rate": np.array([rate], np.int32),
    }


def vad_pack(changed: str = "", each: int = 3) -> dict[str, np.ndarray]:
    """Returns the arrays of a pack of digits, and of noises, two of which are pieces of one recording."""
    digits = [(s, f"{k}_{s}_{k}.wav") for s in DIGIT_SPEAKERS for k in range(each)]
    noises = ["n1.wav", "n2.wav", "n3.wav", "tank_00", "tank_01", "car_00"]
    files = [*(name for _, name in digits), *noises]
    sounds = [said(name, 4000 if "wav" in name else 6000, changed) for name in files]
    return pack_arrays(sounds, 8000) | {
        "is_speech": np.array([1] * len(digits) + [0] * len(noises), np.uint8),
        "source": np.array([*(s for s, _ in digits), *["noise"] * len(noises)]),
        "file": np.array(files),
    }


def phone_pack(changed: str = "") -> dict[str, np.ndarray]:
    """Returns the arrays of a pack of four utterances, of three speakers, the last one for testing."""
    speakers, phones = ["x", "x", "y", "z"], ["aa", "sil", "zh"]
    lengths = np.array([1600, 800, 1000, 900])  # of sil, aa, zh, sil
    ends = np.cumsum(lengths)
    sounds = [said(f"{k} {speaker}", int(ends[-1]), changed) for k, speaker in enumerate(speakers)]
    return pack_arrays(sounds, RATE) | {
        "utt_id": np.array(["u0", "u1", "u2", "u3"]),
        "speaker": np.array(speakers),
        "is_test": np.array([0, 0, 0, 1], np.uint8),
        "phones": np.array(phones),
        "seg_utt": np.repeat(np.arange(4), 4).astype(np.uint16),
        "seg_start": np.tile(ends - lengths, 4).astype(np.uint32),
        "seg_end": np.tile(ends, 4).astype(np.uint32),
        "seg_phone": np.tile([1, 0, 2, 1], 4).astype(np.uint8),
    }
