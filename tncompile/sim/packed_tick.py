"""One tick of the engine `packed`, as a traced function. What runs here is compiled by XLA."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int32, Shaped, UInt32

from tncompile.sim.packed_layout import SYNAPSE_LANES, AnyArray, Chip, Group, RandomSynapses, Reader, Stateful

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_NEURON_BLOCK = 0
_SYNAPSE_BLOCK = 1

Past = Shaped[Array, "planes_times_rows neurons batch"]
"""Past spikes of all sources, plane by plane (`Chip`), as rows of as many as a core has neurons."""
Potential = tuple[Int32[Array, "_ neurons batch"] | None, ...]
"""V of each group, as 2 V + spike where `Stateful.bit` says so [LSB]; None if it is stateless."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watch:
    """Cores that are looked at after each tick.

    Attributes:
        core: row of each in the past spikes.
        row: of each in each group's potentials, −1 where it is not; one line a shard.
    """

    core: Int32[Array, " watched"]
    row: tuple[Int32[Array, "shards watched"], ...]


def run_ticks(
    chip: Chip,
    past: Past,
    potential: Potential,
    watch: Watch,
    tick: UInt32[Array, ""],
    seeds: UInt32[Array, " batch"],
    frames: Bool[Array, "batch ticks input_bits"],
    shards: int,
) -> tuple[
    Past,
    Potential,
    Bool[Array, "batch ticks pins"],
    Bool[Array, "batch ticks watched neurons"],
    Int32[Array, "batch ticks watched neurons"],
]:
    """Returns what the chip holds after as many ticks as there are frames, and what was seen after each.

    What is seen are the output pins, and the spikes and potentials of the watched cores [LSB].

    Args:
        chip: the part of the chip that this device computes.
        past, potential: what it holds.
        watch: what to look at.
        tick: the first tick to be run, modulo 2³² [tick].
        seeds: of each stream's random numbers.
        frames: the input bits that enter in each tick.
        shards: how many devices share the cores.
    """

    def step(carry: tuple[Past, Potential, UInt32[Array, ""]], frame: Bool[Array, "input_bits batch"]):
        past, potential, tick = carry
        # Else XLA widens the parameters to 32 bits once before the loop, and then reads four times as much.
        groups, tick = lax.optimization_barrier((chip.groups, tick))
        now = replace(chip, groups=groups)
        past, potential = _tick(now, past, potential, (seeds, tick), frame, shards)
        return (past, potential, tick + 1), _look(now, watch, past, potential, shards)

    (past, potential, _), seen = lax.scan(step, (past, potential, tick), frames.transpose(1, 2, 0))
    pins, spikes, watched = (jnp.moveaxis(array, -1, 0) for array in seen)
    return past, potential, pins, spikes, watched


def _tick(
    chip: Chip,
    past: Past,
    before: Potential,
    key: tuple[UInt32[Array, " batch"], UInt32[Array, ""]],
    frame: Bool[Array, "input_bits batch"],
    shards: int,
) -> tuple[Past, Potential]:
    """Returns what the chip holds after a tick; `key` is that of its random numbers."""
    potential, spikes = [], []
    for group, old in zip(chip.groups, before, strict=True):
        total = _integrate(group, past)
        if group.synapses is not None:
            total = _integrate_randomly(group.synapses, _number(group, chip.neurons), key, past, total)
        if group.stateful is None:
            potential.append(None)
            spikes.append(total >= _each(group.threshold))
            continue
        assert old is not None
        drawn = (
            None if group.noise is None else threefry(key, (_number(group, chip.neurons), jnp.uint32(_NEURON_BLOCK)))
        )
        v, fired = _fire(group, (old >> group.stateful.bit) + total, drawn)
        if group.stateful.bit:  # one array instead of two: XLA would compute V once for each
            v = v << 1 | fired.astype(jnp.int32)
            fired = (v & 1).astype(bool)
        potential.append(v)
        spikes.append(fired)
    return _push(chip, past, _joined(spikes, shards), frame), tuple(potential)


