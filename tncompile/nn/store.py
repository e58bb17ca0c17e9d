"""Model files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from tncompile.errors import ArtifactError
from tncompile.ir.tensors import read_tensors, write_tensors
from tncompile.nn.export import check_finite
from tncompile.nn.network import Network

MODEL = "model"
"""Kind of file that `save_model` writes."""
VERSION = 1


def save_model(path: Path, network: Network, meta: dict[str, Any]) -> None:
    """Writes a model file, whole or not at all.

    Args:
        path: the file.
        network: the model.
        meta: what goes with it, as JSON: the net, the seed, whether it is trained.

    Raises:
        ArtifactError: the file cannot be written.
    """
    write_tensors(path, MODEL, _tensors(network), meta)


def load_model(path: Path, network: Network) -> dict[str, Any]:
    """Reads a model file into a network that was built from the same configuration.

    Args:
        path: the file.
        network: overwritten.

    Returns:
        The `meta` that was saved.

    Raises:
        ArtifactError: the file is missing, truncated, altered, of another version, of another net, or has tensors
            that are not finite.
    """
    meta, tensors = read_model(path)
    expected = _tensors(network)
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
    check_finite(network, str(path))
    return meta


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns the `meta` and the tensors of a model file by name, `layer/tensor`, after checking the whole file.

    Raises:
        ArtifactError: as `load_model`, but for what depends on the net.
    """
    return read_tensors(path, MODEL, again="train again")


def _tensors(network: Network) -> dict[str, np.ndarray]:
    tensors = {name: np.asarray(variable[...]) for name, variable in network.tensors()}
    # The permutations follow from the seed; they are stored so that a model is never run with those of another seed.
    return tensors | {f"{layer.conv.name}/permutation": layer.conv.permutation for layer in network.layers}


def _described(tensor: np.ndarray | None) -> str:
    return "none" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
