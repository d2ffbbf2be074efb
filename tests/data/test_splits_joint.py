"""The last events of a user over both domains, by hand and against sorting."""

from functools import partial
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.cleaning import clean
from crossrec.data.columns import (
    INTERACTION_COLUMNS,
    ITEM,
    ITEM_COLUMNS,
    LATER_ELSEWHERE,
    POSITION,
    RATING,
    ROW,
    SPLIT,
    TIMESTAMP,
    USER,
)
from crossrec.data.identities import Identity
from crossrec.data.prepared import load_pair
from crossrec.data.preparing import Protocol, prepare
from crossrec.data.raw import RawDomain
from crossrec.data.splits import joint_leave_one_out, later_elsewhere, leave_one_out
from crossrec.data.storage import read_interactions
from crossrec.errors import UserError

Row = tuple[str, str, int]


def table(rows: list[Row], time: str = TIMESTAMP) -> pl.DataFrame:
    given = pl.DataFrame(rows, {USER: pl.String, ITEM: pl.String, time: pl.Int64}, orient="row")
    missing = {RATING: pl.Float32, TIMESTAMP: pl.Int64, POSITION: pl.Int64}
    return given.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in missing.items() if name != time
    )


def raw(name: str, rows: list[Row], time: str) -> RawDomain:
    events = table(rows, time).with_columns(review=pl.lit(None, pl.String))
    events = events.select(INTERACTION_COLUMNS).with_row_index(ROW)
    items = events.select(ITEM).unique().sort(ITEM)
    items = items.with_columns(pl.lit(None, pl.String).alias(c) for c in ITEM_COLUMNS[1:])
    return RawDomain(name, events.lazy(), items.lazy(), (), len(rows), 0)


events = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("pqr"), st.integers(0, 6)), max_size=12
)


@settings(max_examples=80, deadline=None)
@given(events, events, st.booleans())
def test_later_elsewhere_is_a_count(own: list[Row], other: list[Row], ties: bool) -> None:
    found = later_elsewhere(table(own), table(other), TIMESTAMP, ties)
    expected = [
        sum(who == user and (when > time or (ties and when == time)) for who, _, when in other)
        for user, _, time in own
    ]
    assert found.to_list() == expected


@settings(max_examples=80, deadline=None)
@given(events, events)
def test_a_user_is_held_out_twice_over_both_domains(one: list[Row], two: list[Row]) -> None:
    parts = []
    for own, other, ties in ((one, two, False), (two, one, True)):
        mine = table(own)
        told = mine.with_columns(later_elsewhere(mine, table(other), TIMESTAMP, ties))
        parts.append(joint_leave_one_out(told, seed=0))
    both = pl.concat(parts)
    for _, mine in both.group_by(USER):
        counts = dict(mine.group_by(SPLIT).len().iter_rows())
        assert counts.get("test") == 1
        assert counts.get("valid", 0) == (len(mine) > 1)
        last = {part: mine.filter(pl.col(SPLIT) == part)[TIMESTAMP].max() for part in counts}
        assert last["test"] >= last.get("valid", -1) >= last.get("train", -1)


def test_without_the_other_domain_it_is_leave_one_out() -> None:
    alone = table([("a", "p", 1), ("a", "q", 2), ("a", "r", 3), ("b", "p", 1)])
    told = alone.with_columns(pl.lit(0, pl.Int64).alias(LATER_ELSEWHERE))
    assert joint_leave_one_out(told, 0)[SPLIT].equals(leave_one_out(alone, 0)[SPLIT])


def test_it_refuses_domains_that_nothing_orders() -> None:
    with pytest.raises(UserError, match=r"one order over the events of both domains"):
        joint_leave_one_out(table([("a", "p", 1)]), seed=0)


@pytest.mark.parametrize("time", [TIMESTAMP, POSITION])
def test_a_pair_asks_each_user_in_the_domain_of_their_last_event(tmp_path: Path, time: str) -> None:
    # In one order: a has s1 t1 s2 t2, b has t1 t2 s1 s2, c has s1 t1 t2 t3.
    source = [("a", "s1", 0), ("a", "s2", 2), ("b", "s1", 2), ("b", "s2", 3), ("c", "s1", 0)]
    target = [("a", "t1", 1), ("a", "t2", 3), ("b", "t1", 0), ("b", "t2", 1)]
    target += [("c", "t1", 1), ("c", "t2", 2), ("c", "t3", 3)]
    split = partial(joint_leave_one_out, seed=0)
    protocol = Protocol(split, split, "cut", "user", position_spans_domains=True, joint=True)
    prepare(
        [raw("source", source, time)],
        raw("target", target, time),
        tmp_path,
        clean=clean,
        rating_scale=None,
        identity=Identity(),
        protocol=protocol,
    )
    parts = {
        domain: {
            (user, item): part
            for user, item, part in read_interactions(tmp_path, domain)
            .select(USER, ITEM, SPLIT)
            .iter_rows()
        }
        for domain in ("source", "target")
    }
    assert parts["target"] == {
        ("a", "t1"): "train",
        ("a", "t2"): "test",
        ("b", "t1"): "train",
        ("b", "t2"): "train",
        ("c", "t1"): "train",
        ("c", "t2"): "valid",
        ("c", "t3"): "test",
    }
    assert parts["source"] == {
        ("a", "s1"): "train",
        ("a", "s2"): "valid",
        ("b", "s1"): "valid",
        ("b", "s2"): "test",
        ("c", "s1"): "train",
    }
    pair = load_pair(tmp_path)
    assert pair.target.user_ids[pair.target.test.users.tolist()].to_list() == ["a", "c"]
    # The history of a's test knows all that came before it, of either domain: s1 t1 s2.
    history = pair.target.test.history
    n = pair.target.n_items
    assert history.items[: history.offsets[1]].tolist() == [n + 0, 0, n + 1]
