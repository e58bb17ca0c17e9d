"""The one-chip CIFAR-10 net: as a chip image for our engines, and as layers for others."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Int64

from tncompile.cli.terminal import terminal
from tncompile.config.experiment import load_experiment, resolved
from tncompile.data import load_spec
from tncompile.errors import ArtifactError
from tncompile.ir import ChipImage, Conv, TrinaryNet
from tncompile.ir.io import read_stage
from tncompile.reference.net import trinary_spikes
from tncompile.sim import make_engine, transduce
from tncompile.workflow import RunFolder, compile_step, random_images, read_stages

ROOT = Path(__file__).parents[1]
EXPERIMENT = ROOT / "experiments" / "cifar10_1chip.yaml"
FOLDER = RunFolder(ROOT / "runs" / "benchmarks" / "cifar10_1chip")
"""Where the compiled net is kept from one run to the next."""

FRAMES = 512
"""Different frames; a run of more begins again."""

STRIDE = 37
"""Streams are so many frames apart, so that they do different things."""

THREADS = os.cpu_count() or 1


def compile_net(fresh: bool) -> None:
    """Compiles the untrained net, unless that was done before.

    Args:
        fresh: even if it was.
    """
    experiment = load_experiment(EXPERIMENT)
    try:
        if not fresh and FOLDER.read_results().get("experiment") == resolved(experiment):
            load_image()
            load_net()
            return
    except ArtifactError:
        pass  # of another version
    with terminal(quiet=True) as quiet:
        compile_step(experiment, FOLDER, quiet, untrained=True)


def load_image() -> ChipImage:
    """Returns the chip image."""
    return read_stage(FOLDER.image, expect=ChipImage)


def load_net() -> TrinaryNet:
    """Returns the layers."""
    net = read_stages(FOLDER, "trinarize")
    assert isinstance(net, TrinaryNet)
    return net


def images(count: int) -> np.ndarray:
    """Returns random images."""
    experiment = load_experiment(EXPERIMENT)
    return random_images(load_spec(experiment.data), FRAMES, experiment.seed)[:count]


def input_bits(image: ChipImage) -> Bool[np.ndarray, "frames bits"]:
    """Returns what enters the chip for the random images."""
    assert image.host is not None
    return transduce(image.host, images(FRAMES))


def checksums(spikes: Bool[np.ndarray, "n outputs"]) -> list[int]:
    """Returns a number for the output spikes of each frame."""
    return [zlib.crc32(row.tobytes()) for row in np.packbits(spikes, axis=1, bitorder="little")]


def reference_checksums(count: int) -> list[int]:
    """Returns those of the first frames, by the slow reference in 64-bit integers."""
    return checksums(trinary_spikes(load_net(), images(count)))


def figures() -> dict[str, float]:
    """Returns how large the net is.

    - `products`: inputs × weights of a frame, zeros included, copies and axon pairs folded;
    - `weights`: those that are not 0;
    - `words`: 64-bit words of the chip's crossbars;
    - `active`: axons with a spike in a tick, when every tick brings a frame.
    """
    net, image = load_net(), load_image()
    positions = [layer.conv.out_shape[0] * layer.conv.out_shape[1] for layer in net.source.layers]
    layers = list(zip(positions, net.weights, strict=True))
    return {
        "products": float(sum(count * weights.size for count, weights in layers)),
        "weights": float(sum(count * np.count_nonzero(weights) for count, weights in layers)),
        "words": float(image.neuron_type.size * image.axon_type.shape[1] / 64),
        "active": _active_axons(image),
    }


def _active_axons(image: ChipImage) -> float:
    """Returns how many axons have a spike in a tick of a full pipeline, each of them driven by one neuron or bit."""
    from tncompile.sim.wiring import resolve

    engine, wiring, bits = make_engine("packed", image), resolve(image), input_bits(image)
    state = engine.init(1)
    state, _ = engine.run(state, bits[None, : image.latency + 1])
    saved = engine.save(state)
    neurons = np.unpackbits(saved.spikes[0, 0], axis=-1, bitorder="little").ravel()
    entered = np.unpackbits(saved.inputs[0, 0], count=image.input_bits, bitorder="little")
    return float(np.concatenate([neurons, entered])[wiring.source].sum())


class Facts:
    """What the worker that prepares the net holds."""

    def __init__(self, fresh: bool) -> None:
        """Compiles the net if need be; the other workers read what this one wrote."""
        compile_net(fresh)

    def figures(self) -> dict[str, float]:
        """Returns how large the net is."""
        return figures()

    def expected(self) -> list[int]:
        """Returns the checksums of all frames' output spikes.

        Those of the first frames are the reference's, which is too slow for all of them.
        """
        by_product = checksums(NumPyProducts(load_net()).spikes(input_bits(load_image())))
        expected = reference_checksums(4)
        assert by_product[:4] == expected
        return expected + by_product[4:]


class EngineFrames:
    """One of our engines: streams of frames, one a tick."""

    def __init__(self, name: str) -> None:
        """Lays out the image."""
        self._image = load_image()
        self._engine = make_engine(name, self._image)
        self._bits = input_bits(self._image)

    def start(self, batch: int, ticks: int) -> None:
        """Compiles, and fills the pipelines.

        Args:
            batch: streams.
            ticks: of one call of `time` [tick].
        """
        self._first = STRIDE * np.arange(batch)
        self._ticks, self._tick = ticks, 0
        self._engine.prepare(batch, ticks)
        self._state = self._engine.init(batch)
        while self._tick <= self._image.latency:
            self.time()

    def time(self) -> float:
        """Returns how long the next ticks take, from input bits to output pins [s]."""
        self._frame: Int64[np.ndarray, "batch ticks"] = self._first[:, None] + self._tick + np.arange(self._ticks)
        frames = self._bits[self._frame % FRAMES]
        begin = time.perf_counter()
        self._state, out = self._engine.run(self._state, frames)
        seconds = time.perf_counter() - begin
        self._pins = out.pins
        self._tick += self._ticks
        return seconds

    def wrong(self, expected: Sequence[int]) -> int:
        """Returns how many frames came out of the last call with other spikes than expected."""
        done = self._frame - self._image.latency
        sent = done >= self._first[:, None]  # the rest were still empty
        found = checksums(self._pins[sent])
        return sum(a != expected[i] for a, i in zip(found, done[sent] % FRAMES, strict=True))


class Layers(Protocol):
    """Computes a net's on-chip layers for a batch of frames."""

    def __init__(self, net: TrinaryNet) -> None: ...

    def spikes(self, bits: Bool[np.ndarray, "n bits"]) -> Bool[np.ndarray, "n outputs"]:
        """Returns the last layer's spikes."""
        ...


