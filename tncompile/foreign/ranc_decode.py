"""RANC's networks and packets as chip images and spikes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer

from tncompile.arch import ChipArch
from tncompile.errors import ArtifactError, ConfigError, InfeasibleError
from tncompile.foreign.companion import Companion, companion_path
from tncompile.foreign.ranc_encode import config_of, ranc_fields
from tncompile.foreign.ranc_json import RancNetwork, RancPackets, config_arch, select_cores
from tncompile.foreign.ranc_memory import WORD_BITS
from tncompile.foreign.ranc_potential import bounds, swing
from tncompile.ir import ChipImage, InputPackets, NeuronTable, ResetMode
from tncompile.sim.spikes import InputSpikes

UNBOUNDED = 32
"""Potential bits that stand for the C++ simulator's integers [bit]."""


def network_image(path: str | os.PathLike[str], network: RancNetwork, potential_bits: int) -> ChipImage:
    """Returns the image of a network by itself."""
    network = select_cores(network, np.lexsort((network.x, network.y)))
    used = ~_unused(network)
    arch = _arch(path, network, used, potential_bits)
    table, neuron_type = _table(network, used, arch)
    return _assemble(path, network, arch, table, neuron_type, of_unused=False)


def exported_image(
    path: str | os.PathLike[str], network: RancNetwork, companion: Companion, arch: ChipArch
) -> ChipImage:
    """Returns the image of a network that was exported, with the companion's neurons, its cores in the file's order.

    Raises:
        ArtifactError: a neuron is not the one that was exported.
    """

    def stale(where: str, found: object, expected: object) -> NoReturn:
        raise ArtifactError(
            f"{path}: {where}: is {found}, exported was {expected}; export the chip again, or remove "
            f"{companion_path(path).name} to read the network by itself"
        )

    config = network.config
    expected = config_of(arch, (config.num_cores_x, config.num_cores_y))
    for field in fields(config):
        if getattr(config, field.name) != getattr(expected, field.name):
            stale(f"config, {field.name}", getattr(config, field.name), getattr(expected, field.name))
    row = {site: i for i, site in enumerate(zip(companion.core_x.tolist(), companion.core_y.tolist(), strict=True))}
    sites = list(zip(network.x.tolist(), network.y.tolist(), strict=True))
    for x, y in sites:
        if (x, y) not in row:
            stale(f"core ({x}, {y})", "there", "none")
    neuron_type = companion.neuron_type[[row[site] for site in sites]].reshape(len(sites), arch.neurons)
    for name, values in ranc_fields(companion.neurons).items():
        found, expected = getattr(network, name), values[neuron_type]
        differs = (found != expected).any(axis=tuple(range(2, found.ndim)))
        if differs.any():
            c, n = np.argwhere(differs)[0].tolist()
            stale(f"core ({network.x[c]}, {network.y[c]}), neuron {n}, {name}", found[c, n], expected[c, n])
    return _assemble(path, network, arch, companion.neurons, neuron_type, of_unused=True)


