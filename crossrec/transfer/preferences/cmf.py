"""Collective matrix factorization (Singh and Gordon, KDD 2008)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crossrec.data.pair import SIDES, DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.cases import Cases, Factors
from crossrec.models.interface import INITIAL_STD
from crossrec.models.tables import rows
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import (
    Batches,
    Loss,
    PairModel,
    Scores,
    domain_of,
    events_of,
)
from crossrec.transfer.preferences.shared_ids import SharedIds


class CMF(PairModel):
    """Two matrices, factorized together: a user or an item of both has one vector for both.

    Section 2 of the paper: alpha * l(X_s, f(U V_s')) + (1 - alpha) * l(X_t, f(U V_t')), where U and
    V share the rows of what stands in both domains. Ridge regularization is the optimizer's weight
    decay. A user has one bias, too: who rates kindly here does so there. An item has one for each
    domain, for what is popular here need not be so there. With nothing shared this is two matrix
    factorizations.

    Args:
        dim: d, length of the vectors.
        alpha: weight of the source's loss, 0 <= alpha < 1.

    Raises:
        UserError: alpha is out of range.
    """

    needs: Overlap = "any"

    def __init__(self, dim: int = 64, alpha: float = 0.5) -> None:
        super().__init__()
        if not 0 <= alpha < 1:
            raise UserError(f"transfer.alpha must be >= 0 and < 1, got {alpha}")
        self.dim, self.alpha = dim, alpha

    def build(self, pair: DomainPair, content: Content) -> None:
        """Tables of users and items over both domains, and item biases for each."""
        self.ids = SharedIds(pair)
        self.user_embedding = nn.Parameter(torch.randn(self.ids.n_users, self.dim) * INITIAL_STD)
        self.item_embedding = nn.Parameter(torch.randn(self.ids.n_items, self.dim) * INITIAL_STD)
        self.user_bias = nn.Parameter(torch.zeros(self.ids.n_users, 1))
        self.item_bias = nn.ParameterDict(
            {side: torch.zeros(domain_of(pair, side).n_items, 1) for side in SIDES}
        )

    def factors(self, side: Side, users: Tensor) -> Factors:
        """p and b of the users, q and b of a side's catalog."""
        return Factors(
            rows(self.user_embedding, users),
            self.item_embedding,
            rows(self.user_bias, users),
            self.item_bias[side],
            self.ids.rows(side),
        )

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """alpha of the source's loss and 1 - alpha of the target's."""
        source, target = (
            losses[side](
                Cases.of_factors(self.factors(side, batches[side].users), events_of(batches[side]))
            )
            for side in SIDES
        )
        return self.alpha * source + (1 - self.alpha) * target

    def scorer(self, side: Side) -> Scores:
        """Inner products with the side's catalog."""

        def scores(histories: Batch) -> Tensor:
            factors = self.factors(side, histories.users)
            return factors.users() @ factors.items().T

        return scores
