"""The layers found in an image compute what the oracle computes; images without layers are refused with a reason."""

from __future__ import annotations

import dataclasses
import re

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool
from support.random_acyclic import acyclic_chip
from support.random_chips import (
    RANC,
    RANC_INCLUSIVE,
    SMALL,
    WIDE,
    layered_chip,
    random_chip,
    random_frames,
    side_by_side,
)

from tncompile.arch import TRUENORTH, ChipArch
from tncompile.ir import ChipImage, InputPackets, stateless_table
from tncompile.sim import layers as module
from tncompile.sim import make_engine
from tncompile.sim.layers import Layers, NotLayered, find_layers
from tncompile.sim.wiring import resolve

TICKS = 14


def evaluate(layers: Layers, frames: Bool[np.ndarray, "ticks input_bits"]) -> Bool[np.ndarray, "ticks signals"]:
    """Returns all signals of all ticks, node by node."""
    signals = np.zeros((len(frames), layers.signals), bool)
    signals[:, : layers.input_bits] = frames
    for level in layers.levels:
        for node in range(len(level)):
            total = np.zeros(len(frames), np.int64)
            for entry in range(level.indptr[node], level.indptr[node + 1]):
                delay = int(level.delay[entry])
                heard = signals[: max(0, len(frames) - delay), level.source[entry]]
                total[delay:] += heard * np.int64(level.weight[entry])
            signals[:, level.first + node] = total >= level.threshold[node]
    return signals


def assert_layers_hold(image: ChipImage, seed: int) -> Layers:
    """Compares every neuron and pin with the oracle, and checks what the records promise."""
    layers = find_layers(image)
    frames = random_frames(image, seed, batch=1, ticks=TICKS)
    oracle = make_engine("oracle", image)
    _, ticks = oracle.run(oracle.init(1), frames, range(len(image.core_x)))
    signals = evaluate(layers, frames[0])

    used = layers.signal_of >= 0
    np.testing.assert_array_equal(used, image.neuron_type != 0)
    np.testing.assert_array_equal(signals[:, layers.signal_of] & used, ticks.spikes[0])
    pins = np.zeros((TICKS, layers.output_pins), bool)
    for signal, pin in zip(layers.pin_signal, layers.pin, strict=True):
        pins[:, pin] |= signals[:, signal]
    np.testing.assert_array_equal(pins, ticks.pins[0])

    first = layers.input_bits
    for level in layers.levels:
        rows = []
        assert level.first == first and len(level)
        assert (level.source < first).all() and (level.source >= 0).all()
        assert (level.delay <= layers.arch.delay_max).all() and level.weight.all()
        for node in range(len(level)):
            entries = slice(level.indptr[node], level.indptr[node + 1])
            row = sorted(zip(level.source[entries], level.delay[entries], level.weight[entries], strict=True))
            assert len({entry[:2] for entry in row}) == len(row)
            rows.append((level.threshold[node], *row))
        assert len(set(rows)) == len(rows), "two nodes compute the same"
        first += len(level)
    assert first == layers.signals
    return layers


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cores=st.integers(1, 9))
def test_random_acyclic_chips(seed: int, cores: int) -> None:
    assert_layers_hold(acyclic_chip(seed, cores=cores), seed)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_feed_forward_chips(seed: int) -> None:
    assert_layers_hold(layered_chip(seed), seed)


@pytest.mark.parametrize("arch", [SMALL.model_copy(update={"leak_bits": 9}), RANC])
def test_narrow_potentials_are_refused_or_right(arch: ChipArch) -> None:
    """Sums beyond −64 … 63 wrap, or saturate; that matters only where the leak turns them round."""
    refused = beyond = 0
    for seed in range(40):
        image = acyclic_chip(seed, arch=arch, cores=3, crosspoints=0.95)
        try:
            layers = assert_layers_hold(image, seed)
        except NotLayered as reason:
            assert re.match(
                r"core \d, neuron \d+ can sum to -?\d+ … \d+, beyond the potential's range -64 … 63$", str(reason)
            )
            refused += 1
        else:
            beyond += any(
                np.add.reduceat(np.append(np.abs(level.weight), 0), level.indptr[:-1]).max() > 63
                for level in layers.levels
            )
    assert 0 < refused < 40 and (beyond or arch is RANC)


