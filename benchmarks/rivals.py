"""What else one could run a full chip with: NumPy, SciPy, PyTorch, C and Brian2, each in the form that suits it best.

A rival runs the chips of `chips.full_chip`, whole: synapses, leak, threshold, reset, floor and routing, in exact
integers or in floats that hold them exactly. It need not know what these chips do not use (random numbers, other reset
modes, longer delays, merging): each line that is spared is to its good. That its spikes and potentials are the
oracle's is checked in every run, at every batch.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Int16, Int32, UInt8, UInt64

from tncompile.ir import ChipImage
from tncompile.sim.wiring import resolve

AXONS = 256
NEURONS = 256
TYPES = 4
THREADS = os.cpu_count() or 1


class Simulator(Protocol):
    """Runs one chip on a batch of streams and keeps its state itself.

    Attributes:
        startup: time of a call of `run` that is no tick's [s].
    """

    startup: float

    def start(self, potential: Int32[np.ndarray, "batch cores neurons"]) -> None:
        """Sets the potentials [LSB]; no spike is under way."""
        ...

    def run(self, ticks: int) -> None:
        """Runs so many ticks."""
        ...

    def spikes(self) -> Bool[np.ndarray, "batch cores neurons"]:
        """Returns the spikes of the last tick."""
        ...

    def potential(self) -> Int32[np.ndarray, "batch cores neurons"]:
        """Returns the potentials [LSB]."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chip:
    """A chip of `chips.full_chip` in the form that the rivals are built from.

    Attributes:
        crossbars: one a core.
        axon_type: G.
        weights: s^G of each neuron [LSB].
        leak, threshold, floor: λ, α and −β of each neuron [LSB].
        target: axon that each neuron sends to, core · axons + axon.
        source: neuron that sends to each axon, core · neurons + neuron.
    """

    crossbars: UInt8[np.ndarray, "cores axons bytes"]
    axon_type: UInt8[np.ndarray, "cores axons"]
    weights: Int16[np.ndarray, "cores neurons axon_types"]
    leak: Int32[np.ndarray, "cores neurons"]
    threshold: Int32[np.ndarray, "cores neurons"]
    floor: Int32[np.ndarray, "cores neurons"]
    target: Int32[np.ndarray, " cores_times_neurons"]
    source: Int32[np.ndarray, " cores_times_axons"]

    @property
    def cores(self) -> int:
        """How many cores."""
        return len(self.crossbars)


def chip_of(image: ChipImage) -> Chip:
    """Returns a `chips.full_chip` as the rivals take it."""
    wiring = resolve(image)
    target, source = (np.empty(image.neuron_type.size, np.int32) for _ in range(2))
    target[wiring.source] = wiring.target
    source[wiring.target] = wiring.source
    kind, table = image.neuron_type, image.neurons
    return Chip(
        crossbars=image.crossbars[image.core_crossbar],
        axon_type=image.axon_type,
        weights=table.weights[kind],
        leak=table.leak[kind].astype(np.int32),
        threshold=table.threshold[kind],
        floor=-table.negative_threshold[kind],
        target=target,
        source=source,
    )


def dense_weights(chip: Chip, dtype: type) -> np.ndarray:
    """Returns w_ij s^(G_i) as an array [core, axon, neuron]."""
    dense = np.empty((chip.cores, AXONS, NEURONS), dtype)
    for core in range(chip.cores):
        crosspoints = np.unpackbits(chip.crossbars[core], axis=-1, bitorder="little")
        np.multiply(crosspoints, chip.weights[core].T[chip.axon_type[core]], out=dense[core], casting="unsafe")
    return dense


def fire(
    chip: Chip, potential: Int32[np.ndarray, "cores neurons"], incoming: np.ndarray
) -> Bool[np.ndarray, "cores neurons"]:
    """Changes the potentials by one tick, in place, and returns the spikes."""
    potential += incoming
    potential += chip.leak
    spikes = potential >= chip.threshold
    np.subtract(potential, chip.threshold, out=potential, where=spikes)
    np.maximum(potential, chip.floor, out=potential)  # a spike leaves V ≥ 0, above the floor
    return spikes


