"""How much of what a model learns from lies in the future of what it is asked: measures, refusals.

Two futures. Within a domain, a leave-one-out split holds out each user's last event, but trains on
what other users do later. Between domains, what a user does in the source after the held-out
target event is known only to those who look ahead.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from crossrec.data.columns import ITEM, SPLIT, TIMESTAMP, USER
from crossrec.data.splits.parts import TEST, TRAIN, VALID
from crossrec.errors import UserError


def later_share(interactions: pl.DataFrame) -> float | None:
    """Share of the train events, of all users, that are later than a test event: mean over these.

    0 for a global cut in time, 0.5 if test events were drawn at random; events of one instant are
    not later than each other. Events without a timestamp are left out.

    Args:
        interactions: with a SPLIT column.

    Returns:
        From 0 to 1; None if no train event or no test event has a timestamp.
    """
    known = interactions.select(SPLIT, TIMESTAMP).drop_nulls()
    train, test = (
        np.sort(known.filter(pl.col(SPLIT) == part)[TIMESTAMP].to_numpy()) for part in (TRAIN, TEST)
    )
    if not len(train) or not len(test):
        return None
    return float(1 - np.searchsorted(train, test, side="right").mean() / len(train))


def check_temporal(interactions: pl.DataFrame) -> None:
    """Refuse a split that claims one cut in time for all users and does not keep it.

    Args:
        interactions: with a SPLIT column, of a protocol with split.cut_at=global.

    Raises:
        UserError: a timestamp is missing, a train event is at or after a valid or test event, or
            a valid event at or after a test event.
    """
    claim = "split.cut_at=global claims one cut in time for all users, but"
    if missing := interactions[TIMESTAMP].null_count():
        raise UserError(
            f"{claim} {missing:,} of {len(interactions):,} interactions have no timestamp that "
            "could show it; set split.cut_at=user to claim none"
        )
    for early, late in ((TRAIN, VALID), (TRAIN, TEST), (VALID, TEST)):
        before, after = (interactions.filter(pl.col(SPLIT) == part) for part in (early, late))
        too_late = before.filter(pl.col(TIMESTAMP) >= _start(after, TIMESTAMP))
        if len(too_late):
            raise UserError(
                f"{claim} {len(too_late):,} of {len(before):,} {early} events are at or after the "
                f"first {late} event ({_first(after)}); the first of them is {_first(too_late)}. "
                "Use split=temporal, or set split.cut_at=user to claim no such cut"
            )


@dataclass(frozen=True)
class SourceFuture:
    """What of a source lies in the future of the target's test.

    Attributes:
        n_events: source events at or after the test event that decides.
        n_users: users who have such events.
        share: n_events of all source events.
    """

    n_events: int
    n_users: int
    share: float


def source_future_share(
    source: pl.DataFrame, target: pl.DataFrame, time: str, cut_at: str
) -> SourceFuture:
    """How many source events `in_future` finds, of how many users. See there for the arguments."""
    future = source.filter(in_future(source, target, time, cut_at))
    return SourceFuture(
        n_events=len(future),
        n_users=future[USER].n_unique(),
        share=len(future) / len(source) if len(source) else 0.0,
    )


def in_future(source: pl.DataFrame, target: pl.DataFrame, time: str, cut_at: str) -> pl.Series:
    """Which source events happen at or after what is held out for test in the target.

    Args:
        source: source interactions.
        target: target interactions with a SPLIT column.
        time: the column that orders the events of both.
        cut_at: "user" compares with the user's own first test event, so a user without one has
            no such events; "global" with the first test event of all.

    Returns:
        (source rows,) Boolean.

    Raises:
        UserError: cut_at is neither.
    """
    test = target.filter(pl.col(SPLIT) == TEST)
    if cut_at == "global":
        late = pl.col(time) >= _start(test, time)
        return source.select(late.fill_null(False)).to_series()
    if cut_at != "user":
        raise UserError(f"split.cut_at must be user or global, got {cut_at}")
    of_user = test.group_by(USER).agg(pl.col(time).min().alias("first"))
    joined = source.select(USER, time).join(of_user, on=USER, how="left", maintain_order="left")
    return joined.select((pl.col(time) >= pl.col("first")).fill_null(False)).to_series()


def check_source_future(
    name: str,
    source: pl.DataFrame,
    target: pl.DataFrame,
    time: str | None,
    source_after_test: str,
    cut_at: str,
) -> None:
    """Refuse a global cut in time in the target while the source goes on after it.

    Args:
        name: of the source domain.
        source: source interactions.
        target: target interactions with a SPLIT column.
        time: the column that orders the events of both, None if there is none to compare by.
        source_after_test, cut_at: what `split` says.

    Raises:
        UserError: cut_at is global, source events are kept, and some are at or after the first
            test event.
    """
    if cut_at != "global" or source_after_test != "keep" or time is None:
        return
    future = source_future_share(source, target, time, cut_at)
    if future.n_events:
        raise UserError(
            f"domain {name}: split.cut_at=global claims that everything that is trained on comes "
            f"before the test events, but split.source_after_test=keep keeps {future.n_events:,} "
            f"source events ({future.share:.1%}) of {future.n_users:,} users at or after the "
            "first of them; set split.source_after_test=cut, or split.cut_at=user to measure what "
            "looking ahead is worth"
        )


def _start(events: pl.DataFrame, time: str) -> pl.Expr:
    """When the earliest event is; null if there is none."""
    return pl.lit(events[time].min(), dtype=pl.Int64)


def _first(events: pl.DataFrame) -> str:
    """The earliest event, in words."""
    order = [TIMESTAMP, USER, ITEM]
    time, user, item = events.select(order).bottom_k(1, by=order).row(0)
    return f"user {user!r}, item {item!r}, timestamp {time}"
