"""Training cases: what an objective sees of a model, whichever way the model scores."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from crossrec.models.tables import inner_products, rows

Events = tuple[Tensor, Tensor, Tensor]
"""Users, items and ratings of M events, (M,) each; NaN where there is no rating."""


@dataclass(frozen=True)
class Factors:
    """Both sides of a score p . q_i + b + b_i; only the rows that are asked for are read.

    Attributes:
        user: (M, d) p of each case.
        item: (n_items, d) q of the candidates, or a table in which their rows are.
        user_bias: (M, 1), or None.
        item_bias: (n_items, 1), or None.
        places: (n_items,) the row of each candidate in `item`; None where it is its code.
    """

    user: Tensor
    item: Tensor
    user_bias: Tensor | None = None
    item_bias: Tensor | None = None
    places: Tensor | None = None

    @property
    def n_items(self) -> int:
        """Candidates."""
        return len(self.item if self.places is None else self.places)

    def score(self, candidates: Tensor) -> Tensor:
        """(M,) or (M, S) items, those of row m for case m -> their scores, of the same shape."""
        codes = candidates.view(len(candidates), -1)
        places = codes if self.places is None else self.places[codes]
        scores = inner_products(self.user, self.item, places)
        if self.item_bias is not None:
            scores = scores + rows(self.item_bias, codes).squeeze(2)
        if self.user_bias is not None:
            scores = scores + self.user_bias
        return scores.view(candidates.shape)

    def users(self) -> Tensor:
        """(M, k) user vectors whose inner products with those of `items` are the scores."""
        one = self.user.new_ones(len(self.user), 1)
        return _beside(self.user, self.user_bias, None if self.item_bias is None else one)

    def items(self, codes: Tensor | None = None) -> Tensor:
        """(n_items, k) vectors of all candidates, or (C, k) of the given (C,) ones."""
        item, bias, places = self.item, self.item_bias, self.places
        if codes is not None:
            places = codes if places is None else places[codes]
            bias = None if bias is None else rows(bias, codes)
        if places is not None:
            item = rows(item, places)
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

    @classmethod
    def of_factors(cls, factors: Factors, events: Events) -> "Cases":
        """Cases whose score is an inner product."""
        return cls(*events, factors.n_items, factors.score, factors)

    @classmethod
    def of_vectors(
        cls, user: Tensor, item: Tensor, users: Tensor, items: Tensor, ratings: Tensor
    ) -> "Cases":
        """Cases whose score is the inner product of (M, k) `user` and (n_items, k) `item`."""
        return cls.of_factors(Factors(user, item), (users, items, ratings))