class _NumPy:
    """What the rivals in NumPy and SciPy share: streams one after the other, and how a neuron fires."""

    startup = 0.0

    def __init__(self, chip: Chip) -> None:
        self._chip = chip

    def start(self, potential: Int32[np.ndarray, "batch cores neurons"]) -> None:
        self._potential = potential.copy()
        self._spikes = np.zeros(potential.shape, bool)

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            for potential, spikes in zip(self._potential, self._spikes, strict=True):
                spikes[:] = fire(self._chip, potential, self._incoming(spikes))

    def _incoming(self, spikes: Bool[np.ndarray, "cores neurons"]) -> np.ndarray:
        raise NotImplementedError

    def spikes(self) -> Bool[np.ndarray, "batch cores neurons"]:
        return self._spikes

    def potential(self) -> Int32[np.ndarray, "batch cores neurons"]:
        return self._potential


class NumPyEvents(_NumPy):
    """Adds up the weight rows of the axons with a spike: `take` and `add.reduceat` on 16-bit weights, all unpacked."""

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip)
        self._weights = dense_weights(chip, np.int16).reshape(-1, NEURONS)

    def _incoming(self, spikes: Bool[np.ndarray, "cores neurons"]) -> np.ndarray:
        axons = np.sort(self._chip.target[np.flatnonzero(spikes)])
        total = np.zeros(spikes.shape, np.int16)
        if len(axons):
            cores, first = np.unique(axons // AXONS, return_index=True)
            total[cores] = np.add.reduceat(self._weights[axons], first, axis=0)
        return total


class NumPyPopcount(_NumPy):
    """Counts the bits of axon words and crossbar words: `bitwise_count` on 64 axons of one type at a time.

    A few cores at a time, so that what stands between two operations stays in the cache.
    """

    CORES = 32

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip)
        order = np.argsort(chip.axon_type, axis=1, kind="stable")
        counts = np.stack([(chip.axon_type == g).sum(axis=1) for g in range(TYPES)], axis=1)
        assert (counts == 64).all(), "64 axons of each type a core: one word each"
        rows = np.arange(chip.cores)[:, None] * AXONS
        self._source = chip.source[rows + order]  # cores axons, by type
        self._words = np.empty((chip.cores, TYPES, NEURONS), np.uint64)
        for core in range(chip.cores):
            bits = np.unpackbits(chip.crossbars[core, order[core]], axis=-1, bitorder="little")
            columns = np.packbits(bits.reshape(TYPES, 64, NEURONS), axis=1, bitorder="little")
            self._words[core] = np.ascontiguousarray(columns.transpose(0, 2, 1)).view("<u8")[..., 0]
        self._weights = np.ascontiguousarray(chip.weights.transpose(0, 2, 1))  # cores types neurons

    def _incoming(self, spikes: Bool[np.ndarray, "cores neurons"]) -> np.ndarray:
        axons = np.packbits(spikes.reshape(-1)[self._source], axis=1, bitorder="little")
        words: UInt64[np.ndarray, "cores types 1"] = axons.view("<u8")[..., None]
        total = np.empty(spikes.shape, np.int16)
        for first in range(0, len(total), self.CORES):
            some = slice(first, first + self.CORES)
            counts = np.bitwise_count(self._words[some] & words[some])
            np.einsum("ctn,ctn->cn", counts, self._weights[some], out=total[some], casting="same_kind")
        return total


class SciPySparse(_NumPy):
    """Spikes as a sparse row times synapses as a sparse matrix [neuron that sends, neuron that receives].

    The product costs what the spikes need; with routing folded into the matrix, nothing else is left to do.
    """

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip)
        self._matrix = sparse_weights(chip)

    def _incoming(self, spikes: Bool[np.ndarray, "cores neurons"]) -> np.ndarray:
        from scipy import sparse

        active = np.flatnonzero(spikes).astype(np.int32)  # with 64 bits, SciPy would convert the whole matrix each time
        ones = np.ones(len(active), np.int16)
        row = sparse.csr_array((ones, active, np.array([0, len(active)], np.int32)), shape=(1, spikes.size))
        product = row @ self._matrix
        total = np.zeros(spikes.size, np.int16)
        total[product.indices] = product.data
        return total.reshape(spikes.shape)


