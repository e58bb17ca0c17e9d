"""VAD, TIMIT classification and TIMIT frames, from small files in their original formats and from packs."""

from __future__ import annotations

import io
import os
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.speech_files import (
    SEGMENTS,
    SPEAKERS,
    pack_arrays,
    phn_text,
    phone_pack,
    riff_bytes,
    sound,
    sphere_bytes,
    vad_pack,
    write_digits,
    write_noises,
    write_pack,
    write_timit,
)

from tncompile.config.data import DataConfig
from tncompile.data import Dataset, load_dataset, load_spec
from tncompile.data.dataset import read_parts
from tncompile.data.files import CACHE_VARIABLE, find_files
from tncompile.data.parts import named_parts
from tncompile.data.readers import vad
from tncompile.data.spec import chosen_options
from tncompile.data.speech.mixing import Mixture, Noise
from tncompile.data.speech.packs import Pack, read_phone_pack
from tncompile.data.speech.phones import CLASSES, FOLDED
from tncompile.errors import ArtifactError

LENGTH = sum(length for _, length in SEGMENTS)
FRAMES = (LENGTH + 80) // 160
PHONE_SETS = {"timit_classification": (16, 32, 3), "timit_frames": (39, 16, 1)}
SHAPES = PHONE_SETS | {"vad": (26, 16, 1)}


def with_noises(write: Callable[[Path, str], None], folder: str) -> Callable[[Path, str], None]:
    def both(root: Path, changed: str) -> None:
        write(root / folder, changed)
        write_noises(root / "noise")

    return both


def pack(name: str, arrays: Callable[[str], dict[str, np.ndarray]]) -> Callable[[Path, str], None]:
    return lambda root, changed: write_pack(root / name, arrays(changed))


WRITERS = {
    ("timit_classification", "timit"): write_timit,
    ("timit_classification", "phone_pack"): pack("timit_standin.npz", phone_pack),
    ("timit_frames", "timit"): write_timit,
    ("timit_frames", "phone_pack"): pack("timit_standin.npz", phone_pack),
    ("vad", "timit"): with_noises(write_timit, "TIMIT"),
    ("vad", "digits"): with_noises(write_digits, "recordings"),
    ("vad", "pack"): pack("vad.npz", vad_pack),
}
"""Writers of all layouts: into a folder, with other sounds of a speaker."""


def load(name: str, root: Path, **keys: object) -> Dataset:
    return load_dataset(DataConfig(name=name, root=str(root), **keys))


def groups(name: str, root: Path) -> dict[str, set[str]]:
    config = DataConfig(name=name, root=str(root))
    spec = load_spec(config)
    parts, _ = read_parts(spec, find_files(spec, config), chosen_options(spec, config))
    return {part: set(map(str, np.unique(value.group))) for part, value in named_parts(parts).items()}


