"""Raw domains -> tables on one time line: what is written, and what its fingerprint says."""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from crossrec.data.cleaning import clean
from crossrec.data.columns import (
    INTERACTION_COLUMNS,
    ITEM,
    ITEM_COLUMNS,
    REVIEW,
    ROW,
    SPLIT,
    TIMESTAMP,
    USER,
)
from crossrec.data.identities import Identity
from crossrec.data.prepared import describe, load_pair, read_account, read_statistics
from crossrec.data.preparing import Clean, Protocol, Split, prepare
from crossrec.data.raw import RawDomain
from crossrec.data.sources.tables import Tables
from crossrec.data.splits import cold_users, leave_one_out, temporal
from crossrec.data.storage import read_interactions, read_items, read_reviews, train_items
from crossrec.errors import UserError

Row = tuple[str, str, int]


def raw(name: str, rows: list[Row]) -> RawDomain:
    """A domain of (user, item, time) rows; a review names its event."""
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
    named = pl.concat_str(USER, ITEM, separator=" on ")
    events = events.with_columns(named.alias(REVIEW)).with_row_index(ROW)
    items = given.select(ITEM).unique().sort(ITEM)
    items = items.with_columns(pl.lit(None).cast(pl.String).alias(c) for c in ITEM_COLUMNS[1:])
    return RawDomain(name, events.lazy(), items.lazy(), (), len(rows), 0)


SOURCE = [("ann", "s0", 1), ("ann", "s1", 2), ("ann", "s2", 9), ("bob", "s0", 5)]
TARGET = [("ann", "t0", 3), ("ann", "t1", 4), ("ann", "t2", 8), ("bob", "t0", 6)]


LAST, ALIKE = partial(leave_one_out, seed=0), Identity()


def prepared(
    folder: Path,
    source: list[Row] | dict[str, list[Row]],
    target: list[Row],
    source_after_test: Literal["cut", "keep"] = "cut",
    cut_at: str = "user",
    split: Split = LAST,
    identity: Identity = ALIKE,
    clean: Clean = clean,
) -> dict[str, Any]:
    sources = source if isinstance(source, dict) else {"home": source}
    folder.mkdir(exist_ok=True)
    prepare(
        [raw(name, rows) for name, rows in sources.items()],
        raw("tech", target),
        folder,
        clean=clean,
        rating_scale=None,
        identity=identity,
        protocol=Protocol(
            split=split,
            split_source=partial(leave_one_out, seed=0),
            source_after_test=source_after_test,
            cut_at=cut_at,
            position_spans_domains=False,
        ),
    )
    return read_account(folder)


def test_the_future_is_cut_before_the_source_is_split(tmp_path: Path) -> None:
    account = prepared(tmp_path, SOURCE, TARGET)
    events = read_interactions(tmp_path, "source")
    items = read_items(tmp_path, "source")
    # ann's test event in the target is at time 8, so s2 at time 9 is gone and s1 is held out.
    assert events.select(ITEM, SPLIT).rows() == [("s0", "valid"), ("s1", "test"), ("s0", "test")]
    assert items[ITEM].to_list() == ["s0", "s1", "s2"]
    assert account["n_future"] == 1
    assert describe(account) == [
        "tech: 2 users, 3 items, 4 interactions",
        "home: 2 users, 2 items, 3 interactions",
        "shared: 2 users, 0 items",
        "1 source events after the target's test events were cut",
    ]


def test_later_events_of_others_are_warned_of(tmp_path: Path) -> None:
    # Train: ann at 1 and 2. Test: ann at 9 and bob at 0, who is asked before all that is learned.
    target = [("ann", "t0", 1), ("ann", "t1", 2), ("ann", "t2", 8), ("ann", "t3", 9)]
    account = prepared(tmp_path, [("cid", "s0", 1)], [*target, ("bob", "t0", 0)])
    assert account["later_share"] == 0.5
    assert describe(account)[-1].startswith("warning: 50% of train lies after")


def test_reviews_of_train_events_alone_are_kept(tmp_path: Path) -> None:
    prepared(tmp_path, SOURCE, TARGET)
    assert read_reviews(tmp_path, "target").rows() == [("t0", "ann on t0")]
    assert len(read_reviews(tmp_path, "source")) == 0  # ann has a valid and a test event left
    assert train_items(tmp_path, "target").to_list() == ["t0"]


