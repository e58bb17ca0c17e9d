"""The chip, as data: every hardware number once, with its unit and its source.

`TRUENORTH` is the default; another chip is the same class with other numbers, from the `arch:` section of an
experiment. Nothing else in tncompile spells out a hardware number.
"""

from __future__ import annotations

from functools import lru_cache
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
    neurons: int = Field(default=256, ge=1, le=4096, description="neurons a core, a multiple of 8")
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
    dead_cores: tuple[Site, ...] = Field(
        default=(), description="sites (x, y) on the board whose core is faulty; their routers work", strict=False
    )
    faulty_routers: tuple[Site, ...] = Field(
        default=(), description="sites (x, y) on the board that no packet may pass, nor reach", strict=False
    )

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
        for key, sites in (("dead_cores", self.dead_cores), ("faulty_routers", self.faulty_routers)):
            for x, y in sites:
                if not (0 <= x < width and 0 <= y < height):
                    raise ValueError(f"{key}: site ({x}, {y}) is off the board of {width} x {height} cores")
            if len(set(sites)) != len(sites):
                raise ValueError(f"{key}: a site is named twice")
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

    @property
    def cut_off(self) -> tuple[Site, ...]:
        """Sites of working routers that faulty ones part from most of the board, sorted.

        Packets go from router to router along x and y, with a core that relays them where they must turn more often
        than x first, then y: so what is joined side by side can be reached, and nothing else.
        """
        return _cut_off(self.size, self.faulty_routers)

    @property
    def blockages(self) -> frozenset[Site]:
        """Sites that no core may have: faulty cores, faulty routers, and what these cut off."""
        return frozenset((*self.dead_cores, *self.faulty_routers, *self.cut_off))

    @property
    def defects(self) -> str:
        """What cannot be used of the board, in words: of which kind, and where for what is cut off."""
        kinds = [f"{len(self.dead_cores)} faulty"]
        kinds += [f"{len(self.faulty_routers)} with faulty routers"] if self.faulty_routers else []
        if self.cut_off:
            named = ", ".join(map(str, self.cut_off[:5])) + (", …" if len(self.cut_off) > 5 else "")
            kinds.append(f"{len(self.cut_off)} cut off by these: {named}")
        return ", ".join(kinds)

    def capacity(self, chip: int) -> int:
        """Returns how many cores of a chip can be used."""
        blocked = sum(1 for x, y in self.blockages if self.chip_of(x, y) == chip)
        return self.grid[0] * self.grid[1] - blocked


@lru_cache(maxsize=8)
def _cut_off(size: tuple[int, int], faulty: tuple[Site, ...]) -> tuple[Site, ...]:
    """Returns the sites whose routers work but are not joined to the largest part of the board."""
    if not faulty:
        return ()
    (width, height), seen = size, set(faulty)
    parts: list[list[Site]] = []
    for first in ((x, y) for y in range(height) for x in range(width)):
        if first in seen:
            continue
        seen.add(first)
        part = [first]
        for x, y in part:  # which grows meanwhile
            for near in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                if 0 <= near[0] < width and 0 <= near[1] < height and near not in seen:
                    seen.add(near)
                    part.append(near)
        parts.append(part)
    largest = max(parts, key=len, default=[])
    return tuple(sorted(site for part in parts if part is not largest for site in part))


TRUENORTH = ChipArch()
"""One TrueNorth chip: 64 × 64 cores of 256 axons and 256 neurons (Akopyan 2015)."""
