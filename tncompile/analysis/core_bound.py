"""How few cores a net can take: a lower bound, to be read beside what was reached."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from tncompile.analysis.blocks import Shape, boxes_of, shapes_of
from tncompile.arch import ChipArch
from tncompile.errors import InternalError
from tncompile.ir import SCHEMES, Conv, CoreGraph, SynapseScheme

_MOST_BOXES = 5000  # of a layer; where there are more, only their numbers count, not where they lie


def core_bound(graph: CoreGraph, arch: ChipArch) -> int:
    """Returns a number of cores below which no graph of the same net goes, before what its weights allow to leave out.

    It holds for all graphs whose cores compute rectangular blocks of positions, with splitters of any kind and any
    sharing of cores, where the host sends at most as many packets a bit as here.

    Args:
        graph: the graph.
        arch: the chip.
    """
    convs = tuple(layer.conv for layer in graph.source.source.layers)
    packets = int(np.bincount(graph.input_lines.bit).max(initial=1))
    return least_cores(convs, arch, SCHEMES[graph.scheme], packets)


def least_cores(convs: tuple[Conv, ...], arch: ChipArch, scheme: SynapseScheme, packets: int) -> int:
    """Returns the bound for layers by themselves.

    A linear program. Each layer is covered by fractions of blocks, each position once; all groups are alike, so one
    stands for all. Every axon of a layer wants a neuron: one in a core of the layer before, of which each has as many
    as there are, or a splitter's. A block that fills its core's axons has the core for itself; all others, and the
    splitters, share cores without loss.

    Args:
        convs: the layers.
        arch: the core's size.
        scheme: how weights become axons.
        packets: that the host may send a bit.
    """
    program = _Program()
    shapes = shapes_of(convs, trim=True)
    shared = program.variable(cost=1.0)  # cores that several blocks and splitters share
    room_axons, room_neurons = _Row({shared: -float(arch.axons)}), _Row({shared: -float(arch.neurons)})
    demand: _Row | None = None  # of the layer behind: axons
    for shape in reversed(shapes):
        conv = shape.conv
        cells = _cover(program, shape, arch, scheme)
        signals = len(shape.x.needed) * len(shape.y.needed) * conv.features
        alone, guests = program.variable(), program.variable()  # neurons in cores of their own, and in shared ones
        splitters = program.variable()
        capacity, least, axons = _Row({alone: 1.0}), _Row({guests: -1.0}), _Row()
        for variable, (cores, inputs, positions) in cells.items():
            taken = inputs * scheme.axons_per_input
            axons[variable] += conv.groups * cores * taken
            if taken == arch.axons:
                program.costs[variable] += conv.groups * cores
                capacity[variable] -= conv.groups * cores * arch.neurons
            else:
                room_axons[variable] += conv.groups * cores * taken
                least[variable] += positions * conv.features
        program.at_most(capacity, 0)
        program.at_most(least, 0)  # one neuron for each signal that is not in a core of its own
        # Neurons and splitters drive all axons, and a neuron feeds each splitter node.
        driven = _Row({alone: -1.0, guests: -1.0, splitters: 1 / arch.neurons - 1})
        driven.plus(demand or {})
        program.at_most(driven, 0 if demand else -signals)
        program.at_most(_Row({alone: -1.0, guests: -1.0}), -signals)
        room_neurons.plus({guests: 1.0, splitters: 1.0})
        room_axons[splitters] += 1 / arch.neurons
        demand = axons
    assert demand is not None

    # A bit that feeds more axons than the host sends packets keeps one packet for the root of its splitters.
    splitters = program.variable()
    x, y = (axis.taps(0, len(axis.needed)) for axis in (shapes[0].x, shapes[0].y))
    direct = packets - packets % scheme.axons_per_input
    demand[splitters] -= 1.0
    program.at_most(demand, len(x) * len(y) * convs[0].in_shape[2] * direct)
    room_neurons[splitters] += 1.0
    room_axons[splitters] += 1 / arch.neurons
    program.at_most(room_axons, 0)
    program.at_most(room_neurons, 0)
    return math.ceil(program.solve() - 1e-6)


def _cover(program: _Program, shape: Shape, arch: ChipArch, scheme: SynapseScheme) -> dict[int, tuple[int, int, int]]:
    """Adds what a layer's positions are covered with; returns cores a group, inputs and positions by variable.

    A block's features may be cut into more chunks than they must: each is a core more, with all inputs again.
    """
    boxes = boxes_of(shape, arch, scheme)
    positions = {box: (box[1] - box[0]) * (box[3] - box[2]) for box in boxes}
    cells: dict[int, tuple[int, int, int]] = {}
    if len(boxes) > _MOST_BOXES:
        everything = _Row()
        for inputs, size in sorted({(boxes[box], size) for box, size in positions.items()}):
            variable = program.variable()
            everything[variable] = size
            _add(program, cells, variable, shape, arch, inputs, size)
        program.equal(everything, len(shape.x.needed) * len(shape.y.needed))
        return cells
    rows: dict[tuple[int, int], _Row] = {}
    for box, inputs in boxes.items():
        variable = program.variable()
        _add(program, cells, variable, shape, arch, inputs, positions[box])
        for x in range(box[0], box[1]):
            for y in range(box[2], box[3]):
                rows.setdefault((x, y), _Row())[variable] = 1.0
    for row in rows.values():
        program.equal(row, 1.0)
    return cells


def _add(
    program: _Program,
    cells: dict[int, tuple[int, int, int]],
    variable: int,
    shape: Shape,
    arch: ChipArch,
    inputs: int,
    positions: int,
) -> None:
    """Adds a block that `variable` counts, and its further chunks."""
    chunks = -(-shape.conv.features_per_group // (arch.neurons // positions))
    cells[variable] = chunks, inputs, positions
    if chunks < shape.conv.features_per_group:
        more = program.variable()
        cells[more] = 1, inputs, 0
        program.at_most(_Row({more: 1.0, variable: float(chunks - shape.conv.features_per_group)}), 0)


class _Row(dict[int, float]):
    """What each variable counts; 0 for those that are not named."""

    def __missing__(self, variable: int) -> float:
        return 0.0

    def plus(self, other: Mapping[int, float]) -> None:
        """Adds what they count there."""
        for variable, value in other.items():
            self[variable] += value


class _Program:
    """A linear program, row by row; all variables are at least 0."""

    def __init__(self) -> None:
        self.costs: list[float] = []
        self._rows: dict[bool, list[tuple[_Row, int | float]]] = {True: [], False: []}

    def variable(self, cost: float = 0.0) -> int:
        """Returns a new variable."""
        self.costs.append(cost)
        return len(self.costs) - 1

    def at_most(self, row: _Row, bound: int | float) -> None:
        """Adds Σ row[i] · variable i ≤ bound."""
        self._rows[False].append((row, bound))

    def equal(self, row: _Row, value: int | float) -> None:
        """Adds Σ row[i] · variable i = value."""
        self._rows[True].append((row, value))

    def solve(self) -> float:
        """Returns the smallest cost.

        Raises:
            InternalError: there is none.
        """
        (left, right), (left_equal, right_equal) = self._matrix(False), self._matrix(True)
        found = linprog(self.costs, left, right, left_equal, right_equal, method="highs")
        if found.status != 0:
            raise InternalError(f"bound on the cores: {found.message}")
        return float(found.fun)

    def _matrix(self, equal: bool) -> tuple[sparse.csr_array, list[int | float]]:
        rows = self._rows[equal]
        entries = [(i, column, value) for i, (row, _) in enumerate(rows) for column, value in row.items()]
        i, column, value = np.array(entries, np.float64).reshape(-1, 3).T
        shape = len(rows), len(self.costs)
        matrix = sparse.csr_array((value, (i.astype(np.int64), column.astype(np.int64))), shape=shape)
        return matrix, [bound for _, bound in rows]
