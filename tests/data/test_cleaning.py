"""Each step by hand, the fixpoint of the k-core, order independence, and what is refused."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crossrec.data.cleaning import clean, reviews_of
from crossrec.data.columns import (
    INTERACTION_COLUMNS,
    ITEM,
    ITEM_COLUMNS,
    RATING,
    REVIEW,
    ROW,
    TIMESTAMP,
    USER,
)
from crossrec.data.raw import RawDomain
from crossrec.errors import UserError

Row = tuple[str | None, str | None, float | None, int | None]
SCALE = (1.0, 5.0)


def domain(rows: list[Row], items: tuple[str, ...] = ("a", "b", "c", "z")) -> RawDomain:
    """A raw domain of (user, item, rating, timestamp) rows; each item's title is its id twice."""
    events = pl.DataFrame(
        rows,
        schema={USER: pl.String, ITEM: pl.String, RATING: pl.Float32, TIMESTAMP: pl.Int64},
        orient="row",
    ).with_columns(
        position=pl.lit(None, dtype=pl.Int64),
        review=pl.lit(None, dtype=pl.String),
    )
    events = events.with_row_index(ROW)
    table = pl.DataFrame({ITEM: items}).with_columns(title=pl.col(ITEM) + pl.col(ITEM))
    table = table.with_columns(
        pl.lit(None, dtype=pl.String).alias(column) for column in ITEM_COLUMNS[2:]
    )
    return RawDomain("Toys", events.lazy(), table.lazy(), (Path("toys.csv"),), len(rows) + 2, 2)


def pairs(events: pl.DataFrame) -> list[tuple[str, str]]:
    return list(events.select(USER, ITEM).iter_rows())


def test_sorted_with_all_columns_and_the_items_left() -> None:
    raw = domain([("v", "b", 3.0, 1), ("u", "b", 2.0, 9), ("u", "a", 5.0, 4), ("u", "q", 1.0, 4)])
    events, items, report = clean(raw, SCALE)
    assert tuple(events.columns) == (*INTERACTION_COLUMNS[:-1], ROW)
    assert events[ROW].to_list() == [2, 3, 1, 0]
    assert pairs(events) == [("u", "a"), ("u", "q"), ("u", "b"), ("v", "b")]
    assert items.columns == list(ITEM_COLUMNS)
    assert items["title"].to_list() == ["aa", "bb", None]  # z is gone, q has no metadata
    assert (report.n_lines, report.n_malformed) == (6, 2)
    assert str(report).endswith("2 users and 3 items left")


def test_missing_ids_are_dropped_and_counted() -> None:
    raw = domain([("u", "a", 3.0, 1), (None, "a", 3.0, 1), ("u", None, 3.0, 1), ("", "a", 3.0, 1)])
    events, _, report = clean(raw, SCALE)
    assert pairs(events) == [("u", "a")]
    assert [(step.step, step.interactions) for step in report.steps[:2]] == [
        ("read", 4),
        ("with ids", 1),
    ]


@pytest.mark.parametrize(
    ("duplicates", "expected"), [("first", [2.0]), ("last", [4.0]), ("keep", [2.0, 3.0, 4.0])]
)
def test_duplicates(duplicates: str, expected: list[float]) -> None:
    raw = domain([("u", "a", 3.0, 2), ("u", "a", 4.0, 3), ("u", "a", 2.0, 1)])
    events, _, _ = clean(raw, SCALE, duplicates=duplicates)
    assert events[RATING].to_list() == expected


def test_low_ratings_go_and_missing_ones_stay() -> None:
    raw = domain([("u", "a", 3.0, 1), ("u", "b", 2.5, 2), ("u", "c", None, 3)])
    assert pairs(clean(raw, SCALE, min_rating=3)[0]) == [("u", "a"), ("u", "c")]


def test_nan_is_a_missing_rating() -> None:
    events, _, _ = clean(domain([("u", "a", float("nan"), 1)]), SCALE)
    assert events[RATING].to_list() == [None]


def test_core_is_repeated_to_the_fixpoint_and_once_is_once() -> None:
    # Item c has one event, so user w is left with one, so item b is left with one, ...
    rows = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "d"), ("x", "a"), ("x", "d"), ("w", "b")]
    raw = domain([(user, item, 3.0, 1) for user, item in [*rows, ("w", "c")]])
    core, _, _ = clean(raw, SCALE, min_user=2, min_item=2)
    assert pairs(core) == [("v", "a"), ("v", "d"), ("x", "a"), ("x", "d")]
    once, _, _ = clean(raw, SCALE, min_user=2, min_item=2, core=False)
    assert pairs(once) == [("u", "a"), ("u", "b"), *pairs(core)]


