"""What a recommender is trained to do: rank (softmax, bpr) or predict ratings (rating)."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from crossrec import losses
from crossrec.data.domain import Domain
from crossrec.errors import UserError


@dataclass(frozen=True)
class Cases:
    """The training cases of one batch.

    Attributes:
        user: (M, k) user vectors just before each event.
        item: (n_items, k) candidate vectors.
        users, items: (M,) codes of the event.
        ratings: (M,) float32, NaN where there is none.
    """

    user: Tensor
    item: Tensor
    users: Tensor
    items: Tensor
    ratings: Tensor


class Objective(Protocol):
    """A loss over cases, and the validation metric that says which weights are best."""

    monitor: str
    mode: str

    def prepare(self, domain: Domain) -> None:
        """Read what the loss needs to know of the training data."""

    def __call__(self, cases: Cases) -> Tensor:
        """The loss, a scalar."""


class Softmax:
    """Cross-entropy of the next item over the catalog: full where it is small, sampled else.

    Args:
        full_below: catalogs of at most so many items get the full softmax.
        n_negatives: shared negatives of the sampled softmax, drawn in proportion to
            (count + 1) ** 0.75 and corrected for it.
    """

    monitor, mode = "valid/ndcg@10", "max"

    def __init__(self, full_below: int = 50_000, n_negatives: int = 2048) -> None:
        self.full_below, self.n_negatives = full_below, n_negatives

    def prepare(self, domain: Domain) -> None:
        """Make the distribution that negatives are drawn from."""
        weight = (domain.item_counts().double() + 1) ** 0.75
        self._q = weight / weight.sum()

    def __call__(self, cases: Cases) -> Tensor:
        """Mean cross-entropy of the cases."""
        if len(cases.item) <= self.full_below:
            return losses.softmax(cases.user, cases.item, cases.items)
        negatives = torch.multinomial(self._q, self.n_negatives, replacement=True)
        log_q = self._q.log().float().to(cases.item.device)
        return losses.sampled_softmax(
            cases.user, cases.item, cases.items, negatives.to(cases.item.device), log_q
        )


class BPR:
    """Pairwise ranking against one uniform item that the user does not have in train."""

    monitor, mode = "valid/ndcg@10", "max"

    def prepare(self, domain: Domain) -> None:
        """Remember who has what in train."""
        users, items, _ = domain.train_events()
        self._had = torch.unique(users * domain.n_items + items)

    def negatives(self, users: Tensor, n_items: int) -> Tensor:
        """(M,) items drawn uniformly; those a user has are drawn again, up to ten times."""
        had = self._had.to(users.device)
        drawn = torch.randint(n_items, users.shape, device=users.device)
        for _ in range(10):
            keys = users * n_items + drawn
            place = torch.searchsorted(had, keys).clamp(max=len(had) - 1)
            wrong = had[place] == keys
            if not bool(wrong.any()):
                break
            drawn = torch.where(wrong, torch.randint_like(drawn, n_items), drawn)
        return drawn

    def __call__(self, cases: Cases) -> Tensor:
        """Mean of -log sigmoid(positive - negative)."""
        negative = self.negatives(cases.users, len(cases.item))
        return losses.bpr(
            (cases.user * cases.item[cases.items]).sum(-1),
            (cases.user * cases.item[negative]).sum(-1),
        )


class Rating:
    """Squared error of mean + user . item against the rating, in units of the rating scale."""

    monitor, mode = "valid/rmse", "min"

    def prepare(self, domain: Domain) -> None:
        """Take the mean rating of train as the offset."""
        self.mean = mean_rating(domain)

    def __call__(self, cases: Cases) -> Tensor:
        """Mean squared error over the cases that have a rating; zero where none has."""
        known = ~cases.ratings.isnan()
        predicted = self.mean + (cases.user * cases.item[cases.items]).sum(-1)
        if not bool(known.any()):
            return predicted.sum() * 0
        return losses.rating(predicted[known], cases.ratings[known])


def mean_rating(domain: Domain) -> float:
    """Mean of the ratings in train.

    Raises:
        UserError: there are none.
    """
    ratings = domain.train_events()[2]
    known = ratings[~ratings.isnan()]
    if len(known) == 0:
        raise UserError(
            f"objective=rating needs ratings, but domain {domain.name} has none; "
            "use objective=softmax or objective=bpr"
        )
    return float(known.mean())
