"""How full the cores are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from tncompile.analysis.graph import layer_names
from tncompile.ir import UNUSED, CoreGraph, CoreKind


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerUtilisation:
    """The cores of one layer, and the splitters that copy its output.

    Attributes:
        layer: its name, "input" for the bits that the host sends.
        cores: cores that compute it.
        splitters: cores that only copy its output.
        axons: share of their axons that something drives.
        neurons: share of their neurons that carry a signal.
        copies: neurons that carry a value of its output, per value; 0 if no neuron does.
    """

    layer: str
    cores: int
    splitters: int
    axons: float
    neurons: float
    copies: float


def axons_used(graph: CoreGraph) -> Int64[np.ndarray, " cores"]:
    """Returns how many axons of each core a neuron or the host drives."""
    driven = graph.target_core[graph.target_core >= 0]
    return np.bincount(driven, minlength=graph.cores) + np.bincount(graph.input_lines.core, minlength=graph.cores)


def neurons_used(graph: CoreGraph) -> Int64[np.ndarray, " cores"]:
    """Returns how many neurons of each core carry a signal."""
    return (graph.neuron_layer != UNUSED).sum(axis=1)


def splitter_neurons(graph: CoreGraph) -> Bool[np.ndarray, "cores neurons"]:
    """Returns which neurons only repeat a signal; a core of any kind may hold some."""
    return (graph.neuron_layer != UNUSED) & (graph.neurons.weights == 1).all(axis=1)[graph.neuron_type]


def shared_cores(graph: CoreGraph) -> Bool[np.ndarray, " cores"]:
    """Returns which cores hold neurons of another layer, group or kind than they were opened for."""
    repeats = splitter_neurons(graph)
    splitters = (graph.core_kind == CoreKind.SPLITTER)[:, None]
    convs = [layer.conv for layer in graph.source.source.layers]
    layer = np.clip(graph.neuron_layer, 0, None)
    features, groups = (np.array([getattr(conv, name) for conv in convs])[layer] for name in ("features", "groups"))
    group = graph.neuron_index % features // (features // groups)
    own = (graph.neuron_layer == graph.core_layer[:, None]) & (repeats == splitters)
    own &= splitters | (group == graph.core_group[:, None])
    return np.asarray(((graph.neuron_layer != UNUSED) & ~own).any(axis=1))


def utilisation(graph: CoreGraph) -> tuple[LayerUtilisation, ...]:
    """Returns one row a layer that has cores, in the order of the data's way."""
    axons, neurons = axons_used(graph), neurons_used(graph)
    rows = []
    for number, name in layer_names(graph).items():
        members = graph.core_layer == number
        if not members.any():
            continue
        splitters = members & (graph.core_kind == CoreKind.SPLITTER)
        carries = graph.neuron_layer == number
        values = len(np.unique(graph.neuron_index[carries]))
        rows.append(
            LayerUtilisation(
                layer=name,
                cores=int(members.sum() - splitters.sum()),
                splitters=int(splitters.sum()),
                axons=float(axons[members].mean() / graph.axon_type.shape[1]),
                neurons=float(neurons[members].mean() / graph.neuron_type.shape[1]),
                copies=float(carries.sum() / max(values, 1)),
            )
        )
    return tuple(rows)
