"""The affine map that content vectors go through: whitening, PCA, or none.

Sentence vectors crowd into a narrow cone; a linear map to zero mean and unit covariance spreads
them (Su et al., "Whitening Sentence Representations", 2021).
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from crossrec.errors import UserError

WHITENINGS = ("whiten", "pca", "none")


@dataclass(frozen=True)
class VectorMap:
    """z = (x - mean) @ matrix.

    Attributes:
        mean: (d,) float64.
        matrix: (d, dim) float64.
    """

    mean: np.ndarray
    matrix: np.ndarray

    def __call__(self, vectors: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(items, dim) float32 of (items, d); rows where `mask` is False have no content: zeros."""
        mapped = np.zeros((len(vectors), self.matrix.shape[1]), dtype=np.float32)
        mapped[mask] = (vectors[mask] - self.mean) @ self.matrix
        return mapped

    def digest(self) -> str:
        """By which two maps can be told apart."""
        return hashlib.sha256(self.mean.tobytes() + self.matrix.tobytes()).hexdigest()

    def of_mean_length_one(self, rows: np.ndarray) -> "VectorMap":
        """The same map times the number that gives (n, d) rows a mean length of 1."""
        lengths = np.linalg.norm((rows - self.mean) @ self.matrix, axis=1)
        return VectorMap(self.mean, self.matrix / (lengths.mean() or 1.0))


def fit_map(
    rows: np.ndarray, kind: str = "whiten", dim: int | None = None, eps: float = 1e-5
) -> VectorMap:
    """Learn the map of content vectors.

    With U the principal directions, the strongest first, and v the variances along them:

    - "whiten": z = (x - mean) U_dim / sqrt(v_dim + eps * v_1), directions of equal weight. The
      relative `eps` keeps directions without variance (fewer texts than dimensions) at zero
      instead of blowing up their noise.
    - "pca": z = (x - mean) U_dim, turned and cut but not scaled; distances stay where dim = d.
    - "none": z = x; `dim` is not read.

    Args:
        rows: (n, d) vectors that may be learned from, n >= 1: of items in train, for an item that
            only held-out events have must not move mean or directions.
        kind: one of WHITENINGS.
        dim: how many directions to keep; None keeps all d.
        eps: regularization, as a share of the largest variance.

    Returns:
        The map. Each direction's sign is fixed by making its largest loading positive.

    Raises:
        UserError: `kind` is unknown, or `dim` is not between 1 and d.
    """
    n_dims = rows.shape[1]
    if kind not in WHITENINGS:
        raise UserError(f"encoder.whitening={kind}: expected one of {', '.join(WHITENINGS)}")
    if kind == "none":
        return VectorMap(np.zeros(n_dims), np.eye(n_dims))
    dim = n_dims if dim is None else dim
    if not 1 <= dim <= n_dims:
        raise UserError(f"encoder.whiten_dim={dim}: expected 1 to {n_dims}, or null for all")
    rows = rows.astype(np.float64)
    mean = rows.mean(axis=0)
    centered = rows - mean
    variances, directions = np.linalg.eigh(centered.T @ centered / len(rows))  # ascending
    variances = np.clip(variances[::-1][:dim], 0.0, None)
    directions = directions[:, ::-1][:, :dim]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(dim)])
    if kind == "pca":
        return VectorMap(mean, directions)
    scale = np.sqrt(variances + eps * variances[0])
    scale[scale == 0.0] = 1.0  # all texts alike: every row is zero anyway
    return VectorMap(mean, directions / scale)
