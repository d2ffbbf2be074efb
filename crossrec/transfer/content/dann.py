"""Domain-adversarial training of item embeddings (Ganin et al., JMLR 2016)."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crossrec.errors import UserError
from crossrec.transfer.anchor import Anchor
from crossrec.transfer.content.alignment import check_alpha, item_samples
from crossrec.transfer.parameters.finetune import Finetune


class DANN(Finetune, nn.Module):
    """Fine-tuning while a discriminator that tells the domains' items apart is misled.

    The discriminator learns from the item embeddings which domain an item is of; its gradient is
    reversed and weighed on the way to the embeddings (equation 18). The weight is the paper's
    alpha * (2 / (1 + exp(-10 p)) - 1), where p grows from 0 to 1 over the first `warm_up` steps
    (over all of training in section 5.2.2; how long that is, early stopping decides here). As in
    the paper it holds for the embeddings alone: the discriminator learns at full strength.

    Args:
        alpha: weight of the reversed gradient; 0 is fine-tuning.
        hidden: width of the discriminator's hidden layer.
        warm_up: steps until the weight is reached.

    Raises:
        UserError: a value is out of range.
    """

    reads_source_items = True

    def __init__(self, alpha: float = 1.0, hidden: int = 64, warm_up: int = 200) -> None:
        super().__init__()
        check_alpha(alpha)
        if hidden < 1:
            raise UserError(f"transfer.hidden must be >= 1, got {hidden}")
        if warm_up < 1:
            raise UserError(f"transfer.warm_up must be >= 1, got {warm_up}")
        self.alpha, self.hidden, self.warm_up = alpha, hidden, warm_up
        self.steps = 0

    def start(self, model: nn.Module, anchor: Anchor) -> None:
        """Copy the source weights; make the discriminator."""
        super().start(model, anchor)
        if self.alpha:
            with torch.no_grad():
                target, _ = item_samples(model)
            self.discriminator = nn.Sequential(
                nn.Linear(target.shape[1], self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1)
            ).to(target.device)

    def get_extra_state(self) -> int:
        """What a checkpoint holds besides the discriminator's weights."""
        return self.steps

    def set_extra_state(self, state: int) -> None:
        """From a checkpoint."""
        self.steps = state

    def weight(self) -> float:
        """Of the reversed gradient, at the step where training is."""
        progress = min(1.0, self.steps / self.warm_up)
        return self.alpha * (2 / (1 + math.exp(-10 * progress)) - 1)

    def penalty(self, model: nn.Module, anchor: Anchor) -> Tensor | None:
        """Cross-entropy of the discriminator, either domain half of it."""
        if not self.alpha:
            return None
        target, source = (
            self.discriminator(ReversedGradient.apply(items, self.weight()))
            for items in item_samples(model)
        )
        # log(1 + exp(-x)) for the target, whose logit should be high, log(1 + exp(x)) for the rest
        return (F.softplus(-target).mean() + F.softplus(source).mean()) / 2

    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """Count the step."""
        self.steps += 1


class ReversedGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by -weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradient, None