def refused(name: str, root: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load(name, root)
    return str(caught.value)


# All of them


@pytest.mark.parametrize(("name", "layout"), WRITERS)
def test_every_layout(tmp_path: Path, name: str, layout: str, no_folders_of_the_user: Path) -> None:
    WRITERS[name, layout](tmp_path, "")
    data = load(name, tmp_path, validation=0.5)
    assert data.provenance["layout"] == layout
    assert data.provenance["kind"] == ("subset" if layout == "timit" else "stand-in")
    speakers = {"timit": "train has 2 groups instead of 462", "phone_pack": "train has 2 groups instead of 58"}.get(
        layout, "train has 2 groups instead of 4"
    )
    assert f"By count not what was published: {speakers}" in data.provenance["missing"]
    assert data.provenance["missing"].startswith(data.spec.layouts[layout].missing)
    for part in ("train", "validation", "test"):
        x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        assert x.shape == (len(y), *SHAPES[name])
        assert x.dtype == np.uint8
        assert len(set(y.tolist())) >= 2
    assert data.spec.in_shape == (SHAPES[name][1], SHAPES[name][0], SHAPES[name][2])
    x = data.x_train.astype(float)
    assert 100 < x.mean() < 155
    assert 20 < x.std() < 60
    (kept,) = (no_folders_of_the_user / "prepared").iterdir()
    again = load(name, tmp_path, validation=0.5)
    kept.unlink()
    anew = load(name, tmp_path, validation=0.5)
    for other in (again, anew):
        np.testing.assert_array_equal(other.x_train, data.x_train)
        np.testing.assert_array_equal(other.y_test, data.y_test)


@pytest.mark.parametrize(("name", "layout"), WRITERS)
def test_no_speaker_is_in_two_parts(tmp_path: Path, name: str, layout: str) -> None:
    WRITERS[name, layout](tmp_path, "")
    found = groups(name, tmp_path)
    assert all(found.values())
    assert sum(map(len, found.values())) == len(set().union(*found.values()))
    if layout == "timit":
        assert found == {
            part: {path.split("/")[-1] for path, where in SPEAKERS.items() if where == part}
            for part in ("train", "validation", "test")
        }


@pytest.mark.parametrize(("name", "layout"), WRITERS)
def test_limits_slice_whole_parts_and_keep_them(
    tmp_path: Path, name: str, layout: str, no_folders_of_the_user: Path
) -> None:
    WRITERS[name, layout](tmp_path, "")
    few = load(name, tmp_path, train_limit=5, test_limit=3)
    assert len(list((no_folders_of_the_user / "prepared").iterdir())) == 1
    data = load(name, tmp_path)
    np.testing.assert_array_equal(few.x_train, data.x_train[:5])
    np.testing.assert_array_equal(few.y_test, data.y_test[:3])
    assert len(data.x_validation) == 0


@pytest.mark.parametrize(("name", "layout"), WRITERS)
def test_only_training_speakers_decide_the_codes(tmp_path: Path, name: str, layout: str) -> None:
    """What is heard in testing, be it far louder, changes no training image."""
    WRITERS[name, layout](tmp_path, "")
    before = load(name, tmp_path)
    tester = sorted(groups(name, tmp_path)["test"])[0]
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    WRITERS[name, layout](tmp_path, tester)
    after = load(name, tmp_path)
    np.testing.assert_array_equal(after.x_train, before.x_train)
    assert (after.x_test != before.x_test).any()


# TIMIT


def test_timit_has_all_segments_but_the_glottal_stops(tmp_path: Path) -> None:
    write_timit(tmp_path)
    data = load("timit_classification", tmp_path)
    wanted = [CLASSES[phone] for phone, _ in SEGMENTS if phone != "q"]
    assert sorted(data.y_train.tolist()) == sorted(wanted * 4)
    assert sorted(data.y_test.tolist()) == sorted(wanted * 4)
    assert data.spec.class_names == FOLDED


def test_timit_has_all_frames_but_those_in_glottal_stops(tmp_path: Path) -> None:
    write_timit(tmp_path)
    data = load("timit_frames", tmp_path)
    labels = [phone for phone, length in SEGMENTS for _ in range(length)]
    at_centres = [labels[min(160 * k + 80, LENGTH - 1)] for k in range(FRAMES)]
    wanted = [CLASSES[phone] for phone in at_centres if phone != "q"]
    assert len(wanted) == FRAMES - 3
    assert sorted(data.y_train.tolist()) == sorted(wanted * 4)


def test_neighbours_in_time_share_frames(tmp_path: Path) -> None:
    """The column of a window that is one step later is the next column of the one before."""
    write_timit(tmp_path)
    x = load("timit_frames", tmp_path).x_test[..., 0]
    starts = {image[:, :-1].tobytes() for image in x}
    shifted = sum(image[:, 1:].tobytes() in starts for image in x)
    assert len(x) - 4 * 3 <= shifted < len(x)  # of four utterances, at each end and behind each glottal stop


def test_the_full_test_part(tmp_path: Path) -> None:
    write_timit(tmp_path)
    full = load("timit_classification", tmp_path, options={"test_set": "full"}, validation=0.5)
    assert len(full.y_test) == 4 * 2 * (len(SEGMENTS) - 1)
    assert len(full.y_validation) == len(full.y_train) == 2 * (len(SEGMENTS) - 1)  # of the two training speakers, one


@pytest.mark.parametrize("name", PHONE_SETS)
@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("SI1000.WAV", sphere_bytes(sound(0, LENGTH))[:-100], "19180 bytes of samples, expected 19280"),
        ("SI1000.WAV", sphere_bytes(sound(0, LENGTH), 8000), "has 8000 samples a second, expected 16000"),
        ("SI1000.WAV", b"ID3\4", "expected 'NIST_1A'"),
        ("SI1000.WAV", sphere_bytes(sound(0, 50)), "the sound has 50 samples"),
        ("SI1000.PHN", b"0 9000 zz\n", "has the label 'zz'"),
        ("SI1000.PHN", phn_text()[:97].encode(), "expected 'begin end phone'"),
    ],
)
def test_damaged_timit_is_named(tmp_path: Path, name: str, file: str, content: bytes, message: str) -> None:
    write_timit(tmp_path)
    path = tmp_path / "TRAIN/DR1/FCJF0" / file
    path.write_bytes(content)
    found = refused(name, tmp_path)
    assert found.startswith((f"{path}:", f"{path.with_suffix('.PHN')}:"))
    assert message in found


