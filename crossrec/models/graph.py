"""The bipartite graph of users and items, and what flows along its edges."""

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def normalized_adjacency(users: Tensor, items: Tensor, n_users: int, n_items: int) -> Tensor:
    """D^-1/2 A D^-1/2 of the graph whose nodes are the users, then the items.

    An edge between user u and item i weighs 1 / sqrt(degree(u) degree(i)); a node without edges has
    a row of zeros (He et al., SIGIR 2020, equations 3 and 8).

    Args:
        users, items: (E,) int64 codes, an edge a position; an edge that is named twice counts once.

    Returns:
        (n_users + n_items, n_users + n_items) float32, symmetric, in sparse CSR layout. A module
        that keeps one between steps keeps a `Graph`: DDP cannot broadcast a sparse buffer.
    """
    keys = torch.unique(users * n_items + items)
    user, item = keys // n_items, keys % n_items + n_users
    n_nodes = n_users + n_items
    row, column = torch.cat([user, item]), torch.cat([item, user])
    # Users come before items, and keys are sorted: only the items' half is out of order.
    order = torch.argsort(row, stable=True)
    row, column = row[order], column[order]
    degree = torch.bincount(row, minlength=n_nodes)
    weight = (degree[row] * degree[column]).to(torch.float32).rsqrt()
    start = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
    return _csr(start, column, weight)


class Graph(nn.Module):
    """The normalized adjacency as a part of a module: it moves, copies and broadcasts with it.

    The tensors are inputs and no part of the weights; `adjacency` puts them together at no cost.

    Args:
        users, items, n_users, n_items: as of `normalized_adjacency`.
    """

    start: Tensor
    column: Tensor
    weight: Tensor

    def __init__(self, users: Tensor, items: Tensor, n_users: int, n_items: int) -> None:
        super().__init__()
        adjacency = normalized_adjacency(users, items, n_users, n_items)
        self.register_buffer("start", adjacency.crow_indices(), persistent=False)
        self.register_buffer("column", adjacency.col_indices(), persistent=False)
        self.register_buffer("weight", adjacency.values(), persistent=False)

    def adjacency(self) -> Tensor:
        """(N, N), as `normalized_adjacency` gives it."""
        return _csr(self.start, self.column, self.weight.float())


def spread(adjacency: Tensor, embedded: Tensor) -> Tensor:
    """One step along the edges: adjacency @ embedded.

    Args:
        adjacency: (N, N), sparse and symmetric, which its gradient relies on.
        embedded: (N, d).

    Returns:
        (N, d) of the type of `embedded`; sums are made in 32 bits whatever the precision, for
        sparse products have no 16-bit kernels everywhere.
    """
    result: Tensor = _Spread.apply(adjacency, embedded)
    return result


def propagate(adjacency: Tensor, embedded: Tensor, n_layers: int) -> Tensor:
    """Mean of the embeddings after 0, 1, ..., n_layers steps, (N, d).

    He et al., SIGIR 2020, equations 4 and 8, with alpha_k = 1 / (n_layers + 1).
    """
    total = embedded
    for _ in range(n_layers):
        embedded = spread(adjacency, embedded)
        total = total + embedded
    return total / (n_layers + 1)


def _csr(start: Tensor, column: Tensor, weight: Tensor) -> Tensor:
    n_nodes = len(start) - 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
        return torch.sparse_csr_tensor(
            start, column, weight, (n_nodes, n_nodes), check_invariants=False
        )


class _Spread(torch.autograd.Function):
    """The product with a symmetric matrix: the gradient flows through the same matrix.

    Autograd by itself transposes the sparse matrix in every step, which costs ten times the
    product.
    """

    @staticmethod
    def forward(ctx: Any, adjacency: Tensor, embedded: Tensor) -> Tensor:
        ctx.adjacency = adjacency
        return _product(adjacency, embedded)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, _product(ctx.adjacency, gradient)


def _product(adjacency: Tensor, dense: Tensor) -> Tensor:
    with torch.autocast(dense.device.type, enabled=False):
        wide = dense.float()
        if wide.is_cuda:
            return (adjacency @ wide).to(dense.dtype)
        # The weighted sum of a bag of rows is the same product, in a third of the time.
        start, column, weight = (
            adjacency.crow_indices(),
            adjacency.col_indices(),
            adjacency.values(),
        )
        return F.embedding_bag(
            column, wide, start, mode="sum", per_sample_weights=weight, include_last_offset=True
        ).to(dense.dtype)
