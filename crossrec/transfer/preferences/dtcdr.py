"""Dual-target cross-domain recommendation (Zhu et al., CIKM 2019)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

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


class NeuMF(nn.Module):
    """s(u, i) = w . (e_u * e_i) + h . MLP([e_u, e_i]) + b_i: He et al., WWW 2017, Section 3.4.

    Both paths read the same vectors, for these are what two domains combine. The MLP's first layer
    is the sum of a user part and an item part, so that each is made once and not once a pair.

    Args:
        dim: length of e_u and e_i.
        layers: sizes of the hidden layers.
        dropout: share of the hidden units that a training step leaves out.
        n_items: of the catalog, for the biases.
    """

    def __init__(self, dim: int, layers: Sequence[int], dropout: float, n_items: int) -> None:
        super().__init__()
        self.dropout = dropout
        self.of_user = nn.Linear(dim, layers[0], bias=False)
        self.of_item = nn.Linear(dim, layers[0])
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(layers))
        self.output = nn.Linear(layers[-1], 1, bias=False)
        self.product = nn.Parameter(torch.ones(dim))
        self.item_bias = nn.Parameter(torch.zeros(n_items, 1))

    def score(self, user: Tensor, item: Tensor, item_part: Tensor, bias: Tensor) -> Tensor:
        """Scores of pairs, (M, S).

        Args:
            user: (M, dim) vectors of users.
            item: (M, S, dim) vectors of items.
            item_part: (M, S, h) what `of_item` makes of those.
            bias: (M, S, 1) of the items.
        """
        x = F.relu(self.of_user(user)[:, None] + item_part)
        for layer in self.hidden:
            x = F.relu(layer(F.dropout(x, self.dropout, self.training)))
        deep: Tensor = self.output(F.dropout(x, self.dropout, self.training))
        wide = item @ (user * self.product)[:, :, None]
        return (wide + deep + bias).squeeze(2)


class DTCDR(PairModel):
    """Each domain learns vectors of its own; who stands in both is the combination of the two.

    Section 4 of the paper: the vectors of a shared user are combined element by element by
    max-pooling (the best of its three combinations), and each domain scores with a tower of its
    own, NeuMF here, on what is combined. Shared items are treated alike. An entity of one domain
    alone keeps that domain's vector: a maximum with a row that was never trained would bend it.
    A user with no training event here has the combination too, so what the source learned of them
    counts. The paper's text embeddings are left out.

    Args:
        dim: length of the vectors.
        layers: sizes of the towers' hidden layers.
        dropout: share of the hidden units that a training step leaves out, 0 <= dropout < 1.
        alpha: weight of the source's loss, 0 <= alpha < 1; the target's is 1 - alpha.

    Raises:
        UserError: layers is empty or holds a size below 1, or dropout or alpha is out of range.
    """

    needs: Overlap = "any"

    def __init__(
        self,
        dim: int = 64,
        layers: Sequence[int] = (64, 64),
        dropout: float = 0.3,
        alpha: float = 0.3,
    ) -> None:
        super().__init__()
        if len(layers) == 0 or min(layers) < 1:
            raise UserError(f"transfer.layers must be sizes >= 1, got {list(layers)}")
        if not 0 <= dropout < 1:
            raise UserError(f"transfer.dropout must be >= 0 and < 1, got {dropout}")
        if not 0 <= alpha < 1:
            raise UserError(f"transfer.alpha must be >= 0 and < 1, got {alpha}")
        self.dim, self.layers = dim, tuple(layers)
        self.dropout, self.alpha = dropout, alpha

    def build(self, pair: DomainPair, content: Content) -> None:
        """Vectors of users and items, and a tower, for each domain."""
        self.ids = SharedIds(pair)
        # Rows are those of both domains together: a domain does not read what only the other has.
        self.user_embedding = nn.ParameterDict(
            {side: torch.randn(self.ids.n_users, self.dim) * INITIAL_STD for side in SIDES}
        )
        self.item_embedding = nn.ParameterDict(
            {side: torch.randn(self.ids.n_items, self.dim) * INITIAL_STD for side in SIDES}
        )
        self.source, self.target = (
            NeuMF(self.dim, self.layers, self.dropout, domain_of(pair, side).n_items)
            for side in SIDES
        )

    def combined(
        self, tables: nn.ParameterDict, side: Side, rows: Tensor, shared: Tensor
    ) -> Tensor:
        """(len(rows), dim) vectors of a side's entities, the maximum of both sides where shared."""
        own, other = tables[side][rows], tables["source" if side == "target" else "target"][rows]
        return torch.where(shared[rows, None], torch.maximum(own, other), own)

    def scoring(self, side: Side) -> tuple[Callable[[Tensor, Tensor], Tensor], int]:
        """How pairs of a side are scored, (M, 1) users and (M, S) items, and its catalog's size."""
        tower = self.source if side == "source" else self.target
        rows = self.ids.rows(side)
        item = self.combined(self.item_embedding, side, rows, self.ids.shared_items)
        item_part = tower.of_item(item)

        def score(users: Tensor, items: Tensor) -> Tensor:
            user = self.combined(self.user_embedding, side, users.squeeze(1), self.ids.shared_users)
            return tower.score(user, item[items], item_part[items], tower.item_bias[items])

        return score, len(item)

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """alpha of the source's loss and 1 - alpha of the target's."""
        source, target = (
            losses[side](scored_cases(*self.scoring(side), batches[side])) for side in SIDES
        )
        return self.alpha * source + (1 - self.alpha) * target

    def scorer(self, side: Side) -> Scores:
        """The side's tower on the whole catalog."""
        score, n_items = self.scoring(side)

        def scores(histories: Batch) -> Tensor:
            return score_catalog(score, n_items, histories.users)

        return scores
