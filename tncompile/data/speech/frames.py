"""From frames to images: windows of a fixed length, their arrangement, and their 8-bit codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Int64, Integer, UInt8

from tncompile.data.speech.phones import DROPPED


class Codes(NamedTuple):
    """How a feature becomes 8 bits: the mean is 127.5, and so many deviations away are 0 and 255.

    Attributes:
        mean: of each coefficient of each delta order.
        step: what one code more means.
    """

    mean: Float64[np.ndarray, "orders coefficients"]
    step: Float64[np.ndarray, "orders coefficients"]


def fit_codes(frames: Float[np.ndarray, "frames orders coefficients"], deviations: float) -> Codes:
    """Returns the codes of features by their mean and standard deviation over frames, which must be training frames.

    A feature that never changes has a step of 1.
    """
    wide = frames.astype(np.float64)
    deviation = wide.std(axis=0)
    return Codes(wide.mean(axis=0), np.where(deviation > 0, deviation, 1.0) * deviations / 127.5)


def encode(
    features: Float[np.ndarray, "*n orders coefficients"], codes: Codes
) -> UInt8[np.ndarray, "*n orders coefficients"]:
    """Returns features as 8-bit codes; what lies beyond the ends is cut."""
    return np.clip(np.rint(127.5 + (features - codes.mean) / codes.step), 0, 255).astype(np.uint8)


def frame_centres(frames: int, hop: float) -> Float64[np.ndarray, " {frames}"]:
    """Returns the time at each frame's centre, in the unit of `hop`."""
    return (np.arange(frames) + 0.5) * hop


def windows(
    frames: UInt8[np.ndarray, "frames orders coefficients"], centres: Integer[np.ndarray, " n"], length: int
) -> UInt8[np.ndarray, "n {length} orders coefficients"]:
    """Returns the frames around each centre: ⌊length/2⌋ before it, itself, the rest behind; at the ends repeated."""
    steps = np.arange(length) - length // 2
    return frames[np.clip(centres[:, None] + steps, 0, len(frames) - 1)]


CONTEXT = 4
"""Frames on either side of a segment that `segment_times` adds."""


def segment_times(
    begin: Integer[np.ndarray, " n"], end: Integer[np.ndarray, " n"], hop: float, length: int
) -> Float64[np.ndarray, "n {length}"]:
    """Returns the times at which a segment of any length is sampled, so that all have the same number of samples.

    `CONTEXT` samples before the segment and behind it are a hop apart; those between divide the segment into equal
    parts, of which they are the middles. So a segment's bounds are always at the same places.

    Args:
        begin: first sample of each segment.
        end: sample behind its last.
        hop: step from frame to frame [samples].
        length: samples a segment, more than 2 · `CONTEXT`.
    """
    inner = length - 2 * CONTEXT
    outer = hop * np.arange(1, CONTEXT + 1)
    middles = (np.arange(inner) + 0.5) / inner
    return np.concatenate(
        [begin[:, None] - outer[::-1], begin[:, None] + (end - begin)[:, None] * middles, end[:, None] + outer], axis=1
    )


def at_times(
    frames: Float32[np.ndarray, "frames orders coefficients"], times: Float64[np.ndarray, "n times"], hop: float
) -> Float32[np.ndarray, "n times orders coefficients"]:
    """Returns features at any time, on the line between the two frames nearest; beyond the ends the outermost frame.

    Args:
        frames: at least one, centred at (k + 1/2) · hop.
        times: in samples.
        hop: step from frame to frame [samples].
    """
    place = np.clip(times / hop - 0.5, 0, len(frames) - 1)
    left = np.minimum(place.astype(np.int64), max(0, len(frames) - 2))
    share = (place - left).astype(np.float32)[..., None, None]
    return frames[left] * (1 - share) + frames[np.minimum(left + 1, len(frames) - 1)] * share


def as_images(
    windows: UInt8[np.ndarray, "n times orders coefficients"], channels: int
) -> UInt8[np.ndarray, "n y x channels"]:
    """Returns windows as images: time along x, coefficients along y, delta orders as channels or below each other.

    Args:
        windows: codes.
        channels: as many as there are orders, or 1.
    """
    n, times, orders, coefficients = windows.shape
    if channels == orders:
        return np.ascontiguousarray(windows.transpose(0, 3, 1, 2))
    return np.ascontiguousarray(windows.reshape(n, times, orders * coefficients, 1).transpose(0, 2, 1, 3))


def spread(count: int) -> Int64[np.ndarray, " {count}"]:
    """Returns an order of items in which every beginning is an even sample of all of them.

    Place k has the item whose number is the rank of k · φ modulo 1 among all k, φ being the golden ratio.
    """
    turns = np.arange(count) * ((5**0.5 + 1) / 2) % 1
    return np.argsort(np.argsort(turns))


def collect(
    classes: list[Int32[np.ndarray, " _"]],
    images: Callable[[int], UInt8[np.ndarray, "_ y x channels"]],
    shape: tuple[int, int, int],
) -> tuple[UInt8[np.ndarray, "n y x channels"], Int32[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Returns the images of all utterances, their classes and utterances, spread over each other (`spread`).

    Args:
        classes: of each utterance's images; those with `DROPPED` are left out.
        images: the images of utterance k, as many as it has classes; made one utterance at a time, as all together
            may be large.
        shape: of an image: y, x, channels.
    """
    kept = [each != DROPPED for each in classes]
    total = sum(int(each.sum()) for each in kept)
    place = np.empty(total, np.int64)
    place[spread(total)] = np.arange(total)
    x, y, owner = np.empty((total, *shape), np.uint8), np.empty(total, np.int32), np.empty(total, np.int64)
    at = 0
    for k, keep in enumerate(kept):
        here = place[at : at + int(keep.sum())]
        x[here], y[here], owner[here] = images(k)[keep], classes[k][keep], k
        at += len(here)
    return x, y, owner