def _joined(spikes: list[Bool[Array, "_ neurons batch"]], shards: int) -> Bool[Array, "all neurons batch"]:
    """Returns the spikes of all groups and shards, one behind the other.

    Eight neurons a byte: that is what goes over the wire, and what is copied to join the groups.
    """
    if len(spikes) == shards == 1:
        return spikes[0]
    bit = jnp.arange(8, dtype=jnp.uint8)[:, None]
    neurons, batch = spikes[0].shape[1:]
    packed = jnp.concatenate(
        [
            jnp.sum(group.reshape(-1, neurons // 8, 8, batch).astype(jnp.uint8) << bit, axis=2, dtype=jnp.uint8)
            for group in spikes
        ]
    )
    if shards > 1:
        packed = lax.all_gather(packed, "cores", tiled=True)
    return (packed[:, :, None] >> bit & 1).astype(bool).reshape(-1, neurons, batch)


def _push(
    chip: Chip, past: Past, spikes: Bool[Array, "rows neurons batch"], frame: Bool[Array, "input_bits batch"]
) -> Past:
    """Returns the past spikes with one more tick: the spikes of all rows, and the input bits in the last ones."""
    rows = len(spikes)
    new = past[:rows] << 1 | spikes.astype(past.dtype)
    older = [
        past[i * rows : (i + 1) * rows] << 1 | past[(i - 1) * rows : i * rows] >> chip.bits - 1
        for i in range(1, chip.planes)
    ]
    past = jnp.concatenate([new, *older]) if older else new
    spare = chip.inputs * chip.neurons - len(frame)
    inputs = jnp.pad(frame, ((0, spare), (0, 0))).reshape(chip.inputs, chip.neurons, -1)
    begin = rows - chip.inputs
    return lax.dynamic_update_slice(past, past[begin:rows] | inputs.astype(past.dtype), (begin, 0, 0))


def _look(
    chip: Chip, watch: Watch, past: Past, potential: Potential, shards: int
) -> tuple[Bool[Array, "pins batch"], Bool[Array, "watched neurons batch"], Int32[Array, "watched neurons batch"]]:
    """Returns the output pins, and the spikes and potentials of the watched cores, after a tick."""
    pins = _read(chip.pins, past).astype(bool)
    spikes = (_take(past, watch.core) & 1).astype(bool)
    seen = jnp.zeros(spikes.shape, jnp.int32)
    for group, v, row in zip(chip.groups, potential, watch.row, strict=True):
        if v is not None and group.stateful is not None:
            here = row[0][:, None, None]
            seen += jnp.where(here >= 0, _take(v, jnp.maximum(row[0], 0)) >> group.stateful.bit, 0)
    return pins, spikes, lax.psum(seen, "cores") if shards > 1 else seen


def _read(reader: Reader, past: Past) -> UInt32[Array, "*words batch"]:
    """Returns words of past spikes."""
    lanes = jnp.arange(reader.first.shape[-1], dtype=jnp.uint32)[:, None]
    words = jnp.sum(_spike(past, reader.first).astype(jnp.uint32) << lanes, axis=-2, dtype=jnp.uint32)
    if not reader.owner.size:
        return words
    further = _spike(past, reader.extra[0]).astype(jnp.uint32) << reader.lane[0, :, None].astype(jnp.uint32)
    for a, b in reader.levels:
        further = _take(further, a[0]) | _take(further, b[0])
    flat = words.reshape(-1, words.shape[-1])
    own = flat.at[reader.owner[0]].get(mode="clip") | further
    flat = flat.at[reader.owner[0]].set(own, mode="drop", unique_indices=True, indices_are_sorted=True)
    return flat.reshape(words.shape)


def _spike(past: Past, code: Int32[AnyArray, "*n"]) -> Shaped[Array, "*n batch"]:
    """Returns spikes, from the source and age of each."""
    bits = past.dtype.itemsize * 8
    age = (code & bits - 1)[..., None].astype(past.dtype)
    return _take(past.reshape(-1, past.shape[-1]), code >> bits.bit_length() - 1) >> age & 1


def _take(array: Shaped[Array, "n *rest"], index: Int32[AnyArray, "*m"]) -> Shaped[Array, "..."]:
    return array.at[index].get(mode="promise_in_bounds")


def _integrate(group: Group, past: Past) -> Int32[Array, "cores neurons batch"]:
    """Returns the sum of all synapses that draw no random numbers."""
    words = _read(group.axons, past)
    cores, _, neurons = group.crossbars.shape
    total = jnp.zeros((cores, neurons, past.shape[-1]), jnp.int32)
    begin = 0
    for count, weight in zip(group.words, group.weights, strict=True):
        ones = jnp.zeros_like(total)
        for word in range(begin, begin + count):  # written out: a reduction would keep what it sums in memory
            both = words[:, word, None, :] & group.crossbars[:, word, :, None]
            ones += lax.population_count(both).astype(jnp.int32)
        total += _each(weight).astype(jnp.int32) * ones
        begin += count
    return total


def _integrate_randomly(
    synapses: RandomSynapses,
    number: UInt32[Array, "cores neurons 1"],
    key: tuple[UInt32[Array, " batch"], UInt32[Array, ""]],
    past: Past,
    total: Int32[Array, "cores neurons batch"],
) -> Int32[Array, "cores neurons batch"]:
    """Returns a sum with that of the synapses that draw random numbers added; 8 axons at a time, to bound memory."""
    axons = _read(synapses.axons, past)
    blocks = jnp.asarray(synapses.blocks, jnp.uint32)

    def add(index: Int32[Array, ""], total: Int32[Array, "cores neurons batch"]):
        def at(array: AnyArray) -> Array:
            return lax.dynamic_index_in_dim(array, index, axis=1, keepdims=False)

        words = threefry(key, (number, blocks[index] + jnp.uint32(_SYNAPSE_BLOCK)))
        active = at(axons)[:, None, :] & at(synapses.crossbars)[:, :, None].astype(jnp.uint32)
        kind = at(synapses.kind)
        for lane in range(SYNAPSE_LANES):
            weight = jnp.zeros((), jnp.int32)
            for g, s in zip(synapses.types, synapses.weights, strict=True):
                weight = jnp.where(kind[:, lane, None] == g, s.astype(jnp.int32), weight)
            rho = (words[lane // 4] >> 8 * (lane % 4) & 0xFF).astype(jnp.int32)
            hits = (active >> lane & 1).astype(bool) & (jnp.abs(weight)[..., None] >= rho)
            total += jnp.where(hits, jnp.sign(weight)[..., None], 0)
        return total

    return lax.fori_loop(0, len(synapses.blocks), add, total)


def _fire(
    group: Group,
    v: Int32[Array, "cores neurons batch"],
    drawn: tuple[UInt32[Array, "cores neurons batch"], UInt32[Array, "cores neurons batch"]] | None,
) -> tuple[Int32[Array, "cores neurons batch"], Bool[Array, "cores neurons batch"]]:
    """Returns the potential at the tick's end and the spikes, from the potential with the synapses' sum.

    Differences to α and −β are compared with η, for α + η may not fit into 32 bits.
    """
    neuron, noise = group.stateful, group.noise
    assert neuron is not None
    v = _fit(neuron, v)
    leak = _each(neuron.leak).astype(jnp.int32)
    if noise is not None and noise.stochastic_leak is not None:
        assert drawn is not None
        chance = jnp.where(jnp.abs(leak) >= (drawn[1] & 0xFF).astype(jnp.int32), jnp.sign(leak), 0)
        leak = jnp.where(_each(noise.stochastic_leak), chance, leak)
    if neuron.leak_reversal is None:
        v = v + leak
    else:
        reversal = _each(neuron.leak_reversal)
        leaked = v + jnp.where(reversal, jnp.sign(v), 1) * leak
        crossed = reversal & (jnp.sign(v) * jnp.sign(leaked) < 0)
        v = jnp.where(crossed, 0, leaked)
    v = _fit(neuron, v)

    after_spike = jnp.where(_each(neuron.keep_spike), v, 0) + _each(neuron.add_spike)
    after_below = jnp.where(_each(neuron.keep_below), v, 0) + _each(neuron.add_below)
    if noise is None:
        spikes, below = v >= _each(group.threshold), v < _each(neuron.floor)
    else:
        assert drawn is not None
        eta, eta_below = ((drawn[0] & _each(mask)).astype(jnp.int32) for mask in (noise.mask, noise.mask_below))
        spikes, below = v - _each(group.threshold) >= eta, v - _each(neuron.floor) < -eta_below
        after_spike -= jnp.where(_each(noise.take_spike), eta, 0)
        after_below += jnp.where(_each(noise.take_below), eta, 0)
    v = jnp.where(spikes, after_spike, jnp.where(below, after_below, v))
    return _fit(neuron, v), spikes


def _fit(neuron: Stateful, v: Int32[Array, "cores neurons batch"]) -> Int32[Array, "cores neurons batch"]:
    """Returns the potential brought back into its range."""
    if not neuron.wraps:
        return jnp.clip(v, neuron.low, neuron.high)
    spare = 32 - (neuron.high - neuron.low).bit_length()
    return v << spare >> spare


def _each(value: AnyArray) -> Array:
    """Returns a number for all neurons, or one for each, ready to meet a batch."""
    return jnp.asarray(value)[..., None] if value.ndim else jnp.asarray(value)


def _number(group: Group, neurons: int) -> UInt32[Array, "cores neurons 1"]:
    """Returns core · neurons + neuron."""
    return (group.core[:, None] * jnp.uint32(neurons) + jnp.arange(neurons, dtype=jnp.uint32))[..., None]


def threefry(
    key: tuple[UInt32[Array, "*_"], UInt32[Array, "*_"]], counter: tuple[UInt32[Array, "*_"], UInt32[Array, "*_"]]
) -> tuple[UInt32[Array, "*_"], UInt32[Array, "*_"]]:
    """Returns the two words of Threefry-2x32 with 20 rounds.

    Written out, so that XLA computes it together with what is done with it: JAX's own is a loop on a CPU and a
    kernel of its own on a GPU, and both put the words into memory.

    References:
        Salmon et al. 2011, SC11, "Parallel random numbers: as easy as 1, 2, 3".
    """
    keys = key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY)
    a, b = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            a = a + b
            b = (b << rotation | b >> 32 - rotation) ^ a
        a = a + keys[(group + 1) % 3]
        b = b + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return a, b
