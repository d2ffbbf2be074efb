"""Shares of the future by hand and against counting, and what a global cut in time refuses."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import ITEM, POSITION, SPLIT, TIMESTAMP, USER
from crossrec.data.leakage import (
    check_source_future,
    check_temporal,
    in_future,
    later_share,
    source_future_share,
)
from crossrec.data.splits import leave_one_out, temporal
from crossrec.errors import UserError

Row = tuple[str, int | None, str]
"""User, time, part."""
PARTS = ("train", "valid", "test")


def table(rows: list[Row]) -> pl.DataFrame:
    """Each event has an item of its own, named by its place."""
    return pl.DataFrame(
        {
            USER: [user for user, _, _ in rows],
            ITEM: [f"i{place}" for place in range(len(rows))],
            TIMESTAMP: pl.Series([time for _, time, _ in rows], dtype=pl.Int64),
            POSITION: pl.Series([None] * len(rows), dtype=pl.Int64),
            SPLIT: [part for _, _, part in rows],
        },
        schema_overrides={USER: pl.String, SPLIT: pl.String},
    )


@st.composite
def interactions(draw: st.DrawFn) -> pl.DataFrame:
    users, times, parts = st.sampled_from("abc"), st.integers(0, 9), st.sampled_from(PARTS)
    return table(draw(st.lists(st.tuples(users, times, parts), max_size=25)))


def test_later_share_by_hand() -> None:
    rows: list[Row] = [("u", 1, "train"), ("v", 5, "train"), ("v", 6, "train"), ("w", 9, "train")]
    # Later than the test event at 5 are 2 of 4, than that at 8 there is 1: (0.5 + 0.25) / 2.
    rows += [("u", 5, "test"), ("v", 8, "test"), ("u", 4, "valid")]
    assert later_share(table(rows)) == 0.375


def test_later_share_leaves_out_what_has_no_time() -> None:
    rows: list[Row] = [("u", 1, "train"), ("v", 5, "train"), ("u", 3, "test")]
    assert later_share(table([*rows, ("w", None, "train"), ("w", None, "test")])) == 0.5
    assert later_share(table([(user, None, part) for user, _, part in rows])) is None
    assert later_share(table(rows[:2])) is None
    assert later_share(table(rows[2:])) is None


@settings(max_examples=80, deadline=None)
@given(interactions())
def test_later_share_is_the_mean_over_all_pairs(frame: pl.DataFrame) -> None:
    train, test = (frame.filter(pl.col(SPLIT) == part)[TIMESTAMP] for part in ("train", "test"))
    pairs = [known > asked for asked in test for known in train]
    expected = sum(pairs) / len(pairs) if pairs else None
    assert later_share(frame) == (expected if expected is None else pytest.approx(expected))


def test_users_of_different_years() -> None:
    # Ten users with ten events each, one user after the other. Later than the test event of user k
    # are the 8 train events of each of the 9 - k users after them: (9 - k) / 10, 0.45 on average.
    frame = table([(f"u{time // 10}", time, "") for time in range(100)]).drop(SPLIT)
    assert later_share(leave_one_out(frame, seed=0)) == pytest.approx(0.45)
    assert later_share(temporal(frame, seed=0)) == 0


def test_a_split_in_time_passes() -> None:
    rows: list[Row] = [("u", 1, "train"), ("v", 1, "train"), ("u", 2, "valid"), ("v", 3, "test")]
    check_temporal(table(rows))
    check_temporal(table(rows[:2]))
    check_temporal(table(rows[:3]))
    check_temporal(table([rows[0], rows[3]]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("u", 4, "train"), ("v", 5, "train"), ("u", 5, "test"), ("v", 6, "test")],
            r"1 of 2 train events are at or after the first test event \(user 'u', item 'i2', "
            r"timestamp 5\); the first of them is user 'v', item 'i1', timestamp 5",
        ),
        (
            [("u", 9, "train"), ("v", 8, "train"), ("u", 3, "valid"), ("u", 9, "test")],
            r"2 of 2 train events .* first valid event \(user 'u', item 'i2', timestamp 3\); the "
            r"first of them is user 'v', item 'i1', timestamp 8",
        ),
        (
            [("u", 1, "train"), ("v", 7, "valid"), ("u", 7, "valid"), ("u", 7, "test")],
            r"2 of 2 valid events .* first test event .* the first of them is user 'u'",
        ),
        ([("u", None, "train"), ("u", 7, "test")], r"1 of 2 interactions have no timestamp"),
    ],
)
def test_a_split_that_is_not_one_in_time(rows: list[Row], message: str) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        check_temporal(table(rows))
    assert "split.cut_at=user" in str(refusal.value)


@settings(max_examples=80, deadline=None)
@given(interactions())
def test_a_cut_in_time_is_recognized(frame: pl.DataFrame) -> None:
    latest = -1
    kept = True
    for part in PARTS:
        times = frame.filter(pl.col(SPLIT) == part)[TIMESTAMP].to_list()
        kept &= not times or min(times) > latest
        latest = max([latest, *times])
    try:
        check_temporal(frame)
    except UserError:
        assert not kept
    else:
        assert kept


SOURCE = table([("u", 1, ""), ("u", 5, ""), ("u", 9, ""), ("v", 5, ""), ("w", 8, "")])
TARGET = table([("u", 2, "train"), ("u", 3, "valid"), ("u", 5, "test"), ("v", 6, "test")])


def test_source_events_in_the_future_by_hand() -> None:
    # u is tested at 5 and v at 6; w is not tested, so nothing of w is later than their test.
    own = in_future(SOURCE, TARGET, TIMESTAMP, "user")
    assert own.to_list() == [False, True, True, False, False]
    every = in_future(SOURCE, TARGET, TIMESTAMP, "global")
    assert every.to_list() == [False, True, True, True, True]
    found = source_future_share(SOURCE, TARGET, TIMESTAMP, "user")
    assert (found.n_events, found.n_users, found.share) == (2, 1, 0.4)
    found = source_future_share(SOURCE, TARGET, TIMESTAMP, "global")
    assert (found.n_events, found.n_users, found.share) == (4, 3, 0.8)


@pytest.mark.parametrize("cut_at", ["user", "global"])
def test_without_a_test_event_or_a_source_there_is_no_future(cut_at: str) -> None:
    for source, target in ((SOURCE, TARGET[:2]), (SOURCE[:0], TARGET)):
        found = source_future_share(source, target, TIMESTAMP, cut_at)
        assert (found.n_events, found.n_users, found.share) == (0, 0, 0.0)


def test_the_future_can_be_told_by_position() -> None:
    source, target = (
        frame.with_columns(pl.col(TIMESTAMP).alias(POSITION), pl.lit(None).alias(TIMESTAMP))
        for frame in (SOURCE, TARGET)
    )
    assert source_future_share(source, target, POSITION, "user").n_events == 2


def test_a_cut_is_at_the_user_or_global() -> None:
    with pytest.raises(UserError, match="cut_at must be user or global, got day"):
        in_future(SOURCE, TARGET, TIMESTAMP, "day")


@settings(max_examples=80, deadline=None)
@given(interactions(), interactions(), st.sampled_from(["user", "global"]))
def test_the_future_is_what_its_definition_says(
    source: pl.DataFrame, target: pl.DataFrame, cut_at: str
) -> None:
    test = target.filter(pl.col(SPLIT) == "test")
    expected = [
        any(time >= first for other, first in deciding if user == other or cut_at == "global")
        for user, time in source.select(USER, TIMESTAMP).rows()
        for deciding in [test.select(USER, TIMESTAMP).rows()]
    ]
    assert in_future(source, target, TIMESTAMP, cut_at).to_list() == expected
    found = source_future_share(source, target, TIMESTAMP, cut_at)
    late = [user for user, later in zip(source[USER], expected, strict=True) if later]
    assert (found.n_events, found.n_users) == (len(late), len(set(late)))


def test_a_global_cut_refuses_a_source_that_goes_on() -> None:
    with pytest.raises(UserError) as refusal:
        check_source_future("Books", SOURCE, TARGET, TIMESTAMP, "keep", "global")
    message = str(refusal.value)
    assert "domain Books" in message
    assert "keeps 4 source events (80.0%) of 3 users" in message
    assert "set split.source_after_test=cut, or split.cut_at=user" in message


def test_what_claims_no_global_cut_is_not_refused() -> None:
    check_source_future("Books", SOURCE, TARGET, TIMESTAMP, "cut", "global")
    check_source_future("Books", SOURCE, TARGET, TIMESTAMP, "keep", "user")
    check_source_future("Books", SOURCE, TARGET, None, "keep", "global")
    check_source_future("Books", SOURCE[:1], TARGET, TIMESTAMP, "keep", "global")
