"""Histograms, quantiles, concentration and time spans by hand, and against counting one by one."""

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.statistics.distributions import (
    N_RANGES,
    Bin,
    Counts,
    Ratings,
    Spread,
    gini,
    rating_spread,
    share,
    spread,
    times,
)


def numbers(*values: int) -> Counts:
    return np.array(values, dtype=np.int64)


def ratings(*values: float | None) -> pl.Series:
    return pl.Series("rating", values, dtype=pl.Float32)


def seconds(*dates: str) -> pl.Series:
    """Noon of each ISO date."""
    return pl.Series([int(datetime.fromisoformat(f"{d}T12:00+00:00").timestamp()) for d in dates])


def test_spread_by_hand() -> None:
    found = spread(numbers(9, 1, 3, 2, 5))
    assert found.mean == 4.0
    assert found.quantiles == {
        "0": 1.0,
        "25": 2.0,
        "50": 3.0,
        "75": 5.0,
        "90": 7.4,
        "99": 8.84,
        "100": 9.0,
    }
    assert found.histogram == (Bin(1, 1, 1), Bin(2, 3, 2), Bin(4, 7, 1), Bin(8, 15, 1))


def test_a_histogram_begins_where_the_numbers_do_and_has_no_gap() -> None:
    assert spread(numbers(4, 40)).histogram == (
        Bin(4, 7, 1),
        Bin(8, 15, 0),
        Bin(16, 31, 0),
        Bin(32, 63, 1),
    )


def test_the_spread_of_nothing() -> None:
    assert spread(numbers()) == Spread(None, {}, ())


@settings(deadline=None)
@given(st.lists(st.integers(1, 2**40), min_size=1))
def test_every_number_is_in_its_bin(values: list[int]) -> None:
    found = spread(np.array(values))
    assert [each.count for each in found.histogram] == [
        sum(each.low <= value <= each.high for value in values) for each in found.histogram
    ]
    assert sum(each.count for each in found.histogram) == len(values)


def test_gini_from_all_the_same_to_one_has_all() -> None:
    assert gini(numbers(3, 3, 3)) == 0
    assert gini(numbers(0, 1)) == pytest.approx(0.5)
    assert gini(numbers(1, 3)) == pytest.approx(0.25)
    assert gini(numbers(3, 1)) == pytest.approx(0.25)
    assert gini(np.array([1] * 999 + [10**9])) == pytest.approx(0.999, abs=1e-5)
    assert gini(numbers()) == 0


def test_share_of_nothing() -> None:
    assert (share(1, 4), share(0, 0)) == (0.25, 0.0)


def test_each_rating_is_counted_and_missing_ones_are() -> None:
    found = rating_spread(ratings(4.1, 5, None, 4.1, float("nan"), float("inf"), 0.5))
    assert found == Ratings(
        known=4,
        missing=3,
        mean=pytest.approx(13.7 / 4),
        histogram=(Bin(0.5, 0.5, 1), Bin(4.1, 4.1, 2), Bin(5.0, 5.0, 1)),
    )
    assert rating_spread(ratings(None, None)) == Ratings(0, 2, None, ())


def test_many_ratings_are_counted_in_ranges_and_the_last_holds_the_rest() -> None:
    found = rating_spread(ratings(*range(101), 5000))
    assert len(found.histogram) == N_RANGES
    assert found.histogram[0] == Bin(0, 5, 5)  # 0 to 4, and 5 begins the next
    assert found.histogram[-1] == Bin(95, 5000, 7)  # 95 to 100, and 5000
    assert sum(each.count for each in found.histogram) == found.known == 102
    lows = [each.low for each in found.histogram]
    assert lows == [5.0 * k for k in range(N_RANGES)]


def test_ranges_where_nearly_all_ratings_are_the_same() -> None:
    found = rating_spread(ratings(*[1.0] * 9900, *range(2, 52)))
    assert (found.histogram[0].low, found.histogram[-1].high) == (1, 51)
    assert found.histogram[0].count == 9902
    assert sum(each.count for each in found.histogram) == 9950


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200))
def test_no_rating_is_lost(values: list[float]) -> None:
    found = rating_spread(ratings(*values))
    assert sum(each.count for each in found.histogram) == len(values)
    assert found.histogram[0].low == pytest.approx(min(values), rel=1e-5, abs=1e-30)
    assert found.histogram[-1].high == pytest.approx(max(values), rel=1e-5, abs=1e-30)


def test_time_by_day_month_and_year_with_the_empty_ones_between() -> None:
    assert times(pl.Series([], dtype=pl.Int64)) is None
    assert times(pl.Series([None], dtype=pl.Int64)) is None
    days = times(seconds("2020-02-28", "2020-03-01", "2020-02-28"))
    assert days is not None
    assert asdict(days) == {
        "first": "2020-02-28",
        "last": "2020-03-01",
        "unit": "day",
        "events": {"2020-02-28": 2, "2020-02-29": 0, "2020-03-01": 1},
    }
    months = times(seconds("2019-11-30", "2020-03-01"))
    assert months is not None
    assert months.unit == "month"
    assert list(months.events.items()) == [
        ("2019-11", 1),
        ("2019-12", 0),
        ("2020-01", 0),
        ("2020-02", 0),
        ("2020-03", 1),
    ]
    years = times(seconds("1999-12-31", "2020-01-01"))
    assert years is not None
    assert (years.unit, len(years.events), years.events["1999"]) == ("year", 22, 1)


def test_a_day_ends_at_midnight_utc_before_1970_too() -> None:
    found = times(pl.Series([-1, 0, 86_399, 86_400]))
    assert found is not None
    assert found.events == {"1969-12-31": 1, "1970-01-01": 2, "1970-01-02": 1}


@settings(deadline=None)
@given(st.lists(st.integers(-(10**10), 10**11), min_size=1))
def test_every_time_is_counted(stamps: list[int]) -> None:
    found = times(pl.Series(stamps))
    assert found is not None
    assert sum(found.events.values()) == len(stamps)
    if max(stamps) < 2**31 and min(stamps) >= 0:
        form = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[found.unit]
        named = Counter(datetime.fromtimestamp(t, UTC).strftime(form) for t in stamps)
        assert {name: n for name, n in found.events.items() if n} == named
