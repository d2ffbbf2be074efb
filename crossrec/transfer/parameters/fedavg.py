"""Federated averaging over the two domains (McMahan et al., AISTATS 2017)."""

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor, nn

from crossrec.data.pair import SIDES, DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.interface import last_state
from crossrec.models.two_tower import TwoTower
from crossrec.transfer.content.sequence_encoder import content_of, own_events
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import Batches, Loss, PairModel, Phase, Scores, domain_of


class FedAvg(PairModel):
    """Each domain's owner trains a two-tower model on their own events; only weights are averaged.

    A round: both owners begin at the same shared weights, train by themselves, and the shared
    weights become the mean of theirs, weighted by training events (algorithm 1, n_k / n). Shared is
    what means the same in both domains: the adapter of content vectors and the user side. What
    items have of their own (vectors and biases by id) stays with its owner, as layers of clients'
    own do in Arivazhagan et al., 2019. After the last round each owner keeps what they trained.

    One process plays both owners: no event, id or gradient of one reaches the other, and histories
    hold no event of the other domain. Stages before this one may read both, the language model's
    pretraining among them (`pretraining=off` leaves it out); weights can tell of events, too (see
    `privacy=dp`).

    Args:
        dim, hidden, dropout, max_history: of `TwoTower`.
        rounds: how often the owners train.
        local_epochs: passes over an owner's events in a round, at most; validation on their own
            domain ends them earlier, and chooses the weights that are averaged.

    Raises:
        UserError: rounds or local_epochs is below 1; in `build`, that there are no text vectors.
    """

    needs: Overlap = "none"
    reads_text = True

    def __init__(
        self,
        dim: int = 64,
        hidden: int = 128,
        dropout: float = 0.2,
        max_history: int = 50,
        rounds: int = 3,
        local_epochs: int = 5,
    ) -> None:
        super().__init__()
        for name, value in (("rounds", rounds), ("local_epochs", local_epochs)):
            if value < 1:
                raise UserError(f"transfer.{name} must be >= 1, got {value}")
        self.dim, self.hidden, self.dropout, self.max_history = dim, hidden, dropout, max_history
        self.phases = tuple(
            Phase(f"round {number}, {side}", (side,), (f"{side}.",), side, local_epochs)
            for number, side in product(range(1, rounds + 1), SIDES)
        )

    def build(self, pair: DomainPair, content: Content) -> None:
        """A model for each owner, the shared weights alike."""
        vectors = dict(zip(SIDES, content_of(content, "fedavg"), strict=True))
        self.source, self.target = (
            TwoTower(
                n_users=0,
                n_items=domain_of(pair, side).n_items,
                n_context=0,
                content=vectors[side],
                dim=self.dim,
                hidden=self.hidden,
                dropout=self.dropout,
                max_history=self.max_history,
            )
            for side in SIDES
        )
        events = [len(domain_of(pair, side).train_events()[0]) for side in SIDES]
        self.share = events[0] / sum(events)  # of the source in the mean
        self.average(1.0)

    def owner(self, side: Side) -> TwoTower:
        """The model of a side's owner."""
        return self.source if side == "source" else self.target

    def shared(self, side: Side) -> dict[str, nn.Parameter]:
        """The weights that an owner gives away."""
        model = self.owner(side)
        return {n: p for n, p in model.named_parameters() if n not in model.item_tables}

    @torch.no_grad()
    def average(self, share: float) -> None:
        """Both owners' shared weights become share * the source's + (1 - share) * the target's."""
        for mine, theirs in zip(
            self.shared("source").values(), self.shared("target").values(), strict=True
        ):
            mean = share * mine + (1 - share) * theirs
            mine.copy_(mean)
            theirs.copy_(mean)

    def enter(self, phase: Phase) -> None:
        """A round begins with the mean of what the last one gave."""
        super().enter(phase)
        if phase.validates == "source" and phase != self.phases[0]:
            self.average(self.share)

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The objective on the events of the owner whose turn it is."""
        ((side, batch),) = batches.items()
        read = self.read(side, batch)
        cases = self.owner(side).training_cases(read.users, read.items, read.ratings, read.own)
        return losses[side](cases)

    def read(self, side: Side, batch: Batch) -> Batch:
        """Histories without the other domain's events."""
        return own_events(batch, self.owner(side).n_items)

    def scorer(self, side: Side) -> Scores:
        """Inner products of the owner's model."""
        model = self.owner(side)
        embedded = model.embed_items()
        items = model.item_vectors(embedded)

        def scores(histories: Batch) -> Tensor:
            read = self.read(side, histories)
            states = model.user_vectors(read.users, read.items, embedded)
            return last_state(states, read.items) @ items.T

        return scores
