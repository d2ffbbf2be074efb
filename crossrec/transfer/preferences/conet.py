"""Collaborative cross networks (Hu, Zhang and Yang, CIKM 2018)."""

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
    score_catalog,
    scored_cases,
)
from crossrec.transfer.preferences.shared_ids import SharedIds


class MLP(nn.Module):
    """The network of a domain: hidden layers with relu, and a linear score.

    Args:
        sizes: of the input and of each hidden layer.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.first = nn.Linear(sizes[0], sizes[1])
        self.later = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes[1:]))
        self.output = nn.Linear(sizes[-1], 1)


class CoNet(PairModel):
    """Two MLPs whose hidden layers are connected by linear maps H, in both directions.

    Section 3 of the paper: from a = [p_u, q_i], at every layer and with the same H both ways,
    a_t' = relu(W_t a_t + b_t + H a_s) and a_s' = relu(W_s a_s + b_s + H a_t). The score is linear
    in the last layer. A shared user has one row of p, and so has a shared item of q. The loss is
    the sum of both domains' losses and, in the sparse form (SCoNet), reg * sum |H|. Where H = 0
    these are two MLPs with nothing in common but the rows of shared entities (the paper's MLP++).

    The paper gives the other network (u, j) beside (u, i), with some item j that the user has
    there, so its scores depend on a draw and ranking has no j. Here the other network reads (u, i)
    itself, as far as its domain knows it: p_u if the user is shared, q_i if the item is, else
    zeros. A pair of which the other domain knows neither gets no cross term.

    Args:
        dim: length of p_u and q_i.
        layers: sizes of the hidden layers.
        reg: weight of the lasso on H; 0 is the dense form.

    Raises:
        UserError: layers is empty or holds a size below 1, or reg is negative.
    """

    needs: Overlap = "any"

    def __init__(
        self, dim: int = 64, layers: Sequence[int] = (64, 32, 16, 8), reg: float = 0.0
    ) -> None:
        super().__init__()
        if len(layers) == 0 or min(layers) < 1:
            raise UserError(f"transfer.layers must be sizes >= 1, got {list(layers)}")
        if reg < 0:
            raise UserError(f"transfer.reg must be >= 0, got {reg}")
        self.dim, self.layers, self.reg = dim, tuple(layers), reg

    def build(self, pair: DomainPair, content: Content) -> None:
        """Tables of users and items over both domains, an MLP for each, and the maps H."""
        self.ids = SharedIds(pair)
        self.user_embedding = nn.Parameter(torch.randn(self.ids.n_users, self.dim) * INITIAL_STD)
        self.item_embedding = nn.Parameter(torch.randn(self.ids.n_items, self.dim) * INITIAL_STD)
        sizes = (2 * self.dim, *self.layers)
        self.source, self.target = MLP(sizes), MLP(sizes)
        self.cross = nn.ParameterList(torch.randn(b, a) * INITIAL_STD for a, b in pairwise(sizes))

    def first(self, side: Side, vectors: Tensor, shared: Tensor, columns: slice) -> Tensor:
        """What users, or items, give to the first hidden layers of both networks.

        Args:
            side: whose pairs are scored.
            vectors: (rows, dim) of the users or the items.
            shared: (rows,) bool, whether the other domain knows them.
            columns: of the first layer's input: users first, then items.

        Returns:
            (rows, 2 h): of the side's network, then of the other's.
        """
        own, other = self.networks(side)
        there = vectors * shared[:, None]
        cross = self.cross[0][:, columns]
        here_first = vectors @ own.first.weight[:, columns].T + there @ cross.T
        there_first = there @ other.first.weight[:, columns].T + vectors @ cross.T
        return torch.cat([here_first, there_first], dim=1)

    def networks(self, side: Side) -> tuple[MLP, MLP]:
        """The MLP of a side and that of the other."""
        return (self.source, self.target) if side == "source" else (self.target, self.source)

    def joint_layers(self, own: MLP, other: MLP) -> list[tuple[Tensor, Tensor]]:
        """(2 h', 2 h) weights and (2 h',) biases of the later layers of both networks as one.

        A layer is then one product, which is faster than its four parts.
        """
        layers = []
        for mine, theirs, cross in zip(own.later, other.later, self.cross[1:], strict=True):
            assert isinstance(mine, nn.Linear)
            assert isinstance(theirs, nn.Linear)
            here = torch.cat([mine.weight, cross], dim=1)
            there = torch.cat([cross, theirs.weight], dim=1)
            layers.append((torch.cat([here, there]), torch.cat([mine.bias, theirs.bias])))
        return layers

    def scoring(self, side: Side) -> tuple[Callable[[Tensor, Tensor], Tensor], int]:
        """How pairs of a side are scored, (M, 1) users and (M, S) items, and its catalog's size."""
        own, other = self.networks(side)
        rows = self.ids.rows(side)
        item_shared = self.ids.shared_items[rows]
        of_item = self.first(side, self.item_embedding[rows], item_shared, slice(self.dim, None))
        of_item = of_item + torch.cat([own.first.bias, other.first.bias])
        layers = self.joint_layers(own, other)

        def score(users: Tensor, items: Tensor) -> Tensor:
            user_shared = self.ids.shared_users[users]
            of_user = self.first(
                side,
                self.user_embedding[users.squeeze(1)],
                user_shared.squeeze(1),
                slice(0, self.dim),
            )
            known = user_shared | item_shared[items]
            gate = torch.stack([torch.ones_like(known), known], dim=2)[..., None]
            state = F.relu(of_user[:, None] + of_item[items], inplace=True)  # (M, S, 2 h)
            for weight, bias in layers:
                of_both = (state.unflatten(2, (2, -1)) * gate).flatten(2)
                state = F.relu(F.linear(of_both, weight, bias), inplace=True)
            scores: Tensor = own.output(state[..., : self.layers[-1]]).squeeze(2)
            return scores

        return score, len(rows)

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The sum of both losses and the lasso on H."""
        source, target = (
            losses[side](scored_cases(*self.scoring(side), batches[side])) for side in SIDES
        )
        lasso = torch.stack([cross.abs().sum() for cross in self.cross]).sum()
        return source + target + self.reg * lasso

    def scorer(self, side: Side) -> Scores:
        """The side's MLP, with its cross terms, on the whole catalog."""
        score, n_items = self.scoring(side)

        def scores(histories: Batch) -> Tensor:
            return score_catalog(score, n_items, histories.users)

        return scores
