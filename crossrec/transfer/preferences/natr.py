"""NATR: item embeddings are carried over, and users stay at home (Gao et al., WWW 2019)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.columns import PAD
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.interface import INITIAL_STD
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import (
    Batches,
    Loss,
    PairModel,
    Phase,
    Scores,
    event_cases,
    scored_cases,
)

LEAST_REST = 1e-4  # attention that must be left for a history to be one
DENSE_CELLS = 8  # the catalog's scores of a batch's users are cheaper than so many pairs' alone


class NATR(PairModel):
    """Embeddings of shared items, learned in the source, tell what a target user likes.

    First the source's items are factorized. Of all that, only the embeddings of shared items go to
    the target, through a linear adaptation: v_j. Then two units of attention (section 3):

        items    t_u = sum of a_uj v_j over the history of u, a_u = softmax of h . ReLU(p_u v_j)
        domains  z_ui = b t_u + (1 - b) p_u, b = sigmoid of g . (ReLU(t_u q_i) - ReLU(p_u q_i))

    with products by coordinate, and the score is z_ui . q_i (and biases). Since
    ReLU(x y) = x+ y+ + x- y-, whole catalogs are scored by matrix products, exactly.

    An item is scored as if it were not in the history: otherwise a training event would see its
    own answer. Removing item i turns t_u into (t_u - a_ui v_i) / (1 - a_ui). Users without history
    (or whose attention the item had to itself) are left with p_u: with nothing carried this is
    matrix factorization. Items that are ranked are never in the history: `scorer` removes none.

    Args:
        dim: length of the vectors in the target.
        source_dim: length of the vectors in the source.
        max_items: how many shared items of the history are read, the latest.

    Raises:
        UserError: max_items below 1.
    """

    needs: Overlap = "items"
    phases = (
        Phase("source", reads=("source",), trains=("source_",), validates="source"),
        Phase("target", reads=("target",), trains=("target_",)),
    )
    history: Tensor
    carried: Tensor

    def __init__(self, dim: int = 64, source_dim: int = 64, max_items: int = 100) -> None:
        super().__init__()
        if max_items < 1:
            raise UserError(f"transfer.max_items must be >= 1, got {max_items}")
        self.dim, self.source_dim, self.max_items = dim, source_dim, max_items

    def build(self, pair: DomainPair, content: Content) -> None:
        """Tables of both domains, the adaptation, and the histories in the target."""
        self.n_items = pair.target.n_items
        n_users, n_source = pair.source.n_users, pair.source.n_items
        self.source_user = nn.Parameter(torch.randn(n_users, self.source_dim) * INITIAL_STD)
        self.source_item = nn.Parameter(torch.randn(n_source, self.source_dim) * INITIAL_STD)
        self.source_user_bias = nn.Parameter(torch.zeros(n_users, 1))
        self.source_item_bias = nn.Parameter(torch.zeros(n_source, 1))
        self.target_user = nn.Parameter(torch.randn(n_users, self.dim) * INITIAL_STD)
        self.target_item = nn.Parameter(torch.randn(self.n_items, self.dim) * INITIAL_STD)
        self.target_user_bias = nn.Parameter(torch.zeros(n_users))
        self.target_item_bias = nn.Parameter(torch.zeros(self.n_items))
        self.target_adaptation = nn.Linear(self.source_dim, self.dim)
        self.target_item_attention = nn.Parameter(torch.randn(self.dim) * INITIAL_STD)
        self.target_domain_attention = nn.Parameter(torch.randn(self.dim) * INITIAL_STD)
        carried = torch.full((self.n_items,), PAD)
        carried[pair.shared_items[:, 0]] = pair.shared_items[:, 1]
        self.register_buffer("carried", carried, persistent=False)
        history = latest_items(pair.target, carried != PAD, self.max_items)
        self.register_buffer("history", history, persistent=False)

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The objective of the phase's side."""
        if self.phase == "source":
            batch = batches["source"]
            return losses["source"](event_cases(*self.source_vectors(batch.users), batch))
        cases = scored_cases(self.score, self.n_items, batches["target"])
        return losses["target"](cases)

    def source_vectors(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """[p_u, b_u, 1] of the users and [q_i, 1, b_i] of the source's catalog."""
        user_bias, item_bias = self.source_user_bias[users], self.source_item_bias
        return (
            torch.cat([self.source_user[users], user_bias, torch.ones_like(user_bias)], dim=1),
            torch.cat([self.source_item, torch.ones_like(item_bias), item_bias], dim=1),
        )

    def adapted(self) -> Tensor:
        """(n_items, d): v of the target's items; rows of items that are not shared mean nothing."""
        adapted: Tensor = self.target_adaptation(self.source_item[self.carried.clamp(min=0)])
        return adapted

    def taste(self, users: Tensor, adapted: Tensor) -> tuple[Tensor, Tensor]:
        """Attention over the histories of (U,) users, (U, h), and t, (U, d); zeros without any."""
        history = self.history[users]
        real = history < self.n_items
        carried = F.embedding(history.clamp(max=self.n_items - 1), adapted)  # (U, h, d)
        logits = F.relu(self.target_user[users, None] * carried) @ self.target_item_attention
        logits = logits.masked_fill(~real, torch.finfo(logits.dtype).min)
        attention = logits.softmax(dim=1) * real
        return attention, (attention[:, None] @ carried)[:, 0]

    def sides(self, user: Tensor, taste: Tensor) -> tuple[Tensor, Tensor]:
        """(U, 3, 2d) and (n_items, 2d), whose inner products are p . q, t . q and the gate."""
        gate = self.target_domain_attention * (F.relu(taste) - F.relu(user))
        gate_ = self.target_domain_attention * (F.relu(-taste) - F.relu(-user))
        of_users = [
            torch.cat(two, dim=1) for two in ((user, -user), (taste, -taste), (gate, gate_))
        ]
        item = self.target_item
        return torch.stack(of_users, dim=1), torch.cat([F.relu(item), F.relu(-item)], dim=1)

    def catalog(self, users: Tensor, taste: Tensor, known: Tensor) -> Tensor:
        """(U, n_items) scores of (U,) users with (U, d) t, which (U, 1) `known` have; no biases."""
        of_users, of_items = self.sides(self.target_user[users], taste)
        return mix(of_users @ of_items.T, known)

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """(M, 1) users and (M, S) items -> (M, S), each item scored without itself in history."""
        some, row = torch.unique(users[:, 0], return_inverse=True)
        adapted = self.adapted()
        attention, taste = self.taste(some, adapted)
        known = attention.any(dim=1, keepdim=True)
        if len(some) * self.n_items <= DENSE_CELLS * items.numel():
            scores = self.catalog(some, taste, known)[row[:, None], items]
        else:
            of_users, of_items = self.sides(self.target_user[some], taste)
            products = of_users[row] @ F.embedding(items, of_items).transpose(1, 2)  # (M, 3, S)
            scores = mix(products, known[row])
        history = self.history[some][row]
        place = torch.searchsorted(history, items.contiguous()).clamp(max=history.shape[1] - 1)
        case, column = (history.gather(1, place) == items).nonzero(as_tuple=True)
        item, row = items[case, column], row[case]
        weight = attention[row, place[case, column]].unsqueeze(1)
        without = self.without(some[row], item, adapted[item], weight, taste[row])
        scores = scores.index_put((case, column), without.to(scores.dtype))
        return scores + self.target_user_bias[users] + self.target_item_bias[items]

    def without(
        self, users: Tensor, items: Tensor, own: Tensor, weight: Tensor, taste: Tensor
    ) -> Tensor:
        """(K,) scores of items that stand in the history, as if they did not; no biases.

        Args:
            users, items: (K,).
            own, weight: (K, d) v of each item and (K, 1) the attention that it has.
            taste: (K, d) t of each user, the item included.
        """
        rest = 1 - weight
        taste = (taste - weight * own) / rest.clamp(min=LEAST_REST)
        user, item = self.target_user[users], self.target_item[items]
        gate = (F.relu(taste * item) - F.relu(user * item)) @ self.target_domain_attention
        products = torch.stack([(user * item).sum(1), (taste * item).sum(1), gate], dim=1)
        return mix(products, rest[:, 0] >= LEAST_REST)

    @torch.no_grad()
    def scorer(self, side: Side) -> Scores:
        """Matrix products with the side's catalog."""
        adapted = self.adapted()

        def scores(histories: Batch) -> Tensor:
            users = histories.users
            if side == "source":
                user, item = self.source_vectors(users)
                return user @ item.T
            attention, taste = self.taste(users, adapted)
            scores = self.catalog(users, taste, attention.any(dim=1, keepdim=True))
            return scores + self.target_user_bias[users, None] + self.target_item_bias

        return scores


def mix(products: Tensor, known: Tensor) -> Tensor:
    """z . q, (U, ...), from (U, 3, ...) p . q, t . q and the gate's logit, and who has a t."""
    own, carried, gate = products.unbind(1)
    return own + torch.sigmoid(gate) * known * (carried - own)


def latest_items(domain: Domain, wanted: Tensor, most: int) -> Tensor:
    """What each user has in train, of the items that are wanted.

    Args:
        wanted: (n_items,) bool.
        most: of how many of a user's latest events.

    Returns:
        (n_users, h) item codes in rising order, each once, then n_items where there are no more.
    """
    users, items, _ = domain.train_events()
    users, items = users[wanted[items]], items[wanted[items]]
    order = torch.argsort(users, stable=True)  # and by time within a user
    users, items = users[order], items[order]
    after = torch.bincount(users, minlength=domain.n_users).cumsum(0)[users]
    latest = after - torch.arange(len(users)) <= most
    keys = torch.unique(users[latest] * domain.n_items + items[latest])
    users, items = keys // domain.n_items, keys % domain.n_items
    counts = torch.bincount(users, minlength=domain.n_users)
    place = torch.arange(len(users)) - (counts.cumsum(0) - counts)[users]
    history = torch.full((domain.n_users, max(1, int(counts.max()))), domain.n_items)
    history[users, place] = items
    return history
