"""All readers, by the name that a data set's description calls them."""

from __future__ import annotations

from tncompile.data.parts import Reader
from tncompile.data.readers.cifar import read_cifar_binary
from tncompile.data.readers.idx import read_idx_pairs
from tncompile.data.readers.packs import read_jpeg_pack
from tncompile.data.readers.table import read_csv

LAYOUTS: dict[str, Reader] = {
    "csv": read_csv,
    "idx": read_idx_pairs,
    "cifar_binary": read_cifar_binary,
    "jpeg_pack": read_jpeg_pack,
}
"""Every reader; a layout that names none is read by the one of its own name."""
