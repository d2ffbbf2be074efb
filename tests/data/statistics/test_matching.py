"""Shared users and items by hand, against sets, and the counts that real data are known by."""

import json
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import ITEM, ITEM_COLUMNS, USER
from crossrec.data.statistics.distributions import Bin, Spread
from crossrec.data.statistics.matching import Shared, match

Pairs = list[tuple[str, str]]


def events(pairs: Pairs) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema={USER: pl.String, ITEM: pl.String}, orient="row")


def catalog(*ids: str) -> pl.DataFrame:
    return pl.DataFrame({ITEM: ids}, schema={ITEM: pl.String}).with_columns(
        pl.lit(None, dtype=pl.String).alias(column) for column in ITEM_COLUMNS[1:]
    )


SOURCE = [("u", "a"), ("u", "b"), ("u", "a"), ("v", "x"), ("w", "b")]
TARGET = [("v", "x"), ("u", "x"), ("z", "y"), ("v", "y")]


def test_shared_users_and_items_by_hand() -> None:
    found = match(
        events(SOURCE), events(TARGET), catalog("a", "b", "x", "n"), catalog("x", "y", "n")
    )
    assert found.users == Shared(
        count=2,  # u and v
        of_source=2 / 3,
        of_target=2 / 3,
        source_interactions=4,
        target_interactions=3,
        of_source_interactions=4 / 5,
        of_target_interactions=3 / 4,
    )
    assert found.items == Shared(
        count=2,  # x, and n that nobody bought
        of_source=2 / 4,
        of_target=2 / 3,
        source_interactions=1,
        target_interactions=2,
        of_source_interactions=1 / 5,
        of_target_interactions=2 / 4,
    )
    assert found.source_history.mean == 2.0  # 3 of u, 1 of v
    assert found.source_history.histogram == (Bin(1, 1, 1), Bin(2, 3, 1))
    json.dumps(found.to_dict(), allow_nan=False)


def test_nothing_shared_and_nothing_there() -> None:
    nobody = Shared(0, 0.0, 0.0, 0, 0, 0.0, 0.0)
    apart = match(events(SOURCE[:1]), events(TARGET[:1]), catalog("a"), catalog("x"))
    assert (apart.users, apart.items) == (nobody, nobody)
    assert apart.source_history == Spread(None, {}, ())
    empty = match(events([]), events([]), catalog(), catalog())
    assert (empty.users, empty.items) == (nobody, nobody)


PAIRS = st.lists(st.tuples(st.sampled_from("uvwz"), st.sampled_from("abxyn")), max_size=25)


@settings(max_examples=50, deadline=None)
@given(PAIRS, PAIRS, st.randoms(use_true_random=False))
def test_overlaps_are_those_of_sets_in_any_order(source: Pairs, target: Pairs, random) -> None:
    catalogs = catalog("a", "b", "x", "n", "y"), catalog("x", "y", "n", "a", "b")
    found = match(events(source), events(target), *catalogs)
    both = {user for user, _ in source} & {user for user, _ in target}
    assert found.users.count == len(both)
    assert found.users.source_interactions == sum(user in both for user, _ in source)
    assert found.users.target_interactions == sum(user in both for user, _ in target)
    if both:
        history = Counter(user for user, _ in source if user in both)
        assert found.source_history.quantiles["100"] == max(history.values())
    again = match(
        events(random.sample(source, len(source))),
        events(random.sample(target, len(target))),
        *(table[random.sample(range(5), 5)] for table in catalogs),
    )
    assert again == found


@pytest.mark.parametrize("code_items", [True, False])
def test_integers_for_ids_make_no_difference(code_items: bool) -> None:
    users = {name: code for code, name in enumerate("uvwz")}
    catalogs = catalog("a", "b", "x"), catalog("x", "y")

    def coded(pairs: Pairs, items: pl.DataFrame) -> pl.DataFrame:
        rows = {name: row for row, name in enumerate(items[ITEM])}
        table = events(pairs).with_columns(pl.col(USER).replace_strict(users))
        return table.with_columns(pl.col(ITEM).replace_strict(rows)) if code_items else table

    found = match(coded(SOURCE, catalogs[0]), coded(TARGET, catalogs[1]), *catalogs)
    assert found == match(events(SOURCE), events(TARGET), *catalogs)
