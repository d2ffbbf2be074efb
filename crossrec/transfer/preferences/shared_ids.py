"""Who and what stands in both domains, as rows of tables that both can read."""

from typing import Literal

import torch
from torch import Tensor, nn

from crossrec.data.pair import DomainPair, Side


class SharedIds(nn.Module):
    """Rows of tables over both domains: one a user, and one an item, shared ones once.

    Attributes:
        n_users: user rows; a row is a user's code.
        n_items: item rows: the target's items by their codes, then the source's other items.
        target_rows, source_rows: (items of the side,) the item row of each of its items.
        shared_users: (n_users,) bool, users in both domains, whichever part their events are in.
        shared_items: (n_items,) bool, items in both catalogs.
        by: which of the two binds the domains: users where any are shared, else items.
    """

    target_rows: Tensor
    source_rows: Tensor
    shared_users: Tensor
    shared_items: Tensor

    def __init__(self, pair: DomainPair) -> None:
        super().__init__()
        n_target, n_source = pair.target.n_items, pair.source.n_items
        target_codes, source_codes = pair.shared_items.unbind(1)
        alone = torch.ones(n_source, dtype=torch.bool)
        alone[source_codes] = False
        source_rows = torch.empty(n_source, dtype=torch.int64)
        source_rows[source_codes] = target_codes
        self.n_users = pair.target.n_users
        self.n_items = n_target + int(alone.sum())
        source_rows[alone] = torch.arange(n_target, self.n_items)
        shared_items = torch.zeros(self.n_items, dtype=torch.bool)
        shared_items[target_codes] = True
        self.register_buffer("target_rows", torch.arange(n_target), persistent=False)
        self.register_buffer("source_rows", source_rows, persistent=False)
        shared_users = torch.zeros(self.n_users, dtype=torch.bool)
        shared_users[pair.shared_users] = True
        self.register_buffer("shared_users", shared_users, persistent=False)
        self.register_buffer("shared_items", shared_items, persistent=False)
        self.by: Literal["users", "items"] = "users" if len(pair.shared_users) else "items"

    def rows(self, side: Side) -> Tensor:
        """(items of the side,) the item row of each of its items."""
        return self.source_rows if side == "source" else self.target_rows
