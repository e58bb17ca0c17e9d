"""The class decision, in integers: one rule for the model and for the chip's output spikes. Imports no JAX."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Int, Int32


def assign_features(features: int, classes: int) -> Int32[np.ndarray, " features"]:
    """Returns the class of each feature, f % classes; what is left over at the end belongs to none (−1).

    >>> assign_features(5, 2)
    array([ 0,  1,  0,  1, -1], dtype=int32)
    """
    feature = np.arange(features, dtype=np.int32)
    return np.where(feature < features - features % classes, feature % classes, -1).astype(np.int32)


def class_of(
    bits: Bool[np.ndarray, "frames outputs"],
    out_shape: tuple[int, int, int],
    feature_class: Int32[np.ndarray, " features"],
    classes: int,
) -> Int[np.ndarray, " frames"]:
    """Returns the class that each frame's output bits vote for.

    Args:
        bits: output bits in the flat order [y, x, feature].
        out_shape: width, height and features of the output map.
        feature_class: class of each feature, or −1.
        classes: how many.
    """
    width, height, features = out_shape
    votes = bits.reshape(len(bits), height * width, features).sum(axis=1, dtype=np.int64)
    member = feature_class[:, None] == np.arange(classes)
    return winner(votes @ member, member.sum(axis=0))


def winner(counts: Int[np.ndarray, "frames classes"], sizes: Int[np.ndarray, " classes"]) -> Int[np.ndarray, " frames"]:
    """Returns the class with the largest mean count_c / size_c; the lowest one of equals.

    The means are compared over a common denominator, so the decision is exact.

    Args:
        counts: spikes of each class.
        sizes: features of each class, at least 1.

    >>> winner(np.array([[2, 1], [1, 1]]), np.array([2, 1]))
    array([0, 1])
    """
    common = math.lcm(*sizes.tolist())
    scale = np.array([common // size for size in sizes.tolist()], object)  # Python's integers do not overflow
    return (counts.astype(object) * scale).argmax(axis=1)
