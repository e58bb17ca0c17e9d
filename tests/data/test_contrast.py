"""Contrast: an image and its darker copy become the same, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tncompile.config.data import DataConfig
from tncompile.data import load_dataset
from tncompile.data.contrast import CUT, stretched


@given(seed=st.integers(0, 1000), channels=st.sampled_from([1, 3]), dark=st.integers(2, 4), shift=st.integers(0, 60))
def test_a_darker_copy_becomes_the_same_image(seed: int, channels: int, dark: int, shift: int) -> None:
    bright = dark * np.random.default_rng(seed).integers(0, 256 // dark, (3, 8, 6, channels)).astype(np.uint8)
    darker = (bright // dark + np.uint8(min(shift, 255 - 255 // dark))).astype(np.uint8)
    np.testing.assert_array_equal(stretched(bright, 255), stretched(darker, 255))


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 16), (np.uint8, 255), (np.uint16, 65535)])
def test_the_range_of_brightness_is_the_whole(dtype: type, largest: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(largest // 3, largest // 2 + 1, (5, 20, 20, 1)).astype(dtype)
    out = stretched(x, largest)
    assert out.dtype == x.dtype
    for before, after in zip(x.reshape(5, -1), out.reshape(5, -1), strict=True):
        assert (after.min(), after.max()) == (0, largest)
        assert (after[np.argsort(before, kind="stable")][1:] >= after[np.argsort(before, kind="stable")][:-1]).all()
        cut = round(CUT * 399)
        low, high = np.sort(before)[cut], np.sort(before)[399 - cut]
        inside = (before >= low) & (before <= high)
        exact = largest * (before[inside].astype(float) - low) / (int(high) - int(low))
        assert np.abs(after[inside] - exact).max() <= 0.5


def test_colours_stay() -> None:
    x = np.zeros((1, 4, 4, 3), np.uint8)
    x[0, :, :, 0] = np.arange(16).reshape(4, 4) * 4  # red only
    out = stretched(x, 255)
    assert out[0, :, :, 0].max() == 255
    assert not out[..., 1:].any()


def test_an_even_image_is_not_made_of_noise() -> None:
    x = np.full((1, 8, 8, 1), 100, np.uint8)
    x[0, 0, 0, 0] = 102
    assert np.ptp(stretched(x, 255)) <= 2 * 16 + 1


def test_all_parts_of_a_data_set_are_stretched() -> None:
    plain, data = (
        load_dataset(DataConfig(name="digits", validation=0.2, contrast=contrast)) for contrast in ("none", "stretch")
    )
    for part in ("x_train", "x_validation", "x_test"):
        np.testing.assert_array_equal(
            getattr(data, part), stretched(getattr(plain, part), plain.spec.pixel_max), strict=True
        )
    assert (data.x_train != plain.x_train).any()
