"""Verifies the neuron table that core graphs and chip images share: every field fits the chip's."""

from __future__ import annotations

import numpy as np

from tncompile.arch import ChipArch
from tncompile.ir import NeuronTable, ResetMode
from tncompile.verify.findings import Findings


def check_table(found: Findings, shape: str, width: str, unused: str, table: NeuronTable, arch: ChipArch) -> None:
    """Notes fields of a wrong shape or beyond their width, and a row 0 that is not the unused neuron.

    Args:
        found: where to.
        shape, width, unused: codes for the three.
        table: the neurons.
        arch: gives the widths.
    """
    rows = table.leak.shape[0] if table.leak.ndim else 0
    flags = ("leak_reversal", "stochastic_leak", "negative_saturate")
    words = ("threshold", "negative_threshold", "reset", "initial")
    before = found.total
    found.add_shapes(
        shape,
        "neuron table",
        table,
        {
            "weights": ((rows, arch.axon_types), np.int16),
            "stochastic_weights": ((rows, arch.axon_types), np.bool_),
            "leak": ((rows,), np.int16),
            "mask_bits": ((rows,), np.uint8),
            "reset_mode": ((rows,), np.uint8),
            **dict.fromkeys(flags, ((rows,), np.bool_)),
            **dict.fromkeys(words, ((rows,), np.int32)),
        },
    )
    if rows == 0:
        found.add(shape, "neuron table", "row 0, the unused neuron", "no row")
    if found.total > before:
        return
    lowest, highest = arch.potential_range
    ranc = arch.neuron == "ranc"
    truenorth_only = ("stochastic_weights", "leak_reversal", "stochastic_leak", "negative_saturate")
    highest_below = -arch.threshold_range[0] if ranc else arch.threshold_range[1]
    for name, low, high in (
        ("weights", -arch.weight_max, arch.weight_max),
        ("leak", -arch.leak_max, arch.leak_max),
        ("threshold", *arch.threshold_range),
        ("negative_threshold", -arch.threshold_range[1] if ranc else 0, highest_below),
        ("mask_bits", 0, 0 if ranc else arch.threshold_bits),
        ("reset_mode", 0, ResetMode.SUBTRACT if ranc else max(ResetMode)),
        *((name, 0, 0) for name in truenorth_only if ranc),
        ("reset", lowest, highest),
        ("initial", lowest, highest),
    ):
        values = getattr(table, name)
        found.add_each(
            width,
            (values < low) | (values > high),
            lambda *i, name=name, values=values, low=low, high=high: (
                f"neuron table, row {i[0]}, {name}",
                f"{low} to {high}",
                values[i],
            ),
        )
    # V = 0 for ever: nothing moves it, and it is below the threshold.
    if table.weights[0].any() or table.leak[0] or table.initial[0] or table.threshold[0] < 1:
        found.add(
            unused,
            "neuron table, row 0",
            "without weights and leak, V = 0 and a threshold of at least 1",
            f"weights {table.weights[0]}, leak {table.leak[0]}, V {table.initial[0]}, threshold {table.threshold[0]}",
        )
