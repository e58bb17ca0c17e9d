"""Numbers for people: rounded as far as they are known, with unit and interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Number = float | int
"""What a figure is; JSON writes whole ones as integers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A number with what is known of it.

    Attributes:
        label: what it is.
        value: None: it is not there.
        low, high: its interval; None: it is exact, or nobody knows.
        unit: behind it.
        digits: behind the point; None: as many as make three that count.
        command: what gives it.
    """

    label: str
    value: Number | None
    low: Number | None = None
    high: Number | None = None
    unit: str = ""
    digits: int | None = None
    command: str = ""

    @property
    def text(self) -> str:
        """The number with its unit."""
        return "–" if self.value is None else f"{self.number(self.value)} {self.unit}".rstrip()

    @property
    def span(self) -> str:
        """Its interval; empty if there is none."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        return f"{self.number(self.low)} … {self.number(self.high)}"

    def number(self, value: Number) -> str:
        """Returns a value as this amount's are written, without unit."""
        return short(value) if self.digits is None else f"{value:,.{self.digits}f}"

    def difference(self, other: Number | None) -> str:
        """Returns how far the number is from another one, with its sign; empty if it is not, or if one is missing.

        >>> Amount(label="accuracy", value=77.4, unit="%", digits=2).difference(83.41)
        '−6.01'
        """
        if self.value is None or other is None:
            return ""
        apart = self.value - other
        text = self.number(abs(apart))
        return f"{'+' if apart > 0 else '−'}{text}" if text.strip("0.") else ""


def interval(label: str, found: Mapping[str, Number] | None, unit: str, *, command: str = "") -> Amount:
    """Returns an amount of results.json with its keys `value`, `low` and `high`, or one that is not there."""
    found = found or {}
    low, high = found.get("low"), found.get("high")
    return Amount(label=label, value=found.get("value"), low=low, high=high, unit=unit, command=command)


def share_interval(share: float, count: int, confidence: float) -> tuple[float, float]:
    """Returns the interval of a share that was found in so many trials, which holds the true one with a confidence.

    References:
        Wilson 1927, J. Am. Stat. Assoc. 22:209 (the score interval).
    """
    from scipy.stats import binomtest

    found = binomtest(round(share * count), count).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)


def short(value: Number) -> str:
    """Returns a number with three digits that count, four from a hundred on; millions as such.

    >>> [short(value) for value in (0.0, 0.01234, 16.999, 204.4, 358170, 13776297.1)]
    ['0', '0.0123', '17.0', '204', '358,200', '13.8 M']
    """
    if abs(value) >= 1e6:
        size, letter = (1e9, "G") if abs(value) >= 1e9 else (1e6, "M")
        return f"{value / size:#.3g}".rstrip(".") + f" {letter}"
    if abs(value) >= 99.95 or value == int(value):
        return f"{round(value, min(0, 3 - math.floor(math.log10(max(abs(value), 1))))):,.0f}"
    return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}"


def percent(share: Number | None, digits: int = 1) -> str:
    """Returns a share as text in per cent.

    >>> percent(0.98664, 2), percent(None), percent(0.0002)
    ('98.66 %', '–', '0.02 %')
    """
    if share is None:
        return "–"
    small = 0 < 100 * abs(share) < 10.0**-digits
    return f"{100 * share:.1g} %" if small else f"{100 * share:.{digits}f} %"


def counted(number: int, noun: str) -> str:
    """Returns a number of things.

    >>> counted(1, "chip"), counted(3702, "core")
    ('1 chip', '3,702 cores')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