def test_cores_of_256_axons_and_neurons() -> None:
    layers = assert_layers_hold(acyclic_chip(3, arch=TRUENORTH, cores=4), 3)
    assert nodes(layers) < (layers.signal_of >= 0).sum()  # copies are folded


def test_blocks_say_the_same_as_rows() -> None:
    layers = find_layers(side_by_side([acyclic_chip(seed) for seed in range(8)]))
    for level in layers.levels:
        seen = set()
        for block in level.blocks:
            for core, signals in enumerate(block.signal):
                assert len(set(signals)) == len(signals), "a core computes a node twice"
                for node, signal in enumerate(signals):
                    entries = slice(block.indptr[node], block.indptr[node + 1])
                    source = block.source[core, block.input[entries]], block.delay[core, block.input[entries]]
                    row = slice(level.indptr[signal - level.first], level.indptr[signal - level.first + 1])
                    expected = zip(level.source[row], level.delay[row], level.weight[row], strict=True)
                    assert sorted(zip(*source, block.weight[entries], strict=True)) == sorted(expected)
                    assert block.threshold[node] == level.threshold[signal - level.first]
                    seen.add(signal)
        assert seen == set(range(level.first, level.first + len(level)))


def test_equal_cores_that_hear_the_same_become_one() -> None:
    image = acyclic_chip(4, twins=False)
    layers = find_layers(image)
    twice = side_by_side([image, image])
    bits = image.input_bits
    packets = dataclasses.replace(twice.packets, bit=twice.packets.bit % bits)  # both hear the first one's input bits
    both = find_layers(dataclasses.replace(twice, input_bits=bits, packets=packets))
    assert nodes(both) == nodes(layers)
    a, b = both.signal_of[: len(image.core_x)], both.signal_of[len(image.core_x) :]
    np.testing.assert_array_equal(a, b)


def test_alike_cores_share_a_block() -> None:
    """Also where crossbars and neuron types are listed twice."""
    image = acyclic_chip(4, twins=False)
    once, four = find_layers(image), find_layers(side_by_side([image] * 4))
    assert nodes(four) > nodes(once)
    for level, level_of_four in zip(once.levels, four.levels, strict=True):
        assert len(level_of_four.blocks) == len(level.blocks)
        cores = [sum(len(block.source) for block in one.blocks) for one in (level, level_of_four)]
        assert level.core[0] < 0 or cores[1] == 4 * cores[0]


