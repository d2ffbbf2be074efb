"""Ids go in as strings, count as integers and come out as they were: a million of each kind."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_series_equal

from crossrec.data.cleaning import number
from crossrec.data.columns import ITEM, POSITION, RATING, SPLIT, TIMESTAMP, TITLE, USER
from crossrec.data.pair import align
from crossrec.data.splits.draws import grouped

MILLION = 1_000_000
# What is easily taken for one another: zeros before and after, case, accents written as one sign
# or two, a Latin and a Cyrillic a, width, white space, and what a float or a sign would swallow.
FORMS = (
    "{}", "0{}", "00{}", "{}.0", "+{}", "-{}", " {}", "{} ", "\t{}", "{}\u00a0", "{}\n", "a{}",
    "A{}", "\u0430{}", "\uff41{}", "e\u0301{}", "\u00e9{}", "\u00df{}", "ss{}", "\U0001f3b8{}",
    "{}e0", "\u0661{}", "null{}", "\\{}", '"{}"',
)  # fmt: skip


def look_alikes(n_ids: int, kind: str) -> pl.Series:
    """(n_ids,) different strings in an order that is not their own; some are long."""
    each = n_ids // len(FORMS)
    numbers = pl.Series(np.arange(each)).cast(pl.String)
    ids = pl.concat(
        pl.select(pl.format(form.replace("{}", kind + "{}"), numbers)).to_series() for form in FORMS
    )
    long = pl.when(pl.int_range(pl.len()) % 1000 == 0).then(pl.lit("x" * 999)).otherwise(pl.lit(""))
    ids = ids.to_frame("id").select(pl.col("id") + long).to_series()
    shuffled = np.random.default_rng(0).permutation(n_ids)
    return ids[shuffled]


@pytest.fixture(scope="module")
def users() -> pl.Series:
    return look_alikes(MILLION, "")


def test_the_ids_are_a_million_and_no_two_are_alike(users: pl.Series) -> None:
    assert len(users) == users.n_unique() == MILLION
    assert users.str.len_bytes().max() > 1000


def test_numbers_lead_back_to_every_id(users: pl.Series) -> None:
    codes, names = number(users)
    assert np.bincount(codes).tolist() == [1] * MILLION
    assert_series_equal(names.gather(codes), users, check_names=False)
    for column in (users, names):  # in any order, and in that of the names
        codes, found = grouped(column)
        assert_series_equal(found, names, check_names=False)
        assert_series_equal(found.gather(codes), column, check_names=False)


def test_a_pair_leads_back_to_every_id(users: pl.Series) -> None:
    # In the source every user buys one item, in the target every other user; and every tenth item
    # is in both domains.
    items = look_alikes(MILLION, "i")
    target_items = pl.concat([items[::10], items[::2] + "t"]).unique().sort()
    bought = target_items.gather(np.arange(MILLION // 2) % len(target_items))
    source, target = events(users, items), events(users[::2], bought)
    pair = align(
        ("home", source, catalog(items.sort())),
        ("tech", target, catalog(target_items)),
        "cut",
        TIMESTAMP,
    )
    assert_series_equal(pair.source.user_ids, users.sort(), check_names=False)
    for domain, expected in ((pair.source, source), (pair.target_only, target)):
        user, item, rating = domain.train_events()
        found = pl.DataFrame(
            {
                USER: domain.user_ids.gather(user.numpy()),
                ITEM: domain.items[ITEM].gather(item.numpy()),
                RATING: rating.numpy(),
            }
        )
        assert found.sort(RATING).equals(expected.select(USER, ITEM, RATING).sort(RATING))
    shared = pair.source.user_ids.gather(pair.shared_users.numpy())
    assert_series_equal(shared.sort(), users[::2].sort(), check_names=False)
    in_target, in_source = pair.shared_items.numpy().T
    shared = pair.target.items[ITEM].gather(in_target)
    assert_series_equal(shared, pair.source.items[ITEM].gather(in_source))
    assert_series_equal(shared.sort(), items[::10].sort(), check_names=False)


def events(users: pl.Series, items: pl.Series) -> pl.DataFrame:
    """One train event a user, in the order of users; the rating is the number of the event."""
    table = pl.DataFrame({USER: users, ITEM: items}).with_columns(
        pl.int_range(pl.len()).cast(pl.Float32).alias(RATING),
        pl.lit(1, pl.Int64).alias(TIMESTAMP),
        pl.lit(None, pl.Int64).alias(POSITION),
        pl.lit("train").alias(SPLIT),
    )
    return table.sort(USER)


def catalog(ids: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({ITEM: ids, TITLE: pl.Series([None] * len(ids), dtype=pl.String)})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=30))
def test_any_text_is_an_id(ids: list[str]) -> None:
    codes, names = number(pl.Series(ids))
    assert names.gather(codes).to_list() == ids
    assert names.to_list() == sorted(set(ids), key=str.encode)
