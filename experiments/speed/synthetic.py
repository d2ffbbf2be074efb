"""Domains of any size, drawn at once: what growth and limits are measured on."""

import numpy as np
import polars as pl
import torch

from crossrec.data.columns import ITEM, TITLE
from crossrec.data.domain import Domain
from crossrec.data.sequences import HeldOut, Sequences


def domain(
    n_users: int, n_items: int, n_events: int, n_queries: int = 1000, seed: int = 0
) -> Domain:
    """Users with as many events each, items of falling popularity, one held-out item a query."""
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.arange(n_users + 1) * n_events // n_users
    drawn = torch.rand(n_events, generator=generator)
    items = (drawn.square() * n_items).long().clamp_(max=n_items - 1)
    train = _sequences(torch.arange(n_users), offsets, items)
    asked = torch.arange(min(n_queries, n_users))
    n_seen = int(offsets[len(asked)])
    truth = torch.empty(len(asked), dtype=torch.int64)
    for query in asked.tolist():  # an item that the user does not have
        had = set(items[offsets[query] : offsets[query + 1]].tolist())
        truth[query] = next(item for item in range(n_items) if item not in had)
    one = torch.arange(len(asked) + 1)
    history = _sequences(asked, offsets[: len(asked) + 1], items[:n_seen])
    seen = _unique_per_query(offsets[: len(asked) + 1], items[:n_seen], n_items)
    held_out = HeldOut(
        history, one, truth, torch.full((len(asked),), float("nan")), *seen, offsets.diff()[asked]
    )
    ids = pl.Series("id", np.arange(max(n_users, n_items)))
    table = pl.DataFrame({ITEM: ids[:n_items], TITLE: ids[:n_items]})
    return Domain("drawn", ids[:n_users], table, 0, train, held_out, held_out, history)


def _sequences(users: torch.Tensor, offsets: torch.Tensor, items: torch.Tensor) -> Sequences:
    ratings = torch.full((len(items),), float("nan"))
    return Sequences(users, offsets, items, ratings, torch.ones(len(items), dtype=torch.bool))


def _unique_per_query(
    offsets: torch.Tensor, items: torch.Tensor, n_items: int
) -> tuple[torch.Tensor, torch.Tensor]:
    query = torch.repeat_interleave(torch.arange(len(offsets) - 1), offsets.diff())
    keys = torch.unique(query * n_items + items)
    counts = torch.bincount(keys // n_items, minlength=len(offsets) - 1)
    return torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]), keys % n_items
