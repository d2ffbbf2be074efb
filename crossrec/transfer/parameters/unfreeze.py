"""Gradual unfreezing: what was carried learns again group by group, from the score downward."""

from collections.abc import Sequence

from torch import nn

from crossrec.errors import UserError
from crossrec.transfer.anchor import Anchor
from crossrec.transfer.parameters.finetune import Finetune


class Unfreeze(Finetune):
    """Start at W_s; free one group of carried weights each `every` epochs, top group first.

    Howard and Ruder, ACL 2018, section 3.3, without the paper's learning rate schedules. The first
    group trains from epoch 0; weights that the source does not have (a new item's id) always do.
    To freeze a weight is to give it a learning rate of zero: the optimizer's moments follow its
    gradient meanwhile, so that its first free step is no larger than the others.

    Early stopping waits until the last group is free: validation may stand still for long while
    little can move, and patience is meant for the whole model. Which epoch's weights are kept is
    chosen among all epochs, as always, so an early epoch with much frozen can win.

    Args:
        every: epochs between one group and the next.
        groups: from top to bottom, each a list of beginnings of parameter names, the first group
            that fits takes a weight; carried weights that no group names make one more, the last.
            Empty for a group a module: the model's modules in the reverse of the order in which it
            makes them (a list of blocks counts block by block), which in a recommender runs from
            the user side's last layers to the item adapter, and last its own parameters: tables of
            ids, positions. A model of tables alone has one group, and is fine-tuned.

    Raises:
        UserError: every below 1, or, at the start, a group that fits no carried weight.
    """

    def __init__(self, every: int = 1, groups: Sequence[Sequence[str]] = ()) -> None:
        if every < 1:
            raise UserError(f"transfer.every must be >= 1, got {every}")
        self.every, self.groups = every, [tuple(group) for group in groups]
        self.members: list[set[str]] = []
        self.frozen: set[str] = set()

    def start(self, model: nn.Module, anchor: Anchor) -> None:
        """Copy the source weights and freeze all groups but the first."""
        super().start(model, anchor)
        left = set(anchor.values)
        members: list[set[str]] = []
        for group in [*(self.groups or modules_from_the_top(model)), ("",)]:
            members.append({name for name in left if name.startswith(group)})
            left -= members[-1]
        for group, found in zip(self.groups, members, strict=False):
            if not found:
                raise UserError(
                    f"transfer.groups: no carried weight is left for {list(group)}; there are "
                    f"{', '.join(sorted(anchor.values))}"
                )
        self.members = [found for found in members if found]
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> bool:
        """Free as many groups as are due; whether that is all of them."""
        self.frozen = set().union(*self.members[1 + epoch // self.every :])
        return not self.frozen

    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """Put the frozen weights back where the source had them."""
        anchor.put_back(model, self.frozen)


def modules_from_the_top(model: nn.Module) -> list[tuple[str]]:
    """Beginnings of the parameter names of each module, last made first."""
    names = []
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList):
            names += [(f"{name}.{number}.",) for number in range(len(child))]
        else:
            names.append((f"{name}.",))
    return names[::-1]
