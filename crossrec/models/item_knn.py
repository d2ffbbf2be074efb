"""Item-based nearest neighbors (Deshpande and Karypis, ACM TOIS 2004)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor


class ItemKNN:
    """score(u, i) = sum of the similarities of i to those of u's items that have i as a neighbor.

    Similarity is the cosine of two items' columns, shrunk where few users support it:
    c_ij / (|c_i| |c_j| + shrinkage), and each item keeps its `n_neighbors` most similar others
    (equal similarities: the lower item code first).

    Args:
        n_neighbors: k, at least 1.
        shrinkage: at least 0; 0 is the plain cosine.
        block_scores: similarities held densely at once; memory grows with this, not with items^2.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self, n_neighbors: int = 100, shrinkage: float = 10.0, block_scores: int = 2**24
    ) -> None:
        if n_neighbors < 1 or shrinkage < 0:
            raise ValueError(
                f"n_neighbors must be >= 1 and shrinkage >= 0, got {n_neighbors}, {shrinkage}"
            )
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage
        self.block_scores = block_scores

    def fit(self, interactions: csr_array, n_candidates: int | None = None) -> Self:
        """Finds every item's neighbors in the (users, items) training matrix.

        Args:
            n_candidates: only the first so many items can be neighbors, and are scored; the others
                stand in histories alone. None for all.
        """
        grid = [self.n_neighbors], [self.shrinkage]
        n_candidates = n_candidates or interactions.shape[1]
        ((_, self.neighbors),) = _neighbors(interactions, *grid, self.block_scores, n_candidates)
        return self

    @classmethod
    def fit_grid(
        cls, interactions: csr_array, n_neighbors: Sequence[int], shrinkage: Sequence[float]
    ) -> list[Self]:
        """One model for each of both, fitted together: co-occurrences are counted once."""
        models = [cls(k, s) for s in shrinkage for k in n_neighbors]
        found = dict(
            _neighbors(
                interactions,
                n_neighbors,
                shrinkage,
                models[0].block_scores,
                interactions.shape[1],
            )
        )
        for model in models:
            model.neighbors = found[model.n_neighbors, model.shrinkage]
        return models

    def score(self, histories: csr_array) -> Tensor:
        """(B, candidates) float32 for B users given by their (B, items) training rows."""
        return torch.from_numpy((csr_array(histories, dtype=np.float32) @ self.neighbors).toarray())


def _neighbors(
    interactions: csr_array,
    n_neighbors: Sequence[int],
    shrinkage: Sequence[float],
    block_scores: int,
    n_candidates: int,
) -> list[tuple[tuple[int, float], csr_array]]:
    """(items, candidates) similarities of each item's nearest, for every k and every shrinkage."""
    by_user = csr_array(interactions, dtype=np.float32)
    by_item = csr_array(by_user.T)  # (items, users)
    n_items = by_item.shape[0]
    candidates = by_user if n_candidates == n_items else csr_array(by_user[:, :n_candidates])
    norms = np.sqrt(np.asarray(by_item.multiply(by_item).sum(axis=1))).astype(np.float32)
    rows = max(1, block_scores // n_items)
    blocks: dict[tuple[int, float], list[csr_array]] = {}
    for start in range(0, n_items, rows):
        # Row i of the product holds item i's co-occurrences with all candidates.
        common = by_item[start : start + rows] @ candidates
        common.sort_indices()
        for s in shrinkage:
            nearest = _similarities(common, start, norms, s)
            for k in sorted(n_neighbors, reverse=True):  # the nearest few are among the many
                nearest = _nearest(nearest, k)
                blocks.setdefault((k, s), []).append(nearest)
    return [(setting, csr_array(vstack(parts, format="csr"))) for setting, parts in blocks.items()]


def _similarities(common: csr_array, first: int, norms: np.ndarray, shrinkage: float) -> csr_array:
    """Shrunk cosines of items first, first + 1, ..., one a row, with all others."""
    owner = np.repeat(np.arange(common.shape[0]), np.diff(common.indptr)) + first
    similarity = common.data / (norms[owner] * norms[common.indices] + shrinkage)
    similarity[common.indices == owner] = 0.0  # an item is no neighbor of its own
    result = csr_array((similarity, common.indices, common.indptr), shape=common.shape, copy=True)
    result.eliminate_zeros()
    return result


def _nearest(similarities: csr_array, n_neighbors: int) -> csr_array:
    """The n_neighbors greatest entries of each row; of equal ones the first."""
    kept = []
    for start, end in pairwise(similarities.indptr):
        row = similarities.data[start:end]
        if len(row) > n_neighbors:
            limit = np.partition(row, -n_neighbors)[-n_neighbors]
            above = np.flatnonzero(row > limit)
            level = np.flatnonzero(row == limit)[: n_neighbors - len(above)]
            kept.append(start + np.sort(np.concatenate([above, level])))
        else:
            kept.append(np.arange(start, end))
    pointer = np.concatenate([[0], np.cumsum([len(entries) for entries in kept])])
    entries = np.concatenate(kept)
    chosen = similarities.data[entries], similarities.indices[entries], pointer
    return csr_array(chosen, shape=similarities.shape)
