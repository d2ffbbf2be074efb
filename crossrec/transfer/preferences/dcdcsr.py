"""DCDCSR: factors mapped to what both domains know of them (Zhu et al., IJCAI 2018)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.domain import Domain
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
    Phase,
    Scores,
    domain_of,
    event_cases,
)
from crossrec.transfer.preferences.shared_ids import SharedIds

SIMILARITIES = 2**22  # that are held at once


class DCDCSR(PairModel):
    """Matrix factorization in each domain, then a network from target factors to benchmark factors.

    Whatever binds the domains is mapped: the users where any are shared, else the items. The
    benchmark of a shared one weighs its factors by how much each domain knows of it, that is by its
    n_s and n_t training events:

        (n_s v_s + n_t v_t) / (n_s + n_t).

    One of the target alone takes, for v_s and n_s, the mean over the k source factors most similar
    to its own (weighted by the similarity). The network learns the benchmark from the target
    factor, mean squared error, and its output takes the target factor's place in the score. The
    factors on the other side of that score were learned beside those that were replaced: last of
    all they, and the biases, are fitted to the mapped ones.

    The paper adds up factors of two factorizations as they are, but each is free to turn its axes:
    here the source's factors are first turned and scaled onto the target's (orthogonal Procrustes
    on what is shared), so that the sum means something. The network's output is linear.

    Args:
        dim: d, length of the factors.
        hidden: widths of the network's hidden layers (tanh).
        k: source neighbors of what is in the target alone.

    Raises:
        UserError: k or a width below 1.
    """

    needs: Overlap = "any"
    benchmark: Tensor
    source_counts: Tensor
    target_counts: Tensor
    shared: Tensor

    def __init__(self, dim: int = 64, hidden: Sequence[int] = (256,), k: int = 10) -> None:
        super().__init__()
        if k < 1:
            raise UserError(f"transfer.k must be >= 1, got {k}")
        if any(width < 1 for width in hidden):
            raise UserError(f"transfer.hidden must be widths >= 1, got {list(hidden)}")
        self.dim, self.hidden, self.k = dim, tuple(hidden), k

    def build(self, pair: DomainPair, content: Content) -> None:
        """Tables and biases of each domain, the network, and the counts of training events."""
        by_users = SharedIds(pair).by == "users"
        self.by, other = ("of_users", "of_items") if by_users else ("of_items", "of_users")
        self.phases = (
            Phase("source", reads=("source",), trains=("source.",), validates="source"),
            Phase("target", reads=("target",), trains=("target.",)),
            Phase("map", reads=("target",), trains=("network.",)),
            Phase("refit", reads=("target",), trains=(f"target.{other}", "target.bias")),
        )
        self.source, self.target = (self._tables(domain_of(pair, side)) for side in SIDES)
        widths = (self.dim, *self.hidden)
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.Tanh()]
        self.network = nn.Sequential(*layers, nn.Linear(widths[-1], self.dim))
        shared = pair.shared_users[:, None].repeat(1, 2) if by_users else pair.shared_items
        self.register_buffer("shared", shared, persistent=False)
        for side in SIDES:
            counts = self._counts(domain_of(pair, side))
            self.register_buffer(f"{side}_counts", counts, persistent=False)
        self.register_buffer("benchmark", torch.empty(0), persistent=False)

    def _tables(self, domain: Domain) -> nn.ParameterDict:
        return nn.ParameterDict(
            {
                "of_users": torch.randn(domain.n_users, self.dim) * INITIAL_STD,
                "of_items": torch.randn(domain.n_items, self.dim) * INITIAL_STD,
                "bias_of_users": torch.zeros(domain.n_users, 1),
                "bias_of_items": torch.zeros(domain.n_items, 1),
            }
        )

    def _counts(self, domain: Domain) -> Tensor:
        users, items, _ = domain.train_events()
        if self.by == "of_users":
            return torch.bincount(users, minlength=domain.n_users).float()
        return torch.bincount(items, minlength=domain.n_items).float()

    @torch.no_grad()
    def enter(self, phase: Phase) -> None:
        """The benchmark is made when both factorizations are done.

        Who has no training event in the target has no factor there to be mapped: the benchmark,
        which is the source's alone, is put in its place.
        """
        super().enter(phase)
        if phase.name == "map":
            factors, counts = self.target[self.by], self.target_counts
            self.benchmark = benchmark(
                self.source[self.by], factors, self.source_counts, counts, self.shared, self.k
            )
            factors[counts == 0] = self.benchmark[counts == 0]

    def mapped(self, factors: Tensor) -> Tensor:
        """What the network makes of rows of the target's factors, (R, d)."""
        scale = self.scale()
        result: Tensor = self.network(factors / scale) * scale
        return result

    def scale(self) -> Tensor:
        """Root mean square of the target's factors: the network works in this unit."""
        return self.target[self.by].detach().square().mean().sqrt()

    def vectors(self, side: Side, users: Tensor) -> tuple[Tensor, Tensor]:
        """[p_u, b_u, 1] of the users and [q_i, 1, b_i] of a side's catalog."""
        tables = self.source if side == "source" else self.target
        user, item = tables["of_users"][users], tables["of_items"]
        if side == "target" and self.phase in ("map", "refit"):
            if self.by == "of_users":
                user = self.mapped(user)
            else:
                item = self.mapped(item)
        user_bias, item_bias = tables["bias_of_users"][users], tables["bias_of_items"]
        return (
            torch.cat([user, user_bias, torch.ones_like(user_bias)], dim=1),
            torch.cat([item, torch.ones_like(item_bias), item_bias], dim=1),
        )

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The objective; while mapping, the squared error, a row of the batch once."""
        if self.phase == "map":
            batch = batches["target"]
            rows = torch.unique(batch.users if self.by == "of_users" else batch.items)
            error = self.mapped(self.target[self.by][rows]) - self.benchmark[rows]
            return (error / self.scale()).square().mean()
        side: Side = "source" if self.phase == "source" else "target"
        return losses[side](event_cases(*self.vectors(side, batches[side].users), batches[side]))

    def scorer(self, side: Side) -> Scores:
        """Inner products with the side's catalog."""

        def scores(histories: Batch) -> Tensor:
            user, item = self.vectors(side, histories.users)
            return user @ item.T

        return scores