class RivalFrames:
    """Another way to compute the same layers: frames side by side."""

    def __init__(self, kind: type[Layers]) -> None:
        """Builds the layers."""
        self._layers = kind(load_net())
        self._bits = input_bits(load_image())

    def start(self, batch: int, ticks: int) -> None:
        """Takes so many frames at once, ticks being 1, and warms up."""
        assert ticks == 1
        self._frames = self._bits[np.arange(batch) % FRAMES]
        self.time()

    def time(self) -> float:
        """Returns how long they take, from input bits to output spikes [s]."""
        begin = time.perf_counter()
        self._spikes = self._layers.spikes(self._frames)
        return time.perf_counter() - begin

    def wrong(self, expected: Sequence[int]) -> int:
        """Returns how many frames came out with other spikes than expected."""
        return sum(a != expected[i % FRAMES] for i, a in enumerate(checksums(self._spikes)))


class TorchConv2d:
    """PyTorch: grouped `conv2d` in float32, channel permutations as `index_select`, thresholds as comparisons."""

    format = "contiguous_format"

    def __init__(self, net: TrinaryNet) -> None:
        import torch

        torch.set_num_threads(THREADS)
        self._torch = torch
        self._format = getattr(torch, self.format)
        first = net.source.transduction.conv
        self._in_shape = first.out_shape[1], first.out_shape[0], first.out_shape[2]
        self._layers = []
        for layer, weights, leak in zip(net.source.layers, net.weights, net.leak, strict=True):
            conv = layer.conv
            options = {"stride": conv.stride[::-1], "padding": conv.padding[::-1], "groups": conv.groups}
            kernel = torch.from_numpy(weights.astype(np.float32).transpose(0, 3, 1, 2).copy())  # feature ci ky kx
            threshold = torch.from_numpy((1 - leak).astype(np.float32))[:, None, None]
            permutation = torch.from_numpy(conv.permutation.astype(np.int64))
            self._layers.append((permutation, kernel.contiguous(memory_format=self._format), threshold, options))

    def spikes(self, bits: Bool[np.ndarray, "n bits"]) -> Bool[np.ndarray, "n outputs"]:
        torch = self._torch
        with torch.inference_mode():
            maps = torch.from_numpy(bits).view(-1, *self._in_shape).permute(0, 3, 1, 2)
            maps = maps.to(torch.float32, memory_format=self._format)
            for permutation, kernel, threshold, options in self._layers:
                sums = torch.nn.functional.conv2d(maps.index_select(1, permutation), kernel, **options)
                maps = (sums >= threshold).to(torch.float32)
            return maps.permute(0, 2, 3, 1).reshape(len(bits), -1).bool().numpy()


