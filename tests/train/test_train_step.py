"""The step's options: averaging, the ramp from hidden to trinary weights, dropout, decay, and several devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import Mesh

from tncompile.arch import TRUENORTH
from tncompile.config.net import NetConfig
from tncompile.config.train import TrainConfig
from tncompile.nn.layers import Training
from tncompile.nn.network import Network, build_network
from tncompile.train.batches import dealt
from tncompile.train.step import AXIS, Step, TrainState, learning_rate, make_optimizer, make_step, start, trained

STEPS = 40


def make_network() -> Network:
    net = NetConfig.model_validate({"layers": "S-6 S-12(2) P-18(2)"})
    return build_network(net, in_shape=(6, 6, 1), input_bits=4, classes=3, arch=TRUENORTH, seed=0)


def make_batch(n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.integers(0, 16, (n, 6, 6, 1)).astype(np.uint8), rng.integers(0, 3, n).astype(np.int32)


@cache
def compiled(config: TrainConfig, devices: int) -> tuple[optax.GradientTransformation, Mesh, Step]:
    """Returns the optimizer, the devices, and the step, which is compiled once however often it is used."""
    optimizer = make_optimizer(config, learning_rate(config, STEPS))
    mesh = Mesh(np.array(jax.devices()[:devices]), (AXIS,))
    return optimizer, mesh, make_step(make_network(), optimizer, config, steps=STEPS, seed=1, mesh=mesh)


def run(config: TrainConfig, steps: int, devices: int = 1) -> tuple[Network, TrainState, list[float]]:
    """Returns the network, state and losses after some steps on one batch."""
    network = make_network()
    optimizer, mesh, step = compiled(config, devices)
    state, losses = start(network, optimizer, config), []
    batch = dealt(make_batch(), mesh)
    for number in range(steps):
        state, result = step(state, *batch, np.int32(number))
        losses.append(float(result.loss))
    trained(state, network)
    return network, state, losses


@pytest.fixture(scope="module")
def plain() -> Network:
    """The network after a training without any of the options."""
    return run(TrainConfig(learning_rate=0.1, epochs=1), STEPS)[0]


def hidden(tree: Any) -> np.ndarray:
    return np.asarray(tree["layers"][0]["hidden"][...])


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "sgd", "learning_rate": 1.0},
        {"optimizer": "adamw", "weight_decay": 0.01},
        {"ema": 0.8},
        {"ramp": 0.5},
        {"dropout": 0.1},
        {"label_smoothing": 0.1},
        {"precision": "float32"},
        {"augment": {"mixup": 0.2, "flip": True}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_learns_and_repeats_to_the_bit(change: dict[str, Any], plain: Network) -> None:
    config = TrainConfig.model_validate({"learning_rate": 0.1, "epochs": 1} | change)
    (network, one, losses), (_, two, _) = run(config, STEPS), run(config, STEPS)
    assert np.mean(losses[-5:]) < losses[0]
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(network.layers[0].hidden[...], plain.layers[0].hidden[...])


def test_the_average_is_that_of_the_hidden_weights_and_becomes_the_model() -> None:
    config = TrainConfig(learning_rate=0.1, ema=0.2)
    expected = hidden(run(config, 0)[1].params)
    for steps, decay in ((1, 1 / 10), (2, 2 / 11), (3, 0.2)):
        expected = decay * expected + (1 - decay) * hidden(run(config, steps)[1].params)
    network, state, _ = run(config, 3)
    np.testing.assert_allclose(hidden(state.average), expected, rtol=1e-5)
    np.testing.assert_array_equal(network.layers[0].hidden[...], hidden(state.average))
    sure = np.abs(np.abs(expected) - 0.5) > 0.11
    np.testing.assert_array_equal(np.asarray(network.layers[0].trinary[...])[sure], np.round(expected)[sure])


def test_the_ramp_goes_from_hidden_to_trinary_weights() -> None:
    network = make_network()
    layer = network.layers[0]
    x = jnp.asarray(np.random.default_rng(0).integers(0, 2, (6, 6, 6, 4)), jnp.float32)
    trinary, mixed, real = (np.asarray(layer.sums(x, share)) for share in (1.0, jnp.float32(0.25), jnp.float32(0.0)))
    np.testing.assert_array_equal(trinary, np.round(trinary))
    np.testing.assert_allclose(mixed, 0.25 * trinary + 0.75 * real, atol=1e-4)
    assert np.abs(real - trinary).max() > 0.1


def test_dropout_leaves_out_its_share_and_keeps_the_mean() -> None:
    from tncompile.nn.network import dropped

    y = jnp.ones((4, 10, 10, 50), jnp.bfloat16)
    left = np.asarray(dropped(y, Training(momentum=0.9, dropout=0.25, key=jax.random.key(0)), 0), np.float32)
    assert abs((left == 0).mean() - 0.25) < 0.02
    assert abs(left.mean() - 1) < 0.02
    assert dropped(y, Training(momentum=0.9), 0) is y


def test_weights_decay_and_biases_do_not() -> None:
    config = TrainConfig(optimizer="adamw", weight_decay=1.0, learning_rate=0.5)
    optimizer = make_optimizer(config, learning_rate(config, STEPS))
    _, params, _ = nnx.split(make_network(), nnx.Param, ...)
    params = jax.tree.map(jnp.ones_like, params)
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    np.testing.assert_allclose(hidden(updates), -0.5)
    np.testing.assert_array_equal(updates["layers"][0]["norm"]["bias"][...], 0)


DEVICES = """
import importlib.util, json, sys
import numpy as np
spec = importlib.util.spec_from_file_location("step_tests", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
# Plain descent, which feels a gradient that is too large by a factor.
config = tests.TrainConfig(optimizer="sgd", learning_rate=1.0, precision="float32", augment={"crop": 1},
                           sparsity=0.1, dropout=0.3)
for devices in (1, 4):
    network, state, losses = tests.run(config, 3, devices)
    std = [np.asarray(layer.norm.std[...]).tolist() for layer in network.layers]
    print(json.dumps([losses, tests.hidden(state.params).ravel().tolist(), std]))
"""


def test_four_devices_train_as_one() -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", DEVICES, __file__]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ) | flags)
    one, four = (json.loads(line) for line in done.stdout.splitlines())
    # Sums of another order round otherwise; a statistic of a part of the batch would be far off.
    np.testing.assert_allclose(four[0], one[0], rtol=1e-4)
    np.testing.assert_allclose(four[1], one[1], atol=2e-3)
    for mine, expected in zip(four[2], one[2], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-3)
