"""How far spikes travel."""

from __future__ import annotations

import numpy as np
from jaxtyping import Integer

from tncompile.analysis.graph import Arcs


def wirelength(arcs: Arcs, x: Integer[np.ndarray, " cores"], y: Integer[np.ndarray, " cores"]) -> int:
    """Returns Σ weight · (|dx| + |dy|) over all arcs [hop].

    Args:
        arcs: who sends to whom.
        x, y: site of each core, or how far each is from the board's corner if some hops count more than others.
    """
    hops = np.abs(x[arcs.target] - x[arcs.source]) + np.abs(y[arcs.target] - y[arcs.source])
    return int(arcs.weight @ hops)


def hops_per_arc(arcs: Arcs, x: Integer[np.ndarray, " cores"], y: Integer[np.ndarray, " cores"]) -> float:
    """Returns the mean length of a neuron-to-axon arc [hop]; 0 if there is none."""
    return wirelength(arcs, x, y) / max(int(arcs.weight.sum()), 1)
