"""Measures one training step of the one-chip CIFAR-10 net beside PyTorch, and remakes the README's table of it.

usage: python -m benchmarks.training [--batch N] [--rounds N] [--keep-page]

Ours is the whole step: forward, backward, optimizer, clipping and rounding. PyTorch runs forward and backward alone, on
the same weights and images, and each contestant's loss and gradients are compared with those of the others. One more
has nothing but convolutions and ReLU, whose gradients are not ours: the time of `conv2d` itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float32

from benchmarks.graphs import experiment
from benchmarks.results import ROOT, keep, machine, number, table
from benchmarks.workers import Failed, Worker
from tncompile.config.experiment import Experiment
from tncompile.data import load_spec
from tncompile.memory import keep_freed_memory
from tncompile.workflow import build_model, commit, versions

JSON = ROOT / "benchmarks" / "results" / "training.json"
MARKERS = "<!-- training: begin -->", "<!-- training: end -->"
THREADS = 2
"""Threads, and processor cores, of each contestant."""
STEPS = 5
"""Steps of one turn; the best of all turns is shown."""
TOLERANCE = 0.02
"""How far a contestant's loss may be from the first one's, as a share of it."""
COSINE = 0.9
"""Least cosine between its gradient and the first one's: spikes at their threshold fall either way by rounding, and all
layers behind feel it."""

LARGEST = "conv0"
"""Layer whose gradient is compared."""

Gradient = Float32[np.ndarray, "features ky kx inputs"]


def limit_cores() -> None:
    """Keeps this process to as many processor cores as PyTorch is given threads, for XLA takes all that it sees."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])


def problem(name: str, batch: int) -> tuple[Experiment, Any, np.ndarray, np.ndarray]:
    """Returns an experiment, its net with random weights, random images and their classes."""
    of = experiment(name, [f"train.batch={batch}"])
    spec = load_spec(of.data)
    width, height, channels = spec.in_shape
    rng = np.random.default_rng(of.seed)
    x = rng.integers(0, spec.pixel_max, (batch, height, width, channels), endpoint=True).astype(np.uint8)
    return of, build_model(of, spec), x, rng.integers(0, spec.classes, batch).astype(np.int32)


class Ours:
    """tncompile's step."""

    def __init__(self, name: str, batch: int, precision: str) -> None:
        limit_cores()
        import jax
        from jax.sharding import Mesh

        from tncompile.train.batches import dealt
        from tncompile.train.step import AXIS, learning_rate, make_optimizer, make_step, start

        keep_freed_memory()
        of, network, x, y = problem(name, batch)
        config = of.train.model_copy(update={"precision": precision, "sparsity": 0.0})
        optimizer = make_optimizer(config, learning_rate(config, 1000))
        mesh = Mesh(np.array(jax.devices()[:1]), (AXIS,))
        self._config, self._network = config, network
        self._step = make_step(network, optimizer, config, steps=1000, seed=0, mesh=mesh)
        self._images, self._batch = (x, y), dealt((x, y), mesh)
        self._wait = jax.block_until_ready
        self._found = self._gradient()
        self._state = start(network, optimizer, config)
        self.time()

    def time(self) -> float:
        """Returns the time of a step, the mean of a few [s]."""
        begin = time.perf_counter()
        for step in range(STEPS):
            self._state, result = self._step(self._state, *self._batch, np.int32(step))
        self._wait((self._state, result))
        return (time.perf_counter() - begin) / STEPS

    def found(self) -> tuple[float, Gradient]:
        """Returns the loss of the first step, and the gradient of a layer."""
        return self._found

    def _gradient(self) -> tuple[float, Gradient]:
        import jax
        import jax.numpy as jnp
        import optax
        from flax import nnx

        from tncompile.nn.layers import Training

        graphdef, params, others = nnx.split(self._network, nnx.Param, ...)
        x, y = self._images

        def loss_of(params: Any) -> Any:
            model = nnx.merge(graphdef, params, others, copy=True)
            scores, _ = model.training_scores(x, Training(momentum=0.9, dtype=jnp.dtype(self._config.precision)))
            return optax.softmax_cross_entropy_with_integer_labels(scores * self._config.logit_scale, y).mean()

        loss, gradient = jax.jit(jax.value_and_grad(loss_of))(params)
        layer = next(i for i, layer in enumerate(self._network.layers) if layer.conv.name == LARGEST)
        return float(loss), np.asarray(gradient["layers"][layer]["hidden"][...])


