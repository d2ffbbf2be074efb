"""Orders of events that depend on what the events are; only between equal ones on row numbers."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import polars as pl

from crossrec.data.columns import ITEM, POSITION, RATING, SPLIT, TIMESTAMP, USER
from crossrec.data.splits.draws import draw_pairs, grouped

Columns = Callable[[np.ndarray], pl.DataFrame]
"""From row numbers to the columns that decide between those rows."""


def ranked(
    interactions: pl.DataFrame, seed: int, by: Literal["time", "chance"]
) -> tuple[np.ndarray, np.ndarray]:
    """How many events of its user come after each event, and how many its user has.

    By time, events are ordered by timestamp, then position (unknown values first), then a random
    number that depends on (seed, user id, item id) alone; by chance the random number goes first.
    Repeats of a pair that agree in all of these are ordered by rating.

    Returns:
        (rows,) int64 each.
    """
    users, _ = grouped(interactions[USER])

    def key(rows: np.ndarray | slice) -> np.ndarray:
        return draw_pairs(interactions[USER][rows], interactions[ITEM][rows], seed)

    known = [c for c in (TIMESTAMP, POSITION) if interactions[c].null_count() < len(interactions)]
    # What does not differ between rows need not be sorted by: the next column goes first.
    by_key = by == "chance" or not known
    first = key(slice(None)) if by_key else _from_zero(interactions[known[0]])

    def further(rows: np.ndarray) -> pl.DataFrame:
        drawn = pl.DataFrame({"key": first[rows] if by_key else key(rows)})
        times = _held(interactions, rows, known)
        parts = [drawn, times] if by_key else [times, drawn]
        return pl.concat([*parts, _held(interactions, rows, [RATING])], how="horizontal")

    order = ordered(users, first, further)
    n_events = np.bincount(users)
    of_row = users[order]
    rank = np.empty(len(users), dtype=np.int64)
    rank[order] = np.cumsum(n_events)[of_row] - 1 - np.arange(len(users))
    return rank, n_events[users]


def canonical(interactions: pl.DataFrame, keys: Sequence[str]) -> np.ndarray:
    """(rows,) row numbers in order of user, item, `keys`, and then of what else tells events apart.

    That is time, position, rating and part, as far as there are such columns.
    """
    users, items = (grouped(interactions[column])[0] for column in (USER, ITEM))
    rest = [column for column in (TIMESTAMP, POSITION, RATING, SPLIT) if column not in keys]

    def further(rows: np.ndarray) -> pl.DataFrame:
        return _held(interactions, rows, [*keys, *rest])

    return ordered(users, items.astype(np.uint64), further)


def ordered(groups: np.ndarray, values: np.ndarray, further: Columns) -> np.ndarray:
    """(rows,) row numbers in order of group, value, further columns, and row number.

    Group and as many bits of the value as fit go into one number, which is sorted fast; what is
    then still equal, few rows as a rule, is settled by the further columns.

    Args:
        groups: (rows,) int64 codes from 0.
        values: (rows,) uint64.
        further: gives columns for the rows that are still equal. Where values may take so many
            bits that some do not fit, the first column has to order as they do.
    """
    group_bits, bits = (int(v.max(initial=0)).bit_length() for v in (groups, values))
    kept = min(bits, 64 - group_bits)
    packed = (groups.astype(np.uint64) << np.uint64(kept)) | (values >> np.uint64(bits - kept))
    order = np.argsort(packed)
    packed = packed[order]
    same = packed[1:] == packed[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    rows = order[tied]
    table = pl.concat([pl.DataFrame({"packed": packed[tied]}), further(rows)], how="horizontal")
    table = table.with_columns(row=rows)
    order[tied] = table.sort(table.columns)["row"].to_numpy()
    return order


def _from_zero(numbers: pl.Series) -> np.ndarray:
    """(rows,) uint64 in the same order, null and the least being 0."""
    unknown = numbers.is_null().to_numpy()
    values = numbers.fill_null(0).to_numpy()
    values = (values - values[~unknown].min()).astype(np.uint64)
    return np.where(unknown, np.uint64(0), values)


def _held(interactions: pl.DataFrame, rows: np.ndarray, columns: Sequence[str]) -> pl.DataFrame:
    """Those of the columns that there are, at these rows."""
    held = [column for column in columns if column in interactions.columns]
    return pl.DataFrame({column: interactions[column][rows] for column in held})
