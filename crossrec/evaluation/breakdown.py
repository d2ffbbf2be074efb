"""A metric by how much is known of the user, or of the item that was held out.

Values that users share a bin for are taken together by user: a user whose several held-out items
(or several seeds) fall in one bin is one observation, as everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from crossrec.evaluation.significance import linearized, mean_interval

AT_MOST = 12  # bins
AT_LEAST = 10  # observations in a bin
SCHEMA: dict[str, type[pl.DataType]] = {
    "model": pl.String,
    "from": pl.Int64,
    "to": pl.Int64,
    "n": pl.Int64,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
Frames = Mapping[str, Sequence[pl.DataFrame]]
"""Row of a table -> its per-user tables, one a run."""
USER = ("world", "user_id")


def by_history(frames: Frames, metric: str) -> pl.DataFrame:
    """A metric with the user's own train interactions in the target as `key`.

    Args:
        frames: with folder, world, user_id, n_train and the metric.

    Returns:
        model, folder, world, user_id, key, value: one row a user and run.
    """
    return pl.concat(
        table.select(
            pl.lit(model).alias("model"),
            *("folder", *USER),
            pl.col("n_train").cast(pl.Int64).alias("key"),
            pl.col(metric).cast(pl.Float64).alias("value"),
        )
        for model, tables in frames.items()
        for table in tables
    ).filter(pl.col("value").is_not_nan())


def by_popularity(frames: Frames, counts: Mapping[str, np.ndarray], k: int) -> pl.DataFrame:
    """Whether each held-out item is among the first k, with its train interactions as `key`.

    Args:
        frames: with folder, world, user_id, truth_items and truth_ranks.
        counts: run folder -> (n_items,) train interactions of each item.

    Returns:
        As `by_history`; one row a held-out item, value is 1 where it was found, else 0.
    """
    parts = []
    for model, tables in frames.items():
        for table in tables:
            asked = table.select("folder", *USER, "truth_items", "truth_ranks")
            asked = asked.explode("truth_items", "truth_ranks")
            popularity = counts[asked["folder"][0]][asked["truth_items"].to_numpy()]
            parts.append(
                asked.select(
                    pl.lit(model).alias("model"),
                    *("folder", *USER),
                    pl.Series("key", popularity, pl.Int64),
                    (pl.col("truth_ranks") <= k).cast(pl.Float64).alias("value"),
                )
            )
    return pl.concat(parts)


def gains(ours: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """One row of the table minus another, asked the same in the same run.

    Args:
        ours, theirs: what `by_history` or `by_popularity` gives, each of one model.

    Returns:
        The columns of `ours`; only runs that have both.
    """
    place = pl.int_range(pl.len()).over("folder", *USER).alias("place")
    both = ours.with_columns(place).join(
        theirs.with_columns(place), on=["folder", *USER, "place"], suffix="_theirs"
    )
    return both.select(pl.col(ours.columns)).with_columns(both["value"] - both["value_theirs"])


def binned(table: pl.DataFrame, ranges: Sequence[tuple[int, int]]) -> pl.DataFrame:
    """Means of `value` in ranges of `key`, with 95% intervals over users.

    Args:
        table: model, world, user_id, key and value.
        ranges: (from, to), both included.

    Returns:
        model, from, to, n (rows inside), value, low, high.
    """
    rows = []
    for low, high in ranges:
        inside = table.filter(pl.col("key").is_between(low, high))
        for model in table["model"].unique(maintain_order=True):
            own = inside.filter(model=model)
            sums = own.group_by(USER).agg(pl.col("value").sum(), pl.len().alias("n"))
            values = linearized(sums["value"].to_numpy(), sums["n"].to_numpy().astype(float))
            rows.append((model, low, high, len(own), *mean_interval(values)))
    return pl.DataFrame(rows, SCHEMA, orient="row")


def bins(keys: np.ndarray) -> list[tuple[int, int]]:
    """Ranges 0, 1, 2-3, 4-6, 7-12, 13-24, ..., joined until each holds enough of the keys.

    At most AT_MOST bins, each with at least AT_LEAST keys where there are so many; the last one
    ends at the largest key.
    """
    enough = max(AT_LEAST, len(keys) // AT_MOST)
    top = int(keys.max())
    ends = [0, 1]
    while ends[-1] < top:
        ends.append(3 * 2 ** (len(ends) - 2))
    found: list[tuple[int, int]] = []
    start = 0
    for end in ends:
        inside = int(((keys >= start) & (keys <= end)).sum())
        if inside >= enough:
            found.append((start, end))
            start = end + 1
    if not found:
        return [(int(keys.min()), top)]
    return [*found[:-1], (found[-1][0], top)]


def bin_title(low: int, high: int) -> str:
    """3-4, or 3 where it is one number."""
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"
