"""What methods that map one factorization to another share: the tables, and who is mapped."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.cases import Cases, Factors
from crossrec.models.interface import INITIAL_STD
from crossrec.models.tables import rows
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import (
    Batches,
    Loss,
    PairModel,
    Phase,
    Scores,
    event_cases,
    events_of,
)
from crossrec.transfer.preferences.shared_ids import SharedIds

Mapped = Literal["cold", "shared"]
MAP_PHASES = (
    Phase("source", reads=("source",), trains=("source.",), validates="source"),
    Phase("target", reads=("target",), trains=("target.",)),
    Phase("map", reads=("target",), trains=("mapping.",)),
)
BLOCK = 1024  # users or items that are mapped at once: some maps are as large as k * k for each
RIDGE = 0.1  # of the least-squares map, in units of the mean squared coordinate


class Tables(nn.Module, ABC):
    """Points of the users and items of one side, rows of k numbers, and the score of two of them.

    Args:
        users, items: (n_users, k) and (n_items, k) first values.
    """

    def __init__(self, users: Tensor, items: Tensor) -> None:
        super().__init__()
        self.users, self.items = nn.Parameter(users), nn.Parameter(items)

    def points(self, rows: Tensor) -> Tensor:
        """(n, k) rows of a table, or what a map made -> points."""
        return rows

    def cases(self, batch: Batch) -> Cases:
        """The cases of a batch's single events."""
        user = self.user_vectors(self.points(self.users[batch.users]))
        return event_cases(user, self.item_vectors(self.points(self.items)), batch)

    @abstractmethod
    def user_vectors(self, points: Tensor) -> Tensor:
        """(n, k) points of users -> their side of the inner product that is the score."""

    @abstractmethod
    def item_vectors(self, points: Tensor) -> Tensor:
        """(n, k) points of items -> their side of the score."""


class Factorization(Tables):
    """Points are [p_u, b_u] and [q_i, b_i], k = d + 1; the score is p_u . q_i + b_u + b_i."""

    def __init__(self, n_users: int, n_items: int, dim: int) -> None:
        users, items = (
            torch.cat([torch.randn(n, dim) * INITIAL_STD, torch.zeros(n, 1)], dim=1)
            for n in (n_users, n_items)
        )
        super().__init__(users, items)

    def cases(self, batch: Batch) -> Cases:
        """Straight from the tables, as [p_u, 1] . [q_i, b_i] + b_u."""
        points = rows(self.users, batch.users)
        user = torch.cat([points[:, :-1], torch.ones_like(points[:, :1])], dim=1)
        return Cases.of_factors(Factors(user, self.items, points[:, -1:]), events_of(batch))

    def user_vectors(self, points: Tensor) -> Tensor:
        """[p_u, b_u, 1]."""
        return torch.cat([points, torch.ones_like(points[:, :1])], dim=1)

    def item_vectors(self, points: Tensor) -> Tensor:
        """[q_i, 1, b_i]."""
        return torch.cat([points[:, :-1], torch.ones_like(points[:, :1]), points[:, -1:]], dim=1)


class Links(nn.Module):
    """Who is in both domains, users if any are shared and else items, as codes of either side.

    Attributes:
        by: which of the two.
        labeled: (L, 2) target code and source code of those with training events on both sides:
            from them a map is learned.
        cold: (C, 2) the same of those with training events in the source alone.
    """

    labeled: Tensor
    cold: Tensor

    def __init__(self, pair: DomainPair) -> None:
        super().__init__()
        self.by = SharedIds(pair).by
        n_source, n_target = (
            torch.bincount(
                domain.train_events()[self.by == "items"],
                minlength=domain.n_users if self.by == "users" else domain.n_items,
            )
            for domain in (pair.source, pair.target)
        )
        codes = pair.shared_items
        if self.by == "users":
            codes = torch.arange(pair.target.n_users)[:, None].expand(-1, 2)
        in_target, in_source = n_target[codes[:, 0]] > 0, n_source[codes[:, 1]] > 0
        self.register_buffer("labeled", codes[in_source & in_target], persistent=False)
        self.register_buffer("cold", codes[in_source & ~in_target], persistent=False)
        if len(self.labeled) == 0:
            raise UserError(
                f"a map from {pair.source.name} to {pair.target.name} is learned from {self.by} "
                "with training events in both, and there are none: choose another split, or "
                "another transfer"
            )


