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
