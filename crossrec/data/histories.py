"""Coded events -> training sequences and held-out queries, in a few passes over whole columns.

All events of a domain, its own and the context's, are put in order once. Every history is then
the part of that order that its moment may know.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossrec.data.columns import RATING, SPLIT
from crossrec.data.domain import ITEM_CODE, KEY, USER_CODE, Domain
from crossrec.data.sequences import HeldOut, Sequences
from crossrec.data.splits import TEST, TRAIN, VALID

Mask = NDArray[np.bool_]
NEVER = np.iinfo(np.int64).max
PARTS = {TRAIN: 0, VALID: 1, TEST: 2}


@dataclass(frozen=True)
class _Events:
    """All events in order: by user, then by time; (E,) each.

    Attributes:
        user, item, rating: as in `Sequences`.
        key: what orders events of both domains; 0 where nothing does.
        own: whether the event belongs to this domain.
        part: which of PARTS it is in; -1 for context.
        n_users: users of the pair.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    rating: NDArray[np.float32]
    key: NDArray[np.int64]
    own: Mask
    part: NDArray[np.int8]
    n_users: int

    def first(self, part: str) -> NDArray[np.int64]:
        """(n_users,) key of each user's first own event in a part, NEVER where there is none."""
        first = np.full(self.n_users, NEVER)
        inside = self.part == PARTS[part]
        np.minimum.at(first, self.user[inside], self.key[inside])
        return first

    def has(self, part: str) -> Mask:
        """(n_users,) whether a user has an own event in a part."""
        return np.bincount(self.user[self.part == PARTS[part]], minlength=self.n_users) > 0


def build_domain(
    name: str,
    user_ids: pl.Series,
    items: pl.DataFrame,
    own: pl.DataFrame,
    context: pl.DataFrame,
    n_context: int,
    context_first: bool,
) -> Domain:
    """Turn coded tables into a Domain.

    Args:
        own: USER_CODE, ITEM_CODE, RATING, SPLIT, KEY; its row order is the order of events.
        context: events of other domains, item codes from n_items on; may be empty.
        context_first: put all context before all own events instead of ordering by KEY. Where
            KEY decides, context at or after a user's held-out event is not in the history.
    """
    events = _in_order(own, context, len(user_ids), context_first)

    def before(first: NDArray[np.int64]) -> Mask:
        """Context strictly before each user's first held-out event (all, if there is none)."""
        return ~events.own & (True if context_first else events.key < first[events.user])

    first_valid, first_test = events.first(VALID), events.first(TEST)
    in_train, in_valid = (events.part == PARTS[part] for part in (TRAIN, VALID))
    # A training history ends where the first held-out event of its user begins.
    training = in_train | before(np.minimum(first_valid, first_test))
    known = in_train | in_valid | before(first_test)
    everybody = np.ones(len(user_ids), dtype=bool)
    n_train = np.bincount(events.user[in_train], minlength=len(user_ids))
    # Where some come back to what they had, nobody's past is left out: a candidate that is one only
    # for the user who comes back to it would tell the answer.
    again = (own[USER_CODE] * len(items) + own[ITEM_CODE]).n_unique() < len(own)
    asked = len(items), n_train, again
    return Domain(
        name=name,
        user_ids=user_ids,
        items=items,
        n_context=n_context,
        train=_sequences(events, training, events.has(TRAIN)),
        valid=_held_out(events, in_train | before(first_valid), VALID, *asked),
        test=_held_out(events, known, TEST, *asked),
        known=_sequences(events, known, everybody),
    )


def _in_order(
    own: pl.DataFrame, context: pl.DataFrame, n_users: int, context_first: bool
) -> _Events:
    """Both tables in one order; at equal KEY own events go first, so no tie reveals the future."""
    columns = [USER_CODE, ITEM_CODE, RATING, KEY, "own", "part"]
    part = pl.col(SPLIT).replace_strict(PARTS, return_dtype=pl.Int8)
    ours = own.with_columns(own=pl.lit(True), part=part).select(columns)
    theirs = context.with_columns(own=pl.lit(False), part=pl.lit(-1, pl.Int8)).select(columns)
    order = [USER_CODE, "own"] if context_first else [USER_CODE, KEY, ~pl.col("own")]
    # Own events keep the order that they came in where these columns are equal.
    both = pl.concat([ours, theirs]).sort(order, maintain_order=True)
    return _Events(
        user=both[USER_CODE].to_numpy(),
        item=both[ITEM_CODE].to_numpy(),
        rating=both[RATING].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
        key=both[KEY].fill_null(0).to_numpy(),
        own=both["own"].to_numpy(),
        part=both["part"].to_numpy(),
        n_users=n_users,
    )


def _sequences(events: _Events, chosen: Mask, users: Mask) -> Sequences:
    """The chosen events of the chosen users, one sequence a user."""
    chosen = chosen & users[events.user]
    lengths = np.bincount(events.user[chosen], minlength=events.n_users)[users]
    return Sequences(
        users=torch.from_numpy(np.flatnonzero(users)),
        offsets=_offsets(lengths),
        items=torch.from_numpy(events.item[chosen]),
        ratings=torch.from_numpy(events.rating[chosen]),
        own=torch.from_numpy(events.own[chosen]),
    )


def _held_out(
    events: _Events, known: Mask, part: str, n_items: int, n_train: NDArray[np.int64], again: bool
) -> HeldOut:
    """Queries of the users with events in `part`, in order of user code.

    Args:
        again: whether an item may come again, so that none is left out as already had.
    """
    users = events.has(part)
    asked = np.flatnonzero(events.part == PARTS[part])
    pairs = events.user[asked] * n_items + events.item[asked]
    first = np.unique(pairs, return_index=True)[1]
    truth = asked[np.sort(first)]
    had = known & events.own & users[events.user] & (not again)
    seen = np.unique(events.user[had] * n_items + events.item[had])

    def count(of_user: NDArray[np.int64]) -> Tensor:
        return _offsets(np.bincount(of_user, minlength=events.n_users)[users])

    return HeldOut(
        history=_sequences(events, known, users),
        truth_offsets=count(events.user[truth]),
        truth_items=torch.from_numpy(events.item[truth]),
        truth_ratings=torch.from_numpy(events.rating[truth]),
        seen_offsets=count(seen // n_items),
        seen_items=torch.from_numpy(seen % n_items),
        n_train=torch.from_numpy(n_train[users]),
    )


def _offsets(lengths: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))
