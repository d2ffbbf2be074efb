"""Product quantization: a vector as a few codes, each the nearest center of a part of it."""

import torch
import torch.nn.functional as F
from torch import Tensor

ITERATIONS = 20
MOST_ROWS = 2**14  # rows that centers are fitted on
CELLS = 2**24  # distances that are held at once


def quantize(vectors: Tensor, fitted: Tensor, n_groups: int, n_codes: int) -> Tensor:
    """Codes of vectors (Jegou, Douze and Schmid, TPAMI 2011), without an optimized rotation.

    Args:
        vectors: (n, d); columns are dealt to groups in their order, zeros fill the last group up.
        fitted: (n,) bool, the rows that centers may be learned from.
        n_groups: codes of a vector.
        n_codes: centers of a group; no more than fitted rows are made.

    Returns:
        (n, n_groups) int64, code of group g in g * n_codes .. (g + 1) * n_codes - 1. The same
        torch seed makes the same ones.
    """
    width = -(-vectors.shape[1] // n_groups)
    padded = F.pad(vectors, (0, n_groups * width - vectors.shape[1]))
    rows = fitted.nonzero()[:, 0]
    rows = rows[torch.randperm(len(rows))[:MOST_ROWS]]
    codes = []
    for group, part in enumerate(padded.split(width, dim=1)):
        centers = k_means(part[rows], n_codes)
        codes.append(nearest(part, centers) + group * n_codes)
    return torch.stack(codes, dim=1)


def k_means(rows: Tensor, n_centers: int, iterations: int = ITERATIONS) -> Tensor:
    """Centers by Lloyd's algorithm, (at most n_centers, d), from different rows of (n, d).

    A center that loses all of its rows stays where it is.
    """
    distinct = torch.unique(rows, dim=0)
    centers = distinct[torch.randperm(len(distinct))[:n_centers]]
    for _ in range(iterations):
        own = nearest(rows, centers)
        total = torch.zeros_like(centers).index_add_(0, own, rows)
        count = torch.bincount(own, minlength=len(centers))[:, None]
        centers = torch.where(count > 0, total / count.clamp(min=1), centers)
    return centers


def nearest(rows: Tensor, centers: Tensor) -> Tensor:
    """(n,) the nearest of (c, d) centers to each of (n, d) rows; the first one of equals."""
    blocks = rows.split(max(1, CELLS // len(centers)))
    return torch.cat([torch.cdist(block, centers).argmin(1) for block in blocks])
