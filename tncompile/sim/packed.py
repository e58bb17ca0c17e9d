"""The engine for batches, GPUs and many devices: crossbars as packed bits, and popcount as the inner loop.

It runs any image: recurrent wiring, all delays, neurons in every mode with their random numbers, any layout of axon
types. How one tick goes:

1. *Gather.* Routing is turned round: every axon reads the past spikes of its source, a neuron or an input bit, and
   takes the bit of the tick `delay` ago. The few axons of several sources get the OR of the others on top.
2. *Pack.* 32 axons of one type make a word. The axons of each core are sorted by type for that, and all cores of a
   group have the same types at the same words, so a word's type is known when the engine is compiled. Axons without a
   source take no room.
3. *Integrate.* Σ_G s^G · Σ popcount(word & crossbar word), over the words of type G. The sum is exact in 32 bits:
   at most 4096 axons of 15-bit weights. Synapses that draw random numbers add ±1 each.
4. *Fire.* Saturate or wrap, leak, saturate, threshold and reset, saturate: the order of `NeuronTable`. Neurons whose
   potential is 0 before every tick need one comparison, Σ ≥ α − λ, and no state.
5. *Push.* The spikes become the lowest bits of the past.

What XLA makes of it decides the speed, and was measured on CPUs with chips of 4096 cores:

- Each step reads arrays that lie in memory: the pack is a reduction, which is not fused into what follows. Written as
  32 ORs it would be, and every neuron would gather the axons of its core anew.
- The popcounts are written out, not summed by a reduction: then they, the neuron and its reset are one loop, and no
  sum ever goes through memory. So that this loop has one result, potential and spike are one number.
- The batch is the last axis: a gather then reads all streams of a source at once. The lanes of a word are the last
  axis of the gather's indices: with lanes first, the 32 reads of a word lie a power of two apart and fall into one set
  of the cache.
- The past is one number a source, not a ring of rows: as fast, a seventh of the memory with delays up to 15, and
  the gather's indices are constants.
- Neurons' parameters are as narrow as their values allow: with one stream, reading them is most of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Int32, UInt32

from tncompile.ir import ChipImage
from tncompile.sim.devices import pick_devices
from tncompile.sim.engine import ChipState, Ticks, check_frames, check_saved, check_stateless, check_watch
from tncompile.sim.packed_layout import Chip, lay_out
from tncompile.sim.packed_tick import Past, Potential, Watch, run_ticks
from tncompile.sim.wiring import resolve


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackedState:
    """What the chip holds between two ticks.

    Attributes:
        tick: the next tick to be run [tick].
        seeds: of each stream's random numbers.
        past, potential: the rest, on the devices.
    """

    tick: int
    seeds: UInt32[np.ndarray, " batch"]
    past: Past
    potential: Potential


class PackedEngine:
    """Runs one chip image, on one device or several.

    The potential saturates or wraps after the sum of all synapses, after the leak and after the reset; partial sums
    within the synapses do not.
    """

    def __init__(self, image: ChipImage, *, devices: int | Sequence[Any] = 1, split: str = "streams") -> None:
        """Lays out an image.

        Args:
            image: the chip.
            devices: which; or how many, the first ones of JAX's default backend.
            split: what is dealt to them: "streams", which must then be a multiple of the devices, or "cores".

        Raises:
            CapacityError: more sources and delays than 32-bit indices can tell apart.
            ConfigError: there are not so many devices, or nothing of that name can be dealt.
            SimulationError: the image disagrees with itself.
        """
        wiring = resolve(image)
        self.image = image
        self._delay_max = wiring.arch.delay_max
        self._devices = pick_devices(devices, split)
        chip, self._seats = lay_out(image, wiring, self._devices.core_shards)
        by_core, by_pin = jax.tree.leaves(chip.groups), jax.tree.leaves(chip.pins)  # in the order of the whole
        self._specs = [self._devices.cores() if array.ndim else PartitionSpec() for array in by_core]
        self._specs += [PartitionSpec()] * len(by_pin)
        leaves = [self._put(array, spec) for array, spec in zip(by_core + by_pin, self._specs, strict=True)]
        self._chip: Chip = jax.tree.unflatten(jax.tree.structure(chip), leaves)
        self._compiled: dict[tuple[int, int, int], Any] = {}

    def init(self, batch: int, seeds: UInt32[np.ndarray, " batch"] | None = None) -> PackedState:
        """Returns the state of `batch` streams before their first tick; without seeds, all have seed 0.

        Raises:
            ConfigError: the streams cannot be dealt to the devices.
        """
        self._devices.check_batch(batch)
        table, kind = self.image.neurons, self.image.neuron_type
        initial = np.where(kind == 0, 0, table.initial[kind]).astype(np.int32)
        return PackedState(
            tick=0,
            seeds=np.zeros(batch, np.uint32) if seeds is None else seeds,
            past=self._put(np.zeros(self._past_shape(batch), self._past_type), self._devices.streams(2)),
            potential=self._potential(np.broadcast_to(initial[..., None], (*kind.shape, batch))),
        )

    def prepare(self, batch: int, ticks: int, watch: Sequence[int] = ()) -> None:
        """Compiles the engine for calls of `run` with this batch, this many ticks, and as many watched cores.

        Raises:
            ConfigError: the streams cannot be dealt to the devices.
        """
        self._devices.check_batch(batch)
        key = batch, ticks, len(watch)
        if key not in self._compiled:
            self._compiled[key] = self._compile(*key)

    def run(
        self, state: PackedState, frames: Bool[np.ndarray, "batch ticks input_bits"], watch: Sequence[int] = ()
    ) -> tuple[PackedState, Ticks]:
        """Returns the state after as many ticks as there are frames, and what came out.

        Args:
            state: the state before.
            frames: the input bits that enter in each tick.
            watch: cores whose spikes and potentials are wanted.

        Raises:
            SimulationError: the frames do not fit the image or the state, or a watched core is not there.
        """
        batch, ticks = len(state.seeds), frames.shape[1]
        check_frames(frames, batch, self._chip.input_bits)
        check_watch(watch, len(self.image.core_x))
        if batch == 0 or ticks == 0:
            shape = batch, ticks, len(watch), self._chip.neurons
            pins = np.zeros((batch, ticks, self.image.output_pins), bool)
            nothing = Ticks(pins=pins, spikes=np.zeros(shape, bool), potential=np.zeros(shape, np.int32))
            return replace(state, tick=state.tick + ticks), nothing
        self.prepare(batch, ticks, watch)
        past, potential, *seen = self._compiled[batch, ticks, len(watch)](
            jax.tree.leaves(self._chip),
            state.past,
            state.potential,
            *self._watch(watch),
            np.uint32(state.tick % (1 << 32)),
            state.seeds,
            frames,
        )
        jax.block_until_ready(past)  # or a run that nothing comes out of would end before its time
        pins, spikes, watched = (np.asarray(array) for array in seen)
        after = PackedState(tick=state.tick + ticks, seeds=state.seeds, past=past, potential=potential)
        return after, Ticks(pins=pins, spikes=spikes, potential=watched)

    def step(
        self, state: PackedState, frame: Bool[np.ndarray, "batch input_bits"]
    ) -> tuple[PackedState, Bool[np.ndarray, "batch pins"]]:
        """Returns the state after one tick, and its output pins; errors as in `run`."""
        state, ticks = self.run(state, frame[:, None])
        return state, ticks.pins[:, 0]

    def save(self, state: PackedState) -> ChipState:
        """Returns the state in the form that every engine can load."""
        chip, seats = self._chip, self._seats
        batch, input_bits = len(state.seeds), chip.input_bits
        past = np.asarray(state.past)
        past = past.reshape(chip.planes, len(past) // chip.planes, *past.shape[1:])
        shape = batch, self._delay_max, *self.image.neuron_type.shape
        spikes = np.empty((*shape[:3], -(-chip.neurons // 8)), np.uint8)
        entered = np.empty((*shape[:2], -(-input_bits // 8)), np.uint8)
        for age in range(self._delay_max):
            plane, bit = divmod(age, chip.bits)
            row = (past[plane] >> past.dtype.type(bit) & 1).astype(np.uint8)
            spikes[:, age] = np.packbits(row[seats.position], axis=1, bitorder="little").transpose(2, 0, 1)
            inputs = row[-chip.inputs :].reshape(chip.inputs * chip.neurons, batch)[:input_bits]
            entered[:, age] = np.packbits(inputs, axis=0, bitorder="little").T
        potential = np.zeros((*self.image.neuron_type.shape, batch), np.int32)
        for index, (group, v) in enumerate(zip(chip.groups, state.potential, strict=True)):
            if group.stateful is not None:
                member = seats.group == index
                potential[member] = np.asarray(v)[seats.row[member]] >> group.stateful.bit
        return ChipState(
            tick=state.tick,
            seeds=state.seeds,
            potential=potential.transpose(2, 0, 1),
            spikes=spikes,
            inputs=entered,
        )

    def load(self, saved: ChipState) -> PackedState:
        """Returns the engine's state from a saved one of an equal image, whichever engine wrote it.

        Raises:
            ConfigError: its streams cannot be dealt to the devices.
            SimulationError: it is the state of another image.
        """
        check_saved(saved, self.image, self._delay_max)
        stateless = np.array([group.stateful is None for group in self._chip.groups])
        check_stateless(saved, stateless[self._seats.group])
        chip, batch = self._chip, len(saved.seeds)
        self._devices.check_batch(batch)
        past = np.zeros(self._past_shape(batch), self._past_type)
        rows = len(past) // chip.planes
        for age in range(self._delay_max):
            plane, bit = divmod(age, chip.bits)
            row = past[plane * rows : (plane + 1) * rows]
            fired = saved.spikes[:, age].transpose(1, 2, 0)  # streams last while they are still packed
            fired = np.unpackbits(fired, axis=1, count=chip.neurons, bitorder="little")
            entered = np.unpackbits(saved.inputs[:, age].T, axis=0, count=chip.input_bits, bitorder="little")
            row[self._seats.position] |= fired.astype(past.dtype) << past.dtype.type(bit)
            inputs = row[-chip.inputs :].reshape(chip.inputs * chip.neurons, batch)[: chip.input_bits]
            inputs |= entered.astype(past.dtype) << past.dtype.type(bit)
        return PackedState(
            tick=saved.tick,
            seeds=saved.seeds,
            past=self._put(past, self._devices.streams(2)),
            potential=self._potential(saved.potential.transpose(1, 2, 0)),
        )

    def _put(self, array: np.ndarray, spec: PartitionSpec) -> Array:
        return jax.device_put(array, self._devices.sharding(spec))

    @property
    def _past_type(self) -> np.dtype:
        return np.dtype(f"u{self._chip.bits // 8}")

    def _past_shape(self, batch: int) -> tuple[int, int, int]:
        rows = sum(len(group.core) for group in self._chip.groups)
        return self._chip.planes * rows, self._chip.neurons, batch

    def _potential(self, potential: Int32[np.ndarray, "cores neurons batch"]) -> Potential:
        """Returns the potentials of the image's cores group by group, as the devices hold them."""
        groups = []
        for index, group in enumerate(self._chip.groups):
            if group.stateful is None:
                groups.append(None)
                continue
            member = self._seats.group == index
            rows = np.zeros((len(group.core), *potential.shape[1:]), np.int32)
            rows[self._seats.row[member]] = potential[member] << group.stateful.bit
            groups.append(self._put(rows, self._devices.cores_and_streams()))
        return tuple(groups)

    def _watch(
        self, watch: Sequence[int]
    ) -> tuple[Int32[np.ndarray, " watched"], tuple[Int32[np.ndarray, "shards watched"], ...]]:
        """Returns the fields of `Watch`."""
        core = np.asarray(watch, np.int64)
        seats, shards = self._seats, self._devices.core_shards
        rows = []
        for index, group in enumerate(self._chip.groups):
            shard, row = np.divmod(seats.row[core], len(group.core) // shards)
            here = (seats.group[core] == index) & (shard == np.arange(shards)[:, None])
            rows.append(np.where(here, row, -1).astype(np.int32))
        return seats.position[core].astype(np.int32), tuple(rows)

    def _compile(self, batch: int, ticks: int, watched: int) -> Any:
        devices, chip = self._devices, self._chip
        structure, shards = jax.tree.structure(chip), devices.core_shards

        def run(
            leaves, past, potential, core, rows, tick, seeds, frames
        ):  # chip in leaves: JAX fills a tree with specs
            chip = jax.tree.unflatten(structure, leaves)
            return run_ticks(chip, past, potential, Watch(core=core, row=rows), tick, seeds, frames, shards)

        held = devices.streams(2), devices.cores_and_streams()
        whole, by_stream = PartitionSpec(), devices.streams(0)
        into = self._specs, *held, whole, devices.cores(), whole, by_stream, by_stream
        out = *held, by_stream, by_stream, by_stream
        sharded = jax.shard_map(run, mesh=devices.mesh, in_specs=into, out_specs=out, check_vma=False)
        into, out = jax.tree.map(devices.sharding, (into, out), is_leaf=lambda leaf: isinstance(leaf, PartitionSpec))

        def blank(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(shape, dtype)

        potential = tuple(
            None if group.stateful is None else blank((len(group.core), chip.neurons, batch), np.int32)
            for group in chip.groups
        )
        return (
            jax.jit(sharded, in_shardings=into, out_shardings=out)
            .lower(
                jax.tree.leaves(chip),
                blank(self._past_shape(batch), self._past_type),
                potential,
                blank((watched,), np.int32),
                tuple(blank((shards, watched), np.int32) for _ in chip.groups),
                blank((), np.uint32),
                blank((batch,), np.uint32),
                blank((batch, ticks, chip.input_bits), np.bool_),
            )
            .compile()
        )
