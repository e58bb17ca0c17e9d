"""ChipImage: what would be written to the chip, and what the simulator runs. It refers to no other stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16, Int32, Int64, UInt8

from tncompile.ir.base import Record, Stage
from tncompile.ir.logical import Conv, Readout
from tncompile.ir.neuron import NeuronTable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Host(Record):
    """What the host computes around the chip: bits from pixels, and classes from output spikes.

    Attributes:
        conv: geometry of the transduction.
        weights: integer weights [feature, ky, kx, channel].
        threshold: a feature spikes if its integer sum reaches it [LSB].
        input_bits: width of a pixel [bit].
        out_shape: width, height and features of the map that the output pins carry.
        readout: classes of the features.
    """

    conv: Conv
    weights: Int32[np.ndarray, "features ky kx channels"]
    threshold: Int64[np.ndarray, " features"]
    input_bits: int
    out_shape: tuple[int, int, int]
    readout: Readout


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputPackets(Record):
    """What the host sends: one packet address an (input bit, axon) pair, in the order of the core graph's lines.

    Attributes:
        bit: input bit.
        x, y: site of the core.
        axon: its axon.
        delay: arrives that many ticks after the frame's entry, 1 … delay_max [tick].
    """

    bit: Int32[np.ndarray, " lines"]
    x: Int32[np.ndarray, " lines"]
    y: Int32[np.ndarray, " lines"]
    axon: Int16[np.ndarray, " lines"]
    delay: UInt8[np.ndarray, " lines"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChipImage(Stage):
    """The configuration of every used core, in hardware terms.

    A neuron at site (x, y) sends its spike to axon `target_axon` of the core at (x + dx, y + dy), where it arrives
    `target_delay` ticks later; to an output pin if `output_pin` ≥ 0; nowhere if `target_delay` is 0.

    Invariants:
        - every field fits its width in the chip description;
        - no two cores share a site, and every target is a core of the image;
        - several neurons may share an axon or a pin: their spikes of one tick merge;
        - a neuron with an output pin has no target core (dx = dy = 0, target_axon = 0, target_delay = 0).

    Attributes:
        arch: the chip description as canonical JSON, without which the numbers below mean nothing.
        input_bits, output_pins: how many.
        latency: ticks from a frame's entry to its spikes on the output pins [tick]; −1 if not known (a chip that
            was not compiled from a feed-forward net).
        core_x, core_y: sites.
        core_crossbar, crossbars, axon_type, neurons, neuron_type: as in `CoreGraph`.
        dx, dy, target_axon, target_delay, output_pin: a neuron's packet; pin −1 = none.
        packets: the host's input.
        host: off-chip layers, or None.
    """

    arch: str
    input_bits: int
    output_pins: int
    latency: int
    core_x: Int32[np.ndarray, " cores"]
    core_y: Int32[np.ndarray, " cores"]
    core_crossbar: Int32[np.ndarray, " cores"]
    crossbars: UInt8[np.ndarray, "crossbars axons bytes"]
    axon_type: UInt8[np.ndarray, "cores axons"]
    neurons: NeuronTable
    neuron_type: Int32[np.ndarray, "cores neurons"]
    dx: Int16[np.ndarray, "cores neurons"]
    dy: Int16[np.ndarray, "cores neurons"]
    target_axon: Int16[np.ndarray, "cores neurons"]
    target_delay: UInt8[np.ndarray, "cores neurons"]
    output_pin: Int32[np.ndarray, "cores neurons"]
    packets: InputPackets
    host: Host | None
