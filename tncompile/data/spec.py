"""What a data set is, read from its `dataset.yaml`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from tncompile.config.base import Config
from tncompile.config.data import DataConfig
from tncompile.config.experiment import parse_config
from tncompile.config.yaml import KeyPath, load_yaml
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
    md5: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{32}$", description="the same as MD5, where its makers published only that"
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
    splits: dict[str, int] = Field(default={}, description="figures of each part, where they are not those of `splits`")
    fixed: tuple[str, ...] = Field(
        default=(), description="options of the data set that these files leave no choice in, as they hold the result"
    )
    any_case: bool = Field(default=False, description="names match whatever their case, as copies are often renamed")
    slow: bool = Field(default=False, description="reading takes long enough for a prepared copy to be kept")


class Option(Config):
    """Something about a data set that an experiment may choose in `data.options`."""

    default: Any = Field(description="value where the experiment says nothing; another one has the same type")
    choices: tuple[Any, ...] = Field(default=(), description="all values, if there are only these")
    splits: dict[str, dict[str, int]] = Field(
        default={}, description="figures of each part by the option's value as YAML has it, where they depend on it"
    )
    description: str = Field(description="what it is for")


class Download(Config):
    """A file on the net that anybody may get."""

    url: str = Field(pattern=r"^https?://", description="where it is; its last part names the file")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="of the file, if known")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$", description="of the file, if only that is known")
    bytes: int | None = Field(default=None, ge=1, description="its size, if known [B]")
    unpack: bool = Field(default=False, description="it is an archive, .tar.gz or .zip, that is unpacked")
    option: tuple[str, Any] | None = Field(
        default=None, description="option and value with which alone the file is needed"
    )

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rsplit("/", 1)[1]

    @model_validator(mode="after")
    def _check(self) -> Download:
        if (self.sha256 is None) == (self.md5 is None):
            raise ValueError("must have sha256 or md5, and not both")
        return self


class Description(Config):
    """What is known of a data set before any file of it is seen."""

    name: str = Field(description="the folder's name")
    title: str = Field(description="full name")
    counted: Literal["images", "groups"] = Field(
        default="images", description="what figures of splits count; groups, if one may give several images"
    )
    split_rule: str = Field(description="how images are divided into them")
    preprocessing: str = Field(description="what is done to an image between its file and the network")
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
    downloads: tuple[Download, ...] = Field(default=(), description="what `tncompile data fetch` gets")


class DatasetSpec(Description):
    """A data set: shape, classes, files, and where they come from."""

    in_shape: tuple[int, int, int] = Field(description="width, height and channels of an image")
    input_bits: int = Field(ge=1, le=16, description="width of a pixel [bit]")
    pixel_max: int = Field(ge=1, description="largest pixel value")
    classes: int = Field(ge=2, description="how many")
    class_names: tuple[str, ...] = Field(description="one a class")
    splits: dict[str, int] = Field(
        description="how many there are in `train`, `test`, and `validation` if there is one"
    )
    front_end: FrontEnd | None = Field(default=None, description="of a set of sounds: how they become images")

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
            "splits": self.splits,
            **{n: x.splits for n, x in self.layouts.items() if x.splits},
            **{f"{n}: {value}": x for n, option in self.options.items() for value, x in option.splits.items()},
        }.items():
            if set(splits) - {"validation"} != {"train", "test"}:
                raise ValueError(f"{where}: must be train and test, and may have validation, got {sorted(splits)}")
        for name, option in self.options.items():
            for where, layout in self.layouts.items():
                if option.splits and layout.splits and name not in layout.fixed:
                    raise ValueError(
                        f"{where}: has splits of its own, so fixed must name {name}, which has some as well"
                    )
        return self

    def splits_of(self, layout: str, options: Mapping[str, Any]) -> dict[str, int]:
        """Returns how many images, or groups if these are counted, the parts have in a layout with options."""
        splits = self.layouts[layout].splits or self.splits
        for name, value in options.items():
            if name not in self.layouts[layout].fixed:
                splits = self.options[name].splits.get(yaml_text(value), splits)
        return splits


def yaml_text(value: Any) -> str:
    """Returns a value of an option as YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_description(name: str) -> Description:
    """Returns what is known of a data set by itself; of one with files of the user's own, that is no shape.

    Raises:
        ConfigError: the description is missing or not valid.
    """
    values, places = _document(name)
    return parse_config(Description if name in DERIVED else DatasetSpec, values, "", places)


def load_spec(config: DataConfig) -> DatasetSpec:
    """Returns the description of an experiment's data set.

    Its images need not be there, unless they are the user's own: then shape and classes follow from names and headers
    of the files, and from options.

    Raises:
        ConfigError: the description is missing or not valid, or the experiment asks for a layout or an option that the
            data set does not have.
        ArtifactError: files of the user's own are missing or damaged.
    """
    values, places = _document(config.name)
    described = parse_config(
        Description, {k: v for k, v in values.items() if k in Description.model_fields}, "", places
    )
    if config.layout is not None and config.layout not in described.layouts:
        raise ConfigError(
            f"data.layout: {config.name} has no {config.layout!r}; {_hint(config.layout, described.layouts)}"
        )
    options = chosen_options(described, config)
    if config.name in DERIVED:
        values = values | DERIVED[config.name](described, config, options)
    return parse_config(DatasetSpec, values, "", places)


def front_end(spec: DatasetSpec) -> FrontEnd:
    """Returns how the sounds of a data set become images.

    Raises:
        ConfigError: the description does not say it.
    """
    if spec.front_end is None:
        raise ConfigError(f"{spec.name}: its dataset.yaml has no front_end, which the reader of its layout needs")
    return spec.front_end


def _document(name: str) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    document = load_yaml(share("datasets") / name / "dataset.yaml")
    return document.values, document.places


def chosen_options(described: Description, config: DataConfig) -> dict[str, Any]:
    """Returns all options of the data set, with what the experiment chooses.

    Raises:
        ConfigError: it chooses what there is not.
    """
    chosen = {name: option.default for name, option in described.options.items()}
    for name, value in config.options.items():
        key = f"data.options.{name}"
        if name not in described.options:
            raise ConfigError(f"{key}: {described.name} has no such option; {_hint(name, described.options)}")
        option = described.options[name]
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


def _derive_folder(described: Description, config: DataConfig, options: dict[str, Any]) -> dict[str, Any]:
    from tncompile.data.own import derive_folder

    return derive_folder(described, config, options)


def _derive_npz(described: Description, config: DataConfig, options: dict[str, Any]) -> dict[str, Any]:
    from tncompile.data.own import derive_npz

    return derive_npz(described, config, options)


DERIVED: dict[str, Callable[[Description, DataConfig, dict[str, Any]], dict[str, Any]]] = {
    "folder": _derive_folder,
    "npz": _derive_npz,
}
"""Data sets of the user's own files, with what finds out their shape, classes and splits."""
