"""What a recommender is trained to do: rank (softmax, bpr) or predict ratings (rating)."""

from typing import Protocol

import torch
from torch import Tensor

from crossrec import losses
from crossrec.data.domain import Domain
from crossrec.errors import UserError
from crossrec.models.cases import Cases


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
        n_scored: negatives of each case, drawn alike, where a model's score is no inner product.
    """

    monitor, mode = "valid/ndcg@10", "max"

    def __init__(
        self, full_below: int = 50_000, n_negatives: int = 2048, n_scored: int = 64
    ) -> None:
        self.full_below, self.n_negatives, self.n_scored = full_below, n_negatives, n_scored

    def prepare(self, domain: Domain) -> None:
        """Make the distribution that negatives are drawn from."""
        weight = (domain.item_counts().double() + 1) ** 0.75
        self._cumulative = weight.cumsum(0)
        self._of_item = (weight / weight.sum()).log().float()

    def __call__(self, cases: Cases) -> Tensor:
        """Mean cross-entropy of the cases."""
        factors = cases.factors
        if factors is None:
            return self._scored(cases)
        if cases.n_items <= self.full_below:
            return losses.softmax(factors.users(), factors.items(), cases.items)
        negatives = self._draw((self.n_negatives,), cases.items.device)
        return losses.shared_sampled_softmax(
            factors.users(),
            factors.items(negatives),
            factors.score(cases.items),
            cases.items,
            negatives,
            self._log_q(negatives),
        )

    def _scored(self, cases: Cases) -> Tensor:
        """The same estimate with negatives of each case's own."""
        drawn = self._draw((len(cases.items), self.n_scored), cases.items.device)
        scores = cases.score(torch.cat([cases.items[:, None], drawn], dim=1))  # (M, 1 + S)
        return losses.sampled_softmax(
            scores[:, 0], scores[:, 1:], self._log_q(drawn), drawn == cases.items[:, None]
        )

    def _draw(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Items drawn from q, by its inverse: a search each, however large the catalog is."""
        self._cumulative = self._cumulative.to(device)
        places = torch.rand(shape, dtype=torch.float64, device=device)
        drawn = torch.searchsorted(self._cumulative, places * self._cumulative[-1], right=True)
        return drawn.clamp_(max=len(self._cumulative) - 1)

    def _log_q(self, items: Tensor) -> Tensor:
        """log of the probability that one draw gives the item, of the shape of `items`."""
        self._of_item = self._of_item.to(items.device)
        return self._of_item[items]


class BPR:
    """Pairwise ranking against one uniform item that the user does not have in train."""

    monitor, mode = "valid/ndcg@10", "max"

    def prepare(self, domain: Domain) -> None:
        """Remember who has what in train."""
        users, items, _ = domain.train_events()
        had = torch.unique(users * domain.n_items + items)
        n_had = torch.bincount(had // domain.n_items, minlength=domain.n_users)
        # Who has all items gets any of them.
        had = had[(n_had < domain.n_items)[had // domain.n_items]]
        user = had // domain.n_items
        n_had = torch.bincount(user, minlength=domain.n_users)
        self._start = n_had.cumsum(0) - n_had  # of each user's part of `had`
        self._n_free = domain.n_items - n_had
        # h - j items that a user does not have lie below the j-th one that they have, h.
        self._below = had - (torch.arange(len(had)) - self._start[user])

    def negatives(self, users: Tensor, n_items: int) -> Tensor:
        """Uniformly drawn items that each of `users`, whatever its shape, does not have.

        The r-th item that a user does not have is r + (how many had ones lie before it), which one
        search in the sorted pairs finds: exact, without drawing again, and without asking an
        accelerator whether it has to.
        """
        if self._below.device != users.device:
            self._start, self._n_free, self._below = (
                x.to(users.device) for x in (self._start, self._n_free, self._below)
            )
        places = torch.rand(users.shape, dtype=torch.float64, device=users.device)
        drawn = (places * self._n_free[users]).long()
        before = torch.searchsorted(self._below, users * n_items + drawn, right=True)
        return drawn + before - self._start[users]

    def __call__(self, cases: Cases) -> Tensor:
        """Mean of -log sigmoid(positive - negative)."""
        return losses.bpr(cases.lead(self.negatives(cases.users, cases.n_items)))


class Logistic(BPR):
    """Binary cross-entropy of what a user has against uniform items that they do not have.

    The pointwise loss of NeuMF and of most joint models (He et al., WWW 2017, equation 7).

    Args:
        n_negatives: items drawn for each event.

    Raises:
        UserError: n_negatives below 1.
    """

    def __init__(self, n_negatives: int = 4) -> None:
        if n_negatives < 1:
            raise UserError(f"objective.n_negatives must be >= 1, got {n_negatives}")
        self.n_negatives = n_negatives

    def __call__(self, cases: Cases) -> Tensor:
        """Mean over the cases of -log sigmoid(positive) - sum of log(1 - sigmoid(negative))."""
        users = cases.users[:, None].expand(-1, self.n_negatives)
        negative = self.negatives(users, cases.n_items)
        scores = cases.score(torch.cat([cases.items[:, None], negative], dim=1))
        return losses.logistic(scores[:, 0], scores[:, 1:])


class Rating:
    """Squared error of mean + user . item against the rating, in units of the rating scale."""

    monitor, mode = "valid/rmse", "min"

    def prepare(self, domain: Domain) -> None:
        """Take the mean rating of train as the offset."""
        self.mean = mean_rating(domain)

    def __call__(self, cases: Cases) -> Tensor:
        """Mean squared error over the cases that have a rating; zero where none has."""
        known = ~cases.ratings.isnan()
        predicted = self.mean + cases.score(cases.items)
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
