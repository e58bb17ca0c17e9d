"""The training loop: exact to resume, quiet, and strict about numbers that are not finite."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from tncompile.config.train import TrainConfig, lasting
from tncompile.errors import ConfigError
from tncompile.ir.io import atomic_write
from tncompile.nn.float_network import FloatNetwork
from tncompile.nn.layers import Training
from tncompile.nn.network import Network, nonfinite
from tncompile.train.batches import ahead, batches, dealt
from tncompile.train.checkpoint import Checkpoints
from tncompile.train.processes import check_same, from_first, together
from tncompile.train.step import AXIS, StepResult, Teacher, learning_rate, make_optimizer, make_step, start, trained

REPORT_EVERY = 10
"""Steps between calls of the observer, where the host waits for the device."""


@runtime_checkable
class Data(Protocol):
    """The arrays that training needs: pixels [image, y, x, channel] and class numbers."""

    @property
    def x_train(self) -> np.ndarray: ...
    @property
    def y_train(self) -> np.ndarray: ...
    @property
    def x_validation(self) -> np.ndarray: ...
    @property
    def y_validation(self) -> np.ndarray: ...
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
        train_accuracy: mean over the epoch, as training went on, on images as they were after augmentation.
        validation_accuracy: on the validation images at the epoch's end, in inference mode; None if there are none.
        test_accuracy: the same on the test images.
        learning_rate: at the epoch's end.
        seconds: wall-clock time [s].
        waited: time in which the device had nothing to do, since the next batch was not ready [s].
    """

    epoch: int
    loss: float
    train_accuracy: float
    validation_accuracy: float | None
    test_accuracy: float
    learning_rate: float
    seconds: float
    waited: float


