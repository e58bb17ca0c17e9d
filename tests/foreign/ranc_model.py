"""What RANC's C++ simulator and RTL do with a network, step by step and in their own terms. Imports nothing of ours.

Written after reading them: scheduler rows, prepare and run of each component, packets that walk cell by cell.
"""

from __future__ import annotations

import random
from typing import Any

Network = dict[str, Any]
Config = dict[str, int]

SILENT = {
    "reset_potential": 0,
    "weights": [],
    "leak": 0,
    "positive_threshold": 1,
    "negative_threshold": 0,
    "destination_core_offset": [0, 0],
    "destination_axon": 0,
    "destination_tick": 0,
    "current_potential": 0,
    "reset_mode": 0,
}


class Core:
    """A core, or an empty cell: neurons, connections, and a scheduler whose current row moves on by one a tick."""

    def __init__(self, entry: Network | None, config: Config) -> None:
        self.rows = config["max_tick_offset"]
        self.scheduler = [[0] * config["num_axons"] for _ in range(self.rows)]
        self.row = self.rows - 1
        self.types = [0] * config["num_axons"]
        self.neurons: list[Network] = []
        self.connections: list[list[int]] = []
        if entry is not None:
            self.types[: len(entry["axons"])] = entry["axons"]
            self.neurons = [dict(SILENT) | neuron for neuron in entry["neurons"]]
            self.connections = entry["connections"]

    def receive(self, axon: int, tick: int) -> None:
        row = self.row + tick + 1
        if row >= self.rows:
            row -= self.rows
        if row != self.row:  # else it is lost
            self.scheduler[row][axon] = 1


class Simulator:
    """All cells of a grid."""

    def __init__(self, network: Network, config: Config, bits: int | None = None) -> None:
        """bits: width of the RTL's registers, which wrap; None: the C++ simulator's integers."""
        self.config, self.bits = config, bits
        self.bus = tuple(network["output_bus"]["coordinates"])
        self.pins = [0] * network["output_bus"]["num_outputs"]
        entries = {tuple(core["coordinates"]): core for core in network["cores"]}
        self.cells = {
            (x, y): Core(entries.get((x, y)), config)
            for y in range(config["num_cores_y"])
            for x in range(config["num_cores_x"])
        }
        self.packets = network.get("packets") or []
        self.lines: list[str] = []

    def run(self, ticks: int) -> bytes:
        """Returns the output text."""
        self.enter(0)
        for tick in range(1, ticks + 1):
            for core in self.cells.values():
                core.row = (core.row + 1) % core.rows
            self.lines.append("".join(f"{pin} " for pin in self.pins) + "\n")
            self.pins = [0] * len(self.pins)
            self.enter(tick)
            for cell, core in self.cells.items():
                if cell != self.bus:
                    self.evaluate(cell, core)
        return ("\ufeff" + "".join(self.lines)).encode()

    def enter(self, number: int) -> None:
        for packet in self.packets[number : number + 1]:
            for spike in packet:
                self.send((0, 0), *spike["destination_core"], spike["destination_axon"], spike["destination_tick"])

    def send(self, cell: tuple[int, int], dx: int, dy: int, axon: int, tick: int) -> None:
        while dx or dy:  # x first
            step = ((dx > 0) - (dx < 0), 0) if dx else (0, (dy > 0) - (dy < 0))
            cell = cell[0] + step[0], cell[1] + step[1]
            dx, dy = dx - step[0], dy - step[1]
            assert cell in self.cells, "a packet leaves the grid"
        if cell == self.bus:
            self.pins[axon] = 1
        else:
            self.cells[cell].receive(axon, tick)

    def fit(self, value: int) -> int:
        if self.bits is None:
            return value
        return (value + (1 << self.bits - 1)) % (1 << self.bits) - (1 << self.bits - 1)

    def evaluate(self, cell: tuple[int, int], core: Core) -> None:
        inclusive = self.config["neuron_reset_type"]
        spikes = core.scheduler[core.row]
        for number, neuron in enumerate(core.neurons):
            potential = neuron["current_potential"]
            for axon, connected in enumerate(core.connections[number]):
                if connected and spikes[axon]:
                    kind = core.types[axon]
                    weight = neuron["weights"][kind] if kind < len(neuron["weights"]) else 0
                    potential = self.fit(potential + weight)
            potential = self.fit(potential + neuron["leak"])
            above, below, reset = (neuron[f"{key}"] for key in _THRESHOLDS)
            if potential >= above:
                self.send(
                    cell, *neuron["destination_core_offset"], neuron["destination_axon"], neuron["destination_tick"]
                )
                after = potential - above if neuron["reset_mode"] else reset
            elif potential < below or (inclusive and potential == below):
                after = potential - below if neuron["reset_mode"] else -reset
            else:
                after = potential
            neuron["current_potential"] = self.fit(after)
        core.scheduler[core.row] = [0] * len(spikes)


