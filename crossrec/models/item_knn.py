"""Item-based nearest neighbors (Deshpande and Karypis, ACM TOIS 2004)."""

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

    def fit(self, interactions: csr_array) -> Self:
        """Finds every item's neighbors in the (users, items) training matrix."""
        by_user = csr_array(interactions, dtype=np.float32)
        by_item = csr_array(by_user.T)  # (items, users)
        n_items = by_item.shape[0]
        norms = np.sqrt(np.asarray(by_item.multiply(by_item).sum(axis=1))).astype(np.float32)
        rows = max(1, self.block_scores // n_items)
        blocks = []
        for start in range(0, n_items, rows):
            # Row i of the product holds item i's co-occurrences with all items.
            common = by_item[start : start + rows] @ by_user
            common.sort_indices()
            blocks.append(self._nearest(common, start, norms))
        self.neighbors = csr_array(vstack(blocks, format="csr"))  # (items, items), k a row
        return self

    def score(self, histories: csr_array) -> Tensor:
        """(B, items) float32 for B users given by their (B, items) training rows."""
        return torch.from_numpy((csr_array(histories, dtype=np.float32) @ self.neighbors).toarray())

    def _nearest(self, common: csr_array, first: int, norms: np.ndarray) -> csr_array:
        """The n_neighbors most similar items of items first, first + 1, ..., one a row."""
        owner = np.repeat(np.arange(common.shape[0]), np.diff(common.indptr)) + first
        similarity = common.data / (norms[owner] * norms[common.indices] + self.shrinkage)
        similarity[common.indices == owner] = 0.0  # an item is no neighbor of its own
        kept = []
        for start, end in zip(common.indptr[:-1], common.indptr[1:], strict=True):
            row = similarity[start:end]
            if len(row) > self.n_neighbors:
                limit = np.partition(row, -self.n_neighbors)[-self.n_neighbors]
                above = np.flatnonzero(row > limit)
                level = np.flatnonzero(row == limit)[: self.n_neighbors - len(above)]
                kept.append(start + np.sort(np.concatenate([above, level])))
            else:
                kept.append(np.arange(start, end))
        pointer = np.concatenate([[0], np.cumsum([len(entries) for entries in kept])])
        entries = np.concatenate(kept)
        chosen = csr_array(
            (similarity[entries], common.indices[entries], pointer), shape=common.shape
        )
        chosen.eliminate_zeros()
        return chosen
