"""What this machine can do at best, measured in the same run; and the least time that each way of computing needs."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

THREADS = os.cpu_count() or 1

Best = Callable[[Callable[[], Any]], float]
"""Returns the shortest time of a call [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """All processor cores together unless the name says otherwise; None = the package is not installed.

    Attributes:
        threads: processor cores.
        copy: bytes read and written by copying 256 MB [byte/s].
        read: bytes read by adding up 256 MB [byte/s].
        popcount: 64-bit words of a & b counted and added up, in the first cache [1/s].
        popcount_memory: the same over 33.5 MB, the crossbars of a full chip [1/s].
        popcount_xla: the same by XLA, over 33.5 MB [1/s].
        popcount_numpy: the same by `numpy.bitwise_count`, one core [1/s].
        additions: 16-bit additions in the first cache [1/s].
        adders: 64-bit words of full adders, 3 bits to 2, in the first cache [1/s].
        gather: bytes read from random places of 1 MB [1/s].
        gather_xla: the same by XLA [1/s].
        int8_xla, int8_torch: 8-bit multiplications and additions in a product of 2048 × 2048 matrices [1/s].
        float32_xla, float32_torch, float32_numpy: float32 multiplications and additions, the same [1/s].
    """

    threads: int
    copy: float
    read: float
    popcount: float
    popcount_memory: float
    popcount_xla: float
    popcount_numpy: float
    additions: float
    adders: float
    gather: float
    gather_xla: float
    int8_xla: float
    int8_torch: float | None
    float32_xla: float
    float32_torch: float | None
    float32_numpy: float

    @property
    def int8(self) -> float:
        """The best that was seen [1/s]."""
        return max(self.int8_xla, self.int8_torch or 0.0)

    @property
    def float32(self) -> float:
        """The best that was seen [1/s]."""
        return max(self.float32_xla, self.float32_torch or 0.0, self.float32_numpy)


def measure(repeats: int) -> dict[str, Any]:
    """Returns the fields of `Ceilings`.

    Args:
        repeats: the best of so many counts: a ceiling is what the machine can do, not what it did when disturbed.
    """
    best = partial(_best, repeats)
    return {"threads": THREADS, **_numba(best), **_numpy(best), **_xla(best), **_torch(best)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The least that a tick or a frame needs, as somebody's algorithm goes.

    Attributes:
        bytes: that have to come from memory or go there [byte].
        operations: how many of which ceiling.
    """

    bytes: float
    operations: dict[str, float]

    def seconds(self, ceilings: Ceilings) -> float:
        """Returns the floor: the longest of all, as if all went on at the same time [s]."""
        return max([self.bytes / ceilings.copy, *(n / getattr(ceilings, name) for name, n in self.operations.items())])


NEURON_BYTES = 8
"""A neuron's potential, read and written in a tick [byte]."""


def tick_work(algorithm: str, *, cores: int, rate: float, batch: int) -> Work:
    """Returns the least work of one tick of a full chip on all streams.

    Potentials are read and written once for each stream, 4 bytes each, and every neuron's parameters (4 bytes) once.
    What comes on top, for rate r, n = 256 · cores axons, as many neurons, and a batch of B streams:

    - `event`: a cache line (64 bytes) for the crossbar row of each of the r·n·B axons with a spike, and an addition
      for each of its 256 neurons, whether the crosspoint is set or not: that is what vector units do.
    - `popcount`: all crossbars once (32 bytes an axon); 4 words of 64 axons for each neuron and stream; one byte
      gathered for each axon and stream.
    - `rows16`, `rows32`: the unpacked weight row of each axon with a spike, 512 or 1024 bytes, and its additions.
    - `sparse-events`: 6 bytes (index and weight) for each of the 64 synapses of each axon with a spike.
    - `sparse-all`: 6 bytes for each of the 64·n synapses, once a stream.
    - `objects`: 12 bytes (synapse, neuron, weight) for each of the 64 synapses of each axon with a spike.
    - `dense`: all weights in float32 (1024 bytes an axon) once, and 2 · 256 operations for each neuron and stream.

    Args:
        algorithm: one of the above.
        cores: of the chip.
        rate: share of neurons that fire.
        batch: streams.
    """
    axons = 256.0 * cores
    active = rate * axons * batch
    neurons = axons * (NEURON_BYTES * batch + 4)
    extra, operations = {
        "event": (64 * active, {"additions": 256 * active}),
        "popcount": (32 * axons, {"popcount": 4 * axons * batch, "gather": axons * batch}),
        "rows16": (512 * active, {"additions": 256 * active}),
        "rows32": (1024 * active, {"additions": 256 * active}),
        "sparse-events": (6 * 64 * active, {}),
        "sparse-all": (6 * 64 * axons * batch, {}),
        "objects": (12 * 64 * active, {}),
        "dense": (1024 * axons, {"float32": 2 * 256 * axons * batch}),
    }[algorithm]
    return Work(bytes=neurons + extra, operations=operations)


def frame_work(algorithm: str, *, products: float, weights: float, words: float, active: float) -> Work:
    """Returns the least work of one frame of a feed-forward net.

    Weights and crossbars stay in the cache, so only operations count:

    - `int8`, `float32`: two for each product of an input and a weight, zeros included, copies and axon pairs folded.
    - `sliced`: a full adder for each weight that is not 0, on 64 frames at a time.
    - `popcount`: all words of 64 axons of all neurons of the chip.
    - `event`: an addition for each of the 256 neurons behind each axon with a spike.

    Args:
        algorithm: one of the above.
        products: inputs × weights of the net.
        weights: those of them that are not 0.
        words: 64-bit words of the chip's crossbars.
        active: axons with a spike in a tick.
    """
    operations = {
        "int8": {"int8": 2 * products},
        "float32": {"float32": 2 * products},
        "sliced": {"adders": weights / 64},
        "popcount": {"popcount": words},
        "event": {"additions": 256 * active},
    }[algorithm]
    return Work(bytes=0.0, operations=operations)


def _best(repeats: int, run: Callable[[], Any]) -> float:
    """Returns the shortest time of a call [s], after one to warm up."""
    run()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


# ---------------------------------------------------------------------------------------------------------------------
# Numba: what LLVM makes of plain loops.


@intrinsic
def _ctpop(typing, word):
    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return word(word), generate


@numba.njit(nogil=True)
def _copy(source, target):
    for i in range(len(source)):
        target[i] = source[i]


@numba.njit(nogil=True)
def _sum(source):
    total = np.uint64(0)
    for i in range(len(source)):
        total += source[i]
    return total


@numba.njit(nogil=True)
def _popcount(words, others, times):
    """Counts the bits of words & others so many times; something differs each time, or it would be done once."""
    total = np.uint64(0)
    for k in range(times):
        for i in range(len(words)):
            total += _ctpop(words[i] & (others[i] ^ np.uint64(k)))  # pyright: ignore[reportCallIssue]
    return total


@numba.njit(nogil=True)
def _popcount_once(words, other):
    total = np.uint64(0)
    for i in range(len(words)):
        total += _ctpop(words[i] & other)  # pyright: ignore[reportCallIssue]
    return total


@numba.njit(nogil=True)
def _add(total, weights, times):
    for _ in range(times):
        for i in range(len(total)):
            total[i] += weights[i]


@numba.njit(nogil=True)
def _full(x, y, z):
    return x ^ y ^ z, (x & y) | (z & (x ^ y))


@numba.njit(nogil=True)
def _adders(words, times):
    """Adds up 15 words bit by bit to four, in 11 full adders, so many times; words hold 15 equal parts."""
    n = len(words) // 15
    w = words[: 15 * n].reshape(15, n)
    ones = twos = fours = eights = np.uint64(0)
    for k in range(times):
        for i in range(n):
            a, p = _full(w[0, i] ^ np.uint64(k), w[1, i], w[2, i])
            b, q = _full(w[3, i], w[4, i], w[5, i])
            c, r = _full(w[6, i], w[7, i], w[8, i])
            d, s = _full(w[9, i], w[10, i], w[11, i])
            e, t = _full(w[12, i], w[13, i], w[14, i])
            a, u = _full(a, b, c)
            a, v = _full(a, d, e)
            p, x = _full(p, q, r)
            s, y = _full(s, t, u)
            p, z = _full(p, s, v)
            x, y = _full(x, y, z)
            ones ^= a
            twos ^= p
            fours ^= x
            eights ^= y
    return ones ^ twos ^ fours ^ eights


@numba.njit(nogil=True)
def _gather(source, index, target):
    for i in range(len(index)):
        target[i] = source[index[i]]


def _numba(best: Best) -> dict[str, float]:
    rng = np.random.default_rng(0)
    large = rng.integers(0, 1 << 60, 1 << 25, np.uint64)
    other = np.zeros_like(large)
    crossbars = large[: 1 << 22]  # 33.5 MB
    rows = large[: THREADS * 2880]  # 23 kB a core
    few, more = large[: THREADS * 1024], large[-THREADS * 1024 :]  # 8 kB a core
    total, weights = np.ones((2, THREADS * 4096), np.int16)
    spikes, target = np.ones((2, 1 << 20), np.uint8)
    index = rng.permutation(1 << 20).astype(np.int32)
    times = 4000

    with ThreadPoolExecutor(THREADS) as pool:

        def seconds(kernel: Callable, *arguments: Any) -> float:
            """Returns the best time of a kernel on as many equal parts of the arrays as there are cores [s]."""
            parts = [np.array_split(a, THREADS) if isinstance(a, np.ndarray) else [a] * THREADS for a in arguments]
            return best(lambda: list(pool.map(kernel, *parts)))

        return {
            "copy": 2 * large.nbytes / seconds(_copy, large, other),
            "read": large.nbytes / seconds(_sum, large),
            "popcount": few.size * times / seconds(_popcount, few, more, times),
            "popcount_memory": crossbars.size / seconds(_popcount_once, crossbars, np.uint64(3)),
            "additions": total.size * times / seconds(_add, total, weights, times),
            "adders": 11 * rows.size / 15 * times / seconds(_adders, rows, times),
            "gather": index.size / best(lambda: list(pool.map(
                _gather, [spikes] * THREADS, np.array_split(index, THREADS), np.array_split(target, THREADS)
            ))),
        }  # fmt: skip


def _numpy(best: Best) -> dict[str, float]:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 1 << 60, (2, 4096), np.uint64)
    matrix = rng.random((2048, 2048), np.float32)
    return {
        "popcount_numpy": 4096 * 100 / best(lambda: [np.bitwise_count(a & b).sum() for _ in range(100)]),
        "float32_numpy": 2 * 2048**3 / best(lambda: matrix @ matrix),
    }


def _xla(best: Best) -> dict[str, float]:
    import jax
    import jax.numpy as jnp
    from jax import lax

    words = jnp.asarray(np.random.default_rng(0).integers(0, 1 << 31, (4096, 8, 256), np.uint32))  # as a full chip
    axons = words[:, :, :1]
    source, index = jnp.ones(1 << 20, jnp.uint8), jnp.asarray(np.random.default_rng(0).permutation(1 << 20))
    small = jnp.asarray(np.random.default_rng(0).integers(-1, 2, (2048, 2048), np.int8))
    large = small.astype(jnp.float32)

    @jax.jit
    def popcount(a, b):
        return jnp.sum(lax.population_count(a & b).astype(jnp.int32), axis=1)

    @jax.jit
    def gather(a, i):
        return a.at[i].get(mode="promise_in_bounds")

    @jax.jit
    def int8(a):
        return lax.dot(a, a, preferred_element_type=jnp.int32)

    @jax.jit
    def float32(a):
        return lax.dot(a, a)

    def wait(function: Callable, *arguments: Any) -> Callable[[], Any]:
        return lambda: function(*arguments).block_until_ready()

    return {
        "popcount_xla": words.size / 2 / best(wait(popcount, words, axons)),
        "gather_xla": index.size / best(wait(gather, source, index)),
        "int8_xla": 2 * 2048**3 / best(wait(int8, small)),
        "float32_xla": 2 * 2048**3 / best(wait(float32, large)),
    }


def _torch(best: Best) -> dict[str, float | None]:
    if importlib.util.find_spec("torch") is None:
        return {"int8_torch": None, "float32_torch": None}
    import torch

    torch.set_num_threads(THREADS)
    small = torch.randint(-1, 2, (2048, 2048), dtype=torch.int8)
    large = small.float()
    return {
        "int8_torch": 2 * 2048**3 / best(lambda: torch._int_mm(small, small)),  # pyright: ignore[reportPrivateImportUsage]
        "float32_torch": 2 * 2048**3 / best(lambda: large @ large),
    }