class TwoFactorizations(PairModel):
    """Factorize the source, factorize the target, then map points of the first to the second.

    While the target is factorized, validation queries of users who are cold there are answered by
    the least-squares map of the moment, so that its weights are chosen for what is made of them.

    Args:
        dim: d, length of the vectors.
        mapped: who is mapped when the target is scored: "cold", those with training events in the
            source alone, or "shared", also those who have a point of the target's own.

    Raises:
        UserError: an argument is out of range.
    """

    needs: Overlap = "any"
    phases = MAP_PHASES

    def __init__(self, dim: int, mapped: Mapped) -> None:
        super().__init__()
        if dim < 1:
            raise UserError(f"transfer.dim must be >= 1, got {dim}")
        if mapped not in get_args(Mapped):
            raise UserError(f"transfer.mapped must be cold or shared, got {mapped}")
        self.dim, self.mapped = dim, mapped

    def build(self, pair: DomainPair, content: Content) -> None:
        """The tables of both sides, and the map."""
        self.links = Links(pair)
        self.source, self.target = (
            self.side(domain.n_users, domain.n_items) for domain in (pair.source, pair.target)
        )
        self.mapping = self.make_mapping(pair)

    def side(self, n_users: int, n_items: int) -> Tables:
        """The tables of one side."""
        return Factorization(n_users, n_items, self.dim)

    @abstractmethod
    def make_mapping(self, pair: DomainPair) -> nn.Module:
        """What the phase "map" trains."""

    @abstractmethod
    def map(self, codes: Tensor) -> Tensor:
        """(n,) codes of users (or items) of the source -> (n, k) points in the target."""

    def infer(self, codes: Tensor) -> Tensor:
        """The same for those who are scored."""
        return self.map(codes)

    @abstractmethod
    def map_loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The loss of the phase "map"."""

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The objective of a side on its own factorization; in the phase "map" the map's loss."""
        if self.phase == "map":
            return self.map_loss(batches, losses)
        ((side, batch),) = batches.items()
        return losses[side]((self.source if side == "source" else self.target).cases(batch))

    def catalog(self, tables: Tables) -> Tensor:
        """The items' side of the score."""
        return tables.item_vectors(tables.points(tables.items))

    def linked(self, side: Side) -> Tensor:
        """The table of a side in which the links are: of users or of items."""
        tables = self.source if side == "source" else self.target
        return tables.points(tables.users if self.links.by == "users" else tables.items)

    def supervised(self, size: int) -> Tensor:
        """Mean squared distance of mapped points to the target's own, over those in both domains;
        over `size` of them, drawn anew each time, where there are more."""
        links = self.links.labeled
        if len(links) > size:
            links = links[torch.randint(len(links), (size,), device=links.device)]
        to, origin = links.unbind(1)
        made = self.target.points(self.map(origin))
        return (made - self.linked("target")[to]).square().sum(dim=1).mean()

    @torch.no_grad()
    def least_squares(self) -> Tensor:
        """(k, k) the matrix M that maps labeled points x best: min of sum |x M - y|^2 + ridge."""
        to, origin = self.links.labeled.unbind(1)
        x, y = self.linked("source")[origin], self.linked("target")[to]
        with torch.autocast(x.device.type, enabled=False):
            gram = x.T @ x
            ridge = RIDGE * gram.diagonal().mean() + torch.finfo(gram.dtype).tiny
            eye = torch.eye(len(gram), device=gram.device)
            return torch.linalg.solve(gram + ridge * eye, x.T @ y)

    def scorer(self, side: Side) -> Scores:
        """Inner products with the side's catalog; in the target of mapped points where due."""
        tables = self.source if side == "source" else self.target
        users, items = tables.points(tables.users), tables.points(tables.items)
        if side == "target":
            if self.links.by == "users":
                users = self._with_mapped(users)
            else:
                items = self._with_mapped(items)
        user_vectors, item_vectors = tables.user_vectors(users), tables.item_vectors(items)

        def scores(histories: Batch) -> Tensor:
            return user_vectors[histories.users] @ item_vectors.T

        return scores

    def _with_mapped(self, points: Tensor) -> Tensor:
        """The target's points of those who are linked, with mapped ones in their places."""
        links = self.links.cold
        if self.phase == "map" and self.mapped == "shared":
            links = torch.cat([links, self.links.labeled])
        if len(links) == 0:
            return points
        to, origin = links.unbind(1)
        if self.phase == "map":
            made = torch.cat([self.infer(block) for block in origin.split(BLOCK)])
        else:
            made = self.linked("source")[origin] @ self.least_squares()
        return points.index_copy(0, to, self.target.points(made.to(points.dtype)))
