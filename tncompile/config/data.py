"""Which images a network is trained and tested on."""

from __future__ import annotations

import difflib
from typing import Any, Literal

from pydantic import Field, field_validator

from tncompile.config.base import Config
from tncompile.share import dataset_names


class DataConfig(Config):
    """A data set and how much of it is used."""

    name: str = Field(description="the data set; `tncompile data list` shows all")
    root: str | None = Field(
        default=None,
        min_length=1,
        description="folder with its files; left out: the one that TNCOMPILE_DATA names, or where the system's package "
        "manager puts them",
    )
    layout: str | None = Field(
        default=None,
        min_length=1,
        description="form of its files, as `tncompile data info NAME` shows them; left out: the first that is found",
    )
    options: dict[str, Any] = Field(
        default={}, description="options of the data set, as `tncompile data info NAME` shows them"
    )
    train_limit: int | None = Field(default=None, ge=1, description="train on the first so many images only")
    test_limit: int | None = Field(default=None, ge=1, description="test on the first so many images only")
    validation: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the training groups that is held out for validation; with a data set that ships "
        "validation images, any share above 0 takes just these",
    )

    contrast: Literal["none", "stretch"] = Field(
        default="none",
        description="stretch: each image's range of brightness, but for its darkest and brightest 2 %, becomes the "
        "whole range of pixels, all channels alike, before anything else is done with it",
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        names = dataset_names()
        if name not in names:
            close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}"
            raise ValueError(f"{name!r} is no data set; {hint}")
        return name
