"""The devices that one engine computes on, and along which axis they share the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tncompile.errors import ConfigError

SPLITS = ("streams", "cores")
"""What can be dealt to devices: streams need no talk between them; cores tell each other all spikes every tick."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Devices:
    """Devices in a row, and what is dealt to them.

    Attributes:
        mesh: the devices, along one axis that is called like what is dealt.
        split: what is dealt, one of `SPLITS`.
    """

    mesh: Mesh
    split: str

    @property
    def count(self) -> int:
        """How many."""
        return self.mesh.size

    @property
    def core_shards(self) -> int:
        """Into how many parts the cores are cut."""
        return self.count if self.split == "cores" else 1

    def check_batch(self, batch: int) -> None:
        """Refuses streams that cannot be dealt evenly.

        Raises:
            ConfigError: they are not a multiple of the devices.
        """
        if self.split == "streams" and batch % self.count:
            raise ConfigError(
                f"streams: {batch} on {self.count} devices; take a multiple of {self.count}, or deal cores to the "
                "devices instead of streams (--split cores)"
            )

    def streams(self, axis: int) -> PartitionSpec:
        """Returns how an array with streams along an axis lies."""
        return PartitionSpec(*[None] * axis, "streams") if self.split == "streams" else PartitionSpec()

    def cores(self) -> PartitionSpec:
        """Returns how an array with cores along its first axis lies."""
        return PartitionSpec("cores") if self.split == "cores" else PartitionSpec()

    def cores_and_streams(self) -> PartitionSpec:
        """Returns how an array of cores, neurons and streams lies."""
        return self.cores() if self.split == "cores" else self.streams(2)

    def sharding(self, spec: PartitionSpec) -> NamedSharding:
        """Returns the sharding of arrays that lie so."""
        return NamedSharding(self.mesh, spec)


def pick_devices(devices: int | Sequence[Any], split: str) -> Devices:
    """Returns devices to compute on.

    Args:
        devices: which; or how many, the first ones of JAX's default backend.
        split: what is dealt to them, "streams" or "cores".

    Raises:
        ConfigError: there are not so many, or nothing of that name can be dealt.
    """
    if split not in SPLITS:
        raise ConfigError(f"split: {split!r}; choose one of {', '.join(SPLITS)}")
    if isinstance(devices, int):
        there = jax.devices()
        if not 1 <= devices <= len(there):
            raise ConfigError(
                f"devices: {devices} wanted, JAX sees {len(there)} ({there[0].device_kind}); choose 1 … {len(there)}, "
                f"or share a CPU with XLA_FLAGS=--xla_force_host_platform_device_count={max(1, devices)}"
            )
        devices = there[:devices]
    if not len(devices):
        raise ConfigError("devices: none given; choose at least one")
    return Devices(mesh=Mesh(np.array(devices), (split,)), split=split)
