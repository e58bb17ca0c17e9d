"""The chip, as data: every hardware number once, with its unit and its source.

`TRUENORTH` is the default; another chip is the same class with other numbers, from the `arch:` section of an
experiment. Nothing else in tncompile spells out a hardware number.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Site = tuple[int, int]
"""A core's place on the whole board, (x, y), counted in cores from the corner of chip (0, 0)."""


class ChipArch(BaseModel):
    """A board of equal chips, each a grid of equal cores.

    References:
        Akopyan et al. 2015, IEEE TCAD 34:1537 (grid, packets, spikes over a chip's edge); Cassidy et al. 2013, IJCNN
        (neuron widths).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(default="truenorth", min_length=1, description="the chip's name, for reports")
    axons: int = Field(default=256, ge=2, le=4096, description="axons a core")
    neurons: int = Field(default=256, ge=1, le=4096, description="neurons a core")
    axon_types: int = Field(default=4, ge=2, le=8, description="axon types, so synaptic weights, a neuron has")
    neuron: Literal["truenorth", "ranc"] = Field(
        default="truenorth",
        description="the neuron's equations; ranc: a potential beyond its range wraps, thresholds may have either "
        "sign, and there is no κ, no leak reversal, no random number and no reset mode 2",
    )
    negative_inclusive: bool = Field(
        default=False, description="ranc only: a potential equal to the negative threshold counts as below it"
    )
    weight_bits: int = Field(default=9, ge=2, le=16, description="synaptic weight, sign included [bit]")
    leak_bits: int = Field(default=9, ge=2, le=16, description="leak, sign and magnitude [bit]")
    threshold_bits: int = Field(
        default=18, ge=1, le=24, description="threshold and negative threshold, unsigned; ranc: sign included [bit]"
    )
    potential_bits: int = Field(
        default=20, ge=4, le=32, description="membrane potential, sign included; at most 28 for truenorth [bit]"
    )
    delay_max: int = Field(default=15, ge=1, le=63, description="longest delay of a spike [tick]; the shortest is 1")
    offset_bits: int = Field(default=9, ge=2, le=16, description="dx and dy of a packet, sign included [bit]")
    ticks_per_s: int = Field(default=1000, ge=1, description="ticks a second, nominally [1/s]")
    edge_spikes_per_s: int = Field(
        default=160_000_000, ge=1, description="spikes a second that a chip's four sides carry, all together [1/s]"
    )
    grid: tuple[int, int] = Field(default=(64, 64), description="cores of a chip in x and y", strict=False)
    board: tuple[int, int] = Field(default=(1, 1), description="chips in x and y", strict=False)
    dead_cores: tuple[Site, ...] = Field(default=(), description="faulty sites (x, y) on the board", strict=False)

    @model_validator(mode="after")
    def _check(self) -> ChipArch:
        for key, pair in (("grid", self.grid), ("board", self.board)):
            if min(pair) < 1:
                raise ValueError(f"{key}: both sizes must be at least 1, got {list(pair)}")
        if self.neurons % 8:
            raise ValueError(
                f"neurons: must be a multiple of 8 (crossbar rows are packed in bytes), got {self.neurons}"
            )
        if self.neuron == "truenorth" and self.potential_bits > 28:
            raise ValueError(f"potential_bits: at most 28 with neuron truenorth, got {self.potential_bits}")
        if self.neuron == "truenorth" and self.negative_inclusive:
            raise ValueError("negative_inclusive: only with neuron ranc")
        width, height = self.size
        if width * height > 1 << 20:
            raise ValueError(f"grid and board: at most {1 << 20} cores in all, got {width * height}")
        for x, y in self.dead_cores:
            if not (0 <= x < width and 0 <= y < height):
                raise ValueError(f"dead_cores: site ({x}, {y}) is off the board of {width} x {height} cores")
        if len(set(self.dead_cores)) != len(self.dead_cores):
            raise ValueError("dead_cores: a site is named twice")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Cores of the whole board in x and y."""
        return self.grid[0] * self.board[0], self.grid[1] * self.board[1]

    @property
    def chips(self) -> int:
        """Chips on the board; chip (i, j) has the number i + board_x · j."""
        return self.board[0] * self.board[1]

    @property
    def weight_max(self) -> int:
        """Largest magnitude of a synaptic weight [LSB]."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def leak_max(self) -> int:
        """Largest magnitude of a leak [LSB]."""
        return (1 << (self.leak_bits - 1)) - 1

    @property
    def threshold_range(self) -> tuple[int, int]:
        """Smallest and largest α, and of β the same with the ends' signs changed [LSB]."""
        if self.neuron == "ranc":
            half = 1 << (self.threshold_bits - 1)
            return -half, half - 1
        return 0, (1 << self.threshold_bits) - 1

    @property
    def potential_range(self) -> tuple[int, int]:
        """Smallest and largest membrane potential [LSB]; sums saturate there, or wrap (`neuron`)."""
        half = 1 << (self.potential_bits - 1)
        return -half, half - 1

    @property
    def offset_max(self) -> int:
        """Largest |dx| or |dy| of a packet [core]."""
        return (1 << (self.offset_bits - 1)) - 1

    @property
    def edge_spikes_per_tick(self) -> float:
        """Spikes a tick that a chip's four sides carry, all together [1/tick]."""
        return self.edge_spikes_per_s / self.ticks_per_s

    def chip_of(self, x: int, y: int) -> int:
        """Returns the number of the chip that site (x, y) lies on."""
        return x // self.grid[0] + self.board[0] * (y // self.grid[1])

    def capacity(self, chip: int) -> int:
        """Returns how many working cores a chip has."""
        dead = sum(1 for x, y in self.dead_cores if self.chip_of(x, y) == chip)
        return self.grid[0] * self.grid[1] - dead


TRUENORTH = ChipArch()
"""One TrueNorth chip: 64 × 64 cores of 256 axons and 256 neurons (Akopyan 2015)."""
