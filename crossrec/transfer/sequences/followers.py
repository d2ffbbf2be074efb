"""The graph of what follows what in the sequences of a pair."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.transfer.preferences.shared_ids import SharedIds
from crossrec.transfer.sequences.two_domain_batch import context_keys, source_keys

Edges = tuple[Tensor, Tensor]
"""(E,) items and (E,) those that came right after them."""


class Followers(nn.Module):
    """One step over the graph: each item becomes the mean of the items that came right after it.

    That is the product with the adjacency normalized by rows; an edge that occurs twice counts
    once, and an item that nothing ever followed becomes zero.

    Args:
        edges: of items 0 .. n_items - 1.
        n_items: nodes.
    """

    after: Tensor
    start: Tensor

    def __init__(self, edges: Edges, n_items: int) -> None:
        super().__init__()
        before, after = edges
        keys = torch.unique(before * n_items + after)
        degree = torch.bincount(keys // n_items, minlength=n_items)
        self.register_buffer("after", keys % n_items, persistent=False)
        self.register_buffer("start", F.pad(degree.cumsum(0), (1, 0)), persistent=False)

    def forward(self, table: Tensor) -> Tensor:
        """(n_items, d) to (n_items, d)."""
        return F.embedding_bag(self.after, table, self.start, mode="mean", include_last_offset=True)


def single_edges(domain: Domain) -> Edges:
    """Neighbors among the own training events of a domain."""
    users, items, _ = domain.train_events()
    return _neighbors(users, items)


def cross_edges(pair: DomainPair, ids: SharedIds) -> Edges:
    """Neighbors in the target's training sequences over both domains, and in the source's.

    Items are rows of `ids`. What the source holds out is left out of the target's sequences.
    """
    train = pair.target.train
    users = torch.repeat_interleave(train.users, train.lengths)
    known = train.own | torch.isin(context_keys(pair), source_keys(pair))
    rows = torch.cat([ids.rows("target"), ids.rows("source")])[train.items]
    in_target = _neighbors(users[known], rows[known])
    source_users, source_items, _ = pair.source.train_events()
    in_source = _neighbors(source_users, ids.rows("source")[source_items])
    return torch.cat([in_target[0], in_source[0]]), torch.cat([in_target[1], in_source[1]])


def _neighbors(users: Tensor, items: Tensor) -> Edges:
    """Items of events that follow each other, user by user."""
    same = users[:-1] == users[1:]
    return items[:-1][same], items[1:][same]
