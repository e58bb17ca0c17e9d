"""Data sets: descriptions as data in `datasets/`, readers here."""

from tncompile.data.dataset import Dataset, load_dataset
from tncompile.data.parts import Part, Parts, Source
from tncompile.data.spec import DatasetSpec, Description, load_description, load_spec
from tncompile.share import share

__all__ = [
    "Dataset",
    "DatasetSpec",
    "Description",
    "Part",
    "Parts",
    "Source",
    "load_dataset",
    "load_description",
    "load_spec",
    "share",
]