# Packs


def edited(arrays: dict[str, np.ndarray], **changes: object) -> dict[str, np.ndarray]:
    """Returns arrays with others in their place, or without those that are None."""
    return {name: array for name, array in (arrays | changes).items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"diff_hi": None}, "is not a pack of sounds"),
        ({"offsets": np.arange(5)}, "do not go together"),
        ({"offsets": np.array([0, 9, 5, 20, 17200])}, "do not go together"),
        ({"sample_rate": np.array([0])}, "do not go together"),
        ({"sample_rate": np.array([192_001])}, "says that it has 192001 samples a second, expected 1000 to 192000"),
        ({"sample_rate": np.array([[]])}, "is not a pack of sounds"),
        ({"is_test": np.zeros(3, np.uint8)}, "do not go together"),
        ({"speaker": None}, "is not a pack of sounds"),
        ({"phones": np.array(["aa", "sil", "xx"])}, "is not a pack of phones: phones ['xx'] are not known"),
        ({"offsets": np.array([], np.uint32)}, "offsets has shape [0], expected [n], at least 2"),
        ({"offsets": np.array([0])}, "offsets has shape [1], expected [n], at least 2"),
        ({"offsets": np.array(0)}, "offsets has shape [], expected [n], at least 2"),
        ({"seg_phone": np.full(16, 3)}, "seg_phone is in 3 … 3, expected 0 … 2"),
        ({"seg_phone": np.tile([1, 0, -1, 1], 4)}, "seg_phone is in -1 … 1, expected 0 … 2"),
        ({"seg_utt": np.repeat([0, 1, 3, 2], 4)}, "not in the order of its utterances"),
        ({"seg_utt": np.repeat([0, 1, 2, 2], 4)}, "not in the order of its utterances"),
        ({"seg_end": np.tile([1600, 2400, 3400, 4299], 4)}, "do not tile its utterances"),
        ({"seg_start": np.tile([0, 1600, 2401, 3400], 4)}, "do not tile its utterances"),
        ({"seg_start": np.zeros(15, int)}, "is not a pack of phones"),
        ({"seg_end": None}, "is not a pack of phones"),
        ({"is_test": np.zeros(4, np.uint8)}, "holds no images"),
        ({"speaker": np.array(["x", "y", "z", "z"])}, "'z' is in train and in test"),
    ],
)
@pytest.mark.parametrize("name", PHONE_SETS)
def test_damaged_packs_of_phones(tmp_path: Path, name: str, changes: dict, message: str) -> None:
    write_pack(tmp_path / "timit_standin.npz", edited(phone_pack(), **changes))
    found = refused(name, tmp_path)
    assert found.startswith(str(tmp_path / "timit_standin.npz"))
    assert message in found


def test_a_pack_is_read_as_it_was_packed(tmp_path: Path) -> None:
    sounds = [sound(k, 100 + k, 20000) for k in range(3)]
    write_pack(tmp_path / "a.npz", pack_arrays(sounds, 8000) | {"name": np.array(["x", "y", "z"])})
    got = Pack(tmp_path / "a.npz", ("name",))
    assert got.rate == 8000
    for k, samples in enumerate(sounds):
        np.testing.assert_array_equal(got.sound(k), samples)


@pytest.mark.parametrize(
    ("arrays", "read"), [(phone_pack(), read_phone_pack), (vad_pack(), lambda path: Pack(path, ("is_speech", "file")))]
)
def test_what_a_pack_holds_besides_is_not_unpacked(
    tmp_path: Path, arrays: dict[str, np.ndarray], read: Callable[[Path], Any]
) -> None:
    """A few bytes of a file can unpack to any number of zeros."""
    size = 1 << 26
    write_pack(tmp_path / "a.npz", arrays)
    with zipfile.ZipFile(tmp_path / "a.npz", "a", zipfile.ZIP_DEFLATED) as file:
        content = io.BytesIO()
        np.save(content, np.zeros(size, np.uint8))
        file.writestr("zeros.npy", content.getvalue())
    del content
    tracemalloc.start()
    try:
        read(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < size // 2
    finally:
        tracemalloc.stop()


def test_a_pack_that_says_that_it_is_huge_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vad.npz"
    write_pack(path, vad_pack())
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "new", "w") as new:
        for member in old.namelist():
            new.writestr(member, header.getvalue() if member == "diff_lo.npy" else old.read(member))
    (tmp_path / "new").replace(path)
    assert f"{path}: diff_lo says that it has shape [1099511627776]" in refused("vad", tmp_path)


