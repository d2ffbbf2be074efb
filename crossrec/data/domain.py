"""One domain as models see it: training sequences and held-out queries, all as tensors."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from crossrec.data.columns import RATING, SPLIT
from crossrec.data.sequences import HeldOut, Sequences

USER_CODE, ITEM_CODE, KEY = "user_code", "item_code", "key"
"""Integer user and item, and the number that orders a user's events over all domains."""


@dataclass(frozen=True)
class Domain:
    """A catalog, its users, what they did in train, and what is asked of them.

    Attributes:
        name: as the data calls it.
        user_ids: (n_users,) ids by user code; the codes are those of the pair.
        items: one row an own item, row number = item code.
        n_context: items of another domain that may stand in histories, coded from n_items on.
        train: training sequences, with the context events that came before.
        valid, test: queries; the history of a test query holds train and valid events.
        known: for every user of the pair, all events that precede their test events.
    """

    name: str
    user_ids: pl.Series
    items: pl.DataFrame
    n_context: int
    train: Sequences
    valid: HeldOut
    test: HeldOut
    known: Sequences

    @property
    def n_users(self) -> int:
        """Users of the pair, whether active here or not."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Size of the catalog that is ranked."""
        return len(self.items)

    def train_events(self) -> tuple[Tensor, Tensor, Tensor]:
        """Own training events as (users, items, ratings), each (E,)."""
        users = torch.repeat_interleave(self.train.users, self.train.lengths)
        own = self.train.own
        return users[own], self.train.items[own], self.train.ratings[own]

    def item_counts(self) -> Tensor:
        """(n_items,) training interactions of each own item."""
        return torch.bincount(self.train_events()[1], minlength=self.n_items)


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
        context: events of another domain, item codes from n_items on; may be empty.
        context_first: put all context before all own events instead of ordering by KEY. Where
            KEY decides, context at or after a user's held-out event is not in the history.
    """
    train = own.filter(pl.col(SPLIT) == "train")
    valid = own.filter(pl.col(SPLIT) == "valid")
    test = own.filter(pl.col(SPLIT) == "test")
    n_train = torch.from_numpy(
        np.bincount(train[USER_CODE].to_numpy(), minlength=len(user_ids)).astype(np.int64)
    )

    def history(events: pl.DataFrame, held_out: pl.DataFrame) -> pl.DataFrame:
        past = context if context_first else _before(context, held_out)
        return _interleave(events, past, context_first)

    def held_out(known: pl.DataFrame, asked: pl.DataFrame) -> HeldOut:
        return _held_out(history(known, asked), known, asked, n_train)

    # A training history ends where the first held-out event of its user begins.
    training = history(train, pl.concat([valid, test]))
    active = training.filter(pl.col("own")).select(USER_CODE).unique()
    return Domain(
        name=name,
        user_ids=user_ids,
        items=items,
        n_context=n_context,
        train=_sequences(training.join(active, on=USER_CODE, how="semi"), None),
        valid=held_out(train, valid),
        test=held_out(pl.concat([train, valid]), test),
        known=_sequences(history(pl.concat([train, valid]), test), np.arange(len(user_ids))),
    )


def _before(context: pl.DataFrame, held_out: pl.DataFrame) -> pl.DataFrame:
    """Context events strictly before each user's first held-out event (all, if there is none)."""
    first = held_out.group_by(USER_CODE).agg(pl.col(KEY).min().alias("first"))
    return (
        context.join(first, on=USER_CODE, how="left", maintain_order="left")
        .filter(pl.col("first").is_null() | (pl.col(KEY) < pl.col("first")))
        .drop("first")
    )


def _interleave(own: pl.DataFrame, context: pl.DataFrame, context_first: bool) -> pl.DataFrame:
    """Both tables in one order; at equal KEY own events go first, so no tie reveals the future."""
    columns = [USER_CODE, ITEM_CODE, RATING, KEY]
    both = pl.concat(
        [
            own.select(columns).with_columns(own=pl.lit(True)).with_row_index("row"),
            context.select(columns).with_columns(own=pl.lit(False)).with_row_index("row"),
        ]
    )
    order = [USER_CODE, "own", "row"] if context_first else [USER_CODE, KEY, "later", "row"]
    return both.with_columns(later=~pl.col("own")).sort(order)


def _sequences(events: pl.DataFrame, users: np.ndarray | None) -> Sequences:
    """Flat tensors of a table sorted by user: one sequence a user (of `users`, if given)."""
    codes = events[USER_CODE].to_numpy()
    if users is None:
        users = np.unique(codes)
    starts = np.searchsorted(codes, users, side="left")
    ends = np.searchsorted(codes, users, side="right")
    # `users` is sorted and holds every user of `events`, so sequences lie end to end.
    offsets = np.concatenate([starts, ends[-1:]]) if len(users) else np.zeros(1, dtype=np.int64)
    ratings = events[RATING].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return Sequences(
        users=torch.from_numpy(users.astype(np.int64)),
        offsets=torch.from_numpy(offsets.astype(np.int64)),
        items=torch.from_numpy(events[ITEM_CODE].to_numpy().astype(np.int64)),
        ratings=torch.from_numpy(ratings.copy()),
        own=torch.from_numpy(events["own"].to_numpy().copy()),
    )


def _held_out(
    history: pl.DataFrame, known: pl.DataFrame, asked: pl.DataFrame, n_train: Tensor
) -> HeldOut:
    """Queries of the users in `asked`, in order of user code."""
    asked = asked.unique([USER_CODE, ITEM_CODE], keep="first", maintain_order=True).sort(
        USER_CODE, maintain_order=True
    )
    users = np.unique(asked[USER_CODE].to_numpy())
    wanted = asked.select(USER_CODE).unique()
    # What a user has again in the held-out part may be recommended again.
    seen = (
        known.join(wanted, on=USER_CODE, how="semi")
        .join(asked, on=[USER_CODE, ITEM_CODE], how="anti")
        .unique([USER_CODE, ITEM_CODE])
        .sort(USER_CODE, ITEM_CODE)
    )
    truth = _sequences(asked.with_columns(own=pl.lit(True)), users)
    seen_sequences = _sequences(seen.with_columns(own=pl.lit(True)), users)
    return HeldOut(
        history=_sequences(
            history.join(wanted, on=USER_CODE, how="semi").sort(USER_CODE, maintain_order=True),
            users,
        ),
        truth_offsets=truth.offsets,
        truth_items=truth.items,
        truth_ratings=truth.ratings,
        seen_offsets=seen_sequences.offsets,
        seen_items=seen_sequences.items,
        n_train=n_train[torch.from_numpy(users.astype(np.int64))],
    )
