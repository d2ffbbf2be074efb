"""Objectives as pure functions of vectors and scores; each returns one scalar, the mean.

Shapes: M cases, n items, S sampled negatives, k dimensions.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def softmax(user: Tensor, item: Tensor, positive: Tensor, max_scores: int = 2**22) -> Tensor:
    """Full cross-entropy over the catalog: mean of log(sum_j exp(u.v_j)) - u.v_positive.

    Exact at any size: score rows are made, used and dropped in blocks, also for the gradient, so
    that memory grows with `max_scores` and not with M * n.

    Args:
        user: (M, k) user vectors.
        item: (n, k) item vectors.
        positive: (M,) int64 index of each case's item.
        max_scores: scores held at once (float32: 2**22 are 16 MiB).
    """
    if len(positive) == 0:
        raise ValueError("softmax needs at least one case, got none")
    differentiate = torch.is_grad_enabled() and (user.requires_grad or item.requires_grad)
    rows = max(1, max_scores // len(item))
    return _BlockedSoftmax.apply(user, item, positive, rows, differentiate)


class _BlockedSoftmax(torch.autograd.Function):
    """Cross-entropy that takes its gradient in the forward pass, block by block.

    With p = softmax(u V^T) and y the one-hot positive: dL/du = (p - y) V / M and
    dL/dV = (p - y)^T u / M. Backward only scales them, so no score outlives its block.
    """

    @staticmethod
    def forward(
        ctx: Any,
        user: Tensor,
        item: Tensor,
        positive: Tensor,
        rows: int,
        differentiate: bool,
    ) -> Tensor:
        n_cases = len(positive)
        # Under bf16 autocast the products are bf16, but their sums over the catalog must not be.
        dtype = torch.promote_types(user.dtype, torch.float32)
        total = torch.zeros((), dtype=dtype, device=user.device)
        user_gradient = torch.empty_like(user) if differentiate else None
        item_gradient = torch.zeros_like(item) if differentiate else None
        for start in range(0, n_cases, rows):
            block = slice(start, start + rows)
            index = positive[block].unsqueeze(1)
            scores = (user[block] @ item.T).to(total.dtype)  # (rows, n)
            scores -= scores.amax(dim=1, keepdim=True)
            chosen = scores.gather(1, index)
            weight = scores.exp_()
            mass = weight.sum(dim=1, keepdim=True)
            total += (mass.log() - chosen).sum()
            if user_gradient is not None and item_gradient is not None:
                residual = weight.div_(mass)
                residual.scatter_add_(1, index, -torch.ones_like(chosen))
                residual /= n_cases
                user_gradient[block] = (residual @ item).to(user.dtype)
                item_gradient += (residual.T @ user[block]).to(item.dtype)
        if user_gradient is not None and item_gradient is not None:
            ctx.save_for_backward(user_gradient, item_gradient)
        return total / n_cases

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        user_gradient, item_gradient = ctx.saved_tensors
        return user_gradient * gradient, item_gradient * gradient, None, None, None


def sampled_softmax(
    positive_scores: Tensor, negative_scores: Tensor, log_q: Tensor, left_out: Tensor
) -> Tensor:
    """Cross-entropy over the positive and S negatives, corrected for how they were drawn.

    The catalog's mass is estimated as exp(s_positive) + sum_j exp(s_j - log(S q_j)) over the
    negatives j; the correction (Yi et al., RecSys 2019; Bengio and Senecal, 2008) keeps popular
    items from being punished for being drawn often. A negative that is the case's own positive
    is left out. The positive, which is not drawn, is not corrected: then the expectation of the
    estimated mass over the draws is the full mass, and all items drawn once with q = 1/n give
    `softmax` exactly.

    Args:
        positive_scores: (M,).
        negative_scores: (M, S) of items drawn with replacement from q, by each case for itself or
            once for all.
        log_q: (S,) or (M, S) log of the probability that one draw gives the negative.
        left_out: (M, S) bool, negatives that are the case's own positive.
    """
    own = positive_scores.unsqueeze(1)
    drawn = negative_scores - (log_q + math.log(negative_scores.shape[1]))
    drawn = drawn.masked_fill(left_out, -torch.inf)
    mass = torch.logsumexp(torch.cat([own, drawn], dim=1), dim=1)
    return (mass - positive_scores).mean()


def shared_sampled_softmax(
    user: Tensor,
    item: Tensor,
    own: Tensor,
    positive: Tensor,
    negatives: Tensor,
    log_q: Tensor,
    max_scores: int = 2**22,
) -> Tensor:
    """`sampled_softmax` of inner products with the same S negatives for all cases.

    As in `softmax`, rows of scores are made, used and dropped in blocks, also for the gradient:
    faster than to keep them for it.

    Args:
        user: (M, k) user vectors.
        item: (S, k) vectors of the negatives.
        own: (M,) scores of the positives.
        positive: (M,) int64 codes of the positives.
        negatives: (S,) int64 codes, drawn with replacement from q.
        log_q: (S,) log of the probability that one draw gives the negative.
        max_scores: scores held at once (float32: 2**22 are 16 MiB).

    Raises:
        ValueError: there is no case.
    """
    if len(positive) == 0:
        raise ValueError("sampled softmax needs at least one case, got none")
    learned = user.requires_grad or item.requires_grad or own.requires_grad
    correction = log_q + math.log(len(negatives))
    rows = max(1, max_scores // len(negatives))
    return _BlockedSampledSoftmax.apply(
        user, item, own, positive, negatives, correction, rows, torch.is_grad_enabled() and learned
    )


class _BlockedSampledSoftmax(torch.autograd.Function):
    """`sampled_softmax`, its gradient taken in the forward pass as in `_BlockedSoftmax`.

    With w the share that a negative has of a case's mass and w_own that of its positive:
    dL/du = w V / M, dL/dV = w^T u / M and dL/ds_own = (w_own - 1) / M.
    """

    @staticmethod
    def forward(
        ctx: Any,
        user: Tensor,
        item: Tensor,
        own: Tensor,
        positive: Tensor,
        negatives: Tensor,
        correction: Tensor,
        rows: int,
        differentiate: bool,
    ) -> Tensor:
        n_cases = len(positive)
        dtype = torch.promote_types(user.dtype, torch.float32)
        total = torch.zeros((), dtype=dtype, device=user.device)
        gradients = [torch.zeros_like(of) for of in (user, item, own)] if differentiate else []
        # Few positives are drawn as negatives. An accelerator would wait to learn which they are,
        # and compares all of them sooner.
        drawn = torch.isin(positive, negatives) if user.device.type == "cpu" else None
        for start in range(0, n_cases, rows):
            block = slice(start, start + rows)
            scores = (user[block] @ item.T).to(dtype)  # (rows, S)
            scores -= correction
            hit = slice(None) if drawn is None else drawn[block].nonzero().squeeze(1)
            left_out = negatives == positive[block][hit].unsqueeze(1)
            scores[hit] = scores[hit].masked_fill(left_out, -torch.inf)
            of_own = own[block].to(dtype)
            highest = torch.maximum(scores.amax(dim=1), of_own)
            weight = scores.sub_(highest.unsqueeze(1)).exp_()
            own_weight = (of_own - highest).exp()
            mass = weight.sum(dim=1) + own_weight
            total += (mass.log() + highest - of_own).sum()
            if gradients:
                weight /= (n_cases * mass).unsqueeze(1)
                gradients[0][block] = (weight @ item).to(user.dtype)
                gradients[1] += (weight.T @ user[block]).to(item.dtype)
                gradients[2][block] = ((own_weight / mass - 1) / n_cases).to(own.dtype)
        ctx.save_for_backward(*gradients)
        return total / n_cases

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        of_user, of_item, of_own = ctx.saved_tensors
        return of_user * gradient, of_item * gradient, of_own * gradient, *(None,) * 5


def bpr(lead: Tensor) -> Tensor:
    """Bayesian personalized ranking: mean of -log sigmoid(s_positive - s_negative).

    Rendle et al., UAI 2009, equation for BPR-OPT without its regularizer.

    Args:
        lead: s_positive - s_negative, of any shape.
    """
    return -F.logsigmoid(lead).mean()


def logistic(positive_scores: Tensor, negative_scores: Tensor) -> Tensor:
    """Mean over the cases of -log sigmoid(s_positive) - sum over negatives of log sigmoid(-s).

    He et al., WWW 2017, equation 7. Shapes: (M,) and (M, S).
    """
    negative = F.logsigmoid(-negative_scores).sum(dim=1)
    return -(F.logsigmoid(positive_scores) + negative).mean()


def rating(predicted: Tensor, observed: Tensor) -> Tensor:
    """Mean squared error in the unit of the rating scale, squared; both of shape (M,)."""
    if predicted.shape != observed.shape:
        raise ValueError(
            f"predicted has shape {tuple(predicted.shape)}, observed {tuple(observed.shape)}"
        )
    return F.mse_loss(predicted, observed)
