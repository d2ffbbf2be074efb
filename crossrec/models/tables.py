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
    found: Tensor = _Rows.apply(_up_to_date(table, codes), codes)
    return found


def inner_products(user: Tensor, table: Tensor, codes: Tensor) -> Tensor:
    """(M, S) scores user_m . table[codes[m, s]].

    The rows are read once and used for both gradients, which touch no more than they must.

    Args:
        user: (M, k).
        table: (n, k).
        codes: (M, S) int64, each 0 .. n - 1.
    """
    scores: Tensor = _InnerProducts.apply(user, _up_to_date(table, codes), codes)
    return scores


def leads(user: Tensor, table: Tensor, bias: Tensor | None, codes: Tensor) -> Tensor:
    """(M,) user_m . (table[i_m] - table[j_m]) + bias[i_m] - bias[j_m], with (i_m, j_m) = codes[m].

    What pairwise ranking asks (Rendle et al., UAI 2009, x_uij), with a gradient of its own: each
    row is read once, and nothing is made for a score whose other half takes it away again.

    Args:
        user: (M, k).
        table: (n, k).
        bias: (n, 1), or None.
        codes: (M, 2) int64, each 0 .. n - 1.
    """
    known = None if bias is None else _up_to_date(bias, codes)
    lead: Tensor = _Leads.apply(user, _up_to_date(table, codes), known, codes)
    return lead


def whole(table: Tensor) -> Tensor:
    """A table of which all rows are read."""
    return _up_to_date(table, None)


def _up_to_date(table: Tensor, codes: Tensor | None) -> Tensor:
    """The table, once the optimizer that trains it row by row, if one does, has seen to these."""
    if (state := getattr(table, "row_wise", None)) is not None:
        state.read(codes)
    return table


def spread_rows(gradient: Tensor, codes: Tensor, table: Tensor) -> Tensor:
    """The gradient of a (n, d) table: rows of (*codes.shape, d) `gradient` where they belong.

    Sparse, and as large as the batch, for a table that is trained row by row; else dense.
    """
    flat = gradient.reshape(-1, gradient.shape[-1])
    n_rows = len(table)
    if hasattr(table, "row_wise"):
        return torch.sparse_coo_tensor(codes.view(1, -1), flat, table.shape, check_invariants=False)
    if flat.is_cuda:  # where additions in any order would not be the same twice
        out: Tensor = torch.ops.aten.embedding_dense_backward(flat, codes.flatten(), n_rows, -1, 0)
        return out
    return flat.new_zeros(n_rows, flat.shape[1]).index_add_(0, codes.flatten(), flat)


def _gather(table: Tensor, codes: Tensor) -> Tensor:
    """(*codes.shape, d) rows of a (n, d) table that is up to date, without a gradient."""
    return table.index_select(0, codes.flatten()).view(*codes.shape, table.shape[1])


class _Rows(torch.autograd.Function):
    """Differentiable twice, for methods that learn through a step of training, and for each user
    apart, for DP-SGD."""

    generate_vmap_rule = True

    @staticmethod
    def forward(table: Tensor, codes: Tensor) -> Tensor:
        return _gather(table, codes)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        table, codes = inputs
        ctx.save_for_backward(codes)
        ctx.table = table

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (codes,) = ctx.saved_tensors
        return spread_rows(gradients[0], codes, ctx.table), None


class _InnerProducts(torch.autograd.Function):
    """d/d user_m = sum_s g_ms table[codes_ms]; d/d table[codes_ms] += g_ms user_m."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, table: Tensor, codes: Tensor) -> Tensor:
        found = _gather(table, codes)
        ctx.save_for_backward(user, codes)
        ctx.table, ctx.found = table, found
        return (user.unsqueeze(1) * found).sum(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        user, codes = ctx.saved_tensors
        table = ctx.table
        weight = gradients[0].unsqueeze(2)  # (M, S, 1)
        # Only in a graph of gradients must the rows be read anew, so that it leads to the table.
        found = rows(table, codes) if torch.is_grad_enabled() else ctx.found
        of_table = (weight * user.unsqueeze(1)).to(table.dtype)
        of_user = (weight * found).sum(1).to(user.dtype)
        return of_user, spread_rows(of_table, codes, table), None


class _Leads(torch.autograd.Function):
    """With d_m = table[i_m] - table[j_m]: d/d user_m = g_m d_m, and the rows of i_m and j_m get
    g_m user_m and its opposite, those of the bias g_m and -g_m."""

    @staticmethod
    def forward(
        ctx: Any, user: Tensor, table: Tensor, bias: Tensor | None, codes: Tensor
    ) -> Tensor:
        ctx.save_for_backward(user, codes)
        ctx.table, ctx.bias = table, bias
        ctx.difference = _difference(_gather(table, codes))
        lead = (user * ctx.difference).sum(1)
        return lead if bias is None else lead + _difference(_gather(bias, codes)).squeeze(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        user, codes = ctx.saved_tensors
        weight = gradients[0].unsqueeze(1)  # (M, 1)
        # Only in a graph of gradients must the rows be read anew, so that it leads to the table.
        again = torch.is_grad_enabled()
        difference = _difference(rows(ctx.table, codes)) if again else ctx.difference
        of_table = _opposites((weight * user).to(ctx.table.dtype), codes, ctx.table)
        of_bias = None
        if ctx.bias is not None:
            of_bias = _opposites(weight.to(ctx.bias.dtype), codes, ctx.bias)
        return (weight * difference).to(user.dtype), of_table, of_bias, None


def _difference(pairs: Tensor) -> Tensor:
    """(M, 2, k) -> (M, k): the first of each pair less the second."""
    return pairs[:, 0] - pairs[:, 1]


def _opposites(gradient: Tensor, codes: Tensor, table: Tensor) -> Tensor:
    """The gradient of a table whose rows codes[:, 0] get (M, k) `gradient` and codes[:, 1] less."""
    return spread_rows(torch.stack([gradient, -gradient], dim=1), codes, table)
