"""Chip images and spikes as RANC's networks and packets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int32, Int64

from tncompile.arch import ChipArch
from tncompile.errors import InfeasibleError, SimulationError
from tncompile.foreign.ranc_json import SILENT, RancConfig, RancNetwork, RancPackets
from tncompile.foreign.ranc_potential import Bounds, bounds, swing
from tncompile.ir import ChipImage, NeuronTable, ResetMode
from tncompile.sim.spikes import InputSpikes


def config_of(arch: ChipArch, grid: tuple[int, int]) -> RancConfig:
    """Returns the config of a chip on a grid."""
    return RancConfig(
        num_neurons=arch.neurons,
        num_axons=arch.axons,
        num_cores_x=grid[0],
        num_cores_y=grid[1],
        num_weights=arch.axon_types,
        max_tick_offset=arch.delay_max + 1,
        neuron_reset_type=int(arch.negative_inclusive),
    )


def ranc_fields(table: NeuronTable) -> dict[str, Int32[np.ndarray, "types ..."]]:
    """Returns the rows of a neuron table in RANC's terms; row 0 is RANC's silent neuron, whatever stands there."""
    columns = {
        "weights": table.weights,
        "leak": table.leak,
        "positive_threshold": table.threshold,
        "negative_threshold": -table.negative_threshold,
        "reset_potential": table.reset,
        "reset_mode": table.reset_mode,
        "current_potential": table.initial,
    }
    columns = {name: values.astype(np.int32) for name, values in columns.items()}
    for name, values in columns.items():
        values[0] = SILENT.get(name, 0)
    return columns


def check_expressible(image: ChipImage, arch: ChipArch) -> Bounds:
    """Returns bounds on the potential of every used neuron, in the order of cores and neurons.

    Raises:
        InfeasibleError: RANC has no such neuron.
    """
    table = image.neurons
    where = np.argwhere(image.neuron_type > 0)
    row = image.neuron_type[image.neuron_type > 0].astype(np.int64)

    def refuse(wrong: Bool[np.ndarray, " neurons"], text: Callable[[int], str]) -> None:
        if wrong.any():
            core, neuron = where[i := int(wrong.argmax())]
            name = f"neuron type {row[i]} (core {core}, neuron {neuron}, first of {int(wrong.sum())})"
            raise InfeasibleError(f"{name}: {text(i)}")

    random = "RANC draws no random numbers; set it to 0"
    kappa, same = (
        table.negative_saturate,
        (table.reset_mode == ResetMode.RESET) & (table.reset == table.negative_threshold),
    )
    for name, rows, why in (
        ("stochastic_weights (b) is set", (table.stochastic_weights & (table.weights != 0)).any(axis=1), random),
        ("stochastic_leak (c) is set", table.stochastic_leak & (table.leak != 0), random),
        ("mask_bits (TM) is above 0", table.mask_bits > 0, random),
        ("leak_reversal (ε) is set", table.leak_reversal & (table.leak != 0), "RANC has none; set it to 0"),
        ("reset_mode (γ) is 2", table.reset_mode == ResetMode.KEEP, "RANC has 0 and 1; take one of them"),
    ):
        refuse(rows[row], lambda i, name=name, why=why: f"{name}, {why}")

    least, most = np.zeros(image.neuron_type.shape, np.int64), np.zeros(image.neuron_type.shape, np.int64)
    for core, types in enumerate(image.neuron_type):
        crossbar = image.crossbars[image.core_crossbar[core]]
        least[core], most[core] = swing(crossbar, image.axon_type[core], table.weights[types])
    used = image.neuron_type > 0
    reach = bounds(least[used], most[used], table, row, inclusive=arch.negative_inclusive)
    refuse(
        reach.falls & (kappa & ~same)[row],
        lambda i: (
            f"negative_saturate (κ) is set, and V can fall below −β; RANC then goes to −R or V + β, which is −β only "
            f"with γ = 0 and R = β, but γ is {table.reset_mode[row[i]]}, R {table.reset[row[i]]}, "
            f"β {table.negative_threshold[row[i]]}; set R to β"
        ),
    )
    low, high = arch.potential_range
    if arch.neuron == "truenorth":
        refuse(
            (reach.low < low) | (reach.high > high),
            lambda i: (
                f"V can reach {reach.low[i]:.0f} … {reach.high[i]:.0f}; the chip saturates at {low} and {high}, RANC "
                "does not; lower the weights, the leak or the thresholds"
            ),
        )
    return reach


def image_network(image: ChipImage, arch: ChipArch) -> RancNetwork:
    """Returns an image in RANC's terms."""
    used, to_pin, to_core = image.neuron_type > 0, image.output_pin >= 0, image.target_delay > 0
    idle = used & ~to_pin & ~to_core
    grid, (bus, sink) = _free_cells(image, to_pin.sum(axis=1), idle.sum(axis=1))
    x, y = image.core_x[:, None], image.core_y[:, None]
    # An unused neuron never sends: its tick tells whether it has a target, 0 = none.
    tick = np.where(used & to_core, image.target_delay.astype(np.int32) - 1, image.target_delay)
    return RancNetwork(
        config=config_of(arch, grid),
        bus=bus,
        num_outputs=image.output_pins,
        x=image.core_x,
        y=image.core_y,
        axon_type=image.axon_type,
        crossbars=image.crossbars[image.core_crossbar],
        dx=np.select([to_pin, idle], [bus[0] - x, sink[0] - x], image.dx).astype(np.int32),
        dy=np.select([to_pin, idle], [bus[1] - y, sink[1] - y], image.dy).astype(np.int32),
        destination_axon=np.where(to_pin, image.output_pin, image.target_axon).astype(np.int32),
        destination_tick=tick.astype(np.int32),
        **{name: values[image.neuron_type] for name, values in ranc_fields(image.neurons).items()},
    )


