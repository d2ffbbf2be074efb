"""Semi-supervised cross-domain recommendation (Kang et al., CIKM 2019)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.interface import INITIAL_STD
from crossrec.transfer.pair_model import Batches, Loss, Phase
from crossrec.transfer.preferences.emcdr import check_mapping, perceptron
from crossrec.transfer.preferences.two_factorizations import (
    MAP_PHASES,
    Mapped,
    Tables,
    TwoFactorizations,
)


class SSCDR(TwoFactorizations):
    """Distances instead of products, and a map that also learns from what has no label.

    In each domain users and items lie in a unit ball, near to what they like. f maps the source's
    ball into the target's: supervised, those in both domains onto their own points t there; and,
    with weight `lambda`, without a label, everything of the source, so that for such a t what it
    interacted with in the source, p, lies nearer to it than what it did not, n, by a margin:
    max(0, margin + ||t - f(p)||^2 - ||t - f(n)||^2). Who is mapped is first averaged with the mean
    of their neighbors in the source (hops = 1). Where the paper has the triplet loss in the two
    factorizations there is the configured objective, on negative squared distances.

    Args:
        dim: d, length of the vectors.
        hidden: sizes of the hidden layers of f, a perceptron.
        lambda_: weight of the unsupervised loss.
        margin: of the unsupervised loss.
        temperature: what squared distances are divided by.
        hops: 1 to average with neighbors, 0 not to.
        mapped: "cold" or "shared", see `TwoFactorizations`.

    Raises:
        UserError: an argument is out of range.
    """

    phases = (*MAP_PHASES[:2], Phase("map", reads=("source",), trains=("mapping.",)))
    anchors: Tensor
    had: Tensor
    partners: Tensor
    starts: Tensor

    def __init__(
        self,
        dim: int = 64,
        hidden: Sequence[int] = (128,),
        lambda_: float = 0.1,
        margin: float = 0.3,
        temperature: float = 0.5,
        hops: int = 1,
        mapped: Mapped = "cold",
    ) -> None:
        super().__init__(dim, mapped)
        check_mapping("mlp", hidden)
        if not lambda_ >= 0 or not margin >= 0:
            raise UserError(
                f"transfer.lambda and transfer.margin must be >= 0, got {lambda_} and {margin}"
            )
        if not temperature > 0:
            raise UserError(f"transfer.temperature must be > 0, got {temperature}")
        if hops not in (0, 1):
            raise UserError(f"transfer.hops must be 0 or 1, got {hops}")
        self.hidden, self.lambda_, self.margin = tuple(hidden), lambda_, margin
        self.temperature, self.hops = temperature, hops

    def build(self, pair: DomainPair, content: Content) -> None:
        """The balls, f, and who interacted with whom in the source."""
        super().build(pair, content)
        users, items, _ = pair.source.train_events()
        ours, theirs = (users, items) if self.links.by == "users" else (items, users)
        n = len(self.linked("source"))
        anchors = torch.full((n,), -1)
        anchors[self.links.labeled[:, 1]] = self.links.labeled[:, 0]
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("had", torch.unique(ours * self.n_partners() + theirs), False)
        order = ours.argsort(stable=True)
        self.register_buffer("partners", theirs[order], persistent=False)
        counts = torch.bincount(ours, minlength=n)
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
        self.register_buffer("starts", starts, persistent=False)

    def side(self, n_users: int, n_items: int) -> Tables:
        """The ball of one side."""
        return UnitBall(n_users, n_items, self.dim, self.temperature)

    def make_mapping(self, pair: DomainPair) -> nn.Module:
        """f."""
        return perceptron(self.dim, self.hidden)

    def partner_points(self) -> Tensor:
        """The source's points of the other kind: of items where users are linked."""
        tables = self.source
        return tables.points(tables.items if self.links.by == "users" else tables.users)

    def n_partners(self) -> int:
        """How many of them there are."""
        return len(self.source.items if self.links.by == "users" else self.source.users)

    def map(self, codes: Tensor) -> Tensor:
        """f of points of the source."""
        mapped: Tensor = self.mapping(self.linked("source")[codes])
        return mapped

    def infer(self, codes: Tensor) -> Tensor:
        """f of points of the source, each averaged with the mean of its neighbors."""
        own = self.linked("source")[codes]
        if self.hops == 0:
            return super().infer(codes)
        starts, lengths = self.starts[codes], self.starts[codes + 1] - self.starts[codes]
        bags = lengths.cumsum(0) - lengths
        index = torch.arange(int(lengths.sum()), device=codes.device)
        index = index + torch.repeat_interleave(starts - bags, lengths)
        mean = F.embedding_bag(self.partners[index], self.partner_points(), bags, mode="mean")
        mapped: Tensor = self.mapping((own + mean) / 2)
        return mapped

    def map_loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The supervised loss and lambda of the unsupervised one."""
        batch = batches["source"]
        loss = self.supervised(len(batch.users))
        return loss + self.lambda_ * self.unsupervised(batch) if self.lambda_ else loss

    def unsupervised(self, batch: Batch) -> Tensor:
        """Mean hinge over the batch's events of those in both domains.

        What an event is compared with is drawn uniformly; what was interacted with after all does
        not count, which is as if it were drawn again.
        """
        users, items = batch.users, batch.items[:, 0]
        ours, positive = (users, items) if self.links.by == "users" else (items, users)
        negative = torch.randint_like(positive, self.n_partners())
        keys = ours * self.n_partners() + negative
        found = torch.searchsorted(self.had, keys).clamp(max=len(self.had) - 1)
        anchors = self.anchors[ours]
        counts = (anchors >= 0) & (self.had[found] != keys)
        anchor = self.linked("target")[anchors.clamp(min=0)]
        points = self.partner_points()
        near, far = (
            (anchor - self.target.points(self.mapping(points[chosen]))).square().sum(dim=1)
            for chosen in (positive, negative)
        )
        hinge = (self.margin + near - far).relu() * counts
        return hinge.sum() / counts.sum().clamp(min=1)


class UnitBall(Tables):
    """Points in the unit ball; the score is c - ||u - v||^2 / temperature, with c learned.

    Rankings do not depend on c; ratings and probabilities need it, for distances have one sign.
    """

    def __init__(self, n_users: int, n_items: int, dim: int, temperature: float) -> None:
        users, items = (torch.randn(n, dim) * INITIAL_STD for n in (n_users, n_items))
        super().__init__(users, items)
        self.intercept = nn.Parameter(torch.zeros(1))
        self.temperature = temperature

    def points(self, rows: Tensor) -> Tensor:
        """What lies outside of the ball is drawn back to its surface."""
        return rows / rows.norm(dim=1, keepdim=True).clamp(min=1)

    def user_vectors(self, points: Tensor) -> Tensor:
        """[2 u / temperature, c - |u|^2 / temperature, 1]."""
        length = points.square().sum(dim=1, keepdim=True) / self.temperature
        scaled = 2 / self.temperature * points
        return torch.cat([scaled, self.intercept - length, torch.ones_like(length)], dim=1)

    def item_vectors(self, points: Tensor) -> Tensor:
        """[v, 1, -|v|^2 / temperature]."""
        length = points.square().sum(dim=1, keepdim=True) / self.temperature
        return torch.cat([points, torch.ones_like(length), -length], dim=1)
