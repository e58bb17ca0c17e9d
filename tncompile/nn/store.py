"""Model files, and what they share with checkpoints: safetensors with one sealed JSON metadata key."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from tncompile.errors import ArtifactError
from tncompile.ir.io import atomic_write
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
    return read_tensors(path, MODEL)


def _tensors(network: Network) -> dict[str, np.ndarray]:
    tensors = {name: np.asarray(variable[...]) for name, variable in network.tensors()}
    # The permutations follow from the seed; they are stored so that a model is never run with those of another seed.
    return tensors | {f"{layer.conv.name}/permutation": layer.conv.permutation for layer in network.layers}


def write_tensors(path: Path, kind: str, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Writes tensors and what goes with them, whole or not at all.

    Args:
        path: the file.
        kind: what it holds; it is read back as nothing else.
        tensors: by name.
        meta: as JSON.

    Raises:
        ArtifactError: the file cannot be written.
    """
    manifest = {"kind": f"tncompile-{kind}", "version": VERSION, "sha256": _digest(tensors, meta), "meta": meta}
    atomic_write(path, safetensors.numpy.save(tensors, {"tncompile": json.dumps(manifest, sort_keys=True)}))


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns the `meta` and the tensors of a file, after checking all of it.

    Raises:
        ArtifactError: the file is missing, truncated, altered, of another kind or of another version.
    """
    try:
        with safetensors.safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get("tncompile", "null")
            tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
    except OSError as error:
        raise ArtifactError(f"{path}: the {kind} cannot be read: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise ArtifactError(f"{path}: not a whole safetensors file ({error}); it was truncated or altered") from error
    try:
        manifest = json.loads(text)
    except ValueError as error:
        raise ArtifactError(f"{path}: its metadata is not JSON; the file was altered") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != f"tncompile-{kind}":
        raise ArtifactError(f"{path}: not a {kind} file; expected kind tncompile-{kind}")
    if manifest.get("version") != VERSION:
        raise ArtifactError(
            f"{path}: {kind} file of version {manifest.get('version')}, this tncompile reads version {VERSION}; "
            "train again"
        )
    if manifest.get("sha256") != _digest(tensors, manifest.get("meta")):
        raise ArtifactError(f"{path}: its content does not have the SHA-256 in its header; the file was altered")
    return manifest["meta"], tensors


def _digest(tensors: dict[str, np.ndarray], meta: Any) -> str:
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}:{tensor.dtype}:{tensor.shape};".encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def _described(tensor: np.ndarray | None) -> str:
    return "none" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
