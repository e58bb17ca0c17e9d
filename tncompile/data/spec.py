"""What a data set is, read from its `dataset.yaml`."""

from __future__ import annotations

import difflib
from typing import Any, Literal

from pydantic import Field, model_validator

from tncompile.config.base import Config
from tncompile.config.data import DataConfig
from tncompile.config.experiment import parse_config
from tncompile.config.yaml import load_yaml
from tncompile.data.speech.mfcc import FrontEnd
from tncompile.errors import ConfigError
from tncompile.share import share

Kind = Literal["real", "jpeg copy", "subset", "stand-in", "own"]
"""What files of a layout are: the very data set; its images after a lossy coding; a part of it; other data of the same
kind; the user's own."""


class DataFile(Config):
    """One file or folder of a data set."""

    name: str = Field(
        description="as distributed, with / between folders, and a / at the end of a folder's name; a file with .gz "
        "added or taken away will do too"
    )
    sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="of the file as distributed, if known"
    )
    required: bool = Field(default=False, description="a file with another SHA-256 is refused")
    optional: bool = Field(default=False, description="the data set can be read without it")

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, with all that lies in it."""
        return self.name.endswith("/")


class Layout(Config):
    """One form in which the files of a data set may lie in a folder."""

    files: tuple[DataFile, ...] = Field(min_length=1, description="files and folders, in the order that its reader has")
    reader: str = Field(default="", description="what reads it (`data.layouts`); left out: the layout's own name")
    options: dict[str, Any] = Field(default={}, description="what the reader is told besides")
    kind: Kind = Field(default="real", description="what the files are, so that results can say it")
    missing: str = Field(default="", description="what the files lack, compared with the data set as published")
    splits: dict[str, int] = Field(default={}, description="images in each part, where they are not those of `splits`")
    any_case: bool = Field(default=False, description="names match whatever their case, as copies are often renamed")
    slow: bool = Field(default=False, description="reading takes long enough for a prepared copy to be kept")


class Option(Config):
    """Something about a data set that an experiment may choose in `data.options`."""

    default: Any = Field(description="value where the experiment says nothing; another one has the same type")
    choices: tuple[Any, ...] = Field(default=(), description="all values, if there are only these")
    description: str = Field(description="what it is for")


class DatasetSpec(Config):
    """A data set: shape, classes, files, and where they come from."""

    name: str = Field(description="the folder's name")
    title: str = Field(description="full name")
    in_shape: tuple[int, int, int] = Field(description="width, height and channels of an image")
    input_bits: int = Field(ge=1, le=16, description="width of a pixel [bit]")
    pixel_max: int = Field(ge=1, description="largest pixel value")
    classes: int = Field(ge=2, description="how many")
    class_names: tuple[str, ...] = Field(description="one a class")
    splits: dict[str, int] = Field(
        default={}, description="images in `train`, `test`, and `validation` if there is one; left out if not known"
    )
    split_rule: str = Field(description="how images are divided into them")
    preprocessing: str = Field(description="what is done to an image between its file and the network")
    front_end: FrontEnd | None = Field(default=None, description="of a set of sounds: how they become images")
    options: dict[str, Option] = Field(default={}, description="what an experiment may choose")
    layouts: dict[str, Layout] = Field(
        min_length=1, description="forms of its files by name, the one that is looked for first first"
    )
    folders: tuple[str, ...] = Field(
        default=(), description="folders below the user's data folder that may hold the files"
    )
    places: tuple[str, ...] = Field(default=(), description="folders where package managers put the files")
    licence: str = Field(description="of the images")
    source: str = Field(description="who made it, and where it is published")
    obtain: str = Field(description="how a user gets the files, as a sentence for error messages")

    @model_validator(mode="after")
    def _check(self) -> DatasetSpec:
        if len(self.class_names) != self.classes:
            raise ValueError(f"class_names: must be {self.classes}, got {len(self.class_names)}")
        if self.pixel_max >= 1 << self.input_bits:
            raise ValueError(f"pixel_max: {self.pixel_max} does not fit {self.input_bits} bits")
        if self.front_end is not None:
            _, height, channels = self.in_shape
            orders, coefficients = self.front_end.deltas + 1, self.front_end.coefficients
            if (height, channels) not in ((coefficients, orders), (coefficients * orders, 1)):
                raise ValueError(
                    f"in_shape: {height} rows, {channels} channels do not hold {orders} × {coefficients} coefficients"
                )
        for where, splits in {
            **({"splits": self.splits} if self.splits else {}),
            **{n: x.splits for n, x in self.layouts.items() if x.splits},
        }.items():
            if set(splits) - {"validation"} != {"train", "test"}:
                raise ValueError(f"{where}: must be train and test, and may have validation, got {sorted(splits)}")
        return self

    def splits_of(self, layout: str) -> dict[str, int]:
        """Returns how many images the parts have in a layout."""
        return self.layouts[layout].splits or self.splits


def load_spec(config: DataConfig) -> DatasetSpec:
    """Returns the description of an experiment's data set; its images need not be there.

    Raises:
        ConfigError: the description is missing or not valid, or the experiment asks for a layout or an option that the
            data set does not have.
    """
    document = load_yaml(share("datasets") / config.name / "dataset.yaml")
    spec = parse_config(DatasetSpec, document.values, "", document.places)
    if config.layout is not None and config.layout not in spec.layouts:
        raise ConfigError(f"data.layout: {spec.name} has no {config.layout!r}; {_hint(config.layout, spec.layouts)}")
    chosen_options(spec, config)
    return spec


def front_end(spec: DatasetSpec) -> FrontEnd:
    """Returns how the sounds of a data set become images.

    Raises:
        ConfigError: the description does not say it.
    """
    if spec.front_end is None:
        raise ConfigError(f"{spec.name}: its dataset.yaml has no front_end, which the reader of its layout needs")
    return spec.front_end


def chosen_options(spec: DatasetSpec, config: DataConfig) -> dict[str, Any]:
    """Returns all options of the data set, with what the experiment chooses.

    Raises:
        ConfigError: it chooses what there is not.
    """
    chosen = {name: option.default for name, option in spec.options.items()}
    for name, value in config.options.items():
        key = f"data.options.{name}"
        if name not in spec.options:
            raise ConfigError(f"{key}: {spec.name} has no such option; {_hint(name, spec.options)}")
        option = spec.options[name]
        if option.choices and value not in option.choices:
            raise ConfigError(f"{key}: is {value!r}, expected {' or '.join(map(repr, option.choices))}")
        if _shape(value) != _shape(option.default):
            raise ConfigError(f"{key}: is {value!r}, expected a value like {option.default!r}")
        chosen[name] = value
    return chosen


def _shape(value: Any) -> Any:
    """Returns a value's type; of a list, those of its items."""
    return tuple(map(_shape, value)) if isinstance(value, list) else type(value)


def _hint(name: str, known: dict[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(known) or 'none'}"
