"""The training loop: exact to resume, quiet, and strict about numbers that are not finite."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from tncompile.config.train import TrainConfig
from tncompile.errors import ConfigError
from tncompile.ir.io import atomic_write
from tncompile.nn.network import Network
from tncompile.train.checkpoint import Checkpoints

REPORT_EVERY = 10
"""Steps between calls of the observer, where the host waits for the device."""

_SHUFFLE = 4
"""Keeps the random stream of the shuffles apart from those of the network."""


@runtime_checkable
class Data(Protocol):
    """The arrays that training needs: pixels [image, y, x, channel] and class numbers."""

    @property
    def x_train(self) -> np.ndarray: ...
    @property
    def y_train(self) -> np.ndarray: ...
    @property
    def x_test(self) -> np.ndarray: ...
    @property
    def y_test(self) -> np.ndarray: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the training stands.

    Attributes:
        epoch, epochs: the epoch under way, from 1, of how many.
        step, steps: steps done in this epoch, of how many.
        loss: mean loss since the last report.
        accuracy: share of right answers since the last report, on training images.
        images_per_s: since the last report.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_s: float


@runtime_checkable
class Observer(Protocol):
    """What draws the progress; an exception that it raises ends the training."""

    def __call__(self, progress: Progress) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """The measurements of one epoch, a line of `metrics.jsonl`.

    Attributes:
        epoch: from 1.
        loss: mean over the epoch.
        train_accuracy: mean over the epoch, as training went on.
        test_accuracy: on the held-out images at the epoch's end, in inference mode.
        learning_rate: at the epoch's end.
        seconds: wall-clock time [s].
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a training came to.

    Attributes:
        accuracy: on the held-out images, in inference mode.
        seconds: time of all epochs, those before a resume included [s].
        epochs: how many were trained.
        history: one entry an epoch.
    """

    accuracy: float
    seconds: float
    epochs: int
    history: tuple[Epoch, ...]


def train(
    network: Network,
    data: Data,
    config: TrainConfig,
    *,
    seed: int,
    out_dir: Path,
    resume: bool = False,
    observer: Observer = lambda progress: None,
) -> TrainResult:
    """Trains a network in place.

    Writes `checkpoints/` and `metrics.jsonl` in the output folder. Interrupted at any moment and resumed, it comes
    to the same weights as uninterrupted, bit for bit, on the same machine.

    Args:
        network: freshly built; its weights are overwritten by those of a checkpoint.
        data: training and held-out images.
        config: how to train.
        seed: of shuffles and augmentation.
        out_dir: output folder.
        resume: go on from the last checkpoint, if there is one; else old checkpoints are removed.
        observer: is told the progress every few steps.

    Raises:
        ConfigError: fewer images than a batch; the training diverged; the checkpoint is of another configuration.
        ArtifactError: a checkpoint cannot be written or read.
    """
    steps = steps_an_epoch(config, len(data.x_train))
    schedule = learning_rate(config, steps * config.epochs)
    optimizer = optax.sgd(schedule, momentum=0.9) if config.optimizer == "sgd" else optax.adam(schedule)
    graphdef, params, state = nnx.split(network, nnx.Param, ...)
    moments = optimizer.init(params)
    history: list[Epoch] = []
    checkpoints = Checkpoints(out_dir / "checkpoints", _fingerprint(network, config, seed, data))
    if resume:
        found = checkpoints.load((params, state, moments))
        if found is not None:
            (params, state, moments), entries = found
            history = [Epoch(**entry) for entry in entries]
    else:
        checkpoints.clear()
    step = jax.jit(_make_step(graphdef, optimizer, config), donate_argnums=(0, 1, 2))

    _write_metrics(out_dir, history)  # now, so that a folder that cannot be written is found before an hour's work
    for epoch in range(len(history), config.epochs):
        start = time.perf_counter()
        report = _Report(config, epoch, steps, observer)
        for number, (x, y) in enumerate(batches(data, config, seed, epoch), 1):
            params, state, moments, loss, right = step(params, state, moments, x, y)
            if not report.add(number, loss, right):
                nnx.update(network, params, state)
                raise ConfigError(
                    f"training diverged in epoch {epoch + 1}, step {number} of {steps}: the first tensor that is not "
                    f"finite is {network.first_nonfinite() or 'the loss'}; "
                    f"lower train.learning_rate ({config.learning_rate})"
                )
        nnx.update(network, params, state)
        history.append(
            Epoch(
                epoch=epoch + 1,
                loss=report.total_loss / steps,
                train_accuracy=report.total_right / (steps * config.batch),
                test_accuracy=accuracy(network, data.x_test, data.y_test),
                learning_rate=np.asarray(schedule(steps * (epoch + 1) - 1)).item(),
                seconds=time.perf_counter() - start,
            )
        )
        if (epoch + 1) % config.checkpoint_every == 0 or epoch + 1 == config.epochs:
            checkpoints.save(epoch + 1, (params, state, moments), [asdict(entry) for entry in history])
        _write_metrics(out_dir, history)

    nnx.update(network, params, state)
    calibrate(network, data, config, seed)
    return TrainResult(
        accuracy=accuracy(network, data.x_test, data.y_test),
        seconds=sum(entry.seconds for entry in history),
        epochs=len(history),
        history=tuple(history),
    )


def steps_an_epoch(config: TrainConfig, images: int) -> int:
    """Returns how many whole batches the training images make.

    Raises:
        ConfigError: not even one.
    """
    if images < config.batch:
        raise ConfigError(f"train.batch: {config.batch} is more than the {images} training images; use a smaller one")
    return images // config.batch


def accuracy(network: Network, x: np.ndarray, y: np.ndarray) -> float:
    """Returns the share of images that the network, in inference mode, classifies rightly."""
    return float((network.classify(x) == y).mean())


def calibrate(network: Network, data: Data, config: TrainConfig, seed: int) -> None:
    """Measures the batch-norm statistics again, as plain means over training batches, with the final weights."""
    graphdef, state = nnx.split(network)

    @jax.jit
    def observe(state: Any, x: Array, momentum: Float[Array, ""] | float) -> Any:
        model = nnx.merge(graphdef, state)
        model.training_scores(x, momentum)
        return nnx.state(model)

    for i, (x, _) in enumerate(batches(data, config, seed, config.epochs)):
        if i == config.calibrate_batches:
            break
        state = observe(state, x, np.float32(i / (i + 1)))
    nnx.update(network, state)


def batches(data: Data, config: TrainConfig, seed: int, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the batches of an epoch; shuffle and augmentation depend on the seed and the epoch alone."""
    rng = np.random.default_rng([seed, _SHUFFLE, epoch])
    order = rng.permutation(len(data.x_train))
    for start in range(0, len(order) - config.batch + 1, config.batch):
        chosen = order[start : start + config.batch]
        x = data.x_train[chosen]
        if config.augment == "shift":
            x = shifted(x, rng.integers(-config.shift, config.shift + 1, (2, config.batch)))
        yield x, data.y_train[chosen].astype(np.int32)


