"""Options of `place`, in a module of their own for the algorithms to import."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tncompile.arch import Site
from tncompile.config import Config


class PlaceConfig(Config):
    """Options of `place`: what the algorithms are told besides the problem."""

    algorithm: Literal["row_major", "hilbert", "random", "spectral", "annealing"] = Field(
        "annealing", description="annealing makes what `start` gives shorter; the others stand for themselves"
    )
    start: Literal["row_major", "hilbert", "random", "spectral"] = Field(
        "spectral", description="what annealing begins with"
    )
    moves: int = Field(
        1000,
        ge=0,
        le=1_000_000_000,
        description="moves a core that annealing tries, for 1000 cores at least; 0 = no annealing",
    )
    seconds: float | None = Field(
        None,
        gt=0,
        description="what placing takes in place of counting moves; the result then depends on the machine [s]",
    )
    heat: float = Field(
        2.0,
        gt=0,
        description="annealing's first temperature over the one at which the start would neither shrink nor grow",
    )
    congestion: float = Field(
        0.0,
        ge=0,
        description="length that one arc on the busiest link counts for; it then gets a share of `seconds`; 0 = only"
        " wirelength counts [hop]",
    )
    fixed: dict[int, Site] = Field(
        {}, description='site on the board of each core that must not move, by its number: `{"0": [5, 6]}`'
    )
