"""Model files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from tncompile.errors import ArtifactError
from tncompile.ir import SpikeCounts
from tncompile.ir.tensors import read_tensors, write_tensors
from tncompile.nn.export import check_tensors
from tncompile.nn.float_network import FloatNetwork
from tncompile.nn.network import Network

MODEL = "model"
"""Kind of file that `save_model` writes."""

_FRAMES = "samples/frames"
_HIDDEN, _TRINARY, _SPIKES = "/hidden", "/trinary", "/spikes"


def save_model(
    path: Path, network: Network | FloatNetwork, meta: dict[str, Any], spike_counts: SpikeCounts | None = None
) -> None:
    """Writes a model file, whole or not at all.

    Args:
        path: the file.
        network: the model.
        meta: what goes with it, as JSON: the net, the seed, whether it is trained.
        spike_counts: of the model on sample images, if anybody counted.

    Raises:
        ArtifactError: the file cannot be written.
    """
    counts = {}
    if spike_counts is not None:
        small = np.min_scalar_type(spike_counts.frames)
        spikes = (array.astype(small) for array in spike_counts.spikes)
        counts = dict(zip(_count_names(network), spikes, strict=True))
        counts[_FRAMES] = np.array([spike_counts.frames], np.int32)
    write_tensors(path, MODEL, _tensors(network) | counts, meta)


def publish_model(source: Path, target: Path) -> None:
    """Writes a model file anew without its hidden weights, which only further training would need.

    Args:
        source: the model file.
        target: what is written.

    Raises:
        ArtifactError: as `read_model`; there is something else at `target`, or it cannot be written.
    """
    meta, tensors = read_model(source)
    if target.exists():
        read_model(target)
    write_tensors(target, MODEL, {name: t for name, t in tensors.items() if not name.endswith(_HIDDEN)}, meta)


def load_model(path: Path, network: Network | FloatNetwork) -> dict[str, Any]:
    """Reads a model file into a network that was built from the same configuration.

    Hidden weights that a published model lacks are its trinary ones.

    Args:
        path: the file.
        network: overwritten.

    Returns:
        The `meta` that was saved.

    Raises:
        ArtifactError: the file is missing, truncated, altered, of another version, of another net, or has tensors
            that are not finite or outside their range.
    """
    meta, tensors = read_model(path)
    for name, tensor in list(tensors.items()):
        if name.endswith(_TRINARY):
            tensors.setdefault(name.removesuffix(_TRINARY) + _HIDDEN, tensor.astype(np.float32))
        elif name.endswith(_SPIKES) and tensor.dtype.kind == "u":
            tensors[name] = tensor.astype(np.int32)
    expected = _tensors(network) | (_no_counts(network) if _FRAMES in tensors else {})
    for name in sorted(expected.keys() | tensors.keys()):
        want, have = _described(expected.get(name)), _described(tensors.get(name))
        if want != have:
            raise ArtifactError(
                f"{path}: tensor {name}: the net has {want}, the file has {have}; use the net that the file was "
                "trained with, or train again"
            )
        if name.endswith("/permutation") and not np.array_equal(expected[name], tensors[name]):
            raise ArtifactError(f"{path}: {name} is that of another seed; use the seed that the net was trained with")
    for name, variable in network.tensors():
        variable[...] = jnp.asarray(tensors[name])
    check_tensors(network, str(path))
    return meta


def load_spike_counts(path: Path, network: Network) -> SpikeCounts | None:
    """Returns the spikes on sample images in a model file that `load_model` takes, None if nobody counted any.

    Raises:
        ArtifactError: as `read_model`.
    """
    _, tensors = read_model(path)
    if _FRAMES not in tensors:
        return None
    return SpikeCounts(
        frames=int(tensors[_FRAMES][0]),
        spikes=tuple(tensors[name].astype(np.int32) for name in _count_names(network)),
    )


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns the `meta` and the tensors of a model file by name, `layer/tensor`, after checking the whole file.

    Raises:
        ArtifactError: as `load_model`, but for what depends on the net.
    """
    return read_tensors(path, MODEL, again="train again")


def _tensors(network: Network | FloatNetwork) -> dict[str, np.ndarray]:
    tensors = {name: np.asarray(variable[...]) for name, variable in network.tensors()}
    # The permutations follow from the seed; they are stored so that a model is never run with those of another seed.
    return tensors | {f"{conv.name}/permutation": conv.permutation for conv in network.convs[1:]}


def _count_names(network: Network | FloatNetwork) -> list[str]:
    return [conv.name + _SPIKES for conv in network.convs]


def _no_counts(network: Network | FloatNetwork) -> dict[str, np.ndarray]:
    """Returns tensors of the shapes that spike counts have."""
    spikes = (np.zeros(conv.outputs, np.int32) for conv in network.convs)
    return {_FRAMES: np.zeros(1, np.int32), **dict(zip(_count_names(network), spikes, strict=True))}


def _described(tensor: np.ndarray | None) -> str:
    return "none" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
