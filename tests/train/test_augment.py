"""Random changes of training images: each against its description, an image at a time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tncompile.config.train import AugmentConfig
from tncompile.train.augment import augment, cut_out, flipped, mixed, shifted, turned

KEY = jax.random.key(3)


def images(seed: int, n: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (n, 5, 7, 3)).astype(np.uint8)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_shifted_moves_each_image_on_its_own(seed: int) -> None:
    x = images(seed)
    offsets = np.random.default_rng(seed).integers(-8, 9, (2, len(x)))
    moved = np.asarray(shifted(jnp.asarray(x), jnp.asarray(offsets)))
    for image, result, (right, down) in zip(x, moved, offsets.T, strict=True):
        expected = np.zeros_like(image)
        for row in range(5):
            for column in range(7):
                if 0 <= row - down < 5 and 0 <= column - right < 7:
                    expected[row, column] = image[row - down, column - right]
        np.testing.assert_array_equal(result, expected)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_turned_is_as_by_definition(seed: int) -> None:
    x, rng = images(seed), np.random.default_rng(seed)
    angles, zooms = rng.uniform(-np.pi, np.pi, len(x)), rng.uniform(0.5, 1.5, len(x))
    out = np.asarray(turned(jnp.asarray(x), jnp.asarray(angles, jnp.float32), jnp.asarray(zooms, jnp.float32)))
    middle = np.array([2.0, 3.0])  # y, x
    for image, result, angle, zoom in zip(x, out, angles, zooms, strict=True):
        back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        offset = middle - back @ middle
        for channel in range(3):
            plane = image[..., channel].astype(float)
            expected = ndimage.affine_transform(plane, back, offset, order=1, mode="nearest")
            np.testing.assert_allclose(result[..., channel], expected, atol=0.02)


def test_a_quarter_turn_is_exact() -> None:
    x = images(5, 2)[:, :5, :5]
    out = turned(jnp.asarray(x), jnp.array([0, jnp.pi / 2]), jnp.ones(2))
    np.testing.assert_array_equal(out[0], x[0])
    np.testing.assert_allclose(out[1], np.rot90(x[1], -1), atol=0.01)  # from x towards y: clockwise, as y points down


def test_flipped_mirrors_the_chosen_ones() -> None:
    x = images(0, 2)
    one, other = flipped(jnp.asarray(x), jnp.array([True, False]))
    np.testing.assert_array_equal(one, x[0][:, ::-1])
    np.testing.assert_array_equal(other, x[1])


@pytest.mark.parametrize(
    ("centre", "side", "rows", "columns"),
    [
        ((3, 2), 3, slice(1, 4), slice(2, 5)),
        ((0, 4), 4, slice(2, 5), slice(0, 2)),
        ((6, 0), 1, slice(0, 1), slice(6, 7)),
    ],
)
def test_cut_out_is_a_square_around_its_centre(centre: tuple[int, int], side: int, rows: slice, columns: slice) -> None:
    x = images(1, 1)
    expected = x.copy()
    expected[0, rows, columns] = 0
    np.testing.assert_array_equal(cut_out(jnp.asarray(x), jnp.array(centre)[:, None], side), expected)


def test_mixed_pairs_images_and_targets_alike() -> None:
    x = images(2, 4)
    out = mixed(jnp.asarray(x), jnp.float32(0.75))
    np.testing.assert_allclose(out[0], 0.75 * x[0].astype(float) + 0.25 * x[3], rtol=1e-6)
    targets = mixed(jax.nn.one_hot(jnp.array([0, 1, 2, 0]), 3), jnp.float32(0.75))
    np.testing.assert_allclose(targets[1], [0, 0.75, 0.25], rtol=1e-6)


def test_nothing_is_changed_unless_asked_for() -> None:
    x, targets = jnp.asarray(images(3)), jnp.eye(6)
    same, aims = augment(KEY, x, targets, AugmentConfig())
    assert same is x
    assert aims is targets


def test_all_changes_together_depend_on_the_key_alone() -> None:
    x, targets = jnp.asarray(images(4)), jnp.eye(6)
    config = AugmentConfig(crop=2, rotate=20, zoom=0.2, flip=True, cutout=2, mixup=0.4)
    (one, aims), (same, _), (other, _) = (augment(key, x, targets, config) for key in (KEY, KEY, jax.random.key(4)))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(aims.sum(1), 1, rtol=1e-6)
    assert one.shape == x.shape
    assert float(one.max()) <= 255


def test_offsets_reach_all_places_that_they_should() -> None:
    x = np.zeros((400, 9, 9, 1), np.uint8)
    x[:, 4, 4] = 1
    moved, _ = augment(KEY, jnp.asarray(x), jnp.ones((400, 2)), AugmentConfig(crop=2))
    seen = {tuple(place) for place in np.argwhere(np.asarray(moved)[..., 0])[:, 1:].tolist()}
    assert seen == {(row, column) for row in range(2, 7) for column in range(2, 7)}
    x[:, 4, 4], x[:, :, 8] = 0, 1
    mirrored, _ = augment(KEY, jnp.asarray(x), jnp.ones((400, 2)), AugmentConfig(flip=True))
    assert 120 < int(np.asarray(mirrored)[:, 0, 0].sum()) < 280
