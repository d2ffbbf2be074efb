"""What a transfer method says: the overlap it needs, where it starts, what it adds to the loss."""

from typing import Any, Literal, Protocol

from torch import Tensor, nn

from crossrec.errors import UserError
from crossrec.transfer.anchor import Anchor

Overlap = Literal["none", "users", "items", "any"]
"""What must occur in both domains: nothing, users, items, or any of the two."""


class HasNeeds(Protocol):
    """Whatever says which overlap it needs."""

    needs: Overlap


class TransferMethod:
    """One way to carry what was learned in the source; one file, one class, one YAML.

    As it stands it carries nothing: a method says what it does differently.

    Attributes:
        needs: the overlap without which the method has no meaning.
        reads_source: whether target users are also described by what they did in the source.
        reads_source_items: whether training compares the target's items with those of the source,
            which must be at hand then.
        source_cases: training cases of the source from which the method wants the importance of
            each source weight estimated (`Anchor.importance`); 0 if it asks for none.
    """

    needs: Overlap = "none"
    reads_source: bool = True
    reads_source_items: bool = False
    source_cases: int = 0

    def start(self, model: nn.Module, anchor: Anchor) -> None:
        """Put the freshly initialized target model where training starts, in place."""

    def begin_epoch(self, epoch: int) -> bool:
        """Epoch 0, 1, ... begins.

        Returns:
            Whether all that will ever train does so from now on. Until then early stopping waits.
        """
        return True

    def penalty(self, model: nn.Module, anchor: Anchor) -> Tensor | None:
        """A scalar that is added to the loss of a target batch, or None."""
        return None

    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """What follows each optimizer step (a proximal operator, say), in place."""

    def finish(self, model: nn.Module, anchor: Anchor) -> dict[str, Any]:
        """Training is over: give the parameters the names and shapes that the model was made with.

        Returns:
            What the account of the training should say of the method, as JSON has it.
        """
        return {}


def check_overlap(method: HasNeeds, pair: str, shared_users: int, shared_items: int) -> None:
    """Refuse a method whose overlap a pair of domains does not have.

    Args:
        method: what is to be run.
        pair: what the pair is called ("home -> electronics").
        shared_users, shared_items: how many stand in both domains.

    Raises:
        UserError: names the method, the pair and what is missing.
    """
    shared = {
        "none": 1,
        "users": shared_users,
        "items": shared_items,
        "any": shared_users + shared_items,
    }[method.needs]
    if shared == 0:
        what = "users or items" if method.needs == "any" else method.needs
        raise UserError(
            f"transfer method {type(method).__name__} needs {what} that occur in both "
            f"domains, but {pair} share none: choose another pair, another transfer "
            "(transfer=l2_sp needs no overlap), or check that both name them alike"
        )
