"""Any single change of what a core graph computes is refused, wherever it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.corruptions import ARCH, NOTHING_SAVED, changed, with_crosspoint
from support.random_nets import random_net

from passes.pack import PackConfig, pack
from passes.trinarize import TrinarizeConfig, trinarize
from tncompile.errors import VerificationError
from tncompile.ir import CoreGraph
from tncompile.verify import verify


def packed(seed: int, **options: Any) -> CoreGraph:
    net = trinarize(random_net(seed, inputs=8, layers=3, size=6), ARCH, TrinarizeConfig(), seed=0)
    return pack(net, ARCH, PackConfig(packets_per_bit=1, **options), seed=0)


@pytest.fixture(scope="module", params=[3, 5])
def graph(request: pytest.FixtureRequest) -> CoreGraph:
    """Cores that blocks and splitters share; all that nobody hears is left out, or a change of it would be none."""
    return packed(request.param)


@pytest.fixture(scope="module")
def whole() -> CoreGraph:
    """Cores with all neurons, needed or not."""
    return packed(1, **NOTHING_SAVED)


def refused(graph: CoreGraph) -> bool:
    try:
        verify(graph, ARCH)
    except VerificationError:
        return True
    return False


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_flipped_crosspoint_is_refused(graph: CoreGraph, data: st.DataObject):
    core = data.draw(st.integers(0, graph.cores - 1))
    axon, neuron = data.draw(st.integers(0, ARCH.axons - 1)), data.draw(st.integers(0, ARCH.neurons - 1))
    crossbar = graph.crossbars[graph.core_crossbar[core]]
    was = bool(crossbar[axon, neuron // 8] >> (neuron % 8) & 1)
    assert refused(with_crosspoint(graph, core, {(axon, neuron): not was}))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize(
    ("name", "high"),
    [
        ("target_core", None),
        ("target_axon", ARCH.axons - 1),
        ("target_delay", ARCH.delay_max),
        ("neuron_type", None),
        ("neuron_index", None),
        ("neuron_copy", 20),
    ],
)
def test_another_value_of_a_used_neuron_is_refused(graph: CoreGraph, data: st.DataObject, name: str, high: int | None):
    values = getattr(graph, name)
    places = np.argwhere(graph.neuron_layer >= -1)
    place = tuple(places[data.draw(st.integers(0, len(places) - 1))].tolist())
    other = data.draw(st.integers(0, int(values.max()) if high is None else high).filter(lambda v: v != values[place]))
    assert refused(replace(graph, **{name: changed(values, place, other)}))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), name=st.sampled_from(["bit", "core", "axon", "delay"]))
def test_another_value_of_an_input_line_is_refused(graph: CoreGraph, data: st.DataObject, name: str):
    values = getattr(graph.input_lines, name)
    line = data.draw(st.integers(0, len(values) - 1))
    top = ARCH.delay_max if name == "delay" else int(values.max())
    other = data.draw(st.integers(0, top).filter(lambda v: v != values[line]))
    assert refused(replace(graph, input_lines=replace(graph.input_lines, **{name: changed(values, line, other)})))


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_another_weight_or_leak_in_the_source_is_refused(whole: CoreGraph, data: st.DataObject):
    name = data.draw(st.sampled_from(["weights", "leak"]))
    arrays = getattr(whole.source, name)
    layer = data.draw(st.integers(0, len(arrays) - 1))
    place = np.unravel_index(data.draw(st.integers(0, arrays[layer].size - 1)), arrays[layer].shape)
    other = -1 if arrays[layer][place] == 1 else arrays[layer][place] + 1
    source = replace(
        whole.source, **{name: (*arrays[:layer], changed(arrays[layer], place, other), *arrays[layer + 1 :])}
    )
    assert refused(replace(whole, source=source))
