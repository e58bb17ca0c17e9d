"""Random changes of training images, within the jitted step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num, PRNGKeyArray

from tncompile.config.train import AugmentConfig

Images = Num[Array, "images height width channels"]
Targets = Float[Array, "images classes"]


def augment(key: PRNGKeyArray, x: Images, targets: Targets, config: AugmentConfig) -> tuple[Images, Targets]:
    """Returns images and targets after all changes that the configuration asks for.

    Args:
        key: of the random numbers.
        x: pixels.
        targets: distribution over the classes of each image.
        config: what to do.
    """
    keys = jax.random.split(key, 4)
    images, height, width, _ = x.shape
    if config.crop:
        offsets = jax.random.randint(keys[0], (2, images), -config.crop, config.crop + 1)
        x = shifted(x, offsets)
    if config.rotate or config.zoom:
        # A key of its own, so that the other changes are the same with it and without.
        turns, sizes = jax.random.uniform(jax.random.fold_in(key, len(keys)), (2, images), minval=-1, maxval=1)
        x = turned(x, jnp.deg2rad(config.rotate) * turns, 1 + config.zoom * sizes)
    if config.flip:
        x = flipped(x, jax.random.bernoulli(keys[1], 0.5, (images,)))
    if config.cutout:
        limits = jnp.array([[width], [height]])
        x = cut_out(x, jax.random.randint(keys[2], (2, images), 0, limits), config.cutout)
    if config.mixup:
        share = jax.random.beta(keys[3], config.mixup, config.mixup)
        return mixed(x, share), mixed(targets, share)
    return x, targets


def shifted(x: Images, offsets: Int[Array, "2 images"]) -> Images:
    """Returns each image moved by its offset in x and y, with zeros moved in.

    >>> shifted(jnp.arange(1, 5).reshape(1, 2, 2, 1), jnp.array([[1], [0]]))[0, :, :, 0].tolist()
    [[0, 1], [0, 3]]
    """
    _, height, width, _ = x.shape
    columns = jnp.arange(width) - offsets[0][:, None]
    rows = jnp.arange(height) - offsets[1][:, None]
    moved = x[
        jnp.arange(len(x))[:, None, None], rows.clip(0, height - 1)[:, :, None], columns.clip(0, width - 1)[:, None]
    ]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    return jnp.where(inside[..., None], moved, 0)


def turned(
    x: Images, angle: Float[Array, " images"], zoom: Float[Array, " images"]
) -> Float[Array, "images height width channels"]:
    """Returns each image turned about its middle, from x towards y, and made larger; edge pixels go on outside.

    Bilinear between pixels.

    Args:
        x: pixels.
        angle: by how much [rad].
        zoom: by what factor.
    """
    images, height, width, _ = x.shape
    across, down = jnp.arange(width) - (width - 1) / 2, (jnp.arange(height) - (height - 1) / 2)[:, None]
    cos, sin = ((f(angle) / zoom)[:, None, None] for f in (jnp.cos, jnp.sin))
    column = (cos * across + sin * down + (width - 1) / 2).clip(0, width - 1)
    row = (cos * down - sin * across + (height - 1) / 2).clip(0, height - 1)
    left, above = (jnp.floor(place).astype(jnp.int32) for place in (column, row))
    right, below = jnp.minimum(left + 1, width - 1), jnp.minimum(above + 1, height - 1)
    to_right, to_below = (column - left)[..., None], (row - above)[..., None]
    one = jnp.arange(images)[:, None, None]
    upper = x[one, above, left] * (1 - to_right) + x[one, above, right] * to_right
    lower = x[one, below, left] * (1 - to_right) + x[one, below, right] * to_right
    return upper * (1 - to_below) + lower * to_below


def flipped(x: Images, mirrored: Bool[Array, " images"]) -> Images:
    """Returns some of the images mirrored, left to right."""
    return jnp.where(mirrored[:, None, None, None], x[:, :, ::-1], x)


def cut_out(x: Images, centres: Int[Array, "2 images"], side: int) -> Images:
    """Returns each image with a square around its centre in x and y set to zero; the border may cut it off."""
    _, height, width, _ = x.shape

    def near(size: int, centre: Int[Array, " images"]) -> Bool[Array, "images size"]:
        first = centre[:, None] - side // 2
        return (jnp.arange(size) >= first) & (jnp.arange(size) < first + side)

    square = near(height, centres[1])[:, :, None] & near(width, centres[0])[:, None]
    return jnp.where(square[..., None], 0, x)


def mixed(x: Num[Array, "images *rest"], share: Float[Array, ""]) -> Float[Array, "images *rest"]:
    """Returns each row mixed with the one as far from the end as it is from the start."""
    x = x.astype(jnp.float32)
    return share * x + (1 - share) * x[::-1]
