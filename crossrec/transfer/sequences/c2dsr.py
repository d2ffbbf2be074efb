"""Contrastive cross-domain sequential recommendation, C2DSR (Cao et al., CIKM 2022)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.pair import SIDES, DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.interface import INITIAL_STD
from crossrec.models.sasrec import SASRec
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import Batches, Loss, PairModel, Scores, domain_of
from crossrec.transfer.sequences.followers import Edges, Followers, cross_edges, single_edges
from crossrec.transfer.sequences.two_domain_batch import (
    OTHER,
    Events,
    TwoDomains,
    check_network,
    prediction_loss,
)


class C2DSR(PairModel):
    """Sequences of one domain and of both, each read over a graph of what follows what.

    Three item tables (of both domains, of the source, of the target) are smoothed over three graphs
    of the items that follow each other in training; three causal transformers read the sequence
    over both domains and the sequences of one. Let h be the state over both just before an event
    of domain d, and h_d that of the events of d alone. Two losses predict the event with the same
    output layer, from h + h_d, which also scores, and from h. The infomax loss asks a bilinear
    form to tell, given a user's mean h_d, their mean h at the events of the other domain from the
    same mean where each event of d is replaced by a random item of d (`infomax`):

        lambda * (alpha * l_source + (1 - alpha) * l_target) + (1 - lambda) * mean of l_infomax

    which at alpha = 0.5 is half the paper's sum over the domains. Where this differs from the
    authors' code: h is taken just before the event that it predicts (theirs, from h + h_d, at the
    event of d before that one: then it does not know what the user did in the other domain since,
    though it does when it is asked); the first event of a domain is predicted too, from a start
    state; users with one domain train what they can; graph steps have no bias; the transformer is
    that of SASRec. Any objective takes the place of the cross-entropy.

    Args:
        dim: d, length of the vectors, divisible by n_heads.
        n_hops: steps over the graphs, 0 for none.
        n_layers, n_heads: of each transformer.
        dropout: of the transformers, and before each step over a graph.
        max_history: events of both domains that are read.
        alpha: weight of the source's loss, 0 <= alpha < 1.
        lambda_: weight of the losses that predict, 0 < lambda <= 1.

    Raises:
        UserError: a setting is out of range.
    """

    needs: Overlap = "users"

    def __init__(
        self,
        dim: int = 64,
        n_hops: int = 1,
        n_layers: int = 1,
        n_heads: int = 2,
        dropout: float = 0.2,
        max_history: int = 50,
        alpha: float = 0.5,
        lambda_: float = 0.7,
    ) -> None:
        super().__init__()
        check_network(alpha, dim, n_heads, max_history)
        if not 0 < lambda_ <= 1:
            raise UserError(f"transfer.lambda must be > 0 and <= 1, got {lambda_}")
        if n_hops < 0:
            raise UserError(f"transfer.n_hops must be >= 0, got {n_hops}")
        self.dim, self.n_hops, self.n_layers, self.n_heads = dim, n_hops, n_layers, n_heads
        self.dropout, self.max_history = dropout, max_history
        self.alpha, self.lambda_ = alpha, lambda_

    def build(self, pair: DomainPair, content: Content) -> None:
        """Readers of both domains and of each, output layers, and the judges of the infomax."""
        self.domains = TwoDomains(pair, self.max_history)
        ids = self.domains.ids
        self.cross = self._reader(
            cross_edges(pair, ids), ids.n_items, self.domains.content(content)
        )
        self.single, self.judge = nn.ModuleDict(), nn.ModuleDict()
        self.output = nn.ParameterDict()  # (n_items, d + 1) by side, the bias last
        for side in SIDES:
            domain = domain_of(pair, side)
            vectors = content.source if side == "source" else content.target
            self.single[side] = self._reader(single_edges(domain), domain.n_items, vectors)
            self.output[side] = torch.randn(domain.n_items, self.dim + 1) * INITIAL_STD
            self.judge[side] = nn.Bilinear(self.dim, self.dim, 1)

    def _reader(self, edges: Edges, n_items: int, content: Tensor | None) -> "Reader":
        network = SASRec(
            n_users=0,
            n_items=n_items,
            n_context=0,
            content=content,
            dim=self.dim,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            dropout=self.dropout,
            max_history=self.max_history,
        )
        return Reader(network, Followers(edges, n_items), self.n_hops, self.dropout)

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The two predictions in each domain, and the infomax."""
        read = self.domains.read_training(batches)
        items = self.cross.items()
        cross = [self.cross(events.users, events.rows, items) for events in read]
        predicted, infomax = {}, {}
        for side in SIDES:
            own_items = self.own_items(side)
            single = [self.alone(side, events, own_items) for events in read]
            both = [of_both + of_one for of_both, of_one in zip(cross, single, strict=True)]
            item = self.output[side]
            predicted[side] = prediction_loss(
                losses[side], side, read, _with_one(both), item
            ) + prediction_loss(losses[side], side, read, _with_one(cross), item)
            # Only the target's batches hold events of both domains.
            infomax[side] = self.infomax(side, read[1], single[1], cross[1], items)
        predictions = self.alpha * predicted["source"] + (1 - self.alpha) * predicted["target"]
        contrast = (infomax["source"] + infomax["target"]) / 2
        return self.lambda_ * predictions + (1 - self.lambda_) * contrast

    def own_items(self, side: Side) -> Tensor:
        """(n_items, d) what the sequences of one side alone are read from."""
        reader = self.single[side]
        assert isinstance(reader, Reader)
        return reader.items()

    def alone(self, side: Side, events: Events, own_items: Tensor) -> Tensor:
        """(B, L + 1, d) h_d of the events of one side, where the sequence over both has them."""
        state = self.single[side](events.users, events.alone(side), own_items)
        return events.at_events(side, state)

    def infomax(
        self, side: Side, events: Events, single: Tensor, cross: Tensor, items: Tensor
    ) -> Tensor:
        """Binary cross-entropy of real and of replaced, over the users with events of both domains.

        Args:
            side: d, whose events are replaced.
            events: of B users.
            single, cross: (B, L + 1, d) states of the events of d alone, and over both domains.
            items: what `cross` reads items from.
        """
        here, there = events.of[side], events.of[OTHER[side]]
        rows = self.domains.ids.rows(side)
        drawn = rows[torch.randint(len(rows), events.rows.shape, device=rows.device)]
        replaced = self.cross(events.users, torch.where(here, drawn, events.rows), items)
        given = _mean(single, here)
        real, false = (self.judge[side](given, _mean(state, there)) for state in (cross, replaced))
        loss = F.softplus(-real) + F.softplus(false)  # (B, 1)
        both = (here.any(dim=1) & there.any(dim=1)).to(loss.dtype)
        return (loss[:, 0] * both).sum() / both.sum().clamp(min=1)

    def scorer(self, side: Side) -> Scores:
        """The output layer on the last h + h_d."""
        items, own_items = self.cross.items(), self.own_items(side)

        def scores(histories: Batch) -> Tensor:
            events = self.domains.read(side, histories)
            state = self.cross(events.users, events.rows, items) + self.alone(
                side, events, own_items
            )
            return _with_one([events.last(state)])[0] @ self.output[side].T

        return scores


