"""LogicalNet: the trained network as the model holds it, before any rounding of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int8, Int32

from tncompile.ir.base import Record, Stage

NORM_EPSILON = 1e-4
"""ε of the bias-only batch norm, added to the standard deviation (Esser 2016)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv(Record):
    """The geometry of one grouped convolution; all pairs and triples are x before y.

    Maps are arrays [y, x, feature]; the flat index of a value is (y · width + x) · features + feature. In front of
    the groups stands a channel permutation: group g reads the channels permutation[g·ci … (g+1)·ci − 1] and
    computes the features g·fo … (g+1)·fo − 1, where ci and fo are `inputs_per_group` and `features_per_group`.
    Weights are arrays [feature, ky, kx, ci]. Padding is with zeros (no spike), the same on both sides of an axis.

    Attributes:
        name: unique within the net.
        in_shape: width, height and channels of the input map.
        kernel, stride, padding: in x and y [position].
        features: output channels, all groups together.
        groups: divides both channels and features.
        permutation: in front of the groups.
    """

    name: str
    in_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    features: int
    groups: int
    permutation: Int32[np.ndarray, " channels"]

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Width, height and features of the output map."""
        x, y = ((self.in_shape[a] + 2 * self.padding[a] - self.kernel[a]) // self.stride[a] + 1 for a in (0, 1))
        return x, y, self.features

    @property
    def inputs_per_group(self) -> int:
        """Channels that one group reads."""
        return self.in_shape[2] // self.groups

    @property
    def features_per_group(self) -> int:
        """Features that one group computes."""
        return self.features // self.groups

    @property
    def fan_in(self) -> int:
        """Inputs of one filter."""
        return self.kernel[0] * self.kernel[1] * self.inputs_per_group

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of the weights: [feature, ky, kx, ci]."""
        return self.features, self.kernel[1], self.kernel[0], self.inputs_per_group

    @property
    def inputs(self) -> int:
        """Values of the input map."""
        return self.in_shape[0] * self.in_shape[1] * self.in_shape[2]

    @property
    def outputs(self) -> int:
        """Values of the output map."""
        x, y, features = self.out_shape
        return x * y * features


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchNorm(Record):
    """Bias-only batch norm with running statistics, and the spike behind it.

    r = (s − μ) / (σ + ε) + b, spike = 1 if r ≥ 0 else 0, all in float32, one operation after the other.

    Attributes:
        mean: μ.
        std: σ, not negative.
        bias: b.

    References:
        Esser et al. 2016.
    """

    mean: Float32[np.ndarray, " features"]
    std: Float32[np.ndarray, " features"]
    bias: Float32[np.ndarray, " features"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transduction(Record):
    """The first layer: fixed-point weights on multi-bit input, binary output, off the chip.

    s = 2^−fraction_bits · Σ x·w with integer pixels x in 0 … 2^input_bits − 1 and integer weights w. Every partial
    sum is below 2^24, so float32 computes it exactly in any order and on any device.

    Attributes:
        conv: its geometry.
        weights: w [feature, ky, kx, channel].
        fraction_bits: scale of the sum [bit].
        input_bits: width of a pixel [bit].
        norm: batch norm behind the sum.
    """

    conv: Conv
    weights: Int32[np.ndarray, "features ky kx channels"]
    fraction_bits: int
    input_bits: int
    norm: BatchNorm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogicalLayer(Record):
    """One on-chip layer.

    Attributes:
        conv: its geometry.
        hidden: real weights in [−1, 1].
        trinary: the trinary weights that the model last used: the state of the hysteresis.
        hysteresis: h; the rounding thresholds stand at ±(0.5 ± h).
        norm: batch norm behind the sum.
    """

    conv: Conv
    hidden: Float32[np.ndarray, "features ky kx inputs"]
    trinary: Int8[np.ndarray, "features ky kx inputs"]
    hysteresis: float
    norm: BatchNorm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readout(Record):
    """Class scores from the last layer's spikes: the mean over a class's features at all positions.

    Attributes:
        classes: how many.
        feature_class: class of each feature of the last layer, or −1 if no class reads it.
    """

    classes: int
    feature_class: Int32[np.ndarray, " features"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpikeCounts(Record):
    """How often each value of each layer spikes on sample frames.

    Attributes:
        frames: how many there are.
        spikes: one array [value] a layer, the transduction first; values in flat order (see `Conv`).
    """

    frames: int
    spikes: tuple[Int32[np.ndarray, "..."], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogicalNet(Stage):
    """The exported model.

    Invariants:
        - the input shape of each layer is the output shape of the one before, from the transduction on;
        - groups divide channels and features; permutations are permutations;
        - all real numbers are finite, hidden weights within ±1, standard deviations not negative;
        - the readout reads every feature of the last layer or says −1, and every class has a feature;
        - no value spikes more often than there are sample frames.

    Attributes:
        name: of the net, for reports.
        transduction: the first layer.
        layers: the on-chip layers.
        readout: which class each feature of the last layer votes for.
        spike_counts: spikes on sample frames, for passes that weigh arcs by their traffic; None if nobody counted any.
    """

    name: str
    transduction: Transduction
    layers: tuple[LogicalLayer, ...]
    readout: Readout
    spike_counts: SpikeCounts | None = None
