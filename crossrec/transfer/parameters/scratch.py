"""No transfer: the target model starts where it was initialized."""

from torch import Tensor, nn

from crossrec.transfer.anchor import Anchor
from crossrec.transfer.method import Overlap


class Scratch:
    """The baseline that transfer has to beat: the same model, from target data alone."""

    needs: Overlap = "none"
    reads_source = False

    def start(self, model: nn.Module, anchor: Anchor) -> None:
        """Leave the model as it was initialized."""

    def penalty(self, model: nn.Module, anchor: Anchor) -> Tensor | None:
        """Nothing is added to the loss."""
        return None

    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """Nothing follows an optimizer step."""
