"""Fine-tuning with one distribution for the items of both domains (Long et al., ICML 2015)."""

from torch import Tensor, nn

from crossrec.transfer.anchor import Anchor
from crossrec.transfer.content.alignment import check_alpha, item_samples, mmd
from crossrec.transfer.parameters.finetune import Finetune


class MMD(Finetune):
    """Adds alpha * MMD^2 of the target's and the source's item embeddings to the target's loss.

    The paper aligns the activations of several layers; a recommender's items have one embedding.

    Args:
        alpha: weight; 0 is fine-tuning.

    Raises:
        UserError: alpha is out of range.
    """

    reads_source_items = True

    def __init__(self, alpha: float = 1.0) -> None:
        check_alpha(alpha)
        self.alpha = alpha

    def penalty(self, model: nn.Module, anchor: Anchor) -> Tensor | None:
        """alpha * MMD^2 of a sample of items."""
        return self.alpha * mmd(*item_samples(model)) if self.alpha else None
