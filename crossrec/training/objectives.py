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
        self._q = weight / weight.sum()

    def __call__(self, cases: Cases) -> Tensor:
        """Mean cross-entropy of the cases."""
        if cases.vectors is None:
            return self._scored(cases)
        user, item = cases.vectors
        if cases.n_items <= self.full_below:
            return losses.softmax(user, item, cases.items)
        negatives = torch.multinomial(self._q, self.n_negatives, replacement=True)
        log_q = self._q.log().float().to(item.device)
        return losses.sampled_softmax(user, item, cases.items, negatives.to(item.device), log_q)

    def _scored(self, cases: Cases) -> Tensor:
        """The same estimate with negatives of each case's own."""
        device = cases.items.device
        shape = len(cases.items), self.n_scored
        drawn = torch.multinomial(self._q, shape[0] * shape[1], replacement=True)
        drawn = drawn.view(shape).to(device)
        log_q = self._q.log().float().to(device)
        scores = cases.score(torch.cat([cases.items[:, None], drawn], dim=1))  # (M, 1 + S)
        return losses.scored_softmax(
            scores[:, 0], scores[:, 1:], log_q[drawn], drawn == cases.items[:, None]
        )


class BPR:
    """Pairwise ranking against one uniform item that the user does not have in train."""

    monitor, mode = "valid/ndcg@10", "max"

    def prepare(self, domain: Domain) -> None:
        """Remember who has what in train."""
        users, items, _ = domain.train_events()
        self._had = torch.unique(users * domain.n_items + items)

    def negatives(self, users: Tensor, n_items: int) -> Tensor:
        """Items drawn uniformly, one for each of `users`, whatever its shape; those a user has are
        drawn again, up to ten times."""
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
        negative = self.negatives(cases.users, cases.n_items)
        return losses.bpr(cases.score(cases.items), cases.score(negative))


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
