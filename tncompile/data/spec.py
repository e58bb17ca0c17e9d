"""What a data set is, read from its `dataset.yaml`."""

from __future__ import annotations

from pydantic import Field, model_validator

from tncompile.config.base import Config
from tncompile.config.data import DataConfig
from tncompile.config.experiment import parse_config
from tncompile.config.yaml import load_yaml
from tncompile.data.share import share


class DataFile(Config):
    """One file of a data set."""

    name: str = Field(description="as distributed; a file with .gz added or taken away will do too")
    sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="of the file as distributed, if known"
    )
    required: bool = Field(default=False, description="a file with another SHA-256 is refused")


class DatasetSpec(Config):
    """A data set: shape, classes, files, and where they come from."""

    name: str = Field(description="the folder's name")
    title: str = Field(description="full name")
    in_shape: tuple[int, int, int] = Field(description="width, height and channels of an image")
    input_bits: int = Field(ge=1, le=16, description="width of a pixel [bit]")
    pixel_max: int = Field(ge=1, description="largest pixel value")
    classes: int = Field(ge=2, description="how many")
    class_names: tuple[str, ...] = Field(description="one a class")
    splits: dict[str, int] = Field(description="images in `train` and `test` as distributed")
    split_rule: str = Field(description="how images are divided into the two")
    preprocessing: str = Field(description="what is done to an image between its file and the network")
    layouts: dict[str, tuple[DataFile, ...]] = Field(
        description="files by layout, the layout that is looked for first first"
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
        if set(self.splits) != {"train", "test"}:
            raise ValueError(f"splits: must be train and test, got {sorted(self.splits)}")
        return self


def load_spec(config: DataConfig) -> DatasetSpec:
    """Returns the description of an experiment's data set; its images need not be there.

    Raises:
        ConfigError: the description is missing or not valid.
    """
    document = load_yaml(share("datasets") / config.name / "dataset.yaml")
    return parse_config(DatasetSpec, document.values, "", document.places)
