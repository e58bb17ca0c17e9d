"""Data sets: descriptions as data in `datasets/`, readers here."""

from tncompile.data.dataset import Dataset, load_dataset
from tncompile.data.parts import Part, Parts, Source
from tncompile.data.spec import DatasetSpec, load_spec
from tncompile.share import share

__all__ = ["Dataset", "DatasetSpec", "Part", "Parts", "Source", "load_dataset", "load_spec", "share"]
