"""Training checkpoints: the last two epochs, each written whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from tncompile.errors import ArtifactError, ConfigError

KEPT = 2
"""Checkpoints that are kept."""


class Checkpoints:
    """The checkpoints of one training, in one folder.

    Each carries a fingerprint of the configuration, so that no training goes on from another one's weights.
    """

    def __init__(self, folder: Path, fingerprint: dict[str, Any]):
        self._folder = folder.absolute()
        self._fingerprint = fingerprint

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
        arrays = {f"{i:04}": leaf for i, leaf in enumerate(jax.tree.leaves(tree))}
        try:
            with self._open() as checkpointer:
                notes = {"fingerprint": self._fingerprint, "history": history}
                checkpointer.save(epoch, arrays, force=True, custom_metadata=notes)
        # Orbax and TensorStore report a full disk by several exception types.
        except Exception as error:
            raise ArtifactError(f"{self._folder}: checkpoint {epoch} cannot be written: {error}") from error

    def load(self, tree: Any) -> tuple[Any, list[dict[str, Any]]] | None:
        """Returns the last checkpoint's arrays and history, or None if there is no checkpoint.

        Args:
            tree: arrays of the same structure and shapes.

        Raises:
            ConfigError: the checkpoint is of another configuration.
            ArtifactError: it cannot be read.
        """
        if not self._folder.exists():
            return None
        leaves, structure = jax.tree.flatten(tree)
        try:
            with self._open() as checkpointer:
                if checkpointer.latest is None:
                    return None
                notes = checkpointer.metadata(checkpointer.latest).custom_metadata or {}
                self._compare(notes["fingerprint"])
                abstract = {
                    f"{i:04}": jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding) for i, a in enumerate(leaves)
                }
                arrays = checkpointer.load(checkpointer.latest, abstract)
        except ConfigError:
            raise
        # A damaged checkpoint shows up as any of a dozen exception types of Orbax, TensorStore and JSON.
        except Exception as error:
            raise ArtifactError(
                f"{self._folder}: the last checkpoint cannot be read ({type(error).__name__}: {error}); remove its "
                "folder to go on from the one before, or train without --resume"
            ) from error
        return jax.tree.unflatten(structure, [arrays[key] for key in sorted(arrays)]), notes["history"]

    def _open(self) -> ocp.training.Checkpointer:
        return ocp.training.Checkpointer(
            str(self._folder),
            # Orbax' own annotations of its policies disagree with one another.
            preservation_policy=ocp.training.preservation_policies.LatestN(KEPT),  # type: ignore[arg-type]
            cleanup_tmp_directories=True,
        )

    def _compare(self, saved: dict[str, Any]) -> None:
        for key in sorted(saved.keys() | self._fingerprint.keys()):
            if saved.get(key) != self._fingerprint.get(key):
                raise ConfigError(
                    f"--resume: {key} is {self._fingerprint.get(key)}, the checkpoint in {self._folder} was made with "
                    f"{saved.get(key)}; set it back, or train without --resume"
                )
