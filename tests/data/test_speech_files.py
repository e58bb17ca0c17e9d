"""Sound files, transcriptions and corpora, whole and damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.speech_files import SEGMENTS, phn_text, riff_bytes, sound, sphere_bytes, write_timit

from tncompile.data.speech.audio import read_audio, resample
from tncompile.data.speech.corpus import classes_at, speech_in
from tncompile.data.speech.phones import CLASSES, DROPPED, FOLDED, PHONES, Segments, read_phn
from tncompile.data.speech.timit import CORE_TEST, DEVELOPMENT, find_timit
from tncompile.errors import ArtifactError

SAMPLES = sound(1, 500)


def saved(folder: Path, content: bytes | str, name: str = "a.wav") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Sound


@pytest.mark.parametrize("content", [sphere_bytes(SAMPLES), sphere_bytes(SAMPLES, order="10"), riff_bytes(SAMPLES)])
def test_sound_in_any_format(tmp_path: Path, content: bytes) -> None:
    audio = read_audio(saved(tmp_path, content))
    np.testing.assert_array_equal(audio.samples, SAMPLES)
    assert audio.samples.dtype == np.int16
    assert audio.rate == 16000


def test_header_of_another_size_and_with_remarks(tmp_path: Path) -> None:
    content = sphere_bytes(SAMPLES, size=2048, sample_coding="-s3 pcm", speaker="-s9 two words")
    remark = b"; a remark\n"
    content = content.replace(b"database_id", remark + b"database_id", 1)
    content = content[:2048] + content[2048 + len(remark) :]  # it takes the place of padding
    np.testing.assert_array_equal(read_audio(saved(tmp_path, content)).samples, SAMPLES)


def test_eight_bits(tmp_path: Path) -> None:
    content = riff_bytes(np.array([0, 128, 255], np.uint8), 8000)
    np.testing.assert_array_equal(read_audio(saved(tmp_path, content)).samples, [-32768, 0, 32512])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with b'', expected 'NIST_1A'"),
        (b"fLaC\0\0\0\x22", "starts with b'fLaC"),
        (b"NIST_1A\n", "is no SPHERE file"),
        (b"NIST_1A\n   abc\n", "is no SPHERE file"),
        (b"NIST_1A\n   1024\nchannel_count -i 1\n", "header is truncated, expected 1024 bytes and 'end_head'"),
        (sphere_bytes(SAMPLES).replace(b"end_head", b"endofhed"), "header is truncated"),
        (sphere_bytes(SAMPLES, database_id="TIMIT"), "has the line 'database_id TIMIT', expected 'name -type value'"),
        (sphere_bytes(SAMPLES, sample_coding="-s26 pcm,embedded-shorten-v2.00"), "w_decode or sph2pipe"),
        (sphere_bytes(SAMPLES, sample_coding="-s4 ulaw"), "coded as 'ulaw', expected pcm"),
        (sphere_bytes(SAMPLES, channel_count="-i 2"), "channel_count 2, expected 1"),
        (sphere_bytes(SAMPLES, sample_n_bytes="-i 1"), "sample_n_bytes 1, expected 2"),
        (sphere_bytes(SAMPLES, sample_byte_format="-s2 12"), "sample_byte_format 12, expected 01 or 10"),
        (sphere_bytes(SAMPLES, sample_byte_format=""), "sample_byte_format missing"),
        (sphere_bytes(SAMPLES, sample_rate="-i 0"), "sample_rate 0"),
        (sphere_bytes(SAMPLES, sample_rate="-r 16k"), "sample_rate 16k, expected an integer"),
        (sphere_bytes(SAMPLES, sample_count=""), "sample_count missing, expected an integer"),
        (sphere_bytes(SAMPLES, sample_count="-i 501"), "1000 bytes of samples, expected 1002"),
        (sphere_bytes(SAMPLES)[:-1], "999 bytes of samples, expected 1000"),
        (riff_bytes(SAMPLES)[:-1], "1 bytes are missing"),
        (riff_bytes(SAMPLES)[:30], "is truncated"),
        (riff_bytes(SAMPLES)[:14], "no RIFF WAVE file"),
        (riff_bytes(np.stack([SAMPLES, SAMPLES], 1), channels=2), "has 2 channels, expected 1"),
        (riff_bytes(SAMPLES.astype(np.float32), kind=3), "float32, expected 8- or 16-bit PCM"),
        (riff_bytes(SAMPLES, kind=85), "no RIFF WAVE file"),
        (riff_bytes(SAMPLES, rate=0), "0 samples a second"),
        (riff_bytes(SAMPLES, rate=999), "says that it has 999 samples a second, expected 1000 to 192000; get the file"),
        (riff_bytes(SAMPLES, rate=192_001), "says that it has 192001 samples a second, expected 1000 to 192000"),
        (sphere_bytes(SAMPLES, sample_rate="-i 999"), "its header says sample_rate 999, expected 1000 to 192000; get"),
        (sphere_bytes(SAMPLES, sample_rate="-i 2147483629"), "sample_rate 2147483629, expected 1000 to 192000"),
    ],
)
def test_damaged_and_other_sound(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        read_audio(saved(tmp_path, content))
    assert str(caught.value).startswith(f"{tmp_path / 'a.wav'}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [sphere_bytes(SAMPLES[:20], size=512), riff_bytes(SAMPLES[:20])])
def test_no_damage_goes_through_as_a_crash(tmp_path: Path, content: bytes) -> None:
    for length in range(0, len(content), 3):
        with pytest.raises(ArtifactError):
            read_audio(saved(tmp_path, content[:length]))
    for place in range(0, min(len(content), 400), 3):
        try:
            read_audio(saved(tmp_path, content[:place] + bytes([content[place] ^ 0x11]) + content[place + 1 :]))
        except ArtifactError as error:
            assert "a.wav: " in str(error)


def test_a_wrong_rate(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="has 8000 samples a second, expected 16000"):
        read_audio(saved(tmp_path, riff_bytes(SAMPLES, 8000)), 16000)


@pytest.mark.parametrize("rate", [1_000, 192_000])
def test_the_lowest_and_the_highest_rate(tmp_path: Path, rate: int) -> None:
    for content in (riff_bytes(SAMPLES, rate), sphere_bytes(SAMPLES, rate)):
        audio = read_audio(saved(tmp_path, content))
        assert audio.rate == rate
        assert len(resample(audio.samples.astype(np.float32), rate, 8000)) == -(-len(SAMPLES) * 8000 // rate)


@pytest.mark.parametrize(("rate", "to"), [(16000, 8000), (19980, 8000), (8000, 16000), (8000, 8000)])
def test_resampling_keeps_a_tone_and_its_time(rate: int, to: int) -> None:
    time = np.arange(rate) / rate
    tone = np.sin(2 * np.pi * 440 * time) * np.hanning(rate)
    got = resample(tone, rate, to)
    assert len(got) == to
    expected = np.sin(2 * np.pi * 440 * np.arange(to) / to) * np.hanning(to)
    np.testing.assert_allclose(got, expected, atol=3e-3)


# Phones


def test_61_labels_become_39_classes() -> None:
    assert len(PHONES) == len(set(PHONES)) == 61
    assert len(FOLDED) == 39
    assert {CLASSES[phone] for phone in PHONES} == {*range(39), DROPPED}
    by_class = {name: {p for p in PHONES if CLASSES[p] == k} for k, name in enumerate(FOLDED)}
    assert by_class["sil"] == {"bcl", "dcl", "gcl", "pcl", "tcl", "kcl", "pau", "epi", "h#"}
    assert {k: v for k, v in by_class.items() if len(v) > 1 and k != "sil"} == {
        "aa": {"aa", "ao"},
        "ah": {"ah", "ax", "ax-h"},
        "er": {"er", "axr"},
        "hh": {"hh", "hv"},
        "ih": {"ih", "ix"},
        "l": {"l", "el"},
        "m": {"m", "em"},
        "n": {"n", "en", "nx"},
        "ng": {"ng", "eng"},
        "sh": {"sh", "zh"},
        "uw": {"uw", "ux"},
    }


def test_transcription(tmp_path: Path) -> None:
    total = sum(length for _, length in SEGMENTS)
    segments = read_phn(saved(tmp_path, phn_text().upper() + "\n"), total + 50)
    assert segments.phones == tuple(phone for phone, _ in SEGMENTS)
    assert (segments.end - segments.begin).tolist() == [length for _, length in SEGMENTS]
    assert segments.classes.tolist()[3] == DROPPED
    assert read_phn(tmp_path / "a.wav", total - 10).end[-1] == total - 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no segments"),
        ("0 10 h#\n10 20", ":2: is '10 20', expected 'begin end phone'"),
        ("0 10 h#\n10 2x sh\n", ":2: is '10 2x sh'"),
        ("0 10 h#\n-1 20 sh\n", ":2: is '-1 20 sh'"),
        ("0 10 h#\n10 20 shh\n", ":2: has the label 'shh', expected one of TIMIT's 61"),
        ("0 10 h#\n11 20 sh\n", ":2: begins at sample 11, expected 10"),
        ("0 10 h#\n9 20 sh\n", ":2: begins at sample 9, expected 10"),
        ("0 10 h#\n10 10 sh\n", "expected an end behind its begin"),
        ("5 5 h#\n", ":1: is '5 5 h#', expected an end behind its begin"),
        ("\n1 10 h#\n10 20000 sh\n", ":2: begins at sample 1, expected 0, where the sound begins"),
        ("0 30000 h#\n30000 30001 sh\n", "its last segment is sh, 30000 … 30001, the sound has 20000 samples"),
        ("0 3999 h#\n", "its last segment is h#, 0 … 3999, the sound has 20000 samples"),
        ("0 9000 h#\n9000 19599 pau\n", "its last segment is pau, 9000 … 19599, the sound has 20000 samples"),
        ("0 3000 h#\n3000 3999 sh\n3999 3999 h#\n", ":3: is '3999 3999 h#'"),
        ("0 3000 h#\n3000 3999 h#\n", "its last segment is h#, 3000 … 3999, the sound has 20000 samples"),
        ("0 46797 She had your dark suit\n", "expected 'begin end phone'"),
    ],
)
def test_damaged_transcriptions(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        read_phn(saved(tmp_path, text, "a.PHN"), 20000)
    assert str(caught.value).startswith(str(tmp_path / "a.PHN"))
    assert message in str(caught.value)


def test_a_transcription_cut_at_any_line_is_noticed(tmp_path: Path) -> None:
    total, lines = sum(length for _, length in SEGMENTS), phn_text().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        with pytest.raises(ArtifactError, match=rf"a\.PHN: its last segment is {SEGMENTS[kept - 1][0]}, .* truncated"):
            read_phn(saved(tmp_path, "".join(lines[:kept]), "a.PHN"), total)


def test_a_transcription_without_its_first_lines_is_noticed(tmp_path: Path) -> None:
    total, lines = sum(length for _, length in SEGMENTS), phn_text().splitlines(keepends=True)
    for cut in range(1, len(lines)):
        begin = sum(length for _, length in SEGMENTS[:cut])
        with pytest.raises(ArtifactError, match=rf"a\.PHN:1: begins at sample {begin}, expected 0, .* are missing"):
            read_phn(saved(tmp_path, "".join(lines[cut:]), "a.PHN"), total)


@pytest.mark.parametrize(("text", "samples"), [
    ("0 3050 h#\n3050 44586 sh\n44586 46720 h#\n", 46797),
    ("0 3050 sil\n3050 44586 sh\n44586 46720 sil\n", 46797),
    ("0 3050 h#\n3050 44586 sh\n44586 46720 h#\n", 46720 + 16000),
    ("0 3050 sil\n3050 46720 sh\n", 46720 + 400),
])  # fmt: skip
def test_a_transcription_may_end_a_little_before_its_sound(tmp_path: Path, text: str, samples: int) -> None:
    assert read_phn(saved(tmp_path, text, "a.PHN"), samples).end[-1] == 46720


def test_classes_and_speech_sample_by_sample(tmp_path: Path) -> None:
    total = sum(length for _, length in SEGMENTS) + 100
    segments = read_phn(saved(tmp_path, phn_text()), total)
    labels = [phone for phone, length in SEGMENTS for _ in range(length)] + [None] * 100
    expected = [DROPPED if label is None else CLASSES[label] for label in labels]
    assert classes_at(segments, np.arange(total)).tolist() == expected
    assert speech_in(segments, total).tolist() == [label not in ("h#", "pau", None) for label in labels]


@given(st.floats(-5, 25))
def test_what_lies_outside_of_all_segments_has_no_class(time: float) -> None:
    segments = Segments(np.array([5, 10]), np.array([10, 20]), ("aa", "b"))
    (found,) = classes_at(segments, np.array([time]))
    assert found == (CLASSES["aa"] if 5 <= time < 10 else CLASSES["b"] if 10 <= time < 20 else DROPPED)


# TIMIT


def test_published_speakers() -> None:
    assert len(CORE_TEST) == 24
    assert len(DEVELOPMENT) == 50
    assert not CORE_TEST & DEVELOPMENT
    assert sum(name.startswith("F") for name in CORE_TEST) == 8


@pytest.mark.parametrize("options", [{}, {"lower": True}, {"riff": True, "lower": True}, {"order": "10"}])
def test_any_copy_of_timit(tmp_path: Path, options: dict) -> None:
    write_timit(tmp_path, **options)
    train, test = (tmp_path / (name.lower() if options.get("lower") else name) for name in ("TRAIN", "TEST"))
    corpus = find_timit(train, test, "core")
    names = {part: [u.name for u in getattr(corpus, part)] for part in ("train", "validation", "test")}
    assert names == {
        "train": ["FCJF0/SI1000", "FCJF0/SX10", "MBCG0/SI1001", "MBCG0/SX11"],
        "validation": ["FAKS0/SI1002", "FAKS0/SX12"],
        "test": ["FDHC0/SI1004", "FDHC0/SX14", "MDAB0/SI1003", "MDAB0/SX13"],
    }
    recording = corpus.train[0].load()
    assert len(recording.samples) == sum(length for _, length in SEGMENTS)
    assert recording.segments.phones[1] == "sh"
    full = find_timit(train, test, "full")
    assert {u.speaker for u in full.test} == {"FAKS0", "MDAB0", "FDHC0", "FJRE0"}
    assert full.validation == []


def test_a_copy_of_timit_may_be_made_of_links(tmp_path: Path) -> None:
    write_timit(tmp_path)
    whole = [u.name for u in find_timit(tmp_path / "TRAIN", tmp_path / "TEST", "core").train]
    (tmp_path / "TRAIN/DR8").rename(tmp_path / "eighth")
    (tmp_path / "TRAIN/DR8").symlink_to(tmp_path / "eighth")
    assert [u.name for u in find_timit(tmp_path / "TRAIN", tmp_path / "TEST", "core").train] == whole


def test_the_original_is_taken_before_what_was_made_of_it(tmp_path: Path) -> None:
    write_timit(tmp_path)
    other = tmp_path / "TRAIN/DR1/FCJF0/SX10.WAV.wav"
    other.write_bytes(b"RIFF, but not to be read")
    corpus = find_timit(tmp_path / "TRAIN", tmp_path / "TEST", "core")
    assert len(corpus.train[1].load().samples) == 9640


def test_incomplete_copies_of_timit(tmp_path: Path) -> None:
    write_timit(tmp_path)
    train, test = tmp_path / "TRAIN", tmp_path / "TEST"
    (train / "DR1/FCJF0/SX10.PHN").rename(tmp_path / "SX10.PHN")
    with pytest.raises(ArtifactError, match=r"SX10\.WAV: there is no SX10\.PHN beside it"):
        find_timit(train, test, "core")
    (tmp_path / "SX10.PHN").rename(train / "DR1/FCJF0/SX10.PHN")
    (train / "DR1/FCJF0/SX10.WAV").unlink()
    with pytest.raises(ArtifactError, match=r"SX10\.PHN: there is no SX10\.WAV beside it"):
        find_timit(train, test, "core")
    with pytest.raises(ArtifactError, match="holds no utterances, expected DR1/FCJF0"):
        find_timit(train / "DR1", test, "core")
    shutil.rmtree(train / "DR1/FCJF0")
    for speaker in ("DR1/MDAB0", "DR7/FDHC0"):
        shutil.rmtree(test / speaker)
    with pytest.raises(ArtifactError, match="has none of the 24 speakers of the core test set"):
        find_timit(train, test, "core")