def aligned(source: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The turn R, (d, d), and the scale c that lay rows of the source onto the target's.

    They make sum of weight * |c source R - target|^2 least (Schoenemann, 1966).

    Args:
        source, target: (S, d) factors of what is shared.
        weight: (S,).
    """
    left, values, right = torch.linalg.svd((source * weight[:, None]).T @ target)
    size = (source.square().sum(1) * weight).sum()
    return left @ right, values.sum() / size.clamp(min=torch.finfo(size.dtype).tiny)


def benchmark(
    source: Tensor,
    target: Tensor,
    source_counts: Tensor,
    target_counts: Tensor,
    shared: Tensor,
    k: int,
) -> Tensor:
    """(rows of the target, d): what both domains know, weighed by their events.

    Args:
        source, target: (rows, d) factors of each side.
        source_counts, target_counts: (rows,) training events.
        shared: (S, 2) rows in the target and in the source.
        k: source neighbors of a row of the target alone.
    """
    here, there = shared.unbind(1)
    n_s, n_t = source_counts[there], target_counts[here]
    # The less is known of either, the less it says about how the two lie to each other.
    weight = n_s * n_t / (n_s + n_t).clamp(min=1)
    turn, scale = aligned(source[there], target[here], weight)
    source = source @ turn * scale
    result = target.clone()
    part = (n_s / (n_s + n_t).clamp(min=1))[:, None]
    result[here] = part * source[there] + (1 - part) * target[here]
    alone = target_counts > 0
    alone[here] = False
    rows, known = alone.nonzero()[:, 0], source_counts.nonzero()[:, 0]
    near = F.normalize(source[known])
    for some in rows.split(max(1, SIMILARITIES // max(1, len(known)))):
        similarity, place = (F.normalize(target[some]) @ near.T).topk(min(k, len(known)))
        similarity = similarity.clamp(min=0)
        weight = similarity / similarity.sum(1, keepdim=True).clamp(min=1e-12)
        neighbor = known[place]  # (rows, k)
        n_s, n_t = (weight * source_counts[neighbor]).sum(1), target_counts[some]
        part = (n_s / (n_s + n_t))[:, None]
        theirs = (weight[:, None] @ source[neighbor])[:, 0]
        result[some] = part * theirs + (1 - part) * target[some]
    return result
