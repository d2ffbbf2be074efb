"""Ranking metrics of one user each, from the exact ranks of that user's held-out items.

A metric is a function (ranks, offsets, k) -> (U,) float64 and a name in METRICS. ranks (T,) are
1-based, held-out item t of user u lies in offsets[u] <= t < offsets[u + 1], and every user has at
least one. Below, rel_u is the number of held-out items of user u.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Metric = Callable[[Tensor, Tensor, int], Tensor]


def recall(ranks: Tensor, offsets: Tensor, k: int) -> Tensor:
    """hits within k / rel_u (Manning, Raghavan and Schuetze, 2008, ch. 8).

    The divisor is rel_u and not min(k, rel_u), so more than k held-out items keep it below 1.
    """
    return _sum((ranks <= k).double(), offsets) / offsets.diff()


def precision(ranks: Tensor, offsets: Tensor, k: int) -> Tensor:
    """hits within k / k (Manning, Raghavan and Schuetze, 2008, ch. 8), even if a list is short."""
    return _sum((ranks <= k).double(), offsets) / k


def ndcg(ranks: Tensor, offsets: Tensor, k: int) -> Tensor:
    """DCG / ideal DCG with binary gains (Jaervelin and Kekaelaeinen, TOIS 2002).

    DCG = sum over hits of 1 / log2(rank + 1), so ranks 1 and 2 differ; the ideal list holds
    min(k, rel_u) hits at its top.
    """
    gains = torch.where(ranks <= k, 1 / (ranks + 1).double().log2(), 0.0)
    discounts = 1 / torch.arange(2, k + 2, dtype=torch.float64, device=ranks.device).log2()
    ideal = discounts.cumsum(0)[offsets.diff().clamp(max=k) - 1]
    return _sum(gains, offsets) / ideal


def mrr(ranks: Tensor, offsets: Tensor, k: int) -> Tensor:
    """1 / rank of the first hit (Voorhees, TREC-8, 1999); 0 where no hit is within k."""
    reciprocal = torch.where(ranks <= k, 1 / ranks.double(), 0.0)
    best = reciprocal.new_zeros(len(offsets) - 1)
    return best.scatter_reduce(0, _users(offsets), reciprocal, "amax")


def hit(ranks: Tensor, offsets: Tensor, k: int) -> Tensor:
    """1 where any held-out item is within k, else 0 (hit ratio, He et al., WWW 2017)."""
    return (_sum((ranks <= k).double(), offsets) > 0).double()


METRICS: dict[str, Metric] = {
    "recall": recall,
    "precision": precision,
    "ndcg": ndcg,
    "mrr": mrr,
    "hit": hit,
}


def _users(offsets: Tensor) -> Tensor:
    return torch.repeat_interleave(offsets.diff())


def _sum(values: Tensor, offsets: Tensor) -> Tensor:
    """Sum of each user's values; values (T,), offsets (U + 1,) -> (U,)."""
    return values.new_zeros(len(offsets) - 1).index_add(0, _users(offsets), values)
