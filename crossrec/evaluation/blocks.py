"""What is asked of one block of scores: the rank of some cells, and the k best of each row.

Exact, the same on every machine, and faster than torch.topk and a boolean sum.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EXACT_FLOAT32 = 1 << 24  # float32 counts every whole number up to here


def ranks_of(scores: Tensor, rows: Tensor, found: Tensor) -> Tensor:
    """1-based ranks of the pairs (rows, found): scores (B, n), rows (P,) ascending, found (P,)."""
    exact = torch.float32 if scores.shape[1] < EXACT_FLOAT32 else torch.float64
    if len(rows) == len(scores):  # one held-out item each: the item itself is counted, once
        return _at_least(scores, found, exact)
    counts = _counts(scores, rows, found, exact)
    # Take each user's own held-out items out of the counts, then put back the better-ordered ones.
    order = torch.argsort(found, descending=True, stable=True)
    order = order[torch.argsort(rows[order], stable=True)]
    place = torch.empty_like(order)
    place[order] = torch.arange(len(rows), device=rows.device)
    ordered = found[order]
    last_of_tie = torch.ones_like(rows, dtype=torch.bool)
    last_of_tie[:-1] = (ordered[1:] != ordered[:-1]) | (rows[1:] != rows[:-1])
    ends = last_of_tie.nonzero().squeeze(1)
    tie_end = ends[torch.searchsorted(ends, place)]  # (P,) last place that ties with the item
    return counts - (tie_end - place)


def ranks_within(scores: Tensor, rows: Tensor, found: Tensor, best: Tensor) -> Tensor:
    """`ranks_of`, but k + 1 for all that stand beyond k: only who may be in the list is counted.

    Args:
        scores, rows, found: as in `ranks_of`.
        best: (B, k) the k best scores of each row, best first.
    """
    beyond = best.shape[1] + 1
    ranks = torch.full_like(rows, beyond)
    listed = (found >= best[rows, -1]).nonzero()[:, 0]
    asked, place = rows[listed].unique_consecutive(return_inverse=True)
    ranks[listed] = ranks_of(scores[asked], place, found[listed]).clamp_(max=beyond)
    return ranks


def ranks_among(scores: Tensor, found: Tensor, negatives: Tensor) -> Tensor:
    """(B,) 1 + how many negatives score at least as high: ties count against the model.

    Args:
        scores: (B, n_items) of a block of queries.
        found: (B,) score of each query's held-out item.
        negatives: (B, n) item codes.
    """
    return 1 + (scores.gather(1, negatives) >= found[:, None]).sum(1)


def _counts(scores: Tensor, rows: Tensor, found: Tensor, dtype: torch.dtype) -> Tensor:
    """How many scores of its row are >= each found (P,): one pass over the block for the first
    held-out item of every row, one for the second, ..., over fewer and fewer rows."""
    nth = torch.arange(len(rows), device=rows.device) - torch.searchsorted(rows, rows)
    order = nth.argsort(stable=True)
    counts = torch.empty_like(rows)
    position = torch.arange(len(scores), device=rows.device)  # of a row within the rows left
    for pairs in order.split(nth.bincount().tolist()):
        if 2 * len(pairs) <= len(scores):
            scores = scores[position[rows[pairs]]]
            position[rows[pairs]] = torch.arange(len(pairs), device=rows.device)
        threshold = found.new_full((len(scores),), math.inf)
        threshold[position[rows[pairs]]] = found[pairs]
        counts[pairs] = _at_least(scores, threshold, dtype)[position[rows[pairs]]]
    return counts


def _at_least(scores: Tensor, threshold: Tensor, dtype: torch.dtype) -> Tensor:
    """How many scores of each row are >= its threshold; a sum of floats is the fast way here."""
    flags = torch.empty(scores.shape, dtype=dtype, device=scores.device)
    return torch.ge(scores, threshold.unsqueeze(1), out=flags).sum(1).long()


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best scores of each row (B, k), and their columns; equal scores by column, upwards."""
    extra = min(k + 1, scores.shape[1])
    values, columns = _any_top_k(scores, extra)
    if extra > k:  # a tie across the border: which of the equal ones came in was a matter of chance
        tied = ((values[:, k - 1] == values[:, k]) & (values[:, k] > -math.inf)).nonzero()[:, 0]
        values, columns = values[:, :k], columns[:, :k]
        if len(tied):
            columns = columns.clone()
            columns[tied] = _settle(scores[tied], values[tied], columns[tied])
    columns, by_column = columns.sort(dim=1)
    values, by_value = values.gather(1, by_column).sort(dim=1, descending=True, stable=True)
    return values, columns.gather(1, by_value)


def _any_top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """torch.topk in two steps: the k best groups by their maximum, then the k best of those.

    Exact: fewer than k groups hold a score above the k-th best, so all of them are chosen.
    """
    n = scores.shape[1]
    size = math.isqrt(n // k)
    if size < 4:
        return scores.topk(k, dim=1)
    n_groups = n // size  # group g holds columns g, g + n_groups, ...: the maximum runs along rows
    grouped = scores[:, : size * n_groups].unflatten(1, (size, n_groups))
    chosen = grouped.amax(1).topk(k, dim=1, sorted=False).indices  # (B, k)
    members = chosen.unsqueeze(1) + n_groups * torch.arange(size, device=scores.device)[:, None]
    rest = torch.arange(size * n_groups, n, device=scores.device).expand(len(scores), -1)
    columns = torch.cat([members.flatten(1), rest], dim=1)
    values, picked = scores.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, picked)


def _settle(scores: Tensor, values: Tensor, columns: Tensor) -> Tensor:
    """Replace the columns that tie with the last value by the lowest such columns of the row."""
    n, k = scores.shape[1], values.shape[1]
    border = values[:, -1:]
    ascending = torch.arange(n, 0, -1, device=scores.device, dtype=torch.int32)
    lowest = torch.where(scores == border, ascending, 0).topk(k, dim=1).indices  # (B, k)
    inside = (values > border).sum(1, keepdim=True)  # values are in descending order
    position = torch.arange(k, device=scores.device)
    return torch.where(
        position < inside, columns, lowest.gather(1, (position - inside).clamp(min=0))
    )
