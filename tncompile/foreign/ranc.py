"""RANC's networks, packets and output text (Mack et al. 2020), read and written.

Time: tick t is the neurons' evaluation number t, from 0. List k of `packets` enters in tick k − 1, so that its spikes
with destination_tick 0 are there in tick k; line k of the output text shows the spikes fired in tick k − 1. A run of N
ticks writes N lines: the first is empty, the spikes of the last tick are not shown.

What RANC's C++ simulator does is what a network means:

- a spike arrives destination_tick + 1 ticks later; the longest destination_tick, max_tick_offset − 1, would arrive in
  the row that is being read, and is lost;
- a cell of the grid without a core holds one of silent neurons: spikes to it are lost, and that is how a neuron that
  sends nowhere is written here;
- a neuron that sends out of the grid is refused, unless it can never spike;
- weights, thresholds and potentials are 32-bit integers; the RTL's are 9 bits wide, and wrap.

Differs: what enters at (0, 0) for the output bus itself is refused.

References:
    Mack et al. 2020, IEEE TCAD, "RANC: Reconfigurable Architecture for Neuromorphic Computing"; github.com/UA-RCL/RANC,
    simulator/src and hardware/src.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tncompile.arch import ChipArch
from tncompile.errors import ArtifactError, ConfigError
from tncompile.foreign.companion import Companion, companion_path, complete, read_companion, write_companion
from tncompile.foreign.ranc_decode import UNBOUNDED, exported_image, network_image, packet_spikes
from tncompile.foreign.ranc_encode import (
    check_expressible,
    check_one_stream,
    image_network,
    spike_packets,
)
from tncompile.foreign.ranc_json import (
    RancNetwork,
    config_json,
    network_json,
    read_network_json,
    read_packets_json,
    select_cores,
    silent_neurons,
)
from tncompile.foreign.ranc_memory import (
    NAMED_CELLS,
    WORD_BITS,
    misfit,
    read_memory_files,
    remove_memory_files,
    write_memory_files,
)
from tncompile.foreign.ranc_potential import Bounds
from tncompile.ir import ChipImage
from tncompile.ir.io import atomic_file, atomic_write, read_bytes
from tncompile.sim.spikes import InputSpikes, OutputSpikes

NETWORK, CONFIG = "network.json", "config.json"
"""What `write_network` calls its files."""
_BOM = b"\xef\xbb\xbf"
_CHUNK_BYTES = 1 << 24  # of output text at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class RancFiles:
    """What `write_network` has written.

    Attributes:
        network, config: the JSON files.
        memory_files: how many FPGA memory files.
        notes: what a user should know: why there are no memory files, or where the FPGA would compute otherwise.
    """

    network: Path
    config: Path
    memory_files: int
    notes: tuple[str, ...]


def read_network(
    path: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    potential_bits: int | None = None,
) -> tuple[ChipImage, InputSpikes]:
    """Returns the chip image of a network JSON, and the packets in it.

    With the companion of an export beside it, that is the image that was exported. Else the chip is called ranc: the
    config's grid, with axons, neurons, axon types and field widths as far as RANC's are too small for a chip
    description or for the network; cores in the order y, x; rows of the neuron table in rising order; neurons that can
    never spike nor change, whatever comes in, are unused.

    Args:
        path: the network.
        config: its config JSON; None: `<stem>.config.json` or `config.json` beside it, or taken from the network.
        potential_bits: width at which potentials wrap; None: 32, the C++ simulator's integers [bit].

    Raises:
        ArtifactError: a file is missing or damaged, or a neuron or packet names what is not there.
        ConfigError: the potential cannot have that width, or the companion says another one.
        InfeasibleError: a dimension or number is beyond what a chip description can hold.
    """
    network, packets = read_network_json(path, config)
    companion = read_companion(path)
    if companion is None:
        image = network_image(path, network, UNBOUNDED if potential_bits is None else potential_bits)
    else:
        arch = _exported_arch(path, companion, potential_bits)
        image = complete(exported_image(path, network, companion, arch), companion, path)
    return image, packet_spikes(path, packets, network.bus, image, network.config.max_tick_offset)


def read_input(path: str | os.PathLike[str], image: ChipImage) -> InputSpikes:
    """Returns the packets of a network JSON, for a chip.

    Raises:
        ArtifactError: the file is missing or damaged, or a packet does not fit the chip.
    """
    packets, bus = read_packets_json(path)
    return packet_spikes(path, packets, bus, image, ChipArch.model_validate_json(image.arch).delay_max + 1)


def read_memory(
    folder: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    potential_bits: int | None = None,
) -> ChipImage:
    """Returns the chip image that a folder of FPGA memory files holds.

    With the companion of an export beside them, that is the image that was exported. Else it is read as by
    `read_network` without one; the output bus has as many outputs as neurons send to; and a cell in which nothing but
    silent neurons and axons of type 0 are, as the files of an empty one have them, has no core.

    Args:
        folder: where `csram_NNN.mem` and `tc_NNN.mem` are.
        config: the config JSON, which has the sizes that the files do not say; None: `config.json` beside them.
        potential_bits: width at which potentials wrap; None: 9, that of the hardware [bit].

    Raises:
        ArtifactError: a file is missing or damaged, or a neuron names what is not there.
        ConfigError: the potential cannot have that width, or the companion says another one.
        InfeasibleError: a dimension or number is beyond what a chip description can hold.
    """
    path = Path(folder) / Path(NETWORK).stem
    network = read_memory_files(folder, Path(folder) / CONFIG if config is None else config)
    core = ~silent_neurons(network).all(axis=1) | network.axon_type.any(axis=1)
    if not core.any():
        raise ArtifactError(f"{folder}: all cells are empty, there is no chip in it; name another folder")
    companion = read_companion(path)
    if companion is None:
        bits = WORD_BITS if potential_bits is None else potential_bits
        return network_image(folder, select_cores(network, np.flatnonzero(core)), bits)
    arch = _exported_arch(path, companion, potential_bits)
    sites = set(zip(companion.core_x.tolist(), companion.core_y.tolist(), strict=True))
    core |= np.array([site in sites for site in zip(network.x.tolist(), network.y.tolist(), strict=True)])
    network = dataclasses.replace(select_cores(network, np.flatnonzero(core)), num_outputs=companion.output_pins)
    return complete(exported_image(path, network, companion, arch), companion, path)


def _exported_arch(path: str | os.PathLike[str], companion: Companion, potential_bits: int | None) -> ChipArch:
    """Returns the chip that was exported.

    Raises:
        ConfigError: its potential has not the width that was asked for.
    """
    arch = ChipArch.model_validate_json(companion.arch)
    if potential_bits not in (None, arch.potential_bits):
        raise ConfigError(
            f"potential_bits: {potential_bits} asked for, {companion_path(path)} says {arch.potential_bits}; leave "
            "it out, or remove that file to read the network by itself"
        )
    return arch


def write_network(image: ChipImage, folder: str | os.PathLike[str], inputs: InputSpikes | None = None) -> RancFiles:
    """Writes a chip as `network.json`, `config.json`, FPGA memory files and the companion.

    The grid is the smallest one from (0, 0) on that holds all cores, the output bus, and, if a used neuron sends
    nowhere, an empty cell for it to send to; each takes the free cell that is nearest to those who send there.

    Checked, for every neuron in use: no stochastic synapse, leak or threshold, no leak reversal (flags that meet a
    weight or leak of 0 do nothing and pass); γ is 0 or 1; κ = 1 only with γ = 0 and R = β, where it is the same as
    κ = 0, or if V can never be below −β; on a chip whose potential saturates, that no input whatever can take V to
    an end of its range.

    The network JSON has the inputs; nothing is written if the image cannot be. Memory files are left out where a field
    is too narrow; the files of another export are removed from the folder.

    Args:
        image: the chip.
        folder: where to.
        inputs: what enters, of one stream, from tick −1 on.

    Raises:
        ArtifactError: a file cannot be written.
        InfeasibleError: RANC has no such neurons, or the inputs are of several streams or too early.
    """
    arch = ChipArch.model_validate_json(image.arch)
    reach = check_expressible(image, arch)
    network = image_network(image, arch)
    packets = spike_packets(image, inputs, arch)
    folder = Path(folder)
    with atomic_file(folder / NETWORK) as file:
        for chunk in network_json(network, packets):
            file.write(chunk)
    atomic_write(folder / CONFIG, config_json(network.config))
    write_companion(image, folder / NETWORK)
    remove_memory_files(folder)
    reason = misfit(network)
    return RancFiles(
        network=folder / NETWORK,
        config=folder / CONFIG,
        memory_files=0 if reason else write_memory_files(network, folder),
        notes=tuple(_notes(image, arch, network, reach, reason)),
    )


def read_output(path: str | os.PathLike[str], image: ChipImage) -> tuple[OutputSpikes, int]:
    """Returns the spikes in an output text, by tick and pin, and of how many ticks' run it is: as many as it has lines.

    Of the last of these ticks it says nothing, and of no spike who drove it.

    Raises:
        ArtifactError: the file is missing, or is no output text of so many pins.
    """
    pins = image.output_pins
    lines = read_bytes(path).removeprefix(_BOM).split(b"\n")
    if not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ArtifactError(f"{path}: has no line; name a RANC output text")
    ticks, where = [], []
    for number, line in enumerate(lines):
        values = line.split()
        if not set(values) <= {b"0", b"1"}:
            wrong = next(value for value in values if value not in (b"0", b"1"))
            text = wrong[:20].decode("utf-8", "replace")
            raise ArtifactError(f"{path}: line {number}: has {text!r}, must be 0 or 1; name a RANC output text")
        if len(values) != pins:
            raise ArtifactError(
                f"{path}: line {number}: has {len(values)} values, the chip has {pins} output pins; name an output "
                "of this network"
            )
        fired = np.flatnonzero(np.array(values, dtype="S1") == b"1")
        where.append(fired)
        ticks.append(np.full(len(fired), number - 1))
    pin = np.concatenate(where).astype(np.int32)
    unknown = np.full(len(pin), -1, np.int32)
    spikes = OutputSpikes(
        stream=np.zeros(len(pin), np.int32),
        tick=np.concatenate(ticks).astype(np.int64),
        pin=pin,
        core=unknown,
        neuron=unknown,
    )
    return spikes, len(lines)


def write_output(spikes: OutputSpikes, image: ChipImage, path: str | os.PathLike[str], ticks: int) -> None:
    """Writes the output text of a run of so many ticks, as RANC's simulator does: a line a tick.

    Line k shows the spikes fired in tick k − 1, so those of the last tick are not shown.

    Args:
        spikes: of one stream.
        image: the chip.
        path: the text file.
        ticks: that were run [tick].

    Raises:
        ArtifactError: the file cannot be written.
        InfeasibleError: the spikes are of several streams.
    """
    check_one_stream(spikes.stream, "output")
    line = spikes.tick + 1
    order = np.argsort(line, kind="stable")
    line, pin = line[order], spikes.pin[order]
    with atomic_file(path) as file:
        file.write(_BOM)
        chunk = max(1, _CHUNK_BYTES // (2 * image.output_pins + 1))
        for start in range(0, ticks, chunk):
            lines = min(chunk, ticks - start)
            text = np.tile(np.frombuffer(b"0 " * image.output_pins + b"\n", np.uint8), (lines, 1))
            low, high = np.searchsorted(line, (start, start + lines))
            text[line[low:high] - start, 2 * pin[low:high]] = ord("1")
            file.write(text.tobytes())


def _notes(image: ChipImage, arch: ChipArch, network: RancNetwork, reach: Bounds, reason: str | None) -> Iterator[str]:
    """Yields what a user should know of an export."""
    where = np.argwhere(image.neuron_type > 0)

    def beyond(bits: int) -> str | None:
        """Returns which neurons' potential can leave a width, if any."""
        half = 1 << (bits - 1)
        wide = (reach.low < -half) | (reach.high >= half)
        if not wide.any():
            return None
        core, neuron = where[int(wide.argmax())]
        return f"of {int(wide.sum())} neurons (first: core {core}, neuron {neuron}) V can leave {bits} bits"

    if reason is not None:
        yield f"no FPGA memory files: {reason}"
    elif arch.potential_bits != WORD_BITS and (text := beyond(WORD_BITS)):
        yield f"FPGA: {text}, where the RTL wraps"
    if arch.neuron == "ranc" and arch.potential_bits < UNBOUNDED and (text := beyond(arch.potential_bits)):
        yield f"C++ simulator: {text}, where {arch.name} wraps and the simulator does not"
    cells = network.config.num_cores_x * network.config.num_cores_y
    if reason is None and cells > NAMED_CELLS:
        yield f"FPGA: the grid has {cells} cells, the RTL as published names the files of {NAMED_CELLS}"
    if reason is None and arch.negative_inclusive:
        yield "FPGA: the RTL knows reset type 0 only; V equal to the negative threshold is not reset there"
