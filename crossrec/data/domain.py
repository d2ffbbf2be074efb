"""One domain as models see it: training sequences and held-out queries, all as tensors."""

from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from crossrec.data.sequences import HeldOut, Sequences

USER_CODE, ITEM_CODE, KEY = "user_code", "item_code", "key"
"""Integer user and item, and the number that orders a user's events over all domains."""


@dataclass(frozen=True)
class Domain:
    """A catalog, its users, what they did in train, and what is asked of them.

    Attributes:
        name: as the data calls it.
        user_ids: (n_users,) ids by user code; the codes are those of the pair.
        items: ITEM and TITLE of each own item, row number = item code.
        n_context: items of other domains that may stand in histories, coded from n_items on.
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
