"""Elastic weight consolidation: stay near the source where the source's loss is steep."""

from typing import Literal

import torch
from torch import Tensor, nn

from crossrec.errors import UserError
from crossrec.transfer.anchor import Anchor
from crossrec.transfer.parameters.finetune import Finetune


class EWC(Finetune):
    """Start at W_s and add lambda * sum_i F_i * (W_i - W_s,i)^2 to the target's loss.

    Kirkpatrick et al., PNAS 2017, equation 3, whose lambda / 2 is lambda here, so that F = 1
    everywhere is L2-SP with mu = 1. F is the diagonal of the source's empirical Fisher
    information at W_s: the mean of the squared gradients of single training cases (not of batches,
    whose mean gradient squared shrinks as the batch grows). It is divided by its mean over the
    weights that exist in both models, so that lambda means the same in every model and against
    `l2_sp`. A weight that the source's loss does not feel (F_i = 0) is free.

    Args:
        lambda_: strength, >= 0 (`transfer.lambda`); 0 is fine-tuning.
        source_cases: training cases of the source that F is estimated from (all, if it has fewer).
        solver: "proximal" applies the penalty after each optimizer step, stable for any lambda;
            "gradient" adds it to the loss.

    Raises:
        UserError: lambda_ below 0 or not finite, source_cases below 1, or an unknown solver.
    """

    def __init__(
        self,
        lambda_: float,
        source_cases: int = 2048,
        solver: Literal["proximal", "gradient"] = "proximal",
    ) -> None:
        if not 0 <= lambda_ < float("inf"):
            raise UserError(f"transfer.lambda must be >= 0, got {lambda_}")
        if source_cases < 1:
            raise UserError(f"transfer.source_cases must be >= 1, got {source_cases}")
        if solver not in ("proximal", "gradient"):
            raise UserError(f"transfer.solver must be proximal or gradient, got {solver}")
        self.lambda_, self.source_cases, self.solver = lambda_, source_cases, solver

    def start(self, model: nn.Module, anchor: Anchor) -> None:
        """Copy the source weights.

        Raises:
            ValueError: the anchor holds no importance.
        """
        if anchor.importance.keys() != anchor.values.keys():
            raise ValueError("EWC needs an anchor with the importance of each source weight")
        super().start(model, anchor)

    def penalty(self, model: nn.Module, anchor: Anchor) -> Tensor | None:
        """lambda * sum_i F_i * (W_i - W_s,i)^2, where the gradient solver is used."""
        if self.solver == "proximal" or self.lambda_ == 0:
            return None
        total = torch.zeros((), device=next(model.parameters()).device)
        for name, parameter, value, _ in anchor.pairs(model):
            # Importance is zero in the rows that do not exist in the source.
            weighed = anchor.importance[name] * (parameter - value).square()
            total = total + weighed.sum()
        return self.lambda_ * total

    @torch.no_grad()
    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """The proximal operator of learning_rate * the penalty, one weight at a time.

        X_i = W_s,i + (W_i - W_s,i) / (1 + 2 * learning_rate * lambda * F_i).
        """
        step = learning_rate * self.lambda_
        if self.solver == "gradient" or step == 0:
            return
        for name, parameter, value, rows in anchor.pairs(model):
            pull = 2 * step * anchor.importance[name]
            near = parameter.lerp(value, pull / (1 + pull))
            if rows is None:
                parameter.copy_(near)
            else:
                parameter[rows] = near[rows]
