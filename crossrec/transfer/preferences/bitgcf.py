"""BiTGCF: bi-directional transfer between two graphs (Liu et al., CIKM 2020)."""

from collections.abc import Mapping
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.graph import Graph, spread
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

SIDES: tuple[Side, ...] = ("source", "target")


class BiTGCF(PairModel):
    """Two graph convolutions that exchange the features of what both domains have.

    A layer has two parts (section 3 of the paper). Feature propagation: every node takes up its
    neighbors, in each graph by itself. Feature transfer: a shared user (or, symmetrically, item)
    with features x_s and x_t, and n_s and n_t training events, gets in the target

        (c + lambda_t x_t + (1 - lambda_t) x_s) / 2,  c = (n_s x_s + n_t x_t) / (n_s + n_t),

    the domain-common features c and the domain-specific ones, and likewise in the source. The
    loss is the sum of both domains' losses. With nothing shared this is two LightGCNs.

    Two differences from the published code: propagation is LightGCN's (He et al., SIGIR 2020),
    without the product of a node with its neighbors and without normalizing each layer, which
    bounds the scores; and where the other domain has no training event of a shared user or item,
    nothing is taken from there, while the published code mixes in features that were never trained.

    Args:
        dim: d, length of the vectors of a layer.
        n_layers: propagations, at least 1.
        lambda_source, lambda_target: weight of the own domain in the domain-specific features,
            0 .. 1.
        connect: whether the score is the inner product of the layers' mean, or of the layers one
            behind the other, (n_layers + 1) d numbers.
        dropout: part of the propagated features that is dropped in training, >= 0 and < 1.

    Raises:
        UserError: an argument is out of range.
    """

    needs: Overlap = "any"

    def __init__(
        self,
        dim: int = 64,
        n_layers: int = 2,
        lambda_source: float = 0.8,
        lambda_target: float = 0.8,
        connect: Literal["concat", "mean"] = "mean",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if n_layers < 1:
            raise UserError(f"transfer.n_layers must be >= 1, got {n_layers}")
        for name, value in (("lambda_source", lambda_source), ("lambda_target", lambda_target)):
            if not 0 <= value <= 1:
                raise UserError(f"transfer.{name} must be between 0 and 1, got {value}")
        if connect not in ("concat", "mean"):
            raise UserError(f"transfer.connect must be concat or mean, got {connect}")
        if not 0 <= dropout < 1:
            raise UserError(f"transfer.dropout must be >= 0 and < 1, got {dropout}")
        self.dim, self.n_layers, self.connect, self.dropout = dim, n_layers, connect, dropout
        self.lambda_: dict[Side, float] = {"source": lambda_source, "target": lambda_target}

    def build(self, pair: DomainPair, content: Content) -> None:
        """A table of users and items for each graph, and how much a shared node keeps its own."""
        self.n_users = pair.target.n_users
        self.graph, self.embedding = nn.ModuleDict(), nn.ParameterDict()
        counts: dict[Side, Tensor] = {}
        codes = {"target": pair.shared_items[:, 0], "source": pair.shared_items[:, 1]}
        for side in SIDES:
            domain = domain_of(pair, side)
            users, items, _ = domain.train_events()
            self.graph[side] = Graph(users, items, self.n_users, domain.n_items)
            n_nodes = self.n_users + domain.n_items
            self.embedding[side] = torch.randn(n_nodes, self.dim) * INITIAL_STD
            shared = torch.cat([pair.shared_users, self.n_users + codes[side]])
            self.register_buffer(f"shared_{side}", shared, persistent=False)
            events = torch.cat([users, self.n_users + items])
            counts[side] = torch.bincount(events, minlength=n_nodes)[shared]
        for side, other in (SIDES, SIDES[::-1]):
            common = counts[side] / (counts[side] + counts[other]).clamp(min=1)
            kept = (common + self.lambda_[side]) / 2
            kept = torch.where(counts[other] > 0, kept, 1.0)
            self.register_buffer(f"kept_{side}", kept[:, None], persistent=False)

    def vectors(self) -> dict[Side, Tensor]:
        """Of the nodes of each graph, users first: (nodes, k), k = d or (n_layers + 1) d."""
        graphs = {side: cast(Graph, self.graph[side]).adjacency() for side in SIDES}
        now: dict[Side, Tensor] = {side: self.embedding[side] for side in SIDES}
        layers = {side: [now[side]] for side in SIDES}
        for _ in range(self.n_layers):
            moved: dict[Side, Tensor] = {
                side: F.dropout(spread(graphs[side], now[side]), self.dropout, self.training)
                for side in SIDES
            }
            now = {
                "source": self.transfer(moved, "source", "target"),
                "target": self.transfer(moved, "target", "source"),
            }
            for side in SIDES:
                layers[side].append(now[side])
        if self.connect == "concat":
            return {side: torch.cat(layers[side], dim=1) for side in SIDES}
        return {side: torch.stack(layers[side]).mean(0) for side in SIDES}

    def transfer(self, features: Mapping[Side, Tensor], side: Side, other: Side) -> Tensor:
        """The feature transfer layer: features of one side, (nodes, d), its shared rows mixed."""
        shared, kept = self.get_buffer(f"shared_{side}"), self.get_buffer(f"kept_{side}")
        own, theirs = features[side][shared], features[other][self.get_buffer(f"shared_{other}")]
        mixed = kept * own + (1 - kept) * theirs
        return features[side].index_copy(0, shared, mixed.to(own.dtype))

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The sum of both sides' losses, after one propagation for both."""
        vectors = self.vectors()
        source, target = (
            losses[side](
                event_cases(
                    vectors[side][batches[side].users],
                    vectors[side][self.n_users :],
                    batches[side],
                )
            )
            for side in SIDES
        )
        return source + target

    @torch.no_grad()
    def scorer(self, side: Side) -> Scores:
        """Inner products with the side's catalog, after one propagation."""
        vectors = self.vectors()[side]
        items = vectors[self.n_users :].T

        def scores(histories: Batch) -> Tensor:
            return vectors[histories.users] @ items

        return scores