class SciPyDense(_NumPy):
    """Synapses as a sparse matrix [neuron that receives, neuron that sends] times all spikes."""

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip)
        self._matrix = sparse_weights(chip).T.tocsr()

    def _incoming(self, spikes: Bool[np.ndarray, "cores neurons"]) -> np.ndarray:
        return (self._matrix @ spikes.reshape(-1).astype(np.int16)).reshape(spikes.shape)


def sparse_weights(chip: Chip) -> Any:
    """Returns the synapses as a compressed sparse matrix [neuron that sends, neuron that receives]."""
    from scipy import sparse

    core, axon = np.divmod(chip.target, AXONS)
    counts = np.bitwise_count(chip.crossbars[core, axon]).sum(axis=1, dtype=np.int32)
    indptr = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.int16)
    for first in range(0, len(core), 1 << 14):
        c, a = core[first : first + (1 << 14)], axon[first : first + (1 << 14)]
        row, neuron = np.nonzero(np.unpackbits(chip.crossbars[c, a], axis=-1, bitorder="little"))
        some = slice(indptr[first], indptr[first] + len(row))
        indices[some] = c[row] * NEURONS + neuron
        data[some] = chip.weights[c[row], neuron, chip.axon_type[c, a][row]]
    return sparse.csr_array((data, indices, indptr), shape=(len(core), len(core)))


class _Torch:
    """What the rivals in PyTorch share: float32, all streams at once, how a neuron fires."""

    startup = 0.0

    def __init__(self, chip: Chip) -> None:
        import torch

        torch.set_num_threads(THREADS)
        self._torch = torch
        self._cores = chip.cores
        self._leak, self._threshold, self._floor = (
            torch.from_numpy(np.ascontiguousarray(a, np.float32))[:, None]
            for a in (chip.leak, chip.threshold, chip.floor)
        )

    def start(self, potential: Int32[np.ndarray, "batch cores neurons"]) -> None:
        by_core = np.ascontiguousarray(potential.transpose(1, 0, 2), np.float32)  # as `bmm` wants them
        self._potential = self._torch.from_numpy(by_core)
        self._spikes = self._torch.zeros(by_core.shape, dtype=self._torch.bool)

    def run(self, ticks: int) -> None:
        with self._torch.inference_mode():
            for _ in range(ticks):
                v = self._potential
                v += self._incoming()
                v += self._leak
                self._spikes = v >= self._threshold
                v -= self._spikes * self._threshold
                self._torch.maximum(v, self._floor, out=v)

    def _incoming(self) -> Any:
        raise NotImplementedError

    def spikes(self) -> Bool[np.ndarray, "batch cores neurons"]:
        return self._spikes.numpy().transpose(1, 0, 2)

    def potential(self) -> Int32[np.ndarray, "batch cores neurons"]:
        return self._potential.numpy().transpose(1, 0, 2).astype(np.int32)


class TorchBmm(_Torch):
    """All weights as dense float32 matrices, one batched product a tick."""

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip)
        self._weights = self._torch.from_numpy(dense_weights(chip, np.float32))
        self._source = self._torch.from_numpy(chip.source.astype(np.int64))

    def _incoming(self) -> Any:
        cores, batch, neurons = self._spikes.shape
        if batch == 1:  # no transposes
            axons = self._spikes.view(-1)[self._source].view(cores, 1, AXONS)
        else:
            by_neuron = self._spikes.transpose(1, 2).reshape(cores * neurons, batch)
            axons = by_neuron[self._source].view(cores, AXONS, batch).transpose(1, 2)
        return self._torch.bmm(axons.float(), self._weights)


class TorchBags(_Torch):
    """Adds up the weight rows of the axons with a spike: `embedding_bag`, one bag a core and stream."""

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip)
        self._weights = self._torch.from_numpy(dense_weights(chip, np.float32)).view(-1, NEURONS)
        self._target = self._torch.from_numpy(chip.target.astype(np.int64))

    def _incoming(self) -> Any:
        torch = self._torch
        cores, batch, neurons = self._spikes.shape
        core, stream, neuron = self._spikes.nonzero(as_tuple=True)
        axon = self._target[core * neurons + neuron]
        bag = axon.div(AXONS, rounding_mode="floor") * batch + stream
        bag, order = bag.sort()
        first = torch.searchsorted(bag, torch.arange(cores * batch))
        total = torch.nn.functional.embedding_bag(axon[order], self._weights, first, mode="sum")
        return total.view(cores, batch, neurons)