def test_a_noise_at_a_rate_that_no_recording_has(tmp_path: Path) -> None:
    WRITERS["vad", "digits"](tmp_path, "")
    path = tmp_path / "noise/a.wav"
    path.write_bytes(riff_bytes(sound(1, 8000), 2147483629))
    found = refused("vad", tmp_path)
    assert found.startswith(f"{path}: says that it has 2147483629 samples a second, expected 1000 to 192000")


def test_damaged_pack_files(tmp_path: Path) -> None:
    path = tmp_path / "vad.npz"
    write_pack(path, vad_pack())
    good = path.read_bytes()
    for length in range(0, len(good), len(good) // 23):
        path.write_bytes(good[:length])
        assert str(path) in refused("vad", tmp_path)


# VAD


def heard(monkeypatch: pytest.MonkeyPatch, root: Path) -> list[tuple[str, str]]:
    """Returns speaker and noise of each mixture."""
    seen, mixtures = [], vad.mixtures

    def spy(*args: object) -> Iterator[tuple[vad.Voice, Mixture]]:
        for voice, mixture in mixtures(*args):
            seen.append((voice.speaker, mixture.noise))
            yield voice, mixture

    monkeypatch.setattr(vad, "mixtures", spy)
    load("vad", root)
    return seen


@pytest.mark.parametrize("layout", ["timit", "digits", "pack"])
def test_no_noise_is_in_two_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    WRITERS["vad", layout](tmp_path, "")
    parts = {speaker: part for part, speakers in groups("vad", tmp_path).items() for speaker in speakers}
    shutil.rmtree(os.environ[CACHE_VARIABLE])
    by_noise: dict[str, set[str]] = {}
    for speaker, noise in heard(monkeypatch, tmp_path):
        by_noise.setdefault(noise, set()).add(parts[speaker])
    assert all(len(where) == 1 for where in by_noise.values())
    assert {part for where in by_noise.values() for part in where} == {"train", "validation", "test"}
    assert not any(noise.endswith(("_00", "_01")) for noise in by_noise)


def test_dealing() -> None:
    names = [f"noise{k}" for k in range(23)]
    dealt = vad.deal(names, str)
    assert {part: len(each) for part, each in dealt.items()} == {"test": 5, "validation": 5, "train": 13}
    assert sorted(name for each in dealt.values() for name in each) == sorted(names)
    assert vad.deal(reversed(names), str) == dealt
    assert {part: len(each) for part, each in vad.deal(names[:3], str).items()} == dict.fromkeys(dealt, 1)


def test_copies_of_a_noise_count_once(tmp_path: Path) -> None:
    write_noises(tmp_path, 4)
    first = (tmp_path / "noise2.wav").read_bytes()
    (tmp_path / "copy.wav").write_bytes(first)
    noises = vad.read_noises(tmp_path, 8000)
    assert [noise.name for noise in noises] == ["copy.wav", "more/noise0.wav", "noise1.WAV", "noise3.wav"]
    assert len(noises[0].samples) == -(-3200 * 8000 // 19980)


def test_pieces_of_a_noise_are_one(tmp_path: Path) -> None:
    write_noises(tmp_path, 3, 8000)
    pieces = [sound(70 + k, 500) for k in range(3)]
    for k, ending in enumerate(("wav", "WAV", "wav")):
        (tmp_path / f"babble_{k:02}.{ending}").write_bytes(riff_bytes(pieces[k], 8000))
    (tmp_path / "more/babble_00.wav").write_bytes(riff_bytes(sound(80, 500), 8000))
    noises = {noise.name: noise.samples for noise in vad.read_noises(tmp_path, 8000)}
    assert sorted(noises) == ["babble", "more/babble", "more/noise0.wav", "noise1.WAV", "noise2.wav"]
    np.testing.assert_array_equal(noises["babble"], np.concatenate(pieces))
    for name in ("noise1.WAV", "noise2.wav", "more/noise0.wav", "more/babble_00.wav"):
        (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=r"holds 1 different recordings .* count as pieces of one"):
        vad.read_noises(tmp_path, 8000)


def test_noises_that_will_not_do(tmp_path: Path) -> None:
    write_digits(tmp_path / "recordings")
    write_noises(tmp_path / "noise", 2)
    assert f"{tmp_path / 'noise'}: holds 2 different recordings of noise, expected at least 3" in refused(
        "vad", tmp_path
    )
    (tmp_path / "noise/a.wav").write_bytes(riff_bytes(np.zeros(100, np.int16), 8000))
    assert "the noise a.wav is silent" in refused("vad", tmp_path)
    (tmp_path / "noise/a.wav").write_bytes(riff_bytes(sound(1, 100))[:-1])
    assert f"{tmp_path / 'noise/a.wav'}: is truncated" in refused("vad", tmp_path)


def test_digits_that_will_not_do(tmp_path: Path) -> None:
    write_digits(tmp_path / "recordings")
    write_noises(tmp_path / "noise")
    for path in (tmp_path / "recordings").glob("*_cy_*"):
        path.write_bytes(b"RIFX")
    assert f"{tmp_path / 'recordings/0_cy_0.wav'}: starts with b'RIFX'" in refused("vad", tmp_path)
    for path in [*(tmp_path / "recordings").glob("*_cy_*"), *(tmp_path / "recordings").glob("*_ann_*")]:
        path.unlink()
    assert "has 2 speakers, expected at least 3" in refused("vad", tmp_path)
    for path in (tmp_path / "recordings").glob("*.wav"):
        path.rename(path.with_name(f"x{path.name}"))
    assert "holds no recordings, expected 0_george_0.wav" in refused("vad", tmp_path)


def test_windows_are_what_their_middle_frame_is() -> None:
    """A tone in hiss: windows of speech have the tone in the column that decides."""
    front = load_spec(DataConfig(name="vad")).front_end
    time = np.arange(8000) / 8000
    tone = (3000 * np.sin(2 * np.pi * 700 * time)).astype(np.float32)
    noise = Noise("hiss", np.random.default_rng(0).standard_normal(9000).astype(np.float32))
    voice = vad.Voice("tone", "me", lambda: (tone, np.ones(8000, bool)))
    ((_, mixture),) = vad.mixtures([voice], 8000, [noise], front)
    got = vad.hear("me", mixture, front, 16)
    assert np.diff(got.centres).tolist() == [5] * (len(got.centres) - 1)
    assert got.centres[0] == 8
    assert len(got.frames) - 7 - 5 <= got.centres[-1] <= len(got.frames) - 8
    begin, end = np.flatnonzero(mixture.speech)[[0, -1]]
    for centre, speech in zip(got.centres, got.classes, strict=True):
        assert speech == (begin <= 80 * centre + 40 <= end)
    loud, quiet = (got.frames[got.centres[got.classes == k], 0, 0] for k in (1, 0))
    assert loud.mean() > quiet.mean()


# The packs that are nobody's to share, where somebody has them

SHARED = Path(os.environ.get("TNCOMPILE_DATA", "")).expanduser()

if (SHARED / "vad.npz").is_file() and (SHARED / "timit_standin.npz").is_file():

    @pytest.mark.parametrize("name", SHAPES)
    def test_shared_packs(name: str) -> None:
        data = load(name, SHARED, validation=0.1)
        spec = data.spec
        expected = spec.splits_of(data.provenance["layout"], {})
        assert {part: len(each) for part, each in groups(name, SHARED).items()} == expected
        assert all(file["published"] for file in data.provenance["files"].values())
        if name == "vad":
            assert abs(data.y_train.mean() - 0.5) < 0.05
        names = np.unique(data.y_train)
        flat = data.x_train.reshape(len(data.x_train), -1)
        centres = np.stack([flat[data.y_train == name].mean(axis=0) for name in names])
        x = data.x_test[:2000].reshape(len(data.x_test[:2000]), -1).astype(float)
        nearest = names[np.argmin((centres**2).sum(1) - 2 * x @ centres.T, axis=1)]
        right = (nearest == data.y_test[:2000]).mean()
        assert right > {"vad": 0.62, "timit_classification": 0.3, "timit_frames": 0.2}[name]
