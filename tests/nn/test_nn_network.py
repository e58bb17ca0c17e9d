"""The built network: constraints, exactness against the NumPy reference, readout, export."""

from __future__ import annotations

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from tncompile.arch import TRUENORTH
from tncompile.config.net import NetConfig
from tncompile.errors import ArtifactError, ConfigError, InfeasibleError, InternalError
from tncompile.nn.export import export_network
from tncompile.nn.layers import Training
from tncompile.nn.network import Network, assume_statistics, build_network, check_constraints
from tncompile.nn.readout import assign_features, class_of
from tncompile.reference.net import logical_spikes


def build(
    layers: object, *, size: int = 6, channels: int = 2, bits: int = 8, classes: int = 3, seed: int = 0
) -> Network:
    net = NetConfig.model_validate({"layers": layers})
    shape = (size, size + 1, channels)
    return build_network(net, in_shape=shape, input_bits=bits, classes=classes, arch=TRUENORTH, seed=seed)


def images(network: Network, n: int, seed: int) -> np.ndarray:
    width, height, channels = network.transduction.conv.in_shape
    bits = network.transduction.input_bits
    pixels = np.random.default_rng(seed).integers(0, 1 << bits, (n, height, width, channels))
    return pixels.astype(np.uint8 if bits <= 8 else np.uint16)


def scramble(network: Network, seed: int) -> None:
    """Gives the norms statistics that tie at integer sums about half of the time."""
    rng = np.random.default_rng(seed)
    assume_statistics(network, seed)
    for layer in network.layers:
        mean, std = np.asarray(layer.norm.mean[...]), np.asarray(layer.norm.std[...])
        tie = np.round(mean + rng.normal(0, 1, mean.shape)).astype(np.float32)
        exact = -((tie - mean) / (std + np.float32(1e-4)))
        layer.norm.bias[...] = jnp.asarray(np.where(rng.random(mean.shape) < 0.7, exact, rng.normal(size=mean.shape)))


@settings(max_examples=5, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([3, 8, 12, 16]),
    st.sampled_from(["S-8 S-12(2) P-12(3)", "P4-6 N-9(3) x2"]),
)
def test_spikes_are_those_of_the_numpy_rule(seed: int, bits: int, layers: str) -> None:
    network = build(layers, bits=bits, seed=seed)
    scramble(network, seed)
    x = images(network, 3, seed)
    entering, leaving = network.spikes(x)
    net = export_network(network, "net")
    np.testing.assert_array_equal(leaving, logical_spikes(net, x))
    assert entering.shape == (3, net.transduction.conv.outputs)
    np.testing.assert_array_equal(
        network.classify(x), class_of(leaving, network.out_shape, net.readout.feature_class, net.readout.classes)
    )


def test_inference_in_batches_is_the_same() -> None:
    network = build("S-4 N-6")
    assume_statistics(network, 1)
    x = images(network, 300, 0)
    whole = network(x)
    np.testing.assert_array_equal(whole[290:], network(x[290:]))
    assert network(x[:0]).shape == (0, 3)
    assert 0 < whole.mean() < 1


def test_transduction_sums_are_exact_at_the_largest_pixels() -> None:
    for bits in (1, 8, 16):
        network = build("S-4 N-6", bits=bits, channels=3)
        first = network.transduction
        first.weights[...] = jnp.ones_like(first.weights[...])
        largest = int(first.conv.fan_in * ((1 << bits) - 1) * first.integer_weights().max())
        assert largest < 2**24
        x = np.full((1, 7, 6, 3), (1 << bits) - 1, np.uint16)
        sums = first.sums(jnp.transpose(jnp.asarray(x, jnp.float32), (3, 1, 2, 0)))
        assert int(sums.max()) == largest
        assert first.grid_bits == 14 or 2 * largest >= 2**24


def test_initial_weights_are_balanced_and_half_of_them_not_zero() -> None:
    network = build("S-16 S-64(2) N-64", size=8)
    for layer in network.layers:
        trinary = np.asarray(layer.trinary[...])
        assert 0.48 < (trinary != 0).mean() < 0.58
        assert abs(trinary.mean()) < 0.05


