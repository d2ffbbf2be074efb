"""The lambda / mu transfer: lambda * ||W - mu * W_s||^2 beside the target's loss."""

from typing import Literal

import torch
from torch import Tensor, nn

from crossrec.errors import UserError
from crossrec.transfer.anchor import Anchor
from crossrec.transfer.parameters.finetune import Finetune


def l2_distance(model: nn.Module, anchor: Anchor, mu: float, constant: bool = False) -> Tensor:
    """||W - mu * W_s||^2 over the weights that exist in both models.

    Args:
        model: the target model.
        anchor: the source weights laid over it.
        mu: the pull toward the source; 0 is plain ridge.
        constant: the anchor is the number mu itself, not mu * W_s.

    Returns:
        Scalar, differentiable in the model's weights.
    """
    total = torch.zeros((), device=next(model.parameters()).device)
    for _, parameter, value, rows in anchor.pairs(model):
        weight, value = (parameter, value) if rows is None else (parameter[rows], value[rows])
        total = total + (weight - (mu if constant else mu * value)).square().sum()
    return total


@torch.no_grad()
def proximal_step(
    model: nn.Module, anchor: Anchor, mu: float, step: float, constant: bool = False
) -> None:
    """argmin over X of ||X - W||^2 / 2 + step * ||X - mu * W_s||^2, in place.

    The minimum is X = A + (W - A) / (1 + 2 * step) with A = mu * W_s: stable for every step >= 0,
    where a gradient step of the same size would overshoot (Parikh and Boyd, Proximal Algorithms,
    2014, section 2.1).
    """
    if step == 0:
        return
    gone = 2 * step / (1 + 2 * step)  # the part of the way to A
    for _, parameter, value, rows in anchor.pairs(model):
        if rows is None:
            parameter.lerp_(_pulled_to(value, mu, constant), gone)
        else:
            here = parameter.index_select(0, rows)
            there = _pulled_to(value.index_select(0, rows), mu, constant)
            parameter.index_copy_(0, rows, here.lerp_(there, gone))


def _pulled_to(value: Tensor, mu: float, constant: bool) -> Tensor:
    """A, for source weights of this value."""
    if constant:
        return torch.full_like(value, mu)
    return value if mu == 1 else mu * value


class L2SP(Finetune):
    """Start at W_s and stay near mu * W_s with strength lambda.

    mu = 1 is L2-SP (Li, Grandvalet and Davoine, ICML 2018, equation 2 with alpha / 2 = lambda and
    no separate penalty on new weights), mu = 0 is ridge, between lies a shrunk source; lambda = 0
    is fine-tuning.

    Args:
        lambda_: strength, >= 0 (`transfer.lambda`).
        mu: pull toward the source weights (`transfer.mu`).
        anchor: "source" for mu * W_s, "constant" for the number mu itself.
        per_source_interaction: multiply lambda by n_s / n_t, so that lambda is the weight of one
            source interaction.
        solver: "proximal" applies the penalty after each optimizer step, "gradient" adds it to
            the loss.

    Raises:
        UserError: lambda_ below 0 or not finite, or an unknown anchor or solver.
    """

    def __init__(
        self,
        lambda_: float,
        mu: float = 1.0,
        anchor: Literal["source", "constant"] = "source",
        per_source_interaction: bool = False,
        solver: Literal["proximal", "gradient"] = "proximal",
    ) -> None:
        if not 0 <= lambda_ < float("inf"):
            raise UserError(f"transfer.lambda must be >= 0, got {lambda_}")
        if anchor not in ("source", "constant"):
            raise UserError(f"transfer.anchor must be source or constant, got {anchor}")
        if solver not in ("proximal", "gradient"):
            raise UserError(f"transfer.solver must be proximal or gradient, got {solver}")
        self.lambda_, self.mu, self.solver = lambda_, mu, solver
        self.constant = anchor == "constant"
        self.per_source_interaction = per_source_interaction

    def strength(self, anchor: Anchor) -> float:
        """lambda, times n_s / n_t where asked for."""
        return self.lambda_ * (anchor.source_per_target if self.per_source_interaction else 1.0)

    def penalty(self, model: nn.Module, anchor: Anchor) -> Tensor | None:
        """lambda * ||W - mu * W_s||^2, where the gradient solver is used."""
        if self.solver == "proximal" or self.lambda_ == 0:
            return None
        return self.strength(anchor) * l2_distance(model, anchor, self.mu, self.constant)

    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """The proximal operator of learning_rate * lambda * ||W - mu * W_s||^2."""
        if self.solver == "proximal":
            step = learning_rate * self.strength(anchor)
            proximal_step(model, anchor, self.mu, step, self.constant)
