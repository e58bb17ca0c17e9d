"""Random core graphs that later stages can work on, without the passes that would make them. Imports no pass.

They are wired legally (one driver an axon, one target a neuron) but compute nothing: crossbars and neurons are random.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from support.random_nets import random_net

from tncompile.arch import ChipArch
from tncompile.ir import (
    NO_TARGET,
    OUTPUT_PIN,
    UNUSED,
    CoreGraph,
    CoreKind,
    InputLines,
    TrinaryNet,
    stateless_table,
)

SEEDS = st.integers(0, 2**32 - 1)


def random_graph(
    seed: int, *, cores: int, axons: int = 8, neurons: int = 8, layers: int = 3, delay_max: int = 15
) -> CoreGraph:
    """Returns a graph of so many cores, in which a core sends to cores of its own or the next layer.

    Args:
        seed: of everything random.
        cores: at least 1.
        axons, neurons: of a core; neurons a multiple of 8.
        layers: the cores are spread over these, the last fifth of each as splitters.
        delay_max: delays are 1 to this [tick].
    """
    rng = np.random.default_rng(seed)
    logical = random_net(seed, layers=layers, size=2, features=4)
    net = TrinaryNet(
        source=logical,
        threshold=rng.integers(-9, 9, logical.transduction.conv.features),
        weights=tuple(layer.trinary for layer in logical.layers),
        leak=tuple(np.zeros(layer.conv.features, np.int16) for layer in logical.layers),
    )
    layer = np.sort(rng.integers(0, layers, cores)).astype(np.int16)
    share = np.arange(cores) - np.searchsorted(layer, layer)
    splitter = 5 * share >= 4 * np.bincount(layer, minlength=layers)[layer]

    used = rng.random((cores, neurons)) < rng.uniform(0.2, 1)
    target_core, target_axon = _targets(rng, layer, used, axons)
    pins = used & (target_core == NO_TARGET) & (rng.random(used.shape) < 0.5)
    target_core[pins], target_axon[pins] = OUTPUT_PIN, np.arange(pins.sum())
    sends = target_core != NO_TARGET
    lines = int(rng.integers(0, 9))
    return CoreGraph(
        source=net,
        scheme="pair",
        latency=layers,
        core_kind=np.where(splitter, CoreKind.SPLITTER, CoreKind.LAYER).astype(np.uint8),
        core_layer=layer,
        core_group=np.where(splitter, -1, 0).astype(np.int32),
        core_block=np.zeros((cores, 4), np.int16),
        core_crossbar=rng.integers(0, 2, cores).astype(np.int32),
        crossbars=rng.integers(0, 256, (2, axons, neurons // 8)).astype(np.uint8),
        axon_type=rng.integers(0, 2, (cores, axons)).astype(np.uint8),
        neurons=stateless_table(np.array([[0, 0], [-1, 1]], np.int16), np.zeros(2, np.int16)),
        neuron_type=used.astype(np.int32),
        neuron_layer=np.where(used, layer[:, None], UNUSED).astype(np.int16),
        neuron_index=np.where(used, rng.integers(0, 50, used.shape), -1).astype(np.int32),
        neuron_copy=np.where(used, 0, -1).astype(np.int16),
        target_core=target_core,
        target_axon=target_axon,
        target_delay=np.where(sends, rng.integers(1, delay_max, used.shape, endpoint=True), 0).astype(np.uint8),
        input_lines=InputLines(
            bit=np.sort(rng.integers(0, logical.transduction.conv.outputs, lines)).astype(np.int32),
            core=rng.integers(0, cores, lines).astype(np.int32),
            axon=rng.integers(0, axons, lines).astype(np.int16),
            delay=rng.integers(1, delay_max, lines, endpoint=True).astype(np.uint8),
        ),
    )


def graphs(cores: int = 40) -> st.SearchStrategy[CoreGraph]:
    """Returns a strategy of `random_graph`s of at most so many cores."""
    return st.builds(random_graph, SEEDS, cores=st.integers(1, cores), layers=st.integers(1, 4))


def random_board(seed: int, cores: int, chips: tuple[int, int] = (3, 3)) -> ChipArch:
    """Returns a board that holds so many cores, with odd sizes and faulty cores; often only just.

    Args:
        seed: of everything random.
        cores: that have to fit.
        chips: the largest board in x and y.
    """
    rng = np.random.default_rng(seed)
    board = tuple(int(rng.integers(1, most + 1)) for most in chips)
    width = int(rng.integers(1, 8))
    height = -(-cores // (width * board[0] * board[1])) + int(rng.integers(0, 3))
    size = width * board[0], height * board[1]
    spare = size[0] * size[1] - cores
    dead = rng.choice(size[0] * size[1], int(rng.integers(0, spare + 1)), replace=False)
    return ChipArch(
        axons=8,
        neurons=8,
        grid=(width, height),
        board=board,
        dead_cores=tuple((int(d % size[0]), int(d // size[0])) for d in dead),
    )


def _targets(
    rng: np.random.Generator, layer: np.ndarray, used: np.ndarray, axons: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a target core and axon for most used neurons, each axon at most once."""
    target_core = np.full(used.shape, NO_TARGET, np.int32)
    target_axon = np.zeros(used.shape, np.int32)
    free = np.ones((len(layer), axons), bool)
    for number in np.unique(layer):
        senders = rng.permutation(np.argwhere(used & (layer == number)[:, None]))
        receivers = rng.permutation(np.argwhere(free & np.isin(layer, (number, number + 1))[:, None]))
        count = min(len(senders), len(receivers))
        (core, neuron), (target, axon) = senders[:count].T, receivers[:count].T
        target_core[core, neuron], target_axon[core, neuron] = target, axon
        free[target, axon] = False
    return target_core, target_axon
