"""All readers, by the name that a data set's description calls them."""

from __future__ import annotations

from tncompile.data.parts import Reader
from tncompile.data.readers.cifar import read_cifar_binary
from tncompile.data.readers.idx import read_idx_pairs
from tncompile.data.readers.packs import read_jpeg_pack
from tncompile.data.readers.phones import (
    read_phone_pack_frames,
    read_phone_pack_segments,
    read_timit_frames,
    read_timit_segments,
)
from tncompile.data.readers.table import read_csv
from tncompile.data.readers.vad import read_vad_digits, read_vad_pack, read_vad_timit

LAYOUTS: dict[str, Reader] = {
    "csv": read_csv,
    "idx": read_idx_pairs,
    "cifar_binary": read_cifar_binary,
    "jpeg_pack": read_jpeg_pack,
    "timit_segments": read_timit_segments,
    "timit_frames": read_timit_frames,
    "phone_pack_segments": read_phone_pack_segments,
    "phone_pack_frames": read_phone_pack_frames,
    "vad_timit": read_vad_timit,
    "vad_digits": read_vad_digits,
    "vad_pack": read_vad_pack,
}
"""Every reader; a layout that names none is read by the one of its own name."""
