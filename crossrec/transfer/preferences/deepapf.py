"""Deep attentive probabilistic factorization (Yan et al., IJCAI 2019)."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
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
    score_catalog,
    scored_cases,
)
from crossrec.transfer.preferences.shared_ids import SharedIds


class Interplay(nn.Module):
    """A domain's view of a pair of vectors e, v: how well they match, and how much that counts.

    Args:
        dim: d, length of the vectors.
        attention_dim: a, hidden units of the attention network.
    """

    def __init__(self, dim: int, attention_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.hidden = nn.Linear(dim, attention_dim)
        self.logit = nn.Linear(attention_dim, 1, bias=False)

    def forward(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """w . (e * v) and g . relu(W (e * v) + b), (M, S) each.

        The products e * v are never made: W (e * v) = (W diag(e)) v.

        Args:
            user: (M, d).
            item: (M, S, d).
        """
        match = item @ (user * self.weight)[:, :, None]
        hidden = item @ (user[:, None] * self.hidden.weight).mT + self.hidden.bias
        return match.squeeze(2), self.logit(F.relu(hidden)).squeeze(2)


class DeepAPF(PairModel):
    """Tastes that hold everywhere and tastes that hold in one domain, weighed by attention.

    The paper: a shared user has a vector c common to both domains and one, s, of each domain. A
    pair's score is alpha_c w . (c * v) + alpha_s w . (s * v), v the item's vector, and the alphas
    are the softmax of g . relu(W (c * v) + b) and g . relu(W (s * v) + b): how much of either taste
    an item calls for. Each domain has its own w, g, W and b, and an item bias is added.

    Where items are shared and no users, the items have the two vectors and users have one. Where
    both are shared, the users have them, and a shared item has one vector, as in CMF. An entity of
    one domain alone has s alone, alpha_s = 1.

    Args:
        dim: length of the vectors.
        attention_dim: hidden units of the attention network.
        alpha: weight of the source's loss, 0 <= alpha < 1; the target's is 1 - alpha.

    Raises:
        UserError: alpha is out of range.
    """

    needs: Overlap = "any"

    def __init__(self, dim: int = 64, attention_dim: int = 16, alpha: float = 0.5) -> None:
        super().__init__()
        if not 0 <= alpha < 1:
            raise UserError(f"transfer.alpha must be >= 0 and < 1, got {alpha}")
        self.dim, self.attention_dim, self.alpha = dim, attention_dim, alpha

    def build(self, pair: DomainPair, content: Content) -> None:
        """Common and own vectors of what binds the domains, one vector of the rest, attention."""
        self.ids = SharedIds(pair)
        n_users, n_items = self.ids.n_users, self.ids.n_items
        catalog = {side: domain_of(pair, side).n_items for side in SIDES}
        by_users = self.ids.by == "users"
        shared = self.ids.shared_users if by_users else self.ids.shared_items
        self.shared: Tensor
        self.register_buffer("shared", shared, persistent=False)

        def vectors(rows: int) -> Tensor:
            return torch.randn(rows, self.dim) * INITIAL_STD

        self.user_embedding = nn.Parameter(vectors(n_users))
        self.item_embedding = nn.Parameter(vectors(n_items))
        self.own_embedding = nn.ParameterDict(
            {side: vectors(n_users if by_users else catalog[side]) for side in SIDES}
        )
        self.item_bias = nn.ParameterDict({side: torch.zeros(catalog[side]) for side in SIDES})
        self.source, self.target = (Interplay(self.dim, self.attention_dim) for _ in SIDES)

    def scoring(self, side: Side) -> tuple[Callable[[Tensor, Tensor], Tensor], int]:
        """How pairs of a side are scored, (M, 1) users and (M, S) items, and its catalog's size."""
        interplay = self.source if side == "source" else self.target
        rows = self.ids.rows(side)
        item_embedding, own, bias = (
            self.item_embedding[rows],
            self.own_embedding[side],
            self.item_bias[side],
        )

        def score(users: Tensor, items: Tensor) -> Tensor:
            user, item = self.user_embedding[users.squeeze(1)], item_embedding[items]
            common, common_logit = interplay(user, item)
            if self.ids.by == "users":
                shared = self.shared[users]
                specific, specific_logit = interplay(own[users.squeeze(1)], item)
            else:
                shared = self.shared[rows[items]]
                specific, specific_logit = interplay(user, own[items])
            # The softmax of two logits; nothing is common where the other domain does not know.
            weight = shared * torch.sigmoid(common_logit - specific_logit)
            scores: Tensor = specific + weight * (common - specific) + bias[items]
            return scores

        return score, len(rows)

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """alpha of the source's loss and 1 - alpha of the target's."""
        source, target = (
            losses[side](scored_cases(*self.scoring(side), batches[side])) for side in SIDES
        )
        return self.alpha * source + (1 - self.alpha) * target

    def scorer(self, side: Side) -> Scores:
        """Attention and matches on the whole catalog."""
        score, n_items = self.scoring(side)

        def scores(histories: Batch) -> Tensor:
            return score_catalog(score, n_items, histories.users)

        return scores
