"""Freezing: what the source learned is carried and not touched again."""

from collections.abc import Sequence

from torch import nn

from crossrec.errors import UserError
from crossrec.transfer.anchor import Anchor
from crossrec.transfer.parameters.finetune import Finetune


class Freeze(Finetune):
    """W = W_s for the named weights, for as long as the target trains.

    Rows of a table that do not exist in the source (a new item's id) stay free.

    Args:
        names: beginnings of the parameter names to freeze; all that is carried where empty.

    Raises:
        UserError: a name that fits no carried weight.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)

    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """Put the frozen weights back where the source had them."""
        frozen = [n for n in anchor.values if not self.names or n.startswith(self.names)]
        anchor.put_back(model, frozen)

    def start(self, model: nn.Module, anchor: Anchor) -> None:
        """Copy the source weights; say which names could not be frozen."""
        for name in self.names:
            if not any(carried.startswith(name) for carried in anchor.values):
                raise UserError(
                    f"transfer.names: no carried weight begins with {name!r}; "
                    f"there are {', '.join(sorted(anchor.values))}"
                )
        super().start(model, anchor)
