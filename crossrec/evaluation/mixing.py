"""Mixing rankers: weights that validation chooses, over scores of one scale."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from crossrec.evaluation.metrics import ndcg
from crossrec.evaluation.ranking import Queries, ScoreBlock, rank

CACHE_BYTES = 1 << 30  # scores of the validation queries that are held while weights are chosen
ROWS_AT_ONCE = 512


def standardized(scores: Tensor) -> Tensor:
    """Each row with mean 0 and deviation 1 over the catalog; a row of equal scores becomes zeros.

    Args:
        scores: (R, n_items).
    """
    scores = scores.float()
    centered = scores - scores.mean(dim=1, keepdim=True)
    deviation = centered.square().mean(dim=1, keepdim=True).sqrt()
    # Rounding leaves a little where all are equal; it must not be blown up to an opinion.
    flat = deviation <= 1e-6 * scores.abs().amax(dim=1, keepdim=True)
    return (centered / deviation.masked_fill(flat, 1.0)).masked_fill(flat, 0.0)


def mixed(blocks: Sequence[ScoreBlock], weights: Sequence[float]) -> ScoreBlock:
    """The weighted sum of standardized scores."""

    def block(rows: slice) -> Tensor:
        parts = zip(blocks, weights, strict=True)
        return torch.stack([weight * standardized(scores(rows)) for scores, weight in parts]).sum(0)

    return block


@torch.no_grad()
def choose_weights(
    blocks: Sequence[ScoreBlock],
    n_queries: int,
    queries: Callable[[Tensor], Queries],
    n_items: int,
    k: int = 10,
    steps: int = 20,
    cache_bytes: int = CACHE_BYTES,
) -> tuple[list[float], list[float], float]:
    """Weights of a mixture by greedy selection with replacement on NDCG@k.

    Caruana et al., ICML 2004: begin with the best ranker, add the one that helps the mixture most,
    again and again; each ranker weighs as often as it was taken, and the best mixture on the way is
    kept. Equal values: the ranker that stands first.

    Args:
        blocks: the rankers, over the same queries: those of validation, never those of test.
        n_queries: how many there are. Where their scores exceed `cache_bytes`, evenly spaced ones
            stand for all.
        queries: (R,) numbers of queries -> what they ask.
        n_items: size of the catalog.
        k: of NDCG.
        steps: rankers taken at most.

    Returns:
        Weights that sum to 1, NDCG@k of each ranker alone, and NDCG@k of the mixture.
    """
    at_most = max(1, cache_bytes // (4 * n_items * len(blocks)))
    chosen = torch.arange(n_queries)[:: -(-n_queries // at_most)]
    asked = queries(chosen)
    held = [_scores(block, n_queries, chosen) for block in blocks]

    def value(total: Tensor, scores: Tensor) -> float:
        ranking = rank(lambda rows: total[rows] + scores[rows], asked, n_items, k, beyond_k=False)
        return float(ndcg(ranking.truth_ranks, asked.truth_offsets, k).mean())

    total = torch.zeros(len(chosen), n_items)
    counts = [0] * len(blocks)
    alone: list[float] = []
    best, best_counts = float("-inf"), counts
    for _ in range(steps):
        values = [value(total, scores) for scores in held]
        alone = alone or values
        taken = max(range(len(values)), key=lambda i: values[i])
        counts = [count + (i == taken) for i, count in enumerate(counts)]
        total += held[taken]
        if values[taken] > best:
            best, best_counts = values[taken], counts
    return [count / sum(best_counts) for count in best_counts], alone, best


def _scores(block: ScoreBlock, n_queries: int, chosen: Tensor) -> Tensor:
    """(chosen, n_items) standardized scores of the chosen queries."""
    parts = []
    for start in range(0, n_queries, ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, n_queries))
        mine = chosen[(chosen >= rows.start) & (chosen < rows.stop)] - rows.start
        scores = block(rows)
        parts.append(standardized(scores[mine.to(scores.device)]).cpu())
    return torch.cat(parts)
