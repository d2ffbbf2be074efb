"""Training cases: what an objective sees of a model, whichever way the model scores."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Cases:
    """The training cases of one batch.

    Attributes:
        users, items: (M,) codes of the event.
        ratings: (M,) float32, NaN where there is none.
        n_items: candidates.
        score: (M,) or (M, S) items, those of row m for case m -> their scores, of the same shape.
        vectors: (M, k) user vectors just before each event and (n_items, k) candidate vectors,
            where the score is their inner product; else None.
    """

    users: Tensor
    items: Tensor
    ratings: Tensor
    n_items: int
    score: Callable[[Tensor], Tensor]
    vectors: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of_vectors(
        cls, user: Tensor, item: Tensor, users: Tensor, items: Tensor, ratings: Tensor
    ) -> "Cases":
        """Cases whose score is the inner product of (M, k) `user` and (n_items, k) `item`."""

        def score(candidates: Tensor) -> Tensor:
            chosen = item[candidates]
            return (user.view(len(user), *[1] * (chosen.dim() - 2), -1) * chosen).sum(-1)

        return cls(users, items, ratings, len(item), score, (user, item))