class PlainC:
    """Event-driven C on all processor cores, compiled for this machine: see `full_chip.c`."""

    startup = 0.0

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._weights = np.ascontiguousarray(chip.weights.transpose(0, 2, 1))  # cores types neurons
        self._library = _compile(Path(__file__).with_name("full_chip.c"))

    def start(self, potential: Int32[np.ndarray, "batch cores neurons"]) -> None:
        self._potential = potential.copy()
        self._axons = np.zeros((2, *potential.shape[:2], AXONS), np.uint8)  # those of this tick, and of the next
        self._spikes = np.zeros(potential.shape, np.uint8)

    def run(self, ticks: int) -> None:
        chip = self._chip
        arrays = (
            chip.crossbars, chip.axon_type, self._weights, chip.leak, chip.threshold, chip.floor, chip.target,
            self._potential, self._axons[0], self._axons[1], self._spikes,
        )  # fmt: skip
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
        self._library.run(len(self._potential), chip.cores, ticks, THREADS, *pointers)
        if ticks % 2:
            self._axons = self._axons[::-1]

    def spikes(self) -> Bool[np.ndarray, "batch cores neurons"]:
        return self._spikes.astype(bool)

    def potential(self) -> Int32[np.ndarray, "batch cores neurons"]:
        return self._potential


def _compile(source: Path) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "full_chip.so"
        flags = ["-O3", "-march=native", "-fno-strict-aliasing", "-fopenmp", "-shared", "-fPIC"]
        subprocess.run(["cc", *flags, str(source), "-o", str(library)], check=True, timeout=60)
        return ctypes.CDLL(str(library))


class Brian2:
    """Brian2 with its Cython target: one synapse object, delay of one tick, one stream."""

    def __init__(self, chip: Chip) -> None:
        import brian2 as b

        b.prefs.codegen.target = "cython"
        b.prefs.core.default_float_dtype = np.float32
        b.defaultclock.dt = 1 * b.ms
        self._b = b
        self._shape = (chip.cores, NEURONS)
        group = b.NeuronGroup(
            chip.cores * NEURONS,
            "v : 1\nincoming : 1\nfired : boolean\nleak : 1 (constant)\nalpha : 1 (constant)\nfloor_ : 1 (constant)",
            threshold="v >= alpha",
            reset="v -= alpha\nfired = True",
        )
        group.leak, group.alpha, group.floor_ = chip.leak.ravel(), chip.threshold.ravel(), chip.floor.ravel()
        # What is sent in a tick counts in the next one: the delay of one tick.
        group.run_regularly("v += incoming + leak\nincoming = 0\nfired = False", when="start")
        group.run_regularly("v = clip(v, floor_, 1e9)", when="end")  # a spike leaves V ≥ 0, above the floor
        matrix = sparse_weights(chip).tocoo()
        synapses = b.Synapses(group, group, "w : 1", on_pre="incoming_post += w")
        synapses.connect(i=matrix.row, j=matrix.col)
        synapses.w = matrix.data
        self._group = group
        self._network = b.Network(group, synapses)
        self.startup = 0.0

    def start(self, potential: Int32[np.ndarray, "batch cores neurons"]) -> None:
        assert len(potential) == 1, "one stream"
        self._group.v = potential.ravel()
        self._group.incoming = 0
        self.run(0)  # compiles
        begin = time.perf_counter()
        self.run(0)
        self.startup = time.perf_counter() - begin

    def run(self, ticks: int) -> None:
        self._network.run(ticks * self._b.ms)

    def spikes(self) -> Bool[np.ndarray, "batch cores neurons"]:
        return np.asarray(self._group.fired).reshape(1, *self._shape)

    def potential(self) -> Int32[np.ndarray, "batch cores neurons"]:
        return np.asarray(self._group.v).astype(np.int32).reshape(1, *self._shape)
