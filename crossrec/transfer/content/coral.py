"""Fine-tuning with one covariance for the items of both domains (Sun and Saenko, 2016)."""

from torch import Tensor, nn

from crossrec.transfer.anchor import Anchor
from crossrec.transfer.content.alignment import check_alpha, coral, item_samples
from crossrec.transfer.parameters.finetune import Finetune


class CORAL(Finetune):
    """Adds alpha * CORAL of the target's and the source's item embeddings to the target's loss.

    Deep CORAL (ECCV Workshops 2016) with items for images. Embeddings are divided by the root
    of their mean square first, so that alpha does not depend on a model's scale.

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
        """alpha * CORAL of a sample of items."""
        if not self.alpha:
            return None
        target, source = item_samples(model)
        scale = (target.detach().square().mean() + source.detach().square().mean()).div(2).rsqrt()
        return self.alpha * coral(target * scale, source * scale)
