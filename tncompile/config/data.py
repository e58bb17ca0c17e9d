"""Which images a network is trained and tested on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tncompile.config.base import Config


class DataConfig(Config):
    """A data set and how much of it is used."""

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10"] = Field(description="the data set")
    root: str | None = Field(
        default=None,
        min_length=1,
        description="folder with its files; left out: the one that TNCOMPILE_DATA names, or where the system's package "
        "manager puts them",
    )
    train_limit: int | None = Field(default=None, ge=1, description="train on the first so many images only")
    test_limit: int | None = Field(default=None, ge=1, description="test on the first so many images only")