_THRESHOLDS = ("positive_threshold", "negative_threshold", "reset_potential")


def random_network(seed: int, *, large: int = 12) -> tuple[Network, Config]:
    """Returns a network that uses everything the format has, and its config.

    Cores name fewer neurons and axons than there are, in any order; neurons send to cores, empty cells and the bus;
    thresholds have either sign; some spikes are lost because their tick is the longest.

    Args:
        seed: of everything random.
        large: bound on weights, leaks, thresholds and potentials [LSB].
    """
    rng = random.Random(seed)
    config = {
        "num_neurons": rng.choice((2, 7, 8, 12, 16)),
        "num_axons": rng.choice((1, 5, 8, 16)),
        "num_cores_x": rng.randint(1, 4),
        "num_cores_y": rng.randint(2, 3),
        "num_weights": rng.choice((1, 2, 3, 4, 4, 4, 8)),
        "max_tick_offset": rng.choice((2, 4, 8, 16)),
        "neuron_block_trace_verbosity": 0,
        "core_controller_trace_verbosity": 0,
        "scheduler_trace_verbosity": 0,
        "neuron_reset_type": rng.randint(0, 1),
    }
    cells = [(x, y) for x in range(config["num_cores_x"]) for y in range(config["num_cores_y"])]
    rng.shuffle(cells)
    bus, *others = cells
    outputs = rng.randint(1, 6)
    used = others[: rng.randint(1, len(others))]

    def destination(x: int, y: int) -> Network:
        goal = bus if rng.random() < 0.3 else rng.choice(cells if rng.random() < 0.4 else used)
        return {
            "destination_core_offset": [goal[0] - x, goal[1] - y],
            "destination_axon": rng.randrange(outputs if goal == bus else config["num_axons"]),
            "destination_tick": min(rng.randrange(config["max_tick_offset"]), rng.choice((2, 15))),
        }

    def neuron(x: int, y: int) -> Network:
        if rng.random() < 0.2:
            return dict(SILENT) | {"weights": [0] * config["num_weights"]}
        return {
            "reset_potential": rng.choice((0, rng.randint(-large, large))),
            "weights": [rng.randint(-large, large) for _ in range(config["num_weights"])],
            "leak": rng.choice((0, 0, rng.randint(-large, large))),
            "positive_threshold": rng.choice((0, 1, rng.randint(1, large), rng.randint(-2, 3 * large))),
            "negative_threshold": rng.choice((0, rng.randint(-large, 0), rng.randint(-3 * large, 2))),
            **destination(x, y),
            "current_potential": rng.choice((0, rng.randint(-large, large))),
            "reset_mode": rng.randint(0, 1),
        }

    def core(x: int, y: int) -> Network:
        neurons = rng.randint(rng.randint(0, 1), config["num_neurons"])
        axons = rng.randint(rng.randint(0, 1), config["num_axons"])
        density = rng.choice((0.2, 0.6))
        return {
            "coordinates": [x, y],
            "axons": [rng.randrange(config["num_weights"]) for _ in range(axons)],
            "neurons": [neuron(x, y) for _ in range(neurons)],
            "connections": [[int(rng.random() < density) for _ in range(axons)] for _ in range(neurons)],
        }

    def packet() -> Network:
        goal = rng.choice([cell for cell in cells if cell != bus])
        return {
            "destination_core": list(goal),
            "destination_axon": rng.randrange(config["num_axons"]),
            "destination_tick": rng.choice((0, rng.randrange(config["max_tick_offset"]))),
        }

    network = {
        "packets": [[packet() for _ in range(rng.randint(0, 12))] for _ in range(rng.randint(0, 8))],
        "output_bus": {"coordinates": list(bus), "num_outputs": outputs},
        "cores": [core(x, y) for x, y in used],
    }
    return network, config
