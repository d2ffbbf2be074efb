"""Personalized transfer of user preferences (Zhu et al., WSDM 2022)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from crossrec.data.columns import PAD
from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.cases import Cases
from crossrec.models.interface import INITIAL_STD, look_up
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import Batches, Loss, Phase, event_cases
from crossrec.transfer.preferences.two_factorizations import Mapped, TwoFactorizations


class TaskOriented(TwoFactorizations):
    """A map that learns from the target's objective, over events of users who are in both."""

    needs: Overlap = "users"

    def map_loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The objective of the target with mapped users; zero where the batch has none."""
        batch = self.known(batches["target"])
        if len(batch.users) == 0:
            return self.nothing()
        return losses["target"](self.cases(batch, self.map))

    def known(self, batch: Batch) -> Batch:
        """The events of the batch whose users have training events in the source."""
        known = torch.isin(batch.users, self.links.labeled[:, 0])
        return events(batch, known)

    def nothing(self) -> Tensor:
        """Zero, with zero gradients, so that every rank of several has a gradient to share."""
        return torch.stack([p.sum() for p in self.mapping.parameters()]).sum() * 0

    def cases(self, batch: Batch, f: Callable[[Tensor], Tensor]) -> Cases:
        """The cases of a batch's events with f of its users, each mapped once."""
        users, place = batch.users.unique(return_inverse=True)
        user = self.target.user_vectors(self.target.points(f(users)))
        return event_cases(user[place], self.catalog(self.target), batch)


class PTUPCDR(TaskOriented):
    """Two factorizations, and for every user a bridge of their own from the source to the target.

    A meta network reads what a user did in the source and writes a matrix
    M_u, the bridge; the point of u in the target is u_s M_u. It learns from the objective over the
    target's events of users who are in both domains (task-oriented), not from the distance to
    their own points. The part of the bridges that is the same for all starts as the least-squares
    map. The paper reads items that a user rated highly; here every event of train counts, for not
    all data are rated.

    Args:
        dim: d, length of the vectors.
        hidden: width of the layer that writes the bridge.
        history: the latest so many events in the source are read.
        mapped: "cold" or "shared", see `TwoFactorizations`.

    Raises:
        UserError: an argument is out of range.
    """

    needs: Overlap = "users"
    history_items: Tensor

    def __init__(
        self, dim: int = 64, hidden: int = 50, history: int = 20, mapped: Mapped = "cold"
    ) -> None:
        super().__init__(dim, mapped)
        for name, value in (("hidden", hidden), ("history", history)):
            if value < 1:
                raise UserError(f"transfer.{name} must be >= 1, got {value}")
        self.hidden, self.history = hidden, history

    def build(self, pair: DomainPair, content: Content) -> None:
        """The tables, the meta network, and (n_users, <= history) items, PAD on the right."""
        super().build(pair, content)
        past = pair.source.train
        batch = past.last(torch.arange(len(past.users)), self.history)
        items = torch.full((pair.source.n_users, batch.items.shape[1]), PAD)
        items[batch.users] = batch.items
        self.register_buffer("history_items", items, persistent=False)

    def make_mapping(self, pair: DomainPair) -> nn.Module:
        """The meta network."""
        return MetaNetwork(self.dim + 1, self.hidden)

    def enter(self, phase: Phase) -> None:
        """The bridges start near the least-squares map."""
        super().enter(phase)
        if phase.name == "map" and isinstance(self.mapping, MetaNetwork):
            with torch.no_grad():
                self.mapping.write.bias.copy_(self.least_squares().flatten())

    def map(self, codes: Tensor) -> Tensor:
        """u_s M_u."""
        items = self.history_items[codes]
        bridges = self.mapping(look_up(self.source.items, items), items != PAD)
        return torch.einsum("ni,nij->nj", self.source.users[codes], bridges)


class MetaNetwork(nn.Module):
    """What a user did -> their bridge: attention over the items (the characteristic encoder),
    and two layers that write a matrix (the meta network).

    Args:
        width: k, of points.
        hidden: of the layer before the last.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.width = width
        self.attention = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1, bias=False)
        )
        self.read = nn.Linear(width, hidden)
        self.write = nn.Linear(hidden, width * width)
        nn.init.normal_(self.write.weight, std=INITIAL_STD)

    def forward(self, items: Tensor, real: Tensor) -> Tensor:
        """(n, h, k) points of items and (n, h) which of them are real -> (n, k, k)."""
        scores = self.attention(items).squeeze(2)
        # The lowest number, not -inf: where nothing is real, the characteristic is zero, not NaN.
        weights = scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(dim=1)
        characteristic = (weights.unsqueeze(2) * items).sum(dim=1)
        bridges: Tensor = self.write(self.read(characteristic).relu())
        return bridges.view(-1, self.width, self.width)


def events(batch: Batch, chosen: Tensor) -> Batch:
    """The rows of a batch for which (B,) `chosen` is true."""
    return Batch(batch.users[chosen], batch.items[chosen], batch.ratings[chosen], batch.own[chosen])
