"""How numbers are spread: histograms, quantiles and concentration as plain numbers."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

QUANTILES = (0, 25, 50, 75, 90, 99, 100)
MAX_VALUES = 40  # more different ratings than these are counted in ranges
N_RANGES = 20
DAY = 86_400
MAX_DAYS, MAX_MONTHS = 92, 240  # longest spans that are told by day and by month

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Bin:
    """How many values lie from `low` to `high`."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Spread:
    """How whole numbers >= 1 are spread.

    Attributes:
        mean: None where there is no number.
        quantiles: percent ("0", "25", "50", "75", "90", "99", "100") -> value, linear between two
            values; empty where there is no number.
        histogram: bins from 2**k to 2**(k+1) - 1, from the first to the last one needed.
    """

    mean: float | None
    quantiles: dict[str, float]
    histogram: tuple[Bin, ...]


@dataclass(frozen=True)
class Ratings:
    """How many events have a rating, and which.

    Attributes:
        known, missing: events with a finite rating and without.
        mean: None where no rating is known.
        histogram: a bin for each value, low = high; where there are more than 40 values, 20 equal
            ranges up to the 99th percentile, the last of which is stretched to the highest value.
    """

    known: int
    missing: int
    mean: float | None
    histogram: tuple[Bin, ...]


@dataclass(frozen=True)
class Times:
    """When events happened.

    Attributes:
        first, last: dates, ISO 8601, UTC.
        unit: day, month or year, as the span is long.
        events: "2014-07-23", "2014-07" or "2014" -> events; every unit from first to last.
    """

    first: str
    last: str
    unit: str
    events: dict[str, int]


def spread(numbers: Counts) -> Spread:
    """The spread of whole numbers >= 1, (n,)."""
    if len(numbers) == 0:
        return Spread(None, {}, ())
    of_exponent = np.bincount(np.frexp(numbers.astype(np.float64))[1] - 1)
    exponents = range(int(np.flatnonzero(of_exponent)[0]), len(of_exponent))
    values = np.percentile(numbers, QUANTILES)
    return Spread(
        mean=float(numbers.mean()),
        quantiles={
            str(q): round(float(value), 2) for q, value in zip(QUANTILES, values, strict=True)
        },
        histogram=tuple(Bin(2**k, 2 ** (k + 1) - 1, int(of_exponent[k])) for k in exponents),
    )


def gini(counts: Counts) -> float:
    """Gini coefficient: 0 where all counts are the same, towards 1 where one has everything."""
    ordered = np.sort(counts).astype(np.float64)
    n = len(ordered)
    return share(float((2 * np.arange(1, n + 1) - n - 1) @ ordered), n * float(ordered.sum()))


def share(part: float, whole: float) -> float:
    """part / whole, and 0 of nothing."""
    return float(part / whole) if whole else 0.0


def rating_spread(ratings: pl.Series) -> Ratings:
    """The histogram of a column of ratings; NaN and infinite ones count as missing."""
    known = ratings.filter(ratings.is_finite())
    missing = len(ratings) - len(known)
    if known.is_empty():
        return Ratings(0, missing, None, ())
    counted = known.alias("value").value_counts(name="count").sort("value")
    values, counts = counted["value"].cast(pl.Float64).to_numpy(), counted["count"].to_numpy()
    if len(values) <= MAX_VALUES:
        places, edges = np.arange(len(values)), np.stack([values, values], axis=1)
    else:
        top = values[np.searchsorted(np.cumsum(counts), 0.99 * len(known))]
        steps = np.linspace(values[0], top if top > values[0] else values[-1], N_RANGES + 1)
        places = np.minimum(np.searchsorted(steps, values, side="right") - 1, N_RANGES - 1)
        edges = np.stack([steps[:-1], np.append(steps[1:-1], values[-1])], axis=1)
    of_bin = np.bincount(places, weights=counts, minlength=len(edges))
    bins = tuple(
        Bin(_six_digits(low), _six_digits(high), int(count))
        for (low, high), count in zip(edges, of_bin, strict=True)
    )
    return Ratings(len(known), missing, float(values @ counts / len(known)), bins)


def _six_digits(number: float) -> float:
    """4.1 for the float32 4.0999999."""
    return float(f"{number:.6g}")


def times(timestamps: pl.Series) -> Times | None:
    """When events happened, by their unix seconds; None where no time is known."""
    days = (timestamps.drop_nulls() // DAY).alias("day").value_counts(name="count").sort("day")
    if days.is_empty():
        return None
    dates = days["day"].to_numpy().astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    if dates[-1] - dates[0] < np.timedelta64(MAX_DAYS, "D"):
        unit, periods = "day", dates
    elif months[-1] - months[0] < np.timedelta64(MAX_MONTHS, "M"):
        unit, periods = "month", months
    else:
        unit, periods = "year", dates.astype("datetime64[Y]")
    places = (periods - periods[0]).astype(np.int64)
    counts = np.bincount(places, weights=days["count"].to_numpy()).astype(np.int64)
    names = np.datetime_as_string(periods[0] + np.arange(len(counts)))
    events = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return Times(str(dates[0]), str(dates[-1]), unit, events)
