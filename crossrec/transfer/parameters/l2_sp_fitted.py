"""The lambda / mu transfer with a mu of each layer's own, fitted as training goes."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from crossrec.errors import UserError
from crossrec.transfer.anchor import Anchor
from crossrec.transfer.parameters.finetune import Finetune


def fitted_mu(weight: Tensor, source: Tensor) -> Tensor:
    """The mu that makes ||W - mu * W_s||^2 least: <W, W_s> / ||W_s||^2, a scalar.

    Where W_s = 0 every mu is as good, and 0 is returned.
    """
    norm = source.square().sum()
    return torch.where(norm > 0, (weight * source).sum() / norm, torch.zeros_like(norm))


class L2SPFitted(Finetune):
    """min over W and mu of the target's loss + lambda * sum over layers of ||W_l - mu_l W_s,l||^2.

    A layer is one named parameter (of a table, the rows that exist in both). mu_l is refitted in
    closed form at each step, then W takes its step with it; as mu_l is the least of a quadratic,
    this is the proximal operator of the joint penalty itself. What is left of the penalty is
    lambda * the square of the part of W_l that is orthogonal to W_s,l: the source gives the
    direction of a layer, the target its length. lambda = 0 is fine-tuning; lambda -> infinity
    leaves each layer one free number. Held at mu = 1 it is `l2_sp`.

    Args:
        lambda_: strength, >= 0 (`transfer.lambda`).
        solver: "proximal" applies the penalty after each optimizer step, stable for any lambda;
            "gradient" adds it to the loss.

    Raises:
        UserError: lambda_ below 0 or not finite, or an unknown solver.
    """

    def __init__(
        self, lambda_: float, solver: Literal["proximal", "gradient"] = "proximal"
    ) -> None:
        if not 0 <= lambda_ < float("inf"):
            raise UserError(f"transfer.lambda must be >= 0, got {lambda_}")
        if solver not in ("proximal", "gradient"):
            raise UserError(f"transfer.solver must be proximal or gradient, got {solver}")
        self.lambda_, self.solver = lambda_, solver

    def penalty(self, model: nn.Module, anchor: Anchor) -> Tensor | None:
        """lambda * sum of ||W_l - mu_l W_s,l||^2, where the gradient solver is used."""
        if self.solver == "proximal" or self.lambda_ == 0:
            return None
        total = torch.zeros((), device=next(model.parameters()).device)
        for _, parameter, value, rows in anchor.pairs(model):
            weight, source = (parameter, value) if rows is None else (parameter[rows], value[rows])
            # At its fitted value the penalty does not depend on mu: no gradient goes through it.
            mu = fitted_mu(weight.detach(), source)
            total = total + (weight - mu * source).square().sum()
        return self.lambda_ * total

    @torch.no_grad()
    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """Refit each mu_l, then X_l = mu_l W_s,l + (W_l - mu_l W_s,l) / (1 + 2 * rate * lambda)."""
        step = learning_rate * self.lambda_
        if self.solver == "gradient" or step == 0:
            return
        keep = 1 / (1 + 2 * step)
        for _, parameter, value, rows in anchor.pairs(model):
            weight, source = (parameter, value) if rows is None else (parameter[rows], value[rows])
            target = fitted_mu(weight, source) * source
            near = target + (weight - target) * keep
            if rows is None:
                parameter.copy_(near)
            else:
                parameter[rows] = near

    @torch.no_grad()
    def finish(self, model: nn.Module, anchor: Anchor) -> dict[str, Any]:
        """{"mu": mu_l of the weights that were kept, by parameter name}."""
        mus = {}
        for name, parameter, value, rows in anchor.pairs(model):
            weight, source = (parameter, value) if rows is None else (parameter[rows], value[rows])
            mus[name] = float(fitted_mu(weight, source))
        return {"mu": mus}