@runtime_checkable
class EpochObserver(Protocol):
    """What follows the epochs: told of all so far, at the beginning (those before a resume) and behind each."""

    def __call__(self, history: Sequence[Epoch]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a training came to.

    Attributes:
        accuracy: on the test images, in inference mode.
        validation_accuracy: the same on the validation images; None if there are none.
        seconds: time of all epochs, those before a resume included [s].
        epochs: how many were trained.
        kept: epoch whose weights became the model.
        history: one entry an epoch.
    """

    accuracy: float
    validation_accuracy: float | None
    seconds: float
    epochs: int
    kept: int
    history: tuple[Epoch, ...]


@together()
def train(
    network: Network | FloatNetwork,
    data: Data,
    config: TrainConfig,
    *,
    seed: int,
    out_dir: Path,
    resume: bool = False,
    observer: Observer = lambda progress: None,
    teacher: Teacher | None = None,
    epochs: Sequence[EpochObserver] = (),
    origin: Mapping[str, Any] | None = None,
) -> TrainResult:
    """Trains a network in place.

    Writes `checkpoints/` and `metrics.jsonl` in the output folder. Interrupted at any moment and resumed, it comes
    to the same weights as uninterrupted, bit for bit, on the same machine. Of several processes that train
    together, the first one writes.

    Args:
        network: freshly built; its weights are overwritten by those of a checkpoint.
        data: training, validation and test images.
        config: how to train.
        seed: of shuffles, augmentation and dropout.
        out_dir: output folder.
        resume: go on from the last checkpoint, if there is one; else old checkpoints are removed.
        observer: is told the progress every few steps.
        teacher: whom the network learns from as `config.teacher` says; None: from the labels alone.
        epochs: are told the measurements, in the process that writes; an exception that one raises ends the training.
        origin: what the images came from, by key, as JSON data; must be the same for the training to be resumed.

    Raises:
        ConfigError: the options do not go with the data or the machine; the training diverged; the checkpoint is of
            another configuration.
        ArtifactError: a checkpoint cannot be written or read.
        TnCompileError: another process has ended.
    """
    check_training(config, data)
    steps = steps_an_epoch(config, len(data.x_train))
    mesh = Mesh(np.array(jax.devices()[: config.devices]), (AXIS,))
    schedule = learning_rate(config, steps * config.epochs)
    optimizer = make_optimizer(config, schedule)
    state = start(network, optimizer, config)
    history: list[Epoch] = []
    writes = jax.process_index() == 0
    came_from = dict(origin or {}) | {"SHA-256 of the validation images": _sha256(data.x_validation, data.y_validation)}
    fingerprint = came_from | _fingerprint(network, config, seed, data, teacher)
    # A checkpoint of an earlier version knows less of the images, but the SHA-256 of those that were trained on.
    defaults = {f"train.{key}": value for key, value in TrainConfig().model_dump(mode="json").items()}
    assumed = came_from | defaults | {"net.kind": "trinary"}
    check_same(fingerprint)
    checkpoints = Checkpoints(out_dir / "checkpoints", fingerprint, assumed)
    best: tuple[int, float] | None = None
    if writes and resume:
        found = checkpoints.load(state)
        if found is not None:
            state, entries = found
            history = [Epoch(**entry) for entry in entries]
            best = checkpoints.best() if config.keep == "best" else None
    elif writes:
        checkpoints.clear()
    done, state = from_first((np.int32(len(history)), state))
    state = jax.device_put(state, NamedSharding(mesh, PartitionSpec()))
    step = make_step(network, optimizer, config, steps=steps * config.epochs, seed=seed, mesh=mesh, teacher=teacher)
    calibrate = make_calibration(network, data, config, seed)

    if writes:
        _write_metrics(out_dir, history)  # now, so that a folder that cannot be written is found before an hour's work
        _tell(epochs, history)
    for epoch in range(int(done), config.epochs):
        begin = time.perf_counter()
        report = _Report(config, epoch, steps, observer)
        source = batches(data.x_train, data.y_train, config.batch, seed=seed, epoch=epoch)
        with ahead((dealt(batch, mesh) for batch in source), report.idle) as ready:
            for number, (x, y) in enumerate(ready, 1):
                state, result = step(state, x, y, np.int32(epoch * steps + number - 1))
                if not report.add(number, result):
                    nnx.update(network, _local(state.params), _local(state.others))
                    raise ConfigError(
                        f"training diverged in epoch {epoch + 1}, step {number} of {steps}: {_broken(network)}; "
                        f"lower train.learning_rate ({config.learning_rate})"
                    )
        trained(_local(state), network)
        if config.ema or epoch + 1 < config.ramp * config.epochs:  # the running statistics are of other weights
            calibrate()
        history.append(
            Epoch(
                epoch=epoch + 1,
                loss=report.total_loss / steps,
                train_accuracy=report.total_right / (steps * config.batch),
                validation_accuracy=_validation_accuracy(network, data),
                test_accuracy=accuracy(network, data.x_test, data.y_test),
                learning_rate=np.asarray(schedule(steps * (epoch + 1) - 1)).item(),
                seconds=time.perf_counter() - begin,
                waited=ready.waited,
            )
        )
        if writes:
            entries = [asdict(entry) for entry in history]
            rated = history[-1].validation_accuracy
            if config.keep == "best" and rated is not None and (best is None or rated > best[1]):
                best = epoch + 1, rated
                checkpoints.save_best(*best, _local(state))
            if (epoch + 1) % config.checkpoint_every == 0 or epoch + 1 == config.epochs:
                checkpoints.save(epoch + 1, _local(state), entries)
            _write_metrics(out_dir, history)
            _tell(epochs, history)

    kept, state = config.epochs, _local(state)
    if best is not None:
        kept, state = best[0], checkpoints.load_best(state)
    trained(from_first(state), network)
    calibrate()
    return TrainResult(
        accuracy=accuracy(network, data.x_test, data.y_test),
        validation_accuracy=_validation_accuracy(network, data),
        seconds=sum(entry.seconds for entry in history),
        epochs=len(history),
        kept=kept,
        history=tuple(history),
    )


def check_training(config: TrainConfig, data: Data) -> None:
    """Checks options that depend on the data or the machine.

    Raises:
        ConfigError: they do not go with it.
    """
    steps_an_epoch(config, len(data.x_train))
    if config.keep == "best" and len(data.x_validation) == 0:
        raise ConfigError(
            "train.keep: best needs validation images, which choose the epoch; set data.validation, for example to "
            "0.1, or keep the last"
        )
    if config.weight_decay and config.optimizer != "adamw":
        raise ConfigError(f"train.weight_decay: is for optimizer adamw, the optimizer is {config.optimizer}")
    height, width = data.x_train.shape[1:3]
    for key, value, most in (
        ("crop", config.augment.crop, min(width, height) - 1),
        ("cutout", config.augment.cutout, min(width, height)),
    ):
        if value > most:
            raise ConfigError(
                f"train.augment.{key}: {value} pixels leave nothing of images of {width} × {height}; at most {most}"
            )
    there, processes = len(jax.devices()), jax.process_count()
    if processes > 1 and config.devices != there:
        raise ConfigError(
            f"train.devices: {config.devices}, but {processes} processes bring {there} devices; set it to {there}"
        )
    if config.devices > there:
        raise ConfigError(f"train.devices: {config.devices} asked for, JAX finds {there} ({jax.devices()[0].platform})")
    if config.batch % config.devices:
        raise ConfigError(f"train.batch: {config.batch} images cannot be dealt to {config.devices} devices evenly")


def steps_an_epoch(config: TrainConfig, images: int) -> int:
    """Returns how many whole batches the training images make.

    Raises:
        ConfigError: not even one.
    """
    if images < config.batch:
        raise ConfigError(f"train.batch: {config.batch} is more than the {images} training images; use a smaller one")
    return images // config.batch


def accuracy(network: Network | FloatNetwork, x: np.ndarray, y: np.ndarray) -> float:
    """Returns the share of images, at least one, that the network, in inference mode, classifies rightly."""
    return float((network.classify(x) == y).mean())


def _validation_accuracy(network: Network | FloatNetwork, data: Data) -> float | None:
    return accuracy(network, data.x_validation, data.y_validation) if len(data.x_validation) else None


def make_calibration(network: Network | FloatNetwork, data: Data, config: TrainConfig, seed: int) -> Callable[[], None]:
    """Returns a function that measures the network's batch-norm statistics again, as plain means over training batches.

    It does so with the weights that the network has when it is called.
    """
    graphdef, _ = nnx.split(network)

    @jax.jit
    def observe(state: Any, x: Array, momentum: Float[Array, ""]) -> Any:
        model = nnx.merge(graphdef, state)
        model.training_scores(x, Training(momentum=momentum, dtype=np.dtype(config.precision)))
        return nnx.state(model)

    def calibrate() -> None:
        state = nnx.state(network)
        chosen = batches(data.x_train, data.y_train, config.batch, seed=seed, epoch=config.epochs)
        for i, (x, _) in enumerate(islice(chosen, config.calibrate_batches)):
            state = observe(state, x, np.float32(i / (i + 1)))
        nnx.update(network, state)

    return calibrate


def _broken(network: Network | FloatNetwork) -> str:
    """Returns which tensors of a training that diverged are not finite."""
    if isinstance(network, FloatNetwork):  # through responses to the layers behind, by gradients to those in front
        return f"{len([*nonfinite(network.tensors())])} tensors are not finite, as it spreads through a float net"
    # A spike hides it from the layers behind; to those in front it goes by the gradients.
    *_, last = ("the loss", *nonfinite(network.tensors()))
    return f"the last tensor that is not finite, from which it spreads to the layers in front, is {last}"


def _local(state: Any) -> Any:
    """Returns arrays that every device has as those of this process's first device."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), state)


class _Report:
    """Collects loss and right answers on the device, and tells the observer now and then."""

    def __init__(self, config: TrainConfig, epoch: int, steps: int, observer: Observer):
        self.total_loss = 0.0
        self.total_right = 0
        self._config, self._epoch, self._steps, self._observer = config, epoch, steps, observer
        self._pending: list[StepResult] = []
        self._since = time.perf_counter()

    def idle(self) -> bool:
        """Returns whether the device has done all steps that it was given."""
        # JAX documents is_ready, its type stubs lack it.
        return not self._pending or self._pending[-1].loss.is_ready()  # pyright: ignore[reportAttributeAccessIssue]

    def add(self, number: int, result: StepResult) -> bool:
        """Takes what a step tells; returns False once a loss is found not to be finite."""
        self._pending.append(result)
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


def _tell(observers: Sequence[EpochObserver], history: Sequence[Epoch]) -> None:
    for observer in observers:
        observer(history)


def _write_metrics(out_dir: Path, history: list[Epoch]) -> None:
    atomic_write(out_dir / "metrics.jsonl", "".join(json.dumps(asdict(entry)) + "\n" for entry in history))


def _fingerprint(
    network: Network | FloatNetwork, config: TrainConfig, seed: int, data: Data, teacher: Teacher | None
) -> dict[str, Any]:
    """Returns what must be the same for a training to be resumed."""
    shapes = {f"net.{c.name}": [*c.in_shape, *c.kernel, *c.stride, *c.padding, c.features, c.groups]
              for c in network.convs}  # fmt: skip
    options = lasting(config.model_dump(mode="json"))
    return {
        "seed": seed,
        "training images": len(data.x_train),
        "SHA-256 of the training images": _sha256(data.x_train, data.y_train),
        **{f"train.{key}": value for key, value in options.items()},
        **shapes,
        "net.kind": "trinary" if isinstance(network, Network) else "float",
        "net.hysteresis": network.layers[0].hysteresis if isinstance(network, Network) else None,
        "SHA-256 of the teacher": teacher.sha256 if teacher else None,
    }


def _sha256(*arrays: np.ndarray | Array) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(np.asarray(array).tobytes())
    return sha.hexdigest()
