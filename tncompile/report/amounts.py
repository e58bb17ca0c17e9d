"""Estimated figures as text."""

from __future__ import annotations

from collections.abc import Mapping


def interval(figure: Mapping[str, float], unit: str) -> str:
    """Returns an estimated figure with its interval; without, if it follows from constants that were given.

    >>> interval({"value": 188.02, "low": 153.8, "high": 250.02}, "mW")
    '188 mW (154 … 250)'
    """
    value, low, high = (significant(figure[key]) for key in ("value", "low", "high"))
    return f"{value} {unit}" + ("" if figure["low"] == figure["high"] else f" ({low} … {high})")


def significant(number: float) -> str:
    """Returns a number to three digits, whole from 100 on.

    >>> [significant(n) for n in (0.01234, 1.5, 42.0, 1448.9)]
    ['0.0123', '1.5', '42', '1,449']
    """
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
