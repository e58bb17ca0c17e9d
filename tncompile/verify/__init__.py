"""Verifiers: one module a stage, each recomputes the stage's invariants from first principles.

A verifier shares no code with the passes. It collects all violations and raises once; each violation has a code, and
the module's `CODES` says in one line what the code stands for.
"""

from __future__ import annotations

from tncompile.arch import ChipArch
from tncompile.errors import InternalError
from tncompile.ir import (
    ChipImage,
    CoreGraph,
    LogicalNet,
    PartitionedGraph,
    PlacedChip,
    RoutedChip,
    Stage,
    TrinaryNet,
)
from tncompile.verify import core_graph, image, logical, partitioned, placed, routed, trinary

__all__ = ["ALL_CODES", "verify"]

_MODULES = (logical, trinary, core_graph, partitioned, placed, routed, image)

ALL_CODES: dict[str, str] = {code: line for module in _MODULES for code, line in module.CODES.items()}
"""Every violation code, with its invariant in one line."""


def verify(stage: Stage, arch: ChipArch) -> None:
    """Checks a stage by itself against its invariants; the stages that it refers to count as verified.

    A chip image can also be compared with the routed chip that it was made from: `verify.image.verify_against`.

    Raises:
        VerificationError: with all violations.
        InternalError: nothing verifies this kind of stage.
    """
    match stage:
        case LogicalNet():
            logical.verify(stage, arch)
        case TrinaryNet():
            trinary.verify(stage, arch)
        case CoreGraph():
            core_graph.verify(stage, arch)
        case PartitionedGraph():
            partitioned.verify(stage, arch)
        case PlacedChip():
            placed.verify(stage, arch)
        case RoutedChip():
            routed.verify(stage, arch)
        case ChipImage():
            image.verify(stage, arch)
        case _:
            raise InternalError(f"verify: no verifier for a stage of type {type(stage).__name__}")
