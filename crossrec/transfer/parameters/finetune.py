"""Fine-tuning: start from the source weights, then follow the target data alone."""

from torch import nn

from crossrec.transfer.anchor import Anchor
from crossrec.transfer.method import TransferMethod


class Finetune(TransferMethod):
    """W starts at W_s wherever a weight exists in both models; nothing is added to the loss."""

    def start(self, model: nn.Module, anchor: Anchor) -> None:
        """Copy the source weights into the target model, in place."""
        anchor.put_back(model, anchor.values)
