"""Training checkpoints: the last two and the best, each a file that is written whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tncompile.errors import ArtifactError, ConfigError
from tncompile.ir.tensors import read_tensors, write_tensors

KEPT = 2
"""Checkpoints that are kept."""

BEST = "best.safetensors"
"""File of the best epoch so far."""

_KIND = "checkpoint"


class Checkpoints:
    """The checkpoints of one training, in one folder.

    Each carries a fingerprint of the configuration, so that no training goes on from another one's weights.

    Args:
        folder: where they are.
        fingerprint: of this training; of what differs, the first key is told.
        assumed: what checkpoints of earlier versions are taken to say of keys that they lack.
    """

    def __init__(self, folder: Path, fingerprint: dict[str, Any], assumed: Mapping[str, Any] | None = None):
        self._folder = folder
        self._fingerprint = _flat(fingerprint)
        self._assumed = _flat(assumed or {})

    def clear(self) -> None:
        """Removes all checkpoints.

        Raises:
            ArtifactError: the folder cannot be removed.
        """
        try:
            if self._folder.exists():
                shutil.rmtree(self._folder)
        except OSError as error:
            raise ArtifactError(f"{self._folder}: old checkpoints cannot be removed: {error.strerror}") from error

    def save(self, epoch: int, tree: Any, history: list[dict[str, Any]]) -> None:
        """Writes a checkpoint, then removes the oldest.

        Args:
            epoch: epochs done.
            tree: all arrays that training goes on from.
            history: measurements of the epochs done.

        Raises:
            ArtifactError: it cannot be written.
        """
        self._write(self._folder / f"epoch-{epoch:06}.safetensors", epoch, tree, {"history": history})
        for old in self._files()[:-KEPT]:
            old.unlink(missing_ok=True)

    def save_best(self, epoch: int, rating: float, tree: Any) -> None:
        """Writes the checkpoint of the best epoch so far, in place of the one before.

        Raises:
            ArtifactError: it cannot be written.
        """
        self._write(self._folder / BEST, epoch, tree, {"rating": rating})

    def best(self) -> tuple[int, float] | None:
        """Returns the best epoch so far and its rating, None if there is none.

        It may be later than the last checkpoint, if an interrupt came between the two.

        Raises:
            ConfigError: the checkpoint is of another configuration.
            ArtifactError: it cannot be read.
        """
        if not (self._folder / BEST).exists():
            return None
        notes, _ = self._read(self._folder / BEST, "train again without --resume")
        if "rating" not in notes:
            raise ArtifactError(f"{self._folder / BEST}: an earlier version wrote it; train again without --resume")
        return notes["epoch"], notes["rating"]

    def load(self, tree: Any) -> tuple[Any, list[dict[str, Any]]] | None:
        """Returns the last checkpoint's arrays and history, or None if there is no checkpoint.

        Args:
            tree: arrays of the same structure and shapes.

        Raises:
            ConfigError: the checkpoint is of another configuration.
            ArtifactError: it cannot be read.
        """
        files = self._files()
        if not files:
            return None
        advice = "remove it to go on from the checkpoint before it, or train without --resume"
        notes, arrays = self._read(files[-1], advice)
        return _restored(tree, arrays), notes["history"]

    def load_best(self, tree: Any) -> Any:
        """Returns the arrays of the best epoch's checkpoint.

        Args:
            tree: arrays of the same structure and shapes.

        Raises:
            ConfigError: the checkpoint is of another configuration.
            ArtifactError: it cannot be read.
        """
        return _restored(tree, self._read(self._folder / BEST, "train again without --resume")[1])

    def _write(self, path: Path, epoch: int, tree: Any, notes: dict[str, Any]) -> None:
        arrays = {f"{i:04}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}
        write_tensors(path, _KIND, arrays, {"fingerprint": self._fingerprint, "epoch": epoch, **notes})

    def _read(self, path: Path, advice: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        try:
            notes, arrays = read_tensors(path, _KIND)
        except ArtifactError as error:
            raise ArtifactError(f"{error}; {advice}") from error
        self._compare(notes["fingerprint"])
        return notes, arrays

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("epoch-*.safetensors"))

    def _compare(self, saved: dict[str, Any]) -> None:
        saved = self._assumed | _flat(saved)
        # Options of an earlier version that are gone, or are not compared any more, do not matter; layers do.
        gone = sorted(key for key in saved.keys() - self._fingerprint.keys() if not key.startswith("train."))
        for key in (*self._fingerprint, *gone):
            if saved.get(key) != self._fingerprint.get(key):
                raise ConfigError(
                    f"--resume: {key} is {self._fingerprint.get(key)}, the checkpoint in {self._folder} was made with "
                    f"{saved.get(key)}; set it back, or train without --resume"
                )


def _restored(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    restored = [jax.device_put(arrays[f"{i:04}"], leaf.sharding) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, restored)


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Returns the leaves of nested mappings by their paths with dots."""
    leaves: dict[str, Any] = {}
    for key, value in values.items():
        leaves |= _flat(value, f"{path}{key}.") if isinstance(value, Mapping) and value else {path + key: value}
    return leaves
