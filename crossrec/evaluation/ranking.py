"""Exact full ranking: the place of each held-out item among all candidates, and the top-k lists.

Ties count against the model: an item that ties with others stands behind them, so a scorer that
gives every item the same score earns the worst rank and not an average one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crossrec.data.columns import PAD
from crossrec.evaluation.blocks import ranks_among, ranks_of, ranks_within, top_k

ScoreBlock = Callable[[slice], Tensor]

CACHE_BYTES = 4 << 20  # a block that stays in a processor's cache is ranked 1.5 times faster,
BLOCK_BYTES = 16 << 20  # but in large catalogs it would hold too few
BLOCK_QUERIES = 256  # queries to be worth the calls
LEAST_QUERIES = 16  # of fewer the product is bound by reading the items again
GPU_BYTES = 256 << 20


@dataclass(frozen=True)
class Queries:
    """What evaluation asks about each user.

    Query u owns items[offsets[u] : offsets[u + 1]] of each pair of arrays.

    Attributes:
        users: (U,) int64 user codes, one query each.
        seen_offsets, seen_items: (U + 1,), (S,) items that are no candidates: what the user has in
            train, and in validation when testing.
        truth_offsets, truth_items: (U + 1,), (T,) held-out relevant items, at least one a query,
            none twice.
    """

    users: np.ndarray
    seen_offsets: Tensor
    seen_items: Tensor
    truth_offsets: Tensor
    truth_items: Tensor

    def __post_init__(self) -> None:
        for name, items in (("seen", self.seen_items), ("truth", self.truth_items)):
            offsets = getattr(self, f"{name}_offsets")
            if len(offsets) != len(self.users) + 1 or offsets[0] != 0 or offsets[-1] != len(items):
                raise ValueError(f"{name}_offsets must run from 0 to {len(items)} in U + 1 steps")
            if (offsets.diff() < (name == "truth")).any():
                raise ValueError(f"{name}_offsets must rise, truth by at least 1 a query")

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class Ranking:
    """Where the held-out items stand and what the model would show; tensors on the CPU.

    Attributes:
        truth_offsets: (U + 1,) as in the queries.
        truth_ranks: (T,) 1-based exact rank of each held-out item among the candidates; k + 1 for
            all beyond k, if no more was asked.
        truth_scores: (T,) the model's score of each held-out item.
        top_items: (U, k) item codes, best first, ties by item code; -1 where candidates run out.
        top_scores: (U, k) their scores; -inf where candidates run out.
    """

    truth_offsets: Tensor
    truth_ranks: Tensor
    truth_scores: Tensor
    top_items: Tensor
    top_scores: Tensor


def factorized(user_vectors: Tensor, item_vectors: Tensor) -> ScoreBlock:
    """Scores of an inner-product model: user_vectors (U, d), item_vectors (n_items, d).

    Row u belongs to query u. The block that it returns is written over by the next call.
    """
    n_items = len(item_vectors)
    buffer = user_vectors.new_empty(0)
    items = item_vectors.T  # (d, n_items)

    def score_block(rows: slice) -> Tensor:
        nonlocal buffer
        users = user_vectors[rows]
        if buffer.numel() < len(users) * n_items:
            buffer = users.new_empty(len(users) * n_items)
        out = buffer[: len(users) * n_items].view(len(users), n_items)
        return torch.mm(users, items, out=out)

    return score_block


@torch.no_grad()
def rank(
    score_block: ScoreBlock,
    queries: Queries,
    n_items: int,
    k: int,
    block: int | None = None,
    negatives: Tensor | None = None,
    beyond_k: bool = True,
) -> Ranking:
    """Rank every candidate of every query, exactly, in memory that does not grow with U * n_items.

    The rank of a held-out item is 1 + the number of other candidates whose score is at least as
    high; held-out items of one user that tie take consecutive places. NaN counts as the worst.

    Args:
        score_block: rows -> (rows, n_items) floating-point scores of the queries in the slice.
        queries: whom to ask about, what to leave out and what to look for.
        n_items: size of the catalog; codes 0 .. n_items - 1 are ranked.
        k: length of the lists.
        block: queries at a time; None fits blocks to the cache (or to the accelerator).
        negatives: (U, n) item codes of `sampled.fixed_negatives`: ranks are then those among them,
            while the lists still come from all candidates. None ranks among all candidates.
        beyond_k: whether to tell ranks beyond k apart: a pass over the scores for each held-out
            item, where metrics at up to k need hardly one.

    Raises:
        ValueError: an item code is outside the catalog, a held-out item is also seen or is
            listed twice, or the scores have another shape.
    """
    _check_codes(queries, n_items)
    n_queries = len(queries)
    ranks = torch.empty(len(queries.truth_items), dtype=torch.int64)
    truth_scores = torch.empty(len(queries.truth_items))
    top_items = torch.full((n_queries, k), PAD)
    top_scores = torch.full((n_queries, k), -math.inf)
    step = block or _block(n_items)
    start = 0

    def placed(scores: Tensor, truth: Tensor, found: Tensor, best: Tensor, rows: slice) -> Tensor:
        if negatives is not None:
            return ranks_among(scores, found, negatives[rows].to(scores.device))
        if beyond_k:
            return ranks_of(scores, truth // n_items, found)
        return ranks_within(scores, truth // n_items, found, best)

    while start < n_queries:
        rows = slice(start, min(start + step, n_queries))
        scores = score_block(rows)
        if scores.shape != (rows.stop - start, n_items):
            expected = (rows.stop - start, n_items)
            raise ValueError(f"score_block gave {tuple(scores.shape)}, expected {expected}")
        scores = scores.contiguous()
        seen, _ = _cells(queries.seen_offsets, queries.seen_items, rows, scores)
        truth, place = _cells(queries.truth_offsets, queries.truth_items, rows, scores)
        kept = scores.view(-1).index_select(0, seen)  # the block may be the model's own table
        found, best, items = _look_up(scores, seen, truth, min(k, n_items))
        lowest = torch.finfo(scores.dtype).min
        if not ((found >= lowest).all() and (best >= lowest).all()):  # NaN, -inf or a short list
            scores.view(-1).index_copy_(0, seen, kept)
            clean = torch.nan_to_num(scores, nan=lowest, posinf=math.inf, neginf=lowest)
            found, best, items = _look_up(clean, seen, truth, min(k, n_items))
            if (found < lowest).any():
                raise ValueError("a held-out item is also among the user's seen items")
            ranks[place] = placed(clean, truth, found, best, rows).cpu()
        else:
            ranks[place] = placed(scores, truth, found, best, rows).cpu()
            scores.view(-1).index_copy_(0, seen, kept)
        truth_scores[place] = found.float().cpu()
        top_items[rows, : items.shape[1]] = items.masked_fill(best < lowest, PAD).cpu()
        top_scores[rows, : items.shape[1]] = best.float().cpu()
        start = rows.stop
        if block is None and scores.is_cuda:
            step = max(1, GPU_BYTES // (4 * n_items))
    return Ranking(queries.truth_offsets, ranks, truth_scores, top_items, top_scores)


def _block(n_items: int) -> int:
    in_cache, at_most = (size // (4 * n_items) for size in (CACHE_BYTES, BLOCK_BYTES))
    return max(in_cache, min(BLOCK_QUERIES, at_most), LEAST_QUERIES)


def _check_codes(queries: Queries, n_items: int) -> None:
    for name, items in (("seen", queries.seen_items), ("truth", queries.truth_items)):
        if len(items) and (int(items.min()) < 0 or int(items.max()) >= n_items):
            raise ValueError(f"{name} item codes must lie in 0 .. {n_items - 1}")
    per_query = queries.truth_offsets.diff()
    keys = torch.repeat_interleave(per_query) * n_items + queries.truth_items
    if len(keys) > len(per_query) and len(keys.unique()) < len(keys):
        raise ValueError("a held-out item is listed twice for one query")


def _cells(offsets: Tensor, items: Tensor, rows: slice, scores: Tensor) -> tuple[Tensor, slice]:
    """Where the pairs of the block lie in its flattened scores, and where they lie in items."""
    bounds = offsets[rows.start : rows.stop + 1]
    place = slice(int(bounds[0]), int(bounds[-1]))
    pair_rows = torch.repeat_interleave(bounds.diff(), output_size=place.stop - place.start)
    return (pair_rows.mul_(scores.shape[1]).add_(items[place])).to(scores.device), place


def _look_up(scores: Tensor, seen: Tensor, truth: Tensor, k: int) -> tuple[Tensor, ...]:
    """Mask the seen cells with -inf in place; the truth cells' scores, and the top-k."""
    scores.view(-1).index_fill_(0, seen, -math.inf)
    return scores.view(-1).index_select(0, truth), *top_k(scores, k)
