"""Gini, head and head share, by hand and at their limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrec.evaluation.popularity_bias import gini, head, head_share, shown


def test_gini_at_its_limits():
    assert gini(np.full(7, 3)) == 0
    assert gini(np.array([0, 0, 0, 9])) == pytest.approx(3 / 4)
    assert gini(np.array([0, 1])) == pytest.approx(1 / 2)
    assert np.isnan(gini(np.zeros(4, dtype=int)))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any))
def test_gini_is_half_the_mean_difference_over_the_mean(times: list[int]):
    """Its definition: mean |x_i - x_j| over all pairs / (2 mean x)."""
    x = np.array(times)
    expected = np.abs(x[:, None] - x[None]).mean() / (2 * x.mean())
    assert gini(x) == pytest.approx(expected)


def test_how_often_items_are_shown():
    lists = np.array([[0, 1], [1, -1], [1, 3]])
    assert shown(lists, 5).tolist() == [1, 3, 0, 1, 0]


def test_the_head_are_the_most_popular_and_ties_go_by_code():
    assert np.flatnonzero(head(np.array([1, 9, 5, 5, 5]), 0.4)).tolist() == [1, 2]
    assert head(np.array([0, 2]), 0.2).tolist() == [False, True]  # one item at least


def test_the_share_of_a_list_counts_its_items_alone():
    in_head = np.array([True, False, False])
    lists = np.array([[0, 1], [0, -1], [-1, -1]])
    assert head_share(lists, in_head).value == pytest.approx((0.5 + 1.0) / 2)
