"""Alignment of two domains: codes, order in time, and that no history knows the future."""

import polars as pl
import pytest

from crossrec.data.columns import ITEM, ITEM_COLUMNS, POSITION, RATING, SPLIT, TIMESTAMP, USER
from crossrec.data.leakage import in_future
from crossrec.data.pair import DomainPair, align, time_order
from crossrec.data.sequences import Sequences


def events(rows: list[tuple[str, str, int | None, str]]) -> pl.DataFrame:
    """(user, item, time, split) rows."""
    return pl.DataFrame(
        {
            USER: [row[0] for row in rows],
            ITEM: [row[1] for row in rows],
            RATING: [float(i) for i in range(len(rows))],
            TIMESTAMP: [row[2] for row in rows],
            POSITION: [None] * len(rows),
            SPLIT: [row[3] for row in rows],
        },
        schema_overrides={TIMESTAMP: pl.Int64, POSITION: pl.Int64, RATING: pl.Float32},
    )


def items(*ids: str) -> pl.DataFrame:
    return pl.DataFrame(
        {column: list(ids) if column == ITEM else [None] * len(ids) for column in ITEM_COLUMNS}
    )


SOURCE = events(
    [
        ("ann", "s0", 1, "train"),
        ("ann", "s1", 5, "train"),
        ("ann", "s2", 20, "test"),
        ("bob", "s1", 2, "train"),
    ]
)
TARGET = events(
    [
        ("ann", "t0", 4, "train"),
        ("ann", "t1", 5, "valid"),
        ("ann", "t2", 9, "test"),
        ("cid", "s1", 1, "train"),
    ]
)
SOURCE_ITEMS, TARGET_ITEMS = items("s0", "s1", "s2"), items("s1", "t0", "t1", "t2")


def past(source: pl.DataFrame, cut_at: str) -> pl.DataFrame:
    return source.filter(~in_future(source, TARGET, TIMESTAMP, cut_at))


def pair(order: str) -> DomainPair:
    source = past(SOURCE, "user") if order == "cut" else SOURCE
    time = TIMESTAMP if order == "cut" else None
    return align(("home", source, SOURCE_ITEMS), ("tech", TARGET, TARGET_ITEMS), order, time)


def history(sequences: Sequences, user: int) -> list[int]:
    row = sequences.users.tolist().index(user)
    return sequences.items[sequences.offsets[row] : sequences.offsets[row + 1]].tolist()


def test_users_have_one_code_and_source_items_follow_the_targets() -> None:
    aligned = pair("cut")
    assert aligned.target.user_ids.to_list() == ["ann", "bob", "cid"]
    assert aligned.shared_users.tolist() == [0]
    assert aligned.shared_items.tolist() == [[0, 1]]
    assert (aligned.target.n_items, aligned.target.n_context) == (4, 3)
    assert (aligned.source.n_items, aligned.source.n_context) == (3, 0)
    assert aligned.target_only.n_context == 0


def test_source_events_at_or_after_the_test_event_are_cut() -> None:
    kept = past(SOURCE, "user")
    assert kept[ITEM].to_list() == ["s0", "s1", "s1"]
    later = SOURCE.with_columns(pl.lit(9).cast(pl.Int64).alias(TIMESTAMP))
    assert past(later, "user")[USER].to_list() == ["bob"]


def test_a_global_cut_is_the_same_for_all_users() -> None:
    late = SOURCE.with_columns(pl.col(TIMESTAMP) + 7)
    assert past(late, "user")[USER].to_list() == ["ann", "bob"]
    assert past(late, "global")[USER].to_list() == ["ann"]


def test_histories_follow_time_and_ties_reveal_nothing() -> None:
    target = pair("cut").target
    s0, s1 = 4, 5
    # ann's validation event is at time 5, as is her source event s1, which is therefore not past.
    assert history(target.valid.history, 0) == [s0, 1]
    assert history(target.test.history, 0) == [s0, 1, 2, s1]
    assert history(target.train, 0) == [s0, 1]
    assert history(target.train, 2) == [0]
    assert target.train.own.tolist() == [False, True, True]


def test_without_a_common_time_the_source_is_past() -> None:
    target = pair("keep").target
    assert history(target.valid.history, 0) == [4, 5, 6, 1]
    assert history(target.test.history, 0) == [4, 5, 6, 1, 2]


def test_what_scratch_may_see_holds_no_source_event() -> None:
    scratch = pair("keep").target_only
    assert history(scratch.test.history, 0) == [1, 2]
    assert scratch.test.users.tolist() == pair("keep").target.test.users.tolist()


def test_seen_items_and_train_counts() -> None:
    target = pair("cut").target
    assert target.valid.seen_items.tolist() == [1]
    assert target.test.seen_items.tolist() == [1, 2]
    assert target.test.n_train.tolist() == [1]
    assert target.item_counts().tolist() == [1, 1, 0, 0]


def test_known_histories_cover_users_of_the_source_alone() -> None:
    target = pair("cut").target
    assert target.known.users.tolist() == [0, 1, 2]
    assert history(target.known, 1) == [5]


def test_order_in_time() -> None:
    no_time = TARGET.with_columns(pl.lit(None).cast(pl.Int64).alias(TIMESTAMP))
    placed = [t.with_columns(pl.int_range(pl.len()).alias(POSITION)) for t in (SOURCE, no_time)]
    assert time_order(SOURCE, TARGET, "cut", False) == ("cut", TIMESTAMP)
    assert time_order(SOURCE, TARGET, "keep", False) == ("keep", TIMESTAMP)
    assert time_order(SOURCE, no_time, "cut", False) == ("unknown", None)
    assert time_order(placed[0], placed[1], "cut", True) == ("cut", POSITION)
    assert time_order(placed[0], placed[1], "cut", False) == ("unknown", None)
    with pytest.raises(ValueError, match="source_after_test must be cut or keep"):
        time_order(SOURCE, TARGET, "drop", False)