EDGES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(EDGES, st.integers(1, 3), st.integers(1, 3))
def test_core_is_the_largest_set_that_holds_both_thresholds(
    edges: list[tuple[int, int]], min_user: int, min_item: int
) -> None:
    left = set(edges)
    while True:
        kept = {
            (u, i)
            for u, i in left
            if sum(v == u for v, _ in left) >= min_user and sum(j == i for _, j in left) >= min_item
        }
        if kept == left:
            break
        left = kept
    raw = domain([(str(u), str(i), 3.0, 1) for u, i in edges])
    if not left:
        with pytest.raises(UserError, match="Toys is empty"):
            clean(raw, SCALE, min_user=min_user, min_item=min_item)
        return
    events, _, _ = clean(raw, SCALE, min_user=min_user, min_item=min_item)
    assert pairs(events) == sorted((str(u), str(i)) for u, i in left)


@settings(max_examples=40, deadline=None)
@given(EDGES, st.integers(0, 10**6), st.sampled_from(["first", "last", "keep"]))
def test_row_order_makes_no_difference(
    edges: list[tuple[int, int]], seed: int, duplicates: str
) -> None:
    generator = np.random.default_rng(seed)
    rows: list[Row] = [
        (str(u), str(i), float(generator.integers(1, 6)), int(generator.integers(0, 3)))
        for u, i in edges
    ]
    shuffled = [rows[place] for place in generator.permutation(len(rows))]
    one, items_one, _ = clean(domain(rows), SCALE, duplicates=duplicates)
    two, items_two, _ = clean(domain(shuffled), SCALE, duplicates=duplicates)
    assert_frame_equal(one.drop(ROW), two.drop(ROW))
    assert_frame_equal(items_one, items_two)


def reviewed(reviews: list[str | None]) -> RawDomain:
    """As many events of one user with one item, alike but for their reviews."""
    raw = domain([("u", "a", 3.0, 1)] * len(reviews))
    events = raw.interactions.with_columns(pl.Series(REVIEW, reviews, dtype=pl.String))
    return RawDomain("Toys", events, raw.items, (), len(reviews), 0)


@pytest.mark.parametrize("reviews", [["x", "y", "z"], ["z", "y", "x"], ["y", "x", "z"]])
def test_equal_events_are_ordered_by_their_review(reviews: list[str]) -> None:
    raw = reviewed(reviews)
    first, _, _ = clean(raw, SCALE)
    every, _, _ = clean(raw, SCALE, duplicates="keep")
    assert reviews_of(raw, first[ROW]).collect().rows() == [("a", "x")]
    assert [reviews[row] for row in every[ROW]] == ["x", "y", "z"]


def test_reviews_of_the_asked_events_alone() -> None:
    raw = reviewed(["x", None, "y"])
    assert reviews_of(raw, pl.Series([1, 2], dtype=pl.UInt32)).collect().rows() == [("a", "y")]


def test_ratings_outside_the_scale_are_refused_with_an_example() -> None:
    raw = domain([("u", "a", 3.0, 1), ("u", "b", 10.0, 2), ("v", "b", 0.0, 2)])
    with pytest.raises(UserError, match=r"Toys: 2 of 3 ratings .* 1 to 5, .* 10 by user 'u'"):
        clean(raw, SCALE)
    events, _, report = clean(raw, SCALE, max_out_of_scale=0.7)
    assert pairs(events) == [("u", "a")]
    assert report.steps[2].interactions == 1


def test_without_a_scale_any_rating_is_kept() -> None:
    assert len(clean(domain([("u", "a", 99.0, 1)]), None)[0]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_user": 3}, r"Toys is empty .*min_user \(now 3\) or cleaning.min_item \(now 1\)"),
        ({"min_rating": 4.5}, r"none is rated high enough; ..*min_rating \(now 4.5\)"),
        ({"min_user": 0}, "must be >= 1"),
        ({"duplicates": "newest"}, "first, last or keep, got 'newest'"),
        ({"max_out_of_scale": -1.0}, "share from 0 to 1"),
        ({"rating_scale": (5.0, 1.0)}, r"\[lowest, highest\]"),
    ],
)
def test_refusals(arguments: dict[str, object], message: str) -> None:
    raw = domain([("u", "a", 3.0, 1), ("u", "b", 4.0, 1)])
    with pytest.raises(UserError, match=message):
        clean(raw, **{"rating_scale": SCALE, **arguments})


def test_a_domain_without_events_names_its_file() -> None:
    with pytest.raises(UserError, match=r"Toys has no interactions: check toys\.csv"):
        clean(domain([]), SCALE)
