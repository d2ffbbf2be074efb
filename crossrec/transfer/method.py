"""What a transfer method says: the overlap it needs, where it starts, what it adds to the loss."""

from typing import Literal, Protocol

from torch import Tensor, nn

from crossrec.transfer.anchor import Anchor

Overlap = Literal["none", "users", "items"]


class TransferMethod(Protocol):
    """One way to carry what was learned in the source; one file, one class, one YAML.

    Attributes:
        needs: the overlap without which the method has no meaning.
        reads_source: whether target users are also described by what they did in the source.
    """

    needs: Overlap
    reads_source: bool

    def start(self, model: nn.Module, anchor: Anchor) -> None:
        """Put the freshly initialized target model where training starts, in place."""

    def penalty(self, model: nn.Module, anchor: Anchor) -> Tensor | None:
        """A scalar that is added to the loss of a target batch, or None."""

    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """What follows each optimizer step (a proximal operator, say), in place."""
