"""Splits in which a user's own earlier events are known."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from crossrec.data.columns import TIMESTAMP
from crossrec.data.splits.order import ranked
from crossrec.data.splits.parts import share_of, with_parts
from crossrec.errors import UserError


def leave_one_out(interactions: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Each user's last event is test, the one before it valid, the rest train.

    A user with two events has no train, a user with one has test alone. Events are ordered by
    timestamp, then position (unknown values first). Where both are equal the seed decides: item
    ids are often numbered by release date, so ordering ties by them would test new items only.
    Without timestamps and positions the held-out events are thus random ones.
    """
    from_end, _ = ranked(interactions, seed, by="time")
    return with_parts(interactions, valid=from_end == 1, test=from_end == 0)


def few_shot(interactions: pl.DataFrame, seed: int, k: int = 5) -> pl.DataFrame:
    """As leave_one_out, but of each user's train events only the latest k are left.

    The rest is dropped, so test and valid events are the same for every k, and the train events
    at a smaller k are among those at a larger one. At k = 0 no user has a train event.

    Raises:
        UserError: k is negative.
    """
    if k < 0:
        raise UserError(f"split.function.k must be a whole number >= 0, got {k}")
    from_end, _ = ranked(interactions, seed, by="time")
    left = from_end < k + 2
    from_end = from_end[left]
    kept = interactions.filter(pl.Series(left))
    return with_parts(kept, valid=from_end == 1, test=from_end == 0)


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
    from_end, n_events = ranked(interactions, seed, by="chance")
    n_test, n_valid = (share_of(n_events, share) for share in (ratios[2], ratios[1]))
    n_train = n_events - n_test - n_valid
    for count, share in ((n_test, ratios[2]), (n_valid, ratios[1])):
        bump = (count == 0) & (share > 0) & (n_train > 1)
        count += bump
        n_train -= bump
    test = from_end < n_test
    return with_parts(interactions, valid=~test & (from_end < n_test + n_valid), test=test)


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
    n_test = max(1, int(share_of(n_events, test_share)))
    n_held_out = max(n_test + 1, int(share_of(n_events, valid_share + test_share)))
    if n_held_out >= n_events:
        raise UserError(f"split=temporal needs at least 3 interactions, got {n_events}")
    test_from, valid_from = in_order[n_events - n_test], in_order[n_events - n_held_out]
    if not in_order[0] < valid_from < test_from:
        raise UserError(
            "split=temporal finds no cut: too many interactions share one timestamp "
            f"({test_from}); change valid_share and test_share, or use split=leave_one_out"
        )
    test = time >= test_from
    return with_parts(interactions, valid=~test & (time >= valid_from), test=test)
