"""Intervals and tests against hand arithmetic and scipy's statistics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crossrec.evaluation.significance import holm, linearized, mean_interval, paired_test


def test_mean_interval_by_hand():
    # 1, 2, 3: mean 2, s = 1, t(2 degrees) = 4.3027.
    value, low, high = mean_interval(np.array([1.0, 2.0, 3.0, math.nan]))
    assert value == 2.0
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))


def test_mean_interval_of_little():
    assert mean_interval(np.array([5.0]))[0] == 5.0
    assert math.isnan(mean_interval(np.array([5.0])).low)
    assert math.isnan(mean_interval(np.array([math.nan])).value)


def test_mean_interval_is_scipys():
    values = np.random.default_rng(0).random(50)
    expected = stats.t.interval(0.9, 49, values.mean(), stats.sem(values))
    assert mean_interval(values, 0.9)[1:] == pytest.approx(expected)


def test_paired_test_is_scipys():
    generator = np.random.default_rng(1)
    a, b = generator.random(40) + 0.1, generator.random(40)
    ours = paired_test(a, b)
    theirs = stats.ttest_rel(a, b)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert ours.gain == pytest.approx(a.mean() - b.mean())
    assert ours.relative_gain == pytest.approx(a.mean() / b.mean() - 1)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval()))


def test_paired_test_at_its_limits():
    same = np.array([0.0, 0.3, 1.0])
    assert paired_test(same, same).p == 1.0
    assert paired_test(same + 0.5, same).p == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(paired_test(same[:1], same[:1]).p)
    assert math.isnan(paired_test(same, np.zeros(3)).relative_gain)
    holes = paired_test(np.array([1.0, math.nan, 3.0]), np.array([0.0, 9.0, 1.0]))
    assert holes.gain == 1.5


def test_holm_worked_example():
    # 0.01 * 4, 0.02 * 3, 0.03 * 2 = 0.06 (kept at 0.06), 0.5 * 1.
    assert holm([0.03, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])


def test_holm_skips_what_was_not_tested():
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.02)
    assert math.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.04)
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p)
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_linearized_mean_is_the_ratio_and_its_root():
    sums, counts = np.array([4.0, 1.0, 0.0, 3.0]), np.array([2.0, 1.0, 0.0, 1.0])
    assert linearized(sums, counts).mean() == pytest.approx(2.0)
    assert linearized(sums, counts, root=True).mean() == pytest.approx(math.sqrt(2))
    assert np.isnan(linearized(np.zeros(2), np.zeros(2))).all()
    assert linearized(np.zeros(2), np.ones(2), root=True).tolist() == [0.0, 0.0]


def test_linearized_with_one_event_a_user_is_the_values_themselves():
    values = np.random.default_rng(2).random(9)
    assert linearized(values, np.ones(9)) == pytest.approx(values)


def test_linearized_interval_covers_the_truth_as_often_as_it_says():
    """Users with 1 to 5 events and errors of their own size: 95% of intervals hold the RMSE."""
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        counts = generator.integers(1, 6, 200)
        own = generator.exponential(1.0, 200)  # mean squared error of a user: 1 on average
        sums = own * generator.chisquare(counts)
        _, low, high = mean_interval(linearized(sums, counts.astype(float), root=True))
        held += low <= 1.0 <= high
    assert 0.91 < held / 400 < 0.98
