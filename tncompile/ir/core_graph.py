"""CoreGraph: the network as cores that send spikes to each other, not yet on a chip."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Int16, Int32, UInt8

from tncompile.ir.base import Record, Stage
from tncompile.ir.neuron import NeuronTable
from tncompile.ir.trinary import TrinaryNet

NO_TARGET = -1
"""`target_core` of a neuron that sends nowhere."""
OUTPUT_PIN = -2
"""`target_core` of a neuron that drives an output pin; `target_axon` is the pin's number then."""
INPUT_LAYER = -1
"""`neuron_layer` of a splitter neuron that carries an input bit."""
UNUSED = -2
"""`neuron_layer` of a neuron that carries nothing."""


class CoreKind(IntEnum):
    """What a core was opened for."""

    LAYER = 0
    SPLITTER = 1
    RELAY = 2  # by route, for packets that cannot go straight; packing knows none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputLines(Record):
    """What the host sends: one line an (input bit, axon) pair, sorted by bit, core and axon.

    For each spike of input bit b in a frame that enters at tick t, the host sends a packet down every line of b; it
    arrives at its axon at tick t + delay.

    Attributes:
        bit: flat index into the transduction's output map.
        core, axon: where the line ends.
        delay: 1 … delay_max [tick].
    """

    bit: Int32[np.ndarray, " lines"]
    core: Int32[np.ndarray, " lines"]
    axon: Int16[np.ndarray, " lines"]
    delay: UInt8[np.ndarray, " lines"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoreGraph(Stage):
    """Cores, their crossbars and neurons, and who sends to whom.

    A core is labelled by what it was opened for: a block of a layer, or splitters behind a layer. It may hold other
    blocks and splitters too, of any layer, as far as its axons and neurons go.

    Cores are in the order of the data's way by their labels: the input's splitters, layer 0, the splitters behind it,
    layer 1, …; within a layer by group, block (y, then x) and feature chunk. Relays come last. Within a core,
    a neuron's row carries one copy of one signal. A signal is a value of a layer's output map, or an input bit
    (layer −1); all its copies are equal. `neuron_layer`, `neuron_index` and `neuron_copy` say which signal and copy
    each neuron carries; the copies of a signal are numbered from 0 over layer cores first, then splitters and relays.

    Invariants:
        - every used axon is driven by exactly one neuron or input line, and no unused one is;
        - all copies of a signal spike alike;
        - the crossbars decode to the weights of `source`, position by position, but that values which are constant or
          which nobody needs may be missing; what constant ones add stands in their readers' leaks;
        - every path from the input to a neuron takes the same number of ticks; `latency` is that to the output pins;
        - pin p is value p of the last layer's output map;
        - every core has a used neuron with a target.

    Attributes:
        source: the net that it computes.
        scheme: name of the synapse scheme.
        latency: ticks from a frame's entry to its spikes on the output pins [tick].
        core_kind: a `CoreKind` each.
        core_layer: the layer that a core was opened for; for splitters and relays the one whose output they copy, −1 =
            the input.
        core_group: group within the layer, −1 for splitters and relays.
        core_block: x0, y0, x1, y1 of a box around the output positions of its first block (end exclusive); for
            splitters and relays 0.
        core_crossbar: row of `crossbars`.
        crossbars: shared by the cores that have the same; bit `neuron % 8` (least significant first) of byte [axon,
            neuron // 8].
        axon_type: G of each axon.
        neurons: table of neurons; row 0 is the unused one.
        neuron_type: row of `neurons`.
        neuron_layer, neuron_index, neuron_copy: the signal that a neuron carries: its layer, flat index (see `Conv`)
            and copy number; −2, −1, −1 if unused.
        target_core: core that the neuron sends to, or NO_TARGET, or OUTPUT_PIN.
        target_axon: axon or pin.
        target_delay: 1 … delay_max [tick]; 0 without a target; on a pin 1, and not counted: a pin's spike carries the
            tick of firing.
        input_lines: what the host sends.
    """

    source: TrinaryNet
    scheme: str
    latency: int
    core_kind: UInt8[np.ndarray, " cores"]
    core_layer: Int16[np.ndarray, " cores"]
    core_group: Int32[np.ndarray, " cores"]
    core_block: Int16[np.ndarray, "cores 4"]
    core_crossbar: Int32[np.ndarray, " cores"]
    crossbars: UInt8[np.ndarray, "crossbars axons bytes"]
    axon_type: UInt8[np.ndarray, "cores axons"]
    neurons: NeuronTable
    neuron_type: Int32[np.ndarray, "cores neurons"]
    neuron_layer: Int16[np.ndarray, "cores neurons"]
    neuron_index: Int32[np.ndarray, "cores neurons"]
    neuron_copy: Int16[np.ndarray, "cores neurons"]
    target_core: Int32[np.ndarray, "cores neurons"]
    target_axon: Int32[np.ndarray, "cores neurons"]
    target_delay: UInt8[np.ndarray, "cores neurons"]
    input_lines: InputLines

    @property
    def cores(self) -> int:
        """How many cores there are, splitters included."""
        return len(self.core_kind)