def test_equal_hashes_fold_only_equal_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All hashes alike: nothing is folded that is not equal."""
    monkeypatch.setattr(module, "_scramble", lambda key: np.zeros(key.shape, np.uint64))
    for seed in range(4):
        image = acyclic_chip(seed)
        layers = find_layers(image)
        frames = random_frames(image, seed, batch=1, ticks=TICKS)
        oracle = make_engine("oracle", image)
        _, ticks = oracle.run(oracle.init(1), frames, range(len(image.core_x)))
        signals = evaluate(layers, frames[0])[:, layers.signal_of] & (layers.signal_of >= 0)
        np.testing.assert_array_equal(signals, ticks.spikes[0])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cores=st.integers(1, 4), crosspoints=st.sampled_from([0.005, 0.02, 0.05]))
def test_images_with_a_cycle_are_refused_and_no_others(seed: int, cores: int, crosspoints: float) -> None:
    image = random_chip(seed, arch=WIDE, cores=cores, stateless=True, crosspoints=crosspoints)
    graph, wiring = nx.DiGraph(), resolve(image)
    for source, target in zip(wiring.source, wiring.target, strict=True):
        graph.add_edge(("neuron", source), ("axon", target))
    for core in range(cores):
        crosspoint = np.unpackbits(image.crossbars[image.core_crossbar[core]], axis=1, bitorder="little")
        for axon, neuron in np.argwhere(crosspoint):
            row = image.neuron_type[core, neuron]
            if row and image.neurons.weights[row, image.axon_type[core, axon]]:
                graph.add_edge(("axon", core * WIDE.axons + axon), ("neuron", core * WIDE.neurons + neuron))
    if nx.is_directed_acyclic_graph(graph):
        assert_layers_hold(image, seed)
    else:
        with pytest.raises(NotLayered, match="lies on a cycle") as caught:
            find_layers(image)
        core, neuron = (int(number) for number in re.findall(r"\d+", str(caught.value))[:2])
        named = ("neuron", core * WIDE.neurons + neuron)
        assert any(nx.has_path(graph, after, named) for after in graph.successors(named))


def test_a_neuron_that_sends_to_itself_is_a_cycle() -> None:
    image = acyclic_chip(9, twins=False)
    core, neuron, axon = heard(image)
    looped = with_packet(image, core, neuron, core, axon)
    with pytest.raises(NotLayered, match=rf"^core {core}, neuron {neuron} lies on a cycle of 1 neuron$"):
        find_layers(looped)


def test_a_cycle_through_synapses_of_weight_0_is_none() -> None:
    image = acyclic_chip(9, twins=False)
    core, neuron, axon = heard(image)
    weights = image.neurons.weights.copy()
    weights[:, image.axon_type[core, axon]] = 0
    image = dataclasses.replace(image, neurons=dataclasses.replace(image.neurons, weights=weights))
    assert_layers_hold(with_packet(image, core, neuron, core, axon), 9)


def test_a_long_cycle_is_named_by_its_first_neuron() -> None:
    """Three neurons of three cores in a ring, and more neurons that only hear the ring."""
    image = acyclic_chip(2, cores=4, twins=False)
    crosspoints = np.ones((1, 16, 16), bool)
    crosspoints[:, :, 8:] = False
    image = dataclasses.replace(
        image,
        core_crossbar=np.zeros(4, np.int32),
        crossbars=np.packbits(crosspoints, axis=2, bitorder="little"),
        axon_type=np.zeros_like(image.axon_type),
        neurons=stateless_table(np.array([[0] * 4, [1] * 4], np.int16), np.zeros(2, np.int16)),
        neuron_type=np.ones_like(image.neuron_type),
        target_delay=np.zeros_like(image.target_delay),
    )
    for core, target in ((3, 1), (1, 2), (2, 3), (0, 1)):
        image = with_packet(image, core, 5, target, 7)
    with pytest.raises(NotLayered, match=r"^core 1, neuron 5 lies on a cycle of 3 neurons$"):
        find_layers(image)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("initial", 1, "keeps a potential"),
        ("negative_threshold", 1, "keeps a potential"),
        ("threshold", 2, "keeps a potential"),
        ("reset", 1, "keeps a potential"),
        ("mask_bits", 1, "draws random numbers"),
    ],
)
def test_the_first_neuron_with_a_state_is_named(field: str, value: int, reason: str) -> None:
    image = acyclic_chip(7, cores=5)
    row = int(image.neuron_type[3].max())
    table = getattr(image.neurons, field).copy()
    table[row] = value
    image = dataclasses.replace(image, neurons=dataclasses.replace(image.neurons, **{field: table}))
    core, neuron = np.argwhere(image.neuron_type == row)[0]
    with pytest.raises(NotLayered, match=rf"^core {core}, neuron {neuron} \(type {row}\) {reason}"):
        find_layers(image)


@pytest.mark.parametrize(
    ("arch", "changed", "fine"),
    [
        (WIDE, {}, True),
        (WIDE, {"leak": 3, "leak_reversal": True}, True),
        (WIDE, {"mask_bits": 4}, True),
        (WIDE, {"negative_threshold": 0, "reset": 5}, True),
        (WIDE, {"leak": 1}, False),
        (WIDE, {"initial": 1}, False),
        (WIDE, {"threshold": 0, "reset": 1}, False),
        (RANC, {"negative_threshold": 0, "reset": 5}, True),
        (RANC, {"negative_threshold": -1, "reset": 5}, False),
        (RANC_INCLUSIVE, {"negative_threshold": 0, "reset": 5}, False),
    ],
)
def test_neurons_with_a_state_that_hear_nothing_may_be_silent(arch: ChipArch, changed: dict, fine: bool) -> None:
    """Other tools list all neurons of a core, used or not; what never leaves 0 needs no state."""
    values = {"threshold": 9, "negative_threshold": 5, "leak": 0, "negative_saturate": False, "reset_mode": 0}
    for hears in (False, True):
        image = one_neuron(arch, weight=3 * hears, **(values | changed))
        if fine and not hears:
            assert_layers_hold(image, 7)
        else:
            with pytest.raises(NotLayered, match=r"^core 0, neuron 0 \(type 1\) (keeps a potential|draws random)"):
                find_layers(image)


@pytest.mark.parametrize(
    ("arch", "weight", "leak", "fine"),
    [
        (RANC, 15, 48, True),
        (RANC, 15, 49, False),  # 64 wraps
        (RANC, -15, -49, True),
        (RANC, -15, -50, False),
        (SMALL, 15, 100, True),  # 63 as well as 115 spikes
        (SMALL, 70, -62, True),  # 63 − 62 spikes as 70 − 62 does
        (SMALL, 70, -63, False),  # 63 − 63 does not
        (SMALL, -70, 64, True),
        (SMALL, -70, 65, False),
    ],
)
def test_sums_that_leave_the_range(arch: ChipArch, weight: int, leak: int, fine: bool) -> None:
    image = one_neuron(arch, weight=weight, leak=leak)
    if fine:
        assert_layers_hold(image, 1)
    else:
        with pytest.raises(NotLayered, match=r"^core 0, neuron 0 can sum to -?\d+ … \d+, beyond the potential's range"):
            find_layers(image)


def test_axons_without_a_source_are_not_like_a_pair() -> None:
    """Of two equal cores, one hears a bit by axons 3 and 4, the other nothing by either."""
    image = twin_cores([(bit, core) for core in (0, 1) for bit in range(16) if core or bit not in (3, 4)])
    packets = dataclasses.replace(image.packets, bit=np.where(image.packets.bit == 4, 3, image.packets.bit))
    layers = assert_layers_hold(dataclasses.replace(image, packets=packets), 4)
    assert len(layers.levels[0].blocks) == 2


@pytest.mark.parametrize("field", ["threshold", "leak"])
def test_cores_that_differ_in_their_thresholds_are_not_alike(field: str) -> None:
    image = twin_cores([(bit, core) for core in (0, 1) for bit in range(16)])
    assert nodes(find_layers(image)) == 1
    table = getattr(image.neurons, field).copy()
    table[2] -= 1
    kind = np.repeat(np.array([[1], [2]], np.int32), 16, axis=1)
    image = dataclasses.replace(image, neuron_type=kind, neurons=dataclasses.replace(image.neurons, **{field: table}))
    assert nodes(assert_layers_hold(image, 4)) == 2


def test_a_chip_without_wires() -> None:
    image = acyclic_chip(4, cores=2)
    packets = {f.name: getattr(image.packets, f.name)[:0] for f in dataclasses.fields(image.packets)}
    image = dataclasses.replace(
        image,
        target_delay=np.zeros_like(image.target_delay),
        packets=dataclasses.replace(image.packets, **packets),
    )
    layers = assert_layers_hold(image, 4)
    assert nodes(layers) <= 2  # always and never


def nodes(layers: Layers) -> int:
    return sum(len(level) for level in layers.levels)


def one_neuron(arch: ChipArch, *, weight: int, **fields: int) -> ChipImage:
    """Returns one core whose neuron 0 hears the one input bit, and drives the one pin; other fields are stateless."""
    image = acyclic_chip(1, arch=arch, cores=1)
    only = {name: np.zeros_like(getattr(image, name)) for name in ("neuron_type", "target_delay", "axon_type")}
    pin = np.full_like(image.output_pin, -1)
    only["neuron_type"][0, 0], pin[0, 0] = 1, 0
    table = stateless_table(np.array([[0] * 4, [weight] * 4], np.int16), np.zeros(2, np.int16), neuron=arch.neuron)
    changed = {}
    for name, value in fields.items():
        changed[name] = getattr(table, name).copy()
        changed[name][1] = value
    crosspoints = np.zeros_like(image.crossbars)
    crosspoints[:, 0, 0] = 1
    packets = {f.name: getattr(image.packets, f.name)[:1] for f in dataclasses.fields(image.packets)}
    packets |= {"bit": np.zeros(1, np.int32), "axon": np.zeros(1, np.int16)}
    return dataclasses.replace(
        image,
        input_bits=1,
        output_pins=1,
        crossbars=crosspoints,
        neurons=dataclasses.replace(table, **changed),
        packets=dataclasses.replace(image.packets, **packets),
        output_pin=pin,
        **only,
    )


def twin_cores(lines: list[tuple[int, int]]) -> ChipImage:
    """Returns two cores of equal neurons, of types 1 and 2, that hear all 16 axons; lines are (bit = axon, core)."""
    image = acyclic_chip(4, cores=2)
    bit, core = np.array(lines).T
    weights = np.array([[0] * 4, [1, -2, 3, -1], [1, -2, 3, -1]], np.int16)
    return dataclasses.replace(
        image,
        input_bits=16,
        core_crossbar=np.zeros(2, np.int32),
        crossbars=np.full_like(image.crossbars[:1], 0xFF),
        axon_type=np.tile(np.arange(4, dtype=np.uint8), (2, 4)),
        neurons=stateless_table(weights, np.zeros(3, np.int16)),
        neuron_type=np.ones_like(image.neuron_type),
        target_delay=np.zeros_like(image.target_delay),
        packets=InputPackets(
            bit=bit.astype(np.int32),
            x=image.core_x[core],
            y=image.core_y[core],
            axon=bit.astype(np.int16),
            delay=np.ones(len(lines), np.uint8),
        ),
    )


def heard(image: ChipImage) -> tuple[int, int, int]:
    """Returns a core, a neuron of it, and an axon that this neuron hears."""
    for core in range(len(image.core_x)):
        crosspoints = np.unpackbits(image.crossbars[image.core_crossbar[core]], axis=1, bitorder="little")
        weights = image.neurons.weights[image.neuron_type[core]][:, image.axon_type[core]].T
        found = np.argwhere(crosspoints.astype(bool) & (weights != 0) & (image.neuron_type[core] != 0))
        if len(found):
            return core, int(found[0, 1]), int(found[0, 0])
    raise AssertionError("no neuron hears an axon")


def with_packet(image: ChipImage, core: int, neuron: int, target: int, axon: int) -> ChipImage:
    """Returns the image with one neuron sending somewhere else, one tick later."""
    values = {
        "dx": image.core_x[target] - image.core_x[core],
        "dy": image.core_y[target] - image.core_y[core],
        "target_axon": axon,
        "target_delay": 1,
        "output_pin": -1,
    }
    fields = {}
    for field, value in values.items():
        fields[field] = getattr(image, field).copy()
        fields[field][core, neuron] = value
    return dataclasses.replace(image, **fields)
