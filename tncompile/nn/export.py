"""From the trained model to the first stage of a compilation."""

from __future__ import annotations

import numpy as np

from tncompile.errors import ArtifactError
from tncompile.ir import LogicalLayer, LogicalNet, SpikeCounts, Transduction
from tncompile.nn.float_network import FloatNetwork
from tncompile.nn.network import Network, nonfinite


def export_network(network: Network, name: str, spike_counts: SpikeCounts | None = None) -> LogicalNet:
    """Returns the network as plain arrays, with nothing folded or rounded yet.

    Args:
        network: the trained model.
        name: of the net, for reports.
        spike_counts: what `Network.spike_counts` counted on sample images, if anybody did.

    Raises:
        ArtifactError: a tensor is not finite.
    """
    check_finite(network)
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


def check_finite(network: Network | FloatNetwork, source: str = "the model") -> None:
    """Checks that every tensor is finite.

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
