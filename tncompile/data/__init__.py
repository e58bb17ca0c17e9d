"""Data sets: descriptions as data in `datasets/`, readers here."""

from tncompile.data.dataset import Dataset, load_dataset
from tncompile.data.share import share
from tncompile.data.spec import DatasetSpec, load_spec

__all__ = ["Dataset", "DatasetSpec", "load_dataset", "load_spec", "share"]
