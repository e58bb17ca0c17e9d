"""Cepstra beside a slow computation from their definition; windows, codes and mixtures from theirs."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.speech_files import sound

from tncompile.config.yaml import load_yaml
from tncompile.data.spec import DatasetSpec
from tncompile.data.speech import frames, mixing
from tncompile.data.speech.mfcc import FrontEnd, mfcc
from tncompile.data.speech.phones import DROPPED
from tncompile.errors import ArtifactError
from tncompile.share import share


def front(**changes: float) -> FrontEnd:
    values = {
        "rate": 16000,
        "frame_ms": 25,
        "hop_ms": 10,
        "bands": 26,
        "coefficients": 13,
        "centred": False,
        "deltas": 2,
        "deviations": 3.0,
    }
    return FrontEnd(**(values | changes))


# Cepstra


def slow_cepstra(samples: np.ndarray, end: FrontEnd, frame: int) -> list[float]:
    """Returns the cepstra of one frame, sum by sum, as the docstring of `mfcc` and Kaldi's define them."""
    length, hop, rate = end.rate * end.frame_ms // 1000, end.rate * end.hop_ms // 1000, end.rate
    first = hop * frame + hop // 2 - length // 2
    taken = []
    for place in range(first, first + length):
        while not 0 <= place < len(samples):
            place = -place - 1 if place < 0 else 2 * len(samples) - 1 - place
        taken.append(float(samples[place]))
    mean = sum(taken) / length
    taken = [value - mean for value in taken]
    taken = [taken[i] - 0.97 * taken[max(0, i - 1)] for i in range(length)]
    taken = [v * (0.54 - 0.46 * math.cos(2 * math.pi * i / (length - 1))) for i, v in enumerate(taken)]
    points = 1 << (length - 1).bit_length()
    power = []
    for k in range(points // 2):
        angle = 2 * math.pi * k / points
        real = sum(v * math.cos(angle * i) for i, v in enumerate(taken))
        imaginary = sum(v * math.sin(angle * i) for i, v in enumerate(taken))
        power.append(real**2 + imaginary**2)

    def mel(frequency: float) -> float:
        return 1127 * math.log(1 + frequency / 700)

    low, high = mel(20), mel(rate / 2)
    step = (high - low) / (end.bands + 1)
    logs = []
    for band in range(end.bands):
        left, middle, right = (low + step * (band + j) for j in range(3))
        energy = 0.0
        for k, value in enumerate(power):
            at = mel(k * rate / points)
            if left < at < right:
                energy += value * ((at - left) / (middle - left) if at <= middle else (right - at) / (right - middle))
        logs.append(math.log(energy))
    out = []
    for k in range(end.coefficients):
        scale = math.sqrt((1 if k == 0 else 2) / end.bands)
        cepstrum = scale * sum(v * math.cos(math.pi * k * (b + 0.5) / end.bands) for b, v in enumerate(logs))
        out.append(cepstrum * (1 + 11 * math.sin(math.pi * k / 22)))
    return out


@pytest.mark.parametrize(("rate", "frame"), [(16000, 0), (16000, 1), (16000, 9), (16000, 19), (8000, 0), (8000, 7)])
def test_cepstra_beside_their_definition(rate: int, frame: int) -> None:
    end, samples = front(rate=rate, deltas=0), sound(rate + frame, rate // 5)
    got = mfcc(samples, end)
    assert got.shape == (20, 1, 13)
    np.testing.assert_allclose(got[frame, 0], slow_cepstra(samples, end, frame), atol=2e-3)


def test_deltas_are_slopes() -> None:
    got = mfcc(sound(3, 8000), front())
    assert got.shape == (50, 3, 13)
    for order in (1, 2):
        below = got[:, order - 1].astype(float)
        for t in (0, 1, 25, 49):
            at = [below[min(max(t + j, 0), 49)] for j in range(-2, 3)]
            slope = sum(j * value for j, value in zip(range(-2, 3), at, strict=True)) / 10
            np.testing.assert_allclose(got[t, order], slope, atol=1e-4)


def test_a_centred_recording_has_no_loudness() -> None:
    samples = sound(5, 4000, 1000)
    plain, quiet = mfcc(samples, front()), mfcc(samples, front(centred=True))
    loud = mfcc(samples.astype(np.float32) * 4, front(centred=True))
    np.testing.assert_allclose(loud, quiet, atol=1e-3)
    np.testing.assert_allclose(quiet[:, 0].mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(quiet[:, 1:], plain[:, 1:], atol=1e-3)
    np.testing.assert_allclose(quiet[:, 0] - quiet[0, 0], plain[:, 0] - plain[0, 0], atol=1e-3)


@pytest.mark.parametrize(("samples", "count"), [(0, 0), (79, 0), (80, 1), (239, 1), (240, 2), (1600, 10)])
def test_number_of_frames(samples: int, count: int) -> None:
    assert mfcc(sound(1, samples) if samples else np.zeros(0, np.int16), front()).shape == (count, 3, 13)


def test_louder_sound_changes_the_zeroth_cepstrum_alone() -> None:
    samples = sound(5, 4000, 1000)
    quiet, loud = mfcc(samples, front(deltas=0)), mfcc(samples.astype(np.float32) * 4, front(deltas=0))
    np.testing.assert_allclose(loud[:, 0, 1:], quiet[:, 0, 1:], atol=1e-3)
    np.testing.assert_allclose(loud[:, 0, 0] - quiet[:, 0, 0], 2 * math.log(4) * math.sqrt(26), atol=1e-3)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaldi_native_fbank", None)
    with pytest.raises(ArtifactError, match=r"pip install 'tncompile\[speech\]'"):
        mfcc(sound(1, 800), front())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficients": 27}, "coefficients: at most 26, the number of bands, got 27"),
        ({"rate": 22050, "hop_ms": 3}, "hop_ms: 3 ms are no whole number of samples at 22050 Hz"),
    ],
)
def test_front_ends_that_cannot_be(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        front(**changes)


def test_a_front_end_must_fill_the_image() -> None:
    values = load_yaml(share("datasets") / "vad" / "dataset.yaml").values | {"in_shape": [16, 13, 1]}
    with pytest.raises(ValueError, match="in_shape: 13 rows, 1 channels do not hold 2 × 13 coefficients"):
        DatasetSpec.model_validate(values, strict=False)


# Codes and windows


def test_codes() -> None:
    rng = np.random.default_rng(0)
    features = (rng.standard_normal((5000, 2, 3)) * [[1, 10, 0.1], [5, 1, 1]] + [[0, 100, -3], [1, 2, 3]]).astype("f4")
    codes = frames.fit_codes(features, 3.0)
    got = frames.encode(features, codes)
    assert got.dtype == np.uint8
    np.testing.assert_allclose(got.mean(axis=0), 127.5, atol=0.5)
    np.testing.assert_allclose(got.std(axis=0), 42.5, atol=0.5)
    np.testing.assert_allclose((got - 127.5) * codes.step + codes.mean, features, atol=codes.step.max() * 100)
    ends = np.array([-1e9, 1e9])[:, None, None] * np.ones((2, 2, 3))
    assert frames.encode(ends, codes).tolist() == [[[0] * 3] * 2, [[255] * 3] * 2]


def test_a_feature_that_never_changes() -> None:
    codes = frames.fit_codes(np.ones((4, 1, 1), np.float32), 3.0)
    assert frames.encode(np.array([[[1.0]], [[5.0]], [[-900.0]]]), codes).tolist() == [[[128]], [[255]], [[0]]]


def test_windows_repeat_the_ends() -> None:
    coded = np.arange(10, dtype=np.uint8).reshape(10, 1, 1)
    got = frames.windows(coded, np.array([0, 5, 9]), 4)
    assert got[..., 0, 0].tolist() == [[0, 0, 0, 1], [3, 4, 5, 6], [7, 8, 9, 9]]


def test_segments_of_any_length_have_the_same_places() -> None:
    (times,) = frames.segment_times(np.array([1000]), np.array([1480]), 160.0, 32)
    assert times[:4].tolist() == [360, 520, 680, 840]
    assert times[4:28].tolist() == [1010 + 20 * k for k in range(24)]
    assert times[28:].tolist() == [1640, 1800, 1960, 2120]


def test_features_between_frames() -> None:
    line = np.arange(5, dtype=np.float32).reshape(5, 1, 1) * 10
    times = np.array([[-100.0, 0, 80, 160, 200, 720, 9999]])
    got = frames.at_times(line, times, 160.0)
    np.testing.assert_allclose(got[0, :, 0, 0], [0, 0, 0, 5, 7.5, 40, 40])
    np.testing.assert_allclose(frames.at_times(line[:1], times, 160.0), 0)


def test_images_have_time_along_x() -> None:
    coded = np.arange(2 * 4 * 3 * 5, dtype=np.uint8).reshape(2, 4, 3, 5)  # n, time, order, coefficient
    for channels, shape in ((3, (2, 5, 4, 3)), (1, (2, 15, 4, 1))):
        images = frames.as_images(coded, channels)
        assert images.shape == shape
        for time, order, coefficient in ((0, 0, 0), (3, 1, 2), (2, 2, 4)):
            y, channel = (coefficient, order) if channels == 3 else (5 * order + coefficient, 0)
            assert images[1, y, time, channel] == coded[1, time, order, coefficient]


@given(st.integers(0, 400))
def test_spread_is_an_order(count: int) -> None:
    order = frames.spread(count)
    assert sorted(order.tolist()) == list(range(count))
    if count >= 50:
        first = np.sort(order[: count // 5])
        assert np.diff(first).max() <= 13  # where every fifth would be 5


@given(st.lists(st.lists(st.sampled_from([DROPPED, 0, 1]), max_size=6), min_size=1, max_size=5))
@settings(max_examples=50)
def test_collect_keeps_images_with_their_classes(classes: list[list[int]]) -> None:
    def images(k: int) -> np.ndarray:
        return np.arange(10 * k, 10 * k + len(classes[k]), dtype=np.uint8)[:, None, None, None].repeat(2, axis=2)

    x, y, owner = frames.collect([np.array(each, np.int32) for each in classes], images, (1, 2, 1))
    expected = [(10 * k + i, c, k) for k, each in enumerate(classes) for i, c in enumerate(each) if c != DROPPED]
    assert sorted(zip(x[:, 0, 1, 0].tolist(), y.tolist(), owner.tolist(), strict=True)) == expected


# Mixtures

NOISES = [
    mixing.Noise("hum", sound(7, 500).astype(np.float32)),
    mixing.Noise("hiss", sound(8, 9000).astype(np.float32)),
]


def mixed(name: str, active: int = 8000) -> tuple[mixing.Mixture, np.ndarray]:
    speech = sound(2, 8000).astype(np.float32)
    return mixing.mix(name, speech, np.arange(8000) < active, NOISES, 8000), speech


def test_a_mixture_is_the_same_each_time_and_another_for_another_name() -> None:
    (first, _), (again, _), (other, _) = mixed("a"), mixed("a"), mixed("b")
    np.testing.assert_array_equal(first.samples, again.samples)
    assert len(first.samples) != len(other.samples)


def test_chances_do_not_depend_on_any_library() -> None:
    assert mixing.chance("0_george_0", "ratio") == 0.7297605024842717
    many = np.array([mixing.chance(str(k), "x") for k in range(4000)])
    np.testing.assert_allclose(np.histogram(many, 10, (0, 1))[0], 400, atol=80)


@pytest.mark.parametrize("name", ["a", "b", "c", "d", "e"])
def test_ratio_level_and_bounds(name: str) -> None:
    mixture, speech = mixed(name, 6000)
    start = int(np.flatnonzero(mixture.speech)[0])
    assert mixture.speech.tolist() == [start <= k < start + 6000 for k in range(len(mixture.speech))]
    for gap in (start, len(mixture.samples) - start - 8000):
        assert 640 + 1500 - 1 <= gap <= 640 + 4500
    # What is left when speech and noise are fitted to the mixture is the noise floor and rounding.
    noise = next(each for each in NOISES if each.name == mixture.noise)
    begin = int(mixing.chance(name, "start") * len(noise.samples))
    bed = np.take(noise.samples, np.arange(begin, begin + len(mixture.samples)), mode="wrap")
    padded = np.zeros(len(mixture.samples))
    padded[start : start + 8000] = speech
    (a, b), *_ = np.linalg.lstsq(np.stack([padded, bed], 1).astype(float), mixture.samples.astype(float), rcond=None)
    left = mixture.samples - a * padded - b * bed
    assert 1.0 < left.std() < 1.3
    power = np.mean(np.square(a * speech[:6000])) / np.mean(np.square(b * noise.samples.astype(float)))
    assert 10 * math.log10(power) == pytest.approx(mixture.ratio, abs=0.05)
    assert mixture.ratio in mixing.RATIOS
    level = 20 * math.log10(np.sqrt(np.mean(np.square(mixture.samples.astype(float)))) / 32768)
    assert -36.1 < level < -19.9


def test_all_ratios_and_noises_occur() -> None:
    seen = [mixed(str(k))[0] for k in range(60)]
    assert {each.ratio for each in seen} == set(mixing.RATIOS)
    assert {each.noise for each in seen} == {"hum", "hiss"}


def test_silence_cannot_be_mixed() -> None:
    with pytest.raises(ArtifactError, match="x: is silent"):
        mixing.mix("x", np.zeros(800, np.float32), np.ones(800, bool), NOISES, 8000)
