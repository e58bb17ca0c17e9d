"""Named tensors in a file, with what goes with them: safetensors with one sealed JSON metadata key."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from tncompile.errors import ArtifactError
from tncompile.ir.io import atomic_write

VERSION = 1
"""Version of the file format; a reader takes no other."""


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


def read_tensors(
    path: Path, kind: str, *, again: str = "make it again"
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns the `meta` and the tensors of a file, after checking all of it.

    Args:
        path: the file.
        kind: what it must hold.
        again: advice where the file is of another version.

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
            f"{path}: {kind} file of version {manifest.get('version')}, this tncompile reads version {VERSION}; {again}"
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
