"""What users did, as the texts of the items that they had: the raw material of co-occurrence."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csc_array

from crossrec.data.columns import ITEM, USER
from crossrec.data.storage import DOMAINS
from crossrec.data.train_histories import DOMAIN

Codes = NDArray[np.int64]
TEXT = "text"


@dataclass(frozen=True)
class TextHistories:
    """Events of many users, one user after the other, oldest first; items of one text are one.

    Attributes:
        texts: distinct texts in alphabetical order; their places are the codes below.
        codes: (E,) text of each event.
        domains: (E,) 0 for an event of the source, 1 for one of the target.
        offsets: (U + 1,) user u has events offsets[u] .. offsets[u + 1] - 1.
    """

    texts: list[str]
    codes: Codes
    domains: Codes
    offsets: Codes

    @classmethod
    def of(cls, events: pl.DataFrame, texts_of: pl.DataFrame) -> "TextHistories":
        """From what `train_histories` gives; events of items without a text are left out.

        Args:
            events: USER, DOMAIN, ITEM, user by user and oldest first.
            texts_of: DOMAIN, ITEM and TEXT of each item, null where it has none.
        """
        rows = events.join(texts_of, on=[DOMAIN, ITEM], how="left", maintain_order="left")
        rows = rows.drop_nulls(TEXT)
        texts = rows[TEXT].unique().sort()
        coded = rows[TEXT].replace_strict(texts, pl.int_range(len(texts), eager=True))
        lengths = rows[USER].rle().struct.field("len").to_numpy()
        return cls(
            texts=texts.to_list(),
            codes=coded.cast(pl.Int64).to_numpy(),
            domains=(rows[DOMAIN] == DOMAINS[1]).cast(pl.Int64).to_numpy(),
            offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def user(self, number: int) -> tuple[Codes, Codes]:
        """Texts and domains of a user's events."""
        events = slice(self.offsets[number], self.offsets[number + 1])
        return self.codes[events], self.domains[events]

    def able(self) -> Codes:
        """The users with two different texts."""
        had = self.matrix().tocsr()
        return np.flatnonzero(np.diff(had.indptr) > 1)

    def some(self, users: Codes) -> "TextHistories":
        """The histories of some users; the texts keep their codes."""
        lengths = np.diff(self.offsets)[users]
        starts = np.repeat(self.offsets[users] - np.cumsum(lengths) + lengths, lengths)
        rows = starts + np.arange(lengths.sum())
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return TextHistories(self.texts, self.codes[rows], self.domains[rows], offsets)

    def hold_out(self, share: float, most: int, seed: int) -> "tuple[TextHistories, TextHistories]":
        """(train, held out): the same share of users, at most so many, whatever learns from them.

        Only users with two different texts can be asked anything, and count.
        """
        able = self.able()
        n_held_out = min(most, round(share * len(able)))
        held_out = np.sort(np.random.default_rng(seed).permutation(able)[:n_held_out])
        rest = np.setdiff1d(np.arange(len(self)), held_out)
        return self.some(rest), self.some(held_out)

    def matrix(self) -> csc_array:
        """(U, texts) 1 where a user had a text."""
        users = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        cells = np.ones(len(users), dtype=np.float32), (users, self.codes)
        matrix = csc_array(cells, shape=(len(self), len(self.texts)))  # equal cells are summed
        matrix.data[:] = 1.0
        return matrix
