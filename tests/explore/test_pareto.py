"""The Pareto front against its definition."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tncompile.explore.pareto import Better, Number, front

BETTER = st.lists(st.sampled_from(["max", "min"]), min_size=1, max_size=4)
VALUES = st.integers(0, 4) | st.none()
CASES = BETTER.flatmap(
    lambda better: st.tuples(
        st.lists(st.tuples(*[VALUES] * len(better)), max_size=12), st.just(better), st.randoms(use_true_random=False)
    )
)


def beats(one: Sequence[Number | None], other: Sequence[Number | None], better: Sequence[Better]) -> bool:
    """Says of two rows whether the first is at least as good in all and better in one."""
    if None in one or None in other:
        return False
    good = [(a >= b if which == "max" else a <= b) for a, b, which in zip(one, other, better, strict=True)]  # type: ignore[operator]
    return all(good) and tuple(one) != tuple(other)


@given(CASES)
def test_on_the_front_is_what_no_other_beats(case: tuple) -> None:
    rows, better, _ = case
    expected = [None not in row and not any(beats(other, row, better) for other in rows) for row in rows]
    assert front(rows, better) == expected


@given(CASES)
def test_who_is_beaten_is_beaten_by_one_on_the_front(case: tuple) -> None:
    rows, better, _ = case
    best = [row for row, on in zip(rows, front(rows, better), strict=True) if on]
    for row in rows:
        assert None in row or row in best or any(beats(other, row, better) for other in best)


@given(CASES)
def test_the_order_of_rows_and_the_sign_of_values_do_not_matter(case: tuple) -> None:
    rows, better, random = case
    order = random.sample(range(len(rows)), len(rows))
    expected = front(rows, better)
    assert front([rows[i] for i in order], better) == [expected[i] for i in order]
    turned = [tuple(None if value is None else -value for value in row) for row in rows]
    assert front(turned, ["min" if which == "max" else "max" for which in better]) == expected
