"""What all verifiers share: a list of violations that is raised once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from tncompile.errors import VerificationError, Violation

SHOWN = 5
"""Violations of one code that are listed; the rest is counted."""


class Findings:
    """The violations of one stage, in the order in which they were found.

    Args:
        stage: name of the stage.
        codes: the codes that its verifier may use, each with the invariant in one line.
    """

    def __init__(self, stage: str, codes: dict[str, str]) -> None:
        self._stage = stage
        self._codes = codes
        self._shown: list[Violation] = []
        self._count: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many violations there are so far."""
        return self._count.total()

    def add(self, code: str, where: str, limit: object, actual: object, hint: str = "") -> None:
        """Notes one violation; arguments as in `Violation`."""
        if code not in self._codes:
            raise KeyError(code)
        self._count[code] += 1
        if self._count[code] <= SHOWN:
            self._shown.append(Violation(code=code, where=where, limit=str(limit), actual=str(actual), hint=hint))

    def add_each(
        self,
        code: str,
        bad: Bool[np.ndarray, "..."],
        describe: Callable[..., tuple[str, object, object]],
        hint: str = "",
    ) -> None:
        """Notes a violation at each True of `bad`; `describe(*index)` returns where, limit and actual."""
        if not bad.any():  # nearly always, and faster than to look for places
            return
        indices = np.argwhere(bad)
        for index in indices[:SHOWN].tolist():
            self.add(code, *describe(*index), hint)
        self._count[code] += len(indices[SHOWN:])

    def add_shapes(
        self, code: str, where: str, record: Any, expected: Mapping[str, tuple[tuple[int, ...], Any]]
    ) -> None:
        """Notes the arrays of a record that have not the expected shape and type."""
        for name, (shape, dtype) in expected.items():
            array = getattr(record, name)
            if not isinstance(array, np.ndarray):
                self.add(code, f"{where} {name}", f"an array of {np.dtype(dtype)}", type(array).__name__)
            elif array.shape != shape or array.dtype != dtype:
                self.add(
                    code, f"{where} {name}", f"{np.dtype(dtype)}{list(shape)}", f"{array.dtype}{list(array.shape)}"
                )

    def check(self) -> None:
        """Raises what was found so far, if anything.

        Called at the end, and before checks that can only be computed if all is well so far.

        Raises:
            VerificationError: with all violations.
        """
        if not self._shown:
            return
        rest = tuple(
            Violation(code=code, where="elsewhere", limit="none", actual=f"{count - SHOWN} more of these")
            for code, count in self._count.items()
            if count > SHOWN
        )
        raise VerificationError(self._stage, (*self._shown, *rest))
