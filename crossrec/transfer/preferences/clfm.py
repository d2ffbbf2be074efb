"""Cluster-level latent factor model (Gao et al., ECML PKDD 2013)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crossrec.data.pair import SIDES, DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.interface import INITIAL_STD
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import (
    Batches,
    Loss,
    PairModel,
    Scores,
    domain_of,
    event_cases,
)
from crossrec.transfer.preferences.shared_ids import SharedIds


class CLFM(PairModel):
    """Tri-factorization of two matrices whose cluster-level patterns are partly the same.

    Section 3 of the paper: X_d ~ U_d [S_0, S_d] V_d'. A row of U_d says how much a user belongs to
    each of `dim` user clusters, a row of V_d an item's place among `dim` item clusters, and S how
    much the ones like the others. S_0, the first `share_dim` columns, is common to both domains;
    S_d, the other columns, is a domain's own. Here the common columns also tell what a shared item
    carries: it has one vector on the common clusters, and on the others one in each domain. A
    shared user has one row of U. So share_dim = 0 leaves nothing in common but the rows of shared
    users, and share_dim = dim leaves nothing apart but biases.

    The paper keeps all factors nonnegative for its multiplicative updates; gradient descent needs
    no such constraint, and ridge regularization is the optimizer's weight decay.

    Args:
        dim: clusters of users, and of items.
        share_dim: item clusters whose pattern is common to both domains, 0 <= share_dim <= dim.
        alpha: weight of the source's loss, 0 <= alpha < 1; the target's is 1 - alpha.

    Raises:
        UserError: share_dim or alpha is out of range.
    """

    needs: Overlap = "any"

    def __init__(self, dim: int = 64, share_dim: int = 48, alpha: float = 0.5) -> None:
        super().__init__()
        if not 0 <= share_dim <= dim:
            raise UserError(
                f"transfer.share_dim must be >= 0 and <= transfer.dim ({dim}), got {share_dim}"
            )
        if not 0 <= alpha < 1:
            raise UserError(f"transfer.alpha must be >= 0 and < 1, got {alpha}")
        self.dim, self.share_dim, self.alpha = dim, share_dim, alpha

    def build(self, pair: DomainPair, content: Content) -> None:
        """U; the common and the own parts of S and V; biases for each domain."""
        self.ids = SharedIds(pair)
        catalog = {side: domain_of(pair, side).n_items for side in SIDES}
        own_dim = self.dim - self.share_dim
        self.users = nn.Parameter(torch.randn(self.ids.n_users, self.dim) * INITIAL_STD)
        self.common_pattern = nn.Parameter(torch.randn(self.dim, self.share_dim))
        self.common_items = nn.Parameter(
            torch.randn(self.ids.n_items, self.share_dim) * INITIAL_STD
        )
        self.own_pattern = nn.ParameterDict(
            {side: torch.randn(self.dim, own_dim) for side in SIDES}
        )
        self.own_items = nn.ParameterDict(
            {side: torch.randn(catalog[side], own_dim) * INITIAL_STD for side in SIDES}
        )
        self.user_bias = nn.ParameterDict(
            {side: torch.zeros(self.ids.n_users, 1) for side in SIDES}
        )
        self.item_bias = nn.ParameterDict({side: torch.zeros(catalog[side], 1) for side in SIDES})

    def vectors(self, side: Side, users: Tensor) -> tuple[Tensor, Tensor]:
        """[U S_0, U S_d, b_u, 1] of the users and [V_0, V_d, 1, b_i] of a side's catalog."""
        # Kept as sqrt(dim) S: a step of Adam, whatever the gradient, is then small beside S, which
        # all pairs read, and U S starts as small as U.
        pattern = torch.cat([self.common_pattern, self.own_pattern[side]], dim=1) / self.dim**0.5
        common, own = self.common_items[self.ids.rows(side)], self.own_items[side]
        user_bias, item_bias = self.user_bias[side][users], self.item_bias[side]
        return (
            torch.cat([self.users[users] @ pattern, user_bias, torch.ones_like(user_bias)], dim=1),
            torch.cat([common, own, torch.ones_like(item_bias), item_bias], dim=1),
        )

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """alpha of the source's loss and 1 - alpha of the target's."""
        source, target = (
            losses[side](event_cases(*self.vectors(side, batches[side].users), batches[side]))
            for side in SIDES
        )
        return self.alpha * source + (1 - self.alpha) * target

    def scorer(self, side: Side) -> Scores:
        """Inner products with the side's catalog."""

        def scores(histories: Batch) -> Tensor:
            user, item = self.vectors(side, histories.users)
            return user @ item.T

        return scores
