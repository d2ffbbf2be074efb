"""What each user did in train, in one order over both domains: what may be learned of taste."""

from pathlib import Path

import polars as pl

from crossrec.data.columns import ITEM, SPLIT, USER
from crossrec.data.prepared import read_account
from crossrec.data.splits import TRAIN
from crossrec.data.storage import DOMAINS, read_interactions

DOMAIN = "domain"


def train_histories(folder: Path) -> pl.DataFrame:
    """The train events of both domains, user by user, oldest first.

    Where the domains share a time, a source event that is not before its user's first held-out
    event of the target is left out, as it is from the target's training sequences: together with
    a target event it would say what comes next. Without a shared time the source goes first.

    Args:
        folder: of the prepared pair.

    Returns:
        USER, DOMAIN ("source" or "target") and ITEM of each event.
    """
    account = read_account(folder)
    source, target = (read_interactions(folder, name) for name in DOMAINS)
    order, time = ["own"], None
    if account["order"] == "cut":
        time = account["time"]
        order = [time, "own"]
        held_out = target.filter(pl.col(SPLIT) != TRAIN)
        first = held_out.group_by(USER).agg(pl.col(time).min().alias("first"))
        late = (pl.col(time) >= pl.col("first")).fill_null(False)
        source = source.join(first, on=USER, how="left", maintain_order="left").filter(~late)
    events = pl.concat(
        table.filter(pl.col(SPLIT) == TRAIN).select(
            USER,
            ITEM,
            *([time] if time else []),
            pl.lit(name).alias(DOMAIN),
            pl.lit(name == "target").alias("own"),
        )
        for name, table in zip(DOMAINS, (source, target), strict=True)
    )
    return events.sort(USER, *order, maintain_order=True).select(USER, DOMAIN, ITEM)
