"""Images of the same contrast, however bright the day was."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt

CUT = 0.02
"""Share of an image's positions that may be darker, and brighter, than what becomes 0 and the largest value."""

LEAST = 1 / 16
"""Smallest range of brightness, as a share of the largest value, that is stretched to the whole: noise stays noise."""

_CHUNK = 1024
"""Images at a time, for the wide integers in between."""


def stretched(x: UInt[np.ndarray, "images y x channels"], largest: int) -> UInt[np.ndarray, "images y x channels"]:
    """Returns each image with its range of brightness brought to the whole range of pixels.

    Brightness is the sum of the channels. All channels go the same way, so colours stay; in integers, so the same
    on every machine.

    Args:
        x: pixels.
        largest: the largest value that a pixel may have.

    >>> stretched(np.array([[[[50]], [[100]], [[150]]]], np.uint8), 255).ravel().tolist()
    [0, 128, 255]
    """
    chunks = [_stretched(x[i : i + _CHUNK], largest) for i in range(0, len(x), _CHUNK)]
    return np.concatenate(chunks) if chunks else x


def _stretched(x: UInt[np.ndarray, "images y x channels"], largest: int) -> UInt[np.ndarray, "images y x channels"]:
    channels = x.shape[3]
    brightness = np.sort(x.sum(3, dtype=np.int64).reshape(len(x), -1), axis=1)
    cut = round(CUT * (brightness.shape[1] - 1))
    low, high = brightness[:, cut], brightness[:, brightness.shape[1] - 1 - cut]
    span = np.maximum(high - low, max(round(LEAST * largest * channels), 1))[:, None, None, None]
    above = channels * x.astype(np.int64) - low[:, None, None, None]
    return np.clip((2 * largest * above + span) // (2 * span), 0, largest).astype(x.dtype)
