"""Fine-tuning: start from the source weights, then follow the target data alone."""

import torch
from torch import Tensor, nn

from crossrec.transfer.anchor import Anchor
from crossrec.transfer.method import Overlap


class Finetune:
    """W starts at W_s wherever a weight exists in both models; nothing is added to the loss."""

    needs: Overlap = "none"
    reads_source = True

    @torch.no_grad()
    def start(self, model: nn.Module, anchor: Anchor) -> None:
        """Copy the source weights into the target model, in place."""
        for _, parameter, value, rows in anchor.pairs(model):
            if rows is None:
                parameter.copy_(value)
            else:
                parameter[rows] = value[rows]

    def penalty(self, model: nn.Module, anchor: Anchor) -> Tensor | None:
        """Nothing is added to the loss."""
        return None

    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """Nothing follows an optimizer step."""