def _assemble(
    path: str | os.PathLike[str],
    network: RancNetwork,
    arch: ChipArch,
    table: NeuronTable,
    neuron_type: Int32[np.ndarray, "cores neurons"],
    *,
    of_unused: bool,
) -> ChipImage:
    """Returns the image of a network with given neurons.

    Args:
        path: for messages.
        network: everything else.
        arch: the chip, which may have more axons and neurons a core.
        table, neuron_type: as in `ChipImage`, of as many neurons as the network has.
        of_unused: whether the targets of unused neurons count; they are written as in `_destinations`.
    """
    cores = len(network.x)
    distinct: dict[bytes, int] = {}
    core_crossbar = [distinct.setdefault(crossbar.tobytes(), len(distinct)) for crossbar in network.crossbars]
    _, first = np.unique(np.array(core_crossbar, np.int32), return_index=True)
    crossbars = np.zeros((len(first), arch.axons, arch.neurons // 8), np.uint8)
    crossbars[:, : network.crossbars.shape[1], : network.crossbars.shape[2]] = network.crossbars[first]
    none = np.zeros(0, np.int32)

    def padded(
        values: Integer[np.ndarray, "cores some"], fill: int, size: int, kind: Any
    ) -> Integer[np.ndarray, "cores all"]:
        whole = np.full((cores, size), fill, kind)
        whole[:, : values.shape[1]] = values
        return whole

    targets = _targets(path, network, arch, table, neuron_type, of_unused=of_unused)
    return ChipImage(
        arch=arch.model_dump_json(),
        input_bits=0,
        output_pins=network.num_outputs,
        latency=-1,
        core_x=network.x,
        core_y=network.y,
        core_crossbar=np.array(core_crossbar, np.int32),
        crossbars=crossbars,
        axon_type=padded(network.axon_type, 0, arch.axons, np.uint8),
        neurons=table,
        neuron_type=padded(neuron_type, 0, arch.neurons, np.int32),
        dx=padded(targets["dx"], 0, arch.neurons, np.int16),
        dy=padded(targets["dy"], 0, arch.neurons, np.int16),
        target_axon=padded(targets["axon"], 0, arch.neurons, np.int16),
        target_delay=padded(targets["delay"], 0, arch.neurons, np.uint8),
        output_pin=padded(targets["pin"], -1, arch.neurons, np.int32),
        packets=InputPackets(bit=none, x=none, y=none, axon=none.astype(np.int16), delay=none.astype(np.uint8)),
        host=None,
    )


def _unused(network: RancNetwork) -> Bool[np.ndarray, "cores neurons"]:
    """Returns which neurons neither spike nor change, whatever comes in.

    They start at V = 0, have no leak, no connection to an axon of a type with a weight, and a threshold above 0; if
    V = 0 counts as below the negative threshold, the reset gives 0 again.
    """
    floor = network.negative_threshold
    below = floor >= 0 if network.config.neuron_reset_type == 1 else floor > 0
    after = np.where(network.reset_mode == ResetMode.SUBTRACT, floor, network.reset_potential)
    least, most = _swings(network)
    quiet = (least == 0) & (most == 0) & (network.leak == 0) & (network.current_potential == 0)
    return quiet & (network.positive_threshold > 0) & (~below | (after == 0))


def _swings(network: RancNetwork) -> tuple[Int64[np.ndarray, "cores neurons"], Int64[np.ndarray, "cores neurons"]]:
    """Returns the least and the greatest synaptic sum of each neuron [LSB]."""
    least = np.zeros(network.leak.shape, np.int64)
    most = np.zeros_like(least)
    for core, weights in enumerate(network.weights):
        least[core], most[core] = swing(network.crossbars[core], network.axon_type[core], weights)
    return least, most


def _arch(
    path: str | os.PathLike[str], network: RancNetwork, used: Bool[np.ndarray, "cores neurons"], potential_bits: int
) -> ChipArch:
    """Returns the smallest chip, with RANC's own widths at least, that holds a network.

    Raises:
        ConfigError: the potential cannot have that width.
        InfeasibleError: a dimension or number is beyond what a chip description can hold.
    """
    if not 4 <= potential_bits <= UNBOUNDED:
        raise ConfigError(f"potential_bits: must be 4 … {UNBOUNDED}, got {potential_bits}")

    def widest(name: str) -> tuple[int, str]:
        """Returns the bits of the widest value of a field, and where it is."""
        values = np.atleast_3d(getattr(network, name)).astype(np.int64)
        size = np.abs(values) if name in _SYMMETRIC else np.where(values < 0, ~values, values)
        size = np.where(used[:, :, None], size, 0)
        if not size.any():
            return 1, f"{name} is 0"
        core, neuron, index = np.unravel_index(size.argmax(), size.shape)
        where = f"core ({network.x[core]}, {network.y[core]}), neuron {neuron}"
        return int(size.max()).bit_length() + 1, f"{where}: {name} is {values[core, neuron, index]}"

    for name in ("reset_potential", "current_potential"):
        bits, where = widest(name)
        if bits > potential_bits:
            raise InfeasibleError(
                f"{path}: {where}, which takes {bits} bits, the potential has {potential_bits}; give it {bits}"
            )
    reach = max(network.config.num_cores_x, network.config.num_cores_y) - 1
    needed = {field: max(widest(name) for name in names) for field, names in _WIDTHS.items()}
    needed["offset_bits"] = (reach.bit_length() + 1, "the grid")
    widths = {field: (max(WORD_BITS, bits), where) for field, (bits, where) in needed.items()}
    return config_arch(path, network.config, widths, potential_bits=potential_bits)


_WIDTHS = {
    "weight_bits": ("weights",),
    "leak_bits": ("leak",),
    "threshold_bits": ("positive_threshold", "negative_threshold"),
}
"""Which of a network's fields a width of the chip description is for."""
_SYMMETRIC = ("weights", "leak")
"""Fields whose lowest value a chip description leaves out."""


def _table(
    network: RancNetwork, used: Bool[np.ndarray, "cores neurons"], arch: ChipArch
) -> tuple[NeuronTable, Int32[np.ndarray, "cores neurons"]]:
    """Returns the distinct neurons in rising order, behind the unused one, and each neuron's row."""
    types = arch.axon_types
    columns = np.zeros((*used.shape, types + 6), np.int32)
    columns[:, :, : network.weights.shape[2]] = network.weights
    fields_behind = ("leak", "positive_threshold", "negative_threshold", "reset_mode", "reset_potential")
    for column, name in enumerate((*fields_behind, "current_potential"), types):
        columns[:, :, column] = getattr(network, name)
    distinct, row = _distinct(columns[used])
    neuron_type = np.zeros(used.shape, np.int32)
    neuron_type[used] = row + 1
    unused = np.zeros((1, types + 6), np.int32)
    unused[0, types + 1] = 1
    rows = np.concatenate([unused, distinct])
    leak, above, below, mode, reset, initial = rows[:, types:].T
    none = np.zeros(len(rows), bool)
    table = NeuronTable(
        weights=rows[:, :types].astype(np.int16),
        stochastic_weights=np.zeros((len(rows), types), bool),
        leak=leak.astype(np.int16),
        leak_reversal=none,
        stochastic_leak=none,
        threshold=above,
        negative_threshold=-below,
        mask_bits=none.astype(np.uint8),
        reset_mode=mode.astype(np.uint8),
        negative_saturate=none,
        reset=reset,
        initial=initial,
    )
    return table, neuron_type


def _distinct(
    rows: Int32[np.ndarray, "rows columns"],
) -> tuple[Int32[np.ndarray, "distinct columns"], Int64[np.ndarray, " rows"]]:
    """Returns the distinct rows in rising order, and the number of each row's; many rows are few distinct ones."""
    data, size = rows.tobytes(), 4 * rows.shape[1]
    keys = [data[start : start + size] for start in range(0, len(data), size)]
    seen = list(dict.fromkeys(keys))
    distinct, number = np.unique(
        np.frombuffer(b"".join(seen), np.int32).reshape(-1, rows.shape[1]), axis=0, return_inverse=True
    )
    number_of = dict(zip(seen, number.ravel().tolist(), strict=True))
    return distinct, np.array([number_of[key] for key in keys], np.int64)


def _targets(
    path: str | os.PathLike[str],
    network: RancNetwork,
    arch: ChipArch,
    table: NeuronTable,
    neuron_type: Int32[np.ndarray, "cores neurons"],
    *,
    of_unused: bool,
) -> dict[str, Int64[np.ndarray, "cores neurons"]]:
    """Returns each neuron's dx, dy, axon, delay and pin, as in `ChipImage`.

    Raises:
        ArtifactError: a neuron has a reset mode that RANC does not know, or may spike and sends out of the grid or to
            an axon, output or tick that is not there.
    """
    config = network.config
    used = neuron_type > 0
    dx, dy, axon, tick = (
        getattr(network, name).astype(np.int64) for name in ("dx", "dy", "destination_axon", "destination_tick")
    )
    x, y = network.x[:, None] + dx, network.y[:, None] + dy
    inside = (x >= 0) & (x < config.num_cores_x) & (y >= 0) & (y < config.num_cores_y)
    bus = (-1, -1) if network.bus is None else network.bus
    to_bus = inside & (x == bus[0]) & (y == bus[1])
    limit = np.where(to_bus, network.num_outputs, config.num_axons)
    grid = f"{config.num_cores_x} x {config.num_cores_y} cells"
    strange = used & ((network.reset_mode < 0) | (network.reset_mode > ResetMode.SUBTRACT))
    _refuse(path, network, strange, lambda i: f"reset_mode is {network.reset_mode[i]}, must be 0 or 1; correct it")
    rules: tuple[tuple[np.ndarray, Callable[[Any], str]], ...] = (
        (
            ~inside,
            lambda i: f"sends to ({x[i]}, {y[i]}), outside of the grid of {grid}; correct the offset, or the config",
        ),
        (
            inside & ((axon < 0) | (axon >= limit)),
            lambda i: (
                f"destination_axon is {axon[i]}, must be 0 or more and below {limit[i]}, "
                f"{'the outputs of the bus' if to_bus[i] else 'the axons of a core'}; correct it"
            ),
        ),
        (
            (tick < 0) | (tick >= config.max_tick_offset),
            lambda i: f"destination_tick is {tick[i]}, must be 0 … {config.max_tick_offset - 1}; correct it",
        ),
    )
    nowhere = np.logical_or.reduce([broken for broken, _ in rules])
    if (used & nowhere).any():
        wrong = used & _may_spike(network, arch, table, neuron_type)
        for broken, text in rules:
            _refuse(path, network, wrong & broken, text)
        used &= ~nowhere

    core_on = np.full((config.num_cores_y, config.num_cores_x), -1, np.int64)
    core_on[network.y, network.x] = np.arange(len(network.x))
    sends = used | of_unused
    delay = np.where(used, tick + 1, tick)
    to_core = sends & inside & ~to_bus & (delay > 0) & (delay < config.max_tick_offset)
    to_core &= core_on[np.where(inside, y, 0), np.where(inside, x, 0)] >= 0
    columns = {"dx": dx, "dy": dy, "axon": axon, "delay": delay}
    targets = {name: np.where(to_core, values, 0) for name, values in columns.items()}
    return targets | {"pin": np.where(sends & to_bus, axon, -1)}


def _refuse(
    path: str | os.PathLike[str],
    network: RancNetwork,
    wrong: Bool[np.ndarray, "cores neurons"],
    text: Callable[[Any], str],
) -> None:
    """Raises an error that names the first of the wrong neurons, if any.

    Raises:
        ArtifactError: there is one.
    """
    found = np.argwhere(wrong)
    if len(found):
        core, neuron = found[0].tolist()
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        where = f"core ({network.x[core]}, {network.y[core]}), neuron {neuron}{more}"
        raise ArtifactError(f"{path}: {where}: {text((core, neuron))}")


def _may_spike(
    network: RancNetwork, arch: ChipArch, table: NeuronTable, neuron_type: Int32[np.ndarray, "cores neurons"]
) -> Bool[np.ndarray, "cores neurons"]:
    """Returns which neurons can reach their threshold, by themselves or when their potential wraps."""
    least, most = _swings(network)
    reach = bounds(least.ravel(), most.ravel(), table, neuron_type.ravel(), inclusive=arch.negative_inclusive)
    low, high = arch.potential_range
    return (reach.fires | (reach.low < low) | (reach.high > high)).reshape(neuron_type.shape)


def packet_spikes(
    path: str | os.PathLike[str], packets: RancPackets, bus: tuple[int, int] | None, image: ChipImage, rows: int
) -> InputSpikes:
    """Returns packets as spikes to the image's axons, by tick, core, axon and delay, equal ones once.

    Raises:
        ArtifactError: a packet goes out of the grid, to the output bus, or to an axon or tick that is not there.
    """
    arch = ChipArch.model_validate_json(image.arch)
    width, height = arch.size
    x, y, axon, tick = (a.astype(np.int64) for a in (packets.x, packets.y, packets.axon, packets.destination_tick))
    to_bus = np.zeros(len(x), bool) if bus is None else (x == bus[0]) & (y == bus[1])
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    rules: tuple[tuple[np.ndarray, Callable[[int], str]], ...] = (
        (to_bus, lambda i: f"destination_core is [{x[i]}, {y[i]}], the output bus; send it to a core"),
        (
            ~inside & ~to_bus,
            lambda i: f"destination_core is [{x[i]}, {y[i]}], the grid has {width} x {height} cells; correct it",
        ),
        (
            (axon < 0) | (axon >= arch.axons),
            lambda i: f"destination_axon is {axon[i]}, must be 0 … {arch.axons - 1}; correct it",
        ),
        ((tick < 0) | (tick >= rows), lambda i: f"destination_tick is {tick[i]}, must be 0 … {rows - 1}; correct it"),
    )
    for wrong, text in rules:
        if wrong.any():
            i = int(wrong.argmax())
            raise ArtifactError(f"{path}: packets: number {i}, in the list of tick {packets.entry[i]}: {text(i)}")
    core_on = np.full((height, width), -1, np.int64)
    core_on[image.core_y, image.core_x] = np.arange(len(image.core_x))
    core = core_on[y, x]
    arrives = (core >= 0) & (tick + 1 < rows)
    columns = np.stack([packets.entry - 1, core, axon, tick + 1], axis=1)[arrives]
    ticks, core, axon, delay = np.unique(columns, axis=0).T
    return InputSpikes(
        stream=np.zeros(len(ticks), np.int32),
        tick=ticks,
        core=core.astype(np.int32),
        axon=axon.astype(np.int32),
        delay=delay.astype(np.int32),
    )
