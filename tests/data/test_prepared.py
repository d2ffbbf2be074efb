"""Raw domains -> tables on one time line: what is written, and what its fingerprint says."""

from functools import partial
from pathlib import Path

import polars as pl
import pytest

from crossrec.data.cleaning import clean
from crossrec.data.columns import INTERACTION_COLUMNS, ITEM, ITEM_COLUMNS, SPLIT, TIMESTAMP, USER
from crossrec.data.prepared import describe, load_pair, prepare, read_account, read_tables
from crossrec.data.raw import RawDomain
from crossrec.data.splits import leave_one_out
from crossrec.errors import UserError


def raw(name: str, rows: list[tuple[str, str, int]]) -> RawDomain:
    """A domain of (user, item, time) rows."""
    given = pl.DataFrame(rows, schema=[USER, ITEM, TIMESTAMP], orient="row")
    types = dict.fromkeys(INTERACTION_COLUMNS, pl.String) | {
        "rating": pl.Float32,
        TIMESTAMP: pl.Int64,
        "position": pl.Int64,
    }
    events = given.select(
        [
            pl.col(c) if c in given.columns else pl.lit(None).cast(types[c]).alias(c)
            for c in INTERACTION_COLUMNS
        ]
    )
    items = given.select(ITEM).unique().sort(ITEM)
    items = items.with_columns(pl.lit(None).cast(pl.String).alias(c) for c in ITEM_COLUMNS[1:])
    return RawDomain(name, events.lazy(), items.lazy(), (), len(rows), 0)


SOURCE = [("ann", "s0", 1), ("ann", "s1", 2), ("ann", "s2", 9), ("bob", "s0", 5)]
TARGET = [("ann", "t0", 3), ("ann", "t1", 4), ("ann", "t2", 8), ("bob", "t0", 6)]


def prepared(
    folder: Path,
    source: list[tuple[str, str, int]],
    target: list[tuple[str, str, int]],
    source_after_test: str = "cut",
) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    prepare(
        raw("home", source),
        raw("tech", target),
        folder,
        clean=clean,
        split=partial(leave_one_out, seed=0),
        rating_scale=None,
        source_after_test=source_after_test,
        cut_at="user",
        position_spans_domains=False,
    )
    return read_account(folder)


def test_the_future_is_cut_before_the_source_is_split(tmp_path: Path) -> None:
    account = prepared(tmp_path, SOURCE, TARGET)
    events, items = read_tables(tmp_path, "source")
    # ann's test event in the target is at time 8, so s2 at time 9 is gone and s1 is held out.
    assert events.select(ITEM, SPLIT).rows() == [("s0", "valid"), ("s1", "test"), ("s0", "test")]
    assert items[ITEM].to_list() == ["s0", "s1", "s2"]
    assert account["n_future"] == 1
    assert describe(account) == [
        "home: 2 users, 3 items, 4 interactions",
        "tech: 2 users, 3 items, 4 interactions",
        "shared: 2 users, 0 items",
        "1 source events after the target's test events were cut",
    ]


def test_keeping_the_future_is_said(tmp_path: Path) -> None:
    account = prepared(tmp_path, SOURCE, TARGET, "keep")
    assert account["n_future"] == 0
    assert "are kept" in describe(account)[-1]
    assert len(load_pair(tmp_path).source.train_events()[0]) == 1


def test_fingerprint_follows_the_events_and_not_their_order(tmp_path: Path) -> None:
    one = prepared(tmp_path / "one", SOURCE, TARGET)["fingerprint"]
    turned = prepared(tmp_path / "two", SOURCE[::-1], TARGET[::-1])["fingerprint"]
    other = prepared(tmp_path / "three", SOURCE, [*TARGET[:-1], ("bob", "t1", 6)])["fingerprint"]
    assert one == turned
    assert one != other


def test_a_source_that_lies_in_the_future_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"home.*source_after_test=keep"):
        prepared(tmp_path, [("ann", "s0", 100)], TARGET)
