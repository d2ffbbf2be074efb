"""Embarrassingly shallow autoencoder (Steck, WWW 2019): a linear model with a closed form."""

from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Tensor

BLOCK_ITEMS = 1024  # items whose products with all users are held at once
BAND = 256  # columns of B that users are multiplied with at a time: they stay in a cache


class Gram:
    """What every l2 shares: the training matrix without empty rows and columns, and its products.

    Attributes:
        items: codes of the items that have training interactions.
        x: (users, items) of those that have any, float32.
        by_users: whether the Gram matrix is that of the users, X X', for they are fewer; else X'X.
        products: that matrix, the smaller of the two, dense float64.
    """

    def __init__(self, interactions: csr_array) -> None:
        users, self.items = (np.unique(codes) for codes in interactions.nonzero())
        self.x = csr_array(interactions, dtype=np.float32)[users][:, self.items]
        self.by_users = len(users) < len(self.items)
        products = self.x @ self.x.T if self.by_users else self.x.T @ self.x
        self.products = products.toarray().astype(np.float64)

    @staticmethod
    def side(interactions: csr_array) -> int:
        """Rows of the Gram matrix: memory grows with its square, time with its cube."""
        return min(len(np.unique(codes)) for codes in interactions.nonzero())


class EASE:
    """score(u, .) = x_u B, where B minimizes |X - X B|^2 + l2 |B|^2 with zeros on its diagonal.

    Equations 4 to 8 of the paper: B = I - P diag(1 / diag P) with P = (X'X + l2 I)^-1. Where users
    are fewer than items the same P comes from the users' side (Woodbury's identity),
    P = (I - X' K X) / l2 with K = (X X' + l2 I)^-1. Items without training interactions score 0.

    Args:
        l2: ridge penalty, above 0.

    Raises:
        ValueError: l2 is not above 0.
    """

    def __init__(self, l2: float = 300.0) -> None:
        if not l2 > 0:
            raise ValueError(f"l2 must be > 0, got {l2}")
        self.l2 = l2

    def fit(self, interactions: csr_array) -> Self:
        """Solve for B on the (users, items) training matrix of zeros and ones."""
        return self.solve(Gram(interactions))

    def solve(self, gram: Gram) -> Self:
        """Solve for B where the products of the training matrix are at hand."""
        self.gram = gram
        ridge = torch.from_numpy(gram.products.copy())
        ridge.diagonal().add_(self.l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(ridge)).numpy()
        # The solution needs 64 bits, where l2 is small beside the counts; its use does not.
        if gram.by_users:
            self.own = _own_through_users(gram.x, inverse)
            self.weights = inverse.astype(np.float32, order="C")  # K, as scipy would lay it
        else:
            inverse /= -inverse.diagonal()
            np.fill_diagonal(inverse, 0.0)
            self.bands = _bands(inverse)  # B
        return self

    def score(self, histories: csr_array) -> Tensor:
        """(B, items) float32 for B users given by their (B, items) rows."""
        x, items = self.gram.x, self.gram.items
        had = csr_array(histories, dtype=np.float32)[:, items]
        scores = torch.zeros(histories.shape)
        if self.gram.by_users:
            through = (x.T @ ((had @ x.T) @ self.weights).T).T  # had X' K X
            # With K, B is (X' K X without its diagonal) diag(1 / (1 - diagonal)).
            known = (through - had.multiply(self.own).toarray()) / (1 - self.own)
            scores[:, items] = torch.from_numpy(known.astype(np.float32))
        else:
            for start, band in zip(range(0, len(items), BAND), self.bands, strict=True):
                scores[:, torch.from_numpy(items[start : start + BAND])] = _product(had, band)
        return scores


def _bands(matrix: np.ndarray) -> list[Tensor]:
    """The columns of a matrix, BAND at a time, float32."""
    columns = range(0, matrix.shape[1], BAND)
    parts = (matrix[:, start : start + BAND] for start in columns)
    return [torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32)) for part in parts]


def _product(rows: csr_array, band: Tensor) -> Tensor:
    """(B, columns) sparse rows times dense columns, twice as fast as by scipy and bit for bit."""
    offsets, codes, values = (torch.from_numpy(x) for x in (rows.indptr, rows.indices, rows.data))
    return F.embedding_bag(
        codes, band, offsets, mode="sum", per_sample_weights=values, include_last_offset=True
    )


def _own_through_users(x: csr_array, inverse: np.ndarray) -> np.ndarray:
    """(items,) diagonal of X' K X, from (users, items) X and (users, users) K."""
    parts = []
    for start in range(0, x.shape[1], BLOCK_ITEMS):
        columns = x[:, start : start + BLOCK_ITEMS]
        parts.append(columns.multiply(inverse @ columns).sum(axis=0))
    return np.concatenate(parts)
