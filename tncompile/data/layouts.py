"""All readers, by the name that a data set's description calls them."""

from __future__ import annotations

from tncompile.data.parts import Reader
from tncompile.data.readers.arrays import read_npz
from tncompile.data.readers.cifar import read_cifar_binary, read_cifar_python
from tncompile.data.readers.folder import read_folder
from tncompile.data.readers.gtsrb import read_gtsrb
from tncompile.data.readers.idx import read_idx_pairs
from tncompile.data.readers.logos import read_flickr_logos27, read_flickr_logos32
from tncompile.data.readers.packs import read_jpeg_pack, read_jpeg_pack_exact_test
from tncompile.data.readers.phones import (
    read_phone_pack_frames,
    read_phone_pack_segments,
    read_timit_frames,
    read_timit_segments,
)
from tncompile.data.readers.svhn import read_svhn
from tncompile.data.readers.table import read_csv
from tncompile.data.readers.vad import read_vad_digits, read_vad_pack, read_vad_timit

LAYOUTS: dict[str, Reader] = {
    "csv": read_csv,
    "idx": read_idx_pairs,
    "cifar_binary": read_cifar_binary,
    "cifar_python": read_cifar_python,
    "jpeg_pack": read_jpeg_pack,
    "jpeg_pack_exact_test": read_jpeg_pack_exact_test,
    "svhn": read_svhn,
    "gtsrb": read_gtsrb,
    "flickr_logos32": read_flickr_logos32,
    "flickr_logos27": read_flickr_logos27,
    "folder": read_folder,
    "npz": read_npz,
    "timit_segments": read_timit_segments,
    "timit_frames": read_timit_frames,
    "phone_pack_segments": read_phone_pack_segments,
    "phone_pack_frames": read_phone_pack_frames,
    "vad_timit": read_vad_timit,
    "vad_digits": read_vad_digits,
    "vad_pack": read_vad_pack,
}
"""Every reader; a layout that names none is read by the one of its own name."""
