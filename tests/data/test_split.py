"""Which images are held out: whole groups, by their names alone, alike in all classes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tncompile.config.data import DataConfig
from tncompile.data import load_dataset
from tncompile.data.split import hold_out


@given(
    items=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=60),
    share=st.floats(0.01, 0.99),
    order=st.randoms(use_true_random=False),
)
def test_no_group_is_torn_apart_whatever_the_order(items: list[tuple[int, int]], share: float, order: object) -> None:
    y, group = (np.array(column) for column in zip(*items, strict=True))
    held = hold_out(y, group, share)
    assert not set(group[held]) & set(group[~held])
    shuffled = np.array(order.sample(range(len(y)), len(y)))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(hold_out(y[shuffled], group[shuffled], share), held[shuffled])
    # As the docstring has it, group by group.
    classes = {g: set(y[group == g]) for g in set(group)}
    strata: dict[int, list[int]] = {}
    for g, found in classes.items():
        strata.setdefault(found.pop() if len(found) == 1 else -1, []).append(g)
    expected = set()
    for members in strata.values():
        members.sort(key=lambda g: hashlib.sha256(str(g).encode()).hexdigest())
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        expected |= set(members[:count])
    assert set(group[held]) == expected


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_single_images_are_held_out_class_by_class(share: float) -> None:
    y = np.repeat([0, 1, 2], [100, 40, 8])
    counts = np.bincount(y[hold_out(y, None, share)])
    assert counts.tolist() == [round(100 * share), round(40 * share), max(round(8 * share), 1)]


def test_groups_may_have_names() -> None:
    y, group = np.zeros(6, int), np.array(["anna", "anna", "bert", "bert", "carl", "carl"])
    held = hold_out(y, group, 0.3)
    first = min(("anna", "bert", "carl"), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert set(group[held]) == {first}


def test_nothing_is_held_out_for_nothing() -> None:
    assert not hold_out(np.zeros(5, int), None, 0.0).any()
    assert not hold_out(np.arange(5), None, 0.9).any()  # each is all that there is of its class


def test_a_data_set_with_validation() -> None:
    whole, data = (load_dataset(DataConfig(name="digits", validation=share)) for share in (0.0, 0.2))
    assert whole.x_validation.shape == (0, 8, 8, 1)
    assert len(data.x_train) + len(data.x_validation) == len(whole.x_train)
    together = [x.tobytes() for x in (*data.x_train, *data.x_validation)]
    assert sorted(together) == sorted(x.tobytes() for x in whole.x_train)
    np.testing.assert_array_equal(data.x_test, whole.x_test)
    counts = np.bincount(whole.y_train)
    assert np.abs(np.bincount(data.y_validation) - 0.2 * counts).max() <= 0.5
    limited = load_dataset(DataConfig(name="digits", validation=0.2, train_limit=50, test_limit=9))
    np.testing.assert_array_equal(limited.x_validation, data.x_validation)
    np.testing.assert_array_equal(limited.x_train, data.x_train[:50])
    assert len(limited.x_test) == 9
