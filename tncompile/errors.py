"""Every error that tncompile raises on purpose, with the exit code that the command line gives it.

A message says what is wrong, where, the limit against the actual value, and what to change.
"""

from __future__ import annotations

from dataclasses import dataclass


class TnCompileError(Exception):
    """Base of all errors that a user may meet.

    Attributes:
        exit_code: what `tncompile` exits with.
    """

    exit_code = 1


class ConfigError(TnCompileError):
    """The experiment, a chip description or the command line is not valid."""

    exit_code = 2


class InfeasibleError(TnCompileError):
    """The input is legal, but does not fit the chip."""

    exit_code = 3


class CapacityError(InfeasibleError):
    """More cores, axons, neurons or delays are needed than there are."""


class PlacementError(InfeasibleError):
    """No legal site is left for a core."""


class RoutingError(InfeasibleError):
    """A neuron's target is out of the reach of its address."""


class ArtifactError(TnCompileError):
    """A file is missing, truncated, altered, of another version or cannot be written."""

    exit_code = 4


class SimulationError(TnCompileError):
    """The chip image and the model disagree, or an input does not fit the image."""

    exit_code = 5


class InternalError(TnCompileError):
    """A fault of tncompile itself."""

    exit_code = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One broken invariant of a stage.

    Attributes:
        code: `stage/what`, listed in the `CODES` of the stage's verifier.
        where: the place: a layer, core, axon or neuron.
        limit: what is allowed.
        actual: what was found.
        hint: what to look at, or empty.
    """

    code: str
    where: str
    limit: str
    actual: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"[{self.code}] {self.where}: {self.actual}, must be {self.limit}{hint}"


class VerificationError(InternalError):
    """A stage breaks its own invariants; carries all violations that were found.

    Attributes:
        stage: the stage's name.
        violations: what was found, at most a few per code.
    """

    def __init__(self, stage: str, violations: tuple[Violation, ...]):
        self.stage = stage
        self.violations = violations
        lines = "\n".join(f"  {v}" for v in violations)
        super().__init__(f"{stage} breaks {len(violations)} invariant(s):\n{lines}")

    @property
    def codes(self) -> frozenset[str]:
        """The distinct codes of all violations."""
        return frozenset(v.code for v in self.violations)


class SemanticMismatch(InternalError):
    """Two stages compute different spikes from the same input."""
