"""Synapse schemes: how an integer weight matrix becomes axons, axon types and crosspoints of a core.

A scheme is one object with its capacity rule, its encoder and its decoder. The core graph itself knows only axon
types, crosspoints and each neuron's weights, so a new scheme changes no other stage.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int, Int8, UInt8

from tncompile.arch import ChipArch
from tncompile.errors import CapacityError
from tncompile.ir.logical import Conv


@runtime_checkable
class SynapseScheme(Protocol):
    """What pack asks of a scheme.

    Attributes:
        name: the name in YAML and in artefacts.
        axons_per_input: axons, so driving neurons, that one logical input takes in a core.
        neuron_weights: the weights s^G of a neuron, one an axon type that the scheme uses [LSB].
    """

    name: str
    axons_per_input: int
    neuron_weights: tuple[int, ...]

    def inputs_per_core(self, arch: ChipArch) -> int:
        """Returns how many logical inputs fit the axons of a core."""
        ...

    def axon_types(self, inputs: int) -> UInt8[np.ndarray, " axons"]:
        """Returns the type of each axon that `inputs` logical inputs take, in axon order."""
        ...

    def encode(self, weights: Int8[np.ndarray, "neurons inputs"]) -> Bool[np.ndarray, "axons neurons"]:
        """Returns the crosspoints of a weight matrix."""
        ...

    def decode(self, crosspoints: Bool[np.ndarray, "axons neurons"]) -> Int[np.ndarray, "neurons inputs"]:
        """Returns the weight matrix of crosspoints: the inverse of `encode`."""
        ...


class PairScheme:
    """Trinary weights on axon pairs, as Eedn nets have them.

    Input k takes axons 2k (type 0, weight −1) and 2k + 1 (type 1, weight +1); at most one of the two crosspoints
    of a neuron is set. So a core takes half as many inputs as it has axons.

    References:
        Esser et al. 2016, PNAS, doi 10.1073/pnas.1604850113; the layout is that of IBM's model files.
    """

    name = "pair"
    axons_per_input = 2
    neuron_weights: tuple[int, ...] = (-1, 1)

    def inputs_per_core(self, arch: ChipArch) -> int:
        """Returns half of the core's axons."""
        return arch.axons // 2

    def axon_types(self, inputs: int) -> UInt8[np.ndarray, " axons"]:
        """Returns 0, 1, 0, 1, …"""
        return np.tile(np.array([0, 1], np.uint8), inputs)

    def encode(self, weights: Int8[np.ndarray, "neurons inputs"]) -> Bool[np.ndarray, "axons neurons"]:
        """Returns the crosspoints of a trinary matrix.

        >>> PairScheme().encode(np.array([[-1, 1]], np.int8)).astype(int).T
        array([[1, 0, 0, 1]])
        """
        pairs = np.stack([weights == -1, weights == 1], axis=-1)  # neurons inputs 2
        return np.ascontiguousarray(pairs.reshape(weights.shape[0], -1).T)

    def decode(self, crosspoints: Bool[np.ndarray, "axons neurons"]) -> Int[np.ndarray, "neurons inputs"]:
        """Returns the trinary matrix of pairwise crosspoints."""
        return (crosspoints[1::2].astype(np.int8) - crosspoints[0::2].astype(np.int8)).T


SCHEMES: dict[str, SynapseScheme] = {"pair": PairScheme()}
"""All synapse schemes by name."""


def check_fan_in(conv: Conv, arch: ChipArch, scheme: SynapseScheme) -> None:
    """Checks that the inputs of a layer's filters fit the axons of one core.

    Raises:
        CapacityError: they do not; the message names the groups that would fit.
    """
    limit = scheme.inputs_per_core(arch)
    if conv.fan_in <= limit:
        return
    positions = conv.kernel[0] * conv.kernel[1]
    channels = conv.in_shape[2]
    both = math.gcd(channels, conv.features)
    fit = [g for g in range(1, both + 1) if both % g == 0 and positions * channels // g <= limit]
    if fit:
        advice = f"groups that fit: {', '.join(map(str, fit))}"
    elif positions > limit:
        advice = f"no number of groups fits a kernel of {conv.kernel[0]}x{conv.kernel[1]}; use a smaller kernel"
    else:
        advice = (
            f"no common divisor of {channels} channels and {conv.features} features fits; use a smaller kernel, "
            f"or channels and features that can be divided into groups of at most {limit // positions} channels"
        )
    raise CapacityError(
        f"layer {conv.name}: a filter needs {conv.fan_in} inputs, a core takes {limit} "
        f"({arch.axons} axons, {scheme.axons_per_input} an input); {advice}"
    )