def shifted(x: np.ndarray, offsets: Int[np.ndarray, "2 images"]) -> np.ndarray:
    """Returns each image moved by its offset in x and y, with zeros moved in.

    >>> shifted(np.arange(1, 5).reshape(1, 2, 2, 1), np.array([[1], [0]]))[0, :, :, 0]
    array([[0, 1],
           [0, 3]])
    """
    margin = int(np.abs(offsets).max(initial=0))
    _, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    columns = margin - offsets[0][:, None] + np.arange(width)
    rows = margin - offsets[1][:, None] + np.arange(height)
    return padded[np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]]


def learning_rate(config: TrainConfig, steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the step."""
    warmup = round(config.warmup * steps)
    if config.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(
            0.0 if warmup else config.learning_rate, config.learning_rate, warmup, max(steps, warmup + 1)
        )
    cut = optax.piecewise_constant_schedule(config.learning_rate, {round(f * steps): 0.1 for f in config.cuts})

    def stepped(step: Any) -> Any:
        return cut(step) * jnp.minimum(1.0, step / max(warmup, 1)) if warmup else cut(step)

    return stepped


class _Report:
    """Collects loss and right answers on the device, and tells the observer now and then."""

    def __init__(self, config: TrainConfig, epoch: int, steps: int, observer: Observer):
        self.total_loss = 0.0
        self.total_right = 0
        self._config, self._epoch, self._steps, self._observer = config, epoch, steps, observer
        self._pending: list[tuple[Array, Array]] = []
        self._since = time.perf_counter()

    def add(self, number: int, loss: Array, right: Array) -> bool:
        """Takes a step's results; returns False once a loss is found not to be finite."""
        self._pending.append((loss, right))
        if number % REPORT_EVERY and number < self._steps:
            return True
        losses, rights = np.array(jax.device_get(self._pending), np.float64).T
        if not np.isfinite(losses).all():
            return False
        now, images = time.perf_counter(), len(losses) * self._config.batch
        self.total_loss += float(losses.sum())
        self.total_right += int(rights.sum())
        self._observer(
            Progress(
                epoch=self._epoch + 1,
                epochs=self._config.epochs,
                step=number,
                steps=self._steps,
                loss=float(losses.mean()),
                accuracy=float(rights.sum() / images),
                images_per_s=images / (now - self._since),
            )
        )
        self._pending, self._since = [], now
        return True


def _make_step(graphdef: nnx.GraphDef, optimizer: optax.GradientTransformation, config: TrainConfig) -> Any:
    def loss_of(params: Any, state: Any, x: Array, y: Int[Array, " images"]) -> Any:
        model = nnx.merge(graphdef, params, state, copy=True)  # it changes its variables
        scores, activations = model.training_scores(x, config.norm_momentum)
        targets = optax.smooth_labels(jax.nn.one_hot(y, scores.shape[1]), config.label_smoothing)
        loss = optax.softmax_cross_entropy(scores * config.logit_scale, targets).mean()
        pressure = sum(jnp.square(mean).sum() for mean in activations)
        right = (scores.argmax(1) == y).sum()
        return loss + 0.5 * config.sparsity * pressure, (nnx.split(model, nnx.Param, ...)[2], loss, right)

    def step(params: Any, state: Any, moments: Any, x: Array, y: Array) -> Any:
        gradients, (state, loss, right) = jax.grad(loss_of, has_aux=True)(params, state, x, y)
        updates, moments = optimizer.update(gradients, moments, params)
        model = nnx.merge(graphdef, optax.apply_updates(params, updates), state)
        model.update()
        _, params, state = nnx.split(model, nnx.Param, ...)
        # A spike hides a NaN from the loss, so the parameters are looked at too.
        finite = jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()
        loss = jnp.where(finite, loss, jnp.nan)
        return params, state, moments, loss, right

    return step


def _write_metrics(out_dir: Path, history: list[Epoch]) -> None:
    atomic_write(out_dir / "metrics.jsonl", "".join(json.dumps(asdict(entry)) + "\n" for entry in history))


def _fingerprint(network: Network, config: TrainConfig, seed: int, data: Data) -> dict[str, Any]:
    """Returns what must be the same for a training to be resumed."""
    layers = (network.transduction, *network.layers)
    shapes = {f"net.{c.name}": [*c.in_shape, *c.kernel, *c.stride, *c.padding, c.features, c.groups]
              for c in (layer.conv for layer in layers)}  # fmt: skip
    options = {f"train.{key}": value for key, value in config.model_dump(mode="json").items()}
    return {
        "seed": seed,
        "training images": len(data.x_train),
        "SHA-256 of the training images": _sha256(data.x_train, data.y_train),
        **options,
        **shapes,
        "net.hysteresis": network.layers[0].hysteresis,
    }


def _sha256(*arrays: np.ndarray) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(array.tobytes())
    return sha.hexdigest()
