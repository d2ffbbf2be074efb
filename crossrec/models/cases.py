"""Training cases: what an objective sees of a model, whichever way the model scores."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from crossrec.models.tables import inner_products, leads, rows, whole

Events = tuple[Tensor, Tensor, Tensor]
"""Users, items and ratings of M events, (M,) each; NaN where there is no rating."""


@dataclass(frozen=True)
class Factors:
    """Both sides of a score p . q_i + b + b_i; only the rows that are asked for are read.

    Attributes:
        user: (M, d) p of each case.
        item: q of the candidates in the first n_items rows, d columns each, or at `places`.
        user_bias: (M, 1), or None.
        item_bias: b of the candidates in the first n_items rows, one column; or None.
        places: (n_items,) the row of each candidate in `item`; None where it is its code.
        n_items: candidates; None for all rows.
    """

    user: Tensor
    item: Tensor
    user_bias: Tensor | None = None
    item_bias: Tensor | None = None
    places: Tensor | None = None
    n_items: int | None = None

    def __len__(self) -> int:
        if self.n_items is not None:
            return self.n_items
        return len(self.item if self.places is None else self.places)

    def score(self, candidates: Tensor) -> Tensor:
        """(M,) or (M, S) items, those of row m for case m -> their scores, of the same shape."""
        codes = candidates if candidates.dim() == 2 else candidates.unsqueeze(1)
        places = codes if self.places is None else self.places[codes]
        scores = inner_products(self.user, self.item, places)
        if self.item_bias is not None:
            scores = scores + rows(self.item_bias, codes).squeeze(2)
        if self.user_bias is not None:
            scores = scores + self.user_bias
        return scores.view(candidates.shape)

    def lead(self, items: Tensor, others: Tensor) -> Tensor:
        """(M,) score of `items` (M,) less that of `others` (M,)."""
        codes = torch.stack([items, others], dim=1)
        if self.places is not None:
            pair = self.score(codes)
            return pair[:, 0] - pair[:, 1]
        lead = leads(self.user, self.item, self.item_bias, codes)
        # It is in both scores: its gradient is zero, which is not the same as none to an optimizer.
        return lead if self.user_bias is None else lead + 0 * self.user_bias.squeeze(1)

    def users(self) -> Tensor:
        """(M, k) user vectors whose inner products with those of `items` are the scores."""
        one = self.user.new_ones(len(self.user), 1)
        return _beside(self.user, self.user_bias, None if self.item_bias is None else one)

    def items(self, codes: Tensor | None = None) -> Tensor:
        """(n_items, k) vectors of all candidates, or (C, k) of the given (C,) ones."""
        if codes is None:
            item = whole(self.item)[: len(self)] if self.places is None else self.item
            bias = None if self.item_bias is None else whole(self.item_bias)[: len(self)]
            item = item if self.places is None else rows(item, self.places)
        else:
            item = rows(self.item, codes if self.places is None else self.places[codes])
            bias = None if self.item_bias is None else rows(self.item_bias, codes)
        one = item.new_ones(len(item), 1)
        return _beside(item, None if self.user_bias is None else one, bias)


def _beside(*columns: Tensor | None) -> Tensor:
    """Those that there are, side by side."""
    given = [column for column in columns if column is not None]
    return torch.cat(given, dim=1) if len(given) > 1 else given[0]


@dataclass(frozen=True)
class Cases:
    """The training cases of one batch.

    Attributes:
        users, items: (M,) codes of the event.
        ratings: (M,) float32, NaN where there is none.
        n_items: candidates.
        score: (M,) or (M, S) items, those of row m for case m -> their scores, of the same shape.
        factors: both sides of the score, where it is an inner product; else None.
    """

    users: Tensor
    items: Tensor
    ratings: Tensor
    n_items: int
    score: Callable[[Tensor], Tensor]
    factors: Factors | None = None

    def lead(self, others: Tensor) -> Tensor:
        """(M,) score of each case's item less that of another (M,) one."""
        if self.factors is not None:
            return self.factors.lead(self.items, others)
        pair = self.score(torch.stack([self.items, others], dim=1))
        return pair[:, 0] - pair[:, 1]

    @classmethod
    def of_factors(cls, factors: Factors, events: Events) -> "Cases":
        """Cases whose score is an inner product."""
        return cls(*events, len(factors), factors.score, factors)

    @classmethod
    def of_vectors(
        cls, user: Tensor, item: Tensor, users: Tensor, items: Tensor, ratings: Tensor
    ) -> "Cases":
        """Cases whose score is the inner product of (M, k) `user` and (n_items, k) `item`."""
        return cls.of_factors(Factors(user, item), (users, items, ratings))