class Torch:
    """PyTorch: grouped `conv2d`, `batch_norm` and the same spike, or ReLU alone; forward and backward."""

    def __init__(self, name: str, batch: int, layout: str, norm: bool) -> None:
        limit_cores()
        import torch

        keep_freed_memory()
        torch.set_num_threads(THREADS)
        of, network, x, y = problem(name, batch)
        memory = getattr(torch, layout)

        class Spike(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, r: Any) -> Any:
                ctx.save_for_backward(r)
                return (r >= 0).to(r.dtype)

            @staticmethod
            def backward(ctx: Any, *gradients: Any) -> Any:
                return gradients[0] * (1 - ctx.saved_tensors[0].abs()).clamp_(min=0)

        def leaf(array: np.ndarray) -> Any:
            kernel = torch.from_numpy(np.ascontiguousarray(array.astype(np.float32).transpose(0, 3, 1, 2)))
            return kernel.contiguous(memory_format=memory).requires_grad_()

        first = network.transduction
        weights = np.asarray(first.integer_weights()) * 2.0**-first.fraction_bits
        self._layers = [(first.conv, leaf(weights), torch.zeros(first.conv.features, requires_grad=True), None)]
        for layer in network.layers:
            taken = torch.from_numpy(layer.conv.permutation.astype(np.int64))
            bias = torch.zeros(layer.conv.features, requires_grad=True)
            self._layers.append((layer.conv, leaf(np.asarray(layer.trinary[...])), bias, taken))
        self._x = torch.from_numpy(x).permute(0, 3, 1, 2).float().contiguous(memory_format=memory)
        self._y, self._scale = torch.from_numpy(y.astype(np.int64)), of.train.logit_scale
        features = torch.from_numpy(network.readout.feature_class.astype(np.int64))
        self._votes = torch.stack([(features == c).float() for c in range(network.readout.classes)])
        self._votes /= self._votes.sum(1, keepdim=True)
        self._spike, self._norm, self._torch = Spike.apply, norm, torch
        self._loss = 0.0
        self.time()

    def _run(self) -> None:
        functional = self._torch.nn.functional
        for _, kernel, bias, _ in self._layers:
            kernel.grad = bias.grad = None
        maps = self._x
        for conv, kernel, bias, permutation in self._layers:
            if permutation is not None and conv.groups > 1:
                maps = maps.index_select(1, permutation)
            sums = functional.conv2d(
                maps, kernel, stride=conv.stride[::-1], padding=conv.padding[::-1], groups=conv.groups
            )
            if self._norm:
                maps = self._spike(functional.batch_norm(sums, None, None, None, bias, training=True))
            else:
                maps = functional.relu(sums, inplace=True)
        loss = functional.cross_entropy(maps.mean((2, 3)) @ self._votes.T * self._scale, self._y)
        loss.backward()
        self._loss = loss.item()

    def time(self) -> float:
        """Returns the time of forward and backward, the mean of a few [s]."""
        begin = time.perf_counter()
        for _ in range(STEPS):
            self._run()
        return (time.perf_counter() - begin) / STEPS

    def found(self) -> tuple[float, Gradient] | None:
        """Returns the loss, and the gradient of a layer; None if they are not those of the network."""
        if not self._norm:
            return None
        kernel = next(kernel for conv, kernel, _, _ in self._layers if conv.name == LARGEST)
        return self._loss, kernel.grad.permute(0, 2, 3, 1).contiguous().numpy()


CONTESTANTS: dict[str, tuple[str, Callable[..., Any], tuple[Any, ...]]] = {
    "torch": ("PyTorch `conv2d`, float32", Torch, ("contiguous_format", True)),
    "torch-last": ("PyTorch `conv2d`, float32, channels last", Torch, ("channels_last", True)),
    "torch-bare": ("PyTorch `conv2d` and ReLU, no batch norm, float32", Torch, ("contiguous_format", False)),
    "float32": ("tncompile, float32", Ours, ("float32",)),
    "bfloat16": ("**tncompile**, bfloat16, the default", Ours, ("bfloat16",)),
}


