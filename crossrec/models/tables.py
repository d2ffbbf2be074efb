"""Rows of embedding tables, read and trained at the cost of the rows and not of autograd."""

from typing import Any

import torch
from torch import Tensor


def rows(table: Tensor, codes: Tensor) -> Tensor:
    """Rows of a (n, d) table at codes of any shape, (*codes.shape, d).

    As `torch.nn.functional.embedding`, whose gradient takes four times as long on a processor.

    Args:
        table: of 32-bit or 16-bit floats.
        codes: int64, each 0 .. n - 1.
    """
    found: Tensor = _Rows.apply(table, codes)
    return found


def inner_products(user: Tensor, table: Tensor, codes: Tensor) -> Tensor:
    """(M, S) scores user_m . table[codes[m, s]].

    The rows are read once and used for both gradients, which touch no more than they must.

    Args:
        user: (M, k).
        table: (n, k).
        codes: (M, S) int64, each 0 .. n - 1.
    """
    scores: Tensor = _InnerProducts.apply(user, table, codes)
    return scores


def spread_rows(gradient: Tensor, codes: Tensor, n_rows: int) -> Tensor:
    """(n_rows, d) zeros, with the rows of (*codes.shape, d) `gradient` added where they belong."""
    flat = gradient.reshape(codes.numel(), -1)
    if flat.is_cuda:  # where additions in any order would not be the same twice
        out: Tensor = torch.ops.aten.embedding_dense_backward(flat, codes.flatten(), n_rows, -1, 0)
        return out
    return flat.new_zeros(n_rows, flat.shape[1]).index_add(0, codes.flatten(), flat)


class _Rows(torch.autograd.Function):
    """Differentiable twice, for methods that learn through a step of training, and for each user
    apart, for DP-SGD."""

    generate_vmap_rule = True

    @staticmethod
    def forward(table: Tensor, codes: Tensor) -> Tensor:
        return table.index_select(0, codes.flatten()).view(*codes.shape, table.shape[1])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        table, codes = inputs
        ctx.save_for_backward(codes)
        ctx.n_rows = len(table)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (codes,) = ctx.saved_tensors
        return spread_rows(gradients[0], codes, ctx.n_rows), None


class _InnerProducts(torch.autograd.Function):
    """d/d user_m = sum_s g_ms table[codes_ms]; d/d table[codes_ms] += g_ms user_m."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, table: Tensor, codes: Tensor) -> Tensor:
        found = table.index_select(0, codes.flatten()).view(*codes.shape, table.shape[1])
        ctx.save_for_backward(user, table, codes)
        ctx.found = found
        return (user.unsqueeze(1) * found).sum(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        user, table, codes = ctx.saved_tensors
        weight = gradients[0].unsqueeze(2)  # (M, S, 1)
        # Only in a graph of gradients must the rows be read anew, so that it leads to the table.
        found = rows(table, codes) if torch.is_grad_enabled() else ctx.found
        of_table = (weight * user.unsqueeze(1)).to(table.dtype)
        of_user = (weight * found).sum(1).to(user.dtype)
        return of_user, spread_rows(of_table, codes, len(table)), None