class TorchConv2dLast(TorchConv2d):
    """The same with the channels last in memory."""

    format = "channels_last"


class _Products:
    """A batched matrix product a layer, groups as its batch, in float32; frames are the last axis of everything.

    Rows of frames are gathered straight into the matrices that the products take: permutation, padding and patches
    are one index.
    """

    def __init__(self, net: TrinaryNet) -> None:
        shape = net.source.transduction.conv.out_shape
        rows = np.arange(shape[0] * shape[1] * shape[2]).reshape(shape[1], shape[0], shape[2])  # y x channel
        self._layers = []
        for layer, weights, leak in zip(net.source.layers, net.weights, net.leak, strict=True):
            conv = layer.conv
            index = _patches(conv, rows)
            matrices = weights.reshape(conv.groups, conv.features_per_group, -1).astype(np.float32)
            threshold = (1 - leak).astype(np.float32).reshape(conv.groups, conv.features_per_group, 1)
            self._layers.append((index, matrices, threshold))
            width, height, features = conv.out_shape
            rows = np.arange(features * height * width).reshape(features, height, width).transpose(1, 2, 0)
        self._order = rows.reshape(-1)


def _patches(conv: Conv, rows: Int64[np.ndarray, "y x channels"]) -> Int64[np.ndarray, "groups taps positions"]:
    """Returns where each tap [ky, kx, input] of each group and position lies; padding lies behind the last row."""
    (pad_x, pad_y), (step_x, step_y) = conv.padding, conv.stride
    width, height, _ = conv.out_shape
    padded = np.pad(rows, ((pad_y, pad_y), (pad_x, pad_x), (0, 0)), constant_values=rows.size)[..., conv.permutation]
    y = np.arange(conv.kernel[1])[:, None, None, None] + step_y * np.arange(height)[:, None]
    x = np.arange(conv.kernel[0])[:, None, None] + step_x * np.arange(width)
    taken = padded[y, x]  # ky kx y x channel
    split = taken.reshape(*taken.shape[:4], conv.groups, -1).transpose(4, 0, 1, 5, 2, 3)  # group ky kx input y x
    return np.ascontiguousarray(split).reshape(conv.groups, -1, height * width)


class NumPyProducts(_Products):
    """NumPy: patches gathered, one batched product a layer."""

    def spikes(self, bits: Bool[np.ndarray, "n bits"]) -> Bool[np.ndarray, "n outputs"]:
        frames = len(bits)
        maps = bits.T.astype(np.float32)
        for index, matrices, threshold in self._layers:
            padded = np.concatenate([maps, np.zeros((1, frames), np.float32)])
            patches = padded.take(index.reshape(-1), axis=0).reshape(*index.shape[:2], -1)
            maps = (matrices @ patches >= threshold).astype(np.float32).reshape(-1, frames)
        return maps.take(self._order, axis=0).T.astype(bool)


class TorchProducts(_Products):
    """PyTorch: patches gathered, one `bmm` a layer."""

    def __init__(self, net: TrinaryNet) -> None:
        import torch

        torch.set_num_threads(THREADS)
        super().__init__(net)
        self._torch = torch
        self._layers = [tuple(torch.from_numpy(array) for array in layer) for layer in self._layers]
        self._order = torch.from_numpy(self._order)

    def spikes(self, bits: Bool[np.ndarray, "n bits"]) -> Bool[np.ndarray, "n outputs"]:
        torch, frames = self._torch, len(bits)
        with torch.inference_mode():
            maps = torch.from_numpy(bits).T.to(torch.float32, memory_format=torch.contiguous_format)
            for index, matrices, threshold in self._layers:
                padded = torch.cat([maps, torch.zeros(1, frames)])
                patches = padded.index_select(0, index.view(-1)).view(*index.shape[:2], -1)
                maps = (torch.bmm(matrices, patches) >= threshold).to(torch.float32).view(-1, frames)
            return maps.index_select(0, self._order).T.bool().numpy()