def compared(found: dict[str, tuple[float, Gradient] | None]) -> dict[str, dict[str, float]]:
    """Returns how far each contestant's loss and gradient are from those of the first, {} for None.

    Raises:
        AssertionError: too far.
    """
    (loss, gradient), *_ = filter(None, found.values())
    distances: dict[str, dict[str, float]] = {name: {} for name in found}
    for name, (other, slope) in ((name, pair) for name, pair in found.items() if pair is not None):
        cosine = float((slope * gradient).sum() / (np.linalg.norm(slope) * np.linalg.norm(gradient)))
        distances[name] = {"loss": other, "gradient_cosine": cosine}
        assert abs(other - loss) < TOLERANCE * abs(loss), f"{name}: loss {other}, the first contestant's is {loss}"
        assert cosine > COSINE, f"{name}: cosine of the gradients {cosine}"
    return distances


def measure(name: str, batch: int, rounds: int, chosen: list[str]) -> dict[str, dict[str, float]]:
    """Returns the figures of contestants that take turns."""
    workers = {key: Worker(CONTESTANTS[key][1], name, batch, *CONTESTANTS[key][2]) for key in chosen}
    try:
        lines = compared({key: worker("found") for key, worker in workers.items()})
        seconds: dict[str, list[float]] = {key: [] for key in workers}
        for _ in range(rounds):
            for key, worker in workers.items():
                seconds[key].append(worker("time"))
        for key, worker in workers.items():
            lines[key] |= {
                "images_per_s": batch / min(seconds[key]),
                "images_per_s_median": batch / statistics.median(seconds[key]),
                "memory_gb": worker.memory() / 1e9,
            }
        return lines
    finally:
        for worker in workers.values():
            worker.stop()


def report(entry: dict[str, Any]) -> str:
    """Returns the table."""
    lines, of = entry["lines"], entry["machine"]
    best = max((line["images_per_s"] for key, line in lines.items() if key.startswith("torch")), default=None)
    head = ["one step", "images/s", "median", "× best PyTorch", "GB", "cosine of gradients"]
    rows = [
        [
            CONTESTANTS[key][0],
            number(line["images_per_s"]),
            number(line["images_per_s_median"]),
            "" if best is None else f"{line['images_per_s'] / best:.2f}",
            f"{line['memory_gb']:.2f}",
            f"{line['gradient_cosine']:.4f}" if "gradient_cosine" in line else "",
        ]
        for key, line in lines.items()
    ]
    made = ", ".join(f"{name} {entry['versions'][name]}" for name in ("jax", "torch") if name in entry["versions"])
    return (
        f"Machine: {of['processor']}; {of['cores']} cores, {of['memory_gb']} GB, {of['system']}. Versions: {made}. "
        f"Commit {entry['commit']}. `cifar10_1chip`, batch {entry['batch']}, {THREADS} threads, best of "
        f"{entry['rounds']} turns of {STEPS} steps.\n\n{table(head, rows)}"
    )


def main() -> None:
    """Measures everything and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, help="images a step")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each contestant")
    parser.add_argument("--keep-page", action="store_true", help="write neither the JSON file nor the README")
    options = parser.parse_args()
    try:
        import torch

        rival = {"torch": torch.__version__}
    except ImportError:
        rival = {}
        print("PyTorch is not installed; the extra bench brings it")
    chosen = [key for key in CONTESTANTS if rival or not key.startswith("torch")]
    try:
        lines = measure("cifar10_1chip", options.batch, options.rounds, chosen)
    except Failed as error:
        raise SystemExit(f"a contestant failed: {error}") from error
    entry = {
        "machine": machine(),
        "commit": commit(),
        "versions": versions() | rival,
        "batch": options.batch,
        "rounds": options.rounds,
        "lines": lines,
    }
    print(report(entry))
    if not options.keep_page:
        keep(entry, report(entry), JSON, MARKERS)


if __name__ == "__main__":
    main()
