"""Splits of a domain's interactions into train, valid and test, as pure functions.

Each takes the interactions and a seed, and returns them, in the order they came, with a column
`split`. Which part a row falls in depends on no other row order, on no hash seed and, but for the
global cut in time, on no other user. Random choices are drawn from a stable hash of
(seed, user, item), so that a filtered data set splits its remaining users as before.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import polars as pl

from crossrec.data.cleaning import number
from crossrec.data.columns import ITEM, POSITION, SPLIT, TIMESTAMP, USER
from crossrec.errors import UserError

TRAIN, VALID, TEST = "train", "valid", "test"


def leave_one_out(interactions: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Each user's last event is test, the one before it valid, the rest train.

    A user with two events has no train, a user with one has test alone. Events are ordered by
    timestamp, then position (unknown values first). Where both are equal the seed decides: item
    ids are often numbered by release date, so ordering ties by them would test new items only.
    Without timestamps and positions the held-out events are thus random ones.
    """
    rank_from_end = _rank(interactions, [TIMESTAMP, POSITION, "key"], seed)
    part = np.where(rank_from_end == 0, TEST, np.where(rank_from_end == 1, VALID, TRAIN))
    return interactions.with_columns(pl.Series(SPLIT, part, dtype=pl.String))


def ratio(
    interactions: pl.DataFrame, seed: int, ratios: Sequence[float] = (0.8, 0.1, 0.1)
) -> pl.DataFrame:
    """A random share of each user's events is valid, another test, the rest train.

    Of a user's n events floor(ratio * n) are valid and test; as in RecBole, a share that would be
    less than one event is one event, test before valid, as long as train keeps one.

    Raises:
        UserError: the ratios are not three shares that sum to 1.
    """
    if len(ratios) != 3 or min(ratios) < 0 or ratios[0] == 0 or abs(sum(ratios) - 1) > 1e-6:
        raise UserError(
            "split.function.ratios must be three shares of train, valid and test that sum to 1, "
            f"train above 0, got {list(ratios)}"
        )
    rank_from_end = _rank(interactions, ["key", TIMESTAMP, POSITION], seed)
    n_events = interactions.select(pl.len().over(USER).cast(pl.Int64)).to_series().to_numpy()
    n_test, n_valid = (_share(n_events, share) for share in (ratios[2], ratios[1]))
    n_train = n_events - n_test - n_valid
    for count, share in ((n_test, ratios[2]), (n_valid, ratios[1])):
        bump = (count == 0) & (share > 0) & (n_train > 1)
        count += bump
        n_train -= bump
    held_out = rank_from_end < n_test + n_valid
    part = np.where(rank_from_end < n_test, TEST, np.where(held_out, VALID, TRAIN))
    return interactions.with_columns(pl.Series(SPLIT, part, dtype=pl.String))


def temporal(
    interactions: pl.DataFrame, seed: int, valid_share: float = 0.1, test_share: float = 0.1
) -> pl.DataFrame:
    """One cut in time for all users: the latest events are test, those before them valid.

    Events of one instant stay together, in the later part: no train event is as late as a valid
    one, no valid event as late as a test one. Nothing is random; `seed` is taken so that all
    splits are called alike.

    Raises:
        UserError: a share is out of range, a timestamp is missing, or one of the parts is empty
            because too many events share an instant.
    """
    if not (valid_share > 0 and test_share > 0 and valid_share + test_share < 1):
        raise UserError(
            "split.function.valid_share and test_share must be above 0 and sum to less than 1, "
            f"got {valid_share} and {test_share}"
        )
    missing = interactions[TIMESTAMP].null_count()
    if missing:
        raise UserError(
            f"split=temporal needs a timestamp on every interaction, but {missing:,} of "
            f"{len(interactions):,} have none; use split=leave_one_out or split=ratio"
        )
    time = interactions[TIMESTAMP].to_numpy()
    in_order = np.sort(time)
    n_events = len(in_order)
    n_test = max(1, int(_share(np.array(n_events), test_share)))
    n_held_out = max(n_test + 1, int(_share(np.array(n_events), valid_share + test_share)))
    if n_held_out >= n_events:
        raise UserError(f"split=temporal needs at least 3 interactions, got {n_events}")
    test_from, valid_from = in_order[n_events - n_test], in_order[n_events - n_held_out]
    if not in_order[0] < valid_from < test_from:
        raise UserError(
            "split=temporal finds no cut: too many interactions share one timestamp "
            f"({test_from}); change valid_share and test_share, or use split=leave_one_out"
        )
    part = np.where(time >= test_from, TEST, np.where(time >= valid_from, VALID, TRAIN))
    return interactions.with_columns(pl.Series(SPLIT, part, dtype=pl.String))


def _share(count: np.ndarray, share: float) -> np.ndarray:
    """floor(share * count), not fooled by a product that rounds to just below an integer."""
    return np.floor(share * count + 1e-9).astype(np.int64)


def _rank(interactions: pl.DataFrame, order: list[str], seed: int) -> np.ndarray:
    """(rows,) how many events of the row's user come after it in the order of the columns.

    The columns may name "key": a random number that depends on (seed, user id, item id) alone.
    """
    users, user_names = number(interactions[USER])
    items, item_names = number(interactions[ITEM])
    start = np.uint64(int.from_bytes(blake2b(str(seed).encode(), digest_size=8).digest(), "little"))
    of_user = _mix(_hashes(user_names) ^ start)[users.to_numpy()]
    key = _mix(of_user + _hashes(item_names)[items.to_numpy()])
    events = interactions.select(TIMESTAMP, POSITION, user=users, key=pl.Series(key))
    in_order = events.with_row_index("row").sort(["user", *order])  # nulls first
    of_row = in_order["user"].to_numpy()
    ends = np.cumsum(np.bincount(of_row, minlength=len(user_names)))
    rank = np.empty(len(events), dtype=np.int64)
    rank[in_order["row"].to_numpy()] = ends[of_row] - 1 - np.arange(len(events))
    return rank


def _hashes(names: pl.Series) -> np.ndarray:
    """(names,) uint64 hash of each id, the same in every process and version."""
    digests = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _mix(values: np.ndarray) -> np.ndarray:
    """splitmix64's finalizer (Steele, Lea and Flood, OOPSLA 2014), wrapping modulo 2**64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