def _free_cells(
    image: ChipImage, to_bus: Int64[np.ndarray, " cores"], to_sink: Int64[np.ndarray, " cores"]
) -> tuple[tuple[int, int], tuple[tuple[int, int], tuple[int, int]]]:
    """Returns the grid, and in it the cells of the output bus and of an empty core.

    Args:
        image: the chip.
        to_bus, to_sink: how many neurons of each core send there; if nobody sends to the empty core, it is the bus's.
    """
    width, height = int(image.core_x.max(initial=0)) + 1, int(image.core_y.max(initial=0)) + 1
    needed = 1 + bool(to_sink.any())
    while width * height - len(image.core_x) < needed:
        width += 1
    free = np.ones((height, width), bool)
    free[image.core_y, image.core_x] = False
    cells = []
    for senders in (to_bus, to_sink)[:needed]:
        hops_x = np.abs(np.arange(width)[:, None] - image.core_x) @ senders
        hops_y = np.abs(np.arange(height)[:, None] - image.core_y) @ senders
        hops = np.where(free, hops_x + hops_y[:, None], np.iinfo(np.int64).max)
        y, x = divmod(int(hops.argmin()), width)
        free[y, x] = False
        cells.append((x, y))
    return (width, height), (cells[0], cells[-1])


def spike_packets(image: ChipImage, inputs: InputSpikes | None, arch: ChipArch) -> RancPackets:
    """Returns spikes as packets, those of input bits sent down all their lines, equal ones once.

    Raises:
        InfeasibleError: the spikes are of several streams, or one is sent before tick −1.
        SimulationError: a spike is outside of the chip.
    """
    if inputs is None:
        none = np.zeros(0, np.int32)
        return RancPackets(entry=none.astype(np.int64), x=none, y=none, axon=none, destination_tick=none)
    check_one_stream(inputs.stream, "inputs")
    if (early := inputs.tick < -1).any():
        raise InfeasibleError(
            f"inputs: spike {int(early.argmax())} is sent in tick {inputs.tick.min()}, RANC's first packets enter in "
            "tick −1; send it later"
        )
    bit = inputs.core < 0
    for name, rows, values, low, high in (
        ("core", ~bit, inputs.core, 0, len(image.core_x) - 1),
        ("axon", ~bit, inputs.axon, 0, arch.axons - 1),
        ("delay", ~bit, inputs.delay, 1, arch.delay_max),
        ("input bit", bit, inputs.axon, 0, image.input_bits - 1),
    ):
        if (wrong := rows & ((values < low) | (values > high))).any():
            i = int(wrong.argmax())
            raise SimulationError(f"inputs: spike {i}: {name} is {values[i]}, must be {low} … {high}; correct it")

    lines = image.packets
    order = np.argsort(lines.bit, kind="stable")
    first, last = (np.searchsorted(lines.bit[order], inputs.axon[bit], side) for side in ("left", "right"))
    spike = np.repeat(np.arange(len(first)), last - first)
    line = order[np.arange(len(spike)) - np.repeat(np.cumsum(last - first) - last, last - first)]
    core = inputs.core[~bit]
    direct = (inputs.tick[~bit], image.core_x[core], image.core_y[core], inputs.axon[~bit], inputs.delay[~bit])
    sent = (inputs.tick[bit][spike], lines.x[line], lines.y[line], lines.axon[line], lines.delay[line])
    columns = np.stack([np.concatenate(pair) for pair in zip(direct, sent, strict=True)], axis=1).astype(np.int64)
    entry, x, y, axon, tick = np.unique(columns + np.array([1, 0, 0, 0, -1]), axis=0).T
    return RancPackets(
        entry=entry,
        x=x.astype(np.int32),
        y=y.astype(np.int32),
        axon=axon.astype(np.int32),
        destination_tick=tick.astype(np.int32),
    )


def check_one_stream(stream: Int32[np.ndarray, " spikes"], what: str) -> None:
    """Refuses spikes of several streams.

    Raises:
        InfeasibleError: there are several.
    """
    if len(stream) and (stream != stream[0]).any():
        raise InfeasibleError(f"{what}: spikes of {len(np.unique(stream))} streams, RANC's files have one; name one")