def test_seed_decides_weights_and_permutations() -> None:
    one, same, other = (build("S-8 S-12(2) N-6", seed=seed) for seed in (3, 3, 4))
    for (name, a), (_, b) in zip(one.tensors(), same.tensors(), strict=True):
        np.testing.assert_array_equal(a[...], b[...], err_msg=name)
    assert not np.array_equal(one.layers[0].conv.permutation, other.layers[0].conv.permutation)
    assert not np.array_equal(one.layers[0].hidden[...], other.layers[0].hidden[...])
    np.testing.assert_array_equal(one.layers[1].conv.permutation, np.arange(12))


def test_128_inputs_fit_a_core_and_129_do_not() -> None:
    build("S-128 N-6")
    with pytest.raises(InfeasibleError, match=r"layer conv0: a filter needs 129 inputs, a core takes 128 \(256 axons"):
        build("S-129 N-6")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("S-16 S-32 N-8", "needs 144 inputs, a core takes 128 (256 axons, 2 an input); groups that fit: 2, 4, 8, 16"),
        ("S-17 S-32 N-8", "no common divisor of 17 channels and 32 features fits"),
        (["S-2", {"kernel": 12, "padding": 11, "features": 6}], "use a smaller kernel"),
    ],
)
def test_too_many_inputs_say_what_would_fit(layers: object, message: str) -> None:
    with pytest.raises(InfeasibleError) as caught:
        build(layers)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("S-16 N-30(4)", "layer conv0: 4 groups must divide its 16 channels and its 30 features; 1, 2 would"),
        ("S-16 P-8 P-8 P-8 N-8", "layer conv2: a kernel of 2 does not fit its input map of 1 in x with padding 0"),
        ("S-16 N-2", "layer conv0: 2 features cannot vote for 3 classes"),
        (["S-16", {"kernel": 1, "padding": 1, "features": 8}], "padding 1 in x must be smaller than the kernel"),
    ],
)
def test_layers_that_do_not_fit_one_another(layers: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(layers)
    assert message in str(caught.value)


def test_pixels_too_wide_for_exact_sums() -> None:
    with pytest.raises(InfeasibleError, match="512 pixels of 16 bits can sum to more than 2\\^24"):
        build([{"kernel": [16, 16], "padding": [8, 8], "features": 4}, "N-8"], bits=16)


def test_every_annotation_is_read() -> None:
    network = build("S-4 N-6")
    network.layers[0].norm.bias = nnx.Param(jnp.zeros(6), tn_fan_out=3)
    with pytest.raises(InternalError, match="annotations"):
        check_constraints(network, TRUENORTH, "pair")


def test_readout_takes_the_larger_mean_and_the_lower_of_equals() -> None:
    feature_class = np.array([0, 1, 0, -1], np.int32)
    bits = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [0, 1, 1, 1]], bool)
    np.testing.assert_array_equal(class_of(bits, (1, 1, 4), feature_class, 2), [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(assign_features(7, 3), [0, 1, 2, 0, 1, 2, -1])


def test_training_scores_are_means_of_bits() -> None:
    network = build("S-4 N-7")
    scores, activations = network.training_scores(images(network, 16, 0), Training(momentum=0.9))
    assert [len(a) for a in activations] == [4, 7]
    votes = np.asarray(activations[-1])[:6].reshape(2, 3).mean(0)
    np.testing.assert_allclose(scores.mean(0), votes, rtol=1e-5)


def test_export_refuses_numbers_that_are_not_finite() -> None:
    network = build("S-4 N-6 N-9")
    network.layers[1].norm.std[...] = network.layers[1].norm.std[...].at[2].set(jnp.nan)
    with pytest.raises(ArtifactError, match="layer conv1: std has values that are not finite"):
        export_network(network, "net")


def test_class_decision_and_geometry_import_no_jax() -> None:
    code = "import sys, tncompile.nn.readout, tncompile.nn.geometry, tncompile.nn.fold; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
