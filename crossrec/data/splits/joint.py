"""Splits that hold out the last events of a user over both domains together."""

import polars as pl

from crossrec.data.columns import LATER_ELSEWHERE, USER
from crossrec.data.splits.order import ranked
from crossrec.data.splits.parts import with_parts
from crossrec.errors import UserError


def joint_leave_one_out(interactions: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Of a user's events in both domains the last is test, the one before valid, the rest train.

    So a user is asked about in one domain alone, that of their last event, and in validation in
    that of the one before; users whose last two events lie elsewhere are all train here. This is
    how models of sequences over two domains are judged (C2DSR, Cao et al., CIKM 2022; ABXI, Bian
    et al., WWW 2025). Events of one domain are ordered as in leave_one_out.

    Args:
        interactions: of one domain, with the column LATER_ELSEWHERE.

    Raises:
        UserError: LATER_ELSEWHERE is missing, as nothing orders the events of both domains.
    """
    if LATER_ELSEWHERE not in interactions.columns:
        raise UserError(
            "split=joint_leave_one_out needs one order over the events of both domains: a "
            "timestamp on every event, or positions that count over both "
            "(data.position_spans_domains=true); use split=leave_one_out"
        )
    from_end, _ = ranked(interactions, seed, by="time")
    from_end = from_end + interactions[LATER_ELSEWHERE].to_numpy()
    return with_parts(interactions, valid=from_end == 1, test=from_end == 0)


def later_elsewhere(
    own: pl.DataFrame, other: pl.DataFrame, time: str, ties_are_later: bool
) -> pl.Series:
    """(own rows,) int64, how many events of its user the other domain has after each event.

    Args:
        own, other: interactions.
        time: the column that orders the events of both.
        ties_are_later: whether what the other domain has at the same time counts as later.
    """
    rows = own.select(USER, time, other=pl.lit(0)).with_row_index("number")
    no_number = pl.lit(None, pl.UInt32).alias("number")
    others = other.select(no_number, USER, time, other=pl.lit(1))
    at_one_time = pl.col("other") if ties_are_later else -pl.col("other")
    counted = pl.concat([rows, others]).sort(USER, time, at_one_time)
    after = pl.col("other").sum().over(USER) - pl.col("other").cum_sum().over(USER)
    counted = counted.with_columns(after.cast(pl.Int64).alias(LATER_ELSEWHERE))
    return counted.drop_nulls("number").sort("number")[LATER_ELSEWHERE]
