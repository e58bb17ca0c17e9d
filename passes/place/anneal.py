"""Simulated annealing: makes any placement shorter, swap by swap."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt64

from passes.place.kernel import BLOCKED, LANES, NOBODY, QUANTILES, sample_moves, try_moves
from passes.place.options import PlaceConfig
from passes.place.problem import PlaceProblem, Sites
from passes.progress import Progress
from tncompile.analysis.graph import adjacency

_STEPS = 200  # temperatures
_STEPS_LEAST = 20
_MOVES_LEAST = 250  # of a region in a step: fewer would not say which share of moves is kept
_FEW = 1000  # cores; smaller graphs get the moves of this many, they cost next to nothing
_ROUNDS = 8  # of the smallest graphs: starts of which the best is kept
_SAMPLES = 4000  # moves from which the first temperature is taken
# Chosen on the core graph of the one-chip CIFAR-10 net; half or double of either changes the result by less than 0.5 %.
_KEPT = 0.3  # share of moves that the window is fitted to
_LAST = 0.05  # the last temperature [hop × mean arcs of a core]

_THRESHOLDS = -np.log((np.arange(QUANTILES) + 0.5) / QUANTILES)


def anneal(
    problem: PlaceProblem, start: Sites, config: PlaceConfig, *, seed: int, progress: Progress, spent: float = 0.0
) -> Sites:
    """Returns sites that cost at most as much as the start.

    A move takes a random core to a random site of its region within a window around it, and the core that is there, if
    any, back. It is kept if the cost does not grow, or else by chance exp(−Δ/T). An arc that is too long for a packet
    costs more than all others together, so a legal placement stays legal and an illegal one is made legal before it is
    made short.

    The schedule fits itself to what it works on. T begins at `config.heat` times the start's own temperature, the one
    at which random moves would on average neither shrink nor grow it: a good start is not melted, a bad one
    is. From there T falls geometrically, the last step runs at T = 0. The window is widened or narrowed after every
    step so that three moves of ten are kept. Small graphs have time for several rounds from the same start, all but the
    first from a temperature that forgets it.

    Args:
        problem: what to place.
        start: sites to begin with.
        config: how long, and how hot.
        seed: of the moves.
        progress: told after each step.
        spent: what has passed of `config.seconds` already [s].

    References:
        Kirkpatrick et al. 1983, Science 220:671; Rose, Klebsch and Wolf 1990, IEEE TCAD 9:253, "Temperature
        measurement and equilibrium dynamics of simulated annealing placements"; Betz and Rose 1997, FPL, "VPR: a new
        packing, placement and routing tool for FPGA research" (the window).
    """
    movable = int((problem.core_region >= 0).sum())
    best, least = start, cost(problem, start)
    if not movable or not least or not (config.moves or config.seconds):
        return start
    random = np.random.SeedSequence(seed).generate_state(1, np.uint64) | np.uint64(1)  # its state must not be 0
    rounds = min(_ROUNDS, max(1, _FEW // (10 * movable)))
    _Board.of(problem, start).load()
    end = time.perf_counter() + (config.seconds or 0.0) - spent
    for number in range(rounds):
        begin = time.perf_counter()
        board = _Board.of(problem, start)
        board.anneal(
            _by_moves(config.moves * max(movable, _FEW) // rounds, len(board.regions))
            if config.seconds is None
            else _by_time(begin, max(end - begin, 0.0) / (rounds - number), movable),
            board.temperatures(config.heat, random, melt=number > 0),
            random,
            lambda fraction, figures, number=number: progress((number + fraction) / rounds, figures),
        )
        if (found := cost(problem, board.sites)) < least:
            best, least = board.sites, found
    return best


def cost(problem: PlaceProblem, sites: Sites) -> int:
    """Returns Σ rate × length of all arcs [hop], a hop beyond reach counted as more than all legal arcs together."""
    arcs, rate = problem.arcs, problem.arcs.rate
    x, y = sites[:, 0], sites[:, 1]
    beyond = np.abs(sites[arcs.target] - sites[arcs.source]) - problem.reach
    over = np.maximum(beyond, 0).sum(axis=1)
    columns, rows = problem.column[x], problem.row[y]
    length = np.abs(columns[arcs.target] - columns[arcs.source]) + np.abs(rows[arcs.target] - rows[arcs.source])
    return int(rate @ length) + _penalty(problem) * int(rate @ over)


def _penalty(problem: PlaceProblem) -> int:
    """Returns what a hop beyond reach costs beside its length, as far as sums of it fit 64 bit."""
    total, span = int(problem.arcs.rate.sum()), int(problem.column[-1] + problem.row[-1] + 1)
    return min(total * span, (1 << 61) // (total * span + 1))


@dataclass(slots=True)
class _Pace:
    """What a step is to do: so many moves at this point of the schedule, 0 … 1."""

    fraction: float
    moves: int


def _by_moves(moves: int, regions: int) -> Iterator[_Pace]:
    """Yields the steps of a round of so many moves; the last one has the fraction 1."""
    steps = min(max(moves // (_MOVES_LEAST * regions), _STEPS_LEAST), _STEPS)
    for step in range(steps):
        yield _Pace(step / (steps - 1), -(-moves // steps))


def _by_time(begin: float, seconds: float, moves: int) -> Iterator[_Pace]:
    """Yields the steps of a round that ends in time; the last one has the fraction 1.

    Args:
        begin: when the round began, by `time.perf_counter`.
        seconds: what it may take [s].
        moves: of the first step; the others have as many as fit their time.
    """
    before = time.perf_counter()
    while (elapsed := before - begin) < seconds * (1 - 2 / _STEPS):
        yield _Pace(elapsed / seconds, moves)
        now = time.perf_counter()
        moves = max(int(moves * min(seconds / _STEPS / max(now - before, 1e-9), 4.0)), 1)
        before = now
    yield _Pace(1.0, moves)


@dataclass(slots=True)
class _Board:
    """The state of an annealing.

    Attributes:
        problem: what is placed.
        starts, neighbours, weights, position, sites, site_core, penalty, far: as in `kernel.try_moves`.
        regions: members and box of each region with members.
        length: Σ rate × length of all arcs, beyond-reach penalties included.
        mean: rate of a core's arcs on average.
    """

    problem: PlaceProblem
    starts: Int32[np.ndarray, " rows"]
    neighbours: Int32[np.ndarray, " entries"]
    weights: Int32[np.ndarray, " entries"]
    position: Int32[np.ndarray, " cores"]
    sites: Sites
    site_core: Int32[np.ndarray, "height width"]
    regions: list[tuple[Int32[np.ndarray, "_"], Int64[np.ndarray, "4"]]]
    penalty: int
    far: bool
    length: int
    mean: float

    @classmethod
    def of(cls, problem: PlaceProblem, start: Sites) -> _Board:
        """Returns the state at the start."""
        matrix = adjacency(problem.arcs)
        strength = matrix.sum(axis=1)
        starts, neighbours, weights = padded(matrix.indptr, matrix.indices, matrix.data)
        width, height = problem.size
        span = int(problem.column[-1] + problem.row[-1])
        far = problem.reach < max(width, height) - 1 or span >= 1 << 15 or int(strength.max()) * span >= 1 << 31
        site_core, boxes = free_sites(problem, start)
        regions = [(problem.members(number), box) for number, box in enumerate(boxes)]
        x, y = start.T
        return cls(
            problem=problem,
            starts=starts,
            neighbours=neighbours,
            weights=weights,
            position=(problem.column[x] | problem.row[y] << 16).astype(np.int32),
            sites=start.copy(),
            site_core=site_core,
            regions=[(members, box) for members, box in regions if len(members)],
            penalty=_penalty(problem),
            far=far,
            length=cost(problem, start),
            mean=float(strength.mean()),
        )

    def load(self) -> None:
        """Has the kernels compiled or read from where they are kept, so that no clock runs meanwhile."""
        random, nothing = np.ones(1, np.uint64), np.zeros(0, np.int64)
        for number in range(len(self.regions[:1])):
            self._sample(number, random, nothing)
            self._try(number, random, 0, 1, _THRESHOLDS)

    def temperatures(self, heat: float, random: UInt64[np.ndarray, "1"], *, melt: bool) -> tuple[float, float]:
        """Returns the first and the last temperature.

        Args:
            heat: the first one over the start's own.
            random: state of the random numbers.
            melt: whether to forget the start.
        """
        parts = []
        for number in range(len(self.regions)):
            growths = np.zeros(self._share(number, _SAMPLES), np.int64)
            self._sample(number, random, growths)
            parts.append(growths)
        growths = np.concatenate(parts).astype(np.float64)
        last = _LAST * self.mean
        own = np.abs(growths).mean() if melt else own_temperature(growths)
        return max(heat * float(own), last), last

    def anneal(
        self,
        schedule: Iterator[_Pace],
        temperatures: tuple[float, float],
        random: UInt64[np.ndarray, "1"],
        progress: Progress,
    ) -> None:
        """Runs a round."""
        first, last = temperatures
        windows = [float(_widest(box)) for _, box in self.regions]
        for pace in schedule:
            temperature = 0.0 if pace.fraction == 1 else first * (last / first) ** pace.fraction
            for number, (_, box) in enumerate(self.regions):
                moves = self._share(number, pace.moves)
                kept, growth = self._try(number, random, moves, round(windows[number]), temperature * _THRESHOLDS)
                self.length += growth
                fitted = windows[number] * (1 - _KEPT + kept / moves)
                windows[number] = min(max(fitted, 1.0), float(_widest(box)))
            progress(pace.fraction, {"hops": float(self.length)})

    def _share(self, number: int, moves: int) -> int:
        """Returns how many of all moves a region gets."""
        total = sum(len(members) for members, _ in self.regions)
        return -(-moves * len(self.regions[number][0]) // total)

    def _try(
        self,
        number: int,
        random: UInt64[np.ndarray, "1"],
        moves: int,
        window: int,
        thresholds: Float64[np.ndarray, " quantiles"],
    ) -> tuple[int, int]:
        """Tries moves in a region; returns how many were kept, and by how much the cost grew."""
        problem, (members, box) = self.problem, self.regions[number]
        return try_moves(
            self.starts, self.neighbours, self.weights, self.position, self.sites, self.site_core, problem.column,
            problem.row, problem.reach, self.penalty, self.far, members, box, random, moves, window, thresholds,
        )  # fmt: skip

    def _sample(self, number: int, random: UInt64[np.ndarray, "1"], growths: Int64[np.ndarray, " moves"]) -> None:
        """Fills `growths` with what random moves in a region would change."""
        problem, (members, box) = self.problem, self.regions[number]
        sample_moves(
            self.starts, self.neighbours, self.weights, self.position, self.sites, self.site_core, problem.column,
            problem.row, problem.reach, self.far, members, box, random, _widest(box), growths,
        )  # fmt: skip


def free_sites(
    problem: PlaceProblem, sites: Sites
) -> tuple[Int32[np.ndarray, "height width"], Int64[np.ndarray, "regions 4"]]:
    """Returns who is where, as in `kernel.try_moves`, and the box x0, y0, x1, y1 around each region, ends included."""
    width, height = problem.size
    site_core = np.full((height, width), BLOCKED, np.int32)
    boxes = np.zeros((len(problem.region_sites), 4), np.int64)
    for box, free in zip(boxes, problem.region_sites, strict=True):
        if len(free):
            site_core[free[:, 1], free[:, 0]] = NOBODY
            box[:2], box[2:] = free.min(axis=0), free.max(axis=0)
    moving = np.flatnonzero(problem.core_region >= 0)
    site_core[sites[moving, 1], sites[moving, 0]] = moving
    return site_core, boxes


def padded(
    indptr: Int32[np.ndarray, " rows"], indices: Int32[np.ndarray, " arcs"], weights: Int64[np.ndarray, " arcs"]
) -> tuple[Int32[np.ndarray, " rows"], Int32[np.ndarray, " entries"], Int32[np.ndarray, " entries"]]:
    """Returns the rows of a sparse matrix filled up to multiples of LANES by entries of weight 0."""
    degree = np.diff(indptr)
    starts = np.concatenate([[0], (-(-degree // LANES) * LANES).cumsum()]).astype(np.int32)
    place = np.repeat(starts[:-1] - indptr[:-1], degree) + np.arange(len(indices))
    filled = np.zeros((2, int(starts[-1])), np.int32)
    filled[0, place], filled[1, place] = indices, weights
    return starts, filled[0], filled[1]


def own_temperature(growths: Float64[np.ndarray, " moves"]) -> float:
    """Returns the temperature at which moves like these would on average change nothing.

    That is where Σ Δ⁺ exp(−Δ⁺ / T) = Σ |Δ⁻|, but at most the mean |Δ|, which is hot enough to forget any start: moves
    from a random placement shrink the cost as often as they let it grow, at any temperature.

    >>> round(own_temperature(np.array([-1.0, 4.0, 4.0])), 3)  # 8 exp(−4 / T) = 1
    1.924
    """
    rises, falls = growths[growths > 0], -growths[growths < 0].sum()
    high = float(np.abs(growths).mean())
    if rises @ np.exp(-rises / max(high, 1e-300)) <= falls:
        return high
    low = 0.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if rises @ np.exp(-rises / max(middle, 1e-300)) > falls else (middle, high)
    return high


def _widest(box: Int64[np.ndarray, "4"]) -> int:
    """Returns the largest window that makes sense in a region."""
    return max(int(max(box[2] - box[0], box[3] - box[1])), 1)
