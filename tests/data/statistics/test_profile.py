"""A profile by hand, against counting one by one, and independent of order and kind of ids."""

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import ITEM, ITEM_COLUMNS, POSITION, RATING, TIMESTAMP, USER
from crossrec.data.statistics.distributions import Bin
from crossrec.data.statistics.profile import ANY, Profile, item_counts, profile

DAY = 86_400
Row = tuple[str, str, float | None, int | None]


def events(rows: list[Row]) -> pl.DataFrame:
    schema = {USER: pl.String, ITEM: pl.String, RATING: pl.Float32, TIMESTAMP: pl.Int64}
    return pl.DataFrame(rows, schema, orient="row").with_columns(
        pl.lit(None, dtype=pl.Int64).alias(POSITION)
    )


def catalog(ids: list[str], **columns: list[str | None]) -> pl.DataFrame:
    table = pl.DataFrame({ITEM: ids, **columns}, schema_overrides=dict.fromkeys(columns, pl.String))
    return table.with_columns(
        pl.lit(None, dtype=pl.String).alias(column)
        for column in ITEM_COLUMNS
        if column not in table.columns
    )


ROWS: list[Row] = [
    ("u", "a", 5.0, 0),
    ("u", "b", 4.0, DAY),
    ("u", "a", None, 3 * DAY),
    ("v", "a", 5.0, None),
]
ITEMS = catalog(
    ["a", "b", "c", "d"],
    title=["red  cup ", None, "  ", "blue"],
    brand=["ACME", "Ü", "Q", None],
    image=["http://x/a.jpg", None, "", None],
)


def test_sizes_by_hand() -> None:
    found = profile(events(ROWS), ITEMS)
    assert (found.users, found.items, found.active_items, found.interactions) == (2, 4, 2, 4)
    assert found.repeated == 1
    assert found.density == 3 / (2 * 4)
    assert (found.ratings.known, found.ratings.missing) == (3, 1)
    assert (found.timestamps, found.positions) == (0.75, 0.0)
    assert found.times is not None
    assert list(found.times.events.values()) == [1, 1, 0, 1]
    assert found.per_user.histogram == (Bin(1, 1, 1), Bin(2, 3, 1))
    assert found.per_item.quantiles["100"] == 3.0
    assert found.item_gini == pytest.approx(0.25)
    assert found.popularity == ((1, 3), (2, 1))


def test_text_by_hand() -> None:
    text = profile(events(ROWS), ITEMS).text
    title = text["title"]  # of a and d; white space is no text
    assert (title.items, title.interactions) == (2 / 4, 3 / 4)
    assert title.words.mean == 1.5
    assert title.characters.quantiles["100"] == len("red  cup ")
    assert text["brand"].interactions == 1.0
    assert text["brand"].characters.quantiles["0"] == 1.0  # Ü is one character of two bytes
    assert text["description"].items == 0.0
    assert text["description"].words.mean is None
    both = text[ANY]  # a: red cup ACME; b: Ü; c: Q; d: blue
    assert (both.items, both.interactions, both.words.mean) == (1.0, 1.0, 6 / 4)
    assert both.characters.mean == (13 + 1 + 1 + 4) / 4


def test_media_by_hand() -> None:
    media = profile(events(ROWS), ITEMS).media
    assert (media["image"].items, media["image"].interactions) == (1 / 4, 3 / 4)
    assert (media["audio"].items, media["audio"].interactions) == (0.0, 0.0)


def test_popularity_is_told_at_spaced_ranks_and_the_last() -> None:
    rows: list[Row] = [(f"u{n}", f"i{k}", 1.0, 0) for k in range(10) for n in range(10 - k)]
    found = profile(events(rows), catalog([f"i{k}" for k in range(10)]))
    assert found.popularity == ((1, 10), (2, 9), (4, 7), (5, 6), (8, 3), (10, 1))


def test_json_holds_it() -> None:
    found = profile(events(ROWS), ITEMS).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["per_user"]["quantiles"]["50"] == 2.0


def test_a_domain_without_rows() -> None:
    found = profile(events([]), catalog([]))
    assert (found.users, found.density, found.times, found.popularity) == (0, 0.0, None, ())
    json.dumps(found.to_dict(), allow_nan=False)


PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40)


def numbered(pairs: list[tuple[int, int]]) -> pl.DataFrame:
    """The same interactions as `named`, with integers in place of ids."""
    table = named(pairs)
    users, items = ([pair[side] for pair in pairs] for side in (0, 1))
    return table.with_columns(pl.Series(USER, users), pl.Series(ITEM, items))


def named(pairs: list[tuple[int, int]]) -> pl.DataFrame:
    return events([(f"u{user}", f"i{item}", float(user), item * DAY) for user, item in pairs])


SIX = catalog([f"i{k}" for k in range(6)], title=["one", None, "two words", None, "x", "y z"])


@settings(deadline=None)
@given(PAIRS)
def test_counts_are_those_of_counting_one_by_one(pairs: list[tuple[int, int]]) -> None:
    found = profile(named(pairs), SIX)
    of_user, of_item = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    assert (found.users, found.active_items) == (len(of_user), len(of_item))
    assert found.repeated == len(pairs) - len(set(pairs))
    for spread, counts in ((found.per_user, of_user), (found.per_item, of_item)):
        assert spread.mean == pytest.approx(np.mean(list(counts.values())))
        assert spread.quantiles["100"] == max(counts.values())
    titled = sum(of_item[k] for k in (0, 2, 4, 5))
    assert found.text["title"].interactions == pytest.approx(titled / len(pairs))


@settings(max_examples=30, deadline=None)
@given(PAIRS, st.randoms(use_true_random=False))
def test_neither_order_nor_the_kind_of_ids_matters(pairs: list[tuple[int, int]], random) -> None:
    expected = profile(named(pairs), SIX)
    shuffled = random.sample(pairs, len(pairs))
    rows = random.sample(range(6), 6)
    assert profile(named(shuffled), SIX[rows]) == expected
    assert profile(numbered(shuffled), SIX) == expected
    both_numbered = SIX.with_columns(pl.Series(ITEM, range(6)))[rows]
    assert profile(numbered(shuffled), both_numbered) == expected


def test_interactions_of_each_item_of_the_catalog() -> None:
    assert item_counts(events(ROWS), ITEMS).tolist() == [3, 1, 0, 0]
    coded = events(ROWS).with_columns(pl.Series(ITEM, [0, 1, 0, 3]))
    assert item_counts(coded, ITEMS).tolist() == [2, 1, 0, 1]


def test_pairs_of_large_integers_are_told_apart() -> None:
    users, items = np.divmod(np.arange(250_000), 500)
    table = pl.DataFrame({USER: users + 2**32, ITEM: items * 2**20}).with_columns(
        pl.lit(None, dtype=pl.Float32).alias(RATING),
        pl.lit(None, dtype=pl.Int64).alias(TIMESTAMP),
        pl.lit(None, dtype=pl.Int64).alias(POSITION),
    )
    found: Profile = profile(
        table, catalog(["a"] * 500).with_columns(pl.Series(ITEM, np.arange(500) * 2**20))
    )
    assert (found.users, found.active_items, found.repeated) == (500, 500, 0)
    assert found.density == 1.0