class Reader(nn.Module):
    """A SASRec whose items are smoothed over a graph.

    Args:
        network: with a table of the items.
        graph: of the items.
        n_hops: steps over it.
        dropout: before each.
    """

    def __init__(self, network: SASRec, graph: Followers, n_hops: int, dropout: float) -> None:
        super().__init__()
        self.network, self.graph = network, graph
        self.n_hops, self.dropout = n_hops, dropout

    def items(self) -> Tensor:
        """(n, d) E + (E + A E + ... + A^hops E) / (1 + hops), what the sequences are read from."""
        table = hop = total = self.network.embed_items()
        for _ in range(self.n_hops):
            hop = self.graph(F.dropout(hop, self.dropout, self.training))
            total = total + hop
        return table + total / (1 + self.n_hops)

    def forward(self, users: Tensor, codes: Tensor, items: Tensor) -> Tensor:
        """(B, L + 1, d) states before each of (B, L) events and after the last."""
        return self.network.user_vectors(users, codes, items)


def _with_one(states: list[Tensor]) -> list[Tensor]:
    """States whose last number meets the output layer's bias."""
    return [torch.cat([state, torch.ones_like(state[..., :1])], dim=-1) for state in states]


def _mean(state: Tensor, chosen: Tensor) -> Tensor:
    """(B, d) mean of the (B, L + 1, d) states right after the (B, L) chosen events."""
    weight = chosen.to(state.dtype)
    total = (state[:, 1:] * weight[..., None]).sum(dim=1)
    return total / weight.sum(dim=1, keepdim=True).clamp(min=1)