def test_several_sources_are_one_domain(tmp_path: Path) -> None:
    garden = [("ann", "g0", 1), ("bob", "g1", 2), ("bob", "s0", 5)]
    account = prepared(tmp_path, {"home": SOURCE, "garden": garden}, TARGET)
    events = read_interactions(tmp_path, "source")
    assert account["source"] == "home+garden"
    # Each user's events of both sources are in one order, and the last one is test.
    assert events.select(USER, ITEM, SPLIT).rows() == [
        ("ann", "g0", "train"),
        ("ann", "s0", "valid"),
        ("ann", "s1", "test"),
        # What bob did with s0 stands in both and counts once: else it would be valid and test.
        ("bob", "g1", "valid"),
        ("bob", "s0", "test"),
    ]
    assert read_items(tmp_path, "source")[ITEM].to_list() == ["g0", "g1", "s0", "s1", "s2"]
    reviews = read_reviews(tmp_path, "source").rows()
    assert reviews == [("g0", "ann on g0")]
    accounts = read_statistics(tmp_path)
    assert [account.name for account in accounts] == ["tech", "home", "garden"]
    assert [account.profile["interactions"] for account in accounts] == [4, 3, 2]
    assert len(load_pair(tmp_path).source.train_events()[0]) == 1


def test_repeats_are_told_because_they_change_the_ranking(tmp_path: Path) -> None:
    again = [*TARGET, ("bob", "t0", 7)]
    once = prepared(tmp_path / "once", SOURCE, again)
    kept = prepared(tmp_path / "kept", SOURCE, again, clean=partial(clean, duplicates="keep"))
    assert (once["repeated"], kept["repeated"]) == (0, 1)
    assert describe(kept)[-1] == "1 target events repeat an item: what users had is ranked, too"
    assert len(load_pair(tmp_path / "kept").target.test.seen_items) == 0


def test_sources_that_are_kept_apart_share_nothing(tmp_path: Path) -> None:
    garden = [("ann", "s0", 1), ("bob", "s0", 5)]
    sources = {"home": SOURCE, "garden": garden}
    account = prepared(tmp_path, sources, TARGET, identity=Identity("none"))
    assert (account["shared_users"], account["shared_items"]) == (0, 0)
    assert len(load_pair(tmp_path).target.user_ids) == 6
    assert "garden/s0" in read_items(tmp_path, "source")[ITEM]
    with pytest.raises(UserError, match="share no items"):
        prepared(tmp_path / "both", SOURCE, TARGET, identity=Identity("both"))


def test_a_global_cut_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one cut in time"):
        prepared(tmp_path, SOURCE, [*TARGET, ("cid", "t0", 2)], cut_at="global")


def test_a_global_cut_is_not_for_the_target_alone(tmp_path: Path) -> None:
    target = [(user, f"t{time}", time) for time in range(10) for user in ("ann", "bob")]
    split = partial(temporal, seed=0)
    cut = prepared(tmp_path, [*SOURCE, ("cid", "s0", 99)], target, cut_at="global", split=split)
    assert cut["n_future"] == 2  # cid at 99 and ann at 9, when the test events begin
    assert cut["later_share"] == 0
    with pytest.raises(UserError, match="source_after_test=keep keeps 2 source events"):
        prepared(tmp_path, [*SOURCE, ("cid", "s0", 99)], target, "keep", "global", split)


def test_cold_users_have_nothing_but_their_past_in_the_source(tmp_path: Path) -> None:
    split = partial(cold_users, seed=0, beta=0.5, valid_share=0.0)
    prepared(tmp_path, SOURCE, [*TARGET, ("cid", "t0", 1)], "keep", split=split)
    target = load_pair(tmp_path).target
    assert len(target.test) == 1  # one of the two whom both domains know, and never cid
    assert target.test.n_train.tolist() == [0]
    assert not target.test.history.own.any()
    assert len(target.test.history.items) > 0
    assert "in_source" not in read_interactions(tmp_path, "target").columns


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


def test_a_prepared_domain_is_raw_data_for_another_run(tmp_path: Path) -> None:
    prepared(tmp_path, SOURCE, TARGET)
    again = Tables(tmp_path).read("target").interactions.collect()
    before = read_interactions(tmp_path, "target")
    columns = [USER, ITEM, TIMESTAMP]
    assert again.select(columns).sort(columns).equals(before.select(columns).sort(columns))
