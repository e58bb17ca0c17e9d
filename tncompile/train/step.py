"""One step of training: loss, gradients, optimizer, hysteresis; jitted whole, over one or several devices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from tncompile.config.train import TrainConfig
from tncompile.nn.float_network import FloatNetwork
from tncompile.nn.layers import Training
from tncompile.nn.network import Network, Scorer
from tncompile.train.augment import augment

AXIS = "images"
"""Mesh axis over which a batch is dealt."""

_AUGMENT, _DROPOUT = 0, 1
"""Keep the random streams of a step apart."""


class TrainState(NamedTuple):
    """All arrays that training goes on from.

    Attributes:
        params: hidden weights and biases.
        others: trinary weights and running statistics.
        moments: the optimizer's.
        average: running average of the parameters, () if there is none.
    """

    params: Any
    others: Any
    moments: Any
    average: Any


class Teacher(NamedTuple):
    """A trained network to learn from.

    Attributes:
        scorer: its class scores.
        logit_scale: factor on them before the softmax.
        sha256: of all that it is.
    """

    scorer: Scorer
    logit_scale: float
    sha256: str


class StepResult(NamedTuple):
    """What a step tells.

    Attributes:
        loss: of the batch; NaN if a parameter is not finite.
        right: images that were classified rightly, as they were after augmentation.
    """

    loss: Float[Array, ""]
    right: Int[Array, ""]


Step = Callable[[TrainState, Array, Array, Array | np.int32], tuple[TrainState, StepResult]]
"""State, pixels, classes and the step's number from 0, to the next state and what the step tells."""


def learning_rate(config: TrainConfig, steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the step."""
    warmup = round(config.warmup * steps)
    if config.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(
            0.0 if warmup else config.learning_rate, config.learning_rate, warmup, max(steps, warmup + 1)
        )
    at = Counter(round(fraction * steps) for fraction in config.cuts)
    cut = optax.piecewise_constant_schedule(config.learning_rate, {step: 0.1**count for step, count in at.items()})

    def stepped(step: Any) -> Any:
        return cut(step) * jnp.minimum(1.0, step / max(warmup, 1)) if warmup else cut(step)

    return stepped


def make_optimizer(config: TrainConfig, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Returns the optimizer; weights decay, biases do not."""
    match config.optimizer:
        case "sgd":
            return optax.sgd(schedule, momentum=0.9)
        case "adam":
            return optax.adam(schedule)
        case _:
            return optax.adamw(
                schedule,
                weight_decay=config.weight_decay,
                mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
            )


def start(network: Network | FloatNetwork, optimizer: optax.GradientTransformation, config: TrainConfig) -> TrainState:
    """Returns the state before the first step."""
    _, params, others = nnx.split(network, nnx.Param, ...)
    # Copies: a step gives its arrays away, and may not give one away twice.
    average = jax.tree.map(jnp.copy, params) if config.ema else ()
    return TrainState(params, others, optimizer.init(params), average)


def trained(state: TrainState, network: Network | FloatNetwork) -> None:
    """Puts the trained tensors into the network; where there is a running average, that."""
    nnx.update(network, state.params, state.others)
    if state.average:
        nnx.update(network, state.average)
        network.update()


def make_step(
    network: Network | FloatNetwork,
    optimizer: optax.GradientTransformation,
    config: TrainConfig,
    *,
    steps: int,
    seed: int,
    mesh: Mesh,
    teacher: Teacher | None = None,
) -> Step:
    """Returns the jitted step; it gives away the state's memory.

    Args:
        network: its structure counts, not its weights.
        optimizer: of the parameters.
        config: how to train.
        steps: of the whole training.
        seed: of augmentation and dropout.
        mesh: devices that share a batch, along `AXIS`.
        teacher: whom the network learns from as `config.teacher` says; None: from the labels alone.
    """
    graphdef, _, _ = nnx.split(network, nnx.Param, ...)
    axis = AXIS if mesh.size > 1 else None

    def taught(logits: Array, known: Any, x: Array) -> Float[Array, ""]:
        assert teacher is not None and config.teacher is not None
        heat = config.teacher.temperature
        example = jax.nn.log_softmax(teacher.scorer.scores(known, x) * (teacher.logit_scale / heat))
        distance = optax.losses.kl_divergence_with_log_targets(jax.nn.log_softmax(logits / heat), example).mean()
        return distance * heat**2  # so that the gradient's size does not depend on it

    def loss_of(params: Any, others: Any, known: Any, x: Array, targets: Array, number: Array, key: Array) -> Any:
        model = nnx.merge(graphdef, params, others, copy=True)  # it changes its variables
        scores, rates = model.training_scores(
            x,
            Training(
                momentum=config.norm_momentum,
                dtype=jnp.dtype(config.precision),
                axis=axis,
                trinary=jnp.minimum(1, (number + 1) / (config.ramp * steps)) if config.ramp else 1.0,
                dropout=config.dropout,
                key=key if config.dropout else None,
            ),
        )
        logits = scores * config.logit_scale
        loss = optax.softmax_cross_entropy(logits, targets).mean()
        if config.teacher is not None:
            loss = (1 - config.teacher.weight) * loss + config.teacher.weight * taught(logits, known, x)
        pressure = sum(jnp.square(rate).sum() for rate in rates)
        return loss + 0.5 * config.sparsity * pressure, (nnx.split(model, nnx.Param, ...)[2], loss, scores.argmax(1))

    def update(
        state: TrainState, known: Any, x: Array, targets: Array, y: Array, number: Array
    ) -> tuple[TrainState, StepResult]:
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), number * 2 + _DROPOUT)
        gradient, (others, loss, classes) = jax.grad(loss_of, has_aux=True)(
            state.params, state.others, known, x, targets, number, key
        )
        right = (classes == y).sum()
        if axis is not None:
            gradient, loss = jax.lax.pmean((gradient, loss), axis)
            right = jax.lax.psum(right, axis)
        updates, moments = optimizer.update(gradient, state.moments, state.params)
        model = nnx.merge(graphdef, optax.apply_updates(state.params, updates), others)
        model.update()
        _, params, others = nnx.split(model, nnx.Param, ...)
        average = state.average
        if config.ema:
            # Short at first, so that the random weights of the beginning are soon forgotten.
            decay = jnp.minimum(config.ema, (1 + number) / (10 + number))
            average = jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, average, params)
        # A spike hides a NaN from the loss, so the parameters are looked at too.
        finite = jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()
        return TrainState(params, others, moments, average), StepResult(jnp.where(finite, loss, jnp.nan), right)

    if axis is not None:
        parts, whole = PartitionSpec(axis), PartitionSpec()
        update = jax.shard_map(
            update, mesh=mesh, in_specs=(whole, whole, parts, parts, parts, whole), out_specs=whole, check_vma=False
        )

    @partial(jax.jit, donate_argnums=0)
    def step(state: TrainState, known: Any, x: Array, y: Array, number: Array) -> tuple[TrainState, StepResult]:
        targets = optax.smooth_labels(jax.nn.one_hot(y, network.readout.classes), config.label_smoothing)
        # The whole batch at once, so that the changes do not depend on how many devices share it.
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), number * 2 + _AUGMENT)
        x, targets = augment(key, x, targets, config.augment)
        return update(state, known, x, targets, y, number)

    known = jax.device_put(teacher.scorer.arrays, NamedSharding(mesh, PartitionSpec())) if teacher else ()
    return lambda state, x, y, number: step(state, known, x, y, number)
