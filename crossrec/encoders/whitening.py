"""PCA whitening of content vectors: directions of equal weight, so that cosine is not anisotropic.

Sentence vectors crowd into a narrow cone; a linear map to zero mean and unit covariance spreads
them (Su et al., "Whitening Sentence Representations", 2021).
"""

import numpy as np


def whiten(
    vectors: np.ndarray,
    dim: int | None = None,
    mask: np.ndarray | None = None,
    fitted: np.ndarray | None = None,
    eps: float = 1e-5,
) -> np.ndarray:
    """Project onto the leading principal directions and divide by their standard deviations.

    z = (x - mean) U_dim / sqrt(variance_dim + eps * variance_1), fitted on the rows in `fitted`.
    The relative `eps` keeps directions without variance (fewer texts than dimensions) at zero
    instead of blowing up their noise.

    Args:
        vectors: content vectors, (items, d).
        dim: how many directions to keep, the strongest first; None keeps all d.
        mask: (items,) True where the item has content; other rows do not count and come out zero.
        fitted: (items,) True where mean and directions may be learned from; None fits on all of
            `mask`. An item that only held-out events have must not move them.
        eps: regularization, as a share of the largest variance.

    Returns:
        (items, dim) float32. Each direction's sign is fixed by making its largest loading positive.

    Raises:
        ValueError: if `dim` is not between 1 and d.
    """
    n_dims = vectors.shape[1]
    dim = n_dims if dim is None else dim
    if not 1 <= dim <= n_dims:
        raise ValueError(f"whitening to {dim} dimensions: expected 1 to {n_dims}")
    mask = np.ones(len(vectors), dtype=bool) if mask is None else mask
    whitened = np.zeros((len(vectors), dim), dtype=np.float32)
    fitted = mask if fitted is None else fitted & mask
    if not fitted.any():
        return whitened
    rows = vectors[fitted].astype(np.float64)
    mean = rows.mean(axis=0)
    centered = rows - mean
    variances, directions = np.linalg.eigh(centered.T @ centered / len(rows))  # ascending
    variances = np.clip(variances[::-1][:dim], 0.0, None)
    directions = directions[:, ::-1][:, :dim]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(dim)])
    scale = np.sqrt(variances + eps * variances[0])
    scale[scale == 0.0] = 1.0  # all texts alike: every row is zero anyway
    whitened[mask] = (vectors[mask] - mean) @ directions / scale
    return whitened
