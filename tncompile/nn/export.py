"""From the trained model to the first stage of a compilation."""

from __future__ import annotations

import numpy as np

from tncompile.errors import ArtifactError
from tncompile.ir import LogicalLayer, LogicalNet, SpikeCounts, Transduction
from tncompile.nn.float_network import FloatNetwork
from tncompile.nn.network import Network, nonfinite

_RANGES = {"weights": (-1, 1), "hidden": (-1, 1), "trinary": (-1, 1), "std": (0, np.inf)}
"""Least and greatest value of a tensor of a network for a chip."""


def export_network(network: Network, name: str, spike_counts: SpikeCounts | None = None) -> LogicalNet:
    """Returns the network as plain arrays, with nothing folded or rounded yet.

    Args:
        network: the trained model.
        name: of the net, for reports.
        spike_counts: what `Network.spike_counts` counted on sample images, if anybody did.

    Raises:
        ArtifactError: a tensor is not finite, or outside its range.
    """
    check_tensors(network)
    first = network.transduction
    return LogicalNet(
        name=name,
        transduction=Transduction(
            conv=first.conv,
            weights=np.asarray(first.integer_weights()).astype(np.int32),
            fraction_bits=first.fraction_bits,
            input_bits=first.input_bits,
            norm=first.norm.export(),
        ),
        layers=tuple(
            LogicalLayer(
                conv=layer.conv,
                hidden=np.asarray(layer.hidden[...]),
                trinary=np.asarray(layer.trinary[...]),
                hysteresis=layer.hysteresis,
                norm=layer.norm.export(),
            )
            for layer in network.layers
        ),
        readout=network.readout,
        spike_counts=spike_counts,
    )


def check_tensors(network: Network | FloatNetwork, source: str = "the model") -> None:
    """Checks that every tensor is finite and within the range that training keeps it in.

    Args:
        network: the model.
        source: where its tensors come from, for the message.

    Raises:
        ArtifactError: one is not.
    """
    broken = next(nonfinite(network.tensors()), None)
    if broken is not None:
        layer, tensor = broken.split("/")
        raise ArtifactError(
            f"{source}: layer {layer}: {tensor} has values that are not finite; train the net again, with a lower "
            "train.learning_rate if the training diverged"
        )
    ranges = _RANGES if isinstance(network, Network) else {"std": _RANGES["std"]}
    for name, variable in network.tensors():
        layer, tensor = name.split("/")
        low, high = ranges.get(tensor, (-np.inf, np.inf))
        values = np.asarray(variable[...])
        outside = values[(values < low) | (values > high)]
        if outside.size:
            expected = f"at least {low}" if np.isinf(high) else f"between {low} and {high}"
            raise ArtifactError(
                f"{source}: layer {layer}: {tensor} has the value {outside[0]:g}, expected is {expected}; "
                "train the net again"
            )
