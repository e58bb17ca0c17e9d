"""What `tncompile simulate` keeps of a run on images, for reports: `simulation.safetensors` in the run folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32, Int64, Shaped

from tncompile.analysis.events import Events
from tncompile.errors import ArtifactError
from tncompile.ir import ChipImage, Record
from tncompile.ir.tensors import read_tensors, write_tensors

_KIND = "simulation"

RASTER_NEURONS = 64
"""Neurons of each layer whose spikes are kept one by one, evenly spread over all of it."""
RASTER_TICKS = 100
"""Ticks for which they are kept [tick]."""
WRONG_IMAGES = 48
"""Images at most that are kept of those that were classified wrongly: the first ones."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Raster(Record):
    """Spikes of some neurons of each layer, one frame entering a tick.

    Attributes:
        layers: their names, in the order of the data's way; one, "cores", where layers are not known.
        layer: of each neuron, a row of `layers`; rising.
        core, neuron: which one it is.
        spikes: in each tick.
    """

    layers: tuple[str, ...]
    layer: Int32[np.ndarray, " some"]
    core: Int32[np.ndarray, " some"]
    neuron: Int32[np.ndarray, " some"]
    spikes: Bool[np.ndarray, "some ticks"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording(Record):
    """A run of a chip on images.

    Attributes:
        image: digest of the chip image.
        labels: class of each image; −1: not known, as for random images.
        chip_classes: what the chip made of each; the same as what the model made of it, or the run failed.
        wrong: which images are kept of those that were classified wrongly, as rows of `labels`.
        wrong_pixels: these images.
        counted: frames in which events were counted, as rows of `labels`; one a tick, in this order.
        events: what happened in them.
        raster: spikes one by one, from the first counted frame on.
    """

    image: str
    labels: Int32[np.ndarray, " frames"]
    chip_classes: Int32[np.ndarray, " frames"]
    wrong: Int32[np.ndarray, " wrong"]
    wrong_pixels: Shaped[np.ndarray, "wrong y x channels"]
    counted: Int64[np.ndarray, " ticks"]
    events: Events
    raster: Raster


def write_recording(path: Path, recording: Recording) -> None:
    """Writes a recording, whole or not at all.

    Raises:
        ArtifactError: the file cannot be written.
    """
    tensors = {name: getattr(recording, name) for name in _arrays(Recording)}
    tensors |= {f"events/{name}": getattr(recording.events, name) for name in _arrays(Events)}
    tensors |= {f"raster/{name}": getattr(recording.raster, name) for name in _arrays(Raster)}
    write_tensors(path, _KIND, tensors, {"image": recording.image, "layers": list(recording.raster.layers)})


def read_recording(path: Path, image: ChipImage, digest: str) -> Recording:
    """Returns the recording in a file.

    Args:
        path: the file.
        image: the chip that lies beside it.
        digest: of that chip.

    Raises:
        ArtifactError: the file is missing, truncated, altered or of another version, or it is of another chip.
    """
    meta, tensors = read_tensors(path, _KIND, again="run 'tncompile simulate' again")
    if meta["image"] != digest:
        raise ArtifactError(f"{path}: is of another chip image than the one beside it; run 'tncompile simulate' again")
    events = Events(**{name: tensors[f"events/{name}"] for name in _arrays(Events)})
    if events.spikes.shape != image.neuron_type.shape:
        raise ArtifactError(f"{path}: has spikes of other cores than the chip image beside it; simulate again")
    raster = {name: tensors[f"raster/{name}"] for name in _arrays(Raster)}
    return Recording(
        image=meta["image"],
        events=events,
        raster=Raster(layers=tuple(meta["layers"]), **raster),
        **{name: tensors[name] for name in _arrays(Recording)},
    )


def _arrays(record: type) -> list[str]:
    """Returns the names of a record's arrays."""
    return [field.name for field in dataclasses.fields(record) if "np.ndarray" in str(field.type)]
